"""What each kind of Keras layer reads: one rule a kind.

A rule turns what the layer's inputs see into what its output sees.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from evalib.receptive_fields import axis_operations as windows
from evalib.receptive_fields.tensor_fields import (
    AxisMap,
    LayerCall,
    TensorField,
    apply_windows,
    merge_branches,
    reduce_axes,
    sees_all,
    single_input,
    spatial_axes,
    without_axes,
)

Rule = Callable[[LayerCall], TensorField]
_registered: dict[Any, Rule] = {}


def read(reading: LayerCall) -> TensorField:
    """What a layer's output sees.

    Raises:
        ValueError: the layer's kind is not known, or its inputs do not fit together.
        Misaligned: the inputs' strides or centers differ.
    """
    return _rule(reading.layer)(reading)


def register_layer(
    kind: type | keras.layers.Layer,
    *,
    kernel: int | Sequence[int] | None = 1,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> None:
    """Tell what a layer reads that is not known here, such as a `Lambda` or one of your own.

    Args:
        kind: a class, for all of its layers, or a single layer.
        kernel: the window's extent in positions, one number for all axes or one for each: 1 for
            a layer that works pixel by pixel, `None` for one that sees everything.
        stride: how far the window moves from one output to the next.
        padding: "valid", "same", or the number of positions put before and after.
        dilation: the distance between two positions that the kernel reads.

    Raises:
        ValueError: a number is out of range, or the padding is none of these.
    """
    for name, given, least in [
        ("kernel", kernel, 1),
        ("stride", stride, 1),
        ("dilation", dilation, 1),
        ("padding", None if isinstance(padding, str) else padding, 0),
    ]:
        if given is not None and min(_each(given, 1 if isinstance(given, int) else None)) < least:
            raise ValueError(f"expected a {name} of at least {least}, got {given}")
    if isinstance(padding, str) and padding not in ("valid", "same"):
        raise ValueError(f'expected the padding "valid", "same" or numbers, got {padding!r}')

    def rule(reading: LayerCall) -> TensorField:
        if kernel is None:
            return sees_all(reading)
        axes = spatial_axes(reading)
        return apply_windows(
            reading,
            axes,
            [
                windows.sliding(k, s, d, p)
                for k, s, d, p in zip(
                    *(_each(value, len(axes)) for value in (kernel, stride, dilation, padding)),
                    strict=True,
                )
            ],
        )

    _registered[kind] = rule


def _rule(layer: Any) -> Rule:
    """The rule of a layer's kind: its own, or that of the class whose `call` it runs."""
    if layer in _registered:
        return _registered[layer]
    known = _RULES if isinstance(layer, keras.layers.Layer) else _OPERATIONS
    for kind in type(layer).__mro__:
        if kind in _registered:
            return _registered[kind]
        if kind.__module__.split(".")[0] in ("keras", "evalib") and kind.__name__ in known:
            return known[kind.__name__]
        if "call" in vars(kind):
            break
    kind_name = type(layer).__name__
    raise ValueError(
        f"layer {layer.name!r} is of the kind {kind_name}, which is not known here: say what it "
        f"reads with evalib.register_layer({kind_name}, kernel=3, stride=1, "
        'padding="same"), or for this one layer with register_layer(layer, ...)'
    )


def _each(value: Any, count: int | None) -> tuple[Any, ...]:
    """One value for each axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * (count or 1)
    if count is not None and len(values) != count:
        raise ValueError(f"expected {count} numbers, one for each axis, got {value}")
    return values


def _convolution(reading: LayerCall) -> TensorField:
    layer, axes = reading.layer, spatial_axes(reading)
    values = zip(
        *(_each(v, len(axes)) for v in (layer.kernel_size, layer.strides, layer.dilation_rate)),
        strict=True,
    )
    return apply_windows(
        reading, axes, [windows.sliding(k, s, d, layer.padding) for k, s, d in values]
    )


def _transposed_convolution(reading: LayerCall) -> TensorField:
    layer, axes = reading.layer, spatial_axes(reading)
    of_layer = (layer.kernel_size, layer.strides, layer.dilation_rate, layer.output_padding)
    values = zip(*(_each(value, len(axes)) for value in of_layer), strict=True)
    slides = [windows.transposed(k, s, d, layer.padding, extra) for k, s, d, extra in values]
    return apply_windows(reading, axes, slides)


def _pooling(reading: LayerCall) -> TensorField:
    layer, axes = reading.layer, spatial_axes(reading)
    strides = layer.pool_size if layer.strides is None else layer.strides
    values = zip(*(_each(v, len(axes)) for v in (layer.pool_size, strides)), strict=True)
    return apply_windows(
        reading, axes, [windows.sliding(k, s, 1, layer.padding) for k, s in values]
    )


def _adaptive_pooling(reading: LayerCall) -> TensorField:
    axes = spatial_axes(reading)
    return apply_windows(
        reading, axes, [windows.adaptive(n) for n in _each(reading.layer.output_size, len(axes))]
    )


def _global_pooling(reading: LayerCall) -> TensorField:
    return reduce_axes(reading, spatial_axes(reading), keep=reading.layer.keepdims)


def _zero_padding(reading: LayerCall) -> TensorField:
    pairs = _pairs(reading.layer.padding)
    return apply_windows(
        reading, spatial_axes(reading), [windows.shifted(-a, a + b) for a, b in pairs]
    )


def _cropping(reading: LayerCall) -> TensorField:
    pairs = _pairs(reading.layer.cropping)
    return apply_windows(
        reading, spatial_axes(reading), [windows.shifted(a, -a - b) for a, b in pairs]
    )


def _crop_images(reading: LayerCall) -> TensorField:
    """`keras.ops.image.crop_images`: what goes before, what goes after, or how much stays."""
    layer, axes = reading.layer, spatial_axes(reading)
    before = (layer.top_cropping, layer.left_cropping)
    after = (layer.bottom_cropping, layer.right_cropping)
    slides = []
    for axis, first, last in zip(axes, before, after, strict=True):
        size, kept = reading.shape[axis], reading.output_shape[axis]
        if first is not None and last is not None:
            lost = first + last
        elif size is None or kept is None:
            raise ValueError(f"layer {layer.name!r}: expected a known size to crop, got {size}")
        else:
            lost = size - kept
            first = lost - last if first is None else first
        slides.append(windows.shifted(first, -lost))
    return apply_windows(reading, axes, slides)


def _join(reading: LayerCall) -> TensorField:
    """Concatenation: along channels a merge, along positions a new order."""
    axis = reading.layer.axis % len(reading.shape)
    along = [
        view
        for tensor_field in reading.fields
        for view in tensor_field
        if view.axis == axis and view.field
    ]
    if not along:
        return merge_branches(reading)
    if len(reading.fields) > 1:
        raise ValueError(
            f"layer {reading.layer.name!r} joins positions end to end: no one field describes them"
        )
    return tuple(
        dataclasses.replace(view, order_lost=view.order_lost or view.axis == axis)
        for view in reading.fields[0]
    )


def _pairs(amounts: Any) -> list[tuple[int, int]]:
    """`(before, after)` of each axis; the 1-D layers hold one bare pair."""
    return [amounts] if isinstance(amounts[0], int) else list(amounts)


def _upsampling(reading: LayerCall) -> TensorField:
    axes, interpolation = spatial_axes(reading), getattr(reading.layer, "interpolation", "nearest")
    factors = _each(reading.layer.size, len(axes))
    return apply_windows(
        reading, axes, [windows.resized(None, factor, interpolation) for factor in factors]
    )


def _sub_pixel(reading: LayerCall) -> TensorField:
    """Channels become pixels: each of a square reads the one pixel that it was made from."""
    axes = spatial_axes(reading)
    return apply_windows(
        reading, axes, [windows.resized(None, reading.layer.factor, "nearest")] * len(axes)
    )


def _resizing(reading: LayerCall) -> TensorField:
    layer = reading.layer
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or layer.antialias:
        raise ValueError(f"layer {layer.name!r}: only plain resizing without antialiasing is known")
    sizes = (layer.height, layer.width)
    slides = [windows.resized(size, None, layer.interpolation) for size in sizes]
    return apply_windows(reading, spatial_axes(reading), slides)


def _dense(reading: LayerCall) -> TensorField:
    return reduce_axes(reading, [-1], keep=True)


def _over_its_axes(reading: LayerCall) -> TensorField:
    """Normalization and softmax mix the axes that they name; over channels that is no position."""
    axis = getattr(reading.layer, "axis", -1)
    axes = range(1, len(reading.shape)) if axis is None else _each(axis, None)
    return reduce_axes(reading, axes, keep=True)


def _activation(reading: LayerCall) -> TensorField:
    softmax = getattr(reading.layer.activation, "__name__", "") in ("softmax", "log_softmax")
    return reduce_axes(reading, [-1], keep=True) if softmax else single_input(reading)


def _over_positions(reading: LayerCall) -> TensorField:
    """Group normalization: every position enters every other one's mean and variance."""
    return reduce_axes(reading, spatial_axes(reading), keep=True)


def _over_time(reading: LayerCall) -> TensorField:
    """Attention and recurrent layers: a step is influenced by the others along the sequence."""
    axes = getattr(reading.layer, "attention_axes", None) or [1]
    keep = len(reading.output_shape) == len(reading.shape)
    return reduce_axes(reading, axes, keep=keep)


def _flatten(reading: LayerCall) -> TensorField:
    return reduce_axes(reading, range(1, len(reading.shape)), keep=False)


def _reshape(reading: LayerCall) -> TensorField:
    """Axes that keep their place and size stay; others are mixed up, or become channels."""
    shape, new_shape = reading.shape, reading.output_shape

    def view(old: AxisMap) -> AxisMap:
        if old.axis is None or old.field is None:
            return AxisMap(None, old.field)
        before = _product(shape[1 : old.axis])
        size = old.field.size
        for axis in range(1, len(new_shape)):
            same_place = shape[1 : old.axis] == new_shape[1:axis] or (
                before is not None and before == _product(new_shape[1:axis])
            )
            if same_place and new_shape[axis] == shape[old.axis] and axis < len(new_shape) - 1:
                return AxisMap(axis, old.field, old.order_lost)
        if size == 1:
            return AxisMap(None, old.field)
        # In a vector, or in the last axis, positions have become channels: they count as one.
        covered = 1
        for axis, length in enumerate(new_shape[1:], start=1):
            covered *= length or 1
            if before is not None and covered > before and axis < len(new_shape) - 1:
                return AxisMap(axis, old.field, order_lost=True)
        return AxisMap(None, None)

    return tuple(map(view, single_input(reading)))


def _product(lengths: Sequence[int | None]) -> int | None:
    return None if None in lengths else math.prod(lengths)  # type: ignore[arg-type]


def _permute(reading: LayerCall) -> TensorField:
    order = [0, *reading.layer.dims]
    return tuple(
        view if view.axis is None else dataclasses.replace(view, axis=order.index(view.axis))
        for view in single_input(reading)
    )


def _dot(reading: LayerCall) -> TensorField:
    """A product over an axis: positions along it are gathered, others would be paired."""
    axes = _each(reading.layer.axes, len(reading.fields))
    gathered = [
        reduce_axes(dataclasses.replace(reading, fields=(tensor_field,)), [axis], keep=False)
        for axis, tensor_field in zip(axes, reading.fields, strict=True)
    ]
    if any(
        view.axis is not None and view.field for tensor_field in gathered for view in tensor_field
    ):
        raise ValueError(f"layer {reading.layer.name!r} pairs positions: no one field describes it")
    return tuple(AxisMap(None, view.field) for view in gathered[0])


def _time_distributed(reading: LayerCall) -> TensorField:
    """The wrapped layer works on each step of axis 1 alone."""
    held = [dataclasses.replace(v, axis=None) if v.axis == 1 else v for v in single_input(reading)]
    inner = dataclasses.replace(
        reading,
        layer=reading.layer.layer,
        fields=(without_axes(tuple(held), {1}),),
        shape=(reading.shape[0], *reading.shape[2:]),
        output_shape=(reading.output_shape[0], *reading.output_shape[2:]),
    )
    results = read(inner)
    return tuple(
        view
        if view.axis == 1
        else dataclasses.replace(result, axis=None if result.axis is None else result.axis + 1)
        for view, result in zip(single_input(reading), results, strict=True)
    )


def _wrapped(reading: LayerCall) -> TensorField:
    return read(dataclasses.replace(reading, layer=reading.layer.layer))


def _reduction(reading: LayerCall) -> TensorField:
    """`keras.ops.mean` and the like, over the axes that were given."""
    axis = reading.layer.axis
    axes = range(1, len(reading.shape)) if axis is None else _each(axis, None)
    return reduce_axes(reading, axes, keep=bool(getattr(reading.layer, "keepdims", False)))


def _indexing(reading: LayerCall) -> TensorField:
    """`tensor[:, 1:-1, ::2]`: slices of positive step move and thin out positions."""
    keys = reading.arguments[1]
    keys = list(keys) if isinstance(keys, (tuple, list)) else [keys]
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        keys[place : place + 1] = [slice(None)] * (len(reading.shape) - len(keys) + 1)
    slides = {}
    for axis, key in enumerate(keys):
        if not isinstance(key, slice) or (key.step or 1) < 1:
            raise ValueError(
                f"layer {reading.layer.name!r}: only slices of positive step are known"
            )
        slides[axis] = windows.strided(key)
    return apply_windows(reading, list(slides), list(slides.values()))


_LAYER_KINDS: dict[Rule, str] = {
    _convolution: "Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D "
    "SeparableConv2D",
    _transposed_convolution: "Conv1DTranspose Conv2DTranspose Conv3DTranspose",
    _pooling: "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D "
    "AveragePooling3D",
    _adaptive_pooling: "AdaptiveAveragePooling1D AdaptiveAveragePooling2D "
    "AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
    _global_pooling: "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D",
    _zero_padding: "ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    _cropping: "Cropping1D Cropping2D Cropping3D",
    _upsampling: "UpSampling1D UpSampling2D UpSampling3D",
    _sub_pixel: "SubPixel",
    _resizing: "Resizing",
    _dense: "Dense",
    _over_its_axes: "LayerNormalization RMSNormalization UnitNormalization Softmax",
    _over_positions: "GroupNormalization",
    _over_time: "Attention AdditiveAttention MultiHeadAttention GroupQueryAttention "
    "Bidirectional RNN LSTM GRU SimpleRNN",
    _activation: "Activation",
    _flatten: "Flatten RepeatVector",
    _reshape: "Reshape",
    _permute: "Permute",
    _join: "Concatenate",
    _dot: "Dot",
    _time_distributed: "TimeDistributed",
    _wrapped: "SpectralNormalization",
    # Pixel by pixel, at inference: several inputs are merged position by position.
    merge_branches: "Identity ActivityRegularization Masking Dropout SpatialDropout1D "
    "SpatialDropout2D SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise "
    "BatchNormalization Normalization Rescaling Embedding ReLU LeakyReLU PReLU ELU "
    "RandomAffine RandomFlip RandomRotation RandomTranslation RandomZoom RandomShear "
    "RandomContrast RandomBrightness LayerScale StochasticDepth "
    "CustomScaleLayer Add Subtract Multiply Average Maximum Minimum",
}
_OPERATION_KINDS: dict[Rule, str] = {
    _pooling: "MaxPool AveragePool",
    _over_its_axes: "Softmax LogSoftmax",
    _reduction: "Mean Sum Max Min Amax Amin Prod Std Var Logsumexp",
    _indexing: "GetItem",
    _crop_images: "CropImages",
    _reshape: "Reshape",
    _join: "Concatenate",
    merge_branches: "Add Subtract Multiply Divide TrueDivide Maximum Minimum Power Negative "
    "Absolute Square Sqrt Rsqrt Exp Log Log1p Tanh Sigmoid Relu Relu6 Softplus Softsign "
    "Silu LeakyRelu HardSigmoid HardSilu HardTanh Elu Selu Gelu Celu Clip Sign Erf Where",
}
_RULES, _OPERATIONS = (
    {name: rule for rule, names in kinds.items() for name in names.split()}
    for kinds in (_LAYER_KINDS, _OPERATION_KINDS)
)
