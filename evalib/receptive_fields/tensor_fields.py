"""What tensors see, and the three ways in which layers change it: slide, gather, merge.

A tensor's `TensorField` says, for each axis of the model's input, which axis of the tensor carries
its positions and what they see.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from evalib.receptive_fields.arithmetic import AxisField, center, union
from evalib.receptive_fields.axis_operations import AxisOperation

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class AxisMap:
    """How one axis of the input is seen by a tensor.

    Attributes:
        axis: the axis of the tensor that carries the positions, counted with the batch; `None`
            if there is none, because everything was gathered or only one position was left.
        field: what the positions see; `None` if each of them sees the whole axis.
        mixed_up: whether the positions no longer lie in their order, after a reshape.
    """

    axis: int | None
    field: AxisField | None
    order_lost: bool = False


TensorField = tuple[AxisMap, ...]


@dataclasses.dataclass(frozen=True)
class LayerCall:
    """What a rule needs to know of one call.

    Attributes:
        layer: the layer or operation.
        sights: what each input tensor sees; those that see nothing are left out.
        shape: the shape of the first input tensor, with the batch.
        output_shape: the shape of the first output tensor, with the batch.
        arguments: the call's positional arguments.
        input_size: the size of the model's input along each axis, `None` where unknown.
        check_alignment: whether siblings whose centers differ are refused.
    """

    layer: Any
    fields: tuple[TensorField, ...]
    shape: Shape
    output_shape: Shape
    arguments: tuple[Any, ...]
    input_size: tuple[int | None, ...]
    check_alignment: bool


class MisalignedError(ValueError):
    """Siblings do not see the same place; whoever knows the graph names their paths."""


def single_input(reading: LayerCall) -> TensorField:
    """The sight of a layer's one input, or of its inputs together."""
    return reading.fields[0] if len(reading.fields) == 1 else merge_branches(reading)


def spatial_axes(reading: LayerCall) -> list[int]:
    """The axes of the first input that hold positions, not channels."""
    rank = len(reading.shape)
    if getattr(reading.layer, "data_format", None) == "channels_first" and rank > 2:
        return list(range(2, rank))
    return list(range(1, max(rank - 1, 2)))


def apply_windows(
    reading: LayerCall, axes: Sequence[int], windows: Sequence[AxisOperation]
) -> TensorField:
    """Move a window along axes of the tensor."""
    by_axis = dict(zip(axes, windows, strict=True))
    return tuple(_apply_to_axis(reading, view, by_axis) for view in single_input(reading))


def _apply_to_axis(reading: LayerCall, view: AxisMap, windows: dict[int, AxisOperation]) -> AxisMap:
    if view.field is None or view.axis not in windows:
        return view
    try:
        taps, size = windows[view.axis](view.field.size)
        if view.order_lost and taps.offsets != ((0,),):
            raise ValueError("it slides along positions that a reshape took out of their order")
        if size is not None and size < 1:
            raise ValueError(f"its window is larger than the {view.field.size} positions before it")
        return AxisMap(view.axis, view.field.through(taps, size), view.order_lost)
    except ValueError as error:
        raise ValueError(f"layer {reading.layer.name!r}: {error}") from error


def reduce_axes(reading: LayerCall, axes: Iterable[int], *, keep: bool) -> TensorField:
    """Let every output see all positions along these axes; a single position stays what it is."""
    gathered = {axis % len(reading.shape) for axis in axes}

    def view(old: AxisMap) -> AxisMap:
        if old.axis not in gathered:
            return old
        single = old.field is not None and old.field.size == 1
        return AxisMap(old.axis if keep else None, old.field if single else None)

    return without_axes(tuple(map(view, single_input(reading))), set() if keep else gathered)


def without_axes(tensor_field: TensorField, removed: set[int]) -> TensorField:
    """Count the tensor's axes anew after some of them are gone."""

    def axis(old: int | None) -> int | None:
        return None if old is None else old - sum(each < old for each in removed)

    return tuple(dataclasses.replace(view, axis=axis(view.axis)) for view in tensor_field)


def sees_all(reading: LayerCall) -> TensorField:
    """All that the input sees on any axis is seen by every output."""
    return tuple(AxisMap(view.axis, None) for view in single_input(reading))


def merge_branches(reading: LayerCall) -> TensorField:
    """Element by element: each output sees what the same position of each input sees."""
    return tuple(
        _merge_axis_maps(reading, views, input_size)
        for *views, input_size in zip(*reading.fields, reading.input_size, strict=True)
    )


def _merge_axis_maps(
    reading: LayerCall, views: Sequence[AxisMap], input_size: int | None
) -> AxisMap:
    axis = next((view.axis for view in views if view.axis is not None), None)
    fields = [view.field for view in views if view.field is not None]
    if len(views) == 1:
        return views[0]
    if len(fields) < len(views) or _shares_all(fields, input_size):
        return AxisMap(axis, None)
    if len({view.axis for view in views}) > 1 or len({view.order_lost for view in views}) > 1:
        raise MisalignedError("their positions lie along different axes")
    try:
        together = union(fields)
    except ValueError as error:
        raise MisalignedError(str(error)) from error
    if reading.check_alignment and together.offset_known and together.size != 1:
        centers = [center(field) for field in fields]
        # Half a step is what padding "same" has to round by: the nearest position still matches.
        if max(centers) - min(centers) > float(together.stride) / 2:
            places = ", ".join(f"{place:g}" for place in centers)
            raise MisalignedError(f"the centers of what their first positions see differ: {places}")
    return AxisMap(axis, together, views[0].order_lost)


def _shares_all(fields: Sequence[AxisField], input_size: int | None) -> bool:
    """Whether a single position that sees the whole axis is shared by many positions."""
    single = [field for field in fields if field.size == 1 and field.seen is not None]
    return 0 < len(single) < len(fields) and any(
        field.seen[0, 0] == 0 and field.seen[1, 0] == input_size - 1  # type: ignore[index, operator]
        for field in single
    )
