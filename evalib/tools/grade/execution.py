"""Run a submission from a fresh kernel, in a place of its own, for a limited time.

This is no sandbox: the notebook's code may do what the user may do. What is kept apart is what
happens by itself: files, processes and time.
"""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evalib.tools.grade.processes import MARK, end_processes
from evalib.tools.grade.submissions import Submission, read_output

FOLDER_PREFIX = "evalib-grade-"
LONGEST = 1_000_000  # seconds, eleven days


@dataclass(frozen=True)
class Execution:
    """What became of a run.

    Attributes:
        submission: The notebook with the counts and outputs of this run alone.
        end: "finished", "error" (a cell raised one), "timeout" or "kernel died".
        cell: The cell at which it ended early; None where it finished.
        models: The parameters of each Keras model that the kernel held after the last cell, by
            its name; None for a model without weights. None where it could not be asked.
        values: The numbers that the asked names had then.
        seconds: How long it took.
    """

    submission: Submission
    end: str
    cell: int | None
    models: dict[str, int | None] | None = None
    values: dict[str, float | list[float]] = field(default_factory=dict)
    seconds: float = 0.0


def run_submission(submission: Submission, names: Sequence[str], *, timeout: float) -> Execution:
    """Run a notebook's code cells in order, up to the first error.

    The kernel runs in a temporary folder that holds a copy of the notebook. At the end this folder
    is removed and every process that the notebook has started is killed, unless its code works
    against that: it can end the process that keeps count of them.

    Args:
        submission: The notebook.
        names: The names whose numbers are wanted afterwards.
        timeout: Seconds for the whole notebook, the kernel's start included.

    Returns:
        What the cells gave, as far as they ran.

    Raises:
        ValueError: The timeout is not above 0, or is far too long.
        RuntimeError: No kernel could be started, or a process of the notebook cannot be ended.
    """
    if not 0 < timeout <= LONGEST:
        raise ValueError(f"expected a timeout above 0 and up to {LONGEST:,} seconds, got {timeout}")
    start = time.monotonic()
    cells = [{"source": cell.source, "tags": list(cell.tags)} for cell in submission.cells]
    task = json.dumps({"cells": cells, "names": list(names)})
    answers: list[dict[str, Any]] = []
    with _worker(submission.path) as worker:
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_read_lines, args=(worker, lines), daemon=True).start()
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write(task.encode() + b"\n")  # type: ignore[union-attr]
            worker.stdin.flush()  # type: ignore[union-attr]
        timed_out = not _collect(lines, answers, start + timeout)
    execution = _summarize(submission, answers, timed_out)
    return replace(execution, seconds=round(time.monotonic() - start, 2))


@contextlib.contextmanager
def _worker(notebook: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of its own group in a folder of its own; nothing of either is left at the end."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, ignore_cleanup_errors=True) as folder:
        work, temporary = Path(folder, "work"), Path(folder, "tmp")
        for path in (work, temporary, Path(folder, "jupyter")):
            path.mkdir()
        shutil.copyfile(notebook, work / notebook.name)
        environment = os.environ | {
            MARK: mark,
            "TMPDIR": str(temporary),
            "IPYTHONDIR": str(Path(folder, "ipython")),
            "JUPYTER_RUNTIME_DIR": str(Path(folder, "jupyter")),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYTHONPATH": _search_path(),
        }
        environment.pop("MPLBACKEND", None)  # one for the terminal leaves out inline figures
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "evalib.tools.grade.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=work,
            env=environment,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # The worker last: as long as it lives, orphans come to it and are found.
            try:
                end_processes(process.pid, mark)
            finally:
                process.kill()
                process.wait()
                with contextlib.suppress(OSError):
                    process.stdin.close()  # type: ignore[union-attr]
            end_processes(None, mark)


def _search_path() -> str:
    """Where this evalib is: the worker starts in another folder, and may not be installed."""
    own = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH")]))


def _read_lines(worker: "subprocess.Popen[bytes]", lines: "queue.SimpleQueue[bytes]") -> None:
    with contextlib.suppress(ValueError, OSError):
        assert worker.stdout is not None
        with worker.stdout:
            for line in worker.stdout:
                lines.put(line)
    lines.put(b"")


def _collect(
    lines: "queue.SimpleQueue[bytes]", answers: list[dict[str, Any]], deadline: float
) -> bool:
    """Gather answers until the worker is done or gone; False where the time is up before."""
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return False
        if not line.endswith(b"\n"):
            return True
        answer = json.loads(line)
        if "done" in answer:
            return True
        answers.append(answer)


def _summarize(
    submission: Submission, answers: Sequence[dict[str, Any]], timed_out: bool
) -> Execution:
    failure = next((answer["failure"] for answer in answers if "failure" in answer), None)
    begun = [answer["begun"] for answer in answers if "begun" in answer]
    if submission.cells and not begun and not timed_out:
        raise RuntimeError(f"expected a kernel to start, but {failure or 'its process ended'}")
    ended = {answer["ended"]: answer for answer in answers if "ended" in answer}
    cells = []
    for index, cell in enumerate(submission.cells):
        result = ended.get(index, {"count": None, "outputs": []})
        outputs = tuple(filter(None, map(read_output, result["outputs"])))
        cells.append(replace(cell, count=result["count"], outputs=outputs))
    live = next((answer["live"] for answer in answers if "live" in answer), None)
    last = cells[begun[-1]] if begun else None
    errors = last is not None and any(output.kind == "error" for output in last.outputs)
    finished = len(ended) == len(cells) and not any("dead" in answer for answer in ended.values())
    if timed_out and not (finished and live):
        end = "timeout"
    elif errors and last is not None and "raises-exception" not in last.tags:
        end = "error"
    else:
        end = "finished" if finished else "kernel died"
    return Execution(
        replace(submission, cells=tuple(cells)),
        end,
        None if end == "finished" or last is None else last.number,
        live["models"] if live else None,
        live["values"] if live else {},
    )
