"""The form of the example's SQL, for what sqlfluff has no rule."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
MODELS = sorted((PROJECT / "models").rglob("*.sql"))
# what an import CTE is: all columns of one table, and of its rows at most those that a condition keeps
IMPORT = re.compile(
    r"as \(\s+(?:--[^\n]*\s+)*select \* from (\{\{ ref\('\w+'\) \}\})(?=\s+(?:where|\{%-? if|\)))"
)
# a relation that is only looked up, to know which rows are new
LOOKED_UP = re.compile(r"\{%-? set \w+ = ref\('\w+'\) %\}|partitions_changed\(ref\('\w+'\)")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_import_ctes_only_select(path: Path) -> None:
    sql = LOOKED_UP.sub("", path.read_text(encoding="utf-8"))
    assert sql.count("ref(") == len(IMPORT.findall(sql))
