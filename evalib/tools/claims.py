"""The course's claims in `notebooks/claims.toml` and the tagged cells that check them: a page."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evalib.tools.colab import read_cells

LIST, PAGE = Path("notebooks", "claims.toml"), Path("docs", "claims.md")
# What a tag begins with, and the word that the page has for it.
VERDICTS = {"proves": "proved", "refines": "refined", "corrects": "corrected"}
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_ASSERTION = re.compile(r"^\s*(assert\b|[\w.]*\bassert_\w+\()", re.MULTILINE)


def read_claims(folder: Path) -> dict[str, Any]:
    """The tables of a list; a claim also has `verdict` and `cells`. A ValueError has all faults."""
    try:
        listed = tomllib.loads((folder / LIST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{LIST}: expected TOML: {error}") from error
    _check_entries(listed)
    problems, claims = [], listed["claims"]
    verdicts: dict[str, set[str]] = {name: set() for name in claims}
    for claim in claims.values():
        claim["cells"] = []
    for tag, cell, asserts in _tagged_cells(folder / LIST.parent):
        verdict, _, name = tag.partition(":")
        if name in claims and verdict in VERDICTS and asserts:
            verdicts[name].add(verdict)
            claims[name]["cells"].append(cell)
        else:
            expected = f"a tag {'/'.join(VERDICTS)}:CLAIM of {LIST} where code asserts something"
            problems.append(f"{cell[0]}.ipynb, cell {cell[1]}: expected {expected}, got {tag}")
    for name, claim in claims.items():
        claim["verdict"] = VERDICTS[min(verdicts[name], default="proves")]
        if len(verdicts[name]) != 1:
            got = " and ".join(sorted(verdicts[name])) or "none"
            problems.append(f"{LIST}: expected cells of one verdict for {name}, got {got}")
        elif claim["verdict"] != "proved" and "finds" not in claim:
            problems.append(f"{LIST}: expected `finds`, what is right, for {name}")
    if problems:
        raise ValueError("\n".join(problems))
    return listed


def _check_entries(listed: dict[str, Any]) -> None:
    names = ["sections", "claims", "untested"]
    if listed.keys() != {"opening", *names} or not all(isinstance(listed[n], dict) for n in names):
        raise ValueError(f"{LIST}: expected opening, {', '.join(names)}, got {', '.join(listed)}")
    for kind, answer in (("claims", "finds"), ("untested", "why")):
        keys = {"section", "says", answer}
        for name, claim in listed[kind].items():
            fits = isinstance(claim, dict) and keys - {"finds"} <= claim.keys() <= keys
            fits = fits and all(isinstance(x, str) and x.strip() for x in claim.values())
            is_second = kind == "untested" and name in listed["claims"]
            if not fits or is_second or claim["section"] not in listed["sections"]:
                texts = f"texts for a known section, says and {answer}, once"
                raise ValueError(f"{LIST}: {kind}.{name}: expected {texts}, got {claim}")


def _tagged_cells(folder: Path) -> Iterator[tuple[str, tuple[str, int, str], bool]]:
    """Each tag with a colon, its cell, and whether code asserts something there."""
    for path in [*sorted(folder.glob("*.ipynb")), *sorted(folder.glob("further/*.ipynb"))]:
        notebook = path.relative_to(folder).with_suffix("").as_posix()
        tagged, code, heading = [], [], ""
        for kind, source, tags in read_cells(path):
            is_code = kind == "code" and bool(source.strip())
            if is_code:
                code.append(source)
            elif kind == "markdown":
                heading = (_HEADING.findall(_FENCED.sub("", source)) or [heading])[-1]
            cell = (notebook, len(code), heading)
            tagged += [(tag, cell, is_code) for tag in tags if ":" in tag]
        for tag, cell, is_code in tagged:
            # The assertion may follow in one of three cells, as in the notebooks' own tests.
            following = code[cell[1] - 1 : cell[1] + 3]
            yield tag, cell, is_code and any(map(_ASSERTION.search, following))


def claims_page(folder: Path) -> str:
    """The page of all claims of a checkout as Markdown; raises what `read_claims` raises."""
    listed = read_claims(folder)
    counts, tables, left = [], [], []
    for section, title in listed["sections"].items():
        claims = [one for one in listed["claims"].values() if one["section"] == section]
        rows = [["the course says", "verdict", "the notebooks find", "where"]]
        for one in claims:
            row = [one["says"], f"**{one['verdict']}**", one.get("finds", ""), _where(one["cells"])]
            rows.append(row)
        tables += [f"## {title}", _table(rows)] if claims else []
        others = [one for one in listed["untested"].values() if one["section"] == section]
        left += [[one["says"], title, one["why"]] for one in others]
        words = [one["verdict"] for one in claims]
        counts.append([*map(words.count, VERDICTS.values()), len(others)])
    summary = [["section", *VERDICTS.values(), "not tested"]]
    for title, numbers in zip(listed["sections"].values(), counts, strict=True):
        summary.append([title, *(str(number or "") for number in numbers)])
    totals = [f"**{sum(column)}**" for column in zip(*counts, strict=True)]
    opening = listed["opening"].strip().replace("{count}", str(len(listed["claims"])))
    blocks = [opening, _table([*summary, ["**all**", *totals]]), *tables]
    if left:
        blocks += ["## Not tested here", _table([["the course says", "section", "why not"], *left])]
    return "\n\n".join(blocks) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    texts = [[" ".join(text.split()).replace("|", "\\|") for text in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in texts]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _where(cells: Sequence[tuple[str, int, str]]) -> str:
    links = []
    for (notebook, heading), group in groupby(cells, lambda cell: (cell[0], cell[2])):
        numbers = [str(number) for _, number, _ in group]
        shown = f"{notebook.rpartition('/')[2].partition('_')[0]}: {heading}"
        # The anchor that Jupyter and GitHub's notebook view give the heading.
        anchor = quote(heading.replace(" ", "-"), safe="?!,.:;=@/+$&'*~")
        target = f"../{LIST.parent.as_posix()}/{quote(notebook)}.ipynb#{anchor}"
        word = "cell" if len(numbers) == 1 else "cells"
        links.append(f"[{shown}]({target}), {word} {', '.join(numbers)}")
    return "<br>".join(links)
