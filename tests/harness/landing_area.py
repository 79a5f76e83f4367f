"""A landing area with one feed, landed into one ledger, as a run does it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from slipway.environments.environment import Environment, Mode, local_catalog
from slipway.iceberg.tables import Tables
from slipway.landing.feeds import Feed
from slipway.landing.land import Landing, outstanding
from slipway.records.landed_files import LandedFile, Outstanding

HEADER = "id,text,amount"
FEED = Feed("orders", ["id", "text", "amount"])
START = datetime(2024, 5, 1, 6, 0, tzinfo=UTC)


class Area:
    """A landing area with one feed, landed into one ledger."""

    def __init__(self, folder: Path, landing: str | None = None) -> None:
        self.folder = folder / "landing" / "orders"
        self.folder.mkdir(parents=True)
        self.environment = Environment(
            name="dev",
            mode=Mode.EXPLORATORY,
            warehouse=f"file://{folder}/warehouse",
            catalog_properties=local_catalog(folder),
            landing=landing or str(folder / "landing"),
            home=folder,
        )
        self.tables = Tables(self.environment)
        self.connection = duckdb.connect()
        self.connection.execute("set TimeZone = 'UTC'")
        self.runs = 0
        self.feed = FEED
        self.ingested: set[str] = set()

    def close(self) -> None:
        self.connection.close()
        self.tables.catalog.engine.dispose()  # type: ignore[attr-defined]

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def landing(self) -> Landing:
        """The area as a new process sees it."""
        return self.looked_at(None)

    def looked_at(self, keys: Collection[str] | None) -> Landing:
        """The area as a process sees it that looks at some keys, or at all."""
        return Landing(self.tables, [self.feed], keys)

    def land(self, among: Collection[str] | None = None) -> dict[str, LandedFile]:
        """Land what is new, or what is new among some names, by path below the feed's folder."""
        self.runs += 1
        now = START + timedelta(hours=self.runs)
        keys = None if among is None else {f"orders/{name}" for name in among}
        landing = self.looked_at(keys)
        found = landing.land(self.connection, f"run-{self.runs}", now, lambda _: self.ingested)
        assert len({entry.path for entry in found}) == len(found)
        return {entry.path.removeprefix("orders/"): entry for entry in found}

    def outstanding(self) -> list[Outstanding]:
        """What a run would say is outstanding, where nothing was ingested yet."""
        landing = self.landing
        return outstanding(
            landing, lambda _: landing.find("orders", landing.ledger.accepted("orders")).missing
        )

    def rows(self) -> list[tuple[object, ...]]:
        """What a first build of the raw table would read."""
        landing = self.landing
        contents = {sha for sha, entry in landing.ledger.accepted("orders").items() if entry.rows}
        query = landing.select("orders", landing.find("orders", contents).files, "run-x")
        names = "id, text, amount, _source_file, _source_line"
        return self.connection.execute(f"select {names} from ({query}) order by all").fetchall()


def lines(*rows: str) -> str:
    return "\n".join([HEADER, *rows, ""])
