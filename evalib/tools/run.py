"""Run the notebooks, each in a process of its own, several at once, and report what passed.

Keras is not imported here, so that the kernels have all of a GPU's memory.
"""

import contextlib
import dataclasses
import functools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent import futures
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from evalib import __version__
from evalib.results import UnwritableError, explained, folder_lock, write_atomically
from evalib.tools.devices import NO_GPU, Machine, detect_machine, gpu_details
from evalib.tools.kernels import describe_ending, end_processes, kernel_environment, module_command
from evalib.tools.notebooks import accepted_parameters, digest_of, evalib_beside, select_notebooks
from evalib.tools.store import differs_from_script, store_executed

_WORK = ".evalib-run"  # below the output folder: what is not complete
_PATIENCE = 90.0  # seconds beyond --timeout, after which a notebook is ended from outside
_THREADS = ("TF_NUM_INTRAOP", "TF_NUM_INTEROP", "OMP_NUM", "OPENBLAS_NUM", "MKL_NUM")


@dataclasses.dataclass(frozen=True)
class NotebookRun:
    name: str  # without .ipynb
    device: str  # "cpu" or a GPU's name
    passed: bool = False
    seconds: float = 0.0
    executed_cells: int = 0  # that ran to their end
    total_cells: int = 0  # that are to be run
    failing_cell: int | None = None  # counted among code cells, from 1
    error: str | None = None
    output: str | None = None  # the executed copy
    warnings: Sequence[str] = ()
    started: str | None = None  # in UTC
    jobs: int = 1  # how many notebooks shared the processor
    digest: str | None = None  # of all that the outputs depend on
    earlier: bool = False  # known from an earlier call

    def __str__(self) -> str:
        if self.passed:
            return "passed (earlier)" if self.earlier else "passed"
        place = f" in cell {self.failing_cell}" if self.failing_cell else ""
        return f"failed{place}: {textwrap.shorten(self.error or '', 120, placeholder=' …')}"


def format_table(runs: Sequence[NotebookRun]) -> str:
    rows = [("notebook", "cells", "seconds", "device", "result")]
    for run in runs:
        cells = f"{run.executed_cells}/{run.total_cells}"
        rows.append((run.name, cells, f"{run.seconds:.1f}", run.device, str(run)))
    w = [max(map(len, column)) for column in zip(*rows, strict=True)]
    layout = f"{{:<{w[0]}}}  {{:>{w[1]}}}  {{:>{w[2]}}}  {{:<{w[3]}}}  {{}}"
    return "\n".join(layout.format(*row) for row in rows)


def run_notebooks(
    names: Sequence[str] = (), *, device: str = "auto",
    parameters: Mapping[str, object] | None = None, out: Path | None = None,
    store_outputs: bool = False, timeout: int | None = None, notebooks: Path | None = None,
    jobs: int = 1, resume: bool = False,
) -> list[NotebookRun]:  # fmt: skip
    """Execute notebooks; a failure does not stop the others. Options are those of `evalib run`.

    What ends this call, a full disk too, ends all that runs, and leaves finished copies and report.
    """
    folder, every, selected = select_notebooks(names, notebooks)
    output = (out or folder.parent / "outputs" / "executed").resolve()
    accepted = accepted_parameters(selected, parameters or {})
    if output in {path.parent for path in every}:
        raise ValueError(f"expected an output folder other than that of the notebooks, {output}")
    for file in (output / "report.json", *(output / path.name for path in selected)):
        if file.exists() and b'"evalib": ' not in file.read_bytes():
            raise ValueError(f"{file} is not of `evalib run`: move it, or choose another folder")
    variables = dict(NO_GPU) if device == "cpu" else {}
    with tempfile.TemporaryDirectory() as home:
        machine = detect_machine(kernel_environment(Path(home), variables=variables))
    found = f"Keras on {machine.backend} uses {machine.device}"
    if device != "auto" and (device == "gpu") != bool(machine.gpus):
        raise RuntimeError(f"expected a device of the kind {device}, but {found}")
    if store_outputs and (parameters or jobs > 1 or machine.backend != "tensorflow"):
        raise ValueError(f"to store outputs takes TensorFlow, 1 job, no parameters; {found}")
    for path in filter(differs_from_script, selected if store_outputs else []):
        raise ValueError(f"{path.stem}: notebook and script in src/ differ: first make sync")
    with folder_lock(output):
        known = {path.stem: run for path in every if (run := _run_of(output / path.name))}
        call = _Call(accepted, output, machine, variables, timeout, store_outputs, known)
        call.write_report()  # fails before a notebook takes its minutes
        waiting = [path for path in selected if not (resume and call.is_known(path))]
        call.execute(waiting, max(1, min(jobs, len(waiting))))
    return [call.runs[path.stem] for path in selected]


def _run_of(copy: Path) -> NotebookRun | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        fields = json.loads(copy.read_text(encoding="utf-8"))["metadata"]["evalib"]
        return NotebookRun(**{**fields, "earlier": True})
    return None


@dataclasses.dataclass
class _Call:
    accepted: Mapping[Path, Mapping[str, object]]
    output: Path
    machine: Machine
    variables: Mapping[str, str]
    timeout: int | None
    store_outputs: bool
    runs: dict[str, NotebookRun]
    stopped: threading.Event = dataclasses.field(default_factory=threading.Event)

    def write_report(self) -> None:
        machine, runs = self.machine, [self.runs[name] for name in sorted(self.runs)]
        report: dict[str, Any] = {"evalib": __version__, "backend": machine.backend}
        report |= {"device": machine.device, "gpus": gpu_details(machine.gpus)}
        report |= {"versions": _versions(machine), "runs": [*map(dataclasses.asdict, runs)]}
        text = json.dumps(report, indent=1, ensure_ascii=False)
        write_atomically(self.output / "report.json", text + "\n")

    def is_known(self, path: Path) -> bool:
        run = self.runs.get(path.stem)
        if run is None or not run.passed:
            return False
        known = run.digest == self._digest(path) and not (self.store_outputs and run.jobs > 1)
        _announce(path, run if known else "runs again, for something it depends on has changed")
        if known:
            self._store(path, run)
        return known

    def execute(self, waiting: Sequence[Path], jobs: int) -> None:
        work = self.output / _WORK
        with explained(self.output), futures.ThreadPoolExecutor(jobs) as pool:
            try:
                shutil.rmtree(work, ignore_errors=True)  # of a call that was killed
                work.mkdir()
                paths = {pool.submit(self._run, path, jobs): path for path in waiting}
                for done in futures.as_completed(paths):
                    run = done.result()
                    self._store(paths[done], run)
                    self.write_report()
                    _announce(paths[done], f"{run} after {run.seconds:.0f} s")
            finally:
                self.stopped.set()
                pool.shutdown(cancel_futures=True)
                shutil.rmtree(work, ignore_errors=True)

    def _run(self, path: Path, jobs: int) -> NotebookRun:
        _announce(path, "started")
        copy, output = self.output / _WORK / path.name, self.output / path.name
        run = NotebookRun(path.stem, self.machine.device, output=str(output), jobs=jobs)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        run = dataclasses.replace(run, started=started, digest=self._digest(path))
        task: dict[str, Any] = {"parameters": self.accepted[path], "timeout": self.timeout}
        task |= {"path": str(path), "copy": str(copy), "run": dataclasses.asdict(run)}
        place = Path(tempfile.gettempdir())
        with explained(place), tempfile.TemporaryDirectory("", "evalib-", place, True) as home:
            outcome = self._wait(task, Path(home))
        if "unwritable" in outcome:
            raise UnwritableError(outcome["unwritable"])
        if "total_cells" in outcome:
            os.replace(copy, output)
        else:
            outcome["output"] = None
        return dataclasses.replace(run, **outcome)

    def _wait(self, task: Mapping[str, Any], home: Path) -> dict[str, Any]:
        path, copy, error = Path(task["path"]), Path(task["copy"]), ""
        variables = {**self.variables, **_shares(task["run"]["jobs"])}
        environment = kernel_environment(home, evalib=evalib_beside(path), variables=variables)
        (home / "task").write_text(json.dumps(task), "utf-8")
        with (home / "log").open("wb") as log:
            # Its input tells the process that we live; Ctrl-C is for us alone.
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log}
            command = [*module_command("evalib.tools.execute"), str(home)]
            process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
        while process.poll() is None and not error and not self.stopped.wait(0.1):
            # papermill writes the copy before and after each cell.
            with contextlib.suppress(OSError):
                if self.timeout and time.time() - copy.stat().st_mtime > self.timeout + _PATIENCE:
                    error = f"CellTimeoutError: still running after {self.timeout} s"
        end_processes(home)
        process.communicate()
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((home / "outcome").read_text("utf-8")))
        ending = describe_ending(process.returncode)
        return {"error": error or f"the process that ran the notebook ended with {ending}"}

    def _store(self, path: Path, run: NotebookRun) -> None:
        if self.store_outputs and run.passed:
            trouble = store_executed(path, self.output / path.name)
            run = dataclasses.replace(run, warnings=[*run.warnings, *trouble])
        self.runs[path.stem] = run

    def _digest(self, path: Path) -> str:
        versions = _versions(self.machine)
        return digest_of(path, self.output, self.accepted[path], versions, self.machine.device)


def _shares(jobs: int) -> dict[str, str]:
    if jobs == 1:
        return {}
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    values = {f"{name}_THREADS": str(max(1, own // jobs)) for name in _THREADS}
    memory = f"{0.9 / jobs:.2f}"
    values |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_MEM_FRACTION": memory}
    return {name: value for name, value in values.items() if name not in os.environ}


@functools.cache
def _versions(machine: Machine) -> dict[str, str]:
    versions = {"platform": f"{platform.system()} {platform.machine()}"}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for line in metadata.requires("evalib") or []:
            if "extra ==" not in line:
                package = re.split(r"[^\w.-]", line)[0]
                versions[package] = metadata.version(package)
    return versions | {"python": platform.python_version(), machine.backend: machine.version}


def _announce(path: Path, news: object) -> None:
    print(f"{path.stem}: {news}", file=sys.stderr, flush=True)
