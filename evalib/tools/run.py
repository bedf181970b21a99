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
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from evalib import __version__
from evalib.results import UnwritableError, explained, folder_lock, write_atomically
from evalib.tools.devices import DEVICES, NO_GPU, Machine, detect_machine
from evalib.tools.kernels import describe_ending, end_processes, kernel_environment, module_command
from evalib.tools.notebooks import (
    accepted_parameters,
    digest_sources,
    evalib_beside,
    find_notebook_folder,
    select_notebooks,
)
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
        error = " ".join((self.error or "").split())
        error = error if len(error) <= 120 else f"{error[:119]}…"
        return f"failed{f' in cell {self.failing_cell}' if self.failing_cell else ''}: {error}"


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
    output_folder: Path | None = None,
    store_outputs: bool = False,
    cell_timeout: int | None = None,
    notebook_folder: Path | None = None,
    jobs: int = 1,
    resume: bool = False,
) -> list[NotebookRun]:
    """Execute notebooks; a failure does not stop the others. Options are those of `evalib run`.

    The report is written after each notebook. What ends this call, be it an interrupt, a signal
    or a full disk, ends all that runs, and leaves finished copies and the report as they are.

    Returns:
        One run per notebook, in the order asked for.

    Raises:
        ValueError: an argument was refused; nothing was run or written.
        RuntimeError: there is no GPU although one was asked for, Keras cannot be imported, or
            another call is writing to the output folder.
        UnwritableError: the output folder is full or cannot be written.
    """
    folder = find_notebook_folder(notebook_folder)
    output = (output_folder or folder.parent / "outputs" / "executed").resolve()
    every, selected = select_notebooks((), folder), select_notebooks(names, folder)
    if device not in DEVICES:
        raise ValueError(f"expected a device of {', '.join(DEVICES)}, got {device!r}")
    if cell_timeout is not None and cell_timeout <= 0:
        raise ValueError(f"expected a cell timeout above 0 seconds, got {cell_timeout}")
    if jobs < 1:
        raise ValueError(f"expected 1 job or more, got {jobs}")
    accepted = accepted_parameters(selected, parameters or {})
    _check_output(output, every, selected)
    if store_outputs:
        _check_storing(selected, has_parameters=bool(parameters), jobs=jobs)
    variables = dict(NO_GPU) if device == "cpu" else {}
    machine = _find_machine(device, variables, store_outputs)
    with folder_lock(output):
        known = {path.stem: run for path in every if (run := _run_of(output / path.name))}
        call = _Call(accepted, output, machine, variables, cell_timeout, store_outputs, known)
        call.write_report()  # fails before a notebook takes its minutes
        waiting = [path for path in selected if not (resume and call.is_known(path))]
        call.execute(waiting, max(1, min(jobs, len(waiting))))
    return [call.runs[path.stem] for path in selected]


def _check_output(output: Path, every: Sequence[Path], selected: Sequence[Path]) -> None:
    """Refuse a folder in which something would be replaced that evalib did not write."""
    if output in {path.parent for path in every}:
        raise ValueError(f"expected an output folder other than that of the notebooks, {output}")
    for file in (output / "report.json", *(output / path.name for path in selected)):
        if file.exists() and b'"evalib": ' not in file.read_bytes():
            raise ValueError(f"{file} is not of `evalib run`: move it, or choose another folder")


def _check_storing(selected: Sequence[Path], *, has_parameters: bool, jobs: int) -> None:
    if has_parameters:
        raise ValueError("expected no parameters with store_outputs: it stores default outputs")
    if jobs > 1:  # the number of threads decides the order of sums, and with it the last digits
        raise ValueError(f"expected 1 job with store_outputs, got {jobs}: digits can differ")
    for path in filter(differs_from_script, selected):
        raise ValueError(
            f"{path.stem}: the notebook and its script in src/ differ, and storing outputs would "
            "make the notebook the newer one: first bring them into step (make sync)"
        )


def _find_machine(device: str, variables: Mapping[str, str], store_outputs: bool) -> Machine:
    with tempfile.TemporaryDirectory() as home:
        machine = detect_machine(kernel_environment(Path(home), variables=variables))
    found = f"Keras on {machine.backend} uses {machine.device}"
    if device == "gpu" and not machine.gpus:
        raise RuntimeError(f"expected a GPU, but {found}")
    if device == "cpu" and machine.gpus:  # no environment variable hides it
        raise RuntimeError(f"expected no GPU, but {found}: choose another backend")
    if store_outputs and machine.backend != "tensorflow":
        raise ValueError(
            f"expected TensorFlow with store_outputs, got {machine.backend}: the stored outputs "
            "are TensorFlow's, and other backends round differently"
        )
    return machine


def _run_of(copy: Path) -> NotebookRun | None:
    """Read the run that an executed copy came from; None where there is none."""
    try:
        fields = json.loads(copy.read_text(encoding="utf-8"))["metadata"]["evalib"]
        return NotebookRun(**{**fields, "earlier": True})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclasses.dataclass
class _Running:
    """A notebook that runs; `home` is its kernel's."""

    path: Path
    home: Path
    copy: Path
    run: NotebookRun
    process: "subprocess.Popen[str]"
    bar: TaskID
    overdue: bool = False


@dataclasses.dataclass
class _Call:
    """What all notebooks of one call have in common, and what is known of each."""

    accepted: Mapping[Path, Mapping[str, object]]
    output: Path
    machine: Machine
    variables: Mapping[str, str]
    cell_timeout: int | None
    store_outputs: bool
    runs: dict[str, NotebookRun]
    started: str = dataclasses.field(default_factory=_now)

    def write_report(self) -> None:
        """Write report.json in one step."""
        report = {
            "started": self.started,
            "evalib": __version__,
            "backend": self.machine.backend,
            "device": self.machine.device,
            "gpus": self.machine.gpu_details,
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
            _announce(f"{path.stem}: runs again, for something it depends on has changed")
            return False
        self._store(path, run)
        _announce(f"{path.stem}: {run}")
        return True

    def execute(self, waiting: list[Path], jobs: int) -> None:
        """Run notebooks, `jobs` at once. What is raised ends all that run."""
        work, running = self.output / _WORK, list[_Running]()
        console = Console(stderr=True)
        bars = Progress(console=console, transient=True, disable=not sys.stderr.isatty())
        with bars, explained(self.output):
            try:
                shutil.rmtree(work, ignore_errors=True)  # of a call that was killed
                work.mkdir()
                while waiting or running:
                    while waiting and len(running) < jobs:
                        running.append(self._start(waiting.pop(0), jobs, bars))
                    for one in [one for one in running if self._is_done(one, bars)]:
                        running.remove(one)
                        bars.remove_task(one.bar)
                        self._finish(one)
                    time.sleep(0.1)
            finally:
                for one in running:
                    end_processes(one.home)
                    one.process.communicate()
                    shutil.rmtree(one.home, ignore_errors=True)
                shutil.rmtree(work, ignore_errors=True)

    def _start(self, path: Path, jobs: int, bars: Progress) -> _Running:
        """Have a process execute a notebook."""
        if bars.disable:
            _announce(f"{path.stem}: started")
        copy = self.output / _WORK / path.name
        run = NotebookRun(
            name=path.stem,
            device=self.machine.device,
            output=str(self.output / path.name),
            started=_now(),
            jobs=jobs,
            digest=self._digest(path),
        )
        variables = {**self.variables, **_shares(jobs, len(self.machine.gpus))}
        with explained(Path(tempfile.gettempdir())):
            home = Path(tempfile.mkdtemp(prefix="evalib-"))
            environment = kernel_environment(home, evalib=evalib_beside(path), variables=variables)
            log = (home / "log").open("wb")
        task = {
            "path": str(path),
            "copy": str(copy),
            "home": str(home),
            "parameters": self.accepted[path],
            "timeout": self.cell_timeout,
            "run": dataclasses.asdict(run),
        }
        with log:
            process = subprocess.Popen(
                module_command("evalib.tools.execute"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for us alone
            )
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        return _Running(path, home, copy, run, process, bars.add_task(path.stem, total=None))

    def _is_done(self, one: _Running, bars: Progress) -> bool:
        """Whether a notebook's process has ended, which one that hangs is made to."""
        if one.process.poll() is not None:
            return True
        with contextlib.suppress(OSError):  # papermill writes the copy before and after each cell
            silence = time.time() - one.copy.stat().st_mtime
            if self.cell_timeout and silence > self.cell_timeout + _PATIENCE:
                one.overdue = True
                end_processes(one.home)
            elif silence < 1 and not bars.disable:
                text = one.copy.read_text(encoding="utf-8", errors="replace")
                total, done = text.count('"papermill": {'), text.count('"status": "completed"')
                bars.update(one.bar, total=total, completed=done)
        return False

    def _finish(self, one: _Running) -> None:
        """Put the copy of a notebook in its place, and report what became of it."""
        printed, _ = one.process.communicate()
        end_processes(one.home)
        shutil.rmtree(one.home, ignore_errors=True)
        answers = [line for line in printed.splitlines() if line.startswith("{")]
        if answers:
            outcome: dict[str, Any] = json.loads(answers[-1])
        elif one.overdue:
            outcome = {"error": f"CellTimeoutError: still running after {self.cell_timeout} s"}
        else:
            ending = describe_ending(one.process.returncode)
            outcome = {"error": f"the process that ran the notebook ended with {ending}"}
        if "unwritable" in outcome:
            raise UnwritableError(outcome["unwritable"])
        if "total_cells" in outcome:
            os.replace(one.copy, self.output / one.path.name)
        else:
            outcome["output"] = None
        run = dataclasses.replace(one.run, **outcome)
        self._store(one.path, run)
        self.write_report()
        _announce(f"{run.name}: {run} after {run.seconds:.0f} s")

    def _store(self, path: Path, run: NotebookRun) -> None:
        """Keep a run; store the outputs of a notebook that passed, if that is wanted."""
        if self.store_outputs and run.passed:
            trouble = store_executed(path, self.output / path.name)
            run = dataclasses.replace(run, warnings=[*run.warnings, *trouble])
        self.runs[path.stem] = run

    def _digest(self, path: Path) -> str:
        machine = [platform.system(), platform.machine(), self.machine.backend, self.machine.device]
        versions = _versions(self.machine)
        return digest_sources(path, self.output, self.accepted[path], versions, machine)


def _shares(jobs: int, gpus: int) -> dict[str, str]:
    """Environment variables that divide the machine among notebooks that run side by side."""
    if jobs == 1:
        return {}
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    values = dict.fromkeys(_THREADS, str(max(1, own // jobs)))
    if gpus:
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


def _announce(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
