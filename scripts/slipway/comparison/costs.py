"""What building both sides cost, side by side, and whether head is slower than is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from slipway.comparison.style import Style, table_lines
from slipway.counts import plural, size

FLOOR = 1.0
"""Seconds by which head has to be slower at least: what takes less is as likely noise."""
_NAMED = 3
HEADINGS = ("cost, base → head", "time", "processor time", "read", "written", "peak memory")
ALIGN = "lrrrrr"
TOTAL = "all"


class Cost(BaseModel):
    """What building a table took, or all of them; None where it is not known.

    ``seconds`` elapsed; ``cpu_seconds`` is processor time; ``bytes`` is the size of the data files afterwards.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float | None = None
    cpu_seconds: float | None = None
    bytes: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    peak_memory_bytes: int | None = None


class Slowdown(BaseModel):
    """Head needs more than so many times the time of base, or nobody knows: then ``measure`` is empty, and ``lacking`` are the sides.

    ``name`` is ``layer.table``, or ``all`` for their sum; ``base`` and ``head`` are seconds.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    measure: str
    base: float | None = None
    head: float | None = None
    lacking: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What was found, as a part of a sentence."""
        if self.base is None or self.head is None:
            return f"the time of {' and '.join(self.lacking)} was not measured"
        times = f"{self.head / self.base:.3g} times as much {self.measure}" if self.base else self.measure
        return f"{times} ({self.base:.1f} s → {self.head:.1f} s)"


class ComparedCosts(BaseModel):
    """What both builds cost, and which tables break the bound that was asked for.

    Args:
        base: of all of the run that built base; ``head`` likewise. Memory is that of its process.
        max_slowdown: the bound, None for none.
        slowdowns: what breaks it.
    """

    model_config = ConfigDict(frozen=True)

    base: Cost
    head: Cost
    max_slowdown: float | None = None
    slowdowns: tuple[Slowdown, ...] = ()

    @property
    def why_failed(self) -> str:
        """Which tables are too slow, in one line; empty for none."""
        if not self.slowdowns:
            return ""
        names = [f"{one.name}: {one.words}" for one in self.slowdowns[:_NAMED]]
        more = len(self.slowdowns) - _NAMED
        return f"slower than {self.max_slowdown:g} times base: {', '.join(names)}{f' and {more:,} more' if more > 0 else ''}"


def slowdowns(tables: Mapping[str, tuple[Cost, Cost]], most: float) -> tuple[Slowdown, ...]:
    """Tables for which head takes more than ``most`` times what base takes, and more than a second longer; and the same of their sum.

    Processor time is compared where it is known of both sides, else elapsed time. What is known of none breaks the bound, too.

    Args:
        tables: ``layer.table`` to the cost of base and of head, of tables that both have.
        most: the bound, at least 1.
    """
    found = [one for name, costs in sorted(tables.items()) if (one := _judged(name, *costs, most))]
    if tables and not any(one.lacking for one in found):
        base, head = (_sum([costs[side] for costs in tables.values()]) for side in (0, 1))
        total = _judged(TOTAL, base, head, most)
        found += [total] if total else []
    return tuple(found)


def _judged(name: str, base: Cost, head: Cost, most: float) -> Slowdown | None:
    for measure, then, now in (
        ("processor time", base.cpu_seconds, head.cpu_seconds),
        ("elapsed time", base.seconds, head.seconds),
    ):
        if then is not None and now is not None:
            slower = now > most * then and now - then > FLOOR
            return Slowdown(name=name, measure=measure, base=then, head=now) if slower else None
    lacking = tuple(side for side, cost in (("base", base), ("head", head)) if cost.seconds is None)
    return Slowdown(name=name, measure="", lacking=lacking or ("both",))


def _sum(costs: Sequence[Cost]) -> Cost:
    def total(of: Callable[[Cost], float | None]) -> float | None:
        known = [found for cost in costs if (found := of(cost)) is not None]
        return sum(known) if len(known) == len(costs) else None

    return Cost(seconds=total(lambda cost: cost.seconds), cpu_seconds=total(lambda cost: cost.cpu_seconds))


def cost_lines(
    costs: ComparedCosts, tables: Mapping[str, tuple[Cost, Cost]], style: Style, most: int
) -> list[str]:
    """A table of what each table cost on both sides, the dearest first, and all together.

    Args:
        costs: of both builds.
        tables: ``layer.table`` to the cost of base and of head.
        style: how it is written.
        most: how many tables are named.
    """
    rows, left_out = cost_rows(costs, tables, style, most)
    more = [f"{plural(left_out, 'table')} more: see the JSON report."] if left_out else []
    return [*table_lines(HEADINGS, rows, ALIGN, style), *more]


def cost_rows(
    costs: ComparedCosts, tables: Mapping[str, tuple[Cost, Cost]], style: Style, most: int
) -> tuple[list[list[str]], int]:
    """The rows of that table, and how many tables are left out."""
    dearest = sorted(tables, key=lambda name: (-max(cost.seconds or 0 for cost in tables[name]), name))
    rows = [_row(style.value(name), *tables[name]) for name in dearest[:most]]
    return [*rows, _row("all of the run", costs.base, costs.head)], max(len(dearest) - most, 0)


def _row(name: str, base: Cost, head: Cost) -> list[str]:
    def pair(of: Callable[[Cost], float | None], shown: Callable[[float], str]) -> str:
        sides = [of(base), of(head)]
        return (
            " → ".join("-" if side is None else shown(side) for side in sides)
            if any(side is not None for side in sides)
            else "-"
        )

    def seconds(value: float) -> str:
        return f"{value:,.1f} s"

    def in_bytes(value: float) -> str:
        return size(int(value))

    return [
        name,
        pair(lambda cost: cost.seconds, seconds),
        pair(lambda cost: cost.cpu_seconds, seconds),
        pair(lambda cost: cost.bytes_read, in_bytes),
        pair(lambda cost: cost.bytes_written, in_bytes),
        pair(lambda cost: cost.peak_memory_bytes, in_bytes),
    ]
