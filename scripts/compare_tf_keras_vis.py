"""Draw twenty random channels with evalib and with tf-keras-vis, compared at equal contrast.

    pip install --no-deps tf-keras-vis==0.8.7 deprecated wrapt imageio
    python scripts/compare_tf_keras_vis.py

Same network, layer, channels and picture size, each tool with its own defaults: tf-keras-vis steps
on pixels from 0 to 255, 200 times. It raises the plain mean of a channel's values; evalib draws
once for this, once for its own mean, in which values below zero count for a tenth. Pictures,
responses and times go to outputs/kernel_visualization/, where the page on activation maximization
reads them.
"""

import time
from collections.abc import Callable
from typing import Any

from evalib.features.backbone import prepare_for_vgg16, vgg16_backbone
from evalib.features.maximization import maximize_activation, mean_values, values_before_activation
from evalib.results import atomic_replace, results_folder, write_results
from evalib.training.recipe import versions

# isort: split
import keras
import numpy as np

FOLDER = "kernel_visualization"
LAYER, SIZE, STEPS, AT_ONCE = "block3_conv3", 96, {"evalib": 100, "tf_keras_vis": 200}, 5
SHOWN = 10  # of the channels, the pictures that are kept
CHANNELS = sorted(np.random.default_rng(0).choice(256, 20, replace=False).tolist())

Draw = Callable[[list[int]], np.ndarray]
Function = Callable[[np.ndarray, np.ndarray], np.ndarray]


def by_evalib(trunk: keras.Model, below_zero: float) -> Draw:
    """Steps on waves, from noise that fades."""
    options: Any = {"size": SIZE, "steps": STEPS["evalib"], "prepare": prepare_for_vgg16}
    options["below_zero"] = below_zero
    return lambda channels: maximize_activation(trunk, LAYER, channels, **options)


def by_tf_keras_vis(trunk: keras.Model) -> Draw:
    """The other tool: steps on pixels, with its own penalties and movements."""
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    pixels = keras.Input((None, None, 3))
    values = values_before_activation(trunk, LAYER)(prepare_for_vgg16(pixels / 255))
    climber = ActivationMaximization(keras.Model(pixels, values), clone=False)

    def draw(channels: list[int]) -> np.ndarray:
        start = tf.random.uniform((len(channels), SIZE, SIZE, 3), 0, 255, seed=0)
        steps = STEPS["tf_keras_vis"]
        drawn = climber(CategoricalScore(channels), seed_input=start, steps=steps)
        return np.asarray(drawn, "float32") / 255

    return draw


def at_contrast(pictures: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Pictures of the same mean, each with another standard deviation over all its values."""
    mean = pictures.mean((1, 2, 3), keepdims=True)
    now = pictures.std((1, 2, 3), keepdims=True)
    return mean + (pictures - mean) * contrast.reshape(-1, 1, 1, 1) / now


def responses(trunk: keras.Model, pictures: np.ndarray) -> dict[str, list[float]]:
    """Each channel's mean response to its picture, and one in which negatives count a tenth."""
    values = values_before_activation(trunk, LAYER)(prepare_for_vgg16(pictures.astype("float32")))
    means = {"mean": keras.ops.mean(values, axis=(1, 2)), "leaky mean": mean_values(values)}
    return {
        name: [round(float(one[row, channel]), 2) for row, channel in enumerate(CHANNELS)]
        for name, one in means.items()
    }


def at_equal_contrast(
    trunk: keras.Model, ours: np.ndarray, theirs: np.ndarray, choose: Function, measure: str
) -> dict[str, list[float]]:
    """Each channel's response to both pictures, at the lower or the higher contrast of the two."""
    contrast = choose(ours.std((1, 2, 3)), theirs.std((1, 2, 3)))
    return {
        name: responses(trunk, np.clip(at_contrast(pictures, contrast), 0, 1))[measure]
        for name, pictures in (("evalib", ours), ("tf_keras_vis", theirs))
    }


def compare() -> None:
    """Draw with both, a few channels at once, and write what came out."""
    trunk, weights = vgg16_backbone("edges")
    tools = {
        "evalib": by_evalib(trunk, below_zero=0.1),
        "evalib, mean": by_evalib(trunk, below_zero=1.0),
        "tf_keras_vis": by_tf_keras_vis(trunk),
    }
    pictures: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {}
    for name, draw in tools.items():
        drawn, seconds[name] = [], []
        for first in range(0, len(CHANNELS), AT_ONCE):
            start = time.process_time()
            drawn.append(draw(CHANNELS[first : first + AT_ONCE]))
            seconds[name].append(round(time.process_time() - start, 1))
            print(f"{name:13} {seconds[name][-1]:6.1f} s of processor time", flush=True)
        pictures[name] = np.concatenate(drawn)
    contrast = {name: drawn.std((1, 2, 3)) for name, drawn in pictures.items()}
    folder = results_folder() / FOLDER
    write_results(
        folder / "comparison.json",
        {
            "layer": LAYER,
            "channels": CHANNELS,
            "size": SIZE,
            "steps": STEPS,
            "weights": weights,
            "at_equal_contrast": {
                measure: {
                    which: at_equal_contrast(trunk, pictures[ours], pictures["tf_keras_vis"], *how)
                    for which, how in (
                        ("lower", (np.minimum, measure)),
                        ("higher", (np.maximum, measure)),
                    )
                }
                for measure, ours in (("mean", "evalib, mean"), ("leaky mean", "evalib"))
            },
            "contrast": {
                name: [round(float(one), 4) for one in values] for name, values in contrast.items()
            },
            "processor_seconds": seconds,
            "processor_ratio": sum(seconds["tf_keras_vis"]) / sum(seconds["evalib"]),
            "versions": versions(),
        },
    )
    shown = {name: pictures[name][:SHOWN] for name in ("evalib", "tf_keras_vis")}
    levels = {name: np.rint(255 * np.clip(p, 0, 1)).astype("uint8") for name, p in shown.items()}
    with atomic_replace(folder / "comparison.npz") as partial, partial.open("wb") as file:
        np.savez_compressed(file, **levels)


if __name__ == "__main__":
    compare()
