"""Settings: read at each call, refused where they can't be meant, and silent about secrets."""

from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.db import connections
from pytest_django.fixtures import Settings

from backups import conf, stores
from backups.exceptions import BackupsError, ConfigurationError, UsageError
from backups.thresholds import Thresholds
from backups.types import ENVIRONMENT_NAME, Server

SECRET = "a-very-secret-value"


def test_what_is_not_set_has_a_default(settings: Settings) -> None:
    settings.BACKUPS = {}
    assert conf.current() == conf.Settings(
        environment="development",
        time_zone="UTC",
        signing_key=b"",
        signing_key_fallbacks=(),
        local_folder=None,
        scratch_folder=None,
        client_folders=(),
        lock_timeout_seconds=30,
        stall_timeout_seconds=600,
        application_version="",
        s3_max_parts=10_000,
        keep_replaced_days=None,
        neutralize_sql=(),
        retention={},
        verify_database="default",
        verify_assertions=(),
        fingerprint=False,
        shrink_warning_percent=20,
        guard_migrations="destructive",
        health=Thresholds(),
        metrics_token="",
        alert_urls=(),
        alert_emails=(),
        ping_url="",
        restore_targets=(),
        max_running=2,
        behind_proxy=False,
    )
    del settings.BACKUPS
    assert conf.current().environment == "development"


def test_settings_are_read_at_each_call(settings: Settings) -> None:
    for environment in ("testing", "production"):
        settings.BACKUPS = {"ENVIRONMENT": environment}
        assert conf.current().environment == environment


@pytest.mark.parametrize("given", [0, "2", 1.5, True, None])
def test_how_many_runs_there_may_be_is_a_whole_number(settings: Settings, given: object) -> None:
    settings.BACKUPS = {"MAX_RUNNING": given}
    with pytest.raises(ConfigurationError, match="MAX_RUNNING"):
        conf.current()


def test_folders_become_absolute(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings.BACKUPS = {"LOCAL_FOLDER": "kept", "SCRATCH_FOLDER": tmp_path / "scratch", "CLIENT_FOLDERS": [Path("/opt/pg")]}

    found = conf.current()
    assert (found.local_folder, found.scratch_folder) == (tmp_path / "kept", tmp_path / "scratch")
    assert found.client_folders == ("/opt/pg",)


def test_a_setting_of_an_unknown_name_is_refused_by_name_with_the_known_ones(settings: Settings) -> None:
    settings.BACKUPS = {"SIGNINGKEY": SECRET}
    with pytest.raises(ConfigurationError) as refused:
        conf.current()
    assert "SIGNINGKEY" in refused.value.message
    assert "SIGNING_KEY" in refused.value.hint
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("environment", ["", "a/b", "..", ".", "a b", "-a", "é", None, 7, "x" * 51, "a\n"])
def test_an_environment_that_can_not_be_a_part_of_a_key_is_refused(settings: Settings, environment: object) -> None:
    settings.BACKUPS = {"ENVIRONMENT": environment}
    with pytest.raises(ConfigurationError, match="ENVIRONMENT"):
        conf.current()


@pytest.mark.parametrize("environment", ["production", "eu-west_2", "QA1"])
def test_an_environment_of_letters_and_digits_is_taken(settings: Settings, environment: str) -> None:
    settings.BACKUPS = {"ENVIRONMENT": environment}
    assert conf.current().environment == environment
    assert ENVIRONMENT_NAME.fullmatch(environment)


@pytest.mark.parametrize("parts", [0, 10_001, "many", None])
def test_a_number_of_parts_that_no_store_takes_is_refused(settings: Settings, parts: object) -> None:
    settings.BACKUPS = {"S3_MAX_PARTS": parts}
    with pytest.raises(ConfigurationError, match="S3_MAX_PARTS"):
        conf.current()


@pytest.mark.parametrize("name", ["LOCK_TIMEOUT_SECONDS", "STALL_TIMEOUT_SECONDS"])
@pytest.mark.parametrize("seconds", [0, -1, "soon", None])
def test_a_time_limit_that_is_no_number_of_seconds_is_refused(settings: Settings, name: str, seconds: object) -> None:
    settings.BACKUPS = {name: seconds}
    with pytest.raises(ConfigurationError, match=name):
        conf.current()


def test_no_secret_is_in_the_text_of_anything_that_settings_give(settings: Settings) -> None:
    settings.BACKUPS = {"SIGNING_KEY": SECRET, "METRICS_TOKEN": SECRET}
    use_storage(
        settings,
        bucket_name="b",
        access_key=SECRET,
        secret_key=SECRET,
        security_token=SECRET,
        proxies={"https": f"http://u:{SECRET}@proxy"},
    )
    server = conf.server("default")

    assert conf.current().signing_key == SECRET.encode()
    assert SECRET not in repr(conf.current())
    assert SECRET not in repr(conf.store_options())
    assert server.password
    assert server.password not in repr(server)


@pytest.mark.parametrize("name", ["ALERT_URLS", "ALERT_EMAILS"])
@pytest.mark.parametrize("given", [f"json://{SECRET}", [""], [7], None, {}])
def test_receivers_that_are_no_list_of_texts_are_refused_without_showing_them(
    settings: Settings, name: str, given: object
) -> None:
    settings.BACKUPS = {name: given}
    with pytest.raises(ConfigurationError, match=name) as refused:
        conf.current()
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("given", [f"ftp://{SECRET}", SECRET, None, 7])
def test_a_ping_url_that_is_not_http_is_refused_without_showing_it(settings: Settings, given: object) -> None:
    settings.BACKUPS = {"PING_URL": given}
    with pytest.raises(ConfigurationError, match="PING_URL") as refused:
        conf.current()
    assert SECRET not in str(refused.value)


def test_urls_of_receivers_are_not_shown_with_the_settings(settings: Settings) -> None:
    settings.BACKUPS = {"ALERT_URLS": [f"json://{SECRET}"], "PING_URL": f"https://{SECRET}"}
    assert conf.current().alert_urls == (f"json://{SECRET}",)
    assert SECRET not in repr(conf.current())


# Databases


def test_the_server_behind_an_alias_is_what_django_is_told() -> None:
    given = connections["default"].settings_dict
    server = conf.server("default")
    assert (server.host, server.port, server.user, server.database) == (
        given["HOST"],
        int(given["PORT"]),
        given["USER"],
        given["NAME"],
    )


def test_an_unknown_alias_is_named_with_the_known_ones_and_how_to_add_one() -> None:
    with pytest.raises(UsageError) as refused:
        conf.server("chinook")
    assert "'chinook'" in refused.value.message
    assert "default" in refused.value.hint
    assert "DATABASE_URL_CHINOOK" in refused.value.hint


def test_a_database_that_is_not_postgresql_is_refused(alias) -> None:  # type: ignore[no-untyped-def]
    alias(ENGINE="django.db.backends.sqlite3", NAME=":memory:")
    with pytest.raises(ConfigurationError, match="not PostgreSQL"):
        conf.server("other")


@pytest.mark.parametrize("name", ["service", "passfile", "hostaddr", "dbname", "password"])
def test_an_option_that_leads_the_connection_elsewhere_is_refused(alias, name: str) -> None:  # type: ignore[no-untyped-def]
    alias(OPTIONS={name: SECRET})
    with pytest.raises(ConfigurationError) as refused:
        conf.server("other")
    assert name in refused.value.message
    assert SECRET not in str(refused.value)


def test_a_database_without_a_name_is_refused(alias) -> None:  # type: ignore[no-untyped-def]
    alias(NAME="")
    with pytest.raises(ConfigurationError, match="no NAME"):
        conf.server("other")


def test_options_of_the_connection_are_passed_on_and_djangos_own_are_not(alias) -> None:  # type: ignore[no-untyped-def]
    alias(OPTIONS={"sslmode": "require", "connect_timeout": 3, "isolation_level": 2, "pool": True, "options": "-c a=b"})
    assert conf.server("other").options == (("connect_timeout", "3"), ("sslmode", "require"))


def test_what_django_leaves_to_libpq_is_not_said_and_never_localhost(alias) -> None:  # type: ignore[no-untyped-def]
    alias(HOST="", PORT="", USER="", PASSWORD=None)
    server = conf.server("other")
    assert (server.host, server.port, server.user, server.password) == ("", 0, "", "")


@pytest.mark.parametrize("port", ["5432,5433", "five", "-1", "65536", "5432.0"])
def test_a_port_that_is_not_one_number_is_refused(alias, port: str) -> None:  # type: ignore[no-untyped-def]
    alias(PORT=port)
    with pytest.raises(ConfigurationError, match="PORT") as refused:
        conf.server("other")
    assert port in refused.value.message


@pytest.mark.parametrize(
    ("host", "port", "user", "address"),
    [
        ("db.example", 5432, "ann", "ann@db.example:5432/shop"),
        ("", 0, "ann", "ann@socket/shop"),
        ("", 0, "", "socket/shop"),
        ("", 5433, "ann", "ann@socket:5433/shop"),
        ("/run/postgresql", 5432, "ann", "ann@/run/postgresql:5432/shop"),
        ("::1", 5432, "ann", "ann@[::1]:5432/shop"),
    ],
)
def test_the_address_of_a_server_reads_well(host: str, port: int, user: str, address: str) -> None:
    assert Server(host=host, port=port, user=user, password=SECRET, database="shop").address == address


# The bucket


def test_without_a_bucket_there_are_no_options(settings: Settings) -> None:
    use_storage(settings, bucket_name="")
    assert conf.store_options() is None
    settings.STORAGES = {name: given for name, given in settings.STORAGES.items() if name != "backups"}
    assert conf.store_options() is None


def test_the_options_are_those_of_django_storages(settings: Settings) -> None:
    use_storage(
        settings,
        bucket_name="b",
        endpoint_url="http://127.0.0.1:9",
        region_name="eu-central-1",
        access_key="a",
        secret_key="s",
        addressing_style="path",
        signature_version="s3v4",
        object_parameters={"ServerSideEncryption": "aws:kms"},
        verify=False,
    )
    found = conf.store_options()
    assert found is not None
    assert (found.bucket, found.endpoint_url, found.region) == ("b", "http://127.0.0.1:9", "eu-central-1")
    assert (found.access_key, found.secret_key, found.verify) == ("a", "s", False)
    assert (found.addressing_style, found.signature_version) == ("path", "s3v4")
    assert found.object_parameters == (("ServerSideEncryption", "aws:kms"),)


def test_a_location_is_refused_because_keys_begin_with_the_environment(settings: Settings) -> None:
    use_storage(settings, bucket_name="b", location="deep/down")
    with pytest.raises(ConfigurationError, match="location"):
        conf.store_options()


@pytest.mark.parametrize("name", ["SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5"])
def test_a_key_of_ones_own_for_every_request_is_refused(settings: Settings, name: str) -> None:
    use_storage(settings, bucket_name="b", object_parameters={"CacheControl": "no-store", name: SECRET})
    with pytest.raises(ConfigurationError) as refused:
        conf.store_options()
    assert name in refused.value.message
    assert "ServerSideEncryption" in refused.value.hint
    assert SECRET not in str(refused.value)


def test_another_kind_of_storage_is_refused_by_its_name(settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "backups": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}
    with pytest.raises(ConfigurationError, match="FileSystemStorage"):
        conf.store_options()


def test_what_django_storages_refuses_is_told_in_its_words(settings: Settings) -> None:
    use_storage(settings, bucket_name="b", no_such_option=1)
    with pytest.raises(ConfigurationError) as refused:
        conf.store_options()
    assert "no_such_option" in refused.value.detail


# What must never be shown


def test_everything_secret_in_the_settings_is_known_for_scrubbing(settings: Settings, alias) -> None:  # type: ignore[no-untyped-def]
    settings.BACKUPS = {"SIGNING_KEY": "the signing key", "METRICS_TOKEN": "the metrics token"}
    use_storage(
        settings,
        bucket_name="b",
        endpoint_url="https://someone:endpoint-password@store.example",
        access_key="the access key",
        secret_key="the secret key",
        security_token="the session token",
        proxies={"https": "http://someone:p%40ss:w/rd@proxy.example:3128", "http": "someone:without-scheme@proxy.example"},
    )
    alias(PASSWORD="password-of-other", OPTIONS={"sslpassword": "sslpassword-of-other", "sslmode": "require"})
    target = Server(
        host="", port=0, user="someone", password="password-of-target", database="shop", options=(("sslpassword", "of-target"),)
    )

    found = stores.secrets(target)
    assert {
        *("the signing key", "the metrics token", "the access key", "the secret key", "the session token"),
        *("endpoint-password", "p%40ss:w/rd", "p@ss:w/rd", "without-scheme"),
        *("password-of-other", "sslpassword-of-other", conf.server("default").password),
        *("password-of-target", "of-target"),
    } <= set(found)
    assert not {"someone", "require"} & set(found)
    assert not [text for text in found if "example" in text]


def test_a_password_of_another_alias_is_taken_out_of_an_error(alias) -> None:  # type: ignore[no-untyped-def]
    alias(PASSWORD=SECRET)
    error = BackupsError("It failed.", detail=f"connection to postgres://u:{SECRET}@h failed")
    assert SECRET not in str(error.scrub(stores.secrets()))


def test_a_secret_of_three_letters_does_not_turn_every_text_into_stars(settings: Settings, alias) -> None:  # type: ignore[no-untyped-def]
    use_storage(settings, bucket_name="b", access_key="a", secret_key="the")
    alias(PASSWORD="is")
    assert str(BackupsError("It is the end.").scrub(stores.secrets())) == "It is the end."


def test_settings_that_can_not_be_read_do_not_hide_the_error_that_is_scrubbed(settings: Settings, alias) -> None:  # type: ignore[no-untyped-def]
    settings.BACKUPS = {"ENVIRONMENT": "a/b"}
    use_storage(settings, bucket_name="b", no_such_option=1)
    alias(PASSWORD=SECRET)
    assert SECRET in stores.secrets()


def use_storage(settings: Settings, **options: object) -> None:
    """STORAGES["backups"] is an S3Storage with these options and no others."""
    settings.STORAGES = {
        **settings.STORAGES,
        "backups": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options},
    }
    assert "backups" in storages.backends


@pytest.fixture
def alias():  # type: ignore[no-untyped-def]
    """Makes the alias "other": the site's own database, but for what is given."""

    def make(**changes: object) -> None:
        connections.databases["other"] = connections.databases["default"] | changes

    yield make
    del connections.databases["other"]
    if hasattr(connections._connections, "other"):
        del connections["other"]


@pytest.mark.parametrize(
    ("name", "given"),
    [("KEEP_REPLACED_DAYS", 0), ("KEEP_REPLACED_DAYS", "7"), ("KEEP_REPLACED_DAYS", True), ("NEUTRALIZE_SQL", "DELETE FROM x")],
)
def test_what_a_restore_is_told_is_refused_where_it_can_not_be_meant(settings: Settings, name: str, given: object) -> None:
    settings.BACKUPS = {name: given}
    with pytest.raises(ConfigurationError, match=name):
        conf.current()
