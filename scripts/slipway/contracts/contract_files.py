"""Finds the contracts of a project and reads them: each is a file ``contracts/*.odcs.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from slipway.contracts import standard
from slipway.contracts.model import Contract
from slipway.contracts.problems import Problem, words
from slipway.contracts.typed_contract import TypedContract
from slipway.contracts.yaml_text import NotYamlError, YamlText
from slipway.counts import plural
from slipway.errors import ConfigError

FOLDER = "contracts"


class Reading(NamedTuple):
    """A file and what came of it: a contract, or what is wrong with it.

    ``text`` is None where the file is no YAML.
    """

    path: Path
    contract: Contract | None
    problems: Sequence[Problem]
    text: YamlText | None = None

    def with_problems(self, found: Iterable[Problem]) -> Reading:
        """The same with more problems, which get file and line."""
        more = [_placed(one, self.text, self.path.name) for one in found] if self.text else []
        return self._replace(contract=None if more else self.contract, problems=[*self.problems, *more])


def contract_files(project: Path) -> list[Path]:
    """Files of a project that are contracts, by name."""
    return sorted((project / FOLDER).glob("*.odcs.y*ml"))


def passed_over(project: Path) -> list[Path]:
    """YAML files in the folder of the contracts that no command reads, because of their names."""
    known = contract_files(project)
    return sorted(path for path in (project / FOLDER).glob("*.y*ml") if path not in known)


def look_at(path: Path) -> Reading:
    """Read one file, and say everything that is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Reading(path, None, [Problem((), f"cannot be read: {error.strerror}", file=path.name)])
    return look_at_content(path, content)


def look_at_content(path: Path, content: bytes) -> Reading:
    """Read what a file holds, or held at some commit, and say everything that is wrong with it."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start})"
        return Reading(path, None, [Problem((), problem, "Save it as UTF-8", path.name)])
    return _reading(path, text, path.name)


def look_at_contents(contents: Mapping[str, bytes]) -> list[Reading]:
    """Read the contracts among files of a folder as they were at some commit, by the names of the files."""
    return [look_at_content(Path(name), contents[name]) for name in sorted(contents) if is_contract(name)]


def documents(readings: Iterable[Reading]) -> dict[str, Any]:
    """The plain values of contracts by the names of their files; without those that are no YAML."""
    return {one.path.name: one.text.value for one in readings if one.text}


def files_in(place: Path) -> list[Path]:
    """Contracts at a place: the file itself, those of a folder, or of the folder ``contracts`` in it where it has none."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.glob("*") if is_contract(path.name)) or contract_files(place)


def is_contract(name: str) -> bool:
    """Whether a file of this name is a contract."""
    return name.endswith((".odcs.yaml", ".odcs.yml"))


def read_contract(text: str, origin: str) -> tuple[Contract | None, list[Problem]]:
    """Read a contract.

    Args:
        text: YAML.
        origin: name of the file, for messages.

    Returns:
        The contract, and no problem; or None, and everything that is wrong with it in the order of the file.
    """
    _, contract, problems, _ = _reading(Path(origin), text, origin)
    return contract, list(problems)


@lru_cache(maxsize=256)  # a run asks for the same contracts several times
def _reading(path: Path, text: str, origin: str) -> Reading:
    try:
        given = YamlText(text)
    except NotYamlError as error:
        return Reading(path, None, [Problem((), error.problem, error.fix, origin, error.line)])
    found = [*given.problems, *standard.problems(given.value)]
    typed = None if found else TypedContract(given.value, origin)
    found += typed.problems if typed else []
    placed = sorted((_placed(one, given, origin) for one in found), key=lambda one: one.line or 0)
    return Reading(path, typed.contract if typed else None, list(dict.fromkeys(placed)), given)


def _placed(problem: Problem, text: YamlText, origin: str) -> Problem:
    line = problem.line or text.line(problem.path)
    return replace(problem, file=origin, line=line, place=words(problem.path, text.value))


def look_at_all(project: Path) -> list[Reading]:
    """Read every contract of a project; two that have one id are a problem of the second."""
    return without_repeated_ids(look_at(path) for path in contract_files(project))


def without_repeated_ids(readings: Iterable[Reading]) -> list[Reading]:
    """The same readings; one whose id an earlier one has gets a problem and no contract."""
    found: list[Reading] = []
    known: dict[str, str] = {}
    for reading in readings:
        name = str(reading.text.value.get("id")) if reading.text else ""
        if name in known and not reading.problems:
            what = f"has the id {name}, as {known[name]} has"
            problem = Problem(("id",), what, "Give one another id", reading.path.name)
            found.append(reading._replace(contract=None, problems=[problem]))
        else:
            found.append(reading)
        if reading.text and not reading.problems:
            known.setdefault(name, reading.path.name)
    return found


def read_contracts(project: Path) -> list[Contract]:
    """The contracts of a project.

    Raises:
        ConfigError: something is wrong with one.
    """
    readings = look_at_all(project)
    first_error(readings)
    return [reading.contract for reading in readings if reading.contract is not None]


def first_error(readings: Iterable[Reading]) -> None:
    """Refuse contracts with problems.

    Raises:
        ConfigError: there is one. It names the first problem, and counts the others.
    """
    problems = [problem for reading in readings for problem in reading.problems]
    if not problems:
        return
    first = problems[0].error
    if len(problems) > 1:
        rest = f"{plural(len(problems) - 1, 'more problem')} of contracts: slipway contracts lint lists them"
        first = ConfigError(first.what, first.why, f"{first.fix.rstrip('.')}. {rest}" if first.fix else rest)
    raise first
