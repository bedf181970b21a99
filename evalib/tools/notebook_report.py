"""What became of the notebooks: one run each, the table of them, and the report kept on disk."""

import dataclasses
import importlib.metadata
import json
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from evalib.files import write_atomically
from evalib.tools.devices import Machine

_ERROR_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class NotebookRun:
    """What became of one notebook.

    Attributes:
        name: The notebook's name without `.ipynb`.
        executed_cells: The code cells that ran to their end.
        total_cells: The code cells it has; an injected parameter cell does not count.
        seconds: The wall-clock time.
        device: The device that Keras computed on, "cpu" or a GPU's name.
        passed: Whether every code cell ran to its end.
        failing_cell: The number of the cell that failed, counting code cells from 1.
        failing_source: The first line of that cell.
        error: The error's name and message, without color codes.
        output: The executed copy; None where nothing could be executed.
        warnings: What a reader should know although the notebook passed.
        advice: What to do about a failure that is not the notebook's own error.
        started: When it was started, in UTC.
        jobs: How many notebooks shared the processor.
        fingerprint: A digest of each thing that the run was made of.
        earlier: Whether it is known from an earlier call.
    """

    name: str
    executed_cells: int
    total_cells: int
    seconds: float
    device: str
    passed: bool
    failing_cell: int | None = None
    failing_source: str | None = None
    error: str | None = None
    output: Path | None = None
    warnings: tuple[str, ...] = ()
    advice: str | None = None
    started: str | None = None
    jobs: int = 1
    fingerprint: Mapping[str, str] | None = None
    earlier: bool = False


def format_table(runs: Sequence[NotebookRun]) -> str:
    """Lay out the runs as a table.

    Args:
        runs: What `run_notebooks` returned.

    Returns:
        A heading and one line per notebook; a long error is cut to fit one line.
    """
    rows = [("notebook", "cells", "seconds", "device", "result")]
    for run in runs:
        cells = f"{run.executed_cells}/{run.total_cells}"
        rows.append((run.name, cells, f"{run.seconds:.1f}", run.device, describe_run(run)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for name, cells, seconds, device, result in rows:
        numbers = f"{cells:>{widths[1]}}  {seconds:>{widths[2]}}"
        lines.append(f"{name:<{widths[0]}}  {numbers}  {device:<{widths[3]}}  {result}")
    return "\n".join(lines)


def describe_run(run: NotebookRun) -> str:
    """Say in one line whether a notebook passed, and if not, where it failed."""
    if run.passed:
        return "passed (earlier)" if run.earlier else "passed"
    place = f" in cell {run.failing_cell}" if run.failing_cell else ""
    error = " ".join((run.error or "").split())
    if len(error) > _ERROR_WIDTH:
        error = error[: _ERROR_WIDTH - 1] + "…"
    return f"failed{place}: {error}"


def installed_versions(machine: Machine) -> dict[str, str]:
    """The versions of Python, of Keras's backend and of all that evalib needs."""
    versions = {"python": platform.python_version(), machine.backend: machine.version}
    for package in ("keras", "numpy", "papermill", *_requirements()):
        if package not in versions:
            versions[package] = _installed_version(package)
    return versions


def _requirements() -> list[str]:
    try:
        lines = importlib.metadata.requires("evalib") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    needed = [line for line in lines if "extra ==" not in line]
    return [found[0] for line in needed if (found := re.match(r"[A-Za-z0-9._-]+", line))]


def _installed_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


class Report:
    """The file that keeps what became of the notebooks, those of earlier calls included."""

    def __init__(self, path: Path, machine: Machine, started: datetime) -> None:
        """Read what is known from earlier calls; a file that cannot be read holds nothing.

        Args:
            path: The report's place.
            machine: What this call computes on.
            started: When this call began.
        """
        self.path = path
        self.machine = machine
        self.started = started
        self.versions = installed_versions(machine)
        self.runs = {run.name: run for run in _read_runs(path)}

    def keep(self, known: Sequence[str]) -> None:
        """Forget the notebooks that are no more, given the names of those that are."""
        self.runs = {name: run for name, run in self.runs.items() if name in known}

    def add(self, run: NotebookRun) -> None:
        """Write one more run; it takes the place of the notebook's earlier one.

        Raises:
            UnwritableError: The report's folder cannot be written.
        """
        self.runs[run.name] = run
        self.write()

    def write(self) -> None:
        """Write the report, in one step.

        Raises:
            UnwritableError: The report's folder cannot be written.
        """
        report = {
            "started": self.started.isoformat(timespec="seconds"),
            "evalib": _installed_version("evalib"),
            "backend": self.machine.backend,
            "device": self.machine.device,
            "gpus": [dataclasses.asdict(gpu) for gpu in self.machine.gpus],
            "versions": self.versions,
            "runs": [dataclasses.asdict(self.runs[name]) for name in sorted(self.runs)],
        }
        text = json.dumps(report, indent=1, ensure_ascii=False, default=str)
        write_atomically(self.path, text + "\n")


def _read_runs(path: Path) -> list[NotebookRun]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return [_read_run(entry) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _read_run(entry: dict[str, Any]) -> NotebookRun:
    output = Path(entry["output"]) if entry["output"] else None
    warnings = tuple(entry["warnings"])
    return NotebookRun(**entry | {"output": output, "warnings": warnings, "earlier": True})
