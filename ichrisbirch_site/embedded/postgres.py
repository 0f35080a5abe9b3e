"""The embedded PostgreSQL."""

import os
import shutil
import signal
import socket
import struct
import tempfile
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from ichrisbirch_site.embedded import accounts, processes, programs
from ichrisbirch_site.embedded.errors import EmbeddedError
from ichrisbirch_site.embedded.home import DATABASE, SUPERUSER, Home, free_port
from ichrisbirch_site.embedded.processes import Process

# For one developer on one machine, next to everything else that runs there.
SETTINGS = {"shared_buffers": "128MB", "max_connections": "100", "timezone": "UTC", "log_timezone": "UTC"}

# By preference; where the system's C library lacks the first, initdb says so at once.
LOCALES = ("C.UTF-8", "en_US.UTF-8", "C")


class PostgreSQL:
    """One server, in a home."""

    name = "PostgreSQL"
    word = "postgres"  # names its log and its pid file

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def port(self) -> int:
        return self.home.credentials().postgres_port

    @property
    def data(self) -> Path:
        return self.home.postgres

    def title(self) -> str:
        """With the major version, once there is data."""
        try:
            return f"{self.name} {(self.data / 'PG_VERSION').read_text().strip()}"
        except OSError:
            return self.name

    def answers(self) -> bool:
        """Whether the server accepts connections now: it asks for a password, rather than saying that it is starting.

        What pg_isready does; see the PostgreSQL documentation, "Message Flow", "Start-up".
        """
        words = f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(struct.pack("!ii", 8 + len(words), 196_608) + words)
                return connection.recv(1_024)[:1] == b"R"
        except OSError:
            return False

    def prepare(self) -> None:
        """Nothing is needed before the server starts that `spawn` does not do."""

    def clear(self) -> None:
        """Ends the children of a server that was killed, which keep its shared memory from the next one."""
        for process in processes.living_in(self.data, program="postgres"):
            process.stop((signal.SIGQUIT, 5), (signal.SIGKILL, 5))
        # PostgreSQL takes any process that has the old server's id for the old server: another one's after a reboot, and the
        # dead server's own until it is reaped. We know better where /proc shows us all, and none is left.
        lock = self.data / "postmaster.pid"
        try:
            os.kill(int(lock.read_text().split("\n", 1)[0]), 0)
        except (OSError, ValueError):
            return
        if processes.PROC.joinpath("self").exists():
            lock.unlink()

    def spawn(self) -> Process | None:
        """Makes the data folder if there is none, and starts the server; does not wait for it. Raises EmbeddedError."""
        bin_folder = self.home.postgres_bin or programs.find()
        where = accounts.place(self.home, bin_folder=bin_folder)
        if not where.data.exists():
            self._make(where)
        self._check_version(where)
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        return processes.spawn(
            [
                *where.account.prefix,
                str(where.bin / "postgres"),
                "-D",
                str(where.data),
                *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
            ],
            environment=accounts.ENVIRONMENT,
            log=self.home.log(self.word),
            folder=where.data,
            user=where.account.user,
            group=where.account.group,
        )

    def finish(self) -> None:
        """Once the server answers: makes the site's database if there is none. Proves that the password is accepted."""
        import psycopg

        with psycopg.connect(**self.connection("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    def connection(self, database: str = DATABASE) -> dict[str, Any]:
        """The parameters of a connection, as libpq names them."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": SUPERUSER,
            "password": self.home.credentials().postgres_password,
            "dbname": database,
            "connect_timeout": 10,
        }

    def stop(self, process: Process) -> bool:
        """Fast shutdown: sessions are ended, nothing is lost. Only where that takes too long, harder."""
        return process.stop((signal.SIGINT, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))

    def _make(self, where: accounts.Place) -> None:
        """Makes the data folder under another name first, so that one made by half is never taken for one."""
        half = where.data.with_name("postgres.new")
        for locale in LOCALES:
            answer = self._initdb(where, folder=half, locale=locale)
            if answer.returncode == 0:
                break
        else:
            raise EmbeddedError("PostgreSQL's data folder could not be made.", detail=(answer.stderr or answer.stdout).strip())
        settings = SETTINGS | dict(self.home.postgres_settings)
        # The folder may be an unprivileged user's by now: whatever that user puts there, root follows no link.
        with open(half / "postgresql.conf", "a", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW)) as file:
            file.write("\n# The embedded PostgreSQL of this project\n")
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        half.rename(where.data)

    def _initdb(self, where: accounts.Place, *, folder: Path, locale: str) -> CompletedProcess[str]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        where.account.own(folder)
        with tempfile.NamedTemporaryFile("w", dir=folder.parent, prefix=".password.") as password:
            password.write(self.home.credentials().postgres_password)
            password.flush()
            where.account.own(Path(password.name))
            return where.account.run(
                [
                    str(where.bin / "initdb"),
                    *("-D", str(folder), "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password.name}"),
                    *("--encoding=UTF8", f"--locale={locale}", "--data-checksums", "--no-instructions"),
                    *(["--no-sync"] if self.home.postgres_settings.get("fsync") == "off" else []),
                ],
                folder=folder.parent,
            )

    def _check_version(self, where: accounts.Place) -> None:
        made_by = int((where.data / "PG_VERSION").read_text())
        here = programs.version(where.bin)
        if here and here[0] != made_by:
            raise EmbeddedError(
                f"The data in {where.data} was made by PostgreSQL {made_by}, and here is PostgreSQL {here[0]}.",
                hint=f"Install PostgreSQL {made_by} again; or, if the data is not needed, move that folder away and start anew.",
            )

    def move_to_another_port(self) -> None:
        self.home.remember(postgres_port=free_port(but_not=self.home.credentials().s3_port))
