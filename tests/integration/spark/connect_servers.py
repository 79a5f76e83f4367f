"""A Spark Connect server, started as anybody would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.harness.servers import free_port
from tests.integration.spark.conftest import QUICKLY

from slipway.engines.spark.session_settings import EXTENSIONS

WITH_EXTENSIONS = ("--conf", f"spark.sql.extensions={EXTENSIONS}")


@contextmanager
def started(
    folder: Path, *options: str, host: str = "127.0.0.1", within: Sequence[str] = ()
) -> Iterator[str]:
    """The address of a server, until the block ends; it has no keys of a store, and the Python of the tests.

    Args:
        folder: for its configuration and log.
        options: of ``spark-submit``.
        host: address that it listens on.
        within: a command that begins it elsewhere, as in another network namespace.
    """
    import pyspark

    home, port = Path(pyspark.__file__).parent, free_port()
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "spark-defaults.conf").write_text(QUICKLY, encoding="utf-8")
    others = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    own = {
        "SPARK_HOME": str(home),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_IP": host,
        "SPARK_LOCAL_HOSTNAME": "localhost" if host == "127.0.0.1" else host,
        "PYSPARK_PYTHON": sys.executable,
    }
    settings = {
        "spark.connect.grpc.binding.address": host,
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.local.dir": str(folder),
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *within,
                home / "bin" / "spark-submit",
                *(
                    "--class",
                    "org.apache.spark.sql.connect.service.SparkConnectServer",
                    "--master",
                    "local[2]",
                ),
                *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
                *options,
                "spark-internal",
            ],
            env={**others, **own},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 300
        while True:
            with closing(socket.socket()) as trial:
                if trial.connect_ex((host, port)) == 0:
                    break
            assert server.poll() is None, (folder / "log").read_text(encoding="utf-8")[-3000:]
            assert time.monotonic() < until
            time.sleep(0.2)
        yield f"sc://{host}:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
