"""A process of its own for the runs of a sweep's worker.

Dask's threads draw from Python's random generator, which Keras takes its seeds from: beside them
the same seed would not give the same network. And what ends this process, a lack of memory for
example, leaves the worker alive. The process stays from run to run, for Keras takes seconds to
start; it ends with its worker, even with one that is killed.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

ALLOWED_DEATHS = 2  # of processes under one run; with the next it counts as failed

# A worker of several threads: its processor's cores are for one run at a time.
_ONE_AT_A_TIME = threading.Lock()


class KilledRun(RuntimeError):
    """The process of a run ended before the run did."""


class RunProcess:
    """A process that answers one task after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evalib.tools.sweep_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def answer(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Hand over a task and wait for what `sweep_worker.execute` makes of it.

        Raises:
            KilledRun: the process has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line.endswith("\n"):
            status = self.process.wait()
            reason = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise KilledRun(f"the process of the run ended with {reason}")
        answer: dict[str, Any] = json.loads(line)
        return answer


_kept: list[RunProcess] = []
_closing = threading.Event()


def end_run() -> None:
    """End the run that this worker is at, for the worker is about to be closed."""
    _closing.set()
    for kept in _kept:
        kept.process.kill()


def answer_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do one run in the process that this worker keeps, or in a new one if that has ended.

    Args:
        task: as `sweep_worker.execute` takes it.

    Returns:
        What `sweep_worker.execute` gives. A run whose process ends is done again, and has failed
        when it ended `ALLOWED_DEATHS + 1` processes.
    """
    from evalib.tools.sweep_worker import failed_record

    with _ONE_AT_A_TIME:
        for attempt in range(ALLOWED_DEATHS + 1):
            if not _kept:
                _kept.append(RunProcess())
            try:
                return _kept[0].answer(task)
            except KilledRun as error:
                _kept.clear()
                if attempt == ALLOWED_DEATHS or _closing.is_set():
                    return {"record": failed_record(task, error), "copy": None}
    raise AssertionError("the last attempt returns")


def main() -> None:
    """Answer the tasks that come as lines of JSON, until the worker closes its end."""
    from evalib.tools.sweep_worker import execute

    # Whatever a run prints goes elsewhere: this is for answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(tasks,), daemon=True).start()
    while True:
        answers.write(json.dumps(execute(tasks.get())) + "\n")
        answers.flush()


def _receive(tasks: "queue.SimpleQueue[dict[str, Any]]") -> None:
    try:
        for line in sys.stdin.buffer:
            tasks.put(json.loads(line))
    finally:  # the worker is gone, maybe within a line: nobody waits for what is running
        os._exit(0)


if __name__ == "__main__":
    main()
