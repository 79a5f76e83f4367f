"""The measurement of monitors runs on days of its own: faults that cannot be missed are found."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from benchmarks import monitors
from benchmarks.monitors import Limits, report

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


@pytest.mark.long
def test_faults_are_found_on_made_up_days(tmp_path: Path) -> None:
    days = [
        day for day in (date(2011, 6, 1) + timedelta(days=one) for one in range(30)) if day.weekday() != 5
    ]
    for day in days:
        rows = [
            f"{one},S{one % 20},thing {one % 20},{1 + one % 12},{day} {9 + one % 8:02}:00:00,{1 + one % 7}.55,{one % 30}.0,United Kingdom"
            for one in range(200)
        ]
        (tmp_path / f"{day}.csv").write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    lines = list(report(tmp_path, Limits(), lambda all_: all_[-2:]))
    assert "False alarms on 0 of them" in lines[0]
    found = {line.split(" | ")[0].strip("| "): line.split(" | ")[1] for line in lines if "% |" in line}
    assert found.keys() == {fault.what for fault in monitors.FAULTS}
    sure = (
        "prices in pence",
        "a file without rows",
        "every row twice",
        "times cut to the day",
        "quantity constant",
    )
    assert {name: found[name] for name in sure} == dict.fromkeys(sure, "100%")


def test_nothing_is_measured_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["monitors", str(tmp_path)])
    monitors.main()
    assert capsys.readouterr() == ("", f"Nothing is measured: {tmp_path} holds no CSV files.\n")
