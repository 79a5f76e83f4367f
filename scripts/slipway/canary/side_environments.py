"""With which packages each side of a canary is built: where lock files differ, each with those of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slipway.code.lock_files import (
    LOCK,
    LockedPackage,
    PackageDifference,
    is_installed_as,
    locked_packages,
    package_differences,
)
from slipway.code.locked_environments import locked_interpreter
from slipway.errors import ConfigError, SlipwayError
from slipway.records.run_manifest import RunManifest

_DISTRIBUTION, _REQUIREMENTS = "dbt-slipway", "requirements.txt"
_OTHER_LOCKS = ("Pipfile.lock", "pdm.lock", "poetry.lock", "pylock.toml", "uv.lock")
_RECORDED = {
    "dbt": "dbt-core",
    "dbt_duckdb": "dbt-duckdb",
    "duckdb": "duckdb",
    "pyarrow": "pyarrow",
    "pyiceberg": "pyiceberg",
}
"""Fields of a run manifest's versions to the packages that they are of."""
_NAMED = 10  # packages that a report names; JSON has all


@dataclass(frozen=True)
class SideEnvironments:
    """What the sides are built with.

    Args:
        packages: in what their lock files differ; none where both are built with the packages that are installed.
        interpreters: side to the interpreter that builds it; others are built by the running one.
        locked: side to the packages of its lock file.
    """

    packages: list[PackageDifference] = field(default_factory=list)
    interpreters: dict[str, Path] = field(default_factory=dict)
    locked: dict[str, dict[str, LockedPackage]] = field(default_factory=dict)

    def check(self, built: Mapping[str, RunManifest]) -> None:
        """Refuse a comparison of a side that was built with other versions than its lock file names.

        Raises:
            SlipwayError: one was.
        """
        for side, manifest in built.items():
            for name, package in _RECORDED.items():
                wanted, found = self.locked.get(side, {}).get(package), getattr(manifest.versions, name)
                if wanted and wanted.version != found:
                    raise SlipwayError(
                        f"{side} cannot be compared",
                        f"it was built with {package} {found}, and its {LOCK} names {wanted.version}",
                        "Remove the folder environments below the home of Slipway, and try again",
                    )

    def remarks(self) -> list[str]:
        """What a report says of packages that differ."""
        if not self.packages:
            return []
        named = ", ".join(one.words for one in self.packages[:_NAMED])
        more = len(self.packages) - _NAMED
        return [
            f"Packages differ, and each side was built with its own: {named}{f' and {more:,} more' if more > 0 else ''}.",
            "All rows were read and compared, because digests of different versions prove nothing.",
        ]


def side_environments(
    versions: Mapping[str, Path], home: Path, tell: Callable[[str], None]
) -> SideEnvironments:
    """The environments of the sides, made where the running one does not have what a lock file names.

    Args:
        versions: ``base`` and ``head`` to the folders of their dbt_project.yml.
        home: folder below which environments are kept.
        tell: gets lines for the person who waits.

    Raises:
        ConfigError: it is not known which packages a side is to be built with.
        UnavailableError: they cannot be installed.
    """
    locks = {side: _content(project / LOCK) for side, project in versions.items()}
    texts = {side: lock for side, lock in locks.items() if lock is not None}
    if len(set(locks.values())) == 1:
        if not texts:
            _check_requirements(versions)
        return SideEnvironments()
    if lacking := sorted(locks.keys() - texts.keys()):
        raise ConfigError(
            f"It is not known with which packages {lacking[0]} is to be built",
            f"the other side has a {LOCK}, and {lacking[0]} has none",
            f"Name a base that has a {LOCK}, too",
        )
    locked = {side: locked_packages(lock.decode("utf-8", "replace"), side) for side, lock in texts.items()}
    if not (packages := package_differences(locked["base"], locked["head"])):
        return SideEnvironments()
    interpreters = {}
    for side, project in versions.items():
        if is_installed_as(locked[side]):
            continue
        if _DISTRIBUTION not in locked[side] and not (project / "scripts" / "slipway").is_dir():
            raise ConfigError(
                f"{side} cannot be built with the packages of its {LOCK}",
                f"the file does not name {_DISTRIBUTION}, so that an environment made from it has no slipway",
                f"Lock {_DISTRIBUTION} with its hash, too, and name a base that has it",
            )
        interpreters[side] = locked_interpreter(texts[side], side, home, tell)
    used = ", ".join(f"{side} by {interpreters.get(side, sys.executable)}" for side in versions)
    tell(f"packages differ: {used}")
    return SideEnvironments(packages, interpreters, locked)


def _check_requirements(versions: Mapping[str, Path]) -> None:
    """Refuse projects without a lock file of this kind that ask for other packages than each other."""
    base, head = versions["base"], versions["head"]
    other = [name for name in _OTHER_LOCKS if _content(base / name) != _content(head / name)]
    if _asked(base) != _asked(head):
        other.append(_REQUIREMENTS)
    if other:
        raise ConfigError(
            "Base and head cannot be built with one environment",
            f"their {', '.join(other)} differ, and no {LOCK} says which packages are to be installed for each",
            f"Commit a {LOCK} with versions and hashes to both, for example by uv pip compile --generate-hashes or uv export",
        )


def _asked(project: Path) -> set[str]:
    text = (_content(project / _REQUIREMENTS) or b"").decode("utf-8", "replace")
    return {line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
