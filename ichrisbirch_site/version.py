"""Which commit of the application runs, read from .git without running git (a container may have neither)."""

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def commit(project: Path) -> str:
    """The checked-out commit in hex; empty where the project is no checkout."""
    try:
        git = _git_folder(project / ".git")
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head if _COMMIT.fullmatch(head) else ""
        return _resolve(git, head.removeprefix("ref: "))
    except (OSError, UnicodeDecodeError):
        return ""


def _git_folder(given: Path) -> Path:
    """.git is a file that names the folder in a worktree."""
    if given.is_file():
        return (given.parent / given.read_text().strip().removeprefix("gitdir: ")).resolve()
    return given


def _resolve(git: Path, ref: str) -> str:
    common = (git / (git / "commondir").read_text().strip()) if (git / "commondir").is_file() else git
    for folder in (git, common):
        if (folder / ref).is_file():
            return (folder / ref).read_text().strip()
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {ref}")), "")
