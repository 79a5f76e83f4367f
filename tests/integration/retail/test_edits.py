"""What ``slipway diff`` finds of defects that are put into the example; refactorings raise no alarm.

Each edit is built and compared with the first release by the commands that people use. Then it is undone, and the first release put back.
benchmarks/README.md has the results.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.harness.commands import ROOT, environment
from tests.integration.retail.edits import DEFECTS, REFACTORINGS, Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.commands import Commands

pytestmark = pytest.mark.long

NO_TESTS = ("--exclude", "resource_type:test", "--exclude", "resource_type:unit_test")


@dataclass(frozen=True)
class Shop:
    """The example in a folder of its own, with its published tables next to it: always at one place, because metadata names it."""

    folder: Path
    commands: Commands

    @classmethod
    def opened(cls, folder: Path, commands: Commands) -> Shop:
        """Build and publish the example, and keep a copy of what is published."""
        shop = cls(folder, commands)
        described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        for name in (*described["tool"]["slipway"]["example"], "profiles.yml"):
            source, target = ROOT / name, shop.project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for name in ("slipway", "dbt"):
            (shop.project / "scripts" / name).symlink_to(ROOT / "scripts" / name)
        shop.slipway("run", *NO_TESTS)
        shutil.copytree(shop.home, shop.kept)
        return shop

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    def slipway(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        own = environment(self.folder, PYTHONPATH=str(self.project / "scripts"))
        del own["SLIPWAY_LANDING"]  # the project's own sample
        done = self.commands.start("slipway", arguments, self.project, own).wait(1800)
        assert done.code in codes, done
        return done.out

    @contextmanager
    def edited(self, edit: Edit) -> Iterator[None]:
        """The project with an edit; afterwards as it was, with only the first release."""
        path = self.project / edit.file
        before = text = path.read_text(encoding="utf-8")
        for old, new in ((edit.old, edit.new), *edit.more):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")
            shutil.rmtree(self.home)
            shutil.copytree(self.kept, self.home)

    def compared(self, edit: Edit) -> dict[str, Any]:
        """The report about the first release and what the edit makes of it: of a defect, with the tables that read the edited one."""
        node = edit.select or Path(edit.file).stem
        with self.edited(edit):
            self.slipway("run", "--full-refresh", "--select", f"{node}+1" if edit.table else node, *NO_TESTS)
            printed = self.slipway("diff", "1", "latest", "--show-classified", "-o", "json", codes=(0, 1))
        found: dict[str, Any] = json.loads(printed)
        return found


@pytest.fixture(scope="module")
def shop(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop.opened(tmp_path_factory.mktemp("edits"), commands)


def differing(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        one["name"]: one for one in report["tables"] if one["verdict"] not in ("identical", "no_evidence")
    }


def named(table: dict[str, Any]) -> list[tuple[str, str]]:
    """Segments of a table as column and value, a range from its lowest to its highest value."""
    return [
        (one["column"], "..".join(end for end in (one["value"], one["until"]) if end is not None))
        for one in table["segments"]
    ]


@pytest.mark.parametrize("edit", [pytest.param(edit, id=edit.what) for edit in DEFECTS])
def test_a_defect_is_found_in_the_model_that_has_it(shop: Shop, edit: Edit) -> None:
    report = shop.compared(edit)
    assert report["passed"] is False
    found = differing(report)
    own = found.pop(edit.table)
    assert own["edited"]
    assert {name: one["because_of"] for name, one in found.items()} == {key: [edit.table] for key in found}
    if edit.segment:
        assert (edit.segment in named(own)) is not bool(edit.missed), named(own)


@pytest.mark.parametrize("edit", [pytest.param(edit, id=edit.what) for edit in REFACTORINGS])
def test_a_refactoring_raises_no_alarm(shop: Shop, edit: Edit) -> None:
    report = shop.compared(edit)
    assert differing(report) == {}
    assert report["passed"]
    assert any(one["rows"]["identical"] for one in report["tables"])
