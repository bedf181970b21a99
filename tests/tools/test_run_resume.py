"""The runner goes on where it stopped, and runs notebooks side by side."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import v4

from evalib.tools.notebooks import digest_of
from evalib.tools.run import run_notebooks
from tests.tools.notebook_calls import cells_of, read_report, tagged, write_notebook

pytestmark = pytest.mark.usefixtures("found")

COUNT = "with open('{0}.log', 'a') as log:\n    log.write('.');"  # a mark each time it is run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "notebooks"


def test_resume_runs_what_failed_and_what_changed(folder: Path) -> None:
    write_notebook(folder / "a.ipynb", COUNT.format("a"))
    write_notebook(folder / "b.ipynb", COUNT.format("b"), "open('missing');")
    write_notebook(folder / "c.ipynb", tagged("N = 1", "parameters"), COUNT.format("c"))
    out = folder.parent / "outputs" / "executed"

    def run(*names: str, resume: bool = True, **options: Any) -> list[str]:
        runs = run_notebooks(names, notebooks=folder, resume=resume, **options)
        return [str(run).split(" in ")[0] for run in runs]

    def times_run() -> list[int]:
        return [len((folder / f"{name}.log").read_text()) for name in "abc"]

    assert run(jobs=3) == ["passed", "failed", "passed"]
    first = read_report(out)["runs"]
    (folder / "missing").touch()
    assert run() == ["passed (earlier)", "passed", "passed (earlier)"]
    assert times_run() == [1, 2, 1]
    assert {**first[0], "earlier": True} == read_report(out)["runs"][0]

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
    for name in "ab":
        stored = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        assert (stored.cells[0].execution_count, "evalib" in stored.metadata) == (1, False)
    # To store is no change; a notebook that is no more leaves the report.
    (folder / "c.ipynb").unlink()
    assert run(store_outputs=True) == ["passed (earlier)"] * 2
    assert [run["name"] for run in read_report(out)["runs"]] == ["a", "b"]


def test_what_is_part_of_the_digest(folder: Path) -> None:
    results = folder.parent / "outputs"
    path = write_notebook(folder / "a.ipynb", v4.new_markdown_cell("Text."), "x = 1")
    package, records = folder.parent / "evalib" / "__init__.py", results / "study" / "records.json"
    records.parent.mkdir(parents=True)
    records.write_text("1")

    def now(*others: object, output: str = "mine") -> str:
        return digest_of(path, results / output, *others)

    before = now({"N": 1})
    # Nothing that decides: outputs, bytecode, executed copies, and how the file is laid out.
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1] |= {"execution_count": 7, "outputs": [v4.new_output("stream", text="1")]}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    own = ("executed/a.ipynb", "mine/a.ipynb", "sweeps/b/c.json", "study/.a.partial")
    for ignored in (*(results / name for name in own), package.parent / "__pycache__" / "x.pyc"):
        ignored.parent.mkdir(parents=True, exist_ok=True)
        ignored.write_text("1")
    assert now({"N": 1}) == before

    seen = {before, now({"N": 2}), now({"N": 1}, output=".")}
    for file in (records, package):
        file.write_text("2")
        seen.add(now({"N": 1}))
    for text, code in (("Texts.", "x = 1"), ("Text.", tagged("x = 1", "tag")), ("Text.", "x = 2")):
        write_notebook(path, v4.new_markdown_cell(text), code)
        seen.add(now({"N": 1}))
    path.write_text("no JSON")
    seen.add(now({"N": 1}))
    assert len(seen) == 9


def test_notebooks_run_side_by_side_and_share_the_machine(folder, monkeypatch, found):
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "XLA_PYTHON_CLIENT_MEM_FRACTION")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    found("jax", "NVIDIA H200")
    for own, other in ("ab", "ba"):
        write_notebook(
            folder / f"{own}.ipynb",
            f"import os, time\nopen({own!r}, 'w').close()\n"
            f"while not os.path.exists({other!r}):\n    time.sleep(0.05)",
            f"print(*(os.environ[name] for name in {names}))",
        )
    runs = run_notebooks(jobs=2, notebooks=folder, timeout=60)
    assert [(run.passed, run.jobs, run.device) for run in runs] == [(True, 2, "NVIDIA H200")] * 2
    printed = cells_of(folder.parent / "outputs" / "executed" / "a.ipynb")[1].outputs[0].text
    threads, own, memory = printed.split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert (int(threads), int(own)) == (max(1, (cores or 1) // 2), 7)
    assert 0.75 < 2 * float(memory) < 1  # what they take of a GPU's memory together must fit
