"""``slipway canary``, ``slipway ci`` and ``slipway replay``: builds in scratch environments, and how they compare."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slipway.cli import figures, options, output

if TYPE_CHECKING:
    from slipway.canary.compared_engines import WantedEngine
    from slipway.comparison.report import ComparisonReport
    from slipway.replay.replay_verdict import ReplayReport


FORMS = ("text", "json", "markdown", "html")
"""Of a report of a comparison."""


def _finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Refuse what is a number to Python and no bound."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number to multiply with.")
    return value


@click.command("canary")
@options.target
@click.option(
    "--base",
    metavar="REF",
    help="Git ref to compare with, or published: what the target shows. [default: where this branch left main]",
)
@click.option(
    "--engine",
    type=click.Choice(["duckdb", "spark"]),
    help="Compare engines: the work tree by the configured ones (base), and by this one (head) for models that it can compute.",
)
@options.variables
@click.option(
    "--sample",
    metavar="SHARE",
    help="Build both versions from a share of the keys, such as 5%, chosen by a hash of each model's sample_key.",
)
@options.selection
@click.option("--keep", is_flag=True, help="Leave the two scratch environments behind.")
@click.option("--record", is_flag=True, help="Record the verdict in the target, as evidence for promotions.")
@click.option(
    "--max-slowdown",
    type=click.FloatRange(min=1),
    callback=_finite,
    metavar="FACTOR",
    help="Fail if head takes more than so many times as long as base, for a table or for all; 1 or more.",
)
@options.show_classified
@options.output_dir("Where canary.json, canary.md and canary.html go.")
@options.output(*FORMS)
@options.project_dir
def canary(
    target: str | None,
    base: str | None,
    engine: str | None,
    vars_: str | None,
    sample: str | None,
    select: tuple[str, ...],
    keep: bool,
    record: bool,
    max_slowdown: float | None,
    show_classified: bool,
    output_dir: Path | None,
    output_: str,
    project_dir: Path | None,
) -> None:
    """Build two versions of the code on the same pinned inputs and slice, test them, and compare every table by key.

    With --engine the code is the same on both sides, and the engines differ. Exit code 1 when anything differs that the models do not declare as expected, when a test fails on head only, or when
    --max-slowdown is broken.
    """
    from slipway.canary.compare_versions import canary as compare_versions
    from slipway.canary.compare_versions import keep_verdict, recordable
    from slipway.environments.profiles import find_project

    project, variables = find_project(project_dir), options.parse_vars(vars_)
    if output_dir:
        options.made(output_dir)
    if engine and (base or record):
        raise click.UsageError(
            f"{'--base' if base else '--record'} does not go with --engine, which compares the work tree with itself."
        )
    commit = recordable(project, target, base, select) if record else ""
    report, kept = compare_versions(
        project,
        target,
        base,
        variables,
        select,
        output.message,
        keep=keep,
        sample=sample,
        show_classified=show_classified,
        max_slowdown=max_slowdown,
        engine=_wanted(project, target, engine) if engine else None,
    )
    print_report(report, "canary", output_, output_dir)
    if record:
        keep_verdict(project, target, commit, report)
        output.message(f"Recorded the verdict for commit {commit[:12]}.")
    if kept:
        output.message(f"Kept the scratch environments in {kept}.")
    _end(passed=report.passed)


def _wanted(project: Path, target: str | None, engine: str) -> WantedEngine:
    """The models that an engine can compute, and why not the others, by their code."""
    from slipway.canary.compared_engines import WantedEngine
    from slipway.check.engine_trial import engine_trial

    found = engine_trial(project, target, engine)
    return WantedEngine(found.engine, found.models, found.left)


@click.command("ci")
@options.target
@click.option(
    "--base",
    metavar="REF",
    help="Git ref whose release is compared with, or published: what the target shows now. [default: where this branch left main]",
)
@click.option(
    "--full",
    is_flag=True,
    help="Build everything, whatever is recorded of the release; from the landed files where no release can be read.",
)
@click.option(
    "--samples", is_flag=True, help="Give examples of rows; values that a contract classifies are masked."
)
@options.output_dir("Where ci.md, ci.json and ci.html go.", "target/slipway-ci")
@options.project_dir
def ci(
    target: str | None,
    base: str | None,
    *,
    full: bool,
    samples: bool,
    output_dir: Path,
    project_dir: Path | None,
) -> None:
    """Build what a change touches, test it, and compare it with what the target has published.

    Compares with the newest release whose code is the commit at which this branch was cut, or one before it. Selects what a run
    would build again, and state:modified, with everything downstream; defers everything else to the tables of that release,
    builds in a throw-away environment, and writes the Markdown for the pull request; on a terminal it prints the same as text. Exit code 1 when something fails or
    differs undeclared.
    """
    from slipway.ci.build_change import ci as compare_change
    from slipway.ci.comment import for_page, to_markdown, to_text
    from slipway.cli import contract_report
    from slipway.cli.progress_line import show_progress
    from slipway.environments.profiles import find_project

    options.made(output_dir)
    with show_progress() as show:
        result = compare_change(
            find_project(project_dir), target, show, base=base, full=full, samples=samples
        )
    text = to_markdown(result)
    rebuild = result.rebuild
    parts = {
        "run": result.run,
        "comparison": result.report,
        "rebuild_run": rebuild.run if rebuild else None,
        "rebuild_comparison": rebuild.report if rebuild else None,
        "against": result.against,
    }
    described = {
        "passed": result.passed,
        "remarks": list(result.remarks),
        "stale": dict(result.stale),
        "kept": dict(result.kept),
        "remade": dict(result.remade),
        "exposures": [one.record() for one in result.exposures],
        "contracts": [contract_report.record(one) for one in result.contracts],
        **{name: part.model_dump(mode="json") if part else None for name, part in parts.items()},
    }
    _write(output_dir, "ci", described, text)
    pages = {"ci": for_page(result), "ci-full-refresh": rebuild.report if rebuild else None}
    written = [f"{name}.html" for name, report in pages.items() if _page(output_dir / f"{name}.html", report)]
    output.result(text if output.width() is None else to_text(result))
    output.message(f"Wrote {', '.join([str(output_dir / 'ci.md'), 'ci.json', *written])}.")
    _end(passed=result.passed)


@click.command("comment")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--commit", required=True, metavar="COMMIT", help="Newest commit of the pull request.")
@click.option(
    "--repository", envvar="GITHUB_REPOSITORY", required=True, show_envvar=True, help="As owner/name."
)
@click.option(
    "--api-url",
    envvar="GITHUB_API_URL",
    default="https://api.github.com",
    show_default=True,
    show_envvar=True,
    help="Address of GitHub's API.",
)
@click.option("--token", envvar="GITHUB_TOKEN", required=True, show_envvar=True, help="May write comments.")
def comment(file: Path, commit: str, repository: str, api_url: str, token: str) -> None:
    """Write FILE as the comment of the open pull request with a commit, or write the comment that is there anew.

    It is for a workflow that runs after the one that wrote FILE, and has the token that the other one must not have: FILE may come from a fork,
    and decides nothing but the text.
    """
    from slipway.ci.pull_request import MOST, Repository, pull_request_of, write_comment

    with file.open("rb") as stream:
        text = stream.read(4 * MOST).decode("utf-8", "replace")
    at = Repository(api_url.rstrip("/"), repository, token)
    number = pull_request_of(at, commit)
    if number is None:
        output.message(
            f"No open pull request has {commit[:12]} as its newest commit, so no comment was written."
        )
        return
    output.line(write_comment(at, number, text))


@click.command("replay")
@click.argument("run")
@options.common
def replay(run: str, output_: str, target: str | None, project_dir: Path | None) -> None:
    """Build RUN again at its commit from the inputs that it recorded, and compare every table.

    RUN is a run id, a unique part of one, or latest. It is built in a scratch environment that is removed
    afterwards; nothing is published. Exit code 1 when a table diverged or an input expired.
    """
    from slipway.environments.profiles import find_project
    from slipway.replay.rebuild import replay as build_again

    report = build_again(find_project(project_dir), target, run, output.message)
    if output_ == "json":
        output.as_json({**report.model_dump(mode="json"), "passed": report.passed})
    else:
        _show(report)
    _end(passed=report.passed)


def print_report(report: ComparisonReport, name: str, form: str, output_dir: Path | None) -> None:
    """Print a report of a comparison in one of ``FORMS``, and write the files that are asked for."""
    from slipway.comparison.html_report import to_html
    from slipway.comparison.report import to_dict
    from slipway.comparison.text_report import to_markdown, to_text

    described, markdown = to_dict(report), to_markdown(report)
    if output_dir:
        _write(output_dir, name, described, markdown)
        (output_dir / f"{name}.html").write_text(to_html(report), encoding="utf-8")
        output.message(f"Wrote {output_dir / name}.json, .md and .html.")
    if form == "json":
        output.as_json(described)
    elif form == "html":
        output.result(to_html(report))
    else:
        output.result(markdown if form == "markdown" else to_text(report))


def _page(path: Path, report: ComparisonReport | None) -> bool:
    """Write a comparison as a page of its own, or remove that of before; whether there is one."""
    from slipway.comparison.html_report import to_html

    if report is None:
        path.unlink(missing_ok=True)
        return False
    path.write_text(to_html(report), encoding="utf-8")
    return True


def _write(output_dir: Path, name: str, described: dict[str, Any], markdown: str) -> None:
    (output_dir / f"{name}.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    (output_dir / f"{name}.md").write_text(markdown, encoding="utf-8")


def _show(report: ReplayReport) -> None:
    output.table(
        ("table", "verdict", "rows", "why"),
        [
            (found.table, str(found.verdict), figures.number(found.rows), found.why)
            for found in sorted(report.tables, key=lambda found: figures.by_layer(found.table))
        ],
        right=("rows",),
    )
    for difference in report.differences:
        output.line(f"not the same around it: {difference}")
    counts = Counter(str(found.verdict) for found in report.tables)
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    output.line(f"Replay of run {report.run_id} at {report.commit[:12]}: {verdicts or 'it built no table'}.")


def _end(*, passed: bool) -> None:
    if not passed:
        raise click.exceptions.Exit(1)
