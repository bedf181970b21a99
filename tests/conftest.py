"""Fixtures that several tests share. evalib comes first: it quiets TensorFlow's start."""

from pathlib import Path

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
