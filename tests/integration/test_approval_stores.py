"""Approvals, verification summaries and the removal of plans where records are in S3, with a catalog in SQLite and one in PostgreSQL."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest
from tests.harness.keys import keys_yml
from tests.harness.office import ADA, BOB, CI, EVE, EVERYBODY, ORDERS, Office

from slipway.engines.duckdb import engine
from slipway.errors import SlipwayError
from slipway.maintenance.apply import maintain, propose_in
from slipway.promotion.approving import check_approver, give
from slipway.releases.approvals import PLANS, approved_by
from slipway.releases.signatures import bundle_of
from slipway.signing.statements import SUMMARY
from slipway.verification.links import Kind, State
from slipway.verification.walk import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness.servers import Postgres


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)],
)
def office(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    bucket: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Office]:
    """Two environments in one bucket, a signed release in the first, and people who approve."""
    made = Office(tmp_path, duckdb.connect())
    made.monkeypatch = monkeypatch
    for name, value in made.settings().items():
        monkeypatch.setenv(name, value)
    for name in ("staging", "prod"):
        catalog = f"PYICEBERG_CATALOG__{name.upper()}"
        monkeypatch.setenv(f"{catalog}__WAREHOUSE", f"s3://catalogs/{tmp_path.name}/{name}")
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = f"approvals_{time.time_ns()}"
        with closing(server.connect("postgres")) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"create database {database}")
        monkeypatch.setenv("PYICEBERG_CATALOG__PROD__URI", server.uri(database))
    made.write("keys.yml", keys_yml(*EVERYBODY))
    made.policy("{count: 2}")
    made.connection = engine.connect(made.environment("staging"))
    with made.by(CI):
        made.publish(ORDERS)
    yield made
    made.connection.close()


def plans(office: Office) -> set[str]:
    """Everything that is kept of plans."""
    return {item.key for item in office.records("prod").store.entries(PLANS)}


@pytest.mark.long
def test_a_plan_is_approved_carried_out_verified_and_removed(office: Office) -> None:
    plan_id = office.plan()
    given = []
    for key in (ADA, BOB, ADA, BOB):
        with office.by(key):
            given.append(check_approver(office.project, "prod", plan_id))
    with ThreadPoolExecutor(4) as pool:  # the store decides whose file is first
        made = list(pool.map(lambda one: give(one[0], one[1], ""), given))
    assert sorted(made) == [False, False, True, True]
    office.withdraw(plan_id, BOB)
    with pytest.raises(
        SlipwayError, match=r"2 people must approve, and [Aa]da@[Ee]xample\.org did.*it was withdrawn"
    ):
        office.carry_out(plan_id)
    assert office.shown() == {}
    office.approve(plan_id, EVE)
    number = office.carry_out(plan_id)
    assert office.rows("serving.orders") == office.rows("serving.orders", "staging")
    people = sorted(approved_by(office.environment("prod"), number).casefold().split(", "))
    assert people == ["ada@example.org", "eve@example.org"]

    store = office.records("prod").store
    bundle = {one.predicate_type: one for one in bundle_of(office.records("prod"), number) or ()}
    said = bundle[SUMMARY].predicate
    assert (said["verificationResult"], said["resourceUri"]) == ("PASSED", "urn:slipway:release:prod:1")
    inputs = {one["uri"]: one["digest"]["sha256"] for one in said["inputAttestations"]}
    assert len(inputs) == 6  # plan, release, three approvals and a withdrawal
    for uri, sha256 in inputs.items():
        assert hashlib.sha256(store.read(uri)).hexdigest() == sha256

    def links() -> dict[str, str]:
        wanted = (Kind.APPROVALS, Kind.EVIDENCE, Kind.SIGNATURE, Kind.CATALOG, Kind.FILES)
        return {link.kind: link.state for link in verify(office.project, "prod").links if link.kind in wanted}

    assert set(links().values()) == {State.VERIFIED}
    with office.by(CI):
        office.publish({**ORDERS, "sql": "select 9 as id"})
    waiting = office.plan()
    later = datetime.now(UTC) + timedelta(days=100)
    environment = office.environment("prod")
    assert any(waiting in key for key in plans(office))
    assert any(plan_id in key for key in plans(office))
    maintain(propose_in(environment, {}, {}, (), timedelta(days=3), later, dry_run=False), lambda _: None)
    # the newest plan stays; of the one that was carried out the promotion keeps a copy
    assert {key.removeprefix(f"{PLANS}/")[: len(waiting)] for key in plans(office)} == {waiting}
    assert set(links().values()) == {State.VERIFIED}
    key = next(uri for uri in inputs if "/approvals/" in uri and ADA.keyid in uri)
    content = store.read(key)
    store.replace(key, content.replace(b'"sig":"', b'"sig":"A', 1))
    assert (links()[Kind.APPROVALS], links()[Kind.EVIDENCE]) == (State.BROKEN, State.BROKEN)
