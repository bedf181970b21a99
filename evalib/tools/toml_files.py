"""Read a TOML file so that whatever is wrong with it is told with its line."""

import re
import tomllib
from pathlib import Path
from typing import Any

Key = tuple[str, ...]


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a TOML file.

    Returns:
        Its text, and what it says.

    Raises:
        ValueError: it is no TOML or no UTF-8; written `FILE:LINE: reason`.
        OSError: it cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise ValueError(f"{path}:{line}: expected UTF-8 text") from error
    return text, _parse(path, text)


class Problems:
    """What is wrong with a file, each with its line."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.lines = path, key_lines(text)
        self.found: dict[tuple[int, str], None] = {}

    def add(self, key: Key, reason: str) -> None:
        """Note a problem at a key, or at the nearest table around it that has a line."""
        around = (key[:length] for length in range(len(key), 0, -1))
        line = next((self.lines[part] for part in around if part in self.lines), 1)
        self.found[line, reason] = None

    def raise_any(self) -> None:
        """Raise a ValueError of all that was noted, in the order of the lines, if any was."""
        if self.found:
            lines = [f"{self.path}:{line}: {reason}" for line, reason in sorted(self.found)]
            raise ValueError("\n".join(lines))


def key_lines(text: str) -> dict[Key, int]:
    """The line of each table and key of a TOML text, counted from 1.

    Keys are split at their dots, quoted ones too: `"network.channels"` below `[vary]` is
    `("vary", "network", "channels")`.
    """
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"""\s*\[\s*([A-Za-z][\w.\s"'-]*)\]""", line):
            table = _split(header[1])
            lines.setdefault(table, number)
        elif key := re.match(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]++|\s*\.\s*)+?)\s*=""", line):
            lines.setdefault((*table, *_split(key[1])), number)
    return lines


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column (\d+)\)| \(at end of document\)", str(error))
        last = max(1, len(text.rstrip().splitlines()))
        line = int(place[1]) if place and place[1] else last
        column = f" (column {place[2]})" if place and place[2] else ""
        reason = str(error)[: place.start()] if place else str(error)
        raise ValueError(f"{path}:{line}: {reason}{column}") from error


def _split(name: str) -> Key:
    return tuple(part.strip() for part in re.sub("[\"']", "", name).split("."))
