"""Forty real conversations in three message formats, through the daemon, in one store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acontext_fs.daemon.work import Threads, Workers
from acontext_fs.records import Task
from tests.daemon.harness import Daemon, rules_workers
from tests.model_server import ModelServer, sensible

FORMATS = ("open", "open_anthropic", "open_gemini")


def append_all(daemon: Daemon, corpus: Path) -> list[str]:
    """Append every conversation under `<format>.<name>`; return the names."""
    names = []
    for folder in FORMATS:
        for path in sorted((corpus / "tau" / folder).glob("*.jsonl")):
            lines = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
            daemon.store.space("default").session(f"{folder}.{path.stem}").append(lines)
            names.append(path.stem)
    return sorted(set(names))


def said(tasks: tuple[Task, ...]) -> list[tuple[object, ...]]:
    """What the tasks of a conversation say, without ids, which name the session."""
    return [(t.order, t.status, t.description, t.progresses, t.preferences, t.lines) for t in tasks]


def check(daemon: Daemon, names: list[str]) -> None:
    assert len(names) == 40
    space = daemon.store.space("default")
    for name in names:
        found = [said(space.session(f"{folder}.{name}").all_tasks()) for folder in FORMATS]
        assert found[0]
        assert found[0] == found[1] == found[2], name
    for session in daemon.service.pipeline.roster.all.values():
        assert session.progress.failures == ()
        assert session.progress.unreadable == 0
    daemon.check_clean()


@pytest.mark.timeout(180)
def test_by_rules(tmp_path: Path, corpus: Path) -> None:
    daemon = Daemon(tmp_path / "store", rules_workers())
    names = append_all(daemon, corpus)
    assert daemon.flush() == []
    check(daemon, names)


@pytest.mark.timeout(180)
def test_by_a_scripted_model_over_http(tmp_path: Path, corpus: Path) -> None:
    from acontext_fs.daemon.distill.model import ModelDistiller
    from acontext_fs.daemon.extract.model import ModelExtractor
    from acontext_fs.daemon.learn.model import ModelLearner
    from acontext_fs.models.openai import OpenAIModel

    with (
        ModelServer(script=sensible) as server,
        OpenAIModel(server.url, None, "scripted", 30) as model,
    ):
        extractor = ModelExtractor(model)
        distiller, learner = ModelDistiller(model), ModelLearner(model)
        workers = Workers(extractor, distiller, learner, Threads(), 4, uses_model=True)
        daemon = Daemon(tmp_path / "store", workers)
        names = append_all(daemon, corpus)
        pipeline = daemon.service.pipeline
        daemon.turn()
        pipeline.hurry(pipeline.roster.select(()))
        while not all(pipeline.is_done(one) for one in pipeline.roster.select(())):
            daemon.service.hints.wait(min(daemon.turn(), 0.05))
        assert pipeline.why_waiting() == ""
        check(daemon, names)
