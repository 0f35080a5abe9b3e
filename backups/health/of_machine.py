"""This machine: room for the next copy and the next restore, and a clock that others agree with."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

from backups import conf, words
from backups.thresholds import Thresholds
from backups.types import Check, State


def folders() -> dict[str, Path]:
    """Where backups write on this machine: the scratch folder of restores, and that of copies where there are any."""
    settings = conf.current()
    found = {"scratch": settings.scratch_folder or Path(gettempdir())}
    if settings.local_folder is not None and settings.local_folder.is_dir():
        found["copies"] = settings.local_folder
    return found


def disk(name: str, folder: Path, limits: Thresholds, *, newest_bytes: int | None) -> Iterator[Check]:
    """Room in one folder. `newest_bytes` is the size of the largest of the newest dumps; None without any."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        hint = f"Make it, or correct {_variable(name)}"
        yield Check(id="disk", subject=name, state=State.BAD, text=f"{folder}: {error.strerror}", hint=hint)
        return
    least = int(limits.free_backups * newest_bytes) if newest_bytes else None
    is_full = least is not None and free < least
    times = f"{limits.free_backups:g} times the newest dump: {words.size(least)}"
    yield Check(
        id="disk",
        subject=name,
        state=State.BAD if is_full else State.OK,
        text=f"{words.size(free)} free in {folder}",
        threshold=f"less than {times}" if least is not None else "",
        hint=f"Make room, or name another folder in {_variable(name)}" if is_full else "",
    )


def clock(whose: str, ahead_seconds: float, limits: Thresholds) -> Check:
    """This machine's clock against another one."""
    is_off = abs(ahead_seconds) > limits.clock_seconds
    direction = "ahead of" if ahead_seconds > 0 else "behind"
    exact = abs(ahead_seconds) < 1
    return Check(
        id="clock",
        subject=whose,
        state=State.BAD if is_off else State.OK,
        text="its clock and ours agree" if exact else f"its clock is {words.duration(abs(ahead_seconds))} {direction} ours",
        threshold=f"more than {limits.clock_seconds:g} s apart",
        hint="Set the clock that is wrong: timedatectl status" if is_off else "",
    )


def _variable(name: str) -> str:
    return "BACKUPS_SCRATCH_FOLDER." if name == "scratch" else "BACKUPS_LOCAL_FOLDER."
