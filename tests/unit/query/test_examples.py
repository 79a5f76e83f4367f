"""What is printed to read tables, for catalogs and stores that no test reaches."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from slipway.query.connections import Connection, spark, trino
from slipway.query.examples import _duckdb, _pyiceberg, _spark_jars, of_table, sections
from slipway.releases.cut import TableVersion
from slipway.secrets import shown

GIVEN = {
    "type": "sql",
    "uri": "postgresql://ana:p%40ss@db.example:5433/lake",
    "warehouse": "s3://lake/prod",
    "s3.endpoint": "http://store.example:9000",
    "s3.region": "eu-west-1",
    "s3.secret-access-key": "very-secret",
    "slipway.multi-table-commit": "atomic",
}


def remote(**more: str) -> Connection:
    location = "s3://lake/prod/dev/order/metadata/1.metadata.json"
    return Connection(
        "prod", shown({**GIVEN, **more}), True, None, None, {"dev.order-lines": TableVersion(location)}
    )


def test_secrets_are_variables_that_pyiceberg_reads() -> None:
    lines = _pyiceberg(remote(), "dev.order-lines")
    assert lines[0] == f'# pip install "pyiceberg[pyarrow,sql-postgres]=={version("pyiceberg")}"'
    (uri,) = (line for line in lines if line.startswith("#   PYICEBERG_CATALOG__PROD__URI as "))
    assert "#   PYICEBERG_CATALOG__PROD__S3__SECRET_ACCESS_KEY" in lines
    text = "\n".join(line for line in lines if line != uri)
    assert not any(secret in text + uri for secret in ("p%40ss", "ana", "very-secret", "slipway"))
    assert "***" not in text
    written: dict[str, object] = {}
    call = text[text.index("catalog = load_catalog") : text.index("catalog.load_table")]
    exec(call, {"load_catalog": lambda name, **given: written.update(given, name=name)})  # noqa: S102 - what a reader pastes
    harmless = ("type", "warehouse", "s3.endpoint", "s3.region")
    assert written == {"name": "prod", **{name: GIVEN[name] for name in harmless}}


def test_extras_are_those_of_the_catalog() -> None:
    assert "pyiceberg[pyarrow]==" in _pyiceberg(remote(type="rest", uri="https://catalog.example"), "a.b")[0]
    assert "pyiceberg[pyarrow,glue]==" in _pyiceberg(remote(type="glue", uri=""), "a.b")[0]
    assert "pyiceberg[pyarrow,sql-sqlite]==" in _pyiceberg(remote(uri="sqlite:////x/catalog.db"), "a.b")[0]


def test_duckdb_gets_the_address_of_the_store() -> None:
    text = "\n".join(_duckdb(remote(), "dev.order-lines", "s3://lake/x's.metadata.json"))
    assert "install httpfs; load httpfs; install aws; load aws;" in text
    assert (
        "create secret (type s3, provider credential_chain, region 'eu-west-1', endpoint 'store.example:9000',"
        " url_style 'path', use_ssl false);"
    ) in text
    assert "from iceberg_scan('s3://lake/x''s.metadata.json');" in text


def test_spark_gets_what_it_needs() -> None:
    found = replace(remote(), spark=spark("prod", GIVEN, GIVEN["warehouse"]))
    (jars,) = (line for line in _spark_jars(found) if line.startswith("spark.jars.packages="))
    names = [jar.split(":")[1] for jar in jars.partition("=")[2].split(",")]
    assert names == ["iceberg-spark-runtime-4.1_2.13", "postgresql", "iceberg-aws-bundle"]


def test_a_name_that_is_no_plain_word_is_quoted() -> None:
    (command,) = sections(remote(), "dev.order-lines")["slipway (any table, or several at the same moment)"]
    assert command == """slipway sql 'from dev."order-lines" limit 5'"""


def test_a_table_is_read_by_each_program_that_reaches_it() -> None:
    found = of_table(remote(), "dev.order-lines")
    assert list(found) == ["slipway", "DuckDB", "pyiceberg", "Polars"]
    everywhere = replace(
        remote(),
        spark=spark("prod", shown(GIVEN), GIVEN["warehouse"]),
        trino=trino("prod", shown(GIVEN), GIVEN["warehouse"]),
    )
    found = of_table(everywhere, "dev.order-lines")
    assert found["Spark"][-1] == 'spark.table("prod.dev.order-lines").limit(5).show()'
    assert found["Trino"][-1] == 'select * from prod.dev."order-lines" limit 5;'
    assert "very-secret" not in str(found)
