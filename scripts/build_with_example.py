"""The build of the wheel: setuptools', and the example's files go along for ``slipway init --example``."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

from setuptools.command.build_py import build_py

_ROOT = Path(__file__).parents[1]
_PLACE = Path("slipway", "adoption", "example")


class BuildWithExample(build_py):  # type: ignore[misc]  # setuptools is not typed
    """Copies what ``tool.slipway.example`` of pyproject.toml lists into the package; an editable install reads it where it is."""

    def run(self) -> None:
        """Build the packages, and add the example."""
        super().run()
        if self.editable_mode:
            return
        for source in _listed():
            target = Path(self.build_lib) / _PLACE / source.relative_to(_ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _listed() -> list[Path]:
    described = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    places = [_ROOT / name for name in described["tool"]["slipway"]["example"]]
    found = [path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return [path for path in found if path.is_file() and path.suffix != ".pyc"]
