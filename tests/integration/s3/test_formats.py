"""Files of every kind land from an object store as from a folder: their values come through to curated tables."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

NAMES = ["parcel", "depot", "weighed_on", "kg"]
ROWS = [
    ("p1", "N", "2024-05-01", "1.5"),
    ("p2", "Süd; S", "2024-05-01", "2.125"),
    ("p3", "N", "2024-05-02", "heavy"),
]


def text(delimiter: str = ",", quote: str = '"') -> str:
    lines = [NAMES, *ROWS]
    return "\r\n".join(delimiter.join(f"{quote}{value}{quote}" for value in line) for line in lines) + "\r\n"


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("parcels.csv", content)
    return stream.getvalue()


def json_lines() -> bytes:
    return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS).encode()


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(dict(zip(NAMES, zip(*ROWS, strict=True), strict=True))), stream)
    return stream.getvalue()


def workbook() -> bytes:
    made, stream = Workbook(), io.BytesIO()
    for row in (NAMES, *ROWS):
        made.active.append(row)
    made.save(stream)
    return stream.getvalue()


CSV = text().encode()
FILES: dict[str, tuple[str, str, bytes, dict[str, object]]] = {
    "csv.gz": ("csv", "a.csv.gz", gzip.compress(CSV), {}),
    "parquet": ("parquet", "a.parquet", parquet(), {}),
    "csv": ("csv", "a.csv", CSV, {}),
    "other signs": ("csv", "a.txt", text(";", "'").encode(), {"delimiter": ";", "quote": "'"}),
    "utf-16": ("csv", "a.csv", text("\t").encode("utf-16"), {"delimiter": "\t", "encoding": "utf-16"}),
    "iso-8859-1.gz": ("csv", "a.csv.gz", gzip.compress(text().encode("iso-8859-1")), {"encoding": "iso-8859-1"}),
    "title and totals": ("csv", "a.csv", b"Parcels of May\r\n" + CSV + b"3 rows\r\n", {"skipLines": 1, "footerLines": 1}),
    "csv.zst": ("csv", "a.csv.zst", zstd(CSV), {}),
    "zip": ("csv", "a.zip", zipped(CSV), {}),
    "jsonl": ("json", "a.jsonl", json_lines(), {}),
    "jsonl.gz": ("json", "a.jsonl.gz", gzip.compress(json_lines()), {}),
    "jsonl.zst": ("json", "a.jsonl.zst", zstd(json_lines()), {}),
    "xlsx": ("xlsx", "a.xlsx", workbook(), {}),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("kind", FILES)
def test_files_of_every_kind_land_from_a_store(lake: Lake, kind: str) -> None:
    form, name, content, settings = FILES[kind]
    lake.workshop.edit(
        "contracts/parcels.odcs.yaml",
        "    path: parcels/*.csv\n    format: csv\n",
        f"    path: parcels/*\n    format: {form}\n    customProperties: {custom(settings)}\n",
    )
    for key in lake.sizes("landing/parcels/"):
        lake.client.delete_object(Bucket=lake.bucket, Key=key)
    lake.put(f"landing/parcels/{name}", content)
    run = lake.workshop.run()
    assert [(one["path"], one["verdict"], one["rows"]) for one in run["landed_files"]] == [
        (f"parcels/{name}", "accepted", len(ROWS))
    ]
    raw = lake.table("raw.parcels").scan().to_arrow().to_pylist()
    assert [
        tuple(row[column] for column in NAMES) for row in sorted(raw, key=lambda row: row["parcel"])
    ] == ROWS
    curated = lake.table("curated.weights").scan().to_arrow().to_pylist()
    assert {(row["parcel"], row["depot"], str(row["kg"])) for row in curated} == {
        ("p1", "N", "1.500"),
        ("p2", "Süd; S", "2.125"),
    }
    assert lake.workshop.run()["outcome"] == "unchanged"


def custom(settings: Mapping[str, object]) -> str:
    return json.dumps([{"property": name, "value": value} for name, value in settings.items()])
