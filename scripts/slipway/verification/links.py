"""Links of the chain of evidence, and what was found of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from slipway.counts import plural

_NAMED = 3


class State(StrEnum):
    """What was found of a link.

    It holds; what it would be compared with is gone by a declared rule, and nothing rests on it; nothing was recorded that it could hold; it cannot be shown; or it
    does not hold.
    """

    VERIFIED = "verified"
    SUPERSEDED = "superseded"
    NOT_RECORDED = "not recorded"
    MISSING = "missing"
    BROKEN = "broken"


class Kind(StrEnum):
    """What a link is about, in the order of the chain."""

    CATALOG = "catalog"
    SIGNATURE = "signature"
    RECORD = "release record"
    BEFORE = "release before"
    APPROVALS = "approvals"
    EVIDENCE = "evidence"
    TABLE = "table"
    FILES = "data files"
    ROWS = "rows"
    RUN = "run"
    TESTS = "tests"
    COMMIT = "commit"
    LOCK = "lock file"
    INPUT = "input"
    LANDED = "landed files"


@dataclass(frozen=True)
class Link:
    """One link.

    Args:
        kind: what it is about.
        what: of which release, table or run.
        state: whether it holds.
        note: what was found, or why it does not hold.
    """

    kind: Kind
    what: str
    state: State
    note: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it keeps what it belongs to from being verified."""
        return self.state in (State.MISSING, State.BROKEN)


@dataclass(frozen=True)
class Verification:
    """The chain of a release or table.

    Args:
        target: the environment.
        release: the release that was verified.
        tables: its tables that were.
        content: whether files and rows were read.
        links: in the order of the chain.
    """

    target: str
    release: int
    tables: Sequence[str]
    content: bool
    links: Sequence[Link]

    @property
    def is_verified(self) -> bool:
        """Whether every link holds of which something was recorded and on which something rests; a chain without links is none."""
        return bool(self.links) and not any(link.is_wrong for link in self.links)

    @property
    def summary(self) -> str:
        """What was found, as a sentence."""
        what = f"Release {self.release} of {self.target}"
        if len(self.tables) == 1:
            what = f"{self.tables[0]} in release {self.release} of {self.target}"
        states = [link.state for link in self.links]
        if self.is_verified:
            without = sorted({link.kind for link in self.links if link.state is State.NOT_RECORDED})
            none = f"; no {' and no '.join(without)} was recorded" if without else ""
            past = states.count(State.SUPERSEDED)
            gone = (
                f"; {plural(past, 'link', 'are', 'is')} superseded: nothing here rests on it" if past else ""
            )
            how = "" if self.content else "; --content reads files and rows, too"
            return f"{what} is verified: {plural(states.count(State.VERIFIED), 'link')}{none}{gone}{how}."
        missing, broken = states.count(State.MISSING), states.count(State.BROKEN)
        counts = [f"{count} {word}" for count, word in ((broken, "broken"), (missing, "missing")) if count]
        return (
            f"{what} is not verified: {' and '.join(counts) or 'nothing'} of {plural(len(states), 'link')}."
        )


@dataclass
class Findings:
    """The links that were found so far, each of them once."""

    links: list[Link] = field(default_factory=list)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def add(self, kind: Kind, what: str, state: State, note: str = "") -> None:
        """Note what was found of a link."""
        link = Link(kind, what, state, note)
        if link not in self.links:
            self.links.append(link)

    def is_new(self, kind: str, what: str) -> bool:
        """Whether something is looked at for the first time; from then on it is not."""
        is_new = (kind, what) not in self._seen
        self._seen.add((kind, what))
        return is_new


def first_of(texts: Sequence[str]) -> str:
    """The first three texts, and how many more there are."""
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return f"{', '.join(texts[:_NAMED])}{more}"
