"""What is said of files that landed and are not in raw."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from slipway.domain.manifest import Outstanding
from slipway.domain.texts import one_line

_NAMED = 3


def outstanding_lines(found: Sequence[Outstanding], told: Collection[str] = ()) -> list[str]:
    """Lines for every run until it is dealt with: how many there are, and the first of them with their reasons.

    Args:
        found: what is outstanding.
        told: paths of files whose reasons were printed already.
    """
    files = [item for item in found if item.feed]
    lines = []
    if files:
        lines.append(
            f"outstanding: {len(files)} landed {'file is' if len(files) == 1 else 'files are'} not in raw"
        )
        old = [item for item in files if item.path not in told]
        lines += [f"  {item.path}: {item.reason}" for item in old[:_NAMED]]
        lines += [f"  … and {len(old) - _NAMED} more"] if len(old) > _NAMED else []
    if others := [item.path for item in found if not item.feed]:
        more = " …" if len(others) > _NAMED else ""
        lines.append(
            f"not a feed: {', '.join(others[:_NAMED])}{more} in the landing area; no contract describes it"
        )
    return [one_line(line) for line in lines]  # a name with a line break in it is still one line
