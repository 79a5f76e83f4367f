"""One root for everything slipway refuses: what happened, why, and what to do about it."""

from __future__ import annotations


class SlipwayError(Exception):
    """A refusal in one line.

    Args:
        what: what could not be done.
        why: the reason found.
        fix: the next thing to do.

    The exit code of the command is the class's ``exit_code`` (docs/reference/exit-codes.md).
    """

    exit_code = 1

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        super().__init__(self.line())

    def line(self) -> str:
        """The message as one line of text."""
        parts = [self.what.rstrip(".")]
        if self.why:
            parts[0] += f": {self.why.rstrip('.')}"
        if self.fix:
            parts.append(self.fix.rstrip("."))
        return " ".join(part if part.endswith("?") else f"{part}." for part in parts).replace("\n", " ")


def first_line(error: BaseException) -> str:
    """What another program's error says first, or its kind where it says nothing."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


class UsageError(SlipwayError):
    """The command line or a setting cannot be understood."""

    exit_code = 2


class ConfigError(UsageError):
    """A model, profile or contract is configured in a way that cannot be carried out."""


class ContractError(SlipwayError):
    """Data or a query does not keep to its declared contract."""


class NotFoundError(SlipwayError):
    """A run, release, table or file that was named does not exist."""

    exit_code = 3


class ConflictError(SlipwayError):
    """Someone else moved a table that this run was going to publish."""

    exit_code = 4


class UnavailableError(SlipwayError):
    """The catalog, the warehouse or the credentials cannot be reached."""

    exit_code = 5


class UnansweredError(UnavailableError):
    """A catalog that was asked to change something may have done it, and did not say so."""


class UnrecordedError(UnavailableError):
    """A release was published, and its record could not be written."""


class ReadOnlyError(SlipwayError):
    """A process that may only read an environment was about to write there."""


class DamagedError(SlipwayError):
    """A record or the catalog is damaged, of another version, or of another environment."""

    exit_code = 6


class DamagedTableError(DamagedError, UnavailableError):
    """A file of a table is missing or damaged, so that the table cannot be read."""


class ForeignError(DamagedError):
    """A record is whole, and of another version or of another environment."""
