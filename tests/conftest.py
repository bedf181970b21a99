"""Fixtures that several tests share. evalib comes first: it quiets TensorFlow's start."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import evalib  # noqa: F401
from evalib.data import Arrays, load_mnist

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def mnist() -> tuple[Arrays, Arrays]:
    return load_mnist()


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """A figure lives as long as its test."""
    yield
    plt.close("all")


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)
