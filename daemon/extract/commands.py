"""What a shell command was for: tests, a build, a commit, a look at a file.

Goes by the first words of each part of a command line. Quoted text and here-documents are left out
first, since a commit message may read like a command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

Purpose: TypeAlias = Literal[
    "", "run", "look", "test", "build", "check", "edit", "commit", "push", "propose", "poll", "todo"
]
"""What a step is for; "" is a tool that runs no program and changes no file. run: a program of
unknown purpose; check: a linter or formatter; propose: a pull request; poll: it asks how a program
goes that was started before."""

MAX_COMMAND = 1500
"""Characters of a command that are read."""


class Command(NamedTuple):
    """What a command is for, and of a look what was looked at: `head` "Read", `item` "a.py"."""

    purpose: Purpose
    head: str
    item: str
    text: str


_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1.*?(?:\n\s*\2\b|\Z)", re.S)
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"", re.S)
_SEPARATOR = re.compile(r"&&|\|\|?|;|\n|\$\(|`|\bdo\b|\bthen\b|(?<![>&\d])&(?!>)")
_SHELL = re.compile(r"^(?:\S*/)?(?:ba|z|da)?sh\s+-l?i?c\s+(['\"]?)(.*)\1\s*$", re.S)
_FOLDER = re.compile(r"^(?:cd|pushd)\s+(?:\"[^\"]*\"|'[^']*'|\S+)\s*(?:&&|;|\n)\s*(?=\S)")
_PREFIX = re.compile(
    r"^[\s({!]*(?:(?:[A-Za-z_]\w*=\S*|sudo|time|command|exec|env|nohup|timeout(?: -\S+)* \S+|npx"
    r"|bunx|pnpm (?:exec|dlx)|yarn (?:exec|dlx)|bundle exec|uv run(?: --?[\w-]+(?:=\S+)?)*"
    r"|(?:poetry|pipenv|hatch|pdm|rye) run|nice|xvfb-run|rtk|mise exec --|docker compose exec"
    r"(?: -\S+)* \S+|if|while|until|!) +)*"
)
_PYTHON = r"(?:\S*/)?python[\d.]*(?: -[a-zA-Z]\b)* (?:-m )?"
_RUNNER = r"(?:npm|pnpm|yarn|bun)(?: --?[\w-]+(?:[ =](?!run\b|test\b)\S+)?)*"
_TASKS = rf"(?:{_RUNNER} run(?:-script)?|yarn|bun|make|just|mise run|task|rake|invoke|inv|nox -s)"
_MAVEN = r"(?:(?:\./)?mvnw?|(?:\./)?gradlew?|gradle|sbt)\b[^|;&]*?"
_PATTERNS: tuple[tuple[Purpose, str], ...] = (
    ("propose", r"gh pr create\b|glab mr create\b|hub pull-request\b|az repos pr create\b"),
    ("commit", r"git(?: -\S+(?: [^\s-]\S*)?)* commit\b(?!-)|jj (?:commit|describe)\b"),
    ("push", r"git(?: -\S+(?: [^\s-]\S*)?)* push\b|jj git push\b"),
    (
        "test",
        rf"(?:{_PYTHON})?(?:\S*/)?(?:pytest|py\.test)\b|{_PYTHON}(?:unittest|nose2?|tox|nox)\b"
        rf"|{_PYTHON}\S*manage\.py test\b|{_PYTHON}\S*(?:test_\w+|_test|run_?tests?)\.py\b"
        r"|(?:\S*/)?(?:tox|nox|jest|vitest|mocha|ava|rspec|phpunit|pest|paratest|ctest|busted"
        r"|bats|karma|cypress run|playwright test|minitest|ginkgo|gotestsum)\b"
        rf"|{_RUNNER} (?:run )?(?:test|t)\b|{_TASKS} [\w:.-]*\btests?\b"
        rf"|{_MAVEN}\b(?:\w*[tT]ests?|verify|check)\b"
        r"|(?:go|cargo|dotnet|mix|swift|deno|bun|flutter|dart|zig build|bazel|buck2?|stack"
        r"|cabal|rails|bin/rails|lein|clj|crystal|meson|gleam|forge|hatch|moon|nx|turbo"
        r"|turbo run|composer|php artisan) (?:\S+ )?(?:nextest )?tests?\b"
        r"|cargo nextest\b|node (?:\S+ )*--test\b|xcodebuild\b[^|;&]*\btest\b|bin/test\b"
        r"|\./(?:\S*/)?(?:run[_-]?)?tests?(?:\.sh|\.py)?(?=\s|$)",
    ),
    (
        "check",
        r"(?:\S*/)?(?:ruff|mypy|pyright|basedpyright|flake8|black|isort|pylint|eslint"
        r"|prettier|biome|oxlint|golangci-lint|gofmt|goimports|staticcheck|shellcheck|shfmt"
        r"|rubocop|stylelint|ktlint|detekt|swiftlint|phpstan|psalm|pre-commit|clang-format"
        r"|clang-tidy|yamllint|markdownlint|rustfmt|ty check|tsc\b[^|;&]*--noEmit|knip)\b"
        rf"|{_PYTHON}(?:ruff|mypy|flake8|black|isort|pylint|pyright|compileall|py_compile)\b"
        r"|go vet\b|cargo (?:clippy|fmt)\b|mix (?:format|credo)\b|dotnet format\b"
        rf"|{_TASKS} [\w:.-]*\b(?:lint|fmt|format|typecheck|type-check|types|check|vet)\b"
        r"|php -l\b|node --check\b|bash -n\b|terraform (?:validate|fmt|plan)\b",
    ),
    (
        "build",
        r"(?:go|dotnet|swift|docker|cabal|stack|zig|bazel|next|vite|nx|turbo|hugo|lake|dune"
        r"|uv|poetry|hatch|docker compose|podman|meson|flutter|ng|dart|gleam|forge) build\b"
        r"|cargo (?:build|check|b)\b|(?:go|cargo) install\b|tsc\b|webpack\b|rollup\b|esbuild\b"
        r"|(?:\./)?mvnw?\b|(?:\./)?gradlew?\b|make\b(?! -n)|cmake\b|ninja\b|xcodebuild\b"
        r"|mix compile\b|rustc\b|gcc\b|g\+\+|clang\b|clang\+\+|javac\b|msbuild\b|sbt\b"
        rf"|{_TASKS} [\w:.-]*\b(?:build|compile|bundle)\b"
        rf"|{_PYTHON}build\b|(?:latexmk|pdflatex)\b",
    ),
)
_PURPOSES = tuple((purpose, re.compile(f"(?:{pattern})")) for purpose, pattern in _PATTERNS)
_READS = frozenset(
    "cat head tail less more nl bat wc jq yq stat od xxd strings awk cut file".split()
)
_LISTS = frozenset("ls tree find fd du pwd eza exa".split())
_SEARCHES = frozenset("rg grep egrep fgrep ag ack".split())
_FILTERS = frozenset(
    "sort uniq tr true false echo printf which type command date whoami uname hostname basename "
    "dirname realpath readlink column test [ sleep diff cmp tee xargs env printenv id sed export "
    "set source . cd pushd popd wait done fi esac read local exit return break continue for".split()
)
_GIT_LOOK = re.compile(
    r"git(?: -\S+(?: [^\s-]\S*)?)* (?:status|log|diff|show|blame|branch(?! -[dDmM])|remote"
    r"|rev-parse|ls-files|ls-tree|grep|describe|reflog|shortlog|cat-file|config --get|merge-base"
    r"|for-each-ref|stash list|tag -l|check-ignore|rev-list|worktree list|fetch)\b"
    r"|gh (?:(?:pr|issue|run|repo|release|workflow) (?:view|list|diff|checks|status|watch)"
    r"|auth status|search)\b"
    r"|(?:docker|kubectl|podman)(?: compose)? (?:ps|logs|get|describe|images)\b"
    r"|(?:npm|pnpm|yarn|pip|uv pip|cargo|brew) (?:ls|list|view|show|info|search|outdated|tree)\b"
)
_SEDS_PLACE = re.compile(r"\bsed\b[^|;&]* -\w*i|\bperl\b[^|;&]* -\w*i")
_WRITES = re.compile(r"(?<![\d&<>=-])>>?\s*(?!&|/dev/)([^\s;&|<>()]+)")
_PATH = re.compile(r"[^\s\"'`|;&<>()]+")
_NAME = re.compile(r"[A-Za-z]")
_NO_PATH = re.compile(r"-.*|[\d,$]+p?|NR.*")
_PATCH = "*** Begin Patch"


def read(command: str) -> Command:
    """What `command` is for."""
    text = unwrapped(command[:MAX_COMMAND])
    bare = _HERE.sub("…", text) if "<<" in text else text
    plain = _QUOTED.sub('""', bare) if "'" in bare or '"' in bare else bare
    parts = [part for one in _SEPARATOR.split(plain) if (part := _PREFIX.sub("", one).strip())]
    if _PATCH in text:
        return Command("edit", "Edited", "", text)
    shown = " ".join(bare.split())
    if "git init" in plain:
        # What is committed there is a trial, and no work.
        return Command("run", "Ran", "", shown)
    for purpose, pattern in _PURPOSES:
        if any(pattern.match(part) for part in parts):
            return Command(purpose, "Ran", "", shown)
    if _SEDS_PLACE.search(plain):
        target = _last_path(parts)
        return Command("edit" if target else "run", "Edited" if target else "Ran", target, shown)
    written = _WRITES.search(plain)
    if written and _is_kept(written.group(1)) and all(_is_quiet(part) for part in parts):
        return Command("edit", "Wrote", written.group(1), shown)
    if parts and all(_is_look(part) for part in parts) and not written:
        head, item = _looked(parts, text)
        return Command("look", head, item, shown)
    return Command("run", "Ran", "", shown)


def unwrapped(command: str) -> str:
    """The command without the shell around it and the change of folder in front of it."""
    text = command.strip()
    if match := _SHELL.match(text):
        text = match.group(2).strip()
    while (shorter := _FOLDER.sub("", text, count=1)) != text:
        text = shorter
    return text


def _is_kept(path: str) -> bool:
    """Is it a file that outlasts the session, as far as its name tells?"""
    return not path.startswith(("/tmp/", "/dev/", "$", '"'))


def _is_quiet(part: str) -> bool:
    return part.partition(" ")[0] in _READS | _FILTERS | {"mkdir", "touch"}


def _is_look(part: str) -> bool:
    word = part.partition(" ")[0].rpartition("/")[2]
    known = word in _READS or word in _LISTS or word in _SEARCHES or word in _FILTERS
    return (known and "-delete" not in part and "-exec" not in part) or bool(_GIT_LOOK.match(part))


def _looked(parts: list[str], text: str) -> tuple[str, str]:
    """The head and item of a look: of its first part that looks at something."""
    for part in parts:
        word, _, rest = part.partition(" ")
        if word in _READS or (word == "sed" and rest):
            if path := _read_path(rest):
                return "Read", path
        elif word in _SEARCHES and "--files" not in rest:
            if wanted := _wanted(word, text):
                return "Searched for", f'"{wanted}"'
        elif word in _LISTS or word in _SEARCHES:
            paths = [one for one in rest.split() if not one.startswith("-") and '"' not in one]
            return "Listed", paths[0] if paths else "files"
    return "Ran", ""


def _read_path(rest: str) -> str:
    """The last argument that can be a path: neither an option, a number nor a program text."""
    for word in reversed(rest.split()):
        if _PATH.fullmatch(word) and _NAME.search(word) and not _NO_PATH.fullmatch(word):
            return word
    return ""


def _wanted(word: str, text: str) -> str:
    """What a search looks for: its first argument that is no option."""
    match = re.search(
        rf"\b{word}\b(?:\s+-{{1,2}}[\w-]+(?:=\S+|\s+\d+)?)*\s+"
        r"(?:'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|([^\s-]\S*))",
        text,
    )
    found = next((one for one in match.groups() if one), "") if match else ""
    return " ".join(found.split())[:60]


def _last_path(parts: list[str]) -> str:
    for part in parts:
        if part.startswith(("sed", "perl")):
            return _read_path(part)
    return ""


def command_text(values: Mapping[str, Any]) -> str:
    """The command among a call's arguments: a text, or a list of words."""
    for key in ("command", "cmd", "script", "code", "input", "commands"):
        value = values.get(key)
        if isinstance(value, list):
            words = [one for one in value if isinstance(one, str)]
            # The last word of ["bash", "-lc", "..."] is a command line of its own.
            wrapped = len(words) == 3 and words[1] in ("-c", "-lc", "-ic", "-lic", "-Command")
            value = words[2] if wrapped else " ".join(words)
        if isinstance(value, str) and value.strip():
            return value
    return ""
