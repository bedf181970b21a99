"""The windows that layers slide along one axis: which positions they read, how many come out."""

import math
from collections.abc import Sequence

import numpy as np

from evalib.receptive_fields.axis_maps import Window

_RADIUS = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}


def sliding(size: int, kernel: int, stride: int, dilation: int, padding: str | int) -> Window:
    """A convolution or a pooling, with the arithmetic of TensorFlow."""
    reach = dilation * (kernel - 1) + 1
    if padding == "same":
        # ceil(size / stride) outputs; the zeros needed, halved and rounded down, come first.
        outputs = -(-size // stride)
        before = max((outputs - 1) * stride + reach - size, 0) // 2
    else:
        before, after = (padding, padding) if isinstance(padding, int) else (0, 0)
        before = reach - 1 if padding == "causal" else before
        outputs = (size + before + after - reach) // stride + 1
    return _window([-before], [kernel], stride, outputs, dilation)


def transposed(
    size: int, kernel: int, stride: int, dilation: int, padding: str, extra: int | None
) -> Window:
    """A transposed convolution: output o gets input i if o = i stride + d m - cut, 0 <= m < k."""
    reach = dilation * (kernel - 1) + 1
    if padding == "valid":
        cut, beyond = 0, reach if extra is not None else max(reach, stride)
    elif extra is None:
        cut, beyond = max(reach - stride, 0) // 2, stride
    else:
        cut, beyond = max(reach - reach % 2 - extra, 0) // 2, reach % 2
    taps = [cut - dilation * tap for tap in reversed(range(kernel))]
    reads = [[(r + t) // stride for t in taps if (r + t) % stride == 0] for r in range(stride)]
    starts, counts = [(each or [0])[0] for each in reads], [len(each) for each in reads]
    outputs = (size - 1) * stride + beyond + (extra or 0)
    return _window(starts, counts, 1, outputs, dilation // math.gcd(dilation, stride))


def resized(size: int, outputs: int, interpolation: str, antialias: bool = False) -> Window:
    """Resampling with pixel centers at halves: output o lies at (o + 1/2) size / outputs."""
    common = math.gcd(size, outputs)
    top, bottom = size // common, outputs // common
    phases = np.arange(bottom)
    if interpolation == "area":  # averages from floor(o n / m) to below ceil((o + 1) n / m)
        first, last = phases * top // bottom, -(-(phases + 1) * top // bottom) - 1
    elif interpolation not in _RADIUS:
        raise ValueError(f"the interpolation {interpolation!r} is not known")
    else:
        # In units of 1 / (2 bottom) pixels, position i lies at (2 i + 1) bottom, output o here:
        places = (2 * phases + 1) * top - bottom
        first = last = (places + bottom) // (2 * bottom)
        if interpolation != "nearest":
            # Shrinking without aliasing widens the kernel as much as the image shrinks. Without
            # it, on a pixel itself, the others weigh nothing.
            radius = _RADIUS[interpolation] * 2 * (max(top, bottom) if antialias else bottom)
            alone = (places % (2 * bottom) == 0) & (not antialias or top <= bottom)
            first = np.where(alone, first, (places - radius) // (2 * bottom) + 1)
            last = np.where(alone, last, -(-(places + radius) // (2 * bottom)) - 1)
    return _window(first, last - first + 1, top, outputs)


def shifted(size: int, before: int, after: int) -> Window:
    """Positions added before and after the others; negative numbers take some away."""
    return _window([-before], [1], 1, size + before + after)


def chosen(index: np.ndarray) -> Window:
    """Positions in the order of an index; of step 0 if they do not follow each other evenly."""
    for period in range(1, min(len(index) // 2, 64) + 1):
        steps = index[period:] - index[:-period]
        if (steps == steps[0]).all() and steps[0] != 0:
            return _window(index[:period], [1] * period, int(steps[0]), len(index))
    return _window(index, [1] * len(index), 1 if len(index) == 1 else 0, len(index))


def _window(
    starts: Sequence[int] | np.ndarray,
    counts: Sequence[int] | np.ndarray,
    step: int,
    outputs: int,
    dilation: int = 1,
) -> Window:
    if outputs < 1:
        raise ValueError("its window is larger than what it reads")
    return Window(np.array(starts, np.int64), np.array(counts), int(step), outputs, dilation)
