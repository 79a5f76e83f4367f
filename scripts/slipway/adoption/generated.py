"""The files that ``slipway init`` writes, and the record of them.

They come from ``templates``, and for the example from the repository's own files. The record lets a later version distinguish its own changes
from those of the project.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway import __version__
from slipway.errors import DamagedError

_TEMPLATES = Path(__file__).parent / "templates"
_BUNDLED = Path(__file__).parent / "example"
_CHECKOUT = Path(__file__).parents[3]
IGNORED, REQUIREMENTS = ".gitignore", "requirements.txt"
WORKFLOWS = {
    f"{kind}workflow.yml": f".github/workflows/slipway{name}.yml"
    for kind, name in {
        "": "",
        "comment_": "-comment",
        "main_": "-main",
        "release_": "-release",
        "nightly_": "-nightly",
    }.items()
}
"""Templates of GitHub's workflows, to the files that are written."""
RECORD = ".slipway-init.json"
_NAMES = {"gitignore.txt": IGNORED, **WORKFLOWS}


@dataclass(frozen=True)
class Facts:
    """What differs between projects.

    Args:
        name: of the dbt project.
        profile: its profile.
        target: the target for this machine.
        landing: the landing area of local targets, in the project.
        committed: where the target finds files in a checkout; empty where they are elsewhere.
        module_path: the folder of the project's own Python packages; empty where there are none.
    """

    name: str
    profile: str
    target: str = "dev"
    landing: str = "landing"
    committed: str = "landing"
    module_path: str = ""


def project_name(folder: Path) -> str:
    """A name for the project in a folder, as dbt takes it: letters, digits and underscores."""
    name = re.sub(r"\W+", "_", folder.resolve().name.lower(), flags=re.ASCII).strip("_")
    return name if re.match(r"[a-z]", name) else f"project_{name}".rstrip("_")


def project_files(facts: Facts) -> dict[str, bytes]:
    """What a dbt project needs for Slipway, by the name of the file in the project."""
    return {_NAMES.get(name, name): text for name, text in _rendered("project", vars(facts))}


def starter_files(facts: Facts) -> dict[str, bytes]:
    """A feed with a few lines, and a model in each layer."""
    return dict(_rendered("starter", vars(facts)))


def feed_models(values: Mapping[str, object]) -> dict[str, bytes]:
    """SQL of the models of a new feed, by the name of their layer.

    Args:
        values: what the templates of ``templates/feed`` ask for.
    """
    return {name.removesuffix(".sql"): text for name, text in _rendered("feed", values)}


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


def _rendered(folder: str, values: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
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
            rendered = given.from_string(text).render(values, version=__version__)
            yield path.relative_to(_TEMPLATES / folder).as_posix(), rendered.encode()


class WrittenFile(BaseModel):
    """A file as it was written.

    Args:
        version: of Slipway.
        sha256: of the content.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: str
    sha256: str


class Written(BaseModel):
    """What ``slipway init`` wrote in a project; committed with it.

    Args:
        target: the target for this machine.
        is_example: whether the bundled example was asked for.
        files: by their names in the project.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    target: str = "dev"
    is_example: bool = False
    files: dict[str, WrittenFile] = Field(default_factory=dict)


def digest(content: bytes) -> str:
    """Of a file's content, with the ends of lines that Git may have given it taken for one and the same."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def read_record(folder: Path) -> Written | None:
    """The record of a project; None where nothing was written.

    Raises:
        DamagedError: it is no such record.
    """
    path = folder / RECORD
    try:
        return Written.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        raise DamagedError(
            f"{path} is damaged",
            str(first["msg"]),
            "Restore it from the repository, or delete it: then init knows of no file that it wrote",
        ) from None
