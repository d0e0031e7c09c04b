"""Every write of the official SDK is refused in the way it understands, and changes nothing."""

from __future__ import annotations

import pytest
from acontext.errors import APIError

from tests.compat.calls import WRITES
from tests.compat.conftest import Ask
from tests.compat.test_untouched import fingerprints
from tests.daemon.harness import Daemon


@pytest.mark.parametrize("name", sorted(WRITES))
def test_a_write_is_refused(ask: Ask, filled: Daemon, name: str) -> None:
    args, more = WRITES[name]
    before = fingerprints(filled.root)
    with pytest.raises(APIError) as caught:
        ask(name, *args, **more)
    error = caught.value
    assert error.status_code == error.code == 405
    assert "read" in error.message
    assert fingerprints(filled.root) == before
