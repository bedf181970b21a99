"""What a tensor's positions see of one axis of the input, and how layers change that.

Far from the border every network that slides windows is periodic: the position `period` further on
sees the same, `step` input pixels further on. This is the arithmetic of Araujo, Norris and Sim,
*Computing Receptive Fields of Convolutional Neural Networks*, Distill 2019, carried on to
fractional strides. Near the border windows hang over, and what lies beyond it is not seen.

An interval of pixels is stored as its first pixel and *minus* its last one. Then one minimum joins
intervals: the smaller both numbers, the more is seen.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

Read = Callable[[np.ndarray], np.ndarray]
Blocks = list[tuple[list[int], list[int]]]  # axes before and after a reshape with the same values

FAR = 1 << 30  # both numbers are FAR where nothing is seen, and -FAR where everything is
_LONGEST_PERIOD, _LONGEST_SEARCH = 1 << 16, 512
_MOST_VALUES = 1 << 24


@dataclasses.dataclass(frozen=True)
class Window:
    """Which positions a layer reads along one axis.

    Output `q * len(starts) + r` reads `counts[r]` positions, `dilation` apart, from position
    `q * step + starts[r]` on. There are `size` outputs.
    """

    starts: np.ndarray
    counts: np.ndarray
    step: int
    size: int
    dilation: int = 1


@dataclasses.dataclass(frozen=True)
class AxisMap:
    """What the positions of a tensor see of one axis of the model's input.

    Both arrays have the shape `(2, ...)` with a dimension for each axis of the tensor after the
    batch, of length 1 where the field does not depend on that axis.

    Attributes:
        pixels: how many pixels the input has along its axis.
        endless: int64, what is seen as if the input went on forever. Along `axis` it holds one
            period, along all others each position.
        clipped: int32, what each position really sees.
        step: how many pixels further on the next period looks.
        axis: the axis of the tensor along which positions follow each other evenly, if any.
        slack: how much windows may leave over at the border: less than the widest stride so far.
    """

    pixels: int
    endless: np.ndarray
    clipped: np.ndarray
    step: int = 0
    axis: int | None = None
    slack: int = 1

    @classmethod
    def identity(cls, axis: int, shape: Sequence[Any]) -> "AxisMap":
        """An axis of an input of this shape: each pixel sees itself."""
        places = np.arange(shape[axis], dtype=np.int32)
        ones = [1] * (len(shape) - 1)
        clipped = np.stack([places, -places]).reshape(2, *ones[1:axis], -1, *ones[axis:])
        return cls(shape[axis], np.zeros((2, *ones), np.int64), clipped, 1, axis)

    @property
    def period(self) -> int:
        """How many positions along `axis` differ by more than a shift."""
        return 1 if self.axis is None else self.endless.shape[self.axis]

    @property
    def stride(self) -> Fraction:
        """How far the fields of two neighbors lie apart, on average."""
        return Fraction(self.step, self.period)

    @property
    def sees_all(self) -> bool:
        """Whether each position sees the whole axis."""
        return bool((self.endless == -FAR).all())

    @property
    def extent(self) -> int:
        """The pixels from the first to the last that a position sees, at most."""
        extents = 1 - self.endless.sum(axis=0)
        if extents.max() > FAR // 2 or (self.axis is None and self.depends_on()):
            extents = 1 - self.clipped.sum(axis=0, dtype=np.int64)
        return max(0, int(extents.max()))

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

    def slide(self, axis: int, window: Window, at_border: Window | None = None) -> "AxisMap":
        """Move a window along an axis, or another one where the border counts.

        Positions before the first and after the last do not exist.
        """
        if axis not in self.depends_on():
            return self
        really = at_border or window
        clipped = _slid(_inside(self.clipped, axis), axis, really)
        repeats = self.period // math.gcd(window.step, self.period)
        outputs = repeats * len(window.starts)
        if axis != self.axis or outputs > _LONGEST_PERIOD:
            listed = self.as_listed(axis)
            size = max(listed.endless.shape[axis], self.clipped.shape[axis])
            endless = listed.endless.repeat(size // listed.endless.shape[axis], axis)
            return listed._with(_slid(_inside(endless, axis), axis, really), clipped)
        endless = _slid(self.at, axis, dataclasses.replace(window, size=outputs))
        step = self.step * repeats * window.step // self.period
        slack = max(self.slack, -(-abs(step) // outputs))
        return dataclasses.replace(self, endless=endless, clipped=clipped, step=step, slack=slack)

    def gather(self, axis: int) -> "AxisMap":
        """Let every output see all positions along an axis, of which one is left."""
        if axis not in self.depends_on():
            return self
        listed = self.as_listed(axis)
        endless, clipped = (b.min(axis, keepdims=True) for b in (listed.endless, listed.clipped))
        if self.clipped.shape[axis] == 1:  # One position stays what it is, with its stride.
            return dataclasses.replace(listed, endless=endless, clipped=clipped, step=self.step)
        return listed._with(endless, clipped)

    def accumulate(self, axis: int) -> "AxisMap":
        """Let every position along an axis also see what those before it see."""
        if axis not in self.depends_on():
            return self
        clipped = np.minimum.accumulate(self.clipped, axis)
        if axis != self.axis or self.step <= 0:
            listed = self.as_listed(axis)
            return listed._with(np.minimum.accumulate(listed.endless, axis), clipped)
        back = Window(np.array([1 - self.period]), np.array([self.period]), 1, self.period)
        endless = _slid(self.at, axis, back)
        endless[0] = -FAR
        return self._with(endless, clipped)

    def as_listed(self, axis: int) -> "AxisMap":
        """The same with every position along an axis listed, in place of a period."""
        if axis != self.axis:
            return self
        endless = self.at(np.arange(self.clipped.shape[axis]))
        return dataclasses.replace(self, endless=endless, step=0, axis=None)

    def move(self, change: Callable[[np.ndarray], np.ndarray]) -> "AxisMap":
        """Follow an operation that adds, removes or reorders axes, as NumPy does it."""
        axis = moved_axis(self.axis, self.endless.ndim, change)
        endless, clipped = change(self.endless), change(self.clipped)
        return dataclasses.replace(self, endless=endless, clipped=clipped, axis=axis)

    def reshape(self, old: Sequence[int], new: Sequence[int]) -> "AxisMap":
        """Follow a reshape of the tensor; both shapes count the batch."""
        changing = self.depends_on()
        touched = [block for block in blocks(old, new) if set(block[0]) & set(changing)]
        home = next((block for block in touched if self.axis in block[0]), None)
        if self.axis is not None and (home is None or len(home[0]) + len(home[1]) > 2):
            return self.as_listed(self.axis).reshape(old, new)
        arrays = []
        for bounds in (self.endless, self.clipped):
            full, wanted = [2] + [1] * (len(old) - 1), [2] + [1] * (len(new) - 1)
            for before, after in touched:
                full[before[0] : before[-1] + 1] = old[before[0] : before[-1] + 1]
                wanted[after[0] : after[-1] + 1] = new[after[0] : after[-1] + 1]
            if math.prod(full) > _MOST_VALUES:
                raise ValueError(f"its {math.prod(full) // 2} values are too many to follow each")
            if home:  # The axis of the periods only changes its number.
                full[home[0][0]] = wanted[home[1][0]] = bounds.shape[home[0][0]]
            arrays.append(np.broadcast_to(bounds, full).reshape(wanted))
        return self._with(*arrays, axis=home[1][0] if home else None)

    def _with(self, endless: np.ndarray, clipped: np.ndarray, **numbers: Any) -> "AxisMap":
        """With other fields, and without the axes along which nothing changes."""
        changed = dataclasses.replace(self, **numbers)
        axis, step = changed.axis, changed.step
        if (
            axis
            and (step == 0 or (abs(endless) >= FAR).all())
            and _constant(axis, endless, clipped)
        ):
            axis, step = None, 0
        for each in range(1, endless.ndim):
            if each != axis and _constant(each, endless, clipped):
                endless, clipped = endless.take([0], each), clipped.take([0], each)
        if axis is None and clipped.size < self.clipped.size:
            # Where windows leave no more over than they must, that is the whole axis.
            unseen = np.stack([clipped[0], self.pixels - 1 + clipped[1]])
            whole = (unseen < self.slack).all(axis=0) & (clipped[0] < FAR)
            endless = np.where(whole, -FAR, endless)
        changed = dataclasses.replace(
            changed, endless=endless, clipped=clipped, axis=axis, step=step
        )
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
            if all(
                _repeats(known, some, period)
                for some in (places[:: len(places) // 999 + 1], places)
            ):
                shape = [period if n == axis else 1 for n in range(1, self.endless.ndim)]
                step = int(known[0, period] - known[0, 0])
                endless = known[:, :period].reshape(2, *shape)
                even = dataclasses.replace(self, endless=endless, step=step, axis=axis)
                return dataclasses.replace(even, endless=even.at(np.arange(period) - seeing[0]))
        return self


def union(maps: Sequence[AxisMap]) -> AxisMap:
    """What is seen by positions that read the same position of several tensors."""
    return _combined(maps, lambda each: functools.reduce(np.minimum, each))


def concatenate(maps: Sequence[AxisMap], sizes: Sequence[int], axis: int) -> AxisMap:
    """What is seen where tensors of these sizes along an axis are joined end to end."""

    def end_to_end(pieces: Sequence[np.ndarray]) -> np.ndarray:
        shapes = np.array([piece.shape for piece in pieces])
        full = np.broadcast_to(shapes.max(axis=0), shapes.shape).copy()
        full[:, axis] = sizes
        return np.concatenate(
            [np.broadcast_to(*each) for each in zip(pieces, full, strict=True)], axis
        )

    return _combined(maps, end_to_end, axis)


def _combined(
    maps: Sequence[AxisMap],
    combine: Callable[[Sequence[np.ndarray]], np.ndarray],
    axis: int | None = None,
) -> AxisMap:
    """Combine maps in a period that they share, or with all positions listed."""
    if all(each is maps[0] for each in maps) and axis not in maps[0].depends_on():
        return maps[0]
    slack, period = max(each.slack for each in maps), math.lcm(*(each.period for each in maps))
    even = [each for each in maps if each.axis is not None]
    # What sees one place from everywhere meets each position of the others differently.
    fixed = any(each.axis is None and (abs(each.endless) < FAR).any() for each in maps)
    clipped = combine([each.clipped for each in maps])
    rates = {(each.axis, each.stride) for each in even}
    if len(rates) != 1 or fixed or period > _LONGEST_PERIOD or even[0].axis == axis:
        listed = [each if each.axis is None else each.as_listed(each.axis) for each in maps]
        endless = combine([each.endless for each in listed])
        return listed[0]._with(endless, clipped, slack=slack)
    places = np.arange(period)
    endless = combine([each.endless if each.axis is None else each.at(places) for each in maps])
    step = even[0].step * period // even[0].period
    return even[0]._with(endless, clipped, step=step, slack=slack)


def blocks(old: Sequence[int], new: Sequence[int]) -> Blocks:
    """The groups of axes that a reshape turns into each other, axes of length 1 left out."""
    olds, news = ([n for n, size in enumerate(s) if n and size != 1] for s in (old, new))
    found: Blocks = []
    while olds:
        before, after = [olds.pop(0)], [news.pop(0)]
        while (more := math.prod(old[n] for n in before) - math.prod(new[n] for n in after)) != 0:
            (before if more < 0 else after).append((olds if more < 0 else news).pop(0))
        found.append((before, after))
    return found


def moved_axis(
    axis: int | None, rank: int, change: Callable[[np.ndarray], np.ndarray]
) -> int | None:
    """Where an operation of NumPy puts an axis of a tensor."""
    lengths = change(np.empty([2] + [3 if n == axis else 1 for n in range(1, rank)])).shape
    return lengths.index(3) if 3 in lengths else None


def _constant(axis: int, *arrays: np.ndarray) -> bool:
    return all(b.shape[axis] == 1 or (b == b.take([0], axis)).all() for b in arrays)


def _repeats(bounds: np.ndarray, places: np.ndarray, period: int) -> bool:
    """Whether the intervals at these places repeat, so many pixels further on, gaps among them."""
    first, second = bounds[:, places], bounds[:, places + period]
    seeing = first[0] < FAR
    steps = (second - first)[:, seeing] * [[1], [-1]]
    return bool((steps == steps[0, :1]).all() and (seeing == (second[0] < FAR)).all())


def _inside(bounds: np.ndarray, axis: int) -> Read:
    """Read positions along an axis, of which those outside see nothing."""

    def read(positions: np.ndarray) -> np.ndarray:
        size = bounds.shape[axis]
        values = bounds.take(positions.clip(0, size - 1), axis)
        np.moveaxis(values, axis, 0)[(positions < 0) | (positions >= size)] = FAR
        return values

    return read


def _slid(read: Read, axis: int, window: Window) -> np.ndarray:
    """What the outputs of a window see, if `read` tells what positions along the axis see."""
    periods, phases = np.divmod(np.arange(window.size), len(window.starts))
    starts, counts = periods * window.step + window.starts[phases], window.counts[phases]
    parts, order = [], []
    for count in np.unique(counts):
        chosen = np.flatnonzero(counts == count)
        first = starts[chosen].min()
        last = starts[chosen].max() + (max(count, 1) - 1) * window.dilation
        values = _joined(read(np.arange(first, last + 1)), axis, count, window.dilation)
        part = values.take(starts[chosen] - first, axis)
        parts.append(part if count else np.full_like(part, FAR))
        order.append(chosen)
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis).take(np.argsort(np.concatenate(order)), axis)


def _joined(values: np.ndarray, axis: int, count: int, dilation: int) -> np.ndarray:
    """The minimum over windows of `count` values, `dilation` apart: windows double in each step."""
    values, span = np.moveaxis(values, axis, 0), 1
    while span < count:
        more = min(span, count - span)
        values = np.minimum(values[: -more * dilation], values[more * dilation :])
        span += more
    return np.moveaxis(values, 0, axis)
