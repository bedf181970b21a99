"""Signs of life: in a terminal, something moves each second while work goes on."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

_START = time.monotonic()
_shown: list[Callable[[], object]] = []  # the last one is called


def show_seconds() -> None:
    """Show the seconds since the start; the next line is written over them."""
    print(f"{time.monotonic() - _START:.0f} s", end="\r", file=sys.stderr, flush=True)


@contextlib.contextmanager
def signs_of_life(show: Callable[[], object] = show_seconds) -> Iterator[None]:
    """Call `show` each second, if this is a terminal, in place of another one around it."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(1):
            if _shown[-1:] == [show]:
                show()

    _shown.append(show)
    if sys.stderr.isatty():
        threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        _shown.pop()
