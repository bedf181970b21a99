"""Draw the same channels with evalib and with tf-keras-vis, and time both in turn.

    pip install --no-deps tf-keras-vis==0.8.7 deprecated wrapt imageio
    python scripts/compare_tf_keras_vis.py

Same network, layer, channels, picture size and number of steps; tf-keras-vis with the settings of
its documentation, on pixels from 0 to 255. Both run once to warm up, then in turn. Pictures and
times go to outputs/kernel_visualization/, where notebook 02 reads them.
"""

import time
from collections.abc import Callable
from statistics import median

from evalib.features.backbone import prepare_for_vgg16, vgg16_backbone
from evalib.features.maximization import maximize_activation, mean_values, values_before_activation
from evalib.results import atomic_replace, results_folder, write_results
from evalib.training.recipe import versions

# isort: split
import keras
import numpy as np

FOLDER = "kernel_visualization"
LAYER, CHANNELS, SIZE, STEPS, ROUNDS = "block3_conv3", [2, 22, 180, 255], 96, 80, 5

Draw = Callable[[], np.ndarray]


def by_evalib(trunk: keras.Model) -> Draw:
    """Steps on waves and uncorrelated colors."""
    return lambda: maximize_activation(
        trunk, LAYER, CHANNELS, size=SIZE, steps=STEPS, prepare=prepare_for_vgg16
    )


def by_tf_keras_vis(trunk: keras.Model) -> Draw:
    """The other tool: steps on pixels, with its own penalties and movements."""
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    pixels = keras.Input((None, None, 3))
    values = values_before_activation(trunk, LAYER)(prepare_for_vgg16(pixels / 255))
    climber = ActivationMaximization(keras.Model(pixels, values), clone=False)

    def draw() -> np.ndarray:
        start = tf.random.uniform((len(CHANNELS), SIZE, SIZE, 3), 0, 255, seed=0)
        drawn = climber(CategoricalScore(CHANNELS), seed_input=start, steps=STEPS)
        return np.asarray(drawn) / 255

    return draw


def timed(draw: Draw) -> tuple[np.ndarray, float, float]:
    """The pictures, and the seconds that they took: by the clock, and of all processors."""
    clock, processor = time.perf_counter(), time.process_time()
    pictures = draw()
    return pictures, time.perf_counter() - clock, time.process_time() - processor


def answers(trunk: keras.Model, pictures: np.ndarray) -> list[float]:
    """How strongly each channel answers to its picture; values below zero count for a tenth."""
    values = values_before_activation(trunk, LAYER)(prepare_for_vgg16(pictures.astype("float32")))
    means = keras.ops.convert_to_numpy(mean_values(values))
    return [round(float(means[row, channel]), 2) for row, channel in enumerate(CHANNELS)]


def compare() -> None:
    """Draw with both, in turn, and write what came out."""
    trunk, weights = vgg16_backbone("edges")
    tools = {"evalib": by_evalib(trunk), "tf_keras_vis": by_tf_keras_vis(trunk)}
    pictures: dict[str, np.ndarray] = {}
    clock: dict[str, list[float]] = {name: [] for name in tools}
    processor: dict[str, list[float]] = {name: [] for name in tools}
    for turn in range(ROUNDS + 1):
        for name, draw in tools.items():
            pictures[name], seconds, processor_seconds = timed(draw)
            if turn:  # The first one warms up.
                clock[name].append(round(seconds, 2))
                processor[name].append(round(processor_seconds, 2))
            print(f"{name:13} {seconds:6.2f} s {processor_seconds:6.2f} s", flush=True)
    folder = results_folder() / FOLDER
    write_results(
        folder / "comparison.json",
        {
            "layer": LAYER,
            "channels": CHANNELS,
            "size": SIZE,
            "steps": STEPS,
            "weights": weights,
            "answers": {name: answers(trunk, drawn) for name, drawn in pictures.items()},
            "clock_seconds": clock,
            "processor_seconds": processor,
            "clock_ratio": median(clock["tf_keras_vis"]) / median(clock["evalib"]),
            "processor_ratio": median(processor["tf_keras_vis"]) / median(processor["evalib"]),
            "versions": versions(),
        },
    )
    levels = {name: np.rint(255 * np.clip(p, 0, 1)).astype("uint8") for name, p in pictures.items()}
    with atomic_replace(folder / "comparison.npz") as partial, partial.open("wb") as file:
        np.savez_compressed(file, **levels)


if __name__ == "__main__":
    compare()
