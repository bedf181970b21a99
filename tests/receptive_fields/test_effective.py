"""Effective fields against convolutions by NumPy and hand-computed sizes."""

import keras
import numpy as np
import pytest
from keras import layers

from evalib.networks.course import s3_network
from evalib.receptive_fields.effective import effective_field

noise = np.random.default_rng(0)


def chain(depth: int, size: int, channels: int = 1, activation: str = "linear") -> keras.Model:
    """3x3 convolutions without padding, named conv1, conv2 and so on."""
    convolutions = [
        layers.Conv2D(channels, 3, use_bias=False, activation=activation, name=f"conv{number}")
        for number in range(1, depth + 1)
    ]
    return keras.Sequential([keras.Input((size, size, 1)), *convolutions])


def box_to_the(power: int) -> np.ndarray:
    """A 3x3 box convolved with itself, scaled to the maximum 1."""
    line = np.ones(1)
    for _ in range(power):
        line = np.convolve(line, np.ones(3) / 3)
    return np.outer(line, line) / line.max() ** 2


@pytest.mark.parametrize(("depth", "channels"), [(1, 1), (4, 3), (12, 2)])
def test_equal_kernels_give_the_box_convolved_with_itself(depth, channels):
    size = 2 * depth + 1
    model = chain(depth, size, channels)
    model.set_weights([np.full_like(kernel, 0.2) for kernel in model.get_weights()])
    field = effective_field(model, f"conv{depth}", noise.normal(size=(2, size, size, 1)))
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, box_to_the(depth), atol=1e-6)


def test_only_the_theoretical_field_has_influence():
    # 3x3, pooling 2, 3x3 with stride 2, 3x3: sizes 3, 4, 8, 16 and strides 1, 2, 4, 4.
    model = keras.Sequential(
        [
            keras.Input((40, 40, 3)),
            layers.Conv2D(4, 3),
            layers.AveragePooling2D(2),
            layers.Conv2D(4, 3, strides=2),
            layers.Conv2D(4, 3, name="last"),
        ]
    )
    field = effective_field(model, "last", noise.normal(size=(3, 40, 40, 3)), index=(2, 1))
    expected = np.zeros((40, 40), bool)
    expected[8:24, 4:20] = True
    np.testing.assert_array_equal(field > 0, expected)
    assert field.max() == 1


def test_the_model_runs_in_inference_and_is_left_alone():
    inputs = keras.Input((8, 8, 1))
    values = layers.Conv2D(3, 3)(layers.Dropout(0.9)(inputs))
    model = keras.Model(inputs, layers.BatchNormalization(name="norm")(values))
    before = model.get_weights()
    images = noise.normal(size=(4, 8, 8, 1))
    first = effective_field(model, "norm", images)
    np.testing.assert_array_equal(first, effective_field(model, "norm", images))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(layer.trainable for layer in model.layers)
    # Dropout at work would leave holes in the 3x3 pixels.
    assert np.count_nonzero(first) == 9


def test_what_cannot_be_measured_is_refused():
    model, images = s3_network(), np.zeros((2, 28, 28, 1))
    with pytest.raises(ValueError, match=r"with positions, got 'class_averages' of shape \(None"):
        effective_field(model, "class_averages", images)
    for wrong in (images[0], images[:, :20], images[..., 0], images[:0]):
        with pytest.raises(ValueError, match=r"\(None, 28, 28, 1\) for one input, got"):
            effective_field(model, "class_maps", wrong)
    for index in ((5, 0), (0, -1)):
        with pytest.raises(ValueError, match="5x5 positions of 'class_maps'"):
            effective_field(model, "class_maps", images, index=index)
    with pytest.raises(ValueError, match="at most 0: a ReLU may shut 'conv1'"):
        effective_field(chain(1, 5, activation="relu"), "conv1", np.zeros((1, 5, 5, 1)))
