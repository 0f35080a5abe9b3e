"""Django's DATABASES, as a backup may use them."""

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from backups.exceptions import ConfigurationError, UsageError
from backups.types import Server

# libpq parameters that say where a connection goes, or as whom. A backup takes those from HOST, PORT, USER, PASSWORD and NAME
# alone; with one of these in OPTIONS, Django would be connected to one database while another one is backed up.
REFUSED_PARAMETERS = frozenset({"service", "servicefile", "passfile", "dbname", "host", "hostaddr", "port", "user", "password"})
MAX_PORT = 65535


def server(alias: str) -> Server:
    """The server and database behind an alias of Django's DATABASES. What is empty there is empty here: libpq's to choose, as it
    is for Django's own connection.

    Raises UsageError for an unknown alias, and ConfigurationError when it is not PostgreSQL or not named plainly.
    """
    try:
        given = connections[alias].settings_dict
    except ConnectionDoesNotExist as error:
        raise UsageError(
            f"There is no database alias {alias!r} in the settings.",
            hint=f"Known are: {', '.join(sorted(connections))}. Add one with DATABASE_URL_{alias.upper()}=postgres://…",
        ) from error
    if connections[alias].vendor != "postgresql":
        raise ConfigurationError(
            f"The database {alias!r} is not PostgreSQL.", hint="Only PostgreSQL is backed up. Choose another with --database."
        )
    if refused := sorted(REFUSED_PARAMETERS & set(given.get("OPTIONS", {}))):
        raise ConfigurationError(
            f"The OPTIONS of the database {alias!r} set {', '.join(refused)}, so it is not clear what would be backed up.",
            hint="Name it with HOST, PORT, USER, PASSWORD and NAME.",
        )
    if "," in str(given["HOST"]):
        raise ConfigurationError(
            f"The HOST of the database {alias!r} names several servers; a backup must be of one.",
            hint="Name the one that is to be backed up.",
        )
    if not given["NAME"]:
        raise ConfigurationError(f"The database {alias!r} has no NAME in the settings.")
    options = {name: str(value) for name, value in given.get("OPTIONS", {}).items() if _is_libpq(name, value)}
    return Server(
        host=given["HOST"] or "",
        port=_port(alias, given["PORT"]),
        user=given["USER"] or "",
        password=given["PASSWORD"] or "",
        database=given["NAME"],
        options=tuple(sorted(options.items())),
    )


def _port(alias: str, given: object) -> int:
    text = str(given or "0").strip()
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise ConfigurationError(
            f"The PORT of the database {alias!r} is {given!r}.",
            hint=f"Use one number from 1 to {MAX_PORT}, or leave it empty for libpq's default.",
        )
    return int(text)


def _is_libpq(name: str, value: object) -> bool:
    return (name.startswith("ssl") or name in ("connect_timeout", "channel_binding", "gssencmode")) and isinstance(
        value, str | int
    )
