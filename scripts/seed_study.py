"""Train the S3 network with several seeds and record each score at its final epoch.

    python scripts/seed_study.py [--seeds 0 1 2 3 4] [--again]

Each record is written as soon as its run ends; a second call trains only the seeds that have no
record with a network of the present size and the present recipe: after another change of the
network, `--again`. The first seed's weights and score are kept as well, and a figure of all scores
is drawn.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from evalib.data.mnist import load_mnist
from evalib.networks.course import s3_network
from evalib.plots.experiments import show_seed_scores
from evalib.plots.style import use_style
from evalib.results import atomic_replace, read_results, results_folder, write_results
from evalib.training.recipe import Recipe, Run, train

FOLDER = "s3_assignment"


def still_valid(record: dict, recipe: Recipe, parameters: int) -> bool:
    """Whether a record was made with this recipe and a network of this size."""
    recorded = dataclasses.asdict(Recipe()) | record["recipe"]
    return recorded == dataclasses.asdict(recipe) and record["parameters"] == parameters


def known_records(recipe: Recipe, parameters: int) -> dict[int, dict]:
    """The records of earlier calls that still hold, by seed."""
    try:
        records = read_results(f"{FOLDER}/seeds.json")
    except FileNotFoundError:
        return {}
    return {r["seed"]: r for r in records if still_valid(r, recipe, parameters)}


def keep_model(folder: Path, model: Any, run: Run) -> None:
    """Keep one run's weights, and the score that they give."""
    with atomic_replace(folder / "model.keras") as partial:
        model.save(partial)
    write_results(folder / "metrics.json", run.record())


def study(seeds: list[int], again: bool) -> None:
    """Train every seed that has no record yet."""
    recipe, data, folder = Recipe(), load_mnist(), results_folder() / FOLDER
    records = {} if again else known_records(recipe, s3_network().count_params())
    for seed in seeds:
        if seed in records:
            print(f"seed {seed}: has its record")
            continue
        model = s3_network()
        run = train(model, recipe, data, seed)
        if seed == seeds[0]:
            keep_model(folder, model, run)
        records[seed] = run.record()
        write_results(folder / "seeds.json", [records[known] for known in sorted(records)])
        print(f"seed {seed}: {100 * run.test_accuracy:.2f} % in {run.seconds:.0f} s", flush=True)
    draw(list(records.values()), folder / "scores.png")


def draw(records: list[dict], file: Path) -> None:
    """Draw the figure of the front page."""
    use_style()
    accuracies = [record["test_accuracy"] for record in records]
    figure = show_seed_scores(accuracies, [record["seed"] for record in records])
    with atomic_replace(file) as partial:
        figure.savefig(partial, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--again", action="store_true", help="train also what has a record")
    arguments = parser.parse_args()
    study(arguments.seeds, arguments.again)
