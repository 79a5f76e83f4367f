"""Landing decides about every file by its content; Python's csv module is the other opinion."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.table import Table
from tests.harness.landing_area import FEED, HEADER, START, Area, lines

from slipway.contracts.model import Evolution, FileMode, OnRejected
from slipway.errors import ConfigError, NotFoundError, UnavailableError
from slipway.iceberg.tables import Tables
from slipway.landing import ledger as module
from slipway.landing.area import Arrival, landing_area
from slipway.landing.csv_records import CsvRecords
from slipway.landing.feed_files import FeedFiles
from slipway.landing.feeds import Feed
from slipway.landing.first_look import Look
from slipway.landing.land import Landing, outstanding
from slipway.landing.ledger import Ledger, contents_key
from slipway.records.landed_files import LandedFile
from slipway.storage.objects import ObjectInfo


@pytest.fixture
def area(tmp_path: Path) -> Iterator[Area]:
    made = Area(tmp_path)
    yield made
    made.close()


def by_csv(content: bytes) -> list[tuple[str | None, ...]]:
    """Records after the header as Python reads them; an empty value is no value, also one too many at the end."""
    text = content.decode("utf-8-sig")
    records = [record for record in csv.reader(io.StringIO(text, newline=""), strict=True) if record]
    return [tuple(value or None for value in without_excess(record)) for record in records[1:]]


def without_excess(record: list[str]) -> list[str]:
    while len(record) > len(FEED.columns) and not record[-1]:
        record = record[:-1]
    return record


def test_names_of_folders_do_not_become_values_of_columns(tmp_path: Path) -> None:
    """Readers of Hive's layout take ``name=value`` in a path for a column."""
    area = Area(tmp_path / "id=9" / "text=root")
    try:
        for name in ("amount=8/a.csv", "text=b.csv", "new=1/c.csv"):
            area.put(name, lines(f"1,{name[0]},2.5"))
        assert {entry.verdict for entry in area.land().values()} == {"accepted"}
        assert [row[:3] for row in area.rows()] == [("1", "a", "2.5"), ("1", "n", "2.5"), ("1", "t", "2.5")]
    finally:
        area.close()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lines("1,a,2.5", "2,b,3").encode(), id="plain"),
        pytest.param(b"\xef\xbb\xbf" + lines("1,a,2.5").encode(), id="byte-order-mark"),
        pytest.param(lines("1,a,2.5", "2,b,3").replace("\n", "\r\n").encode(), id="crlf"),
        pytest.param(lines("1,a,2.5", "2,b,3").rstrip("\n").encode(), id="no-newline-at-the-end"),
        pytest.param(lines('1,"a, b",2.5', '2,"say ""x""",3').encode(), id="quoted"),
        pytest.param(lines('1,"two\nlines",2.5', "2,b,3").encode(), id="quoted-newline"),
        pytest.param(lines('1,"two\r\nlines",2.5', "2,b,3").replace("\n", "\r\n").encode(), id="quoted-crlf"),
        pytest.param(lines("1,,", ",,").encode(), id="empty-values"),
        pytest.param(lines("1, a ,2.5 ", "2,\tb,3").encode(), id="blanks-are-kept"),
        pytest.param(lines("1,żółć 🚲,2.5").encode(), id="unicode"),
        pytest.param(lines("1,null,NULL", "2,NaN,\\N").encode(), id="words-for-nothing"),
        pytest.param(lines("0001,1e5,2011-01-01").encode(), id="nothing-is-parsed"),
        pytest.param((b'"id","text","amount"\n1,a,2\n'), id="quoted-header"),
        pytest.param(lines("1,'a',2", "#2,b,3", "3,//c,4").encode(), id="no-comments"),
        pytest.param(lines(f"1,{'x' * 100_000},2").encode(), id="long-value"),
        pytest.param(lines("1,a,2", "2,b,3").replace("\n", "\r").encode(), id="only-carriage-returns"),
        pytest.param(lines("id,text,amount").encode(), id="row-like-the-header"),
        pytest.param(b'id,text,amount\r\n1,"a\r\nb",2\n2,c,3\r3,d,4\n', id="mixed-line-ends"),
        pytest.param(lines(*(f"{n},{'y' * 90},{n}" for n in range(50_000))).encode(), id="many-rows"),
    ],
)
def test_good_files_are_read_as_csv_reads_them(area: Area, content: bytes) -> None:
    area.put("a.csv", content)
    expected = by_csv(content)
    entry = area.land()["a.csv"]
    assert (entry.verdict, entry.rows, entry.reason) == ("accepted", len(expected), "")
    in_order = sorted(area.rows(), key=lambda row: int(str(row[4])))
    assert [tuple(row[:3]) for row in in_order] == expected
    assert [row[3:] for row in in_order] == [("a.csv", number) for number in range(2, len(expected) + 2)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty file", id="empty"),
        pytest.param(b"\n\n", "empty file", id="only-newlines"),
        pytest.param(b"id,text\n1,a\n", "header differs: missing amount", id="missing-column"),
        pytest.param(b"id,text,amount,x\n1,a,2,3\n", "header differs: unknown x", id="new-column"),
        pytest.param(b"text,id,amount\na,1,2\n", "header has the columns in another order", id="other-order"),
        pytest.param(
            b"id;text;amount\n1;a;2\n", "header differs: missing id, text, amount", id="other-delimiter"
        ),
        pytest.param(b"1,a,2\n", "header differs", id="no-header"),
        pytest.param(lines("1,a,2", "2,b").encode(), "line 3 has 2 values, and the header 3", id="short-row"),
        pytest.param(
            lines("1,a,2", "2,b,3,4").encode(), "line 3 has 4 values, and the header 3", id="long-row"
        ),
        pytest.param(lines('1,"a,2', "2,b,3").encode(), "line 2 opens a quote", id="open-quote"),
        pytest.param(
            lines('1,"a"b,2').encode(), "line 2 has 'b' after a closing quote", id="text-after-a-quote"
        ),
        pytest.param(
            lines("1,a,2", "2,\xff,3").encode("latin-1"), "line 3 is not UTF-8 (byte ff", id="not-utf-8"
        ),
        pytest.param(
            "id,tëxt,amount\n".encode("latin-1"), "line 1 is not UTF-8 (byte eb", id="header-not-utf-8"
        ),
        pytest.param(lines("1,a,2").encode("utf-16"), "the byte order mark of utf-16", id="utf-16"),
        pytest.param(b"PK\x03\x04" + bytes(range(256)) * 40, "is cut off or damaged", id="a-binary-file"),
        pytest.param(
            lines("1,a,2", '2, "b",3').encode(), "line 3 has a blank between", id="blank-before-a-quote"
        ),
        pytest.param(
            lines("1,a,2", '2,"b" ,3').encode(), "line 3 has a blank between", id="blank-after-a-quote"
        ),
        pytest.param(b"x" * 400_000, "header cannot be read", id="one-endless-line"),
    ],
)
def test_bad_files_are_set_aside_with_a_reason(area: Area, content: bytes, reason: str) -> None:
    area.put("bad.csv", content)
    area.put("good-1.csv", lines("1,a,2"))
    area.put("good-2.csv", lines("2,b,3"))
    found = area.land()
    assert found["bad.csv"].verdict == "rejected"
    assert reason in found["bad.csv"].reason
    assert "\n" not in found["bad.csv"].reason
    assert found["bad.csv"].rows is None
    assert {found[name].verdict for name in ("good-1.csv", "good-2.csv")} == {"accepted"}
    assert len(area.rows()) == 2
    assert area.land() == {}


FRAGMENTS = ["a", "b", ",", ",", '"', '"', "\n", "\n", "\r\n", "\r", " ", "\t", "é", "\x00", "#", "\\"]


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=24).map("".join))
def test_no_file_is_accepted_and_read_otherwise_than_csv_reads_it(area: Area, body: str) -> None:
    """Whatever cannot be read the same way by both is set aside, never guessed."""
    content = f"{HEADER}\n{body}".encode()
    name = f"{hashlib.sha256(content).hexdigest()}.csv"  # DuckDB caches a file by its name and time
    area.put(name, content)
    files, key = FeedFiles(landing_area(str(area.folder.parent), {})), f"orders/{name}"
    look = files.look(FEED, Arrival(ObjectInfo(key, len(content), "", START)))
    if look.problem or (found := files.check(area.connection, FEED, key, look)).problem:
        return
    counted = found.rows
    expected = by_csv(content)
    assert counted == len(expected)
    entry = LandedFile(
        feed="orders",
        path=key,
        size_bytes=len(content),
        etag="",
        sha256=look.sha256,
        rows=counted,
        verdict="accepted",
        reason="",
        landed_at=START,
        run_id="",
        layout=found.layout.noted,
    )
    query = f"select id, text, amount from ({files.select(FEED, [entry], 'run')}) order by _source_line"
    assert area.connection.execute(query).fetchall() == expected


def test_a_file_with_only_a_header_is_accepted(area: Area) -> None:
    area.put("a.csv", HEADER + "\n")
    area.put("b.csv", HEADER)
    found = area.land()
    # the two differ by a newline, so neither repeats the other
    assert [(entry.verdict, entry.rows) for entry in found.values()] == [("accepted", 0)] * 2
    assert area.rows() == []


def test_the_same_content_is_taken_once_whatever_its_name(area: Area) -> None:
    area.put("b.csv", lines("1,a,2"))
    area.put("a.csv", lines("1,a,2"))
    found = area.land()
    assert {name: entry.verdict for name, entry in found.items()} == {
        "a.csv": "accepted",
        "b.csv": "duplicate",
    }
    assert found["b.csv"].reason == "same content as orders/a.csv"
    area.put("again.csv", lines("1,a,2"))
    assert area.land()["again.csv"].verdict == "duplicate"
    assert len(area.rows()) == 1


def test_a_rejected_content_is_not_the_original_of_anything(area: Area) -> None:
    area.put("a.csv", "x\n1\n")
    area.put("b.csv", "x\n1\n")
    assert {entry.verdict for entry in area.land().values()} == {"rejected"}


def test_a_file_that_is_replaced_lands_again(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.land()
    area.put("a.csv", lines("1,b,2"))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))
    found = area.land()
    assert found["a.csv"].verdict == "accepted"
    assert [row[1] for row in area.rows()] == ["b"]


def test_a_rejected_file_that_is_repaired_lands_again(area: Area) -> None:
    path = area.put("a.csv", lines("1,a"))
    assert area.land()["a.csv"].verdict == "rejected"
    area.put("a.csv", lines("1,a,2"))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))
    assert area.land()["a.csv"].verdict == "accepted"
    assert len(area.rows()) == 1


def test_rejected_files_are_looked_at_again_when_the_contract_changed(area: Area) -> None:
    area.feed = Feed("orders", ["id", "note", "amount"])
    area.put("a.csv", lines("1,a,2.5"))
    area.put("b.csv", "nothing\n")
    assert {entry.verdict for entry in area.land().values()} == {"rejected"}
    assert area.land() == {}
    area.feed = FEED
    found = area.land()
    assert {path: entry.verdict for path, entry in found.items()} == {
        "a.csv": "accepted",
        "b.csv": "rejected",
    }
    assert area.land() == {}
    assert [row[:3] for row in area.rows()] == [("1", "a", "2.5")]


def test_a_ledger_of_an_older_version_is_continued(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    older = module._SCHEMA.remove(module._SCHEMA.get_field_index("contract"))
    area.feed = Feed("orders", ["id", "note", "amount"])
    area.put("a.csv", lines("1,a,2.5"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_SCHEMA", older)
        assert area.land()["a.csv"].verdict == "rejected"
    assert area.land()["a.csv"].verdict == "rejected"  # not known by which contract
    assert area.land() == {}
    area.feed = FEED
    assert area.land()["a.csv"].verdict == "accepted"


def test_content_whose_first_file_was_replaced_is_taken_from_its_copy(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.put("copy.csv", lines("1,a,2"))
    area.land()
    area.put("a.csv", lines("9,z,9"))
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))
    area.land()
    assert [(row[0], row[3]) for row in area.rows()] == [("1", "copy.csv"), ("9", "a.csv")]
    assert area.land() == {}


def test_content_whose_first_file_was_removed_is_taken_from_its_copy(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.put("copy.csv", lines("1,a,2"))
    area.land()
    path.unlink()
    area.land()
    assert [(row[0], row[3]) for row in area.rows()] == [("1", "copy.csv")]
    assert area.land() == {}


@pytest.mark.parametrize(
    "content", [pytest.param("x\n", id="bad"), pytest.param(lines("2,b,3"), id="a-copy-of-another")]
)
def test_what_a_replaced_file_held_is_not_read_from_its_successor(area: Area, content: str) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.put("b.csv", lines("2,b,3"))
    area.land()
    area.put("a.csv", content)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))
    area.land()
    assert [(row[0], row[3]) for row in area.rows()] == [("2", "b.csv")]


def test_a_file_that_is_sent_again_as_it_is_stays_accepted(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.land()
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))
    assert area.land()["a.csv"].verdict == "duplicate"
    assert [row[0] for row in area.rows()] == ["1"]


def test_content_that_comes_back_is_taken_again(area: Area) -> None:
    for number, text in enumerate(["a", "b", "a"]):
        path = area.put("a.csv", lines(f"1,{text},2"))
        os.utime(path, ns=(START.microsecond, 1_700_000_000_000_000_000 + number))
        area.land()
    assert [row[1] for row in area.rows()] == ["a"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(".a.csv", id="hidden"),
        pytest.param("_a.csv", id="underscore"),
        pytest.param(".part/a.csv", id="in-a-hidden-folder"),
        pytest.param("_temporary/0/a.csv", id="in-a-working-folder"),
    ],
)
def test_hidden_and_temporary_files_are_not_looked_at(area: Area, name: str) -> None:
    area.put(name, "anything")
    assert area.land() == {}
    assert area.landing.ledger.entries() == []


def test_a_file_with_another_name_is_set_aside(area: Area) -> None:
    area.put("a.csv.part", lines("1,a,2"))
    area.put("notes.txt", "hello")
    found = area.land()
    assert {entry.reason for entry in found.values()} == {"name does not match *.csv"}
    (area.folder / "a.csv.part").rename(area.folder / "a.csv")
    assert area.land()["a.csv"].verdict == "accepted"


@pytest.mark.parametrize(
    "name",
    [
        "with space.csv",
        "it's.csv",
        'quo"te.csv',
        "żółć.csv",
        "100%.csv",
        "a%20b.csv",
        "x[1].csv",
        "x[!a].csv",
        "star*.csv",
        "what?.csv",
        "a{1,2}.csv",
        "hash#.csv",
        "back\\slash.csv",
        "semi;colon.csv",
        "$HOME.csv",
        "year=2024/month=05/a.csv",
        "new\nline.csv",
        "-dash.csv",
        "~tilde.csv",
    ],
    ids=lambda name: quote(name, safe=""),
)
def test_files_with_unusual_names_land(area: Area, name: str) -> None:
    area.put(name, lines("1,a,2", "2,b,3"))
    area.put("x1.csv", lines("3,c,4"))
    found = area.land()
    assert (found[name].verdict, found[name].rows) == ("accepted", 2)
    assert (found["x1.csv"].verdict, found["x1.csv"].rows) == ("accepted", 1)
    last = name.rsplit("/", 1)[-1]
    assert [row[:3] for row in area.rows() if row[3] == last] == [("1", "a", "2"), ("2", "b", "3")]
    assert len(area.rows()) == 3


def test_a_name_that_is_not_utf_8_is_set_aside(area: Area) -> None:
    with open(os.fsencode(area.folder) + b"/caf\xe9.csv", "wb") as stream:  # noqa: PTH123 - no Path holds it
        stream.write(lines("1,a,2").encode())
    area.put("good.csv", lines("2,b,3"))
    found = area.land()
    assert found["caf\\xe9.csv"].verdict == "rejected"
    assert found["good.csv"].verdict == "accepted"
    assert area.land() == {}


def test_files_of_one_name_in_two_folders_are_two_files(area: Area) -> None:
    area.put("2024/05/a.csv", lines("1,a,2"))
    area.put("2024/06/a.csv", lines("2,b,3", "3,c,4"))
    area.land()
    assert [(row[0], row[4]) for row in area.rows()] == [("1", 2), ("2", 2), ("3", 3)]


@pytest.mark.parametrize(
    "way", [pytest.param("landing/../landing", id="dots"), pytest.param("link", id="symbolic-link")]
)
def test_the_spelling_of_the_path_to_the_landing_area_does_not_matter(tmp_path: Path, way: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "landing")
    area = Area(tmp_path, landing=f"{tmp_path}/{way}")
    area.put("a.csv", lines("1,a,2"))
    assert area.land()["a.csv"].rows == 1
    assert len(area.rows()) == 1
    area.close()


def test_a_landing_area_that_does_not_exist_is_refused(area: Area) -> None:
    area.folder.rmdir()
    area.folder.parent.rmdir()
    with pytest.raises(
        NotFoundError, match=f"The landing area {area.folder.parent} does not exist: SLIPWAY_LANDING"
    ):
        area.land()
    area.folder.parent.mkdir()
    assert area.land() == {}  # it is there, and empty
    assert area.rows() == []


@pytest.mark.parametrize("what", ["the feed", "the landing area"])
def test_a_file_in_the_place_of_a_folder_is_no_empty_folder(area: Area, what: str) -> None:
    area.folder.rmdir()
    place = area.folder if what == "the feed" else area.folder.parent
    if what == "the landing area":
        place.rmdir()
    place.write_text(lines("1,a,2"), encoding="utf-8")
    message = "orders cannot be listed: Not a directory" if what == "the feed" else "is not a folder"
    with pytest.raises((UnavailableError, ConfigError), match=message):
        area.land()


OUTSIDE = "is a link that leads out of the landing area; links are followed only to files in it"


def test_nothing_but_files_of_the_landing_area_is_opened(area: Area, tmp_path: Path) -> None:
    """A pipe or a device would be waited for, and what a link leads to would end in the ledger."""
    secret = tmp_path / "secret.csv"
    secret.write_text("password=hunter2,x\n", encoding="utf-8")
    (area.folder / "secret.csv").symlink_to(secret)
    (area.folder / "environment.csv").symlink_to("/proc/self/environ")
    (area.folder / "device.csv").symlink_to("/dev/zero")
    (area.folder / "nowhere.csv").symlink_to(area.folder / "nowhere")
    loop = area.folder / "loop.csv"
    loop.symlink_to(loop)
    os.mkfifo(area.folder / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(area.folder):  # names of sockets are short
        server.bind("socket.csv")
    area.put("real/b.csv", lines("2,b,3"))
    (area.folder / "linked").symlink_to(area.folder / "real")
    (area.folder / "c.csv").symlink_to(area.folder / "real" / "b.csv")
    (area.folder / "folder.csv").mkdir()
    area.put("good.csv", lines("1,a,2"))
    found = area.land()
    assert {name: entry.reason for name, entry in found.items() if entry.verdict == "rejected"} == {
        "secret.csv": OUTSIDE,
        "environment.csv": OUTSIDE,
        "device.csv": OUTSIDE,
        "nowhere.csv": "is a link that leads nowhere: No such file or directory",
        "loop.csv": "is a link that leads nowhere: Too many levels of symbolic links",
        "pipe.csv": "is no regular file but a pipe, a socket or a device, and is not opened",
        "socket.csv": "is no regular file but a pipe, a socket or a device, and is not opened",
        "linked": "is a link to a folder, which is not followed: land the files themselves",
    }
    assert {name for name, entry in found.items() if entry.verdict == "accepted"} == {"good.csv", "c.csv"}
    assert [row[0] for row in area.rows()] == ["1", "2"]
    assert area.land() == {}
    assert len(area.outstanding()) == 8


def test_a_feed_whose_folder_leads_out_is_not_read(area: Area, tmp_path: Path) -> None:
    area.folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_text(lines("1,a,2"), encoding="utf-8")
    area.folder.symlink_to(tmp_path / "elsewhere")
    area.land()
    assert area.rows() == []
    assert [item.path for item in area.outstanding()] == ["orders"]


def test_what_a_file_of_another_kind_says_is_not_repeated(area: Area) -> None:
    area.put("a.csv", "root:x:0:0,hunter2\n")
    area.put("b.csv", "id,text,amount\nhunter2\n")
    area.put("c.csv", 'id,text,amount\n"hunter2\n')
    assert {entry.verdict for entry in area.land().values()} == {"rejected"}
    assert "hunter2" not in repr([area.landing.ledger.entries(), area.outstanding()])


def test_a_file_that_becomes_readable_lands(area: Area) -> None:
    link = area.folder / "a.csv"
    link.symlink_to("/proc/self/mem")
    stat = link.lstat()
    assert area.land()["a.csv"].verdict == "rejected"
    link.unlink()
    path = area.put("a.csv", lines("1,a,2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert area.land()["a.csv"].verdict == "accepted"


def test_a_ledger_with_one_content_twice_gives_it_once(area: Area) -> None:
    """Two runs that land the same moment can both accept one content under two names."""
    area.put("a.csv", lines("1,a,2"))
    other = area.landing
    assert other.ledger.entries() == []
    area.land()
    (area.folder / "a.csv").rename(area.folder / "b.csv")
    assert other.land(area.connection, "run-other", START, lambda _: ())[0].verdict == "accepted"
    os.link(area.folder / "b.csv", area.folder / "a.csv")
    assert len(area.landing.ledger.entries()) == 2
    assert [row[0] for row in area.rows()] == ["1"]


def test_the_ledger_stays_small_and_complete(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMPACT_AFTER", 5)
    for number in range(8):
        area.put(f"{number}.csv", lines(f"{number},a,2"))
        area.land()
    assert len(area.landing.ledger.entries()) == 8
    table = area.tables.catalog.load_table(("ops", "landed_files"))
    assert len(list(table.scan().plan_files())) == 3  # six as one, and two since
    assert len(area.rows()) == 8


@pytest.mark.parametrize(
    "owner", [Ledger, Table], ids=["before the ledger is opened", "before it is written"]
)
@pytest.mark.parametrize("ledger", ["new", "kept", "full"])
def test_files_that_two_land_at_once_are_entered_once(
    area: Area, owner: type, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``full``: the ledger is written as one again, which must not undo what another entered meanwhile."""
    if ledger != "new":
        area.put("0.csv", f"{HEADER}\n0,b,1\n")
        area.land()
    if ledger == "full":
        monkeypatch.setattr(module, "_COMPACT_AFTER", 1)
    area.put("1.csv", f"{HEADER}\n1,b,1\n")
    held_up: list[object] = []  # the one that comes between is not held up itself
    others: list[LandedFile] = []
    name = "_append" if owner is Ledger else "overwrite" if ledger == "full" else "append"
    real = getattr(owner, name)

    def late(self: object, *arguments: object, **named: object) -> object:
        if not held_up:
            held_up.append(self)
            area.put("2.csv", f"{HEADER}\n2,b,1\n")
            other = Landing(Tables(area.environment), [FEED])
            others.extend(other.land(area.connection, "other", START + timedelta(hours=50), lambda _: ()))
            other.ledger._tables.catalog.engine.dispose()  # type: ignore[attr-defined]
        return real(self, *arguments, **named)

    monkeypatch.setattr(owner, name, late)
    mine = area.land()
    assert {entry.path for entry in others} == {"orders/1.csv", "orders/2.csv"}
    assert mine == {}
    entered = sorted((entry.path, entry.run_id) for entry in area.landing.ledger.entries())
    before = [] if ledger == "new" else [("orders/0.csv", "run-1")]
    assert entered == [*before, ("orders/1.csv", "other"), ("orders/2.csv", "other")]


# ---- rows are lost nowhere


@pytest.mark.parametrize("threads", [1, 2])
def test_a_quote_that_is_never_closed_is_found_among_many_files(area: Area, threads: int) -> None:
    """DuckDB 1.5.5 drops this error where it reads more files than twice its threads at once."""
    area.connection.execute(f"set threads = {threads}")
    for number in range(2 * threads + 3):
        area.put(f"{number}.csv", lines(f"{number},a,2", f"{number},b,3"))
    area.put("bad.csv", lines("8,a,1", '9,"b,2', "10,c,3"))
    found = area.land()
    assert found["bad.csv"].reason.startswith('line 3 opens a quote (") that is never closed')
    assert len(area.rows()) == 2 * (2 * threads + 3)


def test_what_duckdb_reads_otherwise_than_it_was_counted_is_set_aside(
    area: Area, monkeypatch: pytest.MonkeyPatch
) -> None:
    area.put("a.csv", lines("1,a,2", "2,b,3"))
    monkeypatch.setattr(CsvRecords, "end", lambda _: 3)
    assert area.land()["a.csv"].reason.startswith("DuckDB reads 2 rows, and a second count finds 3")


HOSTILE = [
    "a",
    "1",
    ",",
    ",",
    ",",
    '"',
    '"',
    "\n",
    "\n",
    "\n",
    "\r\n",
    " ",
    "é",
    '""',
    ',"',
    '",',
    '"\n',
    "1,a,2\n",
]


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.lists(st.sampled_from(HOSTILE), max_size=25).map("".join), min_size=9, max_size=25, unique=True
    )
)
def test_files_are_read_the_same_among_others_as_one_by_one(bodies: list[str]) -> None:
    with TemporaryDirectory() as folder:
        area = Area(Path(folder))
        try:
            for number, body in enumerate(bodies):
                area.put(f"{number:02}.csv", f"{HEADER}\n{body}")
            found = area.land()
            assert len(found) == len(bodies)
            accepted = {name: entry for name, entry in found.items() if entry.verdict == "accepted"}
            rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in accepted}
            for row in sorted(area.rows(), key=lambda row: (row[3], row[4])):
                rows[str(row[3])].append(row[:3])
            for name, entry in accepted.items():
                expected = by_csv((area.folder / name).read_bytes())
                assert rows[name] == expected
                assert entry.rows == len(expected)
        finally:
            area.close()


# ---- what comes back, changes or goes


def test_content_that_comes_back_after_it_was_ingested_is_a_duplicate(area: Area) -> None:
    """Also where the store gives it the same tag as before, as S3 does."""
    for number, text in enumerate(["a", "b", "a"]):
        path = area.put("a.csv", lines(f"1,{text},2"))
        os.utime(path, ns=(0, 1_700_000_000_000_000_000 + (0 if text == "a" else number)))
        found = area.land()
        area.ingested |= {entry.sha256 for entry in found.values()}
    assert found["a.csv"].verdict == "duplicate"
    assert found["a.csv"].reason == (
        "same content as orders/a.csv of 2024-05-01, which raw.orders holds; "
        "what landed as orders/a.csv since then stays the newest"
    )
    assert area.land() == {}


def test_content_that_comes_back_after_a_ruined_one_is_the_newest_that_raw_holds(area: Area) -> None:
    for number, text in enumerate([lines("1,a,2"), 'id,name,amount\n1,"a,2\n', lines("1,a,2")]):
        path = area.put("a.csv", text)
        os.utime(path, ns=(0, 1_700_000_000_000_000_000 + number))
        found = area.land()
        area.ingested |= {entry.sha256 for entry in found.values() if entry.verdict == "accepted"}
    assert found["a.csv"].verdict == "duplicate"
    assert found["a.csv"].reason == "same content as orders/a.csv of 2024-05-01, which raw.orders holds"


def test_a_file_that_changes_while_it_is_read_waits_and_the_others_go_on(
    area: Area, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing, vanishing = area.put("growing.csv", lines("1,a,2")), area.put("vanishing.csv", lines("2,b,3"))
    area.put("copy.csv", lines("1,a,2"))
    area.put("good.csv", lines("3,c,4"))
    real = FeedFiles.look

    def look(self: FeedFiles, feed: Feed, arrival: Arrival) -> Look:
        found = real(self, feed, arrival)
        if arrival.info.key.endswith("growing.csv"):
            with growing.open("a", encoding="utf-8") as stream:
                stream.write("9,z,9\n")
        if arrival.info.key.endswith("vanishing.csv"):
            vanishing.unlink()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(FeedFiles, "look", look)
        assert area.land().keys() == {"good.csv", "copy.csv"}
    later = area.land()
    assert {name: (entry.verdict, entry.rows) for name, entry in later.items()} == {
        "growing.csv": ("accepted", 2)
    }


def test_an_accepted_file_that_vanishes_is_missing_until_its_name_comes_back(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.put("b.csv", lines("2,b,3"))
    area.land()
    path.unlink()
    landing = area.landing
    found = landing.find("orders", landing.ledger.accepted("orders"))
    assert [entry.path for entry in found.files] == ["orders/b.csv"]
    assert [entry.path for entry in found.missing] == ["orders/a.csv"]
    (item,) = outstanding(landing, lambda _: found.missing)
    assert (item.path, item.blocks) == ("orders/a.csv", True)
    assert item.reason == "it was accepted, and is gone before it was ingested"
    area.put("a.csv", HEADER)  # given up
    area.land()
    assert area.outstanding() == []


@pytest.mark.parametrize("known", [False, True], ids=["not ingested yet", "ingested"])
def test_a_file_that_was_accepted_by_another_contract_is_looked_at_again_until_it_is_ingested(
    area: Area, known: bool
) -> None:
    area.feed = Feed("orders", ["id", "text"])
    area.put("a.csv", "id,text\n1,a\n")
    landed = area.land()
    assert landed["a.csv"].verdict == "accepted"
    area.ingested = {landed["a.csv"].sha256} if known else set()
    area.feed = FEED
    found = area.land()
    if known:
        assert found == {}
    else:
        assert found["a.csv"].reason.startswith("header differs: missing amount; add the column to the file")
        assert area.rows() == []


def test_the_ledger_goes_on_in_order_under_a_clock_that_went_back(area: Area) -> None:
    area.put("a.csv", lines("1,a,2"))
    (first,) = area.land().values()
    area.runs -= 5
    area.put("b.csv", lines("2,b,3"))
    (second,) = area.land().values()
    assert second.landed_at == first.landed_at + timedelta(microseconds=1)


def test_a_rejected_file_does_not_stand_in_for_an_accepted_one_of_the_same_content(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.put("notes.txt", lines("1,a,2"))
    assert {name: entry.verdict for name, entry in area.land().items()} == {
        "a.csv": "accepted",
        "notes.txt": "rejected",
    }
    path.unlink()
    landing = area.landing
    found = landing.find("orders", landing.ledger.accepted("orders"))
    assert (found.files, [entry.path for entry in found.missing]) == ([], ["orders/a.csv"])


def test_a_file_that_was_read_and_removed_did_not_change(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.land()
    landing = area.landing
    landing.select("orders", landing.find("orders", landing.ledger.accepted("orders")).files, "run-1")
    assert (landing.moved("orders"), landing.replaced()) == ([], "")
    path.unlink()
    assert (landing.changed("orders"), landing.moved("orders"), landing.replaced()) == (
        [],
        ["orders/a.csv"],
        "",
    )
    area.put("a.csv", lines("9,z,9"))
    assert landing.changed("orders") == ["orders/a.csv"]
    assert landing.replaced() == "orders/a.csv was replaced while the run was under way; run again"
    landing.settle("orders")
    assert landing.replaced() == ""


@pytest.mark.parametrize("what", ["stays", "goes", "changes"])
def test_a_file_that_the_store_does_not_give_stops_landing_only_if_it_is_still_there(
    area: Area, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.put("b.csv", lines("2,b,3"))
    real = FeedFiles.check

    def check(files: FeedFiles, connection: Any, feed: Feed, key: str, look: Look) -> Any:  # noqa: ANN401
        if key.endswith("b.csv"):
            return real(files, connection, feed, key, look)
        if what == "goes":
            path.unlink()
        elif what == "changes":
            path.write_text(lines("9,z,9", "8,y,8"), encoding="utf-8")
        raise UnavailableError(f"{key} cannot be read", "no answer", "Run again")

    monkeypatch.setattr(FeedFiles, "agree", lambda *_: set())  # each file is looked at by itself
    monkeypatch.setattr(FeedFiles, "check", check)
    landing = area.landing
    if what == "stays":
        with pytest.raises(UnavailableError, match=r"orders/a\.csv cannot be read: no answer"):
            landing.land(area.connection, "run-1", START, lambda _: set())
        return
    found = landing.land(area.connection, "run-1", START, lambda _: set())
    assert [entry.path for entry in found] == ["orders/b.csv"]
    assert landing.changing["orders"] == ({"orders/a.csv"} if what == "changes" else set())


def test_a_copy_of_a_file_that_waits_is_no_duplicate_of_it(
    area: Area, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = area.put("a.csv", lines("1,a,2"))
    area.put("b.csv", lines("1,a,2"))
    real = FeedFiles.check

    def check(files: FeedFiles, connection: Any, feed: Feed, key: str, look: Look) -> Any:  # noqa: ANN401
        found = real(files, connection, feed, key, look)
        with growing.open("a", encoding="utf-8") as stream:
            stream.write("9,z,9\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(FeedFiles, "agree", lambda *_: set())
        patch.setattr(FeedFiles, "check", check)
        assert area.land() == {}
    later = area.land()
    assert {name: (entry.verdict, entry.rows) for name, entry in later.items()} == {
        "a.csv": ("accepted", 2),
        "b.csv": ("accepted", 1),
    }


def test_what_is_no_file_is_looked_at_by_every_run(area: Area) -> None:
    area.put("b.csv", lines("1,a,2"))
    area.land()
    landing = area.landing
    assert landing.unsettled(landing.listing(), lambda _: area.ingested) == ""
    os.mkfifo(area.folder / "a.csv")
    assert area.land()["a.csv"].verdict == "rejected"
    landing = area.landing
    why = landing.unsettled(landing.listing(), lambda _: area.ingested)
    assert why == "orders/a.csv is looked at again by every run"


def test_what_was_accepted_and_not_ingested_is_accepted_by_another_contract_again(area: Area) -> None:
    area.put("a.csv", lines("1,a,2"))
    area.land()
    area.feed = replace(FEED, optional=("text",))
    assert area.land()["a.csv"].verdict == "accepted"


def test_a_file_is_no_duplicate_of_a_rejected_one(area: Area) -> None:
    path = area.put("a.csv", lines("1,a,2"))
    area.put("notes.txt", lines("1,a,2"))
    area.land()
    path.unlink()
    area.put("c.csv", lines("1,a,2"))
    assert area.land()["c.csv"].verdict == "accepted"


def test_what_landed_before_a_content_did_not_replace_it(area: Area) -> None:
    for number, text in enumerate("ab"):
        path = area.put("a.csv", lines(f"1,{text},2"))
        os.utime(path, ns=(0, 1_700_000_000_000_000_000 + number))
        area.ingested |= {entry.sha256 for entry in area.land().values()}
    area.feed = replace(FEED, optional=("text",))  # another contract
    os.utime(path, ns=(0, 1_700_000_000_000_000_009))
    assert area.land()["a.csv"].reason.endswith("which raw.orders holds")


# ---- what is outstanding


def test_what_is_set_aside_is_outstanding_until_it_is_corrected(area: Area) -> None:
    area.put("a.csv", lines("1,a"))
    area.put("notes.txt", "x")
    (area.folder.parent / "stray.csv").write_text("x", encoding="utf-8")
    (area.folder.parent / "unknown").mkdir()
    (area.folder.parent / "_work").mkdir()
    area.land()
    assert [(item.feed, item.path, item.blocks) for item in area.outstanding()] == [
        ("orders", "orders/a.csv", True),
        ("orders", "orders/notes.txt", True),
        (None, "stray.csv", False),
        (None, "unknown/", False),
    ]
    (area.folder.parent / "stray.csv").unlink()
    (area.folder.parent / "unknown").rmdir()
    (area.folder / "notes.txt").unlink()  # nothing was expected under such a name
    (area.folder / "a.csv").unlink()  # but under this one
    area.land()
    (item,) = area.outstanding()
    assert item.reason.startswith("line 2 has 2 values, and the header 3: ")
    assert item.reason.endswith("; it is gone, and nothing took its place")
    area.feed = replace(FEED, on_rejected=OnRejected.WARN)
    assert [item.blocks for item in area.outstanding()] == [False]
    area.feed = replace(FEED, ignored=["a.*"])
    assert area.outstanding() == []
    area.feed = FEED
    area.put("a.csv", lines("1,a,2"))
    area.land()
    assert area.outstanding() == []


def test_what_was_set_aside_and_came_under_another_name_is_dealt_with(area: Area) -> None:
    area.put("a.CSV", lines("1,a,2"))
    area.land()
    assert len(area.outstanding()) == 1
    area.put("a.csv", lines("1,a,2"))
    area.land()
    assert area.outstanding() == []


def test_ignored_files_are_not_looked_at(area: Area) -> None:
    area.feed = replace(FEED, ignored=["*.md", "old/*"])
    area.put("read.md", "x")
    area.put("old/a.csv", "x")
    assert area.land() == {}
    assert area.outstanding() == []


def test_the_key_changes_only_with_the_set_of_contents(area: Area) -> None:
    empty = key(area)
    area.put("a.csv", lines("1,a,2"))
    area.land()
    one = key(area)
    area.put("copy.csv", lines("1,a,2"))
    area.put("bad.csv", "x")
    area.put("header.csv", HEADER)
    area.land()
    assert key(area) == one
    area.put("b.csv", lines("2,b,3"))
    area.land()
    assert len({empty, one, key(area)}) == 3


def key(area: Area) -> str:
    accepted = area.landing.ledger.accepted("orders")
    return contents_key(sha for sha, entry in accepted.items() if entry.rows)


@pytest.mark.parametrize("end", ["", "9,cut"], ids=["good", "cut"])
def test_a_large_file_that_is_read_with_raw_waits_for_that_verdict_only(area: Area, end: str) -> None:
    """Whoever takes it next sets it aside, be it another process, and nobody reads it in between."""
    text = lines(*(f"{number},{'text' * 20},1" for number in range(60_000)), *([end] if end else []))
    area.put("large.csv", text)
    area.put("small.csv", lines("1,a"))
    landing = area.looked_at(None)
    entries = landing.land(area.connection, "run-1", START, lambda _: (), read_later={"orders"})
    verdicts = {entry.path: entry.verdict for entry in entries}
    assert verdicts == {"orders/large.csv": "accepted", "orders/small.csv": "rejected"}

    later = area.looked_at(None)  # another process
    files = later.find("orders", later.ledger.accepted("orders")).files
    query = later.select("orders", files, "run-2")
    if end:
        with pytest.raises(duckdb.Error, match="Expected Number of Columns: 3 Found: 2"):
            area.connection.execute(f"create table raw as {query}")
    else:
        area.connection.execute(f"create table raw as {query}")
    refused = later.set_aside(area.connection, "orders", "run-2", START)
    if not end:
        assert refused == []
        return
    (entry,) = refused
    assert (entry.path, entry.verdict, entry.rows, entry.run_id) == (
        "orders/large.csv",
        "rejected",
        None,
        "run-2",
    )
    assert entry.reason.startswith("line 60002 has 2 values, and the header 3")
    assert entry.landed_at > entries[0].landed_at
    again = area.looked_at(None)
    assert not again.ledger.accepted("orders")
    assert again.land(area.connection, "run-3", START, lambda _: ()) == []  # it is known as it is
    assert {item.path for item in outstanding(again, lambda _: ())} == {
        "orders/large.csv",
        "orders/small.csv",
    }


def test_files_of_which_the_verdict_decides_something_else_are_read_at_once(area: Area) -> None:
    cut = lines(*(f"{number},{'text' * 20},1" for number in range(60_000)), "9,cut")

    def verdicts() -> set[str]:
        landing = area.looked_at(None)
        found = landing.land(area.connection, "run-1", START, lambda _: (), read_later={"orders"})
        return {entry.verdict for entry in found}

    area.put("one.csv", cut)
    area.put("the-same.csv", cut)
    assert verdicts() == {"rejected"}
    area.folder.joinpath("the-same.csv").unlink()
    area.feed = replace(FEED, mode=FileMode.REPLACE)  # what the file replaces would be withdrawn
    area.put("one.csv", cut + "1,cut again\n")
    assert verdicts() == {"rejected"}
    area.folder.joinpath("one.csv").unlink()
    area.feed = replace(FEED, unknown=Evolution.EVOLVE)  # raw would get the column
    area.put("wide.csv", cut.replace(HEADER, f"{HEADER},more", 1).replace(",1\n", ",1,2\n"))
    assert verdicts() == {"rejected"}
