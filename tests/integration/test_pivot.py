"""Models, tests and views of which DuckDB makes several statements: a PIVOT that takes its columns from the data."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

CONFIGURED = "{{{{ config(materialized='{}') }}}}\n"
PIVOT = "pivot {{{{ ref('{}') }}}} on k using sum(v) group by id\n"


@pytest.mark.long
def test_every_kind_of_node(project: Meters) -> None:
    """Three rows ``(id, k, v)``, wide: ``(1, 10.50, -)``, ``(2, -, 20.25)``, ``(3, 5.00, -)``."""
    base = "select * from (values (1, 'a', 10.5), (2, 'b', 20.25), (3, 'a', 5.0)) as t(id, k, v)\n"
    project.write("models/serving/base.sql", base)
    project.write("models/serving/wide.sql", PIVOT.format("base"))
    project.write("models/serving/of_parent.sql", "select * from {{ ref('parent') }}\n")
    project.write("models/serving/parent.sql", CONFIGURED.format("ephemeral") + PIVOT.format("base"))
    project.write("models/serving/of_view.sql", "select * from {{ ref('seen') }}\n")
    project.write("models/serving/seen.sql", CONFIGURED.format("view") + PIVOT.format("base"))
    project.write(
        "models/serving/from_python.py",
        "def model(dbt, session):\n    dbt.config(materialized='table')\n    base = dbt.ref('base')\n"
        "    return session.sql('pivot base on k using sum(v) group by id')\n",
    )
    project.write(
        "snapshots/lines.sql",
        "{% snapshot lines %}{{ config(strategy='check', unique_key='id', check_cols='all', schema='curated') }}\n"
        + PIVOT.format("base")
        + "{% endsnapshot %}\n",
    )
    project.write(
        "tests/dbt/holds.sql", f"select * from (\n{PIVOT.format('base')}\n) where a is null and b is null\n"
    )
    warn = "{{ config(severity='warn') }}\n"
    project.write("tests/dbt/fails.sql", warn + PIVOT.format("base"))
    project.write(
        "tests/dbt/one_fails.sql",
        warn + f"with wide as (\n{PIVOT.format('base')}\n) select * from wide where a = 5\n",
    )
    given = "model: wide, given: [{input: ref('base'), rows: [{id: 7, k: x, v: 1}, {id: 7, k: y, v: 2}]}]"
    project.write(
        "models/serving/_units.yml",
        f"unit_tests:\n- {{name: right, {given}, expect: {{rows: [{{id: 7, x: 1, y: 2}}]}}}}\n"
        f"- {{name: wrong, {given}, expect: {{rows: [{{id: 7, x: 1, y: 3}}]}}}}\n",
    )
    project.dbt("build", "--select", "base+", "--exclude", "wrong")
    assert project.results() == {
        **dict.fromkeys(("base", "wide", "of_parent", "of_view", "seen", "from_python", "lines"), "success"),
        "holds": "pass",
        "fails": "warn",
        "one_fails": "warn",
    }
    expected = [(1, Decimal("10.50"), None), (2, None, Decimal("20.25")), (3, Decimal("5.00"), None)]
    for name in ("wide", "of_parent", "of_view", "from_python"):
        assert project.content(f"serving.{name}") == expected, name
    assert project.rows("curated.lines", "id", "a", "b") == expected
    assert "actual differs from expected" in project.refused("test", "--select", "wrong")
