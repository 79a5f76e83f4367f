"""What a lock file has installed here, and in what two of them differ."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from slipway.code.lock_files import (
    PackageDifference,
    is_installed_as,
    locked_packages,
    package_differences,
)
from slipway.errors import ConfigError

ROOT = Path(__file__).parents[3]
LOCK = """\
# made by a program
--only-binary :all:
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via beta
Beta.Name==2.0 ; python_version >= '3.8' --hash=sha256:cc  # a comment
gamma==3.0 ; sys_platform == 'win32' \\
    --hash=sha256:dd
"""


def test_packages_of_this_interpreter() -> None:
    found = locked_packages(LOCK, "base")
    assert {name: package.version for name, package in found.items()} == {"alpha": "1.0", "beta-name": "2.0"}
    assert found["alpha"].hashes == {"sha256:aa", "sha256:bb"}


def test_the_lock_file_of_this_repository() -> None:
    """Every package that is named without a condition, or for this Python, is found."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    found = locked_packages(text, "head")
    assert set(re.findall(r"^([a-z0-9-]+)==\S+ \\$", text, re.MULTILINE)) <= found.keys()
    assert "tzdata" not in found or platform.system() == "Windows"
    assert is_installed_as(found)
    assert not is_installed_as(locked_packages(text.replace("agate==", "agate==0."), "head"))
    assert not is_installed_as(locked_packages(f"no-such-package-here==1.0 --hash=sha256:a\n{text}", "head"))


def test_differences() -> None:
    base, head = (
        locked_packages(text, "a side")
        for text in (
            "same==1 --hash=a:1\nup==1.0 --hash=a:2\ngone==1 --hash=a:3\nother==1 --hash=a:4\n",
            "same==1 --hash=a:1\nup==1.1 --hash=a:5\nnew==1 --hash=a:6\nother==1 --hash=a:7\n",
        )
    )
    assert package_differences(base, base) == []
    assert [one.words for one in package_differences(base, head)] == [
        "gone 1 → (none)",
        "new (none) → 1",
        "other 1 from other files",
        "up 1.0 → 1.1",
    ]
    assert package_differences(base, head)[-1] == PackageDifference(name="up", base="1.0", head="1.1")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alpha>=1.0 --hash=sha256:aa", "it does not name one version"),
        ("alpha==1.* --hash=sha256:aa", "it does not name one version"),
        ("alpha --hash=sha256:aa", "it does not name one version"),
        ("alpha==1.0", "it has no hash"),
        ("-r other.txt", "it is no package with a version"),
        ("-e .", "it is no package with a version"),
        ("./alpha.whl --hash=sha256:aa", "it is no package with a version"),
    ],
    ids=["a range", "a pattern", "no version", "no hash", "another file", "an editable one", "a path"],
)
def test_what_is_no_lock_file_is_refused(line: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"The requirements\.lock of base cannot be used: .*{why}"):
        locked_packages(line, "base")
