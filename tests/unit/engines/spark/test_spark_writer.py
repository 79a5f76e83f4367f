"""What Spark cannot write is refused before anything is computed."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.engines.duckdb.request import Increment, WriteRequest
from slipway.engines.spark.spark_writer import check_supported
from slipway.errors import ConfigError
from slipway.names import TableName


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({"strategy": "microbatch"}, "its strategy is microbatch", id="microbatch"),
        pytest.param({"strategy": "insert_overwrite"}, "it has none", id="no-partitions"),
        pytest.param({"strategy": "append", "once": True}, "from Python", id="python"),
        pytest.param(
            {"strategy": "append", "increments": [Increment(("a", "b", "c"), None, None, "n > 1")]},
            "only new rows",
            id="part",
        ),
    ],
)
def test_what_spark_cannot_write_is_refused(options: dict[str, Any], why: str) -> None:
    request = WriteRequest(
        TableName("layer", "x"), "select 1 as n", run_id="r", release="release-1", **options
    )
    with pytest.raises(ConfigError, match=why):
        check_supported(request)


@pytest.mark.parametrize("strategy", ["replace", "append"])
def test_what_spark_can_write(strategy: str) -> None:
    check_supported(WriteRequest(TableName("layer", "x"), "select 1 as n", strategy, "r", "release-1"))
