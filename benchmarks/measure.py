"""Interleaved repeats, each in a process of its own: what is compared sees the same machine at the same time."""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One way to do what is measured.

    Args:
        name: its name in the report.
        run: a function of a module; gets an empty folder and ``arguments``, returns the seconds that count.
        arguments: what else it gets; has to be picklable.
    """

    name: str
    run: Callable[..., float]
    arguments: tuple[Any, ...] = ()


@dataclass
class Measured:
    """Seconds and peak resident memory in bytes of a contender, one of each a round."""

    name: str
    seconds: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.seconds)


def interleaved(
    contenders: Sequence[Contender], repeats: int, folder: Path, *, apart: bool = True
) -> list[Measured]:
    """Run every contender once a round, in an order that turns from round to round.

    Args:
        contenders: what to compare.
        repeats: rounds.
        folder: each run gets an empty folder in it, which is removed afterwards.
        apart: each run in a process of its own, which is what makes its memory its own.
    """
    measured = [Measured(contender.name) for contender in contenders]
    for turn in range(repeats):
        order = range(len(contenders))
        for at in order if turn % 2 == 0 else reversed(order):
            seconds, peak = isolated(_timed, contenders[at], folder / "round", apart=apart)
            measured[at].seconds.append(seconds)
            if apart:
                measured[at].peak.append(peak)
    return measured


def isolated(function: Callable[..., Any], *arguments: Any, apart: bool = True) -> Any:
    """What a function of a module returns in a new process."""
    if not apart:
        return function(*arguments)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def ratio(one: Measured, other: Measured) -> float:
    """How much longer one takes than another: the median over the rounds, in which both saw the same machine."""
    return statistics.median(a / b for a, b in zip(one.seconds, other.seconds, strict=True))


def _timed(contender: Contender, folder: Path) -> tuple[float, int]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        seconds = contender.run(folder, *contender.arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
