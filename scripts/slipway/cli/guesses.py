"""What is said of guesses in contracts that nobody has reviewed yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.contracts.model import Contract

_FEW = 5  # guesses of a contract that a run repeats


def counted(number: int) -> str:
    """A number of guesses in words."""
    return "1 guess" if number == 1 else f"{number:,} guesses"


def listed(contracts: Sequence[Contract]) -> Iterator[str]:
    """A line for each guess that nobody has reviewed yet."""
    for contract in contracts:
        yield from (f"{contract.origin}: {about}: {text}" for about, text in contract.guesses)


def in_short(project: Path) -> Iterator[str]:
    """What a run says of them: the first ones of each contract."""
    from slipway.contracts.contract_files import look_at_all

    for reading in look_at_all(project):
        found = reading.contract.guesses if reading.contract else []
        if found:
            yield f"\nNobody has reviewed {counted(len(found))} of contracts/{reading.path.name} yet:"
            yield from (f"  {about}: {text}" for about, text in found[:_FEW])
        if len(found) > _FEW:
            yield f"  … and {len(found) - _FEW} more: slipway contracts lint"
