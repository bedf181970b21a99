"""The rules of the operations of `keras.ops`, and what layers share with them."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from evalib.receptive_fields import windows
from evalib.receptive_fields.rules import each, rule, slide
from evalib.receptive_fields.tensor_fields import (
    LayerCall,
    Operand,
    TensorField,
    UnknownFieldError,
    end_to_end,
    join,
    merge,
)

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
)(merge)
rule(operations="OnesLike ZerosLike FullLike EmptyLike")(lambda call: [None])
rule(operations="BatchNorm")(lambda call: call.field)
rule(operations="Cumsum Cumprod")(lambda call: call.field.accumulate(call.axis()))
rule(operations="GaussianBlur")(
    lambda call: slide(call, call.field, call.layer.kernel_size, 1, 1, "same")
)
rule(operations="RGBToGrayscale")(lambda call: call.field.mix_channels(call.channel))
rule(operations="TopK")(lambda call: [call.field.gather([call.all_axes[-1]])] * 2)
rule(operations="OneHot")(lambda call: call.field.insert(call.axis(1)).with_channel(call.axis(1)))


@rule(operations="Conv DepthwiseConv SeparableConv")
def convolution(call: LayerCall) -> TensorField:
    layer, size, kernel = call.layer, call.shape[call.channel], tuple(call.args[1].shape)
    groups = {"DepthwiseConv": size, "SeparableConv": 1}.get(call.kind, size // kernel[-2])
    field = call.field.mix_channels(call.channel, groups, size, call.shapes[0][call.channel])
    return slide(call, field, kernel[:-2], layer.strides, layer.dilation_rate, layer.padding)


@rule(
    operations="Mean Sum Max Min Amax Amin Prod Std Var Logsumexp Any All CountNonzero Average "
    "Median Argmax Argmin Norm Moments"
)
def reduction(call: LayerCall) -> list[TensorField]:
    """Over the axes that are named, or over all."""
    axis = getattr(call.layer, "axes", getattr(call.layer, "axis", None))
    axes = [0] if axis is None else [n % len(call.shape) for n in each(axis)]
    if 0 in axes:
        raise UnknownFieldError("it reduces the batch")
    change = call.field.gather if getattr(call.layer, "keepdims", False) else call.field.remove
    return [change(axes)] * len(call.shapes)


@rule(operations="Glu")
def gated(call: LayerCall) -> TensorField:
    """The first half along an axis is multiplied by a function of the second."""
    half = call.shapes[0][call.axis()]
    parts = [call.field.select(call.axis(), np.arange(half) + start) for start in (0, half)]
    return dataclasses.replace(join(parts), note=call.field.note)


@rule(operations="ExtractPatches")
def patches(call: LayerCall) -> TensorField:
    size, strides = call.layer.size, call.layer.strides or call.layer.size
    mixed = call.field.mix_channels(call.channel)
    return slide(call, mixed, size, strides, call.layer.dilation_rate, call.layer.padding)


@rule(operations="CropImages PadImages")
def crop_or_pad_images(call: LayerCall) -> TensorField:
    """What goes before, what goes after, or how much there is in the end."""
    name, sign = ("cropping", -1) if call.kind == "CropImages" else ("padding", 1)
    before, more = [], [call.shapes[0][axis] - call.shape[axis] for axis in call.positions]
    for first, last, change in zip(("top", "left"), ("bottom", "right"), more, strict=True):
        given = [getattr(call.layer, f"{side}_{name}") for side in (first, last)]
        before.append(change - sign * given[1] if given[0] is None else sign * given[0])
    after = [change - b for change, b in zip(more, before, strict=True)]
    return slide(call, call.field, before, after, window=windows.shifted)


@rule(operations="Pad")
def pad(call: LayerCall) -> TensorField:
    field, mode = call.field, call.layer.mode
    pairs = list(call.layer.pad_width) * (len(call.shape) // len(call.layer.pad_width))
    for axis, pair in enumerate(pairs):
        if not any(pair):
            continue
        if axis == 0:
            raise UnknownFieldError("it pads the batch")
        size, border = call.shape[axis], None
        if mode != "constant":
            border = windows.chosen(np.pad(np.arange(size), pair, mode=mode))
        if mode == "wrap":
            field = field.select(axis, np.pad(np.arange(size), pair, mode=mode))
        else:  # Away from the border a mirror changes nothing.
            move = (axis, windows.shifted(size, *pair), border)
            field = field.each(lambda old, move=move: old.slide(*move))  # type: ignore[misc]
    return field


@rule(operations="GetItem")
def indexing(call: LayerCall) -> TensorField:
    """`tensor[:, 1:-1, ::2, 0]`: slices, integers, one list, new axes and an ellipsis."""
    keys = list(call.args[1]) if isinstance(call.args[1], tuple) else [call.args[1]]
    missing = len(call.shape) - sum(k is not None and k is not Ellipsis for k in keys)
    place = next((n for n, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys[place : place + 1] = [slice(None)] * missing
    field, axis, removed = call.field, -1, []
    for key in keys:
        axis += key is not None
        if key is None or (isinstance(key, slice) and key == slice(None)):
            continue
        if axis == 0:
            raise UnknownFieldError("it takes a part of the batch")
        index = np.arange(call.shape[axis])[key]
        field = field.select(axis, np.ravel(index))
        removed += [axis] * (1 - index.ndim)
    lists = [key for key in keys if key is not None and not isinstance(key, slice)]
    if len(lists) > len(removed) and len(lists) > 1:
        raise UnknownFieldError("indexing with several lists is not known")
    field = field.remove(removed)
    kept = [key for key in keys if not isinstance(key, (int, np.integer))]
    for new in [n for n, key in enumerate(kept) if key is None]:
        field = field.insert(new)
    return field


@rule(operations="Flip Roll Repeat Take Tile")
def rearrangement(call: LayerCall) -> TensorField:
    """Positions in another order: the operation is done with their numbers."""
    layer, field, rank, index = call.layer, call.field, len(call.shape), np.zeros(1)
    tiles = ([1] * rank + list(each(getattr(layer, "repeats", 1))))[-rank:]
    tiled = [axis for axis, count in enumerate(tiles) if count > 1]
    axes = tiled if call.kind == "Tile" else each(layer.axis)
    for number, axis in enumerate(axes):
        if axis is None or axis % rank == 0:
            raise UnknownFieldError("it works on the batch")
        index = np.arange(call.shape[axis])
        if call.kind == "Roll":
            index = np.roll(index, each(layer.shift, len(axes))[number])
        elif call.kind == "Repeat":
            index = np.repeat(index, layer.repeats)
        elif call.kind == "Tile":
            index = np.tile(index, tiles[axis])
        else:
            index = index[np.asarray(call.args[1])] if call.kind == "Take" else index[::-1]
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
    return end_to_end([Operand(shape, field) for field in fields], axis)


@rule(operations="Transpose Moveaxis Swapaxes")
def transpose(call: LayerCall) -> TensorField:
    """The axes of an array whose lengths are their own numbers are moved by NumPy."""
    layer, numbers = call.layer, np.empty(range(len(call.shape)))
    if call.kind == "Transpose":
        order = np.transpose(numbers, layer.axes).shape
    elif call.kind == "Moveaxis":
        order = np.moveaxis(numbers, layer.source, layer.destination).shape
    else:
        order = np.swapaxes(numbers, layer.axis1, layer.axis2).shape
    if order[0] != 0:
        raise UnknownFieldError("it moves the batch to another axis")
    return call.field.transpose(order)


@rule(operations="ExpandDims Squeeze")
def one_more_or_less(call: LayerCall) -> TensorField:
    if call.kind == "Squeeze":
        ones = tuple(n for n, size in enumerate(call.shape) if size == 1)
        axes = ones if call.layer.axis is None else each(call.layer.axis)
        return call.field.remove(n % len(call.shape) for n in axes)
    axes = tuple(n % len(call.shapes[0]) for n in each(call.layer.axis))
    return call.field.move(lambda b: np.expand_dims(b, axes))


@rule(operations="Matmul Dot Tensordot Einsum")
def products(call: LayerCall) -> TensorField:
    terms, shapes = list(call.args), [len(term.shape) for term in call.args]
    if call.kind == "Einsum":
        return einsum(terms, call.layer.subscripts)
    one = not isinstance(terms[1], Operand) and shapes[1] == 2
    if one and getattr(call.layer, "axes", 1) == 1:
        return einsum(terms, "...a,ab->...b")
    if call.kind != "Matmul" or min(shapes) < 2:
        raise UnknownFieldError("this product of tensors is not known")
    return einsum(terms, "...ab,...bc->...ac")


@rule(operations="DotProductAttention")
def dot_product_attention(call: LayerCall) -> TensorField:
    if call.argument("bias") is not None:
        raise UnknownFieldError("attention with a bias is not known")
    operands = [call.argument(name) for name in ("query", "value", "key")]
    return attention(operands, (1,), call.layer.is_causal, call.argument("mask"))


def einsum(terms: Sequence[Any], equation: str) -> TensorField:
    """Sums of products: an axis whose letter is not in the output is seen as a whole."""
    *inputs, output = re.split(r",|->", equation.replace(" ", ""))
    operands = [(t, i) for t, i in zip(terms, inputs, strict=False) if isinstance(t, Operand)]
    dots = max(len(term.shape) - len(letters.replace("...", "")) for term, letters in operands)
    output, fields = output.replace("...", "ABCDEFGH"[:dots]), []
    for term, letters in operands:
        here = len(term.shape) - len(letters.replace("...", ""))
        letters = letters.replace("...", "A" + "BCDEFGH"[dots - here : dots - 1] if here else "")
        if letters[0] != output[0] or len(set(letters)) < len(letters):
            raise UnknownFieldError(f"the products {equation!r} are not known")
        if term.field is None:
            continue
        field = term.field.remove(n for n, letter in enumerate(letters) if letter not in output)
        kept = [letter for letter in letters if letter in output]
        field = field.transpose([kept.index(letter) for letter in output if letter in kept])
        for n, letter in enumerate(output):
            field = field if letter in kept else field.insert(n)
        channel = len(output) - 1 if field.channel is None else field.channel
        fields.append(field.with_channel(channel))
    return join(fields)


def attention(
    operands: Sequence[Operand], axes: Sequence[int], causal: bool | None, mask: Any
) -> TensorField:
    """A query sees itself, and the keys and values along some axes that a mask lets it see."""
    query, *others = operands
    last = len(query.shape) - 1
    masks = [one for one in keras.tree.flatten(mask) if one is not None]
    if any(not isinstance(one, Operand) or one.field for one in masks):
        raise UnknownFieldError("attention with a mask of its own is not known")
    if causal and (tuple(axes) != (1,) or query.shape[1] != others[0].shape[1]):
        raise UnknownFieldError("a causal mask is known for one axis and as many keys as queries")
    fields = [query.field.gather([last])] if query.field else []
    for field in {id(other.field): other.field for other in others if other.field}.values():
        mixed = field.gather([last])
        fields.append(mixed.accumulate(1) if causal else mixed.gather(axes))
    return join(fields)
