"""Secrets that are told by what stands before them: `password = "..."`, `DB_PASS=...`, headers.

A place is found by RE2 in the same pass as the shapes (`before_of_all`); here it is looked at what
the name stands for, where the value ends, and whether it is one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from acontext_fs.secret_values import Trust, is_secret, opened

VALUE_BYTES_MAX = 16384
"""How far the end of a value is looked for."""
LINE_BYTES_MAX = 1024
"""The same for what stands in a line of an environment file, whatever its characters."""

_KEYS = (
    "api access secret private signing signature encrypt(?:ion)? auth(?:entication)? master account"
    " client service app(?:lication)? storage admin role subscription license deploy ssh jwt hmac"
    " crypto token webhook server rsa aes consumer write read integration shared session cookie"
    " storage anon root primary secondary bot user project team org management ingest bearer sdk"
    " openai anthropic gemini mistral cohere stripe sendgrid mailgun twilio datadog dd algolia"
    " heroku cloudflare google maps aws azure gcp s3 r2 supabase firebase pusher sentry"
)
# What a name of a secret ends in.
_NAME = (
    r"(?:passw(?:or)?d|passwd|passphrase|passcode|pwd|psw|[_.-]pass|userpass|pass|[_-]pw|secret"
    r"|token|credentials?|creds|[_-]pat|_?auth|authorization|cookie"
    r"|connection_?string|dsn|[_-]sas"
    rf"|(?:{'|'.join(_KEYS.split())})[ _.-]?keys?|[A-Z0-9]_KEY|keytab)"
)
_TAIL = (
    r"(?:[_.-]?(?:value|string|text|plain(?:text)?|base|prod(?:uction)?|dev|test|live|staging|hex|b64"
    r"|base64|key|hash_?salt|salt|v?[0-9]{1,2}))*"
)
_QUOTE = r"\\*[\"'`]"
_GAP = r"(?:[ \t]|\\+[nrt])*"
_SIGN = (
    rf"(?:{_QUOTE})?[\])!?]?{_GAP}(?::=|=>|={{1,3}}|:{{1,2}}|\|\||\?\?|>|[ \t]is[ \t:])"
    # `{"name": "DB_PASSWORD", "value": "..."}` and its relatives in YAML and XML.
    rf"|(?:{_QUOTE})?[/]?[,;]?(?:[ \t\r\n+,{{-]|\\+[nrt]|{_QUOTE})*(?:[a-z]+[_-]?)?"
    rf"(?:value|default)(?:{_QUOTE})?[ \t]*[:=]"
    r"|</key>(?:[ \t\r\n]|\\+[nrt])*<string>"
    rf"|{_QUOTE},[ \t]*|\("
)


def before_of_all() -> str:
    """One expression for RE2 that finds every name with the sign that a value follows."""
    return rf"(?i:{_NAME}{_TAIL}(?:{_SIGN}))"


class Value(NamedTuple):
    """A secret value found by its name."""

    kind: str
    start: int
    end: int


_NAME_BACK = re.compile(rb"[A-Za-z0-9_.$-]*\Z")
_IDENTIFIER = re.compile(rb"[A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)*")
_WORD = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HARMLESS_BEFORE = frozenset(
    b"""
    arrow bos budget by bypass cache cancel cancellation cls compass completion context continuation
    count csrf current cursor dedup dict donkey end eos first foreign group hash hot idempotency
    index input json keyboard last lex lookup map mask max min model monkey new next num object
    output pad page parse partition per prev previous primary prompt public publishable query react
    reasoning resume row s3 sep shortcut sort special start stop sync syntax thinking total
    translation trial turkey unk usage xsrf
    """.split()
)
"""Before `token`, `key` or `pass`: then it is one of the many harmless things of that name."""
_PASSWORDS = frozenset(
    b"password passwd passphrase passcode pwd psw pw pass userpass secret".split()
)
_WEAK = frozenset(b"auth key cookie pass creds cred credential credentials dsn keytab is".split())
_LINE = re.compile(
    rb"(?:^|[\n\r]|\\[nr]|[\"'`]|\xe2\x86\x92|\\u2192|\\t|\t)[ +>-]*"
    rb"(?:export |set |setx |ENV |ARG |env |-e |declare -x |SET |\$env:)?[ ]*\Z"
)
_SPACE = re.compile(rb"(?:[ \t]|\\+t)*")
_TYPED = re.compile(
    rb"[ \t]*(?:[A-Za-z_][\w.]{0,30}(?:\[[\w., |]{0,40}\])?(?:[ ]?\|[ ]?\w{1,20})?[ ]?=[ ]?)"
)
_CALL = re.compile(
    rb"(?:(?:[A-Z]\w{0,24}|str|bytes|Buffer\.from|[\w.]{0,20}[sS](?:ecret|tring)\w{0,12})\("
    rb"|[fbru@]{1,2}(?=\\*[\"']))?[ ]?(\\*)([\"'`])"
)
_SCHEME = re.compile(
    rb"(?i)(?:bearer|basic|token|apikey|api-key|digest|negotiate|key|splunk|bot|ssws)[ ]+"
)
# At most four parts, so that a name repeated a million times is not read a million times.
_BARE = re.compile(
    rb"[^\s\"'`\\,;&|<>(){}\[\]\x00=:]+(?::[^\s\"'`\\,;&|<>(){}\[\]\x00=:]+){0,3}={0,2}"
)
# Without the bytes that begin an arrow or a curly quote, as programs put them between things.
_WIDE = re.compile(rb"[^\s\"'`\\\x00\xe2]+")
# In a sentence a secret has a digit, and more than digits.
_TELLING = re.compile(rb"[\\\"'`]{0,4}(?=[^\s\d]{0,80}\d)(?=\S{0,80}[A-Za-z])\S{6}")
_ELEMENT = re.compile(rb"([^<>\s\"'`\\\x00]+)</")
_IN_A_LIST = re.compile(rb"[A-Za-z0-9*]:\Z")  # An ARN or URN: a:b:secret:name.
_BACKSLASH = ord("\\")
_ENV = re.compile(rb"[A-Z][A-Z0-9_]+")


def value_after(text: bytes, start: int, end: int) -> Value | None:
    """The secret value whose name begins in `start:end` and whose sign ends there, if it is one."""
    first, last = _name_around(text, start)
    words = [word.lower() for word in _WORD.findall(text, first, last)]
    sign = text[last:end].strip().lower()
    if not words or (
        words[-1] in (b"token", b"key", b"pass") and _HARMLESS_BEFORE & {*words[-2:-1]}
    ):
        return None
    if b"public" in words or (sign == b":" and _IN_A_LIST.search(text, max(0, first - 2), first)):
        return None
    trust = _trust(text[first:last], words, sign)
    kind = "password" if {*words} & _PASSWORDS and b"secret" not in words else "secret"
    at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    if sign.endswith(b":") and (typed := _TYPED.match(text, at, at + 100)):
        at = typed.end()
    is_loose = sign.rstrip(b":").endswith(b"is") or (
        sign.endswith(b",") and trust is Trust.PASSWORD
    )
    if is_loose and not _TELLING.match(text, at):
        return None
    if quoted := _CALL.match(text, at, at + 64):
        found = _quoted(text, quoted.end(), len(quoted[1]), quoted[2])
        return found and _judged(text, Value(kind, *found), trust, words)
    if sign.endswith((b",", b"(")):
        return None
    if sign.endswith(b">"):
        element = _ELEMENT.match(text, at, at + VALUE_BYTES_MAX)
        return element and _judged(text, Value(kind, *element.span(1)), trust, words)
    if scheme := _SCHEME.match(text, at):
        at = scheme.end()
    if at == end and sign == b"=" and _ENV.fullmatch(text, first, last):
        line = _LINE.search(text, max(0, first - 24), first)
        if line and (match := _WIDE.match(text, at, at + LINE_BYTES_MAX)):
            return _judged(text, Value(kind, *match.span()), Trust.ASSIGNED, words)
    match = _BARE.match(text, at, at + VALUE_BYTES_MAX)
    if match is None:
        return None
    if text[match.end() : match.end() + 1] in (b"(", b"[", b"{"):
        return None
    if sign[:-1].endswith((b'"', b"'")) and match[0].lstrip(b"-").isdigit():
        return None  # The marker is a text, and no number may become one.
    return _judged(text, Value(kind, *match.span()), trust, words)


def _name_around(text: bytes, start: int) -> tuple[int, int]:
    """Where the whole identifier lies that the found part of a name is in."""
    before = _NAME_BACK.search(text, max(0, start - 48), start)
    first = before.start() if before else start
    if first < start and text[first - 1 : first] == b"\\" and text[first : first + 1] in b"nrtbf":
        first += 1
    after = _IDENTIFIER.match(text, start)
    return first, after.end() if after else start


def _trust(name: bytes, words: list[bytes], sign: bytes) -> Trust:
    is_password = bool({*words} & _PASSWORDS)
    if sign.endswith(b"(") or (sign.endswith(b",") and not is_password):
        return Trust.HINT
    if len(words) == 1 and words[0] in _WEAK and name + sign != b"PASS=":
        return Trust.HINT
    return Trust.PASSWORD if is_password else Trust.NAMED


def _quoted(text: bytes, start: int, depth: int, quote: bytes) -> tuple[int, int] | None:
    """Where the text in quotes that begins at `start` lies; the quote has `depth` backslashes.

    In JSON within JSON a quote of level n has 2**n - 1 backslashes, after any that are escaped.
    """
    level = _level(depth)
    at = start
    while (found := text.find(quote, at, start + VALUE_BYTES_MAX)) >= 0:
        first = found
        while first > start and text[first - 1] == _BACKSLASH:
            first -= 1
        inner = _level(found - first)
        if inner <= level:
            return start, found - (2**inner - 1)
        at = found + 1
    return None


def _level(backslashes: int) -> int:
    return ((backslashes + 1) & ~backslashes).bit_length() - 1


def _judged(text: bytes, found: Value, trust: Trust, words: list[bytes]) -> Value | None:
    """The part of a value that is a secret, if there is one."""
    scheme = _SCHEME.match(text, found.start, found.end)
    start = scheme.end() if scheme else found.start
    value = text[start : found.end]
    if b"\x00" in value or value[:1] in b",}]:" or b"://" in value or words[-1] == b"cookie":
        return None
    if words[-1] in (b"auth", b"authorization") and b":" in opened(value):
        return Value("basic-auth", start, found.end)
    return Value(found.kind, start, found.end) if is_secret(value, trust) else None
