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
# # Python101: five questions, answered by running them
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/01_python101_answers.ipynb)
#
# The course asks five questions before its first network. At the end of this page you will know
#
# - what channels and kernels are, why kernels are nearly always 3x3, and how 99 of them lead from 199x199 to 1x1;
# - how kernels are initialized, and why a factor of two decides whether a deep network learns at all;
# - what happens during training: every number of one step by hand, and a real network watched while it learns.

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
from evalib.plots import BLUE, GRAY, INK, ORANGE, SIGNED
from evalib.training import (
    StartingPoint,
    activation_moments,
    compile_classifier,
    deep_network,
    draw_kernels,
    fans,
    kernel_variance,
    measure_signals,
    optimizer_path,
    predict_signals,
    track_training,
)

ev.check_version("0.2")
ev.plots.use_style()

# %% [markdown]
# ## What are channels and kernels?
#
# **A channel is a container for one kind of information: for every place of the picture it holds one number that says how much of it is there. A kernel is what fills a channel: a small array of weights that is laid over every place of the picture, and answers strongly where it finds its feature.** The course says so, too: a channel gathers what is alike, and a kernel extracts it. One kernel, one channel. Where the picture has several channels, a kernel has a slice for each of them: [notebook 03](03_receptive_fields.ipynb) adds them up by hand.
#
# ### Which channels has a photograph?

# %%
# A color photograph comes with three channels: how much red, how much green and how much blue, from 0 to 255.
photo = ev.sample_photo("astronaut", 112)
print(photo.shape, photo.dtype)

# %%
# Take the three apart. A channel by itself has no color: it is a gray picture, bright where there is much.
titles = ["photograph", "red channel", "green channel", "blue channel"]
_ = ev.plots.show_images([photo, *np.moveaxis(photo, -1, 0)], titles)

# %% tags=["proves:colors-are-channels"]
# The suit is orange: much red, some green, little blue.
suit_red, suit_green, suit_blue = photo[68:73, 26:31].mean((0, 1))
assert suit_red > 2 * suit_green > 2 * suit_blue

# Nothing is lost by taking them apart: stacked again they are the photograph.
red, green, blue = photo[..., 0], photo[..., 1], photo[..., 2]
assert (np.stack([red, green, blue], axis=-1) == photo).all()

# %% [markdown]
# **Figure 1.** A photograph and its three channels. Compare the suit: it is bright in the red channel and dark in the blue one. The wall, which is nearly gray, looks nearly the same in all three.

# %%
# The wall can be read off too: its three means differ by less than 20 levels of 255, the suit's by 150.
wall = photo[11:20, 68:77].mean((0, 1))
assert np.ptp(wall) < 20
assert suit_red - suit_blue > 150

# %% [markdown]
# ### Can a kernel find a letter?
#
# Red, green and blue are given by the camera. A network makes its own channels. The course's example is a page of text and 26 channels, one for each letter: in the *e-channel* every e lights up, and the kernel that makes this channel looks much like an e.
#
# Here is such a page. We draw it ourselves, so that the place of each letter is known and hits can be counted.

# %%
# Six lines that hold every letter of the alphabet; the first two are full of letters that resemble an e.

texts = [
    "seven green bees see a sea",
    "a cocoa ocean coast decade",
    "the quick brown fox jumps",
    "over every lazy dog and we",
    "pack my box with the best",
    "five dozen liquor jugs yet",
]
page, letters = ev.data.draw_page([ev.data.Line(text) for text in texts])
true_count = sum(text.count("e") for text in texts)
print(f"{page.shape[0]}x{page.shape[1]} pixels, {len(letters)} letters, {true_count} of them an e")

# %%
# The page knows each of its letters: as many as there are in the text.
assert len(letters) == sum(len(text.replace(" ", "")) for text in texts)
assert [letter.character for letter in letters].count("e") == true_count
assert len({letter.character for letter in letters}) == 26

# %% [markdown]
# The kernel is cut out of the page around the very first e. Two steps turn these pixels into a feature detector:
#
# 1. Take away the mean. The weights then sum to zero: ink counts for the e where the e has ink, and against it where the e has paper. Empty paper and solid ink both give 0.
# 2. Divide, so that the e itself gives exactly 1.
#
# `apply_kernel` then lays the kernel over every place without turning it, and adds up weights times pixels. Strictly that is a *correlation*; networks do the same and call it convolution.

# %%
# A function, since more kernels will be cut later; the letter's middle becomes the kernel's middle.


def cut_kernel(page, letter, half=9):
    """Cut a square around a letter: mean zero, and 1 as its sum of products with itself."""
    row, column = int(letter.row), int(letter.column)
    patch = page[row - half : row + half + 1, column - half : column + half + 1]
    weights = patch - patch.mean()
    return weights / (weights**2).sum()


first_e = next(letter for letter in letters if letter.character == "e")
kernel = cut_kernel(page, first_e)
e_channel = ev.apply_kernel(page, kernel, border="constant")
print("kernel", kernel.shape, "makes of the page", page.shape, "a channel", e_channel.shape)

# %%
# The weights sum to zero, and the kernel's own e gives 1: both as intended.
assert abs(kernel.sum()) < 1e-9
assert abs(e_channel[int(first_e.row), int(first_e.column)] - 1) < 1e-6

# %% tags=["nbval-ignore-output"]
# How well does each letter agree with the kernel? The best value around its middle, best letters first.
def agreement(channel, letter, reach=6):
    """The channel's highest value near a letter's middle."""
    row, column = int(letter.row), int(letter.column)
    return channel[row - reach : row + reach + 1, column - reach : column + reach + 1].max()


by_letter = {}
for letter in letters:
    by_letter.setdefault(letter.character, []).append(agreement(e_channel, letter))
for character in sorted(by_letter, key=lambda c: -max(by_letter[c]))[:8]:
    print(f"{character}: {min(by_letter[character]):.2f} to {max(by_letter[character]):.2f}")

# %% tags=["proves:kernel-resembles-its-feature"]
# Every e agrees better than any other letter, and a threshold of 0.9 stands between: it will be the layer's bias.
threshold = 0.9
other_letters = [value for c, values in by_letter.items() if c != "e" for value in values]
assert min(by_letter["e"]) > threshold > max(other_letters) + 0.02

# %% [markdown]
# A network puts the threshold into the same layer: a bias of -0.9 and a *ReLU*, which turns all that is below zero into zero, leave zero everywhere but at an e. Where the channel has a peak above zero, an e was found.

# %% tags=["nbval-ignore-output"]
# Peaks are where max pooling changes nothing; a peak belongs to the nearest letter's middle, or to none.
def find_peaks(channel, reach=6):
    """Rows and columns of the places above zero that nothing near them exceeds."""
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


lit = ops.convert_to_numpy(ops.relu(e_channel - threshold))
marks = count(find_peaks(lit), letters)
print({name: len(places) for name, places in marks.items()})

# %% tags=["proves:channel-holds-one-letter"]
# All found, none missed, no other letter taken for an e.
assert len(marks["found"]) == true_count
assert len(marks["missed"]) == len(marks["false alarm"]) == 0

# %%
# The page with what was found, the kernel, and its channel before bias and ReLU.
_ = ev.plots.show_letter_channel(page, kernel, e_channel, marks)

# %% [markdown]
# **Figure 2.** An "e" kernel, red where it wants ink and blue where it wants paper, and the e-channel that it makes. Its bright dots are the middles of the e's, ringed above. Letters that share strokes with the e, like o and a, give weaker dots: they agree, but not enough to pass the threshold. (Each value is drawn seven pixels wide, and what is below 0.4 black.)
#
# ### Does it find an e of every size and slant?
#
# **No. One kernel finds what looks like itself; for sizes and slants it takes more kernels.** The course wants e's of every size and slant in its e-channel. So draw the same words in eleven ways, and count with the same kernel and threshold as before.

# %% tags=["nbval-ignore-output"]
# The same words in each line: 7 e's, and plenty of letters that resemble them.
words = "the ocean queen sees a codec"
styles = {
    "as before": {},
    "smaller": {"size": 20},
    "much smaller": {"size": 17},
    "larger": {"size": 28},
    "slanted": {"font": "DejaVuSansMono-Oblique"},
    "bold": {"font": "DejaVuSansMono-Bold"},
    "turned 10 degrees": {"degrees": 10},
    "turned 25 degrees": {"degrees": 25},
    "turned back 25": {"degrees": -25},
    "with serifs": {"font": "DejaVuSerif"},
    "Computer Modern": {"font": "cmr10", "size": 30},
}
lines = [ev.data.Line(words, **style) for style in styles.values()]
variants, variant_letters = ev.data.draw_page(lines, width=624)
by_one = count(
    find_peaks(np.maximum(ev.apply_kernel(variants, kernel, border="constant") - threshold, 0)),
    variant_letters,
)
print({name: len(places) for name, places in by_one.items()})

# %% tags=["refines:letters-of-every-size-and-slant"]
# Less than half of the 77 are found; what is found is right.
assert words.count("e") * len(styles) == 77 == len(by_one["found"]) + len(by_one["missed"])
assert len(by_one["found"]) < 77 / 2
assert len(by_one["false alarm"]) == 0

# %% [markdown]
# Now give the channel more kernels. Six more are cut from a specimen sheet, where an e stands alone in six of the styles. The e-channel becomes the strongest answer of the seven: in a network the next layer would merge them.

# %% tags=["nbval-ignore-output"]
# Draw the specimens on a sheet of their own, so that no kernel is cut from a letter that it is counted on.
learned = [
    "smaller",
    "much smaller",
    "larger",
    "turned 25 degrees",
    "turned back 25",
    "with serifs",
]
sheet, specimens = ev.data.draw_page(
    [ev.data.Line(" e", **styles[name]) for name in learned], width=80
)
sizes = [styles[name].get("size", 24) for name in learned]
kernels = [kernel] + [
    cut_kernel(sheet, specimen, half=round(9 * size / 24))
    for specimen, size in zip(specimens, sizes, strict=True)
]
answers = [ev.apply_kernel(variants, weights, border="constant") for weights in kernels]
by_seven = count(find_peaks(np.maximum(np.max(answers, axis=0) - threshold, 0)), variant_letters)
print({name: len(places) for name, places in by_seven.items()})

# %% tags=["nbval-ignore-output"]
# Line by line: what one kernel finds of 7, and what seven find.
def per_line(places):
    """How many of the places lie on each line of the page."""
    return np.bincount((np.reshape(places, (-1, 2))[:, 0] // 34).astype(int), minlength=len(styles))


found_by_one, found_by_seven = per_line(by_one["found"]), per_line(by_seven["found"])
for name, one, seven in zip(styles, found_by_one, found_by_seven, strict=True):
    print(f"{name:18} {one} of 7 by one kernel, {seven} of 7 by seven")

# %% tags=["refines:letters-of-every-size-and-slant"]
# Seven kernels find what they were cut for, in all seven styles, and what one kernel found is still found.
for name in ["as before", *learned]:
    assert found_by_seven[list(styles).index(name)] == 7
assert (found_by_seven >= found_by_one).all()
assert len(by_seven["found"]) >= 60

# Slanted e's lie near the threshold; of the last line, for which there is no kernel, none is found.
answers_of_slanted = [
    agreement(np.max(answers, axis=0), letter)
    for letter in variant_letters
    if letter.character == "e" and letter.line == list(styles).index("slanted")
]
assert threshold - 0.05 < min(answers_of_slanted) <= max(answers_of_slanted) < threshold + 0.05
assert found_by_seven[-1] == 0

# They still miss some, and more kernels can be wrong in more ways: one false alarm or a few.
assert 5 <= len(by_seven["missed"]) <= 17
assert 1 <= len(by_seven["false alarm"]) <= 3
assert per_line(by_seven["false alarm"])[list(styles).index("bold")] >= 1

# %% tags=["nbval-ignore-output"]
# All 77 on their page: found by one kernel, found with the other six only, or by none.
late = [place for place in by_seven["found"] if not (place == by_one["found"]).all(axis=1).any()]
_ = ev.plots.show_letter_page(
    variants,
    {
        "found by the one kernel": by_one["found"],
        "only by seven": np.array(late),
        "by none": by_seven["missed"],
        "false alarm": by_seven["false alarm"],
    },
    list(styles),
)

# %%
# The rings and squares are all that seven kernels found.
assert len(by_one["found"]) + len(late) == len(by_seven["found"])

# %% [markdown]
# **Figure 3.** One kernel finds an e of its own size, also if it is bold or turned a little. For other sizes, greater turns or serifs it takes a kernel of their own; with these the channel holds e's of many kinds. Slanted letters lie near the threshold: some pass and some do not. Nobody cut a kernel for the last line, and all of its e's are missed. The bold line shows the price: one more way to match is one more way to be wrong.
#
# ### Does it work on a photographed page?
#
# The page below was photographed: its light is uneven, its lines are bent, its letters are eleven pixels high at most. Where the contrast between ink and paper is low, answers are low, and one threshold for all would be unfair. So the answers are divided by the local contrast: the result is the *normalized correlation*, 1 for a perfect match and never above. It too is made of convolutions, of the page and of its square with a kernel of ones.

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
# The kernel finds itself with 1, and nothing agrees better.
assert abs(seen_channel[18, 270] - 1) < 1e-6
assert seen_channel.max() < 1 + 1e-6

# %% tags=["nbval-ignore-output"]
# The truth: the text as it was printed, and where its e's stand, read off the picture by eye.
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
_ = ev.plots.show_letter_channel(
    photographed, seen_kernel - seen_kernel.mean(), seen_channel, seen, spread=5
)

# %% [markdown]
# **Figure 4.** One kernel of 11x9 pixels, cut from a single e, finds 23 of 29. Three of the six that it misses stand near the left or right edge, where the page is dark or bent. A lower threshold would find more of them, and take other letters for e's: 0.81 was chosen on this very page, and a second page might ask for another. A network learns both, kernel and threshold, from many pages.

# %%
# Three of the missed stand within 30 pixels of an edge.
missed_columns = seen["missed"][:, 1]
assert ((missed_columns < 30) | (missed_columns > 384 - 30)).sum() == 3

# What a lower threshold does: at 0.68 nearly all e's are found, and many other letters with them.
generous = count(find_peaks(np.maximum(seen_channel - 0.68, 0)), real_letters, reach=3)
assert len(generous["missed"]) <= 1
assert len(generous["false alarm"]) > 10

# %% [markdown]
# ### How much does color tell?
#
# **Of what a thing is, less than one would think.** (Which photograph a scrap came from it tells well: [notebook 02](02_kernel_visualization.ipynb) has to keep it apart.) Here is a gray photograph. Over it lie thin lines, one pixel wide and six apart, and only these lines have color. Step back, and the suit is orange.

# %%
# Gray is the brightness that the eye sees; the lines take their colors from the photograph, three times as strong.
brightness_weights = np.array([0.299, 0.587, 0.114])
scaled = ev.sample_photo("astronaut", 156) / 255
gray = np.repeat((scaled @ brightness_weights)[..., np.newaxis], 3, axis=-1)
strong_colors = np.clip(gray + 3 * (scaled - gray), 0, 1)
on_line = np.arange(156) % 6 == 0
lines_mask = on_line[:, np.newaxis] | on_line
line_photo = np.where(lines_mask[..., np.newaxis], strong_colors, gray)


def colored_share(picture):
    """The share of pixels whose red, green and blue differ, when stored as bytes."""
    return (np.ptp(np.rint(255 * picture), axis=-1) > 0).mean()


print(f"photograph: {100 * colored_share(scaled):.0f} % of the pixels have color")
print(f"lines:      {100 * colored_share(line_photo):.0f} % of the pixels have color")

# %% tags=["refines:lines-that-color-a-picture"]
# Lines take 11 of every 36 pixels, and no other pixel has any color.
assert abs(lines_mask.mean() - 11 / 36) < 1e-9
assert colored_share(line_photo) <= lines_mask.mean()
assert (line_photo[~lines_mask] == gray[~lines_mask]).all()
assert colored_share(scaled) > 0.85

# %%
# The gray photograph with lines and without.
_ = ev.plots.show_images({"gray with colored lines": line_photo, "gray": gray}, side=312)

# %% [markdown]
# **Figure 5.** The line illusion. On the left seven pixels of ten are gray, the same as on the right; look at the suit between the lines. Shapes come from the gray picture alone. The color that we believe to see is filled in.
#
# The eye takes color from wide areas, so let us do as it does: a kernel of ones averages 13x13 pixels. What it makes of the lines' color is much like what it makes of the photograph's.

# %%
# Color is what differs from gray. Average it over 13x13 pixels, in both pictures, and compare.
average = np.full((13, 13), 1 / 169)
wide_color = ev.apply_kernel(scaled - gray, average)
wide_line_color = ev.apply_kernel(line_photo - gray, average)
likeness = np.corrcoef(wide_color.ravel(), wide_line_color.ravel())[0, 1]
strength = np.abs(wide_line_color).mean() / np.abs(wide_color).mean()
print(f"correlation {likeness:.2f}, strength {strength:.2f}")

# %% tags=["refines:lines-that-color-a-picture"]
# Seen widely, the lines carry the photograph's colors, and more than half of their strength.
assert likeness > 0.9
assert 0.5 < strength < 1.1

# %% [markdown]
# ### Is it the same object in other colors?
#
# Nobody takes a blue cup for something else. Seven photographs get false colors here: what was red is shown as green, green as blue, and blue as red. Which photograph is it? We ask twice: by the color on average, and by the edges, found by Sobel's kernels (next section).

# %%
# Seven color photographs of scikit-image, small, and each with its channels exchanged.

photo_names = ["astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry"]
photo_names += ["hubble_deep_field"]
originals = [ev.sample_photo(name, 66) / 255 for name in photo_names]
recolored = [picture[..., [2, 0, 1]] for picture in originals]  # what is new red was blue
edges = [ev.gradient_magnitude(picture @ brightness_weights) for picture in originals]
new_edges = [ev.gradient_magnitude(picture @ brightness_weights) for picture in recolored]

# %%
# The likeness of every recolored photograph with every original, by edges and by mean color.
edge_likeness = np.array(
    [[np.corrcoef(new.ravel(), old.ravel())[0, 1] for old in edges] for new in new_edges]
)
color_distance = np.array(
    [[np.linalg.norm((new - old).mean((0, 1))) for old in originals] for new in recolored]
)
right = np.arange(len(photo_names))
by_edges = (edge_likeness.argmax(axis=1) == right).sum()
by_color = (color_distance.argmin(axis=1) == right).sum()
print(f"recognized by edges {by_edges} of 7, by mean color {by_color} of 7")

# %% tags=["refines:color-tells-little", "proves:object-without-its-color"]
# Edges recognize all, and no other photograph comes near; colors on average recognize about half.
assert by_edges == 7
assert by_color <= 4
assert np.diag(edge_likeness).min() > 0.95
assert edge_likeness[~np.eye(7, dtype=bool)].max() < 0.2

# %%
# Three of the photographs, recolored, and the edges of the recolored ones.
drawings = [1 - np.clip(edge / np.percentile(edge, 98), 0, 1) for edge in new_edges[:3]]
_ = ev.plots.show_images(
    [*originals[:3], *recolored[:3], *drawings], labels=["photograph", "recolored", "edges"], side=132
)

# %% [markdown]
# **Figure 6.** Three of the seven photographs, the same in exchanged colors, and what is left of these as edges. A cat is a cat in any color, and one that is drawn in lines is a cat, too.
#
# ### What do Sobel-x, Sobel-y and the Laplacian see?
#
# The course prints three kernels:
#
# $$G_x = \begin{bmatrix}-1&0&1\\-2&0&2\\-1&0&1\end{bmatrix} \qquad G_y = \begin{bmatrix}1&2&1\\0&0&0\\-1&-2&-1\end{bmatrix} \qquad \text{Laplacian} = \begin{bmatrix}0&1&0\\1&-4&1\\0&1&0\end{bmatrix}$$
#
# $G_x$ takes what is on the right minus what is on the left. It is the slope in x, and it answers to upright edges. $G_y$ takes what is above minus what is below: the slope upward, which answers to level edges. The Laplacian adds the second derivatives in x and y: it answers where brightness bends, which is on both sides of every edge. (The course once has the two derivatives the other way round, the vertical one in $G_x$. The tripod's leg below decides.)

# %%
# The course's kernels on a gray photograph, scaled to 0 to 1.

camera = ev.sample_photo("camera", 220)[..., 0] / 255
gx, gy = ev.sobel_gradients(camera)
curvature = ev.laplacian(camera)
for name, output in [("Sobel-x", gx), ("Sobel-y", gy), ("Laplacian", curvature)]:
    print(f"{name:9} {output.min():.2f} to {output.max():.2f}")

# %%
# The photograph, and each kernel with the output that it makes.
pictures = {"photograph": camera}
for name, output in [("Sobel-x", gx), ("Sobel-y", gy), ("Laplacian", curvature)]:
    pictures[name] = ev.plots.colorize(output, limits=99)
figure = ev.plots.show_images(pictures, side=220)
for axes, weights in zip(figure.axes[1:], [ev.SOBEL_X, ev.SOBEL_Y, ev.LAPLACIAN], strict=True):
    above = axes.inset_axes((0.3, 1.15, 0.4, 0.4))
    ev.plots.write_numbers(above, weights, ev.plots.colorize(weights, limits=(-8, 8)))
plt.show()

# %% [markdown]
# **Figure 7.** Blue is below zero, white zero, red above. The tripod's middle leg is upright: Sobel-x sees it, in red where it gets brighter to the right and in blue where it gets darker again; Sobel-y sees next to nothing there. The top of the camera is level, and there it is the other way round. The Laplacian draws each edge as a pair of a red and a blue line.

# %% tags=["proves:sobel-finds-upright-and-level-edges", "corrects:sobel-outputs-swapped", "refines:laplacian-finds-edges"]
# The caption in numbers: mean strength on the upright leg and at the level top of the camera.
leg = np.s_[150:195, 122:132]
top = np.s_[58:62, 120:140]
assert np.abs(gx[leg]).mean() > 5 * np.abs(gy[leg]).mean()
assert np.abs(gy[top]).mean() > 2 * np.abs(gx[top]).mean()

# On the leg Sobel-x is strong in both signs, and the Laplacian gives a pair of values for a step from 0 to 1.
assert gx[leg].max() > 1
assert gx[leg].min() < -1
assert (ev.laplacian([[0, 0, 1, 1]] * 3)[1] == [0, 1, -1, 0]).all()

# All three kernels sum to zero, so that an even area, whatever its brightness, gives nothing.
assert ev.SOBEL_X.sum() == ev.SOBEL_Y.sum() == ev.LAPLACIAN.sum() == 0

# %% [markdown]
# ### Which way does brightness rise?
#
# $G_x$ and $G_y$ together are a vector, the *gradient*: it points to where it gets brighter, and it is long where that happens fast. A coin on dark cloth has edges in every direction.

# %%
# One coin, whose middle is the middle of the picture. Arrows stand where the gradient is strong.
from matplotlib.colors import hsv_to_rgb

coin = ev.sample_photo("coins", 303)[84:154, 194:264, 0] / 255
coin_gx, coin_gy = ev.sobel_gradients(coin)


def hues(gx, gy):
    """Colors of gradients: the direction as hue, the length up to one as brightness."""
    hue, length = np.arctan2(gy, gx) / (2 * np.pi) % 1, np.hypot(gx, gy).clip(0, 1)
    return hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.85), length], axis=-1))


strong = np.percentile(ev.gradient_magnitude(coin), 98)
to_right, upward = np.meshgrid(np.linspace(-1, 1, 70), np.linspace(1, -1, 70))
key = np.where(np.hypot(to_right, upward)[..., np.newaxis] > 1, 1, hues(to_right, upward))
pictures = {"gradient as arrows": coin, "direction as hue": hues(coin_gx / strong, coin_gy / strong)}
figure = ev.plots.show_images({**pictures, "brighter upward": key}, side=210)
rows, columns = np.mgrid[2:70:4, 2:70:4].reshape(2, -1)
arrows = np.stack([coin_gx, coin_gy])[:, rows, columns] / (strong / 8)
arrows[:, np.hypot(*arrows) < 2] = np.nan
figure.axes[0].quiver(columns, rows, *arrows, color=ORANGE, scale_units="xy", scale=1, width=0.009)
_ = figure.axes[2].set_xlabel("brighter downward")

# %% [markdown]
# **Figure 8.** On the rim nearly all arrows point inward, from the dark cloth to the bright coin. In the middle the same is told by color: the circle of hues on the right is the key. Its red, for instance, means brighter to the right, and lies on the coin's left rim. Inside the coin the relief makes edges of its own.

# %%
# On the rim, that is where the gradient is strong and the middle more than 20 pixels away: does it point inward?
rows, columns = np.mgrid[:70, :70]
to_right, upward = 34.5 - columns, rows - 34.5  # from each pixel to the coin's middle
distance = np.hypot(to_right, upward)
coin_length = ev.gradient_magnitude(coin)
rim = (distance > 20) & (distance < 32) & (coin_length > 1.2)
cosine = (coin_gx * to_right + coin_gy * upward)[rim] / (coin_length * distance)[rim]
print(f"{rim.sum()} pixels of the rim, {100 * (cosine > 0).mean():.0f} % point inward")

# %% tags=["proves:sobel-approximates-the-gradient"]
# Nearly all do, and most within 45 degrees of the straight way to the middle.
assert (cosine > 0).mean() > 0.9
assert (cosine > 0.7).mean() > 0.75

# %% [markdown]
# ### Do Keras, scikit-image and SciPy agree?
#
# **To a millionth, once sign, scale and border are the same.** First the Keras layer: an ordinary `Conv2D` with one channel, no bias and fixed weights.

# %%
# Three layers with the course's weights; the image is continued by hand, as Keras itself pads only zeros.
import scipy.ndimage
import skimage.filters


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
# Three things differ, and none of them is an error.
#
# - **Sign.** The course's $G_y$ points up. scikit-image and SciPy take their vertical axis downward, as rows are counted; so does OpenCV. scikit-image's Laplacian has +4 in the middle.
# - **Scale.** scikit-image divides Sobel's sums by 4, the sum of a kernel's positive weights. The others do not. And scikit-image takes bytes as 0 to 1, where the others compute with 0 to 255.
# - **Border.** At the edge of the picture a kernel hangs over. What lies there must be invented, and the usual invention differs: SciPy and scikit-image reflect, a Keras layer with `padding="same"` takes zeros, one with `padding="valid"` leaves these pixels out.

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
# **Figure 9.** What is assumed beyond the edge, by SciPy's names. "reflect" and "mirror" look alike: the first repeats the pixel at the edge, the second does not. Zeros put a dark frame around the picture, and kernels find an edge there that nobody photographed.

# %%
# Only the outermost ring of pixels depends on the border: inside it all of them agree.

inside = ev.apply_kernel(camera, ev.SOBEL_X, border="valid")
for border in BORDERS[:-1]:
    whole = ev.apply_kernel(camera, ev.SOBEL_X, border=border)
    np.testing.assert_allclose(whole[1:-1, 1:-1], inside, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        whole, scipy.ndimage.correlate(camera, ev.SOBEL_X, mode=border), rtol=0, atol=1e-6
    )

# Keras's "same" is SciPy's "constant". On its left edge stands an edge as strong as the sky is bright.
same = ev.fixed_convolution(ev.SOBEL_X, padding="same")(camera[np.newaxis, ..., np.newaxis])
same = ops.convert_to_numpy(same)[0, ..., 0]
with_zeros = ev.apply_kernel(camera, ev.SOBEL_X, border="constant")
np.testing.assert_allclose(same, with_zeros, rtol=0, atol=1e-6)
assert same[1:40, 0].mean() > 2
assert np.abs(gx[1:40, 0]).mean() < 0.1

# %% [markdown]
# Two more traps. A convolution in mathematics turns the kernel by half a turn before it is laid over the picture; a network's does not. And bytes cannot go below 0: they wrap around.

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
# **Take away.** A kernel is a small picture of what it looks for, and its channel is the map of where it was found. Color gives a network three channels to begin with; edges, which need no color, tell it more. In a network nobody writes the kernels down: but Sobel's could be the weights of any layer, to the last digit.

# %% [markdown]
# ## Why should we nearly always use 3x3 kernels?
#
# **3x3 is the smallest kernel that has a center and a neighbor on every side, and a stack of 3x3 sees as much as one large kernel for fewer weights and fewer multiplications.** "Nearly", because there are good reasons for other sizes in the first layer, and kernels that a stack cannot make.
#
# ### What is wrong with 2x2?
#
# A kernel of even size has no middle pixel. Its output lies between pixels, and has to be written down at one of them: half a pixel off. Let ten layers average, once 2x2 pixels each and once 3x3, and watch where a single dot goes.

# %%
# Two stacks of ten ordinary Keras layers, whose weights are fixed at one over the number of pixels.


def averaging_stack(size, depth=10):
    """A model of layers that average size x size pixels each, with zeros beyond the border."""
    kernel = np.full((size, size), 1 / size**2)
    stack = [ev.fixed_convolution(kernel, padding="same") for _ in range(depth)]
    return keras.Sequential([keras.Input((None, None, 1)), *stack])


stacks = {f"ten layers {size}x{size}": averaging_stack(size) for size in (2, 3)}
dot = np.zeros((41, 41), "float32")
dot[20, 20] = 1


def through(model, picture):
    """One gray picture through a model, without batch and channel axes."""
    return ops.convert_to_numpy(model(picture[np.newaxis, ..., np.newaxis]))[0, ..., 0]


dots = {"input": dot} | {name: through(model, dot) for name, model in stacks.items()}

# %%
# Where is the dot now? Its center of mass, in rows and columns, against where it was.
def center_of_mass(picture):
    """The mean row and column, weighted with brightness."""
    rows, columns = np.indices(picture.shape)
    return np.array([(rows * picture).sum(), (columns * picture).sum()]) / picture.sum()


for name, picture in dots.items():
    row, column = center_of_mass(picture)
    print(f"{name:14} row {row:5.2f}, column {column:5.2f}")

# %% tags=["proves:odd-kernels-have-a-center"]
# Ten times half a pixel is five pixels, up and to the left; 3x3 stays where it was.
np.testing.assert_allclose(center_of_mass(dots["ten layers 2x2"]), [15, 15], atol=1e-3)
np.testing.assert_allclose(center_of_mass(dots["ten layers 3x3"]), [20, 20], atol=1e-3)

# No light is lost on the way: the drift is not an effect of the border.
assert all(abs(picture.sum() - 1) < 1e-4 for picture in dots.values())

# %%
# The same on a photograph of a coin, whose middle is the middle of the picture.
coin = (ev.sample_photo("coins", 303)[84:154, 194:264, 0] / 255).astype("float32")
coins = {"input": coin} | {name: through(model, coin) for name, model in stacks.items()}
drawn = [ev.plots.colorize(picture, INK, "each") for picture in dots.values()]
figure = ev.plots.show_images([*coins.values(), *drawn], list(coins), labels=["coin", "dot"], side=140)
for axes in figure.axes:
    middle = (axes.images[0].get_size()[0] - 1) / 2
    axes.axhline(middle, color=ORANGE, lw=0.8)
    axes.axvline(middle, color=ORANGE, lw=0.8)
plt.show()

# %% [markdown]
# **Figure 10.** A coin and a dot after ten averaging layers; the orange lines cross where the middle was. 3x3 blurs more, as it averages more pixels, but everything stays in its place. 2x2 carries the picture up and to the left, half a pixel a layer.

# %%
# How far has the coin moved? Slide the blurred input over it, and see where they agree best.
def best_shift(moved, picture, farthest=8):
    """Rows and columns by which a picture must be shifted to look most like the moved one."""
    inner = np.s_[farthest + 6 : -farthest - 6, farthest + 6 : -farthest - 6]
    shifts = [(r, c) for r in range(-farthest, 9) for c in range(-farthest, 9)]
    scores = [
        np.corrcoef(np.roll(picture, shift, (0, 1))[inner].ravel(), moved[inner].ravel())[0, 1]
        for shift in shifts
    ]
    return shifts[int(np.argmax(scores))]


for name in stacks:
    print(f"{name}: the coin moved by {best_shift(coins[name], coin)} rows and columns")
assert best_shift(coins["ten layers 2x2"], coin) == (-5, -5)
assert best_shift(coins["ten layers 3x3"], coin) == (0, 0)

# %% [markdown]
# Keras puts the missing row and column of zeros below and to the right. On the other side the picture would drift the other way; changing sides from layer to layer would keep it near its place. Odd kernels need no such care.
#
# ### Do two 3x3 see as much as one 5x5?
#
# **Yes: from 5x5 pixels the first leaves 3x3, and the second leaves 1x1.** (The course writes 5x5 > 3x3 > 1x1.) The part of the picture that an output can see is its *receptive field*; [notebook 03](03_receptive_fields.ipynb) computes it for any layer. Each further layer adds one pixel to it on every side.

# %% tags=["proves:two-3x3-see-5x5"]
# The receptive field of stacks of one to five 3x3 layers, and of one layer as large; both taken from real models.


def stack_of(kernel_sizes, channels=1, size=56):
    """A model of convolutions without biases, with as many channels inside as outside."""
    stack = [layers.Conv2D(channels, k, padding="same", use_bias=False) for k in kernel_sizes]
    return keras.Sequential([keras.Input((size, size, channels)), *stack])


depths = [1, 2, 3, 4, 5]
stack_weights, large_weights = [], []
for depth in depths:
    stack, large = stack_of([3] * depth), stack_of([2 * depth + 1])
    assert ev.receptive_field(stack).size == ev.receptive_field(large).size == (2 * depth + 1,) * 2
    stack_weights.append(stack.count_params())
    large_weights.append(large.count_params())
    seen = "x".join(map(str, ev.receptive_field(stack).size))
    print(
        f"{depth} of 3x3 see {seen:5}: {stack_weights[-1]:2} weights, one {seen}: {large_weights[-1]:3}"
    )

# %% tags=["proves:two-3x3-have-18-weights", "proves:eleven-by-stacked-3x3"]
# The course's numbers: 18 against 25, 27 against 49, 45 against 121.
assert stack_weights == [9, 18, 27, 36, 45]
assert large_weights == [9, 25, 49, 81, 121]

# %%
# Inside a network kernels have depth: 64 channels in and out, on 56x56 pixels.
def total_multiplications(kernel_sizes):
    """The multiplications of a stack with 64 channels for one picture of 56x56 pixels."""
    return sum(cost.macs for cost in ev.networks.layer_costs(stack_of(kernel_sizes, 64)))


stack_products = [total_multiplications([3] * depth) for depth in depths]
large_products = [total_multiplications([2 * depth + 1]) for depth in depths]
print([f"{value / 1e6:,.0f} million" for value in stack_products])
print([f"{value / 1e6:,.0f} million" for value in large_products])

# %% tags=["refines:stacks-cost-less"]
# Each weight is used once for each of 56 x 56 positions and each of 64 x 64 pairs of channels.
assert stack_products == [56**2 * 64**2 * weights for weights in stack_weights]
assert large_products == [56**2 * 64**2 * weights for weights in large_weights]

# %%
# Both as curves over what is seen, with the numbers of weights.
seen = [2 * depth + 1 for depth in depths]
figure = ev.plots.show_lines(
    {
        "weights, one channel": {
            "one large kernel": (seen, large_weights),
            "stack of 3x3": (seen, stack_weights),
        },
        "million multiplications,\n56x56 pixels, 64 channels": {
            "one large kernel": (seen, np.array(large_products) / 1e6),
            "stack of 3x3": (seen, np.array(stack_products) / 1e6),
        },
    },
    x_label="side of what is seen, in pixels",
)
for counts, color, offset in [(large_weights, BLUE, (-4, 6)), (stack_weights, ORANGE, (4, -14))]:
    for x, count_of in zip(seen, counts, strict=True):
        figure.axes[0].annotate(count_of, (x, count_of), offset, textcoords="offset points", color=color)
for axes in figure.axes:
    axes.set(xticks=seen, ylim=(-0.1 * axes.get_ylim()[1], None))
plt.show()

# %% [markdown]
# **Figure 11.** A large kernel costs as the square of its size, a stack in proportion to it. At 11x11 the stack needs 45 weights for every 121. The saving has a price that the curves do not show: a stack has more outputs to keep while it is trained, one for each layer. The last question shows what for.

# %% tags=["refines:stacks-cost-less"]
# The curves in formulas: with n layers (2n + 1)^2 weights against 9n, and n outputs to keep instead of one.
assert large_weights == [(2 * n + 1) ** 2 for n in depths]
assert stack_weights == [9 * n for n in depths]
assert [len(stack_of([3] * n).layers) for n in depths] == depths

# %% [markdown]
# ### Are two 3x3 the same as one 5x5?
#
# **Without anything between them, yes: exactly one 5x5.** The first kernel makes sums of pixels, the second makes sums of these sums, and sums of sums are sums. Which 5x5 it is can be computed: lay the first kernel down at each of nine places, each time multiplied by the second kernel's weight there, and add.

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
# ### What does the ReLU between them add?
#
# **Answers that no single kernel can give.** Take an everyday wish: find edges, no matter which side is the brighter one. A single kernel cannot do that. To give nothing on even areas its weights must sum to zero; but then, turn black into white, and all its answers change their sign.
#
# Two layers can. The first has four kernels: Sobel-x and Sobel-y, and both with the opposite sign. Its ReLU keeps of each what is positive. The second adds the four up, over 3x3 pixels.

# %%
# The same two layers twice, once with a ReLU between and once without.


def edge_finder(activation):
    """Two 3x3 layers with fixed weights: four signed edges, then their sum."""
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            layers.Conv2D(4, 3, activation=activation, use_bias=False),
            layers.Conv2D(1, 3, use_bias=False),
        ]
    )
    signed_edges = np.stack([ev.SOBEL_X, -ev.SOBEL_X, ev.SOBEL_Y, -ev.SOBEL_Y], axis=-1)
    model.set_weights([signed_edges[:, :, np.newaxis], np.full((3, 3, 4, 1), 1 / 9)])
    return model


with_relu = through(edge_finder("relu"), coin)
without_relu = through(edge_finder(None), coin)
with_relu_on_negative = through(edge_finder("relu"), 1 - coin)
print(f"with ReLU up to {with_relu.max():.2f}, without up to {np.abs(without_relu).max():.2f}")

# %%
# The ReLU makes them indifferent to which side is brighter. Without it the four cancel: nothing is left at all.
np.testing.assert_allclose(with_relu, with_relu_on_negative, atol=1e-4)
assert with_relu.max() > 2
assert np.abs(without_relu).max() < 1e-4

# %% tags=["nbval-ignore-output"]
# Could some 5x5 kernel with a bias do as well? The best one there is, by least squares over all its 26 numbers.
windows = np.lib.stride_tricks.sliding_window_view(coin, (5, 5)).reshape(-1, 25)
windows = np.column_stack([windows, np.ones(len(windows))])
solution, *_ = np.linalg.lstsq(windows, with_relu.ravel(), rcond=None)
best_linear = (windows @ solution).reshape(with_relu.shape)
left_over = np.var(with_relu - best_linear) / np.var(with_relu)
print(f"the best 5x5 kernel leaves {100 * left_over:.0f} % of the variance unexplained")

# %%
# More than half of what the two layers say cannot be said by any one kernel, not even by one fitted to this picture.
assert left_over > 0.5

# %%
# The coin, the two layers with and without ReLU, and the best single kernel.
outputs = ev.plots.colorize(np.stack([with_relu, without_relu, best_linear]), limits=99)
titles = ["coin", "two 3x3, ReLU between", "two 3x3, nothing between", "best single 5x5"]
_ = ev.plots.show_images([coin[2:-2, 2:-2], *outputs], titles, side=198)

# %%
# The rim against the coin's inside: with the ReLU both halves stand out, by the best single kernel only one.
down, across = np.mgrid[-32.5:33, -32.5:33]
distance = np.hypot(down, across)
rim, inside = (distance > 22) & (distance < 27), distance < 18
upper_left, lower_right = rim & (down + across < -15), rim & (down + across > 15)
for output, expected in [(with_relu, (True, True)), (best_linear, (False, True))]:
    level = output[inside].mean()
    assert (output[upper_left].mean() > level, output[lower_right].mean() > level) == expected
assert best_linear[upper_left].mean() < best_linear[inside].mean() / 2

# %% [markdown]
# **Figure 12.** Red is above zero, blue below. Two layers with a ReLU between draw the coin's rim all the way round. Without the ReLU the same weights cancel to nothing. The best single 5x5 kernel must prefer one side: it finds the rim on the lower right and misses it on the upper left.
#
# So a stack of 3x3 is more than a cheap 5x5: a non-linear step comes with every layer.
#
# ### Which 5x5 kernels can two 3x3 not make?
#
# **Nearly all of them.** Counting shows it. Two kernels have 18 weights, and one of these is idle: double the first kernel and halve the second, and nothing changes. So what two 3x3 can make has 17 dimensions, and all 5x5 kernels have 25.

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
# One that is out of reach, with a proof that needs no computer: the *two dots*, a 1 in the first column of the first row and another in the last column of the second row.
#
# - The composed kernel's first row comes from the two first rows alone. It holds a single 1 at its left end, so both first rows must hold a single weight, at their left end. (Multiply two polynomials: only single terms give a single term.)
# - The composed second row is the first kernel's second row times that one weight, plus the second kernel's second row times that one weight. These are three wide, and nothing has moved them to the right. They end at column three, and the dot in column five stays out of reach.
#
# What can be made: for one, every kernel that is a column times a row, such as the Gaussian. Five numbers in a row are a polynomial of degree four, and with real coefficients that is always a product of two of degree two.

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
# What is left over, in percent of the kernel's length.
for name, error in zip(targets, errors, strict=True):
    print(f"{name:10} {100 * error:5.1f} %")

# %%
# The first two are reached, as they must be. The search never came near the others.
left = dict(zip(targets, errors, strict=True))
assert max(left["Gaussian"], left["wide Sobel"]) < 0.01
assert min(left["ring"], left["plus"], left["two dots"], left["random"]) > 0.1

# %%
# The wanted kernels, and the nearest that two 3x3 came.
wanted = [ev.plots.colorize(target) for target in targets.values()]
scales = [np.abs(target).max() for target in targets.values()]
nearest = [ev.plots.colorize(fit, limits=(-s, s)) for fit, s in zip(fits, scales, strict=True)]
figure = ev.plots.show_images([*wanted, *nearest], list(targets), labels=["wanted", "two 3x3"], side=115)
for axes, error in zip(figure.axes[6:], errors, strict=True):
    axes.set_xlabel(f"{100 * error:.0f} % left over")
plt.show()

# %% [markdown]
# **Figure 13.** Six 5x5 kernels and the nearest composition of two 3x3. Column-times-row kernels can be made, the others cannot. Their numbers are what a search found, so a little less may be possible; that the two dots cannot be made exactly is proved above.
#
# In a network this hardly matters, for between two layers there are many channels, and each adds a composition of its own. Two are enough for the two dots.

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
# ### Why may the first layer be 5x5 or 7x7?
#
# **Because it reads three channels only.** The saving of a stack rests on as many channels between its layers as at its ends. In the first layer this is not so: 3 channels go in and, say, 64 come out. A stack of three 3x3 would carry 64 channels from its first layer to its second, and would cost more than one 7x7, not less.

# %%
# Weights and multiplications on 224x224 pixels: one 7x7 against three 3x3, in the first layer and deep inside.
def cost_of(kernel_sizes, channels_in):
    """Weights, and multiplications on 224x224 pixels, of convolutions to 64 channels each."""
    stack = [layers.Conv2D(64, k, padding="same", use_bias=False) for k in kernel_sizes]
    costs = ev.networks.layer_costs(keras.Sequential([keras.Input((224, 224, channels_in)), *stack]))
    return sum(c.parameters for c in costs), sum(c.macs for c in costs)


cases = {
    "deep: one 7x7": cost_of([7], 64),
    "deep: three 3x3": cost_of([3, 3, 3], 64),
    "first layer: three 3x3": cost_of([3, 3, 3], 3),
    "first layer: one 7x7": cost_of([7], 3),
}
for name, (weights, products) in cases.items():
    print(f"{name:23} {weights:7,} weights, {products / 1e6:7,.0f} million multiplications")

# %% tags=["refines:stacks-cost-less", "proves:large-kernels-in-the-first-layer"]
# Deep inside three 3x3 win, 27 to 49. In the first layer one 7x7 wins, by eight to one.
first_large, first_stack = cases["first layer: one 7x7"][0], cases["first layer: three 3x3"][0]
assert cases["deep: three 3x3"][0] / cases["deep: one 7x7"][0] == 27 / 49
assert first_large == 7 * 7 * 3 * 64 == 9_408
assert first_stack == 3 * 3 * 3 * 64 + 2 * (3 * 3 * 64 * 64) == 75_456
assert 8 < first_stack / first_large < 8.1

# %%
# The four as bars.
_ = ev.plots.show_bars(
    {
        "weights": {name: weights for name, (weights, _) in cases.items()},
        "multiplications, 224x224 pixels": {name: cost for name, (_, cost) in cases.items()},
    },
    highlight="first layer: one 7x7",
)

# %% [markdown]
# **Figure 14.** What it costs to see 7x7 pixels. Where 64 channels go in and out, the stack is cheaper; where 3 channels go in, the single large kernel is.
#
# How much would a large first kernel weigh in a whole network? Here is the course's own, of ten convolutions.

# %%
# The network where session 2 stopped: what share of its cost is the first layer, as it is and with 5x5 or 7x7?

network_costs = ev.networks.layer_costs(ev.session2_network())
total_weights = sum(cost.parameters for cost in network_costs)
total_products = sum(cost.macs for cost in network_costs)
first_cost = next(cost for cost in network_costs if cost.macs)
for size in (3, 5, 7):
    more = size**2 / 9
    weight_share = more * 27 * 32 / (total_weights + (more - 1) * 27 * 32)
    product_share = (
        more
        * first_cost.macs
        / (total_products + (more - 1) * first_cost.macs)
    )
    print(f"{size}x{size}: {100 * weight_share:.2f} % of the weights,", end=" ")
    print(f"{100 * product_share:.2f} % of the multiplications")

# %%
# Even at 7x7 the first layer would be less than half a percent of the whole.
assert first_cost.parameters == 3 * 3 * 3 * 32 + 32
assert 49 / 9 * 27 * 32 / total_weights < 0.005
assert 49 / 9 * first_cost.macs / total_products < 0.005

# %% [markdown]
# **Take away.** Use odd kernels, because they have a center. Among these take 3x3 and stack them: n layers see as much as one kernel of size 2n + 1, for 9n weights instead of (2n + 1)², with a ReLU after each. In the first layer there are few channels, and a larger kernel costs little.

# %% [markdown]
# ## How many 3x3 convolutions lead from 199x199 to 1x1?
#
# **99.** Without padding each 3x3 convolution takes away one pixel on every side, two from height and width. From 199 to 1 there are 198 pixels to lose, and 198 / 2 = 99.
#
# ### What is the size after each layer?

# %%
# Every ">" is a 3x3 convolution: its output is two pixels smaller, until one pixel is left.
sides = [199]
while sides[-1] >= 3:
    sides.append(sides[-1] - 2)

print(" > ".join(f"{side}x{side}" for side in sides))
print("Number of 3x3 convolutions =", len(sides) - 1)

# %% tags=["proves:ninety-nine-convolutions"]
# The chain ends at 1x1, after as many layers as the formula says.
assert sides[-1] == 1
assert len(sides) - 1 == (199 - 1) // 2 == 99

# %% [markdown]
# ### Does a network do so, too?

# %%
# A real model of 99 layers, one kernel each. An average of 3x3 keeps brightness, so that something comes out.
deep = keras.Sequential(
    [keras.Input((199, 199, 1))]
    + [
        layers.Conv2D(1, 3, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 9))
        for _ in range(99)
    ]
)
print(f"{len(deep.layers)} layers, {deep.count_params()} weights, output {deep.output_shape}")

# %% tags=["proves:two-pixels-less-each"]
# Its output is 1x1, and the sizes on the way are those of the chain.
assert len(deep.layers) == 99
assert deep.output_shape == (None, 1, 1, 1)
assert [199] + [layer.output.shape[1] for layer in deep.layers] == sides
assert deep.count_params() == 99 * 9

# %% tags=["nbval-ignore-output"]
# Let a photograph pass through all 99: 199x199 pixels go in, one comes out.
portrait = ev.sample_photo("camera", 199)[..., 0].astype("float32") / 255
answer = ops.convert_to_numpy(deep(portrait[np.newaxis, ..., np.newaxis]))
print(
    portrait.shape, "becomes", answer.shape, "with the value", round(float(answer[0, 0, 0, 0]), 4)
)

# %%
# One value, between black and white, as 99 averages of averages must be.
assert answer.shape == (1, 1, 1, 1)
assert portrait.min() <= answer[0, 0, 0, 0] <= portrait.max()

# %% [markdown]
# ### What does that one pixel see?

# %%
# Its receptive field is the whole picture: two pixels more for each of 99 layers, and one to begin with.
print(ev.receptive_field(deep).size)
assert ev.receptive_field(deep).size == (1 + 2 * 99, 1 + 2 * 99) == (199, 199)

# %%
# Does it see all of it equally well? How much each pixel counts, if all 99 layers average: along one axis, 99
# times [1, 1, 1] / 3.
counts = np.ones(1)
for _ in range(99):
    counts = np.convolve(counts, np.full(3, 1 / 3))
middle_share = counts[79:120].sum() ** 2
print(f"the middle 41x41 pixels make up {100 * middle_share:.0f} % of the answer")
print(f"a corner pixel counts {counts[0] ** 2:.0e}, the pixel in the middle {counts[99] ** 2:.0e}")

# %%
# It does not: it sees the corners in principle only. The sum with these weights is what the network answered.
assert len(counts) == 199
assert middle_share > 0.95
assert abs(counts @ portrait @ counts - answer[0, 0, 0, 0]) < 1e-4

# %%
# The formula for any size: an odd one ends at 1x1 after (size - 1) / 2 layers, an even one stops at 2x2.
def layers_and_end(size):
    """How many 3x3 convolutions fit, and the size that is left."""
    count = 0
    while size >= 3:
        size, count = size - 2, count + 1
    return count, size


for size in (5, 28, 199, 200, 400):
    count, end = layers_and_end(size)
    print(f"{size:3}x{size:<3} ends at {end}x{end} after {count:3} layers")
    assert count == (size - 1) // 2
    assert end == (1 if size % 2 else 2)

# %% [markdown]
# ### What would pooling save?
#
# **89 of the 99 convolutions.** Nobody builds the chain of 99. A 2x2 *max pooling* keeps the largest of each two by two values. It halves height and width at once, and each convolution after it reaches twice as far. The course's pattern is some convolutions, then a pooling; here it is two and one, over and over.

# %%
# Two convolutions and a pooling, until there is no room for a 3x3 kernel; a last pooling makes 1x1 of 2x2.
def pooled_network(size):
    """Convolutions of one 3x3 kernel, with a 2x2 max pooling after every two."""
    image = keras.Input((size, size, 1))
    values, convolutions = image, 0
    while values.shape[1] > 1:
        if values.shape[1] >= 3 and convolutions < 2:
            values = layers.Conv2D(1, 3, use_bias=False)(values)
            convolutions += 1
        else:
            values = layers.MaxPooling2D(2)(values)
            convolutions = 0
    return keras.Model(image, values)


pooled = pooled_network(199)
pooled_sides = [199]
line = "199x199"
for layer in pooled.layers[1:]:
    pooled_sides.append(layer.output.shape[1])
    arrow = ">" if isinstance(layer, layers.Conv2D) else "| pool |"
    line += f" {arrow} {pooled_sides[-1]}x{pooled_sides[-1]}"
print(line)

# %%
# Count the convolutions, and what is multiplied on the way; both by Keras's own shapes.

convolutions = sum(isinstance(layer, layers.Conv2D) for layer in pooled.layers)
poolings = sum(isinstance(layer, layers.MaxPooling2D) for layer in pooled.layers)
print(f"plain:  99 convolutions, {ev.networks.macs(deep):9,} multiplications")
print(f"pooled: {convolutions} convolutions and {poolings} poolings,", end=" ")
print(f"{ev.networks.macs(pooled):9,} multiplications")

# %%
# A tenth of the convolutions, and less than a tenth of the multiplications.
assert pooled.output_shape == deep.output_shape == (None, 1, 1, 1)
assert (convolutions, poolings) == (10, 6)
assert 99 - convolutions == 89
assert ev.networks.macs(deep) == sum(9 * side**2 for side in sides[1:])
assert 12 < ev.networks.macs(deep) / ev.networks.macs(pooled) < 14

# %%
# Both chains, layer by layer.
_ = ev.plots.show_lines(
    {
        "99 convolutions": (range(len(sides)), sides),
        "10 convolutions, 6 poolings": (range(len(pooled_sides)), pooled_sides),
    },
    x_label="layers",
    y_label="height and width in pixels",
)

# %% [markdown]
# **Figure 15.** From 199x199 to 1x1 by convolutions alone, two pixels a layer, and with a pooling after every two convolutions. The poolings do most of the way, and they have no weights.

# %%
# What is lost: of an odd number of rows a 2x2 pooling leaves the last one out. Does the pixel still see everything?
print("99 convolutions:", ev.receptive_field(deep).size)
print("with poolings:  ", ev.receptive_field(pooled).size)

# %%
# Not quite. A row that is left out is as wide as the stride at its place, by how many pixels of the picture neighbors lie
# apart there: each pooling doubles it. Three poolings find an odd number.
lost, stride = {}, 1
for side, layer in zip(pooled_sides[:-1], pooled.layers[1:], strict=True):
    if isinstance(layer, layers.MaxPooling2D):
        if side % 2:
            lost[side] = stride
        stride *= 2
print("lost pixels, by the size at the pooling:", lost)
assert lost == {195: 1, 93: 2, 17: 8}
assert ev.receptive_field(pooled).size == (199 - 11, 199 - 11)

# %% [markdown]
# **Take away.** Without padding, n convolutions of 3x3 take 2n pixels from height and width: 99 of them lead from 199x199 to 1x1, and that one pixel sees the whole picture, most of it faintly ([notebook 03](03_receptive_fields.ipynb), *Does an output pixel use all that it sees?*). Real networks pool on the way, and need a tenth of the convolutions.

# %% [markdown]
# ## How are kernels initialized?
#
# **With small random numbers: random, so that kernels differ, and with a variance of 1/n to 2/n, where n is the number of products in each output, so that signals neither die out nor blow up on their way through the layers.** Xavier's rule takes the 1 and suits tanh (Keras calls it Glorot's: both are names of Xavier Glorot); He's rule takes the 2, because a ReLU throws half of the signal away. Both are *activation functions*, what a layer does to each of its sums: tanh bends them until they lie between -1 and 1, and [notebook 04](04_activation_functions.ipynb) compares many such functions. For Xavier n is, strictly, the mean of two counts, the products in each output and the outputs that each input goes into (*fan in* and *fan out* in Keras); they are equal where a layer is as wide as the one before it.
#
# ### How large is "too large" in 50 layers?
#
# Networks are compared here on a *validation part*: training images that none of them learns from. Why the test images are left alone, [notebook 06](06_experiments.ipynb) tells.

# %%
# All choices are made on a validation part of the 60,000 training images. The test images are not touched.
(x_train, y_train), (x_test, y_test) = ev.load_mnist()
(x_fit, y_fit), (x_validation, y_validation) = ev.split_validation(x_train, y_train)
x_fit, x_validation = ev.prepare_images(x_fit), ev.prepare_images(x_validation)
print(x_fit.shape, x_validation.shape)

# %% [markdown]
# The network is a stack of 50 dense layers with 100 units each. A dense layer is the simplest case of a kernel: it looks at everything, and each of its outputs is a sum of as many products as it has inputs. In a convolution n is height x width x channels of the kernel. Nothing else changes. How a network learns, and what its loss and its gradients are, is the next question. Here it is enough that the *loss* says how wrong the answers are, and a *gradient* how each weight must move.


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
# ### What arrives after 50 layers, and what comes back?

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
# takes its part: a ReLU half of it, tanh the more the larger the signal is.
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
# **Figure 16.** The size of both signals in each of 50 layers, on a logarithmic scale. Read the left side from left to right, for activations go forward; read the right side from right to left, for gradients come back. With ReLU only He's start stays level; Xavier's loses half in each layer, in both directions. With tanh Xavier's gradients change least, though its activations fade slowly; larger starts keep the activations up, which cannot pass 1 anyway, and pay with gradients that grow on their way back.

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
# Xavier under ReLU: half in each layer, 2 to the minus 49 in all. He: what is left is the luck of the draw.
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
    assert 1 / 3 < ratio.min() < ratio.max() < 3  # 100 units a layer: over 50 of them the luck adds up
    assert np.abs(signals["tanh", name].activations).max() <= 1


# Backward through tanh: in theory Xavier's gradients change least over the 50 layers. Measured, the luck of
# the draw can put He's before them; the two other starts are far off.
def change(gradients):
    return abs(np.log(gradients[0] / gradients[-1]))


in_theory = {name: change(predicted["tanh"][name][1]) for name in starts}
assert min(in_theory, key=in_theory.get) == "Xavier"
for name in ("too small", "too large"):
    assert change(measured["tanh"][name][1]) > 2 * change(measured["tanh"]["Xavier"][1])

# %% tags=["nbval-ignore-output", "refines:activations-of-mean-zero"]
# The mean: zero before a ReLU, but not behind it, where nothing is below zero. Theory: root of variance / (2 pi).
first = signals["ReLU", "He"].activations[0]
before = predict_signals("linear", [kernel_variance(he, (784, width))], [784, width]).activations[0]
print(f"mean behind the first ReLU {first.mean():.2f}, theory {np.sqrt(before / (2 * np.pi)):.2f}")
assert np.isclose(first.mean(), np.sqrt(before / (2 * np.pi)), rtol=0.15)
assert abs(signals["tanh", "Xavier"].activations.mean()) < 0.05

# %% [markdown]
# The course asks for two things: activations with mean zero, and the same variance in every layer. tanh can have both. ReLU cannot have the first, and He's rule does without it: it keeps the mean square, which is what the next layer's variance depends on.
#
# ### What do the values look like, layer by layer?
#
# **Too small a start leaves next to nothing of them, too large a start drives many to the ends; between, they stay spread out or narrow slowly.**

# %%
# Each column is the histogram of a layer's 20,000 activations behind tanh.
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
# **Figure 17.** How tanh activations are distributed, layer by layer. Too small: after a few layers next to nothing is left. Xavier: they narrow slowly. He: they stay spread out. Too large: they crowd at -1 and 1, where tanh is flat.

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
# ### Who learns, who stands still, who diverges?

# %%
# 160 steps of plain gradient descent, each on a batch of real digits; the same batches and the same rate for all.

chance = np.log(10)  # the loss of one who gives each of ten digits the probability 1/10
data = x_deep, y_deep
unseen = {"validation": (standardize(x_validation[:1000]), y_validation[:1000])}
trained, trainers = {}, {}
for activation in rows:
    network = deep_network(activation.lower(), depth, width)
    compile_classifier(network, keras.optimizers.SGD(0.003))
    trainers[activation] = StartingPoint(network)
    for name, start in starts.items():
        trainers[activation].restore()
        draw_kernels(network, start, seed=0)
        trained[activation, name] = track_training(network, data, range(0, 161, 10), score_on=unseen)

# %% tags=["nbval-ignore-output"]
# Draw the loss of the batches, ten at a time, and print how many unseen digits are named right.
figure, panels = plt.subplots(1, 2, figsize=(9, 2.9), sharey=True)
for axes, activation in zip(panels, rows, strict=True):
    axes.axhline(chance, color="black", lw=0.8, ls="--", label="guessing")
    # Each a little thinner than the one before, so that equal curves all show.
    for (name, color), width in zip(colors.items(), (6, 3.2, 1.8, 1.4), strict=True):
        steps, losses = trained[activation, name].marks[1:], trained[activation, name].losses
        axes.plot(steps, losses, color=color, lw=width, label=name)
        if not np.isfinite(losses[0]):
            axes.plot(steps[0], 3.6, "x", color=color, ms=8, mew=2)
            axes.text(steps[0] + 6, 3.6, "no number", color=color, va="center")
    axes.set(title=activation, xlabel="step", ylim=(0, 4))
    axes.grid()
panels[0].set_ylabel("loss in nats")
ev.plots.add_legend(figure)
for (activation, name), run in trained.items():
    loss, accuracy = run.scores["validation"][-1]
    print(f"{activation}, {name:9}: validation loss {loss:5.2f}, accuracy {100 * accuracy:4.1f} %")

# %% [markdown]
# **Figure 18.** The first 160 steps of eight networks. On the dashed line stands who knows nothing. With tanh both middle starts learn, and here He's is even faster: Xavier's signal had faded on its way, see above. With ReLU only He's learns. The cross marks a loss that is no number any more, within the first ten steps.

# %% tags=["proves:bad-start-diverges-or-slows", "refines:xavier-for-tanh", "refines:rules-beat-any-random-start"]
# Who learns has left the dashed line; who stands still is on it; who diverges is far above it, or nowhere.
final = {key: run.scores["validation"][-1, 0] for key, run in trained.items()}
learns = [("tanh", "Xavier"), ("tanh", "He"), ("ReLU", "He")]
still = [("tanh", "too small"), ("ReLU", "too small"), ("ReLU", "Xavier")]
assert all(final[key] < chance - 0.05 for key in learns)
assert all(abs(final[key] - chance) < 0.01 for key in still)

# Written so that "no number" passes too: there are backends on which the loss stops at 16.
assert not final["ReLU", "too large"] < 2 * chance
assert not trained["ReLU", "too large"].losses[0] < 2 * chance
assert final["tanh", "He"] < final["tanh", "Xavier"]

# Too large with tanh: the loss comes down to guessing, and no further.
assert final["tanh", "too large"] > chance - 0.05

# %%
# Is it only that the rate does not fit? Those who stood still, at thirty times the rate; the one who diverged,
# at a thousandth.
for activation, name, rate in [
    ("ReLU", "too small", 0.1),
    ("ReLU", "Xavier", 0.1),
    ("ReLU", "too large", 0.000003),
]:
    trainers[activation].restore(learning_rate=rate)
    draw_kernels(trainers[activation].model, starts[name], seed=0)
    again = track_training(trainers[activation].model, data, [0, 100], score_on=unseen)
    loss = again.scores["validation"][-1, 0]
    assert not loss < chance - 0.05
    print(f"{name:9} at rate {rate:g}: still nothing learned")

# %% [markdown]
# A good start need not know that there are 50 layers: Xavier's and He's rules look at the size of each layer alone. The course says they go by the number of layers, too. It is the other way round: the more layers there are, the more often the factor is multiplied with itself, and the closer to 1 it has to be.
#
# ### Why not start with equal weights?
#
# **Because equal kernels get equal gradients, and so stay equal forever: many kernels do the work of one.** Below is a small network with eight kernels of 7x7 that will be watched in the next question, too. It ends in a *softmax*, which turns ten numbers into ten probabilities that add up to one.


# %%
# Two convolutions that move on by two pixels at a time, so that it trains in seconds, and a dense layer.
def small_network(kernels=8):
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="digit"),
            layers.Conv2D(kernels, 7, strides=2, activation="relu", name="first"),
            layers.Conv2D(2 * kernels, 3, strides=2, activation="relu", name="second"),
            layers.Flatten(name="flatten"),
            layers.Dense(10, activation="softmax", name="probabilities"),
        ]
    )


keras.utils.set_random_seed(0)
network = small_network()
print(f"{network.count_params():,} parameters")

# %%
# Equal weights in each layer: 1/n, so that each output is the average of what the kernel sees.


def equal_weights(model):
    weights = [np.zeros(weight.shape, "float32") for weight in model.weights]
    return [w + 1 / fans(w.shape)[0] if w.ndim > 1 else w for w in weights]


compile_classifier(network, keras.optimizers.SGD(0.1))
start = StartingPoint(network)
random_start = start.weights
start.restore(weights=equal_weights(network))

# %% tags=["proves:equal-weights-stay-equal"]
# Before training: the loss of 64 digits gives all eight kernels the same gradient, to the last bit.

gradient = ev.networks.weight_gradients(network, x_fit[:64], y_fit[:64])[0]
print(gradient.shape)
assert (gradient == gradient[..., :1]).all()
assert np.abs(gradient).max() > 0

# %% tags=["nbval-ignore-output"]
# 300 steps from the equal start, then the same steps from a random one.
unseen = {"validation": (x_validation[:2000], y_validation[:2000])}
outcomes = {}
for name, weights in [("equal", equal_weights(network)), ("random", random_start)]:
    start.restore(weights=weights)
    watched = track_training(network, (x_fit, y_fit), [0, 300], score_on=unseen)
    outcomes[name] = network.get_weights(), watched.scores["validation"][-1]
    print(f"{name:6} start: {100 * watched.scores['validation'][-1, 1]:.1f} % of unseen digits right")

# %% tags=["proves:equal-weights-stay-equal"]
# Equal after 300 steps of training, but for the last bit that a backend may round otherwise: all kernels of
# both layers, and their biases.
equal_now = outcomes["equal"][0]
for weights in equal_now[:4]:
    assert np.abs(weights - weights[..., :1]).max() < 1e-6
assert not (equal_now[0] == equal_weights(network)[0]).all()  # though they did learn

# A random start breaks the symmetry: no two of the eight kernels are alike.
flat = outcomes["random"][0][0].reshape(49, 8)
assert len(np.unique(flat, axis=1).T) == 8
assert np.linalg.matrix_rank(flat) == 8
assert np.linalg.matrix_rank(equal_now[0].reshape(49, 8)) == 1
assert outcomes["random"][1][1] > outcomes["equal"][1][1] + 0.02

# %%
# The eight kernels of the first layer after training, from both starts, on one color scale.
slices = [np.moveaxis(weights[0][:, :, 0], -1, 0) for weights, _ in outcomes.values()]
_ = ev.plots.show_images(
    np.concatenate(slices), labels=["equal start", "random start"], side=70, color_map=SIGNED
)

# %% [markdown]
# **Figure 19.** First-layer kernels after 300 steps; red adds ink, blue subtracts it. From the equal start all eight learned the same picture: seven of them are wasted. From a random start each became something of its own.

# %%
# Zeros are the worst of equal starts: behind a ReLU nothing passes, and only the last biases ever move.
start.restore(weights=[np.zeros_like(weights) for weights in random_start])
track_training(network, (x_fit, y_fit), [0, 20])
moved = [bool(np.any(weights)) for weights in network.get_weights()]
assert moved == [False, False, False, False, False, True]

# %% [markdown]
# ### What does training leave of the start?

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
weights_trained = outcomes["random"][0]
figure, panels = plt.subplots(1, 3, figsize=(9, 2.5))
for i, (axes, layer) in enumerate(zip(panels, limits, strict=True)):
    pair = random_start[2 * i], weights_trained[2 * i]
    edges = np.linspace(-1, 1, 42) * max(np.abs(values).max() for values in pair)
    for values, label, color in zip(pair, ("fresh", "trained"), (GRAY, ORANGE), strict=True):
        counts = np.histogram(values, edges)[0]
        axes.stairs(counts, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(counts, edges, color=color, lw=1.4, label=label)
    axes.set(title=f"{layer}: {pair[0].size:,} weights", xlabel="weight", yticks=[])
ev.plots.add_legend(figure)

# %% [markdown]
# **Figure 20.** Weights before and after training. Fresh ones fill a box, as they are drawn evenly from it. Training rounds the box off, and some weights leave it. Yet most of the start is still there: fresh and trained weights are correlated in every layer.

# %%
# Some leave the box, the spread grows, and yet each layer still resembles what it began as.
for i, layer in enumerate(limits):
    fresh, now = random_start[2 * i], weights_trained[2 * i]
    assert np.abs(now).max() > limits[layer]
    assert now.std() > fresh.std()
    assert np.corrcoef(fresh.ravel(), now.ravel())[0, 1] > 0.5

# %% [markdown]
# **Take away.** Draw kernels at random, so that they differ, with mean 0 and variance 2/n before a ReLU, or 1/n before a tanh. Half or twice the standard deviation looks harmless, and after 50 layers it is the difference between learning and nothing at all.

# %% [markdown]
# ## What happens during the training of a DNN?
#
# **The same four things, over and over: some images go forward through the network, a loss says how wrong the answers are, backpropagation finds the slope of the loss in every weight, and an optimizer moves each weight a little downhill.** Below they are done by hand once, then watched on real digits.
#
# ### What does one step compute, forward?
#
# **Weighted sums, a ReLU, and weighted sums again. A softmax makes probabilities of these, and the loss is minus the logarithm of the right one.**

# %%
# Zero or one? A zero is hollow and a one is not: two numbers of a picture should do.
zeros_and_ones = (y_fit == 0) | (y_fit == 1)
pictures, answers = x_fit[zeros_and_ones, ..., 0], y_fit[zeros_and_ones].astype(int)
middle = pictures[:, 13:16, 13:16].mean(axis=(1, 2))
sides = (pictures[:, 10:18, 4:10].mean(axis=(1, 2)) + pictures[:, 10:18, 18:24].mean(axis=(1, 2))) / 2
tiny_inputs = np.stack([middle, sides], axis=1)
print(tiny_inputs[:3].round(2), answers[:3])

# %%
# They do: in ones the middle has more ink than the sides, in zeros mostly not.
right = (middle > sides) == (answers == 1)
print(f"{100 * right.mean():.1f} % of {len(right):,} digits")
assert right.mean() > 0.98


# %%
# A network of two hidden units with ReLU and two outputs with softmax, in NumPy. It has 12 parameters.
def forward(inputs, w1, b1, w2, b2):
    """Everything that is computed on the way, for inputs of shape (images, 2)."""
    z1 = inputs @ w1 + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ w2 + b2
    exponentials = np.exp(z2 - z2.max(axis=1, keepdims=True))
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    return z1, a1, z2, p


def mean_loss(p, labels):
    return -np.log(p[np.arange(len(labels)), labels]).mean()


weights = [
    np.array([[0.8, -0.5], [-0.6, 0.9]]),
    np.array([0.1, 0.6]),
    np.array([[-0.7, 0.4], [0.5, -0.3]]),
    np.array([0.0, 0.0]),
]
one = tiny_inputs[answers == 1][:1]
z1, a1, z2, p = forward(one, *weights)
loss = mean_loss(p, [1])
print(f"middle and sides {one[0].round(3)}, probabilities {p[0].round(3)}, loss {loss:.3f}")

# %% [markdown]
# ### How do the slopes come back?
#
# **By the chain rule, from the loss to the front.** At the end stands the simplest formula of all: the gradient before the softmax is *what was said minus what was right*. From there each step back goes through one layer. The gradient of a weight is the gradient of the sum that it feeds, times the value that the weight had read. The gradient of that value is the gradient of each sum that it feeds, times the weight between them, added up. A ReLU lets the gradient pass where its sum was above zero, and stops it elsewhere.


# %%
# Four lines for the gradients of a two-layer network, written as a mean over the images.
def backward(inputs, labels, w1, b1, w2, b2):
    """The gradients of the mean loss by w1, b1, w2, b2, and by z1 and z2."""
    z1, a1, _, p = forward(inputs, w1, b1, w2, b2)
    dz2 = (p - np.eye(2)[labels]) / len(labels)
    dz1 = (dz2 @ w2.T) * (z1 > 0)
    slopes = [inputs.T @ dz1, dz1.sum(axis=0), a1.T @ dz2, dz2.sum(axis=0)]
    return slopes, dz1, dz2


slopes, dz1, dz2 = backward(one, [1], *weights)
for name, slope in zip(["w1", "b1", "w2", "b2"], slopes, strict=True):
    print(name, slope.round(3).tolist())

# %%
# Every number of this step in one drawing.
_ = ev.plots.show_tiny_network(
    {
        "x": one[0], "w1": weights[0], "b1": weights[1], "z1": z1[0], "a1": a1[0],
        "w2": weights[2], "b2": weights[3], "z2": z2[0], "p": p[0], "loss": loss,
    },
    {"w1": slopes[0], "w2": slopes[2], "z1": dz1[0], "z2": dz2[0]},
    ["middle", "sides", "zero", "one"],
)  # fmt: skip

# %%
# What was said minus what was right, and the products on the way back.
assert np.allclose(dz2[0], p[0] - [0, 1])
assert np.isclose(slopes[2][0, 1], a1[0, 0] * dz2[0, 1])
assert np.isclose(dz1[0, 0], weights[2][0] @ dz2[0])

# %% [markdown]
# **Figure 21.** One digit 1 on its way through the tiny network. Black goes forward: ink, weighted sums, and behind the arrow in a node what ReLU or softmax makes of its sum. Orange comes back: by how much the loss would grow for each unit that is added to the number above it. A minus says: more of this, and the loss falls. A bias has the gradient of its node.


# %% tags=["corrects:backpropagation-finds-the-optimum"]
# First check: move each of the 12 parameters by a millionth up and down, and see how much the loss changes.
def numeric_slope(part, place, step=1e-6):
    losses = []
    for sign in (1, -1):
        moved = [value.copy() for value in weights]
        moved[part][place] += sign * step
        losses.append(mean_loss(forward(one, *moved)[3], [1]))
    return (losses[0] - losses[1]) / (2 * step)


for part, slope in enumerate(slopes):
    for place in np.ndindex(slope.shape):
        assert np.isclose(numeric_slope(part, place), slope[place], atol=1e-8)


# %% tags=["refines:updates-with-every-image"]
# Second check: the same network in Keras, whose automatic differentiation finds the same slopes.
def tiny_network():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2, activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.set_weights(weights)
    return model


np.testing.assert_allclose(ops.convert_to_numpy(tiny_network()(one)), p, atol=1e-6)
for slope, by_keras in zip(slopes, ev.networks.weight_gradients(tiny_network(), one, np.array([1])), strict=True):
    np.testing.assert_allclose(by_keras, slope, atol=1e-6)

# And with 64 digits at once: the gradient of a batch is the mean of theirs.
batch, batch_labels = tiny_inputs[:64], answers[:64]
slopes_of_batch = backward(batch, batch_labels, *weights)[0]
for slope, by_keras in zip(slopes_of_batch, ev.networks.weight_gradients(tiny_network(), batch, batch_labels), strict=True):
    np.testing.assert_allclose(by_keras, slope, atol=1e-6)

# %% [markdown]
# Backpropagation is lines like these, for any number of layers: it *finds slopes*. The course calls it a method to find the best value of a function. That part belongs to the optimizer, which comes now.
#
# ### What does an optimizer do with the slopes?
#
# **It makes a step of them: in the simplest case, minus the rate times the slope.** Six optimizers, each in a line or two. `g` is the gradient, `m` and `v` are what the optimizer remembers of earlier steps, `t` counts the steps, and the rate scales them all.


# %%
# Each returns the step to take, and what to remember. The constants are those that Keras takes unless told otherwise,
# but for momentum's 0.9: there Keras has 0, which is plain SGD.
def sgd(g, m, v, t, rate):
    return -rate * g, m, v


def momentum(g, m, v, t, rate):  # like a ball: keeps nine tenths of its speed
    m = 0.9 * m - rate * g
    return m, m, v


def nesterov(g, m, v, t, rate):  # the same ball, looking one step ahead
    m = 0.9 * m - rate * g
    return 0.9 * m - rate * g, m, v


def adagrad(g, m, v, t, rate):  # each weight has its own rate, which falls as its gradients add up
    v = v + g**2
    return -rate * g / np.sqrt(v + 1e-7), m, v


def rmsprop(g, m, v, t, rate):  # the same, but old gradients are forgotten
    v = 0.9 * v + 0.1 * g**2
    return -rate * g / np.sqrt(v + 1e-7), m, v


def adam(g, m, v, t, rate):  # averages of gradients and of squares, corrected for their start at zero
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    return -rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7), m, v


# %%
# The same six of Keras, under the same names. `optimizers[name](rate)` makes a fresh one.
optimizers = {
    "SGD": keras.optimizers.SGD,
    "momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "Nesterov": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "AdaGrad": keras.optimizers.Adagrad,
    "RMSProp": keras.optimizers.RMSprop,
    "Adam": keras.optimizers.Adam,
}
by_hand = dict(zip(optimizers, [sgd, momentum, nesterov, adagrad, rmsprop, adam], strict=True))

# %% tags=["nbval-ignore-output", "proves:forward-gradient-update"]
# Three steps on the 64 digits, gradients and updates both by hand, then the same three by Keras.
rate = 0.1
for name, rule in by_hand.items():
    mine = [value.copy() for value in weights]
    first = 0.1 if name == "AdaGrad" else 0.0  # Keras lets AdaGrad's sum of squares begin at 0.1
    memory = [(np.zeros_like(value), np.full_like(value, first)) for value in weights]
    for t in (1, 2, 3):
        for i, g in enumerate(backward(batch, batch_labels, *mine)[0]):
            step, *memory[i] = rule(g, *memory[i], t, rate)
            mine[i] += step

    model = tiny_network()
    model.compile(optimizers[name](rate), loss="sparse_categorical_crossentropy", run_eagerly=True)
    for _ in range(3):
        model.train_on_batch(batch, batch_labels)
    for value, by_keras in zip(mine, model.get_weights(), strict=True):
        np.testing.assert_allclose(by_keras, value, atol=1e-5)
    print(f"{name:9} loss after three steps {mean_loss(forward(batch, *mine)[3], batch_labels):.4f}")

# %% [markdown]
# ### Which way do six optimizers take down one valley?
#
# A network has thousands of weights, too many to draw. With two weights the loss is a landscape. This one is a long valley, curved twenty times as much across as along. It lies askew, so that scaling each weight for itself, as the last three do, is not all it takes.

# %% tags=["nbval-ignore-output"]
# Sixty steps from the same place. Each optimizer may try five learning rates, and keeps the one that gets lowest.


def valley(x, y):
    return ((x + y) ** 2 + 20 * (x - y) ** 2) / 4


paths, chosen, heights = {}, {}, {}
for name, make in optimizers.items():
    for rate in (0.01, 0.03, 0.1, 0.3, 1.0):
        path = optimizer_path(make(rate), valley, (-1.8, -0.8), 60)
        with np.errstate(all="ignore"):  # too high a rate leaves the valley for good
            height = valley(*path[-1])
        if height < heights.get(name, np.inf):
            paths[name], chosen[name], heights[name] = path, rate, height
print(f"start: height {valley(-1.8, -0.8):.2f}")
for name in optimizers:
    print(f"{name:9} rate {chosen[name]:4}, height after 60 steps {heights[name]:.6f}")

# %%
# Draw the six paths, each with its best rate.
_ = ev.plots.show_paths(
    valley,
    {f"{name}, rate {chosen[name]}": {name: path} for name, path in paths.items()},
    (-2.1, 0.9, -1.9, 0.8),
)

# %% [markdown]
# **Figure 22.** From the circle to the dot in 60 steps, darker is lower. SGD goes to the floor of the valley first and then crawls along it. Momentum gathers speed and overshoots; Nesterov does so less, since it looks ahead, and here also since its best rate is lower. AdaGrad, RMSProp and Adam begin with steps of the same length in both weights, however steep it is: they start off at 45 degrees. RMSProp walks to the bottom at a nearly even pace, takes about forty steps to reach it, and in the end jumps about there: where slopes are next to nothing, dividing by their root makes long steps of them.

# %%
# SGD can be checked by a formula: along an axis of the valley with curvature c, a step leaves 1 - rate x c.
rate, steps = chosen["SGD"], np.arange(61)
along, across = (-1.8 - 0.8) / np.sqrt(2), (-1.8 + 0.8) / np.sqrt(2)
x, y = paths["SGD"].T
np.testing.assert_allclose((x + y) / np.sqrt(2), along * (1 - rate * 1) ** steps, atol=1e-4)
np.testing.assert_allclose((x - y) / np.sqrt(2), across * (1 - rate * 20) ** steps, atol=1e-4)

# The first step of the last three is equally long in both weights, though the slopes differ. Adam's is the rate.
for name in ("AdaGrad", "RMSProp", "Adam"):
    first_step = np.abs(paths[name][1] - paths[name][0])
    assert np.isclose(*first_step, rtol=0.01)
np.testing.assert_allclose(first_step, chosen["Adam"], rtol=1e-3)

# How far each runs past the bottom along the valley: momentum further than Nesterov, SGD not at all.
beyond = {name: path.sum(axis=1).max() for name, path in paths.items()}
assert beyond["momentum"] > beyond["Nesterov"] > 0 > beyond["SGD"]

# Nesterov ends lower than momentum, and momentum lower than SGD.
assert heights["Nesterov"] < heights["momentum"] < heights["SGD"]

# RMSProp is still on its way after twenty steps, and there after forty-five.
assert valley(*paths["RMSProp"][20]) > 0.1 > 0.01 > valley(*paths["RMSProp"][45])

# RMSProp never comes to rest: its last ten steps are the longest of all, and longer than a third of its rate.
lengths = {name: np.linalg.norm(np.diff(path[-11:], axis=0), axis=1).mean() for name, path in paths.items()}
assert max(lengths, key=lengths.get) == "RMSProp"
assert lengths["RMSProp"] > chosen["RMSProp"] / 3

# %% [markdown]
# ### Does an optimizer make sure that we reach the optimum?
#
# The course says so. It is a fair wish, and for a valley with one lowest point it nearly comes true. But slopes only tell where it goes down *from here*. Where there are two valleys, the start decides, and sometimes speed.


# %%
# Two valleys, the left one deeper. All six start from the left and from the right of the hill between them.
def two_valleys(x, y):
    return x**4 / 4 - x**2 / 2 + 0.15 * x + y**2 / 2


sides = {"starting left of the hill": (-0.3, 1.1), "starting right of the hill": (0.6, 1.1)}
ends = {
    side: {name: optimizer_path(make(0.1), two_valleys, start, 60) for name, make in optimizers.items()}
    for side, start in sides.items()
}
far = {name: optimizer_path(optimizers[name](0.1), two_valleys, (1.9, 1.1), 60) for name in optimizers}
_ = ev.plots.show_paths(two_valleys, {**ends, "starting far to the right": far}, (-1.9, 2.2, -1.4, 1.5))

# %% tags=["corrects:optimizers-ensure-the-optimum"]
# The two lowest points, from the slope of the surface: x^3 - x + 0.15 = 0.
lowest = sorted(np.roots([1, 0, -1, 0.15]).real)
deep, shallow = lowest[0], lowest[2]
assert two_valleys(deep, 0) < two_valleys(shallow, 0) - 0.2
for name in optimizers:
    assert abs(ends["starting left of the hill"][name][-1, 0] - deep) < 0.3
    assert abs(ends["starting right of the hill"][name][-1, 0] - shallow) < 0.3

# From far right most stay in the shallow valley; momentum is fast enough to roll over the hill.
found = {name: "deep" if path[-1, 0] < 0 else "shallow" for name, path in far.items()}
print(found)
assert found["SGD"] == found["AdaGrad"] == found["Adam"] == "shallow"
assert found["momentum"] == found["Nesterov"] == "deep"

# %% [markdown]
# **Figure 23.** Two valleys. Left and middle: two starts close to each other, on either side of the hill, end in different valleys, with every one of the six. Right: from further up, the two with momentum are carried over the hill into the deeper valley. From the far left they would be carried out of it: that is luck, not judgment.

# %%
# The same momentum, from the far left, leaves the deeper valley for the shallow one.
path = optimizer_path(optimizers["momentum"](0.1), two_valleys, (-1.9, 1.1), 60)
assert abs(path[-1, 0] - shallow) < 0.3

# %% [markdown]
# ### What does training look like in a real network?
#
# **Most of it happens in the first hundred steps.** This is the network of eight 7x7 kernels from the last question, on 50,000 digits, 64 at a time.

# %%
# Look at the kernels, the loss and 2,000 unseen digits at 14 moments, close together at first.
moments = [0, 1, 3, 6, 10, 18, 30, 55, 100, 180, 300, 450, 600, 780]
network.set_weights(random_start)
compile_classifier(network, keras.optimizers.SGD(0.05, momentum=0.9))
data = x_fit, y_fit
unseen = {"validation": (x_validation[:2000], y_validation[:2000])}
watched = track_training(network, data, moments, score_on=unseen)

# %% tags=["nbval-ignore-output"]
# Loss and errors on unseen digits over the steps, on a logarithmic axis: most happens early.
validation_loss, accuracy = watched.scores["validation"].T
figure = ev.plots.show_lines(
    {
        "validation loss in nats": {"": (moments[1:], validation_loss[1:])},
        "errors in %": {"": (moments[1:], 100 * (1 - accuracy[1:]))},
    },
    x_label="step",
    log="x",
)
for axes in figure.axes:
    axes.vlines([1, 10, 30, 100, 300, 780], 0, axes.get_ylim()[1], GRAY, ls=":", lw=0.8)
    axes.set_ylim(0, None)
print(f"{len(x_fit) / 64:.0f} steps are one epoch; accuracy {100 * accuracy[-1]:.1f} % on unseen digits")

# %% [markdown]
# **Figure 24.** One *epoch* of training, in which each image is seen once. The loss is in *nats*, for its logarithm is the natural one. Most of it is gone in the first 100 steps, when the network has seen one image in eight. The dotted lines are the moments of the next figure.

# %% tags=["proves:forward-gradient-update"]
# One epoch is enough to learn, and the first eighth of it does most of the work.
assert accuracy[0] < 0.2
assert accuracy[-1] > 0.95
assert validation_loss[0] - validation_loss[8] > 0.8 * (validation_loss[0] - validation_loss[-1])

# %% tags=["nbval-ignore-output"]
# The eight kernels of the first layer at seven moments, on one color scale.
shown = [0, 1, 10, 30, 100, 300, 780]
film = [watched.kernels[moments.index(step)] for step in shown]
slices = np.concatenate([np.moveaxis(moment[:, :, 0], -1, 0) for moment in film])
row_labels = ["start", *[f"step {step}" for step in shown[1:]]]
_ = ev.plots.show_images(slices, labels=row_labels, side=63, color_map=SIGNED)

# %% [markdown]
# **Figure 25.** First-layer kernels while they are trained, a column each; red adds ink, blue subtracts it. One step changes nothing that could be seen. Then strokes and edges rise out of the noise, each kernel in its own direction, and later steps sharpen them. Some kernels hardly change at all.

# %% tags=["nbval-ignore-output"]
# How far the kernels move in a step, early and late, relative to their size at the start.
size = np.linalg.norm(watched.kernels[0])
per_step = [
    np.linalg.norm(after - before) / size / (late - early)
    for (before, after), (early, late) in zip(pairwise(film), pairwise(shown), strict=True)
]
for (early, late), moved in zip(pairwise(shown), per_step, strict=True):
    print(f"step {early:3} to {late:3}: {100 * moved:.2f} % a step")

# %%
# Kernels move far in all, and most slowly at the end.
assert np.linalg.norm(film[-1] - film[0]) > 0.5 * size
assert np.argmin(per_step) == len(per_step) - 1
assert per_step[-1] < 0.3 * max(per_step)
assert per_step[0] < 0.05  # the first step cannot be seen

# Not all of them move alike.
by_kernel = np.linalg.norm((film[-1] - film[0]).reshape(49, 8), axis=0)
assert by_kernel.min() < 0.5 * by_kernel.max()

# %% [markdown]
# ### Which optimizer is the best for digits?
#
# **On this network and in so few steps RMSProp and Adam come first; but each of the six gets there with a learning rate of its own, and a rate that does not fit costs more than the wrong name.** The contest: the same network, the same 200 batches of 64, the same starting weights. Each optimizer may choose among three rates by the loss on 2,000 validation images after the last step. Then it runs from three starts with that rate.

# %%
# One compiled network for each optimizer serves for all its runs: bring it back to a start, and change the rate.
rates = {
    "SGD": (0.1, 0.3, 1.0),
    "momentum": (0.03, 0.1, 0.3),
    "Nesterov": (0.03, 0.1, 0.3),
    "AdaGrad": (0.1, 0.3, 1.0),
    "RMSProp": (0.003, 0.01, 0.03),
    "Adam": (0.003, 0.01, 0.03),
}
contest_starts = []
for seed in range(3):
    keras.utils.set_random_seed(seed)
    contest_starts.append(small_network().get_weights())

choice, trainers = {}, {}
for name, make in optimizers.items():
    model = small_network()
    compile_classifier(model, make(0.1))
    trainers[name] = StartingPoint(model)
    choice[name] = {}
    for rate in rates[name]:
        trainers[name].restore(weights=contest_starts[0], learning_rate=rate)
        run = track_training(model, data, [0, 200], score_on=unseen)
        choice[name][rate] = run.scores["validation"][-1, 0]

# %% tags=["nbval-ignore-output"]
# The loss after 200 steps with each rate; the ring marks the rate that is chosen.
best_rate = {name: min(by_rate, key=by_rate.get) for name, by_rate in choice.items()}
figure = ev.plots.show_lines(
    {name: (list(by_rate), list(by_rate.values())) for name, by_rate in choice.items()},
    x_label="learning rate",
    y_label="validation loss in nats",
    log="xy",
)
for number, (name, rate) in enumerate(best_rate.items()):
    figure.axes[0].plot(rate, choice[name][rate], "o", mfc="none", mec=f"C{number}", ms=13, mew=1.5)
print(best_rate)

# %% [markdown]
# **Figure 26.** The validation loss after 200 steps over the learning rate. RMSProp and Adam were offered lower rates than the rest, since their steps are about as long as the rate, however small the gradient. At their best rates the six lie close together; away from it each gets worse, and a factor of three too much may be the end of learning.

# %% tags=["nbval-ignore-output"]
# From three starts, with other batches each, at the chosen rate.
curves = {}
places = [0, 10, 20, 35, 50, 75, 100, 150, 200]
for name, start in trainers.items():
    losses = []
    for seed, weights in enumerate(contest_starts):
        start.restore(weights=weights, learning_rate=best_rate[name])
        run = track_training(start.model, data, places, seed=seed, score_on=unseen)
        losses.append(run.scores["validation"][:, 0])
    curves[name] = places, np.array(losses)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.2), width_ratios=[1.35, 1])
for number, (name, (steps, losses)) in enumerate(curves.items()):
    left.plot(steps, losses.mean(axis=0), color=f"C{number}", label=name)
    ends = losses[:, -1]
    right.plot(ends, [name] * len(ends), "o", color=f"C{number}", mec="white", ms=8)
    right.plot(ends.mean(), name, "|", color=f"C{number}", ms=20, mew=2)
left.set(xlabel="step", ylabel="validation loss in nats", title="on the way, mean of three starts")
right.set(xlabel="validation loss in nats", title="at the end, each start a point")
ev.plots.scale_axes(left, "y")
right.invert_yaxis()
right.grid(axis="x")
left.legend()
for name, (_, losses) in curves.items():
    print(
        f"{name:9} mean loss {losses[:, -1].mean():.3f}, best {losses[:, -1].min():.3f}, worst {losses[:, -1].max():.3f}"
    )

# %% tags=["corrects:optimizers-need-fewest-epochs"]
# Everyone learns from every start. The rate moves the loss more than the name does.
final = np.array([losses[:, -1] for _, losses in curves.values()])
assert final.max() < 1
mean_loss_of = dict(zip(curves, final.mean(axis=1), strict=True))
assert max(mean_loss_of["RMSProp"], mean_loss_of["Adam"]) < min(mean_loss_of["SGD"], mean_loss_of["momentum"])
best_losses = [min(by_rate.values()) for by_rate in choice.values()]
by_name = max(best_losses) / min(best_losses)
by_one_rate = [max(losses.values()) / min(losses.values()) for losses in choice.values()]
assert np.median(by_one_rate) > by_name

# Too high a rate: some losses stay above 1, while those of the chosen rates all end far below.
assert not all(loss < 1 for losses in choice.values() for loss in losses.values())
assert max(best_losses) < 0.5

# The means of the first four differ by less than the three starts of one of them.
assert np.ptp(final[:4].mean(axis=1)) < np.ptp(final[:4], axis=1).max()

# %% [markdown]
# **Figure 27.** The contest at the chosen rates. Left: the loss on unseen digits, mean of three starts. Right: where each start ends. RMSProp and Adam are ahead here. Among the other four the three points of one optimizer can lie farther apart than the four means do, so three starts do not rank them. Another network or a longer training may give another order: this one holds for this network and 200 steps.
#
# ### What if there are few images?


# %%
# 1,000 digits and a network with many more parameters than that. With dropout, half of the values of two
# layers are left out at random in each training step.
def large_network(dropout):
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 7, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dropout(dropout, seed=0),
            layers.Dense(64, activation="relu"),
            layers.Dropout(dropout, seed=1),
            layers.Dense(10, activation="softmax"),
        ]
    )


few = x_fit[:1000], y_fit[:1000]
scored = {"seen": few, "unseen": (x_validation[:2000], y_validation[:2000])}
runs = {}
for label, dropout in [("without dropout", 0.0), ("with dropout", 0.5)]:
    keras.utils.set_random_seed(0)
    model = large_network(dropout)
    compile_classifier(model, keras.optimizers.Adam(0.002))
    runs[label] = track_training(model, few, range(0, 501, 25), batch_size=50, score_on=scored)
print(f"{model.count_params():,} parameters, {500 * 50 // 1000} epochs")

# %% tags=["nbval-ignore-output"]
# Both losses are scored with dropout off, so that the curves can be compared.
figure, panels = plt.subplots(1, 2, figsize=(9, 2.9), sharey=True)
for axes, (label, run) in zip(panels, runs.items(), strict=True):
    seen, unseen_loss = run.scores["seen"][:, 0], run.scores["unseen"][:, 0]
    axes.plot(run.marks, seen, color=BLUE, label="images it was trained on")
    axes.plot(run.marks, unseen_loss, color=ORANGE, label="images it never saw")
    axes.fill_between(run.marks, seen, unseen_loss, color=ORANGE, alpha=0.12, lw=0, label="the gap")
    axes.set(title=label, xlabel="step", ylim=(0, None))
    axes.grid()
panels[0].set_ylabel("loss in nats")
panels[1].legend(loc="upper right")
for label, run in runs.items():
    seen, unseen_last = run.scores["seen"][-1], run.scores["unseen"][-1]
    print(
        f"{label:15}: accuracy {100 * seen[1]:.1f} % seen, {100 * unseen_last[1]:.1f} % unseen; "
        f"loss {seen[0]:.3f} seen, {unseen_last[0]:.3f} unseen"
    )

# %% [markdown]
# **Figure 28.** Training on 1,000 digits. Without dropout the network knows its own digits by heart after a dozen epochs; on others its loss *rises* again, though it makes no more mistakes than before: it gets surer of them. With dropout it learns more slowly, the gap is much smaller, and more of the unseen digits are named right.

# %% tags=["proves:dropout-against-overfitting"]
# Learned by heart, and the loss on unseen digits went up again; dropout makes gap and loss smaller.
plain, dropped = (runs[label].scores for label in ("without dropout", "with dropout"))
assert plain["seen"][runs["without dropout"].marks.index(250), 1] > 0.98  # after 12 epochs
assert plain["seen"][-1, 1] > 0.995
assert plain["unseen"][-1, 0] > 1.2 * plain["unseen"][:, 0].min()
best = plain["unseen"][:, 0].argmin()
assert plain["unseen"][-1, 1] > plain["unseen"][best, 1] - 0.01  # a higher loss, yet no more mistakes
gap = {label: run.scores["unseen"][-1, 0] - run.scores["seen"][-1, 0] for label, run in runs.items()}
assert gap["with dropout"] < 0.6 * gap["without dropout"]
assert dropped["seen"][4, 0] > plain["seen"][4, 0]  # slower, after 100 steps
assert dropped["unseen"][-1, 0] < plain["unseen"][-1, 0]
assert dropped["unseen"][-1, 1] > plain["unseen"][-1, 1]

# %% [markdown]
# ### Where does the course say it more simply than it is?
#
# - It lets a network end in fully connected layers. Of five well-known networks one does so as the course draws it; the others average over positions first: see [notebook 03](03_receptive_fields.ipynb), *What does the fully connected layer cost?*
# - It has the layers find edges, then textures, patterns, parts and objects. As far as parts, the eye agrees: [notebook 02](02_kernel_visualization.ipynb) draws what each of five layers looks for.
# - The course says of its optimizers that they make sure of the optimum, in the fewest epochs. None does: two starts ended in two valleys above, with every optimizer, and on digits a learning rate that did not fit cost more than the wrong name.
# - It calls backpropagation a way to find the best value. It finds the slopes; what is done with them is up to the optimizer.
# - It has weights updated whenever an image passes. Here, as nearly always, that happens once for each batch, by the mean of its gradients.
# - It says that the picture which makes a kernel happiest gives this kernel a low loss. What the picture gives it is a high activation: the loss belongs to the network as a whole. Such pictures are made in [notebook 02](02_kernel_visualization.ipynb).
#
# **Take away.** Forward, loss, backward, update: each is a few lines that can be checked by hand. What the network becomes depends on where it starts, on the learning rate, on how many images it has seen, and on what keeps it from learning them by heart; on the name of the optimizer less than one would think.
#
# **Read on.** [Notebook 02](02_kernel_visualization.ipynb) shows what kernels see, and what they become in training. [Every claim of the course](../docs/claims.md) stands beside the cell that checks it.
