import base64
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import redact, redact_engine, secret_scan
from acontext_fs.errors import AcontextError, RedactionError, SettingsError
from acontext_fs.redact import Redactor, marker
from tests import redact_samples, strategies
from tests.redact_samples import SHAPED, Sample, remains, samples

MARKER = re.compile(rb"\[REDACTED:[a-z0-9-]{1,40}:[0-9a-f]{4}\]")
SAMPLES = samples(7, rounds=2)
REDACTOR = Redactor()
PASSWORD = "hunter2" * 2


def clean(line: bytes) -> bytes:
    return REDACTOR.clean(line).data


def said(text: str) -> bytes:
    return json.dumps({"type": "user", "text": text}).encode()


def shape(value: object) -> object:
    """A value of JSON with every string made equal: its structure."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "" if isinstance(value, str) else value


def test_a_secret_becomes_a_marker_and_all_else_stays_byte_for_byte():
    secret = "gh" + "p_" + "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R"
    line = '{"a" : "x\\n%s",  "b":[1,2.50, null]}\r'
    cleaned = REDACTOR.clean((line % secret).encode())
    assert cleaned.kinds == ("github-token",)
    assert MARKER.search(cleaned.data)
    assert MARKER.sub(secret.encode(), cleaned.data) == (line % secret).encode()


def test_a_line_without_secrets_comes_back_as_it_is():
    line = said("nothing to see at https://example.org/a?b=c#d")
    cleaned = REDACTOR.clean(line)
    assert cleaned.data is line
    assert cleaned.kinds == ()


def test_the_same_secret_has_the_same_marker_wherever_it_stands():
    secret = SHAPED["github"](redact_samples.random.Random(1))
    key = SHAPED["private-key"](redact_samples.random.Random(1))
    for one in (secret, key):
        places = [one.encode(), said(one), said(json.dumps({"deeper": one}))]
        found = {MARKER.search(clean(place))[0] for place in places}
        assert len(found) == 1
    other = SHAPED["github"](redact_samples.random.Random(2))
    assert clean(secret.encode()) != clean(other.encode())


def test_the_marker_is_the_same_on_every_machine():
    assert marker("password", b"open sesame") == b"[REDACTED:password:4b9b]"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: f"{one.kind}-{one.place}"[:60])
def test_nothing_of_a_secret_remains_and_json_stays_json(sample: Sample):
    cleaned = REDACTOR.clean(sample.line)
    assert cleaned.kinds
    assert not remains(sample, cleaned.data)
    assert clean(cleaned.data) == cleaned.data
    if sample.line.startswith((b"{", b"[")) and not sample.place.endswith("plain"):
        assert shape(json.loads(sample.line)) == shape(json.loads(cleaned.data))


HARMLESS = [
    "API_KEY=YOUR_API_KEY",
    "API_KEY=your-api-key-here",
    "export TOKEN=<token>",
    "export TOKEN=$OTHER_TOKEN",
    "TOKEN=${TOKEN}",
    "password: ${{ secrets.DB_PASSWORD }}",
    "api_key = os.environ['OPENAI_API_KEY']",
    "apiKey: process.env.OPENAI_API_KEY,",
    "OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxx",
    "OPENAI_API_KEY=sk-...",
    "SECRET=********",
    "password = getpass.getpass()",
    "def login(user: str, password: str) -> Token:",
    "password: string;",
    "password = get_password()",
    "password: Optional[HiddenText] = None,",
    "password=parts['password'], port=1",
    "password = quote(kwargs.pop('password', ''), safe=SAFE)",
    "auth: BearerAuth | SigV4Auth | None = None",
    "_HEX_PAT = '[0-9A-Fa-f]{1,4}'",
    "r'limit|login|logout|passwd|pwd|read|readonly'",
    "PASS src/login.test2.js",
    "the password should be latin-1 or utf-8 encodable",
    "the password is hashed with argon2id and stored in users.password_hash2",
    "pass force_zip64 to use the format",
    "login to https://a.io/v2/x as admin",
    "use sha256 for the password",
    '"password": "At least 8 characters"',
    '"password": "SHA256 of it"',
    "if (password === confirmPassword) {",
    "the password must be at least 8 characters",
    "Password: required",
    "token = self.token",
    "const token = await getToken(user)",
    '"password": "REDACTED"',
    '"token": null, "password": ""',
    '"max_tokens": 8192, "input_tokens": 12345, "token_count": 99999999',
    "https://user:password@example.com/path",
    "postgres://postgres:postgres@localhost:5432/postgres",
    "https://$USER:$PASSWORD@host/",
    "git@github.com:owner/repository.git",
    "http://localhost:8080/@scope/package",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    '"integrity": "sha512-q1tJqNu1ej0wTlo0a3FzC5Xy3T0bPcmY3mJqT0lJQ2eJQ0Jr6mEw7c1fXQdJp9zA=="',
    "image@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    '"id": "toolu_01GmtpiVR337BpvV76LTi1rM", "call_id": "call_nnC3YI9YBXeBnQFFfl4dYzpl"',
    '"requestId": "req_011CaK63iSbW2yjnw121rC4d", "id": "msg_01CY3KEGyQGVFQuSPGCCmNTq"',
    '"sessionId": "019d730f-e099-7910-a946-b5b20e2cfafc"',
    '"uuid":"b9b35a7e-6c5d-4f7a-9b39-0c0a8d6d5e11","parentUuid":null',
    '"nextPageToken": "CAUQAA3kq9Zf81LmX0pQ", "publicKeyToken": "b77a5c561934e089"',
    '"cache_key": "9fceb02d0ae598e95dc970b74767f19372d61af8"',
    "--- PASS: TestInit/DEBUG_uppercase_2 (0.00s)",
    "PWD=/home/dev/project OLDPWD=/home/dev",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-a1b2c3",
    "secretName: db-credentials",
    "Authorization: Bearer <token>",
    "Bearer authentication is described in RFC6750",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "grep -n 'BEGIN RSA PRIVATE KEY' file",
    "[REDACTED:github-token:1a2b]",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_not_touched(text):
    for line in (said(text), said(json.dumps({"deeper": text})), text.encode()):
        assert REDACTOR.clean(line) == (line, ())


def test_what_a_transcript_needs_stays():
    # Enough of them that every short sequence of letters occurs.
    picture = base64.b64encode(redact_samples.random.Random(6).randbytes(3_000_000)).decode()
    opaque = picture.replace("+", "-").replace("/", "_")
    line = json.dumps(
        {
            "thinking": "", "signature": opaque, "encrypted_content": opaque,
            "source": {"type": "base64", "media_type": "image/png", "data": picture},
            "url": "data:image/png;base64," + picture,
        }
    ).encode()  # fmt: skip
    assert REDACTOR.clean(line) == (line, ())


@pytest.mark.parametrize(("text", "secret"), redact_samples.HARD)
def test_no_half_of_a_secret_remains(text, secret):
    plain = text.format(s=secret)
    for line in (plain.encode(), said(plain), said(json.dumps({"deeper": plain}))):
        found = clean(line)
        assert MARKER.search(found)
        pieces = [secret[at : at + 5].encode() for at in range(len(secret) - 4)]
        assert not [piece for piece in pieces if piece in MARKER.sub(b"", found)]
        assert clean(found) == found


def test_what_follows_a_secret_stays():
    for text, rest in [
        ("PGPASSWORD=Xk29slqP psql -h db", " psql -h db"),
        ("A=1\nPGPASSWORD=Xk29slqP psql -h db\n", " psql -h db\n"),
        ("https://a.io/?password=Xk29slqP&next=/a", "&next=/a"),
        ("Server=a;Password=Xk29slqP;User Id=sa;", ";User Id=sa;"),
        ("connect(password=Xk29slqP, port=1)", ", port=1)"),
        ("<password>Xk29slqP</password>", "</password>"),
        ("the password is Xk29slqP, thanks", ", thanks"),
    ]:
        assert clean(text.encode()).endswith(b"]" + rest.encode())


def test_a_secret_is_replaced_wherever_it_stands_in_a_line():
    found = clean(said("PASSWORD=Xk29slqP, then ./run Xk29slqP and xXk29slqPx"))
    assert b"Xk29slqP" not in found
    assert len(set(MARKER.findall(found))) == 1
    assert len(MARKER.findall(found)) == 3
    assert b"./run aB3$" in clean(said("PASSWORD=aB3$xy9, then ./run aB3$ and more"))


def test_only_obvious_placeholders_are_no_tokens():
    lead = "gh" + "p_"
    for rest in ("x" * 36, "a" * 36, "*" * 36, "your_token_goes_here_0123456789abcdef"):
        assert REDACTOR.clean((lead + rest).encode()).kinds == ()
    assert REDACTOR.clean(("AK" + "IAIOSFODNN7EXAMPLE").encode()).kinds == ()


def test_a_line_made_to_take_long_is_kept_back():
    started = time.process_time()
    with pytest.raises(RedactionError, match="kept back"):
        REDACTOR.clean(b"password=" * 1_000_000)
    assert time.process_time() - started < 10
    many = b" ".join(b"password=Ab1c%dXf29" % at for at in range(2_000))
    assert len(REDACTOR.clean(many).kinds) == 2_000


def test_the_name_of_a_value_tells_that_it_is_a_secret():
    for key in ("password", "api_key", "clientSecret", "X-Auth-Token", "DB_PASSWORD", "accessKey"):
        secret = "Qm7" + "zX41kLw09vPr"
        for line in (json.dumps({key: secret}), json.dumps({"name": key, "value": secret})):
            found = clean(line.encode())
            assert secret.encode() not in found, key
            assert json.loads(found).keys() == json.loads(line).keys()


def test_a_value_in_quotes_is_taken_whole_whatever_is_in_it():
    secret = 'ab"c1\\x/9,}'
    for level in range(3):
        text = json.dumps({"password": secret, "next": "stays"})
        for _ in range(level):
            text = json.dumps({"text": text})
        found = json.loads(clean(text.encode()))
        for _ in range(level):
            found = json.loads(found["text"])
        assert MARKER.fullmatch(found["password"].encode())
        assert found["next"] == "stays"


def test_a_number_stays_a_number_unless_somebody_asked_for_it():
    line = b'{"password": 8402917365, "n": -1.5e3}'
    assert REDACTOR.clean(line) == (line, ())
    found = json.loads(Redactor({"own": "917"}).clean(line).data)
    assert MARKER.fullmatch(found["password"].encode())
    assert found["n"] == -1500


def test_a_secret_written_with_more_escapes_is_found_and_no_escape_is_cut():
    line = rb'{"a":"postgres:\/\/bob:s3cr\u0026tPa55@db.corp.io\/x\u0026y"}'
    found = clean(line)
    assert found.startswith(rb'{"a":"postgres:\/\/bob:[REDACTED:url-password:')
    assert found.endswith(rb']@db.corp.io\/x\u0026y"}')
    line = rb'{"a":"PASSWORD\u003dQm7zX41kLw\u0026b\u003d1"}'
    assert b"Qm7zX41kLw" not in clean(line)
    assert json.loads(clean(line))


def test_a_private_key_is_found_line_by_line_and_where_it_was_cut():
    key = SHAPED["private-key"](redact_samples.random.Random(3))
    rows = key.split("\n")
    body = [row.encode() for row in rows[1:-1]]
    numbered = "\n".join(f"{at:6}\u2192{row}" for at, row in enumerate(rows))
    added = "\n".join("+" + row for row in rows)
    quoted = " +\n".join(f"'{row}\\n'" for row in rows)
    for text in (key, numbered, added, quoted, key[: len(key) // 2], key.replace("\n", "\r\n")):
        for line in (said(text), said(json.dumps({"a": text})), text.encode()):
            assert not [row for row in body if row in clean(line)]
    patch = json.dumps({"lines": ["+" + row for row in rows], "old": 1}).encode()
    found = json.loads(clean(patch))
    assert len(found["lines"]) == len(rows)
    assert not [row for row in body if row in clean(patch)]


def test_a_damaged_line_is_searched_as_bytes():
    secret = SHAPED["gitlab"](redact_samples.random.Random(4)).encode()
    for line in (
        b'{"a":"' + secret,
        b"\x00\x00\xff\xfe" + secret + b"\x00",
        b'{"a":1}{"b":"' + secret + b'"}',
        b"\xe2\x86" + secret + b"\xe2",
        b'DB_PASSWORD="' + secret,
    ):
        found = clean(line)
        assert secret not in found
        assert MARKER.search(found)
        assert len(MARKER.split(found)) == 2


def test_the_id_of_an_aws_key_takes_the_secret_beside_it_along():
    pair = next(one for one in SAMPLES if one.kind == "aws-pair")
    assert REDACTOR.clean(pair.line).kinds == ("aws-key", "aws-secret")


def test_own_patterns_name_their_kind_and_their_first_group_is_the_secret():
    own = Redactor({"Staff_number": r"staff (N[0-9]{6})", "code": "zz[a-z]+"})
    cleaned = own.clean(said("staff N123456 knows zzab"))
    assert cleaned.kinds == ("staff-number", "code")
    assert b"staff [REDACTED:staff-number:" in cleaned.data
    assert b"N123456" not in cleaned.data


@pytest.mark.parametrize("pattern", ['e.*"', ".{9}", r'".*"', "[^a]+", r"\\.", "b.+y"])
def test_an_own_pattern_leaves_json_behind_whatever_it_matches(pattern):
    own = Redactor({"own": pattern})
    line = b'{"name":"a\\nb\\u00e9y \xc3\xa9","deep":["x\\"y",{"k":"v"}],"n":1234567890}'
    found = own.clean(line).data
    assert json.loads(found)
    assert own.clean(found).data == found


@pytest.mark.parametrize(
    ("patterns", "word"),
    [
        ({"broken": "("}, "broken"),
        ({"back": r"(a)\1"}, "back"),
        ({"look": "(?=a)"}, "look"),
        ({"empty": "a*"}, "empty"),
        ({"a kind!": "a"}, "a kind!"),
        ({"": "a"}, "redact_patterns"),
    ],
)
def test_a_broken_pattern_is_refused_by_name(patterns, word):
    with pytest.raises(SettingsError, match="redact_patterns") as raised:
        Redactor(patterns)
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_allowed_stays():
    secret = SHAPED["npm"](redact_samples.random.Random(5))
    other = SHAPED["npm"](redact_samples.random.Random(6))
    line = said(f"{secret} and {other}")
    for allow in ([secret], [secret[:10] + ".*"]):
        found = Redactor(allow=allow).clean(line)
        assert secret.encode() in found.data
        assert other.encode() not in found.data
    assert Redactor(allow=["("]).clean(said(secret)).kinds == ("npm-token",)
    assert Redactor(allow=["npm"]).clean(said(secret)).kinds == ("npm-token",)


def test_a_pattern_cannot_take_exponential_time():
    own = Redactor({"slow": "(a+)+b"})
    started = time.perf_counter()
    assert own.clean(b"a" * 1_000_000).kinds == ()
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "piece",
    [
        b"a", b"password=", b"\\nPASSWORD=", b"password=\"", b"sk-", b"://", b"://a:b", b"eyJa.",
        b"-----BEGIN PRIVATE KEY-----", b"\\/", b"\\", b'"', b"[REDACTED:x:1111]", b"mysql ",
        b"--", b"cookie: a=", b"12345678:", b"key_", b".aaaaaa.", b"AKIA", b"\x00", b"password is ",
    ],
)  # fmt: skip
def test_what_is_repeated_costs_time_in_proportion(piece):
    def spent(size: int) -> float:
        line = piece * (size // len(piece))
        started = time.process_time()
        REDACTOR.clean(line)
        return time.process_time() - started

    spent(20_000)
    small = max(min(spent(20_000) for _ in range(2)), 0.005)
    assert spent(160_000) < 8 * 3 * small


def test_the_rules_have_a_name_that_changes_with_them():
    name = Redactor().rules_id()
    assert re.fullmatch("[0-9a-f]{12}", name)
    assert name == Redactor({}, ()).rules_id()
    others = {Redactor({"a": "b"}).rules_id(), Redactor({"a": "c"}).rules_id()}
    others |= {Redactor(allow=["b"]).rules_id(), name}
    assert len(others) == 4
    code = "from acontext_fs.redact import Redactor; print(Redactor().rules_id())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == name


def test_a_line_that_cannot_be_searched_is_kept_back(monkeypatch):
    assert issubclass(RedactionError, AcontextError)

    def fail(text: bytes) -> list[object]:
        raise MemoryError

    monkeypatch.setattr(secret_scan, "secrets_in", fail)
    with pytest.raises(RedactionError, match=r"MemoryError.*kept back"):
        REDACTOR.clean(b"{}")
    with pytest.raises(RedactionError):
        REDACTOR.clean_text("x")


def test_a_pattern_that_never_ends_finding_is_kept_back(monkeypatch):
    monkeypatch.setattr(redact, "marker", lambda kind, secret: b"zy")
    with pytest.raises(RedactionError, match="searches"):
        Redactor({"own": "z|y"}).clean(b"z")


def test_plain_text_is_cleaned_too():
    secret = SHAPED["slack"](redact_samples.random.Random(8))
    found = REDACTOR.clean_text(f"first\nTOKEN='{secret}'\nlast \udcff")
    assert secret not in found
    assert found.startswith("first\nTOKEN='[REDACTED:slack-token:")
    assert found.endswith("'\nlast \udcff")


def test_many_threads_share_one():
    lines = [one.line for one in SAMPLES[:60]]
    alone = [clean(line) for line in lines]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(clean, lines * 4)) == alone * 4


def test_the_engine_reads_bytes_and_says_what_is_broken():
    assert redact_engine.compiled("é+").search("aéé".encode()).end() == 5
    assert redact_engine.compiled(r"\xe9", latin=True).search(b"\xe9") is not None
    with pytest.raises(ValueError, match="missing"):
        redact_engine.compiled("(a")


pieces = st.sampled_from(
    [one.line for one in SAMPLES[::9]]
    + [b"\\", b'"', b"[REDACTED:x:1111]", b"[REDACTED:", b"password=", b'"token": "', b"\n", b"://"]
    + [b"\\n", b"\\u0026", b"\\/", b"\x00", b"\xff", b"sk-", b"eyJ", b"Bearer ", b"a1B2c3D4e5F6"]
)


@given(st.lists(pieces | st.binary(max_size=12), max_size=8))
def test_any_bytes_are_cleaned_once_and_for_all(parts):
    line = b"".join(parts).replace(b"\n", b" ")
    once = clean(line)
    assert b"\n" not in once
    assert clean(once) == once
    kept = MARKER.findall(line)
    assert [mark for mark in MARKER.findall(once) if mark in kept][: len(kept)] == kept


secrets = st.sampled_from([one.parts[0] for one in SAMPLES if len(one.parts) == 1])
texts = (
    strategies.text
    | secrets
    | st.builds("{}{}{}".format, strategies.text, secrets, strategies.text)
)
keys = (
    st.sampled_from(["password", "token", "a", "name", "value", "Authorization"]) | strategies.text
)
values = st.recursive(
    texts | st.integers(-(2**63), 2**63) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(keys, values, max_size=4), st.booleans(), st.integers(0, 2))
def test_json_stays_json_of_the_same_structure(value, ascii_only, level):
    line = json.dumps(value, ensure_ascii=ascii_only)
    for _ in range(level):
        line = json.dumps({"deeper": line}, ensure_ascii=ascii_only)
    data = line.encode("utf-8", errors="surrogatepass")
    found = clean(data)
    after = json.loads(found)
    for _ in range(level):
        after = json.loads(after["deeper"])
    assert len(json.dumps(shape(after))) >= 2
    assert clean(found) == found
    if data == found:
        assert after == value
