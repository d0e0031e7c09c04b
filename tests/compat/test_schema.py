"""A fuzz of the OpenAPI schema: no answer is a failure of ours or outside its declared shape."""

from __future__ import annotations

from typing import cast

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from acontext_fs.api.app import create_app
from acontext_fs.api.reader import Reader
from acontext_fs.api.safety import ApiOptions
from tests.api.conftest import Served

SEED = 20260504
EXAMPLES = 10
"""How many requests are made up for each route, besides those the schema itself leads to."""

# The routes say what they are before there is anything to read.
described = create_app(cast(Reader, None), ApiOptions()).openapi()
schema = schemathesis.openapi.from_dict(described, config=SchemathesisConfig(seed=SEED))

# What the words of a schema cannot say: that an id exists, that a cursor is ours, that SQL can run.
EXCLUDED: list[CheckFunction] = [positive_data_acceptance]


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_declared(case: Case, served: Served) -> None:
    case.call_and_validate(base_url=served.base_url, excluded_checks=EXCLUDED)
