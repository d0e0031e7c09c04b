"""Secrets that are told by the form around them: URLs, headers, cookies, commands, private keys.

Each function gets the text and where its sign stands, and gives the secrets there. None looks
further than a fixed distance, so that all stay linear however often a sign is repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from acontext_fs.secret_values import Trust, is_placeholder, is_secret, looks_random, opened

URL = r"://[^\s/\"'`\\<>@\x00]+@"
HEADER = r"(?i:(?:\b|\\[nrt])(?:bearer|basic)[ \t]+[a-z0-9+/_.=~-]{8})"
COOKIE = r"(?i:cookie2?(?:\\*[\"'])?[ \t]*[:=]|--cookie[ =])"
SIGNED = r"(?i:[?&;](?:sig|x-amz-signature|x-goog-signature|x-amz-security-token|signature)=)"
FLAG = (
    r"(?:(?:[ \t]|\\+[nrt])(?:-u|--user|--proxy-user|-U)[ =]?(?:\\*[\"'])?[^\s\"'\\:=/]+:"
    r"|(?i:(?:password|identified by)[ ]+)'"
    # No star at a dash: there may be dashes everywhere, and each would be followed to the end.
    r"|(?:-[a-z]{0,8}|(?:\b|\\[nrt])(?:ENV|ARG|setx|set -[a-zA-Z]{1,4})[ ]+[A-Za-z0-9_]{0,40}"
    r"|\bconfigure set[ ]+[a-z_.]{0,40}|\bsecret set[ ]+[A-Za-z0-9_]{0,40})"
    r"(?i:(?:passw(?:or)?d|passwd|passphrase|pwd|secret|token|[_-]key|apikey))[ ]+)"
)
COMMAND = r"(?:\b|\\[nrt])(?:sshpass|mysql[a-z]*|mariadb|login|machine|curl)[ ]"
KEY = r"(?:-----BEGIN [A-Z0-9 ]*PRIVATE KEY|Private-Lines: [0-9]+)"
KEY_BYTES_MAX = 32768
"""How far the end of a private key is looked for."""


class Place(NamedTuple):
    """A secret and its kind."""

    kind: str
    start: int
    end: int


_USER = re.compile(rb"://([^\s/\"'`\\<>@:\x00]*)(:?)([^\s/\"'`\\<>\x00]*)@([\w.-]*)")
_EXAMPLE_HOST = re.compile(
    rb"(?i)(?:^|\.)example(?:\.(?:com|org|net))?$|\.(?:example|invalid|test)$"
)
_PUBLIC_USER = re.compile(rb"(?i)sentry|ingest")


def in_url(text: bytes, start: int) -> Iterator[Place]:
    """The password, or the token, in front of the `@` of a URL."""
    match = _USER.match(text, start, start + 1024)
    if match is None:
        return
    user, colon, password, host = match.groups()
    if colon and password:
        weak = password == user or (_EXAMPLE_HOST.search(host) and not looks_random(password))
        if len(password) >= 3 and not weak and not is_placeholder(password):
            yield Place("url-password", match.start(3), match.end(3))
    if looks_random(user) and len(user) >= 20 and not _PUBLIC_USER.search(host):
        yield Place("url-token", match.start(1), match.end(1))


_HEADER = re.compile(rb"(?i)(bearer|basic)[ \t]+([A-Za-z0-9+/_.=~-]{8,4096})")


def in_header(text: bytes, start: int) -> Iterator[Place]:
    """What `Bearer` and `Basic` carry."""
    match = _HEADER.match(text, start)
    if match is None:
        return
    value = match[2].rstrip(b".")
    end = match.start(2) + len(value)
    if match[1].lower() == b"basic":
        decoded = opened(value)
        if b":" in decoded and not is_placeholder(decoded.partition(b":")[2]):
            yield Place("basic-auth", match.start(2), end)
    elif (len(value) >= 16 and is_secret(value, Trust.NAMED)) or (
        len(value) > 40 and looks_random(value)
    ):
        yield Place("bearer-token", match.start(2), end)


_COOKIES = re.compile(rb"[ \t]*(?:\\*[\"'`\[])?([^\"'`\\\n\r\x00]{12,2048})")
_CRUMB = re.compile(rb"[ ]*([\w.-]{1,80})=([^;\s,]{12,2048})[ ]*")
_SESSION = re.compile(rb"(?i)sess|sid|auth|token|jwt|login|remember|csrf|xsrf|identity|secret|key")


def in_cookie(text: bytes, start: int) -> Iterator[Place]:
    """The values of a cookie header that let somebody in."""
    header = _COOKIES.match(text, start)
    if header is None:
        return
    at = header.start(1)
    for crumb in header[1].split(b";"):
        match = _CRUMB.fullmatch(crumb)
        if match and _lets_in(match[1], match[2]):
            yield Place("cookie", at + match.start(2), at + match.end(2))
        at += len(crumb) + 1


def _lets_in(name: bytes, value: bytes) -> bool:
    if is_placeholder(value) or not looks_random(value.replace(b"%", b"")):
        return False
    return len(value) >= 24 or _SESSION.search(name) is not None


_SIGNATURE = re.compile(rb"[A-Za-z0-9%+/_=-]{20,4096}")


def in_signed_url(text: bytes, end: int) -> Iterator[Place]:
    """The signature of a URL that opens a file to whoever has it."""
    match = _SIGNATURE.match(text, end)
    if match and looks_random(match[0].replace(b"%", b"")):
        yield Place("signed-url", *match.span())


_ARGUMENT = re.compile(rb"(\\*[\"'])?([^\s\"'\\,|<>()\x00]{4,1024})")


_OPTION = re.compile(rb"(?:^|[\s\"'`(\[]|\\[nrt])--?[A-Za-z0-9-]*\Z")


def after_flag(text: bytes, start: int, end: int) -> Iterator[Place]:
    """What follows `-u name:`, `--password`, `ENV TOKEN` and the like."""
    sign = text[start:end].lower()
    if sign.startswith(b"-") and not _OPTION.search(text, max(0, start - 40), start + 1):
        return
    match = _ARGUMENT.match(text, end - sign.endswith(b"'"), end + 1024)
    if match is None or match[2].startswith((b"-", b"//")):
        return
    named = re.search(rb"token|key|secret", sign)
    if is_secret(match[2], Trust.NAMED if named else Trust.PASSWORD):
        yield Place("secret" if named else "password", *match.span(2))


_LOGIN = re.compile(
    rb"""(?x)
    sshpass\ +-p\ *(?:\\*["'])?(?P<a>[^\s"'\\]+)
  | (?:mysql[a-z]*|mariadb)\ (?:[^\n\\|;&]{0,160}?\ )??-p(?:\\*["'])?(?P<b>[^\s"'\\]+)
  | login\ [^\n\\|;&]{0,160}?\ -p\ +(?:\\*["'])?(?P<c>[^\s"'\\]+)
  | (?:machine\ +[^\s\\]+(?:\s|\\+[nrt])+)?
    login\ +[^\s\\]+(?:\s|\\+[nrt])+password\ +(?P<d>[^\s"'\\]+)
    """
)
_CURL_COOKIE = re.compile(rb"curl [^\n\\|;&]{0,200}?-b[ =]")


def in_command(text: bytes, start: int) -> Iterator[Place]:
    """The password that a command is given without a name, and the cookies of curl."""
    if match := _LOGIN.match(text, start, start + 400):
        name = next(name for name, value in match.groupdict().items() if value is not None)
        if is_secret(match[name], Trust.PASSWORD):
            yield Place("password", *match.span(name))
    elif match := _CURL_COOKIE.match(text, start, start + 400):
        yield from in_cookie(text, match.end())


_ARMOUR = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|Private-Lines: [0-9]+")
_BODY = re.compile(rb"[A-Za-z0-9+/=]{16,}")
_PIECE = re.compile(
    rb"(?:[^A-Za-z0-9+/=]|\\[nrt]|[0-9]{1,6}(?:\\+t|\t|\xe2\x86\x92|\\+u2192|[ ]?\|)){0,60}"
    rb"[A-Za-z0-9+/=]{20,}"
)
_LAST_PIECE = re.compile(rb"(?:\\[nr]|\s){0,4}[A-Za-z0-9+/=]{1,64}")
_FIELDS = re.compile(
    rb"(?:\\[nr]|[\s\"',+>|])*"
    rb"(?:(?:Proc-Type|DEK-Info|Version|Comment): ?[\w ,.:/-]{1,80}(?:\\[nr]|[\s])*)+"
)


def in_private_key(text: bytes, start: int) -> Iterator[Place]:
    """A private key, up to its end, or as far as it goes where it was cut."""
    head = _ARMOUR.match(text, start)
    if head is None:
        return
    limit = start + KEY_BYTES_MAX
    again = text.find(b"-----BEGIN", head.end(), limit)
    limit = again if again > 0 else limit
    foot = text.find(b"-----END", head.end(), limit)
    if foot > 0:
        close = text.find(b"-----", foot + 8, foot + 80)
        end = close + 5 if close > 0 else foot + 8
        body = text[head.end() : foot]
    else:
        end = _cut_end(text, head.end(), limit)
        body = text[head.end() : end]
    if sum(map(len, _BODY.findall(body))) < 40 or len(set(body)) < 16:
        return
    yield Place("private-key", start, end)


def _cut_end(text: bytes, start: int, limit: int) -> int:
    """Where the lines of a key end that has no last line."""
    fields = _FIELDS.match(text, start, limit)
    at = fields.end() if fields else start
    while match := _PIECE.match(text, at, limit):
        at = match.end()
    tail = _LAST_PIECE.match(text, at, limit)
    return tail.end() if tail and at > start else at


_AWS_SECRET = re.compile(rb"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")


def beside_aws_key(text: bytes, end: int) -> Iterator[Place]:
    """The secret that stands a little after an access key of AWS, whatever it is called."""
    for match in _AWS_SECRET.finditer(text, end, end + 240):
        if (
            looks_random(match[0])
            and re.search(rb"[A-Z]", match[0])
            and re.search(rb"[a-z]", match[0])
        ):
            yield Place("aws-secret", *match.span())
            return
