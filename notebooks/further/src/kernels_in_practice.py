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
# # Kernels in practice: a photographed page, and three libraries
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/further/kernels_in_practice.ipynb)
#
# *For readers of [notebook 01](../01_python101_answers.ipynb). 8 minutes to read, less than 1 to run.*
#
# | Question | Answer |
# |---|---|
# | [Does a letter kernel work on a photographed page?](#Does-a-letter-kernel-work-on-a-photographed-page?) | Yes, after division by the local contrast: one kernel finds 23 of 29. |
# | [Do Keras, scikit-image and SciPy agree?](#Do-Keras,-scikit-image-and-SciPy-agree?) | To a millionth, once sign, scale and border are the same. |
# | [What differs?](#What-differs?) | The direction of Gy, a factor of 4, and what is assumed beyond the border. |

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

from evalib.filters import BORDERS

ev.plots.use_style()
ev.check_version("0.2")

# %%
# Peaks are where max pooling changes nothing; a peak belongs to the nearest letter's middle, or to none.
def find_peaks(channel, reach=6):
    """Rows and columns of positive values that nothing near them exceeds."""
    channel = np.asarray(channel, "float32")
    pooled = ops.max_pool(channel[np.newaxis, ..., np.newaxis], 2 * reach + 1, 1, "same")
    highest = ops.convert_to_numpy(pooled)[0, ..., 0]
    return np.argwhere((channel == highest) & (channel > 0))


def count(peaks, letters, wanted="e", reach=6):
    """Sort peaks and wanted letters into found, missed and false alarm, as rows and columns."""
    places = np.array([(letter.row, letter.column) for letter in letters])
    is_wanted = np.array([letter.character == wanted for letter in letters])
    distance = np.linalg.norm(peaks[:, np.newaxis] - places, axis=-1).reshape(-1, len(letters))
    nearest = distance.argmin(axis=1)
    hit = is_wanted[nearest] & (distance.min(axis=1) <= reach)
    found = np.isin(np.arange(len(letters)), nearest[hit])
    return {
        "found": places[found],
        "missed": places[is_wanted & ~found],
        "false alarm": peaks[~hit],
    }

# %% [markdown]
# ## Does a letter kernel work on a photographed page?
#
# **Yes, if the response is divided by the local contrast.** The page below was photographed: its light is uneven, its lines are bent, and its letters are eleven pixels high at most. Where the contrast between ink and paper is low, every response is low, and one threshold for all would be unfair. Divided by the local contrast, the response becomes the *normalized correlation*: 1 for a perfect match, and never above. It too is made of convolutions, of the page and of its square with a kernel of ones.

# %%
# Local contrast is the square root of n times the local variance, by two sums over the window.
import skimage.data


def normalized_correlation(page, weights):
    """How well each window agrees with the weights, from -1 to 1, whatever light and contrast."""
    weights = weights - weights.mean()
    ones = np.ones(weights.shape)
    energy = ev.apply_kernel(page**2, ones) - ev.apply_kernel(page, ones) ** 2 / ones.size
    contrast = np.sqrt(np.maximum(energy, 1e-3) * (weights**2).sum())
    return ev.apply_kernel(page, weights) / contrast


photographed = 1 - skimage.data.page()[40:140] / 255
seen_kernel = photographed[13:24, 266:275]  # the e of "the" in the first line
seen_channel = normalized_correlation(photographed, seen_kernel)
print(
    photographed.shape, seen_kernel.shape, f"{seen_channel.min():.2f} to {seen_channel.max():.2f}"
)

# %%
# The kernel finds itself with 1, and nothing matches better.
assert abs(seen_channel[18, 270] - 1) < 1e-6
assert seen_channel.max() < 1 + 1e-6

# %% tags=["nbval-ignore-output"]
# The truth: the text as it was printed, and where its e's are, read off the picture by eye.
text_lines = [
    "Let us first determine markers of the coins and the",
    "background. These markers are pixels that we can label",
    "unambiguously as either object or background. Here,",
    "the markers are found at the two extreme parts of the",
    "histogram of grey values:",
]
e_places = [
    [(15, 15), (17, 102), (17, 115), (17, 154), (18, 205), (18, 270), (16, 373)],
    [(35, 109), (35, 123), (36, 171), (36, 210), (36, 244), (36, 312), (33, 369)],
    [(52, 136), (52, 162), (53, 206), (51, 356), (50, 368)],
    [(67, 21), (69, 66), (69, 105), (72, 198), (72, 242), (72, 269), (72, 291), (67, 373)],
    [(87, 107), (89, 154)],
]
real_letters = [
    ev.data.Letter("e", line, *place) for line, row in enumerate(e_places) for place in row
]
seen = count(find_peaks(np.maximum(seen_channel - 0.81, 0)), real_letters, reach=3)
print({name: len(places) for name, places in seen.items()})

# %%
# As many places as the printed text has e's, line by line; most found, and nothing else taken for an e.
assert [len(row) for row in e_places] == [line.count("e") for line in text_lines] == [7, 7, 5, 8, 2]
assert len(seen["found"]) == 23
assert len(seen["missed"]) == 6
assert len(seen["false alarm"]) == 0

# %%
# The photographed page with hits and misses, the kernel, and its channel.
highest = np.lib.stride_tricks.sliding_window_view(np.pad(seen_channel, 2), (5, 5)).max((2, 3))
pictures = {" ": 1 - photographed, "its channel": ev.plots.colorize(highest, "magma", (0.4, 1))}
figure = ev.plots.show_images(pictures, columns=1, side=768)
axes = figure.axes[0]
for (name, positions), form in zip(seen.items(), ("o", "s", "x"), strict=True):
    rows, columns = np.reshape(positions, (-1, 2)).T
    axes.plot(columns, rows, form, mfc="none", ms=13, label=f"{name}: {len(rows)}")
axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
part = axes.inset_axes((-0.16, 0.2, 0.14, 0.6))
part.imshow(ev.plots.colorize(seen_kernel - seen_kernel.mean()))
ev.plots.hide_axes(part, "kernel")
plt.show()

# %% [markdown]
# **Figure 1.** One kernel of 11x9 pixels, cut from a single e, finds 23 of 29. Three of the six that it misses are near the left or right edge, where the page is dark or bent. A lower threshold would find more of them and also take other letters for e's. We chose 0.81 on this very page; another page might need another value. A network learns both, kernel and threshold, from many pages.

# %%
# Three of the missed stand within 30 pixels of an edge.
missed_columns = seen["missed"][:, 1]
assert ((missed_columns < 30) | (missed_columns > 384 - 30)).sum() == 3

# What a lower threshold does: at 0.68 nearly all e's are found, and many other letters with them.
generous = count(find_peaks(np.maximum(seen_channel - 0.68, 0)), real_letters, reach=3)
assert len(generous["missed"]) <= 1
assert len(generous["false alarm"]) > 10


# %% [markdown]
# ## Do Keras, scikit-image and SciPy agree?
#
# **To a millionth, once sign, scale and border are the same.** First the Keras layer: an ordinary `Conv2D` with one channel, no bias and fixed weights.

# %%
# Three layers with the course's weights; the image is continued by hand, as Keras itself pads only zeros.
import scipy.ndimage
import skimage.filters


camera = ev.sample_photo("camera", 220)[..., 0] / 255
gx, gy = ev.sobel_gradients(camera)
curvature = ev.laplacian(camera)
course_kernels = {"Sobel-x": ev.SOBEL_X, "Sobel-y": ev.SOBEL_Y, "Laplacian": ev.LAPLACIAN}
continued = np.pad(camera, 1, mode="symmetric")[np.newaxis, ..., np.newaxis]  # SciPy's "reflect"
by_keras = {}
for name, weights in course_kernels.items():
    layer = ev.fixed_convolution(weights)
    by_keras[name] = ops.convert_to_numpy(layer(continued.astype("float32")))[0, ..., 0]
    print(f"{name:9} {type(layer).__name__}, {layer.count_params()} weights,", end=" ")
    print(f"{len(layer.trainable_weights)} of them trainable, output {by_keras[name].shape}")

# %% tags=["refines:sobel-y-has-plus-above", "proves:laplacian-weights"]
# What the other two libraries call the same: as they come, and with sign and scale brought in line.
others = {
    "Sobel-x": [
        ("scikit-image sobel_v", skimage.filters.sobel_v(camera), 4),
        ("SciPy sobel, axis 1", scipy.ndimage.sobel(camera, axis=1), 1),
    ],
    "Sobel-y": [
        ("scikit-image sobel_h", skimage.filters.sobel_h(camera), -4),
        ("SciPy sobel, axis 0", scipy.ndimage.sobel(camera, axis=0), -1),
    ],
    "Laplacian": [
        ("scikit-image laplace", skimage.filters.laplace(camera), -1),
        ("SciPy laplace", scipy.ndimage.laplace(camera), 1),
    ],
}
for name, results in others.items():
    for library, result, factor in results:
        as_it_comes = np.abs(by_keras[name] - result).max()
        matched = np.abs(by_keras[name] - factor * result).max()
        print(f"{name:9} {library:20} as it comes {as_it_comes:5.2f}, times {factor:2}", end=" ")
        print("below 1e-6" if matched < 1e-6 else f"{matched:.1e}")
        assert matched < 1e-6

# %% [markdown]
# ## What differs?
#
# **Sign, scale and border. None of the three is an error.**
#
# - **Sign.** The course's $G_y$ points up. scikit-image and SciPy take their vertical axis downward, as rows are counted; so does OpenCV. scikit-image's Laplacian has +4 in the middle.
# - **Scale.** scikit-image divides Sobel's sums by 4, the sum of a kernel's positive weights. The others do not. And scikit-image takes bytes as 0 to 1, where the others compute with 0 to 255.
# - **Border.** At the border of the picture a kernel reaches beyond it. What lies there must be assumed, and libraries assume different things: SciPy and scikit-image reflect, a Keras layer with `padding="same"` takes zeros, one with `padding="valid"` leaves these pixels out.

# %%
# How the five borders continue a photograph beyond its frame: SciPy's names and NumPy's.
small_photo, margin = ev.sample_photo("camera", 84)[..., 0], 34
modes = {"reflect": "symmetric", "constant": "constant", "nearest": "edge", "mirror": "reflect", "wrap": "wrap"}
extended = {name: np.pad(small_photo, margin, mode) for name, mode in modes.items()}
figure = ev.plots.show_images(extended, side=152)
for axes in figure.axes:
    ev.plots.outline(axes, (margin, margin, 84, 84))
plt.show()

# %% [markdown]
# **Figure 2.** What is assumed beyond the border (orange), by SciPy's names. "reflect" and "mirror" look alike: the first repeats the pixel at the border, the second does not. Zeros put a dark frame around the picture, and kernels find an edge there that nobody photographed.

# %%
# Only the outermost ring of pixels depends on the border: inside it all of them agree.

inside = ev.apply_kernel(camera, ev.SOBEL_X, border="valid")
for border in BORDERS[:-1]:
    whole = ev.apply_kernel(camera, ev.SOBEL_X, border=border)
    np.testing.assert_allclose(whole[1:-1, 1:-1], inside, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        whole, scipy.ndimage.correlate(camera, ev.SOBEL_X, mode=border), rtol=0, atol=1e-6
    )

# Keras's "same" is SciPy's "constant". On its left side it finds an edge as strong as the sky is bright.
same = ev.fixed_convolution(ev.SOBEL_X, padding="same")(camera[np.newaxis, ..., np.newaxis])
same = ops.convert_to_numpy(same)[0, ..., 0]
with_zeros = ev.apply_kernel(camera, ev.SOBEL_X, border="constant")
np.testing.assert_allclose(same, with_zeros, rtol=0, atol=1e-6)
assert same[1:40, 0].mean() > 2
assert np.abs(gx[1:40, 0]).mean() < 0.1

# %% [markdown]
# Two more traps. In mathematics a convolution turns the kernel by 180 degrees first; in a network it does not. And bytes cannot go below 0: they wrap around.

# %% tags=["refines:kernels-are-convolved"]
# Turning Sobel's kernel changes the sign of everything; turning the Laplacian's changes nothing.
turned = ev.apply_kernel(camera, ev.SOBEL_X, convolve=True)
np.testing.assert_allclose(turned, -gx, rtol=0, atol=1e-6)
np.testing.assert_allclose(
    turned, scipy.ndimage.convolve(camera, ev.SOBEL_X, mode="reflect"), rtol=0, atol=1e-6
)
np.testing.assert_allclose(
    ev.apply_kernel(camera, ev.LAPLACIAN, convolve=True), curvature, rtol=0, atol=1e-6
)

# A step from 200 down to 100: in bytes the difference is 156, and only as floats or signed numbers -100.
step = np.array([[200, 200, 100, 100]] * 3, np.uint8)
assert (step[:, 2] - step[:, 1] == 156).all()
assert (ev.apply_kernel(step, ev.SOBEL_X)[1] == [0, -400, -400, 0]).all()

# What cannot be filtered is refused, with the reason.
for image, weights in [(step, np.ones((2, 2))), (step[0], ev.SOBEL_X), (step * np.nan, ev.SOBEL_X)]:
    try:
        ev.apply_kernel(image, weights)
    except ValueError as error:
        print(error)
    else:
        raise AssertionError("expected a ValueError")


# %% [markdown]
# **Take away.** Before you compare two libraries, ask for sign, scale, border, and whether the kernel is turned. Convert bytes to floats first.
#
# **Try it.** OpenCV's `Sobel` uses the border "mirror" (it calls it `BORDER_REFLECT_101`). Which call of `ev.apply_kernel` gives the same?
#
# <details><summary>Solution</summary>
#
# `ev.apply_kernel(picture, ev.SOBEL_X, border="mirror")`; for Gy the sign is the opposite.
# </details>
#
# **Back** to [notebook 01](../01_python101_answers.ipynb).
