from __future__ import annotations

import json
import socket
import threading
import time
import traceback
from contextlib import contextmanager

import pytest

from acontext_fs.clock import FakeClock
from acontext_fs.errors import (
    FeatureRefused,
    ModelError,
    ModelMisbehaved,
    ModelUnavailable,
    SettingsError,
)
from acontext_fs.models import Tool
from acontext_fs.models.openai import REPLY_BYTES_MAX, OpenAIModel
from tests.model_server import Answer, ModelServer, error, json_answer, reply

KEY = "sk-secret-0123456789"
ASK = [{"role": "user", "content": "Hello"}]
TOOLS = [
    Tool("note", "Note it.", {"type": "object", "properties": {"text": {"type": "string"}}}),
    Tool("finish", "Stop.", {"type": "object", "properties": {}}),
]
SCHEMA = {"type": "object"}


@contextmanager
def served(*steps, timeout=5.0, key=KEY, **given):
    with (
        ModelServer(steps, **given) as server,
        OpenAIModel(server.url, key, "tiny", timeout) as model,
    ):
        yield model, server


def failure(*steps, tools=(), schema=None, **given):
    with served(*steps, **given) as (model, _), pytest.raises(ModelError) as caught:
        model.complete(ASK, tools, schema)
    return caught.value


def test_a_call_comes_back_with_its_arguments_and_the_tokens_the_endpoint_counted():
    with served(reply(("note", {"text": "Grüße"}), text="Sure.")) as (model, server):
        answer = model.complete(ASK, TOOLS)
    assert answer.text == "Sure."
    assert [(c.name, c.arguments) for c in answer.calls] == [("note", {"text": "Grüße"})]
    assert answer.tokens == 100
    sent = server.requests[0]
    assert sent["tool_choice"] == "auto"
    assert sent["max_tokens"] > 0
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["note", "finish"]


def test_without_tools_neither_tools_nor_tool_choice_are_sent():
    with served(reply(text="Hi")) as (model, server):
        assert model.complete(ASK).text == "Hi"
    assert {"tools", "tool_choice", "response_format"}.isdisjoint(server.requests[0])


def test_a_schema_is_asked_for_as_response_format():
    with served(reply(text="{}")) as (model, server):
        model.complete(ASK, schema=SCHEMA)
    assert server.requests[0]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_local_server_needs_no_key(key):
    with served(reply(text="Hi"), key=key) as (model, server):
        assert model.complete(ASK).text == "Hi"
    assert server.headers[0]["authorization"].startswith("Bearer ")


def test_an_endpoint_that_wants_max_completion_tokens_gets_it_and_is_remembered():
    with served(reply(text="a"), reply(text="b"), refuses=["max_tokens"]) as (model, server):
        assert [model.complete(ASK).text for _ in range(2)] == ["a", "b"]
    names = [[k for k in body if k.startswith("max_")] for body in server.requests]
    assert names == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]


def test_an_endpoint_that_takes_no_length_limit_at_all_is_asked_without():
    refuses = ["max_tokens", "max_completion_tokens"]
    with served(reply(text="a"), refuses=refuses) as (model, server):
        assert model.complete(ASK).text == "a"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "LLM_API_KEY"),
        (402, "credit"),
        (403, "LLM_API_KEY"),
        (404, "LLM_SIMPLE_MODEL"),
        (429, "wait"),
        (503, "wait"),
    ],
)
def test_who_refuses_everybody_is_unavailable_and_says_what_to_do(status, advice):
    problem = failure(error(status, "no"))
    assert isinstance(problem, ModelUnavailable)
    assert advice in str(problem)
    assert "tiny at http://127.0.0.1" in str(problem)


@pytest.mark.parametrize("status", [400, 408, 409, 413, 422, 500, 502])
def test_who_chokes_on_this_request_misbehaves(status):
    problem = failure(error(status, "no such thing"))
    assert isinstance(problem, ModelMisbehaved)
    assert not isinstance(problem, FeatureRefused)
    assert "no such thing" in str(problem)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("1e12", 86_400.0),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_handed_on_in_seconds(header, seconds):
    with (
        ModelServer([error(429, "slow down", {"Retry-After": header})]) as server,
        OpenAIModel(server.url, KEY, "tiny", 5, FakeClock(1_767_225_600)) as model,
        pytest.raises(ModelUnavailable) as caught,
    ):
        model.complete(ASK)
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "llama does not support tools"),
        (400, '"auto" tool choice requires --enable-auto-tool-choice'),
        (404, "No endpoints found that support tool use."),
        (422, "function_call is unknown"),
        (400, "Only user and assistant roles are supported!"),
        (500, "cannot render the chat template"),
    ],
)
def test_an_endpoint_without_tools_says_so(status, words):
    problem = failure(error(status, words), tools=TOOLS)
    assert isinstance(problem, FeatureRefused)
    assert problem.feature == "tools"


@pytest.mark.parametrize("status", [400, 422, 500])
def test_an_endpoint_without_schemas_need_not_even_say_so(status):
    problem = failure(error(status, ""), schema=SCHEMA)
    assert isinstance(problem, FeatureRefused)
    assert problem.feature == "schema"


def test_a_request_that_is_too_long_is_not_taken_for_a_missing_feature():
    words = "the request with its tools exceeds the context length"
    assert not isinstance(failure(error(400, words), tools=TOOLS), FeatureRefused)
    assert not isinstance(failure(error(400, words), schema=SCHEMA), FeatureRefused)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (json_answer({"error": {"message": "model crashed"}}), "model crashed"),
        (json_answer({"choices": []}), "without any choice"),
        (json_answer({"choices": None}), "without any choice"),
        (json_answer({"choices": [None]}), "no message"),
        (json_answer([1]), "no object"),
        (Answer(200, b"<html>Welcome</html>", {"Content-Type": "text/html"}), "<html>"),
        (Answer(200, reply(text="x").body[:40]), "not JSON"),
        (Answer(200, b""), "not JSON"),
        (Answer(200, b'{"a":' + b"[" * 20_000), "not JSON"),
        (Answer(200, b"\xff\xfe{}"), "answered"),
    ],
)
def test_a_success_that_is_no_chat_completion_misbehaves(answer, words):
    problem = failure(answer)
    assert isinstance(problem, ModelMisbehaved)
    assert words in str(problem)
    assert problem.tokens > 0


def test_a_body_without_end_is_not_read_to_its_end():
    huge = Answer(200, b" " * (REPLY_BYTES_MAX + 1))
    assert f"more than {REPLY_BYTES_MAX}" in str(failure(huge))


@pytest.mark.parametrize("manner", ["cut", "reset"])
def test_a_connection_that_breaks_off_misbehaves(manner):
    problem = failure(Answer(200, reply(text="x" * 500).body, manner=manner))
    assert isinstance(problem, ModelMisbehaved)
    assert "broke off" in str(problem)


@pytest.mark.parametrize("manner", ["silent", "drip", "drip headers"])
def test_the_deadline_holds_however_slowly_the_endpoint_speaks(manner):
    with served(Answer(manner=manner), reply(text="back"), timeout=0.3) as (model, _):
        began = time.monotonic()
        with pytest.raises(ModelMisbehaved, match=r"within 0.3 s") as caught:
            model.complete(ASK)
        assert time.monotonic() - began < 3
        assert caught.value.tokens > 0
        assert model.complete(ASK).text == "back"


def test_an_error_body_that_drips_is_cut_off_too():
    with (
        served(Answer(500, b"{", manner="drip"), timeout=0.3) as (model, _),
        pytest.raises(ModelMisbehaved, match=r"within 0.3 s"),
    ):
        model.complete(ASK)


def test_the_connection_is_let_go_at_the_deadline():
    with served(Answer(manner="drip"), timeout=0.2) as (model, server):
        with pytest.raises(ModelMisbehaved):
            model.complete(ASK)
        assert server.gone.wait(5)


def test_many_timeouts_leave_no_thread_behind():
    with served(*[Answer(manner="drip")] * 5, timeout=0.1) as (model, server):
        for _ in range(5):
            with pytest.raises(ModelMisbehaved):
                model.complete(ASK)
        assert [t.name for t in threading.enumerate()].count("model") == 1
        assert len(server.requests) == 5
    assert "model" not in [t.name for t in threading.enumerate()]


def test_nobody_listening_is_unavailable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with (
            OpenAIModel(f"http://127.0.0.1:{port}/v1", KEY, "tiny", 5) as model,
            pytest.raises(ModelUnavailable, match="LLM_BASE_URL"),
        ):
            model.complete(ASK)


def test_an_unknown_host_is_unavailable():
    with (
        OpenAIModel("http://no-such-host.invalid/v1", KEY, "tiny", 20) as model,
        pytest.raises(ModelUnavailable, match="cannot be reached"),
    ):
        model.complete(ASK)


def test_closing_frees_whoever_waits():
    caught: list[ModelError] = []
    with ModelServer([Answer(manner="silent")]) as server:
        model = OpenAIModel(server.url, KEY, "tiny", 30)

        def wait() -> None:
            try:
                model.complete(ASK)
            except ModelError as problem:
                caught.append(problem)

        asked = threading.Event()
        server.steps[0] = lambda body: (asked.set(), Answer(manner="silent"))[1]
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert asked.wait(5)
        model.close()
        waiting.join(5)
        assert not waiting.is_alive()
        with pytest.raises(ModelUnavailable, match="closed"):
            model.complete(ASK)
    assert [type(problem) for problem in caught] == [ModelUnavailable]


def test_several_threads_ask_at_once():
    answers: list[str] = []
    with served(script=lambda body: reply(text=body["messages"][0]["content"])) as (model, _):

        def ask(number: int) -> None:
            answers.append(model.complete([{"role": "user", "content": str(number)}]).text)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(answers) == [str(number) for number in range(8)]


@pytest.mark.parametrize(
    "step",
    [
        error(401, f"Incorrect API key provided: {KEY}"),
        error(400, f"who is {KEY}?"),
        json_answer({"error": f"bad {KEY}"}),
        Answer(200, f"<html>{KEY}".encode()),
        Answer(manner="reset"),
    ],
)
def test_the_key_stands_in_no_error(step):
    problem = failure(step)
    told = "".join(traceback.format_exception(problem)) + repr(problem) + repr(vars(problem))
    assert KEY not in told


def test_the_key_and_what_hides_in_the_address_stand_in_no_repr():
    model = OpenAIModel(f"http://me:{KEY}@host:99/v1?key={KEY}", KEY, "tiny", 1)
    assert repr(model) == "OpenAIModel('tiny' at http://host:99/v1)"
    assert model.name == "tiny"


@pytest.mark.parametrize("key", ["sk-a\nb", "schlüssel", "a\x00b"])
def test_a_key_that_fits_no_header_is_refused_without_being_shown(key):
    with pytest.raises(SettingsError) as caught:
        OpenAIModel(None, key, "tiny", 1)
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x/v1", "http://", "http://a:b/v1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(SettingsError, match="llm_base_url"):
        OpenAIModel(url, KEY, "tiny", 1)


def test_text_that_no_file_can_hold_is_mended_on_the_way_out_and_in():
    body = json.dumps({"choices": [{"message": {"content": "\ud800!"}}]}).encode()
    with served(Answer(200, body)) as (model, server):
        assert model.complete([{"role": "user", "content": "a\ud800"}]).text == "?!"
    assert server.requests[0]["messages"][0]["content"] == "a?"
