"""The site: environment variables in, settings out; which commit runs."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from ichrisbirch_site import cli, databases, mail, version
from ichrisbirch_site.chatter import WithoutChatter
from ichrisbirch_site.embedded import PROJECT
from ichrisbirch_site.environment import Environment, with_password, with_secrets_of_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def given(**variables: str) -> environ.Env:
    """An environment of these variables alone."""
    env = environ.Env()
    env.ENVIRON = variables
    return env


def settings_with(show: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """What Python says when it reads the settings in a process with these variables alone, and prints what `show` names."""
    return subprocess.run(
        [sys.executable, "-c", f"from ichrisbirch_site import settings; print({show})"],
        cwd=PROJECT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "x" * 60,
    "BACKUPS_SIGNING_KEY": "y" * 60,
    "DATABASE_URL": "postgres://u:p@db.invalid/n",
    "AWS_S3_BACKUP_BUCKET": "b",
}


def test_one_url_names_the_site_s_database() -> None:
    made = databases.from_environment(given(DATABASE_URL="postgres://me:p%40ss@db.example:5433/shop?sslmode=require"))

    assert {name: made["default"][name] for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME", "OPTIONS")} == {
        "HOST": "db.example",
        "PORT": 5433,
        "USER": "me",
        "PASSWORD": "p@ss",
        "NAME": "shop",
        "OPTIONS": {"connect_timeout": 15, "sslmode": "require"},
    }


def test_the_parts_name_it_too() -> None:
    made = databases.from_environment(
        given(POSTGRES_HOST="db.example", POSTGRES_USERNAME="me", POSTGRES_PASSWORD="p", POSTGRES_DB="n")
    )

    assert (made["default"]["HOST"], made["default"]["PORT"], made["default"]["USER"]) == ("db.example", "5432", "me")


def test_a_further_database_without_a_host_is_on_the_server_of_the_first() -> None:
    made = databases.from_environment(
        given(DATABASE_URL="postgres://me:p@db.example/site", DATABASE_URL_CHINOOK="postgres:///chinook")
    )

    assert (made["chinook"]["HOST"], made["chinook"]["PASSWORD"], made["chinook"]["NAME"]) == ("db.example", "p", "chinook")


def test_a_further_database_with_a_host_of_its_own_does_not_get_the_password_of_the_first() -> None:
    made = databases.from_environment(
        given(DATABASE_URL="postgres://me:secret@db.example/site", DATABASE_URL_OTHER="postgres://you@other.example/x")
    )

    assert "secret" not in str(made["other"])


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({"DATABASE_URL": "postgres://u@h/n"}, {"connect_timeout": 15}),
        ({"POSTGRES_HOST": "h"}, {"connect_timeout": 15}),
        ({"DATABASE_URL": "postgres://u@h/n?connect_timeout=40"}, {"connect_timeout": 40}),
        ({"DATABASE_URL": "postgres://u@h/n", "PGCONNECT_TIMEOUT": "40"}, {}),
    ],
)
def test_a_silent_server_is_given_up_after_15_seconds_unless_told_otherwise(
    variables: dict[str, str], options: dict[str, object]
) -> None:
    assert databases.from_environment(given(**variables))["default"]["OPTIONS"] == options


def test_a_further_database_is_waited_for_as_long_as_its_own_url_says() -> None:
    made = databases.from_environment(
        given(DATABASE_URL="postgres://u@h/n", DATABASE_URL_FAR="postgres:///far?connect_timeout=60")
    )

    assert made["far"]["OPTIONS"] == {"connect_timeout": 60}


def test_a_url_that_is_not_of_postgresql_is_refused_by_the_name_of_its_variable() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL_OTHER"):
        databases.from_environment(given(DATABASE_URL="postgres://u@h/n", DATABASE_URL_OTHER="mysql://u@h/n"))


@pytest.mark.parametrize("missing", ["DATABASE_URL", "AWS_S3_BACKUP_BUCKET", "SECRET_KEY"])
def test_production_refuses_to_start_without_what_it_needs(missing: str) -> None:
    said = settings_with(**{name: value for name, value in PRODUCTION.items() if name != missing})

    assert said.returncode != 0
    assert missing in said.stderr.splitlines()[-1]


def test_production_refuses_debug() -> None:
    said = settings_with(**PRODUCTION, DEBUG="true")

    assert said.returncode != 0
    assert "DEBUG is on" in said.stderr


def test_production_starts_with_what_it_needs() -> None:
    assert settings_with(**PRODUCTION).returncode == 0


def test_in_production_a_load_balancer_may_ask_for_health_and_nothing_else_without_tls() -> None:
    assert settings_with("settings.SECURE_REDIRECT_EXEMPT", **PRODUCTION).stdout == "['^health/$']\n"


def test_thresholds_of_health_are_a_json_object() -> None:
    show = "settings.BACKUPS['HEALTH']"
    assert settings_with(show, **PRODUCTION).stdout == "{}\n"
    assert settings_with(show, **PRODUCTION, BACKUPS_HEALTH='{"silence_minutes": 9}').stdout == "{'silence_minutes': 9}\n"
    assert "BACKUPS_HEALTH must be" in settings_with(show, **PRODUCTION, BACKUPS_HEALTH="[]").stderr


@pytest.mark.parametrize("value", ["keep_last=7", "[7]", "7"])
def test_a_retention_that_can_not_be_read_is_answered_with_one_that_can(value: str) -> None:
    said = settings_with(**PRODUCTION, BACKUPS_RETENTION=value).stderr.splitlines()[-1]
    example = said.partition("for example ")[2]
    assert settings_with("settings.BACKUPS['RETENTION']['keep_last']", **PRODUCTION, BACKUPS_RETENTION=example).stdout == "7\n"


@pytest.mark.parametrize(("level", "filters"), [("WARNING", "['without_chatter']"), ("INFO", "[]")])
def test_the_scheduler_is_quieter_unless_one_wants_to_hear_all(level: str, filters: str) -> None:
    show = "settings.LOGGING['loggers']['celery.beat']['filters']"
    assert settings_with(show, **PRODUCTION, LOG_LEVEL=level).stdout == f"{filters}\n"


def test_what_the_scheduler_sends_each_half_minute_is_not_in_the_log_but_backups_and_errors_are() -> None:
    def is_shown(task: str, level: int = logging.INFO) -> bool:
        said = "Scheduler: Sending due task %s (%s)"
        return WithoutChatter().filter(logging.LogRecord("celery.beat", level, "", 0, said, ("name", task), None))

    assert [is_shown(f"backups.tasks.{task}") for task in ("tend", "pulse", "check_health")] == [False] * 3
    assert is_shown("backups.tasks.scheduled_backup")
    assert is_shown("backups.tasks.tend", logging.ERROR)


def test_the_commit_is_read_from_a_branch(tmp_path: Path) -> None:
    heads = tmp_path / ".git/refs/heads"
    heads.mkdir(parents=True)
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (heads / "main").write_text(f"{COMMIT}\n")

    assert version.commit(tmp_path) == COMMIT


def test_the_commit_is_read_from_packed_references(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git/packed-refs").write_text(f"# pack-refs with: peeled\n{COMMIT} refs/heads/main\n")

    assert version.commit(tmp_path) == COMMIT


def test_the_commit_is_read_from_a_detached_head(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text(f"{COMMIT}\n")

    assert version.commit(tmp_path) == COMMIT


def test_what_is_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert version.commit(tmp_path) == ""


def test_every_target_of_the_makefile_that_calls_icb_calls_a_word_that_it_has() -> None:
    words = re.findall(r"^\t\./icb (\S+)", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert words
    assert set(words) <= set(cli.VERBS)


def test_the_alias_of_the_site_s_own_database_can_t_be_given_to_another() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL_DEFAULT"):
        databases.from_environment(given(DATABASE_URL="postgres://u@h/n", DATABASE_URL_DEFAULT="postgres:///other"))


def test_a_url_whose_password_is_not_encoded_is_refused_without_showing_it() -> None:
    with pytest.raises(ImproperlyConfigured, match="must be encoded") as caught:
        databases.from_environment(given(DATABASE_URL="postgres://alice:top/sec#ret@127.0.0.1:1/prod"))

    assert "top" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_S3_OBJECT_PARAMETERS", "{bad"),
        ("AWS_S3_OBJECT_PARAMETERS", "[1]"),
        ("BACKUPS_LOCK_TIMEOUT_SECONDS", "abc"),
        ("BACKUPS_STALL_TIMEOUT_SECONDS", "-1"),
        ("TIME_ZONE", "Mars/X"),
        ("LOG_LEVEL", "foo"),
    ],
)
def test_a_variable_that_can_t_be_read_is_named(name: str, value: str) -> None:
    said = settings_with(**PRODUCTION, **{name: value})

    assert said.returncode != 0
    assert f"ImproperlyConfigured: {name}" in said.stderr.splitlines()[-1]


def test_an_endpoint_without_a_bucket_is_refused_and_nothing_stays_on_this_machine_unseen(tmp_path: Path) -> None:
    said = settings_with(ICB_FOLDER=str(tmp_path), AWS_ENDPOINT_URL_S3="https://store.example")

    assert "AWS_S3_BACKUP_BUCKET is not" in said.stderr.splitlines()[-1]


def test_a_secret_may_be_the_content_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    laid = with_secrets_of_files({"SECRET_KEY_FILE": f"{tmp_path}/key", "DEBUG": ""})
    assert laid == {"SECRET_KEY": "from a file", "DEBUG": ""}


def test_what_is_no_secret_of_ours_is_no_file() -> None:
    given = {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "PGSERVICEFILE": "/nowhere"}
    assert with_secrets_of_files(given) == given


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"SECRET_KEY_FILE": "{}/absent"}, "SECRET_KEY_FILE names .*/absent, which can't be read: No such file"),
        ({"SECRET_KEY_FILE": "{}/empty"}, "SECRET_KEY_FILE names .*/empty, which is empty"),
        ({"SECRET_KEY_FILE": "{}/binary"}, "SECRET_KEY_FILE names .*/binary, which can't be read: it is not a text"),
        ({"SECRET_KEY_FILE": "{}/key", "SECRET_KEY": "x"}, "SECRET_KEY and SECRET_KEY_FILE are both set"),
    ],
)
def test_a_file_of_a_secret_that_can_t_be_meant_is_named(variables: dict[str, str], why: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ImproperlyConfigured, match=why):
        with_secrets_of_files({name: value.format(tmp_path) for name, value in variables.items()})


def test_production_starts_with_secrets_in_files(tmp_path: Path) -> None:
    variables = dict(PRODUCTION)
    for name in ("SECRET_KEY", "BACKUPS_SIGNING_KEY", "DATABASE_URL"):
        (tmp_path / name).write_text(variables.pop(name))
        variables[f"{name}_FILE"] = str(tmp_path / name)
    assert settings_with(**variables).returncode == 0


@pytest.mark.parametrize(
    ("url", "password", "made"),
    [
        ("redis://redis:6379/0", "p/w", "redis://:p%2Fw@redis:6379/0"),
        ("redis://:own@redis:6379/0", "pw", "redis://:own@redis:6379/0"),
        ("redis://redis:6379/0", "", "redis://redis:6379/0"),
        ("", "pw", ""),
    ],
)
def test_the_broker_s_password_may_come_apart_from_its_url(url: str, password: str, made: str) -> None:
    assert with_password(url, password) == made


@pytest.mark.parametrize("between", [",", ", ", "\n", "\r\n", " ", ",\n  "])
def test_urls_of_receivers_stand_one_a_line_or_with_commas_between(between: str) -> None:
    urls = ["mailto://me:p@example.org?to=a@example.org,b@example.org", "discord://1/x", "ntfys://ntfy.example.org/topic"]
    env = Environment()
    env.ENVIRON = {"URLS": f"\n{between.join(urls)},\n"}
    assert env.urls("URLS") == urls
    assert env.urls("NONE") == []


def test_a_url_that_is_none_is_kept_so_that_the_checks_can_name_it() -> None:
    env = Environment()
    env.ENVIRON = {"URLS": "nonsense"}
    assert env.urls("URLS") == ["nonsense"]


def mail_with(**variables: str) -> dict[str, object]:
    env = Environment()
    env.ENVIRON = variables
    return mail.from_environment(env)


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp+tls://me:p%40ss@mail.example.org", 587, True, False),
        ("smtp+ssl://me:p%40ss@mail.example.org", 465, False, True),
        ("smtp+tls://me:p%40ss@mail.example.org:2525", 2525, True, False),
    ],
)
def test_one_url_names_the_mail_server(url: str, port: int, tls: bool, ssl: bool) -> None:
    made = mail_with(EMAIL_URL=url, DEFAULT_FROM_EMAIL="backups@example.org")

    names = ("EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "DEFAULT_FROM_EMAIL")
    assert [made[name] for name in names] == ["mail.example.org", port, "me", "p@ss", "backups@example.org"]
    assert (made.get("EMAIL_USE_TLS", False), made.get("EMAIL_USE_SSL", False)) == (tls, ssl)
    assert made["EMAIL_TIMEOUT"]


def test_the_parts_name_the_mail_server_too_and_without_either_there_is_none() -> None:
    made = mail_with(EMAIL_HOST="mail.example.org", EMAIL_PORT="587", EMAIL_USE_TLS="true")
    assert (made["EMAIL_HOST"], made["EMAIL_PORT"], made["EMAIL_USE_TLS"]) == ("mail.example.org", 587, True)
    assert mail_with()["EMAIL_HOST"] == ""
    assert "DEFAULT_FROM_EMAIL" not in mail_with()


@pytest.mark.parametrize("url", ["smtp+tls://me:s3cret/x@mail.example.org:587", "pigeon://s3cret"])
def test_a_mail_server_s_url_that_can_t_be_read_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL") as refused:
        mail_with(EMAIL_URL=url)
    assert "s3cret" not in str(refused.value)
