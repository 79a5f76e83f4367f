"""One change of a project, and exactly the nodes whose key it changes; computed after dbt parsed, without a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.harness.projects import Meters, keep, put_back

from slipway.dbt.keys.node_key import definition_key, node_key, tables_read
from slipway.dbt.keys.python_code import own_module
from slipway.environments.profiles import Profile

FILES = {
    "models/curated/plain.sql": "select 1 as n, 'a -- b' as t\n",
    "models/curated/with_var.sql": "select {{ var('factor') }} as n from {{ ref('plain') }}\n",
    "models/curated/through_macro.sql": "select {{ outer('n') }} as n from {{ ref('plain') }}\n",
    "models/curated/any_var.sql": "{% set name = 'fac' ~ 'tor' %}select {{ var(name) }} as n\n",
    "models/curated/with_environment.sql": 'select \'{{ env_var("METER_ZONE", "x") }}\' as n\n',
    "models/curated/with_target.sql": "select '{{ target.name }}' as n\n",
    "models/curated/with_threads.sql": "select '{{ target.threads }}' as n\n",
    "models/curated/with_meta.sql": "select '{{ model.meta.owner }}' as n\n",
    "models/curated/dispatched.sql": "select {{ chosen() }} as n\n",
    "models/curated/inlined.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('plain') }}\n",
    "models/curated/inlines.sql": "select * from {{ ref('inlined') }}\n",
    "models/curated/many_v1.sql": "select 1 as n\n",
    "models/curated/many_v2.sql": "select 2 as n\n",
    "models/curated/reads_latest.sql": "select * from {{ ref('many') }}\n",
    "models/curated/reads_first.sql": "select * from {{ ref('many', v=1) }}\n",
    "models/curated/hooked.sql": "select 1 as n\n",
    "models/curated/later.sql": "{{ config(materialized='incremental') }} select 1 as n"
    "{% if is_incremental() %} -- new ones\n where false {% endif %}\n",
    "models/curated/_keys.yml": """\
models:
  - name: plain
    description: said
    columns: [{name: n, description: said, data_tests: [
      {accepted_values: {name: few, arguments: {values: [1]}}},
      {accepted_values: {name: by_variable, arguments: {values: ["{{ var('factor') }}"]}}},
      {accepted_values: {name: by_call, arguments: {values: ["env_var('METER_ZONE', 'x')"]}}},
    ]}]
  - name: with_meta
    config: {meta: {owner: one}}
  - name: configured
    config: {meta: {limit: 10}}
  - name: tagged
    config: {tags: [one]}
  - name: hooked
    config: {pre_hook: "select {{ outer(var('hooked')) }}"}
  - name: many
    latest_version: 1
    versions: [{v: 1}, {v: 2}]
""",
    "models/curated/shifted.sql": "select {{ dateadd('day', 1, \"date '2024-01-01'\") }} as n\n",
    "python_models/curated/configured.py": "def model(dbt, session):\n    limit = dbt.config.meta_get('limit')\n"
    "    return session.sql(f'select {limit} as n')\n",
    "python_models/curated/tagged.py": "def model(dbt, session):\n    tags = dbt.config.get('tags')\n"
    "    return session.sql(f'select {len(tags)} as n')\n",
    "python_models/curated/by_environment.py": "import os\n\n\ndef model(dbt, session):\n"
    "    return session.sql(f\"select '{os.environ.get('METER_ZONE')}' as n\")\n",
    "python_models/curated/snake.py": "import yaml\n\n\ndef model(dbt, session):\n    return session.sql('select 1 as n')\n",
    "snapshots/history.yml": """\
snapshots:
  - name: history
    relation: ref('plain')
    config: {schema: curated, strategy: check, check_cols: all, unique_key: n}
""",
    "own_macros/outer.sql": "{% macro outer(c) %}{{ inner(c) }} * {{ var('deep', 1) }}{% endmacro %}\n",
    "own_macros/inner.sql": "{% macro inner(c) %}{{ c }} + 1{% endmacro %}\n",
    "own_macros/chosen.sql": "{% macro chosen() %}{{ adapter.dispatch('chosen')() }}{% endmacro %}\n"
    "{% macro default__chosen() %}1{% endmacro %}\n",
}


@dataclass
class Keyed(Meters):
    """A project whose keys are computed."""

    variables: dict[str, Any] = field(default_factory=lambda: {"factor": 1, "deep": 1, "hooked": 1})

    def keys(self, *, definitions: bool = False) -> dict[str, str]:
        """Node name to key, or to its definition's, as if every table that it reads were at one snapshot; tests with them."""
        from dbt.cli.main import dbtRunner

        own_module.cache_clear()
        where = [
            "--project-dir",
            str(self.path),
            "--profiles-dir",
            str(self.path),
            "--target-path",
            str(self.target),
        ]
        done = dbtRunner().invoke(["--quiet", "--log-level-file", "none", "parse", "--no-write-json", *where])
        assert done.success, done.exception
        manifest: Any = done.result
        known = {**Profile(self.path).vars, **self.variables}

        def key(unique_id: str) -> str:
            if definitions:
                return definition_key(manifest, unique_id, known)
            return node_key(manifest, unique_id, dict.fromkeys(tables_read(manifest, unique_id), "1"), known)

        return {
            unique_id.split(".", 2)[2].partition(".")[0]
            if ".v" not in unique_id
            else unique_id.split(".", 2)[2]: key(unique_id)
            for unique_id, node in manifest.nodes.items()
            if node.resource_type in ("model", "seed", "snapshot", "test")
        }

    @contextmanager
    def restored(self) -> Iterator[None]:
        """The project is afterwards as it was before, with what dbt remembers of having parsed it."""
        variables = dict(self.variables)
        keep(self.folder)
        try:
            yield
        finally:
            put_back(self.folder)
            shutil.rmtree(self.folder.with_name("kept"))
            self.variables = variables


@pytest.fixture(scope="module")
def keyed(
    new_meters: Callable[[Path], Meters], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Keyed, dict[str, str]]:
    made = new_meters(tmp_path_factory.mktemp("keys") / "made")
    found = Keyed(made.commands, made.folder)
    for name, text in FILES.items():
        found.write(name, text)
    return found, found.keys()


Change = Callable[[Keyed], None]


def edit(name: str, old: str, new: str) -> Change:
    return lambda keyed: keyed.edit(name, old, new)


def add(name: str, text: str) -> Change:
    return lambda keyed: keyed.write(name, text)


def variable(name: str, value: object) -> Change:
    return lambda keyed: keyed.variables.update({name: value})


CURATED = "models/curated/"
CHANGES: dict[str, tuple[Change, set[str]]] = {
    "nothing": (lambda _: None, set()),
    "comment": (edit(f"{CURATED}plain.sql", "as n,", "as n, -- it's n\n /* and */ {# more #}"), set()),
    "comment-in-a-branch": (edit(f"{CURATED}later.sql", "new ones", "those alone"), set()),
    "literal": (edit(f"{CURATED}plain.sql", "a -- b", "a -- c"), {"plain"}),
    "statement": (edit(f"{CURATED}plain.sql", "1 as n", "2 as n"), {"plain"}),
    "variable": (variable("factor", 2), {"with_var", "any_var", "by_variable"}),
    "variable-of-a-macro": (variable("deep", 2), {"through_macro", "hooked", "any_var"}),
    "variable-of-a-hook": (variable("hooked", 2), {"hooked", "any_var"}),
    "macro": (edit("own_macros/inner.sql", "+ 1", "+ 2"), {"through_macro", "hooked"}),
    "comment-of-a-macro": (
        edit("own_macros/inner.sql", "{% macro inner(c) %}", "{% macro inner(c) %}{# c #}"),
        set(),
    ),
    "macro-for-the-adapter": (
        add("own_macros/duck.sql", "{% macro duckdb__chosen() %}2{% endmacro %}"),
        {"dispatched"},
    ),
    "inlined-model": (edit(f"{CURATED}inlined.sql", "select *", "select n"), {"inlined", "inlines"}),
    "latest-version": (
        edit(f"{CURATED}_keys.yml", "latest_version: 1", "latest_version: 2"),
        {"reads_latest"},
    ),
    "one-version": (edit(f"{CURATED}many_v1.sql", "1 as n", "3 as n"), {"many.v1"}),
    "meta": (edit(f"{CURATED}_keys.yml", "owner: one", "owner: two"), {"with_meta"}),
    "description": (edit(f"{CURATED}_keys.yml", "description: said\n", "description: told\n"), set()),
    "description-that-is-written": (
        edit(
            f"{CURATED}_keys.yml",
            "description: said\n",
            "description: said\n    config: {persist_docs: {columns: true}}\n",
        ),
        set(),
    ),
    "engine-that-is-the-default": (
        edit(
            "dbt_project.yml", "curated: {+schema: curated}", "curated: {+schema: curated, +engine: duckdb}"
        ),
        {"with_meta", "tagged", "configured"},  # their code reads their configuration
    ),
    "engine": (
        edit(
            f"{CURATED}_keys.yml", "description: said\n", "description: said\n    config: {engine: spark}\n"
        ),
        {"plain"},
    ),
    "constraint": (
        edit(
            f"{CURATED}_keys.yml",
            "name: plain\n",
            "name: plain\n    constraints: [{type: check, expression: n > 0}]\n",
        ),
        {"plain"},
    ),
    "arguments-of-a-test": (edit(f"{CURATED}_keys.yml", "values: [1]", "values: [1, 2]"), {"few"}),
    "hook": (edit(f"{CURATED}_keys.yml", 'pre_hook: "select', 'pre_hook: "select 1 +'), {"hooked"}),
    "meta-of-a-python-model": (
        edit(f"{CURATED}_keys.yml", "limit: 10", "limit: 20"),
        {"configured"},
    ),
    "tags-of-a-python-model": (
        edit(f"{CURATED}_keys.yml", "tags: [one]", "tags: [one, two]"),
        {"tagged"},
    ),
    "own-macro-in-place-of-one-of-dbt": (
        add(
            "own_macros/dateadd.sql",
            "{% macro duckdb__dateadd(datepart, interval, from_date_or_timestamp) %}2{% endmacro %}",
        ),
        {"shifted"},
    ),
    "own-test-in-place-of-one-of-dbt": (
        add(
            "own_macros/accepted.sql",
            "{% macro default__test_accepted_values(model, column_name, values, quote=True) %}select 1 where false{% endmacro %}",
        ),
        {"few", "by_variable", "by_call"},
    ),
    "snapshot": (edit("snapshots/history.yml", "check_cols: all", "check_cols: [n]"), {"history"}),
    "own-materialization-in-place-of-slipways": (
        add(
            "own_macros/history.sql",
            "{% materialization snapshot, adapter='slipway' %}"
            "{{ return(dbt.materialization_snapshot_slipway()) }}{% endmaterialization %}",
        ),
        {"history"},
    ),
    "seed": (edit("seeds/reference/meters.csv", "m1", "m7"), {"meters"}),
    "types-of-a-seed": (
        add(
            "seeds/reference/_seeds.yml", "seeds: [{name: meters, config: {column_types: {meter: varchar}}}]"
        ),
        {"meters"},
    ),
    "python-comment": (edit("python_models/curated/snake.py", "    return", "    # why\n    return"), set()),
    "python-code": (edit("python_models/curated/snake.py", "select 1", "select 2"), {"snake"}),
    "threads-of-the-target": (edit("profiles.yml", "dev, threads: 4", "dev, threads: 3"), {"with_threads"}),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reaches_exactly_what_depends_on_it(keyed: tuple[Keyed, dict[str, str]], name: str) -> None:
    project, before = keyed
    change, expected = CHANGES[name]
    with project.restored():
        change(project)
        after = project.keys()
    assert {node for node, key in after.items() if before[node] != key} == expected


@pytest.mark.parametrize("changes", [False, True], ids=["of-words", "of-results"])
def test_all_changes_at_once(keyed: tuple[Keyed, dict[str, str]], *, changes: bool) -> None:
    project, before = keyed
    expected: set[str] = set()
    with project.restored():
        for name, (change, reached) in CHANGES.items():
            if bool(reached) is changes and name != "description-that-is-written":
                change(project)
                expected |= reached
        after = project.keys()
    assert {node for node, key in after.items() if before[node] != key} == expected


def test_a_model_that_reads_the_graph_depends_on_the_configuration_of_all(
    keyed: tuple[Keyed, dict[str, str]],
) -> None:
    project, _ = keyed
    with project.restored():
        project.write(f"{CURATED}with_graph.sql", "select {{ graph.nodes | length }} as n\n")
        before = project.keys()
        project.edit(f"{CURATED}_keys.yml", "owner: one", "owner: two")
        after = project.keys()
    assert {node for node, key in after.items() if before[node] != key} == {"with_meta", "with_graph"}


def test_versions_of_spark_count_only_for_its_models(
    keyed: tuple[Keyed, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = keyed
    with project.restored():
        project.edit(
            f"{CURATED}_keys.yml", "description: said\n", "description: said\n    config: {engine: spark}\n"
        )
        before, definitions = project.keys(), project.keys(definitions=True)
        monkeypatch.setattr("slipway.dbt.keys.node_key.spark", lambda: ["pyspark 9"])
        after = project.keys()
        assert {node for node, key in after.items() if before[node] != key} == {"plain"}
        assert project.keys(definitions=True) == definitions


@pytest.mark.long
def test_environment_and_settings_of_the_profile(
    keyed: tuple[Keyed, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, before = keyed
    with project.restored(), monkeypatch.context() as patch:
        patch.setenv("METER_ZONE", "y")
        after = project.keys()
    assert {node for node, key in after.items() if before[node] != key} == {
        "with_environment",
        "by_call",
        "by_environment",
    }
    with project.restored():
        project.edit("profiles.yml", "database: dev,", "database: dev, settings: {TimeZone: UTC},")
        after = project.keys()
    assert not set(before.items()) & set(after.items())


def test_what_reaches_a_definition(keyed: tuple[Keyed, dict[str, str]]) -> None:
    """Code, variables and what shapes a row; not how it is stored and found, checks, versions, or business time."""
    project, _ = keyed
    before = project.keys(definitions=True)
    with project.restored():
        project.edit(
            "models/curated/later.sql",
            "materialized='incremental'",
            "materialized='incremental', sorted_by=['n']",
        )
        project.edit(
            "models/curated/plain.sql",
            "select 1",
            "{{ config(contract={'enforced': true}, tags=['x']) }} select 1",
        )
        project.edit(
            "models/curated/_keys.yml",
            "[{name: n, description",
            "[{name: t, data_type: varchar}, {name: n, data_type: integer, description",
        )
        project.variables["as_of"] = "2024-05-01"
        assert project.keys(definitions=True) == before
    with project.restored():
        project.edit("models/curated/later.sql", "select 1", "select 2")
        project.edit("models/curated/inlined.sql", "*", "n + 1 as n")
        project.edit("own_macros/inner.sql", "+ 1", "+ 2")
        project.variables["factor"] = 2
        after = project.keys(definitions=True)
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {
            *("later", "inlined", "inlines", "through_macro", "hooked", "with_var", "any_var", "by_variable"),
        }


@pytest.mark.long
def test_what_queries_may_call_is_in_their_keys(keyed: tuple[Keyed, dict[str, str]]) -> None:
    """dbt functions, with what they call; and what is made when a run starts. In definitions, and so in node keys."""
    project, _ = keyed
    with project.restored():
        project.write("functions/doubled.sql", "{{ inner('x') }} * 2\n")
        project.write("functions/_f.yml", FUNCTION)
        project.write(
            "models/curated/calls.sql", "select {{ function('doubled') }}(n) as n from {{ ref('plain') }}\n"
        )
        project.write(
            "own_macros/made.sql",
            "{% macro made() %}{% do run_query('create macro m(x) as x') %}{% endmacro %}\n",
        )
        project.edit("dbt_project.yml", "flags:", 'on-run-start: ["{{ made() }}"]\nflags:')
        before = project.keys(definitions=True)
        for name, old, new, reached in (
            ("functions/doubled.sql", "* 2", "* 3", {"calls"}),
            ("functions/_f.yml", "integer}]", "bigint}]", {"calls"}),
            ("own_macros/inner.sql", "+ 1", "+ 2", {"calls", "through_macro", "hooked"}),
            (
                "own_macros/made.sql",
                "as x'",
                "as x + 1'",
                {"plain", "later", "calls", "history", "inlines"},
            ),
        ):
            project.edit(name, old, new)
            after = project.keys(definitions=True)
            changed = {one for one in before if before[one] != after[one]}
            assert reached <= changed, name
            assert len(reached) > 3 or changed == reached, name
            before = after


FUNCTION = """\
functions:
  - name: doubled
    arguments: [{name: x, data_type: integer}]
    returns: {data_type: integer}
"""
