"""Lock files of Python packages: which versions they name for this interpreter, and in what two of them differ.

The format is pip's ("Requirements File Format", "Secure installs"): a line for each package with one version and the hashes of its files, as
``uv pip compile --generate-hashes`` and ``pip-compile --generate-hashes`` write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from slipway.errors import ConfigError

LOCK = "requirements.lock"
"""The file of a project that says with which packages it runs."""
_HASH = re.compile(r"\s--hash[= ](\S+)")
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)
_OF_OTHER_FILES = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")


@dataclass(frozen=True)
class LockedPackage:
    """A package of a lock file, with the hashes of the files that may be installed."""

    version: str
    hashes: frozenset[str]


class PackageDifference(BaseModel):
    """A package that two lock files do not name alike, with its version in each; None where it is not in the file.

    With one version in both, the hashes of its files differ.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    base: str | None
    head: str | None

    @property
    def words(self) -> str:
        """The package with its versions."""
        if self.base == self.head:
            return f"{self.name} {self.base} from other files"
        return f"{self.name} {self.base or '(none)'} → {self.head or '(none)'}"


def locked_packages(text: str, of: str) -> dict[str, LockedPackage]:
    """The packages that a lock file has installed by this interpreter, by their normalized names.

    Args:
        text: of the file.
        of: whose file it is, for messages.

    Raises:
        ConfigError: a line names no exact version or no hash, or refers to another file.
    """
    found = {}
    for line in _lines(text):
        given = _HASH.sub("", f" {line}").strip()
        try:
            requirement = Requirement(given)
        except InvalidRequirement:
            raise _refused(of, given, "it is no package with a version") from None
        pins = list(requirement.specifier)
        if len(pins) != 1 or pins[0].operator != "==" or pins[0].version.endswith("*"):
            raise _refused(of, given, "it does not name one version")
        if not (hashes := frozenset(_HASH.findall(f" {line}"))):
            raise _refused(of, given, "it has no hash")
        if requirement.marker is None or requirement.marker.evaluate():
            found[str(canonicalize_name(requirement.name))] = LockedPackage(pins[0].version, hashes)
    return found


def package_differences(
    base: Mapping[str, LockedPackage], head: Mapping[str, LockedPackage]
) -> list[PackageDifference]:
    """In what two lock files differ, in order of the packages' names."""
    return [
        PackageDifference(
            name=name,
            base=base[name].version if name in base else None,
            head=head[name].version if name in head else None,
        )
        for name in sorted(base.keys() | head.keys())
        if base.get(name) != head.get(name)
    ]


def is_installed_as(packages: Mapping[str, LockedPackage]) -> bool:
    """Whether this interpreter has every package of a lock file, each in its version; it may have more."""
    return all(_installed(name) == package.version for name, package in packages.items())


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _lines(text: str) -> Iterator[str]:
    """Requirements, each on one line, without comments and without options that say only where packages come from."""
    for line in _COMMENT.sub("", text).replace("\\\n", " ").splitlines():
        given = line.strip()
        if given and (not given.startswith("-") or given.startswith(_OF_OTHER_FILES)):
            yield given


def _refused(of: str, given: str, why: str) -> ConfigError:
    return ConfigError(
        f"The {LOCK} of {of} cannot be used: {given[:80]}",
        why,
        "Make it with uv pip compile --generate-hashes, or with pip-compile --generate-hashes",
    )
