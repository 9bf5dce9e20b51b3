"""The settings: where they come from, which win, and what is said when they are wrong."""

from pathlib import Path

import pytest

from archiver.errors import SettingsError
from archiver.settings import check_credentials, load_settings

SECRET = "hunter2-do-not-show"


@pytest.fixture
def env(monkeypatch):
    """Set variables of the archiver by their names without the prefix."""

    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name if name.startswith("HUAWEICLOUD_") else f"ARCHIVER_{name}", value)

    return set_all


def write_toml(text, path="archiver.toml"):
    Path(path).write_text(text, "utf-8")
    return Path(path)


def refusal(config=None, *, of_run=False):
    """Return the message that loading (or asking for a run) is refused with: one line, and no secret in it."""
    if of_run:
        with pytest.raises(SettingsError) as caught:
            load_settings(config).check_run()
    else:
        with pytest.raises(SettingsError) as caught:
            load_settings(config)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    assert caught.value.exit_code == 2
    return message


def test_defaults_are_those_of_the_contract():
    settings = load_settings()

    assert settings.database_url.get_secret_value() == "sqlite:///archive.db"
    assert (settings.database_schema, settings.schedule, settings.timezone) == ("release_archive", "15 2 * * *", "UTC")
    assert (settings.concurrency, settings.requests_per_second) == (8, 20)
    assert (settings.timeout_seconds, settings.list_timeout_seconds) == (30, 300)
    assert (settings.retry_seconds, settings.run_seconds) == (120, 14400)
    assert (settings.recheck_days, settings.sweep_days, settings.watch_minutes) == (14, 30, 0)
    assert settings.project_ids == []


def test_the_environment_wins_over_the_file(env):
    write_toml('region = "eu-west-1"\nconcurrency = 3\n')
    env(REGION="cn-north-4")

    settings = load_settings()

    assert (settings.region, settings.concurrency) == ("cn-north-4", 3)


def test_another_file_can_be_named():
    assert load_settings(write_toml("concurrency = 5\n", "other.toml")).concurrency == 5
    assert "missing.toml" in refusal(Path("missing.toml"))


def test_an_empty_value_is_no_value(env):
    write_toml('endpoint = ""\ntoken = ""\n')
    env(REGION="", PROJECT_ID="", CONCURRENCY="", ACCESS_KEY="", SECRET_KEY="", DATABASE_URL="")

    settings = load_settings()

    assert (settings.region, settings.endpoint, settings.concurrency) == (None, None, 8)
    assert settings.credential_kind is None


def test_secrets_are_read_from_files_afresh_each_time(env, tmp_path):
    file = tmp_path / "token"
    env(TOKEN_FILE=str(file))
    seen = []
    for text in ("first\n", "second\r\n"):
        file.write_text(text)
        seen.append(load_settings().token.get_secret_value())

    assert seen == ["first", "second"]


@pytest.mark.parametrize(
    "kind",
    [
        ("DATABASE_URL",),
        ("TOKEN",),
        ("IAM_USER", "IAM_PASSWORD", "IAM_DOMAIN"),
        ("ACCESS_KEY", "SECRET_KEY", "SECURITY_TOKEN"),
    ],
)
def test_each_credential_and_the_database_url_can_be_in_a_file(env, tmp_path, kind):
    for name in kind:
        (tmp_path / name).write_text(f"sqlite:///{name}.db")
        env(**{f"{name}_FILE": str(tmp_path / name)})

    settings = load_settings()

    assert [getattr(settings, name.lower()).get_secret_value() for name in kind] == [
        f"sqlite:///{name}.db" for name in kind
    ]


def test_a_file_wins_over_the_settings_file_and_not_over_the_environment(env, tmp_path):
    write_toml('token = "from toml"\n')
    (tmp_path / "secret").write_text(SECRET)
    env(TOKEN_FILE=str(tmp_path / "secret"))
    assert load_settings().token.get_secret_value() == SECRET

    env(TOKEN="from the environment")

    message = refusal()
    assert "ARCHIVER_TOKEN_FILE" in message
    assert "keep one" in message


def test_a_secret_file_that_is_missing_or_binary_is_named(env, tmp_path):
    env(DATABASE_URL_FILE=str(tmp_path / "nowhere"))
    assert "ARCHIVER_DATABASE_URL_FILE" in refusal()
    (tmp_path / "nowhere").write_bytes(b"\xff\xfe")

    assert "UTF-8" in refusal()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't read {}: No such file or directory"),
        (b"\xff\xfe", "can't read {}: it is no UTF-8 text"),
        (b"\n", "{} is empty"),
    ],
)
def test_credentials_that_can_not_be_read_leave_the_other_settings_and_no_credentials_of_others(
    env, tmp_path, content, words
):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    env(TOKEN_FILE=str(file), PROJECT_ID="p", REGION="r", NOTIFY_URLS="jsons://h/x")
    env(HUAWEICLOUD_SDK_AK="ak", HUAWEICLOUD_SDK_SK=SECRET)

    settings = load_settings()
    settings.check_run()

    assert str(settings.unread_credentials) == f"ARCHIVER_TOKEN_FILE: {words.format(file)}"
    assert settings.notify_services == ["jsons://h/x"]
    assert settings.credential_kind is None
    with pytest.raises(SettingsError, match="ARCHIVER_TOKEN_FILE"):
        check_credentials(settings.model_copy(update={"region": "other"}))


def test_an_empty_file_of_what_may_be_missing_is_no_value(env, tmp_path):
    (tmp_path / "empty").write_text("\n")
    empty = str(tmp_path / "empty")
    env(ACCESS_KEY="a", SECRET_KEY=SECRET, SECURITY_TOKEN_FILE=empty, NOTIFY_URLS_FILE=empty)

    settings = load_settings()

    assert (settings.unread_credentials, settings.security_token, settings.notify_urls) == (None, None, None)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"TOKEN": SECRET, "ACCESS_KEY": "a", "SECRET_KEY": SECRET}, ("ARCHIVER_TOKEN", "ARCHIVER_ACCESS_KEY")),
        ({"TOKEN": SECRET, "IAM_PASSWORD": SECRET}, ("ARCHIVER_TOKEN", "ARCHIVER_IAM_PASSWORD")),
        ({"ACCESS_KEY": "a", "SECRET_KEY": SECRET, "IAM_USER": "u"}, ("ARCHIVER_ACCESS_KEY", "ARCHIVER_IAM_USER")),
        ({"ACCESS_KEY": "a"}, ("ARCHIVER_ACCESS_KEY", "ARCHIVER_SECRET_KEY")),
        ({"SECRET_KEY": SECRET}, ("ARCHIVER_SECRET_KEY", "ARCHIVER_ACCESS_KEY")),
        ({"SECURITY_TOKEN": SECRET}, ("ARCHIVER_SECURITY_TOKEN", "ARCHIVER_ACCESS_KEY")),
        ({"IAM_USER": "u", "IAM_PASSWORD": SECRET}, ("ARCHIVER_IAM_USER", "ARCHIVER_IAM_DOMAIN")),
        ({"HUAWEICLOUD_SDK_AK": "a"}, ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")),
        ({"HUAWEICLOUD_SDK_SECURITY_TOKEN": SECRET}, ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK")),
    ],
)
def test_two_kinds_of_credentials_or_half_a_kind_are_refused_by_name(env, given, named):
    env(**given)

    message = refusal()

    assert all(name in message for name in named)


def test_the_vendors_variables_fill_what_is_missing(env):
    env(
        HUAWEICLOUD_SDK_AK="ak",
        HUAWEICLOUD_SDK_SK=SECRET,
        HUAWEICLOUD_SDK_SECURITY_TOKEN="st",
        HUAWEICLOUD_SDK_PROJECT_ID="p1",
        HUAWEICLOUD_SDK_IAM_ENDPOINT="https://iam.example.com/",
    )
    settings = load_settings()

    assert settings.credential_kind == "key"
    assert settings.secret_key.get_secret_value() == SECRET
    assert settings.security_token.get_secret_value() == "st"
    assert settings.project_ids == ["p1"]
    assert settings.token_endpoint() == "https://iam.example.com"


def test_the_vendors_keys_do_not_mix_with_credentials_of_our_own(env):
    env(HUAWEICLOUD_SDK_AK="ak", HUAWEICLOUD_SDK_SK="sk", HUAWEICLOUD_SDK_PROJECT_ID="theirs")
    env(TOKEN="t", PROJECT_ID="ours")

    settings = load_settings()

    assert settings.credential_kind == "token"
    assert settings.access_key is None
    assert settings.project_ids == ["ours"]


def test_a_security_token_of_the_vendors_is_not_added_to_our_own_keys(env):
    env(ACCESS_KEY="a", SECRET_KEY="s", HUAWEICLOUD_SDK_SECURITY_TOKEN="theirs")

    assert load_settings().security_token is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://api.example.com",
        "https://api.example.com:8443/prefix",
        "http://127.0.0.1:8080",
        "http://[::1]:80",
        "http://localhost:1",
    ],
)
def test_endpoints_are_https_or_on_loopback(env, endpoint):
    env(ENDPOINT=endpoint + "/")

    assert load_settings().service_endpoint() == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "ftp://127.0.0.1",
        "api.example.com",
        "https://",
        "https://user:hunter2-do-not-show@host",
        "https://host?x=1",
        "https://host:port",
        "https://[::1",
    ],
)
@pytest.mark.parametrize("name", ["ENDPOINT", "IAM_ENDPOINT", "HUAWEICLOUD_SDK_IAM_ENDPOINT"])
def test_any_other_endpoint_is_refused_by_name(env, name, endpoint):
    env(**{name: endpoint})

    assert name in refusal()


def test_a_region_builds_both_endpoints_and_an_endpoint_wins(env):
    env(REGION="cn-north-4")
    assert load_settings().service_endpoint() == "https://servicestage.cn-north-4.myhuaweicloud.com"
    assert load_settings().token_endpoint() == "https://iam.cn-north-4.myhuaweicloud.com"

    env(ENDPOINT="https://partner.example.com")

    assert load_settings().service_endpoint() == "https://partner.example.com"


def test_projects_are_parted_by_commas_with_blanks_and_named_once(env):
    env(PROJECT_ID=" p1 ,p2,, p1,p3 ,")

    assert load_settings().project_ids == ["p1", "p2", "p3"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONCURRENCY", "many"),
        ("CONCURRENCY", "0"),
        ("CONCURRENCY", "1.5"),
        ("REQUESTS_PER_SECOND", "-1"),
        ("TIMEOUT_SECONDS", "0"),
        ("RECHECK_DAYS", "9999999999"),
        ("SWEEP_DAYS", "nan"),
        ("TIMEZONE", "Mars/Olympus"),
        ("TIMEZONE", "../etc/passwd"),
        ("SCHEDULE", "every night"),
        ("SCHEDULE", "15 2 31 2 *"),
        ("REGION", "evil.example.com/"),
        ("DATABASE_SCHEMA", 'public"; --'),
        ("DATABASE_URL", "mysql://u:hunter2-do-not-show@h/d"),
        ("DATABASE_URL", "hunter2-do-not-show"),
    ],
)
def test_a_bad_value_is_refused_by_its_variables_name(env, name, value):
    env(**{name: value})

    assert f"ARCHIVER_{name}" in refusal()


def test_an_unknown_name_in_the_file_is_named():
    write_toml('concurency = 3\ntoken = "hunter2-do-not-show"\n')

    message = refusal()

    assert "archiver.toml" in message
    assert "'concurency'" in message


@pytest.mark.parametrize("text", ["token = hunter2-do-not-show", 'token = "a"\ntoken = "b"', "[", "\x00"])
def test_a_file_that_is_no_toml_is_named_in_one_line(text):
    write_toml(text)

    assert "archiver.toml" in refusal()


def test_a_file_that_is_no_text_is_named_in_one_line():
    Path("archiver.toml").write_bytes(b"\xff\xfe")

    assert "archiver.toml" in refusal()


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "ARCHIVER_PROJECT_ID"),
        ({"PROJECT_ID": " , "}, "ARCHIVER_PROJECT_ID"),
        ({"PROJECT_ID": "p"}, "ARCHIVER_REGION"),
        ({"PROJECT_ID": "p", "REGION": "r"}, "ARCHIVER_ACCESS_KEY"),
        (
            {"PROJECT_ID": "p", "ENDPOINT": "https://e", "IAM_USER": "u", "IAM_PASSWORD": SECRET, "IAM_DOMAIN": "d"},
            "ARCHIVER_IAM_ENDPOINT",
        ),
        ({"PROJECT_ID": "p", "REGION": "r", "TOKEN": SECRET, "CA_BUNDLE": "nowhere.pem"}, "ARCHIVER_CA_BUNDLE"),
    ],
)
def test_what_a_run_lacks_is_named(env, given, word):
    env(**given)

    assert word in refusal(of_run=True)


def test_secrets_show_as_stars(env):
    env(
        TOKEN=SECRET,
        DATABASE_URL=f"postgresql://u:{SECRET}@h/d",
        PROXY=f"http://u:{SECRET}@p:1",
        NOTIFY_URLS=f"jsons://u:{SECRET}@h",
    )

    settings = load_settings()

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in settings.model_dump_json()


def test_notify_urls_are_parted_by_whitespace_or_commas_but_not_within_one(env, tmp_path):
    env(NOTIFY_URLS=" mailtos://u:p@h?to=a@h,b@h,\n slack://A/B/C  jsons://h/x,jsons://h/x , ")
    expected = ["mailtos://u:p@h?to=a@h,b@h", "slack://A/B/C", "jsons://h/x"]

    assert load_settings().notify_services == expected


def test_notify_urls_may_stand_in_a_file(env, tmp_path):
    (tmp_path / "urls").write_text("jsons://h/x\nslack://A/B/C\n")
    env(NOTIFY_URLS_FILE=str(tmp_path / "urls"))

    assert load_settings().notify_services == ["jsons://h/x", "slack://A/B/C"]


@pytest.mark.parametrize("text", ["", " , \n"])
def test_notify_urls_without_a_url_are_none(env, text):
    env(NOTIFY_URLS=text)

    assert load_settings().notify_services == []
    assert load_settings().notify_urls is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET, "in place 1 of 1"),
        (f"jsons://h, slack://{SECRET} {SECRET}", "in place 2 of 2"),
        (f"jsons://h, 1slack://{SECRET}", "in place 1 of 1"),
    ],
)
def test_a_notify_url_that_is_none_is_named_by_its_place_alone(env, text, words):
    env(NOTIFY_URLS=text)

    message = refusal()

    assert message.startswith("ARCHIVER_NOTIFY_URLS holds no URL")
    assert words in message
    assert SECRET not in message


def test_the_example_file_is_valid():
    example = Path(__file__).parents[2] / "archiver.example.toml"

    settings = load_settings(example)

    assert settings.region == "cn-north-4"
