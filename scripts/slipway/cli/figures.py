"""Figures and names as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slipway import counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.records.conservation import Conservation
    from slipway.records.node_results import Node
    from slipway.records.run_manifest import RunManifest


_LAYERS = ("landing", "reference", "raw", "curated", "quarantine", "serving")


def signature(said: str) -> str:
    """Who signed, or in short why nobody did."""
    return said.partition(":")[0]


def number(value: int | None) -> str:
    """A count with separators, empty when it is not known."""
    return "" if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """Bytes in binary units, empty when not known."""
    return "" if value is None else counts.size(value)


def moment(value: datetime | None) -> str:
    """A time in UTC to the second, without its zone; the heading says UTC."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def commit(value: str | None, dirty: bool | None) -> str:
    """The first digits of a commit, with ``*`` when the work tree had changes that are not in it."""
    return f"{value[:8]}{'*' if dirty else ''}" if value else "none"


def code(commit: str, branch: str | None, *, dirty: bool | None) -> str:
    """A commit with its branch, and whether the work tree had changes that are not in it."""
    return f"{commit}{f' on {branch}' if branch else ''}{', with uncommitted changes' if dirty else ''}"


def one_line(text: str, length: int = 200) -> str:
    """Text on one line, cut where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"{flat[: length - 1]}…"


def change(node: Node) -> str:
    """What became of a table; that rows of it are not what its code makes goes before that nothing changed."""
    from slipway.records.node_results import Change  # commands start without pydantic

    if node.stale:
        return "built, stale" if node.change is Change.BUILT else "stale"
    return node.status if node.change is Change.NONE else node.change.replace("_", " ")


def are_classified(columns: Sequence[str]) -> str:
    """That columns are classified, by contracts, models or what they are made from, without a full stop."""
    verb = "is" if len(columns) == 1 else "are"
    return f"{', '.join(columns)} {verb} classified, or made from what is"


def balance(item: Conservation) -> str:
    """Where the rows of a raw table went."""
    rules = ", ".join(f"{rule} {count:,}" for rule, count in item.by_rule.items())
    expired = (
        f" + {item.expired:,} expired (landed before {moment(item.expired_before)})"
        if item.expired_before
        else ""
    )
    superseded = f" + {item.superseded:,} replaced by newer files" if item.superseded else ""
    return (
        f"rows: {item.landed + item.superseded:,} in {item.raw} = {item.curated_rows:,} in {item.curated} "
        f"+ {item.quarantined_rows:,} quarantined{f' ({rules})' if rules else ''} + {item.deduplicated:,} deduplicated{expired}{superseded}"
    )


def books(manifest: RunManifest) -> list[str]:
    """Where the rows of each raw table went, of which that was not counted, and feeds that brought more or less than expected."""
    word = "warning" if manifest.mode == "exploratory" or manifest.scratch else "error"
    return [
        *map(balance, manifest.conservation),
        *(f"error: {item.problem}" for item in manifest.conservation if item.problem),
        *(f"warning: {text}" for item in manifest.conservation for text in item.warnings),
        *(f"{word}: {item.problem}" for item in manifest.input_volumes if item.problem),
        *(f"rows: {item.raw} is not counted: {item.reason}" for item in manifest.not_counted),
    ]


def by_layer(table: str) -> tuple[int, str]:
    """A sort key for tables: in the order in which data passes through the layers."""
    layer = table.split(".", 1)[0]
    return (_LAYERS.index(layer) if layer in _LAYERS else len(_LAYERS), table)
