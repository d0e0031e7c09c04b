"""The one place where the parts are put together: which extractor, which model, which store."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acontext_fs.api.reader import Changes, Reader
    from acontext_fs.daemon.budget import Budget
    from acontext_fs.daemon.gate import Event
    from acontext_fs.daemon.service import Service
    from acontext_fs.daemon.work import Workers
    from acontext_fs.index.index import Index
    from acontext_fs.settings import Settings
    from acontext_fs.store import Store


def open_store(path: str | None, at: str | None = None) -> Store:
    """The store a command works on, or as it was `at` a commit or date.

    Raises:
        StoreError: there is none.
        UsageError: git knows no such commit.
    """
    from acontext_fs.store import Store

    store = Store.open(path)
    return store if at is None else store.at(at)


def load_settings(store: Store, **flags: object) -> Settings:
    """The store's settings, with what the environment and options (None: not given) say.

    Raises:
        SettingsError: one of them is wrong.
    """
    return _settings(store, os.environ, flags)


def check_settings(store: Store) -> None:
    """See that the settings can be read: an index leaves sessions out that cannot be searched for
    secrets, and an answer without them would look like a whole one.

    Raises:
        SettingsError: one of them is wrong.
    """
    if not store.commit:  # What git has was cleaned before it got there.
        load_settings(store)


def rules_settings(store: Store) -> Settings:
    """The store's settings as if no model were configured anywhere."""
    return _settings(store, {})


def _settings(
    store: Store, environment: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Settings:
    from acontext_fs import layout, settings

    data = store.source.read(layout.SETTINGS_FILE)
    return settings.read(data, str(store.layout.settings), environment, flags)


def service(store: Store, options: Settings, report: Callable[[Event], None]) -> Service:
    """The daemon for a store that the caller owns."""
    from acontext_fs.daemon.service import Service

    found = workers(options, budget(store, options))
    return Service(store, options, found, report, environment())


def budget(store: Store, options: Settings) -> Budget:
    """What was spent on models today, and what may be."""
    from acontext_fs.daemon.budget import Budget

    return Budget(store.layout.local / "usage.json", options.max_tokens_per_day, store.clock)


def workers(options: Settings, spent: Budget) -> Workers:
    """The model's workers if one is configured, else the rules engine's."""
    from acontext_fs.daemon.work import Inline, Threads, Workers

    if not options.uses_model:
        from acontext_fs.daemon.distill.rules import RulesDistiller
        from acontext_fs.daemon.extract.rules import RulesExtractor
        from acontext_fs.daemon.learn.rules import RulesLearner

        return Workers(RulesExtractor(), RulesDistiller(), RulesLearner(), Inline(), 1, False)
    from acontext_fs.daemon.distill.model import ModelDistiller
    from acontext_fs.daemon.extract.model import ModelExtractor
    from acontext_fs.daemon.learn.model import ModelLearner
    from acontext_fs.models.ladder import Rungs
    from acontext_fs.models.openai import OpenAIModel

    rungs = Rungs()  # What one worker finds out about the endpoint, the others know.
    model = OpenAIModel(
        base_url=options.llm_base_url or None,
        api_key=options.llm_api_key or None,
        model=options.llm_simple_model,
        timeout_seconds=options.llm_response_timeout,
    )
    return Workers(
        extractor=ModelExtractor(
            model,
            max_iterations=options.default_task_agent_max_iterations,
            previous_progress=options.default_task_agent_previous_progress_num,
            spend=spent.spend,
            rungs=rungs,
        ),
        distiller=ModelDistiller(model, spend=spent.spend, rungs=rungs),
        learner=ModelLearner(
            model,
            max_iterations=options.skill_learn_agent_max_iterations,
            spend=spent.spend,
            rungs=rungs,
        ),
        executor=Threads(),
        slots=options.max_concurrency,
        uses_model=True,
        budget_reason=spent.reason,
        close=model.close,
    )


def reader(index: Index, options: Settings, changes: Changes) -> Reader:
    """What the API reads from."""
    from acontext_fs.api.reader import Reader

    return Reader(index.store, index, settings=options, changes=changes)


def app(source: Reader, options: Settings) -> Callable[..., object]:
    """The API, guarded as the settings say. Whoever has the token may call it by any name."""
    from acontext_fs.api.app import create_app
    from acontext_fs.api.safety import ApiOptions

    any_host = ("*",) if options.api_token else ()
    guard = ApiOptions(
        token=options.api_token,
        allowed_hosts=options.api_allowed_hosts or any_host,
        cors_origins=options.api_cors_origins,
    )
    return create_app(source, guard)


def environment() -> dict[str, str]:
    """For a process of ours: what this one has, and where it found what it imported."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def describe(options: Settings) -> str:
    """Who reads the transcripts, in a sentence: nobody shall be surprised by a bill."""
    if not options.uses_model:
        return "the rules engine reads the transcripts (no model is configured)"
    where = without_secrets(options.llm_base_url) or "the OpenAI API"
    return f"{options.llm_simple_model} at {where} reads the transcripts"


def without_secrets(url: str) -> str:
    """An endpoint's address without the user, password and query it may carry."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an endpoint whose address is not valid"
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}" if parts.hostname else url
