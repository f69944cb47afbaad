"""Processor time and memory of a process and all its descendants, read from /proc.

Laws: Linux only, and says so; a process that ends between two reads is not an error (its time is in its parent's once
it is waited for).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from parley.errors import ParleyError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PROC = Path("/proc")


class NoSuchProcess(ParleyError):
    """The process cannot be read."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """`cpu_s`: user + system time since each process began, those of ended and awaited children included.
    `rss_bytes`: resident now."""

    cpu_s: float
    rss_bytes: int
    processes: int


def read_usage(pid: int) -> ProcessUsage:
    """Sum over the tree below `pid`; raises NoSuchProcess."""
    if not _PROC.is_dir():
        raise NoSuchProcess("--pid reads /proc, which this system does not have.", "Leave it out.")
    ticks = pages = processes = 0
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        try:
            # The name, in brackets, may itself hold spaces and brackets: the fields begin after the last one (proc(5)).
            fields = (_PROC / str(current) / "stat").read_text().rpartition(")")[2].split()
            for thread in (_PROC / str(current) / "task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except OSError as error:
            if current == pid:
                raise NoSuchProcess(
                    f"Process {pid} cannot be read: {error}.", "Give --pid the server's process id."
                ) from error
            continue
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
        pages += int(fields[21])
        processes += 1
    return ProcessUsage(cpu_s=ticks / _TICKS_PER_S, rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"), processes=processes)
