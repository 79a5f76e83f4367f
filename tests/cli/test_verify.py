"""``slipway verify``: an untouched release verifies, and whatever is changed of what it covers is found."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.conftest import some
from tests.harness.projects import Workshop, append

DAY_3 = ("p6,S,2024-05-03,7", "p7,N,2024-05-03,unknown")


@pytest.fixture(scope="module")
def signed(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Two releases of a committed project: the first one made all tables, the second one added a day."""
    found = new_workshop(tmp_path_factory.mktemp("signed") / "run")
    found.write("requirements.lock", "dbt-core==1.11.16\n")
    found.commit()
    found.run()
    found.land("day-3.csv", DAY_3)
    found.run()
    return found


def verified(workshop: Workshop, *argv: str, code: int = 0, **settings: str) -> dict[str, Any]:
    done = workshop.slipway("verify", *argv, "--output", "json", **settings)
    assert done.code == code, done
    found: dict[str, Any] = json.loads(done.out)
    assert found["verified"] is (code == 0)
    return found


def wrong(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Kind, state and note of the links that do not hold."""
    return [
        (link["kind"], link["state"], link["note"])
        for link in found["links"]
        if link["state"] not in ("verified", "superseded", "not recorded")
    ]


def records(workshop: Workshop) -> Path:
    return workshop.warehouse() / "_slipway"


def test_an_untouched_release_verifies(signed: Workshop) -> None:
    found = verified(signed, "--content")
    kinds = {link["kind"] for link in found["links"]}
    assert kinds == {
        "catalog", "signature", "release record", "release before", "table", "data files", "rows", "run", "tests",
        "commit", "lock file", "landed files",
    }  # fmt: skip
    assert found["release"] == 2
    assert set(found["tables"]) == set(signed.published())
    # reference.depots is of the first release
    runs = {link["what"] for link in found["links"] if link["kind"] == "run"}
    assert runs == {manifest["run_id"] for manifest in signed.manifests()}
    (landed,) = (link for link in found["links"] if link["kind"] == "landed files")
    assert landed["note"] == "checksums of 3 files"


def test_a_table_is_followed_to_its_files(signed: Workshop) -> None:
    found = verified(signed, "depot_weights")
    assert found["tables"] == ["serving.depot_weights"]
    tables = {link["what"] for link in found["links"] if link["kind"] == "table"}
    assert tables == {"serving.depot_weights", "curated.weights", "raw.parcels", "reference.depots"}
    assert any(link["kind"] == "landed files" for link in found["links"])


def test_an_earlier_release_verifies(signed: Workshop) -> None:
    assert verified(signed, "release-1", "--content")["release"] == 1


def test_the_screen_says_what_holds(signed: Workshop) -> None:
    shown = signed.answer("verify")
    assert "Release 2 of dev is verified" in shown
    assert "by generated key of this user" in shown
    assert re.search(r"^signature +release 2 +verified", shown, re.MULTILINE)


def test_what_is_not_there_is_refused(signed: Workshop) -> None:
    assert "has no release 9" in signed.refusal("verify", "9", code=3)
    assert "has no table nothing" in signed.refusal("verify", "nothing", code=3)


# ---------------------------------------------------------------------------------- one byte


def envelope_part(workshop: Workshop, part: str) -> Iterator[tuple[Path, int]]:
    """Offsets inside of a part of the envelopes of the last release."""
    path = records(workshop) / "releases" / "000002.intoto.jsonl"
    content = path.read_bytes()
    at = 0
    for line in content.splitlines(keepends=True):
        envelope = json.loads(line)
        value = envelope[part] if part in envelope else envelope["signatures"][0][part]
        start = at + line.index(value.encode())
        yield from ((path, start + offset) for offset in (0, len(value) // 2, len(value) - 2))
        at += len(line)


def whole(paths: list[Path]) -> Iterator[tuple[Path, int]]:
    """The first byte, one in the middle and the last one of some files."""
    assert paths
    for path in sorted(paths):
        size = path.stat().st_size
        yield from ((path, offset) for offset in (size // 2, 0, size - 1))


def current(workshop: Workshop, kind: str) -> list[Path]:
    """Files of metadata and data that readers of the last release open."""
    found = []
    for name in workshop.published():
        table = workshop.table(name)
        snapshot = table.current_snapshot()
        assert snapshot
        match kind:
            case "metadata":
                found.append(table.metadata_location)
            case "manifest list":
                found.append(snapshot.manifest_list)
            case "manifest":
                found += [one.manifest_path for one in snapshot.manifests(table.io)]
            case "data":
                found += sorted(workshop.files(name))
    return [Path(unquote(location.removeprefix("file://"))) for location in found]


def of_runs(workshop: Workshop, pattern: str) -> list[Path]:
    return list(records(workshop).glob(f"runs/*/*/{pattern}"))


def lists(workshop: Workshop) -> list[Path]:
    """The lists of files that the last release names."""
    line = (records(workshop) / "releases" / "000002.intoto.jsonl").read_bytes().splitlines()[0]
    statement = json.loads(base64.b64decode(json.loads(line)["payload"]))
    sums = [one["digest"]["sha256"] for one in statement["subject"] if "uri" not in one]
    return [records(workshop) / "files" / f"{sha256}.json" for sha256 in sums]


def kinds(found: dict[str, Any]) -> set[str]:
    """Kinds of the links that do not hold."""
    return {kind for kind, _, _ in wrong(found)}


Places = Callable[[Workshop], Iterator[tuple[Path, int]]]
PLACES: dict[str, Places] = {
    "payload": lambda at: envelope_part(at, "payload"),
    "signature": lambda at: envelope_part(at, "sig"),
    "key id": lambda at: envelope_part(at, "keyid"),
    "payload type": lambda at: envelope_part(at, "payloadType"),
    "envelope of the run before": lambda at: whole([records(at) / "releases" / "000001.intoto.jsonl"]),
    "release record": lambda at: whole([records(at) / "releases" / "000002.json"]),
    "release record before": lambda at: whole([records(at) / "releases" / "000001.json"]),
    "list of files": lambda at: whole(lists(at)),
    "run manifest": lambda at: whole(of_runs(at, "run_manifest.json")),
    "checksums": lambda at: whole(of_runs(at, "checksums.json")),
    "candidate": lambda at: whole(of_runs(at, "candidate/*.json")),
    "dbt manifest": lambda at: whole(of_runs(at, "dbt/manifest.json")),
    "run results": lambda at: whole(of_runs(at, "dbt/run_results.json.gz")),
    "metadata": lambda at: whole(current(at, "metadata")),
    "manifest list": lambda at: whole(current(at, "manifest list")),
    "manifest": lambda at: whole(current(at, "manifest")),
    "data": lambda at: whole(current(at, "data")),
    "landed file": lambda at: whole([path for path in at.landing.rglob("*.csv") if path.is_file()]),
}
NEEDS_CONTENT = ("data", "landed file")
# where a change of each is reported; a record that cannot be read any more leaves the release before it as the last one
REPORTED = {
    **dict.fromkeys(
        ("payload", "signature", "key id", "payload type", "envelope of the run before"), "signature"
    ),
    **dict.fromkeys(("release record", "release record before"), "release record"),
    "list of files": "table",
    **dict.fromkeys(("run manifest", "checksums", "candidate", "dbt manifest", "run results"), "run"),
    **dict.fromkeys(("metadata", "manifest list", "manifest"), "table"),
    "data": "data files",
    "landed file": "landed files",
}


@contextmanager
def restored(*paths: Path) -> Iterator[None]:
    before = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


BYTES = [pytest.param(kind, number, id=f"{kind} {number}") for number in range(4) for kind in PLACES]


@pytest.mark.parametrize(("kind", "number"), some(13, BYTES))
def test_no_byte_can_be_changed(kind: str, number: int, signed: Workshop) -> None:
    places = list(PLACES[kind](signed))
    path, offset = places[number * 5 % len(places)]
    with restored(path):
        content = bytearray(path.read_bytes())
        content[offset] ^= 1
        path.write_bytes(bytes(content))
        options = ["--content"] if kind in NEEDS_CONTENT else []
        found = verified(signed, *options, code=1)
    assert REPORTED[kind] in kinds(found), wrong(found)


@pytest.mark.parametrize("kind", some(6, PLACES))
def test_nothing_can_be_taken_away(kind: str, signed: Workshop) -> None:
    path, _ = next(PLACES[kind](signed))
    with restored(path):
        path.unlink()
        found = verified(signed, code=1)
    # without its record, the release before it is the last one, whose rows the catalog does not show
    expected = {"release record": "catalog", "release record before": "release before"}.get(
        kind, REPORTED[kind]
    )
    assert expected in kinds(found), wrong(found)


SWAPS: dict[str, Callable[[Workshop], list[Path]]] = {
    "envelopes": lambda at: sorted((records(at) / "releases").glob("*.intoto.jsonl")),
    "release records": lambda at: sorted((records(at) / "releases").glob("*.json")),
    "run manifests": lambda at: of_runs(at, "run_manifest.json"),
    "lists of files": lists,
    "data of tables": lambda at: [
        Path(min(at.files(name)).removeprefix("file://"))
        for name in ("serving.depot_weights", "reference.depots")
    ],
    "landed files": lambda at: [at.landing / "parcels" / name for name in ("day-1.csv", "day-2.csv")],
    "metadata": lambda at: current(at, "metadata"),
}


@pytest.mark.parametrize("kind", some(3, SWAPS))
def test_nothing_can_change_places(kind: str, signed: Workshop) -> None:
    first, second, *_ = SWAPS[kind](signed)
    with restored(first, second):
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(one)
        if kind == "release records":  # neither can be read any more
            assert "its number is 2, not 1" in signed.refusal("verify", "--content", code=6)
        else:
            assert wrong(verified(signed, "--content", code=1))


def test_a_line_of_a_bundle_cannot_be_left_out(signed: Workshop) -> None:
    path = records(signed) / "releases" / "000002.intoto.jsonl"
    with restored(path):
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        found = verified(signed, code=1)
    assert (
        "signature",
        "broken",
        "there is no statement of the kind https://in-toto.io/attestation/test-result/v0.1",
    ) in wrong(found)


# ---------------------------------------------------------------------------------- keys


def test_without_a_key_that_counts_nothing_is_verified(signed: Workshop, tmp_path: Path) -> None:
    found = verified(signed, code=1, XDG_STATE_HOME=str(tmp_path))
    state, note = next((state, note) for kind, state, note in wrong(found) if kind == "signature")
    assert state == "missing"
    assert note.startswith("it is signed with a key that keys.yml does not have")


def test_a_revoked_key_breaks_everything_it_signed(built: Workshop) -> None:
    key = built.folder / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True, capture_output=True
    )
    public = subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-pubout"], check=True, capture_output=True, text=True
    ).stdout
    entry = "keys:\n- name: ada\n  public_key: |\n" + "".join(f"    {line}\n" for line in public.splitlines())
    built.write("keys.yml", entry)
    built.land("day-3.csv", DAY_3)
    shown = built.answer("run", SLIPWAY_SIGNING_KEY=str(key))
    assert re.search(r"^  signed by  ada$", shown, re.MULTILINE), shown
    signatures = [link for link in verified(built, code=1)["links"] if link["kind"] == "signature"]
    assert [link["note"] for link in signatures if link["what"] == "release 2"] == ["by ada"]
    built.write("keys.yml", f"{entry}  revoked: 2024-05-04\n")
    found = verified(built, code=1)
    assert ("signature", "broken", "it is signed by ada: it was revoked on 2024-05-04") in wrong(found)


@pytest.mark.long
def test_a_key_that_cannot_be_used_keeps_a_run_from_publishing(built: Workshop) -> None:
    before = built.state()
    built.land("day-3.csv", DAY_3)
    said = built.slipway("run", SLIPWAY_SIGNING_KEY="missing.pem")
    assert said.code == 2
    assert "The signing key missing.pem cannot be read" in said.err + said.out
    assert built.state() == before


@pytest.mark.long
def test_without_a_signature_nothing_is_verified(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    shown = built.answer("run", SLIPWAY_SIGNING_KEY="none")
    assert "signed by  no: SLIPWAY_SIGNING_KEY is none" in shown
    assert ("signature", "missing", "it is not signed") in wrong(verified(built, code=1))
    assert [release["signed"] for release in json.loads(built.answer("releases", "--output", "json"))] == [
        "not signed", "generated key of this user",
    ]  # fmt: skip
    assert "not signed" in built.answer("releases")
    assert "signed by  not signed" in built.answer("show", "latest")


# ---------------------------------------------------------------------------------- what happens to releases


@pytest.mark.long
def test_a_rollback_is_signed_and_verifies(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    built.run()
    built.answer("rollback", "--yes")
    found = verified(built, "--content", code=1)  # the project is in no repository
    assert kinds(found) == {"commit"}
    assert found["release"] == 3
    line = (records(built) / "releases" / "000003.intoto.jsonl").read_bytes().splitlines()
    (only,) = line
    statement = json.loads(base64.b64decode(json.loads(only)["payload"]))
    definition = statement["predicate"]["buildDefinition"]
    assert definition["buildType"] == "urn:slipway:build:rollback:v1"
    assert definition["externalParameters"]["returns_to"] == 1
    assert [item["name"] for item in definition["resolvedDependencies"] if "uri" in item] == ["release-1"]


def test_a_commit_of_another_program_is_found(built: Workshop) -> None:
    append(built, "serving.depot_weights")
    found = wrong(verified(built, code=1))
    assert any(kind == "catalog" and "another program committed to it" in note for kind, _, note in found)


@pytest.mark.long
def test_a_compacted_table_is_verified_by_its_rows(built: Workshop) -> None:
    for number in range(3, 7):
        built.land(f"day-{number}.csv", (f"q{number},N,2024-05-0{number},1",))
        built.run()
    built.answer("maintain")
    assert kinds(verified(built, code=1)) - {"commit"} == {"data files"}
    assert kinds(verified(built, "--content", code=1)) == {"commit"}


def landed(workshop: Workshop) -> tuple[str, str]:
    """State and note of the only link about landed files."""
    found = verified(workshop, "--content", code=1)["links"]  # the project is in no repository
    (link,) = (link for link in found if link["kind"] == "landed files")
    return link["state"], link["note"]


def test_a_version_that_was_replaced_is_not_called_verified(built: Workshop) -> None:
    original = (built.landing / "parcels" / "day-2.csv").read_bytes()
    built.land("day-2.csv", DAY_3)
    built.run()
    assert landed(built) == (
        "missing",
        "checksums of 2 files; 1 earlier version was replaced and cannot be checked: parcels/day-2.csv",
    )
    # the first version is there again, under another name: now it is the second that is nowhere
    built.put("parcels/day-2-again.csv", original)
    built.land("day-2.csv", ("p8,S,2024-05-04,9",))
    built.run()
    assert landed(built) == (
        "missing",
        "checksums of 3 files; 1 earlier version was replaced and cannot be checked: parcels/day-2.csv",
    )
    # a file that is gone was not replaced
    (built.landing / "parcels" / "day-1.csv").unlink()
    found = verified(built, "--content", code=1)["links"]
    notes = [(link["state"], link["note"]) for link in found if link["kind"] == "landed files"]
    assert notes == [
        ("missing", "not in the landing area any more: parcels/day-1.csv"),
        (
            "missing",
            "checksums of 2 files; 1 earlier version was replaced and cannot be checked: parcels/day-2.csv",
        ),
    ]


def about_files(found: dict[str, Any]) -> list[tuple[str, str]]:
    """State and note of each link about landed files."""
    return [(link["state"], link["note"]) for link in found["links"] if link["kind"] == "landed files"]


def test_a_version_that_the_feed_declares_replaced_is_superseded(
    new_workshop: Callable[[Path], Workshop], tmp_path: Path
) -> None:
    shop = new_workshop(tmp_path)
    shop.commit()
    shop.run()
    shop.land("day-2.csv", DAY_3)
    shop.run()  # the rows of both versions are read
    assert [state for state, _ in about_files(verified(shop, "--content", code=1))] == ["missing"]
    declared = "    format: csv\n    customProperties: [{property: fileMode, value: replace}]"
    shop.edit("contracts/parcels.odcs.yaml", "    format: csv", declared)
    shop.commit()
    shop.run("--full-refresh", "--select", "parcels_raw+", "--exclude", "parcels_raw")
    gone = "1 earlier version, as fileMode replace declares; no row that models read is from it: parcels/day-2.csv"
    now = verified(shop, "--content")
    assert about_files(now) == [("verified", "checksums of 2 files"), ("superseded", gone)]
    said = shop.answer("verify", "--content")
    assert "1 link is superseded: nothing here rests on it." in said
    # the release before rests on it, whatever is declared by now
    earlier = verified(shop, str(now["release"] - 1), code=1)
    assert [state for state, _ in about_files(earlier)] == ["missing"]
    # the version that is current is lost: nothing declares that
    path = shop.landing / "parcels" / "day-2.csv"
    path.unlink()
    assert about_files(verified(shop, code=1)) == [
        ("missing", "not in the landing area any more: parcels/day-2.csv"),
        ("superseded", gone),
    ]


@pytest.mark.long
def test_a_project_without_a_lock_file_verifies(built: Workshop) -> None:
    built.edit("seeds/reference/depots.csv", "Siena", "Sienna")
    built.commit()
    built.land("day-3.csv", DAY_3)
    built.run()  # makes every table anew
    found = verified(built)
    (lock,) = (link for link in found["links"] if link["kind"] == "lock file")
    assert (lock["what"], lock["state"]) == ("requirements.lock", "not recorded")
    said = f"is verified: {len(found['links']) - 1} links; no lock file was recorded"
    assert said in built.answer("verify")
    assert said in built.slipway("connect", "--verified").err
    # made without the lock file that its commit has
    built.write("requirements.lock", "dbt-core==1.11.16\n")
    built.commit()
    built.remove("requirements.lock")
    built.land("day-4.csv", ("p8,S,2024-05-04,9",))
    built.run()
    locks = [(state, note) for kind, state, note in wrong(verified(built, code=1)) if kind == "lock file"]
    assert [state for state, _ in locks] == ["broken"]
    assert locks[0][1].endswith("holds one, and the run had none")


def test_an_unchanged_run_signs_nothing(built: Workshop) -> None:
    before = sorted(path.name for path in records(built).rglob("*.intoto.jsonl"))
    built.run()
    assert sorted(path.name for path in records(built).rglob("*.intoto.jsonl")) == before


@pytest.mark.long
def test_plain_dbt_signs_what_it_publishes(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    built.dbt("build")
    assert (
        json.loads(built.answer("releases", "--output", "json"))[0]["signed"] == "generated key of this user"
    )


@pytest.mark.long
def test_doctor_signs_what_a_killed_process_published(built: Workshop) -> None:
    built.land("day-3.csv", DAY_3)
    done = built.start("run", kill_before="slipway.runs.end:attest").wait()
    assert done.code is None
    why = "it is not signed: its process ended before that; slipway doctor --fix signs it"
    assert ("signature", "missing", why) in wrong(verified(built, code=1))
    # whoever changed records could have the next run sign them, so it only says what to do
    said = built.slipway("run")
    assert (said.out + said.err).count(
        "release 2 is not signed: its process ended before it could sign it"
    ) == 1
    assert "sign it with slipway doctor --fix --target dev" in said.out + said.err
    assert ("signature", "missing", why) in wrong(verified(built, code=1))
    assert "release 2: it is not signed" in built.slipway("doctor").out
    built.answer("doctor", "--fix")
    signature = next(link for link in verified(built, code=1)["links"] if link["kind"] == "signature")
    assert signature["note"] == "by generated key of this user, afterwards"


def test_connect_refuses_what_does_not_verify(signed: Workshop) -> None:
    assert "Release 2 of dev is verified" in signed.slipway("connect", "--verified").err
    path = records(signed) / "releases" / "000002.json"
    with restored(path):
        path.write_bytes(path.read_bytes() + b"\n")
        said = signed.refusal("connect", "--verified", "--release", "2", code=1)
    assert "Release 2 of dev is not verified" in said
    assert "release record of release 2: releases/000002.json is not what was signed" in said


def test_no_private_key_is_in_any_record(signed: Workshop) -> None:
    body = (
        (signed.folder / "state" / "slipway" / "signing-key.pem").read_text(encoding="utf-8").splitlines()[1]
    )
    for place in (signed.warehouse(), signed.path, signed.target, signed.folder / "logs"):
        files = [path for path in place.rglob("*") if path.is_file()]
        assert files, place
        assert [path for path in files if body.encode() in path.read_bytes()] == []
