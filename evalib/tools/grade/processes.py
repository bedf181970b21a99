"""End every process that a notebook has started, also those that have left its process group."""

import contextlib
import ctypes
import sys
import time

import psutil

MARK = "EVALIB_GRADING"  # an environment variable whose value tells one grading from another

_PATIENCE = 15.0  # seconds; a killed process is gone after milliseconds
_PR_SET_CHILD_SUBREAPER = 36  # of Linux's <sys/prctl.h>


def adopt_orphans() -> None:
    """On Linux, become the parent of every descendant whose own parent ends.

    A process that detaches itself with `setsid` and a second fork stays a descendant so.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_processes(root: int | None, mark: str) -> None:
    """Kill all descendants of a process, and all processes that carry a mark.

    Args:
        root: The process whose descendants are meant; it lives on, so that no orphan is lost. None
            where it is gone.
        mark: The value of `MARK` in the environment that they were started in.

    Raises:
        RuntimeError: Some are still there after 15 seconds.
    """
    deadline = time.monotonic() + _PATIENCE
    while left := _living(root, mark):
        if time.monotonic() > deadline:
            numbers = ", ".join(str(process.pid) for process in left)
            raise RuntimeError(f"expected the notebook's processes to end, left are {numbers}")
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)


def _living(root: int | None, mark: str) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    if root is not None:
        with contextlib.suppress(psutil.Error):
            descendants = psutil.Process(root).children(recursive=True)
            found = {process.pid: process for process in descendants}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                found[process.pid] = process
    return [p for p in found.values() if p.pid != root and _is_alive(p)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
