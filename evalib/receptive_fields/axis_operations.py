"""The windows that layers slide along one axis: which positions are read, how many come out."""

import math
from collections.abc import Callable
from typing import Any

from evalib.receptive_fields.arithmetic import Offsets

# Takes the number of positions, or `None`; gives the taps and the number of outputs.
AxisOperation = Callable[[int | None], tuple[Offsets, int | None]]


def sliding(kernel: int, stride: int, dilation: int, padding: str | int) -> AxisOperation:
    """A sliding window: the arithmetic of TensorFlow's convolutions and poolings."""
    reach = dilation * (kernel - 1) + 1

    def window(size: int | None) -> tuple[Offsets, int | None]:
        offset_known, outputs = True, None
        if padding == "same":
            # ceil(size / stride) outputs; the zeros needed, halved and rounded down, come first.
            sizes = [size] if size is not None else range(reach * stride, reach * stride + stride)
            befores = {max((-(-n // stride) - 1) * stride + reach - n, 0) // 2 for n in sizes}
            before, offset_known = min(befores), len(befores) == 1
            outputs = None if size is None else -(-size // stride)
        else:
            before, after = (padding, padding) if isinstance(padding, int) else (0, 0)
            if padding == "causal":
                before = reach - 1
            outputs = None if size is None else (size + before + after - reach) // stride + 1
        offsets = tuple(range(-before, -before + reach, dilation))
        return Offsets((offsets,), stride, offset_known), outputs

    return window


def transposed(kernel: int, stride: int, dilation: int, padding: str, extra: Any) -> AxisOperation:
    """A transposed convolution: output o gets input i if o = i stride + d m - cut, 0 <= m < k."""
    reach = dilation * (kernel - 1) + 1
    if padding == "valid":
        cut, beyond = 0, reach if extra is not None else max(reach, stride)
    elif extra is None:
        cut, beyond = max(reach - stride, 0) // 2, stride
    else:
        cut, beyond = max(reach - reach % 2 - extra, 0) // 2, reach % 2
    offsets = []
    for phase in range(stride):
        spots = [phase + cut - dilation * tap for tap in reversed(range(kernel))]
        offsets.append(tuple(spot // stride for spot in spots if spot % stride == 0))
    taps = Offsets(tuple(offsets), 1)
    return lambda size: (
        taps,
        None if size is None else (size - 1) * stride + beyond + (extra or 0),
    )


def resized(new_size: int | None, factor: int | None, interpolation: str) -> AxisOperation:
    """Resampling with pixel centers at halves: output o lies at (o + 1/2) ratio - 1/2."""
    radius = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}

    def window(size: int | None) -> tuple[Offsets, int | None]:
        outputs = new_size if factor is None else None if size is None else size * factor
        if factor is None and size is None:
            raise ValueError("its ratio depends on the input size, which is not known")
        top, bottom = (1, factor) if factor is not None else (size, new_size)
        common = math.gcd(top, bottom)  # type: ignore[arg-type]
        top, bottom = top // common, bottom // common  # type: ignore[operator]
        offsets: list[tuple[int, ...]] = []
        for phase in range(bottom):
            doubled = (2 * phase + 1) * top - bottom  # the place, times 2 bottom
            whole, rest = divmod(doubled, 2 * bottom)
            if interpolation == "nearest":
                offsets.append(((2 * phase + 1) * top // (2 * bottom),))
            elif rest == 0:
                offsets.append((whole,))
            else:
                reach = radius[interpolation]
                offsets.append(tuple(range(whole - reach + 1, whole + reach + 1)))
        return Offsets(tuple(offsets), top), outputs

    return window


def shifted(offset: int, change: int | None) -> AxisOperation:
    """Positions that are the same, counted from another start."""
    taps = Offsets(((offset,),), 1)
    return lambda size: (taps, None if size is None or change is None else size + change)


def adaptive(outputs: int) -> AxisOperation:
    """Output o of m averages the positions from floor(o n / m) to below ceil((o + 1) n / m)."""

    def window(size: int | None) -> tuple[Offsets, int | None]:
        if size is None:
            raise ValueError("its windows depend on the input size, which is not known")
        common = math.gcd(size, outputs)
        step, period = size // common, outputs // common
        offsets = [
            tuple(range(phase * step // period, -(-(phase + 1) * step // period)))
            for phase in range(period)
        ]
        return Offsets(tuple(offsets), step), outputs

    return window


def strided(key: slice) -> AxisOperation:
    def window(size: int | None) -> tuple[Offsets, int | None]:
        if size is None and ((key.start or 0) < 0):
            raise ValueError("its start depends on the input size, which is not known")
        start, stop, step = key.indices(size if size is not None else (key.start or 0) + 1)
        outputs = None if size is None else len(range(start, stop, step))
        return Offsets(((start,),), step), outputs

    return window
