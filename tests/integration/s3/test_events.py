"""Files in S3 are landed by the notifications that the store itself sends to a queue."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from pyiceberg.table import StaticTable
from tests.harness.proxy import running
from tests.integration.s3.conftest import READ, access

from slipway.events import handle

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server


class Queue:
    """A queue of the store's cloud, read as AWS Lambda reads one."""

    def __init__(self, endpoint: str, name: str) -> None:
        self._client = boto3.client("sqs", **access(endpoint))
        self.url = self._client.create_queue(QueueName=name)["QueueUrl"]
        wanted = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = wanted["Attributes"]["QueueArn"]

    def send(self, body: str) -> None:
        self._client.send_message(QueueUrl=self.url, MessageBody=body)

    def waiting(self) -> tuple[int, int]:
        """How many messages can be delivered, and how many are delivered and not deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def messages(self) -> list[dict[str, Any]]:
        """All that are there, as records of an event."""
        found = []
        while got := self._client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in got:
                self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                found.append(
                    {
                        "messageId": message["MessageId"],
                        "eventSource": "aws:sqs",
                        "body": message["Body"],
                    }
                )
        return found


@pytest.fixture
def landed(lake: Lake, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """The queue to which the lake's bucket sends notifications; this process has the settings of the project."""
    queue = Queue(endpoint, f"landed-{lake.bucket}")
    notify = {"QueueConfigurations": [{"QueueArn": queue.arn, "Events": ["s3:ObjectCreated:*"]}]}
    lake.client.put_bucket_notification_configuration(Bucket=lake.bucket, NotificationConfiguration=notify)
    queue.messages()  # the store's test event
    for name, value in lake.workshop.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DBT_PROJECT_DIR", str(lake.workshop.path))
    return queue


def ledger(lake: Lake) -> list[tuple[str, str]]:
    """Path and verdict of every entry."""
    with closing(sqlite3.connect(lake.workshop.folder / "staging.db")) as catalog:
        ((location,),) = catalog.execute(
            "select metadata_location from iceberg_tables where table_name = 'landed_files'"
        )
    endpoint = {"s3.endpoint": lake.workshop.settings["AWS_ENDPOINT_URL"]}
    rows = StaticTable.from_metadata(location, endpoint | READ).scan().to_arrow().to_pylist()
    return sorted((row["path"], row["verdict"]) for row in rows)


@pytest.mark.long
def test_files_are_landed_as_the_store_reports_them(
    lake: Lake, landed: Queue, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Queue(endpoint, f"runs-{lake.bucket}")
    monkeypatch.setenv("SLIPWAY_TRIGGER", f"sqs:{runs.url}")
    lake.put("landing/parcels/day 3+.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10\n")
    lake.put("landing/parcels/bad.csv", b"parcel,depot\np9,N\n")
    lake.put("landing/parcels/gone.csv", b"parcel,depot,weighed_on,kg\np7,S,2024-05-03,1\n")
    lake.client.delete_object(Bucket=lake.bucket, Key="landing/parcels/gone.csv")
    lake.put("elsewhere/a.csv", b"a\n1\n")
    messages = landed.messages()
    assert len(messages) == 4
    random.Random(7).shuffle(messages)

    first = handle({"Records": messages})
    assert first["batchItemFailures"] == []
    assert {one["path"]: one["verdict"] for one in first["landed"]} == {
        "parcels/bad.csv": "rejected",
        "parcels/day 3+.csv": "accepted",
    }
    assert sorted(first["absent"]) == [
        f"s3://{lake.bucket}/elsewhere/a.csv",
        f"s3://{lake.bucket}/landing/parcels/gone.csv",
    ]
    (asked,) = runs.messages()
    assert json.loads(asked["body"]) == {
        "target": "staging",
        "feeds": ["parcels"],
        "files": ["parcels/day 3+.csv"],
    }
    entered = ledger(lake)

    # delivered again, before the run: nothing new in the ledger, and the run is asked for again
    again = handle({"Records": [*messages, *messages]})
    assert (again["landed"], again["triggered"]) == ([], True)
    assert ledger(lake) == entered

    lake.put("landing/parcels/bad.csv", b"parcel,depot,weighed_on,kg\np9,N,2024-05-03,1\n")
    assert lake.workshop.run()["outcome"] == "published"
    after = handle({"Records": messages})
    assert (after["landed"], after["triggered"]) == ([], False)
    rows = lake.table("raw.parcels").scan().to_arrow().column("parcel").to_pylist()
    assert sorted(rows) == sorted(set(rows))
    assert {"p6", "p9"} <= set(rows)


@pytest.mark.long
def test_a_container_takes_events_from_the_queue(lake: Lake, landed: Queue) -> None:
    """Its process lands what is put, deletes the messages, leaves one that is no event, and ends when it is asked to."""
    landed.send("no event")
    with subprocess.Popen(
        [sys.executable, "-m", "slipway.events", landed.url],
        env=dict(os.environ),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lake.put("landing/parcels/day-3.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10\n")
        until = time.monotonic() + 120
        while landed.waiting() != (0, 1) and time.monotonic() < until and process.poll() is None:
            time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    assert ("parcels/day-3.csv", "accepted") in ledger(lake)
    assert "is no event of S3" in printed
    assert landed.waiting() == (0, 1)  # in flight until the queue delivers it again


@pytest.mark.long
def test_the_landing_area_is_not_listed(
    lake: Lake, landed: Queue, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put("landing/parcels/day-3.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10\n")
    messages = landed.messages()
    with running(endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        assert handle({"Records": messages})["landed"]
        asked = [(method, path) for method, path in proxy.log if path.startswith(f"/{lake.bucket}")]
    assert ("HEAD", f"/{lake.bucket}/landing/parcels/day-3.csv") in asked
    assert not [one for one in asked if "list-type" in one[1] and "landing" in one[1]], asked
