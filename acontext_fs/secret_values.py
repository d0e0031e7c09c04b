"""Is this text a secret? Placeholders, words and code on one side, passwords and keys on the other.

All of it works on bytes and in time linear in the length of what it is given.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from enum import IntEnum
from functools import lru_cache


class Trust(IntEnum):
    """How much the place of a value says that it is a secret."""

    HINT = 1
    """Prose, or a name such as `key` that many harmless things have: only what looks random."""
    NAMED = 2
    """A name that stands for tokens: what looks random or is no word."""
    PASSWORD = 3
    """A name that stands for passwords, which people choose: what is no word or placeholder."""
    ASSIGNED = 4
    """`DB_PASSWORD=...` in a line of its own: all that is no placeholder."""


_REFERENCE = re.compile(
    rb"""
      ^[\\]*(?:
          [$@&*:]{1,2}[A-Za-z_][A-Za-z_.-]*[0-9]{0,2}\Z | \$[A-Z_][A-Z0-9_]*(?:\Z|[/:\]"]) # $VAR
        | %[A-Za-z_]\w*% | <[^<>0-9]{1,80}>\Z | <% | [$*\#.-]+\Z | [({\[][^(){}\[\]]*[)}\]]\Z
        | \$[a-z_]\w*(?:->|\[|\.) )
    | \$[{(] | \{\{ | \}\}\Z | \#\{
    | A-Z[a0\]_] | a-z[A0\]_] | \[0-9 | A-Fa-f | a-fA-F | \\d | \[\^ | \(\?
    | <[A-Za-z_][A-Za-z_ .:-]{2,60}> | %\(\w+\)s
    | ^(?:process|os|env|import|config|settings|secrets?|vars|self|this|args|options|params|props
         |ctx|context|request|req|res|user|data|row|body|local|module|std|vault|ssm|github|steps
         |inputs|app|cfg|opts|state|session|response|payload|event|ENV|Deno|Bun|System)
      (?:\.|::|->|\[|\?\.)
    | ^(?:op|file|vault|ssm|env|arn|secretsmanager|keyring|keychain|awssm|gcpsm|projects)[:/]
    | ^(?:new|await|typeof|lambda|fn|func|not)[ ] | \(\)$
    | ^https?: | ^AWS4-
    """,
    re.VERBOSE,
)
_CALL = re.compile(
    rb"([A-Za-z_][A-Za-z_.:]*[0-9]{0,3}[A-Za-z_.]*)\((?:.*\)[;,.)\]]*\Z|[^()]*\)[.\[])"
)
_PATH = re.compile(rb"(?:\.{0,2}/|~/|[A-Za-z]:[\\/])[\w .@\\/+-]*")
_MASKED = re.compile(
    rb"(?i)\*{3}|\.{3}|\xe2\x80\xa6|\xe2\x80\xa2|x{5}|^x+$|_{4}|-{5}|#{3}|0{8}|redacted"
)
_WORDS = re.compile(rb"[A-Za-z]+")
_STAND_INS = frozenset(
    b"""
    a abc access account actual add admin administrator an and any anonymous api app apps auth
    authorization aws azure bar base bearer bot change changeit changeme client cloud code config
    configured correct credential credentials db default demo deploy dev development django docker
    dummy e empty enter env environment example fake false field file fixme foo for from generate
    generated get github gitlab go goes google guest hello here hidden id in input insert invalid is
    it jwt key keys letmein line local localhost long login me missing mock mongo mongodb my mysql n
    name new nil no node none not npm null number of off ok old on openai optional or our p pass
    passphrase passwd password passwords paste pat placeholder please postgres postgresql private
    prod production provider public pw pwd random read real redis refresh replace required reset
    root s sa same sample secret secrets secure security server service session set sha should
    signing some something staging str stripe string strong super supersecret system temp test
    tester testing the their this to todo token tokens true type u undefined unknown unset update
    use user username val valid value values variable wrong xxx yes you your yours
    """.split()
)
_SEQUENCES = (b"1234567890" * 2, b"abcdefghijklmnopqrstuvwxyz" * 2, b"qwertyuiop", b"0987654321")
_OBVIOUS = re.compile(
    rb"(?i)x{4}|\*{3}|\.{3}|\xe2\x80\xa6|\xe2\x80\xa2|<[a-z_][\w .:-]*>|_{4}|-{4}|0{8}|redacted"
    rb"|\byour|[_-]your|your[_-]|example(?:key)?\Z|\$\{|\{\{"
)
"""What stands in a token that nobody takes for one, whatever its shape."""
_TERMS = frozenset(
    b"argon2 argon2id base32 base64 md5 oauth2 pbkdf2 sha1 sha256 sha512 utf8".split()
)
_ORDINARY = re.compile(
    rb"[A-Za-z]+[-_.]?\d{1,4}|v?\d+(?:[.,:x/-]\d+)*[a-z%+]{0,3}|\d+[KMGT]i?B|[\w-]+(?:\.[\w-]+)+"
    rb"|_?(?:[A-Za-z]+\d{0,3}|\d{1,4})(?:[-_/:](?:[A-Za-z]+\d{0,3}|\d{1,4}))+"
    rb"|\S*/\S*|\S*@\S+\.\S*|[0-9a-f]{7,}|0x\w*|--?\S*|\S*\(\S*"
)
"""Words with digits as they stand in any sentence: `step2`, `v1.3`, `utf-8`, names of files."""
_INNER = re.compile(rb"[A-Za-z0-9][!@#$%^&*+=~?|][A-Za-z0-9!@#$%^&*+~?]")
_BLANK = re.compile(rb"[\s\x00-\x1f]")
_RUNS = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_PAIRS = frozenset(
    b"""
    th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se le
    sa si ar ve ra ld ur ro ri io ic ne me ll om ec co ma ce li ch us ss ct ta la el il ho pe di ac
    ca lo ge tr ut so no rs ns ot un em be ke po su ee id im ir mo ni oo op os pl pr pa ol oc ul ad
    am ag ab ai fo fi ie ig ir iv ey ex ef ep ew ay av da do du ev ap ck cl cr bl bo br bu by ba cu
    fa fe gr gu ki ts ly mi mp mu my na nc nu od ow ov pi pt rd rm rt ry sc sh sk sp sy tu ty ub ue
    um up va vi wa we wi wo ys
    """.split()
)
"""Pairs of letters that are frequent in words and names."""
RANDOM_BYTES_MIN = 12
"""Shorter texts are not told from words by their letters."""
_ENTROPY_BITS = 2.8
_HEX = re.compile(rb"[0-9a-f]+|[0-9A-F]+")
_UUID = re.compile(rb"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CODE = re.compile(
    rb"""
      ^[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)+$  # a.b.c, a::b
    | ^[a-z]+(?:[_-][a-z]+)+$ | ^[A-Z]+(?:[_-][A-Z0-9]+)+$   # snake_case, CONSTANT, kebab-case
    | ^[a-z]+(?:[A-Z][a-z]+)+$ | ^(?:[A-Z][a-z]+)+$          # camelCase, PascalCase
    | [(){}<>\[\]|]
    """,
    re.VERBOSE,
)


def is_placeholder(value: bytes) -> bool:
    """Whether `value` stands for a secret (`${VAR}`, `<token>`, `YOUR_API_KEY`, `xxxx`, `***`)."""
    if len(set(value)) < 4 or _REFERENCE.search(value) or _MASKED.search(value):
        return True
    if _PATH.fullmatch(value) and not looks_random(value):
        return True
    if (call := _CALL.match(value)) and is_name(call[1]):
        return True
    words = [word.lower() for word in _WORDS.findall(value)]
    if b"your" in words or b"example" in words or b"EXAMPLE" in value or _is_counted(value):
        return True
    lowered = value.lower()
    if any(lowered in sequence for sequence in _SEQUENCES):
        return True
    digits = sum(48 <= byte < 58 for byte in value)
    return digits <= 1 and all(_is_stand_in(word) for word in words)


def is_name(called: bytes) -> bool:
    """Whether somebody named a function so."""
    return len(called.strip(b"0123456789_.:")) >= 2 and (
        _known_pairs(called) >= 0.45 or (len(called) <= 8 and called.islower())
    )


def is_obvious(token: bytes) -> bool:
    """Whether `token`, which has the shape of a provider's, plainly is none."""
    return len(set(token)) < 4 or _OBVIOUS.search(token) is not None


def _is_counted(value: bytes) -> bool:
    """Whether most of `value` is counted up, such as `1234567890abcdef`."""
    lowered = value.lower()
    size = run = 0
    for one, two in zip(lowered, lowered[1:] + b"\0", strict=True):
        run += 1
        if two - one != 1 and not (one == 57 and two == 48):
            size += run if run >= 4 else 0
            run = 0
    return size >= 0.6 * len(value) or b"qwertyui" in lowered or b"98765432" in lowered


def _is_stand_in(word: bytes) -> bool:
    """Whether `word` is made of the words that stand in examples, such as `mysecretpassword`."""
    if word in _STAND_INS:
        return True
    if not 6 <= len(word) <= 32:
        return False
    reached = {0}
    for end in range(1, len(word) + 1):
        if any(end - start > 1 and word[start:end] in _STAND_INS for start in reached):
            reached.add(end)
    return len(word) in reached


def looks_random(value: bytes) -> bool:
    """Whether the characters of `value` were drawn by a machine and not written by a person."""
    size = len(value)
    if size < RANDOM_BYTES_MIN or _BLANK.search(value):
        return False
    if _UUID.fullmatch(value):
        return True
    runs = _RUNS.findall(value)
    digits = sum(len(run) for run in runs if run.isdigit())
    letters = sum(map(len, runs)) - digits
    if letters + digits < 0.7 * size or not letters or entropy(value) < _ENTROPY_BITS:
        return False
    if digits > size / 5 and len(runs) > size / 3:
        return digits < 0.95 * size
    known = _known_pairs(value)
    if not digits:
        return size >= 16 and known < 0.5
    is_wild = len(runs) >= 3 and known < 0.58
    return (is_wild or _HEX.fullmatch(value) is not None) and digits < 0.95 * size


def _known_pairs(value: bytes) -> float:
    """The share of neighbouring letters that often stand together in words; 0 for few letters."""
    words = _WORDS.findall(value.lower())
    pairs = [word[at : at + 2] for word in words for at in range(len(word) - 1)]
    return sum(pair in _PAIRS for pair in pairs) / len(pairs) if len(pairs) >= 4 else 0


def entropy(value: bytes) -> float:
    """Bits a byte of `value`, by how often each byte stands in it (Shannon)."""
    size = len(value)
    counts = Counter(value).values()
    return -sum(count / size * math.log2(count / size) for count in counts)


@lru_cache(maxsize=1024)
def is_secret(value: bytes, trust: Trust) -> bool:
    """Whether a value, found where `trust` says, is a secret."""
    value = value.strip()
    if len(value) < 4 or is_placeholder(value):
        return False
    if trust is Trust.HINT:
        return len(value) >= 16 and not _CODE.search(value) and looks_random(value)
    if trust is Trust.ASSIGNED:
        return len(value) >= 6 and not _is_plain(value)
    if looks_random(value) and not _CODE.search(value):
        return True
    if trust is Trust.NAMED:
        mixed = len(value) >= 12 and _is_mixed(value) and _known_pairs(value) < 0.55
        return mixed or (len(value) >= 8 and is_wild(value) and not _CODE.search(value))
    return _is_password(value)


def _is_plain(value: bytes) -> bool:
    """Whether `value` is a number, a word, or a name of something."""
    if value.replace(b".", b"").isdigit() and len(value) < 12:
        return True
    return len(value) < 16 and value.isalpha() and (value.islower() or value.istitle())


def _is_mixed(value: bytes) -> bool:
    digits = sum(48 <= byte < 58 for byte in value)
    return bool(digits >= 2 and _WORDS.search(value) and not _BLANK.search(value))


def is_wild(word: bytes) -> bool:
    """Whether `word` has its digits and capitals where no word of a sentence has them."""
    word = word.strip(b".,;:!?'*()[]")
    if len(word) < 4 or _ORDINARY.fullmatch(word):
        return False
    if word.isalpha():
        return bool(
            len(word) >= 5 and re.search(rb"[a-z][A-Z]", word) and _known_pairs(word) < 0.45
        )
    has_digit = any(48 <= byte < 58 for byte in word)
    return bool(_WORDS.search(word)) and (has_digit or _INNER.search(word) is not None)


def _is_half_digits(word: bytes) -> bool:
    """Whether `word` has letters and digits and is no name of an algorithm, size or version."""
    plain = word.strip(b".,;:!?'\"()[]").replace(b"-", b"").lower()
    if len(plain) < 5 or plain in _TERMS or re.fullmatch(rb"v?[\d.]+[a-z]{0,3}", plain):
        return False
    return plain.isalnum() and not plain.isalpha() and not plain.isdigit()


def is_told(value: bytes) -> bool:
    """Whether `value`, called a password in a sentence, is one: it has more than letters."""
    if value[:1] in b"|,;:)]}?&=" or (b"|" in value and not _is_mixed(value)):
        return False
    if len(value) < 6 or is_placeholder(value) or value.lower() in _TERMS:
        return False
    if re.search(rb"://|\w@[\w-]+\.\w|\A[./~-]|\(\)|\A[\w.]+\.[a-z]{1,4}\Z", value):
        return False
    if value.isalpha():
        return len(value) >= 8 and is_wild(value)
    if re.fullmatch(rb"[A-Za-z]+\d*[-.]\d{1,3}|_\w+|[a-z]+_[a-z0-9_]+[a-z]", value):
        return False  # `latin-1`, `TLS1.3`, names in code.
    if not _WORDS.search(value):
        return False
    has_digit = any(48 <= byte < 58 for byte in value)
    return has_digit or (_INNER.search(value) is not None and b"=" not in value)


def _is_password(value: bytes) -> bool:
    """Whether a person might have chosen `value` to log in: letters and something else."""
    if _BLANK.search(value):
        words = value.split()
        if len(words) <= 3 and any(_is_half_digits(word) for word in words):
            return True
        return len(words) <= 6 and 2 * sum(map(is_wild, words)) >= len(words)
    if len(value) < 6 or b"\\" in value[:1]:
        return False
    if re.fullmatch(rb"[A-Za-z_$][\w$]*(?:(?:\.|::|->|\?\.)[A-Za-z_$][\w$]*)+", value):
        return len(value) >= 10 and _known_pairs(value) < 0.4
    if re.fullmatch(rb"[A-Za-z]+(?:[_-][A-Za-z]+)*[:;,.!?]*", value):  # Words, names, labels.
        mixed = len(value) >= 8 and re.search(rb"[a-z][A-Z]", value) and _known_pairs(value) < 0.45
        return bool(mixed) or (len(value) >= 20 and value.isalpha() and value.islower())
    if value.isdigit():
        return len(value) >= 8
    return bool(_WORDS.search(value))


def opened(value: bytes) -> bytes:
    """What the base64 text `value` holds if it is readable text, else nothing."""
    padded = value + b"=" * (-len(value) % 4)
    try:
        data = base64.b64decode(padded.replace(b"-", b"+").replace(b"_", b"/"), validate=True)
        return data if data.decode("utf-8").isprintable() else b""
    except (binascii.Error, UnicodeDecodeError):
        return b""
