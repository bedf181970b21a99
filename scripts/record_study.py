"""Train the record networks with many seeds and record each score after its last epoch.

    python scripts/record_study.py [NAME ...] [--seeds N] [--again]

Each run is written as soon as it ends; a second call trains only the seeds that have no run with
the present network and recipe. With each run for speed the reference recipe is trained as well, in
the same process and in turns, so that the ratio of their times does not depend on the machine's
mood. The first seed's weights are kept, and scored once more on disturbed test digits, so that a
record that was bought with fragility shows.
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import evalib  # noqa: F401  # first, because it keeps TensorFlow's start-up messages away

# isort: split
import keras

from evalib.data import Arrays, load_mnist, prepare_images
from evalib.disturbances import disturb
from evalib.folding import fold_normalization
from evalib.records import RECORDS, RecordNetwork, reference_network
from evalib.results import read_results, results_folder, write_results
from evalib.training import Recipe, initialize, score, train, versions

FILE = "study/records.json"
Data = tuple[Arrays, Arrays]


def empty_entry(record: RecordNetwork) -> dict[str, Any]:
    """What is known of a record before its first run."""
    model = record.build()
    return {
        "network": model.name,
        "parameters": finished(model, record).count_params(),
        "epochs": record.recipe.epochs,
        "recipe": dataclasses.asdict(record.recipe),
        "versions": versions(),
        "runs": [],
    }


def finished(model: keras.Model, record: RecordNetwork) -> keras.Model:
    """The network as it is used after training."""
    return fold_normalization(model) if record.folded else model


def known_entry(name: str, again: bool) -> dict[str, Any]:
    """The record's entry with the runs that still hold."""
    fresh = empty_entry(RECORDS[name])
    try:
        entry = read_results(FILE).get(name)
    except FileNotFoundError:
        return fresh
    if again or entry is None or entry["parameters"] != fresh["parameters"]:
        return fresh
    same = Recipe(**entry["recipe"]) == RECORDS[name].recipe
    return entry if same else fresh


def keep_entry(name: str, entry: dict[str, Any]) -> None:
    """Write one record's entry and leave the others as they are."""
    try:
        entries = read_results(FILE)
    except FileNotFoundError:
        entries = {}
    write_results(results_folder() / FILE, entries | {name: entry})


def keep_model(model: keras.Model, file: Path) -> None:
    """Write a model beside its place, then move it there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.stem}.partial.keras")
    model.save(partial)
    os.replace(partial, file)


def run_once(name: str, seed: int, data: Data) -> tuple[dict[str, Any], keras.Model]:
    """Train and score a record's network once."""
    record = RECORDS[name]
    model = record.build()
    run = train(model, record.recipe, data, seed)
    model = finished(model, record)
    accuracy, loss = score(model, *data[1])
    values = {
        "seed": seed,
        "test_accuracy": accuracy,
        "test_loss": loss,
        "seconds": round(run.seconds, 1),
        "device": run.device,
    }
    if name == "speed":
        values |= train_reference(seed, data)
    return values, model


def train_reference(seed: int, data: Data) -> dict[str, float]:
    """The Keras site's recipe: Adam, batches of 128, a tenth held out and unused, 15 epochs."""
    model = reference_network()
    initialize(model, seed)
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = prepare_images(data[0][0])[:54_000], data[0][1][:54_000]
    start = time.perf_counter()
    model.fit(images, labels, batch_size=128, epochs=15, verbose=0)
    seconds = time.perf_counter() - start
    accuracy, _ = score(model, *data[1])
    return {"reference_seconds": round(seconds, 1), "reference_test_accuracy": accuracy}


def study(name: str, seeds: int, again: bool) -> None:
    """Train every seed of one record that has no run yet."""
    entry, data = known_entry(name, again), load_mnist()
    for seed in range(seeds):
        if seed in {run["seed"] for run in entry["runs"]}:
            print(f"{name}, seed {seed}: has its run")
            continue
        values, model = run_once(name, seed, data)
        if seed == 0:
            keep_model(model, results_folder() / "study" / f"{name}.keras")
        entry["runs"] = sorted([*entry["runs"], values], key=lambda run: run["seed"])
        keep_entry(name, entry)
        reference = f", reference {values['reference_seconds']} s" if name == "speed" else ""
        print(
            f"{name}, seed {seed}: {100 * values['test_accuracy']:.2f} % in "
            f"{values['seconds']:.0f} s{reference}",
            flush=True,
        )
    model = keras.saving.load_model(results_folder() / "study" / f"{name}.keras")
    keep_entry(name, entry | {"disturbed": disturbed_accuracies(model, data[1])})


def disturbed_accuracies(model: keras.Model, test: Arrays) -> dict[str, float]:
    """Accuracy on the test digits turned, moved, noisy, thicker and thinner, by title."""
    digits = prepare_images(test[0])[..., 0]
    return {title: score(model, changed, test[1])[0] for title, changed in disturb(digits).items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECORDS)}")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="seeds 0 to N - 1")
    parser.add_argument("--again", action="store_true", help="train also what has its run")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(RECORDS):
        parser.error(f"expected names of {', '.join(RECORDS)}, got {', '.join(sorted(unknown))}")
    for one in arguments.names or RECORDS:
        study(one, arguments.seeds, arguments.again)
