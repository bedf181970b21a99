"""What docs/extensions does before Sphinx does the rest; `make test-site` runs it."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")  # of the extra "site"
from docutils import nodes

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "extensions"))

import course_pages  # noqa: E402
import figure_captions  # noqa: E402
from docstrings import to_restructured_text  # noqa: E402

README = """# A title

## One

| notebook | parameters |
|---|---|
| `first` | 1,234 |

### Below

Text.

## Two
"""


def test_a_section_ends_at_the_next_heading_of_its_level():
    section = course_pages.readme_section(README, "## One")
    assert section.startswith("| notebook")
    assert section.endswith("### Below\n\nText.")
    assert course_pages.readme_section(README, "### Below") == "Text."
    assert course_pages.readme_section(README, "## Two") == ""
    with pytest.raises(ValueError, match=r"one heading '## Three' in README.md, found 0"):
        course_pages.readme_section(README, "## Three")


def test_rows_of_a_table_by_their_heads():
    assert course_pages.table_rows(README) == [{"notebook": "first", "parameters": "1,234"}]


def test_every_module_of_evalib_has_its_place_once():
    groups = course_pages.module_groups(ROOT / "evalib")
    names = [module.name for modules in groups.values() for module in modules]
    files = (path for path in (ROOT / "evalib").rglob("[a-z]*.py"))
    parts = (path.relative_to(ROOT / "evalib").with_suffix("").parts for path in files)
    assert sorted(names) == sorted(".".join(part) for part in parts)
    assert all(module.summary for modules in groups.values() for module in modules)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](../notebooks/01_x.ipynb)", "[a](notebooks/01_x.ipynb)"),
        ("[a](../notebooks/01_x.ipynb#Why-3x3?)", "[a](notebooks/01_x.ipynb#why-3x3)"),
        ("[a](../notebooks/01_x.ipynb#Is-%22it%22-so?)", "[a](notebooks/01_x.ipynb#is-it-so)"),
        ("[a](../outputs/x.json)", "[a](../outputs/x.json)"),
    ],
)
def test_links_to_notebooks_lead_to_their_pages(link, expected):
    assert course_pages.NOTEBOOK_LINK.sub(course_pages._page_link, link) == expected


def test_files_of_the_repository_become_downloads_and_images_stay_images():
    text = "![dots](outputs/a.png) and [`a.json`](outputs/a.json), [MIT](LICENSE), [x](#y)"
    assert course_pages.for_pages("[b](tests/b.py)") == "{download}`b <../tests/b.py>`"
    assert course_pages.for_pages(text) == (
        "![dots](../outputs/a.png) and {download}`a.json <../outputs/a.json>`, "
        "{download}`MIT <../LICENSE>`, [x](#y)"
    )


def test_a_docstring_in_markdown_becomes_restructured_text():
    docstring = """Scale by `a`, unless `|a|` is 0 or |b| is.

The formula is

    y = |a| x
      + b

and `this
goes on`.

Args:
    x: of `shape`
        (n, m).

Returns:
    One for each: `a`.

Example:
    >>> 1 | 2
    3"""
    expected = r"""Scale by ``a``, unless ``|a|`` is 0 or \|b\| is.

The formula is

::

    y = |a| x
      + b

and ``this
goes on``.

Args:
    x: of ``shape``
        (n, m).

:returns:
    One for each: ``a``.

Example:
    >>> 1 | 2
    3"""
    assert "\n".join(to_restructured_text(docstring.split("\n"))) == expected


def caption(*children: nodes.Node) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong("", "Figure 3."), *children)


def test_an_alternative_text_is_the_first_sentences_in_plain_words():
    paragraph = caption(
        nodes.Text(" The bell of "),
        nodes.math("", r"\mathrm{relu}(a\,x)"),
        nodes.Text(", "),
        nodes.literal("", "drawn"),
        nodes.Text(" twice. " + "Words without end, " * 20 + "and a stop."),
    )
    assert figure_captions.alternative_text(paragraph) == (
        "Figure 3. The bell of relu(ax), drawn twice."
    )


def test_only_a_paragraph_that_begins_with_its_number_is_a_caption():
    assert figure_captions.is_output_or_caption(caption(nodes.Text(" It bends.")))
    mention = nodes.paragraph("", "", nodes.Text("See "), nodes.strong("", "Figure 3."))
    assert not figure_captions.is_output_or_caption(mention)
    assert not figure_captions.is_output_or_caption(nodes.image("", uri="a.png"))


def test_a_cover_has_the_words_of_its_caption():
    notebook = {
        "cells": [
            {"source": ["**Figure 1.** One *e* in `ink`. Then more."]},
            {"source": ["**Figure 12.** Another."]},
        ]
    }
    assert course_pages.caption(notebook, 1) == "One e in ink."
    with pytest.raises(ValueError, match=r"one caption of figure 2, found 0"):
        course_pages.caption(notebook, 2)


def test_the_font_for_formulas_holds_what_they_are_made_of():
    """STIX Two Math is cut down to what a page needs: this fails when a formula needs more."""
    from fontTools.ttLib import TTFont
    from math_to_mathml import CONVERTER

    font = TTFont(ROOT / "docs/_static/fonts/stix-two-math.woff")
    assert "MATH" in font
    known = set(font.getBestCmap())
    for path in (ROOT / "notebooks/src").glob("*.py"):
        text = re.sub(r"(?m)^# ?", "", path.read_text(encoding="utf-8"))
        for cell in text.split("%% "):
            if not cell.startswith("[markdown]"):
                continue
            for block, inline in re.findall(r"(?s)\$\$(.+?)\$\$|\$([^$]+)\$", cell):
                mathml = CONVERTER.convert_with_local_state(
                    block or inline, displaystyle=bool(block)
                )
                letters = {ord(letter) for letter in re.sub(r"<[^>]*>|&\w+;|\s", "", mathml)}
                # An italic letter is drawn by its code among the mathematical letters.
                assert letters <= known, {chr(code) for code in letters - known}
