"""Peak resident memory of writes with a limit for DuckDB: each case in a process of its own.

``python -m benchmarks memory`` holds what matters most against a goal. For more cases and other limits:

    python -m benchmarks.memory --rows 50000000 --memory-limit 2GB

Rows are generated, 21 columns wide, about 250 bytes each in memory, and shuffled over 1,000 days.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.measure import isolated
from benchmarks.report import Figure
from benchmarks.scale import Scale
from slipway.engines.duckdb import engine
from slipway.engines.duckdb.request import WriteRequest
from slipway.engines.duckdb.writer import write
from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.iceberg.tables import Tables
from slipway.names import TableName

NAME = "memory"
DAYS = 1000
BATCH = 100_000


def columns(n: str = "n") -> str:
    """The columns of a wide row number ``n``: 6 integers, 6 numbers, 5 texts, 2 times, key and day."""
    listed = [f"{n} as id", f"(date '2020-01-01' + (hash({n}) % {DAYS})::integer) as day"]
    listed += [f"(hash({n} + {i}) % {10 ** (3 + i)})::bigint as i{i}" for i in range(6)]
    listed += [f"((hash({n} + {i}) % 1000000) / 100.0)::double as d{i}" for i in range(6)]
    listed += [f"'value_' || (hash({n} + {i}) % {10 ** (2 + i)}) as s{i}" for i in range(4)]
    listed += [
        f"timestamp '2020-01-01' + to_seconds((hash({n} + {i}) % 100000000)::bigint) as t{i}"
        for i in range(2)
    ]
    return ", ".join([*listed, f"md5(({n})::varchar) as txt"])


def query(rows: int) -> str:
    """Wide rows numbered from 0."""
    return f"select {columns()} from (select range as n from range({rows}))"


def batches(rows: int) -> pa.RecordBatchReader:
    """The same rows as a Python model may give them: one batch after the other."""
    source = duckdb.connect(":memory:")
    source.execute("set threads = 1; set memory_limit = '256MB'")

    def part(first: int) -> str:
        return f"select {columns()} from (select range as n from range({first}, {min(first + BATCH, rows)}))"

    def each() -> Iterator[pa.RecordBatch]:
        for first in range(0, rows, BATCH):
            yield from source.execute(part(first)).to_arrow_table().to_batches()

    schema = source.execute(part(0)).to_arrow_table().schema
    return pa.RecordBatchReader.from_batches(schema, each())


def changed(rows: int) -> str:
    """One row in a hundred again, with another text."""
    return f"select * replace ('changed' as txt) from ({query(rows)}) where id % 100 = 7"


CASES: dict[str, Callable[[int], dict[str, Any]]] = {
    "whole": lambda rows: {"sql": query(rows)},
    "build": lambda rows: {"sql": query(rows), "partitioned_by": ["day"]},
    "merge": lambda rows: {
        "sql": changed(rows),
        "partitioned_by": ["day"],
        "strategy": "merge",
        "unique_key": ["id"],
    },
    "sorted": lambda rows: {"sql": query(rows), "partitioned_by": ["day"], "sorted_by": ["s3", "id"]},
    "whole-sorted": lambda rows: {"sql": query(rows), "sorted_by": ["s3", "id"]},
    "batches": lambda _: {"sql": "from batches", "partitioned_by": ["day"]},
}


def measure(case: str, rows: int, limit: str, threads: int, folder: Path) -> dict[str, Any]:
    """Run one case in this process."""
    environment = Environment(
        "dev", Mode.EXPLORATORY, f"file://{folder}/warehouse", local_catalog(folder), "", folder
    )
    tables = Tables(environment)
    config: dict[str, Any] = {"memory_limit": limit, "threads": threads}
    engine.configure({}, config, folder)
    connection = duckdb.connect(":memory:", config=config)
    engine.prepare(connection, environment.warehouse)
    if case == "batches":
        connection.register("batches", batches(rows))
    kept = folder / "built"
    base = tables.load(TableName("layer", "thing"), kept.read_text()) if case == "merge" else None
    request = WriteRequest(
        TableName("layer", "thing"),
        run_id=case,
        release="release-1",
        **{"strategy": "replace", **CASES[case](rows)},
    )
    started = time.perf_counter()
    result = write(connection, tables, base, request)
    seconds = time.perf_counter() - started
    if case == "build":
        kept.write_text(result.staged.table.metadata_location)
    connection.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    sizes = [task.file.file_size_in_bytes for task in result.staged.table.scan().plan_files()]
    return {
        "case": case,
        "rows": rows,
        "peak_rss_mb": usage.ru_maxrss // 1024,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "phases": result.seconds,
        "files": len(sizes),
        "largest_file_mb": round(max(sizes) / 1e6, 1),
        "bytes_mb": sum(sizes) // 1_000_000,
    }


def run(folder: Path, scale: Scale) -> tuple[list[Figure], list[str]]:
    """Build wide rows day by day with 2 GB for DuckDB: from SQL, and streamed by a Python model."""
    figures, details = [], []
    for case, of in (("build", "SQL"), ("batches", "a Python model, batch by batch")):
        place = folder / case
        place.mkdir()
        found = isolated(measure, case, scale.wide_rows, "2GB", 2, place, apart=scale.apart)
        shutil.rmtree(place)
        what = f"{scale.wide_rows / 1e6:g} M wide rows, DuckDB limited to 2 GB, from {of}"
        figures.append(Figure(NAME, f"{what}: peak resident memory", found["peak_rss_mb"], "MiB", goal=3000))
        details.append(
            f"{NAME}, {what}: {found['seconds']} s, {found['files']} files, {found['bytes_mb']} MB.\n"
        )
    return figures, details


def main() -> None:
    """One line of JSON for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-limit", default="2GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--folder", type=Path, help="where the tables go; default a temporary folder")
    parser.add_argument("--here", action="store_true", help="run the one case in this process")
    arguments = parser.parse_args()
    if arguments.here:
        (case,) = arguments.cases
        found = measure(case, arguments.rows, arguments.memory_limit, arguments.threads, arguments.folder)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        for case in arguments.cases:
            command = [
                sys.executable,
                "-m",
                "benchmarks.memory",
                "--here",
                "--cases",
                case,
                "--folder",
                str(folder),
            ]
            command += ["--rows", str(arguments.rows), "--memory-limit", arguments.memory_limit]
            command += ["--threads", str(arguments.threads)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
