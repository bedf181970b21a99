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
# # Kernels in numbers: what training changes in a kernel
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/further/kernels_in_numbers.ipynb)
#
# **For** readers of [notebook 02](../02_kernel_visualization.ipynb) who want more than pictures. **Know before:** that page. About 15 minutes to read, about 2 minutes to run on two cores.
#
# | Question | Answer |
# |---|---|
# | [Which numbers tell a pattern from noise?](#Which-numbers-tell-a-pattern-from-noise?) | Smoothness, orientation selectivity and color share. For noise, all three are known. |
# | [What does training change?](#What-does-training-change?) | Neighbors become similar, one direction stands out, and kernels become either gray or colored. |
# | [Is there a trend over the kernel size?](#Is-there-a-trend-over-the-kernel-size?) | Larger kernels are smoother, and more of them are more selective than chance. |
# | [Does a smooth kernel prove that something was learned?](#Does-a-smooth-kernel-prove-that-something-was-learned?) | No. Shuffled labels give smooth kernels, too. |
# | [What do kernels look for in digits?](#What-do-kernels-look-for-in-digits?) | Bars, ends of strokes and, in large kernels, bends. |

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
from keras import layers

ev.check_version("0.2")
ev.plots.use_style()

# %% [markdown]
# ## Which numbers tell a pattern from noise?
#
# **Three: how similar neighboring weights are, how much one direction stands out, and how much of the kernel is color.** Their values for noise are known. So we can tell what training did from what chance does.
#
# - *Smoothness* compares each weight with its neighbors: 1 if they are equal, -1 on a checkerboard, 0 on average for noise.
# - *Orientation selectivity* asks how the response to waves depends on their direction: near 1 if the kernel responds to one direction only, 0 if it responds to all directions equally ([Ringach et al., 2002](https://doi.org/10.1523/JNEUROSCI.22-13-05639.2002)). Noise is not at 0: by chance one direction is stronger, the more so the smaller the kernel.
# - *Color share* is the share of the energy (the sum of squares) that lies in the differences between the channels: 0 for gray kernels, two thirds on average for noise.

# %%
# Smoothness and color share are one formula each (smoothness: von Neumann, 1941).
def smoothness(kernels):
    """From -1 (a checkerboard) to 1 (equal weights), for kernels (height, width, channels, count)."""
    products = squares = 0
    for one, neighbor in ((kernels[1:], kernels[:-1]), (kernels[:, 1:], kernels[:, :-1])):
        products = products + (2 * one * neighbor).sum((0, 1, 2))
        squares = squares + (one**2 + neighbor**2).sum((0, 1, 2))
    return products / squares


def color_share(kernels):
    """From 0 (equal channels) to 1: the energy left when the channels' mean is taken away."""
    differences = kernels - kernels.mean(axis=2, keepdims=True)
    return (differences**2).sum((0, 1, 2)) / (kernels**2).sum((0, 1, 2))


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
    """From 0 (no direction) to 1 (a single one)."""
    return np.abs(mean_direction(kernels))


def preferred_orientation(kernels):
    """Degrees from 0 to below 180, counterclockwise; stripes run across their wave."""
    return (np.rad2deg(np.angle(mean_direction(kernels))) / 2 + 90) % 180


# %%
# Make kernels whose numbers can be worked out beforehand, and one of noise.
def stripes(size, degrees, *, phase=0.0):
    """Waves with a period of four pixels whose stripes have a direction: shape (size, size)."""
    reach, across = np.arange(size) - (size - 1) / 2, np.deg2rad(degrees + 90)
    along = reach[np.newaxis, :] * np.cos(across) - reach[:, np.newaxis] * np.sin(across)
    return np.cos(2 * np.pi / 4 * along + phase)


squares = np.square(np.arange(7) - 3)
fade = np.exp(-(squares[np.newaxis, :] + squares[:, np.newaxis]) / 8)
plain = {"flat": np.ones((7, 7)), "blot": fade, "checkerboard": (-1.0) ** np.indices((7, 7)).sum(axis=0)}
plain |= {f"stripes, {degrees}°": stripes(7, degrees) * fade for degrees in (0, 45, 120)}
made = {title: kernel[..., np.newaxis] * np.ones(3) for title, kernel in plain.items()}
made["red - green"] = fade[..., np.newaxis] * np.array([1, -1, 0])
made["noise"] = noise_kernels(7, 3, 1, seed=3)[..., 0]

stacked = np.stack(list(made.values()), axis=-1)
measures = (smoothness, orientation_selectivity, preferred_orientation, color_share)
table = dict(zip(made, zip(*(measure(stacked) for measure in measures), strict=True), strict=True))
figure = ev.plots.show_images(ev.plots.kernel_pictures(stacked), list(made), side=91)
for axes, (smooth, selective, _, color) in zip(figure.axes, table.values(), strict=True):
    axes.set_xlabel(f"smooth {smooth:.2f}\nselective {selective:.2f}\ncolor {color:.2f}")
    axes.spines[:].set(visible=True, color=ev.plots.GRAY, linewidth=0.5)
plt.show()

# %% [markdown]
# **Figure 1.** Made kernels and their three numbers. A blot and a flat kernel prefer no direction. Stripes do, at any angle. Only the red and green blot and the noise have color.

# %%
# Check the limits, and the angle of the stripes to one degree.
assert np.isclose(table["flat"][0], 1)
assert np.isclose(table["checkerboard"][0], -1)
assert all(abs(table[title][1]) < 1e-9 for title in ("flat", "blot", "red - green"))
for degrees in (0, 45, 120):
    _, selective, direction, _ = table[f"stripes, {degrees}°"]
    assert selective > 0.8
    assert abs(direction - degrees) < 1
    print(f"checked: stripes at {degrees} degrees are found at {direction:.1f}, selectivity {selective:.2f}")
assert np.isclose(table["red - green"][3], 1)
assert all(table[title][3] < 1e-9 for title in ("flat", "blot", "checkerboard", "stripes, 45°"))
print("checked: smoothness 1 for flat, -1 for a checkerboard; color share 0 for gray, 1 for red minus green")

# %% [markdown]
# ## What does training change?
#
# **Neighboring weights become similar, one direction stands out, and kernels become either gray or colored.** Before training, the numbers are those of noise.
#
# The networks are those of [notebook 02](../02_kernel_visualization.ipynb): they say which of 13 photographs a window of 32x32 pixels comes from. Here they come in four kernel sizes, with three seeds each.

# %%
# Cut windows to learn from, and windows to test on that share no pixel with them; 3 in 10 lose their color.
learned_photos = [
    *("astronaut", "chelsea", "coffee", "immunohistochemistry", "retina", "rocket"),
    *("brick", "camera", "coins", "grass", "gravel", "page", "text"),
]
sources = np.stack([ev.sample_photo(name, 400) for name in learned_photos])


def standardize(windows):
    """Each window to mean 0 and deviation about 1; a flat window stays flat."""
    values = windows.astype("float32") / 255
    mean, deviation = (part(values, axis=(1, 2, 3), keepdims=True) for part in (np.mean, np.std))
    return (values - mean) / (deviation + 0.05)


fit_windows, fit_labels = ev.features.cut_patches(sources, 32, 500, seed=1)
test_windows, test_labels = ev.features.cut_patches(sources, 32, 60, held_out=True, seed=2)
fit_windows, test_windows = standardize(fit_windows), standardize(test_windows)
gray = np.random.default_rng(0).random(len(fit_windows)) < 0.3
fit_windows[gray] = fit_windows[gray].mean(axis=-1, keepdims=True)
print("learn from", fit_windows.shape, "  test on", test_windows.shape)


# %%
# One training: a small network, its first kernels before and after, and its accuracy on what was held out.
rate, decay = 0.005, 1.0


def train_kernels(kernel_size, data, tested, *, stride, seed, steps):
    """Kernels before and after training, and the accuracy before and after."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input(data[0].shape[1:]),
            layers.Conv2D(32, kernel_size, strides=stride, use_bias=False),
            layers.BatchNormalization(momentum=0.98),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(int(data[1].max()) + 1, activation="softmax"),
        ]
    )
    # Keras multiplies the decay by the rate: each step shrinks the first kernels by a small share.
    optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_list=network.trainable_variables[1:])
    ev.training.compile_classifier(network, optimizer)
    watch = ev.training.track_training(
        network, data, (0, steps), batch_size=32, seed=seed, score_on={"held out": tested}
    )
    return watch.kernels, watch.scores["held out"][:, 1]


# %% tags=["nbval-ignore-output"]
# Four kernel sizes with three seeds each.
sizes, seeds, steps = (3, 5, 7, 11), (0, 1, 2), 800
photo_data, photo_test = (fit_windows, fit_labels), (test_windows, test_labels)
kernels, accuracies = {}, {}
for size in sizes:
    for seed in seeds:
        kernels[size, seed], accuracies[size, seed] = train_kernels(
            size, photo_data, photo_test, stride=3, seed=seed, steps=steps
        )
    after = [accuracies[size, seed][1] for seed in seeds]
    print(f"{size:2}x{size:<2} accuracy on held-out windows:", np.round(after, 2))
print(f"chance: {1 / len(learned_photos):.2f}")

# %%
# Check that all twelve networks learned something that holds elsewhere, and that the start has faded.
assert min(score[1] for score in accuracies.values()) > 5 / len(learned_photos)
assert max(score[0] for score in accuracies.values()) < 3 / len(learned_photos)
print("checked: each of the twelve networks is more than five times as often right as chance")
assert (1 - rate * decay) ** steps < 0.02
print(f"checked: decay leaves {(1 - rate * decay) ** steps:.1%} of the starting noise")

# %%
# Lay the 11x11 kernels out by their direction and by how much it stands out.
after = kernels[11, 0][1]
figure, axes = plt.subplots(figsize=(9, 4.6))
selective = orientation_selectivity(after)
for x, y, picture in zip(preferred_orientation(after), selective, ev.plots.kernel_pictures(after), strict=True):
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
# **Figure 2.** All 32 trained 11x11 kernels of one network. The upper ones are edges and stripes with the direction written below them. The lower ones are flat colors, spots and crossings, whose direction means little.

# %% tags=["nbval-ignore-output"]
# Measure each kernel of the three seeds, and compare with what noise of the same size would have.
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
        pair = [np.concatenate([measure(kernels[size, seed][late]) for seed in seeds]) for late in (0, 1)]
        changes[title][f"{size}x{size}"] = pair
        print(f"{title:23} {size:2}x{size:<2} before {pair[0].mean():5.2f}   after {pair[1].mean():.2f}")

# %%
# Draw a dot for each kernel, before and after, with the mean and what noise would have.
figure, panels = plt.subplots(1, 3, figsize=(9, 3.2))
for axes, (title, groups) in zip(panels, changes.items(), strict=True):
    for place, pair in enumerate(groups.values()):
        for shift, group, color in zip((-0.2, 0.2), pair, (ev.plots.GRAY, ev.plots.BLUE), strict=True):
            spread = 0.26 * (np.arange(len(group)) * 0.618 % 1) - 0.13  # so that no dot hides another
            axes.scatter(place + shift + spread, group, 6, color=color, alpha=0.55, lw=0)
            axes.plot(place + shift, group.mean(), "_", color="black", ms=15, mew=1.5)
        level = expected[title][place]
        axes.hlines(level, place - 0.42, place + 0.42, ev.plots.ORANGE, lw=1.2, ls="--")
    axes.set(title=title, xticks=range(len(groups)), xticklabels=list(groups))
    axes.grid(axis="y")
marks = {"before training": ("o", ev.plots.GRAY), "after training": ("o", ev.plots.BLUE), "mean": ("_", "black")}
for label, (mark, color) in marks.items():
    panels[0].plot([], [], mark, color=color, label=label)
panels[0].plot([], [], "--", color=ev.plots.ORANGE, label="expected of noise")
_ = figure.legend(loc="outside lower center", ncols=4)

# %% [markdown]
# **Figure 3.** A dot for each of the 96 kernels of a size. Smoothness rises from around 0 to well above, most for the largest kernels. Selectivity: what noise has by chance falls to a third from 3x3 to 11x11; what trained kernels have falls much less. Color share: noise is always about the same; training makes some kernels almost gray and leaves others almost pure color.

# %% tags=["proves:training-turns-noise-into-patterns"]
# Check each size: the numbers of noise before training, other numbers after.
margins = {"smoothness": 0.08, "orientation selectivity": 0.06, "color share": 0.05}
for place, size in enumerate(sizes):
    label = f"{size}x{size}"
    for title, margin in margins.items():
        assert abs(changes[title][label][0].mean() - expected[title][place]) < margin
    assert changes["smoothness"][label][1].mean() > 0.4
    colors_before, colors_after = changes["color share"][label]
    assert colors_after.std() > 1.5 * colors_before.std()
    assert colors_after.min() < 0.15 < colors_after.mean() < 0.6
    assert colors_after.max() > 0.75
    selective_before, selective_after = changes["orientation selectivity"][label]
    assert selective_after.mean() > 1.4 * selective_before.mean()
    print(f"checked: {label} kernels have the numbers of noise before training, and others after")

# From 3x3 to 11x11 noise loses two thirds of its selectivity, trained kernels much less.
small, large = (changes["orientation selectivity"][label][1].mean() for label in ("3x3", "11x11"))
assert 0.28 < by_chance[11].mean() / by_chance[3].mean() < 0.38
assert large / small > 0.55
print("checked: from 3x3 to 11x11 noise loses two thirds of its selectivity, trained kernels less than half")

# %% [markdown]
# ## Is there a trend over the kernel size?
#
# **Two: larger kernels are smoother, and more of them are more selective than chance.** Means of the selectivity itself cannot be compared between sizes, for two reasons. Noise of 3x3 has more of it to begin with. And a wave that is cut to 3x3 pixels has no sharp direction, so a small kernel cannot reach as much.

# %%
# How selective can a kernel be? A perfect wave, cut to each size: the mean over directions and phases.
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
print("checked: the larger the kernel, the more selective a wave cut to its size")

# %% tags=["nbval-ignore-output"]
# The share of trained kernels that are more selective than 95 of 100 noise kernels of their size.
shares = {}
for size in sizes:
    limit = np.quantile(by_chance[size], 0.95)
    shares[size] = [(orientation_selectivity(kernels[size, seed][1]) > limit).mean() for seed in seeds]
    print(f"{size:2}x{size:<2} more selective than chance, by seed:", np.round(shares[size], 2))

# %% tags=["refines:kernels-of-eleven-show-textures"]
# Check both trends, and that no size is clearly best. By chance alone the share would be 0.05.
smooth = [changes["smoothness"][f"{size}x{size}"][1].mean() for size in sizes]
assert smooth[-1] > smooth[0] + 0.08
print("checked: 11x11 kernels are smoother than 3x3 ones")
assert min(min(values) for values in shares.values()) > 0.25
assert np.mean(shares[11]) > np.mean(shares[3]) + 0.03
assert np.mean(shares[3]) < 0.8
print("checked: more of the 11x11 kernels are more selective than chance")
mean_scores = [np.mean([accuracies[size, seed][1] for seed in seeds]) for size in sizes]
assert np.ptp(mean_scores) < 0.1
print("checked: the accuracies of the four sizes differ by less than a tenth")

# %% [markdown]
# The first trend need not mean that larger kernels learn more: a spot that is spread over more pixels changes less from one to the next. The second trend is what you see in the pictures. Neither says which size is best: the accuracies lie close together.
#
# ## Does a smooth kernel prove that something was learned?
#
# **No. A network that learns from shuffled labels gets smooth kernels, too, and they are more selective than noise.** Each step adds a weighted sum of windows to a kernel. In photographs neighboring pixels are similar, whatever is asked about them. Decay takes the noise of the start away, and what stays is as smooth as photographs are.

# %% tags=["nbval-ignore-output"]
# The same 7x7 network, windows and number of steps, but the labels are dealt out at random.
shuffled = np.random.default_rng(0).permutation(fit_labels)
chance_kernels, chance_scores = train_kernels(
    7, (fit_windows, shuffled), photo_test, stride=3, seed=seeds[0], steps=steps
)
print(f"accuracy with shuffled labels {chance_scores[1]:.2f}, chance {1 / len(learned_photos):.2f}")
for title, measure in measured.items():
    right, dealt = measure(kernels[7, seeds[0]][1]), measure(chance_kernels[1])
    print(f"{title:23} right labels {right.mean():.2f}, shuffled labels {dealt.mean():.2f}")


def by_color(kernels):
    """The kernels, the most colored first."""
    return kernels[..., np.argsort(-color_share(kernels))]


_ = ev.plots.show_kernels(
    {"7x7, right\nlabels": by_color(kernels[7, seeds[0]][1]), "7x7, shuffled\nlabels": by_color(chance_kernels[1])}
)

# %% [markdown]
# **Figure 4.** The same network after as many steps with right and with shuffled labels. The lower kernels are smooth as well, and some have a direction, although there was nothing to learn that holds elsewhere.

# %% tags=["proves:training-turns-noise-into-patterns"]
# Check that shuffled labels teach nothing, and yet leave kernels far from noise.
assert chance_scores[1] < 2.5 / len(learned_photos)
assert smoothness(chance_kernels[1]).mean() > 0.4
assert orientation_selectivity(chance_kernels[1]).mean() > 1.5 * by_chance[7].mean()
print("checked: with shuffled labels the accuracy is near chance, and the kernels are far from noise")

# %% [markdown]
# So a smooth kernel shows that training went on for long enough. It does not show that training went well. The accuracy on held-out data shows that.
#
# ## What do kernels look for in digits?
#
# **Pieces of strokes: bars, ends and, where there is room, bends.** The same networks learn from 8,000 digits of MNIST and are tested on 2,000 more of its training images.

# %% tags=["nbval-ignore-output"]
# One input channel now, a stride of 2, and one seed. The most selective kernels come first.
(x_train, y_train), _ = ev.load_mnist()
images, digit_labels = ev.prepare_images(x_train[:10_000]), y_train[:10_000].astype("int64")
digit_data, digit_test = (images[:8000], digit_labels[:8000]), (images[8000:], digit_labels[8000:])
digit_kernels, digit_scores, bands = {}, {}, {}
for size in sizes:
    digit_kernels[size], digit_scores[size] = train_kernels(
        size, digit_data, digit_test, stride=2, seed=seeds[0], steps=600
    )
    before, after = digit_kernels[size]
    order = np.argsort(-orientation_selectivity(after))
    bands[f"{size}x{size} before,\n16 of 32"] = before[..., order[::2]]
    bands[f"{size}x{size} after\ntraining"] = after[..., order]
    print(
        f"{size:2}x{size:<2} accuracy {digit_scores[size][1]:.3f}   smoothness {smoothness(before).mean():5.2f} to "
        f"{smoothness(after).mean():.2f}   selectivity {orientation_selectivity(before).mean():.2f} to "
        f"{orientation_selectivity(after).mean():.2f}"
    )
_ = ev.plots.show_kernels(bands)

# %% [markdown]
# **Figure 5.** First-layer kernels of networks that read digits: blue is negative, white zero, red positive, each kernel on its own scale. From 5x5 on there are red bars with a blue flank. In 11x11 there are bends and ends of strokes. In 3x3 some kernels have a red and a blue side; many look no different from noise.

# %%
# Check that the networks read, and that their kernels left the noise behind, the larger ones by far more.
gains = {}
for size in sizes:
    before, after = digit_kernels[size]
    assert digit_scores[size][1] > 0.8
    assert smoothness(after).mean() > smoothness(before).mean() + 0.15
    chance = orientation_selectivity(noise_kernels(size, 1, 2000)).mean()
    gains[size] = orientation_selectivity(after).mean() / chance
    print(f"checked: the {size}x{size} network reads digits, and its kernels became smoother")
assert min(gains[7], gains[11]) > 1.4 * gains[3]
print("checked: compared with chance, the larger kernels are far more selective than the 3x3 ones")

# %% [markdown]
# *Take away.* Before training a kernel is noise, and the numbers of noise can be worked out. After training the kernels of photographs are edges, stripes and spots of color, and those of digits are pieces of strokes. What makes kernels smooth is that neighboring pixels are similar and that decay removes the noise. So look at the held-out accuracy before you admire the kernels.
#
# *Try it.*
#
# 1. Set `decay = 0`. Predict: which of the three numbers changes most?
# 2. Give the shuffled network ten times as many steps. Predict: does its accuracy on held-out windows rise?

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. Smoothness: the noise of the start stays in the kernels, and noise has a smoothness of 0.
# 2. No. It may learn the shuffled labels by heart, but nothing that holds for other windows.
#
# </details>
