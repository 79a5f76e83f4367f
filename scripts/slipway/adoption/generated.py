"""The files that a project gets, as texts: from ``templates``, and for the example from the repository's own files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from slipway import __version__

_TEMPLATES = Path(__file__).parent / "templates"
_BUNDLED = Path(__file__).parent / "example"
_CHECKOUT = Path(__file__).parents[3]
IGNORED, REQUIREMENTS, WORKFLOW = ".gitignore", "requirements.txt", ".github/workflows/slipway.yml"
_NAMES = {"gitignore.txt": IGNORED, "workflow.yml": WORKFLOW}


@dataclass(frozen=True)
class Facts:
    """What differs between projects.

    Args:
        name: of the dbt project.
        profile: its profile.
        target: that stands for this machine.
        landing: the landing area of local targets, in the project.
        module_path: the folder of the project's own Python packages; empty where there are none.
    """

    name: str
    profile: str
    target: str = "dev"
    landing: str = "landing"
    module_path: str = ""


def project_name(folder: Path) -> str:
    """A name for the project in a folder, as dbt takes it: letters, digits and underscores."""
    name = re.sub(r"\W+", "_", folder.resolve().name.lower(), flags=re.ASCII).strip("_")
    return name if re.match(r"[a-z]", name) else f"project_{name}".rstrip("_")


def project_files(facts: Facts) -> dict[str, bytes]:
    """What makes a dbt project one of Slipway's, by its name in the project."""
    return {_NAMES.get(name, name): text for name, text in _rendered("project", facts)}


def starter_files(facts: Facts) -> dict[str, bytes]:
    """A feed with a few lines, and a model in each layer."""
    return dict(_rendered("starter", facts))


def example_files() -> dict[str, bytes]:
    """The bundled example with its dbt_project.yml; without models where it was deleted before this installation was made."""
    root = _BUNDLED if _BUNDLED.is_dir() else _CHECKOUT
    return {name: (root / name).read_bytes() for name in _example_names(root)}


def _example_names(root: Path) -> Iterator[str]:
    """Names of its files: all below the folder of a wheel, or those that pyproject.toml has a wheel take along."""
    places = [root]
    if root == _CHECKOUT:
        described = root / "pyproject.toml"
        if not described.is_file():
            return
        folders = tomllib.loads(described.read_text(encoding="utf-8"))["tool"]["slipway"]["example"]
        places = [root / name for name in folders]
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and path.suffix != ".pyc":
                yield path.relative_to(root).as_posix()


def _rendered(folder: str, facts: Facts) -> Iterator[tuple[str, bytes]]:
    """Texts of dbt and of GitHub have curly braces of their own."""
    given = jinja2.Environment(
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML and Markdown, not HTML
    )
    for path in sorted((_TEMPLATES / folder).rglob("*")):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            rendered = given.from_string(text).render(vars(facts), version=__version__)
            yield path.relative_to(_TEMPLATES / folder).as_posix(), rendered.encode()
