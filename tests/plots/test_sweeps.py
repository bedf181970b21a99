"""The figure and the table of a sweep."""

from typing import Any

import numpy as np
import pytest

from evalib.plots.sweeps import MOST_ROWS, save_figure, show_sweep
from evalib.tools.sweep_spec import format_table


def test_the_table():
    ended = [
        {"accuracy": score, "parameters": 12345, "seconds": 3.0} for score in (0.9, 0.95, 0.98)
    ]
    failed = {"error": {"type": "ValueError"}}
    settings = [{"size": [3], "rate": 0.01}, {"size": [3], "rate": 0.3}, {"size": [3], "rate": 0.5}]
    seeds: Any = [ended, [*ended[:1], failed], [failed]]
    groups = list(zip(settings, seeds, strict=True))
    assert format_table(groups).splitlines() == [
        "| size | rate | accuracy in % | worst | runs | failed | parameters | seconds |",
        "| ---- | ---- | ------------: | ----: | ---: | -----: | ---------: | ------: |",
        # 13/3, 2/3 and 11/3 from the mean: half the sum of their squares is 49/3, 4.04 squared.
        "| [3]  | 0.01 |  94.33 ± 4.04 | 90.00 |    3 |      0 |     12,345 |     3.0 |",
        "| [3]  | 0.3  |         90.00 | 90.00 |    1 |      1 |     12,345 |     3.0 |",
        "| [3]  | 0.5  |               |       |    0 |      1 |            |         |",
    ]


def test_one_number_that_varies_is_the_horizontal_axis():
    scores = [
        ({"size": size, "head": head}, (0.5 + size / 100, 0.7))
        for head in ("dense", "average")
        for size in (5, 1, 40)
    ]
    axes: Any = show_sweep(scores, title="why").axes[0]
    assert (axes.get_xlabel(), axes.get_xscale()) == ("size", "log")
    _, _, [bars] = axes.containers[0].lines
    # Mean and deviation of 55 and 70, the smallest size first: of 51 and 70.
    np.testing.assert_allclose(bars.get_segments()[1][:, 1], [62.5 - 112.5**0.5, 62.5 + 112.5**0.5])


@pytest.mark.parametrize(
    "scores",
    [
        [({}, [0.5])],
        [({}, [])],
        [({"rate": 0.1}, []), ({"rate": 0.2}, [])],
        [({"rate": rate, "size": rate * 2}, [rate]) for rate in (0.1, 0.2)],
        [({"head": f"n{number}"}, [number / 100]) for number in range(MOST_ROWS + 5)],
    ],
)
def test_other_sweeps_can_be_drawn(tmp_path, scores):
    figure = show_sweep(scores)
    assert len(figure.axes[0].get_yticks()) <= MOST_ROWS
    save_figure(figure, tmp_path / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
