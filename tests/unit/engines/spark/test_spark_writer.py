"""What Spark cannot write is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.spark.spark_errors import reason_of
from slipway.engines.spark.spark_of_run import check_place
from slipway.engines.spark.spark_writer import check_supported
from slipway.environments.environment import Environment, Mode
from slipway.errors import ConfigError
from slipway.names import TableName


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({"strategy": "microbatch"}, "its strategy is microbatch", id="microbatch"),
        pytest.param({"strategy": "insert_overwrite"}, "it has none", id="no-partitions"),
    ],
)
def test_what_spark_cannot_write_is_refused(options: dict[str, Any], why: str) -> None:
    request = WriteRequest(
        TableName("layer", "x"), "select 1 as n", run_id="r", release="release-1", **options
    )
    with pytest.raises(ConfigError, match=why):
        check_supported(request)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        pytest.param(
            "[DIVIDE_BY_ZERO] Division by zero.\n== SQL ==\n1 / 0",
            "[DIVIDE_BY_ZERO] Division by zero.",
            id="spark",
        ),
        pytest.param(
            "An error occurred while calling o120.overwrite.\n: org.apache.spark.SparkException: Writing job aborted\n\tat org.apache.X.f(X.scala:1)\n"
            "Caused by: org.apache.spark.SparkException: Job aborted\n\tat org.apache.X.g(X.scala:1)\n"
            "Caused by: software.amazon.awssdk.services.s3.model.S3Exception: Access Denied (Service: S3, Status Code: 403)\n\t... 3 more\n",
            "Access Denied (Service: S3, Status Code: 403)",
            id="java",
        ),
        pytest.param(
            "Caused by: software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request: no answer\n"
            "Caused by: org.apache.http.NoHttpResponseException: no answer",
            "Unable to execute HTTP request: no answer",
            id="store",
        ),
        pytest.param(
            "Caused by: java.lang.NullPointerException", "java.lang.NullPointerException", id="no-message"
        ),
        pytest.param("", "ValueError", id="nothing"),
    ],
)
def test_the_first_cause_is_reported(said: str, why: str) -> None:
    assert reason_of(ValueError(said)) == why


@pytest.mark.parametrize(
    ("warehouse", "is_refused"),
    [
        ("file:///data", False),
        ("/data", False),
        ("s3://lake/prod", False),
        ("s3a://lake", False),
        ("gs://lake", True),
        ("abfss://lake", True),
    ],
)
def test_a_warehouse_that_spark_does_not_reach_is_refused(
    tmp_path: Path, warehouse: str, is_refused: bool
) -> None:
    place = Environment("prod", Mode.PRODUCTION, warehouse, {}, "", tmp_path)
    if not is_refused:
        check_place(place)
        return
    with pytest.raises(ConfigError, match=f"its warehouse is {warehouse}, and Spark reads and writes only"):
        check_place(place)
