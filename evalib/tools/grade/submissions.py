"""Read a notebook that somebody else wrote, without running or importing any of it.

A file is only data here: JSON of a limited size whose every field is looked at before it is used.
Long outputs are cut in their middle, so that a log of gigabytes costs no more than a short one.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 50 * 2**20  # of a file; a notebook with its figures has one or two MB
MAX_CODE = 500_000  # characters in all cells; a long notebook has fifty thousand
MAX_OUTPUT = 200_000  # characters that are kept of one output: half its beginning, half its end

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Output:
    """What a cell showed.

    Attributes:
        kind: "stdout", "stderr", "result" (shown by `display` or as a last value) or "error".
        text: The text, without color codes; a carriage return or backspaces begin a new line.
        error: The error's name, such as "NameError"; empty for the other kinds.
    """

    kind: str
    text: str
    error: str = ""


@dataclass(frozen=True)
class Cell:
    """A code cell.

    Attributes:
        number: Its place among the code cells, from 1.
        source: What was typed.
        count: The execution count that Jupyter gave it; None where it did not run.
        outputs: What it showed.
        tags: Its tags, such as "raises-exception".
    """

    number: int
    source: str
    count: int | None = None
    outputs: tuple[Output, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed."""
        return not self.source.strip()

    def text(self, *kinds: str) -> str:
        """The text of all outputs of these kinds, by default of all but errors."""
        kinds = kinds or ("stdout", "stderr", "result")
        return "\n".join(output.text for output in self.outputs if output.kind in kinds)


@dataclass(frozen=True)
class Submission:
    """A notebook's code cells, in their order."""

    path: Path
    cells: tuple[Cell, ...]

    @property
    def written(self) -> list[Cell]:
        """The cells that hold anything."""
        return [cell for cell in self.cells if not cell.is_empty]


def read_submission(path: str | Path) -> Submission:
    """Read a notebook's code cells.

    Args:
        path: A notebook of format 4, of at most `MAX_BYTES`.

    Returns:
        Its code cells with their outputs.

    Raises:
        ValueError: There is no such file, it is too large, it is not a notebook, or it has more
            than `MAX_CODE` characters of code.
        OSError: It cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"expected a notebook, found {'no file' * (not path.exists())}"
            f"{'no plain file' * path.exists()} at {printable(str(path))}"
        )
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    name = printable(path.name)
    if len(data) > MAX_BYTES:
        raise ValueError(f"expected {name} to have at most {MAX_BYTES >> 20} MB, it has more")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)) if isinstance(error, ValueError) else "nested too deeply"
        raise ValueError(f"expected {name} to be a notebook, but it is no JSON: {reason}") from None
    cells = tuple(_code_cells(content, name))
    if sum(len(cell.source) for cell in cells) > MAX_CODE:
        raise ValueError(f"expected {name} to have at most {MAX_CODE:,} characters of code")
    return Submission(path, cells)


def printable(text: str, length: int = 100) -> str:
    """A text of somebody else's as it may be shown on a terminal: one line, no control codes.

    Args:
        text: Any text.
        length: The characters that are kept; what is cut off is shown as an ellipsis.
    """
    text = " ".join(_ESCAPE_SEQUENCE.sub("", text[: 20 * length]).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= length else text[: length - 1] + "…"


def read_output(content: Any) -> Output | None:
    """Read one output as notebooks store it; None where it shows no text."""
    if not isinstance(content, dict):
        return None
    kind = content.get("output_type")
    if kind == "stream":
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        return Output(name, _clean(_joined(content.get("text"))))
    if kind == "error":
        name = printable(str(content.get("ename") or "error"), 60)
        return Output("error", _clean(_joined(content.get("evalue"))), name)
    data = content.get("data")
    if kind in ("execute_result", "display_data") and isinstance(data, dict):
        return Output("result", _clean(_joined(data.get("text/plain"))))
    return None


def _code_cells(content: Any, name: str) -> Iterable[Cell]:
    if not isinstance(content, dict) or ("cells" not in content and "worksheets" not in content):
        raise ValueError(f"expected {name} to be a notebook, but it has no cells")
    if "worksheets" in content:
        raise ValueError(
            f"expected {name} to be a notebook of format 4: open and save it in a Jupyter of today"
        )
    if not isinstance(content["cells"], list):
        raise ValueError(f"expected {name} to be a notebook, but its cells are no list")
    number = 0
    for place, cell in enumerate(content["cells"], start=1):
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        source = _joined(cell.get("source")) if isinstance(cell, dict) else None
        if not isinstance(kind, str) or source is None:
            raise ValueError(f"expected {name} to be a notebook, but item {place} is no cell")
        if kind == "code":
            number += 1
            yield _code_cell(number, source.replace("\r\n", "\n"), cell)


def _code_cell(number: int, source: str, cell: dict[str, Any]) -> Cell:
    count = cell.get("execution_count")
    outputs, metadata = cell.get("outputs"), cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return Cell(
        number,
        source,
        count if isinstance(count, int) and not isinstance(count, bool) else None,
        tuple(filter(None, map(read_output, outputs if isinstance(outputs, list) else []))),
        tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
    )


def _joined(text: Any) -> str | None:
    """A text that is stored as one string or as a list of lines."""
    if isinstance(text, str):
        return text
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        return "".join(text)
    return None


def _clean(text: str | None) -> str:
    text = text or ""
    if len(text) > MAX_OUTPUT:
        text = f"{text[: MAX_OUTPUT // 2]}\n{text[-MAX_OUTPUT // 2 :]}"
    # A progress bar is drawn over itself: each drawing becomes a line.
    return re.sub(r"[\r\b]+", "\n", _ESCAPE_SEQUENCE.sub("", text))
