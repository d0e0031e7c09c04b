"""Secrets that are told by the form around them: URLs, headers, cookies, commands, private keys.

Each function gets the text and where its sign stands, and gives the secrets there. None looks
further than a fixed distance, so that all stay linear however often a sign is repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from acontext_fs import secret_ends
from acontext_fs.secret_values import (
    Trust,
    is_placeholder,
    is_secret,
    is_told,
    looks_random,
    opened,
)

URL = r"://[^\s/\"'`\\<>@\x00]+@"
HEADER = r"(?i:(?:\b|\\[nrt])(?:bearer|basic|ssws)[ \t]+[a-z0-9+/_.=~-]{8})"
COOKIE = r"(?i:cookie2?(?:\\*[\"'])?[ \t]*[:=]|--cookie[ =])"
SIGNED = r"(?i:[?&;](?:sig|x-amz-signature|x-goog-signature|x-amz-security-token|signature)=)"
FLAG = (
    r"(?:(?:[ \t]|\\+[nrt])(?:-u|--user|--proxy-user|-U)[ =]?(?:\\*[\"'])?[^\s\"'\\:=/]+:"
    r"|(?i:(?:password|identified by|identified with [a-z0-9_]+ by)[ ]+)'"
    r"|(?:\b|\\[nrt])(?:requirepass|masterauth|PASS|AUTH)[ ]"
    # No star at a dash: there may be dashes everywhere, and each would be followed to the end.
    r"|(?:-[a-z]{0,8}|(?:\b|\\[nrt])(?:ENV|ARG|setx|set -[a-zA-Z]{1,4})[ ]+[A-Za-z0-9_]{0,40}"
    r"|\bconfigure set[ ]+[a-z_.]{0,40}|\bsecret set[ ]+[A-Za-z0-9_]{0,40})"
    r"(?i:(?:passw(?:or)?d|passwd|passphrase|pwd|[_-]pass|(?:store|key)pass|secret|token|[_-]key"
    r"|apikey)(?:_base)?)[ ]+)"
)
COMMAND = (
    r"(?:\b|\\[nrt])(?:sshpass|mysql[a-z]*|mariadb|login|machine|curl|redis-cli|mongo[a-z]*"
    r"|ldap[a-z]+|keytool|wget|http|twine|useradd|usermod|zip|unzip"
    r"|7z|net use|smbclient|rclone|mc)[ ]"
)
PIPED = (
    r"\|[ ]*(?:sudo |docker |podman |vercel |gh |wrangler |kubectl |su |passwd|chpasswd|openssl"
    r"|cryptsetup|[a-z0-9./-]{1,20} login)"
)
LINE = r":(?:[0-9]{4,5}|\*):[A-Za-z0-9_*.-]{1,63}:[A-Za-z0-9_.-]{1,63}:"
SEND = r"\b(?:send(?:line|_keys|Keys)?|fill|type|setValue)[ (]{1,2}(?:--[ ])?\\*[\"']"
JWK = r"\\*\"kty\\*\"[ ]?:"
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
    if looks_random(user) and len(user) >= 20:
        yield Place("url-token", match.start(1), match.end(1))


_HEADER = re.compile(rb"(?i)(bearer|basic|ssws)[ \t]+([A-Za-z0-9+/_.=~-]{8,4096})")


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


_OPTION = re.compile(rb"(?:^|[\s\"'`(\[]|\\[nrt])--?[A-Za-z0-9-]*\Z")


def after_flag(text: bytes, start: int, end: int) -> Iterator[Place]:
    """What follows `-u name:`, `--password`, `ENV TOKEN` and the like."""
    sign = text[start:end].lower()
    if sign.startswith(b"-") and not _OPTION.search(text, max(0, start - 40), start + 1):
        return
    at = end - sign.endswith(b"'")
    if body := _BODY_OPTION.match(text, at):
        at = body.end()
    first, last = secret_ends.argument(text, at)
    value = text[first:last]
    if not value or (first == at and (value.startswith((b"-", b"//")) or value[:1] in b"([{<")):
        return
    if sign.strip() in (b"pass", b"auth") and (not is_told(value) or re.search(rb"[./]", value)):
        return
    named = re.search(rb"token|key|secret", sign) and b"pass" not in sign
    if is_secret(value, Trust.NAMED if named and first == at else Trust.PASSWORD):
        yield Place("secret" if named else "password", first, last)


_BODY_OPTION = re.compile(rb"(?:--body|-b)[ =]")
_LOGIN = re.compile(
    rb"""(?x)
    (?:sshpass\ +-p
  | (?:mysql[a-z]*|mariadb)\ (?:[^\n\\|;&]{0,160}?\ )??-p
  | login\ [^\n\\|;&]{0,160}?\ -p\ +
  | redis-cli\ (?:[^\n\\|;&]{0,160}?\ )??-a\ +
  | mongo[a-z]*\ (?:[^\n\\|;&]{0,160}?\ )??-p\ +
  | ldap[a-z]+\ (?:[^\n\\|;&]{0,160}?\ )??-w\ +
  | (?:twine|useradd|usermod)\ (?:[^\n\\|;&]{0,160}?\ )??-p[ ]+
  | (?:un)?zip\ (?:[^\n\\|;&]{0,160}?\ )??-P[ ]+ | 7z\ (?:[^\n\\|;&]{0,160}?\ )??-p
  | net\ use\ [^\n|;&]{0,160}?/user:\S+ | smbclient\ [^\n\\|;&]{0,160}?-U[ ]?[\w.-]+%
  | rclone\ obscure\ | mc\ (?:alias|config\ host)\ (?:set|add)(?:\ \S+){3}\ +
  | http\ (?:[^\n\\|;&]{0,160}?\ )??(?:-a|--auth)[ =][\w.@-]+:
  | (?:machine\ +[^\s\\]+(?:\s|\\+[nrt])+)?
    login\ +[^\s\\]+(?:\s|\\+[nrt])+password\ +
  )\ *
    """
)
_CURL_COOKIE = re.compile(rb"curl [^\n\\|;&]{0,200}?-b[ =]")


def _trust(is_quoted: bool) -> Trust:
    """What a command gets in quotes may hold anything."""
    return Trust.ASSIGNED if is_quoted else Trust.PASSWORD


def in_command(text: bytes, start: int) -> Iterator[Place]:
    """The password that a command is given without a name, and the cookies of curl."""
    if match := _LOGIN.match(text, start, start + 400):
        first, last = secret_ends.argument(text, match.end())
        if is_secret(text[first:last], _trust(first > match.end())):
            yield Place("password", first, last)
    elif match := _CURL_COOKIE.match(text, start, start + 400):
        yield from in_cookie(text, match.end())


_ECHO = re.compile(
    rb"(?:echo|printf)(?:[ ]-\w+)*(?:[ ]\\*[\"']%s(?:\\+n)?\\*[\"'])?[ ]+(?!.*(?:echo|printf) )"
)
_TAKES = re.compile(
    rb"\|[ ]*(?:sudo (?:-\w+ )*(?:-\w*S|passwd|chpasswd)"
    rb"|[^|\n]{0,80}--password-stdin|vercel env add|gh secret set"
    rb"|wrangler secret put|(?:docker|podman|kubectl) (?:\w+ )?secret|su |passwd|chpasswd"
    rb"|openssl|cryptsetup|[^|\n]{0,80}login)"
)


def in_pipe(text: bytes, start: int) -> Iterator[Place]:
    """What `echo` hands to a command that reads a password."""
    low = max(0, start - 400)
    if not _TAKES.match(text, start) or not (echo := _ECHO.search(text, low, start)):
        return
    first, last = secret_ends.argument(text, echo.end())
    trust = _trust(first > echo.end())
    user = re.match(rb"[\w.-]+:", text[first:last])
    if user and b"passwd" in text[start : start + 20]:
        first += user.end()
    if 0 < last - first <= start - echo.end() and is_secret(text[first:last], trust):
        yield Place("password", first, last)


def in_line_of_pgpass(text: bytes, end: int) -> Iterator[Place]:
    """The password of a line `host:port:database:user:password`."""
    last = secret_ends.word_end(text, end)
    if is_told(text[end:last]) and re.match(rb"[ ]*(?:\Z|[\n\r\"]|\\)", text[last : last + 40]):
        yield Place("password", end, last)


_ASKED = re.compile(rb"(?i)(?:password|passphrase|passcode)[^\n]{0,120}\Z")


def in_answer(text: bytes, start: int, end: int) -> Iterator[Place]:
    """What a script types when it is asked for a password (expect, pexpect)."""
    if _ASKED.search(text, max(0, start - 140), start):
        at = secret_ends.word_end(text, end)
        if is_told(text[end:at]):
            yield Place("password", end, at)


_JWK_BYTES_MAX = 4096
_PRIVATE_PART = re.compile(
    rb"\\*\"(?:d|p|q|dp|dq|qi|k)\\*\"[ ]?:[ ]?\\*\"([A-Za-z0-9_-]{16,1024})\\*\""
)


def in_jwk(text: bytes, start: int) -> Iterator[Place]:
    """The private numbers of a JSON Web Key (RFC 7518, section 6)."""
    low = text.rfind(b"{", max(0, start - _JWK_BYTES_MAX), start)
    high = text.find(b"}", start, start + _JWK_BYTES_MAX)
    if low >= 0:
        for match in _PRIVATE_PART.finditer(text, low, high if high > 0 else start):
            yield Place("private-key", *match.span(1))


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
