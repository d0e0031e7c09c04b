"""The rules of the house, as tests: imports, sizes, banned calls, documentation."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("acontext_fs", "daemon", "api", "spaces")
FILES = sorted(
    path
    for part in PARTS
    for path in (ROOT / part).rglob("*.py")
    if not any(parent.is_symlink() for parent in path.parents)
)
ALL_FILES = sorted([*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")])

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# A foreign library is known to one module; these few are needed in more places.
ANYWHERE = {"orjson", "click"}
HOMES = {
    # The jail is a program of its own that imports as little as it can.
    # One name before Python 3.14 and one since.
    "backports": {"acontext_fs/formats/sources.py"},
    "compression": {"acontext_fs/formats/sources.py"},
    "duckdb": {"acontext_fs/index/engine.py", "acontext_fs/index/jail.py"},
    "filelock": {"acontext_fs/owning.py"},
    "frontmatter": {"acontext_fs/skill_file.py"},
    "httpx2": {"acontext_fs/models/openai.py"},
    "openai": {"acontext_fs/models/openai.py"},
    "pydantic": {"acontext_fs/settings.py", "acontext_fs/models/arguments.py"},
    # One writes, one makes its objects, one reads.
    "pygit2": {"acontext_fs/history.py", "acontext_fs/objects.py", "acontext_fs/revisions.py"}
    # Tells git to run programs of ours.
    | {"acontext_fs/git_settings.py"}
    # What stands beside the branch, and what a person has under way.
    | {"acontext_fs/proposals.py", "acontext_fs/rescued.py"}
    | {"acontext_fs/gitindex.py", "acontext_fs/repository.py"},
    "re2": {"acontext_fs/redact_engine.py"},
    "rich": {"acontext_fs/cli/show.py"},
    "splintr": {"acontext_fs/tokens.py"},
    "uvicorn": {"acontext_fs/cli/serve.py", "api/patient.py"},
    "watchdog": {"daemon/watch.py"},
    "yaml": {"acontext_fs/skill_file.py"},
}
# The web framework and its models are what the API is made of.
IN_THE_API = {"fastapi", "starlette", "pydantic"}
# Where everything may be raised and nothing may escape.
BROAD_EXCEPT = {"daemon/work.py", "acontext_fs/cli/serve.py"}
# Who may look at the clock, wait, or read the environment.
CLOCK = {"acontext_fs/clock.py", "acontext_fs/gitlock.py", "acontext_fs/history.py"}
CLOCK |= {"acontext_fs/requests.py", "acontext_fs/cli/run.py", "acontext_fs/cli/demo.py"}
CLOCK |= {"acontext_fs/placing.py"}
ENVIRONMENT = {"acontext_fs/cli/__init__.py", "acontext_fs/cli/wiring.py"}
# A program of its own, which git runs.
ENVIRONMENT |= {"acontext_fs/git_merge.py"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports_of(path: Path) -> Iterator[str]:
    """The absolute names of what a module imports."""
    package = ["acontext_fs", *path.relative_to(ROOT).with_suffix("").parts][:-1]
    if package[1:2] == ["acontext_fs"]:
        package = package[1:]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module or ""]).strip(".")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def calls_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    name = name_of(path)
    forbidden = {
        "acontext_fs/": ("acontext_fs.daemon", "acontext_fs.api"),
        "daemon/": ("acontext_fs.api", "acontext_fs.cli"),
        "api/": ("acontext_fs.daemon", "acontext_fs.cli"),
        "spaces/": ("acontext_fs.daemon", "acontext_fs.api", "acontext_fs.cli"),
    }
    if name.startswith("acontext_fs/cli/"):
        return  # It wires the parts together.
    banned = next(names for start, names in forbidden.items() if name.startswith(start))
    for imported in imports_of(path):
        assert not imported.startswith(banned), f"{name} imports {imported}"
        assert imported.split(".")[0] not in ("daemon", "api", "spaces"), f"{name}: {imported}"


def test_records_import_nothing_of_ours() -> None:
    found = imports_of(ROOT / "acontext_fs/records.py")
    assert not [name for name in found if name.startswith("acontext_fs")]


def test_every_foreign_library_has_a_home() -> None:
    own = {"acontext_fs", *sys.stdlib_module_names}
    for path in FILES:
        for imported in imports_of(path):
            library = imported.split(".")[0]
            if library in IN_THE_API and name_of(path).startswith("api/"):
                continue
            if library and library not in own and library not in ANYWHERE:
                homes = HOMES.get(library, set())
                assert name_of(path) in homes, f"{name_of(path)} imports {library}"


def test_one_module_knows_sqlite() -> None:
    found = [name_of(path) for path in FILES if "sqlite3" in set(imports_of(path))]
    assert found == ["acontext_fs/index/search.py"]


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_no_data_is_split_by_splitlines(path: Path) -> None:
    # It also cuts at U+2028 and a few more, in the middle of a JSON record.
    banned = "splitlines"
    assert not [line for name, line in calls_of(path) if name.endswith(f".{banned}")]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_except_is_broad_or_silent(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            broad = caught in ("everything", "Exception", "BaseException")
            assert not broad or name_of(path) in BROAD_EXCEPT, f"line {node.lineno}: {caught}"
            silent = all(isinstance(item, ast.Pass) for item in node.body)
            assert not silent, f"line {node.lineno} swallows {caught}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_time_waiting_printing_and_environment_have_their_places(path: Path) -> None:
    name = name_of(path)
    for call, line in calls_of(path):
        if call in ("time.time", "time.monotonic", "time.sleep", "datetime.now", "time.strftime"):
            assert name in CLOCK, f"line {line} calls {call}"
        if call == "print":
            assert name.startswith("acontext_fs/cli/"), f"line {line} prints"
    reads = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.Attribute)]
    if any(node.attr in ("environ", "getenv") for node in reads):
        assert name in ENVIRONMENT


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_files_and_functions_fit_on_a_screen(path: Path) -> None:
    limit = FILE_LINES_MAX if path in FILES else 2 * FILE_LINES_MAX
    assert path.read_text().count("\n") <= limit
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_names_say_what_a_thing_is(path: Path) -> None:
    words = re.split(r"[_/.]", name_of(path).removesuffix(".py"))
    assert not {"utils", "util", "manager", "helper", "helpers", "misc"} & set(words)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_left_for_later(path: Path) -> None:
    words = ["TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error"]
    text = path.read_text()
    assert not [word for word in words if re.search(rf"\b{word}\b", text)]


def test_the_help_imports_nothing_heavy() -> None:
    heavy = {"pygit2", "duckdb", "openai", "fastapi", "pydantic", "rich", "watchdog", "filelock"}
    heavy |= {"uvicorn", "starlette", "splintr", "sqlite3"}
    for path in [
        ROOT / "acontext_fs/__init__.py",
        *sorted((ROOT / "acontext_fs/cli").glob("*.py")),
    ]:
        for node in tree_of(path).body:  # Only what is imported when the module is.
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
                assert not {name.split(".")[0] for name in names} & heavy, name_of(path)


def test_documents_name_no_line_numbers() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        assert not re.search(r"\.py:\d+", path.read_text()), path.name
