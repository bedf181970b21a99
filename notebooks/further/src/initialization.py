# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,cellView,-all
#     notebook_metadata_filter: kernelspec,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Initialization in depth: theory beside measurement
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/further/initialization.ipynb)
#
# *For readers of [notebook 01](../01_python101_answers.ipynb) who want the formulas. 12 minutes to read, less than 1 to run.*
#
# | Question | Answer |
# |---|---|
# | [How large is too large in 50 layers?](#How-large-is-too-large-in-50-layers?) | Twice Xavier's standard deviation is too large, half of it is too small. |
# | [What arrives after 50 layers, and what comes back?](#What-arrives-after-50-layers,-and-what-comes-back?) | ReLU halves the mean square in both directions; He's factor 2 gives it back. |
# | [What do the values look like, layer by layer?](#What-do-the-values-look-like,-layer-by-layer?) | Too small: nothing is left. Too large: they crowd at −1 and 1. |
# | [What does training leave of the start?](#What-does-training-leave-of-the-start?) | Most of it: fresh and trained weights are correlated. |

# %% cellView="form"
# @title On Colab, install evalib. Elsewhere, this cell does nothing.
import sys; SOURCE = "git+https://github.com/OWNER/REPOSITORY"
if "google.colab" in sys.modules and "/OWNER/" in SOURCE: from google.colab import files; print("Choose a zip of this repository."); SOURCE = next(iter(files.upload()), "no.zip")
if "google.colab" in sys.modules: get_ipython().run_line_magic("pip", f'install -q --no-deps "{SOURCE}"')

# %%
# Load the tools first: evalib before Keras, because it keeps TensorFlow's start-up messages away.
import evalib as ev
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops

from evalib.training import (
    activation_moments,
    compile_classifier,
    deep_network,
    draw_kernels,
    fans,
    kernel_variance,
    measure_signals,
    predict_signals,
)

ev.plots.use_style()
ev.check_version("0.2")

# %% [markdown]
# ## How large is too large in 50 layers?
#
# **Twice Xavier's standard deviation is too large, and half of it is too small.** We use digits from the training images; the test images are not touched.

# %%
# 50,000 digits to learn from, 10,000 to compare with.
(x_train, y_train), (x_test, y_test) = ev.load_mnist()
(x_fit, y_fit), (x_validation, y_validation) = ev.split_validation(x_train, y_train)
x_fit, x_validation = ev.prepare_images(x_fit), ev.prepare_images(x_validation)
print(x_fit.shape, x_validation.shape)

# %% [markdown]
# The network is a stack of 50 dense layers with 100 units each. Each output of a dense layer is a sum of as many products as it has inputs: that is n. In a convolution n is height x width x channels of the kernel. Xavier's rule takes the mean of two counts, the products in each output and the outputs that each input goes into (*fan in* and *fan out*).


# %%
# Each picture minus its mean, divided by its standard deviation: the signal enters with mean 0 and variance 1.
def standardize(images):
    centered = images - images.mean(axis=(1, 2, 3), keepdims=True)
    return centered / centered.std(axis=(1, 2, 3), keepdims=True)


x_deep, y_deep = standardize(x_fit[:10_000]), y_fit[:10_000]
np.testing.assert_allclose(x_deep.mean(axis=(1, 2, 3)), 0, atol=1e-5)
np.testing.assert_allclose(x_deep.var(axis=(1, 2, 3)), 1, atol=1e-4)

# %%
# Two rules from the literature, between half of Xavier's standard deviation and twice of it.

starts = {
    "too small": keras.initializers.VarianceScaling(0.25, "fan_avg", "untruncated_normal"),
    "Xavier": keras.initializers.GlorotNormal(),
    "He": keras.initializers.HeNormal(),
    "too large": keras.initializers.VarianceScaling(4.0, "fan_avg", "untruncated_normal"),
}
depth, width = 50, 100
for name, start in starts.items():
    variance = kernel_variance(start, (width, width))
    print(f"{name:9} variance {width * variance:.2f}/n, standard deviation {variance**0.5:.3f}")

# %% tags=["proves:variance-is-k-over-n", "corrects:rules-know-the-depth", "proves:he-doubles-xaviers-variance"]
# What Keras draws has these variances: measured on a kernel of 1,000 x 1,000 weights.
for start in starts.values():
    drawn = ops.convert_to_numpy(type(start).from_config(start.get_config())((1000, 1000)))
    assert abs(drawn.mean()) < 0.001
    assert np.isclose(drawn.var(), kernel_variance(start, (1000, 1000)), rtol=0.01)

# He doubles Xavier's variance; for a 3x3 kernel that reads 32 channels, n is 3 x 3 x 32.
he, xavier = starts["He"], starts["Xavier"]
assert kernel_variance(he, (100, 100)) == 2 * kernel_variance(xavier, (100, 100))
assert kernel_variance(he, (3, 3, 32, 64)) == 2 / (3 * 3 * 32)

# %% [markdown]
# ## What arrives after 50 layers, and what comes back?
#
# **Each ReLU layer multiplies the mean square by half of n times the variance, forward and backward, as theory says.**

# %%
# 200 digits forward through each network, the gradients of their losses backward, before any training.

digits, labels = x_deep[:200], y_deep[:200]
signals = {}
for activation in ("tanh", "ReLU"):
    network = deep_network(activation.lower(), depth, width)
    for name, start in starts.items():
        draw_kernels(network, start, seed=0)
        signals[activation, name] = measure_signals(network, digits, labels)
print(signals["ReLU", "He"].activations.shape)

# %%
# The theory: a sum of n products with independent weights has n times the variance of one product. So each
# layer multiplies the mean square of the signal by n x variance of its weights, and the activation function
# reduces it: a ReLU by half, tanh by more where the signal is larger.
from itertools import pairwise


units = [28 * 28] + [width] * depth
predictions = {}
for activation, name in signals:
    variances = [kernel_variance(starts[name], shape) for shape in pairwise(units)]
    predictions[activation, name] = predict_signals(activation.lower(), variances, units)

# Forward and backward alike, ReLU halves the mean square: of the values, and of the slopes, 0 or 1.
assert activation_moments("relu", variance=3.0) == (1.5, 0.5)
normal = np.random.default_rng(0).normal(size=1_000_000)
assert np.isclose(np.mean(np.maximum(normal, 0) ** 2), 1 / 2, rtol=0.01)

# %%
# Points are measured, lines are the theory.
rows = ("tanh", "ReLU")
measured = {
    row: {
        name: (signals[row, name].activation_moments, signals[row, name].gradient_moments) for name in starts
    }
    for row in rows
}
predicted = {
    row: {name: (predictions[row, name].activations, predictions[row, name].gradients) for name in starts}
    for row in rows
}
figure, grid = plt.subplots(2, 2, figsize=(8.4, 4.8), sharex=True)
layer, colors = np.arange(1, depth + 1), dict(zip(starts, ("C2", "C0", "C1", "C4"), strict=True))
for (forward, backward), row in zip(grid, rows, strict=True):
    for name, color in colors.items():
        points, lines = measured[row][name], predicted[row][name]
        forward.semilogy(layer, points[0], ".", color=color)
        forward.semilogy(layer, lines[0], color=color, lw=1, label=name)
        # How gradients change is predicted, not how large they are: begin at the last layer.
        backward.semilogy(layer, points[1], ".", color=color)
        backward.semilogy(layer, points[1][-1] * lines[1], color=color, lw=1)
    forward.set(title=f"{row}: activations, forward", ylabel="mean square")
    backward.set_title(f"{row}: gradients, backward")
    forward.grid()
    backward.grid()
for axes in grid[1]:
    axes.set_xlabel("layer")
ev.plots.add_legend(figure)

# %% [markdown]
# **Figure 1.** The size of both signals in each of 50 layers, on a logarithmic scale; points are measured, lines are theory. Read the left side from left to right, because activations go forward, and the right side from right to left, because gradients come back. With ReLU only He's start stays level; Xavier's loses half in each layer, in both directions. With tanh Xavier's gradients change least, and its activations fade slowly. Larger starting weights keep the activations near 1, their maximum, but the gradients then grow on the way back.

# %% tags=["nbval-ignore-output", "proves:too-large-explodes", "proves:too-small-vanishes"]
# The factor by which ReLU layers change each signal, as the mean over 49 steps from layer to layer.
print("           forward   backward   theory")
gains = {name: width * kernel_variance(start, (width, width)) for name, start in starts.items()}
for name in starts:
    forward, backward = (moments[-1] / moments[0] for moments in measured["ReLU"][name])
    forward, backward = forward ** (1 / 49), (1 / backward) ** (1 / 49)
    print(f"{name:9} {forward:8.2f} {backward:10.2f} {gains[name] / 2:8.3f}")
    assert np.isclose(forward, gains[name] / 2, rtol=0.15)
    if name != "too small":  # there the gradients of the first layers are smaller than float32 can hold
        assert np.isclose(backward, gains[name] / 2, rtol=0.15)

# %% tags=["refines:same-variance-in-every-layer", "refines:xavier-for-tanh", "proves:rules-help-a-great-deal"]
# Xavier under ReLU: half in each layer, 2 to the minus 49 in all. He: only random variation is left.
assert np.isclose(
    predictions["ReLU", "Xavier"].activations[-1] / predictions["ReLU", "Xavier"].activations[0], 2.0**-49
)
assert np.allclose(predictions["ReLU", "He"].activations, 1)
assert signals["ReLU", "He"].activation_moments.min() > 1e-3
assert signals["ReLU", "He"].activation_moments.max() < 1e3
assert signals["ReLU", "Xavier"].activation_moments[-1] < 1e-10

# tanh: the theory follows every layer, and no activation leaves -1 to 1, whatever the start.
for name in ("Xavier", "He", "too large"):
    ratio = signals["tanh", name].activation_moments / predictions["tanh", name].activations
    assert 1 / 3 < ratio.min() < ratio.max() < 3  # 100 units a layer: over 50 of them random variation adds up
    assert np.abs(signals["tanh", name].activations).max() <= 1


# Backward through tanh: in theory Xavier's gradients change least over the 50 layers. Measured, random
# variation can put He's before them; the two other starts are far off.
def change(gradients):
    return abs(np.log(gradients[0] / gradients[-1]))


in_theory = {name: change(predicted["tanh"][name][1]) for name in starts}
assert min(in_theory, key=in_theory.get) == "Xavier"
for name in ("too small", "too large"):
    assert change(measured["tanh"][name][1]) > 2 * change(measured["tanh"]["Xavier"][1])

# %% tags=["nbval-ignore-output", "refines:activations-of-mean-zero"]
# The mean: zero before a ReLU, but not after it, where nothing is negative. Theory: root of variance / (2 pi).
first = signals["ReLU", "He"].activations[0]
before = predict_signals("linear", [kernel_variance(he, (784, width))], [784, width]).activations[0]
print(f"mean after the first ReLU {first.mean():.2f}, theory {np.sqrt(before / (2 * np.pi)):.2f}")
assert np.isclose(first.mean(), np.sqrt(before / (2 * np.pi)), rtol=0.15)
assert abs(signals["tanh", "Xavier"].activations.mean()) < 0.05

# %% [markdown]
# **Where the course differs.** It asks for activations with mean zero and the same variance in every layer. tanh can have both. ReLU cannot have the first, and He's rule does without it: it keeps the mean square, which is what the next layer's variance depends on.
#
# ## What do the values look like, layer by layer?
#
# **With too small a start almost nothing is left of them. With too large a start many sit at −1 and 1.**

# %%
# Each column is the histogram of a layer's 20,000 activations after tanh.
edges = np.linspace(-1, 1, 62)  # an odd number of bins: zero has one to itself
figure, row = plt.subplots(1, len(starts), figsize=(9, 2.4), sharey=True)
for axes, name in zip(row, starts, strict=True):
    values = signals["tanh", name].activations
    counts = np.stack([np.histogram(layer, edges)[0] for layer in values], axis=1)
    shades = ev.plots.colorize(counts / counts.max(axis=0), "Blues", (0, 1))
    placed = {"origin": "lower", "extent": (0.5, depth + 0.5, -1, 1), "aspect": "auto"}
    axes.imshow(shades, interpolation="nearest", **placed)
    axes.set(title=name, xlabel="layer", yticks=[-1, 0, 1])
_ = row[0].set_ylabel("activation")

# %% [markdown]
# **Figure 2.** The distribution of tanh activations, layer by layer (darker is more). Too small: after a few layers almost nothing is left. Xavier: they narrow slowly. He: they stay spread out. Too large: they crowd at −1 and 1, where tanh is flat.

# %% tags=["proves:too-small-vanishes", "refines:same-variance-in-every-layer"]
# The share of saturated values in the last layer, where the slope of tanh is below a tenth.
last = {name: np.abs(signals["tanh", name].activations[-1]) for name in starts}
saturated = {name: float(np.mean(1 - values**2 < 0.1)) for name, values in last.items()}
assert saturated["Xavier"] == saturated["too small"] == 0
assert saturated["too large"] > 5 * saturated["He"]
assert saturated["too large"] > 0.15
assert last["too small"].max() < 1e-10

# Xavier's narrow by half and more from the first layer to the last; He's keep most of their spread.
spread = {name: signals["tanh", name].activation_moments[[0, -1]] ** 0.5 for name in starts}
assert spread["Xavier"][1] < 0.5 * spread["Xavier"][0]
assert spread["He"][1] > 0.6 * spread["He"][0]


# %% [markdown]
# ## What does training leave of the start?
#
# **Most of it: trained weights are still correlated with the weights they started from.**

# %% tags=["nbval-ignore-output"]
# A small network, trained for 300 steps from Keras's default start.
keras.utils.set_random_seed(0)
network = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(8, 7, strides=2, activation="relu", name="first"),
        layers.Conv2D(16, 3, strides=2, activation="relu", name="second"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax", name="probabilities"),
    ]
)
random_start = network.get_weights()
compile_classifier(network, keras.optimizers.SGD(0.1))
network.fit(x_fit[: 64 * 300], y_fit[: 64 * 300], batch_size=64, shuffle=False, verbose=0)
weights_trained = network.get_weights()
print(f"{network.count_params():,} parameters")

# %% tags=["refines:weights-are-drawn-normally"]
# Unless told otherwise, Keras draws kernels by Xavier's rule from a uniform distribution, and sets biases to zero.
limits = {}
for layer, fresh in zip(["first", "second", "probabilities"], random_start[::2], strict=True):
    limits[layer] = np.sqrt(6 / sum(fans(fresh.shape)))
    assert isinstance(network.get_layer(layer).kernel_initializer, keras.initializers.GlorotUniform)
    assert np.abs(fresh).max() < limits[layer]
    # A uniform distribution from -limit to limit has the variance limit^2 / 3, here 1 over the mean fan.
    assert np.isclose(limits[layer] ** 2 / 3, 2 / sum(fans(fresh.shape)))
    assert np.isclose(fresh.var(), limits[layer] ** 2 / 3, rtol=0.2)

# %%
# Histograms of the three kernels, fresh and after the 300 steps from the random start.
figure, panels = plt.subplots(1, 3, figsize=(9, 2.5))
for i, (axes, layer) in enumerate(zip(panels, limits, strict=True)):
    pair = random_start[2 * i], weights_trained[2 * i]
    edges = np.linspace(-1, 1, 42) * max(np.abs(values).max() for values in pair)
    for values, label, color in zip(pair, ("fresh", "trained"), (ev.plots.GRAY, ev.plots.ORANGE), strict=True):
        counts = np.histogram(values, edges)[0]
        axes.stairs(counts, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(counts, edges, color=color, lw=1.4, label=label)
    axes.set(title=f"{layer}: {pair[0].size:,} weights", xlabel="weight", yticks=[])
ev.plots.add_legend(figure)

# %% [markdown]
# **Figure 3.** Weights before and after training. Fresh weights fill a box, because they are drawn uniformly. Training rounds the box off, and some weights leave it. Yet fresh and trained weights are correlated in every layer.

# %%
# Some leave the box, the spread grows, and yet each layer still resembles its start.
for i, layer in enumerate(limits):
    fresh, now = random_start[2 * i], weights_trained[2 * i]
    assert np.abs(now).max() > limits[layer]
    assert now.std() > fresh.std()
    assert np.corrcoef(fresh.ravel(), now.ravel())[0, 1] > 0.5


# %% [markdown]
# **Take away.** One number per layer decides: n times the variance of the weights, times the share that the activation function lets pass. Near 1 a deep network learns; away from 1 fifty layers multiply the error.
#
# **Back** to [notebook 01](../01_python101_answers.ipynb). Sources: [Glorot and Bengio 2010](https://proceedings.mlr.press/v9/glorot10a.html), [He et al. 2015](https://arxiv.org/abs/1502.01852).
