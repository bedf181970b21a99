"""What a tensor's positions see of one axis of the input, and how layers change that.

Far from the border every network that slides windows is periodic: the position `period` further on
sees the same, `step` input pixels further on (Araujo, Norris and Sim, *Computing Receptive Fields
of Convolutional Neural Networks*, Distill 2019, carried on to fractional strides). An interval of
pixels is stored as its first pixel and *minus* its last one, so that one minimum joins intervals.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

Shape = tuple[Any, ...]  # of a tensor: numbers, and `None` for the batch
FAR = 1 << 30  # both numbers are FAR where nothing is seen, and -FAR where everything is
_LONGEST_PERIOD, _LONGEST_SEARCH, _MOST_VALUES = 1 << 16, 512, 1 << 24
_RADIUS = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}


@dataclasses.dataclass(frozen=True)
class Window:
    """Output `q * len(starts) + r` of `size` outputs reads `counts[r]` positions, `dilation` apart,
    from position `q * step + starts[r]` on."""

    starts: Any
    counts: Any
    step: int
    size: int
    dilation: int = 1


@dataclasses.dataclass(frozen=True)
class AxisMap:
    """What the positions of a tensor see of one axis of the model's input: `endless` (int64) as if
    the input went on forever, one period along `axis`, and `clipped` (int32) really. Both have the
    shape `(2, ...)` with a dimension for each of the tensor's axes after the batch, of length 1
    where the field does not depend on that axis."""

    pixels: int  # of the input along its axis
    endless: np.ndarray
    clipped: np.ndarray
    step: int = 0  # how many pixels further on the next period looks
    axis: int | None = None  # of the tensor, along which positions follow each other evenly
    slack: int = 1  # windows leave less than that over at the border: the widest stride so far

    @classmethod
    def identity(cls, axis: int, shape: Sequence[Any]) -> "AxisMap":
        places = np.arange(shape[axis], dtype=np.int32)
        ones = [1] * (len(shape) - 1)
        clipped = np.stack([places, -places]).reshape(2, *ones[1:axis], -1, *ones[axis:])
        return cls(shape[axis], np.zeros((2, *ones), np.int64), clipped, 1, axis)

    @property
    def period(self) -> int:
        return 1 if self.axis is None else self.endless.shape[self.axis]

    @property
    def stride(self) -> Fraction:
        return Fraction(self.step, self.period)

    @property
    def sees_all(self) -> bool:
        return bool((self.endless == -FAR).all())

    @property
    def extent(self) -> int:
        """The pixels from the first to the last that a position sees, at most."""
        clipped = 1 - self.clipped.sum(axis=0, dtype=np.int64)
        extents = 1 - self.endless.sum(axis=0)
        if extents.max() > FAR // 2 or (self.axis is None and self.depends_on()):
            extents = clipped
        return max(0, int(extents.max()), int(clipped.max(initial=0)))

    def depends_on(self) -> list[int]:
        """The tensor's axes along which the field changes or its positions lie."""
        sizes = np.maximum(self.endless.shape, self.clipped.shape)
        return [n for n, size in enumerate(sizes) if n and (size > 1 or n == self.axis)]

    def at(self, positions: np.ndarray) -> np.ndarray:
        """What these positions along `axis` see, as if the input went on forever."""
        assert self.axis is not None
        periods, phases = np.divmod(positions, self.period)
        bounds = self.endless.take(phases, self.axis)
        shape = [-1 if axis == self.axis else 1 for axis in range(1, bounds.ndim)]
        further = (periods * self.step).reshape(shape)
        return np.where(abs(bounds) < FAR, bounds + np.stack([further, -further]), bounds)

    def slide(self, axis: int, window: Window, border: Window | None = None) -> "AxisMap":
        """Move a window along an axis on which the field depends. Beyond its ends there is
        nothing, or what the window `border` reads instead."""
        border, repeats = border or window, self.period // math.gcd(window.step, self.period)
        clipped = _slid(_inside(self.clipped, axis), axis, border)
        outputs = repeats * len(window.starts)
        if axis != self.axis or outputs > _LONGEST_PERIOD:
            listed = self.as_listed(axis)
            missing = 1 if listed.endless.shape[axis] > 1 else self.clipped.shape[axis]
            endless = _slid(_inside(listed.endless.repeat(missing, axis), axis), axis, border)
            return listed._with(endless, clipped)
        endless = _slid(self.at, axis, dataclasses.replace(window, size=outputs))
        step = self.step * repeats * window.step // self.period
        slack = max(self.slack, -(-abs(step) // outputs))
        return dataclasses.replace(self, endless=endless, clipped=clipped, step=step, slack=slack)

    def gather(self, axis: int) -> "AxisMap":
        """Let every output see all positions along an axis, of which one is left."""
        listed = self.as_listed(axis)
        endless, clipped = (b.min(axis, keepdims=True) for b in (listed.endless, listed.clipped))
        if self.clipped.shape[axis] == 1:  # One position stays what it is, with its stride.
            return dataclasses.replace(listed, endless=endless, clipped=clipped, step=self.step)
        return listed._with(endless, clipped)

    def accumulate(self, axis: int) -> "AxisMap":
        clipped = np.minimum.accumulate(self.clipped, axis)
        if axis != self.axis or self.step <= 0:
            listed = self.as_listed(axis)
            return listed._with(np.minimum.accumulate(listed.endless, axis), clipped)
        endless = _slid(self.at, axis, Window([1 - self.period], [self.period], 1, self.period))
        endless[0] = -FAR
        return self._with(endless, clipped)

    def as_listed(self, axis: int) -> "AxisMap":  # every position, in place of a period
        if axis != self.axis:
            return self
        endless = self.at(np.arange(self.clipped.shape[axis]))
        return dataclasses.replace(self, endless=endless, step=0, axis=None)

    def move(self, change: Callable[[np.ndarray], np.ndarray]) -> "AxisMap":
        axis = moved_axis(self.axis, self.endless.ndim, change)
        endless, clipped = change(self.endless), change(self.clipped)
        return dataclasses.replace(self, endless=endless, clipped=clipped, axis=axis)

    def reshape(self, old: Sequence[int], new: Sequence[int]) -> "AxisMap":
        changing = set(self.depends_on())
        touched = [block for block in blocks(old, new) if changing & {*block[0]}]
        home = next((block for block in touched if self.axis in block[0]), None)
        if self.axis is not None and (home is None or len(home[0]) + len(home[1]) > 2):
            return self.as_listed(self.axis).reshape(old, new)
        full, wanted = [2] + [1] * (len(old) - 1), [2] + [1] * (len(new) - 1)
        for before, after in touched:
            full[before[0] : before[-1] + 1] = old[before[0] : before[-1] + 1]
            wanted[after[0] : after[-1] + 1] = new[after[0] : after[-1] + 1]
        if math.prod(full) > _MOST_VALUES:
            raise ValueError(f"its {math.prod(full) // 2} values are too many to follow each")
        arrays = []
        for bounds in (self.endless, self.clipped):
            if home:  # The axis of the periods only changes its number.
                full[home[0][0]] = wanted[home[1][0]] = bounds.shape[home[0][0]]
            arrays.append(np.broadcast_to(bounds, full).reshape(wanted))
        return self._with(*arrays, axis=home[1][0] if home else None)

    def _with(self, endless: np.ndarray, clipped: np.ndarray, **numbers: Any) -> "AxisMap":
        """With other fields, and without the axes along which nothing changes."""
        changed = dataclasses.replace(self, **numbers)
        axis, step = changed.axis, changed.step
        if (step == 0 or (abs(endless) >= FAR).all()) and _constant(axis, endless, clipped):
            axis, step = None, 0
        for each in range(1, endless.ndim):
            if each != axis and _constant(each, endless, clipped):
                endless, clipped = endless.take([0], each), clipped.take([0], each)
        if axis is None and clipped.size < self.clipped.size:
            # Where windows leave no more over than they must, that is the whole axis.
            unseen = np.stack([clipped[0], self.pixels - 1 + clipped[1]])
            whole = (unseen < self.slack).all(axis=0) & (clipped[0] < FAR)
            endless = np.where(whole, -FAR, endless)
        arrays: Any = {"endless": endless, "clipped": clipped}
        changed = dataclasses.replace(changed, axis=axis, step=step, **arrays)
        listed = changed.depends_on()
        return changed.evenly(*listed) if axis is None and len(listed) == 1 else changed

    def evenly(self, axis: int) -> "AxisMap":
        """With a period along the one axis that is listed, if its fields follow each other so."""
        bounds = self.endless.reshape(2, -1)
        seeing = np.flatnonzero(abs(bounds[0]) < FAR)
        if not len(seeing) or (bounds == -FAR).any():
            return self
        known = bounds[:, seeing[0] : seeing[-1] + 1]
        for period in range(1, min(known.shape[1] // 2, _LONGEST_SEARCH) + 1):
            places = np.arange(known.shape[1] - period)
            sample = places[:: len(places) // 999 + 1]
            if _repeats(known, sample, period) and _repeats(known, places, period):
                step = int(known[0, period] - known[0, 0])
                shape = [period if n == axis else 1 for n in range(1, self.endless.ndim)]
                first = known[:, :period].reshape(2, *shape)
                even = dataclasses.replace(self, endless=first, step=step, axis=axis)
                return dataclasses.replace(even, endless=even.at(np.arange(period) - seeing[0]))
        return self


def combine(maps: Sequence[AxisMap], sizes: Sequence[int] = (), axis: int | None = None) -> AxisMap:
    """What is seen by positions that read the same position of several tensors, or where tensors
    of these sizes along an axis are joined end to end: in a period that they share, or listed."""
    if all(each is maps[0] for each in maps) and axis not in maps[0].depends_on():
        return maps[0]

    def joined(pieces: Sequence[np.ndarray]) -> np.ndarray:
        if axis is None:
            return functools.reduce(np.minimum, pieces)
        full = np.array([piece.shape for piece in pieces])
        full[:] = full.max(axis=0)
        full[:, axis] = sizes
        return np.concatenate([*map(np.broadcast_to, pieces, full)], axis)

    slack, period = max(each.slack for each in maps), math.lcm(*(each.period for each in maps))
    even = [each for each in maps if each.axis is not None]
    # What sees one place from everywhere meets each position of the others differently.
    fixed = any(each.axis is None and (abs(each.endless) < FAR).any() for each in maps)
    clipped = joined([each.clipped for each in maps])
    rates = {(each.axis, each.stride) for each in even}
    if len(rates) != 1 or fixed or period > _LONGEST_PERIOD or even[0].axis == axis:
        listed = [each if each.axis is None else each.as_listed(each.axis) for each in maps]
        return listed[0]._with(joined([each.endless for each in listed]), clipped, slack=slack)
    places = np.arange(period)
    endless = joined([each.endless if each.axis is None else each.at(places) for each in maps])
    step = even[0].step * period // even[0].period
    return even[0]._with(endless, clipped, step=step, slack=slack)


def blocks(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The groups of axes, before and after, that a reshape turns into each other, axes of length 1
    left out."""
    olds, news = ([n for n, size in enumerate(s) if n and size != 1] for s in (old, new))
    found = []
    while olds:
        before, after = [olds.pop(0)], [news.pop(0)]
        while (more := math.prod(old[n] for n in before) - math.prod(new[n] for n in after)) != 0:
            (before if more < 0 else after).append((olds if more < 0 else news).pop(0))
        found.append((before, after))
    return found


def moved_axis(axis: int | None, rank: int, change: Callable[..., np.ndarray]) -> int | None:
    lengths = change(np.empty([2] + [3 if n == axis else 1 for n in range(1, rank)])).shape
    return lengths.index(3) if 3 in lengths else None


def _constant(axis: Any, *arrays: np.ndarray) -> bool:
    return bool(axis) and all(b.shape[axis] == 1 or not np.ptp(b, axis).any() for b in arrays)


def _repeats(bounds: np.ndarray, places: np.ndarray, period: int) -> bool:
    """Whether the intervals at these places repeat, so many pixels further on, gaps among them."""
    first, second = bounds[:, places], bounds[:, places + period]
    seeing = first[0] < FAR
    steps = (second - first)[:, seeing] * [[1], [-1]]
    return bool((steps == steps[0, :1]).all() and (seeing == (second[0] < FAR)).all())


def _inside(bounds: np.ndarray, axis: int) -> Callable[[np.ndarray], np.ndarray]:
    def read(positions: np.ndarray) -> np.ndarray:
        size = bounds.shape[axis]
        values = bounds.take(positions.clip(0, size - 1), axis)
        np.moveaxis(values, axis, 0)[(positions < 0) | (positions >= size)] = FAR
        return values

    return read


def _slid(read: Callable[[np.ndarray], np.ndarray], axis: int, window: Window) -> np.ndarray:
    """What the outputs of a window see, if `read` tells what positions along the axis see."""
    periods, phases = np.divmod(np.arange(window.size), len(window.starts))
    starts = periods * window.step + np.asarray(window.starts)[phases]
    counts, span = np.asarray(window.counts)[phases], 1
    first, last = starts.min(), (starts + (counts.clip(1) - 1) * window.dilation).max()
    values, starts = np.moveaxis(read(np.arange(first, last + 1)), axis, 0), starts - first
    found = np.full((window.size, *values.shape[1:]), FAR, values.dtype)
    while span <= counts.max():  # The least of so many values, which double in each round.
        taken, further = counts & span > 0, span * window.dilation
        found[taken] = np.minimum(found[taken], values[starts[taken]])
        values = np.minimum(values[:-further], values[further:])
        starts, span = starts + taken * further, 2 * span
    return np.moveaxis(found, 0, axis)


def sliding(size: int, kernel: int, stride: int, dilation: int, padding: str | int) -> Window:
    """A convolution or a pooling, with the arithmetic of TensorFlow."""
    reach = dilation * (kernel - 1) + 1
    if padding == "same":
        # ceil(size / stride) outputs; the zeros needed, halved and rounded down, come first.
        outputs = -(-size // stride)
        before = max((outputs - 1) * stride + reach - size, 0) // 2
    else:
        after = padding if isinstance(padding, int) else 0
        before = reach - 1 if padding == "causal" else after
        outputs = (size + before + after - reach) // stride + 1
    return Window([-before], [kernel], stride, outputs, dilation)


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
    return Window(starts, counts, 1, outputs, dilation // math.gcd(dilation, stride))


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
    return Window(first, last - first + 1, top, outputs)


def shifted(size: int, before: int, after: int) -> Window:  # negative numbers crop
    return Window([-before], [1], 1, size + before + after)


def chosen(index: np.ndarray) -> Window:
    """Positions in the order of an index; of step 0 if they do not follow each other evenly."""
    for period in range(1, min(len(index) // 2, 64) + 1):
        steps = index[period:] - index[:-period]
        if (steps == steps[0]).all() and steps[0] != 0:
            return Window(index[:period], [1] * period, int(steps[0]), len(index))
    return Window(index, [1] * len(index), int(len(index) == 1), len(index))
