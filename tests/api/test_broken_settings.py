"""Settings that cannot be read: what is secret cannot be known then, so nothing is left out of an
answer without a word; the question is refused.
"""

import pytest

from acontext_fs.api import reader as readers
from acontext_fs.errors import SettingsError
from acontext_fs.store import Store
from tests.api.conftest import Serve


@pytest.fixture
def broken(copied: Store) -> Store:
    (copied.root / "acontext.toml").write_text("nonsense = = [")
    return Store.open(copied.root)


def test_a_question_is_refused_with_the_reason(broken: Store) -> None:
    with pytest.raises(SettingsError, match=r"acontext\.toml is not valid TOML"):
        broken.query("select count(*) from sessions")


def test_the_server_says_so_too_and_answers_when_it_is_mended(
    broken: Store, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "SCAN_WAIT_SECONDS", 30.0)
    with serving(broken) as served:
        for _ in range(2):
            assert "acontext.toml is not valid TOML" in served.refused("session", 500)
        (broken.root / "acontext.toml").write_text("")
        assert served.get("session")["items"]
