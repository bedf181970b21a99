"""The rules of Keras's layers and of the operations of `keras.ops`, taken as at inference."""

import dataclasses

import numpy as np

from evalib.receptive_fields import axis_maps, tensor_fields
from evalib.receptive_fields.rules import each, evaluate, rule, slide
from evalib.receptive_fields.tensor_fields import LayerCall, Operand, TensorField, UnknownFieldError

_CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell")

# Pixel by pixel; several inputs are merged position by position.
rule(
    "Identity ActivityRegularization Masking Dropout SpatialDropout* "
    "AlphaDropout GaussianDropout GaussianNoise Activation ReLU LeakyReLU PReLU "
    "ELU SReLU BatchNormalization Normalization Rescaling Solarization Discretization Add Subtract "
    "Multiply Average Maximum Minimum LayerScale StochasticDepth CustomScaleLayer RandomAffine "
    "RandomFlip RandomRotation RandomTranslation RandomZoom RandomShear RandomPerspective "
    "RandomElasticTransform RandomErasing RandomContrast RandomBrightness RandomColorJitter "
    "RandomColorDegeneration RandomHue RandomSaturation RandomSharpness RandomGrayscale "
    "RandomInvert RandomPosterization RandomGaussianBlur RandAugment AugMix MixUp CutMix"
)(tensor_fields.merge)
# Mean and variance, or a histogram, of all positions.
rule("GroupNormalization AutoContrast Equalization")(
    lambda call: call.field.gather(range(1, len(call.shape)))
)
rule(
    "LayerNormalization RMSNormalization UnitNormalization Softmax",
    "Softmax LogSoftmax Sparsemax Normalize LayerNorm RMSNorm Sort Argsort",
)(lambda call: call.field.gather(n % len(call.shape) for n in each(call.option("axis", -1))))
rule("Dense")(lambda call: call.field.mix_channels(len(call.shape) - 1))
rule("EinsumDense")(lambda call: tensor_fields.einsum(call.operands, call.layer.equation))
rule("Embedding")(lambda call: call.field.insert(len(call.shape)).with_channel(len(call.shape)))
rule("RepeatVector")(lambda call: call.field.insert(1).with_channel(2))
rule("Permute")(lambda call: call.field.transpose([0, *call.layer.dims]))
rule("Reshape", "Reshape Ravel ExpandDims Squeeze")(
    lambda call: call.field.reshape(call.shape, call.shapes[0])
)
rule("Concatenate", "Concatenate")(
    lambda call: tensor_fields.end_to_end(call.operands, call.axis())
)
rule("SpectralNormalization")(lambda call: evaluate(call.layer.layer, call.operands, call.shapes))


@rule("Conv* DepthwiseConv* SeparableConv*", "Conv DepthwiseConv SeparableConv ExtractPatches")
def convolution(call: LayerCall) -> TensorField:
    layer, size = call.layer, call.shape[call.channel]
    kernel, groups = call.option("kernel_size", call.option("size")), call.option("groups", 1)
    if kernel is None:  # An operation reads its kernel.
        *kernel, channels, _ = call.args[1].shape
        groups = 1 if call.kind == "SeparableConv" else size // channels
    groups = size if call.kind.startswith("Depthwise") else groups
    field = call.field.mix_channels(call.channel, groups, size, call.shapes[0][call.channel])
    return slide(call, field, kernel, layer.strides or kernel, layer.dilation_rate, layer.padding)


@rule("Conv*Transpose", "ConvTranspose")
def transposed_convolution(call: LayerCall) -> TensorField:
    layer, mixed = call.layer, call.field.mix_channels(call.channel)
    kernel = call.option("kernel_size") or tuple(call.argument("kernel").shape[:-2])
    options = (kernel, layer.strides, layer.dilation_rate, layer.padding, layer.output_padding)
    return slide(call, mixed, *options, window=axis_maps.transposed)


@rule("MaxPooling* AveragePooling*", "MaxPool AveragePool")
def pooling(call: LayerCall) -> TensorField:
    size, strides = call.layer.pool_size, call.layer.strides
    return slide(call, call.field, size, strides or size, 1, call.layer.padding)


@rule("ZeroPadding* Cropping* CenterCrop RandomCrop", "CropImages PadImages")
def padding_or_cropping(call: LayerCall) -> TensorField:
    more = [call.shapes[0][axis] - call.shape[axis] for axis in call.positions]
    name, sign = ("cropping", -1) if "Crop" in call.kind else ("padding", 1)
    if call.kind in ("CenterCrop", "RandomCrop"):
        if max(more) > 0:
            raise UnknownFieldError("it resizes smaller images, which is not followed")
        # At inference a random crop leaves each pixel in its place.
        before = [-(-m // 2) if call.kind == "CenterCrop" else 0 for m in more]
    elif call.kind.endswith("Images"):
        sides = [(f"top_{name}", f"bottom_{name}"), (f"left_{name}", f"right_{name}")]
        given = [[getattr(call.layer, side) for side in pair] for pair in sides]
        ends = zip(given, more, strict=True)
        before = [m - sign * last if first is None else sign * first for (first, last), m in ends]
    else:
        before = [sign * first for first, _ in np.reshape(getattr(call.layer, name), (-1, 2))]
    after = [m - first for m, first in zip(more, before, strict=True)]
    return slide(call, call.field, before, after, window=axis_maps.shifted)


@rule(
    "UpSampling* Resizing SubPixel AdaptiveAveragePooling* AdaptiveMaxPooling*",
    "Resize AdaptiveMaxPool AdaptiveAveragePool",
)
def resizing(call: LayerCall) -> TensorField:
    outputs = [call.shapes[0][axis] for axis in call.positions]
    if any(call.option(f"{kind}_to_aspect_ratio") for kind in ("crop", "pad")):
        raise UnknownFieldError("resizing that keeps the aspect ratio is not known")
    default = "area" if call.kind.startswith("Adaptive") else "nearest"
    options = (call.option("interpolation", default), call.option("antialias", False))
    # A sub-pixel layer makes each square of outputs from the channels of one pixel.
    field = call.field.mix_channels(call.channel) if call.kind == "SubPixel" else call.field
    return slide(call, field, outputs, *options, window=axis_maps.resized)


@rule("Flatten")
def flatten(call: LayerCall) -> TensorField:
    order = [*range(len(call.shape))]
    if call.layer.data_format == "channels_first" and len(call.shape) > 2:
        order = [0, *order[2:], 1]
    shape = tuple(call.shape[n] for n in order)
    return call.field.transpose(order).reshape(shape, call.shapes[0])


@rule("Dot")
def dot(call: LayerCall) -> TensorField:
    sides = ["abcdefgh"[: len(call.operands[0].shape)], "aijklmno"[: len(call.operands[1].shape)]]
    first, second = (side[n] for side, n in zip(sides, each(call.layer.axes, 2), strict=True))
    output = sides[0].replace(first, "") + sides[1][1:].replace(second, "")
    output += "z" * (len(call.shapes[0]) - len(output))
    sides[1] = sides[1].replace(second, first)
    return tensor_fields.einsum(call.operands, f"{sides[0]},{sides[1]}->{output}")


@rule("TimeDistributed")
def time_distributed(call: LayerCall) -> TensorField:
    """The wrapped layer works on each step of axis 1 alone: on one, if all are alike."""
    field, shape, frame = call.field, call.shapes[0], (None, *call.shape[2:])
    over_time = [each.depends_on() for each in field.maps]
    alike, results = not any(1 in axes and len(axes) > 1 for axes in over_time), []
    for step in range(1 if alike else call.shape[1]):
        operand = Operand(frame, field.select(1, [step]).remove([1]))
        (result,) = evaluate(call.layer.layer, [operand], [(None, *shape[2:])])
        results.append(Operand((None, 1, *shape[2:]), result.insert(1)))
    result, maps = tensor_fields.end_to_end(results, 1), []
    for old, new, axes in zip(field.maps, result.maps, over_time, strict=True):
        # What follows time alone keeps to it.
        ones = [1] * (len(shape) - 2)
        maps.append(old.move(lambda b: b.reshape(2, -1, *ones)) if axes == [1] else new)  # noqa: B023
    return dataclasses.replace(result, maps=tuple(maps))


@rule("ConvLSTM*")
def conv_lstm(call: LayerCall) -> list[TensorField]:
    """With each frame the state is convolved once more: what it sees spreads with time."""
    layer, cell, steps = call.layer, call.layer.cell, np.arange(call.shape[1])
    states: list[TensorField] = []
    shape = (None, 1, *call.shapes[0][2 - len(call.shape) :])
    options = (cell.strides, cell.dilation_rate, cell.padding)
    frames = slide(call, call.field.mix_channels(call.channel), cell.kernel_size, *options)
    state_call = LayerCall(layer, (Operand(shape, frames),), {}, ())
    for step in steps[::-1] if layer.go_backwards else steps:
        state = frames.select(1, [step])
        if states:
            spread = slide(state_call, states[-1], cell.kernel_size, 1, 1, "same")
            state = dataclasses.replace(tensor_fields.join([state, spread]), note=frames.note)
        states.append(state)
    last = states[-1].remove([1])
    sequence = tensor_fields.end_to_end([Operand(shape, state) for state in states], 1)
    return [sequence if layer.return_sequences else last, *[last] * (len(call.shapes) - 1)]


@rule("LSTM GRU SimpleRNN RNN")
def recurrent(call: LayerCall) -> list[TensorField]:
    layer, field = call.layer, call.field.gather([2])
    for cell in getattr(layer.cell, "cells", [layer.cell]):
        if type(cell).__name__ not in _CELLS or not type(cell).__module__.startswith("keras."):
            raise UnknownFieldError(f"its cell, of class {type(cell).__name__}, is not known here")
    if layer.go_backwards:
        field = field.select(1, np.arange(call.shape[1])[::-1])
    last = field.remove([1])
    steps = field.accumulate(1) if layer.return_sequences else last
    return [steps, *[last] * (len(call.shapes) - 1)]


@rule("Bidirectional")
def bidirectional(call: LayerCall) -> TensorField:
    layer, shape, operand = call.layer, call.shapes[0], Operand(call.shape, call.field)
    if layer.merge_mode is None or layer.return_state:
        raise UnknownFieldError("its directions are followed where they are merged, without states")
    concat = layer.merge_mode == "concat"
    shape = (*shape[:-1], shape[-1] // 2) if concat else shape
    layers = (layer.forward_layer, layer.backward_layer)
    ways = [evaluate(each, [operand], [shape])[0] for each in layers]
    if layer.return_sequences:
        ways[1] = ways[1].select(1, np.arange(call.shape[1])[::-1])
    if not concat:
        return tensor_fields.join(ways)
    joined = tensor_fields.end_to_end([Operand(shape, each) for each in ways], len(shape) - 1)
    return dataclasses.replace(joined, note=call.field.note)


@rule("MultiHeadAttention GroupedQueryAttention Attention AdditiveAttention", "DotProductAttention")
def attention(call: LayerCall) -> TensorField:
    given = call.argument("inputs") or map(call.argument, ("query", "value", "key"))
    masks = [call.argument(name) for name in ("bias", "mask", "attention_mask")]
    causal = call.option("is_causal") or call.argument("use_causal_mask")
    axes, operands = call.option("_attention_axes") or (1,), [o for o in given if o is not None]
    return tensor_fields.attention(call, operands, axes, causal, masks)


# Value by value; several inputs are merged position by position.
rule(
    operations="Absolute Add Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh BitwiseAnd "
    "BitwiseInvert BitwiseNot BitwiseOr BitwiseXor BitwiseLeftShift LeftShift BitwiseRightShift "
    "RightShift BroadcastTo Cast Cbrt Ceil Clip Conjugate ConvertToTensor Copy Cos Cosh Deg2rad "
    "Divide DivideNoNan Equal Erf Erfinv Exp Exp2 Expm1 Floor FloorDivide Gcd Greater "
    "GreaterEqual Heaviside Hypot Imag Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal Lcm "
    "Ldexp Less LessEqual Log Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot "
    "LogicalOr LogicalXor Maximum Minimum Mod Multiply NanToNum Negative NotEqual Power Real "
    "Reciprocal Round Rsqrt SaturateCast Sign Signbit Sin Sinh Sqrt Square StopGradient Subtract "
    "Tan Tanh TrueDivide Trunc Where Celu Elu Gelu HardShrink HardSigmoid HardSilu HardTanh "
    "LeakyRelu LogSigmoid Relu Relu6 Selu Sigmoid Silu SoftShrink Softplus Softsign SparsePlus "
    "SparseSigmoid Squareplus TanhShrink Threshold"
)(tensor_fields.merge)
rule(operations="OnesLike ZerosLike FullLike EmptyLike")(lambda call: [None])
rule(operations="BatchNorm")(lambda call: call.field)
rule(operations="TopK")(lambda call: [call.field.gather([len(call.shape) - 1])] * 2)
rule(operations="OneHot")(lambda call: call.field.insert(call.axis(1)).with_channel(call.axis(1)))
rule(operations="Cumsum Cumprod")(lambda call: call.field.accumulate(call.axis()))


@rule(
    "GlobalAveragePooling* GlobalMaxPooling*",
    "Mean Sum Max Min Amax Amin Prod Std Var Logsumexp Any All CountNonzero Average Median Argmax "
    "Argmin Norm Moments",
)
def reduction(call: LayerCall) -> list[TensorField]:
    named = call.positions if "Global" in call.kind else call.option("axes", call.option("axis", 0))
    axes = [n % len(call.shape) for n in each(0 if named is None else named)]
    if 0 in axes:
        raise UnknownFieldError("it reduces the batch")
    change = call.field.gather if call.option("keepdims") else call.field.remove
    return [change(axes)] * len(call.shapes)


@rule(operations="Glu")
def gated(call: LayerCall) -> TensorField:
    axis, half = call.axis(), call.shapes[0][call.axis()]
    parts = [call.field.select(axis, np.arange(half) + start) for start in (0, half)]
    return dataclasses.replace(tensor_fields.join(parts), note=call.field.note)


@rule(operations="Pad")
def pad(call: LayerCall) -> TensorField:
    field, mode = call.field, call.layer.mode
    pairs = list(call.layer.pad_width) * (len(call.shape) // len(call.layer.pad_width))
    if any(pairs[0]):
        raise UnknownFieldError("it pads the batch")
    for axis, pair in enumerate(pairs):
        if mode != "constant" and any(pair):  # Each position shows one of those that were there.
            index = np.pad(np.arange(call.shape[axis]), pair, mode=mode)
            field = field.select(axis, index, shift=pair[0])
        elif any(pair):
            field = field.slide({axis: axis_maps.shifted(call.shape[axis], *pair)})
    return field


@rule(operations="GetItem")
def indexing(call: LayerCall) -> TensorField:
    """`tensor[:, 1:-1, ::2, 0]`: slices, integers, new axes and an ellipsis."""
    keys = list(call.args[1]) if isinstance(call.args[1], tuple) else [call.args[1]]
    if any(not isinstance(k, (int, np.integer, slice, type(None), type(...))) for k in keys):
        raise UnknownFieldError("indexing is known with numbers, slices, new axes and an ellipsis")
    missing = len(call.shape) - sum(k is not None and k is not Ellipsis for k in keys)
    place = next((n for n, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys[place : place + 1] = [slice(None)] * missing
    field, olds = call.field, [key for key in keys if key is not None]
    if keys[0] != slice(None):
        raise UnknownFieldError("it takes a part of the batch")
    for axis, key in enumerate(olds):
        if key != slice(None):
            field = field.select(axis, np.ravel(np.arange(call.shape[axis])[key]))
    field = field.remove(n for n, key in enumerate(olds) if not isinstance(key, slice))
    kept = [key for key in keys if key is None or isinstance(key, slice)]
    for new in [n for n, key in enumerate(kept) if key is None]:
        field = field.insert(new)
    return field


@rule(operations="Flip Roll Repeat Take Tile")
def rearrangement(call: LayerCall) -> TensorField:
    layer, field, rank, index = call.layer, call.field, len(call.shape), np.zeros(1)
    tiles = ([1] * rank + [*each(call.option("repeats", 1))])[-rank:]
    tiled = tuple(axis for axis, count in enumerate(tiles) if count > 1)
    axes = tiled if call.kind == "Tile" else each(layer.axis)
    for axis, shift in zip(axes, each(call.option("shift", 0), len(axes)), strict=True):
        if axis is None or axis % rank == 0:
            raise UnknownFieldError("it works on the batch")
        index = np.arange(call.shape[axis])
        if call.kind == "Take":
            index = index[np.asarray(call.args[1])]
        elif call.kind == "Repeat":
            index = np.repeat(index, layer.repeats)
        elif call.kind == "Tile":
            index = np.tile(index, tiles[axis])
        else:
            index = np.roll(index, shift) if call.kind == "Roll" else index[::-1]
        field = field.select(axis % rank, np.ravel(index))
    return field.remove(axis % rank for axis in axes) if index.ndim == 0 else field


@rule(operations="Split ArraySplit Unstack")
def split(call: LayerCall) -> list[TensorField]:
    axis, start, fields = call.axis(), 0, []
    for shape in call.shapes:
        fewer = len(shape) < len(call.shape)
        stop = start + (1 if fewer else shape[axis])
        part = call.field.select(axis, np.arange(start, stop))
        fields.append(part.remove([axis]) if fewer else part)
        start = stop
    return fields


@rule(operations="Stack")
def stack(call: LayerCall) -> TensorField:
    axis = call.axis(1)
    shape = (*call.shape[:axis], 1, *call.shape[axis:])
    fields = [o.field.insert(axis) if o.field else None for o in call.operands]
    return tensor_fields.end_to_end([Operand(shape, field) for field in fields], axis)


@rule(operations="Transpose Moveaxis Swapaxes")
def transpose(call: LayerCall) -> TensorField:
    layer, name = call.layer, call.kind.lower()
    names = {"moveaxis": ("source", "destination"), "swapaxes": ("axis1", "axis2")}
    options = [getattr(layer, option) for option in names.get(name, ["axes"])]
    order = getattr(np, name)(np.empty(range(len(call.shape))), *options).shape
    if order[0] != 0:
        raise UnknownFieldError("it moves the batch to another axis")
    return call.field.transpose(order)


@rule(operations="Matmul Dot Tensordot Einsum")
def products(call: LayerCall) -> TensorField:
    terms, ranks = list(call.args), [len(term.shape) for term in call.args]
    if call.kind == "Einsum":
        return tensor_fields.einsum(terms, call.layer.subscripts)
    if not isinstance(terms[1], Operand) and ranks[1] == 2 and call.option("axes", 1) == 1:
        return tensor_fields.einsum(terms, "...a,ab->...b")
    if call.kind != "Matmul" or min(ranks) < 2:
        raise UnknownFieldError("this product of tensors is not known")
    return tensor_fields.einsum(terms, "...ab,...bc->...ac")
