"""What the words of `icb` do. Each takes the words that follow it and returns an exit code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import EmbeddedError, Home, Service
from ichrisbirch_site.embedded.database import prepare_database

PROJECT = embedded.PROJECT


def db(verb: str, words: list[str]) -> int:
    """Runs the management command of a `db` verb."""
    return _command("db", verb, words)


def token(verb: str, words: list[str]) -> int:
    """Runs the management command of a `token` verb."""
    return _command("token", verb, words)


def _command(family: str, verb: str, words: list[str]) -> int:
    """With the services it needs running and the database prepared."""
    helps = not embedded.needed_by([verb, *words])
    if not helps:
        embedded.ensure_running_or_exit(os.environ)
    _django()
    from django.core.management import load_command_class

    command = load_command_class("backups", f"{family}_{verb.replace('-', '_')}")
    if not helps:
        prepare_database(os.environ)
    command.run_from_argv([f"icb {family}", verb, *words])
    return 0


def up(words: list[str]) -> int:
    """Starts what the environment does not name, prepares the database, and keeps web, workers and beat running."""
    from ichrisbirch_site.embedded.database import require_prepared_database
    from ichrisbirch_site.supervisor import options, up
    from ichrisbirch_site.supervisor.claims import TakenError

    asked = options.parse(words)
    embedded.ensure_running_or_exit(os.environ)
    _django()
    prepare_database(os.environ)
    if not asked.roles:
        return status([])
    require_prepared_database()
    try:
        return up.detach(asked) if asked.detach else up.run(asked)
    except TakenError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except EmbeddedError as error:
        return _failed(error)


def down(words: list[str]) -> int:
    """Stops the site's processes, then the embedded services; neither while a backup or restore is at work."""
    from ichrisbirch_site.embedded import services
    from ichrisbirch_site.supervisor import claims, up

    if words not in ([], ["--force"]):
        raise _usage("icb down [--force]")
    here = embedded.home(os.environ)
    if not words and (busy := _runs_in_progress(here) or _runs_of_our_workers(here)):
        sys.stderr.write(f"{' and '.join(busy)} at work here. Wait until it is done, or stop it all the same: icb down --force\n")
        return 3
    try:
        stopped = up.stop(here, force=bool(words), say=embedded.say) if claims.kept(here) else []
        stopped += [server.title() for server in services.all_of(here) if here.exists() and services.stop(server)]
    except EmbeddedError as error:
        return _failed(error)
    print_line(f"Stopped {_and(stopped)}." if stopped else "Nothing was running.")
    return 0


def _runs_in_progress(here: Home) -> list[str]:
    """Backups and restores that use the embedded PostgreSQL now; none where it can't be asked."""
    import psycopg

    from ichrisbirch_site.embedded import services
    from ichrisbirch_site.embedded.postgres import PostgreSQL

    server = PostgreSQL(here)
    if not here.exists() or not services.is_up(server):
        return []
    query = """
        SELECT DISTINCT CASE WHEN application_name LIKE 'backup:%' THEN 'backup' ELSE 'restore' END
        FROM pg_stat_activity WHERE application_name LIKE 'backup:%' OR application_name LIKE 'restore%:%'
    """
    try:
        with psycopg.connect(**server.connection("postgres")) as connection:
            return [f"A {kind} is" for (kind,) in connection.execute(query)]
    except psycopg.Error:
        return []


def _runs_of_our_workers(here: Home) -> list[str]:
    """Where the database is not the embedded one: what the history calls running, if workers run here."""
    from ichrisbirch_site.supervisor import claims, glance
    from ichrisbirch_site.supervisor.roles import WORKER

    if Service.DATABASE in embedded.missing(os.environ) or WORKER not in {claim.role for claim in claims.kept(here)}:
        return []
    _django()
    return glance.at_work()


def status(words: list[str]) -> int:
    """Tells what runs, where, and how large it is."""
    from ichrisbirch_site.embedded import services

    if words not in ([], ["--json"]):
        raise _usage("icb status [--json]")
    from ichrisbirch_site.supervisor import claims

    unnamed = embedded.missing(os.environ)
    here = embedded.home(os.environ)
    kept = [claims.status(claim) for claim in claims.kept(here)]
    try:
        found = [services.status(server) for server in services.all_of(here)] if here.exists() else []
    except EmbeddedError as error:
        return _failed(error)
    named = sorted(set(Service) - unnamed)
    if words:
        report = {"folder": str(here.folder), "named_by_the_environment": named, "services": found, "processes": kept}
        print_line(json.dumps(report, indent=2))
        return 0
    for service in named:
        print_line(f"{service:<14} named by the environment; nothing embedded is used for it")
    for entry in found:
        print_line(_status_line(entry))
    for process in kept:
        print_line(_process_line(process))
    if not found:
        print_line("Nothing embedded has been used yet." if unnamed else "Nothing embedded is used.")
        return 0
    print_line(f"All of it is in {here.folder}")
    for entry in found:
        if not Path(str(entry["folder"])).is_relative_to(here.folder):  # see embedded/accounts.py
            print_line(f"but the data of {entry['name']}, which runs as a user who can't go there: {entry['folder']}")
    return 0


def psql(words: list[str]) -> int:
    """Becomes a psql on the site's server; the first word may name another database there."""
    from django.db.backends.postgresql.client import DatabaseClient

    embedded.ensure_running_or_exit(os.environ)
    _django()
    from django.conf import settings

    site = {"OPTIONS": {}, **settings.DATABASES["default"]}
    if words and not words[0].startswith("-"):
        site["NAME"] = words.pop(0)
    (_psql, *address), env = DatabaseClient.settings_to_cmd_args_env(site, [])
    if (program := _program("psql")) is None:
        sys.stderr.write("There is no psql here. Debian: apt install postgresql-client\n")
        return 1
    return _become([program, *address, *words], environment={**os.environ, **(env or {})})


def _program(name: str) -> str | None:
    """The wheel's, else the one of PATH."""
    from ichrisbirch_site.embedded import programs

    own = programs.wheel()
    return str(own / name) if own and (own / name).is_file() else shutil.which(name)


def manage(words: list[str]) -> int:
    return _become([sys.executable, str(PROJECT / "manage.py"), *words])


def setup(words: list[str]) -> int:
    """The installing is done by `icb`, before anything in Python runs."""
    if words not in ([], ["--dev"]):
        raise _usage("icb setup [--dev]")
    print_line(f"Installed in {Path(sys.prefix)}.")
    return 0


def test(words: list[str]) -> int:
    os.chdir(PROJECT)
    return _become([sys.executable, "-m", "pytest", *words])


def bench(words: list[str]) -> int:
    os.chdir(PROJECT)
    return _become([sys.executable, "-m", "benchmarks", *words])


def check(words: list[str]) -> int:
    """Everything that is known to be wrong without running the tests; all of it, not only the first."""
    _takes_nothing("check", words)
    os.chdir(PROJECT)
    manage_py = str(PROJECT / "manage.py")
    steps: list[tuple[str, list[str], dict[str, str]]] = [
        ("lint", ["-m", "ruff", "check"], {}),
        ("format", ["-m", "ruff", "format", "--check"], {}),
        ("types", ["-m", "mypy"], {}),
        ("layers", ["-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-logo"], {}),
        ("api", ["-m", "ichrisbirch_site.openapi", "--check"], {}),
        ("migrations", [manage_py, "makemigrations", "--check", "--dry-run"], {}),
        ("system", [manage_py, "check"], {}),
        ("deployment", [manage_py, "check", "--deploy", "--fail-level", "WARNING"], _production()),
    ]
    failed = []
    for name, command, environment in steps:
        print_line(f"── {name}")
        if subprocess.call([sys.executable, *command], env=os.environ | environment):
            failed.append(name)
    print_line(f"Failed: {', '.join(failed)}." if failed else "All checks passed.")
    return 1 if failed else 0


def _production() -> dict[str, str]:
    """An environment as in production, made up; nothing is connected to."""
    return {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "".join(chr(33 + (7 * number) % 90) for number in range(60)),
        "BACKUPS_SIGNING_KEY": "0123456789abcdef" * 4,
        "DATABASE_URL": "postgres://nobody:nothing@database.invalid:5432/none",
        "AWS_S3_BACKUP_BUCKET": "none",
        "AWS_REGION": "us-east-1",
        "REDIS_URL": "redis://broker.invalid:6379/0",
        "ALLOWED_HOSTS": "site.invalid",
        "DEBUG": "",
    }


def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except (ImproperlyConfigured, EmbeddedError) as error:
        sys.stderr.write(f"Settings: {error}\n")
        raise SystemExit(2) from None


def _become(command: list[str], *, environment: dict[str, str] | None = None) -> int:
    """Turns this process into another program, so that signals and the exit code are that program's own."""
    sys.stdout.flush()
    os.execve(command[0], command, environment or dict(os.environ))  # noqa: S606


def _status_line(entry: dict[str, object]) -> str:
    size = f"{int(str(entry['size_bytes'])) / 2**20:,.1f} MiB"
    where = f"{entry['host']}:{entry['port']}"
    state = f"running   {where}   process {entry['pid']}" if entry["running"] else "stopped"
    return f"{entry['name']!s:<14} {state}   {size} on disk"


def _process_line(process: dict[str, Any]) -> str:
    if not process["running"]:
        state = "not running now; started again in a moment, unless all of it is being stopped"
    else:
        state = f"{'running' if process['ready'] else 'starting'}   {process['address'] or ''}   process {process['pid']}"
    restarts = f"   restarts: {process['restarts']}" if process["restarts"] else ""
    log = process["log"] or f"in the foreground of process {process['kept_by']}"
    return f"{process['name']:<14} {state}{restarts}   {log}"


def _and(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _takes_nothing(verb: str, words: list[str]) -> None:
    if words:
        raise _usage(f"icb {verb}")


def _usage(line: str) -> SystemExit:
    sys.stderr.write(f"usage: {line}\n")
    return SystemExit(2)


def _failed(error: EmbeddedError) -> int:
    sys.stderr.write(f"{error}\n")
    return 1


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
