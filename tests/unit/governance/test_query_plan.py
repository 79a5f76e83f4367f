"""Column lineage of a query: what is changed in one column of a table is seen only in columns that depend on it.

The truth is asked of DuckDB: one column of the input gets other values, and what comes out is compared. A column of the result that changes although its
lineage does not have the input column is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import some

from slipway.governance.query_plan import QueryColumns, UnknownPlanError, columns_of

TABLES = {
    "orders": {
        "id": "bigint",
        "mail": "varchar",
        "paid": "decimal(18, 2)",
        "made": "timestamp",
        "person": "bigint",
        "place": "struct(street varchar, zip varchar)",
        "tags": "varchar[]",
    },
    "people": {"person": "bigint", "mail": "varchar", "phone": "varchar", "country": "varchar"},
    "prices": {"symbol": "bigint", "made": "timestamp", "price": "double"},
}
ROWS = {
    "orders": """(1, 'a@x', 1.5, timestamp '2024-01-01', 1, {'street': 's1', 'zip': 'z1'}, ['t1', 't2']),
        (2, 'b@x', 2.5, timestamp '2024-01-02', 2, {'street': 's2', 'zip': 'z2'}, ['t3']),
        (3, 'c@x', 3.5, timestamp '2024-01-03', 1, {'street': 's3', 'zip': 'z3'}, ['t4'])""",
    "people": "(1, 'a@x', 'p1', 'DE'), (2, 'b@x', 'p2', 'FR'), (3, 'd@x', null, 'DE')",
    "prices": "(1, timestamp '2023-12-31', 9.5), (2, timestamp '2023-12-31', 8.5)",
}
OTHERWISE = {
    "bigint": ["{0} + 1000", "case when {0} = 1 then 2 else 1 end", "null"],
    "varchar": ["'zz' || coalesce({0}, 'n')", "'FR'", "null"],
    "decimal(18, 2)": ["{0} + 7", "-{0}", "null"],
    "timestamp": [
        "{0} + interval 400 day",
        "timestamp '2024-01-05' - ({0} - timestamp '2024-01-01')",
        "null",
    ],
    "double": ["{0} * 3 + 1", "null"],
    "struct(street varchar, zip varchar)": ["{{'street': 'q', 'zip': 'q' || {0}.zip}}", "null"],
    "varchar[]": ["list_transform({0}, x -> 'q' || x)", "[]", "null"],
}
"""What else a column may hold."""
QUERIES = {
    "star of a table expression": "with s as (select * from raw.orders), x as (select id, lower(mail) e from s where paid >= 2) select * from x",
    "exclude": "select * exclude (phone, mail) from raw.people",
    "replace": "select * exclude (place, tags, made) replace (md5(mail) as mail) from raw.orders",
    "replace by another": "select * replace (phone as mail) from raw.people",
    "columns by pattern": "select columns('^(mail|phone)$') from raw.people",
    "from first": "from raw.people select mail, phone",
    "using": "select person, o.mail, c.phone from raw.orders o join raw.people c using (person)",
    "full join": "select coalesce(o.person, c.person) p, o.paid from raw.orders o full join raw.people c on o.person = c.person",
    "group by all": "select country, count(*) n, max(mail) m from raw.people group by all",
    "grouping sets": "select country, mail, count(*) n, grouping(country) g from raw.people group by rollup (country, mail)",
    "having": "select country, count(*) n from raw.people group by country having max(phone) > 'p1'",
    "qualify": "select mail from raw.orders qualify row_number() over (partition by person order by made) = 1",
    "window": "select id, lag(mail) over (partition by person order by made) prev from raw.orders",
    "window frame": "select id, sum(paid) over (order by made, id rows between 1 preceding and current row) t from raw.orders",
    "struct": "select place.zip z, {'e': mail} s from raw.orders",
    "unnest": "select id, unnest(tags) t from raw.orders",
    "lambda": "select list_transform(tags, x -> x || mail) l from raw.orders",
    "list comprehension": "select [x || mail for x in tags if x <> mail] l from raw.orders",
    "union": "select mail v, id w from raw.orders union all select phone, person from raw.people",
    "union of distinct rows": "select person a, mail b from raw.orders union select person, phone from raw.people",
    "union by name": "select mail, person from raw.orders union all by name select person, mail from raw.people",
    "union by name with a column of one side": "select mail, id from raw.orders union all by name select mail, phone from raw.people",
    "except": "select person, mail from raw.orders except select person, mail from raw.people",
    "intersect": "select person, mail from raw.orders intersect all select person, mail from raw.people",
    "scalar subquery": "select id, (select max(phone) from raw.people c where c.person = o.person) ph from raw.orders o",
    "scalar subquery that is filtered": "select id, (select max(phone) from raw.people where country = 'DE') ph from raw.orders",
    "recursive": "with recursive r as (select person, mail from raw.people union all select person + 1, mail from r where person < 5) select * from r",
    "alias of the same select": "select mail as e, upper(e) as u from raw.people",
    "asof join": "select o.id, p.price from raw.orders o asof join raw.prices p on o.person = p.symbol and o.made >= p.made",
    "pivot": "select * from (pivot (select country, person from raw.people) on country in ('DE', 'FR') using count(person))",
    "unpivot": "select k, v from (select mail, phone from raw.people) unpivot (v for k in (mail, phone))",
    "value of the row with the largest": "select person, arg_max(mail, made) e from raw.orders group by 1",
    "filtered aggregate": "select count(*) filter (where mail > 'b') n, sum(person) s from raw.people",
    "ordered aggregate": "select country, string_agg(mail, ',' order by phone desc nulls last) a from raw.people group by 1",
    "case": "select case when phone is null then 'x' else mail end k from raw.people",
    "whole row": "select c as whole from raw.people c",
    "whole row as JSON": "select to_json(c) j from raw.people c",
    "count in a subquery": "select (select count(*) from raw.people) n",
    "exists": "select id, exists (select 1 from raw.people c where c.mail = o.mail) b from raw.orders o",
    "not in": "select id from raw.orders where person not in (select person from raw.people where phone = 'p1')",
    "in as a value": "select id, mail in (select mail from raw.people where country = 'DE') b from raw.orders",
    "semi join": "select o.mail from raw.orders o semi join raw.people c on o.person = c.person and c.country = 'DE'",
    "anti join": "select o.mail from raw.orders o anti join raw.people c on o.person = c.person",
    "any join": "select o.id, c.phone from raw.orders o left join raw.people c on o.person < c.person or c.country = 'FR'",
    "values": "with v(a) as (values (1), (2)) select a, mail from v, raw.people",
    "a table expression with a name of a table": "with people as (select phone as mail from raw.people) select mail from people",
    "materialized": "with m as materialized (select mail, phone from raw.people) select a.mail, b.phone from m a join m b on a.mail = b.mail",
    "distinct": "select distinct country from raw.people",
    "distinct on": "select distinct on (country) country, phone from raw.people order by country, mail desc",
    "top rows": "select mail from raw.orders order by made desc, id limit 1",
    "lateral": "select o.id, t.m from raw.orders o, lateral (select max(c.mail) m from raw.people c where c.person = o.person) t",
    "correlated count": "select id, (select count(*) from raw.people c where c.person <= o.id) n from raw.orders o",
    "positional join": "select o.id, c.phone from raw.orders o positional join raw.people c",
    "fields of a struct": "select s.m, s['I'] as i, struct_extract(s, 'n').p as p from (select {'m': mail, 'i': id, 'n': {'p': person}} as s from raw.orders)",
    "field of a struct or of another": "select s.a, s.b from (select {'a': mail, 'b': id} as s from raw.orders union all select {'a': phone, 'b': person} from raw.people)",
    "fields of structs in another order": "select s.a, s.b from (select {'a': mail, 'b': phone} as s from raw.people union all select {'b': phone, 'a': country} from raw.people)",
    "field of a struct that is chosen": "select (case when id > 1 then s else {'a': 'n', 'b': tags} end).a as a from (select id, tags, {'a': mail, 'b': tags} as s from raw.orders)",
    "field of the struct of a row": "select arg_max(s, made).a as a from (select made, {'a': mail, 'b': paid} as s from raw.orders)",
    "field of a struct that is cast": "select (s::struct(a varchar, b varchar)).b as b from (select {'b': mail, 'a': id} as s from raw.orders)",
    "fields of a struct that is unnested": "select unnest(s) from (select {'a': mail, 'b': paid} as s from raw.orders)",
    "a struct that is compared": "select id, s = {'a': 'a@x', 'b': 1} as same from (select id, {'a': mail, 'b': person} as s from raw.orders) where s.b > 0",
    "an element of a list of structs": "select (list_filter([{'a': mail, 'b': id}], x -> x.b > 1))[1].a as a from raw.orders",
    "field of a struct with more fields": "select struct_insert(s, c := phone).a as a from (select {'a': mail} as s, phone from raw.people)",
    "summed range": "select o.id, r from raw.orders o, range(2) t(r)",
}
UNKNOWN = {
    "a file": "select * from read_csv('a.csv', columns = {'a': 'int'})",
    "a table that is not there": "select * from raw.nothing",
    "a function that is not there": "select somehow(mail) from raw.people",
    "rows that are never there": "select mail from raw.people where false and 1 = 0 limit 0",
}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("create schema raw")
        for table, columns in TABLES.items():
            con.execute(
                f"create table raw.{table} ({', '.join(f'{n} {kind}' for n, kind in columns.items())})"
            )
        yield con


def fill(con: duckdb.DuckDBPyConnection, rows: dict[str, str]) -> None:
    for table, values in rows.items():
        con.execute(f"delete from raw.{table}")
        if values:
            con.execute(f"insert into raw.{table} values {values}")


def result(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, list[str]]:
    """Columns of a result, each with its values in order."""
    found = con.execute(sql)
    rows = found.fetchall()
    return {one[0]: sorted(repr(row[at]) for row in rows) for at, one in enumerate(found.description)}


def escaped(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    lineage: QueryColumns,
    tables: Mapping[str, Mapping[str, str]] = TABLES,
) -> list[str]:
    """What changes although its lineage does not have the column that was changed, of these tables and columns."""
    before, wrong = result(con, sql), []
    for table, columns in tables.items():
        for column, kind in columns.items():
            for other in OTHERWISE[kind][: len(OTHERWISE[kind]) if tables is TABLES else 1]:
                con.execute("begin")
                con.execute(f"update raw.{table} set {column} = {other.format(column)}")
                try:
                    after = result(con, sql)
                except duckdb.Error:
                    after = before  # it is an error for these values
                con.execute("rollback")
                source = ("raw", table, column)
                wrong += [
                    f"{name} changes with {table}.{column}"
                    for name in before
                    if after[name] != before[name] and source not in lineage.columns[name] | lineage.rows
                ]
    return wrong


@pytest.mark.parametrize("sql", some(3, [pytest.param(sql, id=name) for name, sql in QUERIES.items()]))
def test_only_what_depends_on_a_column_changes_with_it(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    fill(connection, ROWS)
    lineage = columns_of(connection, sql)
    assert list(lineage.columns) == [one[0] for one in connection.execute(sql).description]
    assert escaped(connection, sql, lineage) == []


@pytest.mark.parametrize(
    ("sql", "columns", "rows"),
    [
        (
            "with s as (select * from raw.orders) select id, lower(mail) e from s where paid >= 2",
            {"id": {"orders.id"}, "e": {"orders.mail"}},
            {"orders.paid"},
        ),
        (
            "select mail, person from raw.orders union all by name select person, mail from raw.people",
            {"mail": {"orders.mail", "people.mail"}, "person": {"orders.person", "people.person"}},
            set(),
        ),
        (
            "select c.country, sum(o.paid) paid from raw.orders o join raw.people c using (person) group by 1",
            {"country": {"people.country"}, "paid": {"orders.paid"}},
            {"orders.person", "people.person", "people.country"},
        ),
        (
            "select id, rank() over (partition by person order by made) place from raw.orders",
            {"id": {"orders.id"}, "place": {"orders.person", "orders.made"}},
            set(),
        ),
        (
            "select to_json(c) j from raw.people c",
            {"j": {f"people.{name}" for name in TABLES["people"]}},
            set(),
        ),
        (
            "select upper(s.m) as m, s.n.P as p, s as w from (select {'m': mail, 'n': {'p': person, 'q': id}} as s from raw.orders) where s.n.q > 1",
            {
                "m": {"orders.mail"},
                "p": {"orders.person"},
                "w": {"orders.mail", "orders.person", "orders.id"},
            },
            {"orders.id"},
        ),
        (
            "select s.a from (select {'a': mail, 'b': id} as s from raw.orders union all select {'a': phone, 'b': person} from raw.people)",
            {"a": {"orders.mail", "people.phone"}},
            set(),
        ),
    ],
    ids=["filter", "union by name", "join", "window", "whole row", "field", "field of either"],
)
def test_no_more_than_what_is_read(
    connection: duckdb.DuckDBPyConnection, sql: str, columns: dict[str, set[str]], rows: set[str]
) -> None:
    found = columns_of(connection, sql)
    assert {
        name: {f"{table}.{column}" for _, table, column in made} for name, made in found.columns.items()
    } == columns
    assert {f"{table}.{column}" for _, table, column in found.rows} == rows


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in UNKNOWN.items()])
def test_nothing_is_guessed(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        found = columns_of(connection, sql)
    except UnknownPlanError:
        return
    assert escaped(connection, sql, found) == []


USED = {
    "orders": {"id": "bigint", "person": "bigint", "paid": "decimal(18, 2)"},
    "people": {"person": "bigint", "mail": "varchar"},
}
"""Columns that random queries read, by whose values they differ."""


@st.composite
def expressions(draw: st.DrawFn, names: tuple[str, ...], depth: int = 2) -> str:
    """A number that is computed of some columns."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(names))
    one, other = draw(expressions(names, depth - 1)), draw(expressions(names, depth - 1))
    form = draw(
        st.sampled_from(
            [
                "({0} + {1})",
                "coalesce({0}, {1})",
                "case when {0} > {1} then {0} else 3 end",
                "greatest({0}, 2)",
                "(select count(*) from raw.people q where q.person <= {0})",
                "(select max(q.id) from raw.orders q where q.person = {1})",
            ]
        )
    )
    return form.format(one, other)


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> str:
    """A query with the columns a, b and c, which are numbers."""
    if depth == 0:
        return draw(
            st.sampled_from(
                [
                    "select id as a, person as b, cast(paid as bigint) as c from raw.orders",
                    "select person as a, length(mail) as b, length(country) as c from raw.people",
                ]
            )
        )
    one = draw(selects(depth - 1))
    kind = draw(
        st.sampled_from(
            ["project", "struct", "filter", "join", "group", "window", "union", "distinct", "semi"]
        )
    )
    names = ("t.a", "t.b", "t.c")
    listed = ", ".join(f"{draw(expressions(names))} as {name}" for name in "abc")
    match kind:
        case "project":
            return f"select {listed} from ({one}) t"
        case "struct":
            packed = ", ".join(f"'{name}': {draw(expressions(names))}" for name in "abc")
            fields = draw(st.permutations("abc"))
            return f"select {', '.join(f's.{one} as {name}' for one, name in zip(fields, 'abc', strict=True))} from (select {{{packed}}} as s from ({one}) t)"
        case "filter":
            return (
                f"select {listed} from ({one}) t where {draw(expressions(names))} > {draw(st.integers(0, 4))}"
            )
        case "group":
            how = draw(st.sampled_from(["sum(t.c)", "count(*) filter (where t.c > 2)", "max(t.a + t.c)"]))
            return f"select t.a as a, {how} as b, count(distinct t.b) as c from ({one}) t group by t.a"
        case "window":
            return f"select t.a, sum(t.b) over (partition by t.a) as b, rank() over (order by t.c) as c from ({one}) t"
        case "distinct":
            return f"select distinct {listed} from ({one}) t"
    other = draw(selects(depth - 1))
    match kind:
        case "join":
            side = draw(st.sampled_from(["join", "left join", "full join"]))
            return f"select t.a as a, u.b as b, t.c + u.c as c from ({one}) t {side} ({other}) u on t.a = u.b"
        case "union":
            how = draw(st.sampled_from(["union all", "union", "except", "intersect"]))
            return f"({one}) {how} ({other})"
    word = draw(st.sampled_from(["in", "not in"]))
    return f"select {listed} from ({one}) t where t.b {word} (select u.a from ({other}) u where u.c > 1)"


@given(sql=selects(), data=st.data())
def test_random_queries(connection: duckdb.DuckDBPyConnection, sql: str, data: Any) -> None:  # noqa: ANN401
    fill(connection, ROWS)
    more = data.draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=4))
    if more:
        values = ", ".join(f"({i}, 'm{p}', {i}.5, timestamp '2024-01-01', {p}, null, null)" for i, p in more)
        connection.execute(f"insert into raw.orders values {values}")
    assert escaped(connection, sql, columns_of(connection, sql), USED) == []


@pytest.mark.parametrize(
    ("sql", "passed"),
    [
        ("select mail as a, upper(mail) as b, {'m': mail} as c from raw.orders", "a b c"),
        ("select max(mail) as a, string_agg(mail, ',') as b, sum(length(mail)) as c from raw.orders", "a b c"),
        ("select count(mail) as a, count(distinct mail) as b, approx_count_distinct(mail) as c from raw.orders", ""),
        ("select count_if(mail is not null) as a, count(*) filter (where mail > 'b') as b from raw.orders", ""),
        ("select mail is null as a, mail is not null as b, mail || '' is null as c from raw.orders", ""),
        ("select row_number() over (partition by mail order by mail) as a, lag(mail) over (order by id) as b from raw.orders", "b"),
        ("select sum(id) over (partition by mail) as a, count(mail) over () as b, first_value(mail) over () as c from raw.orders", "c"),
        ("select case when mail > 'b' then 1 end as a, mail = 'x' as b, coalesce(mail, '') as c from raw.orders", "a b c"),
        ("with s as (select mail as m from raw.orders) select m as a, (select count(mail) from raw.people) as b, (select max(m) from s) as c from s", "a c"),
        ("select mail as a, count(*) as b from raw.orders group by mail union all select phone, person from raw.people", "a"),
    ],
)  # fmt: skip
def test_what_only_counts_does_not_pass_values_on(
    connection: duckdb.DuckDBPyConnection, sql: str, passed: str
) -> None:
    """By hand: the columns of the result in which values of ``mail`` can be read."""
    found = columns_of(connection, sql)
    made = {
        name
        for name, sources in found.columns.items()
        if any(column == "mail" for *_, column in sources - found.only_counted.get(name, frozenset()))
    }
    assert made == set(passed.split())
    assert all(only <= found.columns[name] for name, only in found.only_counted.items())
