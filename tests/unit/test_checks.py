"""System checks, each by its id."""

from pathlib import Path

import pytest
from django.core import checks
from django.core.management import get_commands
from pytest_django.fixtures import Settings

from tests.unit.test_conf import use_storage

GOOD_KEY = "k" * 32


def found(settings: Settings, **changes: object) -> list[checks.CheckMessage]:
    """What the checks say of BACKUPS with these changes."""
    settings.BACKUPS = {"SIGNING_KEY": GOOD_KEY, "LOCAL_FOLDER": "/srv/backups"} | changes
    return checks.run_checks(tags=["backups"])


def test_settings_that_fit_together_are_silent(settings: Settings) -> None:
    assert found(settings) == []


def test_they_run_with_every_other_check_without_asking_for_a_database(settings: Settings) -> None:
    settings.BACKUPS = {"NONSENSE": 1}
    assert "backups.E001" in [message.id for message in checks.run_checks()]


@pytest.mark.parametrize(
    "changes",
    [
        {"NONSENSE": 1},
        {"ENVIRONMENT": "a/b"},
        {"LOCK_TIMEOUT_SECONDS": "soon"},
        {"RETENTION": "daily"},
        {"VERIFY_ASSERTIONS": "SELECT true"},
        {"SHRINK_WARNING_PERCENT": "20%"},
        {"GUARD_MIGRATIONS": "sometimes"},
        {"ALERT_URLS": "json://127.0.0.1"},
        {"PING_URL": "example.org"},
        {"MAX_RUNNING": 0},
    ],
)
def test_e001_is_settings_that_can_not_be_used(settings: Settings, changes: dict[str, object]) -> None:
    (message,) = found(settings, **changes)
    assert (message.id, message.level) == ("backups.E001", checks.ERROR)
    assert next(iter(changes)) in message.msg


def test_e001_is_a_storage_that_can_not_be_used(settings: Settings) -> None:
    use_storage(settings, bucket_name="b", location="x")
    (message,) = found(settings)
    assert message.id == "backups.E001"
    assert "location" in message.msg


def test_e001_is_a_threshold_that_can_not_be_meant(settings: Settings) -> None:
    (message,) = found(settings, HEALTH={"backup_age_hours": "soon"})
    assert message.id == "backups.E001"
    assert "backup_age_hours" in message.msg


def test_w003_is_a_token_that_could_be_guessed(settings: Settings) -> None:
    (message,) = found(settings, METRICS_TOKEN="x" * 15)
    assert (message.id, message.level) == ("backups.W003", checks.WARNING)
    assert "xxx" not in message.msg
    assert found(settings, METRICS_TOKEN="x" * 16) == []


def test_e002_is_no_signing_key(settings: Settings) -> None:
    (message,) = found(settings, SIGNING_KEY="")
    assert (message.id, message.level) == ("backups.E002", checks.ERROR)


def test_e003_is_neither_a_bucket_nor_a_folder(settings: Settings) -> None:
    use_storage(settings, bucket_name="")
    (message,) = found(settings, LOCAL_FOLDER=None)
    assert message.id == "backups.E003"
    assert found(settings) == []
    use_storage(settings, bucket_name="b")
    assert found(settings, LOCAL_FOLDER=None) == []


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"keep_lasts": 3}, "keep_lasts"),
        ({"daily": 0}, "daily"),
        ({"maximum_share": 2}, "maximum_share"),
        ({"time_zone": 1}, "time_zone"),
    ],
)
def test_e004_is_retention_that_can_not_be_meant(settings: Settings, rules: dict[str, object], told: str) -> None:
    (message,) = found(settings, RETENTION=rules)
    assert (message.id, message.level) == ("backups.E004", checks.ERROR)
    assert told in message.msg
    assert message.hint is not None
    assert "keep_last" in message.hint


def test_retention_that_can_be_meant_is_silent(settings: Settings) -> None:
    assert found(settings, RETENTION={"keep_last": 7, "daily": 14, "time_zone": "Europe/Berlin"}) == []


@pytest.mark.parametrize(
    "assertion", [{}, {"name": "orders"}, {"name": "orders", "sql": ""}, {"name": "o", "sql": "SELECT 1", "at_lest": 1}]
)
def test_e005_is_an_assertion_that_can_not_be_understood(settings: Settings, assertion: dict[str, object]) -> None:
    (message,) = found(settings, VERIFY_ASSERTIONS=[assertion, {"name": "good", "sql": "SELECT true"}])
    assert (message.id, message.level) == ("backups.E005", checks.ERROR)


def test_e006_is_a_database_to_verify_on_that_nobody_knows(settings: Settings) -> None:
    (message,) = found(settings, VERIFY_DATABASE="elsewhere")
    assert (message.id, message.level) == ("backups.E006", checks.ERROR)
    assert "default" in (message.hint or "")


def test_e011_is_a_url_that_apprise_can_not_read_and_does_not_show_it(settings: Settings) -> None:
    (message,) = found(settings, ALERT_URLS=["json://127.0.0.1/hook", "carrier-pigeon://s3cret-loft"])
    assert (message.id, message.level) == ("backups.E011", checks.ERROR)
    assert "carrier-pigeon://… (URL 2)" in message.msg
    assert "s3cret" not in f"{message.msg}{message.hint}"


def test_e012_is_an_address_without_a_mail_server(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = "backups@example.org"
    settings.EMAIL_HOST = ""
    (message,) = found(settings, ALERT_EMAILS=["a@example.org"])
    assert (message.id, message.level) == ("backups.E012", checks.ERROR)
    assert found(settings) == []
    settings.EMAIL_HOST = "mail.example.org"
    assert found(settings, ALERT_EMAILS=["a@example.org"]) == []


def test_w011_is_a_sender_that_nobody_has_named(settings: Settings) -> None:
    settings.DEFAULT_FROM_EMAIL = "webmaster@localhost"
    (message,) = found(settings, ALERT_EMAILS=["a@example.org"])
    assert (message.id, message.level) == ("backups.W011", checks.WARNING)


def test_w001_is_a_short_signing_key_that_is_not_told(settings: Settings) -> None:
    (message,) = found(settings, SIGNING_KEY="k" * 31)
    assert (message.id, message.level) == ("backups.W001", checks.WARNING)
    assert "kkk" not in str(message)


def test_w002_is_a_folder_of_client_programs_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    (message,) = found(settings, CLIENT_FOLDERS=[tmp_path, tmp_path / "gone"])
    assert message.id == "backups.W002"
    assert str(tmp_path / "gone") in message.msg


def test_w004_is_a_migrate_that_makes_no_backup(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(get_commands(), "migrate", "tenants")  # Django's own list of commands: an app that stands before ours
    (message,) = found(settings)
    assert message.id == "backups.W004"
    assert "tenants" in message.msg
    assert found(settings, GUARD_MIGRATIONS="off") == []
