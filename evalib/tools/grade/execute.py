"""Run a submission from a fresh kernel, in a place of its own, for a limited time: no sandbox."""

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from evalib.tools.grade.read import Submission, printable, read_output
from evalib.tools.kernels import end_processes, kernel_environment

STOPPED = threading.Event()  # ends all runs at their next cell
MOST_OUTPUT = 50_000_000  # characters that a cell prints; what comes after is not kept
_INSTALLERS = ("pip", "pip3", "pipx", "uv", "easy_install", "conda", "mamba", "micromamba", "apt",
               "apt-get", "aptitude", "dpkg", "yum", "dnf", "apk", "brew", "sudo")  # fmt: skip
# They come before the real ones: as programs, as modules of Python, and as IPython's magics.
_PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
echo "evalib grade: refused, nothing is installed here: $(basename "$0") $*"
"""
_MODULE = """
import subprocess, sys
__version__ = "0"
for _part in ("_internal", "_internal.cli", "_internal.cli.main", "_internal.main"):
    sys.modules["pip." + _part] = sys.modules[__name__]
def main(args=None, name="pip"):
    given = sys.argv[1:] if args is None else args
    return subprocess.call([{bin!r} + "/" + name, *map(str, given)])
if __name__.endswith("__main__"):
    main()
"""
_MAGICS = """
for _name in ("pip", "conda", "mamba", "micromamba", "uv"):
    get_ipython().register_magic_function(
        lambda line, _name=_name: __import__("pip").main([line], _name) or None, "line", _name)
"""
_GUARDS = {"PIP_DRY_RUN": "1", "CONDA_DRY_RUN": "1", "UV_OFFLINE": "1"}  # for `python -I -m pip`
_TYPE = "application/vnd.evalib.models+json"
# Runs in the kernel at the end. A class is known by its name, so that nothing is imported.
_ASK = f"""
def _evalib_ask():
    from contextlib import suppress
    from IPython.display import display
    models = {{}}
    for name, value in list(get_ipython().user_ns.items()):
        bases = {{(b.__module__.split(".")[0], b.__name__) for b in type(value).__mro__}}
        with suppress(Exception):
            if bases & {{(p, "Model") for p in ("keras", "tf_keras", "tensorflow")}}:
                models[name] = int(value.count_params()) if value.built else None
            elif ("torch", "Module") in bases:
                models[name] = sum(p.numel() for p in value.parameters()) or None
    display({{"{_TYPE}": {{n: models[n] for n in models if n[0] != "_"}}}}, raw=True)
_evalib_ask()
"""


class Execution(NamedTuple):
    submission: Submission  # the notebook with the counts and outputs of this run alone
    end: str  # "finished", "error" (a cell raised one), "timeout" or "kernel died"
    cell: int  # at which it ended
    models: dict[str, int | None]  # their parameters by name; None for one without weights
    refused: tuple[str, ...]  # the commands that would have installed something
    seconds: float


def run_submission(submission: Submission, *, timeout: float) -> Execution:
    """Run code cells in order in a temporary folder, up to the first error or for `timeout` s."""
    if not 0 < timeout <= 1_000_000:  # eleven days
        raise ValueError(f"expected a timeout above 0, up to 1,000,000 seconds, got {timeout}")
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
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbformat import v4

    end, number, last = "finished", 0, v4.new_code_cell(_ASK)
    with _kernel(v4.new_notebook(cells=[*nodes, last]), home, deadline) as client:
        for number, node in enumerate(nodes, start=1):
            if STOPPED.is_set():
                raise RuntimeError("stopped")
            try:
                with contextlib.suppress(CellExecutionError):
                    client.execute_cell(node, number - 1)
            except DeadKernelError:
                return "kernel died", number, {}
            failed = any(output.output_type == "error" for output in node.outputs)
            if time.monotonic() > deadline - 0.5:
                node.outputs = [o for o in node.outputs if o.get("ename") != "KeyboardInterrupt"]
                end = "timeout"
            elif failed and "raises-exception" not in node.metadata.tags:
                end = "error"
            if end != "finished":
                break
        client.timeout_func = lambda _: 15.0
        with contextlib.suppress(Exception):  # it is busy, or gone
            client.execute_cell(last, len(nodes))
    found = [output.get("data", {}).get(_TYPE) for output in last.outputs]
    return end, number, next(filter(None, found), {})


@contextlib.contextmanager
def _kernel(notebook: Any, home: Path, deadline: float) -> Iterator[Any]:
    from nbclient import NotebookClient

    log = logging.Logger("evalib", logging.CRITICAL)
    client: Any = NotebookClient(notebook, kernel_name="python3", log=log)
    add = client.output

    def add_what_fits(outputs: Any, *message: Any) -> Any:  # a loop may print without end
        length = sum(len(output.get("text", "")) for output in outputs[-500:])
        return add(outputs, *message) if length < MOST_OUTPUT else None

    client.output = add_what_fits
    client.timeout_func = lambda _: max(0.1, deadline - time.monotonic())
    client.interrupt_on_timeout, client.store_widget_state = True, False
    client.error_on_timeout = {"ename": "TimeoutError", "evalue": "", "traceback": []}
    client.extra_arguments = ["--IPKernelApp.log_level=50"]
    client.create_kernel_manager()
    client.km.kernel_spec_manager.kernel_dirs = [str(home / "jupyter" / "kernels")]
    client.km.connection_file = str(home / "runtime" / "kernel.json")
    environment = kernel_environment(home, variables={"TMPDIR": str(home / "tmp"), **_GUARDS})
    for name, folder in (("PATH", "bin"), ("PYTHONPATH", "modules")):
        values = [str(home / folder), environment.get(name, "")]
        environment[name] = os.pathsep.join(filter(None, values))
    # What the kernel's processes write by themselves must not come among our own output.
    quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
    try:
        client.start_new_kernel(cwd=str(home / "work"), env=environment, **quiet)
        client.start_new_kernel_client()
        yield client
    finally:
        with contextlib.suppress(psutil.Error, AttributeError):
            end_children(psutil.Process(client.km.provisioner.pid))
        end_processes(home)
        if client.kc is not None:
            client.kc.stop_channels()


@contextlib.contextmanager
def _folder(notebook: Path) -> Iterator[Path]:
    """A temporary folder with a copy of the notebook in `work`, and what refuses to install."""
    with tempfile.TemporaryDirectory(prefix="evalib-grade-", ignore_cleanup_errors=True) as name:
        home = Path(name).resolve()
        log, startup = home / "refused.log", home / "ipython" / "profile_default" / "startup"
        for folder in ("work", "tmp", "bin", "modules/pip", "modules/ensurepip", startup):
            (home / folder).mkdir(parents=True)
        shutil.copyfile(notebook, home / "work" / notebook.name)
        log.touch()
        for program in (*_INSTALLERS, *(f"pip3.{minor}" for minor in range(8, 16))):
            (home / "bin" / program).write_text(_PROGRAM.format(log=log))
            (home / "bin" / program).chmod(0o755)
        for module, file in product(("pip", "ensurepip"), ("__init__.py", "__main__.py")):
            (home / "modules" / module / file).write_text(_MODULE.format(bin=str(home / "bin")))
        (startup / "refuse.py").write_text(_MAGICS)
        yield home


def end_children(process: psutil.Process) -> None:
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
