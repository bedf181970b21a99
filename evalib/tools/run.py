"""Run the notebooks, several at once if wanted, and report what passed.

Each runs in a process of its own. Keras is not imported here, and which device there is is asked
in one more process, so that the runner holds no accelerator memory while the kernels need it.
"""

import contextlib
import dataclasses
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path

from evalib.files import claimed, partial_path
from evalib.tools.devices import DEVICES, NO_GPU, changed_environment, detect_machine
from evalib.tools.notebook_fingerprint import differences, fingerprint, stamp_of
from evalib.tools.notebook_process import NotebookProcesses, shares
from evalib.tools.notebook_report import NotebookRun, Report, describe_run, format_table
from evalib.tools.notebook_selection import (
    accepted_parameters,
    find_notebook_folder,
    select_notebooks,
)

__all__ = [
    "NotebookRun",
    "find_notebook_folder",
    "format_table",
    "run_notebooks",
    "select_notebooks",
]

# None takes a variable away. A Matplotlib backend set for the terminal would leave the notebooks
# without their inline figures.
_KERNEL_ENVIRONMENT: dict[str, str | None] = {"JUPYTER_PREFER_ENV_PATH": "1", "MPLBACKEND": None}


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
    """Execute notebooks; a failure does not stop the others.

    The report is written after each notebook. What ends this call, be it an interrupt, a signal
    or a full disk, ends all kernels, and leaves the finished copies and the report as they are.

    Args:
        names: Stems, file names, numbers or unambiguous beginnings; all notebooks when empty.
        device: "auto", "cpu" (hides GPUs from the notebooks) or "gpu" (refuses to run without).
        parameters: Values for the cells tagged `parameters`. Each is passed to those notebooks
            that have it.
        output_folder: Where the executed copies and report.json go; `outputs/executed` beside the
            notebooks' folder by default.
        store_outputs: Also write the outputs of each notebook that passed into its source.
        cell_timeout: Seconds that one cell may take; no limit by default.
        notebook_folder: Where the notebooks are; found from the package's place by default.
        jobs: How many notebooks run at once, each with its share of the processor's cores.
        resume: Skip a notebook that passed in an earlier call, if its source, evalib, the
            committed results, versions, parameters and device are still the same and its executed
            copy is there.

    Returns:
        One run per notebook, in the order asked for.

    Raises:
        ValueError: An argument was refused; nothing was run or written.
        RuntimeError: There is no GPU although one was asked for, Keras cannot be imported, or
            another call is writing to the output folder.
        UnwritableError: The output folder is full or cannot be written.
    """
    folder = find_notebook_folder(notebook_folder)
    output_folder = (output_folder or folder.parent / "outputs" / "executed").resolve()
    parameters = dict(parameters or {})
    _check_options(device, cell_timeout, jobs)
    _check_parameters(parameters)
    _check_storing(store_outputs, bool(parameters), jobs)
    if output_folder == folder:
        raise ValueError(f"expected an output folder other than that of the notebooks, {folder}")
    selected = select_notebooks(names, folder)
    accepted = accepted_parameters(selected, parameters)
    started = datetime.now(UTC)

    environment = _KERNEL_ENVIRONMENT | (NO_GPU if device == "cpu" else {})
    with changed_environment(environment):
        machine = detect_machine()
        if device == "gpu" and not machine.gpus:
            raise RuntimeError(f"expected a GPU, but Keras on {machine.backend} sees none")
        if device == "cpu" and machine.gpus:
            raise RuntimeError(
                f"expected no GPU, but Keras on {machine.backend} uses {machine.device}, which no "
                "environment variable hides: choose another backend"
            )
        with claimed(output_folder):
            _remove_partial_files(output_folder, selected if store_outputs else ())
            report = Report(output_folder / "report.json", machine, started)
            report.keep([path.stem for path in select_notebooks((), folder)])
            report.write()  # fails before a notebook takes its minutes
            call = _Call(accepted, output_folder, report, store_outputs, cell_timeout)
            runs = call.known() if resume else {}
            waiting = [path for path in selected if path not in runs]
            call.jobs = max(1, min(jobs, len(waiting)))
            with changed_environment(shares(call.jobs, len(machine.gpus))):
                runs |= call.execute(waiting)
    return [runs[path] for path in selected]


class _Call:
    """What all notebooks of one call have in common."""

    def __init__(
        self,
        accepted: Mapping[Path, Mapping[str, object]],
        output_folder: Path,
        report: Report,
        store_outputs: bool,
        cell_timeout: int | None,
    ) -> None:
        self.accepted = accepted
        self.output_folder = output_folder
        self.report = report
        self.store_outputs = store_outputs
        self.cell_timeout = cell_timeout
        self.jobs = 1
        self._finishing = threading.Lock()

    def known(self) -> dict[Path, NotebookRun]:
        """Find the notebooks that passed earlier and would come out alike."""
        runs = {}
        for path in self.accepted:
            run = self.report.runs.get(path.stem)
            if run is None or not run.passed:
                continue
            changed = differences(run.fingerprint, self._fingerprint(path))
            stamp = stamp_of(self.output_folder / path.name)
            if stamp != {"passed": True, "fingerprint": run.fingerprint}:
                changed.append("its executed copy")
            if self.store_outputs and run.jobs > 1:
                changed.append("the number of --jobs")
            if changed:
                _announce(f"{path.stem}: runs again, for {', '.join(changed)} changed")
                continue
            _announce(f"{path.stem}: {describe_run(run)}")
            runs[path] = self._stored(path, run)
        return runs

    def execute(self, paths: Sequence[Path]) -> dict[Path, NotebookRun]:
        """Run notebooks, `jobs` at once. What is raised stops all of them."""
        runs: dict[Path, NotebookRun] = {}
        with ThreadPoolExecutor(self.jobs) as pool, NotebookProcesses() as processes:
            futures: dict[Future[NotebookRun], Path] = {
                pool.submit(self._run, path, processes): path for path in paths
            }
            try:
                for future in as_completed(futures):
                    runs[futures[future]] = future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return runs

    def _run(self, path: Path, processes: NotebookProcesses) -> NotebookRun:
        """Run one notebook and report it, in a thread that no interrupt reaches."""
        bar = self.jobs == 1 and sys.stderr.isatty()
        if not bar:
            _announce(f"{path.stem}: started")
        made_of = self._fingerprint(path)
        task = {
            "path": str(path),
            "output": str(self.output_folder / path.name),
            "parameters": dict(self.accepted[path]),
            "cell_timeout": self.cell_timeout,
            "bar": bar,
            "fingerprint": made_of,
        }
        answer = processes.execute(task)
        output, warnings = answer.pop("output"), tuple(answer.pop("warnings", ()))
        run = NotebookRun(
            **answer,
            output=Path(output) if output else None,
            warnings=warnings,
            device=self.report.machine.device,
            jobs=self.jobs,
            fingerprint=made_of,
        )
        with self._finishing:
            run = self._stored(path, run)
            self.report.add(run)
            _announce(f"{path.stem}: {describe_run(run)} after {run.seconds:.0f} s")
        return run

    def _stored(self, path: Path, run: NotebookRun) -> NotebookRun:
        """Store the outputs of a notebook that passed, if that is wanted."""
        if not self.store_outputs or not run.passed:
            return run
        from evalib.tools.notebook_outputs import store_executed_outputs

        trouble = store_executed_outputs(path, self.output_folder / path.name)
        return dataclasses.replace(run, warnings=(*run.warnings, *trouble))

    def _fingerprint(self, path: Path) -> dict[str, str]:
        return fingerprint(
            path,
            parameters=self.accepted[path],
            machine=self.report.machine,
            versions=self.report.versions,
            output_folder=self.output_folder,
        )


def _check_options(device: str, cell_timeout: int | None, jobs: int) -> None:
    if device not in DEVICES:
        raise ValueError(f"expected a device of {', '.join(DEVICES)}, got {device!r}")
    if cell_timeout is not None and cell_timeout <= 0:
        raise ValueError(f"expected a cell timeout above 0 seconds, got {cell_timeout}")
    if jobs < 1:
        raise ValueError(f"expected 1 job or more, got {jobs}")


def _check_parameters(parameters: Mapping[str, object]) -> None:
    for name, value in parameters.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            kind = type(value).__name__
            raise ValueError(
                f"expected a plain value for {name}, such as a number or a text, got a {kind}"
            ) from None


def _check_storing(store_outputs: bool, has_parameters: bool, jobs: int) -> None:
    if store_outputs and has_parameters:
        raise ValueError("expected no parameters with store_outputs: it stores default outputs")
    if store_outputs and jobs > 1:
        # The number of threads decides the order of sums, and with it the last digits.
        raise ValueError(
            f"expected 1 job with store_outputs, got {jobs}: a notebook that shares the processor "
            "can come out with other digits than readers get"
        )


def _remove_partial_files(output_folder: Path, stored: Sequence[Path]) -> None:
    """Remove what a call left that was killed together with its processes."""
    for leftover in [*output_folder.glob(".*.partial.*"), *map(partial_path, stored)]:
        with contextlib.suppress(OSError):
            leftover.unlink()


def _announce(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
