"""Activation maximization on networks whose best picture is known beforehand."""

import keras
import numpy as np
import pytest
from keras import layers

from evalib.feature_visualization import maximize_activation
from evalib.models import baseline_network, s3_network


@pytest.fixture
def halves() -> keras.Model:
    """Channel 0 likes ink on the left, channel 1 on the right, behind a ReLU that hides both."""
    inputs = keras.Input((8, 8, 1))
    dense = layers.Dense(2, activation="relu", name="halves")
    model = keras.Model(inputs, dense(layers.Flatten()(inputs)))
    left = np.where(np.arange(8) < 4, 1.0, -1.0)
    kernel = np.tile(np.stack([left, -left], axis=-1), (8, 1, 1)).reshape(64, 2)
    # A bias so low that the ReLU is shut for every image: only the value before it has a slope.
    dense.set_weights([kernel, np.full(2, -1000.0)])
    return model


def test_each_channel_gets_the_picture_it_likes_even_behind_a_shut_relu(halves):
    left, right = maximize_activation(halves, "halves", [0, 1])[..., 0]
    assert left[:, :4].mean() > left[:, 4:].mean() + 0.5
    assert right[:, 4:].mean() > right[:, :4].mean() + 0.5


def test_shape_range_and_repetition():
    model = s3_network()
    images = maximize_activation(model, "block2_conv2", [0, 5, 7], steps=3, seed=1)
    assert images.shape == (3, 28, 28, 1)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    again = maximize_activation(model, "block2_conv2", [0, 5, 7], steps=3, seed=1)
    np.testing.assert_array_equal(images, again)


def test_the_model_and_its_weights_are_left_alone():
    model = s3_network()
    before = model.get_weights()
    flags = [layer.trainable for layer in model.layers]
    maximize_activation(model, "block2_relu4", [0], steps=3)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [layer.trainable for layer in model.layers] == flags


def test_the_climb_begins_at_the_picture_given(mnist):
    image = mnist[0][0][2][..., np.newaxis].astype("float32") / 255
    pictures = maximize_activation(baseline_network(), "conv1", [0, 1], start=image, steps=1)
    assert np.abs(pictures - np.clip(image, 0.02, 0.98)).max() < 0.05


def test_what_is_not_there_is_refused(halves):
    with pytest.raises(ValueError, match="got 'thirds'"):
        maximize_activation(halves, "thirds", [0])
    with pytest.raises(ValueError, match=r"channels 0 to 1, got \[0, 2\]"):
        maximize_activation(halves, "halves", [0, 2])
    with pytest.raises(ValueError, match=r"shape \(8, 8, 1\), got \(8, 8\)"):
        maximize_activation(halves, "halves", [0], start=np.zeros((8, 8)))
