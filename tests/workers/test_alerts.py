"""A real worker tells a real receiver: once when something is wrong, once when it is over."""

from collections.abc import Iterator

import pytest

from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from tests.conftest import PlaceProgram, until
from tests.integration.receiver import HTTPReceiver
from tests.workers.conftest import Workshop

pytestmark = pytest.mark.usefixtures("history", "bucket")


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    """Somebody who is told."""
    with HTTPReceiver() as made:
        yield made


def make(workshop: Workshop, description: str) -> BackupHistory:
    """A backup that a worker makes, or tries to."""
    row = DatabaseBackup(description=description, database="source").request()
    workshop.send("make_backup", str(row.id))

    def has_ended() -> bool:
        row.refresh_from_db()
        return row.status not in ("pending", "running")

    until(has_ended, seconds=60)
    return row


def test_failures_are_told_once_and_their_end_once(
    workshop: Workshop, receiver: HTTPReceiver, place_program: PlaceProgram
) -> None:
    program = place_program('echo "disk on fire" >&2; exit 1')
    workshop.env["BACKUPS_ALERT_URLS"] = receiver.url
    workshop.env["BACKUPS_CLIENT_FOLDERS"] = str(program.parent)
    worker = workshop.worker()

    def tend() -> None:
        done = worker.said("tasks.tend[")
        workshop.send("tend", queue="upkeep")
        until(lambda: worker.said("tasks.tend[") >= done + 2, seconds=60)

    for description in ("first", "second"):
        assert make(workshop, description).status == "failed"
        tend()
    (told,) = receiver.got
    assert "disk on fire" in told.body

    program.unlink()
    assert make(workshop, "third").status == "succeeded"
    tend()
    tend()
    assert len(receiver.got) == 2
    assert "work again" in receiver.titles[1]
