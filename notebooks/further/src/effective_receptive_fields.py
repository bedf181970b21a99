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
# # The effective receptive field: does a pixel use all that it sees?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/further/effective_receptive_fields.ipynb)
#
# *For readers of [notebook 03](../03_receptive_fields.ipynb) who know what a gradient is. 12 minutes to read, 2 to run on two processor cores.*
#
# | Question | Answer |
# |---|---|
# | [How is influence measured?](#How-is-influence-measured?) | By the gradient of one output with respect to each pixel. |
# | [How much of a photograph does an untrained network use?](#How-much-of-a-photograph-does-an-untrained-network-use?) | With twenty 3x3 convolutions about 30 % of the pixels that it could use. |
# | [Do more layers help?](#Do-more-layers-help?) | Less than you would expect: the field that is used grows with the square root of the depth. |
# | [Does training change it?](#Does-training-change-it?) | On digits it grows in the networks here. The corners still count for little. |
#
# The receptive field of notebook 03 is the *theoretical* one: no pixel outside it can have an influence. How much influence do the pixels inside have? [Luo, Li, Urtasun and Zemel](https://arxiv.org/abs/1701.04128) answered that in 2016: the *effective* field is shaped like a bell, and the deeper the network, the smaller its share of the theoretical field.

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

ev.plots.use_style()
ev.check_version("0.2")

# %% [markdown]
# ## How is influence measured?
#
# **By the gradient: how much does the output change when a pixel changes a little?** In plain code: take the middle value of a layer, compute its gradient with respect to the picture, and average the absolute values over many pictures. `ev.effective_field` does this for any layer of any model, on every backend.

# %%
# Two measures of a field: how large it is, and how much it looks like a bell curve.
def effective_size(field):
    """The side of a square with as many pixels as have more than 4.55 % of the maximum."""
    return np.sqrt(np.count_nonzero(field > 0.0455 * field.max()))


def gaussian_fit(field):
    """Standard deviations along height and width, and the share of the variance that the curve explains."""
    weights, sigmas, curves = np.asarray(field, "float64"), [], []
    for axis in (1, 0):
        line = weights.sum(axis)
        offsets = np.arange(len(line)) - np.average(np.arange(len(line)), weights=line)
        sigmas.append(np.sqrt(np.average(offsets**2, weights=line)))
        curves.append(np.exp(-0.5 * (offsets / sigmas[-1]) ** 2))
    bell = np.outer(*curves)
    bell *= (bell * weights).sum() / (bell**2).sum()
    return np.array(sigmas), 1 - ((weights - bell) ** 2).sum() / ((weights - weights.mean()) ** 2).sum()


# %%
# The simplest case first: ten 3x3 convolutions whose weights are all equal, without ReLU.


def stacked_network(depth, initializer, *, channels=1, colors=1, activation="linear"):
    """3x3 convolutions without padding or bias, for images as large as the theoretical field."""
    side = 1 + 2 * depth
    network = keras.Sequential([keras.Input((side, side, colors))])
    for number in range(1, depth + 1):
        convolution = layers.Conv2D(
            channels,
            3,
            use_bias=False,
            kernel_initializer=initializer,
            # The last one stays linear, so that no ReLU can set the output to zero.
            activation=activation if number < depth else "linear",
            name=f"conv{number}",
        )
        network.add(convolution)
    return network


equal = stacked_network(10, keras.initializers.Constant(1 / 9))
equal_field = ev.effective_field(equal, "conv10", np.ones((1, 21, 21, 1)))
print("theoretical field:", ev.receptive_field(equal, "conv10").size)
print(f"effective side:    {effective_size(equal_field):.1f} pixels")

# %% [markdown]
# With equal weights the influence of a pixel is a number of paths. In each layer a path moves one pixel up, down, left, right or along a diagonal, or it stays. From a corner of the field only one path of ten steps leads to the middle: along the diagonal. From the middle pixel there are many. To count the paths along one axis, convolve a row of three ones with itself, once for each layer. A box convolved with itself soon looks like a bell curve: that is the central limit theorem.

# %%
# Count the paths along one axis in whole numbers; the two axes are independent, so their counts multiply.
paths = np.ones(1, int)
for _ in range(10):
    paths = np.convolve(paths, [1, 1, 1])
print("paths along one axis:", paths)
print(f"from a corner: {paths[0] ** 2}, from the middle: {paths[10] ** 2:,}")
assert paths.sum() == 3**10

# %%
# The gradient gives the same field as the counting, and its variance is that of ten boxes: 2/3 each.
counted = np.outer(paths, paths) / paths.max() ** 2
assert np.allclose(equal_field, counted, atol=1e-6)
assert np.allclose(np.square(gaussian_fit(equal_field)[0]), 10 * 2 / 3)
assert gaussian_fit(equal_field)[1] > 0.999

# %% [markdown]
# The *effective side* counts the pixels with more than 4.55 % of the greatest influence, and takes the side of a square with that many pixels. This is the paper's measure. The number comes from another property of the bell curve: 95.45 % of its *area* lies within two standard deviations. Its *height* drops to 4.55 % at 2.5 standard deviations.
#
# ## How much of a photograph does an untrained network use?
#
# **About 30 % of the pixels that it could use.** Twenty 3x3 convolutions with ReLU and random weights see 41x41 pixels. We measure with 32 pieces of a photograph.

# %% tags=["nbval-ignore-output"]
# Influence of each pixel on the middle of the twentieth layer, averaged over 32 pieces of the photograph.
photo = ev.sample_photo("astronaut", size=128)
keras.utils.set_random_seed(0)
untrained = stacked_network(20, "he_normal", channels=16, colors=3, activation="relu")
corners = np.random.default_rng(0).integers(0, 128 - 41, (32, 2))
pieces = np.stack([photo[y : y + 41, x : x + 41] for y, x in corners]) / 255
field = ev.effective_field(untrained, "conv20", pieces)
effective_side = effective_size(field)
print(f"effective side: {effective_side:.1f} of {len(field)} pixels")

# %% tags=["nbval-ignore-output"]
# Lay the field over one piece of the photograph, and compare its middle row with a bell.
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.2, 3), width_ratios=[1, 1, 1.3])
corner, share = (2, 36), field[..., np.newaxis]
piece = photo[2 : 2 + 41, 36 : 36 + 41]
left.imshow(photo)
middle.imshow((piece * share + 255 * (1 - share)).astype("uint8"))
titles = "what it can see", "how strongly it uses it"
for axes, title, (top, edge) in zip((left, middle), titles, (corner, (0, 0)), strict=True):
    rim = (41 - effective_side) / 2
    ev.plots.hide_axes(axes, title)
    ev.plots.outline(axes, (top, edge, 41, 41))
    ev.plots.outline(axes, (top + rim, edge + rim, effective_side, effective_side), "C0")

places, sigma = np.arange(-20, 21), gaussian_fit(field)[0][1]
right.bar(places, field[20], width=1, alpha=0.35, label="middle row")
right.plot(places, np.exp(-0.5 * (places / sigma) ** 2), "C0", label=f"bell, σ = {sigma:.1f}")
for edge in (-20.5, 20.5):
    right.axvline(edge, color="C1")
right.set(xlabel="pixels from the middle", ylabel="influence", yticks=[0, 0.5, 1], ylim=(0, 1.4))
right.legend(loc="upper center", ncols=2)
plt.show()

# %% [markdown]
# **Figure 1.** One output pixel of an untrained network of twenty layers. Left: the theoretical field (orange) and a square of the effective side (blue). Middle: the pixels inside the orange square, each drawn as strongly as it counts. Right: the influence along the middle row, and a bell curve of the same width. Near the orange edges there is almost none.

# %%
# Every pixel of the theoretical field can have an influence, yet about a third of them have all that counts.
assert ev.receptive_field(untrained, "conv20").size == field.shape == (41, 41)
in_use = effective_size(field) ** 2 / field.size
assert 0.2 < in_use < 0.4
assert gaussian_fit(field)[1] > 0.8

# %% [markdown]
# ## Do more layers help?
#
# **Less than you would expect: four times as many layers see four times as far, but use only twice as far.** Each layer adds 2 pixels to the theoretical side, $1 + 2n$ in all. To the bell curve it adds *variance*, and the width of a bell curve is the square root of its variance:
#
# - equal weights: variance $\tfrac{2}{3}n$, as counted above;
# - random weights: random signs partly cancel, so the *squares* of the gradients add up along the paths. The squared gradient has the shape of the path counts. Its square root is a bell curve too, of twice the variance: $\tfrac{4}{3}n$.
#
# Either way the effective side grows like $\sqrt{n}$, and its share of the theoretical side falls like $1/\sqrt{n}$.

# %%
# Fields as pictures: the white square has the effective side, the orange box is the theoretical field.
def show_fields(fields, box=None, columns=3):
    rows = -(-len(fields) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(2.1 * columns + 0.8, 2.7 * rows), squeeze=False)
    for axes, (title, field) in zip(grid.flat, fields.items(), strict=False):
        picture = axes.imshow(field, cmap="viridis", vmin=0, vmax=1)
        ev.plots.hide_axes(axes, title)
        top, left, height, width = box or (0, 0, *field.shape)
        side = effective_size(field)
        middle = top + (height - side) / 2, left + (width - side) / 2
        ev.plots.outline(axes, (*middle, side, side), "white")
        if box:
            ev.plots.outline(axes, box)
        axes.set_xlabel(f"{side:.1f} of {height} pixels")
    figure.colorbar(picture, ax=grid, aspect=30, pad=0.01, ticks=[0, 0.5, 1], label="influence")


# %%
# Measure at four depths. One random network is one roll of the dice, so average eight of them, each on two noise images.
depths = [5, 10, 20, 40]


def random_field(depth, networks=8):
    """The mean field of untrained networks with ReLU, maximum 1."""
    total = 0
    for number in range(networks):
        keras.utils.set_random_seed(number)
        network = stacked_network(depth, "he_normal", channels=16, activation="relu")
        noise = np.random.default_rng(number).normal(size=(2, *network.input_shape[1:]))
        total = total + ev.effective_field(network, f"conv{depth}", noise)
    return total / total.max()


def equal_weights_field(depth):
    """The field of equal weights, without ReLU."""
    network = stacked_network(depth, keras.initializers.Constant(1 / 9))
    return ev.effective_field(network, f"conv{depth}", np.ones((1, *network.input_shape[1:])))


fields = {
    "equal weights": {depth: equal_weights_field(depth) for depth in depths},
    "random weights, ReLU": {depth: random_field(depth) for depth in depths},
}
titled = {f"{label}\n{n} layers": fields[label][n] for label in fields for n in depths}
show_fields(titled, columns=4)

# %% [markdown]
# **Figure 2.** Effective fields at four depths. Each picture is as wide as its theoretical field. If all pixels counted the same, the whole picture would have one color. The white square has the effective side, which is written below. From left to right the field grows, but the bell curve fills less and less of it.


# %%
# Two predictions: paths as counted above for equal weights, their roots for random ones. No number is fitted.
def counted_field(depth):
    """Paths to the middle, as a share of the most frequent, over the theoretical field."""
    line = np.ones(1)
    for _ in range(depth):
        line = np.convolve(line, np.ones(3) / 3)
    return np.outer(line, line) / line.max() ** 2


predicted_fields = {
    "equal weights": {depth: counted_field(depth) for depth in depths},
    "random weights, ReLU": {depth: np.sqrt(counted_field(depth)) for depth in depths},
}

# %% tags=["nbval-ignore-output"]
# The same as curves: do the measured sizes lie on the predicted lines?
measured = {label: [effective_size(fields[label][n]) for n in depths] for label in fields}
predicted = {
    label: [effective_size(predicted_fields[label][n]) for n in depths] for label in fields
}
theoretical = [1 + 2 * depth for depth in depths]
for label in fields:
    print(f"{label:20}", *(f"{size:5.1f}" for size in measured[label]), "pixels, measured")
    print(f"{'':20}", *(f"{size:5.1f}" for size in predicted[label]), "pixels, predicted")
print(f"{'theoretical':20}", *(f"{size:5}" for size in theoretical), "pixels")

# %% tags=["nbval-ignore-output"]
# On the left in pixels, on the right as a share of the theoretical side.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.1))
for axes, unit in ((left, 1), (right, np.array(theoretical))):
    axes.plot(depths, np.divide(theoretical, unit), "s-", color="C2", label="theoretical, 1 + 2n")
    for color, label in zip(("C0", "C1"), fields, strict=True):
        axes.plot(depths, np.divide(measured[label], unit), "o", ms=6, color=color, label=label)
        axes.plot(depths, np.divide(predicted[label], unit), color=color)
    axes.set(xlabel="layers n", xticks=depths, ylim=(0, None))
    axes.grid()
left.set(ylabel="side in pixels", title="How wide?")
right.set(ylabel="share of the theoretical side", title="What share of it?")
left.legend()
plt.show()

# %% [markdown]
# **Figure 3.** Points are measured, lines are predicted. Left: every layer adds the same amount to the theoretical side, and less and less to the effective side. Right: so the share that is used shrinks. With forty layers less than a sixth of the pixels are used.

# %%
# Sizes are as predicted, within a tenth, and the power of n is about a half: a line through the logarithms has that slope.
for label in fields:
    assert np.allclose(measured[label], predicted[label], rtol=0.1)
    slope, _ = np.polyfit(np.log(depths), np.log(measured[label]), 1)
    assert abs(slope - 0.5) < 0.08
    assert (np.diff(np.array(measured[label]) / theoretical) < 0).all()
    assert (measured[label][-1] / theoretical[-1]) ** 2 < 1 / 6

# %%
# The variances too: 2/3 for each layer and 4/3 for each layer. With five layers the field cuts off the wider curve.
for label, variance in {"equal weights": 2 / 3, "random weights, ReLU": 4 / 3}.items():
    for depth in depths[1:]:
        widths = gaussian_fit(fields[label][depth])[0]
        assert np.allclose(widths, (variance * depth) ** 0.5, rtol=0.1)

# %% [markdown]
# ## Does training change it?
#
# **On digits it does: the trained network of the S3 assignment uses more of what it sees than any of five untrained ones.** It was trained in [notebook 05](../05_s3_assignment.ipynb), and its weights are read from a file. Its last 3x3 convolution sees 20x20 pixels. All networks look at the same 200 test digits. The network is shallow (five convolutions and a pooling), so the bell curve fills most of the field even before training, as the last figure predicts.

# %% tags=["nbval-ignore-output"]
# The same layer, the same digits: the weights after training, and five draws of weights before it.
(x_train, y_train), (x_test, y_test) = ev.load_mnist()
digits = ev.prepare_images(x_test[:200])
s3_networks = {
    "trained": keras.models.load_model(ev.results_folder() / "s3_assignment" / "model.keras")
}
for number in range(5):
    keras.utils.set_random_seed(number)
    s3_networks[f"untrained, seed {number}"] = ev.s3_network()
s3_fields = {
    title: ev.effective_field(network, "block2_relu4", digits)
    for title, network in s3_networks.items()
}
sight = ev.receptive_field(s3_networks["trained"], "block2_relu4")
# The middle of 5x5 positions is (2, 2): its field begins two strides from the corner.
box = (2 * sight.stride[0], 2 * sight.stride[1], *sight.size)
show_fields(s3_fields, box)

# %% [markdown]
# **Figure 4.** The field of the middle position of `block2_relu4` in the S3 network, on digits of 28x28 pixels. Orange: the theoretical field of 20x20. White: a square of the effective side, which is written below. The trained field is wider and reaches into the corners. The untrained ones are taller than wide.

# %%
# Wider than every untrained one, by more than these differ from each other; and rounder.
sizes = [effective_size(field) for field in s3_fields.values()]
sigmas = np.array([gaussian_fit(field)[0] for field in s3_fields.values()])
height_to_width = sigmas[:, 0] / sigmas[:, 1]
assert sight.size == (20, 20)
assert sight.padding == (0, 0)
assert sizes[0] - max(sizes[1:]) > max(sizes[1:]) - min(sizes[1:])
assert height_to_width[0] < height_to_width[1:].min()

# %% [markdown]
# ### Is it the kernels that grew wider?
#
# **Hardly. What changed is the bias: blank paper now produces positive values, so ReLU passes gradients there.** On blank paper an untrained unit without bias gives exactly zero, so no gradient passes through its ReLU. The ink is in the middle, and it is taller than wide, which explains the small, tall fields. Training gave each channel an offset. An effective field belongs to a network *and* its pictures.

# %% tags=["nbval-ignore-output"]
# The control experiment: the same networks on gray noise, where no pixel is blank.
gray_noise = np.random.default_rng(0).uniform(size=digits.shape)
noise_sizes = [
    effective_size(ev.effective_field(network, "block2_relu4", gray_noise))
    for network in s3_networks.values()
]
print(f"{'':18} digits  noise")
for title, size, noise_size in zip(s3_networks, sizes, noise_sizes, strict=True):
    print(f"{title:18} {size:6.1f} {noise_size:6.1f}")

# %%
# On noise the lead of the trained network is gone: at most a third of what it was on digits.
lead_on_digits = sizes[0] - np.mean(sizes[1:])
lead_on_noise = noise_sizes[0] - np.mean(noise_sizes[1:])
assert lead_on_digits > 1
assert lead_on_noise < lead_on_digits / 3

# %%
# And the reason: the response to blank paper is exactly zero before training, and not after it.
blank = np.zeros((1, 28, 28, 1), "float32")
for title, network in s3_networks.items():
    before_relu = keras.Model(network.inputs[0], network.get_layer("block2_norm4").output)
    response = ops.convert_to_numpy(before_relu(blank, training=False))
    assert response.any() == (title == "trained")

# %%
# Why tall: the average digit is, measured like a field by the spread of its ink.
ink = gaussian_fit(digits.mean(axis=(0, 3)))[0]
assert ink[0] > 1.1 * ink[1]

# %% [markdown]
# ### And in a deeper network?
#
# **Its field grows on digits too, within seconds, and still does not fill the theoretical field.** Ten 3x3 convolutions see 21x21 pixels, about a digit, and start with an effective field of about 15x15. We measure two networks before and after two short epochs, on digits and on the same gray noise.

# %% tags=["nbval-ignore-output"]
# Each network twice: with its random weights, and after it learned to recognize digits.


def deep_network():
    """Ten 3x3 convolutions of eight channels, an average over positions, ten probabilities."""
    digit = keras.Input((28, 28, 1), name="digit")
    features = ev.conv_block(digit, [8] * 10, name="block")
    average = layers.GlobalAveragePooling2D(name="average")(features)
    return keras.Model(digit, layers.Dense(10, "softmax", name="probabilities")(average))


learned_from, accuracies = ev.prepare_images(x_train[:4000]), []
before, after, on_noise = {}, {}, {"before": [], "after": []}
for number in range(2):
    keras.utils.set_random_seed(number)
    deep = deep_network()
    before[f"before, seed {number}"] = ev.effective_field(deep, "block_relu10", digits)
    on_noise["before"].append(ev.effective_field(deep, "block_relu10", gray_noise))
    deep.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # On TensorFlow, XLA would take longer to compile than it saves.
        jit_compile="auto" if keras.backend.backend() != "tensorflow" else False,
    )
    history = deep.fit(learned_from, y_train[:4000], batch_size=32, epochs=2, verbose=0)
    accuracies.append(history.history["accuracy"][-1])
    after[f"after, seed {number}"] = ev.effective_field(deep, "block_relu10", digits)
    on_noise["after"].append(ev.effective_field(deep, "block_relu10", gray_noise))
print("accuracy while learning:", np.round(accuracies, 3))
for when, noise_fields in on_noise.items():
    print(f"sides on noise, {when:6}:", np.round([effective_size(f) for f in noise_fields], 1))
sight = ev.receptive_field(deep, "block_relu10")
# 8x8 positions remain; the one at (4, 4) sees what begins at pixel (4, 4).
show_fields(before | after, (4, 4, *sight.size), columns=2)

# %% [markdown]
# **Figure 5.** Two networks of ten convolutions: before training above, after two short epochs below. Both fields grew, but the corners of the theoretical field (orange) still count for little. On noise they grew less (the numbers above): again, part of the change is which units digits leave active.

# %%
# Both learned, both fields grew on digits, by more than they did on noise, and none fills its square.
sides = {
    "before": np.array([effective_size(field) for field in before.values()]),
    "after": np.array([effective_size(field) for field in after.values()]),
}
assert sight.size == (21, 21)
assert min(accuracies) > 0.7
assert (sides["after"] > sides["before"]).all()
assert (sides["after"] - sides["before"]).mean() > 0.7
noise_growth = [
    effective_size(new) - effective_size(old)
    for old, new in zip(on_noise["before"], on_noise["after"], strict=True)
]
assert np.mean(noise_growth) < (sides["after"] - sides["before"]).mean()
assert (sides["after"] < 0.95 * sight.size[0]).all()

# %% [markdown]
# **Take away.** The theoretical field says what a pixel *cannot* see. What it does use is a bell curve in the middle, and more 3x3 layers widen it only like the square root of their number. So a network that must judge a whole object needs a theoretical field clearly larger than the object, or layers that widen faster: pooling, strides, or kernels with gaps between their weights (*dilation*). Training helped in every network here, on the pictures that it was made for. In the small one it helped because blank paper no longer blocks the gradient.
#
# **Try it.**
# 1. Give the convolutions of `stacked_network` a `dilation_rate=2` (and the input a side of 1 + 4·depth). Predict the theoretical and the effective side for ten layers.
# 2. Use `activation="tanh"` for the random networks. Does the prediction still hold?
#
# <details><summary>Solutions</summary>
#
# 1. The theoretical side is 41 instead of 21. Every path makes steps of two pixels, so the standard deviation doubles. But only one pixel in four has any path at all, so the effective side, which counts pixels, stays at 11.7.
# 2. Try it: tanh passes gradients everywhere, with a factor below one, so the shape should come from the kernels alone.
# </details>
