"""The claims of the course, each with the cells that prove, refine or correct it.

What a claim says and what the notebooks find stands in `notebooks/claims.toml`. The verdict is a
tag on the code cell that checks it: `proves:ID`, `refines:ID` or `corrects:ID`. Both together make
`docs/claims.md`. Nothing beyond the standard library is imported here: notebooks are read as JSON.
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalib.results import write_atomically

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
        name: words joined by hyphens, as tags write it.
        section: the name of its section.
        says: the statement, in our words.
        answer: what the notebooks find or, of an untested claim, why it is not tested; None where
            a proof needs no words.
    """

    name: str
    section: str
    says: str
    answer: str | None = None


@dataclasses.dataclass(frozen=True)
class ClaimList:
    """What `claims.toml` says: titles of sections, claims and untested claims, each by name."""

    sections: Mapping[str, str]
    claims: Mapping[str, Claim]
    untested: Mapping[str, Claim]

    def of_section(self, name: str) -> list[Claim]:
        """The tested claims of one section, in the order of the file."""
        return [claim for claim in self.claims.values() if claim.section == name]


@dataclasses.dataclass(frozen=True)
class Place:
    """A code cell that bears on a claim.

    Attributes:
        claim: the claim's name.
        verdict: a key of `VERDICTS`.
        notebook: the notebook's path below `notebooks/`, without `.ipynb`.
        cell: its number, counting code cells that are not empty from 1: the stored execution count.
        heading: the nearest heading above it; None where there is none.
    """

    claim: str
    verdict: str
    notebook: str
    cell: int
    heading: str | None


def read_claims(path: Path) -> ClaimList:
    """Read the list of claims.

    Args:
        path: a TOML file with the tables `sections`, `claims` and `untested`.

    Raises:
        ValueError: it is no such list; every mistake has a line of its own.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected TOML: {error}") from error
    problems = []
    if unknown := content.keys() - {"sections", "claims", "untested"}:
        problems.append(f"expected sections, claims and untested, got {', '.join(unknown)}")
    for name, table in content.items():
        if not isinstance(table, dict):
            raise ValueError(f"{path}: expected a table [{name}], got {table!r}")
    sections = content.get("sections", {})
    tables: dict[str, dict[str, Claim]] = {"claims": {}, "untested": {}}
    for kind, answer in (("claims", "finds"), ("untested", "why")):
        for name, entry in content.get(kind, {}).items():
            if wrong := _wrong_entry(name, entry, answer, sections):
                problems += wrong
            else:
                claim = Claim(name, entry["section"], entry["says"], entry.get(answer))
                tables[kind][name] = claim
    for name in tables["claims"].keys() & tables["untested"].keys():
        problems.append(f"untested.{name} is the name of a claim already")
    every = [*tables["claims"].values(), *tables["untested"].values()]
    for name in sections.keys() - {claim.section for claim in every}:
        problems.append(f"no claim belongs to the section {name!r}")
    if problems:
        raise ValueError("\n".join(f"{path}: {problem}" for problem in problems))
    return ClaimList(sections, tables["claims"], tables["untested"])


def _wrong_entry(name: str, entry: Any, answer: str, sections: Mapping[str, str]) -> list[str]:
    """Say what is wrong with one claim; its `answer` stands under that key."""
    if not isinstance(entry, dict):
        return [f"expected a table for {name!r}, got {entry!r}"]
    wrong = []
    if not _NAME.fullmatch(name):
        wrong.append(f"expected a name of lower-case words joined by hyphens, got {name!r}")
    for key in entry.keys() - {"section", "says", answer}:
        wrong.append(f"{name}: expected section, says and {answer}, got {key!r}")
    for key in {"section", "says"} | ({answer} & entry.keys() if answer == "finds" else {answer}):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            wrong.append(f"{name}: expected a text for {key!r}, got {entry.get(key)!r}")
    if isinstance(entry.get("section"), str) and entry["section"] not in sections:
        wrong.append(f"{name}: expected one of {', '.join(sections)}, got {entry['section']!r}")
    return wrong


def find_places(folder: Path) -> list[Place]:
    """Find the cells that are tagged with a claim.

    Args:
        folder: where the notebooks are; those in its subfolder `further` count too.

    Returns:
        A place for each tag, in the order of notebooks and cells.

    Raises:
        ValueError: a file is no notebook, or a tag is malformed, stands on a cell of text, or on a
            cell where neither it nor one of the next three asserts anything.
    """
    places: list[Place] = []
    problems: list[str] = []
    for path in [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("further/*.ipynb"))]:
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            _read_cells(name, cells, places, problems)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}: expected a notebook") from error
    if problems:
        raise ValueError("\n".join(problems))
    return places


def _read_cells(
    notebook: str, cells: Sequence[Any], places: list[Place], problems: list[str]
) -> None:
    """Append the places of one notebook, and what is wrong with its tags."""
    sources = ["".join(cell["source"]) for cell in cells]
    is_code = [
        cell["cell_type"] == "code" and bool(source.strip())
        for cell, source in zip(cells, sources, strict=True)
    ]
    code = [source for source, kept in zip(sources, is_code, strict=True) if kept]
    heading, number = None, 0
    for cell, source, kept in zip(cells, sources, is_code, strict=True):
        if cell["cell_type"] == "markdown":
            heading = (_HEADING.findall(_FENCED.sub("", source)) or [heading])[-1]
        number += kept
        for tag in cell.get("metadata", {}).get("tags", []):
            verdict, colon, claim = tag.partition(":")
            if not colon:
                continue
            where = f"{notebook}.ipynb, cell {number}: expected"
            if verdict not in VERDICTS:
                problems.append(f"{where} a tag of {', '.join(VERDICTS)}, got {tag!r}")
            elif not kept:
                problems.append(f"{where} {tag!r} on a code cell, for a text asserts nothing")
            elif not any(map(_ASSERTION.search, code[number - 1 : number + ASSERTED_WITHIN])):
                problems.append(
                    f"{where} an assertion for {tag!r} there, or in one of the next "
                    f"{ASSERTED_WITHIN} code cells"
                )
            else:
                places.append(Place(claim, verdict, notebook, number, heading))


def claims_page(folder: Path) -> str:
    """Write the page of all claims as Markdown.

    Args:
        folder: the checkout.

    Raises:
        ValueError: the list or a tag is wrong, a tag names no claim, a claim has no cell, or two
            cells differ in their verdict; every mistake has a line of its own.
    """
    listed = read_claims(folder / LIST)
    places = find_places(folder / LIST.parent)
    if problems := _mismatches(listed, places):
        raise ValueError("\n".join(problems))
    by_claim = {name: [p for p in places if p.claim == name] for name in listed.claims}
    return "\n".join([*_opening(listed, by_claim), *_tables(listed, by_claim), *_untested(listed)])


def is_current(folder: Path) -> bool:
    """Whether the stored page of a checkout says what its list and its cells say."""
    page = folder / PAGE
    return page.is_file() and page.read_text(encoding="utf-8") == claims_page(folder)


def write_page(folder: Path) -> Path:
    """Write the page of a checkout, and return its path."""
    text = claims_page(folder)
    write_atomically(folder / PAGE, text)
    return folder / PAGE


def _mismatches(listed: ClaimList, places: Sequence[Place]) -> list[str]:
    """What does not fit between the list and the tags."""
    problems = []
    verdicts: dict[str, set[str]] = {name: set() for name in listed.claims}
    for place in places:
        if place.claim in verdicts:
            verdicts[place.claim].add(place.verdict)
        else:
            reason = "listed as untested" if place.claim in listed.untested else f"not in {LIST}"
            where = f"{place.notebook}.ipynb, cell {place.cell}"
            problems.append(f"{where}: the claim {place.claim!r} of its tag is {reason}")
    for name, found in verdicts.items():
        if not found:
            problems.append(f"{LIST}: expected a cell with a tag for {name!r}, found none")
        elif len(found) > 1:
            problems.append(f"{LIST}: one cell {' and one '.join(sorted(found))} {name!r}")
        elif found != {"proves"} and listed.claims[name].answer is None:
            word = VERDICTS[found.pop()]
            problems.append(f"{LIST}: {name!r} is {word}: expected `finds`, what is right")
    return problems


def _opening(listed: ClaimList, by_claim: Mapping[str, Sequence[Place]]) -> list[str]:
    """The title, how to read the page, and the counts."""
    lines = [
        "<!-- Written by `evalib claims` from notebooks/claims.toml and the tags of the notebooks'",
        "     cells: change those, not this page. -->",
        "",
        "# Every claim of the course, and the cell that checks it",
        "",
        f"The notebooks test {len(by_claim)} claims of the course. Here is each one in our words, "
        "with the verdict, what was found, and the cell that asserts it whenever the notebook "
        "runs. Cells have the numbers that the notebook shows: `[17]` is cell 17.",
        "",
        "- **Proved**: it holds as stated.",
        "- **Refined**: it holds under a condition, or less widely than stated.",
        "- **Corrected**: it does not hold; the right answer stands beside it.",
        "",
        "| section | proved | refined | corrected | not tested |",
        "|---|---|---|---|---|",
    ]
    totals = [0, 0, 0, 0]
    for name, title in listed.sections.items():
        mine = [by_claim[claim.name][0].verdict for claim in listed.of_section(name)]
        left = sum(claim.section == name for claim in listed.untested.values())
        counts = [*(mine.count(verdict) for verdict in VERDICTS), left]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        lines.append(f"| {title} | " + " | ".join(str(count or "") for count in counts) + " |")
    return [*lines, "| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |"]


def _tables(listed: ClaimList, by_claim: Mapping[str, Sequence[Place]]) -> list[str]:
    """A section each, with a table of its claims."""
    lines: list[str] = []
    for section, title in listed.sections.items():
        if claims := listed.of_section(section):
            lines += ["", f"## {title}", ""]
            lines += ["| the course says | verdict | the notebooks find | where |"]
            lines += ["|---|---|---|---|"]
        for claim in claims:
            places = by_claim[claim.name]
            verdict = f"**{VERDICTS[places[0].verdict]}**"
            lines.append(_row(claim.says, verdict, claim.answer or "", _where(places)))
    return lines


def _untested(listed: ClaimList) -> list[str]:
    if not listed.untested:
        return [""]
    lines = ["", "## Not tested here", ""]
    lines += ["| the course says | section | why not |", "|---|---|---|"]
    for section, title in listed.sections.items():
        lines += [
            _row(claim.says, title, claim.answer or "")
            for claim in listed.untested.values()
            if claim.section == section
        ]
    return [*lines, ""]


def _row(*texts: str) -> str:
    """One row of a table, each text on one line."""
    return "| " + " | ".join(" ".join(text.split()).replace("|", "\\|") for text in texts) + " |"


def _where(places: Sequence[Place]) -> str:
    """Links to the headings under which the cells stand, with the cells' numbers."""
    by_heading: dict[tuple[str, str | None], list[int]] = {}
    for place in places:
        by_heading.setdefault((place.notebook, place.heading), []).append(place.cell)
    links = []
    for (notebook, heading), cells in by_heading.items():
        file = f"../{LIST.parent.as_posix()}/{quote(notebook)}.ipynb"
        target = file if heading is None else f"{file}#{anchor(heading)}"
        name = notebook.rpartition("/")[2]
        shown = name if heading is None else f"{name.split('_')[0]}: {heading}"
        word = "cell" if len(cells) == 1 else "cells"
        links.append(f"[{shown}]({target}), {word} {', '.join(map(str, cells))}")
    return "<br>".join(links)


def anchor(heading: str) -> str:
    """The anchor that Jupyter and GitHub's notebook view give a heading, quoted for a link."""
    return quote(heading.replace(" ", "-"), safe="?!,.:;=@/+$&'*~")
