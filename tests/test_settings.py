import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from acontext_fs import settings
from acontext_fs.errors import SettingsError
from acontext_fs.settings import Settings, SpaceSettings

DOCS = Path(__file__).parent.parent / "docs" / "settings.md"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "acontext.toml"
    path.write_text("")
    return path


def test_without_anything_said_the_defaults_hold(file):
    assert settings.load(file, {}) == Settings()
    assert not Settings().uses_model


def test_flag_goes_before_environment_before_file_before_default(file):
    key = "max_concurrency"
    assert settings.load(file, {}).max_concurrency == 4
    file.write_text("max_concurrency = 5")
    assert settings.load(file, {}).max_concurrency == 5
    environment = {"ACONTEXT_FS_MAX_CONCURRENCY": "6"}
    assert settings.load(file, environment).max_concurrency == 6
    assert settings.load(file, environment, {key: 7}).max_concurrency == 7
    assert settings.load(file, environment, {key: None}).max_concurrency == 6


def test_keys_of_acontext_keep_their_name_and_ours_have_a_prefix():
    assert settings.variable_of("llm_base_url") == "LLM_BASE_URL"
    assert settings.variable_of("max_tokens_per_day") == "ACONTEXT_FS_MAX_TOKENS_PER_DAY"


def test_an_empty_variable_says_nothing(file):
    file.write_text('llm_simple_model = "m"')
    environment = {"LLM_SIMPLE_MODEL": "", "LLM_API_KEY": "", "OPENAI_API_KEY": ""}
    found = settings.load(file, environment)
    assert found.llm_simple_model == "m"
    assert not found.uses_model


def test_the_key_of_openai_is_taken_and_our_own_goes_before_it(file):
    found = settings.load(file, {"OPENAI_API_KEY": "theirs"})
    assert (found.llm_api_key, found.uses_model) == ("theirs", True)
    found = settings.load(file, {"OPENAI_API_KEY": "theirs", "LLM_API_KEY": "ours"})
    assert found.llm_api_key == "ours"


def test_a_base_url_alone_is_a_model_too(file):
    assert settings.load(file, {"LLM_BASE_URL": "http://127.0.0.1:1/v1"}).uses_model


def test_a_secret_in_the_file_is_refused_without_being_shown(file):
    file.write_text('llm_api_key = "sk-very-secret"')
    with pytest.raises(SettingsError, match="LLM_API_KEY") as raised:
        settings.load(file, {"LLM_API_KEY": "x"})
    assert "committed" in str(raised.value)
    assert "very-secret" not in str(raised.value)


def test_a_secret_is_in_no_text_of_the_settings(file):
    found = settings.load(file, {"LLM_API_KEY": "sk-very-secret"})
    assert "very-secret" not in repr(found) + str(found)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("max_concurency = 3", "did you mean max_concurrency?"),
        ("LLM_BASE_URL = 'x'", "is no setting"),
        ("zzz = 1", "known are llm_api_key, llm_base_url"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(file, line, said):
    file.write_text(line)
    with pytest.raises(SettingsError) as raised:
        settings.load(file, {})
    assert said in str(raised.value)
    assert str(file) in str(raised.value)
    assert repr(line.split()[0]) in str(raised.value)


@pytest.mark.parametrize(
    "line",
    [
        "max_concurrency = 0",
        "max_concurrency = 1.5",
        "max_concurrency = 'many'",
        "max_tokens_per_day = -1",
        "llm_response_timeout = 0",
        "llm_response_timeout = inf",
        "llm_response_timeout = nan",
        "project_session_message_buffer_ttl_seconds = inf",
        "llm_simple_model = 4",
        "llm_simple_model = ['m']",
    ],
)
def test_a_value_of_the_wrong_type_or_size_is_refused_with_its_place(file, line):
    file.write_text(line)
    key, _, value = line.partition(" = ")
    with pytest.raises(SettingsError) as raised:
        settings.load(file, {})
    text = str(raised.value)
    assert text.startswith(f"{key} from {file} is ")
    assert value.strip("'") in text.replace('"', "'")
    assert "\n" not in text


def test_the_place_of_a_wrong_value_is_the_one_it_came_from(file):
    file.write_text("max_concurrency = 3")
    variable = "ACONTEXT_FS_MAX_CONCURRENCY"
    with pytest.raises(SettingsError, match=rf"from the environment \({variable}\) is 'x'"):
        settings.load(file, {variable: "x"})
    with pytest.raises(SettingsError, match="from the option --max-concurrency is 0"):
        settings.load(file, {variable: "x"}, {"max_concurrency": 0})


@pytest.mark.parametrize("data", [b"= 3", b"a = ", b"\xff", b"[x"])
def test_what_is_no_toml_is_said_with_the_file(file, data):
    file.write_bytes(data)
    with pytest.raises(SettingsError, match=f"{re.escape(str(file))} is not valid TOML"):
        settings.load(file, {})


def test_a_missing_file_is_said_with_what_writes_it(tmp_path):
    with pytest.raises(SettingsError, match="acontext-fs init"):
        settings.load(tmp_path / "acontext.toml", {})


def test_settings_cannot_be_changed_once_read(file):
    found = settings.load(file, {})
    with pytest.raises(ValidationError):
        found.max_concurrency = 9


def test_a_space_without_a_file_has_the_defaults(tmp_path):
    assert settings.load_space(tmp_path / "space.toml") == SpaceSettings()


def test_a_space_says_whose_it_is_and_whether_it_learns(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text('user = "u"\nlearn = false\n[meta]\nteam = "a"\n')
    found = settings.load_space(path)
    assert (found.user, found.learn, found.meta) == ("u", False, {"team": "a"})
    path.write_text("lern = false")
    with pytest.raises(SettingsError, match=r"did you mean learn\?"):
        settings.load_space(path)
    path.write_text('learn = "perhaps"')
    with pytest.raises(SettingsError, match=r"learn from .* is 'perhaps'"):
        settings.load_space(path)


def test_the_criteria_of_a_space_go_before_those_of_the_store():
    store = Settings(task_success_criteria="a", task_failure_criteria="b")
    found = settings.criteria(store, SpaceSettings(task_failure_criteria="c"))
    assert (found.success, found.failure) == ("a", "c")


def test_the_token_of_the_api_is_a_secret_as_the_key_is(file):
    found = settings.load(file, {"ACONTEXT_FS_API_TOKEN": "very-secret"})
    assert found.api_token == "very-secret"
    assert "very-secret" not in repr(found) + str(found)
    file.write_text('api_token = "very-secret"')
    with pytest.raises(SettingsError, match="ACONTEXT_FS_API_TOKEN") as raised:
        settings.load(file, {})
    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "\N{SNOWMAN}", " "])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(file, token):
    with pytest.raises(SettingsError, match="api_token from the environment") as raised:
        settings.load(file, {"ACONTEXT_FS_API_TOKEN": token})
    assert repr(token) not in str(raised.value)


def test_a_list_is_an_array_in_the_file_and_text_with_commas_in_the_environment(file):
    assert settings.load(file, {}).api_allowed_hosts == ()
    file.write_text('api_allowed_hosts = ["box", "box.lan"]')
    assert settings.load(file, {}).api_allowed_hosts == ("box", "box.lan")
    environment = {"ACONTEXT_FS_API_ALLOWED_HOSTS": " a.example ,,[::2], *"}
    assert settings.load(file, environment).api_allowed_hosts == ("a.example", "[::2]", "*")
    environment = {"ACONTEXT_FS_API_CORS_ORIGINS": "https://a.example,http://localhost:3000"}
    found = settings.load(file, environment).api_cors_origins
    assert found == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize(
    "line",
    [
        "api_port = 65536",
        "api_port = -1",
        "api_port = '8029'",
        "api_host = ''",
        "api_allowed_hosts = 'box'",
        "api_allowed_hosts = [4]",
        "api_allowed_hosts = ['box:80']",
        "api_allowed_hosts = ['http://box']",
        "api_cors_origins = ['*']",
        "api_cors_origins = ['https://a.example/']",
    ],
)
def test_an_address_that_cannot_be_one_is_refused_with_its_place(file, line):
    file.write_text(line)
    with pytest.raises(SettingsError, match=f"^{line.split()[0]} from {re.escape(str(file))} is "):
        settings.load(file, {})


def documented(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading of the documentation, by key."""
    text = DOCS.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.split("\n")
        if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_setting_is_documented_with_its_variable_and_default_and_nothing_else_is():
    rows = documented("acontext.toml")
    assert list(rows) == list(Settings.model_fields)
    for key, field in Settings.model_fields.items():
        default, variable, meaning = rows[key]
        assert f"`{settings.variable_of(key)}`" in variable, key
        shown = str(field.default).lower() if field.annotation is bool else field.default
        assert default == ("none" if field.default in ("", ()) else f"`{shown}`"), key
        assert len(meaning) > 20, key


def test_every_setting_of_a_space_is_documented_with_its_default():
    rows = documented("space.toml")
    assert list(rows) == list(SpaceSettings.model_fields)
    for key, field in SpaceSettings.model_fields.items():
        default, meaning = rows[key]
        assert default == ("none" if field.default == "" else f"`{field.default}`".lower()), key
        assert len(meaning) > 20, key


def test_the_key_of_openai_is_not_sent_where_a_pulled_file_says(tmp_path):
    file = tmp_path / "acontext.toml"
    file.write_text('llm_base_url = "http://elsewhere.invalid/v1"\n')
    assert settings.load(file, {"OPENAI_API_KEY": "theirs"}).llm_api_key == ""
    assert settings.load(file, {"LLM_API_KEY": "ours"}).llm_api_key == "ours"
    environment = {"OPENAI_API_KEY": "theirs", "LLM_BASE_URL": "http://mine.invalid/v1"}
    assert settings.load(file, environment).llm_api_key == "theirs"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("meta = " + "[" * 5000, "nested deeper"),
        ("meta = " + "[" * 5000 + "]" * 5000, "nested deeper"),
        ("meta = " + "{a=" * 5000 + "1" + "}" * 5000, "nested deeper"),
        ("meta" + ".a" * 2000 + " = 1", "nested deeper"),
        ("learn" + ".a" * 2000 + " = 1", "nested deeper"),
        ("meta = {a = " + "9" * 5000 + "}", "not valid TOML"),
    ],
)
def test_a_file_beyond_all_measure_is_said(tmp_path, text, said):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        settings.load_space(path)


def test_tables_may_be_nested_as_people_do(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("meta" + ".a" * 30 + " = [1]")
    assert settings.load_space(path).meta.keys() == {"a"}


@pytest.mark.parametrize("number", ["99999999999999999999999", "18446744073709551616"])
def test_meta_holds_what_json_can_say(tmp_path, number):
    path = tmp_path / "space.toml"
    path.write_text(f"[meta]\nx = [{{y = {number}}}]\n")
    with pytest.raises(SettingsError, match="cannot be said in JSON") as error:
        settings.load_space(path)
    assert str(error.value).startswith(f"meta from {path} is ")
    path.write_text(f"[meta]\nx = [{{y = {number}.0, z = 2026-01-01}}]\n")
    assert settings.load_space(path).meta["x"][0]["y"] == float(number)


def test_what_is_redacted_and_kept_is_set_in_the_file_and_the_environment(file):
    file.write_text(
        'redact_allow = ["a,b"]\nkeep_blobs = false\n[redact_patterns]\nown = "x-[0-9]+"\n'
    )
    found = settings.load(file, {})
    assert found.redact_patterns == {"own": "x-[0-9]+"}
    assert (found.redact_allow, found.keep_blobs) == (("a,b",), False)
    environment = {
        "ACONTEXT_FS_REDACT_PATTERNS": '{"other": "y+"}',
        "ACONTEXT_FS_REDACT_ALLOW": "one, two",
        "ACONTEXT_FS_KEEP_BLOBS": "true",
        "ACONTEXT_FS_BLOB_BYTES_MAX": "5",
    }
    found = settings.load(file, environment)
    assert found.redact_patterns == {"other": "y+"}
    assert (found.redact_allow, found.keep_blobs) == (("one", "two"), True)
    assert found.blob_bytes_max == 5


@pytest.mark.parametrize(
    "line",
    [
        "redact_patterns = 'x'",
        "redact_patterns = {own = 4}",
        "redact_patterns = {own = ''}",
        "redact_allow = 'x'",
        "redact_allow = ['']",
        "keep_blobs = 'no'",
        "blob_bytes_min = -1",
        "blob_bytes_max = 1.5",
    ],
)
def test_a_wrong_setting_of_redaction_is_said_with_its_place(file, line):
    file.write_text(line)
    with pytest.raises(SettingsError, match=f"^{line.split()[0]} from {re.escape(str(file))} is "):
        settings.load(file, {})


def test_patterns_in_the_environment_have_to_be_an_object(file):
    with pytest.raises(SettingsError, match="no JSON object"):
        settings.load(file, {"ACONTEXT_FS_REDACT_PATTERNS": "x+"})
    with pytest.raises(SettingsError, match="redact_patterns from the environment"):
        settings.load(file, {"ACONTEXT_FS_REDACT_PATTERNS": "[]"})
