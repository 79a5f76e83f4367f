"""References of a project to nothing, all of them: dbt ends its parse at the first.

dbt 1.11 raises ``TargetNotFoundError`` for a model, and only warns for a test, which it then leaves out. Here it goes on in both cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


@dataclass(frozen=True)
class MissingTarget:
    """A reference to nothing.

    Args:
        unique_id: of what has the reference: a node, exposure, metric, semantic model or saved query.
        file: where that is, from the root of its project.
        name: of what is not there; of a source with that of its table, joined by a dot.
        message: dbt's.
    """

    unique_id: str
    file: str
    name: str
    message: str


@contextmanager
def collecting() -> Iterator[list[MissingTarget]]:
    """Have dbt parse a project in spite of references to nothing, and tell them.

    dbt then keeps nothing of what it parsed: the next command would take a node for whole that lacks an input.
    """
    from dbt.exceptions import TargetNotFoundError
    from dbt.parser import manifest

    found: dict[MissingTarget, None] = {}

    def note(node: Any, target_name: str, should_warn_if_disabled: object = None, **more: Any) -> None:  # noqa: ARG001 - dbt's
        if node.resource_type == "test" and more.get("disabled"):
            return  # a test of what is disabled is so, too
        error = TargetNotFoundError(node=node, target_name=target_name, **more)
        missing = MissingTarget(node.unique_id, node.original_file_path, target_name, str(error.msg))
        found[missing] = None
        # dbt has just left it out, and would say that its readers refer to nothing
        node.config.enabled = True

    targets: list[MissingTarget] = []
    with (
        patch.object(manifest, "invalid_target_fail_unless_test", note),
        patch.object(manifest.ManifestLoader, "write_manifest_for_partial_parse", lambda _: None),
    ):
        yield targets
    targets += found
