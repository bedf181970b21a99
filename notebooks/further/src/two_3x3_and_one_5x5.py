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
# # Two 3x3 kernels and one 5x5
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/further/two_3x3_and_one_5x5.ipynb)
#
# *For readers of [notebook 01](../01_python101_answers.ipynb) who know what the rank of a matrix is. 8 minutes to read, less than 1 to run.*
#
# | Question | Answer |
# |---|---|
# | [Are two 3x3 the same as one 5x5?](#Are-two-3x3-the-same-as-one-5x5?) | Without anything in between, two 3x3 kernels are exactly one 5x5 kernel. |
# | [Which 5x5 kernels can two 3x3 not make?](#Which-5x5-kernels-can-two-3x3-not-make?) | Nearly all: they reach 17 of 25 dimensions. With two channels in between they reach all 25. |

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
# ## Are two 3x3 the same as one 5x5?
#
# **Without anything between them, yes: exactly one 5x5.** The first kernel makes sums of pixels, the second makes sums of these sums, and sums of sums are sums. Which 5x5 it is can be computed: put the first kernel at each of nine positions, each time multiplied by the second kernel's weight there, and add.

# %%
# Whole numbers as weights, so that the sums are exact and "the same" means the same to the last bit.


def compose(first, second):
    """The 5x5 kernel that does what two 3x3 kernels do, one after the other."""
    composed = np.zeros((5, 5), np.result_type(first, second))
    for (row, column), weight in np.ndenumerate(second):
        composed[row : row + 3, column : column + 3] += weight * first
    return composed


generator = np.random.default_rng(0)
first, second = generator.integers(-4, 5, size=(2, 3, 3))
print(compose(first, second))

# %%
# Two kernels after each other, and the composed one at once, on a photograph in bytes.
camera = ev.sample_photo("camera", 220)[..., 0]
one_by_one = ev.apply_kernel(ev.apply_kernel(camera, first, border="valid"), second, border="valid")
at_once = ev.apply_kernel(camera, compose(first, second), border="valid")
assert one_by_one.shape == at_once.shape == (216, 216)
assert np.array_equal(one_by_one, at_once)

# SciPy agrees about the composed kernel: it is the full convolution of the two.
import scipy.signal

assert np.array_equal(compose(first, second), scipy.signal.convolve2d(first, second))

# %%
# With channels it is the same, summed over the channels between: 3 to 8 to 4 becomes one 5x5x3x4 kernel.
inner = layers.Conv2D(8, 3, use_bias=False)
outer = layers.Conv2D(4, 3, use_bias=False)
whole = layers.Conv2D(4, 5, use_bias=False)
color = ev.sample_photo("chelsea", 64)[np.newaxis].astype("float32") / 255
keras.utils.set_random_seed(0)
two_layers = ops.convert_to_numpy(outer(inner(color)))
whole.build(color.shape)
kernels_in, kernels_out = inner.get_weights()[0], outer.get_weights()[0]
composed = np.zeros((5, 5, 3, 4), "float32")
for row, column in np.ndindex(3, 3):
    composed[row : row + 3, column : column + 3] += kernels_in @ kernels_out[row, column]
whole.set_weights([composed])
np.testing.assert_allclose(two_layers, ops.convert_to_numpy(whole(color)), atol=1e-4)
print(kernels_in.shape, "then", kernels_out.shape, "equals", composed.shape)


# %% [markdown]
# ## Which 5x5 kernels can two 3x3 not make?
#
# **Nearly all of them.** Count: two kernels have 18 weights, and one of them does nothing, because you can double the first kernel and halve the second without any change. So two 3x3 kernels reach 17 dimensions, and 5x5 kernels have 25.

# %% tags=["refines:two-3x3-keep-all-information"]
# How many directions can the composed kernel move in, when the 18 weights move a little? The rank of its derivative.
def placements(kernel):
    """The 25x9 matrix that turns the other 3x3 kernel into the composed 5x5 kernel."""
    matrix = np.zeros((5, 5, 3, 3))
    for row, column in np.ndindex(3, 3):
        matrix[row : row + 3, column : column + 3, row, column] = kernel
    return matrix.reshape(25, 9)


assert np.array_equal(placements(first) @ second.ravel(), compose(first, second).ravel())
derivative = np.concatenate([placements(first), placements(second)], axis=1)
print(derivative.shape, "rank", np.linalg.matrix_rank(derivative))
assert np.linalg.matrix_rank(derivative) == 17 < 25

# %% [markdown]
# Here is one that cannot be made, with a proof that needs no computer: the *two dots*, a 1 in the first column of the first row and another in the last column of the second row.
#
# - The composed kernel's first row comes from the two first rows alone. It holds a single 1 at its left end, so both first rows must hold a single weight, at their left end. (Multiply two polynomials: only single terms give a single term.)
# - The composed second row is the first kernel's second row times that one weight, plus the second kernel's second row times that one weight. Both are three columns wide and start at the first column. They end at column three, so the dot in column five cannot be reached.
#
# What can be made? For example every kernel that is a column times a row, such as the Gaussian. Five numbers in a row are a polynomial of degree four, and with real coefficients that is always a product of two of degree two.

# %%
# Split [1, 4, 6, 4, 1], the Gaussian's row, and any other row of five numbers into two rows of three.
def split_row(row):
    """Two rows of three numbers whose product, as polynomials, is the row of five."""
    roots = sorted(
        np.roots(row), key=lambda root: (abs(root.imag) < 1e-9, root.real, abs(root.imag))
    )
    return np.poly(roots[:2]).real * row[0], np.poly(roots[2:]).real


for row in ([1, 4, 6, 4, 1], [2, -1, 0, 3, 5], *generator.normal(size=(20, 5))):
    np.testing.assert_allclose(np.convolve(*split_row(row)), row, atol=1e-6)

# So the 5x5 Gaussian is two 3x3 Gaussians, exactly.
small_gaussian = np.outer([1, 2, 1], [1, 2, 1])
assert np.array_equal(
    compose(small_gaussian, small_gaussian), np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
)

# %%
# How near can two 3x3 come to others? Fix one kernel, solve for the other, take turns, from twenty random starts.
def nearest_composition(target, starts=20, rounds=300):
    """The nearest composed kernel that the search finds, and the distance as a share of the target."""
    generator = np.random.default_rng(0)
    best, smallest = np.zeros((5, 5)), np.inf
    for _ in range(starts):
        first = generator.normal(size=(3, 3))
        for _ in range(rounds):
            second = np.linalg.lstsq(placements(first), target.ravel(), rcond=None)[0].reshape(3, 3)
            first = np.linalg.lstsq(placements(second), target.ravel(), rcond=None)[0].reshape(3, 3)
        distance = np.linalg.norm(compose(first, second) - target) / np.linalg.norm(target)
        if distance < smallest:
            best, smallest = compose(first, second), distance
    return best, smallest


across, down = np.meshgrid(np.arange(-2, 3), np.arange(-2, 3))
two_dots = np.zeros((5, 5))
two_dots[0, 0] = two_dots[1, 4] = 1
radius = np.hypot(across, down)
targets = {
    "Gaussian": compose(small_gaussian, small_gaussian).astype(float),
    "wide Sobel": np.outer([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1]).astype(float),
    "ring": ((radius > 1.5) & (radius < 2.5)).astype(float),
    "plus": ((across == 0) | (down == 0)).astype(float),
    "two dots": two_dots,
    "random": np.random.default_rng(1).normal(size=(5, 5)),
}
fits, errors = zip(*(nearest_composition(target) for target in targets.values()), strict=True)

# %% tags=["nbval-ignore-output"]
# The remaining error, in percent of the kernel's norm.
for name, error in zip(targets, errors, strict=True):
    print(f"{name:10} {100 * error:5.1f} %")

# %%
# The first two are reached, as they must be. The search never came near the others.
left = dict(zip(targets, errors, strict=True))
assert max(left["Gaussian"], left["wide Sobel"]) < 0.01
assert min(left["ring"], left["plus"], left["two dots"], left["random"]) > 0.1

# %%
# The wanted kernels, and the nearest ones that two 3x3 can make.
wanted = [ev.plots.colorize(target) for target in targets.values()]
scales = [np.abs(target).max() for target in targets.values()]
nearest = [ev.plots.colorize(fit, limits=(-s, s)) for fit, s in zip(fits, scales, strict=True)]
figure = ev.plots.show_images([*wanted, *nearest], list(targets), labels=["wanted", "two 3x3"], side=115)
for axes, error in zip(figure.axes[6:], errors, strict=True):
    axes.set_xlabel(f"{100 * error:.0f} % error")
plt.show()

# %% [markdown]
# **Figure 1.** Six 5x5 kernels (red positive, blue negative, each with its own scale) and the nearest composition of two 3x3 kernels. Column-times-row kernels can be made, the others were not. These errors are what a search found, so a little less may be possible; that the two dots cannot be made exactly is proved above.
#
# In a network this hardly matters: there are many channels between two layers, and each adds a composition of its own. Two channels are enough for the two dots.

# %% tags=["refines:two-3x3-keep-all-information"]
# One channel for each dot, and their sum is exact.
def one_at(row, column):
    """A 3x3 kernel of zeros with a single one."""
    kernel = np.zeros((3, 3))
    kernel[row, column] = 1
    return kernel


by_two_channels = compose(one_at(0, 0), one_at(0, 0)) + compose(one_at(0, 2), one_at(1, 2))
assert np.array_equal(by_two_channels, two_dots)

# With two channels between there are directions enough: all 25.
four = [placements(kernel) for kernel in generator.integers(-4, 5, size=(4, 3, 3))]
assert np.linalg.matrix_rank(np.concatenate(four, axis=1)) == 25


# %% [markdown]
# **Take away.** A stack of 3x3 kernels without activation functions is one larger kernel, and only a part of all larger kernels. With many channels, and with a ReLU in between, a stack can do more than any single kernel.
#
# **Try it.** Compose a kernel with itself: `compose(ev.SOBEL_X, ev.SOBEL_X)`. What does it measure?
#
# <details><summary>Solution</summary>
#
# The slope of the slope: a second derivative along x, smoothed over five rows.
# </details>
#
# **Back** to [notebook 01](../01_python101_answers.ipynb).
