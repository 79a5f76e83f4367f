"""Keys that expire while a run is under way are renewed, and appear nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sts.models import sts_backends
from tests.harness.catalog_runs import CatalogRun
from tests.integration.s3.conftest import KEY, READ, SECRET, access
from tests.integration.s3.test_faults import check_signatures
from tests.integration.spark.conftest import SparkRun

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server
# writes a table when the test lets it
WAITING_MODEL = """
import time
from pathlib import Path


def model(dbt, session):
    dbt.config(materialized="table")
    frame = dbt.ref("depot_weights").df()
    (Path("{folder}") / "arrived").touch()
    while not (Path("{folder}") / "go").exists():
        time.sleep(0.01)
    return frame
"""
Run = TypeVar("Run", bound=CatalogRun)
AFTER = "select count(*) as parcels from {{ ref('late') }} cross join {{ ref('weights') }}\n"


@dataclass
class Rotation:
    """A role that may use the store, and the program that hands out its keys of the moment to whoever asks the AWS chain."""

    lake: Lake
    sts: Any
    folder: Path
    role: str
    given: list[dict[str, str]]

    def rotate(self, minutes: float = 8) -> None:
        """New keys; the old ones are refused from now on."""
        key = self.sts.assume_role(RoleArn=self.role, RoleSessionName="slipway")["Credentials"]
        until = datetime.now(UTC) + timedelta(minutes=minutes)
        answer = {"Version": 1, **key, "Expiration": until.isoformat()}
        fresh = self.folder / "fresh.json"
        fresh.write_text(json.dumps(answer), encoding="utf-8")
        fresh.rename(self.folder / "keys.json")
        if self.given:
            held = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles
            held[:] = [one for one in held if one.access_key_id != self.given[-1]["AccessKeyId"]]
        self.given.append(key)


@pytest.fixture
def rotation(new_lake: Callable[[Path, str], Lake], tmp_path: Path, endpoint: str) -> Iterator[Rotation]:
    lake = new_lake(tmp_path, f"rotating-{time.time_ns()}")
    iam = boto3.client("iam", **access(endpoint))
    anyone = {"Effect": "Allow", "Action": "*"}
    everything = json.dumps({"Version": "2012-10-17", "Statement": [{**anyone, "Resource": "*"}]})
    name = f"rotating-{tmp_path.name}"[:64]
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=everything)
    trusted = json.dumps({"Version": "2012-10-17", "Statement": [{**anyone, "Principal": {"AWS": "*"}}]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=everything)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    sts = boto3.client(
        "sts",
        **access(endpoint)
        | {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]},
    )
    folder = tmp_path / "keys"
    folder.mkdir()
    config = folder / "config"
    config.write_text(f"[default]\ncredential_process = cat {folder}/keys.json\n", encoding="utf-8")
    for setting in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del lake.workshop.settings[setting]
    lake.workshop.settings["AWS_CONFIG_FILE"] = str(config)
    found = Rotation(lake, sts, folder, role, [])
    found.rotate()
    check_signatures(endpoint, "0")
    yield found
    check_signatures(endpoint, "inf")


@pytest.mark.long
def test_keys_that_are_replaced_during_a_run(rotation: Rotation, endpoint: str) -> None:
    workshop = rotation.lake.workshop
    workshop.write("models/serving/late.py", WAITING_MODEL.format(folder=rotation.folder))
    workshop.write("models/serving/after.sql", AFTER)
    running = workshop.start("run", "--output", "json")
    deadline = time.monotonic() + 90
    while not (rotation.folder / "arrived").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    rotation.rotate()
    (rotation.folder / "go").touch()
    done = running.wait()
    assert done.code == 0, done
    assert json.loads(done.out)["outcome"] == "published"
    asked = workshop.slipway("sql", "select parcels from serving.after", "--output", "csv")
    # two depots, four parcels whose weight is a number
    assert (asked.code, asked.out.split()) == (0, ["parcels", "8"])

    check_signatures(endpoint, "inf")
    assert len(rotation.given) == 2
    secrets = [
        key[name].encode()
        for key in rotation.given
        for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    ]
    texts = {
        str(path): path.read_bytes()
        for path in workshop.folder.rglob("*")
        if path.is_file() and path.parent != rotation.folder
    }
    texts |= {key: rotation.lake.get(key) for key in rotation.lake.sizes()}
    texts |= {"out": done.out.encode(), "err": done.err.encode()}
    assert any("dbt.log" in name for name in texts)
    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []


@pytest.mark.long
def test_keys_that_cannot_be_renewed(rotation: Rotation) -> None:
    rotation.rotate(minutes=-1)
    message = rotation.lake.workshop.refusal("run", code=5)
    assert "cannot be used: " in message
    assert "expired" in message
    (rotation.folder / "keys.json").unlink()
    message = rotation.lake.workshop.refusal("run", code=5)
    assert "cannot be used: " in message
    assert message.endswith("Check the bucket, AWS_ENDPOINT_URL, AWS_REGION and the credentials.")


def run_on(
    rotation: Rotation, folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, kind: type[Run]
) -> Run:
    """A run of this process whose warehouse is in the bucket, with the keys of the program that hands them out."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.setenv(name, rotation.lake.workshop.settings[name])
    store = {
        "s3.endpoint": rotation.lake.workshop.settings["AWS_ENDPOINT_URL"],
        "s3.region": "us-east-1",
        "client.region": "us-east-1",
    }
    return kind(folder / "run", stack, root=f"s3://{rotation.lake.bucket}/run", store=store)


def test_the_catalog_of_a_run_hands_out_the_keys_of_the_moment(
    rotation: Rotation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        run = run_on(rotation, tmp_path, stack, monkeypatch, CatalogRun)
        client = run.client()
        table = client.load_table(run.names["mine"])
        assert table.config["s3.access-key-id"] == rotation.given[-1]["AccessKeyId"]
        assert table.config["s3.delete-enabled"] == "false"
        assert table.scan().to_arrow().to_pylist() == [{"n": 1}]
        place = table.config["client.refresh-credentials-endpoint"]
        rotation.rotate()
        (given,) = run.ask("GET", place).json()["storage-credentials"]
        assert given["prefix"] == "s3"
        assert given["config"].keys() == {
            "s3.access-key-id",
            "s3.secret-access-key",
            "s3.session-token",
            "s3.session-token-expires-at-ms",
        }
        assert given["config"]["s3.access-key-id"] == rotation.given[-1]["AccessKeyId"]
        minutes = int(given["config"]["s3.session-token-expires-at-ms"]) / 60_000 - time.time() / 60
        assert 7 < minutes < 8
        assert run.ask("GET", place, Authorization="Bearer another").status_code == 401
        assert run.ask("GET", f"{run.path('none')}/credentials").status_code == 404

        (rotation.folder / "keys.json").unlink()
        refused = run.ask("GET", run.path("mine"))
        assert refused.status_code == 503
        assert "cannot be used: " in refused.json()["error"]["message"]


def test_keys_that_do_not_expire_are_handed_out_with_the_table(
    new_lake: Callable[[Path, str], Lake], tmp_path: Path, endpoint: str
) -> None:
    lake = new_lake(tmp_path / "lake", f"keys-{time.time_ns()}")
    with ExitStack() as stack:
        run = CatalogRun(tmp_path, stack, root=f"s3://{lake.bucket}", store={"s3.endpoint": endpoint, **READ})
        config = run.client().load_table(run.names["mine"]).config
        assert config == {
            "s3.delete-enabled": "false",
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "client.region": "us-east-1",
            "s3.region": "us-east-1",
            "s3.endpoint": endpoint,
            "s3.path-style-access": "true",
            "s3.access-key-id": KEY,
            "s3.secret-access-key": SECRET,
        }
        (given,) = run.ask("GET", f"{run.path('mine')}/credentials").json()["storage-credentials"]
        assert given["config"] == {"s3.access-key-id": KEY, "s3.secret-access-key": SECRET}


@pytest.mark.spark
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_spark_asks_for_the_next_keys(
    spark: Any,  # noqa: ANN401 - pyspark is an extra
    rotation: Rotation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of keys that expire within five minutes it asks for the next ones before each use, of others five minutes before they expire."""
    rotation.rotate(minutes=4)
    with ExitStack() as stack:
        run = run_on(rotation, tmp_path, stack, monkeypatch, SparkRun)
        run.connect(spark)
        mine = f"{run.catalog_name}.{run.layer}.mine"
        run.sql("insert into {mine} select id from range(100)")
        loaded = run.spark.sql(f"select count(*) from {mine}")  # with the keys of now
        rotation.rotate(minutes=4)
        assert [tuple(row) for row in loaded.collect()] == [(101,)]
        run.sql("insert into {mine} select id from range(100)")
        run.check_published()
