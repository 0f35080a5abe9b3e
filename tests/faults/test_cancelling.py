"""icb db cancel: a wish to stop, wherever the run's process is."""

from collections.abc import Callable

import pytest
from pytest_django.fixtures import Settings

from backups.types import Server
from tests.conftest import Gate
from tests.faults.conftest import Worker, assert_nothing_left, running_row

pytestmark = pytest.mark.usefixtures("history")


def test_a_backup_at_work_stops_and_leaves_nothing(
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    gate: Gate,
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker("db_backup", "unwanted", "--database", "source")
    gate.wait()
    row = running_row()

    said, out, err = start_worker("db_cancel", row.filename).result()

    assert said == 0, err
    assert out.startswith(f"Asked to stop: the backup {row.filename}\n")
    code, _out, err = worker.result()
    assert code == 130, err
    row.refresh_from_db()
    assert row.status == "cancelled"
    assert_nothing_left(backups_settings, bucket, admin, row)
