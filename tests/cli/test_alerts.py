"""``slipway alerts`` and ``slipway watch``: a real run fails, people are notified once, and open causes are listed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from tests.cli.conftest import World

VARIABLE = "ALERTS_TEST_URL"
ROUTES = f"routes:\n  chat:\n    url: ${{{VARIABLE}}}\n    targets: [dev]\n"


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a receiver on this machine, and what it was sent."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_that_is_set_aside_is_reported_once_listed_and_reported_to_be_over(
    empty: World, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = webhook
    (empty.path / "alerts.yml").write_text(ROUTES, encoding="utf-8")
    bad = empty.folder / "landing" / "parcels" / "bad.csv"
    bad.write_text("parcel,depot\np9,N\n", encoding="utf-8")

    tried = empty.slipway("alerts", "test", "chat", **{VARIABLE: url})
    assert (tried.code, tried.out) == (0, "Route chat works.\n"), tried
    assert got.pop()["title"] == "[ticket] dev: this is a test"

    ran = empty.workshop.slipway("run", **{VARIABLE: url})
    assert ran.code == 0, ran
    assert [one["title"].partition(": ")[0] for one in got] == ["[error] dev"]
    assert "parcels/bad.csv is not in raw" in got[0]["message"]

    looked = empty.slipway("watch", "--once", "-o", "json", **{VARIABLE: url})
    assert looked.code == 1, looked
    assert [cause["key"] for cause in json.loads(looked.out)["causes"]] == ["file_set_aside:parcels/bad.csv"]
    assert len(got) == 1
    (entry,) = json.loads(empty.answer("alerts", "list", "-o", "json"))
    assert entry["cause"]["first"] == "slipway land status --target dev"
    assert "parcels/bad.csv" in empty.answer("alerts", "list")

    bad.write_text("parcel,depot,weighed_on,kg\np9,N,2024-05-04,1\n", encoding="utf-8")
    assert empty.workshop.slipway("run", **{VARIABLE: url}).code == 0
    assert got[-1]["title"].startswith("[over] dev: parcels/bad.csv")
    assert "No cause is open." in empty.slipway("alerts", "list").err
    calm = empty.slipway("watch", **{VARIABLE: url})
    assert (calm.code, calm.out) == (0, "Nothing is wrong in dev.\n"), calm


def test_a_run_with_a_mistake_in_the_file_does_not_begin(empty: World) -> None:
    (empty.path / "alerts.yml").write_text("routes:\n  chat:\n    urll: ${X}\n", encoding="utf-8")
    assert "Did you mean `url`?" in empty.refusal("run", code=2)
    assert "There is no route pager" in refusal_of_test(empty)


def refusal_of_test(world: World) -> str:
    (world.path / "alerts.yml").write_text(ROUTES, encoding="utf-8")
    return world.refusal("alerts", "test", "pager", code=3)


@pytest.mark.long
def test_a_model_that_cannot_be_built_is_reported_by_its_table(
    empty: World, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = webhook
    (empty.path / "alerts.yml").write_text(ROUTES, encoding="utf-8")
    model = empty.path / "models" / "serving" / "depot_weights.sql"
    right = model.read_text(encoding="utf-8")
    model.write_text("select no_such_column from {{ ref('weights') }}", encoding="utf-8")
    assert empty.workshop.slipway("run", **{VARIABLE: url}).code == 1
    (entry,) = json.loads(empty.answer("alerts", "list", "-o", "json"))
    assert entry["key"] == "run_failed:serving.depot_weights"
    assert "no_such_column" in got[-1]["message"]
    model.write_text(right, encoding="utf-8")
    assert empty.workshop.slipway("run", **{VARIABLE: url}).code == 0
    assert [one["title"].partition("]")[0] for one in got] == ["[error", "[over"]


@pytest.mark.long
def test_people_are_notified_of_what_plain_dbt_finds(
    empty: World, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = webhook
    (empty.path / "alerts.yml").write_text(ROUTES, encoding="utf-8")
    model = empty.path / "models" / "serving" / "depot_weights.sql"
    right = model.read_text(encoding="utf-8")
    model.write_text("select no_such_column from {{ ref('weights') }}\n", encoding="utf-8")
    empty.workshop.dbt("build", code=1, ALERTS_TEST_URL=url)
    (message,) = got
    assert (message["title"].partition("]")[0], "no_such_column" in message["message"]) == ("[error", True)
    empty.workshop.dbt("build", code=1, ALERTS_TEST_URL="json://127.0.0.1:1/")
    assert len(got) == 1  # it is the same cause
    model.write_text(right, encoding="utf-8")
    late = empty.workshop.dbt("build", ALERTS_TEST_URL="json://127.0.0.1:1/")
    assert "alerts: " in late  # it ends well, and says that the message was not delivered
    empty.workshop.dbt("test", ALERTS_TEST_URL=url)
    empty.workshop.dbt("build", ALERTS_TEST_URL=url)
    assert [one["title"].partition("]")[0] for one in got] == ["[error", "[over"]

    (empty.path / "alerts.yml").write_text(ROUTES.replace("targets", "target"), encoding="utf-8")
    assert "Unknown key `target` in alerts.yml" in empty.workshop.dbt("build", code=2, ALERTS_TEST_URL=url)


@pytest.mark.long
def test_a_file_that_no_run_has_read_is_reported_when_its_contract_says_so(empty: World) -> None:
    contract = empty.path / "contracts" / "parcels.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(
        f"{text}slaProperties:\n  - {{property: latency, value: 2, unit: h}}\n", encoding="utf-8"
    )
    assert empty.workshop.slipway("run").code == 0
    assert empty.slipway("watch").code == 0
    empty.workshop.land("day-3.csv", ("p6,S,2024-05-03,1",))
    landed = empty.folder / "landing" / "parcels" / "day-3.csv"
    assert empty.slipway("watch").code == 0
    three_hours_ago = landed.stat().st_mtime - 3 * 3600
    os.utime(landed, (three_hours_ago, three_hours_ago))
    looked = empty.slipway("watch")
    assert looked.code == 1, looked
    assert "1 file of feed parcels has waited for a run for up to 3 hours" in looked.out
    assert empty.workshop.slipway("run").code == 0
    assert empty.slipway("watch").out == "Nothing is wrong in dev.\n"


@pytest.mark.long
def test_files_that_a_rollback_withdraws_wait_from_then_on(empty: World) -> None:
    """The next run reads them again; that they landed long ago does not make them late. A file that no run has read waits since it arrived."""
    workshop = empty.workshop
    assert workshop.slipway("run").code == 0
    workshop.land("day-3.csv", ("p6,S,2024-05-03,1",))
    assert workshop.slipway("run").code == 0
    workshop.answer("rollback", "--yes")
    (rollback, *_) = json.loads(workshop.answer("releases", "-o", "json"))

    def feed() -> dict[str, Any]:
        (found,) = json.loads(workshop.answer("land", "status", "-o", "json"))["feeds"]
        return dict(found)

    (withdrawn,) = feed()["withdrawn"]
    assert (withdrawn, feed()["waiting"]) == ("parcels/day-3.csv", ["parcels/day-3.csv"])
    waits_since, rolled_back_at = map(
        datetime.fromisoformat, (feed()["waits_since"], rollback["published_at"])
    )
    assert waits_since == rolled_back_at
    assert "1 accepted and not in raw yet (1 withdrawn by a rollback)" in workshop.answer("land", "status")

    workshop.land("day-4.csv", ("p7,S,2024-05-04,1",))
    later = empty.folder / "landing" / "parcels" / "day-4.csv"
    os.utime(later, (later.stat().st_mtime - 3600,) * 2)
    assert datetime.fromisoformat(feed()["waits_since"]) < rolled_back_at
    assert workshop.slipway("run").code == 0
    assert (feed()["withdrawn"], feed()["waits_since"]) == ([], None)


@pytest.mark.long
def test_a_run_that_was_killed_is_reported_until_one_succeeds(
    empty: World, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = webhook
    (empty.path / "alerts.yml").write_text(ROUTES, encoding="utf-8")
    killed = empty.workshop.start("run", kill_before="slipway.runs.end:release", **{VARIABLE: url}).wait()
    assert (killed.code, got) == (None, [])
    for _ in range(2):
        looked = empty.slipway("watch", "-o", "json", **{VARIABLE: url})
        assert looked.code == 1, looked
    (log,) = (empty.home / "logs" / "dev").iterdir()
    assert [one["title"].partition(" ")[0] for one in got] == ["[error]"]
    assert f"Run {log.stem}, which began" in got[0]["message"]
    assert "slipway doctor --fix --target dev" in got[0]["message"]
    assert empty.slipway("doctor", "--fix").code == 0
    assert empty.slipway("watch", **{VARIABLE: url}).code == 1  # nobody has run since
    assert empty.workshop.slipway("run", **{VARIABLE: url}).code == 0
    assert [one["title"].partition(" ")[0] for one in got] == ["[error]", "[over]"]
    assert empty.slipway("watch", **{VARIABLE: url}).code == 0


@pytest.mark.long
def test_a_run_that_is_at_work_is_not_taken_for_killed(empty: World) -> None:
    working = empty.workshop.start("run", stop_before="slipway.runs.end:release")
    working.stopped()
    assert empty.slipway("watch").code == 0
    assert working.resumed().code == 0
