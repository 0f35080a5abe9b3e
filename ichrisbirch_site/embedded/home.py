"""The folder in which the embedded services live, and what is remembered in it."""

import fcntl
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ichrisbirch_site.embedded.errors import EmbeddedError

BUCKET = "backups"
REGION = "us-east-1"
DATABASE = "ichrisbirch"
SUPERUSER = "icb"

# Below the range from which systems hand out ports of outgoing connections, so that none of those takes ours meanwhile.
PORTS = range(15_000, 32_000)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What the services need to be found and entered; made at random once per home."""

    postgres_port: int
    postgres_password: str
    s3_port: int
    s3_access_key: str
    s3_secret_key: str
    secret_key: str
    signing_key: str
    postgres_folder: str = ""  # where the data lies if it can't lie in the home (see accounts.py)

    @property
    def postgres_url(self) -> str:
        return f"postgres://{SUPERUSER}:{self.postgres_password}@127.0.0.1:{self.postgres_port}/{DATABASE}"

    @property
    def s3_url(self) -> str:
        return f"http://127.0.0.1:{self.s3_port}"


@dataclass(frozen=True)
class Home:
    """A folder with the data, logs and credentials of one set of embedded services.

    `postgres_bin` chooses the PostgreSQL (a folder with initdb and postgres); without it the wheel's is taken, else the
    newest of the distribution. `postgres_settings` go into the postgresql.conf of a database that is made.
    """

    folder: Path
    postgres_bin: Path | None = None
    postgres_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    @property
    def broker(self) -> Path:
        return self.folder / "broker"

    @property
    def postgres(self) -> Path:
        """The data folder of PostgreSQL."""
        elsewhere = self.credentials().postgres_folder
        return Path(elsewhere) if elsewhere else self.folder / "postgres"

    def log(self, service: str) -> Path:
        return self.folder / "logs" / f"{service}.log"

    def pid_file(self, service: str) -> Path:
        return self.folder / f"{service}.pid"

    def exists(self) -> bool:
        return (self.folder / "credentials.json").exists()

    def credentials(self) -> Credentials:
        """Those of this home; the first call makes them. Two processes at once agree on one set.

        Raises EmbeddedError when the folder can't be entered or written.
        """
        if (found := self._read()) is None:
            with self.lock("credentials"):
                if (found := self._read()) is None:
                    found = _new_credentials()
                    self._write(found)
        return found

    def remember(self, **changes: Any) -> Credentials:
        """Changes some of the credentials, for good. Raises EmbeddedError."""
        with self.lock("credentials"):
            changed = replace(self._read() or _new_credentials(), **changes)
            self._write(changed)
        return changed

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds a lock against other processes; the kernel lets go of it however this one ends."""
        with self._reachable():
            self.make(self.folder)
            descriptor = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            self.give_to_owner(self.folder / f"{name}.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def make(self, folder: Path) -> Path:
        """Makes a folder that only its owner may enter, and returns it."""
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.give_to_owner(folder)
        return folder

    def write(self, path: Path, content: str) -> None:
        """Writes a file that only its owner may read, whole or not at all."""
        self.make(path.parent)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(content)
            self.give_to_owner(Path(temporary))
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def give_to_owner(self, path: Path) -> None:
        """What root makes in somebody's home belongs to that somebody, who has to be able to use it tomorrow."""
        if os.geteuid() == 0 and path != self.folder and (owner := self.folder.stat()).st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid)

    def _read(self) -> Credentials | None:
        with self._reachable():
            try:
                content = json.loads((self.folder / "credentials.json").read_text())
            except FileNotFoundError:
                return None
            except ValueError as error:
                raise self._damaged() from error
        try:
            return Credentials(**{known.name: content[known.name] for known in fields(Credentials) if known.name in content})
        except TypeError as error:
            raise self._damaged() from error

    def _damaged(self) -> EmbeddedError:
        return EmbeddedError(
            f"{self.folder / 'credentials.json'} is damaged.",
            hint=f"Put it back from a copy; or move {self.folder} away, and the next command makes new, empty services.",
        )

    def _write(self, credentials: Credentials) -> None:
        with self._reachable():
            self.write(self.folder / "credentials.json", json.dumps(asdict(credentials), indent=2) + "\n")

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmbeddedError(
                f"The folder of the embedded services, {self.folder}, can't be used: {error.strerror}.",
                hint="Run this as the user whom it belongs to, or set ICB_FOLDER to a folder of your own.",
            ) from error


def port_is_free(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(*, but_not: int = 0) -> int:
    """A TCP port on 127.0.0.1 to which nothing is bound now."""
    for _ in range(100):
        port = secrets.choice(PORTS)
        if port != but_not and port_is_free(port):
            return port
    raise EmbeddedError(
        "No TCP port is free on 127.0.0.1.", hint=f"100 of the ports {PORTS.start} to {PORTS.stop - 1} are taken."
    )


def _new_credentials() -> Credentials:
    postgres_port = free_port()
    return Credentials(
        postgres_port=postgres_port,
        postgres_password=secrets.token_hex(24),
        s3_port=free_port(but_not=postgres_port),
        s3_access_key=f"ICB{secrets.token_hex(8).upper()}",
        s3_secret_key=secrets.token_hex(20),
        secret_key=secrets.token_urlsafe(50),
        signing_key=secrets.token_hex(32),
    )
