"""What is refused where a store ignores conditional writes, as ``rclone serve s3`` does; the rest is in test_rclone.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server


@pytest.mark.long
def test_glue_is_not_published_to_without_conditional_writes(
    new_lake: Callable[..., Lake], tmp_path: Path, rclone: str, endpoint: str
) -> None:
    lake = new_lake(tmp_path, "glue-lake", rclone)
    lake.workshop.settings |= {
        "PYICEBERG_CATALOG__STAGING__TYPE": "glue",
        "PYICEBERG_CATALOG__STAGING__GLUE__ENDPOINT": endpoint,
        "AWS_REGION": "eu-north-1",
    }
    message = lake.workshop.refusal("run", code=5)
    assert message.startswith(
        "Cannot publish to staging: s3://glue-lake/warehouse/_slipway ignores conditional"
    )
    assert "Use a store that honours If-None-Match, or a SQL catalog" in message
