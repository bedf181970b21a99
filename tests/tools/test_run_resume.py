"""The runner goes on where it stopped, and runs notebooks side by side."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import v4

from evalib.tools.notebooks import digest_sources
from evalib.tools.run import run_notebooks
from tests.tools.notebook_calls import read_report, tagged, write_notebook

pytestmark = pytest.mark.usefixtures("found")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "notebooks"


def counting(log: Path) -> str:
    """A cell that leaves a mark each time it is run."""
    return f"with open({str(log)!r}, 'a') as log:\n    log.write('.');"


def test_resume_runs_what_failed_and_what_changed(folder: Path) -> None:
    logs = [folder / f"{name}.log" for name in "abc"]
    missing = folder / "missing"
    write_notebook(folder / "a.ipynb", counting(logs[0]))
    write_notebook(folder / "b.ipynb", counting(logs[1]), f"open({str(missing)!r});")
    write_notebook(folder / "c.ipynb", tagged("N = 1", "parameters"), counting(logs[2]))
    out = folder.parent / "outputs" / "executed"

    def run(*names: str, resume: bool = True, **options: Any) -> list[str]:
        runs = run_notebooks(names, notebook_folder=folder, resume=resume, **options)
        return [str(run).split(" in ")[0] for run in runs]

    def times_run() -> list[int]:
        return [len(log.read_text()) for log in logs]

    assert run(jobs=3) == ["passed", "failed", "passed"]
    first = read_report(out)["runs"]
    missing.touch()
    assert run() == ["passed (earlier)", "passed", "passed (earlier)"]
    assert times_run() == [1, 2, 1]
    second = read_report(out)["runs"]
    assert [run["earlier"] for run in second] == [True, False, True]
    assert {**first[0], "earlier": True} == second[0]

    # A copy that is gone, one that is not of the run in the report, and another parameter.
    (out / "a.ipynb").unlink()
    shutil.copy(out / "c.ipynb", out / "b.ipynb")
    run(parameters={"N": 2}, jobs=3)
    assert times_run() == [2, 3, 2]
    # One notebook alone, and without --resume: what is known of the others stays.
    assert run("a", resume=False) == ["passed"]
    # What shared the processor is not stored: it could have come out with other digits.
    assert run("a", "b", store_outputs=True) == ["passed (earlier)", "passed"]
    assert times_run() == [3, 4, 2]
    for log in logs[:2]:
        stored = nbformat.read(folder / f"{log.stem}.ipynb", as_version=4)
        assert (stored.cells[0].execution_count, "evalib" in stored.metadata) == (1, False)
    # To store is no change; a notebook that is no more leaves the report, and one that cannot
    # be read is refused.
    (folder / "c.ipynb").unlink()
    assert run(store_outputs=True) == ["passed (earlier)"] * 2
    assert [run["name"] for run in read_report(out)["runs"]] == ["a", "b"]
    (out / "report.json").write_text("{")
    with pytest.raises(ValueError, match=r"report.json is not of `evalib run`"):
        run()


def test_what_is_part_of_the_digest(folder: Path) -> None:
    results = folder.parent / "outputs"
    path = write_notebook(folder / "a.ipynb", v4.new_markdown_cell("Text."), "x = 1")
    package = folder.parent / "evalib" / "__init__.py"
    (results / "study").mkdir(parents=True)
    (results / "study" / "records.json").write_text("1")

    def now(*others: object, output: str = "mine") -> str:
        return digest_sources(path, results / output, *others)

    before = now({"N": 1})
    # Nothing that decides: outputs, bytecode, executed copies, and how the file is laid out.
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [v4.new_output("stream", text="1\n")]
    notebook.cells[1].execution_count = 7
    path.write_text(json.dumps(notebook), encoding="utf-8")
    for ignored in ("executed/a.ipynb", "mine/a.ipynb", "sweeps/b/c.json", "study/.a.partial"):
        (results / ignored).parent.mkdir(parents=True, exist_ok=True)
        (results / ignored).write_text("1")
    (package.parent / "__pycache__").mkdir()
    (package.parent / "__pycache__" / "layers.pyc").write_text("1")
    assert now({"N": 1}) == before

    seen = {before, now({"N": 2}), now({"N": 1}, output=".")}
    for file in (results / "study" / "records.json", package):
        file.write_text("2")
        seen.add(now({"N": 1}))
    for cells in (["Texts.", "x = 1"], ["Text.", tagged("x = 1", "tag")], ["Text.", "x = 2"]):
        write_notebook(path, v4.new_markdown_cell(cells[0]), cells[1])
        seen.add(now({"N": 1}))
    path.write_text("no JSON")
    seen.add(now({"N": 1}))
    assert len(seen) == 9


def test_notebooks_run_side_by_side_and_share_the_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, found: Callable[..., None]
) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    found("jax", "NVIDIA H200")
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "XLA_PYTHON_CLIENT_MEM_FRACTION")
    for own, other in ("ab", "ba"):
        write_notebook(
            folder / f"{own}.ipynb",
            "import os, time\nfrom pathlib import Path\n"
            f"Path({str(folder / own)!r}).touch()\n"
            f"while not Path({str(folder / other)!r}).exists():\n    time.sleep(0.05)",
            f"print(*(os.environ[name] for name in {names}))",
        )
    runs = run_notebooks(jobs=2, notebook_folder=folder, cell_timeout=60)
    assert [(run.passed, run.jobs, run.device) for run in runs] == [(True, 2, "NVIDIA H200")] * 2
    copy = nbformat.read(folder.parent / "outputs" / "executed" / "a.ipynb", as_version=4)
    threads, own, memory = copy.cells[1].outputs[0].text.split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert (int(threads), int(own)) == (max(1, (cores or 1) // 2), 7)
    assert 0.75 < 2 * float(memory) < 1  # what they take of a GPU's memory together must fit
