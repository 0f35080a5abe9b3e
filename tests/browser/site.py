"""The real site for a browser: gunicorn and a Celery worker in processes of their own, on a database, a bucket and a broker that
nothing else uses.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from backups.heartbeats import QUEUES, SCHEDULER, of_queue
from backups.models import Heartbeat
from backups.postgres import programs
from backups.types import Server
from tests.api.serving import served
from tests.conftest import OURS, SOURCE_SQL, connect, drop_with_what_it_replaced, environment_of, new_database, s3_client, until
from tests.workers.conftest import Workshop, workshop_of

GROUPS = ("viewer", "operator", "restorer", "pruner", "administrator")
ALIVE = (SCHEDULER, *map(of_queue, QUEUES))
PASSWORD = "correct horse battery staple"
SHOP = "shop"  # the alias of what is backed up and restored, and its database


@dataclass(frozen=True)
class Site:
    """Where it is, and what it works with."""

    url: str
    database: Server  # its own
    shop: Server
    ours: dict[str, Any]  # Django's BACKUPS
    storages: dict[str, Any]  # and STORAGES
    workshop: Workshop
    held: Path  # while this file is there, pg_dump waits at its start

    @contextmanager
    def holding(self) -> Iterator[None]:
        """pg_dump waits, for the length of the block, so that a running backup can be looked at."""
        self.held.touch()
        try:
            yield
        finally:
            self.held.unlink()

    @contextmanager
    def without_its_database(self) -> Iterator[None]:
        """Nobody is let into the site's own database, for the length of the block, and who was in it is thrown out."""
        name = self.database.database
        connection.close()  # what is lent to us enters it too
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with connect(replace(self.database, database="postgres")) as session:
            session.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
            try:
                session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
                yield
            finally:
                session.execute(allow.format(sql.Identifier(name), sql.Literal(True)))

    @property
    def bucket(self) -> str:
        """Its name."""
        return str(self.storages["backups"]["OPTIONS"]["bucket_name"])

    def put(self, key: str, body: bytes) -> None:
        """Somebody puts an object of his own into the bucket."""
        self._s3().put_object(Bucket=self.bucket, Key=key, Body=body)

    def forget(self) -> None:
        """No backup, no restore, no note, no object is there any more; the users stay."""
        with connection.cursor() as cursor:
            tables = "backup_history, admin.backup_restore, admin.backup_incident, admin.backup_audit"
            cursor.execute(f"TRUNCATE admin.{tables}")
        shutil.rmtree(self.ours["LOCAL_FOLDER"], ignore_errors=True)
        _empty(self._s3(), self.bucket)

    def make_shop(self) -> None:
        """The shop as it was at first, and nothing kept of what restores have replaced."""
        drop_with_what_it_replaced(self.shop)
        new_database(replace(self.shop, database="postgres"), self.shop.database)
        with connect(self.shop) as session:
            session.execute(SOURCE_SQL)

    def _s3(self) -> Any:
        return s3_client(SimpleNamespace(STORAGES=self.storages))


@contextmanager
def opened(admin: Server, folder: Path) -> Iterator[Site]:
    """A site that works, with a user of each group, one of none, and a superuser, root; all of it is gone after the block.

    Whoever enters it may use the database by Django's connection, which is lent to the site's for as long as it is being made.
    """
    database, shop = replace(admin, database="panel"), replace(admin, database=SHOP)
    held = folder / "held"
    folders = _waiting_program(folder / "programs", while_there=held)
    ours = {**settings.BACKUPS, **OURS, "LOCAL_FOLDER": folder / "local", "RESTORE_TARGETS": [SHOP], "CLIENT_FOLDERS": folders}
    storages = _storages("shop-backups")
    store = storages["backups"]["OPTIONS"]
    environment = environment_of(database, aliases={SHOP: shop}, store=store, ours=ours)
    environment |= {"BACKUPS_RESTORE_TARGETS": SHOP, "BACKUPS_MAX_RUNNING": "10", "BACKUPS_CREATE_PER_MINUTE": "1000"}
    environment["BACKUPS_HEALTH"] = json.dumps({"versioning": False})  # the embedded S3 server keeps none
    new_database(admin, database.database)
    try:
        with connected_to(database.database):
            call_command("migrate", verbosity=0)
            _make_users()
        with _bucket(storages), workshop_of(environment, folder) as workshop:
            workshop.worker()
            with served(workshop.env, log=folder / "gunicorn.log") as url:
                site = Site(url, database, shop, ours, storages, workshop, held)
                site.make_shop()
                workshop.send("pulse")  # as a scheduler does it each minute
                workshop.send("tend", queue="upkeep")
                with connected_to(database.database):
                    until(lambda: Heartbeat.objects.count() == len(ALIVE), seconds=60)
                yield site
    finally:
        drop_with_what_it_replaced(shop)
        drop_with_what_it_replaced(database)


@contextmanager
def connected_to(database: str) -> Iterator[None]:
    """Django's default connection enters this database, for the length of the block."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = database
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@contextmanager
def _bucket(storages: dict[str, Any]) -> Iterator[None]:
    """Is there, for the length of the block."""
    client, name = s3_client(SimpleNamespace(STORAGES=storages)), storages["backups"]["OPTIONS"]["bucket_name"]
    client.create_bucket(Bucket=name)
    try:
        yield
    finally:
        _empty(client, name)
        client.delete_bucket(Bucket=name)


def _empty(client: Any, bucket: str) -> None:
    for item in client.list_objects_v2(Bucket=bucket).get("Contents", []):
        client.delete_object(Bucket=bucket, Key=item["Key"])


def _storages(bucket: str) -> dict[str, Any]:
    ours = settings.STORAGES["backups"]
    return {**settings.STORAGES, "backups": {**ours, "OPTIONS": {**ours["OPTIONS"], "bucket_name": bucket}}}


def _make_users() -> None:
    for group in GROUPS:
        user = get_user_model().objects.create_user(group, password=PASSWORD, is_staff=True)
        user.groups.add(Group.objects.get(name=f"backup {group}"))
    get_user_model().objects.create_user("nobody", password=PASSWORD, is_staff=True)
    get_user_model().objects.create_superuser("root", password=PASSWORD)


def _waiting_program(folder: Path, *, while_there: Path) -> list[str]:
    """The folders with client programs, and before them one whose pg_dump waits as long as a file is there."""
    folders = [str(one) for one in settings.BACKUPS["CLIENT_FOLDERS"]]
    real = next(program.path for program in programs.find("pg_dump", folders=folders) if program.major == 17)
    folder.mkdir()
    (folder / "pg_dumpall").symlink_to(Path(real).with_name("pg_dumpall"))
    made = folder / "pg_dump"
    made.write_text(
        f'#!/bin/bash\nexport PATH=/usr/bin:/bin\ncase " $* " in *" --snapshot="*)\n'
        f'while [ -e "{while_there}" ]; do sleep 0.02; done\nesac\nexec "{real}" "$@"\n'
    )
    made.chmod(0o755)
    return [str(folder), *folders]
