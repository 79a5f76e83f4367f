"""What ``slipway connect`` prints, executed as a reader would: in a fresh process that knows nothing of the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# the extensions are packages of the environment, so that no test downloads one
_DUCKDB = """
import sys
import duckdb
from slipway.engines.duckdb.engine import _from_package

with duckdb.connect() as connection:
    for name in ("avro", *sys.argv[1:]):
        connection.execute(_from_package(name)[-1])
    print(len(connection.execute(sys.stdin.read()).fetchall()))
"""


def section(text: str, title: str) -> str:
    """The lines below a title of the text, as they stand there without the indent."""
    found = re.search(rf"^{re.escape(title)}[^\n]*\n((?:  [^\n]*\n?)+)", text, re.MULTILINE)
    assert found, title
    return "\n".join(line.removeprefix("  ") for line in found[1].splitlines())


def pyiceberg_rows(text: str, settings: dict[str, str], folder: Path) -> int:
    """How many rows of the table the Python of the text finds.

    Args:
        text: of ``slipway connect``.
        settings: of the project, of which the reader has the variables that the text asks for, and AWS's own.
        folder: where the reader is; any but the project.
    """
    *lines, last = section(text, "pyiceberg").splitlines()
    code = "\n".join([*lines, f"print(({last}).num_rows)"])
    return int(_output([sys.executable, "-I", "-c", code], "", _variables(text, settings), folder))


def duckdb_rows(text: str, settings: dict[str, str], folder: Path) -> int:
    """How many rows DuckDB gives for the SQL of the text, whose installations are left out."""
    installs = r"\binstall (\w+); load \1;"
    sql = section(text, "Only DuckDB")
    command = [sys.executable, "-c", _DUCKDB, *re.findall(installs, sql)]
    return int(_output(command, re.sub(installs, "", sql), _variables(text, settings), folder))


def _variables(text: str, settings: dict[str, str]) -> dict[str, str]:
    asked = dict(re.findall(r"^ *#   (\w+)(?: as (\S+?)://\S+)?$", text, re.MULTILINE))
    given = {name: value for name, value in settings.items() if name in asked or name.startswith("AWS_")}
    assert asked.keys() <= given.keys()
    for name, scheme in asked.items():
        if scheme:
            given[name] = f"{scheme}://{given[name].partition('://')[2]}"
    return {"PATH": os.defpath, "HOME": tempfile.gettempdir()} | given


def _output(command: list[str], text: str, env: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, input=text, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
