"""What a model is configured to be is what it becomes: strategies, snapshots, seeds, Python models, contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Meters

STRATEGIES = {
    "appended": "incremental_strategy='append'",
    "merged": "incremental_strategy='merge', unique_key='k'",
    "merged_by_two": "incremental_strategy='merge', unique_key=['k', 'part']",
    "deleted_inserted": "incremental_strategy='delete+insert', unique_key='k'",
    "overwritten": "incremental_strategy='insert_overwrite', partitioned_by=['part']",
    "overwritten_whole": "incremental_strategy='insert_overwrite'",
    "default_with_key": "unique_key='k'",
    "default_without": "sorted_by='k'",
    "updated_in_part": "unique_key='k', merge_update_columns=['v'], merge_insert_condition='v > 30'",
    "by_clauses": "merge_on_using_columns=['k'], merge_clauses={'when_matched': [{'action': 'delete'}],"
    " 'when_not_matched': [{'action': 'insert', 'mode': 'by_name'},"
    " {'by': 'source', 'action': 'update', 'set_expressions': {'v': 'v + 100'}}]}",
    "spared": "incremental_strategy='delete+insert', unique_key='concat(k)', incremental_predicates=[\"part <> 'a'\"]",
}


def bare(project: Meters) -> None:
    """Leave nothing of the project but its folder, macros and profile."""
    for name in ("contracts", "models", "seeds", "tests"):
        for path in (project.path / name).rglob("*.*"):
            if path.is_file():
                path.unlink()


def seed(project: Meters, *rows: str, header: str = "k,part,v", name: str = "input") -> None:
    project.write(f"seeds/reference/{name}.csv", "\n".join([header, *rows, ""]))


def test_every_incremental_strategy(project: Meters) -> None:
    bare(project)
    project.write(
        "seeds/reference/_seeds.yml",
        "seeds: [{name: input, config: {column_types: {k: integer, part: varchar, v: integer}}}]\n",
    )
    for name, config in STRATEGIES.items():
        project.write(
            f"models/serving/{name}.sql",
            f"{{{{ config(materialized='incremental', {config}) }}}}\nselect * from {{{{ ref('input') }}}}\n",
        )
    seed(project, "1,a,1", "2,a,2", "3,b,3")
    project.dbt("build")
    first = [(1, "a", 1), (2, "a", 2), (3, "b", 3)]
    for name in STRATEGIES:
        assert project.rows(f"serving.{name}") == first, name

    seed(project, "2,a,20", "3,c,30", "4,c,40")
    project.dbt("build")
    new = [(2, "a", 20), (3, "c", 30), (4, "c", 40)]
    expected = {
        "appended": [*first, *new],
        "merged": [(1, "a", 1), *new],
        "merged_by_two": [(1, "a", 1), (3, "b", 3), *new],
        "deleted_inserted": [(1, "a", 1), *new],
        "overwritten": [(3, "b", 3), *new],
        "overwritten_whole": new,
        "default_with_key": [(1, "a", 1), *new],
        "default_without": [*first, *new],
        "updated_in_part": [(1, "a", 1), (2, "a", 20), (3, "b", 30), (4, "c", 40)],
        "by_clauses": [(1, "a", 101), (4, "c", 40)],
        "spared": [(1, "a", 1), (2, "a", 2), *new],
    }
    for name, rows in expected.items():
        assert sorted(project.rows(f"serving.{name}")) == sorted(rows), name

    before = project.state()
    seed(project)
    project.dbt("build")
    expected["overwritten_whole"] = []
    expected["by_clauses"] = [(1, "a", 201), (4, "c", 140)]
    for name, rows in expected.items():
        assert sorted(project.rows(f"serving.{name}")) == sorted(rows), name
        if name not in ("overwritten_whole", "by_clauses"):
            assert project.state()[f"serving.{name}"] == before[f"serving.{name}"], name

    identity = {name: project.table(f"serving.{name}").metadata.table_uuid for name in STRATEGIES}
    seed(project, "7,z,7.5", name="input")
    project.write(
        "seeds/reference/_seeds.yml",
        "seeds: [{name: input, config: {column_types: {k: varchar, part: varchar, v: double}}}]\n",
    )
    project.dbt("build", "--full-refresh")
    for name in STRATEGIES:
        assert project.rows(f"serving.{name}") == [("7", "z", 7.5)], name
        assert project.table(f"serving.{name}").metadata.table_uuid == identity[name]
        # the rows of before are still there for whoever asks for that snapshot
        assert len(project.table(f"serving.{name}").metadata.snapshots) > 1


# configuration, rows of k and v, and what is said
REFUSED = (
    ("unique_key='k'", "(1, 'a'), (1, 'b')", 'unique_key ("k") occurs more than once'),
    ("unique_key='k'", "(1, 'a'), (null, 'b')", 'has NULL in unique_key ("k")'),
    ("unique_key='nothing'", "(1, 'a')", "nothing"),
    ("incremental_strategy='merge'", "(1, 'a')", "merge needs unique_key"),
    (
        "incremental_strategy='upsert'",
        "(1, 'a')",
        "incremental_strategy upsert: unknown. Use one of append",
    ),
    ("unique_key='k', merge_update_columns='v'", "(1, 'a')", "'v', expected a list of columns"),
    ("partitioned_by=['month(v)']", "(1, 'a')", "month cannot be used on v"),
    ("sorted_by=['nothing']", "(1, 'a')", "sorted_by names nothing: no such column"),
    ("grants={'select': ['ada']}", "(1, 'a')", "grants has no effect on Iceberg tables here"),
    (
        "sql_header='set threads = 1;', indexes=[{'columns': ['k']}]",
        "(1, 'a')",
        "indexes, sql_header has no effect",
    ),
)


@pytest.mark.long
def test_what_cannot_be_carried_out_is_refused_in_one_line(project: Meters) -> None:
    bare(project)
    model = "{{{{ config(materialized='incremental', {}) }}}}\nselect * from (values {}) as t (k, v)\n"
    for number in range(len(REFUSED)):
        project.write(f"models/serving/thing_{number}.sql", model.format("unique_key='k'", "(0, 'x')"))
    project.dbt("build")
    before = project.published()
    assert len(before) == len(REFUSED)
    for number, (config, rows, _) in enumerate(REFUSED):
        project.write(f"models/serving/thing_{number}.sql", model.format(config, rows))
    # what needs no query is reported for all models before any is built
    output = project.refused("build")
    assert "2 settings of nodes cannot be carried out" in output
    early = {number for number, (_, _, message) in enumerate(REFUSED) if message in output}
    assert {REFUSED[number][0] for number in early} == {
        "incremental_strategy='merge'",
        "incremental_strategy='upsert'",
    }
    project.remove(*(f"models/serving/thing_{number}.sql" for number in early))
    output = project.refused("build")
    assert set(project.results().values()) == {"error"}
    later = [number for number in range(len(REFUSED)) if number not in early]
    assert len(project.results()) == len(later) > 0
    for number in later:
        assert REFUSED[number][2] in output
        assert f"thing_{number}" in output
    assert "Traceback" not in output
    assert project.published() == before


@pytest.mark.long
def test_a_column_that_is_added(project: Meters) -> None:
    bare(project)
    model = "{{{{ config(materialized='incremental', unique_key='k', on_schema_change='{}') }}}}\n{}\n"
    for mode in ("ignore", "append_new_columns", "sync_all_columns", "fail"):
        project.write(f"models/serving/{mode}.sql", model.format(mode, "select 1 as k, 'a' as old"))
    project.dbt("build")
    for mode in ("ignore", "append_new_columns", "sync_all_columns"):
        project.write(f"models/serving/{mode}.sql", model.format(mode, "select 2 as k, 'b' as new"))
    project.dbt("build")
    assert project.rows("serving.ignore", "k", "old") == [(1, "a"), (2, None)]
    assert project.rows("serving.append_new_columns", "k", "old", "new") == [(1, "a", None), (2, None, "b")]
    assert project.rows("serving.sync_all_columns", "k", "new") == [(1, None), (2, "b")]
    assert len(project.table("serving.sync_all_columns").schema().fields) == 2
    project.write("models/serving/fail.sql", model.format("fail", "select 2 as k, 'b' as new"))
    assert "the query's columns differ from the table: new new; missing old" in project.refused("build")


SNAPSHOT = """
snapshots:
  - name: versions
    relation: ref('input')
    config: {{schema: reference, unique_key: k, {}}}
"""


def versions(project: Meters, *columns: str) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in project.rows("reference.versions", *columns)]


@pytest.mark.long
def test_a_snapshot_by_timestamp(project: Meters) -> None:
    bare(project)
    project.write(
        "snapshots/_snapshots.yml",
        SNAPSHOT.format("strategy: timestamp, updated_at: changed_on, hard_deletes: ignore"),
    )
    project.write(
        "seeds/reference/_seeds.yml",
        "seeds: [{name: input, config: {column_types: {k: integer, changed_on: timestamp}}}]\n",
    )
    columns = ("k", "v", "dbt_valid_from", "dbt_valid_to")
    seed(project, "1,a,2024-01-01", "2,b,2024-01-01", "3,c,2024-01-01", header="k,v,changed_on")
    project.dbt("build")
    assert versions(project, *columns) == [
        ("1", "a", "2024-01-01 00:00:00", "None"),
        ("2", "b", "2024-01-01 00:00:00", "None"),
        ("3", "c", "2024-01-01 00:00:00", "None"),
    ]
    # 1 changes, 2 does not, 3 is gone, 4 is new; a change without a new date is no version
    seed(project, "1,A,2024-02-01", "2,B,2024-01-01", "4,d,2024-02-02", header="k,v,changed_on")
    project.dbt("build")
    expected = [
        ("1", "A", "2024-02-01 00:00:00", "None"),
        ("1", "a", "2024-01-01 00:00:00", "2024-02-01 00:00:00"),
        ("2", "b", "2024-01-01 00:00:00", "None"),
        ("3", "c", "2024-01-01 00:00:00", "None"),
        ("4", "d", "2024-02-02 00:00:00", "None"),
    ]
    assert versions(project, *columns) == expected
    assert "nothing changed" in project.dbt("build")
    project.dbt("build", "--full-refresh")
    assert versions(project, *columns) == expected
    seed(project, "1,x,2024-03-01", "2,B,2024-01-01", "4,d,2024-02-02", header="k,v,changed_on")
    project.dbt("build")
    assert versions(project, *columns) == [
        ("1", "A", "2024-02-01 00:00:00", "2024-03-01 00:00:00"),
        expected[1],
        ("1", "x", "2024-03-01 00:00:00", "None"),
        *expected[2:],
    ]


@pytest.mark.parametrize("hard_deletes", ["invalidate", pytest.param("new_record", marks=pytest.mark.long)])
def test_a_snapshot_by_check_with_deletes(project: Meters, hard_deletes: str) -> None:
    bare(project)
    project.write(
        "snapshots/_snapshots.yml",
        SNAPSHOT.format(f"strategy: check, check_cols: [v], hard_deletes: {hard_deletes}"),
    )
    project.write(
        "seeds/reference/_seeds.yml", "seeds: [{name: input, config: {column_types: {K: integer}}}]\n"
    )
    seed(project, "1,a", "2,b", "3,c", header="k,v")
    assert "does not match" not in project.dbt("build")
    seed(project, "1,A", "2,b", header="k,v")
    project.dbt("build")
    columns = ["k", "v", "dbt_valid_to"] + (["dbt_is_deleted"] if hard_deletes == "new_record" else [])
    found = [
        tuple("ended" if "20" in value else value for value in row) for row in versions(project, *columns)
    ]
    if hard_deletes == "invalidate":
        assert found == [("1", "A", "None"), ("1", "a", "ended"), ("2", "b", "None"), ("3", "c", "ended")]
    else:
        assert sorted(found) == [
            ("1", "A", "None", "False"),
            ("1", "a", "ended", "False"),
            ("2", "b", "None", "False"),
            ("3", "c", "None", "True"),
            ("3", "c", "ended", "False"),
        ]
    # 3 comes back
    seed(project, "1,A", "2,b", "3,c", header="k,v")
    project.dbt("build")
    current = [row for row in versions(project, "k", "v", "dbt_valid_to") if row[2] == "None"]
    assert [row[:2] for row in current] == [("1", "A"), ("2", "b"), ("3", "c")]


@pytest.mark.long
def test_a_key_that_is_twice_in_a_snapshot_does_not_multiply_what_ended(project: Meters) -> None:
    """As dbt-duckdb has it: each of n current versions meets each of n rows, and what is stored stays one row."""
    bare(project)
    project.write(
        "snapshots/_snapshots.yml", SNAPSHOT.format("strategy: check, check_cols: [v], hard_deletes: ignore")
    )
    expected, current = 0, 0
    for phase in "abc":
        seed(project, f"1,{phase}", f"1,{phase}", "2,b", header="k,v")
        project.dbt("build")
        began = max(current, 1) * 2
        expected, current = expected + began, began
        found = versions(project, "k", "v", "dbt_valid_to")
        assert len([row for row in found if row[0] == "1"]) == expected
        assert len([row for row in found if row[0] == "1" and row[2] == "None"]) == current


@pytest.mark.long
def test_a_snapshot_with_a_date_for_current_rows(project: Meters) -> None:
    bare(project)
    config = "strategy: check, check_cols: all, dbt_valid_to_current: \"timestamp '9999-12-31'\""
    project.write("snapshots/_snapshots.yml", SNAPSHOT.format(config))
    seed(project, "1,a", "2,b", header="k,v")
    project.dbt("build")
    seed(project, "1,A", "2,b", header="k,v")
    project.dbt("build")
    current = [
        row[:2] for row in versions(project, "k", "v", "dbt_valid_to") if row[2].startswith("9999-12-31")
    ]
    assert current == [("1", "A"), ("2", "b")]
    assert len(versions(project)) == 3


@pytest.mark.long
def test_python_models_may_return_any_frame(project: Meters) -> None:
    bare(project)
    seed(project, "1,a,1.5", "2,b,")
    for name, expression in {
        "pandas": "dbt.ref('input').df()",
        "arrow": "dbt.ref('input').to_arrow_table()",
        "relation": "dbt.ref('input').filter('k > 0')",
        "reader": "dbt.ref('input').fetch_record_batch()",
        "sql": "session.sql('select 1 as k, 2 as v')",
    }.items():
        project.write(
            f"python_models/serving/{name}.py", f"def model(dbt, session):\n    return {expression}\n"
        )
    project.write(
        "python_models/serving/grown.py",
        "def model(dbt, session):\n"
        "    dbt.config(materialized='incremental', unique_key='k')\n"
        "    frame = dbt.ref('input')\n"
        "    return frame.filter('k > 1') if dbt.is_incremental else frame\n",
    )
    project.write("models/serving/after.sql", "select count(*) as n from {{ ref('pandas') }}\n")
    project.dbt("build")
    for name in ("pandas", "arrow", "relation", "reader", "grown"):
        assert project.rows(f"serving.{name}", "k", "part", "v") == [(1, "a", 1.5), (2, "b", None)], name
    assert project.rows("serving.sql") == [(1, 2)]
    assert project.rows("serving.after") == [(2,)]
    seed(project, "1,x,9.5", "2,y,9.5")
    project.dbt("build")
    assert project.rows("serving.grown", "k", "part") == [(1, "a"), (2, "y")]
    assert project.rows("serving.arrow", "k", "part") == [(1, "x"), (2, "y")]


@pytest.mark.long
def test_a_python_model_that_fails_says_why(project: Meters) -> None:
    bare(project)
    project.write("python_models/serving/broken.py", "def model(dbt, session):\n    return {}['missing']\n")
    output = project.refused("build")
    assert "KeyError: 'missing'" in output
    assert project.published() == {}
    # what is wrong only with the rows is reported without the steps before it
    project.write(
        "python_models/serving/broken.py",
        "import pandas as pd\n\n\ndef model(dbt, session):\n    return pd.DataFrame({'a': [True] * 9 + [5]})\n",
    )
    output = project.refused("build")
    assert "Expected a value of type" in output
    assert "Traceback" not in output


CONTRACT = """
models:
  - name: thing
    config: {contract: {enforced: true}}
    constraints:
      - {type: unique, columns: [k, part]}
    columns:
      - {name: k, data_type: integer, constraints: [{type: not_null}]}
      - {name: part, data_type: text}
      - {name: v, data_type: "decimal(9, 2)", constraints: [{type: check, expression: "v > 0"}]}
"""


# a query, and all that it breaks
BROKEN = {
    "select 1::bigint as k, 'a' as part, 1.00::decimal(9, 2) as v": ["k is BIGINT, declared INTEGER"],
    "select 1 as k, 'a' as part": ["column v is declared and not in the query"],
    "select 1 as k, 'a' as part, 1.00::decimal(9, 3) as v, 2 as w": [
        "v is DECIMAL(9,3), declared DECIMAL(9,2)",
        "column w is in the query and not declared",
    ],
    "select unnest([1, 1, null]) as k, 'a' as part, -1.00::decimal(9, 2) as v": [
        "not_null k: 1 row",
        "unique k, part: 1 row",
        "check v > 0: 3 rows",
    ],
}


@pytest.mark.long
def test_a_broken_contract_stops_the_run(project: Meters) -> None:
    bare(project)
    project.write("models/serving/_contract.yml", CONTRACT)
    project.write("models/serving/thing.sql", "select 1 as k, 'a' as part, 1.00::decimal(9, 2) as v\n")
    project.dbt("build")
    for sql, broken in BROKEN.items():
        project.write("models/serving/thing.sql", sql)
        output = project.refused("build")
        for message in broken:
            assert message in output
        assert project.rows("serving.thing", "k", "part") == [(1, "a")]


@pytest.mark.long
def test_a_contract_of_a_python_model(project: Meters) -> None:
    bare(project)
    project.write(
        "python_models/serving/_models.yml",
        "models:\n  - name: made\n    config: {slipway_contract: true}\n    columns:\n"
        "      - {name: k, data_type: bigint, constraints: [{type: unique}]}\n      - {name: t, data_type: text}\n",
    )
    model = "import pandas as pd\n\n\ndef model(dbt, session):\n    return pd.DataFrame({})\n"
    project.write("python_models/serving/made.py", model.format("{'k': [1, 2], 't': ['a', None]}"))
    project.dbt("build")
    assert project.rows("serving.made") == [(1, "a"), (2, None)]
    project.write("python_models/serving/made.py", model.format("{'k': [1, 1], 't': ['a', 'b']}"))
    assert "serving.made breaks its contract: unique k: 1 row" in project.refused("build")
    project.write("python_models/serving/made.py", model.format("{'k': ['x'], 't': ['a']}"))
    output = project.refused("build")
    assert "serving.made breaks its contract: k is VARCHAR, declared BIGINT" in output
    assert "Traceback" not in output


@pytest.mark.long
def test_a_contract_that_becomes_stricter_is_checked_on_the_same_rows(project: Meters) -> None:
    bare(project)
    project.write("models/serving/_contract.yml", CONTRACT.replace('"v > 0"', '"v > -1"'))
    project.write("models/serving/thing.sql", "select 1 as k, 'a' as part, 0.00::decimal(9, 2) as v\n")
    project.dbt("build")
    project.write("models/serving/_contract.yml", CONTRACT)
    assert "check v > 0: 1 row" in project.refused("build")


@pytest.mark.long
def test_a_view_is_internal_to_its_run(project: Meters) -> None:
    project.write(
        "models/curated/inner.sql", "{{ config(materialized='view') }}\nselect * from {{ ref('meters') }}\n"
    )
    project.write("models/serving/outer.sql", "select count(*) as n from {{ ref('inner') }}\n")
    project.dbt("build")
    assert project.rows("serving.outer") == [(3,)]
    assert "curated.inner" not in project.published()
    # a run that selects only what reads it does not have it, and never builds an empty table instead
    result = project.start("run", "-s", "outer", "--full-refresh", program="dbt").wait()
    assert result.code == 1
    assert 'Table with name "curated.inner" does not exist' in result.out
    assert project.rows("serving.outer") == [(3,)]
    assert "Traceback" not in result.out


@pytest.mark.long
def test_a_published_table_does_not_turn_into_a_view(built: Meters) -> None:
    """Another run would read the table that is still published, and not know."""
    built.write("models/serving/sites.sql", "{{ config(materialized='view') }}\nselect 1 as n\n")
    output = built.refused("build", "-s", "sites")
    assert "sites: serving.sites is published as a table, and a view is not published" in output
    assert len(built.rows("serving.sites")) == 2


def test_models_that_only_other_adapters_know_are_refused(project: Meters) -> None:
    project.write("models/serving/other.sql", "{{ config(materialized='external') }}\nselect 1 as k\n")
    output = project.refused("build", "-s", "other")
    assert "other: materialized external is not published. Use table" in output
    assert not list(project.path.glob("other.*"))


SNAPSHOTS = """
snapshots:
  - name: by_two_keys
    relation: ref('input')
    config: {schema: reference, unique_key: [k, part], strategy: timestamp, updated_at: changed_on, hard_deletes: invalidate}
  - name: renamed
    relation: ref('input')
    config:
      schema: reference
      unique_key: k || part
      strategy: check
      check_cols: [v]
      hard_deletes: new_record
      dbt_valid_to_current: "timestamp '9999-12-31'"
      snapshot_meta_column_names:
        {dbt_valid_from: since, dbt_valid_to: until, dbt_scd_id: id, dbt_updated_at: told_at, dbt_is_deleted: gone}
  - name: by_all
    relation: ref('input')
    config: {schema: reference, unique_key: [k, part], strategy: check, check_cols: all, hard_deletes: ignore}
"""


@pytest.mark.long
def test_every_option_of_a_snapshot(project: Meters) -> None:
    bare(project)
    project.write("snapshots/_snapshots.yml", SNAPSHOTS)
    types = "column_types: {k: integer, part: varchar, v: integer, changed_on: timestamp}"
    project.write("seeds/reference/_seeds.yml", f"seeds: [{{name: input, config: {{{types}}}}}]\n")
    header = "k,part,v,changed_on"
    seed(project, "1,a,1,2024-01-01", "1,b,2,2024-01-01", "2,a,3,2024-01-01", header=header)
    project.dbt("build")
    # 1 a changes, 1 b goes
    seed(project, "1,a,10,2024-02-01", "2,a,3,2024-01-01", header=header)
    project.dbt("build")
    # 1 b comes back as it was, and there is a new column
    types = types.replace("v: integer", "v: integer, w: integer")
    project.write("seeds/reference/_seeds.yml", f"seeds: [{{name: input, config: {{{types}}}}}]\n")
    header = "k,part,v,w,changed_on"
    seed(project, "1,a,10,5,2024-02-01", "1,b,2,6,2024-01-01", "2,a,3,7,2024-01-01", header=header)
    project.dbt("build")
    end = "dbt_valid_to"
    by_two_keys = [
        (k, part, v, w, "current" if until is None else "ended")
        for k, part, v, w, until in project.rows("reference.by_two_keys", "k", "part", "v", "w", end)
    ]
    assert sorted(map(str, by_two_keys)) == [
        "(1, 'a', 1, None, 'ended')",
        "(1, 'a', 10, None, 'current')",  # no later date: no version, so nothing is known of the new column
        "(1, 'b', 2, 6, 'current')",
        "(1, 'b', 2, None, 'ended')",
        "(2, 'a', 3, None, 'current')",
    ]
    renamed = [
        (k, part, v, gone, "current" if until.year == 9999 else "ended")
        for k, part, v, gone, until in project.rows("reference.renamed", "k", "part", "v", "gone", "until")
    ]
    assert sorted(map(str, renamed)) == [
        "(1, 'a', 1, 'False', 'ended')",
        "(1, 'a', 10, 'False', 'current')",
        "(1, 'b', 2, 'False', 'current')",
        "(1, 'b', 2, 'False', 'ended')",
        "(1, 'b', 2, 'True', 'ended')",
        "(2, 'a', 3, 'False', 'current')",
    ]
    by_all = [
        (k, part, v, w, "current" if until is None else "ended")
        for k, part, v, w, until in project.rows("reference.by_all", "k", "part", "v", "w", end)
    ]
    assert sorted(map(str, by_all)) == [
        "(1, 'a', 1, None, 'ended')",
        "(1, 'a', 10, 5, 'current')",
        "(1, 'a', 10, None, 'ended')",
        "(1, 'b', 2, 6, 'current')",
        "(1, 'b', 2, None, 'ended')",
        "(2, 'a', 3, 7, 'current')",
        "(2, 'a', 3, None, 'ended')",
    ]
    text = SNAPSHOTS.replace(
        "check_cols: all, hard_deletes: ignore", "check_cols: all, hard_deletes: new_record"
    )
    project.write("snapshots/_snapshots.yml", text)
    assert "dbt_is_deleted" in project.refused("build")
