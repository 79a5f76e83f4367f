"""NaN is larger than every number, and -0.0 equals 0.0, for DuckDB and for Spark, but not for Iceberg, by whose rules files are left out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.spark.both_engines import Both

from slipway.engines.duckdb.scan import whole_scan
from slipway.engines.spark.session_settings import catalog_properties
from slipway.engines.spark.translation.translate import translate
from slipway.names import TableName
from slipway.run_catalog.catalog import RunCatalog
from slipway.run_catalog.rest_server import serving

KINDS = {"n": "INTEGER", "d": "DOUBLE", "f": "FLOAT"}
ASKED = (
    "select count(*) as found from {} where d > 1e9",
    "select count(*) as found from {} where d >= 1e9",
    "select count(*) as found from {} where 1e9 < d",
    "select count(*) as found from {} where not (d < 1e9)",
    "select count(*) as found from {} where d between 1e9 and 'nan'::double",
    "select count(*) as found from {} where d > 0.5 and d <= 1",
    "select count(*) as found from {} where d = 'nan'::double",
    "select count(*) as found from {} where d <> 1",
    "select count(*) as found from {} where d in (1.0)",
    "select count(*) as found from {} where d not in (1.0)",
    "select count(*) as found from {} where d is distinct from 1.0",
    "select count(*) as found from {} where d = 0",
    "select count(*) as found from {} where d in (0, 1)",
    "select count(*) as found from {} where not (d = 0)",
    "select count(*) as found from {} where d is not distinct from 0.0",
    "select count(*) as found from {} where d >= 0 and d < 1",
    "select count(*) as found from {} where d between 0 and 0",
    "select count(*) as found from {} as a join {} as b on a.d = b.d",
    "select count(*) as found from {} where d in (select d from {} where n = 7)",
    "select count(*) as found from {} where isnan(d)",
    "select count(*) as found from {} where n in (1, 4) and d > 3",
    "select max(d) as found from {}",
    "select min(d) as found from {}",
    "select count(*) as found from {} where d >= (select max(d) as largest from {})",
    "select count(*) as found from {} as a join {} as b on a.d > b.d",
    "select count(case when d > 1e9 then 1 end) as found from {}",
)
FILES = ("(1, '1.0'), (2, 'nan')", "(3, 'nan')", "(4, '-3.5'), (5, null)", "(6, '-0.0')", "(7, '0.0')")
ROWS = "select cast(n as int) as n, cast(d as double) as d, cast(d as float) as f from (values {}) as v(n, d)"


@pytest.fixture(params=["spark", "duckdb"])
def place(request: pytest.FixtureRequest, both: Both) -> Any:  # noqa: ANN401
    """A table by one of the engines: files with numbers and NaN, with nothing else than NaN, without, and with each zero."""
    for at, values in enumerate(FILES):
        both.count += 1
        sql = ROWS.format(values)
        made = both.by(request.param, sql, "append" if at else "replace")
        both.bases[request.param] = made.staged.table
    return both, both.bases[request.param]


def test_no_row_is_left_out(place: tuple[Both, Any]) -> None:
    both, table = place
    expected = both.run.place.connection
    rows = ", ".join(FILES)
    by_duckdb, by_spark, wanted = {}, {}, {}
    environment = both.tables.environment.name
    identifier = TableName.of(table.name())
    name = f"{environment}.{identifier}"
    catalog = RunCatalog(both.tables, "reading", {identifier: table.metadata_location})
    with serving(catalog) as served:
        session = both.run.spark.newSession()
        for key, value in catalog_properties(environment, served).items():
            session.conf.set(key, value)
        for query in ASKED:
            of_rows = query.replace("{}", f"({ROWS.format(rows)})")
            wanted[query] = expected.execute(of_rows).fetchall()
            by_duckdb[query] = expected.execute(query.replace("{}", f"(from {whole_scan(table)})")).fetchall()
            sql = translate(query.replace("{}", name), {name: KINDS}, "asked")
            by_spark[query] = [tuple(row) for row in session.sql(sql).collect()]
    assert shown(by_duckdb) == shown(wanted)
    assert shown(by_spark) == shown(wanted)


def shown(found: dict[str, Any]) -> dict[str, str]:
    return {query: str(rows) for query, rows in found.items()}  # NaN is not equal to itself
