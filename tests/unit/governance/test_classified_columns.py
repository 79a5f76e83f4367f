"""Classifications follow values from table to table, as far as the queries of models pass them on."""

from __future__ import annotations

from typing import Any

from slipway.contracts.classification import Classifications, classifications, described_columns
from slipway.governance.classified_columns import with_derived
from slipway.governance.column_lineage import lineages

SCHEMAS = {
    "raw.people": {"id": "BIGINT", "mail": "VARCHAR", "town": "VARCHAR"},
    "curated.people": {"id": "BIGINT", "contact": "VARCHAR", "place": "VARCHAR"},
    "curated.scores": {"id": "BIGINT", "score": "DOUBLE"},
    "serving.towns": {"place": "VARCHAR", "people": "BIGINT", "first_contact": "VARCHAR", "score": "DOUBLE"},
}
QUERIES = {
    "curated.people": (
        ("raw.people",),
        "select id, lower(mail) as contact, town as place from dev.raw.people",
    ),
    "curated.scores": (("curated.people",), None),
    "serving.towns": (
        ("curated.people", "curated.scores"),
        """select place, count(contact) as people, min(contact) as first_contact, max(score) as score
        from dev.curated.people join dev.curated.scores using (id) group by 1""",
    ),
}


def manifest(
    declared: dict[str, dict[str, str]] | None = None, **queries: tuple[tuple[str, ...], str | None]
) -> dict[str, Any]:
    """dbt's manifest of the tables above; a query that is None is of a Python model."""
    nodes = {}
    for name in SCHEMAS:
        schema, _, alias = name.partition(".")
        parents, sql = {**QUERIES, **queries}.get(name, ((), "select 1"))
        columns = {
            one: {"meta": {"classification": word}} for one, word in (declared or {}).get(name, {}).items()
        }
        nodes[name] = {
            "resource_type": "model",
            "database": "dev",
            "schema": schema,
            "alias": alias,
            "name": alias,
            "language": "sql" if sql else "python",
            "compiled_code": sql or "def model(dbt, session): ...",
            "config": {"materialized": "table"},
            "depends_on": {"nodes": list(parents)},
            "columns": columns,
        }
    return {"nodes": nodes, "sources": {}}


def derived(
    declared: dict[str, dict[str, str]], **queries: tuple[tuple[str, ...], str | None]
) -> dict[str, dict[str, set[str]]]:
    described = manifest(declared, **queries)
    given = classifications((), described_columns(described))
    found = with_derived(given, lineages(described, SCHEMAS), SCHEMAS).derived
    return {table: {name: set(classes) for name, classes in made.items()} for table, made in found.items()}


def test_values_are_followed_through_renames_and_expressions() -> None:
    found = derived({"raw.people": {"Mail": "confidential"}})
    assert found["curated.people"] == {"contact": {"confidential"}}
    assert found["serving.towns"]["first_contact"] == {"confidential"}
    assert "people" not in found["serving.towns"]  # how many there are
    assert "place" not in found["serving.towns"]


def test_a_model_whose_lineage_is_not_known_may_pass_on_anything_that_it_reads() -> None:
    found = derived({"raw.people": {"mail": "confidential", "town": "internal"}})
    assert found["curated.scores"] == {
        "score": {"confidential", "internal"}
    }  # and not id, which it reads by this name
    assert found["serving.towns"]["score"] == {"confidential", "internal"}


def test_what_a_table_declares_of_its_own_column_decides() -> None:
    found = derived(
        {
            "raw.people": {"mail": "confidential"},
            "curated.people": {"contact": "public"},
            "curated.scores": {"score": "internal"},
        }
    )
    assert "curated.people" not in found
    assert found == {"serving.towns": {"first_contact": {"public"}, "score": {"internal"}}}


def test_a_table_shows_its_own_columns_and_no_other_table_hides_them() -> None:
    given = classifications((), described_columns(manifest({"raw.people": {"mail": "confidential"}})))
    found = with_derived(given, lineages(manifest(), SCHEMAS), SCHEMAS)
    assert found.of_table("curated.people").hidden == {"mail", "contact"}
    assert found.of_table("raw.people").hidden == {"mail"}
    assert found.hidden == {"mail"}
    assert found.of_table("curated.people").hides_sum("CONTACT", 1_000)


def test_a_query_that_cannot_be_resolved_is_as_a_python_model() -> None:
    given = derived(
        {"raw.people": {"mail": "confidential"}},
        **{"curated.people": (("raw.people",), "select nothing from nowhere")},
    )
    assert given["curated.people"] == {"contact": {"confidential"}, "place": {"confidential"}}


def test_where_nothing_is_classified_nothing_is_looked_at() -> None:
    nothing = Classifications({"mail": frozenset(("public",))})
    assert with_derived(nothing, lineages(manifest(), SCHEMAS), SCHEMAS) is nothing
