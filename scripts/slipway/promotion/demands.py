"""Which approvals a plan needs: those that promotion.yml demands of every plan, and those for the classifications of its data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from slipway.contracts.classification import SECRECY
from slipway.contracts.problems import nearest
from slipway.errors import ConfigError
from slipway.promotion.promotion_policy import FILE, Approvals
from slipway.records.promotion_records import Demand


@dataclass(frozen=True)
class Classified:
    """How data is classified, in small letters.

    Args:
        tables: ``layer.table`` to the classifications of its columns and of itself.
        words: all classifications that the project uses.
    """

    tables: Mapping[str, Collection[str]] = field(default_factory=dict)
    words: Collection[str] = ()


def demands(
    approvals: Approvals | None, tables: Collection[str], classified: Classified | None
) -> list[Demand]:
    """What a plan needs.

    Args:
        approvals: what the policy demands for the environment.
        tables: ``layer.table`` of what the plan moves.
        classified: how their data is classified; None where it is not known, which is taken for every classification.

    Raises:
        ConfigError: the policy names a classification that nothing has.
    """
    if approvals is None:
        return []
    found = [Demand(count=approvals.count, roles=list(approvals.roles or ()))]
    for word, people in approvals.classified.items():
        if classified is not None and word.casefold() not in {*SECRECY, *classified.words}:
            known = sorted({*SECRECY, *classified.words})
            near = nearest(word, known)
            raise ConfigError(
                f"{FILE} names the classification {word}",
                f"no column has it; known are {', '.join(known)}",
                f"Did you mean {near}?" if near else "Correct it",
            )
        having = [
            name
            for name in sorted(tables)
            if classified is None or word.casefold() in classified.tables.get(name, ())
        ]
        if having:
            found.append(
                Demand(count=people.count, roles=list(people.roles or ()), classification=word, tables=having)
            )
    return found
