"""Secrets leave a line before it is stored or sent; a marker that names the kind stays.

The marker of a secret is the same everywhere (`[REDACTED:github-token:1a2b]`), so that one can
follow it through a transcript, and its four digits are too few to find the secret by. What is a
secret is decided in `secret_*.py`; here the bytes of the line are changed and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from acontext_fs import secret_scan
from acontext_fs.errors import RedactionError, SettingsError
from acontext_fs.redact_engine import Pattern, compiled
from acontext_fs.redact_escapes import Part, View, in_strings, view_of, whole
from acontext_fs.secret_places import Place

PASSES_MAX = 16
"""How often a line is searched again after secrets were taken out of it."""
_MARKER = re.compile(rb"\[REDACTED:[a-z0-9-]{1,40}:[0-9a-f]{4}\]")
_KIND = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_HASH_KEY = b"acontext-fs redaction marker"
_SPACING = re.compile(rb"(?:\\+[nrt]|[\s\"'+,\\])+")
_BARE_QUOTE = re.compile(rb'(?<!\\)(?:\\\\)*"')


class Cleaned(NamedTuple):
    """The line without its secrets, and the kind of each that was replaced."""

    data: bytes
    kinds: tuple[str, ...] = ()


class Redactor:
    """Finds and replaces secrets; it has no state, so any number of threads may share one.

    `patterns` are more kinds of secrets, each an expression of RE2; its first group is the secret
    if it has one. `allow` are secrets to leave alone: the text, or an expression for all of it.

    Raises:
        SettingsError: a pattern cannot be read; the text names it.
    """

    def __init__(
        self, patterns: Mapping[str, str] | None = None, allow: Sequence[str] = ()
    ) -> None:
        self._patterns = [
            (_kind_of(name), _pattern(name, text))
            for name, text in sorted((patterns or {}).items())
        ]
        self._literals = frozenset(text.encode() for text in allow)
        self._allowed = [pattern for text in allow if (pattern := _allowed(text)) is not None]
        rules = repr((secret_scan.rules_id(), sorted((patterns or {}).items()), sorted(allow)))
        self._rules_id = hashlib.blake2b(rules.encode(), digest_size=6).hexdigest()

    def rules_id(self) -> str:
        """A short name for the rules in force, which changes when they do."""
        return self._rules_id

    def clean(self, line: bytes) -> Cleaned:
        """`line` (JSON, or any bytes) without its secrets; all else stays byte for byte.

        Raises:
            RedactionError: it cannot be searched; it must be neither stored nor sent.
        """
        kinds: list[str] = []
        data = line
        try:
            for _ in range(PASSES_MAX):
                view = _masked(view_of(data))
                places = self._secrets(view)
                if not places:
                    return Cleaned(data, tuple(kinds))
                before, data = data, _replaced(data, view, places)
                if data == before:  # What was found is the structure of the line, and no text.
                    return Cleaned(data, tuple(kinds))
                kinds += [place.kind for place in places]
        except (ValueError, OverflowError, RecursionError, MemoryError) as error:
            # Of other errors the text may show what is to stay hidden.
            is_ours = isinstance(error, secret_scan.TooManySigns)
            said = str(error) if is_ours else type(error).__name__
            raise RedactionError(_SAID.format(error=said)) from error
        raise RedactionError(_SAID.format(error=f"secrets after {PASSES_MAX} searches"))

    def clean_text(self, text: str) -> str:
        """Plain text without its secrets.

        Raises:
            RedactionError: it cannot be searched; it must be neither stored nor sent.
        """
        data = text.encode("utf-8", errors="surrogatepass")
        return self.clean(data).data.decode("utf-8", errors="surrogatepass")

    def _secrets(self, view: View) -> list[Place]:
        places = secret_scan.secrets_in(view.text)
        if self._patterns:
            for kind, pattern in self._patterns:
                places += _matches(kind, pattern, view.text)
            places = secret_scan.merged(places)
        if self._literals:
            places = [place for place in places if not self._is_allowed(view, place)]
        return secret_scan.everywhere(view.text, places) if places else places

    def _is_allowed(self, view: View, place: Place) -> bool:
        secret = view.text[place.start : place.end]
        return secret in self._literals or any(
            pattern.fullmatch(secret) is not None for pattern in self._allowed
        )


_SAID = (
    "a line could not be searched for secrets ({error}), so it is kept back: "
    "mend redact_patterns if they are at fault, or leave its file out"
)


def marker(kind: str, secret: bytes) -> bytes:
    """What stands for a secret: the same for the same secret, on every machine."""
    plain = _SPACING.sub(b"", secret)
    digest = hashlib.blake2b(plain, digest_size=2, key=_HASH_KEY).hexdigest()
    return f"[REDACTED:{kind}:{digest}]".encode()


def _kind_of(name: str) -> str:
    kind = name.lower().replace("_", "-")
    if not _KIND.fullmatch(kind):
        raise SettingsError(
            f"redact_patterns names a kind {name!r}: use at most 40 letters, digits and hyphens"
        )
    return kind


def _pattern(name: str, text: str) -> Pattern:
    try:
        pattern = compiled(text)
    except ValueError as error:
        raise SettingsError(
            f"redact_patterns.{name} is no expression that RE2 reads ({error}): mend or remove it"
        ) from None
    if pattern.search(b"") is not None:
        raise SettingsError(
            f"redact_patterns.{name} also matches nothing at all: make it say what a secret has"
        )
    return pattern


def _allowed(text: str) -> Pattern | None:
    try:
        return compiled(text)
    except ValueError:  # A literal with characters that mean something in an expression.
        return None


def _matches(kind: str, pattern: Pattern, text: bytes) -> list[Place]:
    places: list[Place] = []
    at = 0
    while match := pattern.search(text, at):
        group = 1 if pattern.groups and match.start(1) >= 0 else 0
        start, end = match.start(group), match.end(group)
        at = max(match.end(), at + 1)
        # What was replaced before is no part of a secret.
        for piece in re.finditer(rb"[^\x00]+", text[start:end]):
            places.append(Place(kind, start + piece.start(), start + piece.end()))
    return places


def _masked(view: View) -> View:
    """The view with NULs for the markers in it: nothing is found within or across one."""
    if b"[REDACTED:" not in view.text:
        return view
    text = _MARKER.sub(lambda match: b"\x00" * len(match[0]), view.text)
    return View(text, view.starts, view.raws)


def _replaced(line: bytes, view: View, places: list[Place]) -> bytes:
    spans = [whole(line, view.raw(place.start), view.raw(place.end)) for place in places]
    markers = [marker(place.kind, view.text[place.start : place.end]) for place in places]
    is_apart = not any(_BARE_QUOTE.search(line, *span) for span in spans)
    data = _joined(line, [[span] for span in spans], markers)
    if (is_apart and _is_json(data)) or not _is_json(line):
        return data
    # A secret that runs over several strings (a key, line by line in an array), or one outside.
    return _joined(line, in_strings(line, spans), markers)


def _joined(line: bytes, parts: list[list[Part]], markers: list[bytes]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for fragments, mark in zip(parts, markers, strict=True):
        for start, end, *number in fragments:
            if start >= at:
                pieces += (line[at:start], b'"' + mark + b'"' if number else mark)
                at = end
    pieces.append(line[at:])
    return b"".join(pieces)


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
