"""One run of a sweep, as a plain call or as a notebook, in the process that `sweep_process` keeps.

Keras and papermill are imported when a run needs them: a worker starts at once.
"""

import ast
import contextlib
import hashlib
import importlib
import io
import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PLAIN_RUN = "evalib.tools.sweep_worker:run_plain"
RECORD_PATH = "record_path"

_TRACEBACK_LINES = 12
_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def _sources(module: str, found: dict[str, bytes]) -> dict[str, bytes]:
    """The source of a module of evalib and of all that it imports from evalib."""
    path = Path(__file__).with_name(f"{module}.py")
    if module not in found and path.is_file():
        found[module] = path.read_bytes().replace(b"\r\n", b"\n")  # as systems differ
        for node in ast.walk(ast.parse(found[module])):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("evalib."):
                _sources(str(node.module).removeprefix("evalib."), found)
    return found


def _read_fingerprint() -> str:
    sources = _sources("experiments", _sources("sweep_worker", {}))
    content = b"\0".join(name.encode() + sources[name] for name in sorted(sources))
    return f"{metadata.version('evalib')} ({hashlib.sha256(content).hexdigest()[:8]})"


_FINGERPRINT = _read_fingerprint()


def execute(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do one run. What it raises becomes a record of the failure.

    Args:
        task: `key`, `experiment` (plain values), `run` (the function of a plain run, written
            `module:function`) and `notebook` (what `read_notebook` gives, or None).

    Returns:
        `record`, plain values, and `copy`, the executed notebook's text or None.
    """
    answer: dict[str, Any] = {"copy": None}
    start = time.perf_counter()
    try:
        if task["notebook"] is None:
            record = _named_function(task["run"])(task["experiment"])
        else:
            record = _run_notebook(task, answer)
        if record.get("key") != task["key"]:
            raise ValueError(f"expected a record of {task['key']}, got {record.get('key')}")
        answer["record"] = json.loads(json.dumps(record))
    # SystemExit: a run that calls sys.exit() has failed like any other.
    except (Exception, SystemExit) as error:
        answer["record"] = failed_record(task, error)
        answer["record"]["seconds"] = round(time.perf_counter() - start, 1)
    return answer


def failed_record(task: Mapping[str, Any], error: BaseException) -> dict[str, Any]:
    """The record of a run that failed: its experiment and the error."""
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return {
        "key": task["key"],
        "experiment": task["experiment"],
        "error": {
            "type": type(error).__name__,
            "message": str(error),
            "traceback": lines[-_TRACEBACK_LINES:],
        },
    }


def run_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Train and score one experiment in this process."""
    import keras

    from evalib.training.experiments import experiment_from, run_experiment

    try:
        return run_experiment(experiment_from(values))
    finally:
        keras.backend.clear_session()  # or a long sweep's graphs fill the memory


def read_notebook(path: Path) -> dict[str, Any]:
    """Read the notebook that runs shall be copies of.

    Args:
        path: of a notebook with a cell tagged `parameters`, where each field of an experiment that
            a sweep sets is a variable, and `record_path` says where to write the run's record.

    Returns:
        Its `name`, `text` (without outputs) and `parameters` (the variables' names).

    Raises:
        ValueError: it is no notebook, or has no variable `record_path`.
    """
    import nbformat
    import papermill

    try:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        # A kernel that is not installed here must not matter for reading names.
        notebook.metadata["kernelspec"] = dict(_KERNEL)
        names = list(papermill.inspect_notebook(notebook))
    except Exception as error:
        raise ValueError(f"{path} is no notebook that papermill can read: {error}") from error
    if RECORD_PATH not in names:
        raise ValueError(f"{path} has no variable {RECORD_PATH} in a cell tagged parameters")
    return {"name": path.stem, "text": nbformat.writes(notebook), "parameters": names}


def fingerprint() -> str:
    """evalib's version and a digest of what a run is made of, as of the start of this process.

    Editing a figure does not change it, editing the training does.
    """
    return _FINGERPRINT


def dask_setup(worker: object) -> None:
    """Called by Dask in a local worker: Ctrl-C is for the sweep, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _named_function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _run_notebook(task: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Run a notebook's copy, keep it in `answer`, and read the record that it wrote."""
    from evalib.tools.run import run_notebooks

    notebook = task["notebook"]
    with tempfile.TemporaryDirectory(prefix="evalib-sweep-") as place:
        folder = Path(place).resolve() / "notebooks"
        folder.mkdir()
        (folder / f"{notebook['name']}.ipynb").write_text(notebook["text"], encoding="utf-8")
        file = folder / "record.json"
        values = flat_values(task["experiment"]) | {RECORD_PATH: str(file)}
        with _quiet():
            [run] = run_notebooks(
                [f"{notebook['name']}.ipynb"],
                parameters={n: v for n, v in values.items() if n in notebook["parameters"]},
                output_folder=folder.parent / "executed",
                notebook_folder=folder,
            )
        if run.output is not None:
            answer["copy"] = run.output.read_text(encoding="utf-8")
        if not run.passed:
            where = f"cell {run.failing_cell}: " if run.failing_cell else ""
            raise RuntimeError(f"the notebook failed: {where}{run.error}")
        if not file.is_file():
            raise RuntimeError(f"the notebook wrote no record to its {RECORD_PATH}")
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return record


def flat_values(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's fields without their tables, as a notebook's parameters have them."""
    own = {name: value for name, value in experiment.items() if not isinstance(value, Mapping)}
    tables = [value for value in experiment.values() if isinstance(value, Mapping)]
    return own | {name: value for table in tables for name, value in table.items()}


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the notebook runner's own progress off the terminal, which shows the sweep's."""
    before, sys.stderr = sys.stderr, io.StringIO()
    try:
        yield
    finally:
        sys.stderr = before
