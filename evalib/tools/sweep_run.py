"""One run of a sweep, where a Dask worker is: here or on another machine.

It has a process of its own. Dask draws from the random generator that Keras takes its seeds from:
beside it the same seed does not give the same network. And what kills a run, want of memory for
example, leaves the worker alive.
"""

import ast
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from evalib import __version__
from evalib.tools.kernels import KERNEL, describe_ending, kernel_environment, module_command

Record = dict[str, Any]
Values = Mapping[str, Any]  # of an experiment, as `Experiment.as_dict` gives them


def execute(run: Callable[[Values], Record], key: str, values: Values, code: str) -> Record:
    """Do one run, and return its record, or that of its failure.

    `run` takes an experiment's values and returns a record; `code` is what `made_by` says where the
    sweep was read.
    """
    start = time.perf_counter()
    head: Record = {"key": key, "experiment": dict(values), "made_by": code}
    try:
        record = head | run(values)
        for name in ("key", "made_by"):
            if record[name] != head[name]:
                raise ValueError(f"expected a record with {name} {head[name]}, got {record[name]}")
        if "error" not in record and not 0 <= record["accuracy"] <= 1:
            raise ValueError(f"expected an accuracy from 0 to 1, got {record['accuracy']}")
    except (Exception, SystemExit) as error:  # whatever ends a run, the others go on
        record = head | failure(error)
    return {"seconds": round(time.perf_counter() - start, 1)} | record


def failure(error: Any) -> Record:
    """The part of a record that tells of a failure."""
    message = str(error)
    if hasattr(error, "evalue"):  # an error of a notebook's cell, whose text is a whole page
        message = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    kind = type(error).__name__
    return {"error": {"type": kind, "message": message, "traceback": lines[-12:]}}


def run_alone(notebook: str, values: Values) -> Record:
    """Do a run in a process of its own, in a known environment: as a notebook, or plain for ""."""
    with tempfile.TemporaryDirectory(prefix="evalib-sweep-") as name:
        home = Path(name).resolve()
        ended = subprocess.run(
            module_command("evalib.tools.sweep_run"),
            input=json.dumps([os.getpid(), notebook, values]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kernel_environment(home),
            cwd=home,
        )
    if ended.returncode:
        raise RuntimeError(f"the run ended with {describe_ending(ended.returncode)}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))  # a sitecustomize may print, too


def main() -> None:
    """Be the process of one run."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker, notebook, values = json.load(sys.stdin)
    threading.Thread(target=_end_with, args=[worker], daemon=True).start()
    try:
        run = _run_notebook(notebook, values) if notebook else _train(values)
        record = {**run, "made_by": made_by(notebook)}
        content = json.dumps(record, allow_nan=False)
    except (Exception, SystemExit) as error:
        content = json.dumps(failure(error))
    answers.write(f"\n{content}".encode())


def _end_with(worker: int) -> None:
    while psutil.pid_exists(worker):
        time.sleep(0.5)
    os._exit(1)


def _train(values: Values) -> Record:
    from evalib.training.experiments import experiment_from, run_experiment

    return run_experiment(experiment_from(values))


def _run_notebook(notebook: str, values: Values) -> Record:
    """Run a copy of a notebook here, and return the record that it writes, and its own text."""
    import papermill

    tables = [table for table in (values, *values.values()) if isinstance(table, Mapping)]
    parameters = {name: value for table in tables for name, value in table.items()}
    source, copy, record = Path("source.ipynb"), Path("copy.ipynb"), Path("record.json").resolve()
    source.write_text(notebook, encoding="utf-8")
    parameters |= {"record_path": str(record)}
    options = {"kernel_name": KERNEL["name"], "language": KERNEL["language"]}
    try:
        papermill.execute_notebook(source, copy, parameters, progress_bar=False, **options)
        content = json.loads(record.read_text(encoding="utf-8"))
    except Exception as error:
        content = failure(error)
    return {**content, "copy": copy.read_text(encoding="utf-8") if copy.is_file() else None}


def made_by(notebook: str = "") -> str:
    """Name what decides about a run's numbers: code of evalib, Keras, and its backend.

    Editing a figure does not change it, editing the training, or the notebook that runs, does.
    """
    import keras

    sources, waiting = {"": notebook.encode()}, ["evalib.training.experiments"]
    for module in waiting:  # which grows as imports are found
        file = Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")
        if module.startswith("evalib.") and module not in sources and file.is_file():
            sources[module] = file.read_bytes().replace(b"\r\n", b"\n")  # as systems differ
            nodes = ast.walk(ast.parse(sources[module]))
            waiting += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    content = b"\0".join(sources[module] for module in sorted(sources))
    digest = hashlib.sha256(content).hexdigest()[:8]
    backend = keras.backend.backend()
    version = importlib.import_module(backend).__version__
    return f"evalib {__version__} ({digest}), keras {keras.__version__}, {backend} {version}"


if __name__ == "__main__":
    main()
