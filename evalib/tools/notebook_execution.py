"""Execute one notebook through papermill, in the process that `notebook_process` starts for it."""

import os
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import LocalHandler, papermill_io

from evalib.files import explained, partial_path, writing_trouble
from evalib.tools.notebook_kernels import (
    GuardedKernelManager,
    end_kernels,
    ending_of_kernel,
    forget_kernels,
    on_kernel_start,
)
from evalib.tools.notebook_selection import KERNEL, quiet_libraries
from evalib.tools.task_process import Note, serve

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ENDING_PATIENCE = 5.0  # seconds for a write to end when this process must

_writing = threading.Lock()
_partials: list[Path] = []


def execute_task(task: Mapping[str, Any], note: Note) -> dict[str, Any]:
    """Execute one notebook; the executed copy appears under its name when it is complete.

    Args:
        task: `path`, `output`, `parameters`, `cell_timeout` (seconds or None), `bar` (whether to
            draw one), `fingerprint` (kept in the copy).
        note: Is told the number of the kernel's process.

    Returns:
        The fields of a `NotebookRun`, or `unwritable`: where, why and what to do.
    """
    path, output = Path(task["path"]), Path(task["output"])
    partial = partial_path(output)
    _partials.append(partial)
    on_kernel_start(lambda number: note({"kernel": number}))
    papermill_io.register(str(partial), _CopyHandler())
    fields: dict[str, Any] = {"name": path.stem, "output": None}
    fields["started"] = datetime.now(UTC).isoformat(timespec="seconds")
    error: Exception | None = None
    start = time.perf_counter()
    try:
        with quiet_libraries():
            partial.unlink(missing_ok=True)
            try:
                _execute(path, partial, task)
            except Exception as raised:
                error = raised
            fields["seconds"] = round(time.perf_counter() - start, 2)
            unreadable = isinstance(error, OSError) and str(error.filename) == str(path)
            if isinstance(error, OSError) and not unreadable:
                trouble = writing_trouble(error, output.parent)
                if trouble:
                    return {"unwritable": trouble}
            if not partial.exists():
                nothing = {"passed": False, "executed_cells": 0, "total_cells": 0}
                return fields | nothing | _explain(error, path, task)
            executed = nbformat.read(partial, as_version=4)
            outcome = _judge(executed, error)
            if error is not None and not isinstance(error, PapermillExecutionError):
                outcome |= _explain(error, path, task)
            stamp = {"passed": outcome["passed"], "fingerprint": task["fingerprint"]}
            _finish_copy(executed, output, stamp)
            return fields | outcome | {"output": str(output)}
    except OSError as raised:
        return {"unwritable": writing_trouble(raised, output.parent) or str(raised)}
    finally:
        forget_kernels()
        partial.unlink(missing_ok=True)


class _CopyHandler(LocalHandler):
    """Writes the growing copy; says what is wrong with the folder if that fails."""

    def write(self, buf: str, path: str) -> None:
        with _writing, explained(Path(path).parent):
            Path(path).write_text(buf, encoding="utf-8")


def _execute(path: Path, partial: Path, task: Mapping[str, Any]) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    papermill.execute_notebook(
        # papermill fills in braces in paths as in a format string.
        *(str(place).replace("{", "{{").replace("}", "}}") for place in (path, partial)),
        parameters=dict(task["parameters"]),
        kernel_name=KERNEL["name"],
        language=KERNEL["language"],
        cwd=path.parent,
        progress_bar={"desc": path.stem, "disable": not task["bar"], "leave": False},
        execution_timeout=task["cell_timeout"],
        # nbval too compares a cell's streams as one.
        coalesce_streams=True,
        kernel_manager_class=GuardedKernelManager,
        # Errors in cells reach us as outputs; the kernel's own log is noise on the terminal.
        extra_arguments=["--IPKernelApp.log_level=50"],
    )


def _judge(executed: nbformat.NotebookNode, error: Exception | None) -> dict[str, Any]:
    """Find the cell that failed, if any, and those that wrote to stderr.

    papermill's marks are the measure, not its exception: it raises one for an error in a cell
    tagged `raises-exception` as well, and none where `sys.exit()` ends a notebook half-way.
    """
    # With a dead kernel or a timeout no cell is marked: it is the last that was started.
    broken_off = error is not None and not isinstance(error, PapermillExecutionError)
    total = failing_number = 0
    failing = None
    stderr = []
    for cell in executed.cells:
        if cell.cell_type != "code":
            continue
        total += "injected-parameters" not in cell.metadata.get("tags", [])
        marks = cell.metadata.get("papermill", {})
        if marks.get("exception") is True or (broken_off and marks.get("start_time")):
            failing_number, failing = total, cell
        if any(output.get("name") == "stderr" for output in cell.outputs):
            stderr.append(str(total))
    outcome: dict[str, Any] = {"passed": failing is None and not broken_off, "total_cells": total}
    outcome["executed_cells"] = total if outcome["passed"] else max(failing_number - 1, 0)
    outcome["warnings"] = (f"stderr output in cell {', '.join(stderr)}",) if stderr else ()
    if failing is not None:
        outcome["failing_cell"] = failing_number
        outcome["failing_source"] = next(iter(failing.source.strip().splitlines()), "")
    if not outcome["passed"]:
        raised = [o for o in failing.outputs if o.output_type == "error"] if failing else []
        shown = f"{raised[-1].ename}: {raised[-1].evalue}" if raised else _error_text(error)
        outcome["error"] = _ANSI.sub("", shown)
    return outcome


def _explain(error: Exception | None, path: Path, task: Mapping[str, Any]) -> dict[str, str]:
    """Say what broke a notebook off that did not fail by itself, and what to do."""
    kind = type(error).__name__
    if kind == "CellTimeoutError":
        seconds = task["cell_timeout"]
        return {
            "error": f"{kind}: still running after {seconds} s",
            "advice": f"the cell waits for something, or needs more than --timeout {seconds}",
        }
    if kind == "DeadKernelError":
        ending = ending_of_kernel()
        return {"error": f"{kind}: the kernel ended with {ending}", "advice": _after_death(ending)}
    restore = f"`git checkout -- {path}` brings it back as committed"
    advice = {
        "NotJSONError": f"the file is damaged or half-merged: {restore}",
        "ValidationError": f"the file is JSON but no notebook: {restore}",
        "NoSuchKernel": "install ipykernel beside evalib: `make` does",
    }
    explained = {"error": _error_text(error)}
    if kind in advice:
        explained["advice"] = advice[kind]
    return explained


def _after_death(ending: str) -> str:
    if "exit status" in ending:
        return "the cell ended its own kernel: os._exit() does, for example"
    if "SIGKILL" in ending:
        return "most often memory ran out: try smaller batches, or fewer --jobs"
    return "a library crashed: run the cell alone in Jupyter, or with other versions"


def _error_text(error: Exception | None) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "")
    return _ANSI.sub("", f"{type(error).__name__}: {first_line}")


def _finish_copy(
    executed: nbformat.NotebookNode, output: Path, stamp: Mapping[str, object]
) -> None:
    """Give the executed copy its name."""
    partial = partial_path(output)
    if stamp["passed"]:
        # papermill puts these cells before an error that was expected, too.
        marker = "papermill-error-cell-tag"
        executed.cells = [c for c in executed.cells if marker not in c.metadata.get("tags", [])]
    executed.metadata.papermill["output_path"] = str(output)
    executed.metadata["evalib"] = dict(stamp)
    with _writing, explained(output.parent):
        nbformat.write(executed, partial)
        os.replace(partial, output)


def _end() -> None:
    """Clean up, for whoever started this process is gone or wants it to end."""
    # Kept, so that nothing is written from here on: not that a kernel died, either.
    _writing.acquire(timeout=_ENDING_PATIENCE)
    end_kernels()
    for partial in _partials:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    serve(execute_task, _end)
