"""The one place where the parts are put together: which extractor, which model, which store."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acontext_fs.daemon.budget import Budget
    from acontext_fs.daemon.gate import Event
    from acontext_fs.daemon.service import Service
    from acontext_fs.daemon.work import Workers
    from acontext_fs.settings import Settings
    from acontext_fs.store import Store


def open_store(path: str | None) -> Store:
    """The store a command works on.

    Raises:
        StoreError: there is none.
    """
    from acontext_fs.store import Store

    return Store.open(path)


def load_settings(store: Store) -> Settings:
    """The store's settings, with what the environment says.

    Raises:
        SettingsError: one of them is wrong.
    """
    from acontext_fs import settings

    return settings.load(store.layout.settings, os.environ)


def rules_settings(store: Store) -> Settings:
    """The store's settings as if no model were configured anywhere."""
    from acontext_fs import settings

    return settings.load(store.layout.settings, {})


def service(store: Store, options: Settings, report: Callable[[Event], None]) -> Service:
    """The daemon for a store that the caller owns."""
    from acontext_fs.daemon.service import Service

    return Service(store, options, workers(options, budget(store, options)), report)


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
