"""Made-up secrets in the surroundings in which transcripts hold them. Drawn, never written down."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
URLSAFE = ALNUM + "-_"


class Sample(NamedTuple):
    """A line and the secret in it; `parts` are the pieces that must not remain."""

    kind: str
    place: str
    line: bytes
    parts: tuple[str, ...]


def draw(rng: random.Random, alphabet: str, size: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(size))


def _password(rng: random.Random) -> str:
    words = ["tulip", "Harbor", "copper", "Falcon", "river", "Maple", "quartz", "Winter"]
    return rng.choice(
        [
            rng.choice(words) + rng.choice("!#%+-_*") + draw(rng, string.digits, 4),
            draw(rng, ALNUM, rng.randint(10, 20)),
            rng.choice(words) + rng.choice(words) + draw(rng, string.digits, 2),
            draw(rng, ALNUM, 6) + rng.choice("!*+-_") + draw(rng, ALNUM, 6),
        ]
    )


def _jwt(rng: random.Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": "HS256", "typ": "JWT"})
    body = part({"sub": draw(rng, string.digits, 10), "iat": rng.randint(10**9, 2 * 10**9)})
    return f"{head}.{body}.{draw(rng, URLSAFE, 43)}"


def _private_key(rng: random.Random) -> str:
    name = rng.choice(["RSA ", "EC ", "OPENSSH ", ""])
    lines = [draw(rng, ALNUM + "+/", 64) for _ in range(rng.randint(3, 25))]
    lines.append(draw(rng, ALNUM + "+/", rng.randint(20, 60)) + "=")
    dashes = "-" * 5
    body = "\n".join(lines)
    return f"{dashes}BEGIN {name}PRIVATE KEY{dashes}\n{body}\n{dashes}END {name}PRIVATE KEY{dashes}"


Draw = Callable[[random.Random], str]
SHAPED: dict[str, Draw] = {
    "aws-key": lambda r: "AK" + "IA" + draw(r, string.ascii_uppercase + "234567", 16),
    "github": lambda r: "gh" + r.choice("pousr") + "_" + draw(r, ALNUM, 36),
    "github-fine": lambda r: "github" + "_pat_" + draw(r, ALNUM, 22) + "_" + draw(r, ALNUM, 59),
    "gitlab": lambda r: "gl" + "pat-" + draw(r, URLSAFE, 20),
    "slack": lambda r: (
        f"xox{r.choice('bp')}-{draw(r, '123456789', 12)}-{draw(r, '123456789', 12)}-"
        + draw(r, ALNUM, 24)
    ),
    "slack-webhook": lambda r: (
        "https://hooks."
        + "slack.com/services/T"
        + draw(r, string.ascii_uppercase, 8)
        + "/B"
        + draw(r, string.ascii_uppercase, 10)
        + "/"
        + draw(r, ALNUM, 24)
    ),
    "stripe": lambda r: "sk" + "_live_" + draw(r, ALNUM, r.choice([24, 99])),
    "twilio": lambda r: "SK" + draw(r, HEX, 32),
    "sendgrid": lambda r: "SG" + "." + draw(r, URLSAFE, 22) + "." + draw(r, URLSAFE, 43),
    "npm": lambda r: "npm" + "_" + draw(r, ALNUM, 36),
    "pypi": lambda r: "pypi-" + "AgEIcHlwaS5vcmc" + draw(r, URLSAFE, 120),
    "openai": lambda r: "sk-" + draw(r, ALNUM, 20) + "T3Blbk" + "FJ" + draw(r, ALNUM, 20),
    "openai-project": lambda r: "sk-" + "proj-" + draw(r, URLSAFE, 120),
    "anthropic": lambda r: "sk-" + "ant-api03-" + draw(r, URLSAFE, 93) + "AA",
    "google": lambda r: "AI" + "za" + draw(r, URLSAFE, 35),
    "huggingface": lambda r: "hf" + "_" + draw(r, string.ascii_letters, 34),
    "telegram": lambda r: draw(r, "123456789", 10) + ":AA" + draw(r, URLSAFE, 33),
    "discord": lambda r: (
        "M" + draw(r, ALNUM, 25) + "." + draw(r, URLSAFE, 6) + "." + draw(r, URLSAFE, 38)
    ),
    "mailgun": lambda r: "key-" + draw(r, HEX, 32),
    "digitalocean": lambda r: "dop" + "_v1_" + draw(r, HEX, 64),
    "databricks": lambda r: "da" + "pi" + draw(r, HEX, 32),
    "linear": lambda r: "lin" + "_api_" + draw(r, ALNUM, 40),
    "notion": lambda r: "ntn" + "_" + draw(r, ALNUM, 46),
    "vault": lambda r: "hv" + "s." + draw(r, URLSAFE, 90),
    "jwt": _jwt,
    "private-key": _private_key,
}
NAMED: dict[str, Draw] = {
    "aws-secret-access-key": lambda r: draw(r, ALNUM + "/+", 40),
    "heroku-api-key": lambda r: "-".join(draw(r, HEX, n) for n in (8, 4, 4, 4, 12)),
    "datadog-api-key": lambda r: draw(r, HEX, 32),
    "db-password": _password,
    "client-secret": lambda r: draw(r, ALNUM, 32),
    "auth-token": lambda r: draw(r, URLSAFE, 40),
    "signing-key": lambda r: draw(r, HEX, 64),
}
TEXTS = {
    "prose": "I set it up with {s} and it still fails with 401, can you look?",
    "tool output": "$ env | sort\nHOME=/home/dev\nSHELL=/bin/bash\nVALUE={s}\nTERM=xterm\n",
    "numbered": "  1\u2192import os\n  2\u2192VALUE = '{s}'\n  3\u2192\n  4\u2192def main():\n",
    "argument": "curl -s https://api.internal.io/v1/things?limit=5 -H 'X-Thing: {s}' | jq .",
    "code": 'client = Client("{s}", timeout=30)\nclient.run()\n',
    "list": "- first: 1\n- second: {s}\n",
}
NAMED_TEXTS = {
    ".env": "PORT=3000\n{U}={s}\nDEBUG=true\n",
    "export": "export {U}='{s}'\nnpm start\n",
    "export bare": "export {U}={s} && npm start",
    "yaml": "service:\n  {u}: {s}\n  port: 80\n",
    "yaml quoted": 'service:\n  {k}: "{s}"\n  port: 80\n',
    "python": 'import os\n{u} = "{s}"\nos.environ["{U}"] = "{s}"\n',
    "call": 'connect(host="db1", {u}="{s}", retries=3)',
    "js": "const cfg = {{ {c}: '{s}', retries: 3 }};",
    "json": '{{\n  "name": "svc",\n  "{u}": "{s}",\n  "n": 1\n}}',
    "json camel": '{{"{c}":"{s}","n":1}}',
    "pair": '[{{"name": "{U}", "value": "{s}"}}, {{"name": "A", "value": "b"}}]',
    "k8s": "env:\n  - name: {U}\n    value: {s}\n",
    "toml": '[server]\n{k} = "{s}"\n',
    "flag": "svc login --{k} {s} --verbose",
    "flag =": "svc login --{k}={s}",
    "docker": "docker run -e {U}={s} -p 80:80 img",
    "dockerfile": "FROM x\nENV {U} {s}\nRUN make\n",
    "properties": "app.{d}={s}\napp.name=x\n",
    "query": "GET /v1/items?{u}={s}&limit=3 HTTP/1.1",
    "header": "X-{H}: {s}\nAccept: */*\n",
    "xml": "<config><{c}>{s}</{c}></config>",
    "numbered": "     9\u2192{U}={s}\n    10\u2192X=1\n",
    "diff": "@@ -1 +1 @@\n-{U}=\n+{U}={s}\n",
    "prose": "the {w} is {s} by the way, please use it",
    "prose colon": "here is my {w}: {s}",
}


def _forms(text: str) -> Iterator[tuple[str, Callable[[str], bytes]]]:
    """How a tool's text gets into a line of a transcript."""

    def said(value: str) -> bytes:
        block = {"type": "tool_result", "tool_use_id": "toolu_01", "content": value}
        return json.dumps({"type": "user", "message": {"content": [block]}}).encode()

    def nested(value: str) -> bytes:
        arguments = json.dumps({"cmd": ["bash", "-lc", value], "workdir": "/w"})
        return json.dumps({"payload": {"arguments": arguments}}, separators=(",", ":")).encode()

    def twice(value: str) -> bytes:
        return json.dumps({"a": json.dumps({"b": json.dumps({"c": value})})}).encode()

    def slashed(value: str) -> bytes:
        text = json.dumps({"text": value}).replace("/", "\\/")
        return text.replace("&", "\\u0026").replace("=", "\\u003d").replace("<", "\\u003c").encode()

    def lines(value: str) -> bytes:
        rows = ["+" + row for row in value.split("\n")]
        return json.dumps({"structuredPatch": [{"lines": rows}]}, ensure_ascii=False).encode()

    yield "string", said
    yield "json in json", nested
    yield "json in json in json", twice
    yield "more escapes", slashed
    yield "lines of a patch", lines
    yield "plain", lambda value: value.replace("\n", "\r").encode()


def _parts(secret: str) -> tuple[str, ...]:
    if "\n" in secret:
        return tuple(row for row in secret.split("\n") if not row.startswith("-"))
    return (secret,)


def _named(text: str, kind: str, secret: str) -> str:
    words = kind.split("-")
    camel = words[0] + "".join(word.title() for word in words[1:])
    return text.format(
        s=secret, U="_".join(words).upper(), u="_".join(words), k=kind, c=camel,
        d=".".join(words), H="-".join(word.title() for word in words), w=" ".join(words),
    )  # fmt: skip


def _special(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Kinds that have surroundings of their own: kind, text, secret."""
    password = _password(rng)
    yield (
        "url-password",
        f"DATABASE_URL=postgres://app:{password}@db3.prod.internal:5432/x",
        password,
    )
    yield "url-password", f"mongodb+srv://svc:{password}@cluster0.ab1cd.mongodb.net/db", password
    yield "url-password", f"git clone https://bot:{password}@git.corp.io/a/b.git", password
    token = draw(rng, ALNUM, 40)
    yield "bearer", f"Authorization: Bearer {token}", token
    yield "bearer", f"headers={{'Authorization': 'Bearer {token}'}}", token
    basic = base64.b64encode(f"admin:{password}".encode()).decode()
    yield "basic", f"curl -H 'Authorization: Basic {basic}' https://x.io", basic
    yield "docker-auth", f'{{"auths":{{"ghcr.io":{{"auth":"{basic}"}}}}}}', basic
    yield "npmrc", f"//registry.npmjs.org/:_authToken={token}\nsave=true", token
    yield "pip", f"[global]\nindex-url = https://ci:{token}@packages.corp.io/simple", token
    yield "cookie", f"Cookie: theme=dark; session={token}; lang=en", token
    yield "cookie", f"Set-Cookie: sid={token}; Path=/; HttpOnly", token
    key = draw(rng, ALNUM + "+/", 86) + "=="
    yield "azure", f"AccountName=a;AccountKey={key};EndpointSuffix=core.windows.net", key
    yield "azure", f"Server=tcp:x.database.windows.net;User ID=a;Password={password};", password
    yield "curl-user", f"curl -u deploy:{password} https://ci.corp.io/job", password
    yield "netrc", f"machine api.corp.io login bob password {password}\n", password
    yield "sql", f"CREATE USER app WITH PASSWORD '{password}';", password
    yield "sshpass", f"sshpass -p '{password}' ssh root@10.0.0.5", password
    sas = draw(rng, ALNUM, 42) + "%3D"
    yield "azure-sas", f"https://a.blob.core.windows.net/c/b?sv=2022-11-02&se=2026&sig={sas}", sas
    aws = draw(rng, ALNUM + "/+", 40)
    identity = SHAPED["aws-key"](rng)
    yield "aws-pair", f"id,secret\n{identity},{aws}\n", aws


def samples(seed: int, rounds: int = 4) -> list[Sample]:
    """Lines with one secret each, the same for a seed."""
    rng = random.Random(seed)
    found: list[Sample] = []

    def add(kind: str, place: str, text: str, secret: str) -> None:
        name, form = rng.choice(list(_forms(text)))
        found.append(Sample(kind, f"{place}, {name}", form(text), _parts(secret)))

    for _ in range(rounds):
        for kind, make in SHAPED.items():
            secret = make(rng)
            place = rng.choice(list(TEXTS))
            add(kind, place, TEXTS[place].replace("{s}", secret), secret)
        for place, text in NAMED_TEXTS.items():
            kind = rng.choice(list(NAMED))
            secret = NAMED[kind](rng)
            add(kind, place, _named(text, kind, secret), secret)
        for kind, text, secret in _special(rng):
            add(kind, "its own", text, secret)
    return found


# A text with a place for a secret, and a secret that was once cut, or passed by.
HARD: list[tuple[str, str]] = [
    ('{{"password":"{s}"}}', "p$$w0rd#1x"),
    ('{{"password":"{s}"}}', "jltBu7 6gTGB7k"),
    ('{{"password":"{s}"}}', "Wf(Pf)BWteG9"),
    ('{{"password":"{s}"}}', "WfvPf&BWteG, X7CpR"),
    ('DB_PASSWORD="{s}"', "Ab1(x)Cd2"),
    ("DB_PASSWORD={s}", "Ab1<Cd2>e"),
    ("DB_PASSWORD={s}", "Ab1'Cd2e9"),
    ("DB_PASSWORD={s}", "WfvPf&BWteG, X7CpR"),
    ("PORT=1\nDB_PASSWORD={s}\nHOST=a", "tulip7 harbor lamp"),
    ("    11\u2192PORT=1\n    12\u2192DB_PASSWORD={s}\n", "jltBu7 harbor"),
    ("db:\n  password: {s}\n  port: 1", "Ab1|Cd2e9"),
    ("db:\n  password: {s}\n  port: 1", "abc,DEF123"),
    ("db:\n  password: {s}\n  port: 1", "a;b9Xk2;zz9"),
    ("password={s}", "pXf1E;LyBvE"),
    ("kind: Secret\ndata:\n  password: {s}\n", "cGFzc3dvcmQxMjM0NQ=="),
    ("kind: Secret\ndata:\n  token: {s}\n", "UhafERBNlIvW2NBT1MvQ0hzWEU="),
    ('"pass": "{s}"', "Xk29slq!"),
    ('FOO_TOKEN="{s}"', "LcFh2VPVk"),
    ("| password | {s} |", "Xk29slqP"),
    ("db_password      {s}\n", "Xk29slqP"),
    ("https://a.io/x?access_token={s}&b=1", "Xk29slqP1"),
    ('{{"private_key_id": "{s}"}}', "9fceb02d0ae598e95dc970b74767f19372d61af8"),
    ('{{"kty":"EC","crv":"P-256","d":"{s}"}}', "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"),
    ('{{"secret": {{"sensitive": true, "value": "{s}"}}}}', "Xk29slqP11"),
    ("redis-cli -h r1 -a {s} ping", "Xk29!slq"),
    ("echo '{s}' | sudo -S reboot", "Xk29 slq(7)"),
    ("mysqldump -uroot -p'{s}' app", "Xk29,slq|7"),
    ("sshpass -p '{s}' ssh a@b", "Xk29,slq|7"),
    ("curl -s -u 'bob:{s}' https://a.io", "Xk29,slq7"),
    ("ldapsearch -D cn=a -w {s} -b dc=x", "Xk29!slq"),
    ("db.internal:5432:app:bob:{s}\n", "Xk29!slq"),
    ("root:$6$rounds=5000$abc${s}:19000", "Qx7aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0z" * 2),
    ("ALTER USER app IDENTIFIED BY '{s}';", "Xk29,sl<7"),
    ("https://{s}@o1.ingest.sentry.io/2", "9fceb02d0ae598e95dc970b74767f193"),
    ('config.setDbPassword("{s}");', "Xk29!slq"),
    ("child.expect('password:'); child.sendline('{s}')", "Xk29!slq"),
    ("api_key = os.environ.get('API_KEY') or '{s}'", "Xk29slqP11aaQ2"),
    ("the password is {s}", "Tr0ub4dor&rCaqx9"),
    ("my pw: {s}", "copper+4621"),
    ("user deploy / {s} as password", "copper+4621"),
    ("user admin, password {s}", "copper+4621"),
    ("login with admin/{s}", "copper+4621"),
    ("creds are admin:{s}", "copper+4621"),
    ("the password is `{s}`", "copper+4621"),
    ("the password is **{s}**", "copper+4621"),
    ("password was {s}", "copper+4621"),
    ("the password should be {s}", "copper+4621"),
    ("my password for staging is {s}", "copper+4621"),
    ("use {s} as the password", "copper+4621"),
    ("log in as admin with {s} please", "copper+4621"),
    ("Passwort: {s}", "copper+4621"),
    ("mot de passe : {s}", "copper+4621"),
    ("\u5bc6\u7801: {s}", "copper+4621"),
    ("\u5bc6\u7801\u662f{s}", "copper+4621"),
    ("la contrase\u00f1a es {s}", "copper+4621"),
    ("{s}", "gh" + "p_abcdEFGH1234567890zyxwvuTSRQponmlkji"),
    ("{s}", "AK" + "IAQWERTYUIOP123456"),
    ("AWS_SECRET_ACCESS_KEY={s}", "abcdEFGHijklMNOPqrstUVWXyz0123456789abcd"),
]


def remains(sample: Sample, cleaned: bytes) -> bool:
    """Whether any part of the secret can still be read from the cleaned line."""
    plain = cleaned
    for _ in range(4):  # Undo the escapes of JSON in JSON in JSON.
        plain = plain.replace(b"\\/", b"/").replace(b"\\u003d", b"=").replace(b"\\u0026", b"&")
        plain = plain.replace(b"\\\\", b"\\").replace(b'\\"', b'"')
    return any(part.encode() in text for part in sample.parts for text in (cleaned, plain))
