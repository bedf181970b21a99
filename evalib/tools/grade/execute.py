"""Run a submission from a fresh kernel, in a place of its own, for a limited time.

This is no sandbox: the notebook's code may do what the user may do. What is kept apart is what
happens by itself: files, processes, time, and packages that would be installed.
"""

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from evalib.tools.grade.read import Submission, printable, read_output
from evalib.tools.kernels import end_processes, kernel_environment

FOLDER_PREFIX = "evalib-grade-"
LONGEST = 1_000_000  # seconds, eleven days
STOPPED = threading.Event()  # ends all runs at their next cell
MOST_OUTPUT = 2_000_000  # characters of a cell's streams that are kept; the last ones
_PATIENCE = 15.0  # seconds for the kernel to tell what it holds

_INSTALLERS = ("pip", "pip3", "pipx", "uv", "easy_install", "conda", "mamba", "micromamba", "apt",
               "apt-get", "aptitude", "dpkg", "yum", "dnf", "apk", "brew", "sudo")  # fmt: skip
# They come before the real ones: as programs, as modules of Python, and as IPython's magics.
_PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
echo "evalib grade: refused, nothing is installed here: $(basename "$0") $*"
"""
_MODULE = """
import sys
__version__ = "0"
for _part in ("_internal", "_internal.cli", "_internal.cli.main", "_internal.main"):
    sys.modules["pip." + _part] = sys.modules[__name__]
def main(args=None, name="pip"):
    line = " ".join([name, *map(str, sys.argv[1:] if args is None else args)])
    print("evalib grade: refused, nothing is installed here:", line)
    with open({log!r}, "a", encoding="utf-8") as file:
        print(line, file=file)
    return 0
if __name__.endswith("__main__"):
    main()
"""
_MAGICS = """
for _name in ("pip", "conda", "mamba", "micromamba", "uv"):
    get_ipython().register_magic_function(
        lambda line, _name=_name: __import__("pip").main([line], _name) or None, "line", _name)
del _name
"""
# For an installer that is reached nevertheless, as `python -I -m pip` reaches pip.
_GUARDS = {"PIP_DRY_RUN": "1", "CONDA_DRY_RUN": "1", "UV_OFFLINE": "1"}

_TYPE = "application/vnd.evalib.models+json"
# Runs in the kernel at the end. A class is known by its name, so that nothing is imported.
_ASK = f"""
def _evalib_ask():
    from IPython import get_ipython
    from IPython.display import display

    models = {{}}
    for name, value in list(get_ipython().user_ns.items()):
        bases = {{(b.__module__.split(".")[0], b.__name__) for b in type(value).__mro__}}
        try:
            if name.startswith("_"):
                continue
            elif bases & {{(p, "Model") for p in ("keras", "tf_keras", "tensorflow")}}:
                models[name] = int(value.count_params()) if value.built else None
            elif ("torch", "Module") in bases:
                models[name] = sum(p.numel() for p in value.parameters()) or None
        except Exception:
            pass
    display({{"{_TYPE}": models}}, raw=True)


_evalib_ask()
"""


@dataclass(frozen=True)
class Execution:
    """What became of a run."""

    submission: Submission  # the notebook with the counts and outputs of this run alone
    end: str  # "finished", "error" (a cell raised one), "timeout" or "kernel died"
    cell: int  # at which it ended
    # The parameters of each model of Keras or PyTorch that the kernel held at the end, by its name;
    # None for a model without weights. Empty where it could not be asked.
    models: dict[str, int | None]
    refused: tuple[str, ...]  # the commands that would have installed something
    seconds: float


def run_submission(submission: Submission, *, timeout: float) -> Execution:
    """Run a notebook's code cells in order, up to the first error, for at most `timeout` seconds.

    The kernel runs in a temporary folder that holds a copy of the notebook. At the end this folder
    is removed and the processes that the notebook has started are killed.

    Raises:
        ValueError: The timeout is not above 0, or is far too long.
        RuntimeError: No kernel could be started.
    """
    if not 0 < timeout <= LONGEST:
        raise ValueError(f"expected a timeout above 0 and up to {LONGEST:,} seconds, got {timeout}")
    from nbformat import v4

    start = time.monotonic()
    nodes = [v4.new_code_cell(c.source, metadata={"tags": [*c.tags]}) for c in submission.cells]
    with _folder(submission.path) as home:
        end, number, models = _run(nodes, home, start + timeout)
        log = (home / "refused.log").read_text(encoding="utf-8", errors="replace")
    cells = []
    for cell, node in zip(submission.cells, nodes, strict=True):
        outputs = tuple(filter(None, map(read_output, node.outputs)))
        cells.append(replace(cell, count=node.execution_count, outputs=outputs))
    refused = tuple(dict.fromkeys(printable(line, 60) for line in log.split("\n") if line))
    ran, seconds = replace(submission, cells=tuple(cells)), time.monotonic() - start
    return Execution(ran, end, number, models, refused, round(seconds, 2))


def _run(nodes: list[Any], home: Path, deadline: float) -> tuple[str, int, dict[str, int | None]]:
    """Run cells in a kernel of their own; give how and where it ended, and the models."""
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbformat import v4

    def ask() -> dict[str, int | None]:
        client.timeout_func = lambda _: _PATIENCE
        with contextlib.suppress(Exception):  # it is busy, or gone
            client.execute_cell(last, len(nodes))
        found = [output.get("data", {}).get(_TYPE) for output in last.outputs]
        return next(filter(None, found), {})

    number, last = 0, v4.new_code_cell(_ASK)
    client = _make_client(v4.new_notebook(cells=[*nodes, last]), home, deadline)
    with _kernel(client, home):
        for number, node in enumerate(nodes, start=1):
            if STOPPED.is_set():
                raise RuntimeError("stopped")
            try:
                with contextlib.suppress(CellExecutionError):
                    client.execute_cell(node, number - 1)
            except DeadKernelError:
                return "kernel died", number, {}
            if time.monotonic() > deadline - 0.5:
                node.outputs = [o for o in node.outputs if o.get("ename") != "KeyboardInterrupt"]
                return "timeout", number, ask()
            failed = any(output.output_type == "error" for output in node.outputs)
            if failed and "raises-exception" not in node.metadata.tags:
                return "error", number, ask()
        return "finished", number, ask()


def _make_client(notebook: Any, home: Path, deadline: float) -> Any:
    """A client that keeps the end of a cell's output where there is too much of it."""
    from nbclient import NotebookClient

    class Client(NotebookClient):
        def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
            out = super().output(outs, msg, display_id, cell_index)
            data = out.get("data", {}) if out is not None else {}
            for kind in [kind for kind in data if kind not in ("text/plain", _TYPE)]:
                del data[kind]  # a figure, or a table as HTML
            left = MOST_OUTPUT
            for output in reversed(outs):
                text = output.get("text", "")
                if not left and not text:
                    break  # what comes before has been emptied already
                output.update({"text": text[-left:] if left else ""} if text else {})
                left = max(0, left - len(text))
            return out

    logger = logging.Logger("evalib", logging.CRITICAL)
    client: Any = Client(notebook, kernel_name="python3", log=logger)
    client.timeout_func = lambda _: max(0.1, deadline - time.monotonic())
    client.interrupt_on_timeout = True
    client.error_on_timeout = {"ename": "TimeoutError", "evalue": "", "traceback": []}
    client.extra_arguments = ["--IPKernelApp.log_level=50"]
    client.store_widget_state = False
    client.create_kernel_manager()
    client.km.kernel_spec_manager.kernel_dirs = [str(home / "jupyter" / "kernels")]
    client.km.connection_file = str(home / "runtime" / "kernel.json")
    return client


@contextlib.contextmanager
def _folder(notebook: Path) -> Iterator[Path]:
    """A temporary folder with a copy of the notebook in `work`, and what refuses to install."""
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, ignore_cleanup_errors=True) as name:
        home = Path(name).resolve()
        log, startup = home / "refused.log", home / "ipython" / "profile_default" / "startup"
        for folder in ("work", "tmp", "bin", "modules/pip", "modules/ensurepip", startup):
            (home / folder).mkdir(parents=True)
        shutil.copyfile(notebook, home / "work" / notebook.name)
        log.touch()
        for program in (*_INSTALLERS, *(f"pip3.{minor}" for minor in range(8, 16))):
            (home / "bin" / program).write_text(_PROGRAM.format(log=log))
            (home / "bin" / program).chmod(0o755)
        for module in (home / "modules").iterdir():
            for file in ("__init__.py", "__main__.py"):
                (module / file).write_text(_MODULE.format(log=str(log)))
        (startup / "refuse.py").write_text(_MAGICS)
        yield home


@contextlib.contextmanager
def _kernel(client: Any, home: Path) -> Iterator[None]:
    """A running kernel, of which no process stays behind, also none of another environment."""
    environment = kernel_environment(home, variables={"TMPDIR": str(home / "tmp"), **_GUARDS})
    for name, folder in (("PATH", "bin"), ("PYTHONPATH", "modules")):
        values = [str(home / folder), environment.get(name, "")]
        environment[name] = os.pathsep.join(filter(None, values))
    # What the kernel's processes write by themselves must not come among our own output.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        client.start_new_kernel(cwd=str(home / "work"), env=environment, **quiet)
        client.start_new_kernel_client()
        yield
    finally:
        with contextlib.suppress(psutil.Error, AttributeError):
            end_children(psutil.Process(client.km.provisioner.pid))
        end_processes(home)
        if client.kc is not None:
            client.kc.stop_channels()


def end_children(process: psutil.Process) -> None:
    """Kill all that a process has started, which may be a kernel: its run ends by that."""
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
