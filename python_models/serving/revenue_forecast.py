import pyarrow as pa

from retail.forecasting import forecast
from retail.model_io import ModelContext, as_table, trading_history

SCHEMA = pa.schema(
    [
        ("revenue_date", pa.date32()),
        ("horizon", pa.int32()),
        ("last_trading_date", pa.date32()),
        ("mean_revenue", pa.float64()),
        ("lower_80", pa.float64()),
        ("upper_80", pa.float64()),
        ("lower_95", pa.float64()),
        ("upper_95", pa.float64()),
    ]
)


def model(dbt: ModelContext, session: object) -> pa.Table:  # noqa: ARG001 - dbt's signature
    """One row per trading day ahead."""
    return as_table(forecast(trading_history(dbt.ref("trading_days"))), SCHEMA)
