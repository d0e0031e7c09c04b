"""What programs print about themselves, and what command lines are for."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.daemon.extract import commands, output


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("=== 3 failed, 12 passed in 1.20s ===", "3 failed, 12 passed"),
        ("12 passed, 2 warnings in 2.10s", "12 passed"),
        ("=== 2 errors in 0.31s ===", "2 failed"),
        ("Ran 12 tests in 0.1s\n\nOK", "12 passed"),
        ("Ran 12 tests in 0.1s\n\nFAILED (failures=1, errors=2)", "3 failed, 9 passed"),
        ("ok  \tshop/cart\t0.3s\nok  \tshop/pay\t(cached)", "tests passed"),
        ("--- PASS: TestA (0s)\n--- PASS: TestB (0s)\nPASS\nok  \tshop\t0.1s", "2 passed"),
        ("--- FAIL: TestX (0.0s)\nFAIL\nFAIL\tshop\t0.1s", "1 failed"),
        ("FAIL\tshop/cart [build failed]", "tests failed"),
        ("test result: ok. 12 passed; 0 failed;\ntest result: ok. 3 passed; 0 failed", "15 passed"),
        ("test result: FAILED. 3 passed; 1 failed; 0 ignored", "1 failed, 3 passed"),
        ("Summary [0.5s] 12 tests run: 11 passed, 1 failed, 0 skipped", "1 failed, 11 passed"),
        ("Test Suites: 1 failed, 3 total\nTests:  2 failed, 9 passed", "2 failed, 9 passed"),
        (" Test Files  1 passed (1)\n      Tests  5 passed (5)", "5 passed"),
        ("\x1b[31m Tests  1 failed\x1b[39m | 4 passed (5)", "1 failed, 4 passed"),
        ("  12 passing (30ms)\n  1 failing", "1 failed, 12 passed"),
        ("# pass 12\n# fail 1", "1 failed, 12 passed"),
        (" 12 pass\n 0 fail", "12 passed"),
        ("ok | 12 passed | 0 failed", "12 passed"),
        ("10 examples, 1 failure", "1 failed, 9 passed"),
        ("8 runs, 9 assertions, 0 failures, 0 errors, 0 skips", "8 passed"),
        (
            "Tests run: 3, Failures: 0, Errors: 0\nTests run: 9, Failures: 1, Errors: 1",
            "2 failed, 7 passed",
        ),
        ("12 tests completed, 1 failed", "1 failed, 11 passed"),
        ("Passed!  - Failed:     0, Passed:    12, Skipped:     0, Total:    12", "12 passed"),
        ("OK (12 tests, 34 assertions)", "12 passed"),
        ("Tests: 12, Assertions: 34, Failures: 1.", "1 failed, 11 passed"),
        ("Executed 12 tests, with 1 failure (0 unexpected)", "1 failed, 11 passed"),
        ("100% tests passed, 0 tests failed out of 12", "12 passed"),
        ("12 tests, 0 failures", "12 passed"),
        ("not ok 1 - adds", "1 failed"),
    ],
)  # fmt: skip
def test_what_test_runners_print(text, note):
    found = output.tests(text)
    assert found is not None
    assert found.note == note


@pytest.mark.parametrize(
    "text", ["", "nothing to test", "All checks passed!", "Found 3 errors in 2 files", "ok"]
)
def test_what_is_no_test_run(text):
    assert output.tests(text) is None


def test_a_commit_is_known_by_gits_answer_and_else_by_the_command():
    answer = "[main (root-commit) 12ab34cd] Add the cart\n 1 file changed"
    assert output.committed(answer, "git commit -m x") == "12ab34c: Add the cart"
    assert output.committed("", "git add . && git commit -qm 'Add the cart'") == '"Add the cart"'
    assert output.committed("", "git commit --amend --no-edit") == ""


def test_pushes_and_requests_name_where_they_went():
    assert output.pushed("To h:a/b.git\n   1a2b3c4..5d6e7f8  main -> main") == "main"
    assert output.pushed(" * [new branch]      fix-x -> fix-x") == "fix-x"
    assert output.pushed("Everything up-to-date") == ""
    address = "https://example.org/a/b/pull/12"
    assert output.proposed(f"Creating pull request\n{address}\n") == address


@pytest.mark.parametrize(
    ("command", "purpose"),
    [
        ("pytest -q", "test"),
        ("cd /a/b && uv run pytest tests/x.py 2>&1 | tail -5", "test"),
        ("python3 -m pytest", "test"),
        ("python -m unittest discover", "test"),
        ("python manage.py test shop", "test"),
        ("go test ./...", "test"),
        ("RUST_BACKTRACE=1 cargo test --workspace", "test"),
        ("cargo nextest run", "test"),
        ("npx jest src", "test"),
        ("pnpm --filter web test", "test"),
        ("npm run test:unit", "test"),
        ("yarn test", "test"),
        ("bundle exec rspec", "test"),
        ("mvn -q test", "test"),
        ("./gradlew :app:testDebugUnitTest", "test"),
        ("dotnet test", "test"),
        ("vendor/bin/phpunit", "test"),
        ("mix test", "test"),
        ("make test", "test"),
        ("just test-all", "test"),
        ("timeout 60 ./run_tests.sh", "test"),
        ("if ! go test ./...; then echo no; fi", "test"),
        ("npm run build", "build"),
        ("cargo build --release", "build"),
        ("make -j4", "build"),
        ("docker build -t x .", "build"),
        ("tsc -p .", "build"),
        ("tsc --noEmit", "check"),
        ("ruff check . && mypy .", "check"),
        ("npx eslint src", "check"),
        ("cargo clippy", "check"),
        ("npm run lint", "check"),
        ("git add -A && git commit -m 'run pytest'", "commit"),
        ("git -C /a/b commit -m x", "commit"),
        ("git push -u origin HEAD", "push"),
        ("git push && gh pr create --fill", "propose"),
        ("ls -la", "look"),
        ("grep -rn 'pytest' .", "look"),
        ("git status && git diff", "look"),
        ("bash -lc \"sed -n '1,20p' a.py\"", "look"),
        ("gh pr view 12", "look"),
        ("sed -i 's/a/b/' a.py", "edit"),
        ("cat > a.py <<'EOF'\nimport pytest\npytest.main()\nEOF", "edit"),
        ("cat > /tmp/a.py <<'EOF'\nx\nEOF\npython /tmp/a.py", "run"),
        ("mkdir x && cd x && git init && git commit --allow-empty -m init", "run"),
        ("./deploy.sh", "run"),
        ("find . -name '*.pyc' -delete", "run"),
        ("", "run"),
    ],
)
def test_what_a_command_is_for(command, purpose):
    assert commands.read(command).purpose == purpose


@pytest.mark.parametrize(
    ("command", "head", "item"),
    [
        ("cat src/a.py", "Read", "src/a.py"),
        ("nl -ba src/a.py | sed -n '1,40p'", "Read", "src/a.py"),
        ("head -50 a.py", "Read", "a.py"),
        ('rg -n "def main" src', "Searched for", '"def main"'),
        ("grep -A 3 main a.py", "Searched for", '"main"'),
        ("ls src", "Listed", "src"),
        ("rg --files", "Listed", "files"),
        ("sed -i '' 's/a/b/' src/a.py", "Edited", "src/a.py"),
        ("echo hi > a.txt", "Wrote", "a.txt"),
    ],
)
def test_what_a_command_looked_at_or_changed(command, head, item):
    found = commands.read(command)
    assert (found.head, found.item) == (head, item)


def test_a_command_may_be_a_list_of_words():
    assert commands.command_text({"command": ["bash", "-lc", "make it"]}) == "make it"
    assert commands.command_text({"command": ["make", "it"]}) == "make it"
    assert commands.command_text({"cmd": "make"}) == "make"
    assert commands.command_text({"other": 1}) == ""


@given(st.text(max_size=200))
def test_any_command_is_read(command):
    found = commands.read(command)
    assert len(found.text) <= commands.MAX_COMMAND
    output.tests(command)


@pytest.mark.parametrize(
    "piece",
    ["a=b ", "npm ", "cd a && ", "git -c a ", "'", '"', "<<a\n", "uv run --x ", "sed ", "1 "],
)
def test_no_command_takes_long_to_read(piece):
    text = piece * (commands.MAX_COMMAND // len(piece))
    started = time.process_time()
    commands.read(text)
    output.tests(text)
    assert time.process_time() - started < 0.5
