"""The rules of Keras's layers, taken as at inference."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from evalib.receptive_fields import windows
from evalib.receptive_fields.operation_rules import attention, einsum
from evalib.receptive_fields.rules import each, evaluate, rule, slide
from evalib.receptive_fields.tensor_fields import (
    LayerCall,
    Operand,
    TensorField,
    UnknownFieldError,
    end_to_end,
    join,
    merge,
    with_mask,
)

_CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell")
_MOST_STEPS = 1024

# Pixel by pixel; several inputs are merged position by position.
rule(
    "Identity ActivityRegularization Masking Dropout SpatialDropout1D SpatialDropout2D "
    "SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise Activation ReLU LeakyReLU PReLU "
    "ELU SReLU BatchNormalization Normalization Rescaling Solarization Discretization Add Subtract "
    "Multiply Average Maximum Minimum LayerScale StochasticDepth CustomScaleLayer RandomAffine "
    "RandomFlip RandomRotation RandomTranslation RandomZoom RandomShear RandomPerspective "
    "RandomElasticTransform RandomErasing RandomContrast RandomBrightness RandomColorJitter "
    "RandomColorDegeneration RandomHue RandomSaturation RandomSharpness RandomGrayscale "
    "RandomInvert RandomPosterization RandomGaussianBlur RandAugment AugMix MixUp CutMix"
)(merge)
# Mean and variance, or a histogram, of all positions.
rule("GroupNormalization AutoContrast Equalization")(lambda call: call.field.gather(call.all_axes))
rule("Dense")(lambda call: call.field.mix_channels(call.all_axes[-1]))
rule("EinsumDense")(lambda call: einsum(call.operands, call.layer.equation))
rule("Embedding")(lambda call: call.field.insert(len(call.shape)).with_channel(len(call.shape)))
rule("RepeatVector")(lambda call: call.field.insert(1).with_channel(2))
rule("Permute")(lambda call: call.field.transpose([0, *call.layer.dims]))
rule("Reshape", "Reshape Ravel")(lambda call: call.field.reshape(call.shape, call.shapes[0]))
rule("Concatenate", "Concatenate")(lambda call: end_to_end(call.operands, call.axis()))
rule("SpectralNormalization")(lambda call: evaluate(call.layer.layer, call.operands, call.shapes))


@rule("Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D")
def convolution(call: LayerCall) -> TensorField:
    layer, size = call.layer, call.shape[call.channel]
    groups = size if call.kind.startswith("Depthwise") else getattr(layer, "groups", 1)
    field = call.field.mix_channels(call.channel, groups, size, call.shapes[0][call.channel])
    return slide(call, field, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)


@rule("Conv1DTranspose Conv2DTranspose Conv3DTranspose", "ConvTranspose")
def transposed_convolution(call: LayerCall) -> TensorField:
    layer = call.layer
    kernel = getattr(layer, "kernel_size", None) or tuple(call.argument("kernel").shape[:-2])
    options = (kernel, layer.strides, layer.dilation_rate, layer.padding, layer.output_padding)
    mixed = call.field.mix_channels(call.channel)
    return slide(call, mixed, *options, window=windows.transposed)


@rule(
    "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D",
    "MaxPool AveragePool",
)
def pooling(call: LayerCall) -> TensorField:
    layer = call.layer
    strides = layer.pool_size if layer.strides is None else layer.strides
    return slide(call, call.field, layer.pool_size, strides, 1, layer.padding)


@rule(
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D"
)
def global_pooling(call: LayerCall) -> TensorField:
    change = call.field.gather if call.layer.keepdims else call.field.remove
    return change(call.positions)


@rule("ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D")
def padding_or_cropping(call: LayerCall) -> TensorField:
    crop = call.kind.startswith("Cropping")
    pairs = np.reshape(call.layer.cropping if crop else call.layer.padding, (-1, 2))
    before, after = (-pairs if crop else pairs).T.tolist()
    return slide(call, call.field, before, after, window=windows.shifted)


@rule("CenterCrop RandomCrop")
def crop(call: LayerCall) -> TensorField:
    """The middle; at inference a random crop leaves each pixel in its place."""
    more = [call.shape[axis] - call.shapes[0][axis] for axis in call.positions]
    if min(more) < 0:
        raise UnknownFieldError("it resizes smaller images, which is not followed")
    before = [-(m // 2) if call.kind == "CenterCrop" else 0 for m in more]
    after = [-m - b for m, b in zip(more, before, strict=True)]
    return slide(call, call.field, before, after, window=windows.shifted)


@rule(
    "UpSampling1D UpSampling2D UpSampling3D Resizing SubPixel AdaptiveAveragePooling1D "
    "AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D "
    "AdaptiveMaxPooling3D",
    "Resize AdaptiveMaxPool AdaptiveAveragePool",
)
def resizing(call: LayerCall) -> TensorField:
    layer, outputs = call.layer, [call.shapes[0][axis] for axis in call.positions]
    if any(getattr(layer, f"{kind}_to_aspect_ratio", False) for kind in ("crop", "pad")):
        raise UnknownFieldError("resizing that keeps the aspect ratio is not known")
    default = "area" if call.kind.startswith("Adaptive") else "nearest"
    options = (getattr(layer, "interpolation", default), getattr(layer, "antialias", False))
    # A sub-pixel layer makes each square of outputs from the channels of one pixel.
    field = call.field.mix_channels(call.channel) if call.kind == "SubPixel" else call.field
    return slide(call, field, outputs, *options, window=windows.resized)


@rule(
    "LayerNormalization RMSNormalization UnitNormalization Softmax",
    "Softmax LogSoftmax Sparsemax Normalize LayerNorm RMSNorm Sort Argsort",
)
def over_its_axes(call: LayerCall) -> TensorField:
    """Each value depends on all others along the axes that are named."""
    return call.field.gather(n % len(call.shape) for n in each(getattr(call.layer, "axis", -1)))


@rule("Flatten")
def flatten(call: LayerCall) -> TensorField:
    order = [0, *call.all_axes]
    if call.layer.data_format == "channels_first" and len(call.shape) > 2:
        order = [0, *order[2:], 1]
    shape = tuple(call.shape[n] for n in order)
    return call.field.transpose(order).reshape(shape, call.shapes[0])


@rule("Dot")
def dot(call: LayerCall) -> TensorField:
    """Products over one axis of each input; axis 0 is the batch."""
    first, second = call.operands
    letters = ["abcdefgh"[: len(first.shape)], "aijklmno"[: len(second.shape)]]
    axes = [n % len(side) for n, side in zip(each(call.layer.axes, 2), letters, strict=True)]
    letters[1] = letters[1].replace(letters[1][axes[1]], letters[0][axes[0]])
    output = (letters[0] + letters[1][1:]).replace(letters[0][axes[0]], "")
    output += "z" * (len(call.shapes[0]) - len(output))
    return einsum([first, second], ",".join(letters) + "->" + output)


@rule("TimeDistributed")
def time_distributed(call: LayerCall) -> TensorField:
    """The wrapped layer works on each step of axis 1 alone."""
    field, shape, new_shape = call.field, (None, *call.shape[2:]), (None, *call.shapes[0][2:])

    def step(field: TensorField) -> TensorField:
        return evaluate(call.layer.layer, [Operand(shape, field)], [new_shape])[0].insert(1)

    over_time = [each.depends_on() for each in field.maps]
    if any(1 in axes and len(axes) > 1 for axes in over_time):
        return step_by_step(call.shape[1], field, step)
    result, maps = step(field.remove([1])), []
    ones = [1] * (result.rank - 2)
    for old, new, axes in zip(field.maps, result.maps, over_time, strict=True):
        # What follows time alone keeps to it.
        maps.append(old.move(lambda b: b.reshape(2, -1, *ones)) if 1 in axes else new)
    return dataclasses.replace(result, maps=tuple(maps))


def step_by_step(
    steps: int, field: TensorField, run: Callable[[TensorField], TensorField]
) -> TensorField:
    """Run something on each position of axis 1, and join the results along it."""
    if steps > _MOST_STEPS:
        raise UnknownFieldError(f"its {steps} steps are too many to follow each")
    results = [run(field.select(1, [step]).remove([1])) for step in range(steps)]
    shape = (None, *[1] * (results[0].rank - 1))
    return end_to_end([Operand(shape, each) for each in results], 1)


@rule("LSTM GRU SimpleRNN RNN")
def recurrent(call: LayerCall) -> list[TensorField]:
    """A step sees all steps before it, and what the states in the beginning have seen."""
    layer = call.layer
    for cell in getattr(layer.cell, "cells", [layer.cell]):
        if type(cell).__name__ not in _CELLS or not type(cell).__module__.startswith("keras."):
            raise UnknownFieldError(f"its cell, of class {type(cell).__name__}, is not known here")
    sequence = call.argument("sequences")
    states = keras.tree.flatten(call.argument("initial_state"))
    mask = call.argument("mask")
    call.check_only(sequence, states, mask)
    seen = with_mask(sequence, mask)
    before = [s.field.gather([1]) for s in states if isinstance(s, Operand) and s.field]
    steps = [seen.gather([2])] if seen else []
    if layer.go_backwards:
        steps = [field.select(1, np.arange(call.shape[1])[::-1]) for field in steps]
    last = join([*(field.remove([1]) for field in steps), *before])
    past = [field.accumulate(1) for field in steps]
    past += [field.insert(1) for field in before]
    return [join(past) if layer.return_sequences else last, *[last] * (len(call.shapes) - 1)]


@rule("ConvLSTM1D ConvLSTM2D ConvLSTM3D")
def conv_lstm(call: LayerCall) -> list[TensorField]:
    """With each frame the state is convolved once more: what it sees grows with time."""
    layer, cell, field = call.layer, call.layer.cell, call.field
    states: list[TensorField] = []

    def seen(field: TensorField, shape: tuple[int, ...], *options: object) -> TensorField:
        frame = LayerCall(cell, (Operand((None, *shape), field),), {}, ())
        return slide(frame, field.mix_channels(frame.channel), cell.kernel_size, *options)

    def step(field: TensorField) -> TensorField:
        now = seen(field, call.shape[2:], cell.strides, cell.dilation_rate, cell.padding)
        if states:
            shape = call.shapes[0][2 if layer.return_sequences else 1 :]
            now = join([now, seen(states[-1], shape, 1, 1, "same")])
        states.append(dataclasses.replace(now, note=field.note))
        return states[-1].insert(1)

    if layer.go_backwards:
        field = field.select(1, np.arange(call.shape[1])[::-1])
    sequence = step_by_step(call.shape[1], field, step)
    output = sequence if layer.return_sequences else states[-1]
    return [output, *[states[-1]] * (len(call.shapes) - 1)]


@rule("Bidirectional")
def bidirectional(call: LayerCall) -> list[TensorField]:
    layer, operand = call.layer, Operand(call.shape, call.field)
    shapes = [call.shapes[0]] * (1 + (len(call.shapes) - 1) // 2)
    forward, backward = (
        evaluate(each, [operand], shapes if layer.return_state else shapes[:1])
        for each in (layer.forward_layer, layer.backward_layer)
    )
    if layer.return_sequences:
        backward[0] = backward[0].select(1, np.arange(call.shape[1])[::-1])
    outputs, states = [forward[0], backward[0]], [*forward[1:], *backward[1:]]
    if layer.merge_mode == "concat":
        shape = (*call.shapes[0][:-1], call.shapes[0][-1] // 2)
        joined = end_to_end([Operand(shape, each) for each in outputs], len(shape) - 1)
        outputs = [dataclasses.replace(joined, note=call.field.note)]
    elif layer.merge_mode is not None:
        outputs = [join(outputs)]
    return [*outputs, *states]


@rule("MultiHeadAttention GroupedQueryAttention")
def multi_head_attention(call: LayerCall) -> TensorField:
    names = ["query", "key" if call.argument("key") else "value", "value"]
    operands, masks = [], [call.argument("attention_mask")]
    for name in names:
        operand, own = call.argument(name), call.argument(f"{name}_mask")
        operands.append(dataclasses.replace(operand, field=with_mask(operand, own)))
        masks += [operand, own]
    call.check_only(masks)
    axes = getattr(call.layer, "_attention_axes", None) or (1,)
    return attention(operands, axes, call.argument("use_causal_mask"), masks[0])


@rule("Attention AdditiveAttention")
def dot_attention(call: LayerCall) -> TensorField:
    mask, causal = call.argument("mask"), call.argument("use_causal_mask")
    return attention(call.argument("inputs"), (1,), causal, mask)
