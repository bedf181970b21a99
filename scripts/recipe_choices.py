"""Compare recipes for the S3 network on validation images, and record what each gave.

    python scripts/recipe_choices.py [--again]

50,000 of the training images train each candidate, the other 10,000 judge it; the test images are
not read. Each record is written as soon as its run ends, and a second call trains only what has
none.
"""

import argparse
import dataclasses
from typing import Any

from evalib.data.mnist import load_mnist, split_validation
from evalib.networks.course import s3_network
from evalib.results import read_results, results_folder, write_results
from evalib.training.recipe import Recipe, train

NAME = "s3_assignment/choices.json"
EPOCHS = 12  # fewer than the final recipe has: enough to compare, in half the time
STILL = {"rotation": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0}
HALF = {"rotation": 4.0, "scale": 0.06, "shear": 0.06, "shift": 1.25}
CANDIDATES: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "no augmentation": STILL,
    "half the augmentation": HALF,
    "AdamW instead of Muon": {"optimizer": "adamw"},
    "a tenth of the peak rate": {"peak_learning_rate": 0.003},
}


def candidate_recipe(changes: dict[str, Any]) -> Recipe:
    """The recipe with some values changed."""
    values = {**dataclasses.asdict(Recipe()), "epochs": EPOCHS, **changes}
    return Recipe(**values)


def known_records() -> dict[str, dict]:
    """The records of earlier calls that still hold, by candidate."""
    try:
        records = read_results(NAME)
    except FileNotFoundError:
        return {}
    expected = {
        name: dataclasses.asdict(candidate_recipe(changes)) for name, changes in CANDIDATES.items()
    }
    # A record may be older than a field: then its recipe had that field's default.
    filled = dataclasses.asdict(Recipe())
    return {r["name"]: r for r in records if filled | r["recipe"] == expected.get(r["name"])}


def compare(again: bool) -> None:
    """Train every candidate that has no record yet."""
    (images, labels), _ = load_mnist()
    data = split_validation(images, labels, 10_000)
    records = {} if again else known_records()
    for name, changes in CANDIDATES.items():
        if name in records:
            print(f"{name}: has its record")
            continue
        run = train(s3_network(), candidate_recipe(changes), data, seed=0)
        records[name] = {
            "name": name,
            "validation_accuracy": run.test_accuracy,
            "validation_loss": run.test_loss,
            "training_accuracy": run.history["accuracy"][-1],
            "recipe": dataclasses.asdict(run.recipe),
        }
        write_results(results_folder() / NAME, list(records.values()))
        print(f"{name}: {100 * run.test_accuracy:.2f} %, loss {run.test_loss:.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", action="store_true", help="train also what has a record")
    compare(parser.parse_args().again)
