"""Python code without its comments and layout, what it imports, and what it reads apart from its tables.

Python cannot be asked what it will do. These are names that mean it nearly always; what is hidden from them is for the
reviewer, and for ``--force``.
"""

from __future__ import annotations

import ast
import importlib.util
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# what makes a table of a relation: a model need not import it to use it
_FRAMES = ("pandas", "pyarrow")
_T = TypeVar("_T")
_PARSING = threading.Lock()
_TRIES = 5
_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})
_IMPORTERS = frozenset({"import_module", "__import__", "find_spec", "run_module"})


def python_form(code: str) -> str:
    """A form that is equal for two codes only if they do the same, and does not depend on Python's version.

    Docstrings count, because code can read them.
    """
    return _dumped(tree_of(code))


def python_parts(code: str, known: Mapping[str, str], *, versions: bool = True) -> list[object]:
    """What a Python model's result depends on apart from data and configuration.

    Args:
        code: the model's.
        known: the environment, of which what the code reads counts.
        versions: whether Python's version and those of installed packages count.
    """
    modules, others = modules_of(code)
    sources = [code, *modules.values()]
    forms = {name: python_form(source) for name, source in modules.items()}
    version = ".".join(platform.python_version_tuple()[:2])
    return [
        python_form(code),
        sorted(forms.items()),
        *((versions_of(others), version) if versions else ()),
        sorted(environment(known, sources).items()),
    ]


@cache
def own_code(module: str) -> tuple[tuple[str, str], ...]:
    """Name and form of the own modules that importing one runs; none for what is installed from a package."""
    return tuple(
        sorted((name, python_form(source)) for name, source in modules_of(f"import {module}")[0].items())
    )


def environment(known: Mapping[str, str], sources: Iterable[str]) -> dict[str, str | None]:
    """Name to value of each environment variable that code reads; all of them where a name is computed."""
    names: set[str] = set()
    for source in sources:
        read = _environment_names(tree_of(source))
        if read is None:
            return dict(known)
        names |= read
    return {name: known.get(name) for name in names}


def _environment_names(tree: ast.Module) -> set[str] | None:
    """Names that ``os.environ`` and ``os.getenv`` are asked for; None where one is computed, or they are handed on."""
    names: set[str] = set()
    uses = {id(node) for node in ast.walk(tree) if _is_environment(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(
            one.name in _ENVIRONMENT and one.asname for one in node.names
        ):
            return None
        for use, name in _asked(node):
            if id(use) in uses:
                uses.discard(id(use))
                names.add(name)
    return None if uses else names


def _asked(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """What is asked for a constant name, and the name: ``x["name"]``, ``x.get("name")``, ``x("name")``, ``"name" in x``."""
    match node:
        case ast.Subscript(value=asked, slice=ast.Constant(value=str(name))):
            yield asked, name
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
            yield function, name
            if isinstance(function, ast.Attribute):
                yield function.value, name
        case ast.Compare(left=ast.Constant(value=str(name)), comparators=[asked]):
            yield asked, name


def _is_environment(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr in _ENVIRONMENT) or (
        isinstance(node, ast.Name) and node.id in _ENVIRONMENT
    )


def modules_of(code: str) -> tuple[dict[str, str], set[str]]:
    """Own modules that code imports, directly or not, each with its source; and top-level names of the others."""
    own: dict[str, str] = {}
    others: set[str] = set()
    waiting = [(code, "")]
    while waiting:
        for name in imports(*waiting.pop()):
            path = None if name in own else own_module(name)
            if path is not None:
                source = path.read_text(encoding="utf-8")
                own[name] = source
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                waiting.append((source, package))
            elif name not in own:
                others.add(name.partition(".")[0])
    return own, others - {name.partition(".")[0] for name in own} - sys.stdlib_module_names


def module_files(code: str) -> dict[str, str]:
    """The same own modules by the file that each is imported from, below a folder of Python's path."""
    found = {}
    for name, source in modules_of(code)[0].items():
        path = own_module(name)
        end = "/__init__.py" if path and path.name == "__init__.py" else ".py"
        found[name.replace(".", "/") + end] = source
    return found


def texts_of(code: str) -> list[str]:
    """The texts that Python code works with: constants and parts of f-strings, without docstrings."""
    return [text for text, _ in placed_texts(code)]


def placed_texts(code: str) -> list[tuple[str, int]]:
    """The same, each with the line on which it begins, counted from 1."""
    tree = tree_of(code)
    remarks = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.value, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in remarks
    ]


def imports(code: str, package: str) -> Iterator[str]:
    """Names that may be modules; importing one runs the packages around it, too."""
    for statement in ast.walk(tree_of(code)):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield from _with_packages(alias.name)
        elif isinstance(statement, ast.ImportFrom):
            around = (
                package.split(".")[: len(package.split(".")) + 1 - statement.level] if statement.level else []
            )
            origin = ".".join([*around, *([statement.module] if statement.module else [])])
            yield from _with_packages(origin)
            yield from (f"{origin}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.Call) and statement.args and _is_importer(statement.func):
            named = statement.args[0]
            if (
                isinstance(named, ast.Constant)
                and isinstance(named.value, str)
                and not named.value.startswith(".")
            ):
                yield from _with_packages(named.value)


def versions_of(names: Iterable[str]) -> list[tuple[str, str]]:
    """Versions of the installed distributions that bring modules, and of those that they need."""
    brought = _distributions()
    waiting = [one for name in (*names, *_FRAMES) for one in brought.get(name, [])]
    found: dict[str, str] = {}
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found or (known := _installed(name)) is None:
            continue
        found[name], needed = known
        waiting += needed
    return sorted(found.items())


@cache
def own_module(name: str) -> Path | None:
    """The file of a module that is neither Python's own nor installed from a package."""
    root = name.split(".", maxsplit=1)[0]
    if root in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    origin = Path(spec.origin)
    return None if "site-packages" in origin.parts or root == "slipway" else origin


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in packages_distributions().items()}


@cache
def _installed(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Version of a distribution, and what it needs here; None for one that is not installed."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    needed = [Requirement(text) for text in found.requires or []]
    wanted = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found.version, tuple(wanted)


def _is_importer(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in _IMPORTERS


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


@lru_cache(maxsize=256)
def tree_of(code: str) -> ast.Module:
    """The syntax tree of a module."""
    return _parsed(ast.parse, code)


def literal(text: str) -> object:
    """The value of a Python literal."""
    return _parsed(ast.literal_eval, text)


def _parsed(parse: Callable[[str], _T], text: str) -> _T:
    """Parse while no other thread of ours does; again if one of somebody else did.

    CPython counts the depth of what it makes of a syntax tree for all threads together, and fails when two threads are at it:
    https://github.com/python/cpython/issues/106905
    """
    with _PARSING:
        for _ in range(_TRIES):
            with suppress(SystemError):
                return parse(text)
        return parse(text)


def _dumped(value: object) -> str:
    """A syntax tree as text; places and what is empty are left out."""
    if isinstance(value, list):
        return f"[{','.join([_dumped(item) for item in value])}]"
    if not isinstance(value, ast.AST):
        return repr(value)
    fields = [
        f"{name}={_dumped(given)}"
        for name, given in ast.iter_fields(value)
        if given is not None and given != []
    ]
    return f"{type(value).__name__}({','.join(fields)})"


_MODULES = frozenset(
    {
        "ftplib",
        "glob",
        "http",
        "httpx",
        "random",
        "requests",
        "secrets",
        "smtplib",
        "socket",
        "subprocess",
        "urllib",
    }
)
_CALLS = frozenset(
    {
        "getpid",
        "glob",
        "iterdir",
        "listdir",
        "monotonic",
        "now",
        "open",
        "perf_counter",
        "read_bytes",
        "read_csv",
        "read_excel",
        "read_feather",
        "read_json",
        "read_parquet",
        "read_pickle",
        "read_table",
        "read_text",
        "rglob",
        "scandir",
        "time",
        "time_ns",
        "today",
        "urandom",
        "utcnow",
        "uuid1",
        "uuid4",
    }
)
_OF_RANDOM = frozenset({"default_rng", "RandomState"})


def python_volatile(code: str) -> str:
    """What a model's result depends on that no key covers, in words; empty if its code, and modules of its own, name nothing such."""
    own, _ = modules_of(code)
    found = {name for source in (code, *own.values()) for name in _names(tree_of(source))}
    return f"it uses {', '.join(sorted(found)[:3])}" if found else ""


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.partition(".")[0] in _MODULES)
            case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] in _MODULES:
                yield module
            case ast.Attribute(
                value=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"), attr=name
            ):
                if name not in ("Generator", "default_rng", "RandomState", "SeedSequence"):
                    yield f"numpy.random.{name}"
            case ast.Call(
                func=ast.Attribute(attr=name) | ast.Name(id=name), args=arguments, keywords=keywords
            ):
                unseeded = name in _OF_RANDOM and not (arguments or keywords)
                if unseeded or (name in _CALLS and not (name == "time" and arguments)):
                    yield f"{name}()"
