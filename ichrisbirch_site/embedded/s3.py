"""The embedded S3 server: nanio, a wheel that keeps buckets as folders and objects as files."""

import hashlib
import hmac
import http.client
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ichrisbirch_site.embedded import processes
from ichrisbirch_site.embedded.accounts import ENVIRONMENT
from ichrisbirch_site.embedded.home import BUCKET, REGION, Credentials, Home, free_port
from ichrisbirch_site.embedded.processes import Process


class S3:
    """One server, in a home."""

    name = "S3"
    word = "s3"  # names its log and its pid file

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def port(self) -> int:
        return self.home.credentials().s3_port

    @property
    def data(self) -> Path:
        return self.home.objects

    def title(self) -> str:
        return "S3 server"

    def answers(self) -> bool:
        """Whether the server answers now, accepts our keys, and has the bucket."""
        credentials = self.home.credentials()
        connection = http.client.HTTPConnection("127.0.0.1", credentials.s3_port, timeout=2)
        try:
            connection.request("HEAD", _presigned(credentials, at=datetime.now(UTC)))
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def prepare(self) -> None:
        """Makes the bucket, if there is none."""
        self.home.make(self.data)
        self.home.make(self.data / BUCKET)

    def clear(self) -> None:
        """Ends a server whose pid file is lost."""
        for stray in processes.living_in(self.data, program="nanio"):
            stray.stop((signal.SIGTERM, 2), (signal.SIGKILL, 5))

    def spawn(self) -> Process | None:
        """Starts the server; does not wait for it."""
        owner = self.home.folder.stat()
        somebody_else = os.geteuid() == 0 and owner.st_uid != 0  # root in somebody's clone
        credentials = self.home.credentials()
        return processes.spawn(
            [
                *(sys.executable, "-P", "-m", "nanio", "serve", "--no-access-log", "--log-level", "warning"),
                *("--host", "127.0.0.1", "--port", str(credentials.s3_port), "--data-dir", str(self.data)),
                *("--region", REGION),
            ],
            environment=ENVIRONMENT
            | {"NANIO_ACCESS_KEY": credentials.s3_access_key, "NANIO_SECRET_KEY": credentials.s3_secret_key, "PYTHONUTF8": "1"},
            log=self.home.log(self.word),
            folder=self.data,
            user=owner.st_uid if somebody_else else None,
            group=owner.st_gid if somebody_else else None,
        )

    def finish(self) -> None:
        """Nothing is left to do once the server answers."""

    def stop(self, process: Process) -> bool:
        return process.stop((signal.SIGTERM, 10), (signal.SIGKILL, 5))

    def move_to_another_port(self) -> None:
        self.home.remember(s3_port=free_port(but_not=self.home.credentials().postgres_port))


def _presigned(credentials: Credentials, *, at: datetime) -> str:
    """The path and query of a HEAD on the bucket, signed for a minute.

    AWS Signature Version 4, "Authenticating Requests: Using Query Parameters". By hand, because boto3 takes half a second to
    import, which every command that starts a server would pay.
    """
    day, moment = at.strftime("%Y%m%d"), at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{day}/{REGION}/s3/aws4_request"
    query = "&".join(
        f"{name}={quote(value, safe='')}"
        for name, value in (
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"{credentials.s3_access_key}/{scope}"),
            ("X-Amz-Date", moment),
            ("X-Amz-Expires", "60"),
            ("X-Amz-SignedHeaders", "host"),
        )
    )
    request = f"HEAD\n/{BUCKET}\n{query}\nhost:127.0.0.1:{credentials.s3_port}\n\nhost\nUNSIGNED-PAYLOAD"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.s3_secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return f"/{BUCKET}?{query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"
