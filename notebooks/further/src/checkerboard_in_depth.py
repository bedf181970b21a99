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
# # The checkerboard in depth: how it is measured, where else it shows, what training does to it
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/further/checkerboard_in_depth.ipynb)
#
# **For** readers of [notebook 02](../02_kernel_visualization.ipynb) who want to know more about its last question. **Know before:** that page. About 15 minutes to read, about 2 minutes to run on two cores.
#
# | Question | Answer |
# |---|---|
# | [How is a grid measured?](#How-is-a-grid-measured?) | By the share of the energy that lies at the stride's frequency. |
# | [Why does a generator show the grid before any training?](#Why-does-a-generator-show-the-grid-before-any-training?) | Even and odd pixels are made by different weights. |
# | [What helps?](#What-helps?) | Resize and convolve, or ICNR. Both start without a grid. |
# | [Do gradients show the grid, too?](#Do-gradients-show-the-grid,-too?) | Yes. The gradient of a strided convolution is a transposed convolution. |
# | [Does training take the grid away?](#Does-training-take-the-grid-away?) | With a pixel loss it gets much fainter, but it does not vanish. |

# %% cellView="form"
# @title On Colab, install evalib. Elsewhere, this cell does nothing.
import sys; SOURCE = "git+https://github.com/OWNER/REPOSITORY"
if "google.colab" in sys.modules and "/OWNER/" in SOURCE: from google.colab import files; print("Choose a zip of this repository."); SOURCE = next(iter(files.upload()), "no.zip")
if "google.colab" in sys.modules: get_ipython().run_line_magic("pip", f'install -q --no-deps "{SOURCE}"')

# %%
# Load the tools. evalib comes before Keras, because it keeps TensorFlow's start-up messages away.
import evalib as ev
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops

from evalib.features import checkerboard_energy

ev.check_version("0.2")
ev.plots.use_style()

# On TensorFlow, compiling these small networks takes longer than it saves.
quick = {"jit_compile": False} if keras.backend.backend() == "tensorflow" else {}

# %% [markdown]
# ## How is a grid measured?
#
# **By the share of a picture's energy that lies at the stride's frequency.** A grid that repeats every `stride` pixels has all its energy at multiples of the frequency 1 / `stride`. A photograph has next to none there. `checkerboard_energy` takes the spectrum, leaves out the mean, and divides one by the other. By Parseval's theorem the result is also the share of the pixels' variance that row and column modulo the stride explain, which is how notebook 02 computes it.

# %%
# Try pictures whose answer is known: a checkerboard is all grid, and noise has its fair share.
rows, columns = np.indices((64, 64))
board = (rows + columns) % 2
wave = np.cos(2 * np.pi * columns / 16)
noise = np.random.default_rng(0).normal(size=(100, 64, 64))
mixture = checkerboard_energy(3 * wave + 2 * board, 2)
noise_share = np.mean([checkerboard_energy(one, 2) for one in noise])

assert abs(checkerboard_energy(board, 2) - 1) < 1e-9
print("checked: a checkerboard is all grid")
assert abs(mixture - 1 / 5.5) < 1e-9  # three waves have variance 9 / 2, two boards have 1
print(f"checked: three waves and two checkerboards are {mixture:.4f} grid, one part in 5.5")
assert abs(noise_share - 3 / 4095) < 3e-4  # three of 64 x 64 - 1 frequencies count
print(f"checked: noise is {noise_share:.4f} grid, three frequencies of 4,095")

# %% [markdown]
# ## Why does a generator show the grid before any training?
#
# **Because a transposed convolution makes even and odd pixels with different weights.** Every input pixel adds the whole kernel, times its value, to the output. So each output pixel receives as many products as a pixel of a convolution gets visits.

# %%
# A transposed convolution of ones by ones adds one for each contribution: these are the counts.
ones_picture = np.ones((1, 6, 6, 1), "float32")
for kernel_size, stride in [(3, 2), (4, 2), (5, 2), (5, 3), (2, 3)]:
    ones_kernel = np.ones((kernel_size, kernel_size, 1, 1), "float32")
    sums = ops.conv_transpose(ones_picture, ones_kernel, stride, padding="valid")
    counts = ev.kernel_overlap(6, kernel_size, stride, transposed=True)
    assert (ops.convert_to_numpy(sums)[0, ..., 0] == counts).all()
print(ev.kernel_overlap(3, 3, stride=2, transposed=True))
print("checked: Keras's transposed convolution adds up exactly these counts, for five pairs of kernel and stride")

# %% [markdown]
# Do even counts help? That depends on the weights. Take a flat picture, in which every pixel is one, and enlarge it. Whatever is not flat afterward is grid.

# %% tags=["nbval-ignore-output"]
# Enlarge a flat picture with equal weights, with 4,000 random kernels, and with linear interpolation.
def grid_on_flat(kernels):
    """The share of the energy, mean included, that is grid: kernels of shape (rows, columns, count)."""
    flat = np.ones((1, 6, 6, 1), "float32")
    weights = np.asarray(kernels, "float32")[..., np.newaxis]
    sums = ops.convert_to_numpy(ops.conv_transpose(flat, weights, 2, padding="valid"))[0]
    period = sums[4:6, 4:6]  # two by two pixels away from the border
    return float(period.var(axis=(0, 1)).sum() / np.square(period).mean(axis=(0, 1)).sum())


random_numbers = np.random.default_rng(0)
linear = {3: [0.5, 1, 0.5], 4: [0.25, 0.75, 0.75, 0.25]}
flat_shares = {}
for size in (2, 3, 4, 5, 6):
    flat_shares[size, "equal"] = grid_on_flat(np.ones((size, size, 1)))
    flat_shares[size, "random"] = grid_on_flat(random_numbers.normal(size=(size, size, 4000)))
    if size in linear:
        kernel = np.outer(linear[size], linear[size])
        flat_shares[size, "interpolation"] = grid_on_flat(kernel[..., np.newaxis])
for (size, kind), share in flat_shares.items():
    print(f"{size}x{size} {kind:14} {share:.3f}")

# %%
# Check each kind of weights.
for size in (2, 3, 4, 5, 6):
    assert (flat_shares[size, "equal"] < 1e-9) == (size % 2 == 0)
    assert abs(flat_shares[size, "random"] - 0.75) < 0.03
print("checked: equal weights make no grid exactly where the stride, 2, divides the kernel size")
print("checked: of random weights three quarters of the energy is grid, whatever the size")
assert max(flat_shares[size, "interpolation"] for size in linear) < 1e-9
print("checked: weights that interpolate make no grid, even in a 3x3 kernel")

# %% [markdown]
# With random weights the kernel size does not matter. Each of the four places in a 2x2 square has weights of its own, so it gets a sum of its own. The mean of four independent sums keeps a quarter of their energy. The other three quarters are grid. A kernel size that the stride divides evens out the counts, but the weights can still differ.
#
# ## What helps?
#
# **Resize first and convolve afterward, or start all places of a square with the same weights (ICNR).** The generators below turn 32 random numbers into a picture of 64x64 by three enlargements. Nothing is trained.

# %%
# Every way to enlarge as a few layers; the generators, and later the trained networks, are built from it.
def enlarge(features, channels, how, activation=None):
    """Twice the height and width, by one of the ways."""
    options = {"padding": "same", "activation": activation}
    if how.startswith("transposed"):
        return layers.Conv2DTranspose(channels, int(how[-1]), strides=2, **options)(features)
    if how == "resize, convolve":
        return layers.Conv2D(channels, 3, **options)(layers.UpSampling2D(2)(features))
    start = ev.networks.ICNR(2) if "ICNR" in how else "glorot_uniform"
    wide = layers.Conv2D(4 * channels, 3, kernel_initializer=start, **options)(features)
    return ev.networks.SubPixel(2)(wide)


def untrained_generator(how):
    """32 numbers to 8x8 positions, and by three enlargements to a color picture of 64x64."""
    numbers = keras.Input((32,))
    features = layers.Dense(8 * 8 * 64, activation="relu")(numbers)
    features = layers.Reshape((8, 8, 64))(features)
    features = enlarge(features, 32, how, "relu")
    features = enlarge(features, 16, how, "relu")
    return keras.Model(numbers, enlarge(features, 3, how, "sigmoid"))


# %%
# ICNR is exact: before training, the sub-pixel convolution is a convolution and a nearest-neighbor resize.
keras.utils.set_random_seed(0)
icnr_layer = layers.Conv2D(4 * 3, 3, kernel_initializer=ev.networks.ICNR(2))
icnr_layer.build((None, None, None, 3))
icnr_layer.kernel.assign(ops.round(100 * icnr_layer.kernel))  # whole numbers: no sum is rounded
one_kernel = layers.Conv2D(3, 3)
one_kernel.build((None, None, None, 3))
one_kernel.kernel.assign(icnr_layer.kernel[..., :3])

small = ev.sample_photo("astronaut", 40)[np.newaxis].astype("float32")
by_subpixel = ops.convert_to_numpy(ev.networks.SubPixel(2)(icnr_layer(small)))
by_resize = ops.convert_to_numpy(layers.UpSampling2D(2)(one_kernel(small)))
assert (by_subpixel == by_resize).all()
print(f"checked: both are equal in all {by_resize.size:,} values")

# %% tags=["nbval-ignore-output"]
# Five generators with three seeds each: what they make, without the border where padding acts.
ways = ["transposed 3x3", "transposed 4x4", "sub-pixel, random", "sub-pixel, ICNR", "resize, convolve"]
numbers = np.random.default_rng(0).normal(size=(2, 32)).astype("float32")
generated, shares_8, shares_2 = {}, {}, {}
for how in ways:
    batches = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        batches.append(ops.convert_to_numpy(untrained_generator(how)(numbers))[:, 8:-8, 8:-8])
    generated[how] = batches[0]
    shares_8[how], shares_2[how] = (
        float(np.mean([checkerboard_energy(one, period) for one in np.concatenate(batches)])) for period in (8, 2)
    )
    print(f"{how:18} period 8: {shares_8[how]:.4f}   of it period 2: {shares_2[how]:.6f}")

# %%
# Draw two pictures of each, and their mean spectrum with frequency zero in the middle.
drawn = []
for batch in generated.values():
    low, high = batch.min((1, 2, 3), keepdims=True), batch.max((1, 2, 3), keepdims=True)
    waves = np.fft.fft2(batch - batch.mean(axis=(1, 2), keepdims=True), axes=(1, 2))
    energy = np.fft.fftshift((np.abs(waves) ** 2).mean(axis=(0, 3)))
    powers = np.log10(np.maximum(energy / energy.max(), 1e-9))
    drawn += [*(batch - low) / (high - low), ev.plots.colorize(powers, "magma", (-4, 0))]
figure = ev.plots.show_images(drawn, ["", "", "spectrum"], labels=ways, side=96)
for axes, share in zip(figure.axes[2::3], shares_8.values(), strict=True):
    axes.text(50, 24, f"{100 * share:.1f} % of the energy\nhas period 8", va="center")
plt.show()

# %% [markdown]
# **Figure 1.** What untrained generators make of two times 32 random numbers, and the mean spectrum. Three enlargements by two have a common period of 8 pixels. In the upper three rows single points stand out, at multiples of the frequency 1/8. In the lower two the energy lies around frequency zero: blots that follow the random numbers, not the period.

# %%
# Check the shares: much grid where each place has weights of its own, next to none otherwise.
for how in ("transposed 3x3", "transposed 4x4", "sub-pixel, random"):
    assert shares_8[how] > 0.3
    assert shares_2[how] > 0.1
assert 0.6 < shares_8["transposed 4x4"] / shares_8["transposed 3x3"] < 1.6
print("checked: more than 30 % grid in three kinds, and 4x4 differs little from 3x3")
for how in ("sub-pixel, ICNR", "resize, convolve"):
    assert shares_8[how] < 0.05
    assert shares_2[how] < 0.002
print("checked: less than 5 % with ICNR or a resize")

# %% [markdown]
# ## Do gradients show the grid, too?
#
# **Yes. The gradient of a strided network with respect to its input is computed by transposed convolutions.** A pixel that has been visited four times gets four contributions back. If all weights are one, the gradient *is* the count of visits. If they are random, the contributions cancel as often as they add up; then the count is the gradient's mean square.

# %%
# One layer whose weights are all one: the gradient of the sum of its outputs with respect to a photograph.
photo = ev.sample_photo("astronaut", 125).astype("float32") / 255
visits = ev.kernel_overlap(125, 3, stride=2)
one_layer = keras.Sequential(
    [keras.Input((125, 125, 3)), layers.Conv2D(1, 3, strides=2, kernel_initializer="ones")]
)
gradient = ev.networks.input_gradient(one_layer, photo[np.newaxis])[0]
assert (gradient == visits[..., np.newaxis]).all()
print("checked: with weights of one, the gradient is the number of visits, pixel for pixel")

# One layer with random weights of variance one: 5,000 kernels, squared and averaged.
random_kernels = layers.DepthwiseConv2D(
    3, strides=2, depthwise_initializer=keras.initializers.RandomNormal(stddev=1, seed=0)
)
many = keras.Sequential([keras.Input((9, 9, 5000)), random_kernels])
mean_square = np.square(ev.networks.input_gradient(many, np.zeros((1, 9, 9, 5000)))[0]).mean(axis=-1)
assert np.allclose(mean_square, ev.kernel_overlap(9, 3, stride=2), rtol=0.15)
print("checked: with random weights, its mean square is the number of visits")

# %% [markdown]
# Deeper networks mix these patterns. The next two networks reach the same size in three steps: one by convolutions with stride 2, one by convolutions with stride 1 and the average of 2x2 pixels, whose stride divides its size.

# %% tags=["nbval-ignore-output"]
# Untrained, with ReLU, three seeds each: the gradient of their one output with respect to the photograph.
def scoring_network(strided):
    """A photograph to one number: three halvings, an average over positions, a weighted sum."""
    picture = features = keras.Input((125, 125, 3))
    for channels in (16, 32, 64):
        options = {"padding": "same", "activation": "relu", "strides": 2 if strided else 1}
        features = layers.Conv2D(channels, 3, **options)(features)
        if not strided:
            features = layers.AveragePooling2D(2)(features)
    return keras.Model(picture, layers.Dense(1)(layers.GlobalAveragePooling2D()(features)))


gradient_shares, gradients = {}, {"weights all one": visits - visits.mean()}
for strided, title in ((True, "stride 2, random"), (False, "average, random")):
    found = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        gradient = ev.networks.input_gradient(scoring_network(strided), photo[np.newaxis])[0]
        found.append(checkerboard_energy(gradient[16:-17, 16:-17], 8))
        if seed == 0:
            gradients[title] = gradient.mean(axis=-1)
    gradient_shares[title] = found
    print(f"{title:18} period 8:", np.round(found, 3))

# %%
# Draw the gradients, and below each the face.
pictures = {title: ev.plots.colorize(values, limits=99) for title, values in gradients.items()}
faces = [picture[14:39, 41:66] for picture in pictures.values()]
figure = ev.plots.show_images([*pictures.values(), *faces], list(pictures), columns=3, side=125)
for axes in figure.axes[:3]:
    ev.plots.outline(axes, (14, 41, 25, 25))
plt.show()

# %% [markdown]
# **Figure 2.** Gradients with respect to the photograph, blue for negative and red for positive; below, the face. Left: one layer of ones, drawn less its mean. Middle: three strided convolutions with random weights; a grid of period 8 with finer grids inside, over face and wall alike. Right: convolutions at stride 1 and averages; the gradient follows the picture. The empty patches are the black of the helmet, where ReLU lets nothing through.

# %%
# Check the shares, and why the gradient has empty patches.
assert min(gradient_shares["stride 2, random"]) > 0.2
assert max(gradient_shares["average, random"]) < 0.05
print("checked: more than a fifth of the strided gradient is grid, less than a twentieth of the averaged one")
for title in gradient_shares:
    assert photo[gradients[title] == 0].max(initial=0) == 0
print("checked: where the gradient is exactly zero, the photograph is black")

# %% [markdown]
# And after training? Two small networks of both kinds learn to read digits. They end in ten logits; `from_logits=True` tells the loss to turn these into probabilities itself.

# %% tags=["nbval-ignore-output"]
# Train both, and average the squared gradient of the outputs over 500 digits that they did not learn from.
(x_train, y_train), _ = ev.load_mnist()
digits = ev.prepare_images(x_train[:4500])


def digit_network(strided):
    """A digit to ten numbers: two halvings, then all positions weighted."""
    digit = features = keras.Input((28, 28, 1))
    for channels in (16, 32):
        options = {"padding": "same", "activation": "relu", "strides": 2 if strided else 1}
        features = layers.Conv2D(channels, 3, **options)(features)
        if not strided:
            features = layers.AveragePooling2D(2)(features)
    return keras.Model(digit, layers.Dense(10)(layers.Flatten()(features)))


trained_shares, accuracies = {}, {}
for strided, title in ((True, "stride 2, trained"), (False, "average, trained")):
    keras.utils.set_random_seed(0)
    network = digit_network(strided)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.002), loss, metrics=["accuracy"], **quick)
    history = network.fit(digits[500:], y_train[500:4500], batch_size=32, epochs=2, verbose=0)
    accuracies[title] = history.history["accuracy"][-1]
    squares = np.square(ev.networks.input_gradient(network, digits[:500])).mean(axis=0)[..., 0]
    trained_shares[title] = checkerboard_energy(squares[4:-4, 4:-4], 2)
    print(f"{title:18} accuracy while learning {accuracies[title]:.3f}   period 2: {trained_shares[title]:.4f}")

# %%
# Check that both learned, and that the strided one still depends more on some pixels than on their neighbors.
assert min(accuracies.values()) > 0.85
assert trained_shares["stride 2, trained"] > 0.04
assert trained_shares["stride 2, trained"] > 3 * trained_shares["average, trained"]
print("checked: after training, the strided network's gradient still has more than three times the grid")

# %% [markdown]
# ## Does training take the grid away?
#
# **With a pixel loss it gets much fainter, but it does not vanish where the layer can make one.** Notebook 02 trains with a feature loss, and the grid stays. Here four networks learn to enlarge photographs by two with the mean squared error of pixels. They differ in the last layer only. Eight photographs to learn from; the astronaut is kept for the test.

# %%
# Cut 100 patches of 48x48 out of each photograph, and halve them.
learned_names = ["chelsea", "coffee", "rocket", "camera", "coins", "brick", "grass", "gravel"]


def halve(pictures):
    """The mean of each two by two pixels, of shape (n, height, width, 3)."""
    count, height, width, channels = pictures.shape
    return pictures.reshape(count, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


sources = np.stack([ev.sample_photo(name, 256) for name in learned_names])
targets = ev.features.cut_patches(sources, 48, 100)[0].astype("float32") / 255
halves = halve(targets)
truth = ev.sample_photo("astronaut", 256).astype("float32")[np.newaxis] / 255
half_truth = halve(truth)
print("learn:", halves.shape, "to", targets.shape, "  test:", half_truth.shape, "to", truth.shape)


# %% tags=["nbval-ignore-output"]
# Measure each network before training and after each epoch: on the astronaut, and on three flat grays.
def enlarging_network(how):
    """A picture to one of twice its height and width."""
    picture = keras.Input((None, None, 3))
    features = layers.Conv2D(24, 3, padding="same", activation="relu")(picture)
    features = layers.Conv2D(24, 3, padding="same", activation="relu")(features)
    return keras.Model(picture, enlarge(features, 3, how))


learners = ["transposed 3x3", "transposed 4x4", "sub-pixel, ICNR", "resize, convolve"]
grays = np.stack([np.full((34, 34, 3), level, "float32") for level in (0.2, 0.5, 0.8)])
epochs = 5
error_shares, flat_levels, errors, results = {}, {}, {}, {}
for how in learners:
    keras.utils.set_random_seed(0)
    network = enlarging_network(how)
    network.compile(keras.optimizers.Adam(0.002), "mse", **quick)
    error_shares[how], flat_levels[how], errors[how], results[how] = [], [], [], []
    for epoch in range(epochs + 1):
        if epoch:
            network.fit(halves, targets, batch_size=16, verbose=0)
        enlarged = ops.convert_to_numpy(network(half_truth))[0]
        gray = ops.convert_to_numpy(network(grays))[:, 16:-16, 16:-16]
        error = (enlarged - truth[0])[8:-8, 8:-8]
        error_shares[how].append(checkerboard_energy(error, 2))
        flat_levels[how].append(255 * float(gray.std(axis=(1, 2), dtype="float64").mean()))
        errors[how].append(255 * float(np.sqrt(np.square(error).mean())))
        results[how].append((enlarged, gray[1]))
    print(
        f"{how:17} error {errors[how][0]:5.1f} -> {errors[how][-1]:4.1f} levels   "
        f"grid on flat gray {flat_levels[how][0]:7.4f} -> {flat_levels[how][-1]:.4f} levels"
    )

# %%
# Side by side: a face after the first and the last epoch, and flat gray with its differences enlarged.
place, magnified = np.s_[40:76, 84:120], 40
nearest = half_truth[0].repeat(2, axis=0).repeat(2, axis=1)
first = {"photograph": truth[0][place], "half size": nearest[place]}
last = dict(first)
flat = {title: np.full((36, 36, 3), 0.5) for title in first}
for how in learners:
    first[how], last[how] = results[how][1][0][place], results[how][-1][0][place]
    flat[how] = results[how][-1][1][:36, :36]
means = [picture.mean((0, 1)) for picture in flat.values()]
strong = [m + magnified * (gray - m) for m, gray in zip(means, flat.values(), strict=True)]
_ = ev.plots.show_images(
    np.clip([*first.values(), *last.values(), *strong], 0, 1),
    list(first),
    labels=["after 1 epoch", f"after {epochs} epochs", f"gray,\ncontrast x{magnified}"],
    side=108,
)

# %% [markdown]
# **Figure 3.** Photographs enlarged by two, trained with a pixel loss. Above, after the first epoch: both transposed convolutions leave a fine grid on the skin. Middle, after the last: it can hardly be seen. Below, the same networks on flat gray, contrast raised: the grid is still there, and with ICNR there is one now. Only the resize leaves the gray flat.

# %%
# The same over the epochs, as numbers: the standard deviation on flat gray, in levels of 255.
_ = ev.plots.show_lines(
    {how: (range(epochs + 1), np.maximum(levels, 1e-4)) for how, levels in flat_levels.items()},
    x_label="epoch",
    y_label="grid on flat gray,\nlevels of 255",
    log="y",
)

# %% [markdown]
# **Figure 4.** The grid that each network lays over flat gray. Transposed convolutions start with a strong one and learn to weaken it. ICNR starts with none; training makes one, because nothing forbids it. After a resize, every pixel of a flat picture is made of the same values by the same weights, so it stays flat up to rounding. Numbers below 0.0001 are drawn as 0.0001.

# %% tags=["proves:checkerboard-in-super-resolution"]
# Check that all four learned equally well, and what became of the grid.
final = {how: values[-1] for how, values in errors.items()}
assert all(final[how] < errors[how][0] / 4 for how in learners)
assert max(final.values()) < 1.4 * min(final.values())
print("checked: all four end with much the same error, so having no grid costs nothing here")
for how in ("transposed 3x3", "transposed 4x4"):
    assert flat_levels[how][-1] < flat_levels[how][0] / 3
    assert flat_levels[how][-1] > 20 * flat_levels["resize, convolve"][-1]
    assert error_shares[how][-1] > 5 * error_shares["resize, convolve"][-1]
print("checked: training weakens the grid of transposed convolutions more than threefold, and leaves a rest")
assert flat_levels["sub-pixel, ICNR"][0] < 0.02 < flat_levels["sub-pixel, ICNR"][-1]
assert max(flat_levels["resize, convolve"]) < 0.02
print("checked: ICNR starts flat and gets a grid; a resize stays flat throughout")

# %% [markdown]
# *Take away.* A kernel size that the stride divides evens out the visits, not the weights. To be free of the grid from the start, resize and then convolve, or start a sub-pixel convolution by ICNR. For clean gradients, convolve at stride 1 and average.
#
# *Try it.*
#
# 1. Add `"sub-pixel, random"` to `learners`. Predict: where does its curve start in Figure 4?
# 2. Replace the average pooling by `layers.MaxPooling2D(2)` in `scoring_network`. Predict: does the gradient show a grid?

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. High, near the transposed convolutions: each of its four places has random weights of its own.
# 2. Hardly: about 1 % of the energy. The gradient goes to one pixel of each square only, the largest one. Which one that is depends on the picture, so no place is preferred everywhere.
#
# </details>
