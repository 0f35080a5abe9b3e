"""PostgreSQL, an S3 server and a broker for a machine that has none.

They are used only for what the environment does not name, and never in production. The rest of the site sees this module
alone; importing it starts nothing. Everything they have lies in one folder, `.icb` in the project, or ICB_FOLDER.
"""

import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from ichrisbirch_site.embedded.errors import EmbeddedError
from ichrisbirch_site.embedded.home import BUCKET, REGION, Home

__all__ = [
    "EmbeddedError",
    "Home",
    "Service",
    "broker_options",
    "client_folders",
    "ensure_running",
    "ensure_running_or_exit",
    "environment",
    "folder",
    "home",
    "make_broker",
    "missing",
    "needed_by",
    "variables_of",
]

PROJECT = Path(__file__).resolve().parent.parent.parent


class Service(StrEnum):
    """What the environment names, or the embedded services replace."""

    DATABASE = "PostgreSQL"
    BUCKET = "the S3 bucket"


DATABASE_VARIABLES = (
    *("DATABASE_URL", "POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USERNAME", "POSTGRES_PASSWORD", "POSTGRES_DB"),
    *("DATABASE_URL_FILE", "POSTGRES_PASSWORD_FILE"),
)

# Commands of Django's that touch neither the database nor the bucket.
NEED_NOTHING = {
    *("check", "collectstatic", "compilemessages", "diffsettings", "findstatic", "help", "makemessages"),
    *("startapp", "startproject", "version"),
}


def missing(environ: Mapping[str, str]) -> set[Service]:
    """What the environment does not name. A variable that is empty names nothing."""
    unnamed = set()
    if not any(environ.get(name) for name in DATABASE_VARIABLES):
        unnamed.add(Service.DATABASE)
    if not environ.get("AWS_S3_BACKUP_BUCKET"):
        unnamed.add(Service.BUCKET)
    return unnamed


def variables_of(services: Iterable[Service]) -> str:
    """The variables that name these services, in words."""
    variables = {Service.DATABASE: "DATABASE_URL (or POSTGRES_HOST)", Service.BUCKET: "AWS_S3_BACKUP_BUCKET"}
    return " and ".join(variables[service] for service in sorted(services))


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables to lay over the environment: those of the embedded services that stand in for what it does not name.

    Empty in production. The first call makes the random credentials (and keeps them); nothing is started.
    Raises EmbeddedError when the folder can't be used.
    """
    if environ.get("ENVIRONMENT") == "production":
        return {}
    unnamed = missing(environ)
    secrets = [
        name for name in ("SECRET_KEY", "BACKUPS_SIGNING_KEY") if not environ.get(name) and not environ.get(f"{name}_FILE")
    ]
    if not unnamed and not secrets:
        return {}
    credentials = home(environ).credentials()
    values = {"SECRET_KEY": credentials.secret_key, "BACKUPS_SIGNING_KEY": credentials.signing_key}
    overlay = {name: values[name] for name in secrets}
    if Service.DATABASE in unnamed:
        overlay["DATABASE_URL"] = credentials.postgres_url
    if Service.BUCKET in unnamed:
        overlay |= {
            "AWS_S3_BACKUP_BUCKET": BUCKET,
            "AWS_ENDPOINT_URL_S3": credentials.s3_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key,
            # What the developer has set for the real one must not reach this one.
            "AWS_SESSION_TOKEN": "",
            "AWS_S3_ADDRESSING_STYLE": "path",
            "AWS_S3_OBJECT_PARAMETERS": "{}",
        }
    return overlay


def folder(environ: Mapping[str, str]) -> Path:
    """Where the embedded services and what they keep are; it need not exist."""
    chosen = environ.get("ICB_FOLDER")
    return Path(chosen).absolute() if chosen else PROJECT / ".icb"


def home(environ: Mapping[str, str]) -> Home:
    return Home(folder(environ))


def client_folders() -> list[str]:
    """Folders with PostgreSQL's client programs that came with the embedded services."""
    from ichrisbirch_site.embedded import programs

    own = programs.wheel()
    return [str(own)] if own else []


def broker_options(environ: Mapping[str, str]) -> dict[str, str | bool]:
    """Options of kombu's filesystem transport, Celery's broker where the environment names none. Makes no folder."""
    broker = home(environ).broker
    return {
        "data_folder_in": str(broker / "queue"),
        "data_folder_out": str(broker / "queue"),
        "processed_folder": str(broker / "processed"),
        "control_folder": str(broker / "control"),
        "store_processed": False,
    }


def make_broker(environ: Mapping[str, str]) -> None:
    """Makes the folders of the filesystem transport, which it expects to be there."""
    here = home(environ)
    for folder in ("queue", "control"):
        here.make(here.broker / folder)


def needed_by(arguments: list[str]) -> bool:
    """Whether a command of manage.py with these arguments works with the database or the bucket."""
    if not arguments or arguments[0] in NEED_NOTHING:
        return False
    return not any(word in ("-h", "--help", "--version") for word in arguments)


def ensure_running(environ: Mapping[str, str]) -> None:
    """Starts the embedded services that stand in for what the environment does not name, and waits until they are ready.

    Tells on stderr what it starts. Raises EmbeddedError.
    """
    unnamed = missing(environ)
    if not unnamed or environ.get("ENVIRONMENT") == "production":
        return
    from ichrisbirch_site.embedded import services
    from ichrisbirch_site.embedded.postgres import PostgreSQL
    from ichrisbirch_site.embedded.s3 import S3

    here = home(environ)
    servers: list[services.Server] = []
    if Service.DATABASE in unnamed:
        servers.append(PostgreSQL(here))
    if Service.BUCKET in unnamed:
        servers.append(S3(here))
    services.ensure(servers, say=say)


def ensure_running_or_exit(environ: Mapping[str, str]) -> None:
    """As `ensure_running`; ends the process with exit code 1 and a message on stderr when a service can't be started."""
    try:
        ensure_running(environ)
    except EmbeddedError as error:
        _exit(error)


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _exit(error: EmbeddedError) -> NoReturn:
    say(str(error))
    raise SystemExit(1) from None
