"""A sample is the rows whose key is in a share: the same rows in every table, on every side and every time, so that joins by the key lose nothing."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from importlib import resources
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.macros import macros_below

from slipway.environments.sample_shares import requested_sample, share_of
from slipway.errors import UsageError

MACROS = resources.files("slipway") / "dbt" / "package" / "macros" / "slices"
SHARES = st.decimals(Decimal("0.000001"), Decimal("99.999999"), places=6).map(share_of)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duckdb.connect()
    yield opened
    opened.close()


_now: dict[str, Any] = {}  # the variables and the configuration that the macros see
_macros = macros_below(
    [MACROS],
    var=lambda name, default=None: _now.get(name, default),
    config=SimpleNamespace(get=_now.get),
    model=SimpleNamespace(name="orders", resource_type="model", get=lambda _: None),
    modules=SimpleNamespace(re=re),
)


def predicate(key: str | Sequence[str] | None, share: object, **more: object) -> str:
    """What ``slice_predicate()`` returns in a model with a key, in a run of such a slice."""
    _now.update(slice={"sample": share, **more}, sample_key=key)
    _now["slice_dimensions"] = {"day": {"column": "day", "kind": "range"}}
    return str(_macros["slice_predicate"]())


def is_in(share: str, *texts: str) -> bool:
    """Whether a key is in a share, worked out without SQL."""
    first = int(hashlib.md5("|".join(texts).encode(), usedforsecurity=False).hexdigest()[:8], 16)
    return first < int(Decimal(share.removesuffix("%")) * 2**32 / 100)


FEW = settings(max_examples=40)
KEYS = st.lists(st.one_of(st.none(), st.integers(-50, 50)), max_size=25)


@FEW
@given(left=KEYS, right=KEYS, share=SHARES)
def test_the_join_of_samples_is_the_sample_of_the_join(
    connection: duckdb.DuckDBPyConnection, left: list[int | None], right: list[int | None], share: str
) -> None:
    """Keys of different types that are equal in a join are in the sample, or not, together."""
    connection.execute("create or replace table l (k bigint)")
    connection.execute("create or replace table r (k decimal(9, 2), code varchar)")
    connection.execute("insert into l select unnest(?)", [left])
    connection.execute("insert into r select k, k from (select unnest(?) as k)", [right])
    where = predicate("k", share)
    sampled = f"(from l where {where}) as l", f"(from r where {where}) as r"
    for condition in ("l.k = r.k", "cast(l.k as varchar) = r.code"):
        of_samples = f"select l.k from {sampled[0]} join {sampled[1]} on {condition}"
        of_join = f"select k from (select l.k from l join r on {condition}) where {where}"
        assert rows(connection, of_samples) == rows(connection, of_join)
    of_samples = f"select l.k, r.k from {sampled[0]} left join {sampled[1]} on l.k = r.k"
    of_join = f"select k, other from (select l.k, r.k as other from l left join r on l.k = r.k) where {where}"
    assert rows(connection, of_samples) == rows(connection, of_join)
    found = Counter(row[0] for row in connection.execute(f"select k from l where {where}").fetchall())
    assert found == Counter(key for key in left if key is None or is_in(share, str(key)))


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> Counter[Any]:
    return Counter(connection.execute(query).fetchall())


@FEW
@given(keys=st.lists(st.tuples(st.sampled_from("abc|"), st.sampled_from(["1", "", "1|", "x"]))), share=SHARES)
def test_a_key_of_several_columns(
    connection: duckdb.DuckDBPyConnection, keys: list[tuple[str, str]], share: str
) -> None:
    connection.execute("create or replace table t (depot varchar, code varchar)")
    connection.execute(
        "insert into t select unnest(?), unnest(?)", [[a for a, _ in keys], [b for _, b in keys]]
    )
    connection.execute("insert into t values ('a', null), (null, null)")
    found = rows(connection, f"from t where {predicate(['depot', 'code'], share)}")
    expected = [key for key in keys if is_in(share, *key)]
    assert found == Counter([*expected, ("a", None), (None, None)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5::tinyint", "5"),
        ("5::hugeint", "5"),
        ("5::ubigint", "5"),
        ("5.00::decimal(9, 2)", "5"),
        ("-0.50::decimal(9, 2)", "-0.5"),
        ("0::decimal(9, 2)", "0"),
        ("100::decimal(9, 0)", "100"),
        ("100::decimal(38, 10)", "100"),
        ("' A '", " A "),
        ("date '2024-05-01'", "2024-05-01"),
        ("true", "true"),
        ("'AB3A5E4C-0d6a-4a7e-8f5e-0c6f3f0f2b11'::uuid", "ab3a5e4c-0d6a-4a7e-8f5e-0c6f3f0f2b11"),
    ],
)
def test_the_text_of_a_key(connection: duckdb.DuckDBPyConnection, value: str, text: str) -> None:
    connection.execute(f"create or replace table t as select {value} as k")
    for share in ("10%", "25%", "50%", "75%", "90%"):
        kept = connection.execute(f"select count(*) from t where {predicate('k', share)}").fetchall()
        assert kept == [(int(is_in(share, text)),)]


@pytest.mark.parametrize("value", ["1.5::double", "now()", "time '10:00'", "[1]", "'a'::blob"])
def test_a_key_without_a_text_of_its_own_is_refused(
    connection: duckdb.DuckDBPyConnection, value: str
) -> None:
    connection.execute(f"create or replace table t as select {value} as k")
    with pytest.raises(duckdb.Error, match=r"The sample_key k of orders has no text .* Its type is \w+"):
        connection.execute(f"from t where {predicate('k', '50%')}").fetchall()


def test_a_key_that_the_query_does_not_have_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create or replace table t as select 1 as k")
    with pytest.raises(duckdb.BinderException, match='"customer" not found'):
        connection.execute(f"from t where {predicate('customer', '50%')}")


def test_a_share_is_that_share_of_many_keys_and_part_of_every_larger_one(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    query = "select range from range(20000) where {}"
    smaller, larger = (
        {row[0] for row in connection.execute(query.format(predicate("range", share))).fetchall()}
        for share in ("5%", "7.5%")
    )
    assert 0.045 < len(smaller) / 20_000 < 0.055
    assert smaller < larger


def test_a_model_without_a_key_is_taken_whole_and_other_dimensions_hold() -> None:
    assert predicate(None, "5%") == "true"
    assert predicate([], "5%", **{"from": "2024-05-01"}) == "true and day >= date '2024-05-01'"
    assert predicate("k", "5%", **{"from": "2024-05-01"}).endswith(
        " < '0ccccccc') and day >= date '2024-05-01'"
    )


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ("5%", "5%"),
        (" 5.0 % ", "5%"),
        ("5", "5%"),
        (5, "5%"),
        (0.1, "0.1%"),
        ("99.999999%", "99.999999%"),
        (10, "10%"),
    ],
    ids=repr,
)
def test_shares(given: object, share: str) -> None:
    assert share_of(given) == share
    assert predicate("k", given) == predicate("k", share)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("0%", "it is not between 0 and 100 percent"),
        ("100%", "that is the whole input"),
        ("150%", "it is not between 0 and 100 percent"),
        ("-5%", "it is no number of percent"),
        ("abc", "it is no number of percent"),
        ("", "it is no number of percent"),
        ("5 percent", "it is no number of percent"),
        ("0.0000001%", "it is no number of percent"),
        (1e-7, "it is no number of percent"),
        (None, "it is no number of percent"),
        (True, "it is no number of percent"),
        ([5], "it is no number of percent"),
    ],
    ids=repr,
)
def test_what_is_no_share(given: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        share_of(given)


def test_a_dimension_of_the_project_with_that_name_stays_what_it_is() -> None:
    own = {"slice_dimensions": {"sample": {"column": "batch", "kind": "list"}}, "slice": {"sample": "A7"}}
    assert requested_sample(own) == ""
    assert requested_sample({"slice": {"sample": "A7"}} | {"slice": None}) == ""
    with pytest.raises(UsageError, match="The sample is A7"):
        requested_sample({"slice": {"sample": "A7"}})
