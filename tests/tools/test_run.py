"""evalib.tools.run: what passes, how a failure is told, what is refused, which names fit."""

import sys
from pathlib import Path
from typing import Any

import pytest
from nbformat import v4

from evalib.tools import run as runner
from evalib.tools.notebooks import select_notebooks
from evalib.tools.run import run_notebooks
from tests.tools import notebook_calls as calls

pytestmark = pytest.mark.usefixtures("found")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "{name} ü" / "notebooks"  # papermill fills in braces


@pytest.fixture
def out(folder: Path) -> Path:
    return folder.parent / "outputs" / "executed"


# The cells of a notebook, the number of the one that fails, and the beginning of its error.
FAILURES: dict[str, tuple[list[str], int | None, str]] = {
    "error": (["1", "# why\nraise NameError('gone')", "2"], 2, "NameError: gone"),
    "magic": (["%nosuch", "assert False"], 1, "UsageError: Line magic function `%nosuch` not"),
    "group": (["raise ExceptionGroup('two', [ValueError()])"], 1, "ExceptionGroup: two (1 sub"),
    "exit": (["import sys", "sys.exit(0)", "1"], 2, "SystemExit: 0"),
    "quit": (["1", "quit()", "1"], 2, "RuntimeError: quit() or exit() ended the kernel"),
    "os_exit": (["1", "import os\nos._exit(3)"], 2, "DeadKernelError: the kernel ended with exit"),
    "half": (["'HALF'"], None, "UnicodeEncodeError: the file is damaged, half-merged, or not"),
    "bom": (["1"], None, "NotJSONError: the file is damaged, half-merged, or not UTF-8 without"),
    "no_notebook": (["1"], None, "ValidationError: the file is damaged, half-merged, or not"),
    "gone": (["1"], None, "FileNotFoundError: "),
}


def test_failures_are_named_and_the_others_go_on(folder: Path, out: Path) -> None:
    files = {name: folder / f"{name}.ipynb" for name in FAILURES}
    for name, (cells, _, _) in FAILURES.items():
        calls.write_notebook(files[name], *cells)
    files["no_notebook"].write_text("{}")
    files["bom"].write_bytes(b"\xef\xbb\xbf" + files["bom"].read_bytes())
    files["half"].write_bytes(files["half"].read_bytes().replace(b"HALF", b"\\ud83d"))
    files["gone"].unlink()
    files["gone"].symlink_to(folder / "moved.ipynb")
    calls.write_notebook(
        folder / "further" / "z.ipynb",
        v4.new_markdown_cell("# A"),
        calls.tagged("1 / 0", "raises-exception"),
        calls.tagged("1 / 0", "skip-execution"),
        "for n in range(20_000): print(n)",
        f"import os\nassert os.getcwd() == {str(folder / 'further')!r}",
        "print('x' * 2_000_000)",
    )

    runs = {run.name: run for run in run_notebooks(notebooks=folder, jobs=2)}

    for name, (cells, failing, error) in FAILURES.items():
        run = runs[name]
        assert not run.passed
        assert (run.failing_cell, (run.error or "")[: len(error)]) == (failing, error)
        assert run.executed_cells == (failing or 1) - 1
        assert run.total_cells == (len(cells) if failing else 0)
        assert (out / f"{name}.ipynb").exists() == bool(failing)
    fine = runs["z"]
    assert (fine.passed, fine.executed_cells, fine.total_cells) == (True, 4, 4), fine
    *_, many, _, long = calls.cells_of(out / "z.ipynb")
    assert [output.text.count("\n") for output in many.outputs] == [20_000]
    assert [len(output.text) for output in long.outputs] == [2_000_001]
    assert "papermill-error" not in (out / "z.ipynb").read_text()
    assert calls.half_written(out) == []

    report = calls.read_report(out)
    assert [run["name"] for run in report["runs"]] == sorted([*FAILURES, "z"])
    assert (report["device"], report["gpus"]) == ("cpu", [])
    assert {"keras", "numpy", "papermill", "python"} <= report["versions"].keys()


def test_a_kernel_that_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls.write_notebook(folder / "a.ipynb", "1")
    (folder / "ipykernel_launcher.py").write_text("raise ImportError('no kernel here')")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (run,) = run_notebooks(notebooks=folder)
    assert run.error == "RuntimeError: the kernel did not start: ImportError: no kernel here"


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        ("time.sleep(600)", "CellTimeoutError: still running after 1 s"),
        ("os.kill(os.getpid(), 9)", "the process that ran the notebook ended with signal 9 (S"),
    ],
)
def test_a_process_that_does_not_answer(folder, out, monkeypatch, does, expected):
    """One that is deaf to its own time limit is ended from outside; or it is killed itself."""
    calls.write_notebook(folder / "a.ipynb", "1")
    deaf = "import json, os, sys, time\nopen(json.load(open(sys.argv[1] + '/task'))['copy'], 'w')\n"
    monkeypatch.setattr(runner, "module_command", lambda _: [sys.executable, "-c", deaf + does])
    monkeypatch.setattr(runner, "_PATIENCE", 0.5)
    (run,) = run_notebooks(notebooks=folder, timeout=1)
    assert str(run.error).startswith(expected)
    assert calls.half_written(out) == []


def test_parameters_reach_only_the_notebooks_that_have_them(folder: Path) -> None:
    both = calls.tagged("EPOCHS = 5  # passes\nRATE = 0.1", "parameters")
    one = calls.tagged("RATE = 0.1", "parameters")
    calls.write_notebook(folder / "a.ipynb", both, "assert (EPOCHS, RATE) == (2, 0.1)", "1 / 0")
    calls.write_notebook(folder / "b.ipynb", one, "assert 'EPOCHS' not in globals()")
    first, second = run_notebooks(parameters={"EPOCHS": 2}, notebooks=folder, jobs=2)
    # The cell that papermill adds does not shift the numbers.
    assert (first.failing_cell, first.executed_cells, first.total_cells) == (3, 2, 3)
    assert second.passed, second.error


def test_refusals_come_before_anything_runs(folder, out, found):
    calls.write_notebook(folder / "01_a.ipynb", calls.tagged("EPOCHS = 5", "parameters"))
    calls.write_notebook(folder / "02_b.ipynb", "1")

    def refused(error: type[Exception], match: str, *names: str, **options: Any) -> None:
        with pytest.raises(error, match=match):
            run_notebooks(names, **{"notebooks": folder, **options})

    refused(ValueError, r"got '03'; there are: 01_a, 02_b", "01", "03")
    refused(ValueError, r"(?s)'EPOCH'.*01_a: EPOCHS\n.*02_b: none", parameters={"EPOCH": 1})
    refused(ValueError, r"'EPOCHS'.*\n.*02_b: none", "02", parameters={"EPOCHS": 1})
    refused(ValueError, "'utf-8' codec can't encode", parameters={"EPOCHS": "\udcff"})
    refused(ValueError, "no parameters;", store_outputs=True, parameters={"EPOCHS": 1})
    refused(ValueError, "takes TensorFlow, 1 job", store_outputs=True, jobs=2)
    refused(ValueError, r"01_a\.ipynb, a file", out=folder / "01_a.ipynb")
    refused(ValueError, "output folder other than", out=folder)
    refused(ValueError, r"expected notebooks .* in .*nowhere", notebooks=folder.parent / "nowhere")
    refused(RuntimeError, "of the kind gpu, but Keras on tensorflow uses cpu", device="gpu")
    found("jax", "Apple GPU")
    refused(ValueError, "takes TensorFlow.* Keras on jax uses", store_outputs=True)
    refused(RuntimeError, "of the kind cpu, but Keras on jax uses Apple GPU", device="cpu")
    assert not out.exists()
    # Files that evalib did not write are not replaced.
    out.mkdir(parents=True)
    for name in ("01_a.ipynb", "report.json"):
        (out / name).write_text("mine")
        refused(ValueError, f"{name} is not of `evalib run`: move it")
        assert (out / name).read_text() == "mine"
        (out / name).unlink()


def test_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="expected notebooks"):
        select_notebooks([], folder)
    stems = ["01_python", "05_s3_assignment", "10_more", "intro", "intro_two", "further/more"]
    for stem in (*stems, ".hidden"):
        calls.write_notebook(folder / f"{stem}.ipynb")
    places = [folder / f"{stem}.ipynb" for stem in stems]
    assert select_notebooks([], folder) == (folder, places, places)
    for name, stem in {
        **dict.fromkeys(("05_s3_assignment.ipynb", "05", "5", "05_s"), "05_s3_assignment"),
        **{"./05_s3_assignment.ipynb": "05_s3_assignment", "1": "01_python", "10": "10_more"},
        **{"intro": "intro", "further/more.ipynb": "further/more", "more": "further/more"},
    }.items():
        path = folder / f"{stem}.ipynb"
        assert select_notebooks([name, str(path)], folder)[2] == [path]
    for name in ("0", "intr", "", "2", "elsewhere/01_python.ipynb"):
        with pytest.raises(ValueError, match="intro, intro_two|01_python, 05_s3"):
            select_notebooks([name], folder)
    calls.write_notebook(folder / "further" / "intro.ipynb")
    with pytest.raises(ValueError, match="of different names"):
        select_notebooks(["1"], folder)
