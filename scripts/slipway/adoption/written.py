"""The record of the files that ``slipway init`` wrote: by it a later version tells its own changes from those of the project."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.errors import DamagedError

NAME = ".slipway-init.json"


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
        target: the target that stands for this machine.
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


def read(folder: Path) -> Written | None:
    """The record of a project; None where nothing was written.

    Raises:
        DamagedError: it is no such record.
    """
    path = folder / NAME
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


def text_of(written: Written) -> str:
    """The record as a file, a line for each file, so that two branches can be merged."""
    return written.model_dump_json(indent=2) + "\n"
