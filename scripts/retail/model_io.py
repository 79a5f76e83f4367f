"""Between dbt Python models and the pure functions: relations to rows, results to Arrow tables."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from retail.forecasting import TradingDay

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

# Money's scale: coarser than the last bits of exp(), which differ between machines.
DECIMALS = 4


class ModelContext(Protocol):
    """What dbt passes to a Python model as ``dbt``, as far as it is used here."""

    def ref(self, name: str, /) -> "DuckDBPyRelation":
        """The relation of another model."""


def trading_history(trading_days: "DuckDBPyRelation") -> list[TradingDay]:
    """The rows of ``curated.trading_days`` in order of date."""
    days = trading_days.select("revenue_date", "gross_revenue").order("revenue_date").fetchall()
    return [TradingDay(day, float(revenue)) for day, revenue in days]


def as_table(results: Sequence[Any], schema: pa.Schema) -> pa.Table:
    """Dataclass instances as an Arrow table with the fields of ``schema``, floats rounded to `DECIMALS`.

    Raises:
        KeyError: a field of the schema is no field of the results.
    """
    rows = [{name: _rounded(asdict(result)[name]) for name in schema.names} for result in results]
    return pa.Table.from_pylist(rows, schema=schema)


def _rounded(value: object) -> object:
    return round(value, DECIMALS) if isinstance(value, float) else value
