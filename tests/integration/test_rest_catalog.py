"""What becomes of a publication when a REST server fails, refuses, or is other than it says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.harness.environments import Place, place, target
from tests.harness.projects import Workshop, static
from tests.harness.rest_catalog import Handler, RestServer, serving
from tests.integration.test_catalogs import ONE, TWO, killed_at

from slipway.errors import ConfigError, UnavailableError
from slipway.iceberg.catalogs.rest_catalog import RestMover
from slipway.iceberg.tables import Tables
from slipway.releases import publication

REQUEST = "all tables in one request, "
SPACES = "/v1/namespaces"
SINGLY = "one table after the other, "


@pytest.fixture
def server() -> Iterator[RestServer]:
    with serving(several=True) as made:
        yield made


@pytest.fixture
def rest(
    server: RestServer, tmp_path: Path, duck: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.setattr(publication, "_PAUSES", (0, 0, 0))
    return place(f"file://{tmp_path}/w", duck, type="rest", uri=server.uri)


class Failing:
    """The server answers some requests, counted from 1 for each kind, with a status, or hangs up for 0."""

    def __init__(
        self, status: int, *times: int, path: str = "/transactions/commit", done: bool = False
    ) -> None:
        self._status, self._times, self._path, self._done = status, times, path, done
        self.count = 0

    def __call__(self, handler: Handler, done: bool) -> int | None:
        if done is not self._done or handler.command != "POST" or self._path not in handler.path:
            return None
        self.count += 1
        return self._status if not self._times or self.count in self._times else None


def test_the_guarantee_is_what_is_known_of_the_server(rest: Place, server: RestServer) -> None:
    assert rest.publish(**ONE).guarantee.startswith(f"{REQUEST}finished or undone by the next command")
    rest.environment.catalog_properties["slipway.multi-table-commit"] = "atomic"
    rest.__dict__.pop("_opened")
    assert rest.publish(raw_a=2, raw_b=2).guarantee.startswith(f"{REQUEST}which the server applies whole")
    assert rest.publish(raw_a=3).guarantee.startswith(f"{REQUEST}which the server applies whole")
    server.makes_tables = False
    assert rest.publish(raw_a=4, raw_d=4).guarantee.startswith(SINGLY)
    assert rest.numbers() == {"raw_a": 4, "raw_b": 2, "raw_c": 1, "raw_d": 4}


def test_facts_about_a_server_are_read(rest: Place, server: RestServer) -> None:
    rest.environment.catalog_properties["slipway.multi-table-commit"] = "yes"
    server.asked.clear()
    with pytest.raises(ConfigError, match=r"multi-table-commit of staging is yes\. Set it to atomic, or"):
        Tables(rest.environment).locations()
    assert server.asked == []


def test_tables_that_a_request_does_not_make_come_after_the_others(rest: Place, server: RestServer) -> None:
    server.makes_tables = False
    assert rest.publish(**ONE).guarantee.startswith(SINGLY)
    publish = rest.stage(**TWO)
    killed_at(RestMover, "forward", 1, publish)
    assert rest.numbers() == {"raw_a": 2, "raw_b": 2, "raw_c": 2}
    assert rest.visible() == ONE
    (reported,) = rest.heal()
    assert "was published and is now recorded" in reported
    assert rest.numbers() == TWO == rest.visible()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Failing(504, 1, done=True), id="done, and no answer"),
        pytest.param(Failing(0, 1, done=True), id="done, and hung up"),
        pytest.param(Failing(500, 1), id="not done", marks=pytest.mark.long),
        pytest.param(Failing(503, 1), id="not now"),
        pytest.param(Failing(502), id="never together"),
        pytest.param(Failing(400), id="not so", marks=pytest.mark.long),
        pytest.param(Failing(409), id="always a conflict"),
    ],
)
def test_an_answer_that_says_nothing_is_looked_after(rest: Place, server: RestServer, fault: Failing) -> None:
    rest.publish(**ONE)
    server.fault = fault
    assert rest.publish(**TWO).number == 2
    assert rest.numbers() == TWO == rest.visible()
    assert 0 < fault.count < 3
    assert rest.heal() == []


def test_a_server_that_never_answers_is_given_up(rest: Place, server: RestServer) -> None:
    rest.publish(**ONE)
    publish = rest.stage(**TWO)
    server.fault = lambda handler, _: 503 if handler.command == "POST" and handler.path != SPACES else None
    with pytest.raises(UnavailableError) as failed:
        publish()
    assert failed.value.line().startswith("Release 2 may be published in part: Catalog of staging cannot be")
    assert failed.value.line().endswith("The next run or publication finishes or undoes it.")
    server.fault = lambda *_: None
    assert rest.numbers() == ONE == rest.visible()
    assert rest.heal() == []  # it was not begun
    assert rest.publish(raw_a=3, raw_b=3).number == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses(rest: Place, server: RestServer, status: int) -> None:
    rest.publish(**ONE)
    publish = rest.stage(**TWO)
    fault = server.fault = Failing(status)
    with pytest.raises(
        UnavailableError, match=r"^Catalog of staging cannot be written: RefusedError: refused"
    ):
        publish()
    assert fault.count == (2 if status == 401 else 1)
    assert rest.numbers() == ONE == rest.visible()


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_server_that_cannot_be_opened(rest: Place, server: RestServer, status: int) -> None:
    server.fault = lambda *_: status
    with pytest.raises(
        UnavailableError, match=r"^Catalog of staging cannot be opened: RefusedError: refused"
    ):
        Tables(rest.environment).locations()


@pytest.mark.long
def test_a_server_that_is_gone(rest: Place, server: RestServer) -> None:
    rest.publish(**ONE)
    publish = rest.stage(**TWO)
    server.shutdown()
    server.server_close()
    began = time.monotonic()
    with pytest.raises(
        UnavailableError, match=r"^Catalog of staging cannot be written: .*Connection refused"
    ):
        publish()
    assert time.monotonic() - began < 20


def test_reading_is_tried_again(rest: Place, server: RestServer) -> None:
    rest.publish(**ONE)
    failed: list[str] = []

    def sometimes(handler: Handler, done: bool) -> int | None:
        if handler.command != "GET" or done or handler.path in failed:
            return None
        failed.append(handler.path)
        return 503

    server.fault = sometimes
    assert rest.visible() == ONE
    assert failed


def test_a_part_that_was_done_is_taken_back(rest: Place, server: RestServer) -> None:
    """A server that lists the request and applies it table by table dies in the middle of it."""
    rest.publish(**ONE)
    publish = rest.stage(**TWO)
    server.dies_after = 2
    with pytest.raises(UnavailableError, match="Release 2 may be published in part"):
        publish()
    server.dies_after, server.fault = None, lambda *_: None
    assert list(rest.numbers().values()).count(2) == 2
    assert rest.visible() == ONE
    foreign = rest.commit("raw.c")
    assert "taken back" in rest.heal()[0]
    assert rest.numbers() == ONE
    assert rest.catalog().load_table(rest.id("raw.c")).current_snapshot().snapshot_id == foreign


def test_a_part_that_was_done_is_finished_by_the_same_process(rest: Place, server: RestServer) -> None:
    rest.publish(**ONE)
    publish = rest.stage(**TWO)
    server.dies_after, server.comes_back = 2, True
    assert publish().guarantee.startswith(SINGLY)
    assert rest.numbers() == TWO == rest.visible()


def test_a_server_that_keeps_no_tags_is_refused(rest: Place, server: RestServer) -> None:
    server.keeps_tags = False
    with pytest.raises(UnavailableError, match=r"was published without its tag release-1: .* Use another"):
        rest.publish(**ONE)


def test_a_foreign_property_commit_stays(rest: Place) -> None:
    rest.publish(**ONE)
    publish = rest.stage(raw_a=2, raw_b=2)
    with rest.catalog().load_table(rest.id("raw.b")).transaction() as changes:
        changes.set_properties({"owner": "someone else"})
    publish()
    assert rest.numbers() == {"raw_a": 2, "raw_b": 2, "raw_c": 1}
    assert rest.catalog().load_table(rest.id("raw.b")).properties["owner"] == "someone else"


def test_keys_that_would_come_with_a_table_are_not_asked_for(rest: Place, server: RestServer) -> None:
    rest.publish(**ONE)
    assert server.headers
    assert not any("X-Iceberg-Access-Delegation" in sent for sent in server.headers)
    rest.environment.catalog_properties["header.X-Iceberg-Access-Delegation"] = "remote-signing"
    rest.__dict__.pop("_opened")
    rest.publish(**TWO)
    assert server.headers[-1]["X-Iceberg-Access-Delegation"] == "remote-signing"


def use(workshop: Workshop, uri: str) -> None:
    """Have the commands of a project work on a target with a REST catalog; tests/integration/rest has them with real servers."""
    workshop.settings |= target("staging", f"file://{workshop.home}/warehouse", type="rest", uri=uri)


@pytest.mark.long
def test_a_run_that_is_killed_is_healed_by_the_next(workshop: Workshop, server: RestServer) -> None:
    use(workshop, server.uri)
    assert workshop.run()["outcome"] == "published"
    first = dict(server.tables)
    workshop.land("day-3.csv", ("p6,S,2024-05-03,10.125",))
    workshop.killed(
        "slipway.iceberg.catalogs.rest_catalog:ServedCatalog.commit_several", "run", program="slipway"
    )
    assert {name: first[name] for name in first if name[0] != "ops"}.items() <= server.tables.items()
    assert workshop.run()["outcome"] == "published"
    assert static(server.tables["raw", "parcels"]).scan().to_arrow().num_rows == 6
    assert static(server.tables["curated", "weights"]).scan().to_arrow().num_rows == 5


@pytest.mark.long
def test_a_new_description_needs_no_snapshot(workshop: Workshop, server: RestServer) -> None:
    """The server gets a schema and a property for a table that keeps its snapshot."""
    use(workshop, server.uri)
    workshop.run()
    place = ("serving", "depot_weights")
    before = static(server.tables[place])
    workshop.edit(
        "models/_models.yml",
        "  - name: depot_weights\n    columns:\n      - name: depot\n",
        "  - name: depot_weights\n    description: One row per depot\n    config: {persist_docs: {relation: true, columns: true}}\n"
        "    columns:\n      - name: depot\n        description: Where parcels are weighed\n",
    )
    for outcome in ("published", "unchanged"):
        assert workshop.run()["outcome"] == outcome
        now = static(server.tables[place])
        assert now.schema().find_field("depot").doc == "Where parcels are weighed"
        assert now.properties["comment"] == "One row per depot"
        assert now.metadata.current_snapshot_id == before.metadata.current_snapshot_id
    workshop.answer("rollback", "--reason", "a mistake", "--yes")
    assert static(server.tables[place]).schema().find_field("depot").doc is None


@pytest.mark.long
def test_a_server_that_is_gone_is_reported_in_one_line(workshop: Workshop) -> None:
    use(workshop, "http://127.0.0.1:9")
    message = workshop.refusal("run", code=5)
    assert message.startswith("Catalog of staging cannot be opened: ")
    assert "Connection refused" in message


@pytest.mark.long
def test_a_change_is_compared_with_what_is_published(workshop: Workshop, server: RestServer) -> None:
    use(workshop, server.uri)
    workshop.commit()
    assert workshop.run()["outcome"] == "published"
    workshop.edit("models/serving/depot_weights.sql", "sum(kg) as kg", "2 * sum(kg) as kg")
    workshop.commit()
    before = dict(server.tables)
    for command in (("run", "--shadow"), ("canary", "--base", "published")):
        done = workshop.slipway(*command)
        assert done.code == 1, done
        assert "1 table differs" in done.out
    assert server.tables == before
