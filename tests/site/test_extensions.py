"""What docs/extensions does before Sphinx does the rest; `make test-site` runs it."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")  # of the extra "site"

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "extensions"))

import course_pages  # noqa: E402
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
    with pytest.raises(ValueError, match=r"one heading '## Three' in README.md, found 0"):
        course_pages.readme_section(README, "## Three")
    assert course_pages.table_rows(README) == [{"notebook": "first", "parameters": "1,234"}]


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


def test_the_font_for_formulas_holds_what_they_are_made_of():
    """STIX Two Math is cut down to what a page needs: this fails when a formula needs more."""
    from fontTools.ttLib import TTFont
    from math_to_mathml import CONVERTER

    font = TTFont(ROOT / "docs/_static/fonts/stix-two-math.woff")
    assert "MATH" in font
    known = set(font.getBestCmap())
    for path in (ROOT / "notebooks/src").glob("*.py"):
        text = re.sub(r"(?m)^# ?", "", path.read_text(encoding="utf-8"))
        for cell in [one for one in text.split("%% ") if one.startswith("[markdown]")]:
            for block, inline in re.findall(r"(?s)\$\$(.+?)\$\$|\$([^$]+)\$", cell):
                formula = block or inline
                mathml = CONVERTER.convert_with_local_state(formula, displaystyle=bool(block))
                letters = {ord(letter) for letter in re.sub(r"<[^>]*>|&\w+;|\s", "", mathml)}
                # An italic letter is drawn by its code among the mathematical letters.
                assert letters <= known, {chr(code) for code in letters - known}
