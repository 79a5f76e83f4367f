"""What ``slipway contracts diff`` prints: for a terminal, a pull request and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slipway.comparison.style import Style
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.contracts.contract_changes import Change, ContractDiff


def lines(found: Sequence[ContractDiff]) -> list[str]:
    """The differences as plain lines: each contract, its changes, and what is to be done."""
    shown: list[str] = []
    for one in found:
        shown.append(f"{_title(one)}: {_counts(one)}")
        width = max((len(_class(change)) for change in one.changes), default=0)
        for change in one.changes:
            place = f"{change.place}: " if change.place else ""
            shown.append(
                f"  {_class(change):<{width}}  {place}{_values(change, Style(markdown=False))}. {change.why}"
            )
        shown += [f"  Failed: {sentence}" for sentence in one.failures]
        shown += [f"  Warning: {sentence}" for sentence in one.warnings]
    return shown


def markdown(found: Sequence[ContractDiff]) -> str:
    """The differences for a pull request, what breaks first."""
    style = Style(markdown=True)
    failed = sum(bool(one.failures) for one in found)
    verdict = "failed" if failed else "passed"
    parts = [f"### Contracts: {verdict}, {summary(found)}", ""]
    for one in found:
        parts += [f"**{style.words(_title(one))}**: {_counts(one)}", ""]
        parts += [f"- **failed**: {_sentence(sentence)}" for sentence in one.failures]
        parts += [f"- warning: {_sentence(sentence)}" for sentence in one.warnings]
        parts += [""] if one.failures or one.warnings else []
        if one.changes:
            parts += ["| class | place | change | why |", "| :--- | :--- | :--- | :--- |"]
            ordered = sorted(one.changes, key=lambda change: not change.breaks)
            parts += [
                f"| {_class(change)} | {style.value(change.place) if change.place else ''} |"
                f" {_values(change, style)} | {style.words(change.why)} |"
                for change in ordered
            ]
            parts.append("")
    return "\n".join(parts).rstrip()


def record(one: ContractDiff) -> dict[str, Any]:
    """The differences of one contract as plain values."""
    return {
        "contract": one.id,
        "file": one.origin,
        "describes": "feed" if one.is_feed else "product",
        "base_version": one.base,
        "head_version": one.head,
        "breaks": sorted(one.breaks),
        "changes": [
            {
                "place": change.place,
                "change": change.how,
                "before": change.before,
                "after": change.after,
                "breaks": sorted(change.breaks),
                "why": change.why,
            }
            for change in one.changes
        ],
        "failures": list(one.failures),
        "warnings": list(one.warnings),
    }


def summary(found: Sequence[ContractDiff]) -> str:
    """How many contracts differ, and how many of them may not as they are."""
    failed = sum(bool(one.failures) for one in found)
    return (
        f"{plural(len(found), 'contract')} changed, {failed} of them not in order"
        if failed
        else (f"{plural(len(found), 'contract')} changed")
    )


def _sentence(text: str) -> str:
    """A sentence of ours with code in it; what it quotes of a contract is a name, a version or a date."""
    return "`".join(
        part if index % 2 else Style(markdown=True).words(part) + _blank(part)
        for index, part in enumerate(text.split("`"))
    ).strip()


def _blank(part: str) -> str:
    return " " if part.endswith(" ") else ""


def _title(one: ContractDiff) -> str:
    kind = "feed" if one.is_feed else "product"
    versions = (
        f"{one.base} → {one.head}" if one.base is not None and one.head is not None else one.head or one.base
    )
    return f"{one.id} ({kind}, {one.origin}) {versions}"


def _counts(one: ContractDiff) -> str:
    breaking = sum(bool(change.breaks) for change in one.changes)
    if one.base is None:
        return "a new contract"
    if one.head is None:
        return "removed"
    if not one.changes:
        return "a new version, and nothing else has changed"
    return f"{plural(breaking, 'breaking change')}, {len(one.changes) - breaking} compatible"


def _class(change: Change) -> str:
    return f"breaks {' and '.join(sorted(change.breaks))}" if change.breaks else "compatible"


def _values(change: Change, style: Style) -> str:
    import json

    if change.how != "changed":
        value = change.after if change.before is None else change.before
        single = value is not None and not isinstance(value, dict | list)
        return f"{change.how} {style.value(_plain(value))}" if single else str(change.how)
    before, after = (
        style.value(json.dumps(one, ensure_ascii=False))
        if isinstance(one, dict | list)
        else style.value(_plain(one))
        for one in (change.before, change.after)
    )
    return f"{before} → {after}"


def _plain(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
