import pyarrow as pa

from retail.backtesting import backtest
from retail.model_io import ModelContext, as_table, trading_history

SCHEMA = pa.schema(
    [
        ("origin_date", pa.date32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("trained_days", pa.int32()),
        ("scored_days", pa.int32()),
        ("mae", pa.float64()),
        ("naive_mae", pa.float64()),
        ("mape", pa.float64()),
        ("coverage_80", pa.float64()),
        ("coverage_95", pa.float64()),
    ]
)


def model(dbt: ModelContext, session: object) -> pa.Table:  # noqa: ARG001 - dbt's signature
    """One row per past origin."""
    return as_table(backtest(trading_history(dbt.ref("trading_days"))), SCHEMA)
