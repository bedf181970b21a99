"""Fixtures that several tests share. evalib comes first: it quiets TensorFlow's start."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import evalib  # noqa: F401
from evalib.data.mnist import Arrays, load_mnist


@pytest.fixture(scope="session")
def mnist() -> tuple[Arrays, Arrays]:
    return load_mnist()


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def load_script(repository: Path) -> Callable[[str], ModuleType]:
    """Import a file of `scripts/` by its name; it may import the others, as when it is run."""
    sys.path.append(str(repository / "scripts"))
    return importlib.import_module


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """A figure lives as long as its test."""
    yield
    plt.close("all")


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)
