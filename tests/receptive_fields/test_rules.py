"""Rules of layers and operations against brute force: each pixel is moved, in float64."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from evalib.networks.layers import SubPixel
from evalib.receptive_fields.compute import receptive_field
from evalib.receptive_fields.rules import register_layer
from tests.receptive_fields.perturbation import check_regions


@pytest.fixture(autouse=True)
def _float64():
    """Small influences are seen. Backends without float64 skip."""
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless told at the start")
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def conv(kernel=3, strides=1, **options):
    return layers.Conv2D(4, kernel, strides=strides, **{"padding": "same"} | options)


def conv1d(kernel=3, **options):
    return layers.Conv1D(4, kernel, **{"padding": "same"} | options)


def two_branches(i):
    """Channels 0 to 3 see one pixel, channels 4 to 7 see 5x5."""
    return layers.Concatenate()([conv(1)(i), conv(5)(i)])


def space_to_depth(i):
    tiles = layers.Reshape((4, 2, 4, 2, 4))(i)
    return layers.Reshape((4, 4, 16))(layers.Permute((1, 3, 2, 4, 5))(tiles))


def windows(i):
    tiles = layers.Reshape((2, 4, 2, 4, 4))(i)
    return layers.Reshape((4, 16, 4))(layers.Permute((1, 3, 2, 4, 5))(tiles))


def tokens(i):
    return layers.Reshape((64, 4))(i)


def back(i):
    tiles = layers.Reshape((2, 2, 4, 4, 4))(i)
    return layers.Reshape((8, 8, 4))(layers.Permute((1, 3, 2, 4, 5))(tiles))


def attend(i, **options):
    return layers.MultiHeadAttention(1, 4, **options)(i, i)


def shuffle(i):
    groups = layers.Permute((1, 2, 4, 3))(layers.Reshape((8, 8, 2, 4))(i))
    return layers.Reshape((8, 8, 8))(groups)


def normal(i):
    return conv()(i)


IMAGES = {
    "space to depth, 1x1": lambda i: conv(1)(space_to_depth(i)),
    "space to depth, 3x3": lambda i: conv()(space_to_depth(i)),
    "depth to space": lambda i: conv()(SubPixel(2)(normal(i))),
    "columns into channels": lambda i: conv(1)(layers.Reshape((8, 4, 8))(normal(i))),
    "tokens": lambda i: tokens(normal(i)),
    "tokens and back": lambda i: conv()(layers.Reshape((8, 8, 4))(tokens(normal(i)))),
    "convolution over tokens": lambda i: conv1d()(tokens(i)),
    "mixing tokens": lambda i: layers.Dense(5)(layers.Permute((2, 1))(tokens(i))),
    "attention in windows": lambda i: attend(windows(i), attention_axes=(2,)),
    "windows, back, residual": lambda i: i + back(attend(windows(i), attention_axes=(2,))),
    "shifted windows": lambda i: attend(windows(ops.roll(i, (2, 2), (1, 2))), attention_axes=(2,)),
    "attention along one axis": lambda i: attend(normal(i), attention_axes=(1,)),
    "channel shuffle": lambda i: shuffle(two_branches(i))[..., ::2],
    "split after a concatenation": lambda i: ops.split(two_branches(i), 2, axis=-1)[0],
    "grouped": lambda i: conv(groups=2)(two_branches(i))[..., :2],
    "depthwise": lambda i: layers.DepthwiseConv2D(3, padding="same")(two_branches(i))[..., 4:],
    "joined along rows": lambda i: ops.concatenate([normal(i)[:, :4], conv(5)(i)[:, 4:]], axis=1),
    "added to its transpose": lambda i: normal(i) + ops.transpose(i, (0, 2, 1, 3)),
    "one position for all": lambda i: layers.Multiply()([i, i[:, :1, :1]]),
    "mean of a crop": lambda i: ops.mean(normal(i)[:, 2:6], axis=1),
    "a pooling that leaves a row over": lambda i: layers.GlobalAveragePooling2D(keepdims=True)(
        layers.MaxPooling2D(3)(i)
    ),
    "transposed, with gaps": lambda i: layers.Conv2DTranspose(2, 2, strides=3)(i),
    "slices": lambda i: normal(i)[:, 1:7:2, ::-1],
    "a row": lambda i: normal(i)[:, 3, ..., None],
    "a list": lambda i: ops.take(normal(i), [0, 5, 2], axis=2),
    "flipped": lambda i: conv(strides=2)(ops.flip(ops.flip(i, 1), 2)),
    "rolled": lambda i: conv()(ops.roll(i, 2, 1)),
    "repeated": lambda i: conv()(ops.repeat(i, 2, axis=1)),
    "padded": lambda i: conv(padding="valid")(ops.pad(i, [[0, 0], [1, 1], [2, 0], [0, 0]])),
    "mirrored": lambda i: conv(padding="valid")(
        ops.pad(i, [[0, 0], [2, 2], [1, 1], [0, 0]], "reflect")
    ),
    "mirrored with its edge": lambda i: conv()(
        ops.pad(normal(i), [[0, 0], [3, 2], [0, 4], [0, 0]], "symmetric")
    ),
    "the center": lambda i: conv()(layers.CenterCrop(5, 4)(i)),
    "a random crop": lambda i: layers.RandomCrop(5, 5)(i)[:, :5, :5],
    "images cropped": lambda i: conv()(
        ops.image.crop_images(i, 2, target_width=5, right_cropping=1, target_height=4)
    ),
    "images padded": lambda i: conv()(
        ops.image.pad_images(i, 2, target_width=10, right_padding=1, target_height=13)
    ),
    "gated": lambda i: ops.nn.glu(two_branches(i)),
    "gated along rows": lambda i: ops.nn.glu(normal(i), axis=1),
    "tiled": lambda i: ops.tile(normal(i), (1, 2, 1, 1)),
    "the largest": lambda i: ops.top_k(two_branches(i), 8)[0],
    "one-hot": lambda i: ops.one_hot(ops.cast(1e6 * normal(i)[..., 0], "int32") % 99, 99),
    "stacked": lambda i: ops.unstack(ops.stack([normal(i), conv(5)(i)], axis=1), axis=1)[1],
    "axes moved": lambda i: ops.swapaxes(
        ops.moveaxis(ops.squeeze(ops.expand_dims(normal(i), 1), 1), 3, 1), 1, 3
    ),
    "normalized": lambda i: ops.normalize(normal(i), axis=-1),
    "compared": lambda i: ops.where(i > 1.5, normal(i), ops.sin(i)),
    "matrix product": lambda i: ops.matmul(i, ops.transpose(i, (0, 1, 3, 2))),
    "einsum": lambda i: ops.einsum("bhwc,bhvc->bhwv", normal(i), i),
    "ops.conv": lambda i: ops.conv(i, np.ones((3, 5, 4, 2)), strides=2, padding="same"),
    "ops.average_pool": lambda i: ops.average_pool(i, 3, 2, "same"),
    "patches": lambda i: ops.image.extract_patches(i, 4),
    "layer normalization": lambda i: layers.LayerNormalization(axis=(1, 3))(normal(i)),
    "groups of a crop": lambda i: layers.GroupNormalization(1)(i[:, :, 2:5]),
    "adaptive": lambda i: layers.AdaptiveAveragePooling2D((5, 3))(i),
    "augmented": lambda i: layers.RandomErasing()(layers.RandomColorJitter()(i[..., :3])),
    "einsum dense": lambda i: layers.EinsumDense("abcd,de->abce", (None, None, 6))(normal(i)),
    "a function of one's own": lambda i: conv(activation=lambda x: x * ops.sigmoid(x))(i),
    "channels in front": lambda i: layers.Permute((2, 3, 1))(
        layers.ZeroPadding2D(1, data_format="channels_first")(layers.Permute((3, 1, 2))(normal(i)))
    ),
}
# By hand: 1x1 on tiles of 2x2, the tiles of a 3x3 window, a column of two pixels after a 3x3.
SIZES = {
    "space to depth, 1x1": (2, 2),
    "space to depth, 3x3": (6, 6),
    "columns into channels": (3, 4),
    "tokens": (3, 3),
    "attention in windows": (4, 4),
    "attention along one axis": (8, 3),
    "split after a concatenation": (1, 1),
    "mirrored": (3, 3),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name):
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, IMAGES[name](image))
    field = receptive_field(model)
    assert field.size == SIZES.get(name, field.size)
    check_regions(model, field)


@pytest.mark.parametrize(("rows", "aligned"), [(1, True), (0, False)])
@pytest.mark.filterwarnings("ignore:.*do not align")
def test_branches_with_mirrored_borders_may_not_align(rows, aligned):
    image = keras.Input((9, 9, 1))
    mirrored = ops.pad(image, [[0, 0], [rows, 2 - rows], [1, 1], [0, 0]], "reflect")
    model = keras.Model(image, image + conv(padding="valid")(mirrored))
    assert receptive_field(model).aligned is aligned


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("size", [(5, 4), (12, 11)])
def test_resizing(interpolation, size):
    image = keras.Input((8, 9, 1))
    model = keras.Model(image, layers.Resizing(*size, interpolation=interpolation)(image))
    check_regions(model, receptive_field(model))
    antialiased = layers.Resizing(*size, interpolation="bilinear", antialias=True)
    model = keras.Model(image, antialiased(image))
    check_regions(model, receptive_field(model))


SEQUENCES = {
    "recurrent": lambda i: layers.GRU(3, return_sequences=True)(conv1d()(i)),
    "backwards": lambda i: layers.LSTM(3, return_sequences=True, go_backwards=True)(i),
    "the last state": lambda i: layers.SimpleRNN(3)(layers.Cropping1D(2)(i)),
    "both ways": lambda i: layers.Bidirectional(layers.GRU(3, return_sequences=True))(i),
    "cells": lambda i: layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True)(
        i
    ),
    "causal attention": lambda i: layers.MultiHeadAttention(1, 4)(
        conv1d()(i), conv1d()(i), use_causal_mask=True
    ),
    "grouped queries": lambda i: layers.GroupQueryAttention(4, 2, 1)(i, i, use_causal_mask=True),
    "causal dot products": lambda i: layers.Attention()([i, i], use_causal_mask=True),
    "dot-product attention": lambda i: ops.nn.dot_product_attention(
        *[ops.expand_dims(conv1d()(i), 2)] * 3, is_causal=True
    ),
    "dot": lambda i: layers.Dot(axes=(2, 1))([conv1d()(i), layers.Reshape((4, 8))(i)]),
    "frames stacked": lambda i: layers.Dense(4)(layers.Reshape((4, 8))(conv1d()(i))),
    "causal, residual": lambda i: i + conv1d(padding="causal", dilation_rate=2)(i),
    "a class token": lambda i: ops.concatenate([ops.ones_like(i[:, :1]), conv1d()(i)], axis=1),
    "repeated vector": lambda i: layers.RepeatVector(3)(layers.GRU(2)(i)),
    "each step alone": lambda i: layers.TimeDistributed(layers.Dense(2))(conv1d()(i)),
    "an image without channels": lambda i: conv()(layers.Reshape((8, 4, 1))(i)),
    "transposed": lambda i: layers.Conv1DTranspose(2, 5, strides=3, padding="same")(i),
}


@pytest.mark.filterwarnings("ignore:.*do not align")
@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name):
    steps = keras.Input((8, 4))
    model = keras.Model(steps, SEQUENCES[name](steps))
    field = receptive_field(model)
    assert field.is_global == (name in ("both ways", "repeated vector", "dot"))
    check_regions(model, field)


MEMORY = {"padding": "same", "return_sequences": True}
FILMS = {
    "each frame alone": lambda i: layers.TimeDistributed(layers.Conv2D(1, 3))(
        layers.Conv3D(1, (3, 1, 1), padding="same")(i)
    ),
    "convolutional memory": lambda i: layers.ConvLSTM2D(2, 3, **MEMORY)(i),
    "its last state": lambda i: layers.ConvLSTM2D(2, 3, strides=2)(i),
    "both ways": lambda i: layers.Bidirectional(layers.ConvLSTM2D(2, 3, **MEMORY))(i),
    "memory of rows": lambda i: layers.ConvLSTM1D(2, 3, return_sequences=True, go_backwards=True)(
        layers.Reshape((3, 6, 5))(i)
    ),
    "frames after a memory": lambda i: layers.TimeDistributed(layers.Conv2D(1, 3, strides=2))(
        layers.ConvLSTM2D(2, (3, 1), **MEMORY)(i)
    ),
    "a model for each frame": lambda i: layers.TimeDistributed(
        keras.Sequential([keras.Input((6, 5, 1)), layers.Conv2D(1, 3), layers.MaxPooling2D(2)])
    )(i),
}


@pytest.mark.parametrize("name", FILMS)
def test_films(name):
    film = keras.Input((3, 6, 5, 1))
    model = keras.Model(film, FILMS[name](film))
    check_regions(model, receptive_field(model))


def test_a_vector_as_an_image():
    # A 3x3 window of rows of 6 pixels reaches from pixel 6 (r - 1) + c - 1 to 6 (r + 1) + c + 1.
    vector = keras.Input((36,))
    model = keras.Model(vector, conv()(layers.Reshape((6, 6, 1))(vector)))
    field = receptive_field(model)
    assert field.size == (15,)
    check_regions(model, field)


def test_only_queries_keep_their_position():
    image, text = keras.Input((12, 4), name="image"), keras.Input((5, 4), name="text")
    model = keras.Model([image, text], layers.MultiHeadAttention(1, 4)(image, text))
    assert receptive_field(model, source="image").size == (1,)
    assert receptive_field(model, source="text").is_global


def test_masks_that_see_the_source_are_not_followed():
    words = keras.Input((12,), dtype="int32")
    steps = layers.Embedding(9, 4, mask_zero=True)(words)
    for output in (layers.LSTM(2)(steps), layers.GlobalAveragePooling1D()(steps)):
        with pytest.raises(ValueError, match="an argument that is not followed"):
            receptive_field(keras.Model(words, output))


# ---- what is not known, and what is not to be believed -----------------------------------------


class Blur(layers.Layer):
    """A layer that nobody knows: it averages three neighbors."""

    def call(self, inputs):
        return ops.average_pool(inputs, 3, strides=1, padding="same")


class Renamed(layers.Conv2D):
    """A convolution that computes what its parent computes."""


class Widened(layers.Conv2D):
    """A convolution that computes something else."""

    def call(self, inputs):
        return super().call(ops.average_pool(inputs, 3, strides=1, padding="same"))


class Replaced(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(ops.roll(inputs, 5, 1), kernel)


def chain(*parts):
    return keras.Sequential([keras.Input((8, 8, 2)), *parts])


def test_an_unknown_layer_is_refused_until_it_is_registered():
    model = chain(conv(), Blur(name="blur"), conv())
    with pytest.raises(ValueError, match=r"'blur'.*Blur is not known.*register_layer\(Blur"):
        receptive_field(model)
    register_layer(Blur, kernel=3, padding="same")
    assert receptive_field(model).size == (7, 7)
    check_regions(model, receptive_field(model))


def test_a_registration_that_cannot_be_true_is_not_believed():
    flat = layers.Lambda(lambda x: ops.mean(x, (1, 2)), output_shape=(2,), name="flat")
    register_layer(flat, kernel=3, padding="same")
    with pytest.raises(ValueError, match="'flat': expected 4 axes"):
        receptive_field(chain(flat))
    register_layer(flat, kernel=None)
    assert receptive_field(chain(flat)).is_global
    # Where the model takes any size, too.
    half = layers.Lambda(lambda x: x[:, ::2], name="half")
    register_layer(half)
    with pytest.raises(ValueError, match="expected 256 positions on axis 1, but it gives 128"):
        receptive_field(keras.Sequential([keras.Input((None, None, 2)), half]))


def test_a_subclass_is_known_as_long_as_it_computes_the_same():
    assert receptive_field(chain(Renamed(2, 3))).size == (3, 3)
    for kind in (Widened, Replaced):
        with pytest.raises(ValueError, match=f"its class {kind.__name__} is not known"):
            receptive_field(chain(kind(2, 3)))


def test_a_model_with_a_call_of_its_own_is_refused():
    class Network(keras.Model):
        def __init__(self):
            image = keras.Input((16, 16, 3))
            super().__init__(image, conv()(image))

        def call(self, inputs):
            return super().call(inputs) * 2

    with pytest.raises(ValueError, match="of class Network, whose call may do more"):
        receptive_field(Network())
    image = keras.Input((16, 16, 3))
    with pytest.raises(ValueError, match="its class Network is not known"):
        receptive_field(keras.Model(image, Network()(image)))


REASONS = {
    "activation": lambda i: conv(activation=lambda x: x - ops.mean(x, (1, 2), keepdims=True))(i),
    "reduces the batch": ops.sum,
    "a part of the batch": lambda i: i[:1, :],
    "aspect ratio": lambda i: layers.Resizing(4, 4, crop_to_aspect_ratio=True)(i),
}


@pytest.mark.parametrize("reason", REASONS)
def test_reasons(reason):
    image = keras.Input((8, 8, 2))
    with pytest.raises(ValueError, match=reason):
        receptive_field(keras.Model(image, REASONS[reason](image)))


def test_wrong_numbers_are_refused_at_registration():
    for numbers in ({"kernel": 0}, {"stride": -1}, {"padding": "full"}):
        with pytest.raises(ValueError, match="expected"):
            register_layer(Blur, **numbers)
