"""The figures of the studies, drawn from the records that are kept."""

import json
from pathlib import Path

import pytest

from evalib.plots.experiments import show_frontier, show_seed_scores
from evalib.training.best_networks import PUBLISHED_RESULTS

OUTPUTS = Path(__file__).parents[2] / "outputs"


def kept(name: str):
    return json.loads((OUTPUTS / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("peers", [(), PUBLISHED_RESULTS])
def test_the_frontier_of_the_kept_records(peers):
    show_frontier(kept("study/frontier.json"), kept("study/records.json"), peers).canvas.draw()


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.filterwarnings("error")
def test_seed_scores_of_any_number_of_seeds(count):
    records = kept("s3_assignment/seeds.json")[:count]
    scores = [record["test_accuracy"] for record in records]
    show_seed_scores(scores, [record["seed"] for record in records]).canvas.draw()
