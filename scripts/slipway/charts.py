"""Plots of numbers as SVG, drawn by leather when a page is made; their colours are those of the page's theme."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import Any

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 560, 190
_MOST_COLUMNS = 30
_TICKS = 4
_LONGEST = 28
_MARGINS, _BAR = 60, 26
_LONG = re.compile(r"(?<![\w#])-?\d+\.\d+(?:E[-+]?\d+)?(?![\w])")
"""Coordinates, of which a tenth of a pixel is enough."""
_TAG = re.compile(r"<[^>]*>")


def short(value: float) -> str:
    """A number with at most three digits and its power of a thousand."""
    for power, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power:
            return f"{_digits(value / power)}{unit}"
    return _digits(value)


def short_size(value: float) -> str:
    """Bytes in binary units, with at most three digits, or four below the next unit."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if abs(value) >= 2**power:
            return f"{_digits(value / 2**power)} {unit}"
    return f"{_digits(value)} B"


def _digits(value: float) -> str:
    """A number with at most three digits, or with those before its point."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def plot(
    label: str,
    points: Sequence[tuple[str, float]],
    shown: Callable[[float], str] = short,
    colour: str = "accent",
) -> Markup:
    """A plot of values in their order: columns where there are few, otherwise a line.

    Args:
        label: what it shows, for those who do not see it.
        points: name of each place, and the value there, which is not negative; where all are whole numbers, those next to the axis are, too.
        shown: how values are written next to the axis.
        colour: of the page's theme.
    """
    chart = _leather().Chart()
    highest = max((value for _, value in points), default=0.0)
    is_whole = all(isinstance(value, int) for _, value in points)
    # sizes are written in powers of 1,024
    base = 1024.0 ** int(math.log(max(highest, 1), 1024)) if shown is short_size else 1.0
    step = base * _nice(highest / base / (_TICKS - 1), is_whole=is_whole and base == 1)
    ticks = [step * at for at in range(_TICKS)]
    chart.set_y_scale(_scale(ticks))
    chart.add_y_axis(ticks=ticks, tick_formatter=lambda value, *_: shown(value))
    if len(points) <= _MOST_COLUMNS:
        # by their numbers, because several places may have one name
        chart.add_columns(
            [(str(at), value) for at, (_, value) in enumerate(points)], fill_color=f"var(--{colour})"
        )
        every = max(1, len(points) // 8)
        chart.add_x_axis(tick_formatter=lambda _, at, __: points[at][0] if at % every == 0 else "")
    else:
        last = len(points) - 1
        chart.add_line(
            [(at, value) for at, (_, value) in enumerate(points)], stroke_color=f"var(--{colour})", width=2
        )
        at = [0, last // 2, last]
        chart.set_x_scale(_scale(at))
        chart.add_x_axis(ticks=at, tick_formatter=lambda value, *_: points[int(value)][0])
    return _drawn(chart, label, _HEIGHT)


def shares(label: str, named: Sequence[tuple[str, float]], colour: str = "accent") -> Markup:
    """A bar for each of some shares of a whole, the first on top.

    Args:
        label: what it shows, for those who do not see it.
        named: name and share, from 0 to 1.
        colour: of the page's theme.
    """
    chart = _leather().Chart()
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name, _ in named]
    # by their numbers, because shortened names may be the same
    bars = [(share * 100, str(at)) for at, (_, share) in enumerate(named)]
    ticks = [0, 25, 50, 75, 100]
    chart.set_x_scale(_scale(ticks))
    chart.add_x_axis(ticks=ticks, tick_formatter=lambda value, *_: f"{value} %")
    chart.add_y_axis(tick_formatter=lambda value, *_: names[int(value)])
    chart.add_bars(bars, fill_color=f"var(--{colour})")
    return _drawn(chart, label, _MARGINS + _BAR * len(named), room=_BAR // 2)


def _drawn(chart: Any, label: str, height: int, room: int = 0) -> Markup:
    """The plot, with room next to it for the last label of its axis."""
    drawn = _TAG.sub(
        lambda tag: _LONG.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), tag[0]),
        chart.to_svg(width=_WIDTH, height=height),
    )
    head = f'<svg class="plot" role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH + room} {height}" xmlns='
    return Markup(head + drawn.partition("xmlns=")[2])  # noqa: S704 - leather escapes what it writes


def _scale(ticks: Sequence[float]) -> Any:
    """An even scale with these ticks; leather's own looks for better ones, which takes most of the time of a plot."""
    scale = _leather().Linear.__new__(_leather().Linear)
    first, last = Decimal(ticks[0]), Decimal(ticks[-1])
    scale._data_min, scale._data_max = first, last
    scale._ticker = SimpleNamespace(min=first, max=last, ticks=[Decimal(tick) for tick in ticks])
    return scale


def _nice(value: float, *, is_whole: bool = False) -> float:
    """The next of 1, 2, 2.5, 5 and 10 times a power of ten that is at least so large, or of those that are whole numbers."""
    if value <= 0 or (is_whole and value <= 1):
        return 1.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(
        power * factor
        for factor in (1, 2, 2.5, 5, 10)
        if power * factor >= value and not (is_whole and power * factor % 1)
    )


@cache
def _leather() -> Any:
    import leather
    from leather import theme

    theme.background_color, theme.margin = "none", 0.02
    theme.tick_color, theme.zero_color, theme.label_color = (
        "var(--line)",
        "var(--line-strong)",
        "var(--faint)",
    )
    theme.tick_font_family, theme.tick_font_size, theme.tick_size = "inherit", 12, 4
    theme.tick_font_char_width = 7
    return leather
