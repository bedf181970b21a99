"""A fixture that the tests of the runner share."""

from collections.abc import Callable

import pytest

from evalib.tools import run
from evalib.tools.devices import Machine


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Spare each run the seconds in which a process imports TensorFlow; call it for another."""

    def set_machine(backend: str = "tensorflow", *gpus: str) -> None:
        monkeypatch.setattr(run, "detect_machine", lambda _: Machine(backend, "9.9", gpus))

    set_machine()
    return set_machine
