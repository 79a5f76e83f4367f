"""Which objects an event names, in every documented form, and what is said of what is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway import events
from slipway.errors import ConfigError, UnavailableError
from slipway.events import NotAnEventError, handle
from slipway.runs.landed_now import LandedFiles

KEY = "landing/parcels/days of May/1+1 = 2 \u00fc.csv"
PLACE = f"s3://lake/{KEY}"


def s3(key: str = KEY, name: str = "ObjectCreated:Put", source: str = "aws:s3") -> dict[str, Any]:
    """A notification as the user guide of Amazon S3 describes it."""
    record = {
        "eventVersion": "2.1",
        "eventSource": source,
        "awsRegion": "eu-west-1",
        "eventTime": "2024-05-01T06:00:00.000Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "lake", "arn": "arn:aws:s3:::lake"},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": 5,
                "eTag": "d41d8",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }
    return {"Records": [record]}


def sns(event: Mapping[str, Any]) -> dict[str, Any]:
    message = {"Type": "Notification", "MessageId": "m", "Message": json.dumps(event)}
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": message}]}


def sqs(*bodies: Any) -> dict[str, Any]:  # noqa: ANN401
    """Messages m0, m1, … of a queue."""
    records = [
        {
            "messageId": f"m{at}",
            "eventSource": "aws:sqs",
            "body": body if isinstance(body, str) else json.dumps(body),
        }
        for at, body in enumerate(bodies)
    ]
    return {"Records": records}


def in_queue(event: Mapping[str, Any]) -> dict[str, Any]:
    return sqs(event)


def by_way_of_both(event: Mapping[str, Any]) -> dict[str, Any]:
    """A queue that is subscribed to a topic."""
    return sqs({"Type": "Notification", "MessageId": "m", "Message": json.dumps(event)})


def event_bridge(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {
            "version": "0",
            "bucket": {"name": "lake"},
            "object": {"key": KEY, "size": 5, "etag": "d41d8"},
        },
    }


class Landed:
    """In the place of landing: what was asked for, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None

    def __call__(self, project: None, target: None, locations: list[str]) -> LandedFiles:
        self.asked += locations
        if self.error:
            raise self.error
        return LandedFiles("dev", [], [], locations)


@pytest.fixture
def landed(monkeypatch: pytest.MonkeyPatch) -> Landed:
    found = Landed()
    monkeypatch.setattr(events, "land_files", found)
    return found


@pytest.mark.parametrize("by", [dict, sns, in_queue, by_way_of_both, event_bridge])
def test_the_object_is_found_in_every_form(landed: Landed, by: Callable[[Any], dict[str, Any]]) -> None:
    assert handle(by(s3()), None)["batchItemFailures"] == []
    assert landed.asked == [PLACE]


@given(st.text(min_size=1))
def test_any_key_is_read_as_it_was_written(key: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = Landed()
        patch.setattr(events, "land_files", found)
        handle(json.loads(json.dumps(s3(key.encode("utf-8", "replace").decode()))))
    assert found.asked == [f"s3://lake/{key.encode('utf-8', 'replace').decode()}"]


@pytest.mark.parametrize(
    "event",
    [
        s3(name="ObjectRemoved:Delete"),
        s3(name="s3:ObjectRemoved:DeleteMarkerCreated"),
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "lake"},
        sqs({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "lake"}),
        event_bridge({}) | {"detail-type": "Object Deleted"},
        {"Records": []},
    ],
)
def test_events_that_bring_nothing(landed: Landed, event: dict[str, Any]) -> None:
    assert handle(event) == {"batchItemFailures": [], "landed": [], "absent": [], "triggered": False}
    assert landed.asked == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": None},
        {"Records": ["x"]},
        {"Records": [{"eventSource": "aws:dynamodb"}]},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}]},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {}}}]},
        {"Message": "no JSON"},
        {"source": "aws.s3", "detail-type": "Object Created", "detail": []},
    ],
)
def test_what_is_no_event_is_refused(landed: Landed, event: dict[str, Any]) -> None:
    with pytest.raises(NotAnEventError):
        handle(event)
    assert landed.asked == []


def test_of_a_queue_only_what_failed_is_delivered_again(landed: Landed) -> None:
    found = handle(sqs(s3("landing/parcels/a.csv"), "no JSON", "[]", s3("landing/parcels/b.csv")))
    assert found["batchItemFailures"] == [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]
    assert landed.asked == ["s3://lake/landing/parcels/a.csv", "s3://lake/landing/parcels/b.csv"]


def test_when_landing_fails_a_queue_delivers_again_and_a_direct_event_fails(landed: Landed) -> None:
    landed.error = UnavailableError("The ledger cannot be written")
    found = handle(sqs(s3(), {"Event": "s3:TestEvent"}))
    assert found["batchItemFailures"] == [{"itemIdentifier": "m0"}]
    with pytest.raises(UnavailableError):
        handle(s3())


@pytest.mark.parametrize("trigger", ["proces", "no_such_module:run", "json:no_such_function", ":run"])
def test_a_trigger_that_starts_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, trigger: str) -> None:
    monkeypatch.setenv("SLIPWAY_TRIGGER", trigger)
    with pytest.raises(ConfigError, match="SLIPWAY_TRIGGER"):
        events._trigger(LandedFiles("dev", [], [], []))


def test_a_function_of_the_project_is_a_trigger(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:  # noqa: ANN401
    (tmp_path / "own_trigger.py").write_text(
        "got = []\n\ndef start(found):\n    got.append(found.target)\n", "utf-8"
    )
    monkeypatch.setenv("DBT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_TRIGGER", "own_trigger:start")
    assert events._trigger(LandedFiles("dev", [], [], []))
    import own_trigger  # type: ignore[import-not-found]

    assert own_trigger.got == ["dev"]
