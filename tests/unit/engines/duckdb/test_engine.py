"""The engine where the machine has less than usual."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from slipway.engines.duckdb import engine
from slipway.engines.duckdb.engine import EXTENSIONS, load_extensions
from slipway.environments.environment import Environment, Mode


@pytest.mark.parametrize("home", [None, "", "/nowhere"])
def test_extensions_are_loaded_without_a_home(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    with duckdb.connect() as connection:
        load_extensions(connection)
        names = f"extension_name in {EXTENSIONS}"
        loaded = connection.execute(f"select count(*) from duckdb_extensions() where loaded and {names}")
        assert loaded.fetchone() == (len(EXTENSIONS),)
        connection.execute(
            "create secret a (type s3, key_id 'x', secret 'y')"
        )  # DuckDB looks for a home then, too


@pytest.mark.parametrize(
    ("warehouse", "extensions"),
    [
        ("file:///lake", {"avro", "iceberg"}),
        ("s3://bucket/lake", {"httpfs", "avro", "iceberg"}),
        ("s3a://bucket/lake", {"httpfs", "avro", "iceberg"}),
    ],
)
def test_only_a_warehouse_on_s3_needs_httpfs(warehouse: str, extensions: set[str], tmp_path: Path) -> None:
    environment = Environment("dev", Mode.EXPLORATORY, warehouse, {}, "", tmp_path)
    assert set(engine.extensions_of(environment)) == extensions
    assert set(engine.extensions_of(environment, scans=False)) == extensions - {"avro", "iceberg"}


def test_a_home_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with duckdb.connect() as connection:
        load_extensions(connection)
    assert list(tmp_path.glob(".duckdb/extensions/*/*/iceberg.duckdb_extension"))


def test_another_environment_has_a_secret_for_its_own_warehouse(tmp_path: Path) -> None:
    own, other = (
        Environment(
            name=name,
            mode=Mode.SCHEDULED,
            warehouse=f"s3://{name}/lake",
            catalog_properties={
                "s3.region": region,
                "s3.access-key-id": f"AKIA{name}",
                "s3.secret-access-key": "example",
            },
            landing="",
            home=tmp_path,
        )
        for name, region in (("staging", "eu-west-1"), ("prod", "eu-north-1"))
    )
    with engine.connect(own, others=[other]) as connection:
        for path, region in (
            ("s3://prod/lake/x.parquet", "eu-north-1"),
            ("s3://staging/lake/x.parquet", "eu-west-1"),
        ):
            (name,) = connection.execute(f"select name from which_secret('{path}', 's3')").fetchone() or ("",)
            (shown,) = connection.execute(
                f"select secret_string from duckdb_secrets() where name = '{name}'"
            ).fetchone() or ("",)
            assert f"region={region}" in shown
