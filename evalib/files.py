"""Writing a file so that nothing half-written is left."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a place beside a file to write to; what lies there in the end takes the file's place.

    Args:
        file: the one to make or replace; its folder is made if need be. An error inside the
            `with` leaves it as it was, and nothing beside it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.stem}.partial{file.suffix}")
    try:
        yield partial
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's text in one step, so that no reader ever sees half of it.

    Args:
        path: The file to write; where it exists, its permissions are kept.
        text: The whole new content, written as UTF-8 with its line ends as they are.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(text.encode("utf-8"))
        if path.exists():
            shutil.copymode(path, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
