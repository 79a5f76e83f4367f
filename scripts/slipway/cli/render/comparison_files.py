"""A comparison report on stdout and as files, for the commands that make one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.cli.render import output

if TYPE_CHECKING:
    from slipway.comparison.report import ComparisonReport


def write_reports(report: ComparisonReport, output_dir: Path | None, name: str, form: str) -> None:
    """Print a report in one form, and write it as JSON and Markdown when a folder is named."""
    from slipway.comparison.report import to_dict, to_markdown, to_text

    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / f"{name}.json").write_text(json.dumps(to_dict(report), indent=1), encoding="utf-8")
        (output_dir / f"{name}.md").write_text(to_markdown(report), encoding="utf-8")
        output.message(f"Wrote {output_dir / name}.json and .md.")
    match form:
        case "json":
            output.as_json(to_dict(report))
        case "markdown":
            output.result(to_markdown(report))
        case _:
            output.result(to_text(report))
