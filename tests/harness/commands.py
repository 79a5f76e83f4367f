"""Commands as processes: started from one that has imported dbt (command_server.py), watched, waited for, killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV")


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """The whole environment of a command: of that of the tests only what programs need, and places below a folder."""
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "SLIPWAY_HOME": str(folder / "home"),
        "SLIPWAY_LANDING": str(folder / "landing"),
        "XDG_STATE_HOME": str(folder / "state"),
        **settings,
    }


@dataclass(frozen=True)
class Output:
    """What a command printed and how it ended; no code means that it was killed."""

    out: str
    err: str
    code: int | None


class Running:
    """A command that runs."""

    def __init__(self, connection: socket.socket, out: Path, err: Path) -> None:
        self._connection, self._out, self._err = connection, out, err
        self._stream = connection.makefile("r")
        self.pid = int(self._stream.readline())

    def printed(self) -> str:
        """What it has printed so far."""
        return "".join(path.read_text(encoding="utf-8") for path in (self._out, self._err) if path.exists())

    def wait(self, seconds: float = 300) -> Output:
        """Wait for its end; one that does not come to it is killed."""
        self._connection.settimeout(seconds)
        with self._connection, self._stream:
            try:
                code = self._stream.readline().strip()
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise
        errors = self._err.read_text(encoding="utf-8") if self._err.exists() else ""
        out = self._out.read_text(encoding="utf-8") if self._out.exists() else ""
        return Output(out, errors, code=int(code) if code else None)

    def stopped(self) -> None:
        """Wait until it has come to the call before which it stops."""
        for _ in range(6000):
            state = subprocess.run(
                ["ps", "-o", "state=", "-p", str(self.pid)], capture_output=True, text=True, check=False
            )
            if state.stdout.strip().startswith("T"):
                return
            time.sleep(0.02)
        raise TimeoutError(self.printed())

    def resumed(self) -> Output:
        """Let it go on, and wait for its end."""
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()


def wait_for(path: Path) -> None:
    """Wait until a command has made a file."""
    for _ in range(3000):
        if path.exists():
            return
        time.sleep(0.01)
    raise TimeoutError(path)


class Commands:
    """Starts commands, each as a process of its own, forked from one that has imported dbt.

    Args:
        folder: for what they print.
        shared: where that process listens. The first who comes starts it: its imports take a processor ten seconds.
        owner: the process id of the test run, whose end is the end of that process.
    """

    def __init__(self, folder: Path, shared: Path, owner: int) -> None:
        self._folder, self._count, self._socket = folder, 0, shared / "commands.socket"
        self._server = 0
        with suppress(FileExistsError):
            (shared / "commands.started").touch(exist_ok=False)
            program = str(Path(__file__).with_name("command_server.py"))
            # nobody waits for it: it outlives this worker, and ends with the test run
            self._server = os.posix_spawn(
                sys.executable,
                [sys.executable, program, str(self._socket), str(owner)],
                {**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
            )

    def start(
        self,
        program: str,
        argv: Sequence[str],
        cwd: Path,
        env: dict[str, str],
        *,
        together: bool = False,
        **more: object,
    ) -> Running:
        """Start a command.

        Args:
            program: ``dbt`` or ``slipway``, or ``python`` with code as its argument.
            argv: its arguments.
            cwd: the folder it starts in.
            env: its whole environment.
            together: what it prints on stderr is with what it prints on stdout.
            more: what else command_server.py is asked for.
        """
        self._count += 1
        out, err = self._folder / f"out-{self._count}", self._folder / f"err-{self._count}"
        request = {"program": program, "argv": argv, "cwd": str(cwd), "env": env, "output": str(out), **more}
        connection = self._connect()
        connection.sendall(json.dumps(request | ({} if together else {"errors": str(err)})).encode() + b"\n")
        return Running(connection, out, err)

    def _connect(self) -> socket.socket:
        for _ in range(6000):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._socket))
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                has_ended = self._server and os.waitpid(self._server, os.WNOHANG) != (0, 0)
                assert not has_ended, "the server did not start"
                time.sleep(0.05)
        raise TimeoutError("the server did not start within five minutes")
