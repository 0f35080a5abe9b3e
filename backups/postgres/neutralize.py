"""Makes a copy of production harmless: nobody is logged in, no token opens a door, no schedule starts anything.

Done in one transaction, all or nothing. No trigger or rule of the database runs meanwhile, also not for the statements of the
settings (`quiet`): an audit trail would keep what is being removed, and a trigger in a dump would run with our rights. Foreign
keys hold. A function that a statement itself calls does run, with the rights of the role that restores.
"""

import re
from collections.abc import Iterable, Sequence

import psycopg
from psycopg import sql

from backups.exceptions import PostgresError
from backups.postgres.connect import Connection, connected, words_of
from backups.postgres.quiet import quiet
from backups.types import Server

# Where Django and its usual companions keep what lets somebody in, or lets the site in somewhere else. Not the blacklist of
# simplejwt: its tokens are valid unless they are on it.
TABLES: tuple[tuple[str, str], ...] = (
    ("public", "django_session"),
    ("public", "user_sessions_session"),  # django-user-sessions
    ("public", "authtoken_token"),  # djangorestframework
    ("public", "knox_authtoken"),  # django-rest-knox
    ("admin", "backup_token"),  # ours
    ("public", "rest_framework_api_key_apikey"),  # djangorestframework-api-key
    ("public", "oauth2_provider_accesstoken"),  # django-oauth-toolkit
    ("public", "oauth2_provider_refreshtoken"),
    ("public", "oauth2_provider_idtoken"),
    ("public", "oauth2_provider_grant"),
    ("public", "oauth2_provider_devicegrant"),
    ("public", "socialaccount_socialtoken"),  # django-allauth
)
TASKS = ("public", "django_celery_beat_periodictask")
CHANGES = ("public", "django_celery_beat_periodictasks")

_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '30s'"
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""
_IS_SOMETHING = """
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
"""
_ENDS_TRANSACTION = re.compile(r"\s*(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|PREPARE\s+TRANSACTION)\b", re.IGNORECASE)
_NOTHING_CHANGED = "Nothing of it was done: it is all or nothing."
_CORRECT = "Correct it in the settings: BACKUPS['NEUTRALIZE_SQL']."
_SHOWN = 80


def neutralize(staged: Server, statements: Sequence[str] = (), *, tables: Iterable[tuple[str, str]] = TABLES) -> tuple[str, ...]:
    """Empties `tables` (schema, table), disables Celery's periodic tasks, then runs `statements`; returns in words what was done.

    Tables that are not there are passed over; of a name that is no ordinary table (a view, a foreign or partitioned one) it is
    told that it was left. Each statement is one SQL command; unqualified names are looked up as in the site ("$user", public).
    Where row-level security would hide rows from a statement, that is an error.

    Raises PostgresError naming what failed; then nothing has changed.
    """
    done: list[str] = []
    with connected(staged, application_name="restore: neutralize") as connection, connection.transaction():
        connection.execute(_LOCK_TIMEOUT)
        with quiet(connection):
            done += _empty(connection, tables)
            done += _disable_tasks(connection)
            done += _run(connection, statements)
    return tuple(done)


def _empty(connection: Connection, tables: Iterable[tuple[str, str]]) -> list[str]:
    done = []
    emptied = []
    for name in dict.fromkeys(tables):
        if not _columns_of(connection, name):
            done += _left(connection, name)
            continue
        found = connection.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(*name))).fetchone()
        assert found is not None
        emptied.append(name)
        done.append(f"{'.'.join(name)}: emptied, {found[0]:,} rows.")
    if emptied:
        _truncate(connection, emptied)
    return done


def _truncate(connection: Connection, tables: Sequence[tuple[str, str]]) -> None:
    """All at once, because tokens refer to each other. ONLY: what inherits from them may be anything."""
    names = [sql.Identifier(*name) for name in tables]
    truncate = sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(sql.SQL("ONLY {}").format(name) for name in names))
    try:
        with connection.transaction():
            connection.execute(truncate)
        return
    except psycopg.errors.FeatureNotSupported:  # another table refers to one of them
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
    try:
        for name in names:
            connection.execute(sql.SQL("DELETE FROM ONLY {}").format(name))
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
    except psycopg.errors.IntegrityError as error:
        raise _still_referred_to(error) from error


def _still_referred_to(error: psycopg.Error) -> PostgresError:
    return PostgresError(
        f"Sessions and tokens could not be removed: {error.diag.schema_name}.{error.diag.table_name} refers to them."
        f" {_NOTHING_CHANGED}",
        detail=words_of(error),
        hint="Restore with --no-neutralize into a database of its own, and remove them there.",
    )


def _disable_tasks(connection: Connection) -> list[str]:
    """The row in CHANGES makes a beat that is running read the tasks again (models.PeriodicTasks of django-celery-beat)."""
    columns = _columns_of(connection, TASKS)
    if columns.get("enabled") != "boolean":
        return _left(connection, TASKS)
    disabled = connection.execute(
        sql.SQL("UPDATE ONLY {} SET enabled = false WHERE enabled").format(sql.Identifier(*TASKS))
    ).rowcount
    changes = _columns_of(connection, CHANGES)
    if {"ident", "last_update"} <= set(changes):
        changed = sql.SQL("UPDATE ONLY {} SET last_update = now()").format(sql.Identifier(*CHANGES))
        if not connection.execute(changed).rowcount:
            added = sql.SQL("INSERT INTO {} (ident, last_update) VALUES (1, now())").format(sql.Identifier(*CHANGES))
            connection.execute(added)
    return [f"{'.'.join(TASKS)}: {disabled:,} tasks disabled."]


def _columns_of(connection: Connection, name: tuple[str, str]) -> dict[str, str]:
    """Column -> its type, of an ordinary table of exactly this name; empty where there is none."""
    return dict(connection.execute(_COLUMNS, name).fetchall())


def _left(connection: Connection, name: tuple[str, str]) -> list[str]:
    """A word about what bears the name and is not the table that was meant."""
    if connection.execute(_IS_SOMETHING, name).fetchone() is None:
        return []
    return [f"{'.'.join(name)}: left as it is, because it is not the table that Django makes. Look at it."]


def _run(connection: Connection, statements: Sequence[str]) -> list[str]:
    connection.execute("""SET LOCAL search_path = "$user", public""")
    transaction = _transaction_of(connection)
    done = []
    for number, statement in enumerate(filter(str.strip, statements), start=1):
        if _ENDS_TRANSACTION.match(statement):
            raise _failed(number, statement, "It would end the transaction that all of this is done in.")
        try:
            # Prepared, so that it is one command: "UPDATE …; COMMIT" is a syntax error.
            rows = connection.execute(statement.encode(), prepare=True).rowcount
        except psycopg.Error as error:
            raise _failed(number, statement, words_of(error)) from error
        if _transaction_of(connection) != transaction:
            raise _failed(number, statement, "It has ended the transaction that all of this is done in.")
        done.append(f"{_shown(statement)}: {rows:,} rows." if rows >= 0 else f"{_shown(statement)}: done.")
    try:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.errors.IntegrityError as error:
        raise PostgresError(
            f"What the statements of NEUTRALIZE_SQL have left can't stand together. {_NOTHING_CHANGED}",
            detail=words_of(error),
            hint=_CORRECT,
        ) from error
    connection.execute("RESET ROLE")  # what a statement has set must not decide how the rest is found and done
    connection.execute("SET LOCAL search_path = pg_catalog")
    return done


def _transaction_of(connection: Connection) -> int:
    row = connection.execute("SELECT pg_catalog.pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return int(row[0])


def _failed(number: int, statement: str, why: str) -> PostgresError:
    return PostgresError(
        f"Statement {number} of NEUTRALIZE_SQL failed: {_shown(statement)} {_NOTHING_CHANGED}",
        detail=why,
        hint=_CORRECT,
    )


def _shown(statement: str) -> str:
    text = " ".join(statement.split())
    if values := re.search("['$]", text):  # may be a secret
        text = f"{text[: values.start()].rstrip()} …"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
