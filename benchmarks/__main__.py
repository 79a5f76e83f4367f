"""``python -m benchmarks``: run the benchmarks and show or save what they found."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    build,
    compaction,
    comparison,
    growth,
    landing,
    memory,
    merge,
    overhead,
    pruning,
    publish,
    report,
    run_catalog,
)
from benchmarks.report import Figure
from benchmarks.scale import SCALES, Scale

Benchmark = Callable[[Path, Scale], tuple[list[Figure], list[str]]]
BENCHMARKS: dict[str, Benchmark] = {
    module.NAME: module.run
    for module in (
        build,
        merge,
        growth,
        pruning,
        comparison,
        compaction,
        publish,
        overhead,
        memory,
        landing,
        run_catalog,
    )
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is named, everything by itself."""
    options = _options(arguments)
    figures: list[Figure] = []
    details: list[str] = []
    text, began = "", time.perf_counter()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        for name in options.names or BENCHMARKS:
            sys.stderr.write(f"{name} …\n")
            folder = Path(temporary) / name
            folder.mkdir()
            found, remarks = BENCHMARKS[name](folder, SCALES[options.scale])
            shutil.rmtree(folder)
            figures += found
            details += remarks
            minutes = (time.perf_counter() - began) / 60
            conditions = f"Scale {options.scale}, {minutes:.0f} minutes, on {report.machine()}."
            text = report.markdown(figures, details, conditions)
            if options.output:  # after each, so that an interruption leaves what was found
                report.save(options.output, text)
    if not options.output:
        sys.stdout.write(text)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by itself")
    parser.add_argument("--scale", choices=SCALES, default="small", help="how much is measured [small]")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where the generated data goes, and is removed",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="a file for the results; in one with a place for them, only that is written",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    return options


if __name__ == "__main__":
    main()
