import csv
from datetime import date
from pathlib import Path

import pytest
import yaml

from retail.sample import HEADER, main, sample_days, trading_days, write_sample

PROJECT = Path(__file__).parents[3]
SAMPLE = PROJECT / "seeds" / "landing" / "online_retail"


def test_the_committed_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    assert main([str(tmp_path / "a new" / "folder")]) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "a new" / "folder").iterdir()}
    assert written == {path.name: path.read_bytes() for path in SAMPLE.glob("*.csv")}


def test_usage_is_reported_without_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "usage: python -m retail.sample DIR\n"


def test_the_sample_stays_small(tmp_path: Path) -> None:
    assert sum(path.stat().st_size for path in write_sample(tmp_path)) < 400_000


def test_the_header_is_the_contract() -> None:
    contract = yaml.safe_load((PROJECT / "contracts" / "online_retail.odcs.yaml").read_text(encoding="utf-8"))
    assert [column["physicalName"] for column in contract["schema"][0]["properties"]] == list(HEADER)


def test_the_contract_and_the_models_have_one_clock() -> None:
    contract = yaml.safe_load((PROJECT / "contracts" / "online_retail.odcs.yaml").read_text(encoding="utf-8"))
    (zone,) = {
        column["logicalTypeOptions"]["defaultTimezone"]
        for column in contract["schema"][0]["properties"]
        if column["logicalType"] == "timestamp"
    }
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    assert zone == variables["shop_time_zone"]


def test_the_shop_trades_over_the_change_of_clocks_and_never_on_saturdays() -> None:
    days = list(trading_days())
    assert date(2025, 3, 30) in days
    assert all(day.weekday() != 5 for day in days)
    assert days == sorted(set(days))


def test_the_sample_has_the_dirt_of_the_real_files() -> None:
    lines = [row for _, rows in sample_days() for row in rows]
    invoices, codes, texts, quantities, _, prices, customers, countries = zip(*lines, strict=True)
    assert len(set(lines)) < len(lines)
    assert {number[0] for number in invoices if number} == {"7", "C", "A"}
    assert {"POST", "DOT", "M", "D", "S", "B", "AMAZONFEE", "BANK CHARGES", "gift_0001_10"} <= set(codes)
    assert any(code != code.upper() and code.upper() in codes for code in codes)
    assert any(text.endswith(" ") for text in texts)
    assert "" in texts
    assert "" in customers
    assert {"0", "6.7"} < set(quantities)
    assert any(price.startswith("-") for price in prices)
    assert "Unspecified" in countries


def test_every_file_reads_back_as_its_rows() -> None:
    for day, rows in sample_days():
        with (SAMPLE / f"{day}.csv").open(encoding="utf-8", newline="") as file:
            assert [tuple(row) for row in csv.reader(file)] == [HEADER, *rows]
