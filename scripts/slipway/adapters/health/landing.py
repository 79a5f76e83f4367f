"""Raw tables compared with the landed files that are still there: rows that were lost when a file was ingested."""

from __future__ import annotations

from collections.abc import Iterator

from slipway.adapters import engine
from slipway.adapters.belonging import elsewhere
from slipway.adapters.contracts import read_feeds
from slipway.adapters.feed_files import FeedFiles
from slipway.adapters.health.examination import Examination
from slipway.adapters.iceberg.scan import scanning, whole_scan
from slipway.adapters.landing import Landing
from slipway.domain.errors import DamagedTableError, UnavailableError
from slipway.domain.feed import Feed
from slipway.domain.health import Finding

_FIX = (
    "land a corrected copy of it: raw takes that as a new file, and rows that it has already repeat; "
    "slipway rollback withdraws what was published"
)


def counts(at: Examination) -> Iterator[Finding]:
    """Files of which raw holds another number of rows than they have records; read only with ``--deep``."""
    if not at.deep or at.has_no_catalog or elsewhere(at.environment, at.locations):
        return
    landing = Landing(at.tables, read_feeds(at.project))
    for feed in landing.feeds.values():
        yield from _of_feed(at, landing, feed)


def _of_feed(at: Examination, landing: Landing, feed: Feed) -> Iterator[Finding]:
    location = at.locations.get(("raw", feed.name))
    if location is None or not landing.ledger.accepted(feed.name):
        return
    try:
        table = at.tables.load(("raw", feed.name), location)
        scan = whole_scan(table)
    except UnavailableError:  # told of where files are examined
        return
    try:
        with engine.connect(at.environment, at.environment.home) as connection, scanning(connection, table):
            held = dict(
                connection.execute(f"select _file_sha256, count(*) from {scan} group by all").fetchall()
            )
    except DamagedTableError as error:
        yield Finding(f"raw.{feed.name}", f"it cannot be read as a whole: {error.why}", error.fix)
        return
    files, latest = FeedFiles(landing.area), landing.ledger.latest(feed.name)
    for arrival in landing.area.arrivals(feed.name):
        entry = latest.get(arrival.info.key)
        if entry is None or entry.sha256 not in held:
            continue
        look = files.look(feed, arrival)
        rows = held[entry.sha256]
        if look.sha256 == entry.sha256 and look.rows != rows:
            found = look.rows if isinstance(look.rows, str) else f"it holds {look.rows:,}"
            yield Finding(
                f"raw.{feed.name}",
                f"it has {rows:,} {'row' if rows == 1 else 'rows'} of the landed file {entry.path}, and {found}: rows of it were lost or misread",
                _FIX,
            )
