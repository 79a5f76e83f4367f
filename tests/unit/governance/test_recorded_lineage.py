"""Column lineage of tables that runs have made: by the queries that runs recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.harness.records import manifest, node

from slipway.environments.environment import Environment, Mode
from slipway.governance.column_lineage import TableLineage
from slipway.governance.recorded_lineage import lineages_of_runs
from slipway.records.run_ids import new_run_id
from slipway.records.store import Records

SCHEMAS = {"raw.lines": {"id": "BIGINT", "price": "DOUBLE"}}


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(Environment("dev", Mode.EXPLORATORY, str(tmp_path), {}, "", tmp_path))


def run(records: Records, sql: str | None) -> str:
    """Record a run that built a table, with or without dbt's manifest."""
    run_id = new_run_id(datetime.now(UTC))
    made = manifest(node("curated.sums"), run_id=run_id)
    records.write(run_id, "run_manifest.json", made.model_dump_json())
    if sql is not None:
        common = {"database": "dev", "language": "sql", "config": {"materialized": "table"}}
        lines = {**common, "resource_type": "source", "schema": "raw", "name": "lines", "identifier": "lines"}
        sums = {
            **common,
            "resource_type": "model",
            "schema": "curated",
            "name": "sums",
            "alias": "sums",
            "compiled_code": sql,
            "depends_on": {"nodes": ["source.a.raw.lines"]},
        }
        described = {
            "nodes": {"model.a.sums": sums},
            "sources": {"source.a.raw.lines": lines},
            "exposures": {},
        }
        records.write(run_id, "dbt/manifest.json", json.dumps(described))
    return run_id


def lineage(records: Records, run_id: str) -> TableLineage | None:
    return lineages_of_runs(records, {"curated.sums": run_id, "curated.other": None}, SCHEMAS).get(
        "curated.sums"
    )


def test_the_query_of_the_run_that_built_a_table_counts(records: Records) -> None:
    found = lineage(
        records, run(records, 'select id, price * 2 as price from "dev"."raw"."lines" where id > 1')
    )
    assert found is not None
    assert found.columns == {"id": {"raw.lines": ["id"]}, "price": {"raw.lines": ["price"]}}
    assert found.rows == {"raw.lines": ["id"]}
    assert lineage(records, run(records, None)) is None


def test_a_query_that_cannot_be_bound_is_unknown(records: Records) -> None:
    found = lineage(records, run(records, "select * from nowhere"))
    assert found is not None
    assert "nowhere" in found.unknown


def test_nothing_is_written(records: Records) -> None:
    made = run(records, 'select id from "dev"."raw"."lines"')
    before = records.store.entries("")
    assert lineage(records, made)
    assert records.store.entries("") == before
