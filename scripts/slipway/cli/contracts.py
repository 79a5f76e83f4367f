"""``slipway contracts``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import guesses, options, output
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

    Each is held to the Open Data Contract Standard. One of a feed has to describe files that can be read; one of a product is compared with dbt's YAML.
    A model with typed rows of a feed has to have its columns and types. On S3, the region of the target has to be among the regions that a contract
    allows. The code is 2 when something is wrong. Also listed, without an effect on the code, are guesses that nobody has reviewed yet, constraints that a
    contract does not require, and exposures that read a product and are not among its consumers. dbt parses the project where models are compared;
    slipway check compiles it, too, and finds more.
    """
    from slipway.contracts.contract_files import FOLDER, look_at, look_at_all, passed_over
    from slipway.contracts.products import is_product
    from slipway.environments.profiles import find_project
    from slipway.landing.feeds import with_feed_problems

    project = find_project(project_dir)
    readings = with_feed_problems([look_at(path) for path in files] if files else look_at_all(project))
    manifest = None
    if any(reading.contract and is_product(reading.contract) for reading in readings):
        from slipway.dbt.promised import compared

        manifest = _manifest(project, target)
        readings = compared(readings, manifest)
    failing, otherwise = _typed_otherwise(project, target, readings, manifest)
    readings, remarks = _remarks(project, target, readings, manifest)
    for path in () if files else passed_over(project):
        output.message(f"{FOLDER}/{path.name} is not read: the name of a contract ends in .odcs.yaml.")
    problems = sum(len(reading.problems) for reading in readings) + sum(map(len, failing.values()))
    if output_ == "json":
        output.as_json(
            [
                _record(reading, *(part.get(reading.path.name, []) for part in (failing, otherwise, remarks)))
                for reading in readings
            ]
        )
    else:
        for reading in readings:
            for problem in reading.problems:
                output.line(problem.error.line())
        for origin, lines in (*failing.items(), *otherwise.items(), *remarks.items()):
            for line in lines:
                output.line(f"{origin}: {line}")
        found = list(guesses.listed([reading.contract for reading in readings if reading.contract]))
        for line in found:
            output.line(line)
        said = f"{plural(len(readings), 'contract')}, {plural(problems, 'problem')}"
        reviewed = "correct the contract where one is wrong, and delete those that you have reviewed"
        output.message(f"{said}, {guesses.counted(len(found))}: {reviewed}." if found else f"{said}.")
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


@command.command("diff")
@click.argument("base")
@click.argument("head", required=False, type=click.Path(path_type=Path))
@options.output("text", "json", "markdown")
@options.project_dir
def diff(base: str, head: Path | None, output_: str, project_dir: Path | None) -> None:
    """Compare contracts with an earlier version, and say whom each change breaks.

    BASE is a folder, a file, or a revision of git, such as main. HEAD is a folder or a file. [default: the project's contracts] It needs no dbt
    project. The code is 1 when a contract breaks consumers or producers without a new major version, or takes away what is promised until a later
    date.
    """
    from datetime import UTC, datetime

    from slipway.cli import contract_report
    from slipway.contracts.contract_changes import compare_all
    from slipway.contracts.contract_files import documents, first_error, look_at, without_repeated_ids

    place = head or _contracts(project_dir)
    later = without_repeated_ids(look_at(path) for path in _files(place, must=head is not None))
    earlier = _earlier(base, place)
    first_error(later)
    first_error(reading for reading in earlier if reading.text is None)
    first_error(without_repeated_ids(reading._replace(problems=()) for reading in earlier))
    for reading in earlier:
        if reading.problems:
            output.message(
                f"{reading.path.name} of {base} has {plural(len(reading.problems), 'problem')}, and is compared as it is."
            )
    if place.is_file() and Path(base).is_dir():  # a file is one contract, and says nothing of others
        earlier = [one for one in earlier if _is_version_of(one, later)]
    elif place.is_dir() and Path(base).is_file():
        later = [one for one in later if _is_version_of(one, earlier)]
    if place.is_file() and len(earlier) == 1:  # one contract, whatever the files are called
        earlier = [earlier[0]._replace(path=place)]
    before, after = documents(earlier), documents(later)
    found = compare_all(before, after, datetime.now(UTC).date())
    if output_ == "json":
        output.as_json([contract_report.record(one) for one in found])
    elif output_ == "markdown":
        output.result(contract_report.markdown(found))
    else:
        for line in contract_report.lines(found):
            output.line(line)
        output.message(
            f"{plural(len(after), 'contract')} compared with {base}: {contract_report.summary(found)}."
        )
    if any(one.failures for one in found):
        raise click.exceptions.Exit(1)


def _contracts(project_dir: Path | None) -> Path:
    """The folder of contracts of the dbt project, or of this folder where there is no project."""
    from slipway.contracts.contract_files import FOLDER
    from slipway.environments.profiles import find_project
    from slipway.errors import NotFoundError

    try:
        return find_project(project_dir) / FOLDER
    except NotFoundError:
        if (here := project_dir or Path()).joinpath(FOLDER).is_dir():
            return here / FOLDER
        raise


def _files(place: Path, *, must: bool) -> list[Path]:
    from slipway.contracts.contract_files import files_in
    from slipway.errors import NotFoundError

    found = files_in(place)
    if must and not found:
        raise NotFoundError(
            f"No contracts in {place}",
            "the name of a contract ends in .odcs.yaml",
            "Name another folder, or a file",
        )
    return found


def _is_version_of(reading: Reading, others: Sequence[Reading]) -> bool:
    """Whether one of the others has its id, or the name of its file."""
    return any(
        reading.path.name == other.path.name
        or (reading.text and other.text and reading.text.value.get("id") == other.text.value.get("id"))
        for other in others
    )


def _earlier(base: str, head: Path) -> list[Reading]:
    """Contracts of a folder or file, or those that were in the place of the later ones at a revision."""
    from slipway.code.git import files_at, resolve
    from slipway.contracts.contract_files import look_at, look_at_content, look_at_contents
    from slipway.errors import NotFoundError

    if Path(base).exists():
        return [look_at(path) for path in _files(Path(base), must=True)]
    inside = next(folder for folder in (head.resolve(), *head.resolve().parents) if folder.is_dir())
    try:
        commit = resolve(inside, base)
    except NotFoundError as error:
        raise NotFoundError(
            f"No contracts to compare with at {base}",
            f"it is no file and no folder, and as a revision: {error.what}, {error.why}",
            "Name a folder, a file, or a revision that git knows",
        ) from None
    contents = files_at(inside, commit, head)
    if head.is_file():  # whatever it is called
        return [look_at_content(Path(name), content) for name, content in contents.items()]
    return look_at_contents(contents)


def _typed_otherwise(
    project: Path,
    target: str | None,
    readings: Sequence[Reading],
    manifest: Any,  # noqa: ANN401 - dbt's manifest
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """By the name of the contract's file, what models with typed rows of a feed say otherwise: what makes a run fail, and the rest.

    Nothing where dbt cannot parse the project.
    """
    from slipway.dbt.invocation import parse
    from slipway.dbt.promised import typed_otherwise

    feeds = [one.contract for one in readings if one.contract and one.contract.landing]
    if not feeds or not _calls_typed(project):
        return {}, {}
    if manifest is None and (name := _slipways(project, target)):
        manifest = parse(project, name)
    failing: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for one in typed_otherwise(feeds, manifest) if manifest else ():
        found = failing if one.fails else others
        found.setdefault(Path(one.contract.origin).name, []).append(one.line)
    return failing, others


def _remarks(
    project: Path,
    target: str | None,
    readings: list[Reading],
    manifest: Any,  # noqa: ANN401 - dbt's manifest
) -> tuple[list[Reading], dict[str, list[str]]]:
    """The readings with problems of regions; and by the name of the file what else there is to say about regions and consumers."""
    from slipway.contracts.regions import Kept, with_regions
    from slipway.dbt.promised import unnamed_readers
    from slipway.environments.profiles import Profile

    found: dict[str, list[str]] = {}
    contracts = [reading.contract for reading in readings if reading.contract]
    for contract, line in unnamed_readers(contracts, manifest) if manifest else ():
        found.setdefault(Path(contract.origin).name, []).append(line)
    if (name := _slipways(project, target)) and any(one.settings.regions for one in contracts):
        environment = Profile(project).environment(name)
        properties = environment.catalog_properties
        region = properties.get("s3.region") or properties.get("client.region")
        kept = Kept(name, environment.warehouse, environment.landing, region)
        readings, unknown = with_regions(readings, kept)
        for origin, line in unknown.items():
            found.setdefault(origin, []).append(line)
    return readings, found


def _slipways(project: Path, target: str | None) -> str | None:
    """The target, or without one the first of Slipway's, the default before others: a project may have others by default."""
    from slipway.environments.profiles import Profile
    from slipway.errors import ConfigError

    profile = Profile(project)
    if target:
        return profile.environment(target).name
    for name in dict.fromkeys([profile.default_target, *profile.targets]):
        with suppress(ConfigError):
            return profile.environment(name).name
    return None


def _calls_typed(project: Path) -> bool:
    """Whether a model may have typed rows, which is known without dbt."""
    from slipway.adoption.adopt import PROJECT, described

    places = described(project, PROJECT).get("model-paths") or ["models"]
    models = (path for place in places for path in (project / place).rglob("*.sql"))
    return any("typed(" in path.read_text(encoding="utf-8", errors="replace") for path in models)


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


def _record(
    reading: Reading, failing: Sequence[str], otherwise: Sequence[str], remarks: Sequence[str]
) -> dict[str, Any]:
    from slipway.contracts.products import is_product

    contract = reading.contract
    return {
        "file": reading.path.name,
        "contract": contract.id if contract else None,
        "guesses": [{"about": about, "text": text} for about, text in contract.guesses] if contract else [],
        "models": list(otherwise),
        "remarks": list(remarks),
        "describes": None if contract is None else "product" if is_product(contract) else "feed",
        "problems": [
            {"line": problem.line, "place": problem.place, "message": problem.error.line()}
            for problem in reading.problems
        ]
        + [{"line": None, "place": "", "message": line} for line in failing],
    }
