"""``slipway land``: files are looked at without a run, and what is outstanding is said as it is now."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import World

from slipway.processes import mark
from slipway.records.release_records import Hold

HEADER = "parcel,depot,weighed_on,kg"


def put(world: World, name: str, text: str) -> Path:
    path = world.folder / "landing" / "parcels" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def answer(world: World, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.answer("land", *arguments, "-o", "json"))
    return found


def outstanding(world: World) -> dict[str, str]:
    return {item["path"]: item["reason"] for item in answer(world, "status")["outstanding"]}


def test_files_are_looked_at_without_a_run(empty: World) -> None:
    for path in (empty.folder / "landing" / "parcels").glob("*"):
        path.unlink()
    put(empty, "a.csv", f"{HEADER}\np1,N,2024-05-01,1\n")
    put(empty, "b.csv", "Weights\n\n" + f"{HEADER}\np2,N,2024-05-01,1\n")
    (feed,) = answer(empty, "status")["feeds"]
    assert (feed["files"], len(feed["unseen"]), feed["waiting"]) == (2, 2, [])
    assert outstanding(empty) == {}  # nobody has looked
    text = empty.answer("land")
    assert "accepted, 1 row parcels/a.csv" in text
    assert "the header is on line 3: set skipLines: 2" in text
    found = answer(empty, "status")
    assert found["feeds"][0]["waiting"] == ["parcels/a.csv"]
    assert [entry["path"] for entry in found["outstanding"]] == ["parcels/b.csv"]
    assert "There is nothing new to look at." in empty.answer("land", "parcels")
    assert not (empty.warehouse() / "raw").exists()

    put(empty, "b.csv", f"{HEADER}\np2,N,2024-05-01,1\n")
    assert outstanding(empty)["parcels/b.csv"].startswith("it was replaced or written again")
    assert "accepted, 1 row parcels/b.csv" in empty.answer("land", "parcels")
    assert outstanding(empty) == {}


def test_files_that_were_set_aside_are_looked_at_again(empty: World) -> None:
    for path in (empty.folder / "landing" / "parcels").glob("*"):
        path.unlink()
    put(empty, "a.csv", "parcel\np1\n")
    put(empty, "b.csv", "depot\nN\n")
    empty.answer("land")
    assert empty.answer("land", "retry").count("rejected parcels/") == 2
    (entry,) = answer(empty, "retry", "b.csv")["landed"]
    assert (entry["path"], entry["verdict"]) == ("parcels/b.csv", "rejected")
    assert "No file c.csv is set aside" in empty.refusal("land", "retry", "c.csv", code=3)


def test_what_is_not_there_is_refused(empty: World) -> None:
    assert "There is no feed letters: contracts/ describes parcels" in empty.refusal(
        "land", "letters", code=3
    )
    gone = str(empty.folder / "nowhere")
    for arguments in (("land",), ("land", "status")):
        refused = empty.refusal(*arguments, code=3, SLIPWAY_LANDING=gone)
        assert "nowhere does not exist" in refused


def test_a_run_is_refused_before_dbt_is_started(empty: World) -> None:
    log = empty.path / "logs" / "dbt.log"
    said = log.read_bytes() if log.exists() else b""
    gone = str(empty.folder / "nowhere")
    assert "nowhere does not exist" in empty.refusal("run", code=3, SLIPWAY_LANDING=gone)
    hold = Hold(target="dev", release=1, placed_at=datetime.now(UTC), who="ada", reason="day 3 is wrong")
    place = empty.warehouse() / "_slipway" / "holds" / "000001.json"
    place.parent.mkdir(parents=True)
    place.write_text(hold.model_dump_json(), encoding="utf-8")
    assert "on hold" in empty.refusal("run", "--full-refresh", "--select", "weights", code=1)
    assert (log.read_bytes() if log.exists() else b"") == said  # in which dbt writes as soon as it begins


def test_copies_of_a_command_that_was_killed_are_removed_by_the_next_one(
    empty: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(empty.workshop.temporary))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    place, own, other = empty.workshop.temporary, mark(empty.home), mark(empty.home / "another")
    copies = place / f"slipway-landing-{ended.pid}-{own}-0123abcd"
    others = [
        place / f"slipway-canary-{ended.pid}-{own}-0123abcd",
        place / f"slipway-landing-{ended.pid}-{other}-0123abcd",
    ]
    for folder in (copies, *others):
        folder.mkdir()
        (folder / "copy").write_text("parcel\n", encoding="utf-8")
    empty.answer("land", "status")
    assert copies.exists()
    empty.answer("land")
    assert not copies.exists()
    assert all(folder.exists() for folder in others)
