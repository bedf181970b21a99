"""JAX and PyTorch answer what TensorFlow answers, within the tolerances that stand here.

`make test-backends` runs this after the unit tests and the notebooks on each backend.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.backends

ANSWERS = Path(__file__).with_name("answers.py")
OTHERS = [name for name in ("jax", "torch") if importlib.util.find_spec(name)]

# The largest difference, as a share of the largest value that TensorFlow gives: each backend adds
# float32 numbers, of seven digits, in an order of its own. In a sum over images and pixels many
# cancel each other; in training, Muon's Newton-Schulz steps raise small directions.
ROUNDING = 1e-5
TOLERANCES = {
    "gradient by weights": 1e-3,
    "losses of training": 1e-3,
    "probabilities after training": 1e-2,
}


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What each backend answers, asked in a process of its own, on the CPU."""
    folder, found = tmp_path_factory.mktemp("answers"), {}
    for backend in ["tensorflow", *OTHERS]:
        file = folder / f"{backend}.npz"
        environment = os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"}
        environment |= {"JAX_PLATFORMS": "cpu"}
        subprocess.run([sys.executable, ANSWERS, file], env=environment, check=True, timeout=900)
        with np.load(file) as arrays:
            found[backend] = dict(arrays)
    return found


@pytest.mark.parametrize("backend", OTHERS or ["jax"])
def test_answers_differ_by_no_more_than_the_tolerance(answers, backend):
    expected, found = answers["tensorflow"], answers[backend]
    assert found.keys() == expected.keys() >= TOLERANCES.keys()
    too_far = {}
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        difference = np.abs(found[name] - values).max() / np.abs(values).max()
        print(f"{backend:6} {name:32} {difference:.1e}")
        if not difference <= TOLERANCES.get(name, ROUNDING):
            too_far[name] = difference
    assert not too_far
    for record in ("accuracy", "speed", "size"):  # the same digits are named
        of_all = [one[f"probabilities of {record}"].argmax(axis=1) for one in (expected, found)]
        np.testing.assert_array_equal(*of_all)
