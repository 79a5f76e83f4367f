"""What a Python model reads beside its tables, as far as its code says so: a clock, chance, files, the network.

Python cannot be asked what it will do. These are names that mean it nearly always; what is hidden from them is for the
reviewer, and for ``--force``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from slipway.adapters.dbt.keys.python import modules_of, tree_of

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
