"""Train one small network with every activation function, and record how fast and how well.

    python scripts/activation_study.py [--again] [--time]

The network is `evalib.networks.small_network`, which has no normalization. The rate of each
activation function is chosen first, among a few and on validation images, with a seed of its own.
Then five seeds are trained at that rate; the test images are scored once, after the last step. All
have the same budget of steps. Each record is written as soon as its run ends, and a second call
goes on where the first stopped.

`--time` measures something else, on a machine that is doing nothing else: how long a step of
training takes, in rounds that give each activation function its turn.
"""

import argparse
import math
import time
from typing import Any

import evalib  # noqa: F401  # first, because it keeps TensorFlow's start-up messages away

# isort: split
import keras
import numpy as np

from evalib.data.mnist import Arrays, load_mnist, prepare_images, split_validation
from evalib.networks.activations import small_network
from evalib.results import read_results, results_folder, write_results
from evalib.training.optimizers import WarmupDecay
from evalib.training.probes import TrackedTraining, compile_classifier, track_training
from evalib.training.recipe import device, score, versions

FOLDER = "activations"
STEPS, BATCH_SIZE, VALIDATION = 600, 128, 5_000
WARMUP_SHARE, MOMENTUM = 0.05, 0.9
MARKS = [*range(0, 200, 20), *range(200, STEPS + 1, 50)]
SEEDS, CHOICE_SEED = [0, 1, 2, 3, 4], 100
NAMES = (
    "linear", "sigmoid", "tanh", "relu", "leaky_relu", "prelu",
    "elu", "selu", "srelu", "silu", "hard_silu", "gelu",
)  # fmt: skip
RATES = {"adam": [0.001, 0.003, 0.01, 0.03], "momentum": [0.01, 0.03, 0.1, 0.3]}
# What is compared with which optimizer. Krizhevsky et al. (2012) compared ReLU with tanh under
# stochastic gradient descent with momentum.
PAIRS = [("adam", name) for name in NAMES] + [("momentum", "relu"), ("momentum", "tanh")]
SETTINGS = {
    "steps": STEPS,
    "batch_size": BATCH_SIZE,
    "validation_images": VALIDATION,
    "warmup_share": WARMUP_SHARE,
    "momentum": MOMENTUM,
    "marks": MARKS,
    "rates": RATES,
    "choice_seed": CHOICE_SEED,
}


def train_once(
    pair: tuple[str, str], rate: float, seed: int, data: tuple[Arrays, Arrays]
) -> tuple[keras.Model, TrackedTraining]:
    """Train one network from fresh weights and look at its validation accuracy now and then."""
    optimizer, name = pair
    keras.utils.set_random_seed(seed)
    model = small_network(name)
    schedule = WarmupDecay(rate, STEPS, WARMUP_SHARE)
    if optimizer == "adam":
        compile_classifier(model, keras.optimizers.Adam(schedule))
    else:
        compile_classifier(model, keras.optimizers.SGD(schedule, momentum=MOMENTUM))
    fit, validation = data
    watch = track_training(
        model, fit, MARKS, batch_size=BATCH_SIZE, seed=seed, score_on={"validation": validation}
    )
    return model, watch


def record_of(
    pair: tuple[str, str], rate: float, seed: int, watch: TrackedTraining
) -> dict[str, Any]:
    """A run as plain values. A loss that is no number becomes None, which JSON can hold."""
    losses, accuracies = watch.scores["validation"].T
    return {
        "optimizer": pair[0],
        "activation": pair[1],
        "rate": rate,
        "seed": seed,
        "validation_loss": [round(v, 5) if math.isfinite(v) else None for v in losses.tolist()],
        "validation_accuracy": [round(v, 4) for v in accuracies.tolist()],
    }


def best_rate(choices: list[dict[str, Any]], pair: tuple[str, str]) -> float:
    """The rate with the least validation loss after the last step."""
    losses = {
        choice["rate"]: choice["validation_loss"][-1]
        for choice in choices
        if (choice["optimizer"], choice["activation"]) == pair
        and choice["validation_loss"][-1] is not None
    }
    if not losses:
        raise ValueError(f"expected a run of {pair} that ended with a loss, got none")
    return min(losses, key=lambda rate: losses[rate])


def known(again: bool) -> dict[str, Any]:
    """The file as it stands, if it was made with the present settings."""
    empty: dict[str, Any] = {"settings": SETTINGS, "choices": [], "runs": []}
    if again:
        return empty
    try:
        found = read_results(f"{FOLDER}/study.json")
    except FileNotFoundError:
        return empty
    return found if found["settings"] == SETTINGS else empty


def has(records: list[dict[str, Any]], pair: tuple[str, str], **wanted: float) -> bool:
    """Whether one of the records is about this pair, with these values."""
    return any(
        (record["optimizer"], record["activation"]) == pair
        and all(record[key] == value for key, value in wanted.items())
        for record in records
    )


def study(again: bool) -> None:
    """Run everything that has no record yet: first all choices, then seed after seed."""
    (images, labels), (x_test, y_test) = load_mnist()
    (x_fit, y_fit), (x_seen, y_seen) = split_validation(images, labels, VALIDATION)
    data = (prepare_images(x_fit), y_fit), (prepare_images(x_seen), y_seen)
    results, file = known(again), results_folder() / FOLDER / "study.json"
    results["versions"], results["device"] = versions(), device()
    for pair in PAIRS:
        for rate in RATES[pair[0]]:
            if has(results["choices"], pair, rate=rate):
                continue
            _, watch = train_once(pair, rate, CHOICE_SEED, data)
            results["choices"].append(record_of(pair, rate, CHOICE_SEED, watch))
            write_results(file, results)
            print(*pair, rate, watch.scores["validation"][-1], flush=True)
    for seed in SEEDS:
        for pair in PAIRS:
            if has(results["runs"], pair, seed=seed):
                continue
            rate = best_rate(results["choices"], pair)
            model, watch = train_once(pair, rate, seed, data)
            accuracy, loss = score(model, x_test, y_test)
            record = record_of(pair, rate, seed, watch)
            record |= {"test_accuracy": accuracy, "test_loss": loss}
            record["parameters"] = model.count_params()
            results["runs"].append(record)
            write_results(file, results)
            print(*pair, f"seed {seed}: {100 * accuracy:.2f} %", flush=True)


def measure_times(rounds: int, steps: int) -> None:
    """Time steps of training, each activation function in turn, and record the medians."""
    (images, labels), _ = load_mnist()
    batch = prepare_images(images[:BATCH_SIZE]), labels[:BATCH_SIZE]
    models = {}
    for name in NAMES:
        models[name] = small_network(name)
        compile_classifier(models[name], keras.optimizers.Adam(0.0))
        for _ in range(steps):  # the first step compiles
            models[name].train_on_batch(*batch)
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for place in order.permutation(len(NAMES)):
            start = time.perf_counter()
            for _ in range(steps):
                models[NAMES[place]].train_on_batch(*batch)
            seconds[NAMES[place]].append((time.perf_counter() - start) / steps)
    relu = np.array(seconds["relu"])
    ratios = {name: np.array(values) / relu for name, values in seconds.items()}
    summary = {
        name: {
            "milliseconds": round(1000 * float(np.median(seconds[name])), 3),
            "to_relu": round(float(np.median(ratios[name])), 3),
            "to_relu_quartiles": np.quantile(ratios[name], [0.25, 0.75]).round(3).tolist(),
        }
        for name in NAMES
    }
    facts = {"batch_size": BATCH_SIZE, "steps": steps, "rounds": rounds, "device": device()}
    values = {**facts, "versions": versions(), "times": summary}
    write_results(results_folder() / FOLDER / "times.json", values)
    for name, one in summary.items():
        print(f"{name:12} {one['milliseconds']:7.2f} ms  {one['to_relu']:.2f} times ReLU's")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", action="store_true", help="train also what has a record")
    parser.add_argument("--time", action="store_true", help="time the steps, and nothing else")
    parser.add_argument("--rounds", type=int, default=40, help="of --time")
    parser.add_argument("--steps", type=int, default=25, help="of --time, in each round")
    arguments = parser.parse_args()
    if arguments.time:
        measure_times(arguments.rounds, arguments.steps)
    else:
        study(arguments.again)
