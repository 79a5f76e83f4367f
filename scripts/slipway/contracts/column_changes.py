"""What a change of a table, of a column or of its type, name and classification means."""

from __future__ import annotations

from slipway.contracts.change_judges import LESS, equal
from slipway.contracts.change_terms import (
    BOTH,
    NARROWER,
    NOBODY,
    WIDER,
    Step,
    Verdict,
    custom_property,
)
from slipway.contracts.classification import SECRECY
from slipway.contracts.products import logical_type, plain_type


def data_type(step: Step) -> Verdict | None:
    """Of a physical type: spellings of one type are equal."""
    before, after = step.values
    texts = isinstance(before, str) and isinstance(after, str)
    if before == after or (texts and plain_type(before) == plain_type(after)):
        return None
    if not step.terms.is_feed and (before is None or after is None):
        return (NARROWER, "The type is promised, too.") if before is None else (WIDER, LESS)
    return BOTH, "Values have another type."


def logical_type_of(step: Step) -> Verdict | None:
    """Of a logical type, which follows from the physical one where it is not stated."""
    kinds = [
        one or ("string" if step.terms.is_feed else logical_type(str(owner.get("physicalType") or "")))
        for one, owner in ((step.before, step.owner_before), (step.after, step.owner_after))
    ]
    return None if kinds[0] == kinds[1] else data_type(step)


def name_of_column(step: Step) -> Verdict | None:
    """Of the name of a property, which models use."""
    if equal(step.before, step.after):
        return None
    header = [_header(one) for one in (step.owner_before, step.owner_after)]
    if not step.terms.is_feed:
        return (
            (WIDER, "Readers find it under another name.")
            if header[0] != header[1]
            else (
                NOBODY,
                "Its name in the table stays.",
            )
        )
    if header[0] == header[1]:
        return WIDER, "Models find it under another name."
    return BOTH, "Files and readers have to use another name."


def physical_name(step: Step) -> Verdict | None:
    """Of the name that a column has in files and tables."""
    names = [_header(one) for one in (step.owner_before, step.owner_after)]
    return None if names[0] == names[1] else (BOTH, "Files and tables have to use another name.")


def table_name(step: Step) -> Verdict | None:
    """Of the name of a table."""
    names = [_header(one) for one in (step.owner_before, step.owner_after)]
    if names[0] != names[1]:
        return WIDER, "Readers find the table under another name."
    return None if step.key == "physicalName" else (NOBODY, "The name of the table stays.")


def column_item(step: Step) -> Verdict:
    """Of a column that only one version has."""
    if step.before is None:
        if step.terms.is_feed and not _may_lack(step.after):
            return NARROWER, "Every file has to have it; it may be missing with `optional` or `since`."
        return NOBODY, "What was there stays as it was."
    if step.terms.is_feed:
        return BOTH, "Readers lose it, and files that still have it are set aside."
    return WIDER, "Readers lose it."


def order_of_columns(step: Step) -> Verdict:
    """Of the order of columns, which counts in files that are not read by their headers."""
    if step.terms.is_feed and step.terms.header != "names":
        return NARROWER, "Files have to have their columns in this order."
    return NOBODY, "Columns are found by their names."


def optional(step: Step) -> Verdict | None:
    """Of ``optional`` and ``since``, which say whether a column may be missing in a file."""
    before, after = (_may_lack(one) for one in (step.owner_before, step.owner_after))
    if before is after:
        return None if step.key == "optional" else (NOBODY, "The column may be missing as before.")
    if after:
        return WIDER, "It may be missing in files, and is NULL then."
    return NARROWER, "Every file has to have it."


def classification(step: Step) -> Verdict | None:
    """Of a classification: a stricter one restricts readers."""
    before, after = step.values
    if equal(before, after):
        return None
    ranks = [SECRECY.get(str(one).lower()) for one in (before, after)]
    if ranks[0] is not None and ranks[1] is not None:
        if ranks[0] < ranks[1]:
            return WIDER, "Readers may need another permission."
        if ranks[0] > ranks[1]:
            return NARROWER, "The data of producers is protected less."
        return None
    return BOTH, "Others may read the data than before."


def _header(item: object) -> object:
    return (item.get("physicalName") or item.get("name")) if isinstance(item, dict) else None


def _may_lack(column: object) -> bool:
    if not isinstance(column, dict):
        return False
    return bool(custom_property(column, "optional", False) or custom_property(column, "since", None))
