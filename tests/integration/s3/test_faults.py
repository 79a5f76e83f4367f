"""A store that refuses, fails, drops connections or is silent: retried within bounds, then one clear line."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import pytest
from tests.harness.proxy import Proxy
from tests.integration.s3.conftest import access

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake


def refused(lake: Lake, *, seconds: float, **settings: str) -> str:
    """The one line of a run that cannot begin; nothing is published, dbt is not started, and it does not take long."""
    before, began = (lake.published(), lake.sizes()), time.monotonic()
    logs = set(lake.workshop.folder.rglob("*.jsonl"))
    message = lake.workshop.refusal("run", code=5, **settings)
    assert time.monotonic() - began < seconds
    assert set(lake.workshop.folder.rglob("*.jsonl")) == logs
    assert (lake.published(), lake.sizes()) == before
    return message


@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        pytest.param(
            {"SLIPWAY_WAREHOUSE": "s3://nobody-has-it/w"},
            "NoSuchBucket",
            id="missing bucket",
            marks=pytest.mark.long,
        ),
        pytest.param({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect", id="nobody listens"),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "credentials",
            id="no credentials",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_store_that_cannot_be_used(lake: Lake, settings: dict[str, str], reported: str) -> None:
    message = refused(lake, seconds=45, **settings)
    warehouse = settings.get("SLIPWAY_WAREHOUSE", lake.workshop.settings["SLIPWAY_WAREHOUSE"])
    assert message.startswith(f"{warehouse}/_slipway cannot be used: ")
    assert reported in message
    assert message.endswith("Check the bucket, AWS_ENDPOINT_URL, AWS_REGION and the credentials.")


@pytest.mark.long
def test_a_landing_area_that_cannot_be_used_is_a_failed_run(lake: Lake) -> None:
    message = lake.workshop.refusal("run", code=5, SLIPWAY_LANDING="s3://nobody-has-it/landing")
    assert message.startswith("s3://nobody-has-it/landing cannot be used: ")
    assert lake.published() == {}
    (run,) = lake.manifests()
    assert run["outcome"] == "failed"
    assert run["reason"].startswith("s3://nobody-has-it/landing cannot be used: ")


def test_wrong_credentials(lake: Lake, endpoint: str) -> None:
    iam = boto3.client("iam", **access(endpoint))
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=policy)
    check_signatures(endpoint, "0")
    try:
        unknown = lake.workshop.refusal("run", code=5)
        forged = lake.workshop.refusal(
            "run", code=5, AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SESSION_TOKEN=""
        )
    finally:
        check_signatures(endpoint, "inf")
    assert "InvalidAccessKeyId" in unknown
    assert "SignatureDoesNotMatch" in forged
    assert lake.published() == {}
    assert not lake.sizes("warehouse/")


def check_signatures(endpoint: str, after: str) -> None:
    """Have the store check signatures and policies after a number of requests."""
    store = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    store.request("POST", "/moto-api/reset-auth", after)
    assert store.getresponse().status == 200
    store.close()


@pytest.mark.long
def test_every_request_fails_once_and_the_run_succeeds(lake: Lake, proxy: Proxy) -> None:
    proxy.fault = lambda method, path, before: 503 if before == 0 else None
    run = lake.workshop.run()
    assert run["outcome"] == "published"
    assert proxy.failed["PUT"] > 10
    proxy.fault = lambda *_: None
    assert lake.table("raw.parcels").scan().to_arrow().num_rows == 5


@pytest.mark.long
def test_connections_are_dropped_and_the_run_succeeds(lake: Lake, proxy: Proxy) -> None:
    proxy.fault = lambda method, path, before: 0 if before == 0 and method in ("GET", "PUT") else None
    run = lake.workshop.run()
    assert run["outcome"] == "published"
    assert min(proxy.failed["PUT"], proxy.failed["GET"]) > 3


@pytest.mark.long
@pytest.mark.parametrize(
    "part",
    [
        pytest.param("/raw/parcels/data/", id="data files"),
        pytest.param("/curated/weights/metadata/", id="metadata", marks=pytest.mark.long),
        pytest.param("/candidate/", id="records of the candidate", marks=pytest.mark.long),
        pytest.param(".publishing", id="the intent to publish", marks=pytest.mark.long),
    ],
)
def test_writes_that_keep_failing_publish_nothing(lake: Lake, proxy: Proxy, part: str) -> None:
    proxy.fault = lambda method, path, before: 503 if method in ("PUT", "POST") and part in path else None
    began = time.monotonic()
    done = lake.workshop.slipway("run")
    assert time.monotonic() - began < 100
    assert done.code in (1, 5), done
    assert "Traceback" not in done.err
    assert proxy.failed["PUT"] + proxy.failed["POST"] > 1  # it was tried again
    assert lake.published() == {}
    proxy.fault = lambda *_: None
    run = lake.workshop.run()  # and the next run mends it
    assert run["outcome"] == "published"
    assert lake.table("raw.parcels").scan().to_arrow().num_rows == 5


@pytest.mark.long
def test_the_store_dies_after_the_publication(lake: Lake, proxy: Proxy) -> None:
    """What the catalog took is published, and the next command records it."""
    proxy.fault = lambda method, path, before: (
        503 if method == "PUT" and path.endswith("000001.json") else None
    )
    done = lake.workshop.slipway("run")
    assert done.code == 5, done
    assert "slipway: Release 1 is published, but not recorded: " in done.err
    assert len(lake.published()) == 5
    (run,) = lake.manifests()
    assert (run["outcome"], run["release"]) == ("published", 1)
    proxy.fault = lambda *_: None
    assert lake.workshop.run()["outcome"] == "unchanged"
    releases = json.loads(lake.workshop.answer("releases", "--output", "json"))
    assert [release["number"] for release in releases] == [1]


@pytest.mark.long
def test_a_silent_store_is_given_up(lake: Lake) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        message = refused(lake, seconds=100, AWS_ENDPOINT_URL=address)
    assert "Read timeout" in message
