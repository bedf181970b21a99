"""For the tests of the runner: tiny notebooks, calls in a process of their own, and their ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat import v4

from evalib.tools.kernels import KERNEL


def write_notebook(path: Path, *cells: object) -> Path:
    """Write a notebook; a string becomes a code cell. An evalib of its own lies beside it."""
    nodes = [v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    package = path.parents[1] / "evalib"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    nbformat.write(v4.new_notebook(cells=nodes, metadata={"kernelspec": dict(KERNEL)}), path)
    return path


def tagged(source: str, tag: str) -> nbformat.NotebookNode:
    return v4.new_code_cell(source, metadata={"tags": [tag]})


def cells_of(path: Path) -> list[nbformat.NotebookNode]:
    return list(nbformat.read(path, as_version=4).cells)


def half_written(folder: Path) -> list[str]:
    """What is not complete: files of a write that broke off, folders of what runs."""
    return [path.name for path in folder.rglob("*") if re.search("partial|.evalib-run", path.name)]


def read_report(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "report.json").read_text(encoding="utf-8")))


def quick_environment(folder: Path) -> dict[str, str]:
    """Give subprocesses a Keras without a GPU that is imported at once."""
    for name in ("stubs", "temporary"):
        (folder / name).mkdir(exist_ok=True)
    keras = "class backend:\n    backend = lambda: 'tensorflow'"
    tensorflow = "class config:\n    list_physical_devices = lambda kind: []\n__version__ = '0'"
    (folder / "stubs" / "keras.py").write_text(keras)
    (folder / "stubs" / "tensorflow.py").write_text(tensorflow)
    own = {"PYTHONPATH": str(folder / "stubs"), "TMPDIR": str(folder / "temporary")}
    return {**os.environ, **own}


def run_command(folder: Path, *arguments: object) -> list[str]:
    """`evalib run` for the notebooks in `folder/notebooks`."""
    own = [sys.executable, "-P", "-m", "evalib", "run", "--notebooks", str(folder / "notebooks")]
    return [*own, *map(str, arguments)]


def start_run(folder: Path, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Start `evalib run` and do not wait."""
    # Where the tests themselves run in the background, an interrupt would be ignored.
    default: Any = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    default |= {"env": quick_environment(folder), "text": True}
    default |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(run_command(folder, *arguments), **(default | options))


def wait_until(true: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def numbers_in(*files: Path) -> list[int]:
    """Wait for files that each hold the number of a process."""
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    return [int(file.read_text()) for file in files]


def wait_for_end(processes: Sequence[int]) -> None:
    wait_until(lambda: not any(is_running(process) for process in processes), 30)
