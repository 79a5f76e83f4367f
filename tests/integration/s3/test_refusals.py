"""What a run says, in one line, when catalog or store cannot be used as they should be; and the next run is not hurt."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.harness.proxy import Proxy
from tests.integration.s3.conftest import access
from tests.integration.s3.test_faults import check_signatures

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server


def allowed(endpoint: str, lake: Lake, *statements: Mapping[str, object]) -> None:
    """Let the project's commands be a user of the store who may do only this."""
    iam, name = boto3.client("iam", **access(endpoint)), f"user-{lake.bucket}"
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    lake.workshop.settings |= {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_SESSION_TOKEN": "",
    }


@pytest.mark.parametrize(
    ("statements", "reported"),
    [
        pytest.param(
            [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}],
            "PutObject",
            id="no writing",
        ),
        pytest.param(
            [{"Effect": "Allow", "Action": ["s3:Put*"], "Resource": "*"}],
            "ListObjectsV2",
            id="no reading",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_bucket_without_permission(
    lake: Lake, endpoint: str, statements: list[Mapping[str, object]], reported: str
) -> None:
    own = dict(lake.workshop.settings)
    allowed(endpoint, lake, *statements)
    check_signatures(endpoint, "0")
    try:
        message = lake.workshop.refusal("run", code=5)
    finally:
        check_signatures(endpoint, "inf")
    assert message.startswith(f"s3://{lake.bucket}/warehouse/_slipway cannot be used: ")
    assert "AccessDenied" in message
    assert reported in message
    assert lake.published() == {}
    lake.workshop.settings |= own
    assert lake.workshop.run()["outcome"] == "published"


@pytest.mark.long
def test_tables_that_may_not_be_written(lake: Lake, endpoint: str) -> None:
    """The records may, so the run begins and fails as a whole."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    but = {
        "Effect": "Deny",
        "Action": "s3:Put*",
        "Resource": f"arn:aws:s3:::{lake.bucket}/warehouse/curated/*",
    }
    own = dict(lake.workshop.settings)
    allowed(endpoint, lake, everything, but)
    check_signatures(endpoint, "0")
    try:
        done = lake.workshop.slipway("run")
    finally:
        check_signatures(endpoint, "inf")
    assert done.code == 1, done
    assert "Traceback" not in done.err
    assert "403" in done.err or "AccessDenied" in done.err
    assert lake.published() == {}
    lake.workshop.settings |= own
    assert lake.workshop.run()["outcome"] == "published"


@pytest.mark.long
def test_a_bucket_of_another_region(lake: Lake, proxy: Proxy) -> None:
    proxy.fault = lambda *_: 400
    proxy.body = (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region"
        b" 'us-east-1' is wrong; expecting 'eu-central-1'</Message><Region>eu-central-1</Region></Error>"
    )
    message = lake.workshop.refusal("run", code=5)
    assert "the region 'us-east-1' is wrong; expecting 'eu-central-1'" in message
    assert "AWS_REGION" in message


@pytest.mark.long
def test_a_catalog_of_another_version(lake: Lake) -> None:
    database = lake.workshop.folder / "staging.db"
    connection = sqlite3.connect(database)
    connection.execute(
        "create table iceberg_tables (catalog_name text, table_namespace text, table_name text)"
    )
    connection.close()
    message = lake.workshop.refusal("run", code=5)
    assert message.startswith("Catalog of staging cannot be read: ")
    assert "no such column" in message
    assert lake.manifests() == []
    database.unlink()
    assert lake.workshop.run()["outcome"] == "published"


@pytest.mark.long
def test_a_catalog_that_is_only_read(lake: Lake) -> None:
    assert lake.workshop.run()["outcome"] == "published"
    before = lake.published()
    lake.put("landing/parcels/day-3.csv", b"parcel,depot,weighed_on,kg\np6,S,2024-05-03,10.125\n")
    database = lake.workshop.folder / "staging.db"
    read_only = {"PYICEBERG_CATALOG__STAGING__URI": f"sqlite:///file:{database}?mode=ro&uri=true"}
    done = lake.workshop.slipway("run", **read_only)
    assert done.code in (1, 5), done
    assert "readonly database" in done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert lake.published() == before
    assert lake.workshop.run()["outcome"] == "published"
