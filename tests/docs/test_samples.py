"""Messages that pages show are those of the code, and every command in a page can be given like that.

What commands print in ``console`` blocks is compared by the tests that follow the pages.
"""

from __future__ import annotations

import ast
import re
import shlex
from datetime import date, datetime
from typing import TYPE_CHECKING

import click
import pytest
from tests.docs import error_index
from tests.docs.console import commands

from slipway.cli import contract_report
from slipway.cli.main import cli
from slipway.contracts.contract_changes import compare_all
from slipway.contracts.yaml_text import YamlText
from slipway.releases.lease_rules import Lease, waits_for

if TYPE_CHECKING:
    from tests.docs.conftest import Page

WAITS = re.compile(
    r"waits for run (?P<run_id>\S+) of (?P<who>\w+) on (?P<host>\S+) \(process (?P<pid>\d+)\), "
    r"since (?P<since>\S+ \S+) UTC: (?P<tables>.+) and 1 more are taken"
)


def test_what_a_waiting_run_says(pages: dict[str, Page]) -> None:
    shown = pages["docs/explanation/concurrent-runs.md"].block("text", "waits for").strip()
    found = WAITS.fullmatch(shown)
    assert found, shown
    given = found.groupdict()
    since = datetime.fromisoformat(given["since"] + "+00:00")
    tables = (*given["tables"].split(", "), "serving.daily_revenue")
    who = {"who": given["who"], "host": given["host"], "pid": int(given["pid"]), "since": since}
    other = Lease(run_id=given["run_id"], number=1, place="a", process="1", tables=tables, **who)
    assert waits_for(other.model_copy(update={"number": 2}), other) == shown


def templates() -> list[str]:
    """Patterns of the texts with values in them that the package makes."""
    return [
        "".join(
            re.escape(part.value) if isinstance(part, ast.Constant) and isinstance(part.value, str) else ".+"
            for part in node.values
        )
        for tree in error_index.trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
    ]


@pytest.mark.long
def test_what_a_rebuilt_model_says(pages: dict[str, Page]) -> None:
    shown = pages["docs/how-to/incremental-models.md"].block("text", "REBUILT").strip()
    known = [text for text in templates() if len(text) > 12]
    assert any(re.fullmatch(text, shown) for text in known if text.startswith("REBUILT"))
    assert any(re.fullmatch(text, shown.partition(": ")[2]) for text in known)


def test_what_a_change_of_a_contract_says(pages: dict[str, Page]) -> None:
    """Of the contract on the page of feeds, with the column that the text speaks of required."""
    text = pages["docs/how-to/add-a-feed.md"].block("yaml", "kind: DataContract")
    column = "{name: depot, logicalType: string"
    assert text.count(column) == 1
    base, head = (YamlText(one).value for one in (text, text.replace(column, f"{column}, required: true")))
    found = compare_all({"parcels.odcs.yaml": base}, {"parcels.odcs.yaml": head}, date(2026, 1, 1))
    shown = pages["docs/how-to/change-a-contract.md"].block("text", "breaks producers")
    assert shown.splitlines() == contract_report.lines(found)


def in_pages(pages: dict[str, Page]) -> list[tuple[str, list[str]]]:
    """Every command of slipway in a block of shell, with its page."""
    found = []
    for name, page in pages.items():
        if name == "docs/reference/cli.md":
            continue
        for block in page.blocks:
            if block.language in ("sh", "bash"):
                lines = re.sub(r"\\\n\s*", " ", block.text).splitlines()
            elif block.language == "console":
                lines = [command for command, _ in commands(block.text)]
            else:
                continue
            for line in lines:
                if line.startswith("slipway "):
                    words = shlex.split(line, comments=True)
                    ends = [at for at, word in enumerate(words) if word in ("|", ">", "<")]
                    found.append((name, words[1 : min(ends, default=len(words))]))
    return found


def test_every_command_in_a_page_can_be_given(pages: dict[str, Page]) -> None:
    """Its options and arguments are known, and none is missing."""
    given = in_pages(pages)
    assert len(given) > 80
    for name, words in given:
        context = cli.make_context("slipway", list(words))
        while isinstance(context.command, click.Group):
            with context.scope(cleanup=False):
                called, command, rest = context.command.resolve_command(
                    context, [*context._protected_args, *context.args]
                )
                assert called, (name, words)
                assert command is not None
                context = command.make_context(called, rest, parent=context)
    with pytest.raises(click.UsageError):
        cli.make_context("slipway", ["--no-such-option"])
