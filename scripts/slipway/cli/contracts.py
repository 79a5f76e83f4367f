"""``slipway contracts``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import options, output
from slipway.counts import plural

if TYPE_CHECKING:
    from slipway.contracts.contract_files import Reading


@click.group("contracts")
def command() -> None:
    """Data contracts of feeds and of products."""


@command.command("lint")
@click.argument(
    "files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE…]"
)
@options.common
def lint(files: tuple[Path, ...], output_: str, target: str | None, project_dir: Path | None) -> None:
    """Check contracts: all of the project, or these files.

    Each is held to the Open Data Contract Standard. One of a feed has to describe files that can be read; one of a product is compared with dbt's YAML,
    for which dbt parses the project. The code is 2 when something is wrong.
    """
    from slipway.contracts.contract_files import FOLDER, look_at, look_at_all, passed_over
    from slipway.contracts.products import is_product
    from slipway.environments.profiles import find_project
    from slipway.landing.feeds import with_feed_problems

    project = find_project(project_dir)
    readings = with_feed_problems([look_at(path) for path in files] if files else look_at_all(project))
    if any(reading.contract and is_product(reading.contract) for reading in readings):
        from slipway.dbt.promised import compared

        readings = compared(readings, _manifest(project, target))
    for path in () if files else passed_over(project):
        output.message(f"{FOLDER}/{path.name} is not read: the name of a contract ends in .odcs.yaml.")
    problems = sum(len(reading.problems) for reading in readings)
    if output_ == "json":
        output.as_json([_record(reading) for reading in readings])
    else:
        for reading in readings:
            for problem in reading.problems:
                output.line(problem.error.line())
        output.message(f"{plural(len(readings), 'contract')}, {plural(problems, 'problem')}.")
    if problems:
        raise click.exceptions.Exit(2)


@command.command("export")
@click.argument("models", nargs=-1, metavar="[MODEL…]")
@click.option("--all", "everything", is_flag=True, help="Every model with an enforced contract.")
@options.output_dir(
    "Write <layer>.<table>.odcs.yaml into this folder, where there is none yet. [default: print]"
)
@options.target
@options.project_dir
def export(
    models: tuple[str, ...],
    *,
    everything: bool,
    output_dir: Path | None,
    target: str | None,
    project_dir: Path | None,
) -> None:
    """Write contracts of models from dbt's YAML, in the newest version of the standard.

    MODEL is a model's name, or layer.table. What dbt does not know, such as service levels and roles, is added by hand.
    """
    from slipway.contracts.products import yaml_of
    from slipway.dbt.promised import chosen
    from slipway.environments.profiles import find_project
    from slipway.errors import UsageError

    if everything is bool(models):
        raise UsageError(
            "No model is chosen" if not models else "--all and names do not go together",
            "",
            "Name models, or give --all",
        )
    found = chosen(_manifest(find_project(project_dir), target), models)
    if output_dir is None:
        output.result("---\n".join(yaml_of(model) for model in found), exact=True)
        return
    folder = options.made(output_dir)
    for model in found:
        path = folder / f"{model.qualified}.odcs.yaml"
        if path.exists():
            output.message(f"{path} is there and stays as it is; slipway contracts lint says what differs.")
        else:
            path.write_text(yaml_of(model), encoding="utf-8")
            output.line(str(path))


def _manifest(project: Path, target: str | None) -> Any:  # noqa: ANN401 - dbt's manifest
    from slipway.dbt.invocation import parse
    from slipway.environments.profiles import Profile
    from slipway.errors import ConfigError

    manifest = parse(project, Profile(project).environment(target).name)
    if manifest is None:
        raise ConfigError(
            "Models cannot be looked at", "dbt cannot parse the project", "See what dbt parse says"
        )
    return manifest


def _record(reading: Reading) -> dict[str, Any]:
    from slipway.contracts.products import is_product

    contract = reading.contract
    return {
        "file": reading.path.name,
        "contract": contract.id if contract else None,
        "describes": None if contract is None else "product" if is_product(contract) else "feed",
        "problems": [
            {"line": problem.line, "place": problem.place, "message": problem.error.line()}
            for problem in reading.problems
        ],
    }
