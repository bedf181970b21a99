"""Muon's step against the singular value decomposition, the rates by arithmetic."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from evalib.training.optimizers import SCHEDULES, ConvolutionMuon, WarmupDecay


def step_of(optimizer: keras.optimizers.Optimizer, gradient: np.ndarray) -> np.ndarray:
    """What one step from zero takes from a variable, for a given gradient."""
    variable = keras.Variable(np.zeros_like(gradient), name="kernel")
    optimizer.build([variable])
    optimizer.apply([ops.convert_to_tensor(gradient)])
    return -ops.convert_to_numpy(variable.value)


@pytest.mark.parametrize("shape", [(3, 3, 16, 24), (3, 3, 1, 16), (5, 5, 2, 8)])
def test_a_kernels_step_is_near_the_orthogonal_factor(shape):
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    gradient[..., 0] *= 100  # all directions move alike even if the gradient does not
    optimizer = ConvolutionMuon(learning_rate=1.0, weight_decay=0.0, rms_rate=1.0)
    step = step_of(optimizer, gradient).reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(gradient.reshape(-1, shape[-1]), full_matrices=False)
    nearest = left @ right
    # Newton and Schulz stop early: singular values near 1, the directions exact.
    values = np.linalg.svd(step / np.sqrt(max(nearest.shape)), compute_uv=False)
    assert 0.2 < values.min() <= values.max() < 1.3
    assert (step * nearest).sum() > 0.95 * np.linalg.norm(step) * np.linalg.norm(nearest)


@pytest.mark.parametrize("shape", [(20, 10), (1, 1, 20, 10), (3, 3, 20, 1), (24,)])
def test_other_weights_get_the_step_of_adamw(shape):
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    muon = ConvolutionMuon(learning_rate=0.1, adam_weight_decay=0.0, weight_decay=0.0)
    adam = keras.optimizers.AdamW(learning_rate=0.1, weight_decay=0.0)
    np.testing.assert_allclose(step_of(muon, gradient), step_of(adam, gradient), rtol=1e-4)


def test_the_rate_rises_to_its_peak_and_falls_as_its_shape_says():
    steps = np.arange(100)
    rates = {shape: np.asarray(WarmupDecay(0.01, 100, 0.2, shape)(steps)) for shape in SCHEDULES}
    for values in rates.values():
        np.testing.assert_allclose(values[:20], 0.01 * np.arange(1, 21) / 20, rtol=1e-5)
    falling = 1 - np.arange(81) / 80
    np.testing.assert_allclose(rates["linear"][19:-1], 0.01 * falling[:-1], rtol=1e-4)
    wave = 0.5 - 0.5 * np.cos(np.pi * falling)
    np.testing.assert_allclose(rates["cosine"][19:-1], 0.01 * wave[:-1], atol=1e-8)
    np.testing.assert_allclose(rates["constant"][19:], 0.01, rtol=1e-6)
    assert rates["linear"][-1] == pytest.approx(rates["linear"][-2] / 2, rel=1e-3)
    for shape, count in itertools.product(SCHEDULES, (1, 2, 100_000)):  # no step has the rate zero
        last = np.arange(max(0, count - 3), count)
        assert (np.asarray(WarmupDecay(0.01, count, 0.25, shape)(last)) > 0).all()


@pytest.mark.parametrize(
    "wrong", [(0.0, 9, 0.2), (0.1, 0, 0.2), (0.1, 9, 1.0), (0.1, 9, 0.2, "lienar")]
)
def test_a_schedule_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="expected a"):
        WarmupDecay(*wrong)


def test_both_survive_saving_and_work_in_double_precision():
    optimizer = ConvolutionMuon(WarmupDecay(0.02, 9, 0.2, "cosine"), momentum=0.9, weight_decay=0.1)
    twin = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(twin, ConvolutionMuon)
    assert twin.get_config() == optimizer.get_config()
    gradient = np.random.default_rng(0).normal(size=(3, 3, 2, 4))
    variable = keras.Variable(np.zeros_like(gradient), dtype="float64")
    twin.build([variable])
    twin.apply([ops.convert_to_tensor(gradient)])
    assert np.abs(ops.convert_to_numpy(variable.value)).min() > 0
