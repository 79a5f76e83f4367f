"""dbt's manifest is kept once for all runs in which it says the same, and read as if each run had its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.harness.records import environment

from slipway.errors import DamagedError
from slipway.records.record_files import REPAIRED, read_dbt_manifest
from slipway.records.store import Records

RUNS = ("20240501T000000Z-00000001", "20240501T000000Z-00000002")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(environment(tmp_path, warehouse=f"file://{tmp_path}"))


def manifest(invocation: str, **nodes: object) -> dict[str, Any]:
    return {"metadata": {"invocation_id": invocation}, "nodes": nodes, "exposures": {}, "macros": {}}


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "_slipway" / "dbt_manifests").glob("*.gz"))


def test_what_is_the_same_is_kept_once(records: Records, tmp_path: Path) -> None:
    written = [manifest(run, a={"name": "a", "text": "x" * 10_000}) for run in RUNS]
    for run, content in zip(RUNS, written, strict=True):
        records.write_dbt_manifest(run, json.dumps(content).encode())
    assert [records.dbt_manifest(run) for run in RUNS] == written
    (one,) = kept(tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(sizes) < 1_000
    records.write_dbt_manifest("20240501T000000Z-00000003", json.dumps(manifest("3", b={})).encode())
    assert one in kept(tmp_path)
    assert len(kept(tmp_path)) == 2


def test_what_an_older_version_kept_is_read(records: Records) -> None:
    whole = manifest("old", a={"name": "a"})
    records.write(RUNS[0], "dbt/manifest.json", json.dumps(whole))
    assert records.dbt_manifest(RUNS[0]) == whole
    assert records.dbt_manifest(RUNS[1]) is None


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b", b"{}", None])
def test_a_damaged_rest_is_named(records: Records, tmp_path: Path, damage: bytes | None) -> None:
    records.write_dbt_manifest(RUNS[0], json.dumps(manifest("1")).encode())
    (path,) = kept(tmp_path)
    sound = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(DamagedError, match=path.name):
        records.dbt_manifest(RUNS[0])
    if damage is not None:
        path.with_name(f"{path.name}{REPAIRED}").write_bytes(sound)
        key = f"{records.folder(RUNS[0])}/dbt/manifest.json"
        assert read_dbt_manifest(records.store, key)["metadata"] == {"invocation_id": "1"}
