"""What the two sides of a comparison name: releases, runs, targets, tables and files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from slipway.comparison.former_names import renamed_tables
from slipway.environments.profiles import Profile
from slipway.errors import DamagedError, NotFoundError, UsageError
from slipway.names import TableName
from slipway.records.release_records import Release
from slipway.records.run_manifest import Outcome
from slipway.records.store import Records
from slipway.releases.cut import Cut, TableVersion
from slipway.releases.lookup import find_run
from slipway.releases.published import OUTSIDE, Published

FORMS = (
    "a release (41 or release-41), the release that readers saw at a time (@yesterday, @2026-11-29), a run id, a target, "
    "a table (layer.table), or a CSV or Parquet file"
)
_RELEASE = re.compile(r"(?:release-)?(\d+)")
_FILE = re.compile(r".*\.(csv|tsv|parquet)(\.(gz|zst))?", re.IGNORECASE | re.DOTALL)
_DAYS_AGO = {"today": 0, "yesterday": 1}


@dataclass(frozen=True)
class NamedTables:
    """Tables of an environment as they stood together.

    Args:
        label: what they are called in the report.
        published: the environment.
        cut: the tables.
        single: the only one that is meant, ``layer.table``; None for all of them.
        is_part: other tables may not be there because a run did not build them.
        run_id: the run whose dbt manifest describes them.
        record: of the release, None when they are of none.
    """

    label: str
    published: Published
    cut: Cut
    single: str | None = None
    is_part: bool = False
    run_id: str | None = None
    record: Release | None = None

    @property
    def names(self) -> set[str]:
        """``layer.table`` of all that releases publish."""
        return {name for name in self.cut.tables if TableName.parse(name).layer not in OUTSIDE}


@dataclass(frozen=True)
class NamedFile:
    """A file with the rows of one table."""

    label: str
    path: str


Named = NamedTables | NamedFile


def resolve(profile: Profile, target: str | None, text: str, now: datetime) -> Named:
    """What a reference names.

    Args:
        profile: the project's.
        target: the environment of references that do not begin with another one, as in ``prod:41``.
        text: the reference.
        now: what ``@yesterday`` is counted from.

    Raises:
        NotFoundError: there is no such release, run, table or file.
        UsageError: it is none of these.
    """
    if _FILE.fullmatch(text):
        if "://" not in text and not Path(text).is_file():
            raise NotFoundError(
                f"There is no file {text}", "it is compared as a file, by its name", "Check the path"
            )
        return NamedFile(text, text)
    given, colon, rest = text.partition(":")
    if colon and given in profile.targets:
        return resolve(profile, given, rest, now)
    if text in profile.targets:
        return _now(Published(profile.environment(text)))
    published = Published(profile.environment(target))
    if text.startswith("@"):
        return _published_at(published, text, now)
    if found := _RELEASE.fullmatch(text):
        return _of_release(published, published.record(int(found[1])))
    if "." in text:
        return _table(profile, published, text)
    if not text.strip():
        raise UsageError("A side of the comparison is empty", "nothing is named", f"Name {FORMS}")
    return _run(published, text)


def _now(published: Published) -> NamedTables:
    cut, last = published.now(), published.records.last_release()
    number = f", release {last.number}" if last else ""
    run_id = _describing(published.records, last) if last else None
    return NamedTables(f"{cut.label} now{number}", published, cut, run_id=run_id, record=last)


def _describing(records: Records, last: Release) -> str:
    """The newest run whose code makes what readers see: one that changed no table is no release, but may declare something else."""
    for run_id in records.run_ids():
        if run_id <= last.run_id:
            break
        with suppress(DamagedError):  # an earlier description serves as well
            manifest = records.manifest(run_id)
            if manifest and manifest.outcome is Outcome.UNCHANGED and records.dbt_manifest(run_id):
                return run_id
    return last.run_id


def _of_release(published: Published, release: Release) -> NamedTables:
    cut = published.cut_of(release)
    label = f"{cut.label}, {release.published_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return NamedTables(label, published, cut, run_id=release.run_id, record=release)


def _published_at(published: Published, text: str, now: datetime) -> NamedTables:
    moment = _moment(text, now)
    return _of_release(published, published.record_as_of(moment))


def _moment(text: str, now: datetime) -> datetime:
    """The moment of ``@…``; a day means its end, so that the release is the last one that its readers saw."""
    said = text.removeprefix("@")
    try:
        if said in _DAYS_AGO:
            day = now.astimezone(UTC).date() - timedelta(days=_DAYS_AGO[said])
        elif re.fullmatch(r"\d{4}-\d{2}-\d{2}", said):
            day = date.fromisoformat(said)
        else:
            found = datetime.fromisoformat(said)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text} is not a time",
            "after @ comes today, yesterday, a day or a time in ISO 8601",
            "Write @yesterday, @2026-11-29 or @2026-11-29T06:00",
        ) from None
    return datetime.combine(day, time.max, UTC)


def _table(profile: Profile, published: Published, text: str) -> NamedTables:
    given, _, rest = text.partition(".")
    if given in profile.targets and "." in rest:
        published, text = Published(profile.environment(given)), rest
    found = _now(published)
    if text not in found.names:
        raise NotFoundError(
            f"{published.environment.name} has no table {text}", "it is not published", found.cut.hint(text)
        )
    return replace(found, label=f"{text} of {found.label}", single=text)


def _run(published: Published, text: str) -> NamedTables:
    try:
        found = find_run(published.environment, text)
    except NotFoundError as error:
        if "not unique" in error.what:
            raise
        raise NotFoundError(
            f"{text} names nothing that can be compared", error.line(), f"Name {FORMS}"
        ) from None
    at = Published(found.records.environment)
    cut = at.candidate(found.run_id, with_inputs=False)
    return NamedTables(cut.label, at, cut, is_part=True, run_id=found.run_id)


@dataclass(frozen=True)
class Pairing:
    """Which tables are compared with which.

    Args:
        names: the name of each comparison, with the table of base and of head, None where a side does not have it; a file has no
            table, so that its side is None, too.
        left_out: tables that are not compared, because a run did not build them.
        said: names of comparisons of which a model says that the table had another name in base.
    """

    names: Sequence[tuple[str, str | None, str | None]]
    left_out: Sequence[str] = ()
    said: Collection[str] = ()


def pair(
    base: Named, head: Named, patterns: Sequence[str], former: Mapping[str, str] | None = None
) -> Pairing:
    """Pair the tables of two sides; one that has another name on the other side is paired under its name in head.

    Args:
        base: the side before.
        head: the side after.
        former: ``layer.table`` to the name that it had before, as models say.
        patterns: tables, ``layer.table`` or patterns such as ``serving.*``; none for all of them.

    Raises:
        NotFoundError: neither side has a table that is named.
        UsageError: a file or a single table stands against several tables, or tables are named for two of which each is one.
    """
    singles = [side for side in (base, head) if isinstance(side, NamedFile) or side.single]
    if singles:
        return _pair_of_one(base, head, patterns, singles)
    assert isinstance(base, NamedTables)
    assert isinstance(head, NamedTables)
    there, here = base.names, head.names
    base_files, head_files = (
        {name: side.cut.tables[name].metadata_location for name in side.names} for side in (base, head)
    )
    renamed = renamed_tables(base_files, head_files, former or {})
    new = {old: name for name, (old, _) in renamed.items()}
    wanted = _matching(patterns, base, head) if patterns else there | here
    wanted = {new.get(name, name) for name in wanted}
    parts = [side.names for side in (base, head) if side.is_part]
    before = {name: renamed[name][0] if name in renamed else name for name in wanted}
    built = {name for name in wanted if all(name in part or before[name] in part for part in parts)}
    return Pairing(
        [
            (name, before[name] if before[name] in there else None, name if name in here else None)
            for name in sorted(built)
        ],
        sorted(wanted - built),
        {name for name in built if name in renamed and renamed[name][1]},
    )


def _matching(patterns: Sequence[str], base: NamedTables, head: NamedTables) -> set[str]:
    known, found = base.names | head.names, set()
    for pattern in patterns:
        matching = {name for name in known if fnmatchcase(name, pattern)}
        if not matching:
            raise NotFoundError(
                f"Neither {base.label} nor {head.label} has a table {pattern}",
                "the name is layer.table, or a pattern such as serving.*",
                Cut("", {name: TableVersion("") for name in known}).hint(pattern),
            )
        found |= matching
    return found


def _pair_of_one(base: Named, head: Named, patterns: Sequence[str], singles: Sequence[Named]) -> Pairing:
    many = next((side for side in (base, head) if side not in singles), None)
    if many is None:
        if patterns:
            raise UsageError(
                f"{base.label} and {head.label} are one table each",
                f"{', '.join(patterns)} is named as well",
                "Leave it out",
            )
        sides = [None if isinstance(side, NamedFile) else side.single for side in (base, head)]
        return Pairing([(sides[1] or sides[0] or head.label, sides[0], sides[1])])
    assert isinstance(many, NamedTables)
    own = next((side.single for side in singles if isinstance(side, NamedTables)), None)
    wanted = list(patterns) or ([own] if own else [])
    if len(wanted) != 1:
        raise UsageError(
            f"{singles[0].label} is one table, and {many.label} has several",
            "it is not clear which one it is compared with",
            f"Name one table after the two sides, such as {min(many.names, default='serving.orders')}",
        )
    if wanted[0] not in many.names:
        raise NotFoundError(f"{many.label} has no table {wanted[0]}", fix=many.cut.hint(wanted[0]))
    sides = [
        wanted[0] if side is many else None if isinstance(side, NamedFile) else side.single
        for side in (base, head)
    ]
    return Pairing([(wanted[0], sides[0], sides[1])])


def described_by(sides: Sequence[Named]) -> list[tuple[Records, str]]:
    """Records and run ids whose dbt manifest describes the tables of some sides, the best description first."""
    tables = [side for side in reversed(sides) if isinstance(side, NamedTables) and side.run_id]
    return [(side.published.records, side.run_id) for side in tables if side.run_id]
