"""Carrying out the steps that checks propose; nothing that tells of runs or releases is changed or deleted."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from slipway.code.versions import who
from slipway.doctor.examination import Examination
from slipway.doctor.findings import (
    CloseRun,
    EndLease,
    Heal,
    KeepLog,
    Register,
    Remove,
    Step,
    Tag,
    WriteBeside,
)
from slipway.doctor.record_checks import LOG, kept_log
from slipway.errors import UnavailableError
from slipway.iceberg.catalogs.commit import writing
from slipway.iceberg.tables import Tables
from slipway.names import TableName
from slipway.records.run_manifest import Closed
from slipway.releases.leases import Leases
from slipway.releases.publication import heal


def carry_out(at: Examination, step: Step) -> list[str]:
    """Do one step.

    Returns:
        Lines to print with the step itself.

    Raises:
        SlipwayError: it could not be done.
    """
    match step:
        case Heal():
            return heal(Tables(at.environment), at.records)
        case Register():
            _register(Tables(at.environment), step)
        case Tag():
            _tag(Tables(at.environment), step)
        case WriteBeside():
            with suppress(FileExistsError):
                at.records.store.create(step.key, step.content.encode())
        case KeepLog():
            _keep_log(at, step)
        case CloseRun():
            at.records.close(step.run_id, Closed(closed_at=at.now, who=who(), reason=step.reason))
        case EndLease():
            Leases(at.records).remove(step.run_id)
        case Remove():
            _remove(Path(step.path))
    return []


def _register(tables: Tables, step: Register) -> None:
    from pyiceberg.exceptions import TableAlreadyExistsError

    with writing(tables):
        tables.catalog.create_namespace_if_not_exists(TableName.parse(step.table).namespace)
        with suppress(TableAlreadyExistsError):
            tables.catalog.register_table(step.table, step.metadata_location)


def _tag(tables: Tables, step: Tag) -> None:
    with writing(tables):
        table = tables.catalog.load_table(step.table)
        change = table.manage_snapshots()
        if step.tag in table.metadata.refs:
            change = change.remove_tag(step.tag)
        change.create_tag(step.snapshot_id, step.tag).commit()


def _keep_log(at: Examination, step: KeepLog) -> None:
    """The log of a run that has one already, which is another, gets a name of its own."""
    content = Path(step.path).read_bytes()
    for name in (LOG, f"{LOG}.killed"):
        try:
            at.records.write_compressed(step.run_id, name, content)
        except FileExistsError:
            if kept_log(at.records, step.run_id, name) != content:
                continue
        Path(step.path).unlink()
        return


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be removed", str(error), "Remove it yourself") from error
