"""Messages given back as openai, anthropic, gemini and acontext, case by case."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest

from acontext_fs import editing
from acontext_fs.errors import UsageError
from acontext_fs.formats import Converted, convert
from acontext_fs.records import Message, Part
from tests.formats import apis
from tests.formats.conversations import TIME, content, read, read_again

PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQ="
PROVIDERS = ("openai", "anthropic", "gemini")


def given(*items: dict[str, Any]) -> list[Message]:
    """Messages read from items whose format shows."""
    found = read(items)
    assert len(found) == len(items)
    return found


def to(target: Any, *items: dict[str, Any]) -> list[dict[str, Any]]:
    """The items as `target`, which loses nothing of them."""
    converted = convert(given(*items), target)
    assert converted.lost == ()
    return converted.items


def losses(converted: Converted) -> list[tuple[int, str, str]]:
    return [(loss.part, loss.type, loss.key) for loss in converted.lost]


def calls_of(format_name: str, *ids: str) -> dict[str, Any]:
    """An assistant's message that calls a tool once for each id."""
    if format_name == "openai":
        function = {"name": "run", "arguments": "{}"}
        calls = [{"id": own, "type": "function", "function": function} for own in ids]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    if format_name == "anthropic":
        uses = [{"type": "tool_use", "id": own, "name": "run", "input": {}} for own in ids]
        return {"role": "assistant", "content": uses}
    parts = [{"functionCall": {"id": own, "name": "run", "args": {}}} for own in ids]
    return {"role": "model", "parts": parts}


def result_of(own: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": own, "content": text}


def anthropic_result(own: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": own, "content": content, **more}


# --- images and documents


ANTHROPIC_PNG = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}
OPENAI_PNG = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
GEMINI_PNG = {"inlineData": {"mimeType": "image/png", "data": PNG}}
IMAGES = {
    "openai": {"role": "user", "content": [OPENAI_PNG]},
    "anthropic": {"role": "user", "content": [ANTHROPIC_PNG]},
    "gemini": {"role": "user", "parts": [GEMINI_PNG]},
}


@pytest.mark.parametrize("source", PROVIDERS)
@pytest.mark.parametrize("target", PROVIDERS)
def test_images_in_bytes_are_given_in_bytes(source, target):
    assert to(target, IMAGES[source]) == [IMAGES[target]]


def test_images_on_the_web_stay_there():
    piece = {"type": "image_url", "image_url": {"url": "https://x.example/cat.jpg?s=1"}}
    message = {"role": "user", "content": [piece]}
    (anthropic,) = to("anthropic", message)
    url = "https://x.example/cat.jpg?s=1"
    assert anthropic["content"] == [{"type": "image", "source": {"type": "url", "url": url}}]
    (gemini,) = to("gemini", message)
    assert gemini["parts"] == [{"fileData": {"mimeType": "image/jpeg", "fileUri": url}}]


def test_images_only_their_provider_can_fetch_are_listed_as_lost():
    uri = {"fileData": {"fileUri": "gs://b/o.png", "mimeType": "image/png"}}
    stored = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    messages = given({"role": "user", "parts": [uri]}, {"role": "user", "content": [stored]})
    assert losses(convert(messages, "openai")) == [(0, "image", ""), (0, "image", "")]
    assert losses(convert(messages, "anthropic")) == [(0, "image", "")]
    assert convert(messages, "openai").items == []


def test_an_image_of_a_kind_the_api_refuses_is_listed_as_lost():
    heic = {"inlineData": {"mimeType": "image/heic", "data": PNG}}
    converted = convert(given({"role": "user", "parts": [heic, {"text": "see"}]}), "anthropic")
    assert converted.items == [{"role": "user", "content": [{"type": "text", "text": "see"}]}]
    assert losses(converted) == [(0, "image", "")]
    assert "image/heic" in converted.lost[0].why


def test_images_of_the_assistant_are_listed_as_lost_where_only_users_send_them():
    message = given({"role": "model", "parts": [GEMINI_PNG]})
    for target in ("openai", "anthropic"):
        converted = convert(message, target)
        assert (converted.items, losses(converted)) == ([], [(0, "image", "")])


def test_bytes_in_the_url_safe_alphabet_become_plain_base64():
    part = {"inlineData": {"mimeType": "image/png", "data": "-_8="}}
    (item,) = to("anthropic", {"role": "user", "parts": [part]})
    assert item["content"][0]["source"]["data"] == "+/8="


def test_data_urls_without_base64_are_encoded():
    piece = {"type": "image_url", "image_url": {"url": "data:image/png,%00A"}}
    (item,) = to("anthropic", {"role": "user", "content": [piece]})
    assert item["content"][0]["source"]["data"] == "AEE="


def test_pdf_documents_are_given_in_bytes():
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    document = {"type": "document", "source": source, "title": "Plan"}
    (openai,) = to("openai", {"role": "user", "content": [document]})
    file = {"filename": "Plan", "file_data": f"data:application/pdf;base64,{PDF}"}
    assert openai["content"] == [{"type": "file", "file": file}]
    (back,) = to("anthropic", openai)
    assert back["content"] == [document]
    converted = convert(given({"role": "user", "content": [document]}), "gemini")
    inline = {"inlineData": {"mimeType": "application/pdf", "data": PDF}}
    assert converted.items == [{"role": "user", "parts": [inline]}]
    assert losses(converted) == [(0, "file", "title")]


def test_text_documents_stay_text():
    source = {"type": "text", "media_type": "text/plain", "data": "chapter one"}
    message = {"role": "user", "content": [{"type": "document", "source": source}]}
    (openai,) = to("openai", message)
    assert openai["content"][0]["file"]["filename"] == "document.txt"
    (gemini,) = to("gemini", message)
    for item in (openai, gemini):
        (back,) = to("anthropic", item)
        assert back["content"][0]["source"] == source


def test_documents_the_api_cannot_read_are_listed_as_lost():
    zipped = {"inlineData": {"mimeType": "application/zip", "data": PDF}}
    web = {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}}
    assert losses(convert(given({"role": "user", "parts": [zipped]}), "anthropic")) == [
        (0, "file", "")
    ]
    assert losses(convert(given({"role": "user", "content": [web]}), "openai")) == [(0, "file", "")]


def test_sound_is_given_to_those_who_hear():
    wav = {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}
    ogg = {"inlineData": {"mimeType": "audio/ogg", "data": "T2dnUw=="}}
    messages = given({"role": "user", "parts": [wav, ogg]})
    converted = convert(messages, "openai")
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    assert converted.items == [{"role": "user", "content": [sound]}]
    assert losses(converted) == [(1, "audio", "")]
    assert losses(convert(messages, "anthropic")) == [(0, "audio", ""), (1, "audio", "")]
    assert to("gemini", *converted.items) == [{"role": "user", "parts": [wav]}]


def test_a_spoken_reply_stays_as_its_transcript():
    audio = {"id": "a1", "transcript": "Hello", "data": "UklGRg=="}
    message = {"role": "assistant", "content": None, "audio": audio}
    assert to("openai", message)[0]["audio"] == audio
    converted = convert(given(message), "anthropic")
    assert converted.items == [
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}
    ]
    assert losses(converted) == [(0, "audio", "data")]


def test_video_is_for_gemini_alone():
    part = {"fileData": {"fileUri": "https://x.example/a.mp4", "mimeType": "video/mp4"}}
    part["videoMetadata"] = {"startOffset": "1s"}
    message = {"role": "user", "parts": [part]}
    assert to("gemini", message) == [message]
    for target in ("openai", "anthropic"):
        assert losses(convert(given(message), target)) == [(0, "video", "")]


# --- calls and results


@pytest.mark.parametrize("source", PROVIDERS)
def test_parallel_results_in_messages_of_their_own_are_one_message_where_that_is_wanted(source):
    messages = given(
        {"role": "user", "content": "go"},
        calls_of(source, "a", "b"),
        result_of("a", "one"),
        result_of("b", "two"),
        {"role": "user", "content": "and now?"},
    )
    for target in PROVIDERS:
        apis.check(target, convert(messages, target).items)
    anthropic = convert(messages, "anthropic").items
    assert [item["role"] for item in anthropic] == ["user", "assistant", "user", "user"]
    results = [(b["tool_use_id"], b["content"][0]["text"]) for b in anthropic[2]["content"]]
    assert results == [("a", "one"), ("b", "two")]
    gemini = convert(messages, "gemini").items
    responses = [part["functionResponse"]["response"] for part in gemini[2]["parts"]]
    assert responses == [{"output": "one"}, {"output": "two"}]
    openai = convert(messages, "openai").items
    assert openai[2:4] == [result_of("a", "one"), result_of("b", "two")]


def test_several_results_and_what_else_the_user_says_are_all_kept():
    messages = given(
        calls_of("anthropic", "a", "b"),
        {
            "role": "user",
            "content": [
                anthropic_result("a", "one"),
                anthropic_result("b", "two"),
                {"type": "text", "text": "and be quick"},
            ],
        },
    )
    assert convert(messages, "openai").items[1:] == [
        result_of("a", "one"),
        result_of("b", "two"),
        {"role": "user", "content": "and be quick"},
    ]
    parts = convert(messages, "gemini").items[1]["parts"]
    assert [next(iter(part)) for part in parts] == ["functionResponse", "functionResponse", "text"]
    (_, user) = convert(messages, "anthropic").items
    assert [block["type"] for block in user["content"]] == ["tool_result", "tool_result", "text"]


@pytest.mark.parametrize("target", PROVIDERS)
def test_results_stand_directly_behind_their_calls_whatever_came_between(target):
    messages = given(
        calls_of("openai", "a"),
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "wait"},
        {"role": "assistant", "content": "I wait"},
        result_of("a", "one"),
        {"role": "user", "content": "go on"},
    )
    items = convert(messages, target).items
    apis.check(target, items)
    said = orjson.dumps(items)
    places = [said.index(word) for word in (b"one", b"brief", b"wait", b"I wait", b"go on")]
    assert places == sorted(places)


def test_a_reply_in_several_lines_is_put_together_only_where_a_result_comes_later():
    said = {"role": "assistant", "content": "first"}
    cut = given(said, calls_of("openai", "a"), said, calls_of("openai", "b"))
    results = given(result_of("a", "one"), result_of("b", "two"))
    for target in PROVIDERS:
        items = convert([*cut, *results], target).items
        apis.check(target, items)
        roles = [item["role"] for item in items]
        assert roles[0] == roles[1]
        assert set(roles[2:]) == {"tool" if target == "openai" else "user"}
    reply = convert([*cut, *results], "openai").items[1]
    assert reply["content"] == "first"
    assert [call["id"] for call in reply["tool_calls"]] == ["a", "b"]
    unanswered = convert(cut, "anthropic").items
    assert len(unanswered) == 4


def test_messages_of_one_role_in_a_row_stay_apart():
    messages = given({"role": "user", "content": "a"}, {"role": "user", "content": "b"})
    for target in PROVIDERS:
        assert len(convert(messages, target).items) == 2


def test_results_at_the_start_of_a_page_are_kept_though_their_calls_are_not_there():
    messages = given(result_of("a", "one"), result_of("b", "two"), {"role": "user", "content": "x"})
    openai = convert(messages, "openai").items
    assert openai == [
        result_of("a", "one"),
        result_of("b", "two"),
        {"role": "user", "content": "x"},
    ]
    first, second = convert(messages, "anthropic").items
    assert [block["tool_use_id"] for block in first["content"]] == ["a", "b"]
    assert second["content"][0]["text"] == "x"
    converted = convert(messages, "gemini")
    assert len(converted.items) == 1
    assert losses(converted) == [(0, "tool-result", ""), (0, "tool-result", "")]


def test_calls_without_ids_and_what_answers_them_get_the_same_one():
    call = {"functionCall": {"name": "run", "args": {}}}
    response = {"functionResponse": {"name": "run", "response": {"output": "x"}}}
    messages = given(
        {"role": "model", "parts": [call, call]}, {"role": "user", "parts": [response, response]}
    )
    assistant, first, second = convert(messages, "openai").items
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert len(set(ids)) == 2
    assert convert(messages, "openai") == convert(messages, "openai")
    _, user = convert(messages, "anthropic").items
    assert [block["tool_use_id"] for block in user["content"]] == ids
    assert "id" not in convert(messages, "gemini").items[0]["parts"][0]["functionCall"]


def test_a_result_without_an_id_answers_the_first_call_of_that_name_that_waits():
    response = {"functionResponse": {"name": "run", "response": {"output": "two"}}}
    messages = given(
        calls_of("openai", "a", "b"),
        result_of("a", "one"),
        {"role": "user", "parts": [response]},
    )
    _, first, second = convert(messages, "openai").items
    assert (first, second) == (result_of("a", "one"), result_of("b", "two"))


def test_results_are_the_users_even_in_a_message_of_the_system():
    text = {"type": "text", "text": "be brief"}
    messages = read([calls_of("anthropic", "a")], "anthropic") + read(
        [{"role": "system", "content": [anthropic_result("a", "one"), text]}], "anthropic"
    )
    _, results, system = convert(messages, "anthropic").items
    assert results["content"][0]["tool_use_id"] == "a"
    assert (results["role"], system) == ("user", {"role": "system", "content": [text]})


def test_a_call_and_its_result_in_one_message_are_the_assistants_and_the_users():
    image = {"type": "image", "meta": {"tool_call_id": "a", "media_type": "image/png", "data": PNG}}
    parts = [
        {"type": "tool-call", "meta": {"id": "a", "name": "run", "arguments": "{}"}},
        {"type": "tool-result", "text": "one", "meta": {"tool_call_id": "a"}},
        image,
    ]
    messages = given({"role": "assistant", "parts": parts})
    for target in PROVIDERS:
        converted = convert(messages, target)
        apis.check(target, converted.items)
        assert not [loss for loss in converted.lost if not loss.key]
    assert [item["role"] for item in convert(messages, "openai").items] == [
        "assistant",
        "tool",
        "user",
    ]


def test_ids_that_anthropic_refuses_are_replaced_on_both_sides():
    messages = given(
        calls_of("openai", "functions.run:0"),
        result_of("functions.run:0", "one"),
        calls_of("openai", "b"),
        result_of("b", "two"),
        calls_of("openai", "b"),
        result_of("b", "three"),
    )
    items = convert(messages, "anthropic").items
    apis.check("anthropic", items)
    assert convert(messages, "openai").items[0]["tool_calls"][0]["id"] == "functions.run:0"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("null", {}),
        ("[1,2]", {"input": [1, 2]}),
        ('"words"', {"input": "words"}),
        ('{"a": ', {"input": '{"a": '}),
    ],
)
def test_arguments_are_an_object_where_the_api_wants_one(arguments, wanted):
    function = {"name": "run", "arguments": arguments}
    call = {"id": "c", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert to("anthropic", message)[0]["content"][0]["input"] == wanted
    assert to("gemini", message)[0]["parts"][0]["functionCall"]["args"] == wanted
    assert to("openai", message) == [message]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"rows":[1]}', {"rows": [1]}),
        ("plain", {"output": "plain"}),
        ("[1]", {"output": "[1]"}),
        ("", {}),
        ("{}", {"output": "{}"}),
        ('{"output":"x"}', {"output": '{"output":"x"}'}),
        ('{"broken', {"output": '{"broken'}),
    ],
)
def test_results_are_an_object_for_gemini_and_are_read_back_as_they_were(text, wanted):
    _, item = to("gemini", calls_of("openai", "a"), result_of("a", text))
    response = item["parts"][0]["functionResponse"]
    assert response == {"id": "a", "name": "run", "response": wanted}
    (message,) = read([item], "gemini")
    assert message.parts[0].text == text


def test_json_that_nests_too_deeply_to_be_written_again_is_given_as_text():
    deep = "[" * 240 + "]" * 240
    calls = calls_of("openai", "a")
    calls["tool_calls"][0]["function"]["arguments"] = deep
    results = result_of("a", f'{{"x":{deep}}}')
    assert to("anthropic", calls, results)[0]["content"][0]["input"] == {"input": deep}
    gemini = to("gemini", calls, results)
    assert gemini[0]["parts"][0]["functionCall"]["args"] == {"input": deep}
    assert gemini[1]["parts"][0]["functionResponse"]["response"] == {"output": f'{{"x":{deep}}}'}


def test_an_unknown_target_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="openai, anthropic, gemini, acontext"):
        convert([], "morse")


def test_errors_are_errors_for_anthropic_and_gemini():
    messages = given(
        calls_of("anthropic", "a"),
        {"role": "user", "content": [anthropic_result("a", "no such row", is_error=True)]},
    )
    gemini = convert(messages, "gemini").items
    response = gemini[1]["parts"][0]["functionResponse"]["response"]
    assert response == {"error": "no such row"}
    back = convert(read_again(gemini, "gemini"), "anthropic").items
    assert back[1]["content"][0]["is_error"] is True
    assert losses(convert(messages, "openai")) == [(0, "tool-result", "is_error")]


def test_a_picture_in_a_result_goes_where_the_api_takes_it():
    text = {"type": "text", "text": "behind"}
    messages = given(
        calls_of("anthropic", "a"),
        {"role": "user", "content": [anthropic_result("a", [ANTHROPIC_PNG, text])]},
    )
    inside = convert(messages, "anthropic").items[1]["content"][0]["content"]
    assert inside == [ANTHROPIC_PNG, text]
    converted = convert(messages, "openai")
    assert converted.items[1:] == [
        result_of("a", "behind"),
        {"role": "user", "content": [OPENAI_PNG]},
    ]
    assert losses(converted) == [(1, "image", "tool_call_id"), (1, "image", "layout")]
    response = convert(messages, "gemini").items[1]["parts"][0]["functionResponse"]
    assert response["parts"] == [GEMINI_PNG]
    assert response["response"] == {"output": "behind"}


def test_a_picture_in_an_openai_tool_message_stays_there_for_openai_alone():
    result = {"role": "tool", "tool_call_id": "a", "content": [OPENAI_PNG]}
    assert to("openai", calls_of("openai", "a"), result)[1] == result
    anthropic = to("anthropic", calls_of("openai", "a"), result)
    assert anthropic[1]["content"][0]["content"] == [ANTHROPIC_PNG]


def test_a_result_whose_text_was_edited_is_given_as_it_is_now():
    cached = {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}
    block = anthropic_result("a", [cached, ANTHROPIC_PNG, {"type": "text", "text": "two"}])
    call, user = given(calls_of("anthropic", "a"), {"role": "user", "content": [block]})
    result, image = user.parts
    parts = (Part("tool-result", "Done", result.meta), image)
    edited = dataclasses.replace(user, parts=parts)
    items = convert([call, edited], "anthropic").items
    assert items[1]["content"][0]["content"] == [{"type": "text", "text": "Done"}, ANTHROPIC_PNG]


def test_custom_calls_and_legacy_function_calls_are_given_back_as_they_came():
    custom = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    message = {"role": "assistant", "content": None, "tool_calls": [custom]}
    assert to("openai", message) == [message]
    assert to("anthropic", message)[0]["content"][0]["input"] == {"input": "*** Begin"}
    legacy = [
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "old", "arguments": "{}"},
        },
        {"role": "function", "name": "old", "content": "1"},
    ]
    assert to("openai", *legacy) == legacy
    apis.check("anthropic", to("anthropic", *legacy))


def test_what_a_providers_own_server_ran_is_for_that_provider_alone():
    content = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        {"type": "text", "text": "found"},
    ]
    message = {"role": "assistant", "content": content}
    assert to("anthropic", message) == [message]
    converted = convert(given(message), "openai")
    assert converted.items == [{"role": "assistant", "content": "found"}]
    assert losses(converted) == [(0, "tool-call", ""), (1, "data", "")]


# --- thinking, caching, names, roles


def test_thoughts_and_their_signatures_are_said_in_every_format():
    content = [
        {"type": "thinking", "thinking": "hmm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eHl6"},
        {"type": "text", "text": "ok"},
    ]
    message = {"role": "assistant", "content": content}
    assert to("openai", message) == [
        {
            "role": "assistant",
            "content": "ok",
            "reasoning_content": "hmm",
            "thinking_blocks": content[:2],
        }
    ]
    assert to("anthropic", *to("openai", message)) == [message]
    converted = convert(given(message), "gemini")
    thought = {"text": "hmm", "thought": True, "thoughtSignature": "c2ln"}
    assert converted.items == [{"role": "model", "parts": [thought, {"text": "ok"}]}]
    assert losses(converted) == [(1, "redacted_thinking", "")]


def test_a_plain_thought_is_reasoning_content_and_no_more():
    message = {"role": "assistant", "content": "ok", "reasoning_content": "hmm"}
    assert to("openai", message) == [message]
    block = {"type": "thinking", "thinking": "hmm", "signature": ""}
    anthropic = to("anthropic", message)
    assert anthropic[0]["content"][0] == block
    assert to("openai", *anthropic) == [message]
    assert to("openai", {"role": "assistant", "content": "ok", "reasoning": "hmm"}) == [message]


def test_the_signature_of_a_gemini_call_survives_openai():
    call = {"functionCall": {"id": "a", "name": "run", "args": {}}, "thoughtSignature": "c2ln"}
    message = {"role": "model", "parts": [call]}
    openai = to("openai", message)
    (tool_call,) = openai[0]["tool_calls"]
    assert tool_call["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert to("gemini", *openai) == [message]
    assert losses(convert(given(message), "anthropic")) == [(0, "tool-call", "thought_signature")]


def test_cache_control_survives_on_every_block_with_its_ttl():
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    items = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a", **cached},
                {**ANTHROPIC_PNG, **cached},
                {"type": "document", "source": source, **cached},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}, **cached}],
        },
        {
            "role": "user",
            "content": [
                anthropic_result(
                    "t", [{"type": "text", "text": "x", **cached}], is_error=False, **cached
                )
            ],
        },
    ]
    assert to("anthropic", *items) == items
    openai = to("openai", *items)
    assert orjson.dumps(openai).count(b'"1h"') == 6
    back = to("anthropic", *openai)
    assert orjson.dumps(back).count(b'"1h"') == 6
    lost = [loss.key for loss in convert(given(*items), "gemini").lost]
    assert lost.count("cache_control") == 5


def test_cache_control_of_a_whole_openai_message_is_that_of_its_last_piece():
    cached = {"cache_control": {"type": "ephemeral"}}
    (item,) = to("anthropic", {"role": "user", "content": "a", **cached})
    assert item["content"] == [{"type": "text", "text": "a", **cached}]
    (item,) = to("openai", {"role": "user", "content": "a", **cached})
    assert item["content"] == [{"type": "text", "text": "a", **cached}]


def test_system_messages_keep_their_role_where_there_is_one():
    message = {"role": "system", "content": "be brief"}
    assert to("openai", message) == [message]
    converted = convert(given(message), "anthropic")
    assert converted.items[0]["role"] == "user"
    assert losses(converted) == [(-1, "message", "original_role")]
    assert convert(given({**message, "role": "developer"}), "gemini").items[0]["role"] == "user"
    for name, item in (
        ("anthropic", {"role": "system", "content": [{"type": "text", "text": "be brief"}]}),
        ("gemini", {"role": "system", "parts": [{"text": "be brief"}]}),
    ):
        assert convert(read([item], name), name).items == [item]


def test_names_are_openais_alone():
    message = {"role": "user", "name": "ada", "content": "hi"}
    assert to("openai", message) == [message]
    assert losses(convert(given(message), "gemini")) == [(-1, "message", "name")]


def test_refusals_stay_refusals_for_openai_and_are_text_elsewhere():
    message = {"role": "assistant", "content": None, "refusal": "no"}
    (item,) = to("openai", message)
    assert item["content"] == [{"type": "refusal", "refusal": "no"}]
    converted = convert(given(message), "anthropic")
    assert converted.items[0]["content"] == [{"type": "text", "text": "no"}]
    assert losses(converted) == [(0, "text", "is_refusal")]


# --- nothing to say


def test_blank_text_is_left_out_where_the_api_refuses_it_and_listed():
    messages = given(
        {"role": "user", "content": ""},
        {"role": "assistant", "content": [{"type": "text", "text": " \n"}]},
        {"role": "user", "content": []},
    )
    converted = convert(messages, "anthropic")
    assert converted.items == []
    assert losses(converted) == [(-1, "message", ""), (0, "text", ""), (0, "text", "")]
    assert [item["role"] for item in convert(messages, "gemini").items] == ["model"]


def test_an_assistant_that_says_nothing_is_kept_by_openai():
    message = {"role": "assistant", "content": ""}
    assert to("openai", message) == [message]
    assert losses(convert(given(message), "anthropic")) == [(-1, "message", "")]


def test_an_empty_result_is_a_result():
    items = (calls_of("openai", "a"), result_of("a", ""))
    (block,) = to("anthropic", *items)[1]["content"]
    assert block == {"type": "tool_result", "tool_use_id": "a", "is_error": False}
    assert to("openai", *items)[1] == result_of("a", "")


# --- what nobody knows


@pytest.mark.parametrize(
    "item",
    [
        {
            "role": "assistant",
            "content": [
                {
                    "type": "tool_use",
                    "id": "t",
                    "name": "f",
                    "input": {},
                    "caller": {"type": "direct"},
                },
                {"type": "novelty", "x": 1},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                {"text": "x", "partMetadata": {"a": 1}},
                {"functionCall": {"name": "f", "args": {}, "willContinue": True}},
            ],
        },
        {"role": "user", "content": [{"type": "hologram", "beam": 3}]},
    ],
)
def test_pieces_and_keys_nobody_knows_go_back_to_their_own_format(item):
    (message,) = given(item)
    assert convert([message], message.format).items == [item]
    other = "gemini" if message.format == "openai" else "openai"
    lost = convert([message], other).lost
    assert len([loss for loss in lost if loss.type == "data" or loss.key == "extra"]) >= 1


def test_media_that_is_kept_elsewhere_is_listed_as_lost():
    part = {"type": "image", "filename": "a.png", "asset": {"sha256": "0"}}
    (message,) = given({"role": "user", "parts": [part]})
    for target in PROVIDERS:
        assert losses(convert([message], target)) == [(0, "image", "")]
    assert convert([message], "acontext").items[0]["parts"] == [part]


# --- acontext


def test_an_item_of_acontexts_own_has_every_field():
    line = {
        "type": "message",
        "id": "m-1",
        "created_at": TIME,
        "format": "openai",
        "blob": {"role": "developer", "name": "ops", "content": "be brief"},
        "meta": {"trace": 7},
    }
    messages = given(line, {"role": "assistant", "content": "ok"})
    first, second = convert(
        messages,
        "acontext",
        session_id="default.s",
        task_ids={"m-1": "t-1"},
        statuses={"m-1": "pending"},
    ).items
    assert first == {
        "id": "m-1",
        "session_id": "default.s",
        "parent_id": None,
        "role": "user",
        "parts": [{"type": "text", "text": "be brief"}],
        "session_task_process_status": "pending",
        "meta": {
            "source_format": "openai",
            "name": "ops",
            "original_role": "developer",
            "__user_meta__": {"trace": 7},
        },
        "task_id": "t-1",
        "created_at": TIME,
        "updated_at": TIME,
    }
    assert (second["parent_id"], second["task_id"]) == ("m-1", None)
    assert second["session_task_process_status"] == "success"
    page = convert(messages[1:], "acontext", parents={messages[1].id: "m-1"}).items
    assert page[0]["parent_id"] == "m-1"


def test_an_acontext_message_knows_the_format_it_came_in():
    novelty = {"role": "assistant", "content": [{"type": "novelty", "x": 1}]}
    messages = read([novelty], "anthropic")
    items = convert(messages, "acontext").items
    again = read_again(items, "acontext")
    assert [content(m) for m in again] == [content(m) for m in messages]
    assert convert(again, "anthropic").items == [novelty]


# --- cost


def test_very_many_results_for_one_reply_are_written_within_the_tests_own_limit():
    messages = given(*(result_of("a", "x") for _ in range(30_000)))
    for target in ("openai", "anthropic"):
        assert convert(messages, target).items


# --- calls that nobody answered


def test_a_result_without_an_id_is_not_that_of_a_call_that_was_given_up():
    def ls(path: str) -> dict[str, Any]:
        return {
            "role": "model",
            "parts": [{"functionCall": {"name": "ls", "args": {"path": path}}}],
        }

    def says(part: dict[str, Any]) -> dict[str, Any]:
        return {"role": "user", "parts": [part]}

    result = {"functionResponse": {"name": "ls", "response": {"output": "B"}}}
    said = [says({"text": "Go."}), ls("a"), says({"text": "Stop."}), ls("b"), says(result)]
    messages = given(*said)
    assert convert(messages, "gemini").items == said
    assert [item["id"] for item in convert(messages, "acontext").items] == [m.id for m in messages]
    openai = convert(messages, "openai").items
    assert len(openai) == 5
    assert openai[4]["tool_call_id"] == openai[3]["tool_calls"][0]["id"]
    anthropic = convert(messages, "anthropic").items
    assert len(anthropic) == 5
    assert anthropic[4]["content"][0]["tool_use_id"] == anthropic[3]["content"][0]["id"]
    for count, left in ((5, ()), (4, tuple(messages[3:4]))):
        assert editing.apply(messages[:count], [editing.TokenLimit(1)]).messages == left
