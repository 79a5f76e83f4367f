"""No reader loses a row because a file was skipped: every answer is that of a full scan of the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from datafusion import SessionContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import dataset
from pyiceberg import expressions as ice
from pyiceberg.exceptions import ValidationError
from pyiceberg.expressions.visitors import bind
from pyiceberg.io.pyarrow import expression_to_pyarrow
from pyiceberg_core.datafusion import IcebergDataFusionTable

if TYPE_CHECKING:
    from tests.unit.conftest import Lake


@dataclass(frozen=True)
class Kind:
    """A type to ask about.

    Args:
        name: DuckDB's name of the type.
        read: what it is read back as.
        values: texts that cast to it.
        transforms: partitionings of a column ``c`` of it.
        portable: whether texts mean the same to the other two engines.
    """

    name: str
    read: str
    values: st.SearchStrategy[str]
    transforms: tuple[str, ...]
    portable: bool = True


def whole(low: int, high: int) -> st.SearchStrategy[str]:
    edges = st.sampled_from([low, low + 1, high - 1, high, 0, 1, 9, 10, 11])
    return (st.integers(max(low, -30), min(high, 30)) | edges | st.integers(low, high)).map(str)


def digits(precision: int, scale: int) -> st.SearchStrategy[str]:
    limit = 10**precision - 1
    number = st.integers(-30, 30) | st.sampled_from([-limit, limit]) | st.integers(-limit, limit)
    return number.map(lambda n: f"{'-' * (n < 0)}{abs(n) // 10**scale}.{abs(n) % 10**scale:0{scale}d}")


def decimal(precision: int, scale: int) -> Kind:
    name = f"decimal({precision}, {scale})"
    # truncating the smallest value needs a digit more: tested below
    values = digits(precision, scale).map(
        lambda text: text if len(text) < precision + 2 else text.lstrip("-")
    )
    ways = ("c", "bucket(3, c)", "truncate(10, c)") if 10 <= precision <= 18 else ("c", "bucket(3, c)")
    return Kind(name, name, values, ways)


letters = st.text("ab\x7f\u00ff\ud7ff\ue000\U0001f6b2\U0010ffff", max_size=4)
texts = st.tuples(letters, st.sampled_from([0, 0, 62, 63, 64, 254, 255, 256]), letters).map(
    lambda parts: parts[0] + "m" * parts[1] + parts[2]
)
days = st.dates().map(str) | st.integers(-40, 40).map(lambda n: f"19{70 + n // 20}-0{1 + abs(n) % 9}-01")
moments = st.tuples(
    st.integers(1970, 2040) | st.sampled_from([1, 9999]), st.integers(1, 12), st.integers(0, 86399)
).map(
    lambda p: (
        f"{p[0]:04d}-{p[1]:02d}-01 {p[2] // 3600:02d}:{p[2] % 3600 // 60:02d}:{p[2] % 60:02d}.{p[2] % 7:06d}"
    )
)
after_1970 = moments.map(lambda text: text if text[:4] != "0001" else text[:11] + "00:00:00.000000")
TIMED = ("c", "bucket(3, c)", "year(c)", "month(c)", "day(c)", "hour(c)")
floats = st.floats() | st.sampled_from([0.0, -0.0, 1.5, -1.5, float("nan"), float("inf"), float("-inf")])

KINDS = [
    Kind("boolean", "boolean", st.sampled_from(["true", "false"]), ("c",)),
    Kind("tinyint", "integer", whole(-128, 127), ("c", "bucket(3, c)", "truncate(10, c)")),
    # not next to the smallest value, where truncating overflows: refused, tested elsewhere
    Kind("integer", "integer", whole(-(2**31) + 10, 2**31 - 1), ("c", "bucket(3, c)", "truncate(10, c)")),
    Kind("uinteger", "bigint", whole(0, 2**32 - 1), ("c", "bucket(3, c)", "truncate(7, c)")),
    Kind("bigint", "bigint", whole(-(2**63) + 10, 2**63 - 1), ("c", "bucket(3, c)", "truncate(10, c)")),
    Kind("ubigint", "decimal(20, 0)", whole(0, 2**64 - 1), ("c", "bucket(3, c)")),
    Kind("hugeint", "decimal(38, 0)", whole(-(10**38) + 1, 10**38 - 1), ("c", "bucket(3, c)")),
    Kind("float", "float", st.floats(width=32).map(str) | floats.map(str), (), portable=False),
    Kind("double", "double", floats.map(str), (), portable=False),
    # literals that are infinite, NaN or -0.0 mean other things to the other two
    Kind("float", "float", st.integers(-40, 40).map(lambda n: str(n / 8 + 100)), ()),
    Kind("double", "double", st.floats(allow_nan=False, allow_infinity=False).map(lambda f: str(f or 0.0)), ()),
    *(decimal(*size) for size in ((4, 2), (9, 2), (10, 2), (18, 4), (18, 18), (19, 4), (38, 10), (38, 38))),
    Kind("varchar", "varchar", texts, ("bucket(3, c)", "truncate(3, c)")),
    Kind("varchar", "varchar", letters, ("c", "truncate(1, c)")),
    Kind("blob", "blob", st.binary(max_size=3).map(lambda b: "".join(f"\\x{x:02X}" for x in b)), ("bucket(3, c)",),
         portable=False),
    Kind("uuid", "uuid", st.uuids().map(str), (), portable=False),
    Kind("date", "date", days, ("c", "bucket(3, c)", "year(c)", "month(c)", "day(c)")),
    Kind("time", "time", moments.map(lambda text: text[11:]), ("c", "bucket(3, c)")),
    Kind("timestamp", "timestamp", after_1970, TIMED),
    Kind("timestamp_ms", "timestamp", after_1970.map(lambda text: text[:23]), TIMED),
    Kind("timestamptz", "timestamptz", after_1970.map(lambda text: f"{text}+00:00"), TIMED),
]  # fmt: skip
IDS = [f"{kind.name}-{number}" for number, kind in enumerate(KINDS)]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def ask(names: Sequence[str], literals: Sequence[str], kind: Kind) -> list[tuple[str, Any]]:
    """Conditions as SQL and as pyiceberg has them; ``s.c`` is asked like ``c``."""
    asked: list[tuple[str, Any]] = []
    for name in names:
        asked += [(f"{name} is null", (ice.IsNull, name)), (f"{name} is not null", (ice.NotNull, name))]
        compared: list[tuple[str, Any]] = []
        for text in literals:
            for sign, operator in (
                ("=", ice.EqualTo),
                ("<>", ice.NotEqualTo),
                ("<", ice.LessThan),
                ("<=", ice.LessThanOrEqual),
                (">", ice.GreaterThan),
                (">=", ice.GreaterThanOrEqual),
            ):
                compared.append((f"{name} {sign} {{{text}}}", (operator, name, text)))
        asked += compared
        asked.append(
            (f"{name} in ({', '.join(f'{{{text}}}' for text in literals)})", (ice.In, name, tuple(literals)))
        )
        if kind.name == "varchar":
            starts = [text for text in literals if text]
            asked += [(f"starts_with({name}, {{{text}}})", (ice.StartsWith, name, text)) for text in starts]
        if kind.name in ("float", "double"):
            asked.append((f"isnan({name})", (ice.IsNaN, name)))
        asked.append((f"not ({compared[0][0]} or {compared[-1][0]})", None))
        asked.append((f"{compared[2][0]} or {name} is null", None))
        asked.append((f"{name} between {{{min(literals)}}} and {{{max(literals)}}}", None))
    return asked


def rendered(condition: str, literals: Sequence[str], kind: Kind) -> str:
    for text in sorted(literals, key=len, reverse=True):
        condition = condition.replace(f"{{{text}}}", f"({quoted(text)}::{kind.name})::{kind.read}")
    return condition


def compare(
    lake: Lake, kind: Kind, batches: Sequence[Sequence[str | None]], literals: list[str], way: str
) -> None:
    parts = []
    for batch in batches:
        rows = ", ".join(f"({'null' if text is None else quoted(text)}::{kind.name})" for text in batch)
        sql = f"select c, {{c: c}} as s from (values {rows}) as rows(c)"
        lake.write(sql, "append", partitioned_by=[way] if way else [])
        parts.append(f"select c::{kind.read} as c, {{c: c::{kind.read}}} as s from ({sql})")
    lake.connection.execute(f"create or replace temp table truth as {' union all '.join(parts)}")
    asked = ask(["c", "s.c"], literals, kind)

    def by_duckdb(relation: str, condition: str) -> int:
        found = lake.connection.execute(
            f"select count(*) from {relation} where {rendered(condition, literals, kind)}"
        ).fetchone()
        assert found is not None
        return int(found[0])

    for condition, _ in asked:
        assert by_duckdb(lake.scan, condition) == by_duckdb("truth", condition), condition
    if kind.portable:
        by_pyiceberg(lake, asked)
        by_datafusion(lake, asked, literals, kind)


def by_pyiceberg(lake: Lake, asked: list[tuple[str, Any]]) -> None:
    everything, compared = lake.table.scan().to_arrow(), 0
    expressible = [(condition, made) for condition, made in asked if made is not None]
    for condition, made in expressible:
        try:
            expression = made[0](*made[1:])
            bound = bind(lake.table.schema(), expression, case_sensitive=True)
        except (ValidationError, ValueError, TypeError):
            continue
        wanted = dataset.dataset(everything).to_table(filter=expression_to_pyarrow(bound)).num_rows
        assert lake.table.scan(row_filter=expression).to_arrow().num_rows == wanted, condition
        compared += 1
    assert compared or not expressible


def by_datafusion(lake: Lake, asked: list[tuple[str, Any]], literals: list[str], kind: Kind) -> None:
    context = SessionContext()
    location = lake.table.metadata_location
    provider = IcebergDataFusionTable(
        identifier=["layer", "thing"], metadata_location=location, file_io_properties={}
    )
    context.register_table("scanned", provider)
    everything = context.sql("select * from scanned").to_arrow_table()
    context.register_record_batches("rows", [everything.to_batches()])
    arrow = ARROW.get(kind.read) or kind.read.replace("decimal", "Decimal128")
    for condition, _ in asked:
        typed = condition.replace("s.c", "s['c']")
        for text in sorted(literals, key=len, reverse=True):
            typed = typed.replace(f"{{{text}}}", f"arrow_cast({quoted(text)}, '{arrow}')")
        counted = [
            context.sql(f"select count(*) as n from {name} where {typed}").to_pydict()["n"][0]
            for name in ("scanned", "rows")
        ]
        assert counted[0] == counted[1], condition


def run(lakes: Iterator[Lake], kind: Kind, data: st.DataObject) -> None:
    batch = st.lists(st.none() | kind.values, min_size=1, max_size=4)
    batches = data.draw(st.lists(batch, min_size=2, max_size=3), "batches")
    known = [text for rows in batches for text in rows if text is not None]
    literal = kind.values | st.sampled_from(known) if known else kind.values
    literals = data.draw(st.lists(literal, min_size=1, max_size=2, unique=True), "literals")
    compare(next(lakes), kind, batches, literals, data.draw(st.sampled_from(("", *kind.transforms)), "by"))


ARROW = {
    "boolean": "Boolean",
    "integer": "Int32",
    "bigint": "Int64",
    "float": "Float32",
    "double": "Float64",
    "varchar": "Utf8",
    "date": "Date32",
    "time": "Time64(Microsecond)",
    "timestamp": "Timestamp(Microsecond, None)",
    "timestamptz": 'Timestamp(Microsecond, Some("+00:00"))',
}
QUIET: Any = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@pytest.mark.long
@settings(max_examples=8, derandomize=True, **QUIET)
@given(st.sampled_from(KINDS), st.data())
def test_a_filter_finds_what_a_full_scan_finds(
    lakes: Iterator[Lake], kind: Kind, data: st.DataObject
) -> None:
    run(lakes, kind, data)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
@settings(max_examples=60, **QUIET)
@given(st.data())
def test_a_filter_finds_what_a_full_scan_finds_many_times(
    lakes: Iterator[Lake], kind: Kind, data: st.DataObject
) -> None:
    run(lakes, kind, data)
