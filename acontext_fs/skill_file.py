"""One SKILL.md: reading it leniently, judging it strictly, writing it.

The format is the Agent Skills specification (agentskills.io): YAML front matter between two lines
`---`, then Markdown. The reader takes what people's editors and other tools leave behind (a byte
order mark, CRLF, keys of one client, a colon that YAML stumbles over). The judge accepts only what
every known reader of the format understands, the strictest of them included (`skills-ref`, which
knows block YAML only and cuts the file at the first `---` it meets).

Says nothing about a skill's other files: that is `acontext_fs.skills`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml  # type: ignore[import-untyped,unused-ignore]
from frontmatter.default_handlers import YAMLHandler

from acontext_fs import layout
from acontext_fs.errors import InvalidName, SkillInvalid

FENCE = "---"
KEYS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
"""The keys the specification knows; strict readers refuse a file with any other."""

FRONT_MATTER_BYTES_MAX = 32 * 1024
DESCRIPTION_LENGTH_MAX = 1024
COMPATIBILITY_LENGTH_MAX = 500

MANAGED_KEY = "acontext-managed"
"""Metadata key; its value "false" keeps every learner out of the skill."""
_NO = frozenset(["false", "no", "off", "0", "n", "never"])

_BOM = "\ufeff"
_STRING = "tag:yaml.org,2002:str"
_VALUE_LINE = re.compile(r"([A-Za-z][\w-]*):[ \t]+(?![\"'|>\[{&*!#])(.+)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_REFUSED_TOKENS = {
    yaml.AnchorToken: "an anchor",
    yaml.AliasToken: "an alias",
    yaml.TagToken: "a tag",
    yaml.FlowMappingStartToken: "a mapping in braces",
    yaml.FlowSequenceStartToken: "a list in brackets",
    yaml.DirectiveToken: "a directive",
    yaml.DocumentStartToken: "a second document",
    yaml.DocumentEndToken: "a second document",
}


@dataclass(frozen=True, slots=True)
class Skill:
    """What a SKILL.md says. `folder` is where it stands, `keys` its front matter's keys in order.

    `metadata` holds the text values of the `metadata` key; `body` is the Markdown behind the
    front matter, its leading blank lines left out. `managed` is what it says of learners: its
    `MANAGED_KEY`, also where it stands outside of `metadata`; "" if nothing.
    """

    name: str
    description: str
    folder: str
    metadata: Mapping[str, str]
    body: str
    keys: tuple[str, ...]
    managed: str = ""


def parse(data: bytes, folder: str) -> Skill:
    """Read the SKILL.md of `folder` as leniently as its meaning allows.

    Raises:
        SkillInvalid: there is no front matter, or no usable name or description in it.
    """
    front, body = _split(data, folder)
    values = _load(front, folder)
    metadata = _text_values(values.get("metadata"))
    return Skill(
        name=_folded(values.get("name"), "name", folder),
        description=_folded(values.get("description"), "description", folder),
        folder=folder,
        metadata=metadata,
        body=body,
        keys=tuple(str(key) for key in values),
        managed=metadata.get(MANAGED_KEY, "") or str(values.get(MANAGED_KEY, "")),
    )


def is_managed(skill: Skill) -> bool:
    """Whether learners may write into this skill, as far as its owner is concerned."""
    return skill.managed.strip().lower() not in _NO


def halves(text: str) -> tuple[str, str]:
    """A SKILL.md cut behind its front matter; all of it in the second half if it has none."""
    lines = text.split("\n")
    if lines[0].removeprefix(_BOM).rstrip() == FENCE:
        for number, line in enumerate(lines[1:], start=1):
            if line.rstrip() == FENCE:
                return "\n".join(lines[: number + 1]), "\n".join(lines[number + 1 :])
    return "", text


def front_values(data: bytes, folder: str) -> dict[str, Any]:
    """The front matter as YAML text, lists and mappings; no type is guessed.

    Raises:
        SkillInvalid: there is no front matter that can be read.
    """
    front, _ = _split(data, folder)
    return dict(_load(front, folder))


def validate(data: bytes, folder: str, *, any_line_ends: bool = False) -> None:
    """Judge the SKILL.md of `folder` by the whole of the specification.

    With `any_line_ends` a byte order mark and CRLF are passed over: git and editors of Windows
    bring them in by themselves.

    Raises:
        SkillInvalid: it breaks a rule; the text names the file, the rule and what to do.
    """
    if any_line_ends:
        data = data.removeprefix(_BOM.encode()).replace(b"\r\n", b"\n")
    text = _strict_text(data, folder)
    head, fence, _ = text[len(FENCE) + 1 :].partition(f"\n{FENCE}\n")
    if not fence:
        head, fence, rest = text[len(FENCE) + 1 :].rpartition(f"\n{FENCE}")
        if not fence or rest:
            raise _invalid(folder, f"has no line {FENCE!r} that ends the front matter", "add it")
    if FENCE in head:
        raise _invalid(
            folder, f"has {FENCE!r} inside the front matter", "write it another way there"
        )
    values = _strict_values(head, folder)
    _check_keys(values, folder)
    _check_values(values, folder)


def render(
    name: str, description: str, body: str, metadata: Mapping[str, str] | None = None
) -> bytes:
    """A SKILL.md that every reader accepts: quoted scalars, LF, no byte order mark.

    Raises:
        SkillInvalid: a value breaks the specification.
    """
    lines = [FENCE, f"name: {_quoted(name)}", f"description: {_quoted(description)}"]
    if metadata:
        lines.append("metadata:")
        lines += [f"  {_quoted(key)}: {_quoted(value)}" for key, value in metadata.items()]
    text = body.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    lines += [FENCE, "", text] if text else [FENCE]
    try:
        data = ("\n".join(lines) + "\n").encode()
    except UnicodeEncodeError as error:
        raise _invalid(name, "holds a lone surrogate", "write only Unicode text") from error
    validate(data, name)
    return data


def _invalid(folder: str, problem: str, advice: str) -> SkillInvalid:
    return SkillInvalid(f"{folder}/{layout.SKILL_FILE} {problem}: {advice}")


def _split(data: bytes, folder: str) -> tuple[str, str]:
    """The front matter and the body, of whatever line ends and encoding."""
    text = data.decode("utf-8", errors="replace").removeprefix(_BOM)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n \t").split("\n")
    if lines[0].rstrip() != FENCE:
        raise _invalid(folder, "does not begin with front matter", f"begin it with {FENCE!r}")
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == FENCE:
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :]).lstrip("\n")
    raise _invalid(folder, f"has no line {FENCE!r} that ends the front matter", "add it")


def _load(front: str, folder: str) -> dict[str, Any]:
    if len(front.encode()) > FRONT_MATTER_BYTES_MAX:
        raise _invalid(
            folder, f"has more than {FRONT_MATTER_BYTES_MAX} bytes of front matter", "shorten it"
        )
    values, problem = _try_load(front)
    if problem:
        # What breaks most often is a colon in an unquoted description.
        values, _ = _try_load("\n".join(_with_quotes(line) for line in front.split("\n")))
    if not isinstance(values, dict):
        raise _invalid(folder, f"has front matter that is no YAML mapping{problem}", "mend it")
    return values


@functools.lru_cache(maxsize=256)  # The same few are read again and again, by a slow parser.
def _try_load(front: str) -> tuple[Any, str]:
    try:
        return YAMLHandler().load(front, Loader=_Loader), ""
    except (yaml.YAMLError, RecursionError) as error:
        return None, f" ({_yaml_problem(error)})"


class _Loader(yaml.BaseLoader):  # type: ignore[misc,unused-ignore]
    """Guesses no types: `1.0`, `no` and `2026-05-04` stay the text they are."""

    def construct_scalar(self, node: Any) -> str:
        # PyYAML leaves escaped surrogates as they are, also in pairs (`"\\ud83d\\ude00"`, as JSON
        # writes an emoji), and no UTF-8 can hold them.
        text: str = super().construct_scalar(node)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _yaml_problem(error: yaml.YAMLError | RecursionError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    mark = getattr(error, "problem_mark", None)
    where = f" on its line {mark.line + 1}" if mark is not None else ""
    return f"{problem or 'nested too deeply'}{where}"


def _with_quotes(line: str) -> str:
    match = _VALUE_LINE.fullmatch(line.rstrip())
    return f"{match[1]}: {_quoted(match[2].strip())}" if match else line


def _folded(value: object, key: str, folder: str) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        raise _invalid(folder, f"has no {key}", f"give it one in the front matter ({key}: ...)")
    return text


def _text_values(value: object) -> Mapping[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return MappingProxyType({str(key): item for key, item in pairs if isinstance(item, str)})


def _strict_text(data: bytes, folder: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 at byte {error.start}"
        raise _invalid(folder, problem, "save it as UTF-8") from error
    if text.startswith(_BOM):
        raise _invalid(folder, "begins with a byte order mark", "save it without one")
    if "\r" in text:
        raise _invalid(folder, "has carriage returns", "end its lines with LF alone")
    if "\0" in text:
        raise _invalid(folder, "holds a NUL byte", "remove it")
    if not text.startswith(f"{FENCE}\n"):
        raise _invalid(folder, f"does not begin with a line {FENCE!r}", "begin it with one")
    return text


@functools.lru_cache(maxsize=256)
def _strict_values(head: str, folder: str) -> Mapping[str, Any]:
    """The front matter's nodes by key, after refusing what block YAML does not have."""
    if len(head.encode()) > FRONT_MATTER_BYTES_MAX:
        raise _invalid(
            folder, f"has more than {FRONT_MATTER_BYTES_MAX} bytes of front matter", "shorten it"
        )
    try:
        for token in yaml.scan(head, Loader=yaml.SafeLoader):
            what = _REFUSED_TOKENS.get(type(token))
            if what:
                raise _invalid(folder, f"has {what} in the front matter", "use plain block YAML")
            if isinstance(token, yaml.ScalarToken) and _SURROGATE.search(token.value):
                problem = "has half of a surrogate pair in the front matter"
                raise _invalid(folder, problem, "write the character itself")
        node = yaml.compose(head, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = f"has front matter that is no YAML ({_yaml_problem(error)})"
        raise _invalid(folder, problem, "put its values in double quotes") from error
    if not isinstance(node, yaml.MappingNode):
        raise _invalid(folder, "has front matter that is no YAML mapping", "write `key: value`")
    return _pairs(node, "the front matter", folder)


def _pairs(node: yaml.MappingNode, where: str, folder: str) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _invalid(folder, f"has a key in {where} that is no text", "use plain keys")
        if key.value in pairs:
            raise _invalid(folder, f"has the key {key.value!r} twice in {where}", "keep one")
        pairs[key.value] = value
    return pairs


def _check_keys(values: Mapping[str, Any], folder: str) -> None:
    for key in values:
        if key not in KEYS:
            known = ", ".join(KEYS)
            raise _invalid(
                folder, f"has the key {key!r}", f"only {known} are allowed; use metadata for more"
            )
    for key in ("name", "description"):
        if key not in values:
            raise _invalid(folder, f"has no {key}", "add it to the front matter")


def _check_values(values: Mapping[str, Any], folder: str) -> None:
    name = _string(values["name"], "name", folder)
    try:
        layout.check_name("skill", name)
    except InvalidName as error:
        raise SkillInvalid(f"{folder}/{layout.SKILL_FILE}: {error}") from error
    if name != folder:
        raise _invalid(folder, f"is named {name!r}", "the name and the folder must be the same")
    description = _string(values["description"], "description", folder)
    _check_length(description, "description", DESCRIPTION_LENGTH_MAX, folder)
    if "<" in description or ">" in description:
        raise _invalid(folder, "has < or > in its description", "use words instead")
    if "compatibility" in values:
        compatibility = _string(values["compatibility"], "compatibility", folder)
        _check_length(compatibility, "compatibility", COMPATIBILITY_LENGTH_MAX, folder)
    for key in ("license", "allowed-tools"):
        if key in values:
            _string(values[key], key, folder)
    if "metadata" in values:
        if not isinstance(values["metadata"], yaml.MappingNode):
            raise _invalid(folder, "has metadata that is no mapping", "write `  key: value` lines")
        for key, value in _pairs(values["metadata"], "metadata", folder).items():
            _string(value, f"metadata {key!r}", folder)


def _string(node: object, key: str, folder: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != _STRING:
        raise _invalid(folder, f"has a value for {key} that is no text", "put it in double quotes")
    return str(node.value)


def _check_length(text: str, key: str, most: int, folder: str) -> None:
    if not text.strip():
        raise _invalid(folder, f"has an empty {key}", "write one")
    if len(text) > most:
        raise _invalid(folder, f"has a {key} of {len(text)} characters", f"at most {most}")


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar on one line that never holds the fence."""
    return '"' + "".join(map(_escaped, text)).replace("--", "-\\x2d") + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable() or 0xD800 <= ord(char) <= 0xDFFF:
        return char
    code = ord(char)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
