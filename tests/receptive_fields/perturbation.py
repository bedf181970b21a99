"""What pixels really matter, found without evalib: every pixel is moved, and the model runs."""

import itertools
from typing import Any

import keras
import numpy as np

from evalib.receptive_fields.arithmetic import ReceptiveField

Region = tuple[tuple[int, int], ...]


def moved_outputs(model: keras.Model, places: list[tuple[int, ...]], axes: tuple[int, ...]):
    """Which output values change, `(places, *outputs)`, when the input's pixels at each place of
    these axes do. The model's weights become positive numbers that keep sums near one."""
    changed = np.zeros(1, bool)
    for seed, sign in itertools.product(range(2), (1, -1)):
        random = np.random.default_rng(seed)
        for weights in model.variables:
            if "float" in str(weights.dtype):
                fan_in = max(1, np.prod(weights.shape[:-1]))
                weights.assign(random.uniform(0.5, 1.5, weights.shape) / fan_in)
        image = random.uniform(1, 2, (1, *model.input_shape[1:]))
        images = np.repeat(image, len(places), axis=0)
        for number, place in enumerate(places):
            index: list[Any] = [slice(None)] * image.ndim
            for axis, where in zip(axes, place, strict=True):
                index[axis] = where
            index[0] = number
            images[tuple(index)] += sign * random.uniform(2, 3)
        before, after = (np.asarray(model(x, training=False), "float64") for x in (image, images))
        changed = changed | (abs(after - before) > 1e-12 * abs(before).max())
    return changed


def check_regions(model: keras.Model, field: ReceptiveField, channel: int | None = -1) -> None:
    """Compare the region of every output with the pixels that move it."""
    rank = len(model.input_shape)
    axes = tuple(range(1, max(rank - 1, 2))) if len(field.size) == max(rank - 2, 1) else None
    axes = axes or tuple(range(1, rank))
    places = list(itertools.product(*(range(model.input_shape[axis]) for axis in axes)))
    changed = moved_outputs(model, places, axes)
    if channel is not None:
        changed = changed.any(axis=channel, keepdims=True)
    on = [each.depends_on() for each in field.maps]
    used = sorted({axis for each in on for axis in each})
    for index in itertools.product(*(range(size) for size in changed.shape[1:])):
        hits = np.array(places)[changed[(slice(None), *index)]]
        seen = ((0, 0),) * len(axes)
        if len(hits):
            seen = tuple((int(h.min()), int(h.max()) + 1) for h in hits.T)
        asked = [index[axis - 1] for axis in used]
        if len(used) != len(field.size):
            asked = asked or [0] * len(field.size)
        elif all(len(each) == 1 for each in on):
            asked = [index[each[0] - 1] for each in on]
        assert tuple((p.start, p.stop) for p in field.region(asked)) == seen, index
        for size, (start, stop) in zip(field.size, seen, strict=True):
            assert size is None or size >= stop - start
