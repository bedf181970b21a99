# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
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
# # Kernel visualization: where the checkerboard comes from
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/02_kernel_visualization.ipynb)
#
# The lecture on kernels ends with the checkerboard issue: a pattern that layers with a stride leave behind. At the end of this page you will know
#
# - how often a convolution visits each pixel, and when the visits are even;
# - why enlarging layers show a grid before any training, and how much of a picture's energy is in it;
# - which three remedies there are, and what each does for a small network that enlarges photographs.

# %%
# On Colab, install evalib and nothing else (--no-deps), so that Colab's own TensorFlow stays as it is.
import sys

REPOSITORY = "https://github.com/OWNER/REPOSITORY"

if "google.colab" in sys.modules:
    import subprocess

    if "OWNER" in REPOSITORY:
        raise SystemExit(
            "This copy has no address yet: run `evalib colab --repo URL` in a checkout."
        )
    source = f"git+{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)

# %%
# Load the tools first: evalib before Keras, because it keeps TensorFlow's start-up messages away.
import evalib
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers, ops

from evalib import coverage_plots, plots
from evalib.data import load_mnist, prepare_images, sample_photo

# %% [markdown]
# ## What is the checkerboard issue?
#
# **A window that moves on by more than one pixel visits some pixels more often than their neighbors, in a pattern that repeats with the stride, unless the stride divides the kernel size.** On the way into a network the pattern is hidden inside sums. On the way back, in gradients and in layers that enlarge, it lies open in the picture.
#
# ### How often does a convolution visit a pixel?
#
# **At stride 1 a 3x3 kernel visits a pixel nine times, except near the border.** The course counts: on 5x5 pixels one pixel is visited 9 times, on 400x400 it is 396x396 of them. Both numbers are right.

# %%
# Count instead of believing: lay the window everywhere it fits, and add one to every pixel below it.
from evalib.coverage import coverage, grid_energy
from evalib.input_gradient import input_gradient

small, large = coverage(5, 3), coverage(400, 3)
for counts in (small, large):
    nine = int((counts == 9).sum())
    print(f"{counts.shape[0]}x{counts.shape[1]} pixels: {nine:,} visited nine times")

# %%
# The course's two claims. All that is left out on the large picture is a frame two pixels wide.
assert (small == 9).sum() == 1
assert (large == 9).sum() == 396 * 396
assert (large[2:-2, 2:-2] == 9).all()

# %% [markdown]
# ### What changes with a stride of 2?
#
# **A 3x3 kernel then visits pixels once, twice or four times, in a pattern of 2x2 pixels.** The lecture says that with a stride above 1 "we would be covering some pixels more than once". What matters is the word *some*: at stride 1 nearly all pixels are covered more than once, but all of them equally often. With stride 2 there are fewer visits in all, and they are uneven.

# %%
# The same 9x9 pixels at both strides, and a 4x4 kernel at stride 2 on 10x10, where its last window ends at the border.
_ = coverage_plots.show_coverage(
    {
        "3x3, stride 1": coverage(9, 3),
        "3x3, stride 2": coverage(9, 3, stride=2),
        "4x4, stride 2": coverage(10, 4, stride=2),
    }
)

# %% [markdown]
# **Figure 1.** How often each pixel is visited. Left: nine times, apart from the frame. Middle: the checkerboard. A pixel whose row and column both have even numbers, counted from zero, is visited four times inside the picture, its neighbors twice, and those across the corner once. Right: with 4x4 at the same stride, four times everywhere but in the frame.

# %%
# One, two and four, and each at its place in the pattern, on a larger picture too.
inside = coverage(401, 3, stride=2)[2:-2, 2:-2]
assert set(inside.ravel().tolist()) == {1, 2, 4}
assert (inside[0::2, 0::2] == 4).all()
assert (inside[0::2, 1::2] == 2).all()
assert (inside[1::2, 0::2] == 2).all()
assert (inside[1::2, 1::2] == 1).all()

# In all there are fewer visits, not more: 200 x 200 windows of nine pixels instead of 399 x 399.
assert coverage(401, 3, stride=2).sum() == 9 * 200 * 200
assert coverage(401, 3).sum() == 9 * 399 * 399

# %% [markdown]
# ### When are the visits even?
#
# **Only where the stride divides the kernel size.** Along one axis, a pixel is visited by those taps of the kernel that share its remainder modulo the stride. A kernel of 3 has two even taps, 0 and 2, and one odd tap, 1. So "a stride of more than 1" is not enough to make trouble: 2x2 at stride 2 visits each pixel once.

# %%
# Fewest and most visits along one axis, far from the border, for every small kernel and stride.
def visits_inside(kernel_size, stride):
    """The visits of twelve neighbors on one axis, far from the border."""
    return coverage((120, kernel_size), (kernel_size, kernel_size), (stride, 1))[60:72, 0]


print("kernel     " + "".join(f"{kernel_size:>6}" for kernel_size in range(1, 9)))
for stride in (1, 2, 3, 4):
    cells = []
    for kernel_size in range(1, 9):
        visits = visits_inside(kernel_size, stride)
        few, many = visits.min(), visits.max()
        cells.append(f"{few}" if few == many else f"{few}-{many}")
    print(f"stride {stride}   " + "".join(f"{cell:>6}" for cell in cells))

# %%
# Even exactly where the stride divides the kernel size, also for kernels and strides beyond the table.
for kernel_size in range(1, 25):
    for stride in (1, 2, 3, 4, 6, 12):
        even = np.ptp(visits_inside(kernel_size, stride)) == 0
        assert even == (kernel_size % stride == 0)

# %% [markdown]
# ### What does it do to a photograph?
#
# **Two things that are easily mixed up: the uneven visits lay a grid over it, and the averaging blurs it.** The lecture says "we are actually blurring the inputs". A layer that averages with a stride of 2 does both. To tell them apart, let a 3x3 window take the mean at stride 2, give each mean back to the nine pixels that it came from, and add up. Then divide by the number of visits.

# %%
# 125 pixels, so that windows of 3 at stride 2 end exactly at the border.
photo = sample_photo("astronaut", 125).astype("float32") / 255


def spread_back(picture, kernel_size=3, stride=2):
    """Means of windows, each given back to all pixels of its window and added up there."""
    channels = np.moveaxis(picture, -1, 0)[..., np.newaxis].astype("float32")
    ones = np.ones((kernel_size, kernel_size, 1, 1), "float32")
    means = ops.conv(channels, ones / kernel_size**2, stride, padding="valid")
    sums = ops.conv_transpose(means, ones, stride, padding="valid")
    return np.moveaxis(ops.convert_to_numpy(sums)[..., 0], 0, -1)


visits = coverage(125, 3, stride=2)[..., np.newaxis]
weighted = photo * visits / 4
back = spread_back(photo)
evened = back / visits
pictures = {
    "photograph": photo,
    "weighted by visits": weighted,
    "means spread back": back / 4,
    "divided by visits": evened,
}
_ = coverage_plots.show_closeups(pictures, (14, 41), 25)

# %% [markdown]
# **Figure 2.** A photograph and the face from it. Second: each pixel weighted by how often it is visited; there is a grid, and no detail is blurred. Third: the means of 3x3 windows, spread back and added up; grid and blur. Last: the same divided by the visits; the grid is gone and the blur stays.

# %% tags=["nbval-ignore-output"]
# Both effects as numbers: the grid's share of the picture's variance, and how much neighbors differ.
def roughness(picture):
    """Mean squared difference of neighbors beside and below each other."""
    return np.square(np.diff(picture, axis=0)).mean() + np.square(np.diff(picture, axis=1)).mean()


grid_shares, rough = {}, {}
for title, picture in pictures.items():
    grid_shares[title] = grid_energy(picture[2:-3, 2:-3], 2)
    rough[title] = roughness(picture[2:-3, 2:-3])
    print(f"{title:20} grid {grid_shares[title]:.5f}   neighbors {rough[title]:.4f}")

# %%
# The weights alone make a grid and smooth nothing; the averaging alone smooths and leaves no grid.
assert grid_shares["photograph"] < 1e-3
assert grid_shares["weighted by visits"] > 0.2
assert grid_shares["means spread back"] > 0.2
assert grid_shares["divided by visits"] < 1e-3
assert rough["weighted by visits"] > rough["photograph"] > 2 * rough["divided by visits"]

# On a picture of nothing but ones, what comes back is the coverage itself.
flat_back = spread_back(np.ones((125, 125, 1)))
assert np.allclose(flat_back, visits, atol=1e-5)

# %% [markdown]
# ### How is a grid measured?
#
# **By the share of a picture's energy that lies at the stride's frequency.** A grid that repeats every `stride` pixels has all its energy at whole multiples of the frequency 1 / `stride`; a photograph has next to none there. `grid_energy` takes the spectrum, leaves out the mean, and divides one by the other. The result is also the share of the pixels' variance that row and column modulo the stride explain.

# %%
# Pictures of which the answer is known: a checkerboard is all grid, in noise the grid gets its fair share.
rows, columns = np.indices((64, 64))
board = (rows + columns) % 2
wave = np.cos(2 * np.pi * columns / 16)
noise = np.random.default_rng(0).normal(size=(100, 64, 64))
print(f"checkerboard           {grid_energy(board, 2):.4f}")
print(f"3 waves + 2 boards     {grid_energy(3 * wave + 2 * board, 2):.4f}")
print(f"noise, mean of 100     {np.mean([grid_energy(one, 2) for one in noise]):.4f}")

# %%
# The wave has the variance 9 / 2, twice the checkerboard has 1; three of noise's 64 x 64 - 1 frequencies count.
assert abs(grid_energy(board, 2) - 1) < 1e-9
assert abs(grid_energy(3 * wave + 2 * board, 2) - 1 / 5.5) < 1e-9
assert abs(np.mean([grid_energy(one, 2) for one in noise]) - 3 / 4095) < 3e-4

# %% [markdown]
# ### Why does a generator show the grid before any training?
#
# **Because it enlarges by transposed convolutions, and each pixel's place in the period decides which weights make it.** A transposed convolution runs the window backward: every input pixel adds the whole kernel, weighted, to the output, and the copies overlap as the windows did. So its outputs receive as many products as the pixels of a convolution get visits.

# %%
# A transposed convolution of ones by ones adds up one for each contribution: that is the coverage.
ones_picture = np.ones((1, 6, 6, 1), "float32")
for kernel_size, stride in [(3, 2), (4, 2), (5, 2), (5, 3), (2, 3)]:
    ones_kernel = np.ones((kernel_size, kernel_size, 1, 1), "float32")
    sums = ops.conv_transpose(ones_picture, ones_kernel, stride, padding="valid")
    counts = coverage(6, kernel_size, stride, transposed=True)
    assert (ops.convert_to_numpy(sums)[0, ..., 0] == counts).all()
print(coverage(3, 3, stride=2, transposed=True))

# %% [markdown]
# Does an even coverage help, then? It depends on the weights. Take a flat picture, in which every pixel is one, and enlarge it. Whatever is not flat afterward is grid.

# %% tags=["nbval-ignore-output"]
# Three kinds of weights on a flat picture: equal ones, 4,000 random kernels, and those of linear interpolation.
def grid_on_flat(kernels):
    """The share of the energy, mean included, that is grid: kernels of shape (rows, columns, count)."""
    flat = np.ones((1, 6, 6, 1), "float32")
    weights = np.asarray(kernels, "float32")[..., np.newaxis]
    sums = ops.convert_to_numpy(ops.conv_transpose(flat, weights, 2, padding="valid"))[0]
    period = sums[4:6, 4:6]  # two by two pixels far from the border
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
# Equal weights: no grid exactly where the stride, 2, divides the kernel size.
for size in (2, 3, 4, 5, 6):
    assert (flat_shares[size, "equal"] < 1e-9) == (size % 2 == 0)
    # Random weights: three quarters of the energy is grid, whatever the size.
    assert abs(flat_shares[size, "random"] - 0.75) < 0.03

# Weights that interpolate leave none, even with 3x3: uneven visits can be made up for by uneven weights.
assert flat_shares[3, "interpolation"] < 1e-9
assert flat_shares[4, "interpolation"] < 1e-9

# %% [markdown]
# With random weights of mean zero the kernel size does not matter: each of the 2x2 places has taps of its own, so it gets a sum of its own. Of the energy of four independent sums their mean keeps a quarter; the other three quarters are grid. A kernel size that the stride divides takes away the lean toward a grid; it does not make the weights agree.
#
# ### What helps?
#
# **To enlarge first and convolve afterward, or to start all places of a square with the same weights.** The generators below turn 32 random numbers into a picture of 64x64 by three enlargements. Nothing is trained. They differ only in how they enlarge:
#
# - a transposed convolution of 3x3, or of 4x4, which stride 2 divides;
# - a sub-pixel convolution: a convolution makes four times the channels, and each group of four becomes a square of 2x2 pixels (Shi et al., 2016). It is started with random weights, or by ICNR: with one kernel repeated for all four (Aitken et al., 2017);
# - nearest-neighbor resize, then a convolution (Odena, Dumoulin and Olah, 2016).

# %%
# Every way to enlarge as a few layers; the generators, and later the trained networks, are built from it.
from evalib.upsampling import ICNR, SubPixel


def enlarge(features, channels, how, activation=None):
    """Twice the height and width, by one of the ways."""
    options = {"padding": "same", "activation": activation}
    if how.startswith("transposed"):
        kernel_size = 4 if "4x4" in how else 3
        return layers.Conv2DTranspose(channels, kernel_size, strides=2, **options)(features)
    if how == "resize, convolve":
        resized = layers.UpSampling2D(2, interpolation="nearest")(features)
        return layers.Conv2D(channels, 3, **options)(resized)
    start = ICNR(2) if "ICNR" in how else "glorot_uniform"
    wide = layers.Conv2D(4 * channels, 3, kernel_initializer=start, **options)(features)
    return SubPixel(2)(wide)


def untrained_generator(how):
    """32 numbers to 8x8 positions, and by three enlargements to a color picture of 64x64."""
    numbers = keras.Input((32,))
    features = layers.Dense(8 * 8 * 64, activation="relu")(numbers)
    features = layers.Reshape((8, 8, 64))(features)
    features = enlarge(features, 32, how, "relu")
    features = enlarge(features, 16, how, "relu")
    return keras.Model(numbers, enlarge(features, 3, how, "sigmoid"))


numbers = np.random.default_rng(0).normal(size=(2, 32)).astype("float32")
print(untrained_generator("transposed 3x3").output_shape)

# %%
# ICNR is exact: before training, the sub-pixel convolution is a convolution and a nearest-neighbor resize.
keras.utils.set_random_seed(0)
icnr_layer = layers.Conv2D(4 * 3, 3, kernel_initializer=ICNR(2))
icnr_layer.build((None, None, None, 3))
# Whole numbers, so that no sum is rounded in whatever order it is added.
icnr_layer.kernel.assign(ops.round(100 * icnr_layer.kernel))
one_kernel = layers.Conv2D(3, 3)
one_kernel.build((None, None, None, 3))
one_kernel.kernel.assign(icnr_layer.kernel[..., :3])

bytes_in = sample_photo("astronaut", 40)[np.newaxis].astype("float32")
by_subpixel = ops.convert_to_numpy(SubPixel(2)(icnr_layer(bytes_in)))
by_resize = ops.convert_to_numpy(layers.UpSampling2D(2)(one_kernel(bytes_in)))
assert (by_subpixel == by_resize).all()
print("equal in all", by_resize.size, "values")

# %% tags=["nbval-ignore-output"]
# Five generators, three seeds each: what they make, without eight pixels at the border where padding acts.
ways = [
    "transposed 3x3",
    "transposed 4x4",
    "sub-pixel, random",
    "sub-pixel, ICNR",
    "resize, convolve",
]
generated, shares_8, shares_2 = {}, {}, {}
for how in ways:
    batches = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        made = ops.convert_to_numpy(untrained_generator(how)(numbers))
        batches.append(made[:, 8:-8, 8:-8])
    generated[how] = batches[0]
    pictures_made = np.concatenate(batches)
    shares_8[how] = float(np.mean([grid_energy(one, 8) for one in pictures_made]))
    shares_2[how] = float(np.mean([grid_energy(one, 2) for one in pictures_made]))
    print(f"{how:18} period 8: {shares_8[how]:.4f}   of it period 2: {shares_2[how]:.6f}")
notes = {how: f"{100 * share:.1f} % of the energy\nhas period 8" for how, share in shares_8.items()}
_ = coverage_plots.show_generated(generated, notes)

# %% [markdown]
# **Figure 3.** What untrained generators make of two times 32 random numbers, and the mean spectrum of it, frequency zero, the mean that is left out, in the middle. Three enlargements by two have a common period of 8 pixels. In the upper three rows single points stand out, at multiples of the frequency 1/8. In the lower two the energy lies around frequency zero: blots that follow the random numbers, not the period.

# %%
# Much of the energy is grid where each place has random weights of its own; 4x4 differs little from 3x3.
for how in ("transposed 3x3", "transposed 4x4", "sub-pixel, random"):
    assert shares_8[how] > 0.3
    assert shares_2[how] > 0.1
assert 0.6 < shares_8["transposed 4x4"] / shares_8["transposed 3x3"] < 1.6

# With one kernel for all places, or a resize, it is next to nothing.
for how in ("sub-pixel, ICNR", "resize, convolve"):
    assert shares_8[how] < 0.05
    assert shares_2[how] < 0.002

# %% [markdown]
# ### Do gradients show the grid too?
#
# **Yes: the gradient of a strided network by its input is computed by transposed convolutions.** A pixel that has been visited four times gets four contributions back. If all weights are one, the gradient *is* the coverage. If they are random, the contributions cancel as often as they add: then the coverage is the gradient's mean square.

# %%
# One layer, all weights one: the gradient of the sum of its outputs by the photograph, pixel for pixel.
one_layer = keras.Sequential(
    [keras.Input((125, 125, 3)), layers.Conv2D(1, 3, strides=2, kernel_initializer="ones")]
)
gradient = input_gradient(one_layer, photo[np.newaxis])[0]
assert (gradient == visits).all()

# One layer, random weights of variance one: a channel each for 5,000 kernels, squared and averaged.
random_kernels = layers.DepthwiseConv2D(
    3, strides=2, depthwise_initializer=keras.initializers.RandomNormal(stddev=1, seed=0)
)
many = keras.Sequential([keras.Input((9, 9, 5000)), random_kernels])
mean_square = np.square(input_gradient(many, np.zeros((1, 9, 9, 5000)))[0]).mean(axis=-1)
assert np.allclose(mean_square, coverage(9, 3, stride=2), rtol=0.15)
print(coverage(9, 3, stride=2)[4:6, 4:6].tolist(), "visits of four neighbors")

# %% [markdown]
# Deeper networks mix these patterns. Two networks follow that reach the same size in three steps: one by convolutions with stride 2, one by convolutions with stride 1 and the average of 2x2 pixels, whose stride divides its size.

# %% tags=["nbval-ignore-output"]
# Untrained, with ReLU, three seeds each; the gradient of their one output by the photograph.
def scoring_network(strided):
    """A photograph to one number: three halvings, an average over positions, a weighted sum."""
    picture = features = keras.Input((125, 125, 3))
    for channels in (16, 32, 64):
        options = {"padding": "same", "activation": "relu", "strides": 2 if strided else 1}
        features = layers.Conv2D(channels, 3, **options)(features)
        if not strided:
            features = layers.AveragePooling2D(2)(features)
    return keras.Model(picture, layers.Dense(1)(layers.GlobalAveragePooling2D()(features)))


gradient_shares, drawn = {}, {"weights all one": visits[..., 0] - visits.mean()}
for strided, title in ((True, "stride 2, random"), (False, "average, random")):
    found = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        gradient = input_gradient(scoring_network(strided), photo[np.newaxis])[0]
        found.append(grid_energy(gradient[16:-17, 16:-17], 8))
        if seed == 0:
            drawn[title] = gradient.mean(axis=-1)
    gradient_shares[title] = found
    print(f"{title:18} period 8:", np.round(found, 3))

# %%
# Strided: more than a fifth of the gradient's energy is grid, in each network. Averaging: less than a twentieth.
assert min(gradient_shares["stride 2, random"]) > 0.2
assert max(gradient_shares["average, random"]) < 0.05

# Where the gradient is exactly zero the photograph is black: without a bias, ReLU lets nothing through there.
for title in gradient_shares:
    assert photo[drawn[title] == 0].max(initial=0) == 0

# %%
# The gradients of the photograph as pictures: the coverage less its mean, and the two random networks.
_ = coverage_plots.show_gradients(drawn, (14, 41), 25)

# %% [markdown]
# **Figure 4.** Gradients by the photograph, blue for negative and red for positive; below, the place of the face. Left: one layer of ones, the coverage itself. Middle: three strided convolutions with random weights; a grid of period 8 with finer grids inside, over the face and the wall alike. Right: convolutions at stride 1 and averages; the gradient follows the picture. The empty patches are the black of the helmet, where ReLU lets nothing through.
#
# And after training? Two small networks of both kinds learn to read digits, from 4,000 of them.

# %% tags=["nbval-ignore-output"]
# Measure at each pixel the squared gradient of the sum of the ten outputs, its mean over 500 digits not learned from.
(x_train, y_train), _ = load_mnist()
digits = prepare_images(x_train[:4500])


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
    network.compile(
        keras.optimizers.Adam(0.002),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # On TensorFlow, XLA would take longer to compile than it saves.
        jit_compile=keras.backend.backend() != "tensorflow",
    )
    history = network.fit(digits[500:], y_train[500:4500], batch_size=32, epochs=2, verbose=0)
    accuracies[title] = history.history["accuracy"][-1]
    squares = np.square(input_gradient(network, digits[:500])).mean(axis=0)[..., 0]
    trained_shares[title] = grid_energy(squares[4:-4, 4:-4], 2)
    print(
        f"{title:18} accuracy while learning {accuracies[title]:.3f}   "
        f"period 2: {trained_shares[title]:.4f}"
    )

# %%
# Both learned to read digits, and the strided one still looks harder at some pixels than at their neighbors.
assert min(accuracies.values()) > 0.85
assert trained_shares["stride 2, trained"] > 0.04
assert trained_shares["stride 2, trained"] > 3 * trained_shares["average, trained"]

# %% [markdown]
# ### Does training take the grid away?
#
# **It makes it much fainter, and does not take it away where the layer can make one.** The course points at super-resolution, and so four networks learn to enlarge photographs by two. They are equal up to the last layer: two convolutions, then one of the ways from above. Eight photographs to learn from, with the mean of each 2x2 pixels as the small picture; the astronaut is kept out for the test.

# %%
# Patches to learn from: 100 squares of 48x48 out of each photograph, and their halves.
learned_names = ["chelsea", "coffee", "rocket", "camera", "coins", "brick", "grass", "gravel"]


def halve(pictures):
    """The mean of each two by two pixels, of shape (n, height, width, 3)."""
    count, height, width, channels = pictures.shape
    squares = pictures.reshape(count, height // 2, 2, width // 2, 2, channels)
    return squares.mean(axis=(2, 4))


places = np.random.default_rng(0)
patches = []
for name in learned_names:
    source = sample_photo(name, 256).astype("float32") / 255
    for top, left in places.integers(0, 256 - 48, (100, 2)):
        patches.append(source[top : top + 48, left : left + 48])
targets = np.stack(patches)[places.permutation(len(patches))]
halves = halve(targets)

truth = sample_photo("astronaut", 256).astype("float32")[np.newaxis] / 255
half_truth = halve(truth)
print("learn:", halves.shape, "to", targets.shape, "  test:", half_truth.shape, "to", truth.shape)


# %% tags=["nbval-ignore-output"]
# Each network is measured before training and after each epoch: on the astronaut, and on three flat grays.
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
    network.compile(
        keras.optimizers.Adam(0.002),
        "mse",
        # On TensorFlow, XLA would take longer to compile than it saves.
        jit_compile=keras.backend.backend() != "tensorflow",
    )
    error_shares[how], flat_levels[how], errors[how], results[how] = [], [], [], []
    for epoch in range(epochs + 1):
        if epoch:
            network.fit(halves, targets, batch_size=16, verbose=0)
        enlarged = ops.convert_to_numpy(network(half_truth))[0]
        gray = ops.convert_to_numpy(network(grays))[:, 16:-16, 16:-16]
        error = (enlarged - truth[0])[8:-8, 8:-8]
        error_shares[how].append(grid_energy(error, 2))
        flat_levels[how].append(255 * float(gray.std(axis=(1, 2), dtype="float64").mean()))
        errors[how].append(255 * float(np.sqrt(np.square(error).mean())))
        results[how].append((enlarged, gray[1]))
    print(
        f"{how:17} error {errors[how][0]:5.1f} -> {errors[how][-1]:4.1f} levels   "
        f"of its energy grid {error_shares[how][-1]:.6f}   "
        f"grid on flat gray {flat_levels[how][0]:7.4f} -> {flat_levels[how][-1]:.4f} levels"
    )

# %%
# Side by side: a face after the first and after the last epoch, and flat gray with its differences enlarged.
place, magnified = np.s_[40:76, 84:120], 40
nearest = half_truth[0].repeat(2, axis=0).repeat(2, axis=1)
first = {"photograph": truth[0][place], "half size": nearest[place]}
last = dict(first)
flat = {title: np.full((36, 36, 3), 0.5) for title in first}
for how in learners:
    first[how], last[how] = results[how][1][0][place], results[how][-1][0][place]
    flat[how] = results[how][-1][1][:36, :36]
_ = coverage_plots.show_enlarged(
    {
        "after 1 epoch": first,
        f"after {epochs} epochs": last,
        f"gray, contrast x{magnified}": flat,
    },
    contrast=[1, 1, magnified],
    scale=3,
)

# %% [markdown]
# **Figure 5.** Photographs enlarged by two. Above, after the first epoch: both transposed convolutions leave a fine grid on the skin. Middle, after the last: it can hardly be seen. Below, the same networks on flat gray, contrast raised: the grid is still there, and with ICNR there is one now; only the resize leaves the gray flat.

# %%
# The same over the epochs, as numbers: the standard deviation on flat gray, in levels of 255.
_ = coverage_plots.show_pattern_history(
    range(epochs + 1), flat_levels, x_label="epoch", y_label="grid on flat gray, levels of 255"
)

# %% [markdown]
# **Figure 6.** The grid that each network lays over flat gray. Transposed convolutions start with a strong one and learn to weaken it. ICNR starts with none; training makes one, for nothing forbids it. Behind a resize every pixel of a flat picture is made of the same values by the same weights, so it stays flat but for rounding. Numbers below 0.0001 are drawn as 0.0001.

# %%
# All four learned, and end with much the same error: to have no grid costs nothing here.
final = {how: values[-1] for how, values in errors.items()}
assert all(final[how] < errors[how][0] / 4 for how in learners)
assert max(final.values()) < 1.4 * min(final.values())

# Training weakens the grid of transposed convolutions more than threefold ...
for how in ("transposed 3x3", "transposed 4x4"):
    assert flat_levels[how][-1] < flat_levels[how][0] / 3
    # ... and leaves, on flat gray and in the photograph's error, far more than behind a resize.
    assert flat_levels[how][-1] > 20 * flat_levels["resize, convolve"][-1]
    assert error_shares[how][-1] > 5 * error_shares["resize, convolve"][-1]

# ICNR starts flat and gets a grid in training; a resize stays flat throughout.
assert flat_levels["sub-pixel, ICNR"][0] < 0.02 < flat_levels["sub-pixel, ICNR"][-1]
assert max(flat_levels["resize, convolve"]) < 0.02

# %% [markdown]
# **Take away.** The course's counts are right, and its warning is: uneven visits come with every stride that does not divide the kernel size. Three things are worth adding. Unevenness is not blur; it is a grid, at multiples of the frequency 1 / stride. A kernel size that the stride divides makes the *visits* even, not the weights, so an untrained generator with 4x4 kernels shows about as strong a grid as one with 3x3. And a grid can be learned away in part: to be rid of it from the start, resize and then convolve, or start a sub-pixel convolution by ICNR; for clean gradients, convolve at stride 1 and average.
