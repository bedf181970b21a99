"""The list, the tags and the page agree, and what does not fit is said."""

import ast
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
import pytest
from nbformat import v4

from evalib.tools.claims import LIST, PAGE, claims_page, read_claims
from evalib.tools.cli import main

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").rglob("[!.]*.ipynb"))

SMALL = """\
opening = "# {count} claims"

[sections]
fields = "Receptive fields"

[claims.pooling-doubles]
section = "fields"
says = "A pooling doubles | the field."
finds = "It adds one step."

[claims.ninety-nine]
section = "fields"
says = "99 layers."

[untested.eyes]
section = "fields"
says = "Eyes see it."
why = "No eyes here."
"""


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def asserts(source: str) -> bool:
    """Whether code asserts something, by itself or by a function such as assert_allclose."""
    nodes = list(ast.walk(ast.parse(source)))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = [getattr(one, "attr", getattr(one, "id", "")) for one in called]
    return any(isinstance(node, ast.Assert) for node in nodes) or any(
        name.startswith("assert_") for name in names
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_places_are_those_that_nbformat_finds_and_each_has_an_assertion_nearby(path):
    claims = read_claims(REPOSITORY)["claims"]
    word = {"proves": "proved", "refines": "refined", "corrects": "corrected"}
    cells, expected = code_cells(path), set()
    for index, cell in enumerate(cells):
        for verdict, _, name in (tag.partition(":") for tag in cell.metadata.get("tags", [])):
            if name:
                expected.add((cell.execution_count, name))
                assert claims[name]["verdict"] == word[verdict]
                assert any(asserts(one.source) for one in cells[index : index + 4]), name
    cells_of = {(name, *cell) for name, claim in claims.items() for cell in claim["cells"]}
    book = path.relative_to(REPOSITORY / "notebooks").with_suffix("").as_posix()
    assert {(n, name) for name, file, n, _ in cells_of if file == book} == expected
    assert expected or path.parent.name == "further"


def test_the_stored_page_is_what_the_cells_say():
    stored = (REPOSITORY / PAGE).read_text(encoding="utf-8")
    assert stored == claims_page(REPOSITORY), "run `evalib claims`"


def test_each_link_of_the_page_leads_to_a_heading_above_its_cells():
    page = (REPOSITORY / PAGE).read_text(encoding="utf-8")
    links = re.findall(r"\]\((\S+?)\), cells? ([\d, ]+)", page)
    assert len(links) >= len(read_claims(REPOSITORY)["claims"])
    books = {path.name: nbformat.read(path, as_version=4).cells for path in NOTEBOOKS}
    for target, numbers in set(links):
        file, _, fragment = target.partition("#")
        assert (REPOSITORY / PAGE.parent / file).is_file()
        cells = books[Path(file).name]
        for number in map(int, numbers.split(",")):
            place = next(i for i, c in enumerate(cells) if c.get("execution_count") == number)
            above = "\n".join(c.source for c in cells[:place] if c.cell_type == "markdown")
            lines = [line for line in above.splitlines() if line.startswith("#")]
            assert lines[-1].lstrip("# ").replace(" ", "-") == unquote(fragment)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of two notebooks whose tags and list agree."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / LIST).write_text(SMALL)
    tagged = ("size = 12", ["nbval-ignore-output", "corrects:pooling-doubles"])
    heading = "## Is it (really) so?\n\n**No.**\n\n```\n# no heading\n```"
    rest = ["y = 2", "z = 3", "assert size == 12"]
    store(tmp_path, "01_first", "# Title", "x = 1", "   ", heading, tagged, *rest)
    cell = ("assert 198 / 2 == 99", ["proves:ninety-nine"])
    store(tmp_path, "02_second", "# A", cell, cell, "## B", cell)
    return tmp_path


def store(folder: Path, name: str, *contents: str | tuple[str, list[str]]) -> None:
    """Write a notebook of texts, which begin with #, and of code, with tags if there are any."""
    cells = []
    for content in contents:
        source, tags = (content, []) if isinstance(content, str) else content
        make = v4.new_markdown_cell if source.startswith("#") else v4.new_code_cell
        cells.append(make(source, metadata={"tags": tags} if tags else {}))
    nbformat.write(v4.new_notebook(cells=cells), folder / "notebooks" / f"{name}.ipynb")


def test_a_small_page(checkout):
    page = claims_page(checkout)
    target = "../notebooks/01_first.ipynb#Is-it-%28really%29-so?"
    assert (
        "| A pooling doubles \\| the field. | **corrected** | It adds one step. "
        f"| [01: Is it (really) so?]({target}), cell 2 |" in page
    )
    linked = "[02: A](../notebooks/02_second.ipynb#A), cells 1, 2<br>[02: B]"
    second = f"{linked}(../notebooks/02_second.ipynb#B), cell 3"
    assert f"| 99 layers. | **proved** |  | {second} |" in page
    assert page.startswith("# 2 claims\n\n| section | proved |")
    assert "| Receptive fields | 1 |  | 1 | 1 |" in page
    assert "| **all** | **1** | **0** | **1** | **1** |" in page
    assert page.index("## Not tested here") < page.index("| Eyes see it. |")
    assert page.endswith("|\n")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("ninety-nine]", "ninety-eight]", "one verdict for ninety-eight, got none"),
        ("untested.eyes", "untested.ninety-nine", "untested.ninety-nine: expected texts"),
        ('finds = "It adds one step."', "", "expected `finds`, what is right, for pooling-doubles"),
        ('finds = "It', 'find = "It', "claims.pooling-doubles: expected texts"),
        ('says = "99 layers."', "says = 99", "claims.ninety-nine: expected texts"),
        ("[untested.eyes]", "[unproved.eyes]", "expected opening, sections, claims, untested"),
        ("[claims.ninety-nine]", "[claims.ninety-nine", "claims.toml: expected TOML"),
    ],
)
def test_what_is_wrong_with_the_list_is_said(checkout, old, new, expected):
    assert old in SMALL
    (checkout / LIST).write_text(SMALL.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(expected)):
        claims_page(checkout)


PROVES = ["proves:ninety-nine"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([("assert 1", ["proves:pooling-doubles"])], "pooling-doubles, got corrects and proves"),
        ([("assert 1", ["proves:no-such"])], "03.ipynb, cell 1: expected a tag proves/refines/"),
        (["x = 1", ("assert 1", ["proved:ninety-nine"])], "cell 2: expected a tag"),
        (["assert 1", ("# A text", PROVES), "assert 1"], "asserts something, got proves"),
        ([("print('assert')", PROVES), *["x = 1"] * 3, "assert 1"], "where code asserts"),
    ],
)
def test_what_is_wrong_with_a_tag_is_said(checkout, cells: list[Any], expected: str):
    store(checkout, "03", *cells)
    with pytest.raises(ValueError, match=re.escape(expected)):
        claims_page(checkout)


def test_every_mistake_has_its_line_and_what_is_no_notebook_is_named(checkout):
    store(checkout, "02_second", ("assert 1", ["proves:this"]), ("assert 1", ["proves:that"]))
    with pytest.raises(ValueError, match="this") as error:
        claims_page(checkout)
    assert len(str(error.value).splitlines()) == 3  # two tags without a claim, one claim without
    for content in ("{", '{"cells": [3]}', '{"cells": [{"cell_type": "code"}]}'):
        (checkout / "notebooks" / "03.ipynb").write_text(content)
        with pytest.raises(ValueError, match=r"03\.ipynb: expected a notebook"):
            claims_page(checkout)


def test_the_command_writes_checks_and_refuses(checkout, capsys):
    folder = ("--folder", str(checkout))
    assert main(["claims", "--check", *folder]) == 1
    assert "run `evalib claims`" in capsys.readouterr().err
    assert main(["claims", *folder]) == 0
    assert capsys.readouterr().out == "docs/claims.md\n"
    assert main(["claims", "--check", *folder]) == 0
    store(checkout, "02_second", "# A", "x = 1", ("assert 198 / 2 == 99", PROVES))
    assert main(["claims", "--check", *folder]) == 1
    (checkout / LIST).write_text("[claims")
    assert main(["claims", "--check", *folder]) == 2
    assert "claims.toml: expected TOML" in capsys.readouterr().err
