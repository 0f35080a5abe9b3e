"""What this code says to a database's migrations: behind, unknown, or as it wants them. As Django's own plan says it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from pytest_django.fixtures import Settings

from backups.exceptions import ConfigurationError, PostgresError
from backups.migration_verdict import MigrationVerdict, check_database, verdict
from backups.types import Server
from tests.conftest import connect, until

MIGRATION = """
from django.db import migrations
class Migration(migrations.Migration):
    dependencies = [{dependencies}]
    replaces = [{replaces}]
"""
MakeMigrations = Callable[..., None]


def on_disk() -> list[str]:
    """Every migration of this code."""
    loader = MigrationLoader(None)
    return sorted(".".join(key) for key in loader.disk_migrations or {})


def judged(*applied: str) -> MigrationVerdict:
    return verdict(applied, application_version="abc123")


@pytest.fixture
def make_migrations(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeMigrations]:
    """Gives the app `backups` other migrations: a name each, with the names that it replaces."""
    package = f"migrations_{uuid4().hex[:8]}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"backups": package}

    def make(**replaced: list[str]) -> None:
        for name, names in replaced.items():
            text = MIGRATION.format(dependencies="", replaces=", ".join(f"('backups', '{one}')" for one in names))
            (tmp_path / package / f"{name}.py").write_text(text)

    yield make
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]


# In words


def test_all_of_this_codes_migrations_are_as_it_wants_them() -> None:
    found = judged(*on_disk())

    assert (found.is_django, found.is_ours, found.fits, str(found)) == (True, True, True, "as this code wants them")


def test_migrations_that_the_database_lacks_are_counted() -> None:
    lacking = [name for name in on_disk() if name.startswith("admin.")]

    found = judged(*(set(on_disk()) - set(lacking)))

    assert not found.fits
    assert found.behind == tuple(lacking)
    assert str(found) == f"{len(lacking)} migrations behind this code: run migrate"


def test_a_single_one_is_told_as_one() -> None:
    assert str(judged(*(set(on_disk()) - {"sessions.0001_initial"}))) == "1 migration behind this code: run migrate"


def test_a_migration_that_this_code_does_not_know_is_named_with_the_version_that_knows_it() -> None:
    found = judged(*on_disk(), "shop.0042")

    assert found.unknown == ("shop.0042",)
    assert str(found) == "1 migration unknown to this code: shop.0042; check out abc123"


def test_of_many_unknown_migrations_a_few_are_named() -> None:
    found = judged(*on_disk(), *(f"shop.000{n}" for n in range(1, 6)))

    assert str(found) == ("5 migrations unknown to this code: shop.0001, shop.0002, shop.0003 and 2 more; check out abc123")


def test_where_the_version_was_not_noted_the_words_do_without() -> None:
    found = verdict([*on_disk(), "shop.0042"], application_version="")

    assert str(found).endswith("; check out the code that made them")


def test_a_database_that_is_behind_and_ahead_is_not_told_to_migrate() -> None:
    found = judged(*(set(on_disk()) - {"sessions.0001_initial"}), "shop.0042")

    assert str(found) == (
        "1 migration unknown to this code: shop.0042; check out abc123. This code has 1 migration that the database lacks"
    )


def test_a_name_that_moves_the_cursor_is_shown_escaped() -> None:
    assert str(judged(*on_disk(), "shop.\x1b[2J\n")).isprintable()


def test_a_verdict_is_kept_as_json() -> None:
    assert judged(*on_disk(), "shop.0042").report() == {
        "is_django": True,
        "is_ours": True,
        "behind": [],
        "unknown": ["shop.0042"],
        "words": "1 migration unknown to this code: shop.0042; check out abc123",
    }


# Whose database


def test_no_migrations_at_all_is_no_database_of_django() -> None:
    found = judged()

    assert (found.is_django, found.is_ours, found.behind, str(found)) == (False, False, (), "not a database of Django")


@pytest.mark.parametrize(
    "applied",
    [
        ["auth.0001_initial", "contenttypes.0001_initial", "wiki.0001_initial"],
        ["auth.0001_initial", "admin.0001_initial"],  # any project's
        ["django_celery_beat.0001_initial", "wiki.0001_initial"],
    ],
)
def test_a_database_of_another_project_gets_no_verdict(applied: list[str]) -> None:
    found = judged(*applied)

    assert (found.is_django, found.is_ours, found.behind, found.unknown) == (True, False, (), ())
    assert str(found) == "not a database of this project"


def test_a_database_is_ours_by_our_first_migration_or_by_most_of_its_apps() -> None:
    assert judged("backups.0001_initial", "shop.0001_initial", "wiki.0001_initial").is_ours
    assert judged("django_celery_beat.0001_initial", "auth.0001_initial").is_ours


# Squashed migrations, as Django itself plans them


@pytest.mark.parametrize(
    ("applied", "behind", "unknown"),
    [
        (["0001_initial", "0002_more", "0003_last"], [], []),
        (["0001_initial"], ["0002_more", "0003_last"], []),
        (["0001_initial", "0002_more"], ["0003_last"], []),
        (["0001_squashed", "0001_initial", "0002_more", "0003_last"], [], []),
        (["0003_last", "0004_gone"], ["0001_squashed"], ["0004_gone"]),
    ],
)
@pytest.mark.django_db
def test_a_squashed_migration_counts_for_those_it_replaces(
    make_migrations: MakeMigrations, applied: list[str], behind: list[str], unknown: list[str]
) -> None:
    make_migrations(**{"0001_initial": [], "0002_more": [], "0003_last": [], "0001_squashed": ["0001_initial", "0002_more"]})
    others = [name for name in on_disk() if not name.startswith("backups.")]

    found = judged(*others, *(f"backups.{name}" for name in applied), "django_celery_beat.0001_initial")

    assert found.behind == tuple(f"backups.{name}" for name in behind)
    assert found.unknown == tuple(f"backups.{name}" for name in unknown)
    assert set(found.behind) == planned_by_django([*others, *(f"backups.{name}" for name in applied)])


def planned_by_django(applied: list[str]) -> set[str]:
    """What `migrate` would do in the site's database, if these were applied there; the test's transaction is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations")
        for name in applied:
            app, _dot, migration = name.partition(".")
            cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", [app, migration])
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return {f"{migration.app_label}.{migration.name}" for migration, _backwards in plan}


def test_replaced_migrations_whose_files_are_gone_are_known(make_migrations: MakeMigrations) -> None:
    make_migrations(**{"0001_squashed": ["0001_initial", "0002_more"]})
    others = [name for name in on_disk() if not name.startswith("backups.")]

    assert judged(*others, "backups.0001_initial", "backups.0002_more").fits


def test_an_app_that_is_told_to_have_no_migrations_says_nothing(settings: Settings) -> None:
    settings.MIGRATION_MODULES = {"sessions": None}

    assert judged(*on_disk(), "sessions.0001_initial").fits


def test_a_migration_that_cannot_be_imported_is_named(make_migrations: MakeMigrations, tmp_path: Path) -> None:
    make_migrations(**{"0001_initial": []})
    next(tmp_path.glob("*/0001_initial.py")).write_text("import nothing_of_that_name")

    with pytest.raises(ConfigurationError) as caught:
        judged("backups.0001_initial")

    assert "nothing_of_that_name" in caught.value.detail


# A database as it is


@pytest.fixture
def site(admin: Server) -> Server:
    """The site's own database, as the tests have it."""
    return replace(admin, database=str(connection.settings_dict["NAME"]))


@pytest.mark.django_db
def test_the_sites_own_database_is_as_this_code_wants_it(site: Server) -> None:
    call_command("migrate", check=True, verbosity=0)

    assert check_database(site).fits


@pytest.mark.django_db
def test_an_empty_database_is_none_of_djangos_and_stays_empty(make_database: Callable[..., Server]) -> None:
    server = make_database()

    assert not check_database(server).is_django
    with connect(server) as session:
        assert session.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,)


TABLE = "CREATE TABLE django_migrations (id serial, app varchar(255), name varchar(255), applied timestamptz DEFAULT now())"


@pytest.mark.django_db
def test_a_database_is_judged_by_the_rows_that_it_has_now(make_database: Callable[..., Server]) -> None:
    server = make_database()
    with connect(server) as session:
        session.execute(TABLE)
        session.execute("INSERT INTO django_migrations (app, name) VALUES ('backups', '0001_initial'), ('shop', '0042')")

    found = check_database(server, application_version="abc123")

    assert found.unknown == ("shop.0042",)
    assert set(found.behind) == set(on_disk()) - {"backups.0001_initial"}


@pytest.mark.django_db
def test_a_view_in_the_tables_place_is_not_read(make_database: Callable[..., Server]) -> None:
    server = make_database()
    with connect(server) as session:
        session.execute(
            "CREATE TABLE caught (n int);"
            "CREATE FUNCTION trap() RETURNS text LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO caught VALUES (1); RETURN 'backups'; END $$;"
            "CREATE VIEW django_migrations AS SELECT 1 AS id, trap() AS app, '0001_initial' AS name, now() AS applied"
        )

    assert not check_database(server).is_django


@pytest.mark.django_db
def test_the_sites_databases_are_the_same_before_and_after_and_no_session_is_left(
    make_database: Callable[..., Server], admin: Server
) -> None:
    server, before = make_database(), dict(connections.databases)

    check_database(server)

    assert connections.databases == before
    assert not [name for name in vars(connections._connections._storage) if name.startswith("migrations-")]
    with connect(admin) as session:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        until(lambda: session.execute(query, [server.database]).fetchone() == (0,))


@pytest.mark.django_db
def test_options_of_the_server_are_kept(site: Server) -> None:
    with pytest.raises(PostgresError) as caught:
        check_database(replace(site, options=(("sslmode", "require"),)))

    assert "SSL was required" in caught.value.detail


@pytest.mark.django_db
def test_a_database_that_is_not_there_is_one_of_our_errors(site: Server) -> None:
    with pytest.raises(PostgresError) as caught:
        check_database(replace(site, database="nothing_of_that_name"))

    assert "nothing_of_that_name" in caught.value.message
