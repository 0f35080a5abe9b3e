"""This machine: room for the next copy and the next restore, and a clock that others agree with."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

from backups import conf, words
from backups.sentences import sentence as _
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
        hint = _("Make it, or correct {name}", name=_variable(name))
        yield Check(id="disk", subject=name, state=State.BAD, text=f"{folder}: {error.strerror}", hint=hint)
        return
    least = int(limits.free_backups * newest_bytes) if newest_bytes else None
    is_full = least is not None and free < least
    yield Check(
        id="disk",
        subject=name,
        state=State.BAD if is_full else State.OK,
        text=_("{free} free in {folder}", free=words.size(free), folder=folder),
        threshold=_("less than {times} times the newest dump: {size}", times=f"{limits.free_backups:g}", size=words.size(least))
        if least is not None
        else "",
        hint=_("Make room, or name another folder in {name}", name=_variable(name)) if is_full else "",
    )


def clock(whose: str, ahead_seconds: float, limits: Thresholds) -> Check:
    """This machine's clock against another one."""
    is_off = abs(ahead_seconds) > limits.clock_seconds
    return Check(
        id="clock",
        subject=whose,
        state=State.BAD if is_off else State.OK,
        text=_apart(ahead_seconds),
        threshold=_("more than {clock_seconds} s apart", clock_seconds=f"{limits.clock_seconds:g}"),
        hint=_("Set the clock that is wrong: timedatectl status") if is_off else "",
    )


def _apart(ahead_seconds: float) -> str:
    if abs(ahead_seconds) < 1:
        return _("its clock and ours agree")
    time = words.duration(abs(ahead_seconds))
    return (
        _("its clock is {time} ahead of ours", time=time)
        if ahead_seconds > 0
        else _("its clock is {time} behind ours", time=time)
    )


def _variable(name: str) -> str:
    return "BACKUPS_SCRATCH_FOLDER." if name == "scratch" else "BACKUPS_LOCAL_FOLDER."
