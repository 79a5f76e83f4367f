"""Finds the contracts of a project and reads them: each is a file ``contracts/*.odcs.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from slipway.contracts import standard
from slipway.contracts.model import Contract
from slipway.contracts.problems import Problem, words
from slipway.contracts.typed_contract import TypedContract, problems_in_order
from slipway.contracts.yaml_text import NotYamlError, YamlText
from slipway.counts import plural
from slipway.errors import ConfigError

FOLDER = "contracts"


class Reading(NamedTuple):
    """A file and what came of it: a contract, or what is wrong with it."""

    path: Path
    contract: Contract | None
    problems: Sequence[Problem]


def contract_files(project: Path) -> list[Path]:
    """Files of a project that are contracts, by name."""
    return sorted((project / FOLDER).glob("*.odcs.y*ml"))


def look_at(path: Path) -> Reading:
    """Read one file, and say everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return Reading(path, None, [Problem((), f"cannot be read: {error.strerror}", file=path.name)])
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start})"
        return Reading(path, None, [Problem((), problem, "Save it as UTF-8", path.name)])
    return Reading(path, *read_contract(text, path.name))


def read_contract(text: str, origin: str) -> tuple[Contract | None, list[Problem]]:
    """Read a contract.

    Args:
        text: YAML.
        origin: name of the file, for messages.

    Returns:
        The contract, and no problem; or None, and everything that is wrong with it in the order of the file.
    """
    try:
        given = YamlText(text)
    except NotYamlError as error:
        return None, [Problem((), error.problem, error.fix, origin, error.line)]
    found = [*given.problems, *standard.problems(given.value)]
    typed = None if found else TypedContract(given.value, origin)
    found += typed.problems if typed else []
    placed = [
        replace(one, file=origin, line=one.line or given.line(one.path), place=words(one.path, given.value))
        for one in found
    ]
    return typed.contract if typed else None, list(problems_in_order(placed))


def look_at_all(project: Path) -> list[Reading]:
    """Read every contract of a project; two that have one id are a problem of the second."""
    readings: list[Reading] = []
    known: dict[str, str] = {}
    for path in contract_files(project):
        reading = look_at(path)
        if reading.contract is not None:
            name = reading.contract.id
            if name in known:
                what = f"has the id {name}, as {known[name]} has"
                reading = reading._replace(
                    contract=None, problems=[Problem(("id",), what, "Give one another id", path.name)]
                )
            known.setdefault(name, path.name)
        readings.append(reading)
    return readings


def read_contracts(project: Path) -> list[Contract]:
    """The contracts of a project.

    Raises:
        ConfigError: something is wrong with one.
    """
    readings = look_at_all(project)
    problems = [problem for reading in readings for problem in reading.problems]
    if problems:
        first = problems[0].error
        if len(problems) == 1:
            raise first
        rest = f"{plural(len(problems) - 1, 'more problem')} of contracts: slipway contracts lint lists them"
        raise ConfigError(first.what, first.why, f"{first.fix.rstrip('.')}. {rest}" if first.fix else rest)
    return [reading.contract for reading in readings if reading.contract is not None]
