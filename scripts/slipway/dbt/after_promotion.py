"""Why a run builds a table that was promoted from another environment, although it was built there."""

from __future__ import annotations

from pyiceberg.table import Table

from slipway.iceberg.carried import FROM, FROM_RELEASE
from slipway.iceberg.metadata_files import summary_of
from slipway.releases.table_state import TableState, read_state

_NAMED = 3


def why_built_again(base: Table | None, now: TableState) -> list[str]:
    """A note about a table that a run builds on top of a promoted state; none if nothing differs, or if it was not promoted.

    Args:
        base: the table as it is published.
        now: node key, inputs and definition with which the run builds it.
    """
    summary = summary_of(base.current_snapshot()) if base else {}
    known = read_state(base)
    if FROM not in summary or known.node_key == now.node_key:
        return []
    return [
        f"built again after the promotion of release {summary.get(FROM_RELEASE)} of {summary[FROM]}: {difference(known, now)}"
    ]


def difference(known: TableState, now: TableState) -> str:
    """What differs between two states of a table whose node keys do, as a part of a sentence."""
    differing = [
        name
        for name in sorted(known.inputs.keys() | now.inputs.keys())
        if known.inputs.get(name) != now.inputs.get(name)
    ]
    if differing:
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        return f"it reads {', '.join(differing[:_NAMED])}{more} in another state"
    if known.definition.key != now.definition.key:
        return (
            "its code or variables are others, or what its code reads of target or of environment variables"
        )
    return "its layout, its checks, settings of the profile, or versions are others"
