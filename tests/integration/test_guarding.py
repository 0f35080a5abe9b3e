"""manage.py migrate, in processes of its own: a backup before what removes or alters data; where there is none, nothing changes.

The app `shop` (tests/shop) loses its prices in 0003.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from backups import guarding
from backups.types import Server
from ichrisbirch_site.embedded import Home
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect, copy_database, drop_database, keys_in, new_database, s3_client, server_of, url_of
from tests.integration.conftest import Done, python
from tests.services import discard, new_home

Migrate = Callable[..., Done]
SHOP = {"DJANGO_SETTINGS_MODULE": "tests.shop.settings", "PYTHONPATH": "."}


@pytest.fixture(scope="module")
def sold(embedded_home: Home) -> Iterator[Server]:
    """The shop with a product, and all migrations but the one that loses the price: to be copied."""
    server = new_database(server_of(PostgreSQL(embedded_home)))
    env = {
        name: os.environ[name] for name in ("PATH", "HOME", "ICB_FOLDER", "ENVIRONMENT", "LD_LIBRARY_PATH") if name in os.environ
    }
    env |= {"DATABASE_URL": url_of(server), "AWS_S3_BACKUP_BUCKET": "none", **SHOP}
    for words in ((), ("shop", "0002", "--without-backup")):
        done = python("manage.py", "migrate", "--verbosity=0", *words, env=env)
        assert done.code == 0, done.err
    sell(server)
    yield server
    drop_database(server)


@pytest.fixture
def site(make_database: Callable[..., Server]) -> Server:
    """An empty database for a site of its own, whose history is in it."""
    return make_database()


@pytest.fixture
def env(site: Server, bucket: str, environment: Callable[..., dict[str, str]]) -> dict[str, str]:
    """The environment of a process whose site has the shop."""
    return {**environment(), "DATABASE_URL": url_of(site), **SHOP}


@pytest.fixture
def migrate(env: dict[str, str]) -> Migrate:
    """manage.py migrate with these words, and with these variables changed."""

    def run(*words: str, code: int = 0, **changes: str) -> Done:
        done = python("manage.py", "migrate", "--no-color", *words, env=env | changes)
        assert done.code == code, done.out + done.err
        return done

    return run


@pytest.fixture
def before(site: Server, sold: Server) -> None:
    """The site's database has the shop with a product, and all migrations but the one that loses the price."""
    drop_database(site)
    copy_database(sold, site)


def sell(site: Server) -> None:
    with connect(site) as session:
        session.execute("INSERT INTO shop_product (name, price, note) VALUES ('tea', 5, '')")


def ask(server: Server, query: str) -> list[object]:
    with connect(server) as session:
        return [row[0] for row in session.execute(query.encode())]


def has_price(server: Server) -> bool:
    return bool(
        ask(server, "SELECT 1 FROM information_schema.columns WHERE (table_name, column_name) = ('shop_product', 'price')")
    )


def backups_of(site: Server) -> list[object]:
    """filename, type, status, what it guards: of every row of the history."""
    return ask(
        site, "SELECT json_build_array(filename, backup_type, status, guards) FROM admin.backup_history ORDER BY created_at"
    )


def dumps_in(settings: Settings, bucket: str) -> list[str]:
    return [key for key in keys_in(settings, bucket) if key.endswith(".dump")]


@pytest.mark.parametrize("guard", ["destructive", "always"])
def test_a_fresh_database_is_migrated_without_a_backup_and_without_a_word(
    guard: str, site: Server, migrate: Migrate, backups_settings: Settings, bucket: str
) -> None:
    done = migrate(BACKUPS_GUARD_MIGRATIONS=guard)
    assert "backup" not in done.out.lower().replace("backups", "")
    assert done.err == ""
    assert dumps_in(backups_settings, bucket) == []
    assert not has_price(site)


@pytest.mark.usefixtures("before")
def test_migrations_that_only_add_need_none(migrate: Migrate, backups_settings: Settings, bucket: str) -> None:
    migrate("shop", "0001", "--without-backup")
    migrate("shop", "0002")
    assert dumps_in(backups_settings, bucket) == []


@pytest.mark.usefixtures("before")
def test_what_removes_a_column_is_preceded_by_a_backup_that_names_it(
    site: Server, migrate: Migrate, backups_settings: Settings, bucket: str
) -> None:
    done = migrate()

    assert "shop.0003_drop_price: removes the column price of shop.Product" in done.out
    assert done.out.index("Backup made: backup-") < done.out.index("Applying shop.0003_drop_price")
    ((filename, kind, status, guards),) = backups_of(site)
    assert filename.endswith("-before-shop-0003_drop_price.dump")
    assert (kind, status, guards) == ("pre-migration", "succeeded", ["shop.0003_drop_price"])
    assert not has_price(site)
    (manifest,) = [key for key in keys_in(backups_settings, bucket) if key.endswith(".json")]
    told = json.loads(s3_client(backups_settings).get_object(Bucket=bucket, Key=manifest)["Body"].read())["backup"]
    assert (told["backup_type"], told["guards"]) == ("pre-migration", ["shop.0003_drop_price"])


@pytest.mark.usefixtures("before")
def test_restoring_that_backup_brings_back_what_the_migration_has_lost(
    site: Server, migrate: Migrate, env: dict[str, str], admin: Server
) -> None:
    migrate()
    done = python("manage.py", "db_restore", "latest", "--yes", site.database, env=env)

    assert done.code == 0, done.err
    assert ask(site, "SELECT price FROM shop_product") == [5]
    for kept in ask(admin, f"SELECT datname FROM pg_database WHERE datname LIKE '{site.database}\\_%'"):
        drop_database(replace(admin, database=str(kept)))


@pytest.mark.usefixtures("before")
def test_where_the_backup_fails_nothing_is_migrated_and_the_text_says_how_to_go_on(
    site: Server, migrate: Migrate, backups_settings: Settings, bucket: str
) -> None:
    done = migrate(AWS_S3_BACKUP_BUCKET="no-such-bucket", code=1)

    assert "no-such-bucket" in done.err
    assert "Nothing was migrated." in done.err
    assert "--without-backup" in done.err
    assert "Traceback" not in done.err
    assert has_price(site)
    assert "0003_drop_price" not in ask(site, "SELECT name FROM django_migrations WHERE app = 'shop'")

    migrate("--without-backup", AWS_S3_BACKUP_BUCKET="no-such-bucket")
    assert not has_price(site)
    assert dumps_in(backups_settings, bucket) == []


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize(("words", "code"), [(("--plan",), 0), (("--check",), 1), (("--fake",), 0), (("shop", "--prune"), 0)])
def test_what_changes_no_table_needs_no_backup(
    words: tuple[str, ...], code: int, site: Server, migrate: Migrate, backups_settings: Settings, bucket: str
) -> None:
    migrate(*words, code=code)
    assert has_price(site)
    assert dumps_in(backups_settings, bucket) == []


@pytest.mark.usefixtures("before")
def test_undoing_what_made_a_table_is_preceded_by_one_too(site: Server, migrate: Migrate) -> None:
    done = migrate("shop", "zero")

    assert "shop.0001_initial: removes the table of shop.Product" in done.out
    ((filename, _kind, _status, guards),) = backups_of(site)
    assert filename.endswith("-before-shop-0002_note.dump")
    assert guards == ["shop.0002_note", "shop.0001_initial"]


@pytest.mark.usefixtures("before")
def test_the_settings_turn_it_off_or_want_one_before_every_migration(
    site: Server, migrate: Migrate, backups_settings: Settings, bucket: str
) -> None:
    migrate(BACKUPS_GUARD_MIGRATIONS="off")
    assert not has_price(site)
    assert dumps_in(backups_settings, bucket) == []

    migrate("shop", "0001", "--without-backup")
    done = migrate("shop", "0002", BACKUPS_GUARD_MIGRATIONS="always")
    assert "shop.0002_note\n" in done.out
    assert [guards for _name, _kind, _status, guards in backups_of(site)] == [["shop.0002_note"]]


@pytest.mark.usefixtures("before")
def test_migrations_of_the_history_itself_come_first_so_that_the_backup_has_its_row(site: Server, migrate: Migrate) -> None:
    migrate("backups", "0002", "--without-backup")
    done = migrate()

    assert done.out.index("Applying backups.0003") < done.out.index("Backup made") < done.out.index("Applying shop.0003")
    ((_name, kind, status, guards),) = backups_of(site)
    assert (kind, status, guards) == ("pre-migration", "succeeded", ["shop.0003_drop_price"])


@pytest.mark.usefixtures("before")
def test_where_the_app_is_new_its_tables_are_made_before_the_backup(site: Server, migrate: Migrate) -> None:
    migrate("backups", "zero", "--without-backup")
    migrate("django_celery_beat", "zero", "--without-backup")
    migrate()
    assert [status for _name, _kind, status, _guards in backups_of(site)] == ["succeeded"]


@pytest.mark.usefixtures("before")
def test_of_one_app_alone_nothing_is_migrated_while_the_history_is_behind(site: Server, migrate: Migrate) -> None:
    migrate("backups", "0002", "--without-backup")
    done = migrate("shop", code=3)

    assert "First: manage.py migrate backups --database default" in done.err
    assert has_price(site)
    migrate("backups")
    migrate("shop")
    assert [status for _name, _kind, status, _guards in backups_of(site)] == ["succeeded"]


@pytest.mark.usefixtures("before")
def test_taking_back_the_history_is_preceded_by_a_backup_that_has_it(
    site: Server, migrate: Migrate, backups_settings: Settings, bucket: str
) -> None:
    migrate("backups", "zero")
    assert ask(site, "SELECT count(*) FROM pg_tables WHERE schemaname = 'admin'") == [0]
    assert len(dumps_in(backups_settings, bucket)) == 1


@pytest.mark.usefixtures("before")
def test_another_database_of_the_site_is_backed_up_before_its_own_migrations(
    site: Server, migrate: Migrate, make_database: Callable[..., Server]
) -> None:
    other = make_database()
    alias = {"DATABASE_URL_OTHER": url_of(other)}
    migrate("shop", "0002", "--database", "other", **alias)
    sell(other)
    migrate("shop", "--database", "other", **alias)

    assert (has_price(other), has_price(site)) == (False, True)
    assert ask(site, "SELECT database FROM admin.backup_history") == [other.database]


@pytest.mark.usefixtures("before")
def test_of_a_database_that_is_not_postgresql_it_is_said_that_there_is_no_backup(
    site: Server, migrate: Migrate, tmp_path: Path, backups_settings: Settings, bucket: str
) -> None:
    lite = {"LITE": str(tmp_path / "lite.sqlite3")}
    migrate("shop", "0002", "--database", "lite", **lite)
    done = migrate("shop", "--database", "lite", **lite)

    assert "No backup comes first: lite is not PostgreSQL." in done.out
    assert dumps_in(backups_settings, bucket) == []


def test_the_embedded_database_is_guarded_when_a_command_brings_it_up_to_date(env: dict[str, str], migrate: Migrate) -> None:
    home = new_home("guarding")
    own = {name: value for name, value in env.items() if not name.startswith(("DATABASE_URL", "AWS_"))} | {
        "ICB_FOLDER": str(home.folder)
    }
    try:
        assert python("manage.py", "db_list", env=own).code == 0
        undone = python("manage.py", "migrate", "shop", "0002", "--without-backup", env=own)
        assert undone.code == 0, undone.err

        refused = python("manage.py", "db_list", env=own | {"BACKUPS_SIGNING_KEY": "", "BACKUPS_LOCK_TIMEOUT_SECONDS": "0"})
        assert refused.code == 2
        done = python("manage.py", "db_list", "--json", env=own)
        assert done.code == 0, done.err
        assert done.err == "Preparing the database …\n"
        (made,) = json.loads(done.out)["backups"]
        assert (made["backup_type"], made["status"]) == ("pre-migration", "succeeded")
    finally:
        discard(home.folder)


@pytest.mark.django_db
def test_in_tests_no_backup_is_made_of_what_they_throw_away(backups_settings: Settings, bucket: str) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "GUARD_MIGRATIONS": "always"}
    assert not guarding.is_on()
    call_command("migrate", "backups", verbosity=0)
    assert dumps_in(backups_settings, bucket) == []
