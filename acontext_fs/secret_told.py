"""Passwords that a person types into a sentence: "my pw is ...", "log in with admin/...".

Only what has more than letters is taken for one, and only where nothing but small words stand
between it and what it is called; a sentence about passwords has other words there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from acontext_fs import secret_ends
from acontext_fs.secret_values import is_told, is_wild


def _either(*words: str) -> str:
    """An expression for words that are no ASCII, as they are and as JSON escapes them."""
    forms = []
    for word in words:
        raw = "".join(rf"\x{byte:02x}" if byte > 127 else chr(byte) for byte in word.encode())
        escaped = "".join(
            char if ord(char) < 128 else rf"\\+u(?i:{ord(char):04x})" for char in word
        )
        forms += [raw, escaped]
    return "|".join(forms)


_FOREIGN = _either(
    "contraseña", "пароль", "Пароль", "密码", "密碼", "口令", "パスワード",
    "비밀번호", "şifre", "hasło",
)  # fmt: skip
TOLD = (
    r"(?:(?i:passw(?:or)?d|passwd|passwort|kennwort|passphrase|passcode|mot de passe|contrasena"
    r"|\b(?:pw|pwd|senha|parola|heslo|lozinka|wachtwoord|login|log in|sign in|logged in|creds"
    r"|credentials|authenticate)\b)"
    rf"|{_FOREIGN})"
)
_LOGIN = re.compile(
    rb"(?i)(?:log(?:ged)? ?in|sign in|creds|credentials|authenticate)"
    rb"(?:(?:[ ]+(?:is|are|with|as|using|for|the|these|my|user|account|credentials|creds|use)"
    rb"|:|=){1,4}|[ ]+(?:for|on|to)[ ]+[\w.-]{1,40}(?:[ ]+(?:is|are|with)|:))[ ]*"
    rb"[`'\"*\\(]{0,4}([A-Za-z_][\w.+-]{1,40}(?:@[\w.-]{3,60})?)[`'\"*\\]{0,4}[ ]?[/:][ ]?"
    rb"[`'\"*\\]{0,4}"
)
_LOGIN_AS = re.compile(
    rb"(?i)(?:log(?:ged)? ?in|sign in|authenticate)(?:[ ]+to[ ]+[\w.-]{1,40})?[ ]+(?:as|with)[ ]+"
    rb"[`'\"*\\]{0,4}[\w.@+-]{2,60}[`'\"*\\]{0,4},?[ ]+(?:with|using|and|/)[ ]+[`'\"*\\]{0,4}"
)
_LINKS = (
    rb"->|=>|--|==?|:=?|\xe2\x86\x92|\xe2\x80\x94|\xef\xbc\x9a|\\+u(?:2192|2014|ff1a)|"
    + _either("是", "为", "為", "は", "는", "은").encode().replace(rb"\x", b"\\x")
)
_GAP = re.compile(rb"(?:[ \t]|[*(\[`'_]|\\*[\"](?![ ]?[,:;}\])])|" + _LINKS + rb")*")
_SMALL = frozenset(
    b"""
    is was be are were should must will can has been set to now currently still as it its the a my
    our your new old temporary temp default current initial here this following use using try
    changed reset equal equals would ist war lautet sei est etait es era sera das le la el o e eh
    jest to: is: field value string
    """.split()
)
_BEFORE_OBJECT = frozenset(b"for of on to in at from with fur pour para por de von auf".split())
_WORD = re.compile(rb"[^\s\"`\\\x00]{1,40}")
_STEPS_MAX = 8
_BYTES_MAX = 128
"""No longer is what a person types as a password."""
_OBJECT_WORDS_MAX = 3
_AHEAD = re.compile(
    rb"([^\s\"`\\\x00\xe2\xe3\xef]{6,128})[`\"'*\\]{0,6}(?:,? (?:which|that|it|this)(?: is|'s))?"
    rb"[ ](?:as|is|=|for)(?:[ ](?:the|my|a|an|our|your|its|their|new|temporary|his|her)){0,3}"
    rb"(?:[ ][\w-]{1,24}){0,2}[ ]\Z"
)
_CALLS = re.compile(rb"[ ](?:as|is|=|for)[ ][\w -]*\Z|'s[ ][\w -]*\Z")
_OPENING = b"`\"'*([{<"


def in_sentence(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the passwords lie that the word in `start:end` announces, or has before it."""
    if found := _after(text, end):
        yield found
    yield from before(text, start)
    if login := _LOGIN.match(text, start, start + 200) or _LOGIN_AS.match(text, start, start + 200):
        last = secret_ends.word_end(text, login.end(), _BYTES_MAX)
        value = text[login.end() : last]
        if is_told(value) and b"/" not in value and b"://" not in text[start:last]:
            yield login.end(), last


def before(text: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Where the password lies that is called so by the word at `start`: "... as the password"."""
    if text[start - 1 : start] != b" " or not _CALLS.search(text, max(0, start - 80), start):
        return
    ahead = _AHEAD.search(text, max(0, start - 200), start)
    if ahead is None:
        return
    first = ahead.start(1)
    while text[first] in _OPENING and first < ahead.end(1):
        first += 1
    last = min(secret_ends.word_end(text, first, _BYTES_MAX), ahead.end(1))
    if is_told(text[first:last]) and _is_drawn(text[first:last]):
        yield first, last


def _after(text: bytes, at: int) -> tuple[int, int] | None:
    """The first telling word behind `at`, if only small words are in between."""
    objects = 0
    is_linked = False
    for _ in range(_STEPS_MAX):
        gap = _GAP.match(text, at, at + 40)
        if gap is None:
            return None
        is_linked = is_linked or len(gap[0].strip(b" \t`'*_\\\"([")) > 0
        at = gap.end()
        last = secret_ends.word_end(text, at, _BYTES_MAX)
        value = text[at:last]
        if is_told(value) and (is_linked or _is_drawn(value)):
            return at, last
        word = _WORD.match(text, at)
        if word is None or word.end() - at > 30:
            return None
        plain = word[0].rstrip(b":=,").lower()
        if plain in _SMALL:
            is_linked = True
        if plain in _BEFORE_OBJECT:
            objects = _OBJECT_WORDS_MAX
        elif plain not in _SMALL:
            objects -= 1
            if objects < 0 or not re.fullmatch(rb"[\w.@'-]+", plain):
                return None
        at = word.end() if word[0] == plain else at + len(plain)
    return None


def _is_drawn(value: bytes) -> bool:
    """Whether a password is one even where nothing says so but the word beside it."""
    return (
        len(value) >= 8
        and (is_wild(value) or sum(48 <= byte < 58 for byte in value) >= 2)
        and b"/" not in value
    )
