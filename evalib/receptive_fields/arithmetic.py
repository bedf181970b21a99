"""The receptive field of a layer: numbers for each axis, and the region that each output sees."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from evalib.receptive_fields.axis_maps import FAR, AxisMap

Stride = int | Fraction


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What one output pixel sees of the input: a number for each axis, `(height, width)` in 2-D.

    Attributes:
        size: the extent of what can influence one output pixel, in input pixels; the largest, where
            pixels differ. `None` where it is the whole of an input whose size is not known.
        stride: how far the fields of two neighboring output pixels lie apart; a fraction behind
            upsampling, 0 where the field is global, `None` where they do not lie evenly.
        padding: how far the first output pixel's field reaches past the top left corner; `None`
            where the stride is, or where the input's size decides and is not known.
        is_global: whether every output sees the whole input, but for a rest smaller than a stride
            that windows leave over at the border.
        note: where branches met that do not see the same places; empty if none did.
        maps: the exact field along each axis of the input.
    """

    size: tuple[int | None, ...]
    stride: tuple[Stride | None, ...]
    padding: tuple[int | None, ...]
    is_global: bool = False
    note: str = dataclasses.field(default="", compare=False, repr=False)
    maps: tuple[AxisMap, ...] = dataclasses.field(default=(), compare=False, repr=False)

    @classmethod
    def from_maps(cls, maps: Sequence[AxisMap], note: str = "") -> "ReceptiveField":
        taken = [axis for each in maps for axis in each.depends_on()]
        strides: list[Stride | None] = []
        paddings: list[int | None] = []
        for each in maps:
            on, stride = each.depends_on(), abs(each.stride)
            even = not on or (on == [each.axis] and taken.count(on[0]) == 1 and each.step != 0)
            seen = each.endless[0][abs(each.endless[0]) < FAR]
            number = stride.numerator if stride.denominator == 1 else stride
            strides.append(number if even else None)
            paddings.append((-int(seen[0]) if seen.size else 0) if even else None)
        sizes, whole = tuple(each.extent for each in maps), all(each.sees_all for each in maps)
        return cls(sizes, tuple(strides), tuple(paddings), whole, note, tuple(maps))

    @property
    def aligned(self) -> bool:
        return not self.note

    def __str__(self) -> str:
        sizes = ("all" if size is None else str(size) for size in self.size)
        return "global" if self.is_global else "x".join(sizes)

    def region(self, index: Sequence[int]) -> tuple[slice, ...]:
        """The part of the input that one output pixel sees, cut off at the border.

        Args:
            index: the output pixel, such as `(row, column)`, counted from 0: a number for each axis
                of the input, or of the output where the field depends on it.

        Returns:
            A slice for each axis, as in `image[field.region((3, 4))]`; empty where it sees nothing.
            An input of unknown size is only cut off before its first pixel.

        Raises:
            ValueError: there is no such output, or it is not known where its field lies.
        """
        intervals = self._intervals(index, clip=True)
        if any(start > stop for start, stop in intervals):
            return tuple(slice(0, 0) for _ in intervals)  # Nothing on one axis is nothing at all.
        return tuple(slice(max(start, 0), max(stop + 1, 0)) for start, stop in intervals)

    def center(self, index: Sequence[int]) -> tuple[float, ...]:
        """The middle of what one output pixel sees, in input pixels; may lie past the border."""
        return tuple((start + stop) / 2 for start, stop in self._intervals(index, clip=False))

    def nearest_output(self, point: Sequence[float]) -> tuple[int, ...]:
        """The output pixel whose center lies nearest to a point of the input: `center` reversed."""
        nearest = []
        for each, place in zip(self._known_maps(), point, strict=True):
            if each.axis is None or not each.step:
                nearest.append(0)
                continue
            # Where the number of outputs is not known, as many as it takes to see the point.
            reach = (place - each.endless[0].min()) / abs(each.stride) + each.period + 2
            outputs = np.arange(each.clipped.shape[each.axis] or max(int(reach), 1))
            first, minus_last = each.at(outputs).reshape(2, -1)
            nearest.append(int(abs((first - minus_last) / 2 - place).argmin()))
        return tuple(nearest)

    def _known_maps(self) -> Sequence[AxisMap]:
        if any(s is not None and p is None for s, p in zip(self.stride, self.padding, strict=True)):
            raise ValueError("expected a field whose padding is known: give the model's input size")
        return self.maps

    def _intervals(self, index: Sequence[int], *, clip: bool) -> list[tuple[int, int]]:
        """The first and the last pixel on each axis, the last before the first if there is none."""
        on = [each.depends_on() for each in self._known_maps()]
        axes = sorted({axis for each in on for axis in each})
        separate = max(map(len, on)) < 2 and sum(map(len, on)) == len(axes)
        if len(index) == len(self.size) and separate:
            places = {axis: n for each, n in zip(on, index, strict=True) for axis in each}
        elif len(index) == len(axes):
            places = dict(zip(axes, index, strict=True))
        else:
            raise ValueError(f"expected {len(self.size)} numbers, got {tuple(index)}")
        intervals = []
        for each in self.maps:
            bounds, here = each.endless, dict(places)
            for axis in each.depends_on():
                size = each.clipped.shape[axis] if each.clipped.size else FAR
                if not 0 <= (got := here[axis]) < size:
                    raise ValueError(f"expected an output from 0 to {size} (exclusive), got {got}")
            if clip and each.clipped.size:
                bounds = each.clipped
            elif each.axis is not None:
                bounds, here[each.axis] = each.at(np.array([here[each.axis]])), 0
            for n in range(bounds.ndim - 1, 0, -1):
                bounds = bounds.take(here.get(n, 0) if bounds.shape[n] > 1 else 0, n)
            start, minus_last = bounds.tolist()
            intervals.append((start, -minus_last) if start <= -minus_last else (0, -1))
        return intervals
