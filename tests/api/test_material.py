"""Addresses that need no token: what they name, for how long, and that none can be made up."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.api.material import Material, Sealer

LOGO = Material("shop", "toolbox", "assets/logo.png", "")


def test_a_token_names_its_file_until_its_time() -> None:
    sealer = Sealer()
    token = sealer.seal(LOGO, until=1000.0)
    assert sealer.open(token, now=999.9) == LOGO
    assert sealer.open(token, now=1000.0) is None


def test_a_token_of_another_process_is_worth_nothing() -> None:
    assert Sealer().open(Sealer().seal(LOGO, until=1000.0), now=0.0) is None


@given(st.text(max_size=60))
def test_nothing_made_up_opens(token: str) -> None:
    assert Sealer().open(token, now=0.0) is None


@given(st.data())
def test_no_change_of_a_token_opens(data: st.DataObject) -> None:
    sealer = Sealer()
    token = sealer.seal(LOGO, until=1000.0)
    sealed = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    assert sealer.open(base64.urlsafe_b64encode(sealed).decode().rstrip("="), now=0.0) is None


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.builds(Material, names, names, names, names))
def test_any_name_survives(material: Material) -> None:
    sealer = Sealer()
    token = sealer.seal(material, until=1.0)
    assert sealer.open(token, now=0.0) == material
    assert token.isascii()
    assert not set(token) & set("/?#%+ ")


@pytest.mark.parametrize("token", ["", "=", "ä", "a" * 100_000, "../../acontext.toml", "\0"])
def test_nonsense_is_no_token(token: str) -> None:
    assert Sealer().open(token, now=0.0) is None
