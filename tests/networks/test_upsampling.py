"""Sub-pixel convolution against plain indexing, and its start against nearest-neighbor resize."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from evalib.networks.upsampling import ICNR, SubPixel


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


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_icnr_starts_as_a_nearest_neighbor_resize(factor, channels, seed):
    keras.utils.set_random_seed(seed)
    images = ops.convert_to_tensor(
        np.random.default_rng(seed).integers(0, 256, (2, 6, 5, 3)), "float32"
    )
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


def test_icnr_repeats_one_draw_of_its_initializer():
    own = keras.initializers.HeNormal(seed=3)
    kernel = ops.convert_to_numpy(ICNR(2, own)((3, 3, 5, 8)))
    single = ops.convert_to_numpy(keras.initializers.HeNormal(seed=3)((3, 3, 5, 2)))
    np.testing.assert_array_equal(kernel, np.concatenate([single] * 4, axis=-1))


def test_the_layer_takes_inputs_of_any_size():
    images = keras.Input((None, None, 3))
    features = layers.Conv2D(12, 3, padding="same", kernel_initializer=ICNR(2))(images)
    model = keras.Model(images, SubPixel(2)(features))
    assert model.output_shape == (None, None, None, 3)
    for size in (4, 7):
        assert model.predict(np.ones((2, size, 5, 3)), verbose=0).shape == (2, 2 * size, 10, 3)


def test_model_and_start_are_saved_and_loaded(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5, 4, 1)),
            layers.Conv2D(9, 3, kernel_initializer=ICNR(3, "he_normal")),
            SubPixel(3),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(size=(2, 5, 4, 1)).astype("float32")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    again = loaded.layers[0].kernel_initializer
    assert (again.factor, type(again.initializer).__name__) == (3, "HeNormal")


@pytest.mark.parametrize("factor", [0, -1, 2.0, True, "2", None])
@pytest.mark.parametrize("make", [SubPixel, ICNR])
def test_impossible_factors_are_refused(make, factor):
    with pytest.raises(ValueError, match="factor that is a whole number from 1 up, got"):
        make(factor)


def test_channels_that_fill_no_square_are_refused():
    with pytest.raises(ValueError, match=r"a multiple of 4, got \(1, 5, 5, 6\)"):
        SubPixel(2)(np.zeros((1, 5, 5, 6), "float32"))
    with pytest.raises(ValueError, match="expected .batch, height, width, channels."):
        SubPixel(2)(np.zeros((1, 5, 4), "float32"))
    with pytest.raises(ValueError, match=r"number is a multiple of 4, got \(3, 3, 1, 6\)"):
        ICNR(2)((3, 3, 1, 6))
