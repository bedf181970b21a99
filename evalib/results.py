"""Reading and writing `outputs/`: what runs leave, and files that are never half-written."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_CLOSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


class UnwritableError(OSError):
    """A folder cannot be written: its disk is full, or closed to us."""


def results_folder() -> Path:
    """Where results lie: `outputs/` of the checkout, or the copy inside an installed evalib."""
    for folder in (_PACKAGE.parent / "outputs", _PACKAGE / "outputs"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"expected a folder outputs beside or inside {_PACKAGE}: reinstall it")


def read_results(name: str) -> Any:
    """Read a JSON file by its path below `outputs/`, such as `"s3_assignment/seeds.json"`."""
    file = results_folder() / name
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    raise FileNotFoundError(f"{file} is missing: a script in `scripts/` writes it")


def write_results(file: Path, values: object) -> None:
    """Write a JSON file in one step, with its folder if need be."""
    write_atomically(file, json.dumps(values, indent=1, allow_nan=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a text as UTF-8 in one step; permissions stay. Raises `UnwritableError`."""
    with atomic_replace(path) as partial:
        partial.write_bytes(text.encode("utf-8"))
        if path.exists():
            shutil.copymode(path, partial)


@contextlib.contextmanager
def atomic_replace(file: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the file's place unless the `with` raises."""
    partial = file.with_name(f".{file.stem}.partial{file.suffix}")
    with explained(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Raise `UnwritableError`, with the reason, where a folder cannot be written."""
    try:
        yield
    except OSError as error:
        if isinstance(error, UnwritableError) or error.errno not in _CLOSED:
            raise
        reason = f"{folder} cannot be written ({os.strerror(error.errno).lower()})"
        raise UnwritableError(f"{reason}: mend that or choose another folder") from error


@contextlib.contextmanager
def folder_lock(folder: Path, patience: float = 5.0) -> Iterator[None]:
    """Make a folder and keep other processes out, waiting up to `patience` seconds for them."""
    from filelock import FileLock, Timeout  # here, because Colab may lack it

    lock = FileLock(folder / ".lock")
    with explained(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            locked = lock.acquire(timeout=patience)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"expected a folder to write to, got {folder}, a file") from None
        except Timeout:
            raise RuntimeError(f"another process is writing to {folder}: wait for it") from None
    with locked:
        yield
