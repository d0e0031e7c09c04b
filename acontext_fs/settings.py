"""Settings: flag > environment > acontext.toml > default, parsed once into one frozen value.

Keys that Acontext has keep their names: lower case in `acontext.toml`, capitals in the environment.
Our own are `ACONTEXT_FS_<KEY>` in the environment, where a list is text with commas. Keys and
tokens come from the environment only, so that they cannot be committed.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from acontext_fs import files
from acontext_fs.errors import SettingsError
from acontext_fs.jsonl import is_deep
from acontext_fs.records import Criteria

_LISTS = frozenset({"api_allowed_hosts", "api_cors_origins", "redact_allow"})
_OURS = frozenset(
    {"max_tokens_per_day", "max_concurrency", "api_host", "api_port", "api_token"}
    | {"redact_patterns", "keep_blobs", "blob_bytes_min", "blob_bytes_max"}
    | _LISTS
)
_ENVIRONMENT_ONLY = frozenset({"llm_api_key", "api_token"})
DEPTH_MAX = 32
"""How deep tables and arrays of a settings file may be nested."""
_ALSO = {"llm_api_key": ("OPENAI_API_KEY",)}

_M = TypeVar("_M", bound=BaseModel)
Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Host = Annotated[str, Field(pattern=r"^([^\s:/]+|\[[0-9a-fA-F:.]+\])$")]
Origin = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[^\s/]+$")]
_FROM_ARRAY = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)

Filled = Annotated[str, Field(min_length=1)]


def _from_json(value: object) -> object:
    """A table, which the environment can only hold as the text of a JSON object."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is no JSON object ({error})") from None


_FROM_JSON = BeforeValidator(_from_json)


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
    api_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8029
    api_token: Annotated[str, Field(pattern=r"^[!-~]*$", repr=False)] = ""
    api_allowed_hosts: Annotated[tuple[Host, ...], _FROM_ARRAY] = ()
    api_cors_origins: Annotated[tuple[Origin, ...], _FROM_ARRAY] = ()
    redact_patterns: Annotated[dict[str, Filled], _FROM_JSON] = {}
    redact_allow: Annotated[tuple[Filled, ...], _FROM_ARRAY] = ()
    keep_blobs: bool = True
    blob_bytes_min: Natural = 32 * 1024
    blob_bytes_max: Natural = 20 * 1024 * 1024

    @property
    def uses_model(self) -> bool:
        """Whether a model is configured; without one the rules engine does the work."""
        return bool(self.llm_api_key or self.llm_base_url)


def _fits_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise ValueError(f"it cannot be said in JSON ({error})") from error
    return value


class SpaceSettings(BaseModel):
    """What a `space.toml` may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = ""
    meta: Annotated[dict[str, Any], AfterValidator(_fits_json)] = {}
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
    return read(files.read_bytes(file), str(file), environment, flags)


def read(
    data: bytes | None,
    where: str,
    environment: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """The settings in the bytes of an `acontext.toml`, None where there is none. `where` names it.

    Raises:
        SettingsError: it is missing or broken, a key is unknown, or a value is of the wrong type;
            the text names the place and the key.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    if data is None:
        raise SettingsError(f"{where} is missing: run `acontext-fs init` there to write it again")
    for key, value in _checked(Settings, data, where).items():
        if key in _ENVIRONMENT_ONLY:
            raise SettingsError(
                f"{where} sets {key}, which would be committed: "
                f"put it into the environment as {variable_of(key)} instead"
            )
        values[key], places[key] = value, where
    for key in Settings.model_fields:
        for variable in (variable_of(key), *_ALSO.get(key, ())):
            if environment.get(variable):
                value = environment[variable]
                values[key] = _parts(value) if key in _LISTS else value
                places[key] = f"the environment ({variable})"
                break
    if "OPENAI_API_KEY" in places.get("llm_api_key", "") and places.get("llm_base_url") == where:
        # That key was made for another endpoint than the one a pulled file may name.
        del values["llm_api_key"]
    for key, flag in (flags or {}).items():
        if flag is not None:
            values[key], places[key] = flag, f"the option --{key.replace('_', '-')}"
    return _validate(Settings, values, places)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def load_space(file: Path) -> SpaceSettings:
    """The settings of one space; the defaults where it has no `space.toml`.

    Raises:
        SettingsError: the file is broken, a key is unknown or a value of the wrong type.
    """
    return read_space(files.read_bytes(file), str(file))


def read_space(data: bytes | None, where: str) -> SpaceSettings:
    """The settings in the bytes of a `space.toml`; the defaults for None. `where` names it.

    Raises:
        SettingsError: it is broken, a key is unknown or a value of the wrong type.
    """
    if data is None:
        return SpaceSettings()
    return SpaceSettings(**_checked(SpaceSettings, data, where))


def criteria(settings: Settings, space: SpaceSettings) -> Criteria:
    """The space's criteria where it has some, else the store's."""
    return Criteria(
        success=space.task_success_criteria or settings.task_success_criteria,
        failure=space.task_failure_criteria or settings.task_failure_criteria,
    )


def _read_toml(data: bytes, file: str, model: type[BaseModel]) -> dict[str, Any]:
    try:
        values = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:  # Bad TOML, bad UTF-8, or a number of thousands of digits.
        raise SettingsError(f"{file} is not valid TOML ({error}): mend that place") from error
    except RecursionError:
        raise SettingsError(_too_deep(file)) from None
    if is_deep(values, DEPTH_MAX):  # Dotted keys nest without limit in the parser.
        raise SettingsError(_too_deep(file))
    known = list(model.model_fields)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise SettingsError(f"{file} sets {key!r}, which is no setting: {hint}")
    return values


def _too_deep(file: str) -> str:
    return f"{file} is nested deeper than {DEPTH_MAX} levels: make it flatter"


def _checked(model: type[BaseModel], data: bytes, file: str) -> dict[str, Any]:
    """What a file says, if every value is of the very type: only the environment holds text."""
    values = _read_toml(data, file, model)
    plain = {key: value for key, value in values.items() if key not in _ENVIRONMENT_ONLY}
    _validate(model, plain, dict.fromkeys(values, file), strict=True)
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
