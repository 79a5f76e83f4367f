"""Keys that expire while a run is under way are renewed, and appear nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from tests.integration.s3.conftest import access
from tests.integration.s3.test_faults import check_signatures

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
AFTER = "select count(*) as parcels from {{ ref('late') }} cross join {{ ref('weights') }}\n"


@dataclass
class Rotation:
    """A user of the store, and the program that hands out the keys of the moment to whoever asks the AWS chain."""

    lake: Lake
    admin: Any
    folder: Path
    user: str
    given: list[dict[str, str]]

    def rotate(self, minutes: float = 8) -> None:
        """New keys; the old ones are refused from now on."""
        key = self.admin.create_access_key(UserName=self.user)["AccessKey"]
        until = datetime.now(UTC) + timedelta(minutes=minutes)
        answer = {
            "Version": 1,
            "AccessKeyId": key["AccessKeyId"],
            "SecretAccessKey": key["SecretAccessKey"],
            "Expiration": until.isoformat(),
        }
        fresh = self.folder / "fresh.json"
        fresh.write_text(json.dumps(answer), encoding="utf-8")
        fresh.rename(self.folder / "keys.json")
        if self.given:
            self.admin.delete_access_key(UserName=self.user, AccessKeyId=self.given[-1]["AccessKeyId"])
        self.given.append(key)


@pytest.fixture
def rotation(new_lake: Callable[[Path, str], Lake], tmp_path: Path, endpoint: str) -> Iterator[Rotation]:
    lake = new_lake(tmp_path, f"rotating-{time.time_ns()}")
    iam = boto3.client("iam", **access(endpoint))
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    person = f"rotating-{tmp_path.name}"
    for user in (person, f"{person}-admin"):
        iam.create_user(UserName=user)
        iam.put_user_policy(
            UserName=user,
            PolicyName="all",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
        )
    key = iam.create_access_key(UserName=f"{person}-admin")["AccessKey"]
    admin = boto3.client(
        "iam",
        **access(endpoint)
        | {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]},
    )
    folder = tmp_path / "keys"
    folder.mkdir()
    config = folder / "config"
    config.write_text(f"[default]\ncredential_process = cat {folder}/keys.json\n", encoding="utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del lake.workshop.settings[name]
    lake.workshop.settings["AWS_CONFIG_FILE"] = str(config)
    found = Rotation(lake, admin, folder, person, [])
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
    secrets = [key[name].encode() for key in rotation.given for name in ("AccessKeyId", "SecretAccessKey")]
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
