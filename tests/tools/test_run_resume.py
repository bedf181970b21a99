"""The runner goes on where it stopped, runs notebooks side by side, and keeps to its own folder."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import v4

from evalib.files import claimed
from evalib.tools import notebook_fingerprint
from evalib.tools import run as notebooks
from evalib.tools.devices import Gpu, Machine
from evalib.tools.notebook_fingerprint import differences, fingerprint
from evalib.tools.notebook_process import shares
from evalib.tools.notebook_report import NotebookRun, Report, format_table
from evalib.tools.run import run_notebooks
from tests.tools.notebook_calls import read_report, tagged, write_notebook

MACHINE = Machine("tensorflow", "2.20.0", ())


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each run the seconds in which a process imports TensorFlow."""
    monkeypatch.setattr(notebooks, "detect_machine", lambda: MACHINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def counting(log: Path) -> str:
    """A cell that tells each time it is run."""
    return f"with open({str(log)!r}, 'a') as log:\n    log.write('.')"


def test_resume_runs_what_failed_and_what_changed(folder: Path, out: Path) -> None:
    logs = [folder / f"{name}.log" for name in "abc"]
    write_notebook(folder / "a.ipynb", counting(logs[0]))
    write_notebook(folder / "b.ipynb", counting(logs[1]), f"open({str(folder / 'missing')!r})")
    write_notebook(folder / "c.ipynb", tagged("N = 1", "parameters"), counting(logs[2]))
    places: dict[str, Any] = {"notebook_folder": folder, "output_folder": out, "resume": True}

    def runs() -> list[int]:
        return [len(log.read_text()) for log in logs]

    first = run_notebooks(jobs=3, **places)
    assert [run.passed for run in first] == [True, False, True]
    assert runs() == [1, 1, 1]

    (folder / "missing").touch()
    second = run_notebooks(**places)
    assert [(run.passed, run.earlier) for run in second] == [
        (True, True),
        (True, False),
        (True, True),
    ]
    assert runs() == [1, 2, 1]
    assert (second[0].seconds, second[0].started) == (first[0].seconds, first[0].started)
    assert format_table(second).splitlines()[1].endswith("passed (earlier)")
    report = read_report(out)
    assert [(run["name"], run["earlier"], run["passed"]) for run in report["runs"]] == [
        ("a", True, True),
        ("b", False, True),
        ("c", True, True),
    ]

    # A copy that is gone, one that is not of the run in the report, and another parameter.
    (out / "a.ipynb").unlink()
    shutil.copy(out / "c.ipynb", out / "b.ipynb")
    run_notebooks(parameters={"N": 2}, **places)
    assert runs() == [2, 3, 2]
    # One notebook alone, and without --resume: what is known of the others stays.
    run_notebooks(["a"], **{**places, "resume": False})
    assert runs() == [3, 3, 2]
    assert [run["name"] for run in read_report(out)["runs"]] == ["a", "b", "c"]


def test_storing_the_outputs_of_what_passed_earlier(folder: Path, out: Path) -> None:
    logs = [folder / f"{name}.log" for name in "abc"]
    for log in logs:
        write_notebook(folder / f"{log.stem}.ipynb", counting(log))
    places: dict[str, Any] = {"notebook_folder": folder, "output_folder": out, "resume": True}
    run_notebooks(["a"], **places)
    run_notebooks(["b", "c"], jobs=2, **places)
    # What shared the processor is not stored: it could have come out with other digits.
    run_notebooks(store_outputs=True, **places)
    assert [len(log.read_text()) for log in logs] == [1, 2, 2]
    for log in logs:
        stored = nbformat.read(folder / f"{log.stem}.ipynb", as_version=4)
        assert stored.cells[0].execution_count == 1
        assert "evalib" not in stored.metadata
    # To store is no change.
    assert all(run.earlier for run in run_notebooks(store_outputs=True, **places))


def test_a_report_that_cannot_be_read_holds_nothing(folder: Path, out: Path) -> None:
    log = folder / "log"
    write_notebook(folder / "a.ipynb", counting(log))
    run_notebooks(notebook_folder=folder, output_folder=out)
    for damaged in ("{", "[]", '{"runs": [{"name": "a"}]}', '{"runs": [1]}'):
        (out / "report.json").write_text(damaged)
        assert Report(out / "report.json", MACHINE, notebooks.datetime.now()).runs == {}
    (run,) = run_notebooks(notebook_folder=folder, output_folder=out, resume=True)
    assert (run.passed, run.earlier, log.read_text()) == (True, False, "..")


def test_what_is_part_of_the_fingerprint(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, results = folder / "evalib", folder / "outputs"
    for file in (package / "layers.py", results / "study" / "records.json"):
        file.parent.mkdir(parents=True)
        file.write_text("1")
    monkeypatch.setattr(notebook_fingerprint, "_PACKAGE", package)
    monkeypatch.setattr(notebook_fingerprint, "results_folder", lambda: results)
    path = write_notebook(folder / "a.ipynb", v4.new_markdown_cell("Text."), "x = 1")
    versions = {"numpy": "2.1.3"}

    def now(**changed: Any) -> dict[str, str]:
        values: dict[str, Any] = {"parameters": {}, "machine": MACHINE, "versions": versions}
        return fingerprint(path, **values | {"output_folder": results / "mine"} | changed)

    before = now()
    assert differences(None, before) == list(before)
    assert len(set(before)) == 6

    # Nothing that decides: outputs, bytecode, executed copies, and how the file is laid out.
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [v4.new_output("stream", text="1\n")]
    notebook.cells[1].execution_count = 7
    path.write_text(json.dumps(notebook), encoding="utf-8")
    for ignored in ("executed/a.ipynb", "mine/a.ipynb", "sweeps/b/c.json", "study/.a.partial"):
        (results / ignored).parent.mkdir(parents=True, exist_ok=True)
        (results / ignored).write_text("1")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "layers.pyc").write_text("1")
    assert now() == before

    assert differences(before, now(parameters={"N": 2})) == ["the parameters"]
    assert differences(before, now(versions={"numpy": "2.2"})) == ["the versions"]
    gpu = dataclasses.replace(MACHINE, gpus=(Gpu("H200"),))
    assert differences(before, now(machine=gpu)) == ["the machine"]
    assert differences(before, now(machine=Machine("jax", "1", ()))) == ["the machine"]
    (results / "study" / "records.json").write_text("2")
    assert differences(before, now()) == ["the results in outputs"]
    (package / "new.py").touch()
    assert differences(before, now()) == ["evalib", "the results in outputs"]
    (package / "new.py").unlink()
    (results / "study" / "records.json").write_text("1")
    for changed in ("Texts.", tagged("x = 1", "parameters"), "x = 2"):
        cell = v4.new_markdown_cell(changed) if changed == "Texts." else changed
        write_notebook(path, cell, "x = 1")
        assert differences(before, now()) == ["the notebook"]
    path.write_text("no JSON")
    assert differences(before, now()) == ["the notebook"]


def test_notebooks_run_side_by_side(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for own, other in ("ab", "ba"):
        write_notebook(
            folder / f"{own}.ipynb",
            "import os, time\nfrom pathlib import Path\n"
            f"Path({str(folder / own)!r}).touch()\n"
            f"while not Path({str(folder / other)!r}).exists():\n    time.sleep(0.05)",
            "print(os.environ['OMP_NUM_THREADS'])",
        )
    runs = run_notebooks(jobs=2, notebook_folder=folder, output_folder=out, cell_timeout=60)
    assert [run.passed for run in runs] == [True, True]
    assert [run["jobs"] for run in read_report(out)["runs"]] == [2, 2]
    copy = nbformat.read(out / "a.ipynb", as_version=4)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert copy.cells[1].outputs[0].text == f"{max(1, (cores or 1) // 2)}\n"
    assert "OMP_NUM_THREADS" not in os.environ
    lines = [line.rsplit(" after ", 1)[0] for line in capfd.readouterr().err.splitlines()]
    assert sorted(lines) == ["a: passed", "a: started", "b: passed", "b: started"]


def test_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shares(1, gpus=1) == {}
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    many = shares(1000, gpus=0)
    assert (many["TF_NUM_INTRAOP_THREADS"], many["OPENBLAS_NUM_THREADS"]) == ("7", "1")
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in many
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    # What they take of a GPU's memory together must fit.
    fraction = shares(3, gpus=1)["XLA_PYTHON_CLIENT_MEM_FRACTION"]
    assert fraction is not None
    assert 0.75 < 3 * float(fraction) < 1


def test_refusals(folder: Path, out: Path) -> None:
    write_notebook(folder / "a.ipynb", "1")
    places: dict[str, Any] = {"notebook_folder": folder, "output_folder": out}
    with pytest.raises(ValueError, match="expected 1 job or more, got 0"):
        run_notebooks(jobs=0, **places)
    with pytest.raises(ValueError, match="expected 1 job with store_outputs, got 2"):
        run_notebooks(jobs=2, store_outputs=True, **places)
    assert not out.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked on Windows")
def test_two_calls_do_not_share_a_folder(folder: Path, out: Path) -> None:
    hold = (
        "import sys\nfrom pathlib import Path\nfrom evalib.files import claimed\n"
        "with claimed(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(RuntimeError, match=r"another process is writing to .*out"):
        claimed(out, patience=0.2).__enter__()
    assert list(out.iterdir()) == []
    other.kill()  # which gives the folder free
    other.communicate()
    write_notebook(folder / "a.ipynb", "1")
    (run,) = run_notebooks(notebook_folder=folder, output_folder=out)
    assert run.passed, run


def test_notebooks_that_are_no_more_leave_the_report(folder: Path, out: Path) -> None:
    report = Report(out / "report.json", MACHINE, notebooks.datetime.now())
    out.mkdir()
    for name in ("gone", "there"):
        report.add(NotebookRun(name, 1, 1, 1.0, "cpu", True))
    write_notebook(folder / "there.ipynb", "1")
    write_notebook(folder / "new.ipynb", "1")
    run_notebooks(["new"], notebook_folder=folder, output_folder=out)
    assert [run["name"] for run in read_report(out)["runs"]] == ["new", "there"]
