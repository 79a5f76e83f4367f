"""What the command makes of errors that nobody foresaw."""

from __future__ import annotations

import pytest

from slipway.cli.main import _failed


def test_a_folder_that_may_not_be_read_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _failed(PermissionError(13, "Permission denied", "/data/home/dev")) == 5
    line = "slipway: Cannot use /data/home/dev: Permission denied. Check its owner and its permissions.\n"
    assert capsys.readouterr().err == line
