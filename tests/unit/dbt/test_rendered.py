"""Jinja code whose rendered text differs between two runs with the same key."""

from __future__ import annotations

import pytest

from slipway.dbt.volatility import changing_names


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("select '{{ run_started_at }}' as t", ["run_started_at"]),
        ("select '{{ run_started_at.strftime(\"%Y\") }}' as t", ["run_started_at"]),
        ("{% set d = modules.datetime %}select '{{ d.date.today() }}'", ["today"]),
        ("select '{{ modules.datetime.datetime.utcnow() }}'", ["utcnow"]),
        ("select '{{ invocation_id }}'", ["invocation_id"]),
        ("select '{{ thread_id }}{{ dbt_metadata_envs }}'", ["dbt_metadata_envs", "thread_id"]),
        (
            "{% if invocation_args_dict.threads > 1 or flags.FULL_REFRESH %}1{% endif %}",
            ["flags", "invocation_args_dict"],
        ),
        (
            "{{ selected_resources | length }} {{ [1, 2] | random }} {{ lipsum() }}",
            ["lipsum", "random", "selected_resources"],
        ),
        ("{{ modules['datetime']['datetime']['now']() }}", ["modules", "now"]),
        ("{{ (modules.datetime.datetime | attr('now'))() }}", ["now"]),
        ("{% set m = modules %}{{ m[x].datetime[y]() }}", ["modules"]),
        ("{% if flags.WHICH == 'build' %}{{ f(flags=1) }}{{ model.thread_id }}{% endif %}", []),
        ("{{ modules.datetime.timedelta(days=1) }} {{ 'now' }}", []),
        ("{{ x.random }} {{ random }}", []),
        # DuckDB sees these itself, in the compiled SQL
        ("select now(), 'run_started_at' from {{ ref('a') }}", []),
        ("{# run_started_at #} select 1 -- statement", []),
        ("{% if execute %}{{ modules.re.sub('a', 'b', 'now') }}{% endif %}", []),
        ("{% set r = run_query('select 1') %}", []),
        ("{% call statement('s', fetch_result=true) %}select 1{% endcall %}{{ load_result('s') }}", []),
        ("{% set r = adapter.execute('select 1', fetch=true) %}", []),
        ("{{ config(materialized='table') }} select {{ var('now') }}", []),
    ],
)
def test_what_jinja_looks_at(code: str, names: list[str]) -> None:
    assert changing_names([code]) == names
