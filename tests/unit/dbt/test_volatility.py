"""Which queries depend on more than their text and the tables that they read."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from slipway.dbt.keys.python_code import python_volatile
from slipway.dbt.volatility import Volatility
from slipway.engines.duckdb.scan import Views
from slipway.names import TableName

W = '"dev"."curated"."w"'


@pytest.fixture(scope="module")
def looked_at() -> Iterator[Volatility]:
    """A run's database with a pinned table, views of the project, and what else somebody may have made in it."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as dev")
    views = Views(connection)
    row = "1 as a, 'x' as b, date '2024-05-01' as d, {'k': 1} as s, [1.5::decimal(9, 3)] as l, now() as t"
    views.select("dev", TableName("curated", "w"), f"select {row}", "1")
    for statement in (
        f'create view dev.curated.plain as (select a, "b" from {W})',
        f'create view dev.curated."aged AS v"(q) as (select now() as q from {W})',
        'create view dev.curated.above as (select * from dev.curated."aged AS v")',
        "create view dev.curated.chance as (select * from dev.curated.above where random() > 2)",
        "create table dev.curated.loose(a int)",
        "create macro mine(x) as x + 1",
        "create macro dev.curated.f(x) as x",
        "create macro abs(x) as 7",
        "create type mood as enum ('x')",
        "create sequence numbers",
        "set variable v = 3",
    ):
        connection.execute(statement)
    connection.create_function("by_python", lambda x: x, ["int"], "int")
    yield Volatility(views)
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        f"select a, b, d, s.k, l, t from {W}",
        f"with w as (from {W}) select b, sum(a) over (order by b) from w qualify row_number() over (order by a) = 1",
        f"select a from {W} where a = (select max(a) from {W}) and exists (select 1 from dev.curated.plain)",
        f"select user, {W}.d from (select 'x' as user from {W}), {W}",
        f"select strftime(t, '%Y'), date_trunc('day', t), age(t, t), hash(a), 'now()' from {W} -- now()",
        f"select * from {W} using sample reservoir(3 rows) repeatable (4)",
        f"select unnest(l), x from {W}, range(3) r(x), generate_series(1, 2)",
        f"pivot {W} on b in ('x', 'y') using sum(a)",
        f"summarize {W}",
        "with recursive r as (select 1 as a union all select a + 1 from r where a < 3) select * from r",
        "select json_extract(to_json({'a': 1}), '$.a'), list_transform([1, 2], x -> x + 1)",
        "from dev.curated.plain",
        "select 1;",
    ],
)
def test_a_query_of_its_tables(looked_at: Volatility, sql: str) -> None:
    assert looked_at.why(sql) == ""


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (f"select * from {W} where d > current_date - 3", "calls current_date"),
        (f"select count(*) from {W} having max(t) > now() - interval 1 hour", "calls now"),
        ("select current_timestamp", "calls get_current_timestamp"),
        ("select localtimestamp, localtime", "calls current_localtime"),
        ("select transaction_timestamp(), today()", "calls to"),
        ("select age(timestamp '2024-01-01')", "calls age"),
        (f"select b from {W} order by random()", "calls random"),
        ("select [uuid() for x in [1]]", "calls uuid"),
        (f"select * from (values (gen_random_uuid())) v, {W}", "calls gen_random_uuid"),
        (f"select * from {W} using sample 3", "sample"),
        (f"select * from (from {W}) tablesample 10%", "sample"),
        (f"select reservoir_quantile(a, 0.5) from {W}", "reservoir_quantile"),
        ("select current_setting('TimeZone')", "calls current_setting"),
        ("select getvariable('v')", "calls getvariable"),
        ("select current_schema()", "calls current_schema"),
        ("select txid_current()", "calls txid_current"),
        ("select * from information_schema.tables", "calls duckdb_tables"),
        ("select * from duckdb_settings()", "calls duckdb_settings"),
        ("show tables", "calls duckdb_tables"),
        (
            "select * from 'x.csv'",
            "it needs more than tables, such as a file or a variable; read that from a table instead",
        ),
        ("select * from read_csv('/etc/hostname')", "file"),
        ("select content from read_text('/etc/*')", "file"),
        ("select * from glob('*')", "file"),
        (f"select mine(a) from {W}", "calls mine"),
        (f"select abs(a) from {W}", "calls abs"),  # takes the place of DuckDB's own
        (f"select dev.curated.f(a) from {W}", "calls f"),
        (f"select by_python(a) from {W}", "by_python"),
        (f"select b::mood from {W}", "mood"),
        ("select nextval('numbers')", "numbers"),
        ("select * from dev.curated.loose", "loose"),
        ("select * from looked_at", "looked_at"),  # a variable of Python
        ('select * from dev.curated."aged AS v"', "calls now"),
        ("select * from dev.curated.above", "calls now"),
        ("select * from dev.curated.chance", "calls now, random"),
        ("select * from query('select 1')", "calls query"),
        (f"select * from query_table('{W}')", "calls query_table"),
        (f"pivot {W} on b using sum(a)", "cannot analyze it"),
        ("install x", "cannot analyze it"),
        ("select from where", "cannot analyze it"),
    ],
)
def test_a_query_of_more(looked_at: Volatility, sql: str, why: str) -> None:
    assert why in looked_at.why(sql)


def test_what_a_hook_made_is_asked_for_again() -> None:
    connection = duckdb.connect()
    views = Views(connection)
    looked_at = Volatility(views)
    assert looked_at.why("select lower('A')") == ""
    connection.execute("create macro lower(x) as now()::varchar")
    looked_at.forget()
    assert looked_at.why("select lower('A')") == "it calls lower, which is no function of DuckDB's own"


def test_a_table_that_was_built_again_has_its_columns_of_now() -> None:
    views = Views(duckdb.connect())
    looked_at = Volatility(views)
    views.select("memory", TableName("main", "w"), "select 1 as a", "1")
    assert looked_at.why("select a from memory.main.w") == ""
    views.select("memory", TableName("main", "w"), "select 1 as b", "2")
    assert looked_at.why("select b from memory.main.w") == ""
    assert 'column "a" not found' in looked_at.why("select a from memory.main.w")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def model(dbt, session):\n    return dbt.ref('x').df().sort_values('time')\n", ""),
        ("import numpy as np\nrng = np.random.default_rng(7)\nx = rng.random()\n", ""),
        ("from datetime import datetime\nx = datetime.strptime('2024', '%Y').time(1)\n", ""),
        ("from datetime import datetime as d\nx = d.now()\n", "now()"),
        ("import time as t\nx = t.time()\n", "time()"),
        ("import pandas as pd\nx = pd.read_csv('x.csv')\n", "read_csv()"),
        ("import numpy as np\nx = np.random.rand(3)\n", "numpy.random.rand"),
        ("import numpy as np\nrng = np.random.default_rng()\n", "default_rng()"),
        ("from random import choice\n", "random"),
        ("def f():\n    with open('x') as y:\n        return y\n", "open()"),
        ("import requests\n", "requests"),
    ],
)
def test_a_python_model(code: str, why: str) -> None:
    assert python_volatile(code) == (f"it uses {why}" if why else "")
