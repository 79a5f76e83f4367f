"""One trial after the other on one environment: something lands, a command is killed, and the next run heals it.

After the kill and after the healing run everything is checked by oracle.py. All chance comes from one seed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.harness.projects import HEADER
from tests.integration.chaos import oracle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.commands import Output, Running
    from tests.harness.projects import Workshop


@dataclass
class Tally:
    """What happened: commands that were killed, those that came to their end before, and those that had to heal."""

    killed: int = 0
    ended: int = 0
    healed: int = 0
    refused: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        label = (
            f"{self.killed} killed, {self.ended} ended before, {self.refused} refused, {self.healed} healed"
        )
        return f"{label}; {self.seconds:.0f} s"


@dataclass
class Trials:
    """Trials on a workshop.

    Args:
        workshop: its environment; healthy when it is handed over.
        store: the same as others read it.
        put: lets a file land.
        contents: of the files that landed before.
        seed: of everything that is left to chance.
    """

    workshop: Workshop
    store: oracle.Store
    put: Callable[[str, bytes], object]
    contents: list[bytes]
    seed: int = 0
    usual: float = 4.0
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._files = 0

    def more(self, *, new: bool = False) -> None:
        """A file or two land: rows that are right and wrong, and now and then, unless new, one that landed before."""
        for _ in range(self.chance.choice((1, 1, 2))):
            self._files += 1
            name = f"more-{self._files:04d}.csv"
            if not new and self.chance.random() < 0.15:
                content = self.chance.choice(self.contents)
            else:
                content = ("\n".join([HEADER, *self._rows(), ""])).encode()
                self.contents.append(content)
            self.put(name, content)

    def _rows(self) -> list[str]:
        day, chance = 1 + self._files % 28, self.chance
        return [
            f"f{self._files}-{number},{chance.choice('NSX')},2024-06-{day:02d},"
            f"{chance.choice(('heavy', '')) if chance.random() < 0.2 else chance.randint(1, 9999) / 100}"
            for number in range(chance.randint(1, 6))
        ]

    @property
    def landed(self) -> oracle.Landed:
        return oracle.Landed.of(self.contents)

    def trial(self, what: str, *command: str, before: str = "", after: str = "") -> None:
        """Kill a command around a call; then heal.

        Args:
            what: names the trial in a failure.
            command: the arguments of slipway, ``run`` when there are none.
            before: as ``kill_before``.
            after: as ``kill_after``.
        """
        began = time.monotonic()
        self.heal(self.kill(what, *command, before=before, after=after))
        self.tally.seconds += time.monotonic() - began

    def kill(self, what: str, *command: str, before: str = "", after: str = "") -> str:
        """The same without the healing; returns how it is called in a failure."""
        was = self.store.catalog()
        label = f"{what} (seed {self.seed}, {' '.join(command or ('run',))}, {before or after})"
        running = self.workshop.start(*(command or ("run",)), kill_before=before, kill_after=after)
        self._count(running.wait(), label)
        self.check(f"after {label}", was)
        return label

    def at(self, what: str, *instants: float) -> None:
        """Kill as many runs at once, each after a part of the time that a run usually takes; then heal.

        Args:
            what: names the trial in a failure.
            instants: parts of the usual time.
        """
        began, was = time.monotonic(), self.store.catalog()
        label = f"{what} (seed {self.seed}, instants {instants})"
        running = [self.workshop.start("run") for _ in instants]
        start, usual = time.monotonic(), self.usual * (1 + 0.6 * (len(instants) - 1))
        for instant, one in sorted(zip(instants, running, strict=True), key=lambda pair: pair[0]):
            _kill_later(one, start + instant * usual - time.monotonic())
        for one in running:
            self._count(one.wait(), label)
        self.check(f"after {label}", was, releases=len(instants))
        self.heal(label)
        self.tally.seconds += time.monotonic() - began

    def heal(self, label: str, releases: int = 1) -> None:
        """The next run ends well and shows everything that landed.

        Args:
            label: names the trial in a failure.
            releases: how many may be published: its own, and one that it brings to its end.
        """
        was, began = self.store.catalog(), time.monotonic()
        done = self.workshop.slipway("run")
        assert done.code == 0, f"the run after {label}: {done}"
        self.usual += 0.3 * (time.monotonic() - began - self.usual)
        self.tally.healed += "healed: " in done.err
        self.check(f"after healing {label}", was, releases)
        assert oracle.content(self.store, self.store.catalog()) == self.landed.content, label
        assert not oracle.unfinished(self.store), label

    def check(self, label: str, was: oracle.Locations, releases: int = 1) -> None:
        found = oracle.findings(self.store, self.landed, was, releases)
        assert not found, f"{label}: {found}"

    def _count(self, done: Output, label: str) -> None:
        assert "Traceback" not in done.err, f"{label}: {done}"
        if done.code is None:
            self.tally.killed += 1
        elif done.code == 0:
            self.tally.ended += 1
        else:
            assert done.code == 4, f"{label}: {done}"  # another run moved its tables
            self.tally.refused += 1


def local_trials(
    workshop: Workshop, catalog: Callable[[], oracle.Locations], warehouse: Path, seed: int = 0
) -> Trials:
    """Trials on a project that lands and keeps its files in folders, after its first release.

    Args:
        workshop: the project.
        catalog: what others see of it.
        warehouse: the folder of its tables.
        seed: of all chance.
    """
    assert workshop.slipway("run").code == 0
    contents = [path.read_bytes() for path in sorted((workshop.landing / "parcels").glob("*.csv"))]
    store = oracle.local_store(warehouse, catalog)
    return Trials(
        workshop, store, lambda name, content: workshop.put(f"parcels/{name}", content), contents, seed
    )


def _kill_later(running: Running, seconds: float) -> None:
    time.sleep(max(seconds, 0))
    with suppress(ProcessLookupError):  # it was faster
        os.kill(running.pid, signal.SIGKILL)
