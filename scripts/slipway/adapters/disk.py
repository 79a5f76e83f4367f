"""A disk that cannot be written or read, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slipway.domain.errors import UnavailableError


@contextmanager
def writing_below(root: str) -> Iterator[None]:
    """Tell in one line that a folder cannot be written.

    Raises:
        FileExistsError: a file is there that was to be made.
        UnavailableError: there is no room, or no right to write.
    """
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"{root} cannot be written",
            error.strerror or str(error),
            "make room, or have the right to write there, then run again",
        ) from error


def unlisted(error: OSError) -> None:
    """What ``os.walk`` calls for a folder that it cannot look into; one that is not there, or not any more, is empty.

    Raises:
        UnavailableError: it is there; what it holds would seem not to be.
    """
    if not isinstance(error, FileNotFoundError):
        raise UnavailableError(
            f"{error.filename} cannot be listed",
            error.strerror or str(error),
            "it should be a folder that may be read",
        ) from error
