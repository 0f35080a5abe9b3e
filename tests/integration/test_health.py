"""Health asked of real servers, stores and folders: each question for itself, none for ever."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.config import Config
from django.db import connection, connections
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from psycopg import sql
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.health import answer, asking, of_machine, report
from backups.models import BackupHistory, Heartbeat
from backups.thresholds import Thresholds
from backups.types import Check, Server, State
from backups.verify import BackupVerification
from tests.conftest import connect, s3_client
from tests.faults.proxy import Match, Proxy, deny, drop, refuse
from tests.integration.conftest import Run
from tests.integration.health import made, one

pytestmark = pytest.mark.usefixtures("history", "nothing_scheduled")
QUICK = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=2)
PROTECTIONS = ("bucket-versioning", "bucket-object-lock", "bucket-public-access-block", "bucket-lifecycle-rule")


@pytest.fixture
def nothing_scheduled(history: None) -> Iterator[None]:
    """No schedules of the migrations, no heartbeats."""
    PeriodicTask.objects.all().delete()
    yield
    Heartbeat.objects.all().delete()


@pytest.fixture
def limits(backups_settings: Settings) -> Callable[..., None]:
    """Sets thresholds."""

    def set_them(**given: object) -> None:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "HEALTH": given}

    return set_them


@pytest.fixture
def patched_programs(tmp_path: Path, backups_settings: Settings) -> None:
    """pg_dump and pg_restore of a version in which no fault is known, as far as they say."""
    for name in ("pg_dump", "pg_restore"):
        program = tmp_path / "patched" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 17.12'\n")
        program.chmod(0o755)
    folders = [str(tmp_path / "patched"), *backups_settings.BACKUPS["CLIENT_FOLDERS"]]
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "CLIENT_FOLDERS": folders}


def asks(name: str) -> Match:
    return lambda request: name in request.query


# All of it.


def test_where_all_is_well_it_says_so_and_how_much_would_be_lost(
    run: Run, bucket: str, limits: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    limits(versioning=False)
    DatabaseBackup(description="good").run()
    BackupVerification().run()
    request.getfixturevalue("patched_programs")

    told = run("db_health")

    assert told.code == 0, told.out
    first, empty, *lines = told.out.rstrip().split("\n")
    assert first.startswith("Safe now: all 1")
    assert "If it burned down this minute, you would lose what changed in the last minute. You would be back in about" in first
    assert empty == ""
    assert all(line.startswith("OK  ") for line in lines), told.out
    assert any("newest backup just now, " in line and line.endswith("[older than 26 h]") for line in lines)


def test_where_something_is_not_it_exits_with_1_and_says_what_to_do(run: Run, bucket: str) -> None:
    told = run("db_health")

    assert told.code == 1
    assert told.out.startswith("Not safe: ")
    assert "you would lose everything." in told.out
    lines = told.out.split("\n")
    assert any(line.startswith("BAD") and "no backup yet that could be restored  [older than 26 h]" in line for line in lines)
    assert any(line.strip() == "> Make one: icb db backup first" for line in lines)
    assert told.err == ""


def test_machines_get_the_same_with_stable_names(run: Run, bucket: str) -> None:
    told = json.loads(run("db_health", "--json").out)

    assert (set(told), told["is_ok"]) == ({"is_ok", "answer", "checks"}, False)
    assert all(set(check) == {"id", "subject", "state", "text", "threshold", "hint"} for check in told["checks"])
    assert {check["id"] for check in told["checks"]} == {
        *("newest-backup", "verification", "restore-duration", "schedule", "queue", "bucket-reachable", *PROTECTIONS),
        *("client-programs", "backup-role", "clock", "disk"),
    }


def test_a_database_that_was_never_backed_up_and_has_no_schedule_is_not_looked_at(source: Server, bucket: str) -> None:
    assert source.database not in {check.subject for check in report()}
    made(source.database)
    found = report()
    assert {check.id for check in found if check.subject == source.database} >= {"newest-backup", "backup-role"}
    assert f"what changed of {source.database} in the last 1 h" in answer(found)


# The bucket.


def test_a_bucket_that_protects_what_lies_in_it_is_well(moto_bucket: str, backups_settings: Settings) -> None:
    s3 = s3_client(backups_settings)
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_bucket_versioning(Bucket=moto_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(Bucket=moto_bucket, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
    rule = {"ID": "u", "Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    s3.put_bucket_lifecycle_configuration(Bucket=moto_bucket, LifecycleConfiguration={"Rules": [rule]})
    s3.put_object_lock_configuration(Bucket=moto_bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})

    found = report()

    assert [one(found, id_).text for id_ in PROTECTIONS] == [
        "keeps versions",
        "can lock objects",
        "blocks public access",
        "ends unfinished uploads by a lifecycle rule",
    ]
    assert {one(found, id_).state for id_ in ("bucket-reachable", *PROTECTIONS)} == {State.OK}


def test_a_bucket_of_amazon_s_that_protects_nothing_is_told_with_the_commands(
    moto_bucket: str, limits: Callable[..., None]
) -> None:
    limits()
    found = report()
    states = {id_: one(found, id_).state for id_ in PROTECTIONS}
    assert states == dict.fromkeys(PROTECTIONS, State.BAD) | {"bucket-object-lock": State.OK}
    versioning = one(found, "bucket-versioning")
    assert f"put-bucket-versioning --bucket {moto_bucket} " in versioning.hint
    assert """BACKUPS_HEALTH='{"versioning": false}'""" in versioning.hint

    limits(versioning=False, public_access_block=False, lifecycle_rule=False, object_lock=True)
    found = report()
    states = {id_: one(found, id_).state for id_ in PROTECTIONS}
    assert states == dict.fromkeys(PROTECTIONS, State.OK) | {"bucket-object-lock": State.BAD}


def test_a_rule_that_ends_no_uploads_is_not_enough(moto_bucket: str, backups_settings: Settings) -> None:
    rule = {"ID": "x", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 400}}
    s3_client(backups_settings).put_bucket_lifecycle_configuration(Bucket=moto_bucket, LifecycleConfiguration={"Rules": [rule]})
    assert one(report(), "bucket-lifecycle-rule").state is State.BAD


@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (405, "MethodNotAllowed"), (404, "NoSuchKey"), (400, "InvalidRequest")]
)
def test_a_store_that_does_not_know_a_question_has_no_fault(through_a_proxy: Proxy, status: int, code: str) -> None:
    for name in ("versioning", "object-lock", "publicAccessBlock", "lifecycle"):
        through_a_proxy.when(asks(name), refuse(status, code))
    found = report()
    assert {one(found, id_).state for id_ in PROTECTIONS} == {State.OK}
    assert {one(found, id_).text.partition(": ")[2] for id_ in PROTECTIONS} == {"the store does not tell"}


def test_what_credentials_may_not_ask_is_unknown_and_told_with_the_action(
    through_a_proxy: Proxy, limits: Callable[..., None]
) -> None:
    limits()
    for name in ("versioning", "object-lock", "publicAccessBlock", "lifecycle"):
        through_a_proxy.when(asks(name), deny)
    found = report()
    states = {id_: one(found, id_).state for id_ in PROTECTIONS}
    assert states == dict.fromkeys(PROTECTIONS, State.UNKNOWN) | {"bucket-object-lock": State.OK}  # not demanded
    assert "Allow s3:GetBucketVersioning" in one(found, "bucket-versioning").hint


def test_expired_credentials_are_no_sign_that_a_store_does_not_know_the_question(through_a_proxy: Proxy) -> None:
    through_a_proxy.when(asks("versioning"), refuse(400, "ExpiredToken"))
    found = one(report(), "bucket-versioning")
    assert found.state is State.UNKNOWN
    assert "expired" in found.text


def test_a_store_that_does_not_answer_is_bad_and_the_rest_is_told(through_a_proxy: Proxy) -> None:
    through_a_proxy.when(lambda _request: True, drop)
    found = report()
    assert one(found, "bucket-reachable").state is State.BAD
    assert {one(found, id_).state for id_ in PROTECTIONS} == {State.UNKNOWN}
    assert one(found, "backup-role").state is State.OK


def test_a_bucket_that_does_not_exist_is_told_so(use_bucket: Callable[..., str]) -> None:
    use_bucket(make=False)
    found = one(report(), "bucket-reachable")
    assert found.state is State.BAD
    assert "does not exist" in found.text


def test_without_a_bucket_the_backups_burn_with_the_machine(backups_settings: Settings) -> None:
    backups_settings.STORAGES = {name: given for name, given in backups_settings.STORAGES.items() if name != "backups"}
    found = one(report(), "bucket-reachable")
    assert (found.state, found.hint) == (State.BAD, "Set AWS_S3_BACKUP_BUCKET.")


def test_a_bucket_is_measured_against_its_limit_only_where_one_is_set(
    bucket: str, backups_settings: Settings, limits: Callable[..., None]
) -> None:
    s3_client(backups_settings).put_object(Bucket=bucket, Key="something", Body=bytes(1000))
    assert not [check for check in report() if check.id == "bucket-space"]
    limits(bucket_limit_bytes=1112)
    assert one(report(), "bucket-space").state is State.OK
    limits(bucket_limit_bytes=1110)
    found = one(report(), "bucket-space")
    assert (found.state, found.text, found.threshold) == (State.BAD, "1000 B used", "above 90% of 1.1 KiB")


# Servers.


def test_client_programs_with_a_known_fault_are_bad_until_they_are_replaced(
    bucket: str, backups_settings: Settings, request: pytest.FixtureRequest
) -> None:
    found = one(report(), "client-programs")
    assert found.state is State.BAD
    assert "CVE-2026-116314" in found.hint
    assert "install 17.12 or newer" in found.hint

    request.getfixturevalue("patched_programs")
    found = one(report(), "client-programs")
    assert found.state is State.OK
    assert found.text.startswith("pg_dump 17.12 and pg_restore 17.12 for PostgreSQL 17.")


def test_a_role_that_can_not_read_everything_is_told_with_the_grant(source: Server, admin: Server, bucket: str) -> None:
    made(source.database)
    role = f"r_{source.database}"
    with connect(admin) as session:
        session.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(role)))
    try:
        connections.databases["source"] |= {"USER": role, "PASSWORD": "x"}
        found = one(report(), "backup-role", source.database)
    finally:
        with connect(admin) as session:
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    assert found.state is State.BAD
    assert "GRANT USAGE ON SCHEMA" in found.hint
    assert found.hint.endswith("more: icb db coverage")


def test_a_server_that_is_away_is_unknown_and_keeps_nothing_from_being_told(
    source: Server, bucket: str, register_alias: Callable[[str, Server], None]
) -> None:
    made("elsewhere")
    register_alias("away", replace(source, database="elsewhere", port=1))
    found = report()
    assert one(found, "backup-role", "elsewhere").state is State.UNKNOWN
    assert "Nothing listens there" in one(found, "backup-role", "elsewhere").text
    unknown = {check.id for check in found if check.state is State.UNKNOWN and check.subject.endswith(":1")}
    assert unknown == {"client-programs", "clock"}
    assert one(found, "newest-backup", "elsewhere").state is State.OK
    assert [check.state for check in found if check.id == "client-programs"] == [
        State.BAD,
        State.UNKNOWN,
    ]  # of the other, and of this


def test_a_server_that_never_answers_is_unknown_in_time(
    source: Server, bucket: str, register_alias: Callable[[str, Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 3.0)
    made("silent")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        register_alias("silent", replace(source, host="127.0.0.1", database="silent", port=listener.getsockname()[1]))
        found = report()
        assert one(found, "backup-role", "silent").text == "no answer within 3 s"
        assert one(found, "backup-role", str(connection.settings_dict["NAME"])).state is State.OK


def test_a_history_that_can_not_be_read_is_unknown_and_the_rest_is_told(bucket: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE admin.backup_history RENAME TO backup_history_away")
    try:
        found = report()
        meaning = answer(found)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE admin.backup_history_away RENAME TO backup_history")
    assert one(found, "history").state is State.UNKNOWN
    assert "no table yet" in one(found, "history").text
    assert one(found, "bucket-reachable").state is State.OK
    assert one(found, "backup-role").state is State.OK
    assert meaning.startswith("Not known whether you are safe: ")
    assert "The history could not be asked." in meaning
    assert "the history can't be read" in meaning


# This machine.


def test_a_folder_must_have_room_for_the_newest_dump(bucket: str, limits: Callable[..., None], local_folder: Path) -> None:
    local_folder.mkdir()
    row = made(str(connection.settings_dict["NAME"]), size_bytes=1 << 20)
    found = report()
    assert {check.subject: check.state for check in found if check.id == "disk"} == {"scratch": State.OK, "copies": State.OK}
    assert one(found, "disk", "scratch").threshold == "less than 2 times the newest dump: 2.0 MiB"

    BackupHistory.objects.filter(pk=row.pk).update(size_bytes=1 << 60)
    full = one(report(), "disk", "copies")
    assert (full.state, full.hint) == (State.BAD, "Make room, or name another folder in BACKUPS_LOCAL_FOLDER.")


def test_a_scratch_folder_that_is_not_there_is_bad(bucket: str, backups_settings: Settings, tmp_path: Path) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SCRATCH_FOLDER": str(tmp_path / "gone")}
    found = one(report(), "disk", "scratch")
    assert found.state is State.BAD
    assert "No such file or directory" in found.text


@pytest.mark.parametrize(("ahead", "state"), [(0.2, State.OK), (59.0, State.OK), (61.0, State.BAD), (-61.0, State.BAD)])
def test_clocks_may_be_a_minute_apart(ahead: float, state: State) -> None:
    assert of_machine.clock("the server", ahead, Thresholds()).state is state


def test_a_clock_that_is_ahead_is_not_told_to_be_behind() -> None:
    told: list[Check] = [of_machine.clock("store", seconds, Thresholds()) for seconds in (90, -90)]
    assert [check.text for check in told] == ["its clock is 1 min 30 s ahead of ours", "its clock is 1 min 30 s behind ours"]


def test_clocks_of_server_and_store_are_compared_with_ours(bucket: str) -> None:
    found = [check for check in report() if check.id == "clock"]
    assert {check.subject.partition(":")[0] for check in found} == {"store", "127.0.0.1"}
    assert {check.state for check in found} == {State.OK}


@pytest.fixture
def through_a_proxy(moto_bucket: str, use_bucket: Callable[..., str], backups_settings: Settings) -> Iterator[Proxy]:
    """The bucket in use is behind a proxy."""
    with Proxy(str(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"])) as entered:
        use_bucket(endpoint_url=entered.endpoint, client_config=QUICK)
        yield entered


def test_heartbeats_that_are_young_are_told_with_their_age(bucket: str) -> None:
    Heartbeat.objects.create(name="scheduler", at=timezone.now() - timedelta(seconds=130))
    assert one(report(), "scheduler").text == "scheduler alive 2 min ago"
