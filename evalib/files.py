"""Writing a file so that nothing half-written is left."""

import os
import shutil
from pathlib import Path


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
