"""Settings: flag > environment > acontext.toml > default, parsed once into one frozen value.

Keys that Acontext has keep their names: lower case in `acontext.toml`, capitals in the environment.
Our own are `ACONTEXT_FS_<KEY>` in the environment. The API key comes from the environment only, so
that it cannot be committed.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from acontext_fs import files
from acontext_fs.errors import SettingsError
from acontext_fs.records import Criteria

_OURS = frozenset({"max_tokens_per_day", "max_concurrency"})
_ENVIRONMENT_ONLY = frozenset({"llm_api_key"})
DEPTH_MAX = 32
"""How deep tables and arrays of a settings file may be nested."""
_ALSO = {"llm_api_key": ("OPENAI_API_KEY",)}

_M = TypeVar("_M", bound=BaseModel)
Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]


class Settings(BaseModel):
    """Everything that can be set, with its default. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    llm_api_key: str = Field("", repr=False)
    llm_base_url: str = ""
    llm_simple_model: Annotated[str, Field(min_length=1)] = "gpt-4.1"
    llm_response_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60
    project_session_message_buffer_max_turns: Positive = 16
    project_session_message_buffer_max_overflow: Natural = 16
    project_session_message_buffer_ttl_seconds: Annotated[
        float, Field(ge=0, allow_inf_nan=False)
    ] = 8
    project_session_message_use_previous_messages_turns: Natural = 3
    default_task_agent_max_iterations: Positive = 6
    default_task_agent_previous_progress_num: Natural = 6
    skill_learn_agent_max_iterations: Positive = 24
    task_success_criteria: str = ""
    task_failure_criteria: str = ""
    max_tokens_per_day: Natural = 2_000_000
    max_concurrency: Positive = 4

    @property
    def uses_model(self) -> bool:
        """Whether a model is configured; without one the rules engine does the work."""
        return bool(self.llm_api_key or self.llm_base_url)


class SpaceSettings(BaseModel):
    """What a `space.toml` may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = ""
    meta: dict[str, Any] = {}
    learn: bool = True
    task_success_criteria: str = ""
    task_failure_criteria: str = ""


def variable_of(key: str) -> str:
    """The environment variable of a setting."""
    return f"ACONTEXT_FS_{key.upper()}" if key in _OURS else key.upper()


def load(
    file: Path, environment: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Settings:
    """The settings of the store whose `acontext.toml` is `file`.

    Raises:
        SettingsError: the file is missing or broken, a key is unknown, or a value is of the wrong
            type; the text names the place and the key.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for key, value in _checked(Settings, file).items():
        if key in _ENVIRONMENT_ONLY:
            raise SettingsError(
                f"{file} sets {key}, which would be committed: "
                f"put it into the environment as {variable_of(key)} instead"
            )
        values[key], places[key] = value, str(file)
    for key in Settings.model_fields:
        for variable in (variable_of(key), *_ALSO.get(key, ())):
            if environment.get(variable):
                values[key], places[key] = environment[variable], f"the environment ({variable})"
                break
    if "OPENAI_API_KEY" in places.get("llm_api_key", "") and places.get("llm_base_url") == str(
        file
    ):
        # That key was made for another endpoint than the one a pulled file may name.
        del values["llm_api_key"]
    for key, value in (flags or {}).items():
        if value is not None:
            values[key], places[key] = value, f"the option --{key.replace('_', '-')}"
    return _validate(Settings, values, places)


def load_space(file: Path) -> SpaceSettings:
    """The settings of one space; the defaults where it has no `space.toml`.

    Raises:
        SettingsError: the file is broken, a key is unknown or a value of the wrong type.
    """
    if not file.exists():
        return SpaceSettings()
    return SpaceSettings(**_checked(SpaceSettings, file))


def criteria(settings: Settings, space: SpaceSettings) -> Criteria:
    """The space's criteria where it has some, else the store's."""
    return Criteria(
        success=space.task_success_criteria or settings.task_success_criteria,
        failure=space.task_failure_criteria or settings.task_failure_criteria,
    )


def _read_toml(file: Path, model: type[BaseModel]) -> dict[str, Any]:
    data = files.read_bytes(file)
    if data is None:
        raise SettingsError(f"{file} is missing: run `acontext-fs init` there to write it again")
    try:
        values = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:  # Bad TOML, bad UTF-8, or a number of thousands of digits.
        raise SettingsError(f"{file} is not valid TOML ({error}): mend that place") from error
    except RecursionError:
        raise SettingsError(_too_deep(file)) from None
    if _is_deep(values):
        raise SettingsError(_too_deep(file))
    known = list(model.model_fields)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise SettingsError(f"{file} sets {key!r}, which is no setting: {hint}")
    return values


def _is_deep(values: dict[str, Any]) -> bool:
    """Whether `values` is nested beyond DEPTH_MAX. Dotted keys nest without limit in the parser."""
    level: list[Any] = [values]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return any(isinstance(item, dict | list) for item in level)


def _too_deep(file: Path) -> str:
    return f"{file} is nested deeper than {DEPTH_MAX} levels: make it flatter"


def _checked(model: type[BaseModel], file: Path) -> dict[str, Any]:
    """What a file says, if every value is of the very type: only the environment holds text."""
    values = _read_toml(file, model)
    plain = {key: value for key, value in values.items() if key not in _ENVIRONMENT_ONLY}
    _validate(model, plain, dict.fromkeys(values, str(file)), strict=True)
    return values


def _validate(
    model: type[_M],
    values: Mapping[str, Any],
    places: Mapping[str, str],
    *,
    strict: bool | None = None,
) -> _M:
    try:
        return model.model_validate(values, strict=strict)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise SettingsError(
            f"{key} from {places.get(key, 'the settings')} is {_shown(key, first['input'])}: "
            f"{first['msg'][0].lower()}{first['msg'][1:]}"
        ) from None


def _shown(key: str, value: object) -> str:
    return "hidden" if key in _ENVIRONMENT_ONLY else repr(value)[:80]
