"""Files of this machine are found under each form of their name, Java's among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.runs.repeat import local_files


@pytest.mark.parametrize("form", ["", "file://", "file:"])
def test_local_files_have_their_sizes(tmp_path: Path, form: str) -> None:
    (tmp_path / "snap-1.avro").write_bytes(b"12345")
    names = [f"{form}{tmp_path}/snap-1.avro", "s3://bucket/snap-2.avro"]
    assert local_files(iter(names)) == {f"{tmp_path}/snap-1.avro": 5}
