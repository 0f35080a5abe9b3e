"""What can go wrong between the tables and the store: no backup becomes visible, the row says why, and nothing is left."""

import hashlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import psycopg
import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.exceptions import (
    ArchiveError,
    BackupsError,
    BucketError,
    ClientProgramError,
    DumpError,
    HistoryError,
    LockTimeoutError,
    ObjectDeniedError,
    PostgresError,
    RunningError,
    StalledError,
)
from backups.models import BackupHistory
from backups.postgres import programs
from backups.postgres.lock import run_lock
from backups.sync import CatalogSync
from backups.types import Progress, Server
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import (
    Gate,
    PlaceProgram,
    connect,
    drop_database,
    keys_in,
    keys_of,
    new_database,
    s3_client,
    server_of,
    until,
    uploads_in,
)
from tests.faults import proxy as faults
from tests.faults.conftest import (
    BIG_SQL,
    HANGING,
    WIDE_SQL,
    Worker,
    assert_nothing_left,
    copy_of_wide_stands_still,
    running_row,
    sessions_of,
    waiting_for_locks,
)
from tests.faults.proxy import Answer, Forward, Proxy, Request, operation, put_of

pytestmark = pytest.mark.usefixtures("history")


def fails(error: type[BackupsError], *, save_local: bool = True, **given: object) -> tuple[BackupHistory, BackupsError]:
    """A backup that must fail so; its row, and the error."""
    with pytest.raises(error) as caught:
        DatabaseBackup(description="fault", database="source", save_local=save_local, **given).run()  # type: ignore[arg-type]
    row = BackupHistory.objects.get()
    assert row.status == "failed"
    assert row.error_message == str(caught.value)
    assert row.finished_at is not None
    return row, caught.value


def in_copy(source: Server) -> bool:
    query = "SELECT FROM pg_stat_progress_copy WHERE bytes_processed > 0 AND datname = current_database()"
    with connect(source) as session:
        return session.execute(query).fetchone() is not None


# 1, 2: kill -9 of the worker


def test_after_kill_9_in_mid_copy_nothing_runs_on_and_the_next_run_tidies_up(
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    place_program: PlaceProgram,
    start_worker: Callable[..., Worker],
) -> None:
    with connect(source) as session:
        session.execute(BIG_SQL)
    program = place_program(HANGING)
    worker = start_worker("db_backup", "killed", "--database", "source", "--save-local")
    until(lambda: in_copy(source))
    row = running_row()
    (pg_dump,) = worker.children()
    partial = Path(row.local_path + ".partial")
    assert partial.exists()
    assert row.upload_id

    worker.kill()

    until(lambda: not Path(f"/proc/{pg_dump}").exists())
    until(lambda: sessions_of(admin, f"backup:{row.id}") == 0)
    program.unlink()
    after = DatabaseBackup(description="next", database="source", save_local=True).run()
    row.refresh_from_db()
    assert (row.status, after.status) == ("failed", "succeeded")
    assert "worker was lost" in row.error_message
    assert uploads_in(backups_settings, bucket) == []
    assert not partial.exists()
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_after_kill_9_while_pg_dump_waits_for_a_lock_nothing_is_left_in_pg_locks(
    source: Server,
    bucket: str,
    admin: Server,
    gate: Gate,
    start_worker: Callable[..., Worker],
    meanwhile: Callable[..., object],
) -> None:
    worker = start_worker("db_backup", "killed", "--database", "source")
    gate.wait()
    row = running_row()
    with connect(source) as other, other.transaction():
        locked = meanwhile(lambda: other.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        until(lambda: waiting_for_locks(source) == 1)
        gate.open()
        until(lambda: waiting_for_locks(source) == 2)

        worker.kill()

        until(locked.done)  # type: ignore[attr-defined]
        until(lambda: sessions_of(admin, f"backup:{row.id}") == 0)
        assert waiting_for_locks(source) == 0


def test_a_run_that_died_after_its_manifest_was_written_is_a_success(source: Server, bucket: str) -> None:
    row = DatabaseBackup(description="whole", database="source").run()
    BackupHistory.objects.filter(id=row.id).update(status="running", finished_at=None, checksum="", size_bytes=None)

    DatabaseBackup(description="next", database="source").run()

    found = BackupHistory.objects.get(id=row.id)
    assert (found.status, found.checksum, found.size_bytes) == ("succeeded", row.checksum, row.size_bytes)


def begun(made: BackupHistory, **given: object) -> BackupHistory:
    """A run that has begun and not ended, like one that made a backup, but for what is given."""
    like = {name: getattr(made, name) for name in ("environment", "database", "server_address", "system_identifier", "s3_key")}
    other: dict[str, object] = {"filename": "backup-2026-01-01T0000-other.dump", "bucket": made.bucket, "status": "running"}
    return BackupHistory.objects.create(**(like | other | given))  # type: ignore[misc]


ELSEWHERE = {
    "in another cluster": {"system_identifier": "7000000000000000000"},
    "in a cluster that nobody knows": {"system_identifier": ""},
    "on the standby": {"server_address": "127.0.0.1:5432 (standby 10.0.0.7)"},
    "at another address": {"server_address": "db.example.org:5432"},
    "in a preflight elsewhere": {
        "server_address": "db.example.org:5432",
        "status": "pending",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    },
}


@pytest.mark.parametrize("given", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_run_of_a_database_with_the_same_name_on_another_server_is_left_alone(
    source: Server, bucket: str, given: dict[str, object]
) -> None:
    other = begun(DatabaseBackup(description="before", database="source").run(), **given)

    DatabaseBackup(description="ours", database="source").run()

    status = other.status
    other.refresh_from_db()
    assert other.status == status


def test_a_lost_run_of_the_very_server_is_failed(source: Server, bucket: str) -> None:
    lost = begun(DatabaseBackup(description="before", database="source").run())

    DatabaseBackup(description="ours", database="source").run()

    lost.refresh_from_db()
    assert lost.status == "failed"


def test_a_secret_in_the_words_of_a_store_is_not_kept_on_the_row_of_a_lost_run(
    source: Server, through_the_proxy: Proxy, backups_settings: Settings
) -> None:
    secret = str(backups_settings.STORAGES["backups"]["OPTIONS"]["secret_key"])
    lost = begun(DatabaseBackup(description="before", database="source").run(), upload_id="gone")
    through_the_proxy.when(operation("abort"), faults.refuse(403, f"The key {secret} may not"), times=1)

    DatabaseBackup(description="ours", database="source").run()

    lost.refresh_from_db()
    assert "The key *** may not" in lost.error_message
    assert secret not in lost.error_message


def test_a_run_that_died_while_it_checked_gets_its_final_state(source: Server, bucket: str) -> None:
    old = BackupHistory.objects.create(
        filename="backup-2026-01-01T0000-old.dump",
        environment="testing",
        database=source.database,
        created_at="2026-01-01T00:00:00Z",
        started_at="2026-01-01T00:00:01Z",
    )
    DatabaseBackup(description="next", database="source").run()

    old.refresh_from_db()
    assert old.status == "failed"


# kill -9 between completion, manifest and row


class Hold:
    """Requests that wait for the end of the test, before or after the store has seen them."""

    def __init__(self) -> None:
        self._came, self._over = Event(), Event()

    def before(self, request: Request, forward: Forward) -> Answer:
        """The store never sees it."""
        self._came.set()
        assert self._over.wait(60)
        raise faults.DroppedError

    def after(self, request: Request, forward: Forward) -> Answer:
        """The store has done it, and has not answered yet."""
        forward(request)
        return self.before(request, forward)

    def until_it_came(self) -> None:
        assert self._came.wait(60)

    def release(self) -> None:
        self._over.set()


@pytest.fixture
def hold(through_the_proxy: Proxy) -> Iterator[Hold]:
    made = Hold()
    yield made
    made.release()


def killed_where_it_waits(worker: Worker, hold: Hold, proxy: Proxy, admin: Server) -> BackupHistory:
    hold.until_it_came()
    row = running_row()
    worker.kill()
    until(lambda: sessions_of(admin, f"backup:{row.id}") == 0)
    proxy.heal()
    return row


def stored_in(settings: Settings, row: BackupHistory) -> tuple[list[str], list[str]]:
    """What there is of a run, in the bucket and in the local folder."""
    files = Path(settings.BACKUPS["LOCAL_FOLDER"]).rglob(f"{row.filename}*")
    return [key for key in keys_in(settings, row.bucket) if row.filename in key], sorted(path.name for path in files)


def test_killed_before_its_manifest_it_is_failed_and_its_object_removed(
    source: Server,
    through_the_proxy: Proxy,
    hold: Hold,
    backups_settings: Settings,
    admin: Server,
    start_worker: Callable[..., Worker],
) -> None:
    through_the_proxy.when(put_of(".json"), hold.before)
    worker = start_worker("db_backup", "killed", "--database", "source", "--save-local")
    row = killed_where_it_waits(worker, hold, through_the_proxy, admin)
    both = [row.filename, row.filename + ".globals.sql"]
    assert stored_in(backups_settings, row) == ([f"testing/postgres/{name}" for name in both], both)

    assert DatabaseBackup(description="next", database="source").run().status == "succeeded"

    row.refresh_from_db()
    assert row.status == "failed"
    assert_nothing_left(backups_settings, row.bucket, admin, row)


def test_killed_between_its_two_manifests_it_is_a_success_and_gets_the_second(
    source: Server,
    through_the_proxy: Proxy,
    hold: Hold,
    backups_settings: Settings,
    admin: Server,
    start_worker: Callable[..., Worker],
) -> None:
    through_the_proxy.when(put_of(".json"), hold.after)
    worker = start_worker("db_backup", "killed", "--database", "source", "--save-local")
    row = killed_where_it_waits(worker, hold, through_the_proxy, admin)
    both = [row.filename, row.filename + ".globals.sql"]
    assert stored_in(backups_settings, row) == ([*(f"testing/postgres/{name}" for name in both), row.s3_key + ".json"], both)

    DatabaseBackup(description="next", database="source").run()

    row.refresh_from_db()
    assert row.status == "succeeded"
    assert_whole(backups_settings, row)


def test_when_the_history_is_gone_at_the_end_the_manifest_brings_its_row_back(
    source: Server, through_the_proxy: Proxy, backups_settings: Settings, admin: Server
) -> None:
    site = replace(admin, database=str(connection.settings_dict["NAME"]))

    def lose_the_history(request: Request, forward: Forward) -> Answer:
        with connect(site) as session:
            session.execute("ALTER TABLE admin.backup_history RENAME TO backup_history_gone")
        return forward(request)

    through_the_proxy.when(put_of(".json"), lose_the_history, times=1)
    try:
        with pytest.raises(HistoryError, match="is whole and has its manifest, but the history does not know it yet"):
            DatabaseBackup(description="last", database="source", save_local=True).run()
    finally:
        with connect(site) as session:
            session.execute("ALTER TABLE admin.backup_history_gone RENAME TO backup_history")
    BackupHistory.objects.all().delete()

    CatalogSync().run()

    row = BackupHistory.objects.get()
    assert (row.status, row.description) == ("succeeded", "last")
    assert_whole(backups_settings, row)


def test_killed_between_manifest_and_row_it_is_a_success(
    source: Server,
    through_the_proxy: Proxy,
    backups_settings: Settings,
    admin: Server,
    start_worker: Callable[..., Worker],
) -> None:
    site = replace(admin, database=str(connection.settings_dict["NAME"]))
    reached, begin = Event(), Event()

    def gate(request: Request, forward: Forward) -> Answer:
        reached.set()
        assert begin.wait(60)
        return forward(request)

    through_the_proxy.when(put_of(".json"), gate)
    worker = start_worker("db_backup", "killed", "--database", "source", "--save-local")
    assert reached.wait(60)
    row = running_row()
    with connect(site) as session, session.transaction(), connect(site) as observer:
        session.execute("SELECT FROM admin.backup_history WHERE id = %s FOR UPDATE", [row.id])
        begin.set()
        # Its thread that writes the progress may wait for the same row, before it or after it.
        last = "wait_event_type = 'Lock' AND query LIKE '%succeeded%' AND pid <> pg_backend_pid()"
        waiting = f"FROM pg_stat_activity WHERE datname = current_database() AND {last}"
        until(lambda: observer.execute(f"SELECT {waiting}".encode()).fetchone() is not None)
        worker.kill()
        assert observer.execute(f"SELECT pg_terminate_backend(pid, 10000) {waiting}".encode()).fetchall() == [(True,)]
    until(lambda: sessions_of(admin, f"backup:{row.id}") == 0)
    row.refresh_from_db()
    assert row.status == "running"

    DatabaseBackup(description="next", database="source").run()

    row.refresh_from_db()
    assert row.status == "succeeded"
    assert_whole(backups_settings, row)


def assert_whole(settings: Settings, row: BackupHistory) -> None:
    """Dump and manifest are in both places, the row knows them, and the dump is the one that the manifest tells."""
    names = [row.filename + suffix for suffix in ("", ".globals.sql", ".json")]
    assert stored_in(settings, row) == ([f"testing/postgres/{name}" for name in names], names)
    body = s3_client(settings).get_object(Bucket=row.bucket, Key=row.s3_key)["Body"].read()
    local = Path(row.local_path).read_bytes()
    assert hashlib.sha256(body).hexdigest() == hashlib.sha256(local).hexdigest() == row.checksum
    manifests = {Path(row.local_path + ".json").read_bytes()}
    manifests.add(s3_client(settings).get_object(Bucket=row.bucket, Key=row.s3_key + ".json")["Body"].read())
    assert len(manifests) == 1


# 3, 4: pg_dump and its session


def test_a_killed_pg_dump_leaves_no_object_and_no_upload(
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    tmp_path: Path,
    place_program: PlaceProgram,
    meanwhile: Callable[..., object],
) -> None:
    with connect(source) as session:
        session.execute(BIG_SQL)
    place_program(f'echo $$ > "{tmp_path}/pid"\n{HANGING}')

    def kill() -> None:
        until(lambda: in_copy(source))
        assert len(uploads_in(backups_settings, bucket)) == 1
        os.killpg(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    meanwhile(kill)
    row, error = fails(DumpError)
    assert "SIGKILL" in error.message
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_the_servers_words_are_on_the_row_when_it_ends_the_session_in_mid_copy(
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    gate: Gate,
    meanwhile: Callable[..., object],
) -> None:
    with connect(source) as session:
        session.execute(WIDE_SQL)

    def end_the_session() -> None:
        with copy_of_wide_stands_still(source, gate), connect(source) as session:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy WHERE datname = current_database()"
            assert session.execute(query).fetchall() == [(True,)]

    meanwhile(end_the_session)
    row, error = fails(DumpError)
    assert "terminating connection due to administrator command" in row.error_message
    assert "wide" in row.error_message
    assert "server ended the connection" in error.hint
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_when_the_server_ends_every_session_of_ours_the_row_still_says_so(
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    gate: Gate,
    meanwhile: Callable[..., object],
) -> None:
    def end_the_sessions() -> None:
        gate.wait()
        with connect(admin) as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [source.database])
        gate.open()

    meanwhile(end_the_sessions)
    row, _error = fails(PostgresError)
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_a_crash_of_the_whole_server_fails_the_backup_and_the_next_one_succeeds(
    postgres15: PostgreSQL,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    tmp_path: Path,
    register_alias: Callable[[str, Server], None],
    meanwhile: Callable[..., object],
) -> None:
    server = new_database(server_of(postgres15))
    with connect(server) as session:
        session.execute(BIG_SQL)
    register_alias("source", server)
    crashed = []

    def crash(progress: Progress) -> None:
        """kill -9 of one session: PostgreSQL then ends all others, and recovers."""
        if progress.phase == "dumping" and not crashed:
            with connect(server) as session:
                crashed.append(session.info.backend_pid)
                os.kill(crashed[0], signal.SIGKILL)

    row, error = fails(PostgresError, on_progress=crash)
    assert crashed
    assert error.message != "The backup failed unexpectedly."
    assert_nothing_left(backups_settings, bucket, admin, row)

    until(lambda: is_up(server))
    assert DatabaseBackup(description="next", database="source").run().status == "succeeded"
    drop_database(server)


def is_up(server: Server) -> bool:
    try:
        connect(server).close()
    except psycopg.OperationalError:
        return False
    return True


# 5, 6, 7: a pg_dump that lies, or has too much or nothing to say


def test_a_pg_dump_that_writes_everything_and_exits_1_makes_no_object(
    source: Server, bucket: str, backups_settings: Settings, admin: Server, place_program: PlaceProgram
) -> None:
    with connect(source) as session:
        session.execute(BIG_SQL)
    place_program('"$real" "$@"; echo "pg_dump: error: the disk is on fire" >&2; exit 1')

    row, error = fails(DumpError)

    assert "exit code 1" in error.message
    assert "the disk is on fire" in row.error_message
    assert_nothing_left(backups_settings, bucket, admin, row)


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        pytest.param("exit 0", "It ends in its header", id="nothing"),
        pytest.param('"$real" "$@" | head -c 4000', "It ends", id="only its beginning"),
        pytest.param('"$real" "$@" | head -c -1', "is missing|It ends", id="all but the last byte"),
        pytest.param('"$real" "$@" | head -c -1000000', "It ends in the data of public.big", id="all but the last megabyte"),
        pytest.param('"$real" --schema-only --format=plain', "does not begin with PGDMP", id="a script of SQL"),
        pytest.param('"$real" "$@"; echo and more', "no entry in the table of contents", id="an archive and more"),
    ],
)
def test_a_pg_dump_that_exits_0_without_a_whole_archive_makes_no_object(
    script: str,
    seen: str,
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    place_program: PlaceProgram,
) -> None:
    with connect(source) as session:
        session.execute("DROP TABLE event")
        session.execute(BIG_SQL)
    place_program(script)

    row, error = fails(ArchiveError)

    assert error.message.startswith("Not a")
    assert re.search(seen, error.message + error.detail)
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_200_megabytes_of_complaints_are_read_to_the_end_and_only_the_last_are_kept(
    source: Server, bucket: str, place_program: PlaceProgram
) -> None:
    place_program("yes 'pg_dump: warning: it rains' | head -c 200000000 >&2; echo 'pg_dump: error: flood' >&2; exit 1")

    row, _error = fails(DumpError)

    assert row.error_message.count("it rains") > 100
    assert "flood" in row.error_message
    assert len(row.error_message) < 20_000


def test_complaints_do_not_spoil_a_whole_archive(source: Server, bucket: str, place_program: PlaceProgram) -> None:
    place_program('yes "pg_dump: warning: it rains" | head -c 2000000 >&2; exec "$real" "$@"')

    assert DatabaseBackup(description="rain", database="source").run().status == "succeeded"


def test_what_no_table_and_no_terminal_would_take_is_cleaned_from_the_complaints(
    source: Server, bucket: str, place_program: PlaceProgram
) -> None:
    place_program(r"printf 'pg_dump: error: \000 \033[2J \377 end\n' >&2; exit 1")

    row, _error = fails(DumpError)

    assert "end" in row.error_message
    assert not {"\0", "\033"} & set(row.error_message)


def test_row_data_that_the_server_quotes_is_not_kept(source: Server, bucket: str, place_program: PlaceProgram) -> None:
    place_program(
        r"printf 'pg_dump: error: query failed: ERROR:  bad value\nDETAIL:  Key (iban)=(DE44)\n"
        r"CONTEXT:  COPY t, line 1: DE45\nDE46\nHINT:  Look\n' >&2; exit 1"
    )
    row, _error = fails(DumpError)

    assert "bad value" in row.error_message
    assert "HINT:  Look" in row.error_message
    assert "DE4" not in row.error_message


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("exec sleep 1000", id="from the start"),
        pytest.param('trap "" TERM; exec 2>/dev/null; "$real" "$@" | head -c 3000; while :; do sleep 0.1; done', id="and deaf"),
        pytest.param('"$real" "$@"; exec >&-; exec sleep 1000', id="after its last byte"),
    ],
)
def test_a_pg_dump_that_falls_silent_is_stopped(
    script: str,
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    place_program: PlaceProgram,
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "STALL_TIMEOUT_SECONDS": 1}
    place_program(script)

    row, error = fails(StalledError)

    assert "BACKUPS_STALL_TIMEOUT_SECONDS" in error.hint
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_what_a_client_program_leaves_running_does_not_hold_the_backup_up(
    source: Server, bucket: str, tmp_path: Path, place_program: PlaceProgram
) -> None:
    place_program(f'sleep 1000 >/dev/null & echo $! > "{tmp_path}/pid"; "$real" "$@"')

    assert DatabaseBackup(description="left", database="source").run().status == "succeeded"

    until(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists() or is_zombie(tmp_path / "pid"))


def is_zombie(pid_file: Path) -> bool:
    """Nobody may be there to bury an orphan where the first process of the machine is no init."""
    return ") Z " in Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text()


# 8: locks


def test_a_locked_table_fails_the_backup_within_the_lock_timeout_and_the_blocker_is_named(
    source: Server, bucket: str, backups_settings: Settings, admin: Server
) -> None:
    with connect(source) as blocker, blocker.transaction():
        blocker.execute("SET application_name = 'the migration'")
        blocker.execute("LOCK TABLE shop.customer IN ACCESS EXCLUSIVE MODE")
        row, error = fails(LockTimeoutError)
        pid = blocker.info.backend_pid

    assert f"shop.customer: session {pid} of {source.user} (the migration), idle in transaction" in error.detail
    assert f"pg_terminate_backend({pid})" in error.hint
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_who_waits_for_the_lock_is_named_as_well_because_the_backup_waits_behind_him(
    source: Server, bucket: str, meanwhile: Callable[..., object], gate: Gate
) -> None:
    """A long query, and an ALTER TABLE that waits for its end: the classic of a bad night."""
    with connect(source) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM event")

        def alter() -> None:
            with connect(source) as session, pytest.raises(psycopg.errors.QueryCanceled):
                session.execute("ALTER TABLE event ADD COLUMN more int")

        meanwhile(alter)
        until(lambda: waiting_for_locks(source) == 1)
        _row, error = fails(LockTimeoutError)
        query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE%%' AND datname = current_database()"
        (altering,) = reader.execute(query).fetchone() or (0,)
        assert f"session {altering} " in error.detail
        assert f"behind session {reader.info.backend_pid}" in error.detail
        reader.execute("SELECT pg_cancel_backend(%s)", [altering])


def test_pg_dump_names_the_table_when_it_waits_too_long_itself(
    source: Server, bucket: str, gate: Gate, meanwhile: Callable[..., object]
) -> None:
    def lock_behind_us() -> None:
        gate.wait()
        with connect(source) as session, session.transaction():
            queued = meanwhile(lambda: session.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
            until(lambda: waiting_for_locks(source) == 1)
            gate.open()
            until(queued.done, seconds=60)  # type: ignore[attr-defined]

    meanwhile(lock_behind_us)
    row, error = fails(DumpError)
    assert "event" in row.error_message
    assert "Another session holds a lock" in error.hint


def test_whether_the_bucket_can_be_written_shows_before_any_table_is_locked(source: Server, through_the_proxy: Proxy) -> None:
    locks = []

    def look(request: Request, forward: Forward) -> Answer:
        with connect(source) as session:
            query = """
                SELECT relation::regclass FROM pg_locks WHERE relation IN ('event'::regclass, 'shop.customer'::regclass)
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """
            locks.append(session.execute(query).fetchall())
        return faults.deny(request, forward)

    through_the_proxy.when(operation("create"), look)
    fails(BucketError, save_local=False)
    assert locks == [[]]


# 10: versions


def test_a_server_newer_than_every_pg_dump_is_refused_with_both_versions(
    source: Server, bucket: str, backups_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n")
    (old / "pg_dump").chmod(0o755)
    monkeypatch.setattr(programs, "DISTRIBUTION_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "CLIENT_FOLDERS": [str(old)]}

    row, error = fails(ClientProgramError)

    assert "the server is PostgreSQL 17" in error.message
    assert "15.18" in error.detail
    assert "postgresql-client-17" in error.hint
    assert keys_in(backups_settings, bucket) == []
    assert row.status == "failed"


# 12: two at once


def test_of_two_at_once_exactly_one_runs_and_the_other_is_refused_with_exit_code_3(
    source: Server, bucket: str, backups_settings: Settings, gate: Gate, start_worker: Callable[..., Worker]
) -> None:
    first = start_worker("db_backup", "twice", "--database", "source")
    gate.wait()
    row = running_row()
    second = start_worker("db_backup", "twice", "--database", "source")
    code, _out, err = second.result()
    assert code == 3
    assert "already running" in err
    assert str(row.id) in err
    gate.open()
    code, _out, err = first.result()
    assert (code, "Traceback" in err) == (0, False)

    assert sorted(BackupHistory.objects.values_list("status", flat=True)) == ["cancelled", "succeeded"]
    row.refresh_from_db()
    assert keys_in(backups_settings, bucket) == [row.s3_key, row.s3_key + ".json"]


def test_whoever_holds_the_lock_is_named_to_the_one_who_is_refused(source: Server, bucket: str) -> None:
    with (
        run_lock(source, run_id="the-other"),
        pytest.raises(RunningError, match="already running") as caught,
    ):
        DatabaseBackup(description="second", database="source").run()

    assert "backup:the-other, session" in caught.value.detail


def test_a_restore_that_holds_the_lock_is_named_as_one(source: Server, bucket: str) -> None:
    with (
        run_lock(source, run_id="the-other", doing="restore"),
        pytest.raises(RunningError, match=f"A restore onto {source.database} is running") as caught,
    ):
        DatabaseBackup(description="second", database="source").run()

    assert "restore:the-other, session" in caught.value.detail


def test_a_run_that_has_lost_its_lock_makes_no_backup(
    source: Server, bucket: str, backups_settings: Settings, admin: Server, gate: Gate, meanwhile: Callable[..., object]
) -> None:
    """Another run may have taken it, and have tidied up what it thought was dead."""

    def end_the_holder() -> None:
        gate.wait()
        query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = x'1cb'::int::oid"
        with connect(source) as session:
            query += " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            assert session.execute(query.encode()).fetchall() == [(True,)]
        gate.open()

    meanwhile(end_the_holder)
    row, _error = fails(PostgresError)
    assert_nothing_left(backups_settings, bucket, admin, row)


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_command_in_mid_copy_with_exit_code_130(
    number: signal.Signals,
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    place_program: PlaceProgram,
    start_worker: Callable[..., Worker],
) -> None:
    with connect(source) as session:
        session.execute(BIG_SQL)
    place_program(HANGING)
    worker = start_worker("db_backup", "cancelled", "--database", "source", "--save-local")
    until(lambda: in_copy(source))

    worker.send(number)

    code, _out, err = worker.result()
    assert (code, "Traceback" in err) == (130, False)
    row = BackupHistory.objects.get()
    assert row.status == "cancelled"
    assert "Nothing of it was kept" in row.error_message
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_a_signal_while_another_table_is_waited_for_cancels_as_well(
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    start_worker: Callable[..., Worker],
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "LOCK_TIMEOUT_SECONDS": 60}
    with connect(source) as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
        worker = start_worker("db_backup", "cancelled", "--database", "source")
        until(lambda: waiting_for_locks(source) == 1)
        worker.send(signal.SIGTERM)
        code, _out, err = worker.result()
        assert (code, "Traceback" in err) == (130, False)
        row = BackupHistory.objects.get()
        assert row.status == "cancelled"
        assert_nothing_left(backups_settings, bucket, admin, row)


def test_a_full_disk_under_the_local_copy_fails_the_whole_backup(
    source: Server, bucket: str, backups_settings: Settings, admin: Server, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker("db_backup", "full", "--database", "source", "--save-local")
    worker.let_files_have(bytes_=10_000)

    code, _out, err = worker.result()

    assert (code, "Traceback" in err) == (1, False)
    assert "File too large" in err
    assert "BACKUPS_LOCAL_FOLDER" in err
    row = BackupHistory.objects.get()
    assert row.status == "failed"
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_no_secret_is_in_what_a_failing_command_says_or_stores(
    source: Server, bucket: str, backups_settings: Settings, place_program: PlaceProgram, start_worker: Callable[..., Worker]
) -> None:
    place_program('env >&2; echo "$@" >&2; tr "\\0" " " < /proc/$$/cmdline >&2; exit 1')
    worker = start_worker("db_backup", "secret", "--database", "source")
    argv = Path(f"/proc/{worker.process.pid}/cmdline").read_bytes()
    code, out, err = worker.result()
    row = BackupHistory.objects.get()
    said = out + err + row.error_message + argv.decode()
    secrets = {
        source.password,
        backups_settings.STORAGES["backups"]["OPTIONS"]["secret_key"],
        backups_settings.BACKUPS["SIGNING_KEY"],
    }
    assert code == 1
    assert "PGPASSWORD=***" in row.error_message
    assert not [secret for secret in secrets if secret in said]
    assert source.password not in said.partition("PGAPPNAME")[2]


def test_a_manifest_that_can_not_be_taken_away_again_keeps_its_dump(
    source: Server, through_the_proxy: Proxy, backups_settings: Settings
) -> None:
    """Written, read back changed, and then the store is away: what stays must be whole."""

    def is_manifest(request: Request) -> bool:
        return request.operation == "get" and request.key.endswith(".json")

    through_the_proxy.when(is_manifest, faults.deny)

    row, error = fails(ObjectDeniedError, save_local=False)

    assert "left behind" in error.detail
    assert keys_in(backups_settings, row.bucket) == keys_of(row)


def test_an_upload_that_an_earlier_failure_had_to_leave_is_removed_by_the_next_run(
    source: Server, bucket: str, backups_settings: Settings
) -> None:
    first = DatabaseBackup(description="fault", database="source").run()
    left_key = first.s3_key.replace("fault", "left")
    upload = s3_client(backups_settings).create_multipart_upload(Bucket=bucket, Key=left_key)
    left = BackupHistory.objects.create(
        filename=left_key.rpartition("/")[2],
        description="left",
        environment=first.environment,
        database="another",
        status="failed",
        bucket=bucket,
        s3_key=left_key,
        upload_id=upload["UploadId"],
    )
    assert uploads_in(backups_settings, bucket) == [left_key]

    DatabaseBackup(description="next", database="source").run()

    left.refresh_from_db()
    assert (uploads_in(backups_settings, bucket), left.upload_id) == ([], "")
