"""What is given fits the types of the providers' own Python clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from acontext_fs.formats import convert
from tests.formats.conversations import CONVERSATIONS, read

ANY = st.sampled_from(sorted(CONVERSATIONS)).flatmap(
    lambda name: st.tuples(st.just(name), CONVERSATIONS[name])
)


@pytest.fixture(scope="module")
def openai_message() -> TypeAdapter[Any]:
    from openai.types.chat import ChatCompletionMessageParam

    return TypeAdapter(ChatCompletionMessageParam)


@pytest.fixture(scope="module")
def anthropic_message() -> TypeAdapter[Any]:
    return TypeAdapter(pytest.importorskip("anthropic.types").MessageParam)


@settings(max_examples=50)
@given(ANY)
def test_openai_messages_are_what_its_client_takes(openai_message, conversation):
    source, items = conversation
    for item in convert(read(items, source), "openai").items:
        walk(openai_message.validate_python(item))


@settings(max_examples=50)
@given(ANY)
def test_anthropic_messages_are_what_its_client_takes(anthropic_message, conversation):
    source, items = conversation
    for item in convert(read(items, source), "anthropic").items:
        if item["role"] != "system":  # Ours: its client has none in the list of messages.
            walk(anthropic_message.validate_python(item))


def walk(value: Any) -> None:
    """Look at every element, because the clients' iterables are validated only then."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for element in value:
            walk(element)
