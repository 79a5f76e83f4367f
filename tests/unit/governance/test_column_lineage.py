"""Column lineage of the tables of a project: through views, with keys, and unknown where it cannot be known."""

from __future__ import annotations

from typing import Any

from slipway.governance.column_lineage import TableLineage, lineages, upstream

SCHEMAS = {
    "raw.lines": {"id": "VARCHAR", "town": "VARCHAR", "amount": "VARCHAR"},
    "curated.sales": {"id": "BIGINT", "town": "VARCHAR", "amount": "DECIMAL(9,2)"},
    "reference.towns": {"town": "VARCHAR", "region": "VARCHAR"},
    "curated.scores": {"id": "BIGINT", "score": "DOUBLE"},
}


def node(name: str, sql: str = "", depends: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:  # noqa: ANN401
    schema, _, alias = name.partition(".")
    config = {"materialized": "table", **more.pop("config", {})}
    return {
        "resource_type": "model",
        "database": "dev",
        "schema": schema,
        "alias": alias,
        "name": alias,
        "language": "sql",
        "compiled_code": sql,
        "config": config,
        "depends_on": {"nodes": list(depends)},
        **more,
    }


MANIFEST = {
    "nodes": {
        "model.a.lines": node("raw.lines", "select * from read_csv('lines.csv')"),
        "seed.a.towns": node("reference.towns", resource_type="seed"),
        "model.a.parsed": node(
            "curated.parsed",
            'select id::bigint as id, town, amount::decimal(9, 2) as amount, amount as text from "dev"."raw"."lines"',
            ("model.a.lines",),
            config={"materialized": "view"},
        ),
        "model.a.sales": node(
            "curated.sales",
            'select id, town, amount from "dev"."curated"."parsed" where town is not null',
            ("model.a.parsed",),
            config={"materialized": "incremental", "unique_key": "ID"},
        ),
        "model.a.scores": node("curated.scores", "", ("model.a.sales",), language="python"),
        "model.a.regions": node(
            "serving.regions",
            """select region, sum(amount) as amount, max(score) as score from "dev"."curated"."sales" as sales
            join "dev"."reference"."towns" using (town) left join "dev"."curated"."scores" using (id) group by 1;""",
            ("model.a.sales", "seed.a.towns", "model.a.scores"),
        ),
        "model.a.broken": node("serving.broken", "select nothing from nowhere", ("model.a.sales",)),
        "test.a.t": {"resource_type": "test", "schema": "x", "alias": "y", "name": "y"},
    },
    "sources": {},
}
FOUND = lineages(MANIFEST, SCHEMAS)


def test_columns_come_through_a_view_and_a_key_decides_about_rows() -> None:
    assert FOUND["curated.sales"] == TableLineage(
        table="curated.sales",
        parents=["raw.lines"],
        columns={name: {"raw.lines": [name]} for name in ("id", "town", "amount")},
        rows={"raw.lines": ["id", "town"]},
    )
    assert "curated.parsed" not in FOUND


def test_what_is_summed_up_depends_on_joins_and_groups() -> None:
    found = FOUND["serving.regions"]
    assert found.columns == {
        "region": {"reference.towns": ["region"]},
        "amount": {"curated.sales": ["amount"]},
        "score": {"curated.scores": ["score"]},
    }
    assert found.rows == {
        "curated.sales": ["id", "town"],
        "reference.towns": ["region", "town"],
        "curated.scores": ["id"],
    }
    assert found.depends_on("amount", "curated.sales", {"AMOUNT"})
    assert not found.depends_on("score", "curated.sales", {"amount"})
    assert not found.depends_on(None, "curated.sales", {"amount"})
    assert found.depends_on("score", "curated.sales", {"town"})
    assert found.depends_on(None, "curated.sales", None)
    assert found.depends_on("added_by_the_materialization", "curated.sales", {"amount"})
    assert not found.depends_on("amount", "raw.lines", None)


def test_what_is_not_known_says_why_and_depends_on_all() -> None:
    assert FOUND["curated.scores"].unknown == "it is a Python model"
    assert "nowhere" in FOUND["serving.broken"].unknown
    assert "lines.csv" in FOUND["raw.lines"].unknown
    assert FOUND["curated.scores"].depends_on("score", "curated.sales", {"town"})
    without = lineages(MANIFEST, {}, ["curated.sales"])
    assert without.keys() == {"curated.sales"}
    assert without["curated.sales"].unknown


def test_all_columns_above_one() -> None:
    assert upstream(FOUND, "serving.regions", "amount") == {
        "curated.sales": {"amount"},
        "raw.lines": {"amount"},
    }
    assert upstream(FOUND, "serving.regions", "score") == {
        "curated.scores": {"score"},
        "curated.sales": {"*"},
        "raw.lines": {"*"},
    }
