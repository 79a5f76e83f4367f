"""What dbt leaves out of a project although nobody disabled it: it warns at most once, and never again while the file stays as it is.

A data test of a model that is not there is not run, also not when the model has come back, because the parse that dbt saves
goes on without it. YAML of a node that is not there has no effect: no contract is enforced, and no configuration applies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from slipway.counts import plural
from slipway.dbt.command import target_path
from slipway.dbt.nodes import DbtManifest
from slipway.errors import ConfigError

_SECTIONS = {"models": "model", "seeds": "seed", "snapshots": "snapshot"}


@dataclass(frozen=True)
class Dropped:
    """Something of a project that has no effect.

    Args:
        unique_id: of a test; empty for YAML.
        file: where it is, from the root of its project.
        name: of what is not there; empty where everything is there by now.
        message: a sentence.
    """

    unique_id: str
    file: str
    name: str
    message: str


def dropped(manifest: Any) -> list[Dropped]:
    """What of a project has no effect; tests that the YAML of a node declares which is not there are not named one by one."""
    yaml = list(_yaml(manifest))
    declared = {(one.file, one.name) for one in yaml}
    return [*yaml, *(one for one in _tests(manifest) if (one.file, one.name) not in declared)]


def check_dropped(manifest: DbtManifest, project: Path) -> None:
    """Refuse a project of which dbt leaves something out.

    Args:
        manifest: dbt's.
        project: folder of dbt_project.yml.

    Raises:
        ConfigError: one message for everything. dbt parses the whole project with its next command.
    """
    if found := dropped(manifest):
        forget_parse(project)
        count = plural(len(found), "part")
        raise ConfigError(
            f"dbt leaves out {count} of the project",
            " ".join(one.message for one in found),
            "Correct the names, or remove what is not needed"
            if any(one.name for one in found)
            else "Run the command again: dbt then parses the whole project",
        )


def forget_parse(project: Path) -> None:
    """Have dbt parse the whole project with its next command."""
    from dbt.constants import PARTIAL_PARSE_FILE_NAME

    with suppress(OSError):
        (target_path(project) / PARTIAL_PARSE_FILE_NAME).unlink()


def _tests(manifest: Any) -> Iterator[Dropped]:
    disabled = [node for nodes in manifest.disabled.values() for node in nodes]
    for test in [*manifest.nodes.values(), *disabled]:
        if test.resource_type != "test" or test.config.enabled or "enabled" in test.unrendered_config:
            continue
        targets = dict(_targets(manifest, test))
        missing = [name for name, target in targets.items() if target is None]
        if missing:
            said = (
                f"Test {test.name} is not run, because it reads {' and '.join(missing)}, which is not there."
            )
            yield Dropped(test.unique_id, test.original_file_path, missing[0], said)
        elif all(hasattr(target, "unique_id") for target in targets.values()):
            said = f"Test {test.name} has not been run since something that it reads was missing in an earlier command."
            yield Dropped(test.unique_id, test.original_file_path, "", said)


def _targets(manifest: Any, test: Any) -> Iterator[tuple[str, object]]:
    """What a test refers to, with dbt's node; None for what is not there, and dbt's own mark for what is disabled."""
    root = manifest.metadata.project_name
    for ref in test.refs:
        yield (
            ref.name,
            manifest.resolve_ref(test, ref.name, ref.package, ref.version, root, test.package_name),
        )
    for source, table in test.sources:
        yield f"{source}.{table}", manifest.resolve_source(source, table, root, test.package_name)


def _yaml(manifest: Any) -> Iterator[Dropped]:
    root = manifest.metadata.project_name
    disabled = [node for nodes in manifest.disabled.values() for node in nodes]
    there = {
        (node.resource_type, node.name)
        for node in [*manifest.nodes.values(), *disabled]
        if node.package_name == root
    }
    for file in manifest.files.values():
        described = getattr(file, "dict_from_yaml", None)
        if not described or file.project_name != root:
            continue
        for section, kind in _SECTIONS.items():
            for entry in described.get(section) or ():
                name = entry.get("name") if isinstance(entry, dict) else None
                if not isinstance(name, str) or "{{" in name or (kind, name) in there:
                    continue
                near = get_close_matches(name, [other for its, other in there if its == kind], 1)
                said = f"The YAML of {kind} {name} and its data tests have no effect, because there is no such {kind}."
                said += f" Is {near[0]} meant?" if near else ""
                yield Dropped("", file.path.original_file_path, name, said)
