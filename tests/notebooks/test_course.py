"""The notebooks as files: paired, commented, executed in order, without red boxes, small enough."""

import re
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDERS = REPOSITORY / "notebooks", REPOSITORY / "notebooks" / "further"
COURSE, FURTHER = (sorted(folder.glob("*.ipynb")) for folder in FOLDERS)
NOTEBOOKS = COURSE + FURTHER
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]


def test_each_notebook_has_its_pair_and_its_place_in_the_readme():
    for folder, found in zip(FOLDERS, (COURSE, FURTHER), strict=True):
        pairs = sorted(path.stem for path in (folder / "src").glob("*.py"))
        assert pairs == [path.stem for path in found]
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(notebooks/\1\.ipynb\) \|", readme, re.MULTILINE)
    assert rows == [path.stem for path in COURSE]
    links = re.findall(r"\]\(notebooks/further/(\w+)\.ipynb\)", readme)
    assert sorted(links) == [path.stem for path in FURTHER]
    claims = tomllib.loads((FOLDERS[0] / "claims.toml").read_text(encoding="utf-8"))
    checked, others = len(claims["claims"]), len(claims["untested"])
    assert f"[{checked} of the course's {checked + others} statements](docs/claims.md)" in readme


@each_notebook
def test_a_notebook_and_its_script_say_the_same(path):
    pair = (path, path.parent / "src" / f"{path.stem}.py")
    cells = [
        [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]
        for notebook in map(jupytext.read, pair)
    ]
    assert cells[0] == cells[1], "run `make sync`"


@each_notebook
def test_every_code_cell_opens_with_a_comment_that_says_something(path):
    for cell in code_cells(path):
        assert re.match(r"# \S+ \S+ \S+", cell.source.lstrip()), cell.source[:80]


@each_notebook
def test_every_cell_ran_in_order_without_a_red_box_and_github_can_draw_it(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert path.stat().st_size < 1_500_000
    notebook = nbformat.read(path, as_version=4)
    for part in (notebook, *notebook.cells):
        assert not {"papermill", "execution"} & set(part.metadata)


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
def test_a_cell_whose_output_may_vary_is_followed_by_an_assertion_of_its_section(path):
    cells = nbformat.read(path, as_version=4).cells
    heads = [n for n, cell in enumerate(cells) if re.search(r"^## ", cell.source, re.MULTILINE)]
    for number, cell in enumerate(cells):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            end = next((head for head in heads if head > number), len(cells))
            code = [one.source for one in cells[number:end] if one.cell_type == "code"]
            assert any("assert" in source for source in code), cell.source[:80]
