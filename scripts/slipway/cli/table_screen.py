"""Where a table comes from, explained on one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from slipway.cli import figures, output
from slipway.counts import plural
from slipway.records.node_results import Status
from slipway.runs.origin import UNVERSIONED

if TYPE_CHECKING:
    from slipway.runs.origin import Source, TableOrigin, Tested


_HEADERS = ("comes from", "rows", "snapshot", "run", "commit", "note")
_OPTIONAL = ("commit", "snapshot")


def show(origin: TableOrigin) -> None:
    """Print how a published table came to be."""
    source = origin.sources[0]
    rows, files = plural(source.rows or 0, "row"), plural(source.files or 0, "file")
    output.line(f"{origin.table} in {origin.target}: {rows} in {files}, {figures.size(source.bytes_total)}")
    output.fields(_circumstances(origin, source))
    output.result("")
    output.table(_HEADERS, list(_tree(origin)), right=("rows", "snapshot"), optional=_OPTIONAL)
    _files(origin)
    _tests(origin.tested)
    output.result("")
    described = [
        (c.name, c.type, "" if c.required else "yes", figures.one_line(c.description)) for c in origin.columns
    ]
    output.table(("column", "type", "null", "description"), described, optional=("description",))


def record(origin: TableOrigin) -> dict[str, Any]:
    """The same for ``--output json``."""
    tested = [
        {**asdict(run), "tests": [test.model_dump(mode="json") for test in run.tests]}
        for run in origin.tested
    ]
    return {**asdict(origin), "tested": tested}


def _circumstances(origin: TableOrigin, source: Source) -> Iterator[tuple[str, str]]:
    if origin.description:
        yield "what", figures.one_line(origin.description)
    if origin.release is None:
        yield "release", "none: it is written outside releases"
    else:
        is_latest = origin.release == origin.latest_release
        same = "" if is_latest else f", the same up to release {origin.latest_release}"
        yield "release", f"{origin.release}, published {figures.moment(origin.released_at)} UTC{same}"
        yield "signed by", origin.signature
    if origin.promoted:
        yield "promoted", f"it is of {origin.promoted}"
        if origin.approved_by:
            yield "approved", f"by {origin.approved_by}"
    if made := origin.runs.get(source.run_id or ""):
        yield "run", made.run_id
        yield "by", f"{made.who} on {made.host}: {' '.join(made.command)}"
        dirty = made.dirty and bool(made.commit)
        yield "commit", figures.code(made.commit or "none", made.branch, dirty=dirty)
    else:
        yield "run", source.run_id or "unknown: another tool wrote it"
    if origin.stale:
        yield "stale", origin.stale
    elif len(origin.made_by) > 1:
        yield "made by", f"{len(origin.made_by)} definitions, which is intended: {origin.kept}"
    written = figures.moment(source.written_at)
    yield "snapshot", f"{source.version}, written {written} UTC ({source.operation}){_by(source)}"
    yield "metadata", origin.metadata_location


def _tree(origin: TableOrigin) -> Iterator[tuple[str, ...]]:
    """The sources below what was built from them; each is unfolded once."""
    known = {(source.table, source.version): source for source in origin.sources}
    landed = {f"landing.{files.feed}": files for files in origin.files}
    listed: set[tuple[str, str]] = set()

    def rows(key: tuple[str, str], depth: int) -> Iterator[tuple[str, ...]]:
        source, name = known[key], "  " * depth + key[0]
        if files := landed.get(key[0]):
            yield name, figures.number(files.rows), "", "", "", plural(files.files, "file")
            return
        made, note = origin.runs.get(source.run_id or ""), _note(source, repeated=key in listed)
        commit = figures.commit(made.commit, made.dirty) if made else ""
        yield name, figures.number(source.rows), key[1], source.run_id or "", commit, note
        if key not in listed:
            listed.add(key)
            for item in sorted(source.inputs.items(), key=lambda item: figures.by_layer(item[0])):
                yield from rows(item, depth + 1)

    return rows((origin.sources[0].table, origin.sources[0].version), 0)


def _note(source: Source, *, repeated: bool) -> str:
    if source.table.startswith("landing."):
        return ""
    if source.version.startswith(UNVERSIONED):
        return "has no versions"
    if source.written_at is None:
        return "of another environment" if source.table.count(".") > 1 else "no longer known"
    notes = [] if source.is_published else ["published is newer"]
    notes += [f"by {source.engine}"] if _by(source) else []
    return ", ".join([*notes, *(["as above"] if repeated and source.inputs else [])])


def _by(source: Source) -> str:
    """What computed it, if it is not DuckDB."""
    from slipway.engines.writers import DUCKDB

    return f", computed by {source.engine}" if source.engine not in ("", DUCKDB) else ""


def _files(origin: TableOrigin) -> None:
    for files in origin.files:
        output.line(
            f"\nlanded files of {files.feed} in {files.table}: {files.files:,} with {plural(files.rows, 'row')}, the newest are"
        )
        for file in files.newest:
            landed = f", landed {figures.moment(file.landed_at)} UTC" if file.landed_at else ""
            output.line(f"  {file.file}: {plural(file.rows, 'row')}{landed}, sha256 {file.sha256[:12]}…")


def _tests(tested: list[Tested]) -> None:
    if not any(run.tests for run in tested):
        output.line("\ntests: none")
    for number, run in enumerate(tested):
        if not run.tests:
            continue
        counted = Counter(test.status for test in run.tests)
        carried = sum(test.carried for test in run.tests)
        parts = [f"{count} {status}" for status, count in sorted(counted.items())]
        parts += [f"{carried} of them carried"] if carried else []
        which = f"tests in run {run.run_id} ({run.outcome})" if number else "tests in the run that wrote it"
        output.line(f"\n{which}: {', '.join(parts)}")
        for test in sorted(run.tests, key=lambda test: (test.status is Status.PASS, test.unique_id)):
            if test.status is not Status.PASS:
                why = f": {figures.one_line(test.explanation, 400)}" if test.explanation else ""
                output.line(f"  {test.status}  {test.name}{why}")
            elif number == 0:
                output.line(f"  {test.status}  {test.name}")
