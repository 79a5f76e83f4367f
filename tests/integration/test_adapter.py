"""What ``type: slipway`` is for dbt: an adapter that packages know as DuckDB's, and whose macros a project may replace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.harness.projects import Meters

PACKAGE = {
    "dbt_packages/tools/dbt_project.yml": "name: tools\nversion: 1.0.0\nconfig-version: 2\n",
    "dbt_packages/tools/macros/chosen.sql": """\
{% macro chosen() %}{{ return(adapter.dispatch('chosen', 'tools')()) }}{% endmacro %}
{% macro default__chosen() %}{{ return('default') }}{% endmacro %}
{% macro duckdb__chosen() %}{{ return('duckdb') }}{% endmacro %}
{% macro general() %}{{ return(adapter.dispatch('general', 'tools')()) }}{% endmacro %}
{% macro default__general() %}{{ return('default') }}{% endmacro %}
{% macro exact() %}{{ return(adapter.dispatch('exact', 'tools')()) }}{% endmacro %}
{% macro duckdb__exact() %}{{ return('duckdb') }}{% endmacro %}
{% macro slipway__exact() %}{{ return('slipway') }}{% endmacro %}
""",
    "packages.yml": "packages: [{local: dbt_packages/tools}]\n",
}
MODEL = """\
select
    '{{ tools.chosen() }}' as chosen, '{{ tools.general() }}' as general, '{{ tools.exact() }}' as exact,
    '{{ target.type }}' as type, {{ dbt.dateadd('day', 1, "date '2024-02-28'") }} as next_day
"""


def test_dispatch_goes_from_slipway_to_duckdb_to_default(project: Meters) -> None:
    for name, text in PACKAGE.items():
        project.write(name, text)
    project.write("models/serving/of_package.sql", MODEL)
    project.dbt("build", "--select", "of_package")
    (row,) = project.rows("serving.of_package")
    assert [str(value)[:10] for value in row] == [
        *("duckdb", "default", "slipway", "slipway"),
        "2024-02-29",
    ]
    manifest = json.loads((project.target / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["metadata"]["adapter_type"] == "slipway"
    # what Slipway brings, and what a project's own macros and packages may be called
    ours = {name for name in manifest["macros"] if name.startswith("macro.dbt_slipway.")}
    public = {
        *(
            "declare_increments",
            "engine",
            "last_landed_at",
            "partitions_changed",
            "rows_added",
            "slice_predicate",
        ),
        *("quarantined", "typed", "within_retention", "test_meets_contract"),
        *("test_freshness_sla", "test_latency_sla", "test_volume_in_range", "test_null_rate"),
        *("test_distribution_drift", "test_relationships_with_tolerance"),
    }
    rest = {name.rpartition(".")[2] for name in ours} - public - {"ref", "source", "is_incremental"}
    assert {
        name for name in rest if not name.startswith(("_slipway", "slipway__", "materialization_"))
    } == set()
    assert not [name for name in manifest["nodes"] if name.startswith("operation.meters.")]


def test_macros_of_an_earlier_slipway_are_refused(project: Meters) -> None:
    project.write("own_macros/on_run.sql", "{% macro on_run_begin() %}{% endmacro %}\n")
    printed = project.refused("build")
    assert "has Slipway's macro on_run_begin" in printed
    assert "START sql" not in printed
