"""Secrets that can be told by their own shape: the keys and tokens of known providers.

Each row is a kind, the few characters that give it away (`lead`), and what has to follow. The leads
of all rows are looked for in one pass, in a language that RE2 reads; only where one stands is the
whole row tried. Sources: what providers publish about the format of their tokens.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Shape(NamedTuple):
    """A kind of token. `back` is how many bytes before its lead it may begin."""

    kind: str
    lead: str
    rest: str
    before: str = ""
    back: int = 0


_W = r"[A-Za-z0-9_-]"
_A = r"[A-Za-z0-9]"
_H = r"[0-9a-f]"
_UUID = rf"{_H}{{8}}-{_H}{{4}}-{_H}{{4}}-{_H}{{4}}-{_H}{{12}}"

# Leads that occur in other words and in base64 as well: only where a word begins.
AT_WORDS = (
    Shape("openai-key", r"sk-(?:proj|svcacct|admin|None)-", rf"{_W}{{20,400}}"),
    Shape("openrouter-key", "sk-or-", rf"{_W}{{20,200}}"),
    Shape("api-key", "sk-", rf"{_W}{{20,300}}"),
    Shape("stripe-key", r"[srp]k_(?:live|test|prod)_", r"[0-9A-Za-z_]{14,250}"),
    Shape("api-key", r"sk_", r"[A-Za-z0-9_]{24,200}"),
    Shape("google-api-key", "AIza", rf"{_W}{{35}}"),
    Shape("google-oauth-token", r"ya29\.", r"[A-Za-z0-9_.-]{20,2000}"),
    Shape("google-refresh-token", "1//0", rf"{_W}{{30,200}}"),
    Shape("huggingface-token", "hf_", rf"{_A}{{30,60}}"),
    Shape("npm-token", "npm_", rf"{_A}{{30,60}}"),
    Shape("pypi-token", r"pypi-", rf"{_W}{{50,1000}}"),
    Shape("replicate-token", "r8_", rf"{_A}{{30,60}}"),
    Shape("groq-key", "gsk_", rf"{_A}{{40,80}}"),
    Shape("xai-key", "xai-", rf"{_A}{{60,120}}"),
    Shape("perplexity-key", "pplx-", rf"{_A}{{32,80}}"),
    Shape("nvidia-key", "nvapi-", rf"{_W}{{40,100}}"),
    Shape("cerebras-key", "csk-", rf"{_A}{{40,80}}"),
    Shape("tavily-key", "tvly-", rf"{_W}{{20,80}}"),
    Shape("firecrawl-key", "fc-", rf"{_H}{{32}}"),
    Shape("fireworks-key", "fw_", rf"{_A}{{22,40}}"),
    Shape("voyage-key", "pa-[A-Za-z0-9]{6}", rf"{_W}{{34,54}}"),
    Shape("e2b-key", "e2b_", rf"{_H}{{40}}"),
    Shape("telnyx-key", "KEY0[0-9A-F]{6}", rf"{_A}{{20,26}}_{_A}{{20,24}}"),
    Shape("twilio-key", "SK[0-9a-z]{6}", r"[0-9a-z]{26}"),
    Shape("twilio-account", "AC[0-9a-z]{6}", r"[0-9a-z]{26}"),
    Shape("sendgrid-key", r"SG\.", rf"{_W}{{16,32}}\.{_W}{{16,64}}"),
    Shape("mailgun-key", "(?:pub)?key-", rf"{_H}{{32}}"),
    Shape("databricks-token", "(?:dapi|dose|dkea)", rf"{_H}{{32}}(?:-\d)?"),
    Shape("vault-token", r"hv[sbr]\.", rf"{_W}{{20,300}}"),
    Shape("vault-token", r"[sb]\.[A-Za-z0-9]{16}", rf"{_A}{{8}}(?!{_A})"),
    Shape("doppler-token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"[A-Za-z0-9_.-]{40,100}"),
    Shape("pulumi-token", "pul-", rf"{_H}{{40}}"),
    Shape("supabase-token", "sbp_", rf"(?:v0_)?{_H}{{40}}"),
    Shape("fly-token", "(?:fo1_|fm[12][ar]?_)", r"[A-Za-z0-9_+/=,-]{40,2000}"),
    Shape("netlify-token", "nf[pocu]_", rf"{_A}{{36,60}}"),
    Shape("vercel-token", "v(?:cp|ck|ci|ca|cr)_", rf"{_A}{{24,100}}"),
    Shape("cloudflare-key", r"v1\.0-", rf"{_H}{{24}}-{_H}{{146}}"),
    Shape("cloudflare-token", "cf(?:at|ut|k)_", rf"{_W}{{36,80}}"),
    Shape("facebook-token", "EAA", rf"{_A}{{90,400}}"),
    Shape("square-token", "(?:sq0(?:atp|csp|idp)-|EAAA)", rf"{_W}{{22,60}}"),
    Shape("airtable-token", r"pat[A-Za-z0-9]{14}\.", rf"{_H}{{64}}"),
    Shape("hubspot-token", "pat-(?:na|eu|ap)[0-9]-", _UUID),
    Shape("asana-token", r"[12]/[0-9]{16}(?:/[0-9]{16})?:", rf"{_H}{{32}}"),
    Shape("clickup-token", "pk_[0-9]{6,12}_", "[A-Z0-9]{32}"),
    Shape("dropbox-token", r"sl\.(?:u\.)?", rf"{_W}{{60,2000}}"),
    Shape("plaid-token", "access-(?:sandbox|development|production)-", _UUID),
    Shape("launchdarkly-key", "(?:sdk|api|mob)-[0-9a-f]{8}-", _UUID[18:]),
    Shape("prefect-key", "pn[ubt]_", rf"{_A}{{36}}"),
    Shape("grafana-token", "gl(?:c|sa)_", r"[A-Za-z0-9+/_=]{32,400}"),
    Shape("dynatrace-token", r"dt0[a-z][0-9]{2}\.", r"[A-Z0-9]{8,24}\.[A-Z0-9]{40,64}"),
    Shape("artifactory-key", "(?:AKCp|cmVmdGtu)", rf"{_A}{{50,80}}"),
    Shape("sonar-token", "sq[pua]_", rf"{_H}{{40}}"),
    Shape("buildkite-token", "bk(?:ua|at|aj|pat|ct)_", rf"{_A}{{32,60}}"),
    Shape("typeform-token", "tfp_", r"[A-Za-z0-9_.-]{40,80}"),
    Shape("infracost-key", "ico-", rf"{_A}{{32}}"),
    Shape("posthog-key", "ph[xsr]_", rf"{_A}{{32,60}}"),
    Shape("resend-key", r"re_[A-Za-z0-9]{6,10}_", rf"{_A}{{20,30}}"),
    Shape("easypost-key", "EZ[AT]K", rf"{_A}{{54}}"),
    Shape("1password-key", "A3-[A-Z0-9]{6}-", r"[A-Z0-9]{6,11}(?:-[A-Z0-9]{5,6}){3,4}"),
    Shape("alibaba-key", "LTAI", rf"{_A}{{12,24}}"),
    Shape("tencent-key", "AKID", rf"{_A}{{28,40}}"),
    Shape("crates-token", "cio[A-Za-z0-9]{16}", rf"{_A}{{16}}(?!{_A})"),
    Shape("adobe-secret", "p8e-", rf"{_A}{{32}}"),
    Shape("planetscale-token", "pscale_(?:tkn|oauth|pw)_", r"[A-Za-z0-9_=.-]{32,64}"),
    Shape("trigger-key", "tr_(?:dev|prod|stg|preview|pat)_", rf"{_A}{{16,60}}"),
    Shape("inngest-key", "signkey-(?:prod|test|branch)-", rf"{_H}{{32,64}}"),
    Shape("workos-key", "sk_(?:test|live|prod)_", rf"{_A}{{20,120}}"),
    Shape("firebase-token", r"[A-Za-z0-9_-]{11}:APA91b", rf"{_W}{{60,200}}"),
    Shape("telegram-token", "[0-9]{8,10}:[A-Za-z0-9_-]{12}", rf"{_W}{{21,24}}"),
    # Nobody knows all providers; many write what it is, in the token.
    Shape(
        "token",
        r"[A-Za-z][A-Za-z0-9]{1,11}[_-](?:live|prod|sandbox|secret|sk|pat|api|apikey|tok|token|key)_",
        r"[A-Za-z0-9]{20,120}",
    ),
)

# Leads that say enough wherever they stand.
ANYWHERE = (
    Shape("password-hash", r"\$(?:apr1|1)\$", r"[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"),
    Shape("password-hash", r"\$2[abxy]\$[0-9]{2}\$", "[./A-Za-z0-9]{53}"),
    Shape(
        "password-hash",
        r"\$[56y]\$",
        r"(?:rounds=[0-9]+\$|j[./A-Za-z0-9]{1,6}\$)?[./A-Za-z0-9]{1,32}\$[./A-Za-z0-9]{43,86}",
    ),
    Shape("password-hash", r"\$argon2(?:id|i|d)\$v=", r"[0-9]+\$[a-z0-9=,]+\$[\w+/]+\$[\w+/]{20,}"),
    Shape("anthropic-key", "sk-ant-", rf"{_W}{{20,300}}"),
    Shape("github-token", "gh[pousr]_", r"[A-Za-z0-9_]{30,251}"),
    Shape("github-token", "github_pat_", r"[A-Za-z0-9_]{30,250}"),
    Shape(
        "gitlab-token",
        "gl(?:pat|dt|ft|soat|rt|rtr|cbt|imt|ptt|agent|oas|ffct|wt)-",
        r"[\w.-]{20,1024}",
    ),
    Shape("gitlab-token", "GR1348941", rf"{_W}{{20,50}}"),
    Shape("slack-token", r"xox[a-z](?:\.xox[a-z])?-", r"[A-Za-z0-9-]{10,250}"),
    Shape("slack-token", r"xapp-[0-9]-", r"[A-Z0-9]+-[0-9]+-[a-z0-9]{20,120}"),
    Shape(
        "slack-webhook", r"hooks\.slack\.com/", r"(?:services|workflows|triggers)/[\w/+-]{20,200}"
    ),
    Shape("discord-webhook", r"discord(?:app)?\.com/api/", r"(?:v\d+/)?webhooks/\d+/[\w-]{40,100}"),
    Shape("teams-webhook", r"webhook\.office\.com/", r"[\w@/.-]{40,300}"),
    Shape("google-oauth-secret", "GOCSPX-", rf"{_W}{{24,40}}"),
    Shape("stripe-webhook-secret", "whsec_", r"[A-Za-z0-9+/=_-]{20,120}"),
    Shape("aws-key", "A(?:KIA|SIA|BIA|CCA|3T[A-Z0-9])[A-Z0-9]{4}", "[A-Z0-9]{12}"),
    Shape("aws-bedrock-key", "ABSK", r"[A-Za-z0-9+/]{80,300}={0,2}"),
    Shape("digitalocean-token", "do[opr]_v1_", rf"{_H}{{64}}"),
    Shape("heroku-key", "HRKU-", rf"{_W}{{30,80}}"),
    Shape("linear-key", "lin_(?:api|oauth|wh)_", rf"{_A}{{32,64}}"),
    Shape("notion-token", "(?:ntn|secret)_", rf"{_A}{{40,60}}"),
    Shape("shopify-token", "shp(?:at|ca|pa|ss|ua|tka)_", r"[0-9a-fA-F]{32,64}"),
    Shape("langsmith-key", "(?:lsv2_(?:pt|sk)|ls__)_?", rf"{_H}{{32}}(?:_{_H}{{10}})?"),
    Shape("pinecone-key", "pcsk_", r"[A-Za-z0-9_]{40,100}"),
    Shape("supabase-key", "sb_secret_", rf"{_W}{{20,60}}"),
    Shape("jina-key", "jina_", rf"{_W}{{40,80}}"),
    Shape("atlassian-token", "(?:ATATT3|ATCTT3|ATBB|BBDC-)", r"[A-Za-z0-9_=-]{24,300}"),
    Shape("figma-token", "fig[dour]_", rf"{_W}{{36,80}}"),
    Shape("postman-key", "PMAK-", rf"{_H}{{24}}-{_H}{{34}}"),
    Shape("newrelic-key", "NR(?:AK|II|JS|RA|AL)-", rf"{_A}{{19,40}}"),
    Shape("sentry-token", "sntry[su]_", r"[A-Za-z0-9_=+/]{40,400}"),
    Shape("docker-token", "dckr_(?:pat|oat)_", rf"{_W}{{24,60}}"),
    Shape("circleci-token", "CCIPAT_", rf"{_A}{{20,24}}_{_H}{{40}}"),
    Shape("brevo-key", "xkeysib-", rf"{_H}{{64}}-{_A}{{16}}"),
    Shape("shippo-token", "shippo_(?:live|test)_", rf"{_H}{{40}}"),
    Shape("tailscale-key", "tskey-", rf"{_W}{{20,120}}"),
    Shape("age-key", "AGE-SECRET-KEY-1", "[0-9A-Z]{50,60}"),
    Shape("1password-token", "ops_eyJ", r"[A-Za-z0-9+/_=-]{100,2000}"),
    Shape("contentful-token", "CFPAT-", rf"{_W}{{40,50}}"),
    Shape("rubygems-key", "rubygems_", rf"{_H}{{48}}"),
    Shape("clojars-token", "CLOJARS_", rf"{_A}{{60}}"),
    Shape("readme-key", "rdme_", r"[a-z0-9]{60,80}"),
    Shape("duffel-token", "duffel_(?:live|test)_", r"[A-Za-z0-9_=-]{40,50}"),
    Shape("flutterwave-key", "FLWSECK(?:_TEST)?-", r"[0-9a-zA-Z-]{12,50}"),
    Shape("frameio-token", "fio-u-", r"[A-Za-z0-9_=-]{60,70}"),
    Shape("zuplo-key", "zpka_", r"[a-z0-9_]{36,60}"),
    Shape("square-token", "sq0[a-z]{3}-", rf"{_W}{{22,43}}"),
    Shape("mapbox-token", r"sk\.eyJ", r"[\w-]{20,300}\.[\w-]{16,60}"),
    Shape("jwt", r"eyJ[A-Za-z0-9]", r"[\w=-]{8,4096}\.[\w=-]{8,8192}(?:\.[\w=-]{6,4096}){1,3}"),
    Shape("jwt", r"ZXlK[A-Za-z0-9]", r"[A-Za-z0-9+/_-]{60,8192}={0,2}"),
)

# Leads in the middle of a token.
WITHIN = (
    Shape(
        "discord-token",
        r"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{12}",
        rf"{_W}{{15,28}}",
        r"[MNO][\w-]{23,28}",
        29,
    ),
    Shape("terraform-token", r"\.atlasv1\.", rf"{_W}{{60,80}}", rf"{_A}{{14}}", 14),
    Shape("azure-key", "JQQJ99", rf"{_A}{{26}}", rf"{_A}{{52}}", 52),
    Shape("azure-client-secret", "[0-9]Q~", r"[\w~.-]{31,34}", r"[\w~.-]{3}", 3),
    Shape("mailchimp-key", "-us[0-9]", r"\d?", "[0-9a-z]{32}", 32),
    Shape("mailgun-key", r"[0-9a-f]-[0-9a-f]{8}-", rf"{_H}{{8}}", rf"{_H}{{31}}", 31),
)


def lead_of_all() -> str:
    """One expression for RE2 that finds every place where a token may stand."""
    at_words = "|".join(shape.lead for shape in AT_WORDS)
    free = "|".join(shape.lead for shape in (*ANYWHERE, *WITHIN))
    # A line break written as an escape ends in a letter, and no word begins after a letter.
    return rf"(?:(?:\b|\\[nrtbf])(?:{at_words})|{free})"


def _whole(shape: Shape) -> str:
    return f"(?:{shape.before})(?:{shape.lead})(?:{shape.rest})"


_AHEAD = (*ANYWHERE, *AT_WORDS)
# One expression, whose groups are numbered as the rows are: trying each by itself takes far longer.
_FORWARD = re.compile("|".join(f"({_whole(shape)})" for shape in _AHEAD).encode())
_BACKWARD = tuple(
    (shape, re.compile(shape.lead.encode()), re.compile(_whole(shape).encode())) for shape in WITHIN
)
_BREAK = re.compile(rb"\\[nrtbf]")
# Images and encrypted text hold every short sequence of letters sooner or later.
_BLOB = re.compile(rb"[A-Za-z0-9+/_-]{64}\Z")


class Token(NamedTuple):
    """A token found by its shape."""

    kind: str
    start: int
    end: int


def token_at(text: bytes, start: int) -> Token | None:
    """The token whose lead was found at `start`, whatever its value is worth."""
    if _BREAK.match(text, start):
        start += 2
    if match := _FORWARD.match(text, start):
        token = Token(_AHEAD[(match.lastindex or 1) - 1].kind, *match.span())
    elif (within := _token_around(text, start)) is not None:
        token = within
    else:
        return None
    return None if _BLOB.search(text, max(0, token.start - 64), token.start) else token


def _token_around(text: bytes, start: int) -> Token | None:
    for shape, lead, pattern in _BACKWARD:
        if lead.match(text, start):
            for match in pattern.finditer(text, max(0, start - shape.back), start + 200):
                if match.start() < start < match.end():
                    return Token(shape.kind, *match.span())
    return None
