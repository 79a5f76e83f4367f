"""Which tables the rows of each feed are divided between, by the project's own lineage, and whether they add up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.table import Table

from slipway.contracts.quarantine_retention import Retention
from slipway.dbt.configuration import OPERATORS
from slipway.dbt.keys.node_key import tables_read
from slipway.dbt.nodes import DbtManifest, DbtNode, is_inlined, table_of
from slipway.engines.duckdb.scan import Views
from slipway.errors import ConfigError
from slipway.iceberg.snapshots import current_content
from slipway.landing.books import Counted, count, feed_columns, has_places
from slipway.names import TableName
from slipway.records.conservation import Conservation, Limit, NotCounted
from slipway.records.run_manifest import RunManifest
from slipway.releases.publication import figures
from slipway.releases.table_state import read_state
from slipway.runs.pinned_tables import LANDING
from slipway.runs.run_inputs import RunInputs

Current = Callable[[TableName, str], str]
Published = Callable[[TableName], Table | None]
QUARANTINE = "quarantine"
"""The layer of tables with rows that a curated model refuses."""


@dataclass(frozen=True)
class Division:
    """The tables that the rows of a raw table are divided between, and the columns of which one row is kept; none for all."""

    raw: TableName
    curated: TableName
    quarantine: TableName
    key: Sequence[str] = ()
    limits: Sequence[Limit] = ()


@dataclass(frozen=True)
class Balance:
    """What was counted, and which raw tables were not."""

    counted: list[Conservation] = field(default_factory=list)
    not_counted: list[NotCounted] = field(default_factory=list)


def conservation(
    manifest: DbtManifest,
    inputs: RunInputs,
    views: Views,
    previous: RunManifest | None,
    columns: Mapping[str, Sequence[str]],
    current: Current,
    limits: Mapping[str, Sequence[Limit]],
    retentions: Mapping[str, Retention],
    looked_at: Collection[str],
    published: Published,
) -> Balance:
    """Rows landed = rows curated + rows quarantined + rows deduplicated + rows expired, for every feed.

    Args:
        manifest: dbt's manifest.
        inputs: the tables as the run leaves them.
        views: what they are read with.
        previous: the run before; what it counted on the same snapshots is not counted again.
        columns: feed to the columns of its contract. Raw may have more, of which typed rows know nothing.
        current: the condition for the rows of a raw table that models read, given the table in FROM; empty for all of them.
        limits: feed to the limits of its contract, which hold in addition to those of ``conserves``.
        retentions: feed to how long its rows stay in quarantine.
        looked_at: tables that the run brought up to date; a quarantine table that is none of them lets no row go.
        published: a table as it was when the run began.

    Raises:
        ConfigError: ``deduplicated_by`` names a column that the raw table does not have, or rows that have expired cannot be distinguished from lost ones, or
            would come back unasked.
        DamagedTableError: a table cannot be read.
    """
    found = Balance()
    for raw, divided in divisions(manifest, limits).items():
        for one in [divided] if isinstance(divided, str) else divided:
            answer = (
                one
                if isinstance(one, str)
                else _counted(
                    manifest,
                    one,
                    inputs,
                    views,
                    previous,
                    columns.get(raw[1], ()),
                    current,
                    retentions.get(raw[1]),
                    looked_at,
                    published,
                )
            )
            if isinstance(answer, Conservation):
                found.counted.append(answer)
            elif answer and inputs.own(raw) is not None:
                found.not_counted.append(NotCounted(raw=str(raw), reason=answer))
    return found


def divisions(
    manifest: DbtManifest, limits: Mapping[str, Sequence[Limit]]
) -> dict[TableName, list[Division] | str]:
    """How the rows of each raw table are divided, or why that is not known.

    A quarantine model says so in its config, ``conserves: {raw: …, curated: …}``. Where none does, a feed whose raw table is read by one
    quarantine table and by one other table is divided between these two. ``limits`` are those of contracts, by feed.
    Where none is about all rules together, not all rows may be refused.
    """
    found: dict[TableName, list[Division] | str] = {}
    for node in manifest.nodes.values():
        named = node.config.get("conserves") if node.resource_type == "model" else None
        if named:
            one = Division(
                TableName.parse(str(named["raw"])),
                TableName.parse(str(named["curated"])),
                table_of(node),
                _texts(named.get("deduplicated_by")),
                [
                    Limit(rule=rule, **_with_operator(bound))
                    for rule, bound in (named.get("limits") or {}).items()
                ],
            )
            known = found.setdefault(one.raw, [])
            assert isinstance(known, list)
            known.append(one)
    for raw, node in _raw_nodes(manifest):
        found.setdefault(raw, _derived(manifest, raw, node))
    return {
        raw: one if isinstance(one, str) else [_limited(part, limits) for part in one]
        for raw, one in found.items()
    }


def _limited(one: Division, limits: Mapping[str, Sequence[Limit]]) -> Division:
    """The same with all its limits. Where nothing is said of all rules together, they may not refuse every row.

    A wrong setting, such as a decimal comma that is not declared, refuses all rows at once, and readers would be left with an empty table.
    """
    found = [*one.limits, *limits.get(one.raw.name, ())]
    if not any(limit.rule == "*" for limit in found):
        found.append(Limit(rule="*", operator="mustBeLessThan", value=100, unit="percent"))
    return replace(one, limits=found)


def _raw_nodes(manifest: DbtManifest) -> Iterator[tuple[TableName, DbtNode]]:
    feeds = {unique_id for unique_id, source in manifest.sources.items() if source.schema == LANDING}
    for node in manifest.nodes.values():
        if node.resource_type == "model" and feeds & set(node.depends_on_nodes) and not is_inlined(node):
            yield table_of(node), node


def _derived(manifest: DbtManifest, raw: TableName, node: DbtNode) -> list[Division] | str:
    readers = [
        other
        for other in manifest.nodes.values()
        if other.resource_type in ("model", "snapshot")
        and not is_inlined(other)
        and node.unique_id in tables_read(manifest, other.unique_id)
    ]
    refused = [table_of(other) for other in readers if other.schema == QUARANTINE]
    taken = [table_of(other) for other in readers if other.schema != QUARANTINE]
    if len(refused) == len(taken) == 1:
        return [Division(raw, taken[0], refused[0])]
    if not readers:
        return "no table reads it"
    if not refused and len(taken) == 1:
        return f"no quarantine model reads it; to have its rows counted, add one for the rows that {taken[0]} leaves out"
    if not refused:
        return "no quarantine model reads it; to have its rows counted, add one that names raw and curated in conserves"
    return (
        f"several tables read it ({_names([*taken, *refused])}), so it is not clear which of them share its rows; name raw and curated"
        " in conserves of the quarantine model"
    )


def _counted(
    manifest: DbtManifest,
    division: Division,
    inputs: RunInputs,
    views: Views,
    previous: RunManifest | None,
    columns: Sequence[str],
    current: Current,
    retention: Retention | None,
    looked_at: Collection[str],
    published: Published,
) -> Conservation | str:
    names = (division.raw, division.curated, division.quarantine)
    raw, curated, bad = (inputs.own(name) for name in names)
    if raw is None or curated is None or bad is None:
        missing = [str(name) for name in names if inputs.own(name) is None]
        return f"{missing[0]} is not there yet"
    for name in names[1:]:
        if _is_behind(inputs, division.raw, name):
            return f"{name} was not built from all rows that {division.raw} has"
    if batched := [name for name in names[1:] if _is_batched(manifest, name)]:
        return f"{batched[0]} is built in batches, which need not be of all rows"
    key = _key(division, raw, columns)
    before, known = _earlier(names, previous), _counted_before(names, (raw, curated, bad), key, previous)
    if known and retention is None and known.retention_seconds is None:  # nothing is read for it
        return _again(known, division)
    source = views.scan(raw)
    condition = current(division.raw, source)
    shown = _where(source, condition)
    expiry = _Expiry.of(division, (raw, curated, bad), retention, shown, views)
    if str(division.quarantine) not in looked_at:
        expiry = replace(expiry, cutoff=read_state(bad).expired_before)
    if known and (known.expired_before, known.retention_seconds) == (expiry.cutoff, expiry.seconds):
        return _again(known, division)
    base = _Base(division, published, previous)
    returns_from = _check_returning(division, expiry, base.cutoff, before)
    landed, taken, refused = (figures(table)["rows"] or 0 for table in (raw, curated, bad))
    superseded = 0
    if condition:
        past = f"count(*) filter (where _source_line > 0 and not ({condition}))"
        ((landed, superseded),) = views.query(
            f"select count(*) filter (where {condition}), {past} from {source}"
        )
    rows = Counted("numbers", 0)
    if key:
        rows = count(raw, shown, (curated, bad), key, taken + refused, views, expiry.rows(shown))
    by_rule = _rows_by_rule(bad, views)
    return Conservation(
        raw=str(division.raw),
        curated=str(division.curated),
        quarantine=str(division.quarantine),
        landed=landed,
        superseded=superseded,
        curated_rows=taken,
        quarantined_rows=refused,
        deduplicated=landed - taken - refused - rows.expired,
        by_rule=by_rule,
        counted=rows.how,
        key=key,
        unaccounted=rows.unaccounted,
        doubled=rows.doubled,
        expired=rows.expired,
        newly_expired=rows.expired - base.expired(expiry, key, before, current, views),
        retention_seconds=expiry.seconds,
        expired_before=expiry.cutoff,
        overdue=expiry.overdue(bad, views) if str(division.quarantine) in looked_at else 0,
        returns_from=returns_from,
        limits=_measured(division.limits, by_rule, landed),
    )


def _key(division: Division, raw: Table, columns: Sequence[str]) -> list[str]:
    """The columns of raw whose values decide which rows are equal: those that are declared, else those of the feed."""
    named = {name.lower() for name in columns}
    of_feed = feed_columns(raw)
    key = list(division.key) or [name for name in of_feed if name.lower() in named] or of_feed
    if absent := sorted(set(key) - set(raw.schema().column_names)):
        raise ConfigError(
            f"{division.raw} has no column {absent[0]}",
            f"conserves of {division.quarantine} names it in deduplicated_by",
            f"Name columns of {division.raw} as they came in files",
        )
    return key


def _again(known: Conservation, division: Division) -> Conservation:
    """The count of the same tables by an earlier run, judged by the present limits."""
    measured = _measured(division.limits, known.by_rule, known.landed)
    return known.model_copy(update={"limits": measured, "newly_expired": 0, "returns_from": None})


@dataclass(frozen=True)
class _Expiry:
    """Which rows of a feed have expired: those that break a rule and landed before ``cutoff``; none without it."""

    retention: Retention | None = None
    cutoff: datetime | None = None

    @classmethod
    def of(
        cls, division: Division, tables: Sequence[Table], retention: Retention | None, raw: str, views: Views
    ) -> _Expiry:
        """Raises ConfigError if the tables do not say file and line of their rows, and when these landed."""
        if retention is None:
            return cls()
        if not has_places(tables) or "_landed_at" not in tables[-1].schema().column_names:
            raise ConfigError(
                f"Rows of {division.raw} that have expired cannot be distinguished from lost ones",
                f"quarantineRetention of {retention.contract.origin} needs _file_sha256 and _source_line in {division.curated} and {division.quarantine}, and "
                "_landed_at in the latter",
                "Add these columns to the models, or remove quarantineRetention",
            )
        ((cutoff,),) = views.query(f"select epoch_us({retention.cutoff_sql(raw)})")
        return cls(retention, None if cutoff is None else _EPOCH + timedelta(microseconds=cutoff))

    def rows(self, raw: str) -> str:
        """The rows in FROM, those that are still in quarantine included; empty where there are none."""
        if self.retention is None or self.cutoff is None:
            return ""
        return f"(select * from ({self.retention.broken_sql(raw)}) where {self._past})"

    def overdue(self, quarantine: Table, views: Views) -> int:
        """How many rows of a quarantine table should have gone."""
        if self.cutoff is None:
            return 0
        ((rows,),) = views.query(f"select count(*) from {views.scan(quarantine)} where {self._past}")
        return int(rows)

    @property
    def seconds(self) -> float | None:
        """The retention."""
        return self.retention.duration.total_seconds() if self.retention else None

    @property
    def _past(self) -> str:
        return f"_landed_at < timestamptz '{self.cutoff}'"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _check_returning(
    division: Division, expiry: _Expiry, earlier: datetime | None, before: Conservation | None
) -> datetime | None:
    """The time before which rows had expired in the published table, if it is later than the present one and an as_of asks for that.

    Args:
        division: the tables.
        expiry: of the run.
        earlier: the time that the published quarantine table states.
        before: what the run before counted; a rollback or a promotion may have brought another table since.

    Returns:
        The time; None if it is not later, or if the contract had another retention then.

    Raises:
        ConfigError: it is later, and nobody asked for that.
    """
    cutoff, retention = expiry.cutoff, expiry.retention
    if retention is None or earlier is None or cutoff is None or cutoff >= earlier:
        return None
    if before and before.expired_before == earlier and before.retention_seconds != expiry.seconds:
        return None
    if retention.as_of is None:
        raise ConfigError(
            f"Rows of {division.quarantine} that had expired would come back",
            f"when it was built, rows had expired that landed before {earlier:%Y-%m-%d %H:%M:%S} UTC; without as_of it is the newest row of {division.raw} from which "
            f"the retention counts back, to {cutoff:%Y-%m-%d %H:%M:%S} UTC",
            "Give an as_of to every run, by --vars or in dbt_project.yml",
        )
    return earlier


def _where(source: str, condition: str) -> str:
    return f"(select * from {source} where {condition})" if condition else source


@dataclass(frozen=True)
class _Base:
    """The tables of a feed as they were when the run began, which need not be those of the run before: a rollback or a promotion may have brought others."""

    division: Division
    published: Published
    previous: RunManifest | None

    @property
    def cutoff(self) -> datetime | None:
        """The time before which rows had expired when the quarantine table was built."""
        return read_state(self.published(self.division.quarantine)).expired_before

    def expired(
        self,
        expiry: _Expiry,
        key: Sequence[str],
        before: Conservation | None,
        current: Current,
        views: Views,
    ) -> int:
        """How many rows had expired: as the run before counted, if its tables are there, else counted by the present rules."""
        names = (self.division.raw, self.division.curated, self.division.quarantine)
        tables = [table for name in names if (table := self.published(name)) is not None]
        if len(tables) < len(names):
            return 0
        raw, *outputs = tables
        if self.previous and before and was_read_by(self.previous, str(names[-1]), outputs[-1]):
            return before.expired
        source = views.scan(raw)
        shown = _where(source, current(self.division.raw, source))
        placed = sum(figures(table)["rows"] or 0 for table in outputs)
        past = replace(expiry, cutoff=self.cutoff).rows(shown)
        return count(raw, shown, outputs, key, placed, views, past).expired if past else 0


def _measured(limits: Sequence[Limit], by_rule: Mapping[str, int], landed: int) -> list[Limit]:
    total = sum(by_rule.values())
    return [
        one.model_copy(
            update={"rows": total if one.rule == "*" else by_rule.get(one.rule, 0), "landed": landed}
        )
        for one in limits
    ]


def _with_operator(bound: Mapping[str, Any]) -> dict[str, Any]:
    """A limit as YAML has it, ``{mustBeLessThan: 5, unit: percent}``, as the record has it."""
    ((operator, value),) = [(key, bound[key]) for key in OPERATORS if key in bound]
    return {"operator": operator, "value": value} | {
        key: bound[key] for key in ("unit", "severity") if key in bound
    }


def _counted_before(
    names: Sequence[TableName], tables: Sequence[Table], key: list[str], previous: RunManifest | None
) -> Conservation | None:
    """What the run before counted on the same snapshots."""
    if previous is None or not all(
        was_read_by(previous, str(name), table) for name, table in zip(names, tables, strict=True)
    ):
        return None
    found = _earlier(names, previous)
    return found if found and found.key == key and found.counted else None


def _earlier(names: Sequence[TableName], previous: RunManifest | None) -> Conservation | None:
    """What the run before counted of the same tables, with whatever rows they had."""
    asked = tuple(map(str, names))
    found = previous.conservation if previous else []
    return next((item for item in found if (item.raw, item.curated, item.quarantine) == asked), None)


def _rows_by_rule(table: Table, views: Views) -> dict[str, int]:
    """Quarantined rows by rule; none of a table that does not say which rule."""
    if "rule_id" not in table.schema().column_names:
        return {}
    rows = views.query(f"select rule_id, count(*) from {views.scan(table)} group by all order by all")
    return {str(rule): int(number) for rule, number in rows}


def _is_behind(inputs: RunInputs, raw: TableName, name: TableName) -> bool:
    """Whether rows have come into raw since a table was built from it, directly or through others."""
    table = inputs.own(raw)
    now = (current_content(table) if table is not None else None) or "none"
    waiting, visited = [name], {name}
    while waiting:
        table = inputs.own(waiting.pop())
        for upstream, content in read_state(table).inputs.items() if table is not None else ():
            if upstream.count(".") != 1:
                continue
            other = TableName.parse(upstream)
            if other == raw:
                if content != now:
                    return True
            elif other not in visited and other.layer != LANDING:
                visited.add(other)
                waiting.append(other)
    return False


def _is_batched(manifest: DbtManifest, name: TableName) -> bool:
    return any(
        node.config.get("incremental_strategy") == "microbatch"
        for node in manifest.nodes.values()
        if node.resource_type == "model" and table_of(node) == name
    )


def was_read_by(run: RunManifest, name: str, table: Table) -> bool:
    """Whether a run looked at the snapshot that is current now: it may have begun earlier than one published before it."""
    current = table.current_snapshot()
    return (str(current.snapshot_id) if current else None) in run.snapshots_of(name)


def _texts(value: Any) -> list[str]:
    return [str(one) for one in ([value] if isinstance(value, str) else value or ())]


def _names(tables: Sequence[TableName]) -> str:
    return ", ".join(sorted(map(str, tables)))
