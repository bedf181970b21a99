"""The claims of the course, each with the cells that prove, refine or correct it.

What a claim says and what the notebooks find stands in `notebooks/claims.toml`. The verdict is a
tag on the code cell that checks it: `proves:ID`, `refines:ID` or `corrects:ID`. Both together make
`docs/claims.md`. Nothing beyond the standard library is imported here: notebooks are read as JSON.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalib.files import write_atomically
from evalib.tools.toml_files import Problems, read_toml

LIST = Path("notebooks", "claims.toml")
PAGE = Path("docs", "claims.md")

# What a tag begins with, and the word that the page has for it.
VERDICTS = {"proves": "proved", "refines": "refined", "corrects": "corrected"}

# An assertion may follow in one of so many code cells, as the notebooks' own tests have it.
ASSERTED_WITHIN = 3

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ASSERTION = re.compile(r"^\s*(assert\b|[\w.]*\bassert_\w+\()", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement of the course.

    Attributes:
        name: Words joined by hyphens, as tags write it.
        section: The name of its section.
        says: The statement, in our words.
        answer: What the notebooks find, or, of an untested one, why it is not tested; None where
            a proof needs no words.
    """

    name: str
    section: str
    says: str
    answer: str | None = None


@dataclasses.dataclass(frozen=True)
class ClaimList:
    """All that `claims.toml` says.

    Attributes:
        sections: Titles by name, in the order of the page.
        claims: By name, in the order of the page.
        untested: The same for those that no cell tests.
    """

    sections: Mapping[str, str]
    claims: Mapping[str, Claim]
    untested: Mapping[str, Claim]


@dataclasses.dataclass(frozen=True)
class Place:
    """A code cell that bears on a claim.

    Attributes:
        claim: The claim's name.
        verdict: A key of `VERDICTS`.
        notebook: The notebook's name without `.ipynb`.
        cell: Its number, counting code cells that are not empty from 1: the stored execution count.
        heading: The nearest heading above it; None where there is none.
    """

    claim: str
    verdict: str
    notebook: str
    cell: int
    heading: str | None


def read_claims(path: Path) -> ClaimList:
    """Read the list of claims.

    Args:
        path: A TOML file with the tables `sections`, `claims` and `untested`.

    Returns:
        The list.

    Raises:
        ValueError: It is no such list; all that is wrong is told, each written `FILE:LINE: reason`.
        OSError: It cannot be read.
    """
    text, content = read_toml(path)
    problems = Problems(path, text)
    for table in content.keys() - {"sections", "claims", "untested"}:
        key = next((line for line in problems.lines if line[0] == table), (table,))
        problems.add(key, f"expected sections, claims or untested, got {table!r}")
    sections = _table(content, "sections", problems)
    claims = _read_table(content, "claims", "finds", sections, problems)
    untested = _read_table(content, "untested", "why", sections, problems)
    for name in claims.keys() & untested.keys():
        problems.add(("untested", name), f"{name!r} is the name of a claim already")
    for name, title in sections.items():
        if not isinstance(title, str) or not title:
            problems.add(("sections", name), f"expected a title, got {title!r}")
        if not any(claim.section == name for claim in (*claims.values(), *untested.values())):
            problems.add(("sections", name), f"no claim belongs to the section {name!r}")
    problems.raise_any()
    return ClaimList(sections, claims, untested)


def find_places(folder: Path) -> list[Place]:
    """Find the cells that are tagged with a claim.

    Args:
        folder: Where the notebooks are.

    Returns:
        A place for each tag, in the order of notebooks and cells.

    Raises:
        ValueError: A file is no notebook, or a tag is malformed, stands on a cell of text, or on a
            cell that asserts nothing, nor does one of the next three.
        OSError: A notebook cannot be read.
    """
    places, problems = [], []
    for path in sorted(folder.glob("*.ipynb")):
        try:
            found, wrong = _read_notebook(path)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}: expected a notebook") from error
        places += found
        problems += wrong
    if problems:
        raise ValueError("\n".join(problems))
    return places


def claims_page(folder: Path) -> str:
    """Write the page of all claims.

    Args:
        folder: The checkout.

    Returns:
        Markdown, ending in a line end.

    Raises:
        ValueError: The list or a tag is wrong, a tag names no claim, a claim has no cell, or two
            cells differ in their verdict; all of these are told at once.
        OSError: A file cannot be read.
    """
    listed = read_claims(folder / LIST)
    places = find_places(folder / LIST.parent)
    problems = _mismatches(listed, places)
    if problems:
        raise ValueError("\n".join(problems))
    by_claim = {name: [p for p in places if p.claim == name] for name in listed.claims}
    return "\n".join([*_opening(listed, by_claim), *_tables(listed, by_claim), *_untested(listed)])


def is_current(folder: Path) -> bool:
    """Whether the stored page of a checkout says what its list and its cells say."""
    page = folder / PAGE
    return page.is_file() and page.read_text(encoding="utf-8") == claims_page(folder)


def write_page(folder: Path) -> Path:
    """Write the page of a checkout, and return its path."""
    page, text = folder / PAGE, claims_page(folder)
    page.parent.mkdir(exist_ok=True)
    write_atomically(page, text)
    return page


def _table(content: Mapping[str, Any], name: str, problems: Problems) -> dict[str, Any]:
    table = content.get(name, {})
    if isinstance(table, dict):
        return table
    problems.add((name,), f"expected a table [{name}], got {table!r}")
    return {}


def _read_table(
    content: Mapping[str, Any],
    kind: str,
    answer: str,
    sections: Mapping[str, str],
    problems: Problems,
) -> dict[str, Claim]:
    """The claims of one table; `answer` is the key of what is said to them."""
    found = {}
    for name, entry in _table(content, kind, problems).items():
        key = (kind, name)
        if not isinstance(entry, dict):
            problems.add(key, f"expected a table [{kind}.{name}], got {entry!r}")
            continue
        if not _NAME.fullmatch(name):
            problems.add(key, f"expected a name of words joined by hyphens, got {name!r}")
        for part in entry.keys() - {"section", "says", answer}:
            problems.add((*key, part), f"expected section, says or {answer}, got {part!r}")
        needed = ("section", "says", answer) if kind == "untested" else ("section", "says")
        for part in {*needed, *(entry.keys() & {answer})}:
            if not isinstance(entry.get(part), str) or not entry[part].strip():
                problems.add((*key, part), f"expected a text {part!r} of {name!r}")
        if "section" in entry and entry["section"] not in sections:
            known = ", ".join(sections)
            problems.add((*key, "section"), f"expected one of {known}, got {entry['section']!r}")
        found[name] = Claim(
            name, str(entry.get("section")), str(entry.get("says")), entry.get(answer)
        )
    return found


def _read_notebook(path: Path) -> tuple[list[Place], list[str]]:
    """The places of one notebook, and what is wrong with its tags."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    places: list[Place] = []
    problems: list[str] = []
    sources = [_source(cell) for cell in cells if _is_code(cell)]
    heading, number = None, 0
    for cell in cells:
        if cell["cell_type"] == "markdown":
            heading = (_HEADING.findall(_FENCED.sub("", _source(cell))) or [heading])[-1]
        number += _is_code(cell)
        for tag in cell.get("metadata", {}).get("tags", []):
            verdict, colon, claim = tag.partition(":")
            if not colon:
                continue
            place = f"{path.name}, cell {number}" if _is_code(cell) else f"{path.name}, a text"
            if verdict not in VERDICTS:
                known = ", ".join(f"{one}:" for one in VERDICTS)
                problems.append(f"{place}: expected a tag that begins with {known} got {tag!r}")
            elif not _is_code(cell):
                problems.append(
                    f"{place}: expected {tag!r} on a code cell, for a text asserts nothing"
                )
            elif not any(map(_ASSERTION.search, sources[number - 1 : number + ASSERTED_WITHIN])):
                problems.append(
                    f"{place}: expected an assertion for {tag!r} there, "
                    f"or in one of the next {ASSERTED_WITHIN} code cells"
                )
            else:
                places.append(Place(claim, verdict, path.stem, number, heading))
    return places, problems


def _source(cell: Mapping[str, Any]) -> str:
    """A cell's text, which may be stored as a list of lines."""
    return "".join(cell["source"])


def _is_code(cell: Mapping[str, Any]) -> bool:
    return cell["cell_type"] == "code" and bool(_source(cell).strip())


def _mismatches(listed: ClaimList, places: Sequence[Place]) -> list[str]:
    """What does not fit between the list and the tags."""
    problems = []
    verdicts: dict[str, set[str]] = {name: set() for name in listed.claims}
    for place in places:
        if place.claim in verdicts:
            verdicts[place.claim].add(place.verdict)
            continue
        where, tag = f"{place.notebook}.ipynb, cell {place.cell}", f"{place.verdict}:{place.claim}"
        reason = "is listed as untested" if place.claim in listed.untested else f"is not in {LIST}"
        problems.append(f"{where}: the claim of the tag {tag!r} {reason}")
    for name, found in verdicts.items():
        if not found:
            tags = ", ".join(f"{verdict}:{name}" for verdict in VERDICTS)
            problems.append(f"{LIST}: no cell has a tag for {name!r}: expected one of {tags}")
        elif len(found) > 1:
            tags = " and ".join(sorted(found))
            problems.append(f"{LIST}: the cells of {name!r} differ: one {tags}")
        elif found != {"proves"} and listed.claims[name].answer is None:
            word = VERDICTS[found.pop()]
            problems.append(
                f"{LIST}: {name!r} is {word}: expected `finds`, which says what is right"
            )
    return problems


def _opening(listed: ClaimList, by_claim: Mapping[str, Sequence[Place]]) -> list[str]:
    """The title, how to read the page, and the counts."""
    verdicts = {name: places[0].verdict for name, places in by_claim.items()}
    lines = [
        "<!-- Written by `evalib claims` from notebooks/claims.toml and the tags of the notebooks'",
        "     cells: change those, not this page. -->",
        "",
        "# Every claim of the course, and the cell that checks it",
        "",
        f"The course makes {len(by_claim)} claims that the notebooks test. Each is told here in "
        "our words, with the verdict, what was found, and the cell that asserts it whenever the "
        "notebook runs. Cells are counted as the notebook numbers them, `[17]` being cell 17.",
        "",
        "- **Proved**: it holds as it was said.",
        "- **Refined**: it holds with a condition, or less widely than it was said.",
        "- **Corrected**: it does not hold, and beside it stands what does.",
        "",
        "| section | proved | refined | corrected | not tested |",
        "|---|---|---|---|---|",
    ]
    totals = [0, 0, 0, 0]
    for name, title in listed.sections.items():
        mine = [verdicts[claim.name] for claim in listed.claims.values() if claim.section == name]
        left = sum(claim.section == name for claim in listed.untested.values())
        counts = [*(mine.count(verdict) for verdict in VERDICTS), left]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        lines.append(f"| {title} | " + " | ".join(str(count or "") for count in counts) + " |")
    lines.append("| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |")
    return lines


def _tables(listed: ClaimList, by_claim: Mapping[str, Sequence[Place]]) -> list[str]:
    """A section each, with a table of its claims."""
    lines: list[str] = []
    for section, title in listed.sections.items():
        mine = [claim for claim in listed.claims.values() if claim.section == section]
        if not mine:
            continue
        lines += ["", f"## {title}", ""]
        lines += ["| the course says | verdict | the notebooks find | where |", "|---|---|---|---|"]
        for claim in mine:
            places = by_claim[claim.name]
            verdict = VERDICTS[places[0].verdict]
            cells = (claim.says, f"**{verdict}**", claim.answer or "", _where(places))
            lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return lines


def _untested(listed: ClaimList) -> list[str]:
    if not listed.untested:
        return [""]
    lines = [
        "",
        "## Not tested here",
        "",
        "| the course says | section | why not |",
        "|---|---|---|",
    ]
    for section, title in listed.sections.items():
        for claim in listed.untested.values():
            if claim.section == section:
                cells = (claim.says, title, claim.answer or "")
                lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return [*lines, ""]


def _cell(text: str) -> str:
    """A text for a cell of a table, on one line."""
    return " ".join(text.split()).replace("|", "\\|")


def _where(places: Sequence[Place]) -> str:
    """Links to the headings under which the cells stand, with the cells' numbers."""
    by_heading: dict[tuple[str, str | None], list[int]] = {}
    for place in places:
        by_heading.setdefault((place.notebook, place.heading), []).append(place.cell)
    links = []
    for (notebook, heading), cells in by_heading.items():
        file = f"../{LIST.parent.as_posix()}/{quote(notebook)}.ipynb"
        target = file if heading is None else f"{file}#{anchor(heading)}"
        shown = notebook if heading is None else f"{notebook.split('_')[0]}: {heading}"
        word = "cell" if len(cells) == 1 else "cells"
        links.append(f"[{shown}]({target}), {word} {', '.join(map(str, cells))}")
    return "<br>".join(links)


def anchor(heading: str) -> str:
    """The part of an address that leads to a notebook's heading.

    Jupyter, nbconvert, nbviewer and GitHub's view of notebooks take the heading's text with hyphens
    for spaces, unlike GitHub's Markdown, which drops capitals and punctuation.

    Args:
        heading: Such as "Is it cheap?".

    Returns:
        Such as "Is-it-cheap?", with what Markdown would take for its own percent-encoded.
    """
    return quote(heading.replace(" ", "-"), safe="?!,.:;=@/+$&'*~")
