"""The experiment agrees with the arithmetic, with autodiff, and is not fooled."""

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers, ops

from evalib.receptive_fields.compute import receptive_field
from evalib.receptive_fields.measurement import measure_receptive_field

MERGES = [layers.Add, layers.Multiply, layers.Minimum, layers.Maximum, layers.Concatenate]


def same_regions(model: keras.Model) -> None:
    """The regions of the outputs on the lines through the middle are those that were computed."""
    computed, measured = receptive_field(model), measure_receptive_field(model)
    shape = model.output_shape[1:-1]
    for axis, size in enumerate(shape):
        for position in range(size):
            index = [length // 2 for length in shape]
            index[axis] = position
            assert measured.region(index)[axis] == computed.region(index)[axis], index


@st.composite
def layer_choices(draw):
    """A layer that changes the receptive field, with numbers of its own for height and width."""
    kernel = draw(st.tuples(*[st.integers(1, 4)] * 2))
    stride = draw(st.tuples(*[st.integers(1, 3)] * 2))
    pairs = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2))
    padding = draw(st.sampled_from(["valid", "same"]))
    interpolation = draw(st.sampled_from(["nearest", "bilinear", "bicubic"]))
    choices = [
        layers.Conv2D(2, kernel, strides=stride, padding=padding),
        layers.Conv2D(2, kernel, dilation_rate=stride, padding=padding),
        layers.DepthwiseConv2D(kernel, strides=stride[0], padding=padding),
        layers.SeparableConv2D(2, kernel, padding=padding),
        layers.MaxPooling2D(kernel, strides=stride, padding=padding),
        layers.AveragePooling2D(kernel, strides=stride, padding=padding),
        layers.Conv2DTranspose(2, kernel, strides=stride, padding=padding),
        layers.ZeroPadding2D(pairs),
        layers.Cropping2D(pairs),
        layers.UpSampling2D(stride, interpolation=interpolation),
        layers.Resizing(7 + kernel[0], 6 + kernel[1], interpolation="bilinear"),
        layers.AdaptiveAveragePooling2D((3 + kernel[0], 2 + kernel[1])),
    ]
    return draw(st.sampled_from(choices))


@st.composite
def random_graphs(draw):
    """Up to five layers, with a branch that leaves and comes back somewhere."""
    image = keras.Input((draw(st.integers(9, 20)), draw(st.integers(9, 20)), 2))
    maps = image
    for part in draw(st.lists(layer_choices(), min_size=1, max_size=5)):
        if draw(st.integers(0, 3)) == 0:
            merge = draw(st.sampled_from(MERGES))
            branch = layers.Conv2D(maps.shape[-1], (3, 5), padding="same", activation="relu")
            maps = merge()([branch(maps), maps])
        try:
            larger = part(maps)
        except ValueError:
            continue  # The window does not fit.
        if min(larger.shape[1:3]) > 0 and max(larger.shape[1:3]) <= 40:
            maps = larger
    assume(maps is not image)
    return keras.Model(image, maps)


@given(random_graphs())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_random_graphs_are_measured_as_computed(model):
    same_regions(model)


def chain(*parts: keras.layers.Layer, size: tuple[int | None, ...] = (32, 32, 1)) -> keras.Model:
    return keras.Sequential([keras.Input(size), *parts])


def convolutions(count: int, **options) -> list[keras.layers.Layer]:
    return [layers.Conv2D(2, 3, padding="same", **options) for _ in range(count)]


class Shift(layers.Layer):
    """A layer that nobody knows: its output at row r reads row r - 2."""

    def call(self, inputs):
        return 2 * ops.roll(inputs, 2, axis=1)


class Gated(layers.Layer):
    """A residual whose weight is zero in the beginning, as in ReZero."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(), initializer="zeros")
        self.wide = layers.Conv2D(shape[-1], 5, padding="same")
        self.wide.build(shape)

    def call(self, inputs):
        return inputs + self.gate * self.wide(inputs)


NOT_FOOLED = {
    "ties in maxima": ([layers.MaxPooling2D(3, 1, padding="same") for _ in range(12)], 25),
    "depth": (convolutions(12, activation="relu"), 25),
    "sigmoids": (convolutions(2, activation="sigmoid"), 5),
    "saturation": ([layers.Conv2D(64, 3, activation="tanh"), *convolutions(1)], 5),
    "a softmax over classes": ([*convolutions(1), layers.Conv2D(10, 1, activation="softmax")], 3),
    "normalization": ([*convolutions(1), layers.LayerNormalization()], 3),
    "half precision": (convolutions(2, activation="sigmoid", dtype="mixed_float16"), 5),
    "a residual of weight zero": ([Gated()], 5),
    "one's own layer": ([Shift(), *convolutions(1)], 3),
    "gaps": ([*convolutions(1), layers.Conv2DTranspose(1, 1, strides=2)], 3),
}


@pytest.mark.parametrize("name", NOT_FOOLED)
def test_it_is_not_fooled_by(name):
    parts, size = NOT_FOOLED[name]
    model = chain(*parts)
    model.set_weights([np.zeros(weight.shape) for weight in model.get_weights()])
    assert measure_receptive_field(model).size == (size, size)
    assert not any(weight.any() for weight in model.get_weights())  # The model is as it was.


def test_tokens_are_whole_numbers():
    model = keras.Sequential(
        [keras.Input((16,), dtype="int32"), layers.Embedding(5, 4), layers.Conv1D(2, 3)]
    )
    assert measure_receptive_field(model).size == (3,)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="none does"):
        measure_receptive_field(chain(layers.Lambda(lambda x: x * 0), size=(8, 8, 1)))
    with pytest.raises(ValueError, match="the recurrent 'memory'"):
        measure_receptive_field(chain(layers.ConvLSTM1D(2, 3, name="memory"), size=(8, 8, 1)))
    with pytest.raises(ValueError, match="expected an input of known size"):
        measure_receptive_field(chain(layers.Conv2D(1, 3), size=(None, None, 1)))


def test_only_the_chosen_input_is_changed():
    left, right = keras.Input((16, 16, 1), name="left"), keras.Input((16, 16, 1), name="right")
    wide = layers.Conv2D(1, 5, padding="same")(left)
    model = keras.Model([left, right], layers.Multiply()([wide, right]))
    assert measure_receptive_field(model, source="left").size == (5, 5)
    assert measure_receptive_field(model, source="right").size == (1, 1)
    assert measure_receptive_field(model).size == (5, 5)
