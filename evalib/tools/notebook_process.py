"""A process for each notebook that runs, and the end of all of them."""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from evalib.files import UnwritableError, partial_path
from evalib.tools.task_process import EndedProcess, TaskProcess, kill_group

_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


class StoppedError(RuntimeError):
    """The notebook was not run to its end, because all are to stop."""


class NotebookProcesses:
    """Runs notebooks in processes of their own, from several threads; stops all at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[TaskProcess] = set()
        self._closed = False

    def __enter__(self) -> "NotebookProcesses":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def execute(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Run one notebook and leave no process of it behind.

        Args:
            task: What `notebook_execution.execute_task` takes.

        Returns:
            The fields of a `NotebookRun`. That the process itself ends is a failure like others.

        Raises:
            StoppedError: `close` was called.
            UnwritableError: The copy could not be written.
        """
        start = time.perf_counter()
        process = self._start()
        try:
            answer = process.answer(task)
        except EndedProcess as error:
            if self._closed:
                raise StoppedError(str(error)) from None
            answer = _ended(task, error, time.perf_counter() - start)
        finally:
            _finish(process)
            with self._lock:
                self._running.discard(process)
        if "unwritable" in answer:
            raise UnwritableError(answer["unwritable"])
        return answer

    def close(self) -> None:
        """Stop all that runs, and let nothing start any more."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.ask_to_end()

    def _start(self) -> TaskProcess:
        with self._lock:
            if self._closed:
                raise StoppedError("stopped before it was started")
            process = TaskProcess("evalib.tools.notebook_execution")
            self._running.add(process)
        return process


def _finish(process: TaskProcess) -> None:
    process.close()
    # It has killed its kernel itself, unless it was killed.
    if process.process.returncode != 0:
        for note in process.notes:
            kill_group(note["kernel"])


def _ended(task: Mapping[str, Any], error: EndedProcess, seconds: float) -> dict[str, Any]:
    partial_path(Path(task["output"])).unlink(missing_ok=True)
    return {
        "name": Path(task["path"]).stem,
        "passed": False,
        "executed_cells": 0,
        "total_cells": 0,
        "seconds": round(seconds, 2),
        "output": None,
        "error": f"EndedProcess: the process that ran the notebook ended with {error}",
        "advice": "most often memory ran out: try fewer --jobs",
    }


def shares(jobs: int, gpus: int) -> dict[str, str | None]:
    """Divide the machine among notebooks that run side by side.

    Args:
        jobs: How many run at once.
        gpus: How many GPUs there are; each notebook sees them all.

    Returns:
        Environment variables for the notebooks. One that is set already is kept.
    """
    if jobs == 1:
        return {}
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    values = dict.fromkeys(_THREADS, str(max(1, own // jobs)))
    if gpus:
        values["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        values["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / jobs:.2f}"
    return {name: os.environ.get(name, value) for name, value in values.items()}
