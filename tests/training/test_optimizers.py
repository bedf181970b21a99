"""Muon's step for a convolution kernel against the singular value decomposition."""

import keras
import numpy as np
import pytest
from keras import ops

from evalib.training.optimizers import ConvolutionMuon


def step_of(optimizer: keras.optimizers.Optimizer, gradient: np.ndarray) -> np.ndarray:
    """What one step from zero takes from a variable, for a given gradient."""
    variable = keras.Variable(np.zeros_like(gradient), name="kernel")
    optimizer.build([variable])
    optimizer.apply([ops.convert_to_tensor(gradient)])
    return -ops.convert_to_numpy(variable.value)


@pytest.mark.parametrize("shape", [(3, 3, 16, 24), (3, 3, 1, 16), (5, 5, 2, 8)])
def test_a_kernels_step_is_near_the_orthogonal_factor(shape):
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    optimizer = ConvolutionMuon(learning_rate=1.0, weight_decay=0.0, rms_rate=1.0)
    step = step_of(optimizer, gradient).reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(gradient.reshape(-1, shape[-1]), full_matrices=False)
    nearest = left @ right
    scale = np.sqrt(max(nearest.shape))
    # Newton and Schulz stop early: singular values between 0.7 and 1.2, the directions exact.
    values = np.linalg.svd(step / scale, compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.3
    cosine = (step * nearest).sum() / np.linalg.norm(step) / np.linalg.norm(nearest)
    assert cosine > 0.97


def test_all_directions_move_alike_even_if_the_gradient_does_not():
    gradient = np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype("float32")
    gradient[..., 0] *= 100
    optimizer = ConvolutionMuon(learning_rate=1.0, weight_decay=0.0)
    step = step_of(optimizer, gradient).reshape(-1, 8)
    lengths = np.linalg.norm(step, axis=0)
    assert lengths.max() / lengths.min() < 2


@pytest.mark.parametrize("shape", [(20, 10), (1, 1, 20, 10), (3, 3, 20, 1), (24,)])
def test_other_weights_get_the_step_of_adamw(shape):
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    muon = ConvolutionMuon(learning_rate=0.1, adam_weight_decay=0.0, weight_decay=0.0)
    adam = keras.optimizers.AdamW(learning_rate=0.1, weight_decay=0.0)
    np.testing.assert_allclose(step_of(muon, gradient), step_of(adam, gradient), rtol=1e-4)


def test_it_survives_saving():
    optimizer = ConvolutionMuon(0.02, momentum=0.9, weight_decay=0.1)
    twin = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(twin, ConvolutionMuon)
    assert twin.get_config() == optimizer.get_config()
