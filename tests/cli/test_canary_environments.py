"""``slipway canary`` where the versions have other packages: a side is built with its own, or the comparison is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.projects import Workshop


@pytest.mark.long
def test_packages_that_are_not_known_or_cannot_be_installed(built: Workshop) -> None:
    """How an upgrade is judged that can be installed: tests/integration/test_wheel.py."""
    built.write("requirements.txt", "dbt-slipway==0.1.0\n")
    base = built.commit()
    built.write("requirements.txt", "dbt-slipway==0.2.0\n")
    message = built.refusal("canary", "--base", base, code=2)
    assert message.startswith(
        "Base and head cannot be built with one environment: their requirements.txt differ, and no requirements.lock says"
    )
    built.write("requirements.lock", "duckdb==1.0.0 --hash=sha256:00\n")
    message = built.refusal("canary", "--base", base, code=2)
    assert "the other side has a requirements.lock, and base has none" in message
    base = built.commit()
    built.write("requirements.lock", "duckdb==1.0.1 --hash=sha256:00\n")
    message = built.refusal("canary", "--base", base, code=2)
    assert (
        "base cannot be built with the packages of its requirements.lock: the file does not name dbt-slipway"
        in message
    )
    assert not list(built.temporary.glob("slipway-*"))
    assert built.git("worktree", "list", "--porcelain").count("worktree ") == 1
