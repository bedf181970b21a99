"""Run the notebooks through papermill and report what passed.

Keras is not imported here: which device there is is asked in a process of its own, so that the
runner holds no accelerator memory while the notebooks' kernels need it.
"""

import dataclasses
import importlib.metadata
import json
import logging
import os
import platform
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from evalib.devices import DEVICES, NO_GPU, Machine, changed_environment, detect_machine
from evalib.files import write_atomically
from evalib.pictures import compress_png

_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ERROR_WIDTH = 100

# None takes a variable away. A Matplotlib backend set for the terminal would leave the notebooks
# without their inline figures.
_KERNEL_ENVIRONMENT: dict[str, str | None] = {"JUPYTER_PREFER_ENV_PATH": "1", "MPLBACKEND": None}


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


def run_notebooks(
    names: Sequence[str] = (),
    *,
    device: str = "auto",
    parameters: Mapping[str, object] | None = None,
    output_folder: Path | None = None,
    store_outputs: bool = False,
    cell_timeout: int | None = None,
    notebook_folder: Path | None = None,
) -> list[NotebookRun]:
    """Execute notebooks one after the other; a failure does not stop those that follow.

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

    Returns:
        One run per notebook, in the order of execution.

    Raises:
        ValueError: An argument was refused; nothing was run or written.
        RuntimeError: There is no GPU although one was asked for, or Keras cannot be imported.
    """
    folder = find_notebook_folder(notebook_folder)
    output_folder = (output_folder or folder.parent / "outputs" / "executed").resolve()
    parameters = dict(parameters or {})
    _check_options(device, cell_timeout, store_outputs and bool(parameters))
    if output_folder == folder:
        raise ValueError(f"expected an output folder other than that of the notebooks, {folder}")
    selected = select_notebooks(names, folder)
    accepted = _accepted_parameters(selected, parameters)

    environment = _KERNEL_ENVIRONMENT | (NO_GPU if device == "cpu" else {})
    runs: list[NotebookRun] = []
    with changed_environment(environment), _quiet_libraries():
        machine = detect_machine()
        if device == "gpu" and not machine.gpus:
            raise RuntimeError(f"expected a GPU, but Keras on {machine.backend} sees none")
        output_folder.mkdir(parents=True, exist_ok=True)
        started = datetime.now(UTC)
        try:
            for path in selected:
                _announce(f"{path.stem}: started", on_terminal=False)
                run = _run(path, output_folder, accepted[path], cell_timeout, machine.device)
                if store_outputs and run.passed and run.output:
                    trouble = store_executed_outputs(path, run.output)
                    run = dataclasses.replace(run, warnings=(*run.warnings, *trouble))
                runs.append(run)
                _announce(f"{path.stem}: {_describe(run)} after {run.seconds:.0f} s")
        finally:
            # Also after an interrupt: the finished ones are worth knowing.
            _write_report(output_folder / "report.json", runs, machine, started)
    return runs


def find_notebook_folder(folder: Path | None = None) -> Path:
    """Find the folder of the notebooks.

    Args:
        folder: The folder to take; by default `notebooks` beside the package, else in the current
            folder.

    Returns:
        The folder's absolute path.

    Raises:
        ValueError: There is no such folder.
    """
    beside_package = Path(__file__).resolve().parent.parent / "notebooks"
    candidates = [folder] if folder else [beside_package, Path.cwd() / "notebooks"]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate.resolve()
    raise ValueError(f"expected a folder of notebooks, found none at {candidates[-1]}")


def select_notebooks(names: Sequence[str], folder: Path) -> list[Path]:
    """Find notebooks by name.

    Args:
        names: Stems, file names, numbers ("5", "05") or unambiguous beginnings; all when empty.
        folder: The notebooks' folder.

    Returns:
        The notebooks in the order asked for, each once; sorted by name when all are meant.

    Raises:
        ValueError: A name fits no notebook or several, or the folder holds none.
    """
    known = sorted(path for path in folder.glob("*.ipynb") if not path.name.startswith("."))
    if not known:
        raise ValueError(f"expected notebooks (*.ipynb) in {folder}, found none")
    if isinstance(names, str):
        names = (names,)
    selected = [_find_notebook(name, known) for name in names] or known
    return list(dict.fromkeys(selected))


def _find_notebook(name: str, known: Sequence[Path]) -> Path:
    stem = name.removesuffix(".ipynb")
    if len(Path(name).parts) > 1:
        # A shell completes notebooks/05_x.ipynb: the folder must be the right one, too.
        matches = [path for path in known if path == Path(name).resolve()]
    else:
        matches = (
            [path for path in known if path.stem == stem]
            or [path for path in known if stem.isdecimal() and _number(path) == int(stem)]
            or [path for path in known if stem and path.stem.startswith(stem)]
        )
    if len(matches) == 1:
        return matches[0]
    listed = ", ".join(path.stem for path in matches or known)
    if matches:
        raise ValueError(f"expected the name of one notebook, {name!r} fits several: {listed}")
    raise ValueError(f"no notebook is called {name!r}; there are: {listed}")


def _number(path: Path) -> int | None:
    digits = re.match(r"\d+", path.stem)
    return int(digits[0]) if digits else None


def store_executed_outputs(source_path: Path, executed_path: Path) -> list[str]:
    """Write the outputs of an executed copy into the notebook that it was made from.

    Everything else of the notebook stays, but for metadata that differs between machines.

    Args:
        source_path: The notebook to write.
        executed_path: Its executed copy.

    Returns:
        What kept the outputs from being stored; empty when they were.
    """
    source = nbformat.read(source_path, as_version=4)
    executed = nbformat.read(executed_path, as_version=4)
    if [c.source for c in source.cells] != [c.source for c in executed.cells]:
        return ["outputs not stored: the notebook was changed while it ran"]
    for cell, run_cell in zip(source.cells, executed.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs = run_cell.outputs
            for data in (output.get("data", {}) for output in cell.outputs):
                if "image/png" in data:
                    data["image/png"] = compress_png(data["image/png"])
            cell.execution_count = run_cell.execution_count
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    source.metadata.pop("papermill", None)
    source.metadata["kernelspec"] = dict(_KERNEL)
    source.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(source) + "\n"
    if text != source_path.read_text(encoding="utf-8"):
        write_atomically(source_path, text)
    return []


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
        rows.append((run.name, cells, f"{run.seconds:.1f}", run.device, _describe(run)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for name, cells, seconds, device, result in rows:
        numbers = f"{cells:>{widths[1]}}  {seconds:>{widths[2]}}"
        lines.append(f"{name:<{widths[0]}}  {numbers}  {device:<{widths[3]}}  {result}")
    return "\n".join(lines)


def _describe(run: NotebookRun) -> str:
    if run.passed:
        return "passed"
    place = f" in cell {run.failing_cell}" if run.failing_cell else ""
    error = " ".join((run.error or "").split())
    if len(error) > _ERROR_WIDTH:
        error = error[: _ERROR_WIDTH - 1] + "…"
    return f"failed{place}: {error}"


def _check_options(device: str, cell_timeout: int | None, stores_parameters: bool) -> None:
    if device not in DEVICES:
        raise ValueError(f"expected a device of {', '.join(DEVICES)}, got {device!r}")
    if cell_timeout is not None and cell_timeout <= 0:
        raise ValueError(f"expected a cell timeout above 0 seconds, got {cell_timeout}")
    if stores_parameters:
        raise ValueError("expected no parameters with store_outputs: it stores default outputs")


def _accepted_parameters(
    paths: Sequence[Path], parameters: Mapping[str, object]
) -> dict[Path, dict[str, object]]:
    """Give each notebook those parameters that it has; refuse one that no notebook has."""
    if not parameters:
        return {path: {} for path in paths}
    known = {path: _parameter_names(path) for path in paths}
    for name in parameters:
        if not any(name in names for names in known.values()):
            listed = "\n".join(
                f"  {path.stem}: {', '.join(names) or 'none'}" for path, names in known.items()
            )
            raise ValueError(f"no selected notebook has a parameter {name!r}; there are:\n{listed}")
    return {
        path: {name: value for name, value in parameters.items() if name in names}
        for path, names in known.items()
    }


def _parameter_names(path: Path) -> list[str]:
    with _quiet_libraries():
        try:
            notebook = nbformat.read(path, as_version=4)
            notebook.metadata["kernelspec"] = dict(_KERNEL)
            return list(papermill.inspect_notebook(notebook))
        except Exception:
            # A broken file has none; its run will tell what is wrong with it.
            return []


def _run(
    path: Path,
    output_folder: Path,
    parameters: Mapping[str, object],
    cell_timeout: int | None,
    device: str,
) -> NotebookRun:
    """Execute one notebook; the executed copy appears under its name when it is complete."""
    partial = output_folder / f".{path.stem}.partial.ipynb"
    output = output_folder / path.name
    partial.unlink(missing_ok=True)
    error: Exception | None = None
    start = time.perf_counter()
    try:
        _execute(path, partial, parameters, cell_timeout)
    except Exception as raised:
        error = raised
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    seconds = round(time.perf_counter() - start, 2)
    if not partial.exists():
        return NotebookRun(path.stem, 0, 0, seconds, device, False, error=_error_text(error))
    executed = nbformat.read(partial, as_version=4)
    outcome = _judge(executed, error)
    _finish_copy(executed, partial, output, outcome["passed"])
    return NotebookRun(path.stem, seconds=seconds, device=device, output=output, **outcome)


def _execute(
    path: Path, output: Path, parameters: Mapping[str, object], cell_timeout: int | None
) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    papermill.execute_notebook(
        # papermill fills in braces in paths as in a format string.
        *(str(place).replace("{", "{{").replace("}", "}}") for place in (path, output)),
        parameters=dict(parameters),
        kernel_name=_KERNEL["name"],
        language=_KERNEL["language"],
        cwd=path.parent,
        # disable=None: a bar on a terminal only.
        progress_bar={"desc": path.stem, "disable": None, "leave": False},
        execution_timeout=cell_timeout,
        # nbval too compares a cell's streams as one.
        coalesce_streams=True,
        # Errors in cells reach us as outputs; the kernel's own log is noise on the terminal.
        extra_arguments=["--IPKernelApp.log_level=50"],
    )


def _judge(executed: nbformat.NotebookNode, error: Exception | None) -> dict[str, Any]:
    """Find the cell that failed, if any, and those that wrote to stderr.

    papermill's marks are the measure, not its exception: it raises one for an error in a cell
    tagged `raises-exception` as well, and none where `sys.exit()` ends a notebook half-way.
    """
    # With a dead kernel or a timeout no cell is marked: it is the last that was started.
    broken_off = error is not None and not isinstance(error, PapermillExecutionError)
    total = failing_number = 0
    failing = None
    stderr = []
    for cell in executed.cells:
        if cell.cell_type != "code":
            continue
        total += "injected-parameters" not in cell.metadata.get("tags", [])
        marks = cell.metadata.get("papermill", {})
        if marks.get("exception") is True or (broken_off and marks.get("start_time")):
            failing_number, failing = total, cell
        if any(output.get("name") == "stderr" for output in cell.outputs):
            stderr.append(str(total))
    outcome: dict[str, Any] = {"passed": failing is None and not broken_off, "total_cells": total}
    outcome["executed_cells"] = total if outcome["passed"] else max(failing_number - 1, 0)
    outcome["warnings"] = (f"stderr output in cell {', '.join(stderr)}",) if stderr else ()
    if failing is not None:
        outcome["failing_cell"] = failing_number
        outcome["failing_source"] = next(iter(failing.source.strip().splitlines()), "")
    if not outcome["passed"]:
        raised = [o for o in failing.outputs if o.output_type == "error"] if failing else []
        shown = f"{raised[-1].ename}: {raised[-1].evalue}" if raised else _error_text(error)
        outcome["error"] = _error_text(error) if broken_off else _ANSI.sub("", shown)
    return outcome


def _error_text(error: Exception | None) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "")
    return _ANSI.sub("", f"{type(error).__name__}: {first_line}")


def _finish_copy(
    executed: nbformat.NotebookNode, partial: Path, output: Path, passed: bool
) -> None:
    """Give the executed copy its name."""
    if passed:
        # papermill puts these cells before an error that was expected, too.
        marker = "papermill-error-cell-tag"
        executed.cells = [c for c in executed.cells if marker not in c.metadata.get("tags", [])]
    executed.metadata.papermill["output_path"] = str(output)
    nbformat.write(executed, partial)
    os.replace(partial, output)


def _write_report(
    path: Path, runs: Sequence[NotebookRun], machine: Machine, started: datetime
) -> None:
    versions = {"python": platform.python_version(), machine.backend: machine.version}
    for package in ("keras", "numpy", "papermill", "evalib"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    report = {
        "started": started.isoformat(timespec="seconds"),
        "evalib": versions.pop("evalib"),
        "backend": machine.backend,
        "device": machine.device,
        "versions": versions,
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    write_atomically(path, json.dumps(report, indent=1, ensure_ascii=False, default=str) + "\n")


def _announce(line: str, *, on_terminal: bool = True) -> None:
    """Print a line of progress; where a progress bar is drawn, not all are needed."""
    if on_terminal or not sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep papermill's log and nbformat's warnings off the terminal."""
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
