"""Landing: files that are checked, entered in the ledger and written to a raw table, against only DuckDB's reader.

``python -m benchmarks landing`` compares the time. How much memory one large file takes, which must not depend on its size:

    python -m benchmarks.landing --kind csv.gz --size 2GB

The size is that of the file as it lands, compressed where it is. Its texts are random, so it is two to three times as large without compression. The disk needs room for
the file, a copy of it without compression, and the table.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.lake import Lake
from benchmarks.measure import Contender, interleaved, isolated, ratio
from benchmarks.report import Figure
from benchmarks.scale import Scale
from slipway.contracts.contract_files import read_contract
from slipway.contracts.typed_rows import LINEAGE, quarantined_sql, typed_sql
from slipway.engines.duckdb.scan import scan_of
from slipway.landing.feeds import Feed
from slipway.landing.formats import FileFormat, FileKind
from slipway.landing.land import Landing

NAME = "landing"
COLUMNS = ("id", "text", "amount", "day", "remark", "number")
_ROWS = (
    "select i as id, 'text ' || (i * 7919 % 1000003) as text, (i % 1000) / 7.0 as amount, date '2020-01-01' + (i % 1000)::int as day, "
    "'a value, with a comma' as remark, i * 3 as number from range({first}, {last}) as t(i)"
)
_TYPES = {
    "id": "bigint",
    "text": "varchar",
    "amount": "decimal(18, 4)",
    "day": "date",
    "remark": "varchar",
    "number": "bigint",
}
_CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: rows
version: "1.0.0"
servers: [{server: landing, type: local, path: "rows/*.csv", format: csv}]
schema:
  - name: rows
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true}
      - {name: text, logicalType: string, required: true}
      - {name: amount, logicalType: number, physicalType: "decimal(18, 4)", logicalTypeOptions: {minimum: 0}}
      - {name: day, logicalType: date, required: true}
      - {name: remark, logicalType: string}
      - {name: number, logicalType: integer, physicalType: bigint, logicalTypeOptions: {minimum: 0}}
"""
_PART = 500_000  # rows of a large file that are generated at once
_UNITS = {"MB": 10**6, "GB": 10**9}
KINDS = {"csv": FileKind.CSV, "csv.gz": FileKind.CSV, "jsonl": FileKind.JSON}


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """One large file of each kind, and many small ones."""
    figures = []
    for kind in KINDS:
        source = folder / f"rows.{kind}"
        isolated(generate, source, scale.landed_rows, apart=scale.apart)
        ways = [Contender("slipway", land, (source,)), Contender("DuckDB", by_duckdb, (source,))]
        slipway, plain = interleaved(ways, scale.repeats, folder, apart=scale.apart)
        what = f"{scale.landed_rows / 1e6:g} M rows of {kind}: rows a second, to DuckDB's reader and Parquet"
        figures.append(Figure(NAME, what, ratio(plain, slipway), "×", goal=0.7, at_least=True))
        if scale.apart:
            figures.append(Figure(NAME, f"peak memory with {kind}", max(slipway.peak) / 2**20, "MiB"))
        if kind == "csv":
            text = folder / "text.parquet"
            isolated(as_text, source, text, apart=scale.apart)
            ways = [
                Contender("slipway", split, (text,)),
                Contender("DuckDB", typed_by_duckdb, (source,)),
            ]
            slipway, plain = interleaved(ways, scale.repeats, folder, apart=scale.apart)
            what = f"{scale.landed_rows / 1e6:g} M rows of raw typed and split by 9 rules of a contract: rows a second, to DuckDB's reader with types and Parquet"
            figures.append(Figure(NAME, what, ratio(plain, slipway), "×", goal=0.7, at_least=True))
        source.unlink()
    first, again, later = isolated(small_files, folder / "small", scale.landed_files, apart=scale.apart)
    figures += [
        Figure(NAME, f"{scale.landed_files:,} small files, listed and checked", first, "s", goal=10),
        Figure(NAME, "the same with nothing new", again, "s", goal=2),
        Figure(NAME, "the same, after ten times as many ledger entries, to before", later / again, "×"),
    ]
    return figures, []


def generate(path: Path, rows: int) -> None:
    """A file of rows."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    style = "format json" if path.suffix == ".jsonl" else "format csv, header"
    duckdb.execute(f"copy ({_ROWS.format(first=0, last=rows)}) to '{plain}' ({style})")
    if plain != path:
        with plain.open("rb") as source, gzip.open(path, "wb", 6) as target:
            while block := source.read(1 << 20):
                target.write(block)
        plain.unlink()


def generate_size(path: Path, size: int) -> int:
    """A file of at least so many bytes with random texts, made in parts; returns its rows."""
    part, rows = path.with_name("part"), 0
    duckdb.execute("set enable_progress_bar = false")  # stdout is for the result
    with path.open("wb") as target:
        while target.tell() < size:
            some = _ROWS.format(first=rows, last=rows + _PART)
            texts = f"select * replace (md5(id::varchar) || md5((-id)::varchar) as remark) from ({some})"
            style = "format json" if ".jsonl" in path.name else f"format csv, header {rows == 0}"
            packed = "gzip" if path.suffix == ".gz" else "none"
            duckdb.execute(f"copy ({texts}) to '{part}' ({style}, compression {packed})")
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)
            rows += _PART
    part.unlink()
    return rows


def memory_of(folder: Path, source: Path) -> dict[str, float]:
    """Peak resident memory of a process that lands a file, in MiB, and the seconds that it takes."""
    began = time.perf_counter()
    processor = land(folder, source)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "peak_mib": peak,
        "seconds": round(time.perf_counter() - began),
        "processor_seconds": round(processor),
    }


def main() -> None:
    """One line of JSON: what one file of a size takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS, default="csv.gz")
    parser.add_argument("--size", default="200MB", help="of the file as it lands, in MB or GB")
    parser.add_argument("--folder", type=Path, help="where everything is kept; default a temporary folder")
    arguments = parser.parse_args()
    size = round(float(arguments.size[:-2]) * _UNITS[arguments.size[-2:].upper()])
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        source = folder / f"rows.{arguments.kind}"
        rows = isolated(generate_size, source, size)
        found = {"kind": arguments.kind, "bytes": source.stat().st_size, "rows": rows}
        (folder / "lake").mkdir()
        sys.stdout.write(json.dumps(found | isolated(memory_of, folder / "lake", source)) + "\n")


def by_duckdb(folder: Path, source: Path) -> float:
    """Seconds of processor time that DuckDB takes from the file to Parquet, as text."""
    reader = f"read_csv('{source}', all_varchar = true)"
    if source.suffix == ".jsonl":
        columns = ", ".join(f"{name}: 'VARCHAR'" for name in COLUMNS)
        reader = f"read_json('{source}', format = 'newline_delimited', columns = {{{columns}}})"
    connection = duckdb.connect()
    began = time.process_time()
    connection.execute(
        f"copy (from {reader}) to '{folder / 'rows.parquet'}' (format parquet, compression zstd)"
    )
    return time.process_time() - began


def as_text(source: Path, text: Path) -> None:
    """What raw holds of a file of CSV: text, and where each row is from; one row in a thousand lacks its day."""
    lineage = (
        "'f/1.csv' as _source_file, row_number() over () + 1 as _source_line, repeat('0a', 32) as _file_sha256, "
        "timestamptz '2024-05-05 00:00:00+00' as _landed_at, 'r' as _run_id"
    )
    rows = f"select * replace (amount::decimal(18, 4)::varchar as amount, case when id::bigint % 1000 > 0 then day end as day), {lineage} from read_csv('{source}', all_varchar = true)"
    duckdb.execute(f"copy ({rows}) to '{text}' (format parquet, compression zstd)")


def split(folder: Path, text: Path) -> float:
    """Seconds of processor time that typing rows and splitting them into curated and quarantine takes, from Parquet to Parquet, as two models do it."""
    contract, problems = read_contract(_CONTRACT, "rows.odcs.yaml")
    assert contract is not None, problems
    raw = f"read_parquet('{text}')"
    curated, quarantined = folder / "curated.parquet", folder / "quarantined.parquet"
    names = ", ".join((*COLUMNS, *LINEAGE))
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    began = time.process_time()
    connection.execute(
        f"copy (select {names} from ({typed_sql(contract, raw)}) where rule_id is null) to '{curated}' (format parquet, compression zstd)"
    )
    connection.execute(
        f"copy ({quarantined_sql(contract, raw)}) to '{quarantined}' (format parquet, compression zstd)"
    )
    seconds = time.process_time() - began
    counts = [
        connection.execute(f"select count(*) from '{one}'").fetchall()[0][0]
        for one in (text, curated, quarantined)
    ]
    assert counts[0] == counts[1] + counts[2], counts
    assert counts[2] == -(-counts[0] // 1000), counts
    return seconds


def typed_by_duckdb(folder: Path, source: Path) -> float:
    """Seconds of processor time that DuckDB takes from the file to Parquet with the same types; a value of another type would end it."""
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in _TYPES.items())
    connection = duckdb.connect()
    began = time.process_time()
    connection.execute(
        f"copy (from read_csv('{source}', header = true, columns = {{{columns}}})) "
        f"to '{folder / 'rows.parquet'}' (format parquet, compression zstd)"
    )
    return time.process_time() - began


def land(folder: Path, source: Path) -> float:
    """Seconds of processor time that landing the same file takes: hashed, counted twice, in the ledger, and in a published raw table, as a run does it."""
    lake, feed = Lake(folder), feed_of(source)
    lake.warm()
    place = folder / "landing" / feed.name
    place.mkdir(parents=True)
    (place / source.name).hardlink_to(source)
    began = time.process_time()
    landing = Landing(lake.tables, [feed])
    entries = landing.land(lake.connection, "run", datetime.now(UTC), lambda _: (), read_later={feed.name})
    written = lake.write("rows", landing.select(feed.name, entries, "run"), "append")
    scan = scan_of(written.staged.table.metadata_location)
    held = lake.connection.execute(f"select _file_sha256, count(*) from {scan} group by all").fetchall()
    seconds = time.process_time() - began
    assert [entry.verdict for entry in entries] == ["accepted"], entries
    assert held == [(entry.sha256, entry.rows) for entry in entries], held
    return seconds


def feed_of(source: Path) -> Feed:
    """A feed that takes the file."""
    kind = KINDS[source.name.partition(".")[2]]
    return Feed("rows", COLUMNS, pattern="*", format=FileFormat(kind=kind))


def small_files(folder: Path, count: int) -> Sequence[float]:
    """Seconds of landing many small files, of a second look, and of a look when the ledger has ten times as many entries."""
    lake, feed = Lake(folder), Feed("rows", ("id", "text"))
    lake.warm()
    place = folder / "landing" / feed.name
    place.mkdir(parents=True)
    for number in range(count):
        (place / f"{number}.csv").write_text(f"id,text\n{number},a\n", encoding="utf-8")

    def look() -> float:
        began = time.perf_counter()
        landing = Landing(lake.tables, [feed])
        landing.land(lake.connection, "run", datetime.now(UTC), lambda _: ())
        return time.perf_counter() - began

    first, again = look(), look()
    landing = Landing(lake.tables, [feed])
    known = landing.ledger.entries()
    landing.ledger.add(
        [
            entry.model_copy(
                update={"path": f"rows/{past}-{entry.path[5:]}", "sha256": f"{past}{entry.sha256[1:]}"}
            )
            for past in range(9)
            for entry in known
        ]
    )
    return first, again, look()


if __name__ == "__main__":
    main()
