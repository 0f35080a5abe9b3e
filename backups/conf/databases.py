"""Django's DATABASES, as a backup may use them."""

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from backups.exceptions import ConfigurationError, UsageError
from backups.sentences import sentence as _
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
            _("There is no database alias {alias} in the settings.", alias=f"{alias!r}"),
            hint=_(
                "Known are: {known}. Add one with DATABASE_URL_{upper}=postgres://…",
                known=", ".join(sorted(connections)),
                upper=alias.upper(),
            ),
        ) from error
    if connections[alias].vendor != "postgresql":
        raise ConfigurationError(
            _("The database {alias} is not PostgreSQL.", alias=f"{alias!r}"),
            hint=_("Only PostgreSQL is backed up. Choose another with --database."),
        )
    if refused := sorted(REFUSED_PARAMETERS & set(given.get("OPTIONS", {}))):
        raise ConfigurationError(
            _(
                "The OPTIONS of the database {alias} set {refused}, so it is not clear what would be backed up.",
                alias=f"{alias!r}",
                refused=", ".join(refused),
            ),
            hint=_("Name it with HOST, PORT, USER, PASSWORD and NAME."),
        )
    if "," in str(given["HOST"]):
        raise ConfigurationError(
            _("The HOST of the database {alias} names several servers; a backup must be of one.", alias=f"{alias!r}"),
            hint=_("Name the one that is to be backed up."),
        )
    if not given["NAME"]:
        raise ConfigurationError(
            _("The database {alias} has no NAME in the settings.", alias=f"{alias!r}"),
            hint=_("Set it: in a URL it is what stands last, postgres://user@host:5432/NAME"),
        )
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
            _("The PORT of the database {alias} is {given}.", alias=f"{alias!r}", given=f"{given!r}"),
            hint=_("Use one number from 1 to {most}, or leave it empty for libpq's default.", most=MAX_PORT),
        )
    return int(text)


def _is_libpq(name: str, value: object) -> bool:
    return (name.startswith("ssl") or name in ("connect_timeout", "channel_binding", "gssencmode")) and isinstance(
        value, str | int
    )
