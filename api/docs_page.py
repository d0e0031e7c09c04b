"""The page at `/docs`: the OpenAPI schema as plain HTML, without a script and without the net."""

from __future__ import annotations

import json
from html import escape
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;
color:#1a1a1a;background:#fff}
h2{margin-top:3rem;border-bottom:1px solid #ddd}h3{margin:2rem 0 0}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f4;border-radius:4px}
code{padding:.1rem .3rem}pre{padding:.7rem;overflow-x:auto}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;
padding:.25rem .6rem .25rem 0;border-bottom:1px solid #eee}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}
code,pre{background:#262626}h2,td,th{border-color:#333}a{color:#8ab4f8}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def respond(schema: dict[str, Any], base: str) -> Response:
    """The page as an answer; `base` is the address in its examples."""
    return Response(
        render(schema, base),
        media_type="text/html",
        headers={"Content-Security-Policy": _POLICY},
    )


def render(schema: dict[str, Any], base: str) -> str:
    """The whole page."""
    info = schema["info"]
    routes = [(path, item["get"]) for path, item in schema["paths"].items()]
    groups: dict[str, list[str]] = {}
    for path, route in routes:
        groups.setdefault(route["tags"][0], []).append(_route(path, route, base))
    body = "".join(f"<h2>{escape(name)}</h2>{''.join(each)}" for name, each in groups.items())
    shapes = "".join(map(_shape, sorted(schema["components"]["schemas"].items())))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}'
        f'</title><meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{_text(info['description'])}"
        f'<p>The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>{body}'
        f"<h2>shapes</h2>{shapes}</html>\n"
    )


def _route(path: str, route: dict[str, Any], base: str) -> str:
    parameters = route.get("parameters", [])
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code><td>{escape(_type(one['schema']))}"
        f"<td>{escape(one.get('description', ''))}"
        for one in parameters
    )
    answer = route["responses"].get("200", {})
    return (
        f"<h3><code>GET {escape(path)}</code></h3>{_text(route.get('description', ''))}"
        f"{f'<table>{rows}</table>' if rows else ''}"
        f"<pre>curl '{escape(base)}{escape(_example(path, parameters))}'</pre>"
        f"<p>Answers {_answer(answer)}</p>"
    )


def _example(path: str, parameters: list[dict[str, Any]]) -> str:
    """The path with the example of each of its parameters, and of the first in the query."""
    shown: dict[str, Any] = {}
    for one in parameters:
        examples = one.get("examples") or one["schema"].get("examples") or [""]
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(examples[0]))
        elif one.get("required") or not shown:
            value = examples[0]
            shown[one["name"]] = json.dumps(value) if isinstance(value, bool) else value
    query = urlencode({name: value for name, value in shown.items() if value != ""})
    return f"{path}?{query}" if query else path


def _answer(answer: dict[str, Any]) -> str:
    content = answer.get("content", {})
    links = [
        _type(kind["schema"]) if "schema" in kind else media for media, kind in content.items()
    ]
    return ", ".join(f"<code>{escape(link)}</code>" for link in links) or "an error"


def _shape(named: tuple[str, dict[str, Any]]) -> str:
    name, shape = named
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code><td>{escape(_type(value))}"
        f"<td>{escape(value.get('description', ''))}"
        for field, value in shape.get("properties", {}).items()
    )
    return (
        f'<h3 id="{escape(name)}"><code>{escape(shape.get("title", name))}</code></h3>'
        f"{_text(shape.get('description', ''))}<table>{rows}</table>"
    )


def _type(value: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2]
    if "anyOf" in value:
        return " or ".join(map(_type, value["anyOf"]))
    if "enum" in value or "const" in value:
        return " | ".join(map(str, value.get("enum", [value.get("const")])))
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}))}"
    return str(value.get("type", "anything"))


def _text(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())
