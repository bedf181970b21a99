"""Kernels that leave nothing behind: neither themselves nor what their cells started."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from evalib.tools.task_process import describe_ending, end_with_parent, kill_group

_PATIENCE = 2.0  # seconds for a killed kernel to be gone


class GuardedKernelManager(AsyncKernelManager):
    """A kernel manager that remembers its kernel's process.

    Where the kernel's parent is killed, ipykernel ends the kernel, but not while a cell keeps the
    interpreter to itself, in a long loop in C for example. Linux does it in any case.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.kernel: subprocess.Popen[bytes] | None = None

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start the kernel, in a session of its own as always."""
        if sys.platform == "linux":
            options["preexec_fn"] = end_with_parent
        await super().start_kernel(**options)
        self.kernel = getattr(self.provisioner, "process", None)
        _started.append(self)
        if self.kernel is not None:
            for tell in _listeners:
                tell(self.kernel.pid)


_started: list[GuardedKernelManager] = []
_listeners: list[Callable[[int], None]] = []


def on_kernel_start(tell: Callable[[int], None]) -> None:
    """Have a function told the number of the process of each kernel that starts."""
    _listeners.append(tell)


def end_kernels() -> None:
    """Kill the kernels of this process, with all that they started, and remove their traces."""
    for manager in _started:
        if manager.kernel is not None:
            kill_group(manager.kernel.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                manager.kernel.wait(_PATIENCE)
        with contextlib.suppress(OSError):
            manager.cleanup_connection_file()


def forget_kernels() -> None:
    """Kill what ended kernels left running, then forget them: their numbers can be given anew."""
    end_kernels()
    _started.clear()


def ending_of_kernel() -> str:
    """How the kernel started last ended: "signal 9 (SIGKILL)" or "exit status 3"."""
    kernel = _started[-1].kernel if _started else None
    status = kernel.poll() if kernel is not None else None
    if status is None:
        return "an unknown cause"
    return describe_ending(status)
