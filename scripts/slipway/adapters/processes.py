"""Processes of this machine, told apart also when an id was given out again.

Source: proc(5), "/proc/pid/stat", "/proc/sys/kernel/random/boot_id" and namespaces(7).
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # fields of /proc/<pid>/stat behind the name, which stands in brackets
_ENDED = ("Z", "X")


def place() -> str:
    """The running system and its space of process ids; empty where it does not say."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def started(pid: int | None = None) -> str:
    """When a process started, in the kernel's ticks; empty when there is none that runs.

    Args:
        pid: default this process.
    """
    try:
        text = (_PROC / str(pid or os.getpid()) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[_STATE] in _ENDED else fields[_STARTED]
