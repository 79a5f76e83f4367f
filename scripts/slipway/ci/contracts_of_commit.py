"""The contracts of a project compared with those of a commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from slipway.code.git import files_at
from slipway.contracts.contract_changes import ContractDiff, compare_all
from slipway.contracts.contract_files import (
    FOLDER,
    files_in,
    is_contract,
    look_at,
    look_at_content,
    without_repeated_ids,
)


def changed_contracts(project: Path, commit: str) -> Sequence[ContractDiff]:
    """Contracts that differ; those that are no YAML are left to what lints them.

    Args:
        project: folder of dbt_project.yml.
        commit: as git gives it.

    Raises:
        UnavailableError: git cannot read the commit.
    """
    place = project / FOLDER
    contents = files_at(project, commit, place)
    earlier = [
        look_at_content(Path(name), content) for name, content in contents.items() if is_contract(name)
    ]
    later = without_repeated_ids(look_at(path) for path in files_in(place))
    before, after = ({one.path.name: one.text.value for one in part if one.text} for part in (earlier, later))
    return compare_all(before, after, datetime.now(UTC).date())
