"""Read a notebook that somebody else wrote, without running or importing any of it.

A file is data: JSON of a limited size whose every field is checked before it is used. Long outputs
are cut in their middle, so that a log of gigabytes costs no more than a short one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 50 * 2**20  # of a file; a notebook with its figures has one or two MB
MAX_CODE = 500_000  # characters in all cells; a long notebook has fifty thousand
MAX_OUTPUT = 200_000  # characters kept of one output: half from its beginning, half from its end

_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Output:
    """What a cell showed, without color codes; each drawing of a progress bar is a line."""

    kind: str  # "stdout", "stderr", "result" (of `display` or as a last value) or "error"
    text: str
    error: str = ""  # its name, such as "NameError"


@dataclass(frozen=True)
class Cell:
    """A code cell."""

    number: int  # its place among the code cells, from 1
    source: str
    count: int | None = None  # as stored; 0 is what Colab writes where it kept none
    outputs: tuple[Output, ...] = ()
    tags: tuple[str, ...] = ()
    before: str = ""  # the text cells between this code cell and the one before it

    @property
    def is_empty(self) -> bool:
        """Whether it holds no code and no comment."""
        return not self.source.strip()

    def text(self, *kinds: str) -> str:
        """The text of all outputs of these kinds, by default of all but errors."""
        kinds = kinds or ("stdout", "stderr", "result")
        return "\n".join(output.text for output in self.outputs if output.kind in kinds)


@dataclass(frozen=True)
class Submission:
    """A notebook's code cells in their order, and the text cells after the last of them."""

    path: Path
    cells: tuple[Cell, ...]
    after: str = ""

    @property
    def written(self) -> list[Cell]:
        """The cells that hold anything."""
        return [cell for cell in self.cells if not cell.is_empty]


def read_submission(path: str | Path) -> Submission:
    """Read a notebook of format 3 or 4.

    Raises:
        ValueError: There is no such file, it has more than `MAX_BYTES` or more code than
            `MAX_CODE`, or it is not a notebook.
        OSError: It cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        kind = "no plain file" if path.exists() else "no file"
        raise ValueError(f"expected a notebook, found {kind} at {printable(str(path), 400)}")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    name = printable(path.name)
    if len(data) > MAX_BYTES:
        raise ValueError(f"expected {name} to have at most {MAX_BYTES >> 20} MB, it has more")
    try:
        *cells, last = _code_cells(json.loads(data))
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)) if isinstance(error, ValueError) else "nested too deeply"
        raise ValueError(f"expected {name} to be a notebook, which is JSON: {reason}") from None
    if sum(len(cell.source) for cell in cells) > MAX_CODE:
        raise ValueError(f"expected {name} to have at most {MAX_CODE:,} characters of code")
    return Submission(path, tuple(cells), last.before)


def printable(text: str, length: int = 100) -> str:
    """Make a stranger's text safe for a terminal: one line, no control codes, at most `length`."""
    text = " ".join(_ESCAPE_SEQUENCE.sub("", text[: 20 * length]).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= length else text[: length - 1] + "…"


def read_output(content: Any) -> Output | None:
    """Read one output as notebooks store it; None where it shows no text."""
    if not isinstance(content, dict):
        return None
    kind, data = content.get("output_type"), content.get("data")
    if kind == "stream":
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        return Output(name, _clean(content.get("text")))
    if kind == "error":
        name = printable(str(content.get("ename") or "error"), 60)
        return Output("error", _clean(content.get("evalue")), name)
    if kind in ("execute_result", "display_data") and isinstance(data, dict):
        return Output("result", _clean(data.get("text/plain")))
    return None


def _code_cells(content: Any) -> Iterator[Cell]:
    """The code cells, then one more that holds the text after the last of them."""
    if isinstance(content, dict) and "worksheets" in content:
        import nbformat

        try:
            content = nbformat.convert(nbformat.from_dict(content), 4)
        except Exception:  # whatever a malformed file makes of it
            raise ValueError("its format 3 is malformed") from None
    items = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise ValueError("it has no list of cells")
    number = 1
    texts: list[str] = []
    for place, item in enumerate(items, start=1):
        kind = item.get("cell_type") if isinstance(item, dict) else None
        source = _joined(item.get("source")) if isinstance(item, dict) else None
        if not isinstance(kind, str) or source is None:
            raise ValueError(f"item {place} is no cell")
        if kind == "code":
            yield _code_cell(number, source.replace("\r\n", "\n"), item, "\n".join(texts))
            number, texts = number + 1, []
        elif kind == "markdown":
            texts.append(source)
    yield Cell(number, "", before="\n".join(texts))


def _code_cell(number: int, source: str, item: dict[str, Any], before: str) -> Cell:
    count, outputs, metadata = (item.get(k) for k in ("execution_count", "outputs", "metadata"))
    count = max(0, count) if isinstance(count, int) and not isinstance(count, bool) else None
    shown = tuple(filter(None, map(read_output, outputs if isinstance(outputs, list) else [])))
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    words = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return Cell(number, source, count, shown, words, before)


def _joined(text: Any) -> str | None:
    """A text that is stored as one string or as a list of lines."""
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        return "".join(text)
    return text if isinstance(text, str) else None


def _clean(text: Any) -> str:
    text = _joined(text) or ""
    if len(text) > MAX_OUTPUT:
        text = f"{text[: MAX_OUTPUT // 2]}\n{text[-MAX_OUTPUT // 2 :]}"
    return re.sub(r"[\r\b]+", "\n", _ESCAPE_SEQUENCE.sub("", text))
