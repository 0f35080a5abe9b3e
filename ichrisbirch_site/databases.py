"""Environment variables in, Django's DATABASES out."""

import warnings
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

ALIAS_PREFIX = "DATABASE_URL_"
# As in the app's own connections. psycopg itself waits for 130, in which a page shows nothing.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CONNECT-TIMEOUT
CONNECT_SECONDS = 15


def from_environment(env: environ.Env) -> dict[str, dict[str, Any]]:
    """The site's database, and one more alias for every DATABASE_URL_<ALIAS>.

    An additional URL may leave out what it shares with the site's database: `postgres:///chinook` is the database
    `chinook` on the same server with the same user. A server that is silent is given up after CONNECT_SECONDS, unless the
    URL (`?connect_timeout=30`) or PGCONNECT_TIMEOUT says otherwise.

    Raises ImproperlyConfigured when a URL is not one of PostgreSQL.
    """
    default = _default(env)
    aliases = {"default": default}
    for name in sorted(env.ENVIRON):
        if name == f"{ALIAS_PREFIX}DEFAULT":
            raise ImproperlyConfigured(f"{name}: `default` is the site's own database. Set DATABASE_URL, or choose another name.")
        if name.startswith(ALIAS_PREFIX) and name != ALIAS_PREFIX:
            own = {key: value for key, value in _postgres(env, name).items() if value not in ("", None, {})}
            aliases[name.removeprefix(ALIAS_PREFIX).lower()] = (default | own) if "HOST" not in own else own
    patience = {} if "PGCONNECT_TIMEOUT" in env.ENVIRON else {"connect_timeout": CONNECT_SECONDS}
    return {alias: made | {"OPTIONS": patience | made.get("OPTIONS", {})} for alias, made in aliases.items()}


def _default(env: environ.Env) -> dict[str, Any]:
    if env.ENVIRON.get("DATABASE_URL"):
        return _postgres(env, "DATABASE_URL")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": env.str("POSTGRES_HOST", default="localhost"),
        "PORT": env.str("POSTGRES_PORT", default="5432"),
        "USER": env.str("POSTGRES_USERNAME", default="postgres"),
        "PASSWORD": env.str("POSTGRES_PASSWORD", default=""),
        "NAME": env.str("POSTGRES_DB", default="postgres"),
    }


def _postgres(env: environ.Env, variable: str) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd is said below, without the URL
            parsed: dict[str, Any] = env.db_url(variable)
    except (ValueError, environ.ImproperlyConfigured) as error:
        raise ImproperlyConfigured(
            f"{variable} can't be read as a URL. Characters of the password like / # @ : must be encoded (%2F %23 %40 %3A)."
        ) from error
    if parsed.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured(f"{variable} is not the URL of a PostgreSQL: postgres://user:password@host:port/database")
    return parsed
