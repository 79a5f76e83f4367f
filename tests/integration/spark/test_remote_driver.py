"""A Spark Connect server on another host, which is a network namespace here: catalog over HTTPS, warehouse on S3, and no keys of its own."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from tests.harness.certificates import certificate
from tests.harness.projects import Meters
from tests.harness.servers import aws
from tests.integration.s3.conftest import KEY, SECRET, access
from tests.integration.spark.both_engines import FIRST, SECOND, compute_by_spark
from tests.integration.spark.connect_servers import WITH_EXTENSIONS, started
from tests.integration.spark.test_connect import DAYS, computed_by

from slipway.engines.spark.spark_versions import RUNTIME, S3_BUNDLE

PASSWORD = "changeit"


@dataclass(frozen=True)
class Host:
    """Another host that this one has a wire to.

    Args:
        name: of the network namespace.
        near: address of this end.
        far: address of the other end.
    """

    name: str
    near: str
    far: str

    @property
    def within(self) -> tuple[str, ...]:
        """What a command is preceded by that runs there."""
        return ("ip", "netns", "exec", self.name)


@pytest.fixture(scope="module")
def other() -> Iterator[Host]:
    number = os.getpid() % 250
    host = Host(f"slipway-{os.getpid()}", f"10.77.{number}.1", f"10.77.{number}.2")
    ends = f"sw{number}near", f"sw{number}far"
    commands = [
        f"ip netns add {host.name}",
        f"ip link add {ends[0]} type veth peer name {ends[1]} netns {host.name}",
        f"ip address add {host.near}/24 dev {ends[0]}",
        f"ip link set {ends[0]} up",
        f"ip -n {host.name} address add {host.far}/24 dev {ends[1]}",
        f"ip -n {host.name} link set {ends[1]} up",
        f"ip -n {host.name} link set lo up",
    ]
    if shutil.which("ip") is None:
        pytest.skip("there is no command ip, which makes network namespaces (Debian: iproute2)")
    try:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"network namespaces cannot be made here: {done.stderr.strip()}")
        yield host
    finally:
        subprocess.run(["ip", "netns", "delete", host.name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def certified(other: Host, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this end and its key."""
    return certificate(tmp_path_factory.mktemp("certificate"), other.near)


@pytest.fixture(scope="module")
def server(
    other: Host, certified: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server of the other host whose Java trusts the certificate."""
    folder = tmp_path_factory.mktemp("elsewhere")
    trusted = folder / "trusted.p12"
    store = ("-keystore", str(trusted), "-storetype", "PKCS12", "-storepass", PASSWORD)
    subprocess.run(
        ["keytool", "-importcert", "-noprompt", "-alias", "slipway", "-file", str(certified[0]), *store],
        check=True,
        capture_output=True,
    )
    java = f"-Djavax.net.ssl.trustStore={trusted} -Djavax.net.ssl.trustStorePassword={PASSWORD}"
    with started(
        folder / "server",
        *("--packages", f"{RUNTIME},{S3_BUNDLE}", *WITH_EXTENSIONS),
        *("--conf", f"spark.driver.extraJavaOptions={java}", "--conf", f"spark.driver.host={other.far}"),
        host=other.far,
        within=other.within,
    ) as address:
        yield f"{address}/;use_ssl=false"


@pytest.fixture
def remote(project: Meters, other: Host, certified: tuple[Path, Path], server: str) -> Iterator[Meters]:
    """A project on a store that both hosts reach, with two models that the server computes."""
    store = aws(other.near)
    try:
        endpoint = f"http://{other.near}:{store.get_host_and_port()[1]}"
        with closing(boto3.client("s3", **access(endpoint))) as client:
            client.create_bucket(Bucket="lake")
        compute_by_spark(project, "sites", "days")
        project.write("models/serving/days.sql", DAYS)
        chain, key = certified
        project.settings |= computed_by(server) | {
            "SLIPWAY_WAREHOUSE": "s3://lake/warehouse",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "SLIPWAY_RUN_CATALOG_LISTEN": f"{other.near}:0",
            "SLIPWAY_RUN_CATALOG_CERTIFICATE": str(chain),
            "SLIPWAY_RUN_CATALOG_KEY": str(key),
        }
        yield project
    finally:
        store.stop()


def days(project: Meters) -> list[tuple[str, ...]]:
    query = "select read_on, meter, kwh from serving.days order by all"
    rows = csv.reader(project.answer("sql", query, "--output", "csv").splitlines())
    return [tuple(row) for row in rows][1:]


def test_a_driver_elsewhere_computes_what_one_here_does(
    remote: Meters, other: Host, tmp_path_factory: pytest.TempPathFactory
) -> None:
    engines = {node["table"]: node["engine"] for node in remote.run()["nodes"]}
    assert (engines["serving.days"], engines["serving.sites"]) == ("spark", "spark")
    assert days(remote) == FIRST
    remote.readings("day-2.csv", "m1,2024-05-02,1.25,", "m2,2024-05-02,3,")
    assert remote.run()["release"] == 2
    assert days(remote) == [*FIRST, *SECOND]

    # a certificate that Java there does not trust, and an address that is another host's own
    chain, key = certificate(tmp_path_factory.mktemp("unknown"), other.near)
    unknown = {"SLIPWAY_RUN_CATALOG_CERTIFICATE": str(chain), "SLIPWAY_RUN_CATALOG_KEY": str(key)}
    nearby = {
        "SLIPWAY_RUN_CATALOG_LISTEN": "127.0.0.1:0",
        "SLIPWAY_RUN_CATALOG_CERTIFICATE": "",
        "SLIPWAY_RUN_CATALOG_KEY": "",
    }
    published = remote.published()
    for settings in (unknown, nearby):
        failed = remote.slipway("run", "--force", "--select", "sites", **settings)
        assert failed.code == 1, failed
        assert "The Spark Connect server does not reach the run's catalog" in failed.out + failed.err
    assert remote.published() == published
