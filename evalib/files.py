"""Writing a file so that nothing half-written is left, and saying what hinders it."""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows nothing keeps two processes out of one folder
    fcntl = None  # type: ignore[assignment]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


class UnwritableError(OSError):
    """A file could not be written. The message says where, why, and what to do."""


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say what is wrong with a folder, and what to do, where writing to it fails.

    Args:
        folder: where the `with` writes.

    Raises:
        UnwritableError: there is no room, or the folder or its disk is closed to us.
    """
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        reason = writing_trouble(error, folder)
        if reason is None:
            raise
        raise UnwritableError(reason) from error


def writing_trouble(error: OSError, folder: Path) -> str | None:
    """Put into words why a folder cannot be written.

    Args:
        error: what writing raised.
        folder: where it wanted to write; a folder that the error names is believed more.

    Returns:
        Where, why and what to do; None if the error is about something else.
    """
    if isinstance(error, UnwritableError):
        return str(error)
    place = Path(os.fsdecode(error.filename)).parent if error.filename else folder
    if error.errno in _FULL:
        return f"no space left in {place}: make room there or choose another folder"
    if error.errno == errno.EFBIG:
        return (
            f"a file in {place} would be larger than this process may write: raise the limit "
            "(ulimit -f) or choose another folder"
        )
    if error.errno in _FORBIDDEN:
        reason = os.strerror(error.errno).lower()
        return f"{place} cannot be written ({reason}): allow it or choose another folder"
    return None


@contextlib.contextmanager
def claimed(folder: Path, patience: float = 5.0) -> Iterator[None]:
    """Make a folder and keep it to ourselves; the end of this process gives it free in any case.

    Args:
        folder: the one to claim.
        patience: seconds to wait for another process to end.

    Raises:
        UnwritableError: the folder cannot be made.
        ValueError: it is a file.
        RuntimeError: another process has claimed it.
    """
    with explained(folder.parent):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"expected a folder to write to, got {folder}, a file") from None
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"another process is writing to {folder}: wait for it or choose another folder"
                ) from None
        except OSError:
            return  # some network disks know no locks
        time.sleep(0.1)


def partial_path(file: Path) -> Path:
    """Where a file grows until it is complete."""
    return file.with_name(f".{file.stem}.partial{file.suffix}")


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a place beside a file to write to; what lies there in the end takes the file's place.

    Args:
        file: the one to make or replace; its folder is made if need be. An error inside the
            `with` leaves it as it was, and nothing beside it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(file)
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

    Raises:
        UnwritableError: there is no room, or the folder cannot be written.
    """
    with explained(path.parent), replacing(path) as partial:
        partial.write_bytes(text.encode("utf-8"))
        if path.exists():
            shutil.copymode(path, partial)
