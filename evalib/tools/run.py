"""Run the notebooks, several at once if wanted, and report what passed.

Each runs in a process of its own, `evalib.tools.execute`, and its copy gets its name when it is
complete. Keras is not imported here, so that the kernels have all of a GPU's memory.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalib import __version__
from evalib.results import UnwritableError, explained, folder_lock, write_atomically
from evalib.tools.devices import NO_GPU, Machine, detect_machine
from evalib.tools.kernels import describe_ending, end_processes, kernel_environment, module_command
from evalib.tools.notebooks import accepted_parameters, digest_of, evalib_beside, select_notebooks
from evalib.tools.store import differs_from_script, store_executed

_WORK = ".evalib-run"  # below the output folder: what is not complete
_PATIENCE = 90.0  # seconds beyond --timeout, after which a notebook is ended from outside
_THREADS = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
)


@dataclasses.dataclass(frozen=True)
class NotebookRun:
    """What became of one notebook; code cells are counted from 1."""

    name: str  # without .ipynb
    device: str  # "cpu" or a GPU's name
    passed: bool = False
    seconds: float = 0.0
    executed_cells: int = 0  # that ran to their end
    total_cells: int = 0  # that are to be run
    failing_cell: int | None = None
    error: str | None = None
    output: str | None = None  # the executed copy
    warnings: Sequence[str] = ()
    started: str | None = None  # in UTC
    jobs: int = 1  # how many notebooks shared the processor
    digest: str | None = None  # of all that the outputs depend on
    earlier: bool = False  # known from an earlier call

    def __str__(self) -> str:
        """Whether it passed, and if not, where it failed, in one line."""
        if self.passed:
            return "passed (earlier)" if self.earlier else "passed"
        place = f" in cell {self.failing_cell}" if self.failing_cell else ""
        return f"failed{place}: {textwrap.shorten(self.error or '', 120, placeholder=' …')}"


def format_table(runs: Sequence[NotebookRun]) -> str:
    """Lay out runs as a table: a heading and a line each."""
    rows = [("notebook", "cells", "seconds", "device", "result")]
    for run in runs:
        cells = f"{run.executed_cells}/{run.total_cells}"
        rows.append((run.name, cells, f"{run.seconds:.1f}", run.device, str(run)))
    w = [max(map(len, column)) for column in zip(*rows, strict=True)]
    layout = f"{{:<{w[0]}}}  {{:>{w[1]}}}  {{:>{w[2]}}}  {{:<{w[3]}}}  {{}}"
    return "\n".join(layout.format(*row) for row in rows)


def run_notebooks(
    names: Sequence[str] = (),
    *,
    device: str = "auto",
    parameters: Mapping[str, object] | None = None,
    out: Path | None = None,
    store_outputs: bool = False,
    timeout: int | None = None,
    notebooks: Path | None = None,
    jobs: int = 1,
    resume: bool = False,
) -> list[NotebookRun]:
    """Execute notebooks; a failure does not stop the others. Options are those of `evalib run`.

    The report is written after each notebook. What ends this call, be it an interrupt, a signal
    or a full disk, ends all that runs, and leaves finished copies and the report as they are.
    Raises `UnwritableError` where the output folder is full or cannot be written; ValueError or
    RuntimeError where nothing was run or written.
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
        # Threads decide the order of sums, and with it the last digits; so does the backend.
        raise ValueError(f"expected no parameters, 1 job and TensorFlow to store outputs; {found}")
    for path in filter(differs_from_script, selected if store_outputs else []):
        raise ValueError(
            f"{path.stem}: the notebook and its script in src/ differ, and storing outputs would "
            "make the notebook the newer one: first bring them into step (make sync)"
        )
    with folder_lock(output):
        known = {path.stem: run for path in every if (run := _run_of(output / path.name))}
        call = _Call(accepted, output, machine, variables, timeout, store_outputs, known)
        call.write_report()  # fails before a notebook takes its minutes
        waiting = [path for path in selected if not (resume and call.is_known(path))]
        call.execute(waiting, max(1, min(jobs, len(waiting))))
    return [call.runs[path.stem] for path in selected]


def _run_of(copy: Path) -> NotebookRun | None:
    """Read the run that an executed copy came from; None where there is none."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        fields = json.loads(copy.read_text(encoding="utf-8"))["metadata"]["evalib"]
        return NotebookRun(**{**fields, "earlier": True})
    return None


@dataclasses.dataclass
class _Running:
    """A notebook that runs; `home` is its kernel's."""

    path: Path
    run: NotebookRun
    home: Path
    process: "subprocess.Popen[bytes]"

    def end(self, error: str = "") -> dict[str, Any]:
        """End what is left of its processes, and read what became of it."""
        end_processes(self.home)
        self.process.communicate()
        try:
            outcome: dict[str, Any] = json.loads((self.home / "outcome").read_text("utf-8"))
        except (OSError, ValueError):
            ending = describe_ending(self.process.returncode)
            outcome = {"error": error or f"the process that ran the notebook ended with {ending}"}
        shutil.rmtree(self.home, ignore_errors=True)
        return outcome


@dataclasses.dataclass
class _Call:
    """What all notebooks of one call have in common, and what is known of each."""

    accepted: Mapping[Path, Mapping[str, object]]
    output: Path
    machine: Machine
    variables: Mapping[str, str]
    timeout: int | None
    store_outputs: bool
    runs: dict[str, NotebookRun]

    def write_report(self) -> None:
        """Write report.json in one step."""
        report = {
            **{"evalib": __version__, "backend": self.machine.backend},
            **{"device": self.machine.device, "gpus": self.machine.gpu_details},
            "versions": _versions(self.machine),
            "runs": [dataclasses.asdict(self.runs[name]) for name in sorted(self.runs)],
        }
        text = json.dumps(report, indent=1, ensure_ascii=False)
        write_atomically(self.output / "report.json", text + "\n")

    def is_known(self, path: Path) -> bool:
        """Whether a notebook passed in an earlier call and would come out alike."""
        run = self.runs.get(path.stem)
        if run is None or not run.passed:
            return False
        if run.digest != self._digest(path) or (self.store_outputs and run.jobs > 1):
            run = None
        _announce(path, run or "runs again, for something it depends on has changed")
        if run:
            self._store(path, run)
        return bool(run)

    def execute(self, waiting: list[Path], jobs: int) -> None:
        """Run notebooks, `jobs` at once. What is raised ends all that run."""
        work, running = self.output / _WORK, list[_Running]()
        with explained(self.output):
            try:
                shutil.rmtree(work, ignore_errors=True)  # of a call that was killed
                work.mkdir()
                while waiting or running:
                    while waiting and len(running) < jobs:
                        running.append(self._start(waiting.pop(0), jobs))
                    for one in list(running):
                        overdue = self._overdue(one)
                        if overdue or one.process.poll() is not None:
                            outcome = one.end(overdue)
                            running.remove(one)
                            self._finish(one, outcome)
                    time.sleep(0.1)
            finally:
                for one in running:
                    one.end()
                shutil.rmtree(work, ignore_errors=True)

    def _start(self, path: Path, jobs: int) -> _Running:
        """Have a process execute a notebook."""
        _announce(path, "started")
        started = datetime.now(UTC).isoformat(timespec="seconds")
        run = NotebookRun(path.stem, self.machine.device, started=started, jobs=jobs)
        output = str(self.output / path.name)
        run = dataclasses.replace(run, output=output, digest=self._digest(path))
        task = {
            "path": str(path),
            "copy": str(self.output / _WORK / path.name),
            "parameters": self.accepted[path],
            "timeout": self.timeout,
            "run": dataclasses.asdict(run),
        }
        variables = {**self.variables, **_shares(jobs, bool(self.machine.gpus))}
        with explained(Path(tempfile.gettempdir())):
            home = Path(tempfile.mkdtemp(prefix="evalib-"))
            environment = kernel_environment(home, evalib=evalib_beside(path), variables=variables)
            (home / "task").write_text(json.dumps(task), "utf-8")
            with (home / "log").open("wb") as log:
                process = subprocess.Popen(
                    [*module_command("evalib.tools.execute"), str(home)],
                    stdin=subprocess.PIPE,  # tells the process that we live
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for us alone
                )
        return _Running(path, run, home, process)

    def _overdue(self, one: _Running) -> str:
        """What to say of a notebook that is deaf to its own time limit; empty of all others."""
        copy = self.output / _WORK / one.path.name  # papermill writes it before and after each cell
        with contextlib.suppress(OSError):
            if self.timeout and time.time() - copy.stat().st_mtime > self.timeout + _PATIENCE:
                return f"CellTimeoutError: still running after {self.timeout} s"
        return ""

    def _finish(self, one: _Running, outcome: dict[str, Any]) -> None:
        """Put the copy of a notebook in its place, and report what became of it."""
        if "unwritable" in outcome:
            raise UnwritableError(outcome["unwritable"])
        if "total_cells" in outcome:
            os.replace(self.output / _WORK / one.path.name, self.output / one.path.name)
        else:
            outcome["output"] = None
        run = dataclasses.replace(one.run, **outcome)
        self._store(one.path, run)
        self.write_report()
        _announce(one.path, f"{run} after {run.seconds:.0f} s")

    def _store(self, path: Path, run: NotebookRun) -> None:
        """Keep a run; store the outputs of a notebook that passed, if that is wanted."""
        if self.store_outputs and run.passed:
            trouble = store_executed(path, self.output / path.name)
            run = dataclasses.replace(run, warnings=[*run.warnings, *trouble])
        self.runs[path.stem] = run

    def _digest(self, path: Path) -> str:
        machine = [platform.system(), platform.machine(), self.machine.backend, self.machine.device]
        return digest_of(path, self.output, self.accepted[path], _versions(self.machine), machine)


def _shares(jobs: int, gpu: bool) -> dict[str, str]:
    """Environment variables that divide the machine among notebooks that run side by side."""
    if jobs == 1:
        return {}
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    values = dict.fromkeys(_THREADS, str(max(1, own // jobs)))
    if gpu:
        values["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        values["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / jobs:.2f}"
    return {name: value for name, value in values.items() if name not in os.environ}


@functools.cache
def _versions(machine: Machine) -> dict[str, str]:
    """Versions of Python, of Keras's backend, and of all that evalib needs."""
    versions = {"python": platform.python_version(), machine.backend: machine.version}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for line in importlib.metadata.requires("evalib") or []:
            if "extra ==" not in line:
                package = re.split(r"[^\w.-]", line)[0]
                versions.setdefault(package, importlib.metadata.version(package))
    return versions


def _announce(path: Path, news: object) -> None:
    print(f"{path.stem}: {news}", file=sys.stderr, flush=True)
