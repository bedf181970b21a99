"""Execute one notebook with papermill, in the process that `run` starts for it.

When the standard input closes, `run` has ended: so does this, with all that the notebook started.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillExecutionError

from evalib.results import UnwritableError, explained
from evalib.tools.kernels import KERNEL, describe_ending, end_processes
from evalib.tools.store import has_tag, join_streams

_DAMAGED = ("NotJSONError", "ValidationError", "UnicodeDecodeError", "UnicodeEncodeError")


class _KernelManager(AsyncKernelManager):
    process: Any = None  # which tells how it ended

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        self.connection_file = os.path.join(os.environ["JUPYTER_RUNTIME_DIR"], "kernel.json")
        await super().start_kernel(**options)
        _KernelManager.process = getattr(self.provisioner, "process", None)


def execute(task: dict[str, Any], home: Path) -> dict[str, Any]:
    """Execute a notebook and finish its copy, complete or not; more fields of its run come back."""
    path, copy, broken_off, start = task["path"], task["copy"], "", time.monotonic()
    kernel = {"kernel_name": KERNEL["name"], "language": KERNEL["language"]}
    manager = {"kernel_manager_class": _KernelManager, "shutdown_kernel": "immediate"}
    # Outputs have 30 seconds to arrive after their cell has ended.
    limits = {"execution_timeout": task["timeout"], "iopub_timeout": 30}
    hooks = {"progress_bar": False, "autosave_cell_every": 0, "on_cell_executed": _note_reply}
    options = {**kernel, **manager, **limits, **hooks}
    # papermill fills in braces in paths as in a format string.
    places = [name.replace("{", "{{").replace("}", "}}") for name in (path, copy)]
    with explained(Path(task["run"]["output"]).parent):
        try:
            nbformat.validate(nbformat.read(path, as_version=4))  # papermill would only log it
            options |= {"cwd": Path(path).parent}
            papermill.execute_notebook(*places, task["parameters"], **options)
        except PapermillExecutionError:
            pass
        except Exception as error:
            if isinstance(error, OSError) and error.errno and error.filename != path:
                raise
            broken_off = _explain(error, task["timeout"], home)
        outcome = {"error": broken_off, "seconds": round(time.monotonic() - start, 2)}
        with contextlib.suppress(FileNotFoundError, ValueError):  # there is none, or half of one
            executed = nbformat.read(copy, as_version=4)
            outcome |= _judge(executed, broken_off)
            nbformat.write(_finish(executed, {**task["run"], **outcome}), copy)
    return outcome


def _note_reply(cell: nbformat.NotebookNode, cell_index: int, execute_reply: Any) -> None:
    """Keep an error's name, which not every error leaves in the outputs; notice a `quit()`."""
    content = execute_reply["content"]
    if content["status"] == "error":
        cell.metadata.papermill["error"] = f"{content.get('ename')}: {content.get('evalue')}"
    if any(part.get("source") == "ask_exit" for part in content.get("payload", ())):
        raise RuntimeError("quit() or exit() ended the kernel")


def _judge(executed: nbformat.NotebookNode, broken_off: str) -> dict[str, Any]:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    code = [cell for cell in code if not has_tag(cell, "injected-parameters")]
    # Its exceptions tell less: one comes for a cell tagged `raises-exception` too, none for
    # `sys.exit()`. With a dead kernel or a timeout it is the last cell that was started.
    mark = "start_time" if broken_off else "exception"
    failing = max((n for n, cell in enumerate(code, 1) if cell.metadata.papermill[mark]), default=0)
    error = broken_off or (code[failing - 1].metadata.papermill.get("error", "") if failing else "")
    noisy = [n for n, c in enumerate(code, 1) if any(o.get("name") == "stderr" for o in c.outputs)]
    passed = not (failing or broken_off)
    runs = [not has_tag(cell, "skip-execution") for cell in code]
    return {
        **{"passed": passed, "failing_cell": failing or None, "error": _plain(error) or None},
        "executed_cells": sum(runs if passed else runs[: max(failing - 1, 0)]),
        "total_cells": sum(runs),
        "warnings": [f"stderr output in cell {', '.join(map(str, noisy))}"] if noisy else [],
    }


def _explain(error: Exception, timeout: int | None, home: Path) -> str:
    kind, text = type(error).__name__, next(iter(str(error).strip().splitlines()), "")
    if kind in _DAMAGED:
        text = "the file is damaged, half-merged, or not UTF-8 without a byte order mark"
    elif kind == "CellTimeoutError" and "IOPub" in str(error):
        text = "output came faster than it could be read, and some was lost: print less"
    elif kind == "CellTimeoutError":
        text = f"still running after {timeout} s (--timeout)"
    elif kind == "DeadKernelError" and _KernelManager.process:
        text = f"the kernel ended with {describe_ending(_KernelManager.process.poll() or 0)}"
        text += ": somebody killed it, or the system did for want of memory" * ("KILL" in text)
    elif kind == "RuntimeError" and text.startswith("Kernel"):  # died before it answered
        printed = (home / "log").read_text(encoding="utf-8", errors="replace")
        text = f"the kernel did not start: {[text, *filter(str.strip, printed.splitlines())][-1]}"
    return _plain(f"{kind}: {text}")


def _plain(text: str) -> str:
    return text[:10_000].encode("utf-8", "backslashreplace").decode("utf-8")


def _finish(executed: nbformat.NotebookNode, run: dict[str, Any]) -> nbformat.NotebookNode:
    if run["passed"]:  # papermill puts these cells before an error that was expected, too
        executed.cells = [c for c in executed.cells if not has_tag(c, "papermill-error-cell-tag")]
    for cell in executed.cells:
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)
    executed.metadata.papermill["output_path"] = run["output"]
    executed.metadata["evalib"] = run
    return executed


def _end_with_run(home: Path, copy: str) -> None:
    while os.read(0, 1):
        pass
    end_processes(home)
    shutil.rmtree(home, ignore_errors=True)
    Path(copy).unlink(missing_ok=True)
    os._exit(1)


def main() -> None:
    home = Path(sys.argv[1])
    task = json.loads((home / "task").read_text("utf-8"))
    threading.Thread(target=_end_with_run, args=[home, task["copy"]], daemon=True).start()
    logging.disable()
    try:
        outcome = execute(task, home)
    except UnwritableError as error:
        outcome = {"unwritable": str(error)}
    (home / "outcome").write_text(json.dumps(outcome), "utf-8")


if __name__ == "__main__":
    main()
