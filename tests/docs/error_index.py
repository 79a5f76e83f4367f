"""Makes docs/reference/errors.md from the code: ``python -m tests.docs.error_index > docs/reference/errors.md``.

Every refusal is a ``SlipwayError`` with three texts: what could not be done, why, and what to do. They are read from the
places that make one; what is only known when it happens, such as the name of a table, is ``…``.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from tests.harness.example import of_example

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scripts" / "slipway"
OPEN = "…"
_MACRO = re.compile(r"raise_compiler_error\(\s*(.*?)\s*\)\s*(?:-?[%}]\}|\))", re.DOTALL)

HEAD = """# Errors

For whoever reads a message and wants to know what it means. Every error of Slipway says what could not be done, why, and what to do; here is each of
them, by the room of the code that it comes from. `…` stands for what is only known when it happens, such as the name of a table or what another
program answered. Search for the words between. [Exit codes](exit-codes.md) says what the numbers mean, the [runbook](../how-to/runbook.md) what to do about
a symptom.

An error inside a model, test or hook of a run is that node's error: the run ends with code 1, and `slipway show latest` shows the message.

This page is made from the code by `python -m tests.docs.error_index`.
"""


REASONS = """
## Why a run is not published

The reason that `slipway run` prints at its end and `slipway show` repeats. `failed` and `refused` end with code 1, or with that of the error above that
kept the run from being published; the others with 0. What is about the code of rows: [rows of earlier code](../explanation/unchanged.md#rows-of-earlier-code).

| reason | outcome |
| --- | --- |
"""


@dataclass(frozen=True, order=True)
class Refusal:
    """One row of the page."""

    what: str
    code: int
    why: str
    fix: str


@dataclass(frozen=True)
class Place:
    """Where a text is made: the function, and its module, whose names the text may use."""

    scope: ast.AST
    module: ast.Module
    resolved: frozenset[str] = frozenset()

    def texts(self, node: ast.AST | None) -> list[str]:
        """What an expression can come to, an alternative each."""
        if node is None:
            return [""]
        if isinstance(node, ast.Constant):
            return [node.value if isinstance(node.value, str) else ""]
        if isinstance(node, ast.JoinedStr):
            return _joined([self._part(part) for part in node.values])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return _joined([self.texts(node.left), self.texts(node.right)])
        if isinstance(node, ast.IfExp):
            return [*self.texts(node.body), *self.texts(node.orelse)]
        if isinstance(node, ast.BoolOp):
            return [text for value in node.values for text in self.texts(value)]
        if isinstance(node, ast.Name):
            return self._assigned(node.id)
        return [OPEN]

    def _part(self, node: ast.expr) -> list[str]:
        """A part of an f-string: names in it stay open unless they only choose between texts."""
        value = node.value if isinstance(node, ast.FormattedValue) else node
        if isinstance(value, ast.IfExp | ast.Constant):
            return self.texts(value)
        if isinstance(value, ast.Name):
            around = self.module.body if value.id.isupper() else ast.walk(self.scope)
            if all(
                isinstance(given, ast.Constant | ast.JoinedStr | ast.IfExp)
                for given in _values(around, value.id)
            ):
                return self._assigned(value.id)
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "variable":
            return [f"SLIPWAY_{ast.literal_eval(value.args[0]).upper()}"]
        return [OPEN]

    def _assigned(self, name: str) -> list[str]:
        if name in self.resolved:
            return [OPEN]
        inside = replace(self, resolved=self.resolved | {name})
        around = self.module.body if name.isupper() else ast.walk(self.scope)
        return [text for value in _values(around, name) for text in inside.texts(value)] or [OPEN]


def _values(nodes: Iterable[ast.AST], name: str) -> Iterator[ast.expr]:
    """What statements assign to a name, by itself or together with others."""
    for node in nodes:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=True):
                    if isinstance(one, ast.Name) and one.id == name:
                        yield value


def _joined(parts: list[list[str]]) -> list[str]:
    return ["".join(chosen) for chosen in itertools.islice(itertools.product(*parts), 8)]


@cache
def trees() -> dict[Path, ast.Module]:
    """The modules of the package."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def codes() -> dict[str, int]:
    """Exit code of each class of errors, by name."""
    classes = [node for tree in trees().values() for node in tree.body if isinstance(node, ast.ClassDef)]
    found = {"SlipwayError": 1}
    for _ in range(4):  # however the files are sorted, a base is known before long
        for node in classes:
            known = [found[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in found]
            if known or node.name == "SlipwayError":
                found[node.name] = _own_code(node) or (known[0] if known else 1)
    return found


def _own_code(node: ast.ClassDef) -> int | None:
    for line in node.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "exit_code":
            return int(ast.literal_eval(line.value))
    return None


def refusals() -> dict[str, set[Refusal]]:
    """Every refusal that the package makes, by room."""
    known, found = codes(), dict[str, set[Refusal]]()
    for path, tree in trees().items():
        inside = path.relative_to(PACKAGE)
        room = inside.parts[0] if len(inside.parts) > 1 else "settings"
        for call, place in _calls(tree, known):
            found.setdefault(room, set()).update(_rows(call, place, known))
    return found


def _calls(tree: ast.Module, known: Mapping[str, int]) -> Iterator[tuple[ast.Call, Place]]:
    nodes = list(ast.walk(tree))
    scopes = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
            around = [one for one in scopes if one.lineno <= node.lineno <= (one.end_lineno or 0)]
            yield node, Place(max(around, key=lambda one: one.lineno, default=tree), tree)


def _rows(call: ast.Call, place: Place, known: Mapping[str, int]) -> Iterator[Refusal]:
    given = dict(zip(("what", "why", "fix"), call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    why, fix = (" / ".join(filter(None, _tidy(place.texts(given.get(name))))) for name in ("why", "fix"))
    for what in _tidy(place.texts(given.get("what"))):
        if what.strip(f"{OPEN} .:,"):
            yield Refusal(what, known[str(ast.unparse(call.func))], why, fix)


def _tidy(texts: list[str]) -> list[str]:
    short = [re.sub(rf"{OPEN}(?:[ ,]*{OPEN})+", OPEN, " ".join(text.split())) for text in texts]
    return list(dict.fromkeys(short))


def reasons() -> list[tuple[str, str]]:
    """Why a run is not published, as it decides at its end, with the outcome; and as ``slipway publish`` asks again."""
    module = trees()[PACKAGE / "runs" / "decision.py"]
    found = list[tuple[str, str]]()
    for scope in module.body:
        if not isinstance(scope, ast.FunctionDef):
            continue
        place = Place(scope, module)
        for node in ast.walk(scope):
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            if isinstance(node.value, ast.Tuple) and ast.unparse(node.value.elts[0]).startswith("Outcome."):
                outcome = ast.unparse(node.value.elts[0]).rpartition(".")[2].lower()
                found += [(text, outcome) for text in _tidy(place.texts(node.value.elts[1]))]
            elif isinstance(node.value, ast.JoinedStr | ast.Constant):
                found += [(text, "refused by `slipway publish`") for text in _tidy(place.texts(node.value))]
    return sorted({row for row in found if row[0].strip(f"{OPEN} .:,")}, key=_alphabetically)


def _alphabetically(row: tuple[str, str]) -> tuple[str, tuple[str, str]]:
    return row[0].lstrip(f"{OPEN} .:,").lower(), row


def in_macros() -> list[str]:
    """What macros refuse, in the order of the text."""
    found = set[str]()
    for folder in (ROOT / "macros", PACKAGE):
        for path in folder.rglob("*.sql"):
            if not of_example(path.relative_to(ROOT).as_posix()):
                for given in _MACRO.findall(path.read_text(encoding="utf-8")):
                    found |= set(_tidy([_template(given)]))
    return sorted(text for text in found if text.strip(f"{OPEN} .:,"))


def _template(given: str) -> str:
    """A Jinja expression that joins texts with ``~``."""
    given = re.sub(r"\w+\['\w+'\]", "value", given)
    parts = re.findall(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([^'\"]+)", given)
    texts = (
        single or double or ("" if other.strip() in ("", "~") else OPEN) for single, double, other in parts
    )
    return "".join(texts).replace("\\'", "'")


def page() -> str:
    """The whole page."""
    found = refusals()
    parts = [HEAD]
    for room in sorted(found):
        parts.append(f"\n## {room}\n\n| what it says | code | why | do |\n| --- | --- | --- | --- |\n")
        parts += [
            f"| {_cell(row.what)} | {row.code} | {_cell(row.why)} | {_cell(row.fix)} |\n"
            for row in sorted(found[room], key=lambda row: (row.what.lstrip(f"{OPEN} .:").lower(), row))
        ]
    if texts := in_macros():
        parts.append("\n## macros\n\n| what it says | code |\n| --- | --- |\n")
        parts += [f"| {_cell(text)} | 1 |\n" for text in texts]
    parts.append(REASONS)
    parts += [f"| {_cell(text)} | {outcome} |\n" for text, outcome in reasons()]
    return "".join(parts)


def _cell(text: str) -> str:
    return re.sub(r"([|<>*_])", r"\\\1", text)


if __name__ == "__main__":
    sys.stdout.write(page())
