"""Every secret in a text: one pass of RE2 finds the places, and each is looked at by itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache

from acontext_fs import redact_engine, secret_names, secret_places, secret_shapes, secret_told
from acontext_fs.secret_places import Place
from acontext_fs.secret_values import entropy, is_obvious, is_placeholder, looks_random

OVERLAP_BYTES_MAX = 80
"""How much of a sign is searched again where it was none."""


class TooManySigns(ValueError):
    """A text in which so much looks like the sign of a secret that searching it takes too long."""


HITS_MAX = 60_000
"""So many signs without a secret are looked at in any text,"""
BYTES_A_HIT = 256
"""and one more for so many bytes. Nobody writes more; it would take minutes."""
AGAIN_BYTES_MIN = 8
"""Shorter secrets are not looked for again: they are found within other words."""
AGAIN_BYTES_MAX = 512
AGAIN_MAX = 200
"""So many secrets of a text are looked for again, the longest first."""
RULES_VERSION = 2
"""Changes with how a value is judged; the expressions name themselves."""

_BACKSLASH = ord("\\")
_SHAPES = secret_shapes.lead_of_all()
_NAMES = secret_names.before_of_all()
_GROUPS = (
    secret_places.KEY,
    _SHAPES,
    secret_places.HEADER,
    secret_places.COOKIE,
    secret_places.FLAG,
    _NAMES,
    secret_places.URL,
    secret_places.SIGNED,
    secret_places.COMMAND,
    secret_places.PIPED,
    secret_places.LINE,
    secret_places.JWK,
    secret_places.SEND,
    secret_told.TOLD,
)
_SIGNS = "|".join(f"({group})" for group in _GROUPS)
_LOOSE = frozenset(
    "api-key token vault-token crates-token discord-token stripe-key twilio-key twilio-account"
    " telegram-token mailchimp-key".split()
)
_LOOSE_LEADS = re.compile(rb"(?:[a-z0-9]{1,12}[_-])+|[A-Z]{2}(?=[0-9a-z]{32})|[0-9]+:")
_CHECKSUM = re.compile(rb"sha(?:1|256|384|512)[=:-]\Z")
_ENTROPY_BITS = 2.8
_IN_SENTENCES = re.compile(rb"(?i)(?:[ ]|\A|\b)(?:password|pw|creds|credentials)[ ]?([(:]|is[ ])\Z")


@lru_cache(maxsize=1)
def _signs() -> redact_engine.Pattern:
    return redact_engine.compiled(_SIGNS, latin=True)


@lru_cache(maxsize=1)
def _named_signs() -> redact_engine.Pattern:
    return redact_engine.compiled(_NAMES, latin=True)


def rules_id() -> str:
    """A short name for the rules built in."""
    rules = repr(
        (
            RULES_VERSION,
            _SIGNS,
            secret_shapes.ANYWHERE,
            secret_shapes.AT_WORDS,
            secret_shapes.WITHIN,
        )
    )
    return hashlib.blake2b(rules.encode(), digest_size=6).hexdigest()


def secrets_in(text: bytes) -> list[Place]:
    """All secrets in `text`, in order, none within another.

    Raises:
        TooManySigns: so many of them that it was made to take long.
    """
    search = _signs().search
    found: list[Place] = []
    at = 0
    hits_left = HITS_MAX + len(text) // BYTES_A_HIT
    while match := search(text, at):
        start, end = match.start(), match.end()
        group = _GROUPS[(match.lastindex or 1) - 1]
        here = list(_places(text, group, start, end))
        found += here
        hits_left -= not here and b"\0" not in text[end : end + 8]  # One that was replaced is free.
        if hits_left < 0:
            raise TooManySigns("too many signs of secrets")
        if here:
            at = max(end, here[0].end)
        elif group is _NAMES:
            at = end
        else:  # What looked like one thing may hold the beginning of another.
            at = max(start + 1, end - OVERLAP_BYTES_MAX)
    return merged(found)


def _places(text: bytes, sign: str, start: int, end: int) -> Iterator[Place]:
    if text[start] == _BACKSLASH and sign in (secret_places.HEADER, secret_places.COMMAND):
        start += 2  # The escape of a line break, after which a word begins as well.
    match sign:
        case secret_places.KEY:
            return secret_places.in_private_key(text, start)
        case secret_places.HEADER:
            return secret_places.in_header(text, start)
        case secret_places.COOKIE:
            return secret_places.in_cookie(text, end)
        case secret_places.FLAG:
            return secret_places.after_flag(text, start, end)
        case secret_places.URL:
            return secret_places.in_url(text, start)
        case secret_places.SIGNED:
            return secret_places.in_signed_url(text, end)
        case secret_places.COMMAND:
            return _in_command(text, start, end)
        case secret_places.PIPED:
            return secret_places.in_pipe(text, start)
        case secret_places.LINE:
            return secret_places.in_line_of_pgpass(text, end)
        case secret_places.JWK:
            return secret_places.in_jwk(text, start)
        case secret_places.SEND:
            return secret_places.in_answer(text, start, end)
        case secret_told.TOLD:
            return _told(text, start, end)
    if sign == _SHAPES:
        return _tokens(text, start)
    return _named(text, start, end)


def _told(text: bytes, start: int, end: int) -> Iterator[Place]:
    for span in secret_told.in_sentence(text, start, end):
        yield Place("password", *span)


def _in_command(text: bytes, start: int, end: int) -> Iterator[Place]:
    found = list(secret_places.in_command(text, start))
    if not found and text[start : start + 5] == b"login":
        found = list(_told(text, start, end - 1))
    yield from found


def _named(text: bytes, start: int, end: int) -> Iterator[Place]:
    value = secret_names.value_after(text, start, end)
    if value is None:
        spans = secret_told.before(text, start)
        if sentence := _IN_SENTENCES.search(text, start, end):
            spans = secret_told.in_sentence(text, start, sentence.start(1))
        for span in spans:
            yield Place("password", *span)
        return
    token = secret_shapes.token_at(text, value.start)
    known = token is not None and token.end >= value.end
    yield Place(token.kind if token and known else value.kind, value.start, value.end)


def _tokens(text: bytes, start: int) -> Iterator[Place]:
    token = secret_shapes.token_at(text, start)
    if token is None:  # Names begin like tokens: `private_key_`.
        if name := _named_signs().match(text, start):
            yield from _named(text, start, name.end())
        return
    value = text[token.start : token.end]
    if is_obvious(value) or entropy(value) < _ENTROPY_BITS:
        return
    if token.kind in _LOOSE and (
        is_placeholder(value) or not looks_random(_LOOSE_LEADS.sub(b"", value, count=1))
    ):
        return
    if _CHECKSUM.search(text, max(0, token.start - 8), token.start):
        return
    yield Place(*token)
    if token.kind == "aws-key":
        yield from secret_places.beside_aws_key(text, token.end)


def everywhere(text: bytes, places: list[Place]) -> list[Place]:
    """`places`, and wherever else in `text` the same secrets stand."""
    kinds = {text[place.start : place.end]: place.kind for place in places}
    again = [secret for secret in kinds if AGAIN_BYTES_MIN <= len(secret) <= AGAIN_BYTES_MAX]
    again = sorted(again, key=len, reverse=True)[:AGAIN_MAX]
    again = [secret for secret in again if text.count(secret) > 1]
    found = list(places)
    for secret in again:
        at = -1
        while (at := text.find(secret, at + 1)) >= 0:
            found.append(Place(kinds[secret], at, at + len(secret)))
    return merged(found)


def merged(places: list[Place]) -> list[Place]:
    """The places in order, those that overlap as one; the kind that says more wins."""
    done: list[Place] = []
    for place in sorted(places, key=lambda place: (place.start, -place.end)):
        if done and place.start < done[-1].end:
            last = done[-1]
            kind = place.kind if last.kind in _VAGUE else last.kind
            done[-1] = Place(kind, last.start, max(last.end, place.end))
        else:
            done.append(place)
    return done


_VAGUE = frozenset(
    {"secret", "password", "token", "bearer-token", "url-token", "url-password", "cookie"}
)
