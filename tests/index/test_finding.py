"""Search over a whole store: what is found, in which order, wherever its rows lie."""

from __future__ import annotations

import pytest

from acontext_fs import tasks
from acontext_fs.errors import UsageError
from acontext_fs.index.index import Index
from acontext_fs.records import Task

TIME = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
def index(store):
    with Index.open(store) as opened:
        yield opened


def found(index: Index, question: str, **options) -> list[tuple[str, str, str]]:
    hits = index.search(question, **options)
    return [(hit.kind, hit.session_id or hit.id, hit.snippet.text) for hit in hits]


@pytest.fixture
def filled(store, write):
    gateway = store.space("default").session("gateway")
    gateway.append(
        [
            {"role": "user", "content": "The gateway answers 502 since the deployment"},
            {"role": "assistant", "content": None, "tool_calls": [_call("kubectl logs gateway")]},
            {"role": "tool", "tool_call_id": "c", "content": "upstream timed out " * 20},
            {"role": "assistant", "content": "The gateway was out of memory; deployment mended"},
        ]
    )
    store.space("other").session("cake").append(
        [{"type": "session", "user": "ada"}, {"role": "user", "content": "Bake a cake, übermut"}]
    )
    one = Task("t1", "gateway", 1, "success", "Mend the gateway", TIME, TIME, ("Read the logs",))
    two = Task("t2", "gateway", 2, "failed", "Write it down", TIME, TIME, (), ("Keep it short",))
    write(gateway.place.tasks_path, tasks.encode([one, two]).decode())
    write(
        "spaces/default/skills/gateways/SKILL.md",
        "---\nname: gateways\ndescription: How to mend a gateway.\n---\n\nLook at its memory.\n",
    )


def _call(command: str) -> dict:
    return {"id": "c", "type": "function", "function": {"name": "sh", "arguments": command}}


def test_messages_tasks_and_skills_are_found(filled, index):
    index.refresh()
    kinds = {kind for kind, _, _ in found(index, "gateway")}
    assert kinds == {"message", "task", "skill"}
    assert found(index, '"answers 502"') == [
        ("message", "gateway", "The gateway answers 502 since the deployment")
    ]
    assert [kind for kind, _, _ in found(index, "kubectl")] == ["message"]
    assert found(index, "logs kind:task") == [("task", "gateway", "Mend the gateway Read the logs")]
    assert found(index, "short status:failed")[0][:2] == ("task", "gateway")
    assert found(index, "ubermut user:ada")[0][1] == "cake"
    assert found(index, "memory is:human") == []
    assert found(index, "gateway space:other") == []
    assert found(index, "xylophone") == []
    assert [hit.id for hit in index.search("memory", kinds=["skill"])] == ["default.gateways"]


def test_what_a_person_said_comes_before_what_a_tool_printed(store, index):
    session = store.space("default").session("s")
    session.append({"role": "tool", "tool_call_id": "c", "content": "a zebra in the log"})
    session.append({"role": "user", "content": "find the zebra please"})
    index.refresh()
    assert [hit.line for hit in index.search("zebra")] == [2, 1]


def test_filters_alone_give_the_newest(store, index, clock):
    session = store.space("default").session("s")
    for number in range(3):
        clock.advance(60)
        session.append({"role": "user", "content": f"number {number}"})
    index.refresh()
    assert [hit.line for hit in index.search("is:human session:s")] == [3, 2, 1]


def test_pages_follow_each_other(store, index):
    store.space("default").session("s").append(
        [{"role": "user", "content": f"zebra {'x ' * number}"} for number in range(9)]
    )
    index.refresh()
    whole = [hit.line for hit in index.search("zebra", limit=100)]
    pages = [hit.line for at in (0, 4, 8) for hit in index.search("zebra", limit=4, offset=at)]
    assert sorted(whole) == list(range(1, 10))
    assert pages == whole


def test_the_order_does_not_depend_on_where_the_rows_are(store, filled, index):
    index.refresh()
    in_memory = index.search("gateway OR memory OR zebra", limit=50)
    index.publish(thorough=True)
    assert index.search("gateway OR memory OR zebra", limit=50) == in_memory
    store.space("default").session("gateway").append({"role": "user", "content": "gateway again"})
    index.refresh()
    mixed = index.search("gateway OR memory OR zebra", limit=50)
    assert len(mixed) == len(in_memory) + 1
    with Index.open(store, anew=True, private=True) as fresh:
        fresh.refresh()
        assert fresh.search("gateway OR memory OR zebra", limit=50) == mixed
    index.publish(thorough=True)  # Merges the layers.
    assert index.summary().layers == 1
    assert index.search("gateway OR memory OR zebra", limit=50) == mixed


def test_what_is_gone_is_not_found(store, index):
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "zebra"})
    index.refresh()
    index.publish(thorough=True)
    session.path.unlink()
    index.refresh()
    assert index.search("zebra") == []


def test_the_past_is_searched_as_it_was(store, index, git):
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "a zebra"})
    git("add", "-A")
    git("commit", "-qm", "one")
    session.append({"role": "user", "content": "another zebra"})
    with Index.open(store.at("HEAD")) as past:
        past.refresh()
        assert [hit.snippet.text for hit in past.search("zebra")] == ["a zebra"]


@pytest.mark.parametrize("question", ["", "   ", "is:nonsense zebra", "after:tomorrow"])
def test_a_question_that_asks_nothing_is_refused_in_a_sentence(index, question):
    index.refresh()
    with pytest.raises(UsageError) as caught:
        index.search(question)
    assert "\n" not in str(caught.value)
