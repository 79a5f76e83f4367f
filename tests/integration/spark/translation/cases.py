"""The cases of the parity suite, as ``parity/README.md`` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "parity"
VERDICTS = ("agrees", "differs", "fails", "stricter", "refused")


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Args:
        place: file and line, as the id of a test.
        verdict: what is asserted.
        text: the expression or query as it stands there.
        sql: the query.
    """

    place: str
    verdict: str
    text: str
    sql: str


def _query(text: str, file: str) -> str:
    first = text.split(maxsplit=1)[0]
    if first in {
        "select",
        "with",
        "from",
        "insert",
        "create",
        "delete",
        "describe",
        "pivot",
    } or text.startswith("(select k"):
        return text
    if file == "aggregates":
        return f"select g, {text} as it from cells group by g"
    return f"select k, {text} as it from cells"


def cases() -> list[Case]:
    """All cases, in the order of the files."""
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line and not line.startswith("#"):
                verdict, text = line.split(" ", 1)
                assert verdict in VERDICTS, f"{path.name}:{number} has the verdict {verdict}"
                found.append(Case(f"{path.stem}:{number}", verdict, text, _query(text, path.stem)))
    return found


TABLES = (FOLDER / "tables.sql").read_text(encoding="utf-8")
