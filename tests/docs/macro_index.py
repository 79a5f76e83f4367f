"""Makes docs/reference/macros.md from the YAML of the macros: ``python -m tests.docs.macro_index > docs/reference/macros.md``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scripts" / "slipway" / "dbt" / "package" / "macros"
OWN = "Slipway's"
_HEAD = """\
# Macros

For whoever writes models. What a model may call: Slipway's macros, which come with the adapter, and those of this project, by their folder. Those with `test` in front are
generic tests, for `data_tests` in YAML. Macros whose names begin with `_slipway` are internal, and change without notice.

This page is made from the YAML of the macros by `python -m tests.docs.macro_index`.
"""


def sections() -> dict[str, str]:
    """Heading to text of the folders that are there."""
    found = {OWN: PACKAGE / "_macros.yml"}
    found |= {f"macros/{path.parent.name}": path for path in sorted((ROOT / "macros").glob("*/_macros.yml"))}
    return {
        name: "\n".join(map(_entry, yaml.safe_load(path.read_text(encoding="utf-8"))["macros"]))
        for name, path in found.items()
    }


def _entry(macro: dict[str, Any]) -> str:
    names = ", ".join(argument["name"] for argument in macro["arguments"])
    is_test = macro["name"].startswith("test_")
    name = f"test {macro['name'].removeprefix('test_')}" if is_test else macro["name"]
    lines = [f"### {name}({names})", "", macro["description"], ""]
    if macro["arguments"]:
        lines += ["| argument | type | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{one['name']}` | {one['type']} | {one['description']} |" for one in macro["arguments"]]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(f"## {name}\n\n{text}" for name, text in sections().items())])


if __name__ == "__main__":
    sys.stdout.write(page())
