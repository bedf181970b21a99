"""The figures of the studies, drawn from the records that are kept."""

import json

import pytest

from evalib.plots.experiments import show_frontier, show_seed_scores
from evalib.training.best_networks import PUBLISHED_RESULTS


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.filterwarnings("error")
def test_figures_of_the_kept_records(count, repository):
    frontier, records, seeds = (
        json.loads((repository / "outputs" / name).read_text(encoding="utf-8"))
        for name in ("study/frontier.json", "study/records.json", "s3_assignment/seeds.json")
    )
    show_frontier(frontier, records, PUBLISHED_RESULTS[:count]).canvas.draw()
    if runs := seeds[:count]:
        scores = [run["test_accuracy"] for run in runs]
        show_seed_scores(scores, [run["seed"] for run in runs]).canvas.draw()
