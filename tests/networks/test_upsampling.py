"""Sub-pixel convolution against plain indexing, and its start against nearest-neighbor resize."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from evalib.networks.layers import ICNR, SubPixel
from tests.networks.conftest import SETTINGS


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_channels_become_pixels_in_tensorflows_order(extents, factor, channels):
    batch, height, width = extents
    shape = (batch, height, width, channels * factor**2)
    values = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    enlarged = ops.convert_to_numpy(SubPixel(factor)(values))
    assert enlarged.shape == (batch, height * factor, width * factor, channels)
    for _, y, x, c in np.ndindex(enlarged.shape):
        depth = (y % factor * factor + x % factor) * channels + c
        np.testing.assert_array_equal(
            enlarged[:, y, x, c], values[:, y // factor, x // factor, depth]
        )


@pytest.mark.parametrize(("factor", "channels"), [(2, 3), (3, 1)])
def test_icnr_starts_as_a_nearest_neighbor_resize(factor, channels, generator):
    images = ops.convert_to_tensor(generator.integers(0, 256, (2, 6, 5, 3)), "float32")
    # Whole numbers keep every sum exact, in whatever order a backend adds.
    wide = layers.Conv2D(channels * factor**2, 3, kernel_initializer=ICNR(factor))
    wide.build(images.shape)
    wide.kernel.assign(ops.round(wide.kernel * 100))
    narrow = layers.Conv2D(channels, 3)
    narrow.build(images.shape)
    narrow.kernel.assign(wide.kernel[..., :channels])
    enlarged = ops.convert_to_numpy(SubPixel(factor)(wide(images)))
    resized = layers.UpSampling2D(factor, interpolation="nearest")(narrow(images))
    np.testing.assert_array_equal(enlarged, ops.convert_to_numpy(resized))
    assert np.ptp(enlarged) > 0


@pytest.mark.parametrize("setting", ["float32", *SETTINGS[1:]])
def test_a_model_of_any_size_is_saved_and_loaded(tmp_path, set_keras, setting):
    set_keras(setting)
    start = ICNR(3, "he_normal")
    parts = [layers.Conv2D(9, 3, kernel_initializer=start), SubPixel(np.array([3])[0])]
    model = keras.Sequential([keras.Input((None, None, 1)), *parts])
    assert model.output_shape == (None, None, None, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for size in (4, 7):
        images = np.random.default_rng(0).normal(size=(2, size, 5, 1)).astype("float32")
        first, second = (ops.cast(one(images), "float32") for one in (model, loaded))
        assert first.shape == (2, 3 * (size - 2), 9, 1)
        np.testing.assert_array_equal(ops.convert_to_numpy(first), ops.convert_to_numpy(second))
    assert loaded.layers[0].kernel_initializer.get_config() == start.get_config()


@pytest.mark.parametrize("factor", [0, -1, 2.0, "2", None])
def test_impossible_factors_are_refused(factor):
    for make in (SubPixel, ICNR):
        with pytest.raises(ValueError, match="positive whole numbers as the factor, got"):
            make(factor)


def test_channels_that_fill_no_square_are_refused():
    with pytest.raises(ValueError, match=r"multiple of 4\), got \(1, 5, 5, 6\)"):
        SubPixel(2)(np.zeros((1, 5, 5, 6), "float32"))
    with pytest.raises(ValueError, match="expected .batch, height, width, "):
        SubPixel(2)(np.zeros((1, 5, 4), "float32"))
    with pytest.raises(ValueError, match=r"multiple of 4 kernels, got shape \(3, 3, 1, 6\)"):
        ICNR(2)((3, 3, 1, 6))
