"""What must be true of an environment after anything: checked only with pyiceberg, pyarrow, SQL and JSON, without slipway.

A finding is a sentence. None is a warehouse in which every release is whole.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from pyiceberg.table import StaticTable

if TYPE_CHECKING:
    from pathlib import Path

RAW, CURATED, QUARANTINE, SERVING = (
    "raw.parcels",
    "curated.weights",
    "quarantine.weights",
    "serving.depot_weights",
)
Locations = Mapping[str, str]


@dataclass
class Store:
    """A warehouse as others read it.

    Args:
        catalog: what the catalog names at this moment, ``schema.table`` to metadata file, without the ledger.
        properties: how pyiceberg reads the files.
        names: keys of all objects below a folder of the warehouse.
        read: one object.
        size: bytes of the file at a location.
    """

    catalog: Callable[[], Locations]
    names: Callable[[str], list[str]]
    read: Callable[[str], bytes]
    size: Callable[[str], int]
    properties: Mapping[str, str]

    def table(self, location: str) -> StaticTable:
        return StaticTable.from_metadata(location, dict(self.properties))

    def records(self, suffix: str) -> dict[int, Any]:
        """Records of publications by their number; each of them parses."""
        found = {}
        for key in self.names("_slipway/releases"):
            name = key.rsplit("/", 1)[-1]
            if name.endswith(suffix) and not name.startswith("."):
                found[int(name.split(".")[0])] = json.loads(self.read(key)) if suffix != ".withdrawn" else {}
        return found


def local_store(warehouse: Path, catalog: Callable[[], Locations]) -> Store:
    """A warehouse in a folder."""
    from pathlib import Path as Folder

    def names(prefix: str) -> list[str]:
        return [
            path.relative_to(warehouse).as_posix()
            for path in (warehouse / prefix).rglob("*")
            if path.is_file()
        ]

    return Store(
        catalog,
        names,
        lambda key: (warehouse / key).read_bytes(),
        lambda location: Folder(location.removeprefix("file://")).stat().st_size,
        {},
    )


@dataclass(frozen=True)
class Landed:
    """What the files that landed say, read as plain CSV.

    Args:
        files: sha256 to parsed rows, in which an empty value is none; a content that landed twice is one.
    """

    files: Mapping[str, tuple[tuple[str | None, ...], ...]]

    @classmethod
    def of(cls, contents: list[bytes]) -> Landed:
        return cls(
            {
                hashlib.sha256(content).hexdigest(): tuple(
                    tuple(value or None for value in row)
                    for row in list(csv.reader(content.decode().splitlines()))[1:]
                )
                for content in contents
            }
        )

    @cached_property
    def content(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """What the tables show when every file is ingested, table to rows."""
        rows = [row for file in self.files.values() for row in file]
        good = [(row, weight) for row in rows if (weight := _number(row[3])) is not None]
        parcels: Counter[str | None] = Counter()
        total: dict[str | None, Decimal] = {}
        for row, weight in good:
            parcels[row[1]] += 1
            total[row[1]] = total.get(row[1], Decimal(0)) + weight
        return {
            RAW: Counter(rows),
            CURATED: Counter((*row[:3], weight) for row, weight in good),
            QUARANTINE: Counter((row[0], row[3]) for row in rows if _number(row[3]) is None),
            SERVING: Counter((depot, parcels[depot], total[depot]) for depot in total),
        }


def _number(text: str | None) -> Decimal | None:
    try:
        return Decimal(text or "").quantize(Decimal("0.001"))
    except InvalidOperation:
        return None


COLUMNS = {
    RAW: ("parcel", "depot", "weighed_on", "kg"),
    CURATED: ("parcel", "depot", "weighed_on", "kg"),
    QUARANTINE: ("parcel", "kg"),
    SERVING: ("depot", "parcels", "kg"),
}


def content(store: Store, locations: Locations) -> dict[str, Counter[tuple[Any, ...]]]:
    """What the tables show."""
    found = {}
    for name, columns in COLUMNS.items():
        rows = store.table(locations[name]).scan(selected_fields=columns).to_arrow().to_pylist()
        found[name] = Counter(
            tuple(str(row[c]) if c == "weighed_on" else row[c] for c in columns) for row in rows
        )
    return found


def findings(store: Store, landed: Landed, before: Locations, releases: int = 1) -> list[str]:
    """What is wrong with an environment in which commands were asked to publish, and perhaps were killed.

    Args:
        store: the environment.
        landed: everything that ever landed.
        before: what the catalog named before.
        releases: how many may have been published since.
    """
    now = store.catalog()
    found = [*_whole(store, now, before, releases)]
    for name, location in now.items():
        found += _files(store, name, location)
    if now:
        found += _rows(store, now, landed)
    return found + _recorded(store, now)


def _whole(store: Store, now: Locations, before: Locations, releases: int) -> list[str]:
    """The catalog names what it named before, or that and every table of one publication after the other."""
    if now == before:
        return []
    intents = store.records(".publishing")
    for chosen in itertools.chain.from_iterable(
        itertools.permutations(intents, count) for count in range(1, releases + 1)
    ):
        shown = dict(before)
        for number in chosen:
            tables = intents[number]["tables"]
            if any(shown.get(name) != move["base"] for name, move in tables.items()):
                break
            shown |= {name: move["metadata_location"] for name, move in tables.items()}
        else:
            if shown == now:
                last = intents[chosen[-1]]
                return _tags(store, now, set(last["tables"]), f"release-{chosen[-1]}", last)
    moved = {name for name in {*now, *before} if now.get(name) != before.get(name)}
    return [f"{sorted(moved)} moved, and that is no release"]


def _tags(store: Store, now: Locations, moved: set[str], tag: str, intent: Any) -> list[str]:  # noqa: ANN401
    """Tables that moved together carry the tag, and say the same run, unless their content is as it was."""
    found = []
    for name in sorted(moved):
        table = store.table(now[name])
        current = table.current_snapshot()
        ref = table.metadata.refs.get(tag)
        if current is None or ref is None or ref.snapshot_id != current.snapshot_id:
            found.append(f"{name} does not carry {tag} on its current snapshot")
            continue
        summary = current.summary.additional_properties if current.summary else {}
        own = [name for name in table.metadata.refs if name.startswith("release-")]
        is_new = sum(table.metadata.refs[name].snapshot_id == current.snapshot_id for name in own) == 1
        if is_new and not intent["rolls_back"] and summary.get("slipway.run-id") != intent["run_id"]:
            found.append(f"{name} is of run {summary.get('slipway.run-id')}, not {intent['run_id']}")
    return found


def _files(store: Store, name: str, location: str) -> list[str]:
    """Every data file of the current snapshot is there with the size and the rows that the metadata tell."""
    table, found, rows = store.table(location), [], 0
    for task in table.scan().plan_files():
        file = task.file
        rows += file.record_count
        try:
            size = store.size(file.file_path)
        except (FileNotFoundError, KeyError):
            found.append(f"{name}: {file.file_path} is not there")
            continue
        if size != file.file_size_in_bytes:
            found.append(f"{name}: {file.file_path} has {size} bytes, not {file.file_size_in_bytes}")
            continue
        with table.io.new_input(file.file_path).open() as stream:
            held = pq.ParquetFile(stream).metadata.num_rows
        if held != file.record_count:
            found.append(f"{name}: {file.file_path} has {held} rows, not {file.record_count}")
    current = table.current_snapshot()
    total = current.summary["total-records"] if current and current.summary else "0"
    return [*found, *([] if int(total or 0) == rows else [f"{name}: {rows} rows, and it says {total}"])]


def _rows(store: Store, now: Locations, landed: Landed) -> list[str]:
    """Files are ingested whole and once, and every row is in one place."""
    raw = store.table(now[RAW]).scan().to_arrow().to_pylist()
    held: dict[str, Counter[tuple[str | None, ...]]] = {}
    lines = Counter((row["_file_sha256"], row["_source_line"]) for row in raw)
    for row in raw:
        held.setdefault(row["_file_sha256"], Counter())[tuple(row[c] for c in COLUMNS[RAW])] += 1
    found = [f"a line was ingested {count} times: {line}" for line, count in lines.items() if count > 1]
    for sha, rows in held.items():
        if sha not in landed.files:
            found.append(f"a file {sha} was ingested that never landed")
        elif rows != Counter(landed.files[sha]):
            found.append(f"file {sha} was ingested in part: {rows.total()} of {len(landed.files[sha])} rows")
    expected = Landed({sha: landed.files[sha] for sha in held if sha in landed.files}).content
    return found + [
        f"{name} does not show what {RAW} holds: {rows - expected[name]} too much, {expected[name] - rows} missing"
        for name, rows in content(store, now).items()
        if rows != expected[name]
    ]


def _recorded(store: Store, now: Locations) -> list[str]:
    """Records parse; what they name is there; the last one is what is shown, unless one is still to be recorded."""
    releases, intents, withdrawn = (store.records(s) for s in (".json", ".publishing", ".withdrawn"))
    found = [
        f"release {number} is recorded, and its intent is not" for number in releases.keys() - intents.keys()
    ]
    found += [f"release {number} is recorded and withdrawn" for number in releases.keys() & withdrawn.keys()]
    for number, release in releases.items():
        for name, table in release["tables"].items():
            if name in intents[number]["tables"] and (
                table["metadata_location"] != intents[number]["tables"][name]["metadata_location"]
            ):
                found.append(f"release {number} records another state of {name} than it published")
    last = releases[max(releases, key=lambda n: str(releases[n]["published_at"]))] if releases else None
    recorded = {name: table["metadata_location"] for name, table in last["tables"].items()} if last else {}
    if recorded != now:
        waiting = [
            intents[number]["tables"] for number in intents.keys() - releases.keys() - withdrawn.keys()
        ]
        if not any(
            now == {**recorded, **{name: move["metadata_location"] for name, move in tables.items()}}
            for tables in waiting
        ):
            found.append("the last release record is not what is shown, and no intent explains it")
    return found


def unfinished(store: Store) -> list[str]:
    """What a run that ended well must not leave: publications without a record, or tables other than recorded."""
    now = store.catalog()
    releases = store.records(".json")
    last = releases[max(releases, key=lambda number: str(releases[number]["published_at"]))]
    recorded = {name: table["metadata_location"] for name, table in last["tables"].items()}
    return [] if recorded == now else ["what is shown is not recorded after a run that ended well"]
