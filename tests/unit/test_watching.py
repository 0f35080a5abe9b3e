"""What a run tells to its row of the phases that are over."""

import pytest

from backups import watching
from backups.models import BackupHistory
from backups.types import Progress, silent


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watching, "time", made)
    return made


@pytest.mark.django_db
def test_a_phase_that_is_over_is_told_with_its_seconds_and_one_that_comes_again_adds_to_them(clock: Clock) -> None:
    row = BackupHistory.objects.create(filename="a.dump", environment="testing", database="shop", status="running")
    watch = watching._Watch(row, silent)
    for phase, seconds in (("checking", 2), ("dumping", 30), ("dumping", 10), ("checking", 1), ("completing", 5)):
        watch(Progress(phase=phase))
        clock.pass_(seconds)
    watch._once()
    row.refresh_from_db()
    assert row.progress["phase"] == "completing"
    assert row.progress["took"] == {"checking": 3.0, "dumping": 40.0}
