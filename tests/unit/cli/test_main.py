"""What the command makes of errors that nobody foresaw."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.cli.main import _failed, main


def test_a_folder_that_may_not_be_read_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _failed(PermissionError(13, "Permission denied", "/data/home/dev")) == 5
    line = "slipway: Cannot use /data/home/dev: Permission denied. Check its owner and its permissions.\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("arguments", [("runs", "--project-dir"), ("init",)])
def test_a_folder_is_named_as_it_was_given(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Backslashes and brackets as they are, and what steers a terminal spelled out."""
    path = tmp_path / "a[red]b\\c\x1b[1m"
    path.touch()
    monkeypatch.setattr("sys.argv", ["slipway", *arguments, str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"Directory '{tmp_path}/a[red]b\\c\\x1b[1m' is a file." in capsys.readouterr().err
