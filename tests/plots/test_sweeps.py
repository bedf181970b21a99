"""What the figure and the table of a sweep say, read back from their parts."""

import statistics
from typing import Any

import numpy as np
import pytest

from evalib.plots.sweeps import MOST_ROWS, save_figure, show_sweep
from evalib.tools.sweep_records import Configuration, Sweep, format_summary, headline, summarize


def configuration(accuracies: tuple[float, ...], **settings: object) -> Configuration:
    dotted = {name.replace("__", "."): value for name, value in settings.items()}
    return Configuration(settings=dotted, accuracies=accuracies)


@pytest.fixture
def sweep() -> Sweep:
    """Two configurations with three seeds each, and one of which nothing is known."""
    experiments = {
        f"{rate}-{seed}": {
            "seed": seed,
            "scored_on": "validation",
            "recipe": {"peak_learning_rate": rate},
        }
        for seed in range(3)
        for rate in (0.01, 0.3, 0.5)
    }
    return Sweep("rates", experiments, ("recipe.peak_learning_rate",))


def records() -> dict[str, dict]:
    found: dict[str, dict] = {
        f"0.01-{seed}": {"accuracy": accuracy, "parameters": 12345, "seconds": 2.0 + seed}
        for seed, accuracy in enumerate([0.9, 0.95, 0.98])
    }
    found["0.3-0"] = {"accuracy": 0.5, "parameters": 12345, "seconds": 1.0}
    found["0.3-1"] = {"error": {"type": "ValueError"}}
    found["0.5-2"] = {"error": {"type": "ValueError"}}
    return found


def test_seeds_are_gathered(sweep):
    first, second, third = summarize(sweep, records())
    assert first.settings == {"recipe.peak_learning_rate": 0.01}
    assert first.accuracies == (0.9, 0.95, 0.98)
    assert first.mean == pytest.approx(np.mean([0.9, 0.95, 0.98]))
    assert first.deviation == pytest.approx(np.std([0.9, 0.95, 0.98], ddof=1))
    assert (first.parameters, first.seconds, first.failed) == (12345, 3.0, 0)
    assert (second.mean, second.deviation, second.failed) == (0.5, None, 1)
    assert (third.mean, third.deviation, third.parameters, third.failed) == (None, None, None, 1)


def test_the_table(sweep):
    assert headline(sweep) == (
        "rates: accuracy on the validation images, mean ± standard deviation over seeds"
    )
    assert format_summary(summarize(sweep, records())).splitlines() == [
        "| peak_learning_rate | accuracy in % | worst | runs | failed | parameters | seconds |",
        "|:-------------------|--------------:|------:|-----:|-------:|-----------:|--------:|",
        # 13/3, 2/3 and 11/3 from the mean: half the sum of their squares is 49/3, 4.04 squared.
        "| 0.01               |  94.33 ± 4.04 | 90.00 |    3 |      0 |     12,345 |     3.0 |",
        "| 0.3                |         50.00 | 50.00 |    1 |      1 |     12,345 |     1.0 |",
        "| 0.5                |               |       |    0 |      1 |            |         |",
    ]
    alone = Sweep("alone", {"a": {"seed": 0, "scored_on": "test"}})
    assert format_summary(summarize(alone, {})).splitlines()[0].startswith("| accuracy in % |")


def test_one_number_is_the_horizontal_axis():
    configurations = [
        configuration((0.5 + size / 100 + share, 0.5 + size / 100), size=size, network__head=head)
        for head, share in (("dense", 0.1), ("average", 0.2))
        for size in (5, 1, 40)
    ]
    figure = show_sweep(configurations, title="why")
    axes: Any = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_xscale()) == ("size", "log")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "5", "40"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "head dense",
        "head average",
    ]
    means = [container.lines[0].get_xydata() for container in axes.containers]
    np.testing.assert_allclose(means[0], [[1, 56], [5, 60], [40, 95]])
    np.testing.assert_allclose(means[1], [[1, 61], [5, 65], [40, 100]])
    bars = axes.containers[0].lines[2][0].get_segments()
    spread = 100 * statistics.stdev([0.61, 0.51])
    np.testing.assert_allclose(bars[0][:, 1], [56 - spread, 56 + spread])
    dots = [line.get_xydata() for line in axes.lines if line.get_alpha()]
    assert sorted(len(points) for points in dots) == [2] * 6
    assert any(np.allclose(points, [[5, 65], [5, 55]]) for points in dots)


def test_two_numbers_or_none_are_rows():
    pairs: tuple[dict[str, Any], ...] = (
        {"rate": 1, "size": 3},
        {"normalize": True, "sizes": [3]},
    )
    for settings in pairs:
        other = {name: value * 2 for name, value in settings.items()}
        if "normalize" in settings:
            other["normalize"] = False
        unlike = {**other, "size": 9, "sizes": [9]}
        configurations = [
            configuration((0.9, 0.8), **settings),
            configuration((0.7,), **other),
            configuration((), **{name: unlike[name] for name in settings}),
        ]
        axes: Any = show_sweep(configurations).axes[0]
        first = ", ".join(
            f"{name} {'true' if value is True else value}" for name, value in settings.items()
        )
        assert axes.get_yticklabels()[0].get_text() == first
        assert axes.yaxis_inverted()
        dots = [line.get_xydata() for line in axes.lines if line.get_alpha()]
        np.testing.assert_allclose(dots[0], [[90, 0], [80, 0]])
        np.testing.assert_allclose(dots[1], [[70, 1]])
        means = [container.lines[0].get_xydata()[0] for container in axes.containers]
        np.testing.assert_allclose(means, [[85, 0], [70, 1]])
        assert [text.get_text() for text in axes.texts] == ["failed"]


def test_a_great_many_rows_are_cut_to_the_best():
    names = [f"n{number}" for number in range(MOST_ROWS + 5)]
    configurations = [
        configuration((number / 100,), head=name) for number, name in enumerate(names)
    ]
    axes: Any = show_sweep(configurations).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        f"head {name}" for name in names[:-6:-1] + names[-6:4:-1]
    ]
    assert axes.get_xlabel() == f"accuracy in % (the best {MOST_ROWS} of {MOST_ROWS + 5})"


def test_sweeps_of_one_configuration_or_without_a_run_can_be_drawn(tmp_path):
    for configurations in (
        [Configuration(settings={}, accuracies=(0.5,))],
        [Configuration(settings={}, accuracies=(), failed=1)],
        [configuration((), rate=0.1), configuration((), rate=0.2)],
    ):
        save_figure(show_sweep(configurations), tmp_path / "figure.png")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
