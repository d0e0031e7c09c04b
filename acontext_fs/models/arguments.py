"""The arguments of a tool as a class: a JSON schema for the model, a check for what comes back.

The only module that knows pydantic on the side of the models. A class derived from `Arguments`
describes one tool: the docstring is what the model is told, the fields are the parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as _ValidationError

from acontext_fs.models import Tool

PROBLEM_LENGTH_MAX = 400


class Arguments(BaseModel):
    """Base of the arguments of one tool. Unknown keys are ignored, "3" is taken for 3."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ArgumentsInvalid(ValueError):
    """The arguments do not fit; the text can be shown to the model."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""Text that says something."""

Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
"""A list of such texts; one alone counts as a list of one."""

Order = Annotated[int, Field(ge=0, le=1_000_000)]
"""The order of a task, or the position of a message."""

Orders = Annotated[tuple[Order, ...], Field(max_length=1000)]

Span = Annotated[tuple[Order, ...], Field(min_length=2, max_length=2)]
"""A first and a last position, both inclusive."""


def about(text: str, default: Any = ...) -> Any:
    """A field that says what it means; without `default` it is required."""
    return Field(default, description=text)


AnyArguments = TypeVar("AnyArguments", bound=Arguments)


def tool(name: str, takes: type[Arguments]) -> Tool:
    """The tool called `name` that takes `takes`."""
    schema = takes.model_json_schema()
    schema.pop("description", None)
    return Tool(name, inspect.cleandoc(takes.__doc__ or ""), _untitled(schema))


def read(takes: type[AnyArguments], values: Mapping[str, Any]) -> AnyArguments:
    """The arguments as the tool takes them.

    Raises:
        ArgumentsInvalid: a key is missing or a value does not fit; the text says which and why.
    """
    try:
        return takes.model_validate(dict(values))
    except _ValidationError as error:
        problems = (
            f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ArgumentsInvalid("; ".join(problems)[:PROBLEM_LENGTH_MAX]) from None


def _untitled(schema: Any) -> Any:
    """The schema without the titles pydantic adds: they cost tokens and say nothing."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("properties") is not None
    return {
        key: {name: _untitled(item) for name, item in value.items()}
        if named and key == "properties"
        else _untitled(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
