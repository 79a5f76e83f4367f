"""The ``slipway`` command: finds the subcommand, and is the one place where errors become messages."""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import os
import signal
import sys

import click

from slipway import __version__
from slipway.cli import output
from slipway.settings import Settings

# name → module, in which it is ``command`` unless another name stands there; a module is imported when it is called, so that --help needs none of them
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("slipway.cli.init", "Prepare a dbt project for Slipway, or begin a new one."),
    "feed": ("slipway.cli.feed", "Add a feed, from sample files."),
    "check": ("slipway.cli.check", "Find what is wrong with the code, without reading data."),
    "land": ("slipway.cli.land", "Look at new files without building anything."),
    "run": ("slipway.cli.run", "Land new files, build, test, publish and record."),
    "publish": ("slipway.cli.releases:publish", "Publish a staged run."),
    "promote": ("slipway.cli.promote", "Promote a release to another environment."),
    "plan": ("slipway.cli.promote:plan", "Explain the plan of a promotion."),
    "approve": ("slipway.cli.promote:approve", "Approve the plan of a promotion."),
    "sql": ("slipway.cli.sql", "Query the published tables."),
    "runs": ("slipway.cli.runs", "List runs."),
    "replay": ("slipway.cli.comparisons:replay", "Build an earlier run again, and compare the results."),
    "rollback": ("slipway.cli.rollback", "Roll back to an earlier release."),
    "retire": ("slipway.cli.retire", "Remove tables whose models are gone."),
    "hold": ("slipway.cli.rollback:hold", "Show whether a hold is active, or lift it."),
    "maintain": ("slipway.cli.maintain", "Compact files, expire snapshots, remove orphan files."),
    "releases": ("slipway.cli.releases", "List releases."),
    "advise": ("slipway.cli.advise", "Show which tables come to the limits of one machine."),
    "show": ("slipway.cli.runs:show", "Explain a run or a table."),
    "verify": ("slipway.cli.verify", "Verify what is signed of a release, back to landed files and commit."),
    "books": ("slipway.cli.quarantine:books", "Show where the rows of each feed are."),
    "quarantine": ("slipway.cli.quarantine", "Look at rows in quarantine, and try them again."),
    "trace": ("slipway.cli.trace_screen", "Follow a row back to its file, or a line forward."),
    "contracts": ("slipway.cli.contracts", "Check data contracts, and write them from models."),
    "alerts": ("slipway.cli.alerts", "List open causes of alerts, and test where alerts go."),
    "watch": ("slipway.cli.alerts:watch", "Look between runs for what is late or left undone."),
    "doctor": ("slipway.cli.doctor", "Find and repair what a crash left behind."),
    "connect": ("slipway.cli.connect", "Show how to open the tables in other programs."),
    "diff": ("slipway.cli.diff", "Compare releases, runs, targets, tables or files."),
    "log": ("slipway.cli.diff:log", "Show rows and sums of a table in each release."),
    "canary": ("slipway.cli.comparisons:canary", "Build two versions of the code, and compare the results."),
    "ci": ("slipway.cli.comparisons:ci", "Build and compare what a pull request changes."),
    "comment": ("slipway.cli.comparisons:comment", "Write the comment of a pull request on GitHub."),
    "site": ("slipway.cli.site", "Build the site: tables, lineage, releases, runs."),
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all commands, in the order they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module, and take the command from it."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name or "command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in --help, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slipway")
@click.option("--debug", is_flag=True, help="Show a traceback when something goes wrong.")
def cli(debug: bool) -> None:
    """Make every dbt run a release: staged, audited, published in one step, recorded."""
    if debug:
        os.environ |= Settings(debug="1").variables()


def main() -> None:
    """Run the command line and exit with a documented code (docs/reference/exit-codes.md)."""
    gc.set_threshold(
        100_000, 20, 20
    )  # modules and dbt's manifest stay: looking for garbage in them took a tenth of the time
    _open_streams()
    _mask_logs()
    ended = _end_like_an_interrupt()
    output.what_is_done()
    try:
        # without standalone mode click hands the code of an Exit back instead of raising it
        code = int(cli.main(standalone_mode=False) or 0)
        with output.reader():
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        # click takes the end of a file for Ctrl-D
        cause = error.__cause__
        code = _failed(cause) if isinstance(cause, EOFError) and not ended else _interrupted(ended)
    except Exception as error:  # noqa: BLE001 - the one handler: every error becomes one line
        # DuckDB says so in its own way when the signal reaches it first
        code = _interrupted(ended) if str(error) == "Query interrupted" else _failed(error)
    if code:
        output.close_results()
    else:
        gc.freeze()  # else Python looks for garbage in all that was imported before it ends, as long as a query takes
    sys.exit(code)


def _open_streams() -> None:
    """Have a stream that the caller closed lead nowhere, so that no database gets its number and with it the output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            setattr(sys, ("stdin", "stdout", "stderr")[number], os.fdopen(number, "w" if number else "r"))


def _mask_logs() -> None:
    """Have what libraries log on stderr go through the same masks as messages."""
    others = [handler for handler in logging.root.handlers if type(handler) is not logging.StreamHandler]
    if not any(isinstance(handler, output.LogHandler) for handler in others):
        others.append(output.LogHandler())
    logging.root.handlers[:] = others


def _end_like_an_interrupt() -> list[int]:
    """Have SIGTERM and SIGHUP, which schedulers and terminals send, end a command as Ctrl-C does.

    SIGHUP stays without effect where it is, as nohup wants it.

    Returns:
        where the signal is noted.
    """
    received: list[int] = []

    def end(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
        received.append(number)
        signal.raise_signal(signal.SIGINT)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)
    return received


def _interrupted(ended: list[int]) -> int:
    output.message(f"slipway: Interrupted. {output.what_is_done() or 'Nothing was published'}.")
    return 128 + (ended[0] if ended else signal.SIGINT)


def _failed(error: BaseException) -> int:
    from slipway.errors import SlipwayError

    if Settings.read().is_debug:
        import traceback

        output.failure("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, SlipwayError):
        output.failure(f"slipway: {error.line()}")
        return error.exit_code
    done = output.what_is_done()
    before = f"{done}; what comes after it failed: "
    cannot, unexpected = (f"{before}cannot", f"{before}unexpected") if done else ("Cannot", "Unexpected")
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        where = f" to {error.filename}" if error.filename else ""
        again = "Nothing needs to be done again" if done else "Make room, or write elsewhere, then run again"
        output.failure(f"slipway: {cannot} write{where}: {error.strerror}. {again}.")
        return 5
    if isinstance(error, PermissionError):
        where = error.filename or "a file or folder"
        output.failure(
            f"slipway: Cannot use {where}: {error.strerror or error}. Check its owner and its permissions."
        )
        return 5
    text = " ".join(str(error).split()) or type(error).__name__
    output.failure(
        f"slipway: {unexpected} {type(error).__name__}: {text}. Run with --debug for the traceback."
    )
    return 70


if __name__ == "__main__":
    main()
