"""Who PostgreSQL runs as: it refuses to run as root, and wants a data folder of its own."""

import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from ichrisbirch_site.embedded import processes
from ichrisbirch_site.embedded.errors import EmbeddedError
from ichrisbirch_site.embedded.home import Home

# Built from nothing, so that no PG* variable of the user's reaches a server.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """How to start a program so that it is not root: `prefix` before its words, and the user it is started by.

    `user` and `group` are ids; None: who we are.
    """

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def can_run(self, program: Path, *, folder: Path) -> bool:
        """Whether this account can enter the folder and execute the program."""
        return self.run([str(program), "--version"], folder=folder).returncode == 0

    def run(self, command: list[str], *, folder: Path) -> CompletedProcess[str]:
        return processes.run([*self.prefix, *command], environment=ENVIRONMENT, folder=folder, user=self.user, group=self.group)

    def own(self, path: Path) -> None:
        """Makes the account the owner of a file, or of a folder and all that is in it."""
        if self.user is None:
            return
        os.chown(path, self.user, self.group or -1)
        for folder, names, files in os.walk(path):
            for name in (*names, *files):
                os.chown(Path(folder, name), self.user, self.group or -1, follow_symlinks=False)


@dataclass(frozen=True)
class Place:
    """Where PostgreSQL's programs and data are, and who runs it there."""

    bin: Path
    data: Path
    account: Account


def place(home: Home, *, bin_folder: Path) -> Place:
    """Settles who runs PostgreSQL, and where. Remembers in the home when the data has to lie elsewhere.

    Raises EmbeddedError when nobody can.
    """
    data = home.postgres
    me = os.geteuid()
    if me != 0 and _has_a_name(me):
        return Place(bin_folder, data, Account())
    owner = (data if data.exists() else home.folder).stat()
    if me == 0 and owner.st_uid not in (0, _somebody().pw_uid):  # root in somebody's clone
        return Place(bin_folder, data, Account(user=owner.st_uid, group=owner.st_gid))
    namespace = _in_namespace()
    if owner.st_uid == me and namespace and namespace.can_run(bin_folder / "postgres", folder=data.parent):
        return Place(bin_folder, data, namespace)
    if me != 0:
        raise EmbeddedError(
            f"PostgreSQL can't run as user {me}, who has no name on this machine.",
            hint="Give the user an entry in /etc/passwd, allow user namespaces, or set DATABASE_URL to a PostgreSQL that runs.",
        )
    return _with_an_unprivileged_user(home, bin_folder=bin_folder, data=data)


def _in_namespace() -> Account | None:
    """Root seen as somebody else, in a user namespace: outside, files and processes stay root's.

    The user must have a name, which initdb looks up.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    somebody = _somebody()
    return Account(prefix=(unshare, "--user", f"--map-user={somebody.pw_uid}", f"--map-group={somebody.pw_gid}", "--"))


def _with_an_unprivileged_user(home: Home, *, bin_folder: Path, data: Path) -> Place:
    """Where user namespaces are closed: a user without rights, and a place that this user can reach."""
    somebody = _somebody()
    account = Account(user=somebody.pw_uid, group=somebody.pw_gid)
    if data.parent == home.folder:
        home.folder.chmod(0o711)  # lets it through to its data; what else is here stays closed
    if account.can_run(bin_folder / "postgres", folder=data.parent):
        if data.exists():
            account.own(data)
        return Place(bin_folder, data, account)
    return _elsewhere(home, bin_folder=bin_folder, data=data, account=account)


def _elsewhere(home: Home, *, bin_folder: Path, data: Path, account: Account) -> Place:
    """The clone lies where only root may enter: data, and programs if need be, move to a folder of the account's."""
    if data.parent == home.folder:
        home.folder.chmod(0o700)
        refuge = Path(tempfile.mkdtemp(prefix="icb-", dir="/var/tmp"))  # unguessable, and 0700
        if data.exists():
            shutil.move(data, refuge / "postgres")
        data = refuge / "postgres"
        account.own(refuge)
        home.remember(postgres_folder=str(data))
    if not account.can_run(bin_folder / "postgres", folder=data.parent):
        bin_folder = _copied(bin_folder, to=data.parent / "pginstall", account=account)
    if not account.can_run(bin_folder / "postgres", folder=data.parent):
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and neither a user namespace nor the user "
            f"{_somebody().pw_name} can run it here.",
            hint="Run this as a normal user, or set DATABASE_URL to a PostgreSQL that runs.",
        )
    return Place(bin_folder, data, account)


def _copied(bin_folder: Path, *, to: Path, account: Account) -> Path:
    """A copy of the programs and of what they load, which the account may execute."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(bin_folder.parent, to, symlinks=True)
    account.own(to)
    return to / bin_folder.name


def _somebody() -> pwd.struct_passwd:
    """A user without rights of its own, who has a name."""
    for name in ("nobody", "daemon"):
        if name in (names := {entry.pw_name: entry for entry in pwd.getpwall()}):
            return names[name]
    return next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)


def _has_a_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True
