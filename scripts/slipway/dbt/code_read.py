"""Which code a run has read: files that dbt parsed and modules that Python imported, as they are and as they were read."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from slipway.code.commits import Finding
from slipway.code.versions import code_of, installation, is_installed, settled
from slipway.dbt.keys.jinja_code import MACHINERY
from slipway.records.run_manifest import Code

_OWN = ("slipway", "dbt.adapters.slipway")


def code_read(begun: Code, project: Path, manifest: Any, imported: Iterable[ModuleType]) -> Code:
    """The code of a run that is over.

    Args:
        begun: the code as the run began.
        project: folder of dbt_project.yml.
        manifest: dbt's, None where it could not parse.
        imported: the modules of this process.
    """
    ours = _parsed(manifest, project) if manifest else {}
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    modules = {
        path: module
        for module in imported
        if getattr(module, "__file__", None) not in (None, program) and (path := _own_file(module, project))
    }
    changed = [*_parsed_otherwise(ours), *_compiled_otherwise(modules)]
    return settled(begun, code_of(project, [*ours, *modules]), changed)


def _parsed(manifest: Any, project: Path) -> dict[Path, Any]:
    """The files that dbt has parsed, other than those of installed packages.

    They are named where they are now: a parse that was taken over from a project that was moved names its old folder.
    """
    own = manifest.metadata.project_name
    before = {file.path.project_root for file in manifest.files.values() if file.project_name == own}
    found = {}
    for file in manifest.files.values():
        path = Path(file.path.absolute_path)
        root = next((root for root in before if path.is_relative_to(os.path.normpath(root))), None)
        path = project / path.relative_to(os.path.normpath(root)) if root else path
        elsewhere = file.project_name == MACHINERY and not path.is_relative_to(project)
        if not (elsewhere or is_installed(path)):
            found[path] = file
    return found


def _parsed_otherwise(files: dict[Path, Any]) -> Iterator[Finding]:
    """Files of which dbt has parsed another content, now or in the parse that it took over from an earlier command."""
    for path, file in files.items():
        if file.checksum.name != "sha256":  # of a large seed dbt keeps no digest
            continue
        try:
            content = path.read_bytes().decode("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue  # compared with the commit by itself
        if hashlib.sha256(content.encode()).hexdigest() != file.checksum.checksum:
            yield (
                str(path),
                "dbt parsed another content; remove partial_parse.msgpack from dbt's target folder",
            )


def _compiled_otherwise(modules: dict[Path, ModuleType]) -> Iterator[Finding]:
    """Modules of which Python has kept other bytecode than their source gives, under the same time and size."""
    for path, module in modules.items():
        cached = getattr(module, "__cached__", None)
        loader = getattr(module.__spec__, "loader", None)
        if _is_slipways(module.__name__) or not cached or not Path(cached).exists():
            continue
        try:
            kept = loader.get_code(module.__name__) if loader else None
            if kept is not None and kept != compile(path.read_bytes(), str(path), "exec", dont_inherit=True):
                yield str(path), f"Python has other bytecode of it; remove {cached}"
        except (OSError, ImportError, SyntaxError, ValueError):
            yield str(path), "its bytecode cannot be compared with its source"


def _own_file(module: ModuleType, project: Path) -> Path | None:
    """The file of a module that is neither Python's nor of an installed package."""
    name, place = getattr(module, "__name__", ""), os.path.normpath(Path(str(module.__file__)).absolute())
    if place.startswith(installation()):
        return None
    path = Path(place)
    if path.suffix == ".pyc" and (source := _source(path)):
        path = source
    if path.is_relative_to(project):
        return path
    # slipway itself may be a tool that is kept elsewhere
    if _is_slipways(name) or is_installed(path) or _is_of_distribution(name, path):
        return None
    return path


def _is_slipways(name: str) -> bool:
    return any(f"{name}.".startswith(f"{own}.") for own in _OWN)


def own_files(manifest: Any, project: Path) -> list[Path]:
    """Files that dbt has parsed, and modules of this process, that are the project's own or those of its packages, without Slipway's."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    named = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
    modules = [path for one in named if one.__file__ != program and (path := _own_file(one, project))]
    files = _parsed(manifest, project).items()
    return [*(path for path, file in files if file.project_name != MACHINERY), *modules]


def _source(path: Path) -> Path | None:
    try:
        return Path(importlib.util.source_from_cache(str(path)))
    except ValueError:
        return None


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in packages_distributions().items()}


def _is_of_distribution(name: str, path: Path) -> bool:
    """Whether a module lies where a distribution was installed, in a folder of its own on the path."""
    for found in _distributions().get(name.partition(".")[0], []):
        try:
            root = Path(str(distribution(found).locate_file(""))).resolve()
        except PackageNotFoundError:
            continue
        if any(root.glob(f"{found.replace('-', '_')}-*.dist-info")) and path.resolve().is_relative_to(root):
            return True
    return False
