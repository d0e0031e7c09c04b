"""Secrets that are told by what stands before them: `password = "..."`, `DB_PASS=...`, headers.

A place is found by RE2 in the same pass as the shapes (`before_of_all`); here it is looked at what
the name stands for, where the value ends, and whether it is one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from acontext_fs import secret_ends
from acontext_fs.secret_values import Trust, is_name, is_obvious, is_secret, is_told, opened

VALUE_BYTES_MAX = 16384
"""How far the end of a value is looked for."""

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
    r"(?:passw(?:or)?d|passwd|passphrase|passcode|pwd|psw|[_.-]pass|userpass|pass|[_-]pw|\bpw|\bpsk|secret"
    r"|token|credentials?|creds|[_-]pat|_?auth|authorization|cookie"
    r"|connection_?string|dsn|[_-]sas"
    r"|private_key_id"
    rf"|(?:{'|'.join(_KEYS.split())})[ _.-]?keys?|[A-Z0-9]_KEY|keytab)"
)
_TAIL = (
    r"(?:[_.-]?(?:value|string|text|plain(?:text)?|base|prod(?:uction)?|dev|test|live|staging|hex|b64"
    r"|base64|key|hash_?salt|salt|v?[0-9]{1,2}))*"
)
_QUOTE = r"\\*[\"'`]"
_GAP = r"(?:[ \t]|\\+[nrt])*"
_SIGN = (
    rf"(?:{_QUOTE})?[*]{{0,2}}[\])!?]?{_GAP}(?::=|=>|={{1,3}}|:{{1,2}}|\|\||\?\?|>|[ \t]is[ \t:])"
    # `{"name": "DB_PASSWORD", "value": "..."}` and its relatives in YAML and XML.
    rf"|(?:{_QUOTE})?[/]?[,;]?(?:[ \t\r\n+,{{-]|\\+[nrt]|{_QUOTE})*(?:[a-z]+[_-]?)?"
    rf"(?:value|default)(?:(?:{_QUOTE})?[ \t]*[:=]|[ ])"
    r"|(?:[ ][A-Za-z:]+=\\*\"[^\"\\<>]*\\*\")+>"
    r"|</key>(?:[ \t\r\n]|\\+[nrt])*<string>"
    rf"|{_QUOTE},[ \t]*|\("
    # Columns, `#define PASSWORD "..."`, and what somebody writes in a hurry.
    rf"|(?:{_QUOTE})?[ \t]*\|[ \t]*|[ ]->[ ]|(?:[ ]{{2}}|\t|\\+t)(?:[ \t]|\\+t)*|[ \t]{_QUOTE}"
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
_ESCAPED = re.compile(rb"u[0-9a-fA-F]{4}")
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
    b"password passwd passphrase passcode pwd psw pw pass userpass psk secret".split()
)
_ENDS_OF_PASSWORDS = (b"password", b"passwd", b"passphrase", b"pwd", b"storepass", b"keypass")
_WEAK = frozenset(b"auth key cookie pass creds cred credential credentials dsn keytab is".split())
_LINE = re.compile(
    rb"(?:^|[\n\r]|\\[nr]|[\"'`]|\xe2\x86\x92|\\u2192|\\t|\t|:\d{1,6}[:-])[ +>-]*"
    rb"(?:export |set |setx |ENV |ARG |env |-e |declare -x |SET |\$env:)?[ ]*\Z"
)
_SPACE = re.compile(rb"(?:[ \t]|\\+t)*")
_TYPED = re.compile(
    rb"[ \t]*[&*]?(?:'\w+ )?[A-Za-z_][\w.]{0,30}(?:\[[\w., |]{0,40}\])?(?:[ ]?\|[ ]?\w{1,20})?"
    rb"(?:[ ]=[ ]?|=(?=\\*[\"'][^\s,;:)\]}\\\"']))"
)
_INSIDE = re.compile(rb"\{[^{}]{0,200}?\\*\"value\\*\"[ ]?:[ ]?")
_CALL = re.compile(
    rb"(?:(?:[A-Z]\w{0,24}(?:::\w{1,20})?|str|bytes|Buffer\.from|[\w.]{0,20}[sS](?:ecret|tring)\w{0,12})\("
    rb"|[fbru@]{1,2}(?=\\*[\"']))?[ ]?\*{0,2}(\\*)([\"'`])"
)
_SCHEME = re.compile(
    rb"(?i)(?:bearer|basic|token|apikey|api-key|digest|negotiate|key|splunk|bot|ssws)[ ]+"
)
_STARS = re.compile(rb"\*\*(?=[^\s*])|<(?:code|b|strong|kbd)>")
_BLOCK = re.compile(rb"(?:[>|][-+]?)?(?:\n|\\+n)[ ]+(?:- )?(?=[^\s\\\"]+(?:\\+n|[\n\"]|\\+\"|\Z))")
_OTHERWISE = re.compile(
    rb"[A-Za-z_][\w.]{0,60}(?:[(\[]\\*[\"'][\w.-]{0,60}\\*[\"'][)\]])?"
    rb"[ ](?:or|\|\||\?\?)[ ](?=\\*[\"'`])"
)
_ELEMENT = re.compile(rb"([^<>\"`\\\x00\n\r]+)</")
_IN_A_LIST = re.compile(rb"[A-Za-z0-9*]:\Z")  # An ARN or URN: a:b:secret:name.
_ENV = re.compile(rb"[A-Z][A-Z0-9_]+")
_CODE = re.compile(rb"([A-Za-z_][\w.]*)[(\[]")
_IS_LAST = re.compile(rb"[ ]*(?:\Z|[\n\r\"`|]|\\+[nrt\"])")
_AWS_SECRET = re.compile(rb"[A-Za-z0-9/+]{40}")


def value_after(text: bytes, start: int, end: int) -> Value | None:
    """The secret value whose name begins in `start:end` and whose sign ends there, if it is one."""
    first, last = _name_around(text, start)
    words = [word.lower() for word in _WORD.findall(text, first, last)]
    sign = text[last:end].lower()
    bare = sign.strip()
    if not words or (
        words[-1] in (b"token", b"key", b"pass") and _HARMLESS_BEFORE & {*words[-2:-1]}
    ):
        return None
    if b"public" in words or (bare == b":" and _IN_A_LIST.search(text, max(0, first - 2), first)):
        return None
    if words == [b"pass"] and (
        bare.strip(b"\"'\\") not in (b":", b"=", b"=>", b"is")
        or (text[first:last] == b"PASS" and bare != b"=")
    ):
        return None  # A verb, or what a test prints.
    if bare.strip(b"\"'`\\") == b"|" and (sign[-1:] != b" " or text[last : last + 1] == b"|"):
        return None  # The names in an expression.
    kind = "password" if _is_password(words) and b"secret" not in words else "secret"
    name = _Name(kind, words, first, last, bare, _trust(text[first:last], words, bare))
    if bare[-1:] in b"\"'`" and sign[:1] in b" \t":
        end = last + 1  # The quote is that of the value.
    at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    if bare.endswith(b":") and (other := _TYPED.match(text, at, at + 100)):
        at = other.end()
    if bare.endswith(b":") and (other := _INSIDE.match(text, at, at + 260)):
        at = other.end()
    if bare.endswith((b":", b"=")) and (
        other := _BLOCK.match(text, at, at + 300) or _OTHERWISE.match(text, at, at + 200)
    ):
        at = other.end()
    found = _value_at(text, name, at, is_near=at == end)
    if found and _is_loose(name) and not is_told(text[found.start : found.end].strip()):
        return None
    return found


class _Name(NamedTuple):
    kind: str
    words: list[bytes]
    first: int
    last: int
    sign: bytes
    trust: Trust


def _is_loose(name: _Name) -> bool:
    """Whether the sign is a weak one, so that the value has to tell by itself."""
    sign = name.sign
    if name.words == [b"pass"] or sign in (b"", b"->", b"(", b"\\t"):
        return True
    if sign.rstrip(b":").endswith((b"is", b"value", b"default")) or sign.strip(b"\"'`\\") in (
        b"",
        b"|",
    ):
        return True
    return sign.endswith(b",") and name.trust is Trust.PASSWORD


def _value_at(text: bytes, name: _Name, at: int, is_near: bool) -> Value | None:
    sign = name.sign
    is_env = sign == b"=" and _ENV.fullmatch(text, name.first, name.last) is not None
    if opening := _CALL.match(text, at, at + 64):
        found = secret_ends.quoted(text, opening.end(), len(opening[1]), opening[2])
        if found is None:
            return None
        value = text[found[0] : found[1]]
        is_all = is_env and not value.isalpha() and b" " not in value and is_told(value)
        return _judged(text, name, *found, Trust.ASSIGNED if is_all else name.trust)
    if sign.endswith((b",", b"(")):
        return None
    if sign.endswith(b">") and not sign.endswith((b"=>", b"->")):
        element = _ELEMENT.match(text, at, at + VALUE_BYTES_MAX)
        return element and _judged(text, name, *element.span(1), name.trust)
    for skipped in (_SCHEME, _STARS):
        if match := skipped.match(text, at):
            at = match.end()
    if at >= len(text) or text[at] in b"([{,}]:":
        return None
    line = _LINE.search(text, max(0, name.first - 40), name.first)
    if is_near and is_env and line:
        return _judged(text, name, at, secret_ends.line_end(text, at), Trust.ASSIGNED)
    end = secret_ends.word_end(text, at)
    code = _CODE.match(text, at, end)
    if (code and is_name(code[1])) or (sign.endswith(b"|") and is_name(text[at:end])):
        return None
    if line and sign in (b":", b"="):
        end = secret_ends.last_end(text, at, end)
    if sign[:-1].endswith((b'"', b"'")) and text[at:end].lstrip(b"-").isdigit():
        return None  # The marker is a text, and no number may become one.
    if sign in (b"", b"\\t"):
        end = secret_ends.line_end(text, at)
        if not _IS_LAST.match(text, end):
            return None
    return _judged(text, name, at, end, name.trust)


def _name_around(text: bytes, start: int) -> tuple[int, int]:
    """Where the whole identifier lies that the found part of a name is in."""
    before = _NAME_BACK.search(text, max(0, start - 48), start)
    first = before.start() if before else start
    if first < start and text[first - 1 : first] == b"\\" and text[first : first + 1] in b"nrtbf":
        first += 1
    elif first < start and text[first - 1 : first] == b"\\" and _ESCAPED.match(text, first):
        first += 5
    after = _IDENTIFIER.match(text, start)
    return first, after.end() if after else start


def _trust(name: bytes, words: list[bytes], sign: bytes) -> Trust:
    is_password = _is_password(words)
    if sign.endswith(b"("):
        called = _WORD.findall(name.rpartition(b".")[2])
        is_set = called[:1] in ([b"set"], [b"with"], [b"Set"], [b"With"]) or len(called) == 1
        return Trust.PASSWORD if is_password and is_set else Trust.HINT
    if sign.endswith(b",") and not is_password:
        return Trust.HINT
    if len(words) == 1 and words[0] in _WEAK and name + sign != b"PASS=" and words != [b"pass"]:
        return Trust.HINT
    return Trust.PASSWORD if is_password else Trust.NAMED


def _is_password(words: list[bytes]) -> bool:
    return bool({*words} & _PASSWORDS) or words[-1].endswith(_ENDS_OF_PASSWORDS)


def _judged(text: bytes, name: _Name, start: int, end: int, trust: Trust) -> Value | None:
    """The part of a value that is a secret, if there is one."""
    if scheme := _SCHEME.match(text, start, end):
        start = scheme.end()
    value = text[start:end]
    if b"\x00" in value or b"://" in value or name.words[-1] == b"cookie":
        return None
    if name.words[-1] in (b"auth", b"authorization") and b":" in opened(value):
        return Value("basic-auth", start, end)
    if b"aws" in name.words and _AWS_SECRET.fullmatch(value) and not is_obvious(value):
        return Value("aws-secret", start, end)
    return Value(name.kind, start, end) if is_secret(value, trust) else None
