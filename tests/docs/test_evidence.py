"""A stranger verifies a release with the commands of the page, without slipway; and whatever is changed makes them fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from tests.harness.keys import keys_yml
from tests.harness.office import ADA, BOB, CI, EVERYBODY, ORDERS, Office

from slipway.engines.duckdb.engine import prepare
from slipway.environments.environment import Environment, Mode
from slipway.signing.signing_keys import KEYS_FILE, trust_of

if TYPE_CHECKING:
    from tests.docs.conftest import Page
    from tests.harness.projects import Workshop

PAGE = "docs/reference/evidence.md"
TOOLS = [name for name in ("bash", "jq", "openssl", "sha256sum", "base64") if shutil.which(name) is None]


@pytest.fixture(scope="module")
def stranger(new_workshop: Callable[[Path], Workshop], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A release of a commit, seen from a folder in which the warehouse is below ``.slipway``, by a user who has the key."""
    if TOOLS and not os.environ.get("SLIPWAY_REQUIRE_SERVERS"):
        pytest.skip(f"not installed: {', '.join(TOOLS)}")
    found = new_workshop(tmp_path_factory.mktemp("stranger") / "run")
    found.commit()
    found.run()
    (found.folder / ".slipway").symlink_to(found.home)
    (found.folder / ".local").mkdir()
    (found.folder / ".local" / "state").symlink_to(found.folder / "state")
    return found


def verify(stranger: Workshop, page: Page) -> subprocess.CompletedProcess[str]:
    return run_section(stranger.folder, page, "Verify without Slipway")


def run_section(folder: Path, page: Page, section: str) -> subprocess.CompletedProcess[str]:
    """Exactly the commands of a section, as one script."""
    commands = "".join(block.text for block in page.section(section).blocks)
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_of_the_page_verify_a_release(stranger: Workshop, pages: dict[str, Page]) -> None:
    done = verify(stranger, pages[PAGE])
    assert done.returncode == 0, done
    assert done.stdout.count("Signature Verified Successfully") == 2
    for path in stranger.files("serving.depot_weights"):
        assert f"{path.partition('/warehouse/')[2]}: OK" in done.stdout
    for name in (
        "releases/000001.json",
        "run_manifest.json",
        "candidate/raw.parcels.json",
        "dbt/manifest.json",
    ):
        assert f"{name}: OK" in done.stdout
    assert '"result": "PASSED"' in done.stdout
    assert f'"commit": "{stranger.git("rev-parse", "HEAD")}"' in done.stdout
    assert '"dirty": false' in done.stdout
    landed = subprocess.run(
        ["sha256sum", "-c", str(stranger.folder / "landed.sha256")],
        cwd=stranger.landing,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (landed.returncode, landed.stdout.count(": OK")) == (0, 2), landed


@pytest.mark.parametrize(
    "pattern",
    [
        "_slipway/releases/000001.json",
        "_slipway/releases/000001.intoto.jsonl",
        "_slipway/files/*.json",
        "_slipway/runs/*/*/run_manifest.json",
        "_slipway/runs/*/*/candidate/*.json",
        "serving/depot_weights/data/*.parquet",
    ],
)
def test_the_commands_find_a_changed_byte(pattern: str, stranger: Workshop, pages: dict[str, Page]) -> None:
    path = next(iter(stranger.warehouse().glob(pattern)))
    before = path.read_bytes()
    changed = bytearray(before)
    changed[len(changed) // 3] ^= 1
    path.write_bytes(bytes(changed))
    try:
        assert verify(stranger, pages[PAGE]).returncode != 0
    finally:
        path.write_bytes(before)


@pytest.fixture
def promoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A promotion that two people approved, seen from a folder in which the warehouse is below ``.slipway``."""
    if TOOLS and not os.environ.get("SLIPWAY_REQUIRE_SERVERS"):
        pytest.skip(f"not installed: {', '.join(TOOLS)}")
    connection = duckdb.connect()
    prepare(connection, "file:///warehouse")
    office = Office(tmp_path, connection)
    office.monkeypatch = monkeypatch
    for name, value in office.settings().items():
        monkeypatch.setenv(name, value)
    office.write("keys.yml", keys_yml(*EVERYBODY))
    office.policy("{count: 2}")
    with office.by(CI):
        office.publish(ORDERS)
    plan_id = office.plan()
    (tmp_path / "approvers").mkdir()
    for key in (ADA, BOB):
        office.approve(plan_id, key)
        public = tmp_path / "approvers" / f"{key.keyid}.pub"
        public.write_text(key.entry()["public_key"], encoding="utf-8")
    office.carry_out(plan_id)
    (tmp_path / ".slipway" / "prod").mkdir(parents=True)
    (tmp_path / ".slipway" / "prod" / "warehouse").symlink_to(tmp_path / "prod")
    yield tmp_path
    connection.close()


def test_the_commands_of_the_page_verify_approvals(promoted: Path, pages: dict[str, Page]) -> None:
    section = "Verify a promotion without Slipway"
    done = run_section(promoted, pages[PAGE], section)
    assert done.returncode == 0, done
    assert done.stdout.count("Signature Verified Successfully") == 2
    for name in ("promotion.json", "plan.json", f"approvals/{ADA.keyid}.intoto.jsonl"):
        assert f"promotions/000001/{name}: OK" in done.stdout
    assert '"verificationResult": "PASSED"' in done.stdout
    assert '"owner": "bob@example.org"' in done.stdout
    folder = promoted / "prod/_slipway/promotions/000001"
    for name in ("plan.json", "promotion.json", f"approvals/{BOB.keyid}.intoto.jsonl"):
        before = (folder / name).read_bytes()
        changed = bytearray(before)
        changed[len(changed) // 3] ^= 1
        (folder / name).write_bytes(bytes(changed))
        assert run_section(promoted, pages[PAGE], section).returncode != 0, name
        (folder / name).write_bytes(before)


def test_the_keys_of_the_page_are_read(pages: dict[str, Page], tmp_path: Path) -> None:
    text = pages[PAGE].block("yaml", "public_key")
    (tmp_path / KEYS_FILE).write_text(text, encoding="utf-8")
    environment = Environment("prod", Mode.PRODUCTION, "", {}, "", tmp_path, project=tmp_path)
    keys = trust_of(environment).keys.values()
    assert {key.name: key.refusal for key in keys} == {
        "release-ci": "",
        "token-of-ada": "",
        "laptop-of-ada": "it was revoked on 2026-11-30",
    }
    assert {key.owner: sorted(key.roles) for key in keys if key.owner} == {
        "ada@example.org": ["data-owner", "release-manager"]
    }
