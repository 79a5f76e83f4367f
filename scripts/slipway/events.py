"""Events of an object store: each file that was put into the landing area is landed, and a run is started.

``handle`` is the entry point of AWS Lambda, or of any program that is given such events; ``python -m slipway.events QUEUE_URL`` is that of a
container, which takes them from a queue. An event is only a hint that there is something to look at: what counts is the object as it is
then. So events may come twice, late or in any order.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from slipway.errors import ConfigError, SlipwayError, UnavailableError
from slipway.runs.landed_now import LandedFiles, land_files
from slipway.secrets import one_line
from slipway.settings import Settings, variable

_log = logging.getLogger("slipway.events")
_SQS = "sqs:"
_POLL_SECONDS = 5
"""How long a queue waits for a message before it answers that there is none; a container is stopped in between."""
_AT_ONCE = 10


@dataclass(frozen=True)
class Arrived:
    """What a message says has arrived.

    Args:
        message: its id in the queue, by which it is reported as failed; None where there is no queue.
        locations: ``s3://bucket/key`` of objects that were created.
    """

    message: str | None
    locations: Sequence[str]


class NotAnEventError(ValueError):
    """A message that is none of those that are known."""


def handle(event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
    """Land the files that an event names, and start a run where rows of theirs are not yet in raw.

    The project is the one of ``DBT_PROJECT_DIR`` or the current folder, the target that of ``DBT_TARGET``. What is started says
    ``SLIPWAY_TRIGGER``: nothing (the default), ``process``, ``sqs:QUEUE_URL``, or ``module:function`` of the project's own, which is
    given a ``LandedFiles``.

    Args:
        event: of Amazon S3, directly or by way of SNS, SQS or EventBridge, in the documented form
            (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
        context: of the function; not used.

    Returns:
        ``batchItemFailures`` with the ids of messages that the queue is to deliver again, as SQS expects of functions; ``landed``,
        path, verdict and reason of what was looked at; ``absent``, locations with which there is nothing to do; ``triggered``,
        whether a run was started.

    Raises:
        SlipwayError: it failed, and there is no queue that would deliver the event again.
        NotAnEventError: the same of an event that is none of those that are known.
    """
    del context
    arrived, failed = [], []
    for message, body in _messages(event):
        try:
            arrived.append(Arrived(message, list(_created(body))))
        except NotAnEventError as error:
            if message is None:
                raise
            _log.error("message %s is no event of S3: %s", message, error)
            failed.append(message)
    locations = sorted({location for one in arrived for location in one.locations})
    done, triggered = None, False
    try:
        if locations:
            done = land_files(None, None, locations)
            triggered = bool(done.waiting) and _trigger(done)
    except SlipwayError as error:
        if any(one.message is None for one in arrived):
            raise
        _log.error("%s", error.line())
        failed += [str(one.message) for one in arrived if one.locations]
    return _answer(done, failed, triggered=triggered)


def _answer(done: LandedFiles | None, failed: Sequence[str], *, triggered: bool) -> dict[str, Any]:
    for entry in done.landed if done else ():
        _log.info("%s: %s %s", entry.path, entry.verdict, one_line(entry.reason))
    for location in done.absent if done else ():
        _log.info("%s: nothing to do, no feed has such a file, or it is gone", one_line(location))
    return {
        "batchItemFailures": [{"itemIdentifier": message} for message in failed],
        "landed": [
            {"path": entry.path, "verdict": entry.verdict, "reason": entry.reason}
            for entry in (done.landed if done else ())
        ],
        "absent": list(done.absent) if done else [],
        "triggered": triggered,
    }


# ------------------------------------------------------------------------------------------ what has arrived


def _messages(event: Mapping[str, Any]) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """The messages of an event by their ids; one without an id where no queue brought it."""
    records = event.get("Records")
    if isinstance(records, list) and any(_source(record) == "aws:sqs" for record in records):
        for record in records:
            yield str(record["messageId"]), {"Message": record.get("body")}
    else:
        yield None, event


def _created(event: object) -> Iterator[str]:
    """Locations of the objects that an event says were created."""
    if not isinstance(event, dict):
        raise NotAnEventError(f"it is {type(event).__name__}, not an object")
    if "Records" in event:
        if not isinstance(event["Records"], list):
            raise NotAnEventError("Records is no list")
        for record in event["Records"]:
            yield from _of_record(record)
    elif isinstance(event.get("Message"), str):  # SNS, or the body of a message
        try:
            yield from _created(json.loads(event["Message"]))
        except json.JSONDecodeError as error:
            raise NotAnEventError(f"its text is no JSON: {error}") from None
    elif event.get("source") == "aws.s3" and "detail" in event:  # EventBridge
        if event.get("detail-type") == "Object Created":
            detail = event["detail"]
            yield _location(detail, str(_part(detail, "object", "key")))
    elif event.get("Event") != "s3:TestEvent":  # sent once when notifications are configured
        raise NotAnEventError(f"it has {', '.join(map(str, event)) or 'nothing'}")


def _of_record(record: object) -> Iterator[str]:
    if _source(record) == "aws:sns":
        yield from _created({"Message": _part(record, "Sns", "Message")})
    elif _source(record) != "aws:s3":
        raise NotAnEventError(f"a record is of {_source(record) or 'nobody'}")
    elif str(_part(record, "eventName")).removeprefix("s3:").startswith("ObjectCreated"):
        found = _part(record, "s3")
        yield _location(found, unquote_plus(str(_part(found, "object", "key"))))  # keys are encoded only here


def _location(found: object, key: str) -> str:
    return f"s3://{_part(found, 'bucket', 'name')}/{key}"


def _part(found: object, *path: str) -> object:
    for name in path:
        if not isinstance(found, dict) or name not in found:
            raise NotAnEventError(f"it has no {'.'.join(path)}")
        found = found[name]
    return found


def _source(record: object) -> str:
    return (
        str(record.get("eventSource") or record.get("EventSource") or "") if isinstance(record, dict) else ""
    )


# ------------------------------------------------------------------------------------------ a run is started


def _trigger(found: LandedFiles) -> bool:
    """Start a run as the setting says; whether one was started."""
    wanted = Settings.read().trigger
    if wanted is None:
        return False
    if wanted == "process":
        _start_process(found)
    elif wanted.startswith(_SQS):
        _send_message(wanted.removeprefix(_SQS), found)
    else:
        _function(wanted)(found)
    return True


def _start_process(found: LandedFiles) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slipway.cli.main", "run", "--target", found.target],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in (done.stdout + done.stderr).splitlines():
        _log.info("%s", line)
    if done.returncode not in (0, 1):  # a run whose tests fail fails again with the same files
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise SlipwayError(
            f"slipway run of {found.target} ended with {done.returncode}", one_line(last), "Its log says more"
        )


def _send_message(queue: str, found: LandedFiles) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    files = sorted(entry.path for entry in found.waiting)
    feeds = sorted({entry.feed for entry in found.waiting})
    body = json.dumps({"target": found.target, "feeds": feeds, "files": files})
    given: dict[str, str] = {}
    if queue.endswith(".fifo"):  # what waits twice is started once
        contents = sorted(f"{entry.path} {entry.sha256}" for entry in found.waiting)
        digest = hashlib.sha256(json.dumps([found.target, contents]).encode()).hexdigest()
        given = {"MessageGroupId": found.target, "MessageDeduplicationId": digest}
    try:
        boto3.client("sqs", region_name=_region(queue)).send_message(
            QueueUrl=queue, MessageBody=body, **given
        )
    except (BotoCoreError, ClientError) as error:
        raise SlipwayError(
            "The run could not be asked for",
            one_line(str(error)),
            f"Check {variable('trigger')} and who may send",
        ) from None


def _region(queue: str) -> str | None:
    """The region in an address like https://sqs.eu-west-1.amazonaws.com/…; else the one where this runs."""
    host = queue.partition("://")[2].partition("/")[0].split(".")
    return host[1] if len(host) > 3 and host[0] == "sqs" else os.environ.get("AWS_REGION")


def _function(name: str) -> Callable[[LandedFiles], object]:
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise ConfigError(
            f"{variable('trigger')} is {name}",
            "it starts no run",
            "Write process, sqs:QUEUE_URL or module:function",
        )
    sys.path.insert(0, os.environ.get("DBT_PROJECT_DIR", str(Path.cwd())))
    try:
        found: Callable[[LandedFiles], object] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{variable('trigger')} is {name}",
            one_line(str(error)),
            "Name a function of a module that can be imported",
        ) from None
    finally:
        sys.path.pop(0)
    return found


# ------------------------------------------------------------------------------------------ a container


def consume(queue: str, stop: threading.Event) -> None:
    """Take events from a queue of Amazon SQS, until ``stop`` is set; what is done is deleted from it.

    A message that fails stays, and the queue delivers it again, or puts it into its dead-letter queue.

    Args:
        queue: the address of the queue.
        stop: looked at between two answers of the queue.

    Raises:
        UnavailableError: the queue does not answer, or refuses.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("sqs", region_name=_region(queue))
        while not stop.is_set():
            got = client.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=_POLL_SECONDS
            ).get("Messages", [])
            if not got:
                continue
            answer = handle(
                {
                    "Records": [
                        {"messageId": one["MessageId"], "eventSource": "aws:sqs", "body": one["Body"]}
                        for one in got
                    ]
                }
            )
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
            done = [one["ReceiptHandle"] for one in got if one["MessageId"] not in failed]
            if done:
                entries = [{"Id": str(at), "ReceiptHandle": receipt} for at, receipt in enumerate(done)]
                client.delete_message_batch(QueueUrl=queue, Entries=entries)
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(
            f"{queue} cannot be read", one_line(str(error)), "Check its address and who may receive"
        ) from None


def main(arguments: Sequence[str]) -> int:
    """Consume the queue that is named, until SIGTERM or SIGINT; the exit codes are those of the commands."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m slipway.events QUEUE_URL\n")
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        consume(arguments[0], stop)
    except SlipwayError as error:
        sys.stderr.write(f"slipway: {error.line()}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
