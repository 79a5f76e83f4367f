"""A disk that cannot be written, told in one line."""

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
