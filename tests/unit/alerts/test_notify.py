"""Messages arrive at a real receiver, once, and what does not arrive changes nothing but the state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.harness.records import COMMIT, NO_TESTS, environment, manifest, node

from slipway.alerts.alert_state import AlertState
from slipway.alerts.causes import Affected, Cause, Event, Message, Observation
from slipway.alerts.delivery import deliver
from slipway.alerts.notify import after_run, notify
from slipway.alerts.routes import Route
from slipway.environments.environment import Mode
from slipway.errors import SlipwayError
from slipway.records.release_records import Hold
from slipway.records.run_manifest import Outcome, RunManifest
from slipway.records.store import Records
from slipway.releases.holds import Holds

NOON = datetime(2024, 5, 2, 12, tzinfo=UTC)
VARIABLE = "ALERTS_TEST_URL"
ROUTES = {"chat": Route.model_validate({"url": f"${{{VARIABLE}}}"})}


class Receiver:
    """A webhook on this machine: what it was sent, and how it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200


@contextmanager
def receiving() -> Iterator[tuple[Receiver, int]]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status == 200:
                receiver.got.append(json.loads(body))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver, server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as (found, port):
        monkeypatch.setenv(VARIABLE, f"json://127.0.0.1:{port}/")
        yield found


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(environment(tmp_path, Mode.SCHEDULED, "staging"))


def once(message: Message, route: Route, target: str) -> None:
    deliver(message, route, target, pauses=(0,))


def nobody(_: Cause) -> Affected:
    return Affected(exposures=["dashboard takings of Ada"], owners=["Ada"])


def late() -> Observation:
    cause = Cause(
        event=Event.FRESHNESS, subject="f", table="raw.f", what="f is late", first="slipway land status"
    )
    return Observation(causes=[cause], events=(Event.FRESHNESS,))


def look(records: Records, observation: Observation) -> list[SlipwayError]:
    return notify(records, ROUTES, observation, nobody, NOON, once)[1]


def test_an_alert_has_the_cause_who_is_affected_and_the_first_command(
    records: Records, receiver: Receiver
) -> None:
    assert look(records, late()) == look(records, late()) == []
    look(records, Observation(events=(Event.FRESHNESS,)))
    alert, recovery = receiver.got
    assert (alert["title"], alert["type"]) == ("[error] staging: f is late", "warning")
    for text in (
        "f is late",
        "Affected: dashboard takings of Ada",
        "Owners: Ada",
        "First: slipway land status",
    ):
        assert text in alert["message"].splitlines()
    assert (recovery["title"], recovery["type"]) == ("[over] staging: f is late", "success")


def test_a_service_that_is_down_is_reported_noted_and_tried_again(
    records: Records, receiver: Receiver
) -> None:
    receiver.status = 503
    (failure,) = look(records, late())
    assert "Route chat of alerts.yml did not deliver" in failure.line()
    (entry,) = AlertState(records.store).read().entries
    assert entry.alerts["chat"].error == failure.line()
    receiver.status = 200
    assert look(records, late()) == []
    assert len(receiver.got) == 1


def test_nothing_is_sent_during_a_hold(records: Records, receiver: Receiver) -> None:
    Holds(records).place_hold(Hold(target="staging", release=1, placed_at=NOON, who="Ada", reason="wrong"))
    assert look(records, late()) == []
    assert receiver.got == []


def test_processes_that_find_the_same_at_once_send_it_once(records: Records, receiver: Receiver) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert [*pool.map(lambda _: look(records, late()), range(12))] == [[]] * 12
    assert len(receiver.got) == 1


def test_a_state_that_stays_the_same_is_not_written(records: Records, receiver: Receiver) -> None:
    look(records, late())
    before = [item.key for item in records.store.entries("alerts")]
    look(records, late())
    assert [item.key for item in records.store.entries("alerts")] == before


def write_run(records: Records, run_id: str, **more: Any) -> RunManifest:  # noqa: ANN401
    given = {"run_id": run_id, "target": "staging", "mode": "scheduled", "tests": NO_TESTS, "code": COMMIT}
    found = manifest(**(given | more))
    records.write(run_id, "run_manifest.json", found.model_dump_json())
    return found


def project(folder: Path, text: str) -> Path:
    (folder / "alerts.yml").write_text(text, encoding="utf-8")
    return folder


RUNS: Sequence[str] = [f"20240502T12000{at}Z-0000000{at}" for at in range(4)]


def test_runs_that_fail_for_one_table_tell_it_once_and_the_run_that_passes_tells_the_end(
    tmp_path: Path, records: Records, receiver: Receiver
) -> None:
    folder = project(tmp_path, f"routes:\n  chat:\n    url: ${{{VARIABLE}}}\n")
    broken = node("curated.a", "none", "error", message="Binder Error: no such column")
    failed = {"outcome": Outcome.FAILED, "reason": "1 of 1 node failed: a", "release": None}
    for run_id in RUNS[:2]:
        write_run(records, run_id, nodes=[broken], **failed)
        assert after_run(folder, records, run_id) == []
    assert [one["title"] for one in receiver.got] == [
        f"[error] staging: Run {RUNS[0]} failed: curated.a could not be built: Binder Error: no such column"
    ]
    write_run(records, RUNS[2], nodes=[node("curated.b")])  # another selection
    assert after_run(folder, records, RUNS[2]) == []
    assert len(receiver.got) == 1
    write_run(records, RUNS[3], nodes=[node("curated.a")])
    assert after_run(folder, records, RUNS[3]) == []
    assert receiver.got[-1]["title"].startswith("[over] staging")


def test_a_mistake_in_the_file_is_a_line_and_no_error_of_the_run(tmp_path: Path, records: Records) -> None:
    write_run(records, RUNS[0])
    (line,) = after_run(project(tmp_path, "rutes: {}"), records, RUNS[0])
    assert line.startswith("alerts: Unknown key `rutes`")
