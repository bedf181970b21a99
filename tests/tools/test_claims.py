"""The list, the tags and the page agree, and what does not fit is said."""

import ast
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
import pytest
from nbformat import v4

from evalib.tools.claims import (
    LIST,
    PAGE,
    VERDICTS,
    anchor,
    claims_page,
    find_places,
    is_current,
    read_claims,
    write_page,
)
from evalib.tools.cli import main

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").rglob("[0-9]*.ipynb"))

SMALL = """\
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


def tags_by_nbformat() -> set[tuple[str, int, str]]:
    """Notebook, stored execution count and tag, of each tag with a colon."""
    return {
        (path.stem, cell.execution_count, tag)
        for path in NOTEBOOKS
        for cell in code_cells(path)
        for tag in cell.metadata.get("tags", [])
        if ":" in tag
    }


def asserts(source: str) -> bool:
    """Whether code asserts something, by itself or by a function such as assert_allclose."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name.startswith("assert_"):
                return True
    return False


def test_each_tag_names_a_claim_and_each_claim_has_its_cell():
    tags = {tag for _, _, tag in tags_by_nbformat()}
    assert {tag.split(":")[0] for tag in tags} == set(VERDICTS)
    assert {tag.split(":")[1] for tag in tags} == set(read_claims(REPOSITORY / LIST).claims)
    # One verdict each.
    assert len(tags) == len({tag.split(":")[1] for tag in tags})


def test_places_are_those_that_nbformat_finds():
    places = find_places(REPOSITORY / "notebooks")
    found = [(place.notebook, place.cell, f"{place.verdict}:{place.claim}") for place in places]
    assert len(found) == len(set(found))
    assert set(found) == tags_by_nbformat()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tagged_cell_or_one_of_the_next_three_asserts(path):
    cells = code_cells(path)
    tagged = [i for i, cell in enumerate(cells) if ":" in "".join(cell.metadata.get("tags", []))]
    assert tagged
    for number in tagged:
        sources = [cell.source for cell in cells[number : number + 4]]
        assert any(map(asserts, sources)), cells[number].source[:80]


def test_the_stored_page_is_what_the_cells_say():
    assert (REPOSITORY / PAGE).read_text(encoding="utf-8") == claims_page(REPOSITORY), (
        "run `evalib claims`"
    )


def test_each_link_of_the_page_leads_to_a_heading_above_its_cells():
    page = (REPOSITORY / PAGE).read_text(encoding="utf-8")
    links = re.findall(r"\]\((\S+?)\), cells? ([\d, ]+)", page)
    assert len(links) >= len(read_claims(REPOSITORY / LIST).claims)
    for target, numbers in set(links):
        file, _, fragment = target.partition("#")
        cells = nbformat.read((REPOSITORY / PAGE).parent / file, as_version=4).cells
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
    store(
        tmp_path,
        "01_first",
        "# Title",
        "x = 1",
        "   ",
        "## Is it (really) so?\n\n**No.**\n\n```\n# no heading\n```",
        ("size = 12", ["nbval-ignore-output", "corrects:pooling-doubles"]),
        "y = 2",
        "z = 3",
        "assert size == 12",
    )
    store(tmp_path, "02_second", ("assert 198 / 2 == 99", ["proves:ninety-nine"]))
    return tmp_path


def store(folder: Path, name: str, *contents: str | tuple[str, list[str]]) -> None:
    """Write a notebook of texts, which begin with #, and of code, with tags if there are any."""
    cells = []
    for content in contents:
        source, tags = (content, []) if isinstance(content, str) else content
        make = v4.new_markdown_cell if source.startswith("#") else v4.new_code_cell
        cells.append(make(source, metadata={"tags": tags} if tags else {}))
    path = folder / "notebooks" / f"{name}.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)


def test_a_small_page(checkout):
    page = claims_page(checkout)
    target = "../notebooks/01_first.ipynb#Is-it-%28really%29-so?"
    assert (
        "| A pooling doubles \\| the field. | **corrected** | It adds one step. "
        f"| [01: Is it (really) so?]({target}), cell 2 |" in page
    )
    # Without a heading above, the link leads to the notebook.
    second = "[02_second](../notebooks/02_second.ipynb), cell 1"
    assert f"| 99 layers. | **proved** |  | {second} |" in page
    assert "| Receptive fields | 1 |  | 1 | 1 |" in page
    assert "| **all** | **1** | **0** | **1** | **1** |" in page
    assert page.index("## Not tested here") < page.index("| Eyes see it. |")
    assert page.endswith("|\n")


def test_writing_makes_it_current_and_a_change_makes_it_stale(checkout):
    assert not is_current(checkout)
    assert write_page(checkout) == checkout / PAGE
    assert is_current(checkout)
    store(checkout, "02_second", "x = 1", ("assert 198 / 2 == 99", ["proves:ninety-nine"]))
    assert not is_current(checkout)


def test_several_cells_share_the_link_of_their_heading(checkout):
    cell = ("assert 1", ["proves:ninety-nine"])
    store(checkout, "02_second", "# A", cell, cell, "## B", cell)
    linked = "[02: A](../notebooks/02_second.ipynb#A), cells 1, 2<br>[02: B]"
    assert f"{linked}(../notebooks/02_second.ipynb#B), cell 3 |" in claims_page(checkout)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ninety-nine]": "ninety-eight]"}, "a tag for 'ninety-eight', found none"),
        ({"ninety-nine]": "ninety-eight]"}, "the claim 'ninety-nine' of its tag is not in"),
        ({"claims.ninety-nine]": "claims.pooling-doubles]"}, "Cannot declare"),
        ({"untested.eyes": "untested.ninety-nine"}, "ninety-nine is the name of a claim"),
        ({"claims.ninety-nine": "untested.ninety-nine"}, "expected a text for 'why'"),
        ({'finds = "It adds one step."': ""}, "'pooling-doubles' is corrected: expected `finds`"),
        ({'finds = "It': 'find = "It'}, "expected section, says and finds, got 'find'"),
        ({'"fields"': '"field"'}, "expected one of fields, got 'field'"),
        ({'says = "99 layers."': 'says = ""'}, "expected a text for 'says', got ''"),
        ({'says = "99 layers."': "says = 99"}, "expected a text for 'says', got 99"),
        ({"ninety-nine]": "Ninety_Nine]"}, "lower-case words joined by hyphens"),
        ({"[untested.eyes]": "[unproved.eyes]"}, "expected sections, claims and untested"),
        ({"[sections]": '[sections]\nempty = "E"'}, "no claim belongs to the section 'empty'"),
        ({"[sections]": "claims = 3\n[sections]", "[claims.": "[untested."}, "expected a table"),
        ({"[claims.ninety-nine]": "[claims.ninety-nine"}, "claims.toml: expected TOML"),
    ],
)
def test_what_is_wrong_with_the_list_is_said(
    checkout: Path, change: dict[str, str], expected: str
) -> None:
    text = SMALL
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    (checkout / LIST).write_text(text)
    with pytest.raises(ValueError, match=re.escape(expected)):
        claims_page(checkout)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([("assert 1", ["proves:pooling-doubles"])], "one cell corrects and one proves"),
        ([("assert 1", ["proves:no-such"])], "03.ipynb, cell 1: the claim 'no-such' of its tag"),
        ([("assert 1", ["refines:eyes"])], "the claim 'eyes' of its tag is listed as untested"),
        (["x = 1", ("assert 1", ["proved:ninety-nine"])], "cell 2: expected a tag of proves"),
        ([("# A text", ["proves:ninety-nine"])], "'proves:ninety-nine' on a code cell"),
        ([("1", ["proves:ninety-nine"])], "cell 1: expected an assertion for 'proves:ninety-nine'"),
        (
            [("print('assert')", ["proves:ninety-nine"]), *["x = 1"] * 3, "assert 1"],
            "cell 1: expected an assertion for",
        ),
    ],
)
def test_what_is_wrong_with_a_tag_is_said(checkout: Path, cells: list[Any], expected: str) -> None:
    store(checkout, "03", *cells)
    with pytest.raises(ValueError, match=re.escape(expected)):
        claims_page(checkout)


def test_every_mistake_has_its_line(checkout):
    store(checkout, "02_second", ("assert 1", ["proves:this"]), ("assert 1", ["proves:that"]))
    with pytest.raises(ValueError, match="this") as error:
        claims_page(checkout)
    assert len(str(error.value).splitlines()) == 3  # two tags without a claim, one claim without


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[" * 100_000,
        '{"cells": 3}',
        '{"cells": [3]}',
        '{"cells": [{"cell_type": "code"}]}',
        '{"cells": [{"cell_type": "code", "source": "1", "metadata": []}]}',
        '{"cells": [{"cell_type": "code", "source": "1", "metadata": {"tags": null}}]}',
        '{"cells": [{"cell_type": "code", "source": "1", "metadata": {"tags": [3]}}]}',
    ],
    ids=lambda content: content[:80],
)
def test_what_is_no_notebook_is_named(checkout, content):
    (checkout / "notebooks" / "03.ipynb").write_text(content)
    with pytest.raises(ValueError, match=r"03\.ipynb: expected a notebook"):
        claims_page(checkout)


def test_an_anchor_is_the_heading_with_hyphens():
    assert anchor("Is it cheap?") == "Is-it-cheap?"
    assert anchor('"Too large", (twice)') == "%22Too-large%22,-%28twice%29"


def test_the_command_writes_checks_and_refuses(checkout, capsys):
    folder = ("--folder", str(checkout))
    assert main(["claims", "--check", *folder]) == 1
    assert "run `evalib claims`" in capsys.readouterr().err
    assert main(["claims", *folder]) == 0
    assert capsys.readouterr().out == "docs/claims.md\n"
    assert main(["claims", "--check", *folder]) == 0
    (checkout / LIST).write_text("[claims")
    assert main(["claims", "--check", *folder]) == 2
    assert "claims.toml: expected TOML" in capsys.readouterr().err
