"""Docstrings of evalib are read in the code as well, so they are written rather like Markdown.

Before napoleon reads their sections, `code` in single backquotes becomes a literal, an indented
block under a paragraph becomes a block of code, and a bar in running text stays a bar. Types are
taken from the signature, so that a colon under `Returns:` is part of a sentence.
"""

import re
from typing import Any

from sphinx.application import Sphinx

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
EXAMPLE = re.compile(r"Examples?:")
CODE = re.compile(r"(`[^`]+`)")


def to_restructured_text(lines: list[str]) -> list[str]:
    """Translate a docstring.

    Args:
        lines: Its lines, without the indentation of the code around it.

    Returns:
        Its lines in reStructuredText, still with Google's sections.
    """
    translated: list[str] = []
    in_section = in_block = False
    for line in lines:
        text = line.strip()
        if text == "Returns:" and text == line:
            # As a field of reStructuredText: napoleon takes what stands before a colon for a type.
            translated.append(":returns:")
            in_section, in_block = True, False
            continue
        if text and not line.startswith(" "):
            in_section, in_block = SECTION.fullmatch(text) is not None, False
            if EXAMPLE.fullmatch(text):  # a block of code already
                translated.append(line)
                in_block = True
                continue
        begins = line.startswith("    ") and not in_section and not in_block
        if begins and translated and not translated[-1].strip():
            in_block = True
            translated += ["::", ""]
        translated.append(f"\0{line}" if in_block else line)
    # Code in backquotes may go on in the next line, so words are translated all at once.
    text = "\n".join(translated)
    parts = re.split(r"((?:^\0.*\n?)+)", text, flags=re.MULTILINE)
    parts[::2] = [_translate_words(part) for part in parts[::2]]
    return "".join(parts).replace("\0", "").split("\n")


def _translate_words(text: str) -> str:
    parts = CODE.split(text)
    parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
    parts[1::2] = [f"`{part}`" for part in parts[1::2]]
    return "".join(parts)


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_restructured_text(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    # 400: before napoleon, whose handler has the default priority of 500.
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
