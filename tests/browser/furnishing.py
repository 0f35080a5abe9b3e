"""A site that has been in use for a while: real backups and proofs, and one run of each other kind in the history."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone

from backups import audit
from backups.backup import DatabaseBackup
from backups.exceptions import ChecksumError
from backups.models import BackupHistory, BackupRestore
from backups.restore import DatabaseRestore
from backups.stores import configured
from backups.verify import BackupVerification
from tests.browser.site import SHOP, Site
from tests.conftest import connect
from tests.integration import shelf

PANEL = "backups_panel"
PLAIN = ("overview", "health", "new", "prune", "schedules", "storage")  # pages that are of nothing in particular
LISTS = ("backuphistory", "backuprestore", "auditentry")
OF_A_BACKUP = ("backup", "contents", "manifest", "delete")
OF_WHAT_IS_THERE = (
    *("backup that was verified", "backup that is bad", "backup that failed", "backup that runs", "diff", "downloads"),
    *("restore-backup", "restore that is blocked", "restore that asks about sessions", "restore that asks for its target"),
    "restore of a bad backup",
    *("restore", "restore that runs", "folder of the bucket", "deletion of an object"),
)
PAGES = (*PLAIN, *LISTS, *OF_A_BACKUP, *OF_WHAT_IS_THERE)
UNKNOWN = "testing/postgres/old-laptop.sql"


@dataclass(frozen=True)
class Furnished:
    """What is there."""

    verified: BackupHistory
    newest: BackupHistory  # not verified, and the shop has changed since the one before
    bad: BackupHistory
    failed: BackupHistory
    running: BackupHistory
    orphaned: BackupHistory  # a table of it belongs to a role that is no longer there
    production: BackupHistory
    restored: BackupRestore
    restoring: BackupRestore

    def address_of(self, page: str) -> str:
        """Of one of PAGES."""
        return (
            empty_address_of(page)
            or {
                **{name: reverse(f"{PANEL}:{name}", args=[self.newest.id]) for name in OF_A_BACKUP},
                "backup that was verified": reverse(f"{PANEL}:backup", args=[self.verified.id]),
                "backup that is bad": reverse(f"{PANEL}:backup", args=[self.bad.id]),
                "backup that failed": reverse(f"{PANEL}:backup", args=[self.failed.id]),
                "backup that runs": reverse(f"{PANEL}:backup", args=[self.running.id]),
                "diff": reverse(f"{PANEL}:diff", args=[self.verified.id, self.newest.id]),
                "downloads": f"{reverse(f'{PANEL}:downloads')}?id={self.verified.id}&id={self.bad.id}&id={self.failed.id}",
                "restore-backup": reverse(f"{PANEL}:restore-backup", args=[self.verified.id]),
                "restore that is blocked": reverse(f"{PANEL}:restore-backup", args=[self.orphaned.id]),
                "restore that asks about sessions": reverse(f"{PANEL}:restore-backup", args=[self.production.id]),
                "restore that asks for its target": f"{reverse(f'{PANEL}:restore-backup', args=[self.verified.id])}?target=",
                "restore of a bad backup": reverse(f"{PANEL}:restore-backup", args=[self.bad.id]),
                "restore": reverse(f"{PANEL}:restore", args=[self.restored.id]),
                "restore that runs": reverse(f"{PANEL}:restore", args=[self.restoring.id]),
                "folder of the bucket": f"{reverse(f'{PANEL}:storage')}?prefix=testing/postgres/",
                "deletion of an object": f"{reverse(f'{PANEL}:storage-delete')}?key={UNKNOWN}",
            }[page]
        )


def empty_address_of(page: str) -> str:
    """Of one of PLAIN and LISTS, which are there without a backup, too; "" for another."""
    if page in PLAIN:
        return reverse(f"{PANEL}:{page}")
    return reverse(f"admin:backups_{page}_changelist") if page in LISTS else ""


def furnish(site: Site) -> Furnished:
    """Makes it, in an empty history."""
    site.make_shop()
    user = get_user_model().objects.get(username="administrator")
    bad = _bad(site)
    verified = backed_up("daily", save_local=True, user=user)
    BackupVerification(filename=verified.filename, database=SHOP, user=user).run()
    restored = DatabaseRestore(target=site.shop, filename=verified.filename, confirm=site.shop.database, user=user).run()
    with connect(site.shop) as session:
        session.execute("INSERT INTO event SELECT n, md5(n::text) FROM generate_series(5001, 5600) n; DELETE FROM shop.purchase")
    production, orphaned = _of_production(), _orphaned(site)
    newest = backed_up("before release 4-2", user=user)
    site.put(UNKNOWN, b"-- somebody's own")
    audit.note(
        action="prune",
        outcome=audit.Outcome.REFUSED,
        object=verified.filename,
        detail="The permission backups.prune_backup is missing.",
        by=audit.By(channel=audit.Channel.WEB, user=user, actor="administrator", address="127.0.0.1"),
    )
    verified.refresh_from_db()
    failed, running = _rows(verified)
    return Furnished(
        verified=verified,
        newest=newest,
        bad=bad,
        failed=failed,
        running=running,
        orphaned=orphaned,
        production=production,
        restored=restored,
        restoring=_restoring(site, newest),
    )


def backed_up(description: str, *, database: str = SHOP, **options: Any) -> BackupHistory:
    """A backup, made here with what else DatabaseBackup takes; of the shop, where no other alias is given."""
    return DatabaseBackup(description=description, database=database, **options).run()


def _bad(site: Site) -> BackupHistory:
    """A byte of it was changed in the bucket, and a verification has found it."""
    made = backed_up("before the disk failed")
    body = bytearray(configured().require_s3().read(made.s3_key, limit_bytes=made.size_bytes))
    body[-1] ^= 1
    site.put(made.s3_key, bytes(body))
    with suppress(ChecksumError):
        BackupVerification(filename=made.filename, database=SHOP).run()
    made.refresh_from_db()
    assert made.bad_at is not None
    return made


def _of_production() -> BackupHistory:
    """It comes from another server, so that the shop which is here is none of production's."""
    key = shelf.put("of production", environment="production", system_identifier="1", database=SHOP)
    return BackupHistory.objects.get(s3_key=key)


def _orphaned(site: Site) -> BackupHistory:
    with connect(site.shop) as session:
        session.execute("CREATE ROLE old_owner; ALTER TABLE event OWNER TO old_owner")
        made = backed_up("o" * 100)  # a word that fits into no column
        session.execute("ALTER TABLE event OWNER TO CURRENT_USER; DROP ROLE old_owner")
    return made


def _rows(of: BackupHistory) -> tuple[BackupHistory, BackupHistory]:
    """Runs that would take a broken server, or time: a failed one and one at work."""
    now = timezone.now()
    common = {"environment": of.environment, "database": "warehouse", "system_identifier": of.system_identifier}
    failed = BackupHistory.objects.create(
        **common,
        filename="backup-failed.dump",
        description="nightly",
        status="failed",
        created_at=now - timedelta(hours=3),
        started_at=now - timedelta(hours=3),
        finished_at=now - timedelta(hours=3, seconds=-4),
        duration_seconds=4,
        error_message="pg_dump ended with exit code 1.\npg_dump: error: could not read block 17 in file base/5/16402",
    )
    running = BackupHistory.objects.create(
        **common,
        filename="backup-running.dump",
        description="hourly",
        status="running",
        created_at=now,
        started_at=now,
        progress={
            "phase": "dumping",
            "done_bytes": 3 << 20,
            "total_bytes": 8 << 20,
            "stored_bytes": 1 << 20,
            "table": "public.event",
            "tables": {
                "done": 1,
                "total": 9,
                "largest": [
                    {"name": "public.event", "state": "now", "bytes": 4 << 20, "done_bytes": 1 << 20, "seconds": 8.4},
                    {"name": "shop.purchase", "state": "done", "bytes": 2 << 20, "done_bytes": 2 << 20, "seconds": 3.1},
                    {"name": "shop.customer", "state": "waits", "bytes": 1 << 20, "done_bytes": 0, "seconds": None},
                ],
            },
            "took": {"checking": 0.4, "taking the snapshot": 0.1},
            "at": now.isoformat(),
        },
    )
    return failed, running


def _restoring(site: Site, backup: BackupHistory) -> BackupRestore:
    now = timezone.now()
    return BackupRestore.objects.create(
        backup=backup,
        source_key=backup.s3_key,
        target_host=site.shop.host,
        target_port=site.shop.port,
        target_database="warehouse",
        target_environment=backup.environment,
        status="running",
        created_at=now,
        started_at=now,
        progress={"phase": "loading", "took": {"checking": 0.3, "downloading": 64.2, "proving": 1.1}, "at": now.isoformat()},
    )
