"""The arithmetic of receptive fields: by hand, and by published tables."""

import tracemalloc
from fractions import Fraction

import keras
import numpy as np
import pytest
from keras import layers

from evalib.networks.applications import application_graph
from evalib.receptive_fields.arithmetic import ReceptiveField
from evalib.receptive_fields.compute import receptive_field, receptive_field_table


def chain(*parts: keras.layers.Layer, size: tuple[int | None, ...] = (41, 41)) -> keras.Model:
    return keras.Sequential([keras.Input((*size, 2)), *parts])


def conv(kernel=3, strides=1, **options) -> keras.layers.Layer:
    return layers.Conv2D(2, kernel, strides=strides, **options)


HALF = Fraction(1, 2)
# Layers, size, stride and padding.
CHAINS: dict[str, tuple[list[keras.layers.Layer], int, int | Fraction, int]] = {
    "two 3x3 see 5x5": ([conv(), conv()], 5, 1, 0),
    "pooling adds a step, and doubles it": ([conv(), layers.MaxPooling2D(2), conv()], 8, 2, 0),
    "a stride widens what follows": ([conv(3, 2), conv(), conv()], 3 + 2 * 2 + 2 * 2, 2, 0),
    "dilation spreads the kernel": ([conv(dilation_rate=3)], 7, 1, 0),
    "an even kernel reaches further to the right": ([conv(4, padding="same")], 4, 1, 1),
    "padding": ([layers.ZeroPadding2D(3), conv(7, 2)], 7, 2, 3),
    "cropping": ([conv(), layers.Cropping2D(4)], 3, 1, -4),
    # Two neighbors read the same pixel: a 3x3 kernel on them sees two pixels.
    "nearest upsampling": ([layers.UpSampling2D(2), conv(padding="same")], 2, HALF, 1),
    # Output o lies at (o + 1/2) / 2 - 1/2: between two pixels.
    "bilinear": ([layers.UpSampling2D(2, interpolation="bilinear")], 2, HALF, 1),
    # Each output of a 2x2 kernel with stride 2 gets one input; of a 3x3 kernel, two at most.
    "transposed, no overlap": ([layers.Conv2DTranspose(2, 2, strides=2)], 1, HALF, 0),
    # Output 0 gets weight 0 of pixel 0, and would get weight 2 of pixel -1, if there were one.
    "transposed, overlap": ([layers.Conv2DTranspose(2, 3, strides=2)], 2, HALF, 1),
    "down and up again": ([layers.MaxPooling2D(4), layers.UpSampling2D(4)], 4, 1, 0),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_by_hand(name):
    parts, size, stride, padding = CHAINS[name]
    field = receptive_field(chain(*(type(part).from_config(part.get_config()) for part in parts)))
    assert field == ReceptiveField((size, size), (stride, stride), (padding, padding))


def test_padding_is_none_where_the_input_size_decides_and_is_not_known():
    strided = layers.Conv2D(1, 3, strides=2, padding="same")
    field = receptive_field(chain(strided, size=(None, 28)))
    assert field == ReceptiveField((3, 3), (2, 2), (None, 0))
    with pytest.raises(ValueError, match="padding is known: give the model's input size"):
        field.region((0, 0))
    # Without a stride, and for windows that tile the image, the size does not matter.
    for layer in (layers.Conv2D(1, 3, padding="same"), layers.MaxPooling2D(2, padding="same")):
        assert None not in receptive_field(chain(layer, size=(None, None))).padding


# ---- regions ---------------------------------------------------------------------------------


def test_an_output_and_its_region_by_hand():
    field = receptive_field(chain(layers.Conv2D(1, 3, padding="same"), layers.MaxPooling2D(2)))
    assert field == ReceptiveField((4, 4), (2, 2), (1, 1))
    assert field.region((0, 3)) == (slice(0, 3), slice(5, 9))  # one row hangs over the border
    assert field.center((0, 3)) == (0.5, 6.5)
    assert field.nearest_output((0.5, 6.5)) == (0, 3)
    assert np.zeros((41, 41))[field.region((0, 3))].shape == (3, 4)
    with pytest.raises(ValueError, match="expected an output from 0 to 20"):
        field.region((20, 0))
    with pytest.raises(ValueError, match="expected 2 numbers"):
        field.region((1,))
    # Without a known size only what lies before the first pixel is cut off.
    anywhere = receptive_field(chain(layers.MaxPooling2D(3, 1, padding="same"), size=(None, None)))
    assert anywhere.region((0, 400)) == (slice(0, 2), slice(399, 402))
    assert anywhere.nearest_output((0, 400.2)) == (0, 400)


# ---- graphs ----------------------------------------------------------------------------------


def test_a_shared_layer_is_followed_through_each_call():
    image = keras.Input((20, 20, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(image, shared(shared(image)))
    assert receptive_field(model).size == (5, 5)
    assert receptive_field(model, "shared#1").size == (3, 3)
    with pytest.raises(ValueError, match="one receptive field, got shared with several: 3x3, 5x5"):
        receptive_field(model, "shared")
    table = receptive_field_table(model)
    assert [row.name for row in table] == ["shared#1", "shared#2"]
    assert sum(row.parameters for row in table) == model.count_params()


def test_nested_models_are_opened_up():
    inner = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(3, 3, strides=2, padding="same", name="down")],
        name="inner",
    )
    image = keras.Input((21, 20, 3))
    model = keras.Model(image, layers.Conv2D(1, 3, name="last")(inner(image)))
    # Inside, the input size is not known; from outside it is: 21 needs a zero before, 20 none.
    assert receptive_field(model, "inner/down").padding == (1, 0)
    assert receptive_field(model, "down").size == (3, 3)
    assert receptive_field(model) == ReceptiveField((7, 7), (2, 2), (1, 0))
    (first, _) = receptive_field_table(model)
    assert (first.name, first.output_shape) == ("inner/down", (11, 10, 3))


def test_several_inputs_and_outputs():
    left, right = keras.Input((16, 16, 1), name="left"), keras.Input((16, 16, 1), name="right")
    number = keras.Input((4,), name="number")
    seen = layers.Conv2D(2, 5, padding="same", name="seen")(left)
    both = layers.Concatenate(name="both")([seen, layers.Conv2D(2, 3, padding="same")(right)])
    shifted = layers.Add(name="shifted")([both, layers.Reshape((1, 1, 4))(layers.Dense(4)(number))])
    model = keras.Model([left, right, number], [seen, shifted])
    with pytest.raises(ValueError, match="several outputs: name one with layer=, of seen, shifted"):
        receptive_field(model)
    assert receptive_field(model, "shifted").size == (5, 5)
    assert receptive_field(model, "shifted", source="right").size == (3, 3)
    assert receptive_field(model, "shifted", source="number").is_global
    with pytest.raises(ValueError, match="does not depend on the input right"):
        receptive_field(model, "seen", source="right")
    with pytest.raises(ValueError, match="expected one of the inputs left, right, number"):
        receptive_field(model, "seen", source="middle")


def test_the_axis_of_channels_is_told_by_the_layers():
    image = keras.Input((24, 22, 3))
    maps = layers.Conv2D(4, (5, 3), padding="same")(image)
    turned = layers.Permute((3, 1, 2))(maps)
    first = layers.Conv2D(4, 3, padding="same", data_format="channels_first")(turned)
    assert receptive_field(keras.Model(image, first)).size == (7, 5)
    flat = layers.Flatten(data_format="channels_first")(maps)
    assert receptive_field(keras.Model(image, flat)).size == (24, 22)
    front = keras.Input((3, 24, 22))
    padded = layers.ZeroPadding2D(1, data_format="channels_first")(front)
    assert receptive_field(keras.Model(front, padded)).size == (1, 1)
    normalized = layers.GroupNormalization(3, axis=1)(padded)
    assert receptive_field(keras.Model(front, normalized)).size == (24, 22)


# ---- branches that do not align ---------------------------------------------------------------


def misaligned(aside: keras.layers.Layer) -> keras.Model:
    image = keras.Input((9, 9, 1), name="image")
    centered = layers.Conv2D(1, 3, name="centered")(image)
    return keras.Model(image, layers.Concatenate(name="joined")([centered, aside(image)]))


def test_branches_that_do_not_align_give_the_extent_of_them_all():
    model = misaligned(layers.Cropping2D(((2, 0), (1, 1)), name="aside"))
    paths = "'joined' joins branches that do not align, 'centered' and 'aside': the centers"
    with pytest.warns(UserWarning, match=paths) as warned:
        field = receptive_field(model)
    assert len(warned) == 1
    assert (field.size, field.aligned) == ((3, 3), False)  # rows 0 to 2, and row 2
    with pytest.raises(ValueError, match=paths):
        receptive_field(model, strict=True)
    assert receptive_field(model, "centered").aligned


@pytest.mark.filterwarnings("ignore:.*do not align")
def test_strides_may_differ():
    image = keras.Input((9, 9, 1))
    strided = layers.Conv2D(1, 3, strides=2)(image)
    cut = layers.Cropping2D(((2, 3), (2, 3)))(image)
    field = receptive_field(keras.Model(image, layers.Add()([strided, cut])))
    # Output i sees pixels 2 i to 2 i + 2, and pixel i + 2.
    assert (field.size, field.stride) == ((4, 4), (None, None))
    assert field.region((0, 3)) == (slice(0, 3), slice(5, 9))


def test_a_difference_of_half_a_step_is_what_same_padding_rounds_by():
    # Xception and others: on an even size, a 3x3 window of stride 2 lies one pixel off the 1x1's.
    image = keras.Input((8, 8, 1))
    pooled = layers.MaxPooling2D(3, strides=2, padding="same")(image)
    model = keras.Model(image, layers.Add()([pooled, layers.Conv2D(1, 1, strides=2)(image)]))
    field = receptive_field(model)
    assert field == ReceptiveField((3, 3), (2, 2), (0, 0))
    assert field.aligned


def temporal_network(steps: int, kernel: int, dilations: list[int], stacks: int = 1):
    """Bai, Kolter and Koltun 2018: two causal convolutions a block, added to the block's input."""
    inputs = maps = keras.Input((steps, 1))
    for dilation in dilations * stacks:
        block = maps
        for _ in range(2):
            block = layers.Conv1D(1, kernel, dilation_rate=dilation, padding="causal")(block)
        maps = layers.Add()([maps, block])
    return keras.Model(inputs, maps)


@pytest.mark.filterwarnings("ignore:.*do not align")
@pytest.mark.parametrize(
    ("kernel", "dilations", "stacks"), [(2, [1, 2], 1), (8, [1, 2, 4, 8], 3), (4, [1, 2, 4], 2)]
)
def test_residual_causal_networks(kernel, dilations, stacks):
    # 1 + 2 (k - 1) stacks times the sum of the dilations, all of it in the past.
    past = 2 * (kernel - 1) * stacks * sum(dilations)
    field = receptive_field(temporal_network(2000, kernel, dilations, stacks))
    assert field == ReceptiveField((1 + past,), (1,), (past,))


@pytest.mark.filterwarnings("ignore:.*do not align")
@pytest.mark.parametrize("size", [128, None])
@pytest.mark.parametrize(
    ("down", "up", "side"),
    [
        (layers.MaxPooling2D, layers.Conv2DTranspose, 62),
        (layers.Conv2D, layers.UpSampling2D, 61),
    ],
)
def test_u_nets(size, down, up, side):
    def resample(layer):
        strided = {"kernel_size": 3, "filters": 2, "strides": 2, "padding": "same"}
        return layer(**strided) if layer in (layers.Conv2D, layers.Conv2DTranspose) else layer(2)

    image = maps = keras.Input((size, size, 1))
    skips = []
    for _ in range(3):
        skips.append(layers.Conv2D(2, 3, padding="same")(maps))
        maps = resample(down)(skips[-1])
    maps = layers.Conv2D(2, 3, padding="same")(maps)
    for skip in reversed(skips):
        maps = layers.Concatenate()([resample(up)(maps), skip])
        maps = layers.Conv2D(2, 3, padding="same")(maps)
    # Measured by TensorFlow's gradient with positive weights and averages in place of maxima.
    field = receptive_field(keras.Model(image, maps))
    assert (field.size, field.stride) == ((side, side), (1, 1))


# ---- models of any size ------------------------------------------------------------------------


def test_a_model_of_any_size_may_cut_much_away():
    sound = keras.Input((None, 4))
    maps = layers.Conv1D(4, 11, dilation_rate=25, padding="same")(sound)
    model = keras.Model(sound, layers.Cropping1D(1000)(maps))
    assert receptive_field(model) == ReceptiveField((251,), (1,), (125 - 1000,))


def test_flattened_grids_of_any_size():
    image = keras.Input((None, None, 3))
    tokens = layers.Reshape((-1, 8))(layers.Conv2D(8, 3)(image))
    field = receptive_field(keras.Model(image, tokens))
    assert (field.size, field.stride) == ((3, 3), (None, None))
    # Three tokens in a row may lie at the end of one line and the start of the next.
    assert str(receptive_field(keras.Model(image, layers.Conv1D(2, 3)(tokens)))) == "4xall"
    assert receptive_field(keras.Model(image, layers.LSTM(2)(tokens))).is_global
    past = receptive_field(
        keras.Sequential([keras.Input((None, 2)), layers.LSTM(2, return_sequences=True)])
    )
    assert (past.size, past.is_global, str(past)) == ((None,), False, "all")


def test_a_network_that_fits_no_size_says_so():
    image = keras.Input((None, None, 1))
    model = keras.Model(image, layers.Add(name="sum")([image, layers.MaxPooling2D(2)(image)]))
    with pytest.raises(ValueError, match=r"'sum' does not take an input of shape \(256, 256, 1\)"):
        receptive_field(model)


# ---- published numbers -----------------------------------------------------------------------

# Araujo, Norris and Sim, Distill 2019, table in the appendix: size, stride and padding of the last
# layer before the average. VGG19 by hand: four 3x3 instead of three add 2 x (4 + 8 + 16) pixels.
PUBLISHED = {
    "VGG16": ("block5_pool", 212, 32, 90),
    "VGG19": ("block5_pool", 212 + 2 * (4 + 8 + 16), 32, 90 + 4 + 8 + 16),
    "ResNet50": ("conv5_block3_out", 483, 32, 241),
    "ResNet101": ("conv5_block3_out", 1027, 32, 513),
    "ResNet152": ("conv5_block3_out", 1507, 32, 753),
    "InceptionV3": ("mixed10", 1311, 32, 618),
    "InceptionResNetV2": ("conv_7b_ac", 3039, 32, 1482),
    "MobileNet": ("conv_pw_13_relu", 315, 32, 126),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_receptive_fields(name):
    layer, size, stride, padding = PUBLISHED[name]
    field = receptive_field(application_graph(name), layer)
    assert field == ReceptiveField((size, size), (stride, stride), (padding, padding))


# One of each family that is not above; others have more blocks of the same layers.
FAMILIES = "ConvNeXtTiny DenseNet121 EfficientNetB0 EfficientNetV2B0 MobileNetV2 MobileNetV3Small "
FAMILIES += "NASNetMobile ResNet50V2 Xception"


@pytest.mark.parametrize("name", FAMILIES.split())
def test_every_application_answers(name):
    if (name, keras.backend.backend()) == ("NASNetMobile", "torch"):
        pytest.skip("Keras has none on PyTorch")
    model = application_graph(name)
    field = receptive_field(model)
    # All of them end in an average over all positions or in a dense layer.
    assert field.is_global
    table = receptive_field_table(model)
    assert sum(row.parameters for row in table) == model.count_params()
    seen = {row: row.receptive_field for row in table}
    whole = [row for row, field in seen.items() if field is not None and field.is_global]
    assert whole[0].kind in ("GlobalAveragePooling2D", "Flatten")
    assert all(row in whole for row in table if row.kind in ("GlobalAveragePooling2D", "Flatten"))


def test_a_minute_of_sound_needs_little_memory():
    sound = keras.Input((960_000, 1))
    maps = layers.Conv1D(1, 1024, padding="same")(sound)
    maps = layers.Conv1D(1, 400, strides=160, padding="same")(maps)
    model = keras.Model(sound, maps)
    tracemalloc.start()
    field = receptive_field(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (field.size, field.stride) == ((1024 + 399,), (160,))
    assert peak < 100 * 2**20
