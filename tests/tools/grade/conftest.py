"""The file that a test's submission is written to."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "submission.ipynb"
