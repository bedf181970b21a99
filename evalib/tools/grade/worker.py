"""The process in which a submission's kernel is started; `grading_execution` starts it.

It takes a line of JSON, the cells, and answers with lines of JSON: each cell as it begins and as it
has ended, then what the kernel held. It ends with whoever started it, and takes with it the kernel,
all that this one started, and the temporary folder.
"""

import contextlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import v4

from evalib.tools.grade.processes import MARK, adopt_orphans, end_processes

MOST_OUTPUT = 2_000_000  # characters of a cell that are kept; the last ones
PROBE_TYPE = "application/vnd.evalib.probe+json"

# Runs in the submission's kernel after its last cell. A class is known as Keras's by its name, so
# that no Keras is imported where the notebook has none.
_PROBE = """
def _evalib_probe(names):
    from IPython import get_ipython
    from IPython.display import display

    def is_model(value):
        return any(
            base.__name__ == "Model" and base.__module__.split(".")[0] in {packages!r}
            for base in type(value).__mro__
        )

    def number(value):
        try:
            return [float(part) for part in value][:10]
        except TypeError:
            return float(value)

    models, values = {{}}, {{}}
    for name, value in list(get_ipython().user_ns.items()):
        try:
            if not name.startswith("_") and is_model(value):
                models[name] = int(value.count_params()) if value.built else None
            elif name in names:
                values[name] = number(value)
        except Exception:
            pass
    display({{{type!r}: {{"models": models, "values": values}}}}, raw=True)


_evalib_probe({names!r})
"""


class _Client(NotebookClient):
    """A client that keeps the end of a cell's output where there is too much of it."""

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        out = super().output(outs, msg, display_id, cell_index)
        if out is not None:
            data = out.get("data", {})
            for kind in [kind for kind in data if kind not in ("text/plain", PROBE_TYPE)]:
                del data[kind]  # a figure, or a table as HTML
        keep_end(outs)
        return out


def keep_end(outputs: Sequence[Any]) -> None:
    """Cut a cell's outputs, in place, to the last `MOST_OUTPUT` characters of their texts."""
    left = MOST_OUTPUT
    for output in reversed(outputs):
        holder, kind = (
            (output, "text") if "text" in output else (output.get("data", {}), "text/plain")
        )
        text = holder.get(kind)
        if text is None:
            continue
        if not left and not text:
            break  # what comes before has been emptied already
        # Emptied, not taken out: `update_display` finds outputs by their place.
        holder[kind] = text[max(0, len(text) - left) :]
        left = max(0, left - len(text))


def main() -> None:
    """Run the cells that come as a line of JSON, then wait to be ended."""
    adopt_orphans()
    # Whatever a library or the kernel prints goes elsewhere: this is for answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        _run(task["cells"], task["names"], answer)
    except Exception as error:
        answer(failure=f"{type(error).__name__}: {error}")
    answer(done=True)
    threading.Event().wait()  # orphans of the kernel come to this process: it must be the last


def _run(cells: list[dict[str, Any]], names: list[str], answer: Any) -> None:
    nodes = [v4.new_code_cell(c["source"], metadata={"tags": c["tags"]}) for c in cells]
    notebook = v4.new_notebook(cells=nodes)
    client = _Client(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=50"],
        store_widget_state=False,
    )
    with client.setup_kernel(cwd=os.getcwd()):
        for index, cell in enumerate(notebook.cells):
            answer(begun=index)
            try:
                with contextlib.suppress(CellExecutionError):
                    client.execute_cell(cell, index)
            except DeadKernelError:
                answer(ended=index, count=None, outputs=cell.outputs, dead=True)
                return
            answer(ended=index, count=cell.execution_count, outputs=cell.outputs)
            failed = any(output.output_type == "error" for output in cell.outputs)
            if failed and "raises-exception" not in cell.metadata.tags:
                break
        answer(live=_probe(client, names))
        answer(done=True)
        threading.Event().wait()  # without a slow farewell to the kernel


def _probe(client: NotebookClient, names: list[str]) -> dict[str, Any]:
    packages = ("keras", "tf_keras", "tensorflow")
    cell = v4.new_code_cell(_PROBE.format(packages=packages, type=PROBE_TYPE, names=names))
    client.nb.cells.append(cell)
    with contextlib.suppress(CellExecutionError):
        client.execute_cell(cell, len(client.nb.cells) - 1)
    found = [output.get("data", {}).get(PROBE_TYPE) for output in cell.outputs]
    return next(filter(None, found), {"models": {}, "values": {}})


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # until the parent closes its end, or is gone
    try:
        end_processes(os.getpid(), os.environ[MARK])
        shutil.rmtree(Path(os.environ["TMPDIR"]).parent, ignore_errors=True)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
