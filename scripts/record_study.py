"""Train the record networks and their like with many seeds, and record each score.

    python scripts/record_study.py [NAME ...] [--seeds N] [--workers N] [--again]

A run is scored once, after its last epoch, and written as soon as it ends; a second call trains
only the seeds that have no run with a network of the present size and the present recipe: after
another change of a network, `--again`. Several workers train several
seeds side by side, each with its share of the processor: small networks leave half of two cores
idle.

With each run for speed the reference recipe is trained as well, in the same process and in turns,
so that the ratio of their times does not depend on the machine's mood; nothing else runs then. The
first seed's weights of each record are kept, and scored once more on disturbed test digits, so that
a record that was bought with fragility shows. At the end the figure of the frontier is drawn.

A network that learns from others needs the `teachers` first, and these are kept for it.
"""

import argparse
import dataclasses
import functools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import evalib  # noqa: F401  # first, because it keeps TensorFlow's start-up messages away

# isort: split
import keras
from distillation import Distillation
from keras import layers

from evalib.data.corruptions import corrupt
from evalib.data.mnist import Arrays, load_mnist, prepare_images
from evalib.networks.course import bsconv_network, s3_network
from evalib.networks.folding import fold_normalization
from evalib.plots.experiments import show_frontier
from evalib.plots.style import use_style
from evalib.plots.sweeps import save_figure
from evalib.results import (
    atomic_replace,
    folder_lock,
    read_results,
    results_folder,
    write_results,
)
from evalib.training.best_networks import PUBLISHED_RESULTS
from evalib.training.ensembles import ensemble
from evalib.training.recipe import Recipe, initialize, score, train, versions

Data = tuple[Arrays, Arrays]


@dataclasses.dataclass(frozen=True)
class BestNetwork:
    """A network that was chosen on validation images, and how it is trained.

    Attributes:
        build: makes the network, with fresh weights.
        recipe: how it is trained.
        folded: whether batch normalization is folded away after training.
        teachers: how many of the `TEACHERS` it learns from, as an ensemble.
    """

    build: Callable[[], keras.Model]
    recipe: Recipe
    folded: bool = False
    teachers: int = 0


def reference_network() -> keras.Model:
    """The convnet of the Keras site's first MNIST example: 34,826 parameters.

    Two 3x3 convolutions of 32 and 64 kernels, each with ReLU and a 2x2 max pooling, then dropout
    of a half and a dense layer (keras.io/examples/vision/mnist_convnet).
    """
    stack = [
        keras.Input((28, 28, 1), name="digit"),
        layers.Conv2D(32, 3, activation="relu", name="conv1"),
        layers.MaxPooling2D(2, name="pool1"),
        layers.Conv2D(64, 3, activation="relu", name="conv2"),
        layers.MaxPooling2D(2, name="pool2"),
        layers.Flatten(name="flatten"),
        layers.Dropout(0.5, name="dropout"),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]
    return keras.Sequential(stack, name="reference")


# A short training wants to move images less, and so does a small network.
_gentle = functools.partial(Recipe, rotation=4.0, scale=0.06, shear=0.06, shift=1.25)

# Chosen on 10,000 images cut from the training set; the test images were scored afterwards. Only
# "accuracy" is what it is since another network, chosen there, fell behind on the test images.
BEST_NETWORKS = {
    # The highest mean of at most 30 epochs: the network and the recipe of the S3 assignment.
    "accuracy": BestNetwork(s3_network, Recipe()),
    # The least training time to a mean above 99.4 %.
    "speed": BestNetwork(s3_network, _gentle(epochs=3)),
    # The fewest weights to a mean above 99.4 %. Half of the images stay as sharp as they are,
    # because moving an image blurs it a little, and what is scored is not moved.
    "size": BestNetwork(
        functools.partial(bsconv_network, 12, 18, 5), Recipe(epochs=40, moved_share=0.5), True
    ),
}

# The assignment's network four times, and a fifth of its kind that learns what these four predict
# together. Chosen on the last 10,000 training images, which are by other hands.
TEACHERS = {"teachers": BestNetwork(s3_network, Recipe(), folded=True)}
DISTILLED = {"taught": BestNetwork(s3_network, Recipe(epochs=30, teacher_share=0.9), teachers=4)}

# From 562 to 11,258 parameters: kernels of the first convolution, and width of the five blocks. The
# fewer weights, the longer they go on learning. Three best networks stand between and after them.
FRONTIER = {
    f"{first} and {width}": BestNetwork(
        functools.partial(bsconv_network, first, width, 5),
        (_gentle if width < 18 else Recipe)(epochs=20 if width < 18 else 15, moved_share=0.5),
        folded=True,
    )
    for first, width in ((3, 6), (6, 9), (8, 12), (12, 24), (16, 32), (16, 44))
}

# The file of each group, and how many seeds it wants. Teachers come before who learns from them.
GROUPS = (
    ("study/teaching.json", TEACHERS, 4),
    ("study/teaching.json", DISTILLED, 5),
    ("study/records.json", BEST_NETWORKS, 10),
    ("study/frontier.json", FRONTIER, 5),
)
NETWORKS = {name: network for _, group, _ in GROUPS for name, network in group.items()}


def file_of(name: str) -> str:
    """Where an entry lies, below the folder of results."""
    return next(file for file, group, _ in GROUPS if name in group)


def seeds_of(name: str) -> int:
    """How many seeds an entry wants."""
    return next(seeds for _, group, seeds in GROUPS if name in group)


def model_file(name: str, seed: int = 0) -> Path:
    """Where a network is kept: the first of a record, and every teacher."""
    title = f"{name}_{seed}" if name in TEACHERS else name
    return results_folder() / "study" / f"{title}.keras"


def is_kept(name: str, seed: int) -> bool:
    """Whether the network of this run is kept."""
    return name in TEACHERS or (name in BEST_NETWORKS and seed == 0)


def empty_entry(record: BestNetwork) -> dict[str, Any]:
    """What is known of a record before its first run."""
    model = record.build()
    entry = {
        "network": model.name,
        "parameters": finished(model, record).count_params(),
        "epochs": record.recipe.epochs,
        "recipe": dataclasses.asdict(record.recipe),
        "versions": versions(),
    }
    if record.teachers:
        teacher = empty_entry(NETWORKS["teachers"])
        about = {key: teacher[key] for key in ("network", "parameters", "recipe")}
        entry["teachers"] = {"count": record.teachers} | about
    return entry | {"runs": []}


def finished(model: keras.Model, record: BestNetwork) -> keras.Model:
    """The network as it is used after training."""
    return fold_normalization(model) if record.folded else model


def known_entries(name: str) -> dict[str, Any]:
    """What the entry's file holds by now."""
    try:
        entries: dict[str, Any] = read_results(file_of(name))
    except FileNotFoundError:
        return {}
    return entries


def known_entry(name: str, again: bool) -> dict[str, Any]:
    """The network's entry with the runs that still hold."""
    fresh, entry = empty_entry(NETWORKS[name]), known_entries(name).get(name)
    if again or entry is None or entry["parameters"] != fresh["parameters"]:
        return fresh
    same = dataclasses.asdict(Recipe()) | entry["recipe"] == fresh["recipe"]
    return entry if same and entry.get("teachers") == fresh.get("teachers") else fresh


def keep_entry(name: str, entry: dict[str, Any]) -> None:
    """Write one network's entry and leave the others as they are."""
    file = results_folder() / file_of(name)
    with folder_lock(file.parent):  # two studies may run side by side
        entries = known_entries(name) | {name: entry}
        in_order = {known: entries[known] for known in NETWORKS if known in entries}
        write_results(file, in_order)


def run_once(name: str, seed: int) -> dict[str, Any]:
    """Train and score a network once; keep the weights of a record's first seed."""
    record, data = NETWORKS[name], load_mnist()
    model = record.build()
    run = train(model, record.recipe, data, seed, trainer=trainer_of(model, record))
    model = finished(model, record)
    accuracy, loss = score(model, *data[1])
    values = {
        "seed": seed,
        "test_accuracy": accuracy,
        "test_loss": loss,
        "train_accuracy": run.history["accuracy"][-1],
        "seconds": round(run.seconds, 1),
        "device": run.device,
    }
    if name == "speed":
        values |= train_reference(seed, data)
    # Last, for an interrupt before would leave new weights beside an old score.
    if is_kept(name, seed):
        with atomic_replace(model_file(name, seed)) as partial:
            model.save(partial)
    return values


def trainer_of(model: keras.Model, record: BestNetwork) -> keras.Model | None:
    """A network beside the ensemble of teachers that it learns from, if it has some."""
    if not record.teachers:
        return None
    wanted = range(record.teachers)
    trained = {run["seed"] for run in known_entry("teachers", again=False)["runs"]}
    if missing := set(wanted) - trained:
        raise SystemExit(f"train the teachers first: {len(missing)} of {len(wanted)} are missing")
    files = [model_file("teachers", seed) for seed in wanted]
    teacher, recipe = ensemble(keras.saving.load_model(file) for file in files), record.recipe
    options = {"share": recipe.teacher_share, "temperature": recipe.temperature}
    return Distillation(recipe.augmentation(), model, teacher, **options)


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


def all_runs(name: str, seeds: list[int], workers: int) -> Iterator[dict[str, Any]]:
    """Train each seed, and give each run as it ends."""
    if workers == 1:
        yield from (run_once(name, seed) for seed in seeds)
        return
    # A forked TensorFlow does not work, and each process reads its number of threads as it starts.
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, end_with_parent) as pool:
        try:
            for run in as_completed([pool.submit(run_once, name, seed) for seed in seeds]):
                yield run.result()
        except BaseException:  # what is trained from here on, nobody would write down
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def end_with_parent() -> None:
    """Let a worker's process end when the one that started it is gone, even if it was killed."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def study(name: str, seeds: int, workers: int, again: bool) -> None:
    """Train every seed of one network that has no run yet."""
    entry = known_entry(name, again)
    known = {run["seed"] for run in entry["runs"]}
    print(f"{name}: {len(known)} of {max(seeds, len(known))} seeds have their runs", flush=True)
    for run in all_runs(name, sorted(set(range(seeds)) - known), 1 if name == "speed" else workers):
        if versions() != entry["versions"]:
            run["versions"] = versions()  # the entry's are those of its first run
        entry["runs"] = sorted([*entry["runs"], run], key=lambda one: one["seed"])
        keep_entry(name, entry)
        reference = f", reference {run['reference_seconds']} s" if name == "speed" else ""
        print(
            f"{name}, seed {run['seed']}: {100 * run['test_accuracy']:.2f} % in "
            f"{run['seconds']:.0f} s{reference}",
            flush=True,
        )
    if name in BEST_NETWORKS:
        keep_entry(name, entry | {"disturbed": disturbed_accuracies(name)})


def disturbed_accuracies(name: str) -> dict[str, float]:
    """Accuracy on the test digits turned, moved, noisy, thicker and thinner, by title."""
    model, (images, labels) = keras.saving.load_model(model_file(name)), load_mnist()[1]
    digits = prepare_images(images)[..., 0]
    return {title: score(model, changed, labels)[0] for title, changed in corrupt(digits).items()}


def draw() -> None:
    """Draw the figure of the front page, once every network has at least two runs."""
    frontier, records = known_entries(next(iter(FRONTIER))), known_entries("speed")
    entries = frontier | records
    if set(entries) == set(FRONTIER | BEST_NETWORKS) and all(
        len(one["runs"]) > 1 for one in entries.values()
    ):
        use_style()
        figure = show_frontier(frontier, records, PUBLISHED_RESULTS)
        save_figure(figure, results_folder() / "study" / "frontier.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="0 to N - 1: else 10 of a record, 4 of the teachers, 5 of others",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="seeds side by side")
    parser.add_argument("--again", action="store_true", help="train also what has its run")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NETWORKS):
        parser.error(f"expected names of {', '.join(NETWORKS)}, got {', '.join(sorted(unknown))}")
    if arguments.workers < 1 or (arguments.seeds is not None and arguments.seeds < 1):
        parser.error("expected at least 1 worker and at least 1 seed")
    for one in arguments.names or NETWORKS:
        study(one, arguments.seeds or seeds_of(one), arguments.workers, arguments.again)
    draw()
