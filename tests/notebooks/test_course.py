"""The notebooks as files: paired, commented, executed in order, without red boxes, small enough."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]


def test_there_are_notebooks_and_each_has_its_pair():
    pairs = sorted((REPOSITORY / "notebooks" / "src").glob("*.py"))
    assert NOTEBOOKS
    assert [path.stem for path in NOTEBOOKS] == [path.stem for path in pairs]


def test_the_readme_has_a_row_for_each():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(notebooks/\1\.ipynb\) \|", readme, re.MULTILINE)
    assert rows == [path.stem for path in NOTEBOOKS]


@each_notebook
def test_a_notebook_and_its_script_say_the_same(path):
    script = path.parent / "src" / f"{path.stem}.py"
    notebook, paired = jupytext.read(path), jupytext.read(script)
    for cell, twin in zip(notebook.cells, paired.cells, strict=True):
        assert cell.cell_type == twin.cell_type, "run `make sync`"
        assert cell.source == twin.source, "run `make sync`"
        assert cell.metadata.get("tags", []) == twin.metadata.get("tags", []), "run `make sync`"


@each_notebook
def test_every_code_cell_opens_with_a_comment_that_says_something(path):
    for cell in code_cells(path):
        first_line = cell.source.lstrip().splitlines()[0]
        assert first_line.startswith("# "), first_line
        assert len(first_line.split()) > 3, first_line


@each_notebook
def test_every_cell_ran_once_from_top_to_bottom(path):
    assert [c.execution_count for c in code_cells(path)] == list(
        range(1, len(code_cells(path)) + 1)
    )


@each_notebook
def test_no_stored_output_is_an_error_or_on_stderr(path):
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert outputs
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


@each_notebook
def test_github_can_draw_it_and_it_holds_no_timings(path):
    assert path.stat().st_size < 1_500_000
    notebook = nbformat.read(path, as_version=4)
    assert "papermill" not in notebook.metadata
    assert not [cell for cell in notebook.cells if {"papermill", "execution"} & set(cell.metadata)]


@each_notebook
def test_every_figure_has_its_caption_in_order(path):
    cells = nbformat.read(path, as_version=4).cells
    figures = 0
    for number, cell in enumerate(cells):
        outputs = cell.get("outputs", [])
        if any("image/png" in output.get("data", {}) for output in outputs):
            figures += 1
            # The caption is in the next text, behind assertions at most.
            caption = next(c.source for c in cells[number + 1 :] if c.cell_type == "markdown")
            assert caption.startswith(f"**Figure {figures}.**"), caption[:60]
    assert figures > 0


@each_notebook
def test_a_cell_whose_output_may_vary_is_followed_by_an_assertion(path):
    cells = code_cells(path)
    for number, cell in enumerate(cells):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            following = [c.source for c in cells[number + 1 : number + 4]]
            assert any("assert " in source for source in following), cell.source[:80]
