"""evalib.tools.run: what passes, how a failure is told, what is written and what is not."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat import v4

from evalib.tools import run as notebooks
from evalib.tools.devices import Machine
from evalib.tools.run import NotebookRun, format_table, run_notebooks, select_notebooks
from tests.tools.notebook_calls import KERNEL, partial_files, read_report, tagged, write_notebook


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each run the seconds in which a process imports TensorFlow."""
    found = Machine("tensorflow", "2.20.0", ())
    monkeypatch.setattr(notebooks, "detect_machine", lambda: found)


def test_failures_are_reported_and_the_others_go_on(folder: Path, out: Path) -> None:
    write_notebook(folder / "01_fine.ipynb", v4.new_markdown_cell("# A"), "x = 1", "print(x)")
    write_notebook(
        folder / "02_fails.ipynb",
        "x = 1",
        v4.new_markdown_cell("between"),
        "y = 2",
        "# why\nraise NameError('\\x1b[31mgone\\x1b[0m')",
        "z = 3",
    )
    write_notebook(folder / "03_dies.ipynb", "x = 1", "import os\nos._exit(3)", "y = 2")
    (folder / "04_broken.ipynb").write_text("not JSON")
    (folder / "05_empty.ipynb").write_text("{}")
    write_notebook(folder / "06_exits.ipynb", "import sys", "sys.exit(0)", "y = 2")
    write_notebook(folder / "07_slow.ipynb", "import time", "time.sleep(60)")
    write_notebook(
        folder / "08_shows_an_error.ipynb", tagged("1 / 0", "raises-exception"), "print('after')"
    )

    runs = run_notebooks(notebook_folder=folder, output_folder=out, cell_timeout=3)

    fine, fails, dies, broken, empty, exits, slow, shows = runs
    assert [run.passed for run in runs] == [True] + [False] * 6 + [True]
    assert (fine.executed_cells, fine.total_cells, fine.error) == (2, 2, None)
    assert (fails.failing_cell, fails.executed_cells, fails.total_cells) == (3, 2, 4)
    assert (fails.failing_source, fails.error) == ("# why", "NameError: gone")
    assert (dies.failing_cell, dies.failing_source) == (2, "import os")
    assert dies.error == "DeadKernelError: the kernel ended with exit status 3"
    assert "os._exit()" in str(dies.advice)
    assert (broken.failing_cell, broken.total_cells, broken.output) == (None, 0, None)
    assert broken.error is not None
    assert broken.error.startswith("NotJSONError")
    assert f"`git checkout -- {folder / '04_broken.ipynb'}`" in str(broken.advice)
    assert empty.error is not None
    assert empty.error.startswith("ValidationError")
    assert "no notebook" in str(empty.advice)
    assert (exits.failing_cell, exits.error) == (2, "SystemExit: 0")
    assert (slow.failing_cell, slow.executed_cells) == (2, 1)
    assert slow.error == "CellTimeoutError: still running after 3 s"
    assert slow.seconds >= 3
    assert (shows.executed_cells, shows.total_cells, shows.error) == (2, 2, None)

    assert partial_files(out) == []
    assert sorted(path.name for path in out.iterdir()) == [
        "01_fine.ipynb",
        "02_fails.ipynb",
        "03_dies.ipynb",
        "06_exits.ipynb",
        "07_slow.ipynb",
        "08_shows_an_error.ipynb",
        "report.json",
    ]
    executed = nbformat.read(out / "01_fine.ipynb", as_version=4)
    assert executed.cells[2].outputs[0].text == "1\n"
    assert "papermill-error" not in (out / "08_shows_an_error.ipynb").read_text()

    report = read_report(out)
    assert [run["name"] for run in report["runs"]] == [path.stem for path in sorted_sources(folder)]
    assert report["runs"][1]["failing_cell"] == 3
    assert report["runs"][1]["output"] == str(out / "02_fails.ipynb")
    assert report["versions"]["keras"] == version("keras")
    assert report["versions"]["tensorflow"] == "2.20.0"
    assert report["device"] == "cpu"


def sorted_sources(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.ipynb"))


def test_a_copy_has_its_name_only_when_it_is_complete(folder: Path, out: Path) -> None:
    final = out / "a.ipynb"
    write_notebook(
        folder / "a.ipynb",
        "from pathlib import Path",
        f"assert not Path({str(final)!r}).exists()",
        f"assert list(Path({str(out)!r}).glob('.*.partial.ipynb'))",
    )
    (run,) = run_notebooks(notebook_folder=folder, output_folder=out)
    assert run.passed, run.error
    assert run.output == final
    assert nbformat.read(final, as_version=4).metadata.papermill.output_path == str(final)
    assert partial_files(out) == []


def test_parameters_reach_only_the_notebooks_that_have_them(folder: Path, out: Path) -> None:
    parameters = tagged("EPOCHS = 5  # passes\nRATE = 0.1", "parameters")
    write_notebook(folder / "a.ipynb", parameters, "assert (EPOCHS, RATE) == (2, 0.1)")
    write_notebook(
        folder / "b.ipynb", tagged("RATE = 0.1", "parameters"), "assert 'EPOCHS' not in globals()"
    )
    first, second = run_notebooks(
        parameters={"EPOCHS": 2}, notebook_folder=folder, output_folder=out
    )
    assert first.passed, first.error
    assert second.passed, second.error
    # The cell that papermill adds does not shift the numbers.
    assert (first.executed_cells, first.total_cells) == (2, 2)
    (failed, _) = run_notebooks(parameters={"EPOCHS": 3}, notebook_folder=folder, output_folder=out)
    assert (failed.failing_cell, failed.error) == (2, "AssertionError: ")


def test_refusals_come_before_anything_runs(folder: Path, out: Path) -> None:
    ran = folder.parent / "ran"
    parameters = tagged(f"EPOCHS = 5\nopen({str(ran)!r}, 'w')", "parameters")
    write_notebook(folder / "01_a.ipynb", parameters)
    write_notebook(folder / "02_b.ipynb", f"open({str(ran)!r}, 'w')")
    places: dict[str, Any] = {"notebook_folder": folder, "output_folder": out}

    with pytest.raises(ValueError, match=r"'03'; there are: 01_a, 02_b"):
        run_notebooks(["01", "03"], **places)
    with pytest.raises(ValueError, match=r"(?s)'EPOCH'.*01_a: EPOCHS\n.*02_b: none"):
        run_notebooks(parameters={"EPOCH": 1}, **places)
    with pytest.raises(ValueError, match=r"'EPOCHS'.*\n.*02_b: none"):
        run_notebooks(["02"], parameters={"EPOCHS": 1}, **places)
    with pytest.raises(ValueError, match="got 'tpu'"):
        run_notebooks(device="tpu", **places)
    with pytest.raises(ValueError, match="got 0"):
        run_notebooks(cell_timeout=0, **places)
    with pytest.raises(ValueError, match="no parameters"):
        run_notebooks(store_outputs=True, parameters={"EPOCHS": 1}, **places)
    with pytest.raises(ValueError, match="a plain value for EPOCHS, .* got a int64"):
        run_notebooks(parameters={"EPOCHS": np.int64(5)}, **places)
    with pytest.raises(ValueError, match=r"expected a folder to write to, got .*01_a\.ipynb"):
        run_notebooks(notebook_folder=folder, output_folder=folder / "01_a.ipynb")
    with pytest.raises(ValueError, match="output folder other than"):
        run_notebooks(notebook_folder=folder, output_folder=folder)
    with pytest.raises(ValueError, match=r"found none at .*nowhere"):
        run_notebooks(notebook_folder=folder.parent / "nowhere")
    with pytest.raises(RuntimeError, match="expected a GPU, but Keras on tensorflow sees none"):
        run_notebooks(device="gpu", **places)
    assert not ran.exists()
    assert not out.exists()


def test_a_notebook_that_is_gone_does_not_stop_the_others(folder: Path, out: Path) -> None:
    write_notebook(folder / "01_a.ipynb", "1 + 1")
    (folder / "02_b.ipynb").symlink_to(folder / "moved.ipynb")
    write_notebook(folder / "03_c.ipynb", "1 + 1")
    places: dict[str, Any] = {"notebook_folder": folder, "output_folder": out}
    runs = run_notebooks(resume=True, **places)
    assert [run.passed for run in runs] == [True, False, True]
    assert "No such file" in (runs[1].error or "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("05_s3_assignment", "05_s3_assignment"),
        ("05_s3_assignment.ipynb", "05_s3_assignment"),
        ("05", "05_s3_assignment"),
        ("5", "05_s3_assignment"),
        ("1", "01_python"),
        ("10", "10_more"),
        ("05_s", "05_s3_assignment"),
        ("intro", "intro"),
    ],
)
def test_names(folder: Path, name: str, expected: str) -> None:
    for stem in ("01_python", "05_s3_assignment", "10_more", "intro", "intro_two", ".hidden"):
        write_notebook(folder / f"{stem}.ipynb")
    assert select_notebooks([name, expected], folder) == [folder / f"{expected}.ipynb"]
    # A path as the shell completes it.
    assert select_notebooks([str(folder / f"{expected}.ipynb")], folder)[0].stem == expected


@pytest.mark.parametrize("name", ["0", "intro_", "", "2", "elsewhere/01_python.ipynb"])
def test_names_that_do_not_fit(folder: Path, name: str) -> None:
    for stem in ("01_python", "05_s3_assignment", "intro_one", "intro_two"):
        write_notebook(folder / f"{stem}.ipynb")
    with pytest.raises(ValueError, match=r"intro_one, intro_two|01_python, 05_s3_assignment"):
        select_notebooks([name], folder)


def test_all_notebooks_in_order(folder: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        select_notebooks([], folder)
    for stem in ("02_b", "01_a", ".01_a.partial"):
        write_notebook(folder / f"{stem}.ipynb")
    assert [path.stem for path in select_notebooks([], folder)] == ["01_a", "02_b"]


def test_cpu_hides_gpus_from_the_kernel_alone(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("MPLBACKEND", "agg")
    write_notebook(
        folder / "a.ipynb",
        "import os, sys",
        "assert os.environ['CUDA_VISIBLE_DEVICES'] == '-1'",
        "assert os.environ['JAX_PLATFORMS'] == 'cpu'",
        "assert 'inline' in os.environ['MPLBACKEND']",
        f"assert sys.prefix == {sys.prefix!r}",
        f"assert os.getcwd() == {str(folder)!r}",
    )
    (run,) = run_notebooks(device="cpu", notebook_folder=folder, output_folder=out)
    assert run.passed, run
    assert run.device == "cpu"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    assert "JAX_PLATFORMS" not in os.environ
    assert os.environ["MPLBACKEND"] == "agg"


def test_stored_outputs_change_nothing_else(folder: Path, out: Path) -> None:
    path = write_notebook(
        folder / "a.ipynb",
        v4.new_markdown_cell("# Straße"),
        tagged("EPOCHS = 1", "parameters"),
        "import sys\nfor n in range(3):\n    print(n, flush=True)\n    print('!', file=sys.stderr)",
        "6 * 7",
    )
    before = nbformat.read(path, as_version=4)
    before.metadata["language_info"] = {"name": "python", "version": "3.1"}
    before.metadata["title"] = "kept"
    before.cells[3].metadata["papermill"] = {"duration": 1.0}
    nbformat.write(before, path)
    path.chmod(0o640)

    (run,) = run_notebooks(store_outputs=True, notebook_folder=folder, output_folder=out)

    assert run.passed, run.error
    assert run.warnings == ("stderr output in cell 2",)
    text = path.read_text(encoding="utf-8")
    after = nbformat.read(path, as_version=4)
    assert [c.source for c in after.cells] == [c.source for c in before.cells]
    assert [c.id for c in after.cells] == [c.id for c in before.cells]
    assert [dict(c.metadata) for c in after.cells] == [{}, {"tags": ["parameters"]}, {}, {}]
    assert after.metadata == {
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
        "title": "kept",
    }
    assert [c.execution_count for c in after.cells[1:]] == [1, 2, 3]
    streams = {output.name: output.text for output in after.cells[2].outputs}
    assert len(after.cells[2].outputs) == 2
    assert streams == {"stdout": "0\n1\n2\n", "stderr": "!\n!\n!\n"}
    assert after.cells[3].outputs[0].data == {"text/plain": "42"}
    assert "papermill" not in text
    assert "Straße" in text
    assert text.startswith('{\n "cells"')
    assert text.endswith("}\n")
    assert path.stat().st_mode & 0o777 == 0o640

    run_notebooks(store_outputs=True, notebook_folder=folder, output_folder=out)
    assert path.read_text(encoding="utf-8") == text
    assert partial_files(folder.parent) == []


def test_outputs_are_not_stored_where_they_do_not_belong(folder: Path, out: Path) -> None:
    failing = write_notebook(folder / "a.ipynb", "print(1)", "1 / 0")
    itself = folder / "b.ipynb"
    edit = f"path = {str(itself)!r}\ntext = open(path).read().replace('x = 1', 'x = 2')"
    write_notebook(itself, "x = 1", f"{edit}\nopen(path, 'w').write(text)")
    before = failing.read_bytes()
    failed, edited = run_notebooks(store_outputs=True, notebook_folder=folder, output_folder=out)
    assert not failed.passed
    assert failing.read_bytes() == before
    assert edited.passed
    assert edited.warnings == ("outputs not stored: the notebook was changed while it ran",)
    assert all(not cell.outputs for cell in nbformat.read(itself, as_version=4).cells)


def test_braces_in_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "{name}"
    write_notebook(folder / "a.ipynb", "1")
    (run,) = run_notebooks(notebook_folder=folder)
    assert run.passed, run.error
    assert (tmp_path / "outputs" / "executed" / "a.ipynb").is_file()


def test_progress_is_a_line_at_start_and_end(
    folder: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_notebook(folder / "a.ipynb", tagged("N = 1", "parameters"), "1 / 0")
    write_notebook(folder / "b.ipynb", "import os; os._exit(1)")
    run_notebooks(parameters={"N": 2}, notebook_folder=folder, output_folder=out)
    captured = capfd.readouterr()
    lines = [line.rsplit(" after ", 1)[0] for line in captured.err.splitlines()]
    assert lines == [
        "a: started",
        "a: failed in cell 2: ZeroDivisionError: division by zero",
        "b: started",
        "b: failed in cell 1: DeadKernelError: the kernel ended with exit status 1",
    ]
    assert captured.out == ""


def test_table() -> None:
    runs = [
        NotebookRun("01_a", 12, 12, 3.04, "cpu", True),
        NotebookRun("02_longer", 6, 10, 100.26, "cpu", False, 7, "x", "NameError: no\nname"),
        NotebookRun("03", 0, 0, 0.0, "cpu", False, error="E: " + "x" * 500),
    ]
    lines = format_table(runs).splitlines()
    assert lines[:3] == [
        "notebook   cells  seconds  device  result",
        "01_a       12/12      3.0  cpu     passed",
        "02_longer   6/10    100.3  cpu     failed in cell 7: NameError: no name",
    ]
    assert "failed: E: xxx" in lines[3]
    assert lines[3].endswith("x…")
    assert len(lines[3]) < 160
