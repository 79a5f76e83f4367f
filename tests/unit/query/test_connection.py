"""Other engines get the same catalog in their words."""

from __future__ import annotations

from slipway.query.connections import spark, trino

LOCAL = {"type": "sql", "uri": "sqlite:////data/dev/catalog.db", "warehouse": "file:///data/dev/warehouse"}
SHARED = {
    "type": "sql",
    "uri": "postgresql+psycopg2://ana:p%40ss@db.example:5433/lake?sslmode=require",
    "warehouse": "s3://lake/prod",
    "s3.endpoint": "https://s3.example",
    "s3.region": "eu-west-2",
    "s3.access-key-id": "AKIAEXAMPLE",
    "s3.secret-access-key": "very-secret",
    "s3.session-token": "also-secret",
}


def test_spark_opens_a_local_catalog() -> None:
    assert spark("dev", LOCAL, "file:///data/dev/warehouse") == {
        "spark.sql.catalog.dev": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.dev.type": "jdbc",
        "spark.sql.catalog.dev.uri": "jdbc:sqlite:/data/dev/catalog.db",
        "spark.sql.catalog.dev.jdbc.schema-version": "V1",
        "spark.sql.catalog.dev.warehouse": "file:///data/dev/warehouse",
    }


def test_spark_opens_a_shared_catalog() -> None:
    assert spark("prod", SHARED, "s3://lake/prod") == {
        "spark.sql.catalog.prod": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.prod.type": "jdbc",
        "spark.sql.catalog.prod.uri": "jdbc:postgresql://db.example:5433/lake?sslmode=require",
        "spark.sql.catalog.prod.jdbc.user": "ana",
        "spark.sql.catalog.prod.jdbc.password": "p@ss",
        "spark.sql.catalog.prod.jdbc.schema-version": "V1",
        "spark.sql.catalog.prod.warehouse": "s3://lake/prod",
        "spark.sql.catalog.prod.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "spark.sql.catalog.prod.s3.endpoint": "https://s3.example",
        "spark.sql.catalog.prod.s3.path-style-access": "true",
        "spark.sql.catalog.prod.client.region": "eu-west-2",
        "spark.sql.catalog.prod.s3.access-key-id": "AKIAEXAMPLE",
        "spark.sql.catalog.prod.s3.secret-access-key": "very-secret",
        "spark.sql.catalog.prod.s3.session-token": "also-secret",
    }


def test_trino_opens_a_shared_catalog_only() -> None:
    assert trino("dev", LOCAL, "file:///data/dev/warehouse") is None
    assert trino("prod", SHARED, "s3://lake/prod") == {
        "connector.name": "iceberg",
        "iceberg.catalog.type": "jdbc",
        "iceberg.jdbc-catalog.catalog-name": "prod",
        "iceberg.jdbc-catalog.driver-class": "org.postgresql.Driver",
        "iceberg.jdbc-catalog.connection-url": "jdbc:postgresql://db.example:5433/lake?sslmode=require",
        "iceberg.jdbc-catalog.connection-user": "ana",
        "iceberg.jdbc-catalog.connection-password": "p@ss",
        "iceberg.jdbc-catalog.default-warehouse-dir": "s3://lake/prod",
        "fs.native-s3.enabled": "true",
        "s3.endpoint": "https://s3.example",
        "s3.region": "eu-west-2",
        "s3.path-style-access": "true",
        "s3.aws-access-key": "AKIAEXAMPLE",
        "s3.aws-secret-key": "very-secret",
    }


def test_rest_and_glue_are_passed_on_and_others_are_not() -> None:
    root = "s3://lake/w"
    rest = {"type": "rest", "uri": "https://rest.example"}
    assert spark("r", rest, root) == {
        "spark.sql.catalog.r": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.r.type": "rest",
        "spark.sql.catalog.r.uri": "https://rest.example",
        "spark.sql.catalog.r.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
    }
    assert (trino("r", rest, root) or {})["iceberg.rest-catalog.uri"] == "https://rest.example"
    named = {**rest, "warehouse": "lake"}
    assert (spark("r", named, root) or {})["spark.sql.catalog.r.warehouse"] == "lake"
    assert (trino("r", named, root) or {})["iceberg.rest-catalog.warehouse"] == "lake"
    glue = {"type": "glue", "warehouse": root}
    assert (spark("g", glue, root) or {})["spark.sql.catalog.g.type"] == "glue"
    assert (trino("g", glue, root) or {})["iceberg.catalog.type"] == "glue"
    other = {"type": "in-memory", "warehouse": root}
    assert (spark("o", other, root), trino("o", other, root)) == (None, None)
