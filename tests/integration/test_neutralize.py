"""A copy of production that lets nobody in and starts nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection as site
from django.db.migrations.loader import MigrationLoader

from backups.exceptions import PostgresError
from backups.postgres.neutralize import neutralize
from backups.types import Server
from tests.conftest import connect


@pytest.fixture
def make(make_database: Callable[..., Server]) -> Callable[..., Server]:
    """Makes a database by these statements."""

    def make(*statements: str) -> Server:
        server = make_database()
        with connect(server) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return server

    return make


def read(server: Server, query: str) -> list[tuple[object, ...]]:
    with connect(server) as connection:
        return connection.execute(query.encode()).fetchall()


def schema_of(app: str) -> str:
    """The SQL by which Django makes an app's tables."""
    out = StringIO()
    for name in sorted(name for label, name in MigrationLoader(site).graph.nodes if label == app):
        call_command("sqlmigrate", app, name, stdout=out, no_color=True)
    return out.getvalue()


SESSIONS = "CREATE TABLE django_session AS SELECT 'key ' || n AS session_key FROM generate_series(1, 1200) n"
TOKENS = "CREATE TABLE authtoken_token (key text); INSERT INTO authtoken_token VALUES ('a')"
USERS = "CREATE TABLE auth_user (id int PRIMARY KEY, email text); INSERT INTO auth_user VALUES (1, 'a@a.de'), (2, 'b@b.de')"
TASKS = """
    CREATE TABLE django_celery_beat_periodictask (name text, enabled boolean NOT NULL);
    INSERT INTO django_celery_beat_periodictask VALUES ('nightly', true), ('hourly', true), ('off', false);
    CREATE TABLE django_celery_beat_periodictasks (ident smallint PRIMARY KEY, last_update timestamptz NOT NULL);
"""


def test_sessions_and_tokens_are_gone(make: Callable[..., Server]) -> None:
    copy = make(SESSIONS, TOKENS)

    assert neutralize(copy) == ("public.django_session: emptied, 1,200 rows.", "public.authtoken_token: emptied, 1 rows.")
    assert read(copy, "SELECT FROM django_session UNION ALL SELECT FROM authtoken_token") == []


def test_periodic_tasks_are_disabled_and_a_beat_is_told(make: Callable[..., Server]) -> None:
    copy = make(TASKS, "INSERT INTO django_celery_beat_periodictasks VALUES (1, '2020-01-01')")

    assert neutralize(copy) == ("public.django_celery_beat_periodictask: 2 tasks disabled.",)
    assert read(copy, "SELECT count(*) FROM django_celery_beat_periodictask WHERE enabled") == [(0,)]
    ((changed,),) = read(copy, "SELECT last_update FROM django_celery_beat_periodictasks")
    assert isinstance(changed, datetime)
    assert changed > datetime(2026, 1, 1, tzinfo=UTC)


def test_a_beat_is_told_also_where_no_task_was_ever_changed(make: Callable[..., Server]) -> None:
    copy = make(TASKS)
    neutralize(copy)
    assert read(copy, "SELECT ident FROM django_celery_beat_periodictasks") == [(1,)]


def test_the_tables_that_this_site_really_has_are_known(make: Callable[..., Server], db: None) -> None:
    copy = make(schema_of("sessions"), schema_of("django_celery_beat"))
    with connect(copy) as connection:
        connection.execute("INSERT INTO django_session VALUES ('key', 'data', now())")
        connection.execute("INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (1, 'days')")
        connection.execute(
            "INSERT INTO django_celery_beat_periodictask (name, task, interval_id, args, kwargs, enabled, total_run_count,"
            " date_changed, description, one_off, headers) VALUES ('n', 't', 1, '', '', true, 0, now(), '', false, '')"
        )

    assert neutralize(copy) == (
        "public.django_session: emptied, 1 rows.",
        "public.django_celery_beat_periodictask: 1 tasks disabled.",
    )


def test_a_database_of_something_else_is_left_as_it_is(make: Callable[..., Server]) -> None:
    copy = make(USERS, 'CREATE SCHEMA other; CREATE TABLE other.django_session AS SELECT 1; CREATE TABLE "Django_Session" ()')

    assert neutralize(copy) == ()
    assert read(copy, "SELECT count(*) FROM other.django_session") == [(1,)]


def test_the_tables_to_empty_can_be_chosen(make: Callable[..., Server]) -> None:
    copy = make(SESSIONS, 'CREATE SCHEMA "API"; CREATE TABLE "API"."a key" AS SELECT 1')

    assert neutralize(copy, tables=[("API", "a key")]) == ("API.a key: emptied, 1 rows.",)
    assert read(copy, "SELECT count(*) FROM django_session") == [(1200,)]


def test_tokens_that_refer_to_each_other_go_together(make: Callable[..., Server]) -> None:
    copy = make(
        "CREATE TABLE oauth2_provider_accesstoken (id int PRIMARY KEY, source int)",
        "CREATE TABLE oauth2_provider_refreshtoken (id int PRIMARY KEY, access int REFERENCES oauth2_provider_accesstoken)",
        "ALTER TABLE oauth2_provider_accesstoken ADD FOREIGN KEY (source) REFERENCES oauth2_provider_refreshtoken",
        "INSERT INTO oauth2_provider_accesstoken VALUES (1, NULL); INSERT INTO oauth2_provider_refreshtoken VALUES (1, 1)",
        "UPDATE oauth2_provider_accesstoken SET source = 1",
    )
    neutralize(copy)
    assert read(copy, "SELECT FROM oauth2_provider_accesstoken UNION ALL SELECT FROM oauth2_provider_refreshtoken") == []


KNOX = "CREATE TABLE knox_authtoken (id int PRIMARY KEY); INSERT INTO knox_authtoken VALUES (1)"


def test_what_refers_to_a_token_and_goes_with_it_goes(make: Callable[..., Server]) -> None:
    copy = make(KNOX, "CREATE TABLE device AS SELECT 1 AS token", "ALTER TABLE device ADD FOREIGN KEY (token) REFERENCES"
                " knox_authtoken ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED")  # fmt: skip
    neutralize(copy)
    assert read(copy, "SELECT FROM device") == []


@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_what_refers_to_a_token_and_may_not_lose_it_is_named_and_nothing_is_done(
    make: Callable[..., Server], deferred: str
) -> None:
    copy = make(
        SESSIONS, KNOX, f"CREATE TABLE device (token int REFERENCES knox_authtoken {deferred}); INSERT INTO device VALUES (1)"
    )
    with pytest.raises(PostgresError, match=r"public\.device refers to them"):
        neutralize(copy)
    assert read(copy, "SELECT count(*) FROM django_session") == [(1200,)]


# Dumps that mean harm


@pytest.mark.parametrize(
    "made",
    [
        "CREATE VIEW django_session AS SELECT * FROM customer",
        "CREATE TABLE django_session (id int) PARTITION BY LIST (id);"
        " ALTER TABLE django_session ATTACH PARTITION customer DEFAULT",
    ],
)
def test_what_only_bears_the_name_is_left_and_told(make: Callable[..., Server], made: str) -> None:
    copy = make("CREATE TABLE customer (id int); INSERT INTO customer VALUES (1)", made)

    (told,) = neutralize(copy)

    assert told.startswith("public.django_session: left as it is")
    assert read(copy, "SELECT * FROM customer") == [(1,)]


def test_what_inherits_from_a_table_keeps_its_rows(make: Callable[..., Server]) -> None:
    copy = make(SESSIONS, "CREATE TABLE customer () INHERITS (django_session); INSERT INTO customer VALUES ('a customer')")
    neutralize(copy)
    assert read(copy, "SELECT * FROM django_session") == [("a customer",)]


def test_a_column_of_another_type_is_no_switch(make: Callable[..., Server]) -> None:
    copy = make("CREATE TABLE django_celery_beat_periodictask (enabled text)")
    (told,) = neutralize(copy)
    assert told.startswith("public.django_celery_beat_periodictask: left as it is")


def test_no_trigger_of_the_dump_runs_and_all_are_as_before(make: Callable[..., Server]) -> None:
    copy = make(
        SESSIONS,
        TASKS,
        USERS,
        "CREATE TABLE ran ()",
        "CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN INSERT INTO public.ran DEFAULT VALUES; RETURN NEW; END $$",
        *(
            f'CREATE TRIGGER "a trigger" AFTER {event} ON {table} FOR EACH {each} EXECUTE FUNCTION run();'
            f' ALTER TABLE {table} ENABLE ALWAYS TRIGGER "a trigger"'
            for table, event, each in (
                ("django_session", "TRUNCATE", "STATEMENT"),
                ("django_celery_beat_periodictask", "UPDATE", "ROW"),
                ("auth_user", "UPDATE", "ROW"),
            )
        ),
    )

    neutralize(copy, ["UPDATE auth_user SET email = ''"])

    assert read(copy, "SELECT FROM ran") == []
    assert read(copy, "SELECT DISTINCT tgenabled FROM pg_trigger WHERE NOT tgisinternal") == [("A",)]


# Statements of the settings


def test_statements_run_in_order_and_are_told(make: Callable[..., Server]) -> None:
    copy = make(USERS)

    done = neutralize(
        copy,
        [
            "UPDATE auth_user SET email = 'user' || id || '@example.com'\n  WHERE email LIKE '%@%'",
            " ",
            "CREATE TABLE kept AS SELECT email FROM auth_user",
            "ALTER TABLE kept ADD n int",
        ],
    )

    assert done == (
        "UPDATE auth_user SET email = …: 2 rows.",
        "CREATE TABLE kept AS SELECT email FROM auth_user: 2 rows.",
        "ALTER TABLE kept ADD n int: done.",
    )
    assert read(copy, "SELECT email FROM kept ORDER BY 1") == [("user1@example.com",), ("user2@example.com",)]


def test_names_are_looked_up_as_in_the_site(make: Callable[..., Server]) -> None:
    copy = make(USERS)
    neutralize(copy, ["CREATE TABLE path AS SELECT current_setting('search_path') AS path"])
    assert read(copy, "SELECT path FROM public.path") == [('"$user", public',)]


def test_a_statement_that_fails_is_named_and_nothing_is_done(make: Callable[..., Server]) -> None:
    copy = make(SESSIONS, USERS)

    with pytest.raises(PostgresError) as raised:
        neutralize(copy, ["DELETE FROM auth_user", "UPDATE auth_users SET email = ''"])

    assert raised.value.message.startswith("Statement 2 of NEUTRALIZE_SQL failed: UPDATE auth_users SET email = …")
    assert raised.value.detail == 'relation "auth_users" does not exist'
    assert read(copy, "SELECT (SELECT count(*) FROM auth_user), (SELECT count(*) FROM django_session)") == [(2, 1200)]


@pytest.mark.parametrize(
    "ends", ["COMMIT", " commit ; ", "-- done\nCOMMIT", "DELETE FROM auth_user; COMMIT", "ROLLBACK", "END", "BEGIN; SELECT 1"]
)
def test_a_statement_that_would_end_the_transaction_is_an_error(make: Callable[..., Server], ends: str) -> None:
    copy = make(USERS)
    with pytest.raises(PostgresError, match="Statement 2 of NEUTRALIZE_SQL failed"):
        neutralize(copy, ["SELECT 1", ends])
    assert read(copy, "SELECT count(*) FROM auth_user") == [(2,)]


def test_foreign_keys_hold_at_the_end_of_all_statements_not_between_them(make: Callable[..., Server]) -> None:
    copy = make(
        USERS,
        "CREATE TABLE profile (owner int REFERENCES auth_user DEFERRABLE INITIALLY DEFERRED); INSERT INTO profile VALUES (1)",
    )

    with pytest.raises(PostgresError, match="can't stand together"):
        neutralize(copy, ["DELETE FROM auth_user"])
    assert read(copy, "SELECT count(*) FROM auth_user") == [(2,)]

    neutralize(copy, ["DELETE FROM auth_user", "DELETE FROM profile"])
    assert read(copy, "SELECT count(*) FROM auth_user") == [(0,)]


def test_a_statement_may_drop_and_rename_what_has_triggers(make: Callable[..., Server]) -> None:
    copy = make(
        USERS,
        "CREATE TABLE audit (); CREATE TABLE log ()",
        "CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER a AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION run()",
        "CREATE TRIGGER b AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION run()",
    )
    neutralize(copy, ["DROP TABLE audit", "ALTER TABLE log RENAME TO journal"])
    assert read(copy, "SELECT tgrelid::regclass::text, tgenabled FROM pg_trigger") == [("journal", "O")]


def test_triggers_of_partitions_are_as_before(make: Callable[..., Server]) -> None:
    copy = make(
        "CREATE TABLE event (id int) PARTITION BY RANGE (id); CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (9);"
        " CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (9) TO (99)",
        "CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'it ran'; END $$",
        "CREATE TRIGGER a AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION run()",
        "ALTER TABLE event_2 DISABLE TRIGGER a",
    )
    neutralize(copy, ["INSERT INTO event VALUES (1), (10)"])
    states = "SELECT tgrelid::regclass::text, tgenabled FROM pg_trigger ORDER BY 1"
    assert read(copy, states) == [("event", "O"), ("event_1", "O"), ("event_2", "D")]


def test_rows_that_a_policy_would_hide_are_an_error(make: Callable[..., Server], admin: Server) -> None:
    copy = make(USERS, "ALTER TABLE auth_user ENABLE ROW LEVEL SECURITY", "GRANT SELECT, UPDATE ON auth_user TO pg_monitor")
    with pytest.raises(PostgresError) as raised:
        neutralize(copy, ["SET LOCAL ROLE pg_monitor", "UPDATE auth_user SET email = ''"])
    assert "row-level security" in raised.value.detail
