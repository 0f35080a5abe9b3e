"""What the owner of the data knows about it, asked of a restored copy: "the newest order is of the day before the backup"."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from backups.exceptions import ConfigurationError, UnableError
from backups.postgres.connect import connected, words_of
from backups.types import Server

KNOWN = {"name", "sql", "equals", "at_least", "at_most"}


def failed_assertions(
    server: Server, assertions: Sequence[Mapping[str, Any]], *, started_at: datetime, timeout_seconds: int
) -> list[str]:
    """What was asserted and is not so, in words. Each is a query that gives one value; `%(started_at)s` in it is the backup's
    beginning (UTC). It must be true, or what `equals`, `at_least` or `at_most` says.

    Raises ConfigurationError for an assertion that can't be understood, UnableError for one whose query fails, or takes longer
    than `timeout_seconds`: that says nothing about the backup. Nothing is changed: the transaction is read-only.
    """
    failed = []
    with connected(server, application_name="verify: assertions") as connection:
        connection.execute("""SET search_path = "$user", public""")
        for assertion in assertions:
            name, query = require_understood(assertion)
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute("SET TRANSACTION READ ONLY")
                    connection.execute("SELECT set_config('statement_timeout', %s, true)", [f"{timeout_seconds}s"])
                    row = connection.execute(query.encode(), {"started_at": started_at}).fetchone()
            except psycopg.Error as error:
                raise UnableError(f"The assertion {name!r} can't be asked.", detail=words_of(error), hint=_HINT) from error
            value = row[0] if row else None
            if not _holds(assertion, value):
                failed.append(f"{name}: expected {_expected(assertion)}, found {value}.")
    return failed


_HINT = "Correct it in BACKUPS['VERIFY_ASSERTIONS']."


def require_understood(assertion: Mapping[str, Any]) -> tuple[str, str]:
    """Its name and query. Raises ConfigurationError."""
    name, query = assertion.get("name"), assertion.get("sql")
    if not (isinstance(name, str) and name and isinstance(query, str) and query) or set(assertion) - KNOWN:
        raise ConfigurationError(
            f"An assertion of BACKUPS['VERIFY_ASSERTIONS'] has the fields {', '.join(map(str, assertion))}.",
            hint="It needs name and sql, and may have equals, at_least and at_most:"
            ' {"name": "orders", "sql": "SELECT count(*) FROM shop_order", "at_least": 1000}',
        )
    return name, query


def _holds(assertion: Mapping[str, Any], value: Any) -> bool:
    try:
        return (
            value == assertion.get("equals", value if {"at_least", "at_most"} & set(assertion) else True)
            and ("at_least" not in assertion or value >= assertion["at_least"])
            and ("at_most" not in assertion or value <= assertion["at_most"])
        )
    except TypeError:  # nothing, or what can't be compared with a number
        return False


def _expected(assertion: Mapping[str, Any]) -> str:
    told = [f"{word.replace('_', ' ')} {assertion[word]}" for word in ("at_least", "at_most") if word in assertion]
    if "equals" in assertion or not told:
        told.insert(0, str(assertion.get("equals", True)))
    return " and ".join(told)
