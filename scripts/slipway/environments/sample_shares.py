"""The share of a sample: a part of the keys of a project's inputs, chosen by a hash, which a run takes instead of the whole input.

It is a dimension of a slice, ``--vars '{slice: {sample: 5%}}'``, unless the project declares a dimension with that name itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from slipway.errors import UsageError

SAMPLE = "sample"
"""The dimension's name."""
# six places: a smaller share would be less than one of the 2^32 parts that the macro distinguishes
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%?")
_WHOLE = 100


def share_of(given: object) -> str:
    """A share in percent as it is printed: ``5%`` for ``5``, ``5%`` and ``5.0 %``.

    Args:
        given: text, or a number as YAML has it.

    Raises:
        UsageError: it is no share between 0 and 100 percent, both left out.
    """
    found = _SHARE.fullmatch(str(given).strip())
    share = Decimal(found[1]) if found else Decimal(0)
    if not 0 < share < _WHOLE:
        why = "it is no number of percent with at most six decimal places"
        if found:
            why = "that is the whole input" if share == _WHOLE else "it is not between 0 and 100 percent"
        raise UsageError(
            f"The sample is {given}", why, "Give a share such as 5% or 0.1%, or leave the sample out"
        )
    return f"{share.normalize():f}%"


def is_own_dimension(variables: Mapping[str, Any]) -> bool:
    """Whether a project declares a dimension of its own with the name of samples."""
    declared = variables.get("slice_dimensions")
    return isinstance(declared, Mapping) and SAMPLE in declared


def requested_sample(variables: Mapping[str, Any]) -> str:
    """The share that the slice of a run asks for, empty for none.

    Args:
        variables: dbt's vars as the run has them.

    Raises:
        UsageError: as of ``share_of``.
    """
    asked = variables.get("slice")
    if not isinstance(asked, Mapping) or SAMPLE not in asked or is_own_dimension(variables):
        return ""
    return share_of(asked[SAMPLE])
