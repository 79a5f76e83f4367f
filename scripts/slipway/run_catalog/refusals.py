"""What the run's catalog refuses, each with the status and the type of error that the REST protocol has for it.

Source: Apache Iceberg, ``open-api/rest-catalog-open-api.yaml``, ``ErrorModel``.
"""

from __future__ import annotations

from slipway.errors import SlipwayError
from slipway.names import TableName


class RefusedRequestError(SlipwayError):
    """A request to the run's catalog that is not carried out; ``status`` is HTTP's, ``kind`` what Iceberg's clients know it as."""

    status, kind = 400, "BadRequestException"


class MalformedRequestError(RefusedRequestError):
    """It is not what the protocol or the table format says."""

    def __init__(
        self, what: str, why: str, fix: str = "Use a client that writes Iceberg tables of format version 2"
    ) -> None:
        super().__init__(what, why, fix)


class ForbiddenRequestError(RefusedRequestError):
    """A run may not do it."""

    status, kind = 403, "ForbiddenException"


class MissingTableError(RefusedRequestError):
    """The run does not see the table."""

    status, kind = 404, "NoSuchTableException"


class MissingNamespaceError(RefusedRequestError):
    """The run does not see the namespace."""

    status, kind = 404, "NoSuchNamespaceException"


class ExistingError(RefusedRequestError):
    """What is to be made is there."""

    status, kind = 409, "AlreadyExistsException"


class MovedError(RefusedRequestError):
    """The commit was made for another state of the table."""

    status, kind = 409, "CommitFailedException"


class UnsupportedRequestError(RefusedRequestError):
    """The run's catalog does not know such a request."""

    status, kind = 406, "UnsupportedOperationException"


def moved(name: TableName, why: str) -> MovedError:
    """The refusal of a commit that was made for another state of a table."""
    return MovedError(
        f"Commit to {name} was not made for its present state",
        why,
        "Load the table again and repeat the change",
    )
