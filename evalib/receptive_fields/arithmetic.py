"""What the pixels of one layer see of the input: the arithmetic, one axis at a time.

Far from the border every network that slides windows is periodic: the pixel `period` further on
sees the same, `step` input pixels further on. So one axis is described exactly by the intervals of
`period` neighbors and by `step`; without upsampling the period is one. This is the arithmetic of
Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional Neural Networks*, Distill
2019, carried on to fractional strides.

Near the border windows hang over, and what lies beyond the border is not seen. Where the input's
size is known, `seen` therefore holds the interval of every pixel as it really is.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

Interval = tuple[int, int]  # the first and the last pixel
Stride = int | Fraction

_FAR = 1 << 40
NOTHING = (_FAR, -_FAR)


@dataclasses.dataclass(frozen=True)
class Offsets:
    """Which positions of its input a layer reads for each position of its output, on one axis.

    Attributes:
        offsets: for each of `period` neighboring outputs the input positions that it reads.
        step: how far the inputs move on over one period of outputs.
        certain: whether the offset against the input is known; padding "same" with a stride
            depends on the input's size.
    """

    offsets: tuple[tuple[int, ...], ...]
    step: int
    offset_known: bool = True


@dataclasses.dataclass(frozen=True)
class AxisField:
    """What each position along one axis sees of one axis of the model's input.

    Attributes:
        intervals: what the first `period` positions see, in input pixels, as if the input went
            on forever; `NOTHING` for a position that reads no input at all.
        step: how many input pixels one period of positions moves on.
        size: the number of positions, or `None` if it is not known.
        certain: whether the offset of the intervals against the input is known.
        seen: shape `(2, size)`, the first and last input pixel that each position really sees,
            or `None` where the size is not known.
    """

    intervals: tuple[Interval, ...]
    step: int
    size: int | None
    offset_known: bool = True
    seen: np.ndarray | None = None

    @classmethod
    def identity(cls, size: int | None) -> "AxisField":
        """An input axis: each pixel sees itself."""
        pixels = None if size is None else np.arange(size)
        return cls(((0, 0),), 1, size, seen=None if pixels is None else np.stack([pixels, pixels]))

    @property
    def stride(self) -> Stride:
        """How far the fields of two neighboring positions lie apart, on average."""
        stride = Fraction(self.step, len(self.intervals))
        return stride.numerator if stride.denominator == 1 else stride

    @property
    def extent(self) -> int:
        """The number of input pixels from the first to the last that a position sees, at most."""
        return max(0, *(stop - start + 1 for start, stop in self.intervals))

    @property
    def padding(self) -> int | None:
        """How far the first position's field reaches past the border."""
        first = next((start for start, stop in self.intervals if start <= stop), 0)
        return -first if self.offset_known else None

    def interval(self, position: int) -> Interval:
        """What one position sees, as if the input went on forever."""
        periods, phase = divmod(position, len(self.intervals))
        start, stop = self.intervals[phase]
        return start + periods * self.step, stop + periods * self.step

    def through(self, taps: Offsets, size: int | None) -> "AxisField":
        """The field after a layer with these taps, whose output has `size` positions."""
        period = len(self.intervals)
        # So many periods of the layer bring it back to the same phase of its input.
        repeats = period // math.gcd(taps.step, period)
        intervals = tuple(
            hull([self.interval(offset + repeat * taps.step) for offset in offsets])
            for repeat in range(repeats)
            for offsets in taps.offsets
        )
        step = self.step * repeats * taps.step // period
        if not taps.offset_known and len(intervals) > 1:
            raise ValueError("its padding depends on the input size, which is not known")
        seen = None if self.seen is None or size is None else _through_edges(self.seen, taps, size)
        return AxisField(intervals, step, size, self.offset_known and taps.offset_known, seen)


def hull(intervals: Sequence[Interval]) -> Interval:
    """The shortest interval that holds all of the given ones."""
    something = [each for each in intervals if each[0] <= each[1]] or [NOTHING]
    return min(start for start, _ in something), max(stop for _, stop in something)


def union(fields: Sequence[AxisField]) -> AxisField:
    """The field of a layer that reads the same position of several siblings.

    Siblings of unknown offset are taken as centered on each other.

    Raises:
        ValueError: the siblings' strides differ.
    """
    if {field.size for field in fields} == {1}:
        fields = [_single(field, fields[0].step) for field in fields]
    elif len({field.stride for field in fields}) > 1:
        strides = ", ".join(str(field.stride) for field in fields)
        raise ValueError(f"their strides differ: {strides}")
    period = math.lcm(*(len(field.intervals) for field in fields))
    offset_known = all(field.offset_known for field in fields)
    widest = max(fields, key=lambda field: field.extent)
    moves = [0 if offset_known else round(center(widest) - center(field)) for field in fields]
    intervals = tuple(
        hull(
            [
                (start + move, stop + move)
                for field, move in zip(fields, moves, strict=True)
                for start, stop in [field.interval(position)]
            ]
        )
        for position in range(period)
    )
    first = fields[0]
    step = first.step * period // len(first.intervals)
    edges = [field.seen for field in fields]
    seen = None
    if all(edge is not None for edge in edges):
        stacked = np.stack(edges)  # type: ignore[arg-type]
        seen = np.stack([stacked[:, 0].min(axis=0), stacked[:, 1].max(axis=0)])
    return AxisField(intervals, step, first.size, offset_known, seen)


def _single(field: AxisField, step: int) -> AxisField:
    """A field of one position has no neighbors: any stride describes it."""
    return dataclasses.replace(field, intervals=(field.interval(0),), step=step)


def center(field: AxisField) -> float:
    """Where the field of position 0 has its center, averaged over the phases of one period."""
    stride = field.step / len(field.intervals)
    centers = [
        (start + stop) / 2 - stride * phase
        for phase, (start, stop) in enumerate(field.intervals)
        if start <= stop
    ]
    return sum(centers) / len(centers) if centers else 0.0


def _through_edges(seen: np.ndarray, taps: Offsets, size: int) -> np.ndarray:
    """What each output really sees: the taps that fall outside read nothing."""
    result = np.empty((2, size), np.int64)
    period = len(taps.offsets)
    for phase, offsets in enumerate(taps.offsets):
        outputs = np.arange(phase, size, period)
        reads = (outputs // period * taps.step)[:, np.newaxis] + np.array(offsets, np.int64)
        inside = (reads >= 0) & (reads < seen.shape[1])
        reads = reads.clip(0, seen.shape[1] - 1)
        result[0, outputs] = np.where(inside, seen[0][reads], _FAR).min(axis=1, initial=_FAR)
        result[1, outputs] = np.where(inside, seen[1][reads], -_FAR).max(axis=1, initial=-_FAR)
    return result


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What one output pixel sees of the input: a number for each axis, `(height, width)` in 2-D.

    Attributes:
        size: the extent of the input that can influence one output pixel, in input pixels. Behind
            upsampling it may differ from pixel to pixel: then it is the largest. `None` for a
            global field of an input whose size is not known.
        stride: how far the fields of two neighboring output pixels lie apart; a fraction behind
            upsampling, 0 where the field is global.
        padding: how far the first output pixel's field reaches past the top left corner; `None`
            where that depends on an input size that is not known.
        is_global: whether the output sees the whole input at once, on all axes.
        axes: the exact field along each axis, `None` where it is global.
    """

    size: tuple[int | None, ...]
    stride: tuple[Stride | None, ...]
    padding: tuple[int | None, ...]
    is_global: bool = False
    axes: tuple[AxisField | None, ...] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    @classmethod
    def from_axes(
        cls, axes: Sequence[AxisField | None], input_size: Sequence[int | None]
    ) -> "ReceptiveField":
        """Summarize the fields along the axes; `None` stands for a global one."""
        return cls(
            size=tuple(a.extent if a else n for a, n in zip(axes, input_size, strict=True)),
            stride=tuple(a.stride if a else 0 for a in axes),
            padding=tuple(a.padding if a else 0 for a in axes),
            is_global=not any(axes),
            axes=tuple(axes),
        )

    def __str__(self) -> str:
        if self.is_global:
            return "global"
        return "x".join("?" if size is None else str(size) for size in self.size)

    def region(self, index: Sequence[int]) -> tuple[slice, ...]:
        """The part of the input that one output pixel sees, cut off at the border.

        Args:
            index: the output pixel, such as `(row, column)`, counted from 0.

        Returns:
            A slice for each axis: `image[field.region((3, 4))]` is what pixel (3, 4) sees; empty
            slices where it sees nothing. Where the input's size is not known, only the part before
            the first pixel is cut off.
        """
        intervals = self._intervals(index, seen=True)
        if any(start > stop for start, stop in intervals):
            return tuple(slice(0, 0) for _ in intervals)  # Nothing on one axis is nothing at all.
        return tuple(slice(max(start, 0), max(stop + 1, 0)) for start, stop in intervals)

    def center(self, index: Sequence[int]) -> tuple[float, ...]:
        """The middle of what one output pixel sees, in input pixels; may lie past the border."""
        return tuple((start + stop) / 2 for start, stop in self._intervals(index, seen=False))

    def outputs_at(self, pixel: Sequence[int]) -> tuple[range, ...]:
        """Which output pixels see an input pixel: the way back.

        Args:
            pixel: the input pixel, such as `(row, column)`, counted from 0.

        Returns:
            For each axis the range of the outputs, from the first to the last that see it.

        Raises:
            ValueError: the field is global, so that there are no positions to go back to.
        """
        ranges = []
        for axis, place in zip(self._known_axes(pixel), pixel, strict=True):
            if axis is None:
                raise ValueError("expected a field with positions, got one that is global")
            hits = [i for i in _near(axis, place) if _sees(axis, i, place)]
            ranges.append(range(hits[0], hits[-1] + 1) if hits else range(0))
        return tuple(ranges)

    def nearest_output(self, point: Sequence[float]) -> tuple[int, ...]:
        """The output pixel whose center lies nearest to a point of the input: `center` reversed.

        Args:
            point: a place in the input, such as `(row, column)`, in input pixels.
        """
        nearest = []
        for axis, place in zip(self._known_axes(point), point, strict=True):
            if axis is None:
                nearest.append(0)
                continue
            middle = {i: abs(sum(axis.interval(i)) / 2 - place) for i in _near(axis, place)}
            nearest.append(min(middle, key=lambda i: (middle[i], i)))
        return tuple(nearest)

    def _intervals(self, index: Sequence[int], *, seen: bool) -> list[Interval]:
        intervals = []
        for number, (axis, position) in enumerate(zip(self._known_axes(index), index, strict=True)):
            if axis is None:
                size = self.size[number]
                intervals.append((0, _FAR if size is None else size - 1))
                continue
            if position < 0 or (axis.size is not None and position >= axis.size):
                raise ValueError(
                    f"expected an output from 0 to {axis.size} (exclusive), got {position}"
                )
            real = seen and axis.seen is not None
            start, stop = axis.seen[:, position].tolist() if real else axis.interval(position)  # type: ignore[index]
            intervals.append((start, stop) if start <= stop else (0, -1))
        return intervals

    def _known_axes(self, index: Sequence[float]) -> Sequence[AxisField | None]:
        if len(index) != len(self.size):
            raise ValueError(f"expected {len(self.size)} numbers, one for each axis, got {index}")
        if self.is_global:
            return [None] * len(self.size)
        if self.axes is None:
            return [
                _written_down(size, stride, padding)
                for size, stride, padding in zip(self.size, self.stride, self.padding, strict=True)
            ]
        if not all(axis is None or axis.offset_known for axis in self.axes):
            raise ValueError("expected a field whose padding is known: give the model's input size")
        return self.axes


def _written_down(size: int | None, stride: Stride | None, padding: int | None) -> AxisField:
    """The axis of a field that was not computed: size, stride and padding say all."""
    if size is None or padding is None or not isinstance(stride, int) or stride < 1:
        raise ValueError(
            f"expected a known size and padding and a whole stride, got {size}, {padding}, {stride}"
        )
    return AxisField(((-padding, size - padding - 1),), stride, None)


def _near(axis: AxisField, place: float) -> range:
    """The outputs whose fields may hold a place of the input, or lie nearest to it."""
    stride = float(axis.stride)
    guess = round((place - center(axis)) / stride)
    width = math.ceil(axis.extent / stride) + len(axis.intervals)
    last = guess + width if axis.size is None else axis.size - 1
    first = min(max(guess - width, 0), last)
    return range(first, max(first, min(guess + width, last)) + 1)


def _sees(axis: AxisField, position: int, place: int) -> bool:
    start, stop = axis.interval(position) if axis.seen is None else axis.seen[:, position]
    return bool(start <= place <= stop)
