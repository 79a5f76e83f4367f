"""What a condition of increments has to do with a query's result, by DuckDB's plan."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pytest

from slipway.dbt.partial_groups import Rows, marked, rows_of

ADDED, CHANGED = "_run_id in ('a', 'b')", "(\"day\" in (date '2024-01-01'))"


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("create table r (day date, x int, k int, _landed_at timestamp, _run_id varchar)")
    made.execute("create table s (k int, n varchar); create table this (k int, day date, total int)")
    return made


def rows_in_plan(connection: duckdb.DuckDBPyConnection, query: str, key: str) -> Rows:
    sql = query.replace("ADDED", ADDED).replace("CHANGED", CHANGED)
    text = marked(sql, {ADDED: "_run_id", CHANGED: '"day"'}).replace("'", "''")
    row = connection.execute(f"select json_serialize_plan('{text}')").fetchone()
    assert row is not None
    plan = json.loads(row[0])
    assert not plan["error"], plan
    return rows_of(plan["plans"][0], ("memory", "main", "this"), [key])


QUERIES = {
    # rows that are not read may belong to a group
    "GROUPS": """
        k: with c as (select k, x, x as _landed_at from r where ADDED) select k,x from c qualify row_number() over (partition by k order by _landed_at desc)=1
        k: with c as (select k, x, day as _landed_at from r where ADDED) select distinct on (k) k, x from c order by k, _landed_at desc
        day: select day,sum(x) from r where ADDED group by day
        k: select k,sum(x) from r where CHANGED group by k
        k: select date_trunc('month',day),sum(x) from r where CHANGED group by 1
        k: select day, k, sum(x) from r where CHANGED group by rollup(day,k)
        k: select k,x from r where not (ADDED)
        k: select k,x from r where ADDED or k=1
        k: select k,sum(x) filter (where ADDED) from r group by k
        k: with c as (select * from r where ADDED), d as (select *, row_number() over (partition by k order by _landed_at desc, x) as n from c) select k,x,n from d where n<3
        k: select k,x from r where ADDED qualify row_number() over (partition by k order by x desc)=1
        k: select k,x from r where ADDED qualify row_number() over (partition by day order by _landed_at desc)=1
        k: select distinct on (k) * from r where ADDED order by k, x desc
        k: select k from r where ADDED limit 3
        k: select s.k, x from s left join (select * from r where ADDED) r using (k)
        k: select s.n, sum(x) from r join s using (k) where ADDED group by n
        k: select a.k, b.x from (from r where ADDED) a join (from r where ADDED) b using (k)
        k: with c as (select k, sum(x) as x from r where ADDED group by k) select c.k, s.n, c.x from s join c using (k)
        k: select k, sum(x) from r where ADDED and day > (select max(day) from this) group by k
        k: select r.k, sum(x) from r join this t on t.day = r.day where ADDED group by r.k
        k: select r.k, sum(x) from (from r where ADDED) r left join this t on t.total = r.x group by r.k
        day: select r.k, sum(x) from (from r where ADDED) r left join this t using (k) group by r.k
        k: select day, sum(x) from (select day, x from r where CHANGED union all select day, x from r) group by day
        k: select k, x, lag(x) over (order by day) from r where CHANGED
        k: select k, (select max(x) from r where ADDED) from s
        k: select k, (select max(x) from r q where q.k=r.k) from r where ADDED
        k: select r.k, q.x from r join r q using (k) where r.ADDED
        k: select k from s except select k from r where ADDED
        k: with recursive t as (select k from r where ADDED union all select k+1 from t where k<3) select * from t
        k: select s.n, count(*) from r asof join s on r.k>=s.k where ADDED group by n
        k: select k, count(distinct x) from r where ADDED group by all having count(*)>1
        k: select median(x) as k from r where ADDED
        k: select k from s where k not in (select k from r where ADDED)
        k: select k, k in (select k from r where ADDED) as is_new from s
        k: select k from s where coalesce(k in (select k from r where ADDED), true)
        k: select k from s where not exists (select 1 from r where r.k = s.k and r.ADDED)
        k: select k from s anti join (from r where ADDED) r using (k)
        k: select day, k, sum(x) from r where ADDED and CHANGED group by day, k
        k: select q.day, s.n from s join r q using (k), r where r.ADDED and q.CHANGED
        k: select r.k, sum(r.x) from r join (select distinct x, k from r where ADDED) c on r.k = c.k group by r.k
        k: select r.k, sum(r.x) from r left join (select distinct k from r where ADDED) c on r.k = c.k group by r.k
        k: select s.k, sum(s.k) from s join (select distinct k from r where ADDED) c on s.k = c.k group by s.k
        k: select s.k, n, r.x from s full join (from r where ADDED) r using (k)
        k: select s.k, x from s left join r on r.k > s.k and (ADDED or s.k = 1)
        k: select k, x from (from r where ADDED) semi join (select k from r where ADDED limit 1) q using (k)
        k: select k, x, row_number() over (order by ADDED) from r
        k: select k, case when ADDED then 1 end from r
        k: select k, x from r where ADDED order by (CHANGED)
        k: select day, k from r where CHANGED group by grouping sets ((day), (k))
        k: select k from r where ADDED group by grouping sets ((k), ())
        k: select distinct on (k) * from r where CHANGED order by k, x
        k: select distinct on (k) * from r where ADDED order by k, _landed_at
        k: select distinct on (k) * from r where ADDED
        k: select k, x from r where ADDED qualify row_number() over (partition by k order by _landed_at) = 1
        k: select k, x from r where ADDED qualify row_number() over (partition by k order by _landed_at desc) = 2
        k: select k, x from r where ADDED qualify row_number() over (partition by k order by _landed_at desc) <= 1
        k: select k, x from r where ADDED qualify rank() over (partition by k order by _landed_at desc) = 1
        k: select k, x from r where ADDED qualify row_number() over (partition by k) = 1
        k: select k, row_number() over (partition by k order by _landed_at desc) as n, sum(x) over () from r where ADDED qualify n = 1
        k: select k, max(x) from (select k, x from r where ADDED qualify row_number() over (partition by k order by _landed_at desc) = 1) group by k
        k: select k, x from (select k, x from r where ADDED qualify row_number() over (partition by k order by _landed_at desc) = 1) union all select k, k from s
        k: select k, n from (select k, count(*) as n from r where ADDED group by k union all select k, 1 from s)
        k: select r.k, sum(t.total) from (from r where ADDED) r left join this t on t.k >= r.k group by r.k
        k: select k, x from r where ADDED intersect select k, k from s
        k: with m as materialized (select k, x from r where ADDED) select a.k, b.x from m a join m b using (k)
        k: select r.k, (select sum(q.x) from r q where q.k = r.k and q.ADDED) from s r
        k: select k, sum(x) from (from r where ADDED) a semi join (from r where ADDED) b using (k) group by k
        k: select k, count(*) from (from r where k in (select k from r where ADDED)) a full join (from s where k in (select k from r where ADDED)) b using (k) group by k
        k: (select k from r where ADDED limit 3) union all select k from r where ADDED
        k: select k from r where ADDED or k = 1 union all select k from r where ADDED
        k: select k from r where ADDED union all select s.k from s left join r on r.k > s.k and (ADDED or s.k = 1)
        k: select distinct on (x) * from r where ADDED order by x, _landed_at desc
        k: select k from r where ADDED union all (select distinct on (ADDED) k from r)
        k: select k from r where ADDED union all (select k from r order by ADDED, k)
        k: select distinct on (x) * from r where ADDED order by _landed_at desc
        k: select day, sum(x) from (select day, x from r where CHANGED qualify row_number() over (partition by k order by _landed_at desc) = 1) group by day
        k: select k, sum(x) over (partition by day) from (select k, day, x from r where CHANGED qualify row_number() over (partition by k order by _landed_at desc) = 1)
        k: select k, count(*) from (select distinct k from r where ADDED) a join (select distinct k from r where ADDED) b using (k) group by k
    """,
    # each row of the result comes of rows that are read
    "ROWS": """
        day: select day,sum(x) from r where CHANGED group by day
        d: select day as d,sum(x) from (select day, x from r where CHANGED and k>1) group by d
        k: select k,x from r where ADDED
        k: select r.k,x from r where r.ADDED
        k: select k,x from r where CHANGED qualify row_number() over (partition by day order by x desc)=1
        k: select distinct k, x from r where ADDED
        k: select r.k, n from r join s using (k) where ADDED
        k: select r.k, s.n from r left join s using (k) where ADDED
        k: select s.n, day, sum(x) from s join r using (k) where CHANGED group by n, day
        k: select k, x from r where ADDED and not exists (select 1 from s where s.k=r.k)
        k: select day, sum(x) from (select day, x from r where CHANGED union all select day, k from r where CHANGED) group by day
        k: select k, x, sum(x) over (partition by day) from r where CHANGED
        k: select k, unnest([1,2]) from r where ADDED order by k
        k: select distinct on (day) * from r where CHANGED order by day, x
        k: select k, x from (from r where ADDED) r anti join s using (k)
        k: select k, x from (from r where ADDED) r semi join s using (k)
        k: select r.k, x from s right join (from r where ADDED) r using (k)
        k: select r.k, x from r cross join s where ADDED
        k: select r.k, x, s.n from r join s on r.k > s.k where ADDED
        k: select r.k, s.n from r asof join s on r.k >= s.k where ADDED
        k: select r.k, (select sum(s.k) from s where s.k = r.k) from r where ADDED
        k: select s.n, r.day, sum(x) from r left join s using (k) where CHANGED group by all
        day: select day, sum(x) from r where CHANGED and k not in (select k from s) group by day
        day: with c as (from r where CHANGED) select day, sum(x) from c where CHANGED group by day
        k: select k, x from r where ADDED union all select k, k from s
    """,
    # the latest row of a key takes the place of the one before
    "LATEST": """
        k: with c as (select * from r where ADDED) select k,x from c qualify row_number() over (partition by k order by _landed_at desc, x)=1
        k: with c as (select * from r where ADDED), d as (select *, row_number() over (partition by k order by _landed_at desc, x) as n from c) select k,x from d where n=1
        k: select distinct on (k) * from r where ADDED order by k, _landed_at desc
    """,
    # the condition only chooses what is read
    "CHOSEN": """
        k: with c as (select distinct k from r where ADDED) select r.k, sum(x) from r where k in (select k from c) group by k
        k: with c as (select distinct k from r where ADDED) select r.k, sum(x) from r join c using (k) group by r.k
        k: with c as (select k, sum(x) as x from r where ADDED group by k) select c.k, c.x + coalesce(t.total,0) from c left join this t using (k)
        k: select r.k, x from r left join this on this.k=r.k where ADDED and this.k is null qualify row_number() over (partition by r.k order by x)=1
        k: with c as (select k, day from r where CHANGED), d as (select day from c union distinct select day from this where k in (select k from c)) select k, sum(x) from r where day in (select day from d) and k in (select k from c) group by k
        k: select k from s where k in (select k from r where ADDED) or n = 'x'
        k: select k from s where exists (select 1 from r where r.k = s.k and r.ADDED)
        k: select k from s semi join (from r where ADDED) r using (k)
        k: select r.k, sum(x) from (from r where ADDED) r left join this t on t.k is not distinct from r.k group by r.k
        k: select k, sum(x) from (from r where k in (select k from r where ADDED)) a join (select distinct k from r where ADDED) b using (k) group by k
    """,
}
"""The kind of a query to queries of it, each behind the key that its model has."""


def cases() -> Iterator[tuple[str, str, str]]:
    for kind, queries in QUERIES.items():
        for line in queries.strip().splitlines():
            key, _, query = line.strip().partition(": ")
            yield kind, key, query


@pytest.mark.parametrize(("kind", "key", "query"), list(cases()))
def test_what_the_condition_of_a_query_does(
    connection: duckdb.DuckDBPyConnection, kind: str, key: str, query: str
) -> None:
    found = rows_in_plan(connection, query, key)
    assert found.kind.name == kind
    assert bool(found.why) == (kind == "GROUPS")
