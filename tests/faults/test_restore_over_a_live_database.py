"""A restore over a database in use, stopped at each of its steps: what was there is there, nothing half done stays."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from psycopg import sql
from pytest_django.fixtures import Settings

from backups import conf
from backups.backup import DatabaseBackup
from backups.exceptions import BackupNotFoundError, ChecksumError, LoadError, RefusedError, RunningError
from backups.kept import kept_of
from backups.models import BackupHistory, BackupRestore
from backups.postgres import databases, programs, swap
from backups.postgres.target import identity
from backups.restore import DatabaseRestore
from backups.types import Server
from backups.undo import RestoreUndo
from tests.conftest import Gate, PlaceProgram, connect, drop_database, new_database, s3_client, until
from tests.faults.conftest import BIG_SQL, Worker, waiting_for_locks
from tests.faults.proxy import Answer, Forward, Proxy, Request
from tests.faults.test_restore_side import lost_restore, settle

pytestmark = pytest.mark.usefixtures("history")

HALF_LOADED = '"$real" --section=pre-data "$@" || exit\n{gate}\nexec "$real" --section=data --section=post-data "$@"'
LOADED = '"$real" "$@" || exit\n{gate}'


@pytest.fixture
def backup(source: Server, through_the_proxy: Proxy) -> BackupHistory:
    """A whole backup of `source`, in a bucket behind the proxy."""
    return DatabaseBackup(description="good", database="source").run()


@pytest.fixture
def as_backed_up(source: Server, backup: BackupHistory) -> str:
    """What `source` held when it was backed up."""
    return contents(source)


@pytest.fixture
def live(source: Server, as_backed_up: str, admin: Server) -> Iterator[Server]:
    """`source` as it went on after its backup: a table lost, rows added. What was kept beside it goes after the test."""
    with connect(source) as session:
        session.execute("DROP TABLE shop.purchase; INSERT INTO event VALUES (5001, 'later')")
    yield source
    for name in databases_beside(admin, source):
        drop_database(replace(admin, database=name))


@pytest.fixture
def scratch(tmp_path: Path, backups_settings: Settings) -> Path:
    """Where archives are kept while they are loaded."""
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SCRATCH_FOLDER": tmp_path / "scratch"}
    return tmp_path / "scratch"


@pytest.fixture
def loading_gate(tmp_path: Path, place_program: PlaceProgram) -> Gate:
    """A pg_restore that waits for the test, and then is the real one."""
    made = Gate(tmp_path)
    place_program(made.script + 'exec "$real" "$@"', name="pg_restore")
    return made


def contents(server: Server) -> str:
    """Everything in a database, as pg_dump writes it."""
    folders = conf.current().client_folders
    program = next(program.path for program in programs.find("pg_dump", folders=folders) if program.major == 17)
    address = ["--host", server.host, "--port", str(server.port), "--username", server.user]
    env = {**os.environ, "PGPASSWORD": server.password}
    done = subprocess.run([program, *address, server.database], env=env, capture_output=True, text=True, check=True)
    # \restrict has a random word: https://www.postgresql.org/docs/current/app-psql.html
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def rows_of(server: Server, table: str) -> int:
    with connect(server) as session:
        (count,) = session.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() or (None,)
    return int(str(count))


def databases_beside(admin: Server, target: Server) -> list[str]:
    with connect(admin) as session:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND datname <> %s ORDER BY 1"
        return [str(name) for (name,) in session.execute(query, [target.database, target.database])]


def sessions_of_restores(admin: Server, target: Server) -> int:
    """Sessions in the target and beside it, and those of restores that rename."""
    query = """SELECT count(*) FROM pg_stat_activity a WHERE starts_with(datname, %s)"""
    with connect(admin) as session:
        (count,) = session.execute(query, [target.database]).fetchone() or (0,)
    return int(str(count))


def assert_nothing_beside(admin: Server, target: Server, scratch: Path) -> None:
    assert databases_beside(admin, target) == []
    assert not scratch.exists() or list(scratch.iterdir()) == []
    until(lambda: sessions_of_restores(admin, target) == 0)


# Where a restore is made to stand still


@dataclass(kw_only=True)
class Scene:
    """A restore of `backup` over `target` in a process of its own, which stands still at a step for the length of a block."""

    backup: BackupHistory
    target: Server
    admin: Server
    proxy: Proxy
    folder: Path
    place_program: PlaceProgram
    start_worker: Callable[..., Worker]
    gates: list[Gate] = field(default_factory=list)

    def start(self) -> Worker:
        name = self.target.database
        return self.start_worker("db_restore", self.backup.filename, "--target-dbname", name, "--yes", name)

    @property
    def staging(self) -> Server:
        run_id = str(BackupRestore.objects.get().id)
        return replace(self.target, database=databases.staging_name(self.target.database, run_id=run_id))

    @property
    def site(self) -> Server:
        return replace(self.admin, database=str(connection.settings_dict["NAME"]))

    def gate(self, script: str) -> Gate:
        made = Gate(self.folder)
        self.gates.append(made)
        self.place_program(script.format(gate=made.script), name="pg_restore")
        return made

    def heal(self) -> None:
        """The next restore stands still nowhere."""
        self.proxy.heal()
        for gate in self.gates:
            gate.open()

    @contextmanager
    def downloading(self) -> Iterator[Worker]:
        reached, go_on = threading.Event(), threading.Event()

        def hold(request: Request, forward: Forward) -> Answer:
            reached.set()
            go_on.wait(30)
            return forward(request)

        self.proxy.when(is_download, hold)
        try:
            worker = self.start()
            assert reached.wait(30)
            yield worker
        finally:
            go_on.set()

    @contextmanager
    def loading(self) -> Iterator[Worker]:
        with self._waits_for_a_table(HALF_LOADED) as worker:
            yield worker

    @contextmanager
    def comparing(self) -> Iterator[Worker]:
        with self._waits_for_a_table(LOADED) as worker:
            yield worker

    @contextmanager
    def _waits_for_a_table(self, script: str) -> Iterator[Worker]:
        gate = self.gate(script)
        worker = self.start()
        gate.wait()
        with suppress(psycopg.OperationalError), connect(self.staging) as session, session.transaction():
            session.execute("LOCK TABLE event")
            gate.open()
            until(lambda: waiting_for_locks(self.staging) > 0)
            yield worker

    @contextmanager
    def loaded(self) -> Iterator[Worker]:
        """Before it keeps others from renaming the two."""
        with self._holds_the_database("COMMENT ON DATABASE {} IS 'for a moment'") as worker:
            yield worker

    @contextmanager
    def renaming(self) -> Iterator[Worker]:
        """Its rename is the next in line."""
        with self._holds_the_database("ALTER ROLE CURRENT_USER IN DATABASE {} SET work_mem TO '5MB'") as worker:
            yield worker

    @contextmanager
    def _holds_the_database(self, statement: str) -> Iterator[Worker]:
        with connect(self.admin) as session, session.transaction(force_rollback=True):
            session.execute(sql.SQL(statement).format(sql.Identifier(self.target.database)))  # type: ignore[arg-type]
            worker = self.start()
            until(lambda: someone_waits_for(self.admin, self.target))
            yield worker

    @contextmanager
    def swapped(self) -> Iterator[Worker]:
        """It has swapped, and waits to write its row."""
        gate = self.gate("{gate}\n" + 'exec "$real" "$@"')
        worker = self.start()
        gate.wait()
        with connect(self.site) as session, session.transaction():
            session.execute("LOCK TABLE admin.backup_restore IN EXCLUSIVE MODE")
            gate.open()
            until(lambda: any(kept.replaced == self.target.database for kept in swap.kept_copies(self.target)))
            until(lambda: waiting_for_locks(self.site) > 0)  # not before: each second its progress waits, too
            yield worker

    def forget_what_waits(self) -> None:
        """What a killed process had asked of the history is not done any more."""
        query = """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
            WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
        with connect(self.site) as session:
            session.execute(query)


Step = Callable[[Scene], AbstractContextManager[Worker]]
BEFORE_THE_SWAP = [Scene.downloading, Scene.loading, Scene.comparing, Scene.loaded, Scene.renaming]


def is_download(request: Request) -> bool:
    """Whether it asks for the bytes of a dump."""
    return request.operation == "get" and request.key.endswith(".dump")


def someone_waits_for(admin: Server, database: Server) -> bool:
    query = """
        SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'object' AND classid = 'pg_database'::regclass
        AND objid = (SELECT oid FROM pg_database WHERE datname = %s)
    """
    with connect(admin) as session:
        return session.execute(query, [database.database]).fetchone() != (0,)


def is_being_made(admin: Server, target: Server) -> bool:
    """Whether a session is in the middle of making a staging database."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ %s"
    with connect(admin) as session:
        return session.execute(query, [f"^CREATE DATABASE .?{target.database}_restoring"]).fetchone() != (0,)


@pytest.fixture
def scene(
    live: Server,
    backup: BackupHistory,
    admin: Server,
    through_the_proxy: Proxy,
    tmp_path: Path,
    scratch: Path,
    place_program: PlaceProgram,
    start_worker: Callable[..., Worker],
) -> Scene:
    """A restore over `live`."""
    return Scene(
        backup=backup,
        target=live,
        admin=admin,
        proxy=through_the_proxy,
        folder=tmp_path,
        place_program=place_program,
        start_worker=start_worker,
    )


# 25. Killed


@pytest.mark.parametrize("step", BEFORE_THE_SWAP, ids=lambda step: step.__name__)
def test_kill_9_leaves_the_target_as_it_was_and_the_next_restore_tidies_up(
    step: Step, scene: Scene, scratch: Path, admin: Server, fresh_target: Server
) -> None:
    before = contents(scene.target)
    with step(scene) as worker:
        lost = BackupRestore.objects.get()
        worker.kill()
    assert contents(scene.target) == before

    scene.heal()
    DatabaseRestore(filename=scene.backup.filename, target=fresh_target).run()

    lost.refresh_from_db()
    assert (lost.status, lost.kept_database) == ("failed", "")
    assert "worker was lost" in lost.error_message
    assert contents(scene.target) == before
    assert_nothing_beside(admin, scene.target, scratch)


def test_kill_9_right_after_the_swap_leaves_the_restored_database_and_the_next_restore_says_so(
    scene: Scene, scratch: Path, admin: Server, fresh_target: Server, as_backed_up: str
) -> None:
    before = contents(scene.target)
    with scene.swapped() as worker:
        lost = BackupRestore.objects.get()
        worker.kill()
        scene.forget_what_waits()
    assert contents(scene.target) == as_backed_up

    DatabaseRestore(filename=scene.backup.filename, target=fresh_target).run()

    lost.refresh_from_db()
    assert lost.status == "succeeded"
    assert databases_beside(admin, scene.target) == [lost.kept_database]
    assert contents(replace(scene.target, database=lost.kept_database)) == before
    assert list(scratch.iterdir()) == []


def test_what_a_restore_that_was_killed_then_has_replaced_is_kept_since_the_swap(
    scene: Scene, admin: Server, scratch: Path
) -> None:
    with scene.swapped() as worker:
        lost = BackupRestore.objects.get()
        worker.kill()
        scene.forget_what_waits()

    assert settle(admin, scratch) == [lost]

    lost.refresh_from_db()
    (kept,) = kept_of(scene.target)
    assert (lost.kept_database, lost.kept_at) == (kept.database, kept.kept_at)


def test_what_was_swapped_in_by_a_restore_that_was_killed_then_can_be_undone(scene: Scene) -> None:
    before = contents(scene.target)
    with scene.swapped() as worker:
        worker.kill()
        scene.forget_what_waits()

    RestoreUndo(target=scene.target, confirm=scene.target.database).run()

    assert contents(scene.target) == before


def test_the_next_restore_may_be_onto_the_same_target(scene: Scene, scratch: Path, admin: Server, as_backed_up: str) -> None:
    before = contents(scene.target)
    with scene.renaming() as worker:
        lost = BackupRestore.objects.get()
        worker.kill()

    made = DatabaseRestore(filename=scene.backup.filename, target=scene.target, confirm=scene.target.database).run()

    lost.refresh_from_db()
    assert (lost.status, made.status) == ("failed", "succeeded")
    assert contents(scene.target) == as_backed_up
    assert databases_beside(admin, scene.target) == [made.kept_database]
    assert contents(replace(scene.target, database=made.kept_database)) == before
    assert list(scratch.iterdir()) == []


def test_a_restore_that_was_killed_before_it_said_that_it_runs_is_failed_too(admin: Server, tmp_path: Path) -> None:
    lost = lost_restore(admin, status="pending", started_at=timezone.now())
    assert settle(admin, tmp_path) == [lost]
    lost.refresh_from_db()
    assert lost.status == "failed"


def test_a_staging_database_that_is_still_being_made_for_a_killed_restore_does_not_stay(
    scene: Scene, scratch: Path, admin: Server
) -> None:
    """CREATE DATABASE goes on without the client that has asked for it."""
    with connect(admin) as session, session.transaction(force_rollback=True):
        session.execute("COMMENT ON DATABASE template0 IS 'nobody copies it for a moment'")
        worker = scene.start()
        until(lambda: is_being_made(admin, scene.target))
        lost = BackupRestore.objects.get()
        worker.kill()
        assert settle(admin, scratch) == [lost]

    until(lambda: not is_being_made(admin, scene.target))
    assert_nothing_beside(admin, scene.target, scratch)


# Ctrl-C


@pytest.mark.parametrize("step", BEFORE_THE_SWAP, ids=lambda step: step.__name__)
def test_ctrl_c_leaves_the_target_as_it_was_and_nothing_else(step: Step, scene: Scene, scratch: Path, admin: Server) -> None:
    before = contents(scene.target)
    with step(scene) as worker:
        worker.send(signal.SIGINT)
        code, _out, err = worker.result()

    assert (code, "Traceback" in err) == (130, False)
    assert BackupRestore.objects.get().status == "cancelled"
    assert contents(scene.target) == before
    assert_nothing_beside(admin, scene.target, scratch)


def test_ctrl_c_right_after_the_swap_finds_a_restore_that_is_done(scene: Scene, admin: Server, as_backed_up: str) -> None:
    with scene.swapped() as worker:
        worker.send(signal.SIGINT)
    code, out, err = worker.result()

    assert (code, "Traceback" in err) == (0, False)
    row = BackupRestore.objects.get()
    assert row.status == "succeeded"
    assert row.kept_database in out
    assert databases_beside(admin, scene.target) == [row.kept_database]
    assert contents(scene.target) == as_backed_up


# 18. A damaged object


def test_a_damaged_object_never_touches_what_is_there(
    live: Server, backup: BackupHistory, admin: Server, scratch: Path, backups_settings: Settings
) -> None:
    before, (_cluster, oid) = contents(live), identity(live)
    client = s3_client(backups_settings)
    body = bytearray(client.get_object(Bucket=backup.bucket, Key=backup.s3_key)["Body"].read())
    body[len(body) // 2] ^= 4
    client.put_object(Bucket=backup.bucket, Key=backup.s3_key, Body=bytes(body))

    with pytest.raises(ChecksumError, match="Nothing was restored from them"):
        restore_over(backup, live)

    assert (contents(live), identity(live)[1]) == (before, oid)
    assert_nothing_beside(admin, live, scratch)


def restore_over(backup: BackupHistory, target: Server) -> BackupRestore:
    return DatabaseRestore(filename=backup.filename, target=target, confirm=target.database).run()


# 27. The target's disk is full


def test_a_server_without_room_is_said_and_the_target_is_as_it_was(
    live: Server, backup: BackupHistory, admin: Server, scratch: Path, place_program: PlaceProgram
) -> None:
    before = contents(live)
    words = 'could not extend file "base/16384/16390": No space left on device'
    place_program(f'"$real" --section=pre-data "$@"; echo \'pg_restore: error: {words}\' >&2; exit 1', name="pg_restore")

    with pytest.raises(LoadError, match="exit code 1") as caught:
        restore_over(backup, live)

    assert "No space left on device" in caught.value.detail
    assert "No space left on device" in BackupRestore.objects.get().error_message
    assert contents(live) == before
    assert_nothing_beside(admin, live, scratch)


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory, admin: Server) -> Iterator[str]:
    """A tablespace with room for two empty databases, and not much more. Skipped where nothing can be mounted."""
    with connect(admin) as session:
        (data,) = session.execute("SHOW data_directory").fetchone() or ("",)
        owner = Path(str(data)).stat().st_uid
        folder = Path(str(data)).parent / f"small-{os.getpid()}"
        folder.mkdir()
        options = f"size=12m,uid={owner},mode=700"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
        if mounted.returncode != 0:
            folder.rmdir()
            pytest.skip("no file system can be mounted here")
        name = f"small_{os.getpid()}"
        try:
            session.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'".encode())
            yield name
            session.execute(f"DROP TABLESPACE {name}".encode())
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
            folder.rmdir()


def test_a_disk_that_gets_full_while_loading_is_said_and_the_target_is_as_it_was(
    small_disk: str, source: Server, bucket: str, admin: Server, scratch: Path
) -> None:
    with connect(source) as session:
        session.execute(BIG_SQL)  # type: ignore[arg-type]
    backup = DatabaseBackup(description="big", database="source").run()
    target = replace(admin, database=f"{source.database}_small")
    with connect(admin) as session:
        session.execute(f"CREATE DATABASE {target.database} TABLESPACE {small_disk}".encode())
    try:
        with connect(target) as session:
            session.execute("CREATE TABLE precious AS SELECT 1 AS id")
        before = contents(target)

        with pytest.raises(LoadError) as caught:
            restore_over(backup, target)

        assert "No space left on device" in caught.value.detail
        assert contents(target) == before
        assert_nothing_beside(admin, target, scratch)
    finally:
        drop_database(target)


# Two at once


def test_a_second_restore_onto_the_same_target_is_refused_and_told_of_the_first(
    scene: Scene, as_backed_up: str, admin: Server
) -> None:
    gate = scene.gate("{gate}\n" + 'exec "$real" "$@"')
    worker = scene.start()
    gate.wait()
    first = BackupRestore.objects.get()

    with pytest.raises(RunningError, match=f"A restore onto {scene.target.database} is running") as caught:
        restore_over(scene.backup, scene.target)
    assert (caught.value.exit_code, str(first.id) in caught.value.detail) == (3, True)

    gate.open()
    code, _out, err = worker.result()
    assert code == 0, err
    assert contents(scene.target) == as_backed_up
    assert databases_beside(admin, scene.target) == [BackupRestore.objects.get(id=first.id).kept_database]


def test_two_restores_onto_a_new_name_end_with_one_of_them_in_place(
    scene: Scene, fresh_target: Server, admin: Server, as_backed_up: str, backups_settings: Settings
) -> None:
    gate = scene.gate("{gate}\n" + 'exec "$real" "$@"')
    worker = scene.start_worker("db_restore", scene.backup.filename, "--target-dbname", fresh_target.database)
    gate.wait()
    folders = backups_settings.BACKUPS["CLIENT_FOLDERS"][1:]  # without the gate
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "CLIENT_FOLDERS": folders}

    DatabaseRestore(filename=scene.backup.filename, target=fresh_target).run()
    gate.open()

    code, _out, err = worker.result()
    assert (code, "another server or database now than when the plan was made" in err) == (3, True)
    assert contents(fresh_target) == as_backed_up
    assert databases_beside(admin, fresh_target) == []


def test_no_backup_is_made_of_a_database_that_is_being_replaced(scene: Scene) -> None:
    gate = scene.gate("{gate}\n" + 'exec "$real" "$@"')
    worker = scene.start()
    gate.wait()

    with pytest.raises(RunningError, match=f"A restore onto {scene.target.database} is running"):
        DatabaseBackup(description="meanwhile", database="source").run()
    assert BackupHistory.objects.get(description="meanwhile").status == "cancelled"

    gate.open()
    code, _out, err = worker.result()
    assert code == 0, err


def test_a_database_is_not_replaced_while_a_backup_of_it_is_made(
    scene: Scene, tmp_path: Path, place_program: PlaceProgram
) -> None:
    (tmp_path / "dumping").mkdir()
    gate = Gate(tmp_path / "dumping")
    place_program(gate.script + 'exec "$real" "$@"')
    before = contents(scene.target)
    backing_up = scene.start_worker("db_backup", "meanwhile", "--database", "source")
    gate.wait()

    with pytest.raises(RunningError, match=f"A backup of {scene.target.database} is already running"):
        restore_over(scene.backup, scene.target)
    gate.open()

    code, _out, err = backing_up.result()
    assert code == 0, err
    assert contents(scene.target) == before


# Is it still the same?


def test_a_target_that_was_dropped_and_made_anew_since_the_plan_is_left_alone(scene: Scene, admin: Server, scratch: Path) -> None:
    gate = scene.gate("{gate}\n" + 'exec "$real" "$@"')
    worker = scene.start()
    gate.wait()
    drop_database(scene.target)
    new_database(admin, scene.target.database)
    with connect(scene.target) as session:
        session.execute("CREATE TABLE his (id int)")
    before = contents(scene.target)
    gate.open()

    code, _out, err = worker.result()

    assert (code, "another server or database now than when the plan was made" in err) == (3, True)
    assert BackupRestore.objects.get().status == "failed"
    assert contents(scene.target) == before
    assert_nothing_beside(admin, scene.target, scratch)


def test_a_target_that_was_dropped_since_the_plan_is_not_made_again(scene: Scene, admin: Server, scratch: Path) -> None:
    gate = scene.gate("{gate}\n" + 'exec "$real" "$@"')
    worker = scene.start()
    gate.wait()
    drop_database(scene.target)
    gate.open()

    code, _out, err = worker.result()

    assert (code, "Traceback" in err) == (3, False)
    assert identity(scene.target)[1] is None
    assert_nothing_beside(admin, scene.target, scratch)


# The way back


@pytest.fixture
def restored(live: Server, backup: BackupHistory) -> BackupRestore:
    """`live`, restored."""
    return restore_over(backup, live)


def undo(target: Server) -> swap.Swapped:
    return RestoreUndo(target=target, confirm=target.database).run()


@pytest.mark.parametrize("confirm", ["", "yes", "SOURCE"])
def test_nothing_is_undone_without_the_name(confirm: str, restored: BackupRestore, live: Server, as_backed_up: str) -> None:
    with pytest.raises(RefusedError, match="whose name was") as caught:
        RestoreUndo(target=live, confirm=confirm).run()
    assert f"--yes {live.database}" in caught.value.hint
    assert contents(live) == as_backed_up


def test_a_kept_copy_that_was_dropped_meanwhile_is_missed_and_nothing_happens(
    restored: BackupRestore, live: Server, as_backed_up: str
) -> None:
    story = RestoreUndo(target=live, confirm=live.database)
    story.find()
    drop_database(replace(live, database=restored.kept_database))

    with pytest.raises(BackupNotFoundError, match=f"No database was kept from a restore of {live.database}"):
        story.run()
    assert contents(live) == as_backed_up


def test_a_kept_copy_comes_back_where_the_restored_database_is_gone(restored: BackupRestore, live: Server, admin: Server) -> None:
    drop_database(live)
    assert undo(live).kept is None
    assert rows_of(live, "event") == 5001
    assert databases_beside(admin, live) == []


def test_of_two_kept_copies_the_newest_comes_back_and_then_the_other(
    restored: BackupRestore, live: Server, backup: BackupHistory
) -> None:
    with connect(live) as session:
        session.execute("INSERT INTO event VALUES (6000, 'a'), (6001, 'b')")
    restore_over(backup, live)

    undo(live)
    assert rows_of(live, "event") == 5002
    undo(live)
    assert rows_of(live, "event") == 5001


def test_undo_sends_busy_sessions_away(restored: BackupRestore, live: Server) -> None:
    with connect(live) as busy:
        busy.execute("BEGIN; SELECT count(*) FROM event")
        undo(live)
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")
    assert rows_of(live, "event") == 5001


def test_an_undo_that_is_killed_while_it_renames_has_changed_nothing(
    restored: BackupRestore, live: Server, admin: Server, as_backed_up: str, start_worker: Callable[..., Worker]
) -> None:
    with connect(admin) as session, session.transaction(force_rollback=True):
        session.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {live.database} SET work_mem TO '5MB'".encode())
        worker = start_worker("db_restore", "--undo", "--target-dbname", live.database, "--yes", live.database)
        until(lambda: someone_waits_for(admin, live))
        worker.kill()

    assert contents(live) == as_backed_up
    assert databases_beside(admin, live) == [restored.kept_database]
    undo(live)
    assert rows_of(live, "event") == 5001


def test_an_undo_during_a_restore_makes_the_restore_give_way(
    restored: BackupRestore, scene: Scene, admin: Server, scratch: Path
) -> None:
    gate = scene.gate("{gate}\n" + 'exec "$real" "$@"')
    worker = scene.start()
    gate.wait()
    undo(scene.target)
    gate.open()

    code, _out, err = worker.result()

    assert (code, "Traceback" in err) == (3, False)
    assert rows_of(scene.target, "event") == 5001
