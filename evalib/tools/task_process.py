"""A process of its own that answers tasks, and ends with whoever started it.

The two talk in lines of JSON: a task goes in, notes and one answer come out. When the pipe that
tasks come through closes, the process ends itself: by then nobody waits for what is running, even
if whoever started it was killed.
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

Note = Callable[[Any], None]

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)

# Loaded here: between fork and exec is no time for it.
_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None


class EndedProcess(RuntimeError):
    """The process ended before it answered."""


class TaskProcess:
    """The end that hands tasks over.

    Attributes:
        process: the one that answers.
        notes: what it told along the way, oldest first.
    """

    def __init__(self, module: str) -> None:
        """Start `python -m module`, which calls `serve`.

        It gets a session of its own: what ends our process group, such as Ctrl-C, does not reach
        it before it has cleaned up behind itself. The thread that calls this must live as long
        as the process: Linux counts its end as the parent's.
        """
        self.notes: list[Any] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def answer(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Hand over a task and wait for the answer.

        Raises:
            EndedProcess: the process has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
        except (OSError, ValueError):  # ValueError: `close` was called
            raise EndedProcess(self._ending()) from None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break
            message: dict[str, Any] = json.loads(line)
            if "answer" in message:
                answer: dict[str, Any] = message["answer"]
                return answer
            self.notes.append(message["note"])
        raise EndedProcess(self._ending())

    def close(self, patience: float = 10.0) -> None:
        """Let the process end itself; kill it if it does not within `patience` seconds."""
        self.ask_to_end()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask_to_end(self) -> None:
        """Close our end of the pipe, and do not wait."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended with a task unread
            self.process.stdin.close()

    def _ending(self) -> str:
        return describe_ending(self.process.wait())


def describe_ending(status: int) -> str:
    """Name the signal or the exit status that `subprocess` gives as one number.

    Returns:
        Such as "signal 9 (SIGKILL)" or "exit status 3".
    """
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"signal {-status}"


def kill_group(process: int) -> None:
    """Kill a process and all of its group, if there still are any.

    Args:
        process: the number of the process that leads the group.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process, signal.SIGKILL)
        else:
            os.kill(process, signal.SIGTERM)  # which on Windows is not asked but done


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have Linux send this process a signal when its parent ends, however that comes."""
    if _C_LIBRARY is not None:
        _C_LIBRARY.prctl(_SET_DEATH_SIGNAL, number)


def _end_soon_after_parent() -> None:
    """Have Linux end this process some seconds after its parent, if it has not ended by then.

    Python notices a closed pipe only when no call in C keeps the interpreter to itself. So the
    signal that tells of the parent's end is handled by a function of C, `alarm`: it takes the
    signal's number, 10, for the seconds after which another signal ends the process.
    """
    if _C_LIBRARY is not None:
        _C_LIBRARY.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        _C_LIBRARY.signal.restype = ctypes.c_void_p
        _C_LIBRARY.signal(signal.SIGUSR1, ctypes.cast(_C_LIBRARY.alarm, ctypes.c_void_p))
        end_with_parent(signal.SIGUSR1)


def serve(
    execute: Callable[[dict[str, Any], Note], dict[str, Any]], end: Callable[[], None]
) -> None:
    """Answer tasks, in the process that a `TaskProcess` started, until it closes its end.

    Args:
        execute: takes a task and a function that sends a note; gives the answer. Both are plain
            values. What it prints goes to stderr.
        end: called when the other end is closed, even amid `execute`; the process ends after it.
    """
    _end_soon_after_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(kind: str, value: Any) -> None:
        answers.write(json.dumps({kind: value}) + "\n")
        answers.flush()

    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(tasks, end), daemon=True).start()
    try:
        while True:
            send("answer", execute(tasks.get(), lambda note: send("note", note)))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # Python's own way out waits for the thread that reads


def _receive(tasks: "queue.SimpleQueue[dict[str, Any]]", end: Callable[[], None]) -> None:
    try:
        with contextlib.suppress(ValueError):  # whoever asks may be killed within a line
            for line in sys.stdin.buffer:
                tasks.put(json.loads(line))
        end()
    finally:
        os._exit(0)
