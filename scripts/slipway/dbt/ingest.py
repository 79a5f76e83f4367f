"""What a raw model reads of the landing area: the accepted files that its table does not hold yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slipway.dbt.keys.node_key import tables_read
from slipway.errors import ConfigError, NotFoundError
from slipway.landing.land import outstanding
from slipway.landing.ledger import contents_key
from slipway.names import TableName
from slipway.records.run_manifest import LandedFile, Outstanding
from slipway.releases.table_state import read_state

if TYPE_CHECKING:
    from slipway.dbt.session import Session


@dataclass(frozen=True)
class Offer:
    """What a run gives its raw model of one feed.

    Args:
        files: what the model reads.
        key: changes when and only when there is something else to read.
        missing: accepted files that raw does not hold, and that cannot be read any more.
        lost: those of them that raw holds, and that writing it anew would take from it.
    """

    files: Sequence[LandedFile]
    key: str
    missing: Sequence[LandedFile] = field(default=())
    lost: Sequence[LandedFile] = field(default=())


class Intake:
    """What one run takes from the landing area.

    Args:
        session: the run.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._offers: dict[str, Offer] = {}
        self.outstanding: list[Outstanding] = []
        """What is in the landing area, or was, and not in raw; empty where the run does not look at it."""

    def begin(self) -> list[LandedFile]:
        """Check what is new in the landing area and enter it in the ledger; returns the new entries."""
        session, now = self._session, datetime.now(UTC)
        new = session.landing.land(
            session.views.cursor, session.request.run_id, now, lambda feed: ingested(session, feed)
        )
        self._offers.clear()
        self.outstanding = outstanding(session.landing, lambda feed: self.offer(feed).missing)
        return new

    def offer(self, feed: str) -> Offer:
        """What the raw model of a feed reads, decided once."""
        with self._session.lock:
            if feed not in self._offers:
                self._offers[feed] = make_offer(self._session, feed)
            return self._offers[feed]

    def decide_again(self, feed: str) -> None:
        """Offer the files of a feed that are still what they were, and tell of the others."""
        with self._session.lock:
            self._offers.pop(feed)
            self.outstanding = outstanding(self._session.landing, lambda one: self.offer(one).missing)


def make_offer(session: Session, feed: str) -> Offer:
    """Decide what the raw model of a feed reads in this run; nothing where it is pinned to what is published."""
    raw = TableName("raw", feed)
    accepted = session.landing.ledger.accepted(feed)
    contents = {sha for sha, entry in accepted.items() if entry.rows}
    if session.whole_input(raw) is not None:
        return Offer([], contents_key(contents))
    table = session.base(raw)
    anew = table is None or is_replaced(session.manifest, raw)
    known = ingested(session, feed) if table is not None else ()
    pending = contents if anew else contents.difference(known)
    files, missing = session.landing.find(feed, pending)
    left_out = pending.difference(entry.sha256 for entry in files)
    return Offer(
        files,
        contents_key(contents - left_out),
        [entry for entry in missing if entry.sha256 not in known],
        [entry for entry in missing if entry.sha256 in known],
    )


def ingested(session: Session, feed: str) -> Collection[str]:
    """Checksums of the contents that the published raw table of a feed holds."""
    table = session.base(TableName("raw", feed))
    if table is None:
        return ()
    accepted = session.landing.ledger.accepted(feed)
    contents = {sha for sha, entry in accepted.items() if entry.rows}
    if read_state(table).inputs.get(f"landing.{feed}") == contents_key(contents):
        return contents  # the set of files is what it was: nothing needs to be read to know
    scan = session.views.scan(table)
    return {row[0] for row in session.views.query(f"select distinct _file_sha256 from {scan}")}


def show_landing(session: Session, database: str, identifier: TableName) -> None:
    """Make a feed readable under its dbt name.

    Raises:
        NotFoundError: no contract describes the feed.
        ConfigError: a model appends it to a table of another name, whose files nobody would remember.
    """
    feed = identifier[1]
    if feed not in session.landing.feeds:
        known = ", ".join(session.landing.feeds) or "none"
        raise NotFoundError(f"No feed {feed}", f"contracts/ describes {known}", "Add its contract")
    _check_readers(session.manifest, identifier)
    offer = session.intake.offer(feed)
    select = session.landing.select(feed, offer.files, session.request.run_id)
    session.views.select(database, identifier, select, offer.key)


def feed_of(session: Session, node: Any, identifier: TableName) -> str | None:
    """The feed that a model takes into its raw table, None for any other model."""
    if identifier[0] != "raw" or identifier[1] not in session.landing.feeds:
        return None
    return identifier[1] if ("landing", identifier[1]) in _sources(session.manifest, node) else None


def _check_readers(manifest: Any, source: TableName) -> None:
    """Refuse models that would take what no later run shows them again."""
    schema, feed = source
    raw = TableName("raw", feed)
    nodes = manifest.nodes.values() if manifest else ()
    once = any((node.schema, node.alias) == raw and _is_appended(node) for node in nodes if _is_built(node))
    for node in nodes:
        if not _is_built(node) or (node.schema, node.alias) == raw:
            continue
        if (once or _is_appended(node)) and source in _sources(manifest, node):
            raise ConfigError(
                f"{node.schema}.{node.alias} reads {schema}.{feed}",
                f"it shows a file only until raw.{feed} has taken it, so that later runs would not find it",
                f"Read raw.{feed} instead; the model that reads {schema}.{feed} is called {feed}, in schema raw",
            )


def _is_built(node: Any) -> bool:
    return node.resource_type in ("model", "snapshot") and node.config.materialized not in (
        "ephemeral",
        "view",
    )


def _is_appended(node: Any) -> bool:
    return str(node.config.materialized) in ("incremental", "snapshot")


def _sources(manifest: Any, node: Any) -> list[TableName]:
    read = [manifest.sources.get(name) for name in tables_read(manifest, node.unique_id)]
    return [TableName(source.schema, source.identifier) for source in read if source is not None]


def is_replaced(manifest: Any, raw: TableName) -> bool:
    """Whether this run writes the raw table anew, so that it has to read again what it holds already."""
    from dbt.flags import get_flags

    for node in manifest.nodes.values() if manifest else ():
        if node.resource_type == "model" and (node.schema, node.alias) == raw:
            own = node.config.full_refresh
            asked = getattr(get_flags(), "FULL_REFRESH", False) if own is None else own
            return bool(asked) or node.config.materialized != "incremental"
    return False
