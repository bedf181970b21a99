"""One run of a sweep, in a process that a Dask worker starts, here or on another machine.

Dask draws from Keras's random generator; and what kills a run leaves the worker alive.
"""

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from evalib import __version__
from evalib.tools.kernels import KERNEL, describe_ending, kernel_environment, module_command

Record = dict[str, Any]
_ROOMS = ("", "training", "receptive_fields", "networks", "data")  # whose code makes numbers


def execute(run: Callable[[Record], Record], key: str, values: Record, code: str) -> Record:
    """Call `run` with an experiment's values, and return its record, or that of its failure."""
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
    message = str(error)
    if hasattr(error, "evalue"):  # an error of a notebook's cell, whose text is a whole page
        message = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()[-12:]
    return {"error": {"type": type(error).__name__, "message": message, "traceback": lines}}


def run_alone(notebook: str, values: Record) -> Record:
    """Run in a process of its own, in a known environment: a notebook, or plain training for ""."""
    with tempfile.TemporaryDirectory(prefix="evalib-sweep-") as name:
        home = Path(name).resolve()
        task = json.dumps([os.getpid(), notebook, values]).encode()
        own: Any = {"env": kernel_environment(home), "cwd": home, "input": task}
        own |= dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        ended = subprocess.run(module_command("evalib.tools.sweep_run"), **own)
        if ended.returncode:
            raise RuntimeError(f"the run ended with {describe_ending(ended.returncode)}")
        return dict(json.loads((home / "answer.json").read_bytes()))


def main() -> None:
    worker, notebook, values = json.load(sys.stdin)
    threading.Thread(target=_end_with, args=[worker], daemon=True).start()
    try:
        from evalib.training.experiments import experiment_from, run_experiment

        experiment = experiment_from(values)
        record = _run_notebook(notebook, values) if notebook else run_experiment(experiment)
        content = json.dumps({**record, "made_by": made_by(notebook)}, allow_nan=False)
    except (Exception, SystemExit) as error:
        content = json.dumps(failure(error))
    Path("answer.json").write_text(content, encoding="utf-8")


def _end_with(worker: int) -> None:
    while psutil.pid_exists(worker):
        time.sleep(0.5)
    os._exit(1)


def _run_notebook(notebook: str, values: Record) -> Record:
    import papermill

    source, copy, record = Path("source.ipynb"), Path("copy.ipynb"), Path("record.json").resolve()
    source.write_text(notebook, encoding="utf-8")
    parameters = {**values, **values["network"], **values["recipe"], "record_path": str(record)}
    kernel = {"kernel_name": KERNEL["name"], "language": KERNEL["language"]}
    try:
        papermill.execute_notebook(source, copy, parameters, progress_bar=False, **kernel)
        content = json.loads(record.read_text(encoding="utf-8"))
    except Exception as error:
        content = failure(error)
    return {**content, "copy": copy.read_text(encoding="utf-8") if copy.is_file() else None}


def made_by(notebook: str = "") -> str:
    """Name what decides about numbers: code up to training, the notebook, Keras, its backend."""
    import keras

    rooms = [Path(__file__).parents[1] / room for room in _ROOMS]
    files = [file for room in rooms for file in sorted(room.glob("*.py"))]
    texts = [notebook, *(file.read_text(encoding="utf-8") for file in files)]
    code = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
    backend = keras.backend.backend()
    version = importlib.import_module(backend).__version__
    return f"evalib {__version__} ({code}), keras {keras.__version__}, {backend} {version}"


if __name__ == "__main__":
    main()
