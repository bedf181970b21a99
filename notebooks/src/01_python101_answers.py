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
# *For students who begin a vision course. You need some Python and NumPy, nothing else. 35 minutes to read, 3 to run on two processor cores.*
#
# | Question | Answer |
# |---|---|
# | [What are channels and kernels?](#What-are-channels-and-kernels?) | A channel is a map that says, for each position, how strongly a feature (an edge, a color, a letter) is present there. A kernel is the small array of weights that makes this map. |
# | [Why should we nearly always use 3x3 kernels?](#Why-should-we-nearly-always-use-3x3-kernels?) | 3x3 is the smallest kernel with a center and a neighbor on every side. Two of them see 5x5 pixels with 18 weights instead of 25. |
# | [How many 3x3 convolutions lead from 199x199 to 1x1?](#How-many-3x3-convolutions-lead-from-199x199-to-1x1?) | 99: each takes two pixels from height and width. With poolings in between, 10. |
# | [How are kernels initialized?](#How-are-kernels-initialized?) | With small random numbers, larger for ReLU (the He rule) than for tanh (the Xavier rule). Too large explodes, too small vanishes. |
# | [What happens during training?](#What-happens-during-training?) | The network predicts, a loss says how wrong it is, and each weight moves a little in the direction that makes the loss smaller. Over and over. |

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
# ## What are channels and kernels?
#
# **A channel is a map: for each position in the picture it holds one number that says how strongly one feature is present there. A kernel is the small array of weights that makes the channel. It is laid over every position and gives a large number where it finds its feature.** One kernel makes one channel. (The course says it the same way: a channel is a container of similar information, a kernel extracts it.)
#
# ### What does a kernel compute?
#
# Take a picture of 5x5 numbers: a bright rectangle in the lower right corner. The kernel subtracts what is on the left from what is on the right.

# %%
# A convolution is a double loop: visit each position, multiply, add.
def convolve(picture, kernel):
    height, width = picture.shape[0] - 2, picture.shape[1] - 2
    output = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            output[y, x] = (picture[y : y + 3, x : x + 3] * kernel).sum()
    return output


small_picture = np.array([
    [0, 0, 0, 0, 0],
    [0, 0, 1, 1, 1],
    [0, 0, 1, 1, 1],
    [0, 0, 1, 1, 1],
    [0, 0, 1, 1, 1],
])  # fmt: skip
right_minus_left = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
small_output = convolve(small_picture, right_minus_left)
print(small_output)


# %%
# Watch it slide: the window in orange, its nine products added up into one number of the output.
def draw_numbers(axes, numbers, title, *, limits, box=None, known=None):
    """Draw a matrix of numbers, only the first `known` of them, with a box around some."""
    shown = np.arange(numbers.size).reshape(numbers.shape) < (numbers.size if known is None else known)
    axes.imshow(np.where(shown, numbers, 0), cmap=ev.plots.SIGNED, vmin=-limits, vmax=limits)
    for (y, x), value in np.ndenumerate(numbers):
        text = f"{value:g}".replace("-", "−") if shown[y, x] else ""
        axes.text(x, y, text, ha="center", va="center", fontsize=12)
        axes.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec="#cbd5e0", lw=0.8))
    if box:
        ev.plots.outline(axes, box, lw=3)
    ev.plots.hide_axes(axes, title)


frames = []
for known in (9, *range(1, 10)):
    y, x = divmod(known - 1, 3)
    figure, row = plt.subplots(1, 3, figsize=(6.4, 2.6), width_ratios=[5, 3, 3])
    draw_numbers(row[0], small_picture, "picture", limits=4, box=(y, x, 3, 3))
    draw_numbers(row[1], right_minus_left, "× kernel =", limits=4)
    draw_numbers(row[2], small_output, "sum", limits=4, box=(y, x, 1, 1), known=known)
    frames.append(figure)
ev.plots.animate(frames, seconds=0.7, colors=32)

# %% [markdown]
# **Figure 1.** A 3x3 kernel on a picture of 5x5 pixels fits at nine positions, so the output has 3x3 numbers. It is large where the picture gets brighter from left to right, and zero where nothing changes.
#
# `ev.apply_kernel` does the same in one call, for photographs of any size. By default it mirrors the picture beyond its border, so that the output is as large as the picture. `border="constant"` takes zeros there, `border="valid"` leaves the border out.
#
# ### What channels does a photograph have?
#
# Three: how much red, how much green and how much blue each pixel has, from 0 to 255. A channel by itself has no color. It is a gray picture, bright where there is much of it.

# %%
# Take a photograph apart.
photo = ev.sample_photo("astronaut", 196)
titles = ["photograph", "red channel", "green channel", "blue channel"]
_ = ev.plots.show_images([photo, *np.moveaxis(photo, -1, 0)], titles, side=196)

# %% [markdown]
# **Figure 2.** A photograph and its three channels. The orange suit is bright in the red channel and dark in the blue one. The gray wall looks nearly the same in all three.
#
# ### Can a kernel find a letter?
#
# **Yes. Cut an e out of a page, and you have a kernel that finds the e's.** This is the course's example: one channel for each letter, 26 in all, and in the e-channel every e lights up. We draw the page ourselves, so that we know where each letter is and can count.

# %%
# Six lines with every letter of the alphabet; the first two are full of letters that resemble an e.
texts = [
    "seven green bees see a sea",
    "a cocoa ocean coast decade",
    "the quick brown fox jumps",
    "over every lazy dog and we",
    "pack my box with the best",
    "five dozen liquor jugs yet",
]
page, letters = ev.data.draw_page([ev.data.Line(text) for text in texts])


def cut_kernel(page, letter, half=9):
    """Cut a square around a letter. Ink inside its strokes raises the sum, ink elsewhere lowers it."""
    row, column = int(letter.row), int(letter.column)
    patch = page[row - half : row + half + 1, column - half : column + half + 1]
    weights = patch - patch.mean()
    return weights / (weights**2).sum()  # so that the letter itself gives exactly 1


first_e = next(letter for letter in letters if letter.character == "e")
kernel = cut_kernel(page, first_e)
e_channel = ev.apply_kernel(page, kernel, border="constant")
print("a kernel of", kernel.shape, "turns a page of", page.shape, "into a channel of", e_channel.shape)

# %% [markdown]
# A convolution layer can apply a threshold itself: add −0.9 (the *[bias](../docs/glossary.md#bias)*), then set every negative value to 0 (*[ReLU](../docs/glossary.md#relu)*). Only the e's are left. (You can skip the next cell: it finds the peaks of a channel and compares them with the known letters.)

# %%
# Where the channel is above the threshold and nothing nearby is higher, an e was found.
def find_peaks(channel, reach=6):
    """Rows and columns of positive values that nothing near them exceeds."""
    channel = np.asarray(channel, "float32")
    pooled = ops.max_pool(channel[np.newaxis, ..., np.newaxis], 2 * reach + 1, 1, "same")
    return np.argwhere((channel == ops.convert_to_numpy(pooled)[0, ..., 0]) & (channel > 0))


def count(peaks, letters, wanted="e", reach=6):
    """Sort peaks and wanted letters into found, missed and false alarm, as rows and columns."""
    middles = np.array([(letter.row, letter.column) for letter in letters])
    is_wanted = np.array([letter.character == wanted for letter in letters])
    distance = np.linalg.norm(peaks[:, np.newaxis] - middles, axis=-1).reshape(-1, len(letters))
    nearest = distance.argmin(axis=1)
    hit = is_wanted[nearest] & (distance.min(axis=1) <= reach)
    found = np.isin(np.arange(len(letters)), nearest[hit])
    return {"found": middles[found], "missed": middles[is_wanted & ~found], "false alarm": peaks[~hit]}


threshold = 0.9
marks = count(find_peaks(np.maximum(e_channel - threshold, 0)), letters)
print({name: len(positions) for name, positions in marks.items()})

# %%
# Draw the page with the e's that were found, the kernel, and its channel (values below 0.4 are black).
def draw_marks(axes, marks):
    """Draw each kind of letter with its own shape and color, and its count in the legend."""
    forms = [("o", ev.plots.BLUE), ("s", ev.plots.ORANGE), ("x", "#c53030"), ("^", "black")]
    for (name, positions), (form, color) in zip(marks.items(), forms, strict=False):
        rows, columns = np.reshape(positions, (-1, 2)).T
        axes.plot(columns, rows, form, color=color, mfc="none", ms=13, label=f"{name}: {len(rows)}")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.1)


# Each pixel of the channel shows the highest value of 7x7, so that single bright pixels can be seen.
highest = np.lib.stride_tricks.sliding_window_view(np.pad(e_channel, 3), (7, 7)).max((2, 3))
pictures = {" ": 1 - page, "e-channel": ev.plots.colorize(highest, "magma", (0.4, 1))}
figure = ev.plots.show_images(pictures, columns=1, side=480)
draw_marks(figure.axes[0], marks)
part = figure.axes[0].inset_axes((-0.27, 0.2, 0.24, 0.6))
part.imshow(ev.plots.colorize(kernel))
ev.plots.hide_axes(part, "kernel")
plt.show()

# %% [markdown]
# **Figure 3.** The page, the e-kernel (red where it wants ink, blue where it wants paper), and the e-channel. Bright dots are the middles of the e's. Letters that share strokes with an e, like o and a, give weaker dots that stay below the threshold.
#
# ### Does it find an e of every size and slant?
#
# **No. One kernel finds what looks like itself. Other sizes and slants need more kernels.** The course wants e's of every size and slant in its e-channel. So we draw the same words in eleven styles and count again, first with our one kernel, then with six more that are cut from e's in other styles.

# %%
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
styled_lines = [ev.data.Line(words, **style) for style in styles.values()]
variants, variant_letters = ev.data.draw_page(styled_lines, width=624)

# Six more kernels, from letters on a sheet of their own: no kernel is counted on the letter it was cut from.
more = ["smaller", "much smaller", "larger", "turned 25 degrees", "turned back 25", "with serifs"]
sheet, specimens = ev.data.draw_page([ev.data.Line(" e", **styles[name]) for name in more], width=80)
halves = [round(9 * styles[name].get("size", 24) / 24) for name in more]
letter_kernels = [kernel] + [cut_kernel(sheet, s, half) for s, half in zip(specimens, halves, strict=True)]

# %% tags=["nbval-ignore-output"]
# Seven kernels, one channel: the largest of the seven responses. The next layer of a network would merge them.
responses = [ev.apply_kernel(variants, weights, border="constant") for weights in letter_kernels]
by_one = count(find_peaks(np.maximum(responses[0] - threshold, 0)), variant_letters)
by_seven = count(find_peaks(np.maximum(np.max(responses, axis=0) - threshold, 0)), variant_letters)
for name, result in (("one kernel", by_one), ("seven kernels", by_seven)):
    print(f"{name:13}", {kind: len(positions) for kind, positions in result.items()})
late = [p for p in by_seven["found"] if not (p == by_one["found"]).all(axis=1).any()]
kinds = {
    "found by the one kernel": by_one["found"],
    "only by seven": np.array(late),
    "by none": by_seven["missed"],
    "false alarm": by_seven["false alarm"],
}
figure = ev.plots.show_images([1 - variants], side=variants.shape[1])
draw_marks(figure.axes[0], kinds)
figure.axes[0].set_yticks(34 * (np.arange(len(styles)) + 0.5), list(styles))
figure.axes[0].tick_params(length=0)
plt.show()

# %% [markdown]
# **Figure 4.** One kernel finds e's of its own size, also bold or slightly turned. Other sizes, larger turns and serifs need kernels of their own. Nobody cut a kernel for the slanted line or the last one: most e's of the first and all of the second are missed. More kernels also mean more ways to be wrong: see the false alarm.
#
# ### How do letters become words?
#
# **With a 1x1 convolution over letter channels. It looks at one pixel at a time, multiplies each channel by a weight, adds, and adds a bias.** The course calls the result a *complex channel*. The word part "end" is an e, an n to its right, and a d to the right of that. So shift the e-channel one letter to the right and the d-channel one letter to the left. Now all three are active at the n. Add them with the weights 1, 1, 1 and the bias −2: the sum is positive only where all three agree.

# %%
# Three letter channels of a new page, from three kernels.
word_texts = ["send a friend the bend", "the queen needs a den", "in the end we lend it", "candles need tending"]
word_page, word_letters = ev.data.draw_page([ev.data.Line(text) for text in word_texts], width=440)
active = {}
for character in "end":
    first = next(letter for letter in word_letters if letter.character == character)
    response = ev.apply_kernel(word_page, cut_kernel(word_page, first), border="constant")
    active[character] = (response > threshold).astype("float32")

# A 5x5 max pooling takes the largest of 5x5 values, so that the exact position is unimportant. Then shift and add.
letter_maps = {
    c: ops.convert_to_numpy(ops.max_pool(channel[np.newaxis, ..., np.newaxis], 5, 1, "same"))[0, ..., 0]
    for c, channel in active.items()
}
pitch = 17  # pixels from letter to letter
word_channel = np.roll(letter_maps["e"], pitch, 1) + letter_maps["n"] + np.roll(letter_maps["d"], -pitch, 1) - 2
pictures = {"page": 1 - word_page, '"end" channel': np.maximum(word_channel, 0)}
figure = ev.plots.show_images(pictures, columns=2, side=392, limits=(0, 1))
marked = count(find_peaks(word_channel), word_letters, wanted="n")
rows, columns = marked["found"].T
figure.axes[0].plot(columns, rows, "o", mfc="none", mec=ev.plots.ORANGE, ms=14, mew=0.6)
plt.show()

# %% [markdown]
# **Figure 5.** A channel for "end", made of the channels for e, n and d. It is active in send, friend, bend, end, lend and tending, and silent in den, need, queen and candles.

# %% [markdown]
# ### How much does color tell?
#
# **Less than you would expect about *what* an object is.** Here is a gray photograph with thin colored lines over it, one pixel wide and eight apart. Only the lines have color. Step back: the suit is orange.

# %%
# Gray is the brightness that the eye sees; the lines take the photograph's colors, made four times as strong.
brightness = np.array([0.299, 0.587, 0.114])
scaled = ev.sample_photo("astronaut", 400) / 255
gray = np.repeat((scaled @ brightness)[..., np.newaxis], 3, axis=-1)
strong_colors = np.clip(gray + 4 * (scaled - gray), 0, 1)
on_line = np.arange(400) % 8 == 0
is_line = on_line[:, np.newaxis] | on_line
line_photo = np.where(is_line[..., np.newaxis], strong_colors, gray)
figure = ev.plots.show_images({"gray, with colored lines": line_photo, "gray": gray}, side=400)

# %% [markdown]
# **Figure 6.** The line illusion. On the left more than three quarters of the pixels are gray, exactly as on the right. The eye takes color from wide areas and fills it in. Shapes come from the gray picture alone.
#
# Nobody takes a blue cup for something else. In the next figure red is shown as green, green as blue, and blue as red. Can a program still tell which photograph it is? We compare by mean color, and by edges. (Mean color has little chance here; but a network that relied on it would fail in just this way.)

# %%
# Seven color photographs, the same with swapped channels, and the edges of both.
photo_names = ["astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry", "hubble_deep_field"]
originals = [ev.sample_photo(name, 66) / 255 for name in photo_names]
recolored = [picture[..., [2, 0, 1]] for picture in originals]
old_edges = [ev.gradient_magnitude(picture @ brightness) for picture in originals]
new_edges = [ev.gradient_magnitude(picture @ brightness) for picture in recolored]

# Compare each recolored photograph with each original.
edge_correlation = np.array([[np.corrcoef(n.ravel(), o.ravel())[0, 1] for o in old_edges] for n in new_edges])
color_distance = np.array([[np.linalg.norm((n - o).mean((0, 1))) for o in originals] for n in recolored])
by_edges = (edge_correlation.argmax(axis=1) == np.arange(7)).sum()
by_color = (color_distance.argmin(axis=1) == np.arange(7)).sum()
print(f"recognized by edges: {by_edges} of 7, by mean color: {by_color} of 7")
drawings = [1 - np.clip(edge / np.percentile(edge, 98), 0, 1) for edge in new_edges[:4]]
rows = ["photograph", "recolored", "edges"]
_ = ev.plots.show_images([*originals[:4], *recolored[:4], *drawings], labels=rows, side=132)

# %% [markdown]
# **Figure 7.** Four of the seven photographs, with swapped colors, and the edges of the recolored ones. A cat is a cat in any color, and also without any.
#
# ### What do Sobel-x, Sobel-y and the Laplacian find?
#
# **Sobel-x finds vertical edges, Sobel-y horizontal ones, and the Laplacian finds both, as a pair of lines.** The kernels are approximate derivatives. With $f$ as the brightness at $(x, y)$:
#
# $$\nabla f = \begin{bmatrix} g_x \\ g_y \end{bmatrix} = \begin{bmatrix} \partial f/\partial x \\ \partial f/\partial y \end{bmatrix} \qquad \nabla^2 f = \frac{\partial^2 f}{\partial x^2} + \frac{\partial^2 f}{\partial y^2}$$
#
# Why is Sobel-x a derivative? Because it is a product of two simple parts: $[-1, 0, 1]$ takes the right neighbor minus the left one (the slope along x), and $[1, 2, 1]$ averages three rows (to suppress noise). The Laplacian adds two second differences $[1, -2, 1]$, one along x and one along y: the change of the slope, (right − center) − (center − left).

# %%
# Build the course's three kernels from these parts.
slope, smooth, second = np.array([-1, 0, 1]), np.array([1, 2, 1]), np.array([1, -2, 1])
sobel_x = np.outer(smooth, slope)
sobel_y = np.outer(-slope, smooth)  # the course's sign: upward is positive
laplacian = np.zeros((3, 3), int)
laplacian[1, :] += second
laplacian[:, 1] += second
for name, weights in {"Sobel-x": sobel_x, "Sobel-y": sobel_y, "Laplacian": laplacian}.items():
    print(f"{name:9}", weights.tolist())

# A ramp that gets brighter by 3 per column: the slope 3, times 8 (two pixels apart, weights 1 + 2 + 1).
ramp = np.tile(3 * np.arange(6), (5, 1))
print("Sobel-x of a ramp with slope 3:", ev.apply_kernel(ramp, sobel_x, border="valid")[0])

# %%
# The three kernels on a photograph, with the channels that they make.
camera = ev.sample_photo("camera", 260)[..., 0] / 255
gx, gy = ev.sobel_gradients(camera)
curvature = ev.laplacian(camera)
pictures = {"photograph": camera}
for name, output in [("Sobel-x", gx), ("Sobel-y", gy), ("Laplacian", curvature)]:
    pictures[name] = ev.plots.colorize(output, limits=99)
figure = ev.plots.show_images(pictures, side=192)
for axes, weights in zip(figure.axes[1:], [sobel_x, sobel_y, laplacian], strict=True):
    above = axes.inset_axes((0.25, 1.15, 0.5, 0.5))
    ev.plots.write_numbers(above, weights, ev.plots.colorize(weights, limits=(-8, 8)))
plt.show()

# %% [markdown]
# **Figure 8.** Blue is negative, white is zero, red is positive. Sobel-x responds to the tripod's vertical leg: red where it gets brighter to the right, blue where it gets darker. Sobel-y responds to the horizontal top of the camera. The Laplacian draws each edge as a red line beside a blue one.
#
# Both Sobel outputs together form a vector, the *[gradient of the image](../docs/glossary.md#gradient-of-an-image)*. It points to where the picture gets brighter, and it is long where that happens fast.

# %%
# One coin on dark cloth; arrows where the gradient is strong.
coin = ev.sample_photo("coins", 303)[84:154, 194:264, 0] / 255
coin_gx, coin_gy = ev.sobel_gradients(coin)
length = ev.gradient_magnitude(coin)
rows, columns = np.mgrid[2:70:3, 2:70:3].reshape(2, -1)
arrows = np.stack([coin_gx, coin_gy])[:, rows, columns] * 8 / np.percentile(length, 98)
arrows[:, np.hypot(*arrows) < 2.5] = np.nan
figure = ev.plots.show_images({"coin, with gradient arrows": coin, "length of the gradient": length / length.max()}, side=350)
figure.axes[0].quiver(columns, rows, *arrows, color=ev.plots.ORANGE, scale_units="xy", scale=1, width=0.007)
plt.show()

# %% [markdown]
# **Figure 9.** On the coin's edge most arrows point inward, from the dark cloth to the bright coin. (Of the pixels where the gradient is strongest, more than nine in ten do; the check below counts them.)
#
# ### Can a kernel be learned from examples?
#
# **Yes, in ten steps.** Suppose we do not know Sobel-x, but we have a picture and its edges. Start with a kernel of zeros. In each step compute the error, and move each weight a little in the direction that makes the squared error smaller. (For one weight, the slope of the error is 2 · mean(error · pixel). We move against it, by 0.4 times the slope: that is the *[learning rate](../docs/glossary.md#learning-rate)*. The [last question](#What-happens-during-training?) explains why.)

# %%
# Learn the kernel from one pair: a picture of random dots, and what Sobel-x makes of it.
random = np.random.default_rng(0)
dots = random.normal(size=(64, 64))
edges_of_dots = convolve(dots, sobel_x)
learned = np.zeros((3, 3))
history = [learned.copy()]
for _ in range(10):
    error = convolve(dots, learned) - edges_of_dots
    for y in range(3):
        for x in range(3):
            learned[y, x] -= 0.4 * 2 * (error * dots[y : y + 62, x : x + 62]).mean()
    history.append(learned.copy())
shown = {f"step {step}": history[step].round(1) + 0 for step in (0, 1, 2, 3, 10)}
_ = ev.plots.show_numbers(shown, color_map=ev.plots.SIGNED)

# %% [markdown]
# **Figure 10.** A kernel that nobody wrote down. After ten steps it equals Sobel-x, to the first decimals, although it never saw a photograph. Training a network is this, with many kernels at once.
#
# > **Where the course differs.** (1) It once calls Gx the vertical derivative and Gy the horizontal one. The tripod settles it: Gx is the horizontal derivative, and it responds to *vertical* edges. (2) It says that kernels are "convolved". In mathematics a convolution turns the kernel by 180 degrees first; networks do not, which is called *correlation*. For Sobel-x that changes the sign, for the Laplacian nothing. (3) Its Gy is positive upward. scikit-image, SciPy and OpenCV count rows downward, so their sign is the opposite. [Kernels in practice](further/kernels_in_practice.ipynb) compares the libraries.

# %% tags=["proves:colors-are-channels", "proves:kernel-resembles-its-feature", "proves:channel-holds-one-letter", "refines:letters-of-every-size-and-slant", "proves:complex-channels"]
# Check the channels: color, letters, words.
suit, wall = photo[119:128, 45:54].mean((0, 1)), photo[19:35, 119:135].mean((0, 1))
assert suit[0] > 2 * suit[1] > 2 * suit[2]
assert np.ptp(wall) < 20
assert (np.stack([photo[..., c] for c in range(3)], axis=-1) == photo).all()
print("checked: the suit is red and not blue, the wall is gray; three channels stacked are the photograph")

reach = 6
best = [e_channel[int(t.row) - reach : int(t.row) + 7, int(t.column) - reach : int(t.column) + 7].max() for t in letters]
is_e = np.array([letter.character == "e" for letter in letters])
assert np.array(best)[is_e].min() > threshold > np.array(best)[~is_e].max() + 0.02
assert len(marks["found"]) == sum(text.count("e") for text in texts) == is_e.sum()
assert len(marks["missed"]) == len(marks["false alarm"]) == 0
print(f"checked: all {is_e.sum()} e's found, none missed, no other letter taken for an e")

assert len(by_one["found"]) + len(by_one["missed"]) == 7 * len(styles) == 77
assert len(by_one["found"]) < 77 / 2
assert len(by_one["false alarm"]) == 0
assert len(by_seven["found"]) >= 60
assert 1 <= len(by_seven["false alarm"]) <= 3
print("checked: one kernel finds less than half of 77 e's in eleven styles, seven kernels find at least 60")

row_of_letters = "".join(word_texts).replace(" ", "")
ends = [n for n in range(1, len(row_of_letters)) if row_of_letters[n - 1 : n + 2] == "end"]
expected = [(word_letters[n].row, word_letters[n].column) for n in ends]
assert len(expected) == 6
assert marked["found"].tolist() == [list(place) for place in expected]
assert len(marked["false alarm"]) == 0
print('checked: the word channel is active at the six n of "end", and nowhere else')

# %% tags=["refines:color-tells-little", "proves:object-without-its-color", "refines:lines-that-color-a-picture"]
# Check color: edges recognize every photograph, mean colors do not; lines color a gray picture.
assert by_edges == 7
assert by_color <= 4
assert np.diag(edge_correlation).min() > 0.95
assert edge_correlation[~np.eye(7, dtype=bool)].max() < 0.2
print("checked: edges recognize 7 of 7 recolored photographs, mean color at most 4")

assert is_line.mean() < 0.24
assert (line_photo[~is_line] == gray[~is_line]).all()
wide = np.full((17, 17), 1 / 289)
true_color, line_color = (ev.apply_kernel(p - gray, wide) for p in (scaled, line_photo))
assert np.corrcoef(true_color.ravel(), line_color.ravel())[0, 1] > 0.9
print("checked: averaged over 17x17 pixels, the lines carry the photograph's colors")

# %% tags=["proves:sobel-finds-upright-and-level-edges", "corrects:sobel-outputs-swapped", "refines:laplacian-finds-edges", "proves:sobel-approximates-the-gradient", "refines:kernels-are-convolved", "refines:sobel-y-has-plus-above", "proves:laplacian-weights"]
# Check the edge kernels: on the photograph, by hand, and against SciPy.
import scipy.ndimage

leg, top = np.s_[177:230, 144:156], np.s_[68:74, 142:165]
assert np.abs(gx[leg]).mean() > 5 * np.abs(gy[leg]).mean()
assert np.abs(gy[top]).mean() > 2 * np.abs(gx[top]).mean()
assert gx[leg].max() > 1
assert gx[leg].min() < -1
assert (ev.laplacian([[0, 0, 1, 1]] * 3)[1] == [0, 1, -1, 0]).all()
print("checked: vertical leg = Sobel-x, horizontal top = Sobel-y; the Laplacian gives +1, -1 at a step")

assert (sobel_x == ev.SOBEL_X).all()
assert (sobel_y == ev.SOBEL_Y).all()
assert (laplacian == ev.LAPLACIAN).all()
np.testing.assert_allclose(gx, scipy.ndimage.sobel(camera, axis=1), atol=1e-6)
np.testing.assert_allclose(gy, -scipy.ndimage.sobel(camera, axis=0), atol=1e-6)
np.testing.assert_allclose(curvature, scipy.ndimage.laplace(camera), atol=1e-6)
np.testing.assert_allclose(ev.apply_kernel(camera, sobel_x, convolve=True), -gx, atol=1e-6)
np.testing.assert_allclose(ev.apply_kernel(camera, laplacian, convolve=True), curvature, atol=1e-6)
print("checked: SciPy agrees, with the opposite sign for Gy; turning Sobel-x changes its sign")

rows, columns = np.mgrid[:70, :70]
inward, distance = np.stack([34.5 - columns, rows - 34.5]), np.hypot(34.5 - columns, rows - 34.5)
edge = (distance > 20) & (distance < 32) & (length > 1.2)
cosine = ((coin_gx * inward[0] + coin_gy * inward[1]) / np.maximum(length * distance, 1e-9))[edge]
assert (cosine > 0).mean() > 0.9
assert np.abs(learned - sobel_x).max() < 0.01
print(f"checked: {100 * (cosine > 0).mean():.0f} % of the arrows on the coin's edge point inward; the learned kernel is Sobel-x")

# %% [markdown]
# **Take away.** A kernel is a small picture of what it looks for, and its channel is the map of where it was found. Color gives a network its first three channels. Edges need no color, and they were enough to recognize all seven photographs. In a network nobody writes the kernels down: it learns them.
#
# **Try it.**
# 1. Apply `right_minus_left.T` to `small_picture`. What does it find? Predict, then run.
# 2. Lower `threshold` to 0.75. Which letters are taken for an e?
# 3. Make a channel for the word part "nd".
# 4. Learn the Laplacian instead of Sobel-x. Does it need more steps?
#
# <details><summary>Solutions</summary>
#
# 1. Horizontal edges: `[[1, 2, 3], [0, 0, 0], [0, 0, 0]]`. It gives 1 where one column of the window is bright below, 3 where all three are.
# 2. Letters with similar strokes: o, a, g, d and q.
# 3. `letter_maps["n"] + np.roll(letter_maps["d"], -pitch, 1) - 1`.
# 4. No. Replace `sobel_x` in `edges_of_dots`: the error shrinks by the same factor in each step, whatever the kernel.
# </details>

# %% [markdown]
# ## Why should we nearly always use 3x3 kernels?
#
# **3x3 is the smallest kernel that has a center and a neighbor on every side. A stack of 3x3 kernels sees as much as one large kernel, with fewer weights, and with a ReLU in between it can do more.** "Nearly" always, because the first layer is an exception.
#
# ### What is wrong with 2x2?
#
# A 2x2 kernel has no middle pixel. Its output belongs *between* pixels but must be stored at one of them: half a pixel off. Ten layers add up to five pixels.

# %%
# Ten layers that average 2x2 or 3x3 pixels, as ordinary Keras layers with fixed weights.
def averaging_stack(size, depth=10):
    weights = np.full((size, size), 1 / size**2)
    stack = [ev.fixed_convolution(weights, padding="same") for _ in range(depth)]
    return keras.Sequential([keras.Input((None, None, 1)), *stack])


def through(model, picture):
    """One gray picture through a model, without batch and channel axes."""
    return ops.convert_to_numpy(model(picture[np.newaxis, ..., np.newaxis]))[0, ..., 0]


dot = np.zeros((41, 41), "float32")
dot[20, 20] = 1
inputs = {"coin": coin.astype("float32"), "dot": dot}
results = {name: [picture] + [through(averaging_stack(s), picture) for s in (2, 3)] for name, picture in inputs.items()}
drawn = results["coin"] + [ev.plots.colorize(p, ev.plots.INK, "each") for p in results["dot"]]
figure = ev.plots.show_images(drawn, ["input", "ten layers 2x2", "ten layers 3x3"], labels=list(inputs), columns=3, side=205)
for axes in figure.axes:
    middle = (axes.images[0].get_size()[0] - 1) / 2
    axes.axhline(middle, color=ev.plots.ORANGE, lw=0.8)
    axes.axvline(middle, color=ev.plots.ORANGE, lw=0.8)
plt.show()

# %% [markdown]
# **Figure 11.** A coin and a dot after ten averaging layers. Orange lines cross where the middle was. 2x2 moves everything up and to the left. 3x3 blurs more, because it averages more pixels, but keeps everything at its position. (Keras adds the missing zeros of a 2x2 kernel below and on the right.)
#
# ### Do two 3x3 see as much as one 5x5?
#
# **Yes. From 5x5 pixels the first convolution leaves 3x3, and the second leaves 1x1.** The course writes 5x5 > 3x3 > 1x1. The part of the picture that an output can see is its *[receptive field](../docs/glossary.md#receptive-field)*; [notebook 03](03_receptive_fields.ipynb) computes it for any network.

# %%
# Watch it: nine windows of the picture make the 3x3 values, and one window of these makes the output.
frames = []
for known in (10, *range(1, 11)):
    figure, row = plt.subplots(1, 3, figsize=(6.4, 2.7), width_ratios=[5, 3, 1.6])
    for axes, side, title in zip(row, (5, 3, 1), ("5x5 pixels", "3x3 values", "1x1"), strict=True):
        done = {5: 25, 3: min(known, 9), 1: max(0, known - 9)}[side]
        filled = (np.arange(side * side) < done).reshape(side, side)
        axes.imshow(np.where(filled, {5: 0.25, 3: 0.45, 1: 0.8}[side], 0), cmap="Blues", vmin=0, vmax=1)
        for y, x in np.ndindex(side, side):
            axes.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec="#a0aec0", lw=0.8))
        axes.set(xlim=(-0.6, side - 0.4), ylim=(side - 0.4, -0.6))
        ev.plots.hide_axes(axes, title)
    if known < 10:
        y, x = divmod(known - 1, 3)
        ev.plots.outline(row[0], (y, x, 3, 3), lw=3)
        ev.plots.outline(row[1], (y, x, 1, 1), lw=3)
    else:
        ev.plots.outline(row[0], (0, 0, 5, 5), lw=3)
        ev.plots.outline(row[1], (0, 0, 3, 3), lw=3)
        ev.plots.outline(row[2], (0, 0, 1, 1), lw=3)
    frames.append(figure)
ev.plots.animate(frames, seconds=0.5, colors=24)

# %% [markdown]
# **Figure 12.** Two 3x3 convolutions look at 5x5 pixels. Nine windows of the picture make nine values, and these nine make one. So the last value depends on all 25 pixels, with 9 + 9 = 18 weights.
#
# ### What does the stack save?
#
# n layers of 3x3 see 2n + 1 pixels and have 9n weights. One kernel of that size has (2n + 1)² weights.

# %%
# Weights of one large kernel and of the stack, for one channel.
depths = [1, 2, 3, 4, 5]
sides = [2 * n + 1 for n in depths]
large = [side * side for side in sides]
stacked = [9 * n for n in depths]
for n, side, one, many in zip(depths, sides, large, stacked, strict=True):
    print(f"{n} x 3x3 sees {side}x{side}: {many} weights; one {side}x{side} kernel: {one}")
curves = {"one large kernel": (sides, large), "stack of 3x3": (sides, stacked)}
figure = ev.plots.show_lines(curves, x_label="side of what is seen, in pixels", y_label="weights")
figure.axes[0].set(xticks=sides, ylim=(0, None))
plt.show()

# %% [markdown]
# **Figure 13.** The cost of a large kernel grows with the square of its side, the cost of a stack in proportion to it. Multiplications go the same way, because each weight is used once at every position.
#
# ### What does the ReLU in between add?
#
# **Results that no single kernel can give.** Example: find edges no matter which side is brighter. A single kernel cannot: it gives 0 on plain areas only if its weights sum to zero, and then its outputs change their sign when you swap black and white. Two layers can: the first has Sobel-x, Sobel-y and both with the opposite sign; ReLU keeps the positive part of each; the second layer adds them up.

# %%
# The same two layers twice: with a ReLU in between, and without.
def edge_finder(activation):
    model = keras.Sequential([
        keras.Input((None, None, 1)),
        layers.Conv2D(4, 3, activation=activation, use_bias=False),
        layers.Conv2D(1, 3, use_bias=False),
    ])  # fmt: skip
    signed_edges = np.stack([sobel_x, -sobel_x, sobel_y, -sobel_y], axis=-1)[:, :, np.newaxis]
    model.set_weights([signed_edges, np.full((3, 3, 4, 1), 1 / 9)])
    return model


small_coin = coin.astype("float32")
with_relu, without_relu = through(edge_finder("relu"), small_coin), through(edge_finder(None), small_coin)

# The best single 5x5 kernel with a bias: all 26 numbers are chosen so that the squared error is as small as possible.
windows = np.lib.stride_tricks.sliding_window_view(small_coin, (5, 5)).reshape(-1, 25)
windows = np.column_stack([windows, np.ones(len(windows))])
solution, *_ = np.linalg.lstsq(windows, with_relu.ravel(), rcond=None)
best_single = (windows @ solution).reshape(with_relu.shape)
outputs = [np.clip(output / 2.2, 0, 1) for output in (with_relu, without_relu, best_single)]
titles = ["coin", "two 3x3, ReLU in between", "two 3x3, nothing between", "best single 5x5"]
_ = ev.plots.show_images([small_coin[2:-2, 2:-2], *outputs], titles, side=198)

# %% [markdown]
# **Figure 14.** With the ReLU, two layers draw the coin's edge all the way around. Without it the same weights cancel to nothing. The best single 5x5 kernel must prefer one side: it finds the lower right and misses the upper left. (Negative values are drawn black.)
#
# Without a ReLU, two 3x3 layers are exactly one 5x5 kernel. But some 5x5 kernels cannot be made this way: [which ones](further/two_3x3_and_one_5x5.ipynb).
#
# ### Why may the first layer be 5x5 or 7x7?
#
# **Because it reads only three channels.** The stack saves weights when every layer has 64 channels in and 64 out. In the first layer only 3 channels go in: one large kernel reads three channels, but the second and third layer of a stack would read 64.

# %%
# Weights to see 7x7 pixels: one 7x7 or three 3x3, deep inside a network and in its first layer.
def count_weights(kernel_sizes, channels_in):
    total = 0
    for size in kernel_sizes:
        total, channels_in = total + size * size * channels_in * 64, 64
    return total


cases = {
    "deep: one 7x7": count_weights([7], 64),
    "deep: three 3x3": count_weights([3, 3, 3], 64),
    "first layer: one 7x7": count_weights([7], 3),
    "first layer: three 3x3": count_weights([3, 3, 3], 3),
}
_ = ev.plots.show_bars({"weights to see 7x7 pixels, 64 kernels per layer": cases})

# %% [markdown]
# **Figure 15.** Where 64 channels go in, the stack is cheaper. Where 3 channels go in, one large kernel is.
#
# > **Where the course differs.** It says that two 3x3 kernels save weights and keep all the information. The first holds wherever the channels stay as many (18 against 25, 45 against 121). It does not hold in the first layer. And the information is not quite the same: without a ReLU two 3x3 kernels make only some of all 5x5 kernels; with a ReLU they do what no single kernel can.

# %% tags=["proves:odd-kernels-have-a-center", "proves:two-3x3-see-5x5", "proves:two-3x3-have-18-weights", "proves:eleven-by-stacked-3x3", "refines:stacks-cost-less", "proves:large-kernels-in-the-first-layer"]
# Check this section: the drift, the fields, the weights, the ReLU.
def center_of_mass(picture):
    rows, columns = np.indices(picture.shape)
    return np.array([(rows * picture).sum(), (columns * picture).sum()]) / picture.sum()


np.testing.assert_allclose(center_of_mass(results["dot"][1]), [15, 15], atol=1e-3)
np.testing.assert_allclose(center_of_mass(results["dot"][2]), [20, 20], atol=1e-3)
print("checked: ten 2x2 layers move a dot by five rows and five columns, 3x3 layers by none")

for n, side in zip(depths, sides, strict=True):
    stack = keras.Sequential([keras.Input((56, 56, 1))] + [layers.Conv2D(1, 3, use_bias=False) for _ in range(n)])
    assert ev.receptive_field(stack).size == (side, side)
    assert stack.count_params() == 9 * n
assert large == [9, 25, 49, 81, 121]
assert stacked == [9, 18, 27, 36, 45]
print("checked: Keras has the same weights: 18 instead of 25, 27 instead of 49, 45 instead of 121")

np.testing.assert_allclose(through(edge_finder("relu"), 1 - small_coin), with_relu, atol=1e-4)
assert with_relu.max() > 2
assert np.abs(without_relu).max() < 1e-4
assert np.var(with_relu - best_single) / np.var(with_relu) > 0.5
print("checked: with ReLU the edge does not depend on which side is brighter; a single kernel misses over half of it")

assert cases["first layer: one 7x7"] == 9_408
assert cases["first layer: three 3x3"] == 75_456
assert cases["deep: three 3x3"] / cases["deep: one 7x7"] == 27 / 49
print("checked: in the first layer one 7x7 needs an eighth of the weights of three 3x3")

# %% [markdown]
# **Take away.** Use odd kernels, because they have a center. Take 3x3 and stack them, with a ReLU after each. In the first layer a larger kernel costs little.
#
# **Try it.**
# 1. How many 3x3 layers see as much as one 11x11 kernel? How many weights do they have with 64 channels?
# 2. In `edge_finder`, replace `"relu"` with `"tanh"`. Does the coin's edge survive? Why (not)?
# 3. Put a 5x5 kernel of ones into `averaging_stack`. Does the dot drift?
#
# <details><summary>Solutions</summary>
#
# 1. Five; 5 · 9 · 64 · 64 = 184,320, against 121 · 64 · 64 = 495,616.
# 2. No. tanh(−x) = −tanh(x), so the kernels of opposite sign cancel again. It takes a function that treats positive and negative values differently.
# 3. No, because 5 is odd. It only blurs more.
# </details>

# %% [markdown]
# ## How many 3x3 convolutions lead from 199x199 to 1x1?
#
# **99. Without padding each 3x3 convolution takes one pixel from every side, so two from height and width. From 199 to 1 there are 198 pixels to lose, and 198 / 2 = 99.**

# %%
# Every ">" is a 3x3 convolution: its output is two pixels smaller, until one pixel is left.
side, chain = 199, ["199x199"]
while side >= 3:
    side = side - 2
    chain.append(f"{side}x{side}")
for start in range(0, len(chain), 10):
    print(" > ".join(chain[start : start + 10]), ">" if start + 10 < len(chain) else "")
print("Number of 3x3 convolutions =", len(chain) - 1)

# %% [markdown]
# ### Does a real network behave this way?
#
# Here are the 99 layers in Keras. Each has one kernel that averages 3x3 pixels, so that something comes out at the end.

# %%
# 199x199 pixels go in, one value comes out.
average = keras.initializers.Constant(1 / 9)
deep = keras.Sequential([keras.Input((199, 199, 1))])
for _ in range(99):
    deep.add(layers.Conv2D(1, 3, use_bias=False, kernel_initializer=average))
portrait = ev.sample_photo("camera", 199)[..., 0].astype("float32") / 255
answer = ops.convert_to_numpy(deep(portrait[np.newaxis, ..., np.newaxis]))
print("output", answer.shape, "  receptive field", ev.receptive_field(deep).size)

# %% [markdown]
# ### What would pooling save?
#
# **89 of the 99 convolutions.** Nobody builds the chain of 99. A 2x2 *max pooling* keeps the largest of four values and halves height and width, and every convolution after it reaches twice as far. Pooling does most of the shrinking, and costs no weights.

# %%
# Two convolutions and a pooling, again and again, until one pixel is left.
pooled = keras.Sequential([keras.Input((199, 199, 1))])
pooled_sides, convolutions = [199], 0
while pooled_sides[-1] > 1:
    if pooled_sides[-1] >= 3 and convolutions < 2:
        pooled.add(layers.Conv2D(1, 3, use_bias=False))
        convolutions += 1
    else:
        pooled.add(layers.MaxPooling2D(2))
        convolutions = 0
    pooled_sides.append(pooled.output_shape[1])
count_of = {kind: sum(isinstance(layer, kind) for layer in pooled.layers) for kind in (layers.Conv2D, layers.MaxPooling2D)}
print(f"{count_of[layers.Conv2D]} convolutions and {count_of[layers.MaxPooling2D]} poolings:", pooled_sides)
curves = {
    "99 convolutions": (range(100), [199 - 2 * n for n in range(100)]),
    "10 convolutions, 6 poolings": (range(len(pooled_sides)), pooled_sides),
}
_ = ev.plots.show_lines(curves, x_label="layers", y_label="height and width in pixels")

# %% [markdown]
# **Figure 16.** From 199x199 to 1x1: by convolutions alone, and with a pooling after every two convolutions (the last two poolings follow each other, because 2x2 is too small for a 3x3 kernel). From an odd size a 2x2 pooling drops the last row: 195 becomes 97.

# %% tags=["proves:ninety-nine-convolutions", "proves:two-pixels-less-each"]
# Check this section with Keras's own shapes.
assert len(chain) - 1 == (199 - 1) // 2 == 99 == len(deep.layers)
assert [f"{n}x{n}" for n in [199] + [layer.output.shape[1] for layer in deep.layers]] == chain
assert deep.output_shape == pooled.output_shape == (None, 1, 1, 1)
assert ev.receptive_field(deep).size == (199, 199)
assert portrait.min() <= answer.item() <= portrait.max()
print("checked: 99 layers, each two pixels smaller; the last pixel sees the whole picture")
assert list(count_of.values()) == [10, 6]
assert 12 < ev.networks.macs(deep) / ev.networks.macs(pooled) < 14
print("checked: with poolings 10 convolutions, and less than a tenth of the multiplications")

# %% [markdown]
# **Take away.** Without padding, n convolutions of 3x3 take 2n pixels from height and width. Real networks pool on the way.
#
# **Try it.**
# 1. How many 3x3 convolutions fit on 28x28, until no more fits? Why do they not end at 1x1?
# 2. How many 5x5 convolutions lead from 199x199 to 3x3?
#
# <details><summary>Solutions</summary>
#
# 1. 13, to 2x2: an even number minus an even number stays even.
# 2. 49: each takes four pixels, and 199 − 4 · 49 = 3.
# </details>

# %% [markdown]
# ## How are kernels initialized?
#
# **With small random numbers. Random, so that kernels become different. Small, so that signals neither explode nor vanish: the variance is 1/n to 2/n, where n is the number of products in each sum.** ([Variance](../docs/glossary.md#variance) is the mean squared distance from the mean; its root is the *[standard deviation](../docs/glossary.md#standard-deviation)*.) The Xavier rule (Keras calls it Glorot's) takes 1/n and suits tanh; strictly, n is then the mean of inputs and outputs. The He rule takes 2/n and suits ReLU. tanh and ReLU are *[activation functions](../docs/glossary.md#activation-function)*: what a layer applies to each of its sums.
#
# ### What does "normally distributed" look like?
#
# Most values lie near the mean: 68 of 100 are within one standard deviation.

# %%
# 10,000 weights for a layer with n = 100 inputs: the He rule's bell curve, and a uniform box of the same variance.
# (A box from -a to a has the variance a squared / 3.)
random = np.random.default_rng(0)
n = 100
bell = random.normal(size=(n, n)) * np.sqrt(2 / n)
box = random.uniform(-1, 1, size=(n, n)) * np.sqrt(3 * 2 / n)
figure, axes = plt.subplots(figsize=(7, 2.7))
bins = np.linspace(-0.6, 0.6, 61)
for values, label, color in ((bell, "normal", ev.plots.BLUE), (box, "uniform, same variance", ev.plots.ORANGE)):
    axes.hist(values.ravel(), bins, color=color, alpha=0.4, label=label)
deviation = np.sqrt(2 / n)
for edge in (-deviation, deviation):
    axes.axvline(edge, color="black", ls="--", lw=1)
axes.text(deviation + 0.01, 480, "one standard\ndeviation", va="top")
axes.set(xlabel="weight", ylabel="how many of 10,000")
axes.legend(loc="upper left")
inside = (np.abs(bell) < deviation).mean()
print(f"{100 * inside:.0f} % of the normal weights lie within one standard deviation")
plt.show()

# %% [markdown]
# **Figure 17.** Initial weights drawn from a normal distribution and from a uniform one. Both shapes are in use: Keras's own default is uniform.
#
# ### What happens to a signal in 50 layers?
#
# **Each layer multiplies its size by a factor. If the factor is not 1, fifty layers make it huge or nothing.** You can watch that in a few lines of NumPy. A dense layer is the simplest case: each of its outputs is a sum of n products. (In a convolution n is height x width x channels of the kernel.)

# %%
# Send 200 random inputs through 50 layers, and a gradient back. `k` is the variance of the weights times n.
def signals(k, relu, depth=50, n=100):
    random = np.random.default_rng(0)
    x, forward, passed = random.normal(size=(200, n)), [], []
    for _ in range(depth):
        weights = random.normal(size=(n, n)) * np.sqrt(k / n)
        z = x @ weights
        x = np.maximum(z, 0) if relu else np.tanh(z)
        forward.append(np.mean(x**2))
        passed.append((weights, z > 0 if relu else 1 - x**2))  # with the slope of the activation function
    gradient, backward = random.normal(size=x.shape), []
    for weights, slope in reversed(passed):
        gradient = (gradient * slope) @ weights.T
        backward.append(np.mean(gradient**2))
    return forward, backward[::-1]


starts = {"too small: 0.25/n": 0.25, "Xavier: 1/n": 1.0, "He: 2/n": 2.0, "too large: 4/n": 4.0}
measured = {(act, name): signals(k, act == "ReLU") for act in ("tanh", "ReLU") for name, k in starts.items()}
figure, grid = plt.subplots(2, 2, figsize=(9.2, 5.2), sharex=True)
for line, act in zip(grid, ("tanh", "ReLU"), strict=True):
    for name, color in zip(starts, (ev.plots.GREEN, ev.plots.BLUE, ev.plots.ORANGE, ev.plots.PURPLE), strict=True):
        for axes, sizes in zip(line, measured[act, name], strict=True):
            axes.semilogy(range(1, 51), sizes, color=color, lw=2, label=name)
    line[0].set(title=f"{act}: values on the way forward", ylabel="mean square", ylim=(1e-20, 1e20))
    line[1].set(title=f"{act}: gradients on the way back", ylim=(1e-20, 1e20))
for axes in grid.flat:
    axes.grid()
for axes in grid[1]:
    axes.set_xlabel("layer")
ev.plots.add_legend(figure)
plt.show()

# %% [markdown]
# **Figure 18.** The size of a signal in each of 50 layers, on a logarithmic scale. Read the left side from left to right and the right side from right to left. With ReLU only the He start stays level, because ReLU removes half of the mean square and the factor 2 gives it back. With tanh no start lets values explode, because tanh stays between −1 and 1. But the gradients of the two larger starts grow on the way back. The Xavier start keeps its gradients most level; its values fade slowly.
#
# ### Which starts learn?
#
# Now the same with real digits. The *[loss](../docs/glossary.md#loss)* says how wrong the predictions are; pure guessing among ten digits costs ln 10 = 2.30. A *[batch](../docs/glossary.md#batch)* is a group of images that go through the network together. All networks get the same 160 batches of 64 and the same learning rate. (Of the 60,000 training images 10,000 are kept apart, to compare networks later.)

# %%
# A network of 50 dense layers, and a function that draws its weights with variance k/n.
(x_train, y_train), _ = ev.load_mnist()
(x_fit, y_fit), (x_validation, y_validation) = ev.split_validation(x_train, y_train)
x_fit, x_validation = ev.prepare_images(x_fit), ev.prepare_images(x_validation)
x_standard = (x_fit[:12_800] - x_fit.mean()) / x_fit.std()  # mean 0 and variance 1


def fifty_layers(activation):
    hidden = [layers.Dense(100, activation=activation) for _ in range(50)]
    network = [keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10, "softmax")]
    return keras.Sequential(network)


def draw_weights(model, k, seed=0):
    random = np.random.default_rng(seed)
    for layer in model.layers[1:]:
        shape = layer.kernel.shape
        layer.set_weights([random.normal(size=shape) * np.sqrt(k / shape[0]), np.zeros(shape[1])])


# %% tags=["nbval-ignore-output"]
# Train each of the eight for 160 steps, and note the loss after every ten.
losses = {}
for act in ("tanh", "ReLU"):
    model = fifty_layers(act.lower())
    ev.training.compile_classifier(model, keras.optimizers.SGD(0.003))
    for name, k in starts.items():
        draw_weights(model, k)
        losses[act, name] = []
        for step in range(0, 160, 10):
            batch = slice(64 * step, 64 * (step + 10))
            history = model.fit(x_standard[batch], y_fit[batch], batch_size=64, shuffle=False, verbose=0)
            losses[act, name].append(history.history["loss"][0])
        print(f"{act}, {name:17}: loss {losses[act, name][0]:.2f} at first, {losses[act, name][-1]:.2f} at the end")

# %% tags=["nbval-ignore-output"]
# Draw the eight curves; the dashed line is the loss of pure guessing.
figure, panels = plt.subplots(1, 2, figsize=(9.2, 3.1), sharey=True)
colors = (ev.plots.GREEN, ev.plots.BLUE, ev.plots.ORANGE, ev.plots.PURPLE)
for axes, act in zip(panels, ("tanh", "ReLU"), strict=True):
    axes.axhline(np.log(10), color="black", lw=0.8, ls="--", label="guessing")
    for name, color, width in zip(starts, colors, (6, 3.2, 2.2, 1.6), strict=True):
        axes.plot(range(10, 161, 10), losses[act, name], color=color, lw=width, label=name)
        if not np.isfinite(losses[act, name][-1]):
            axes.text(14, 3.6, "too large: the loss is NaN (not a number)", color=color, va="center")
    axes.set(title=act, xlabel="step", ylim=(0, 4))
    axes.grid()
panels[0].set_ylabel("loss in nats")
ev.plots.add_legend(figure)
plt.show()

# %% [markdown]
# **Figure 19.** The first 160 steps of eight networks of 50 layers. The dashed line is the loss of pure guessing. With tanh, the Xavier and the He start both learn, and here He's larger values even help: the Xavier signal has faded on its way (Figure 18). With ReLU only the He start learns: a factor of two decides whether the network learns at all.
#
# ### Why not start with equal weights?
#
# **Because equal kernels get equal gradients, so they stay equal forever: many kernels do the work of one.** This is called the symmetry problem. Here is a small network with eight kernels of 7x7, started twice.

# %%
# Two convolutions, and a dense layer whose softmax turns ten numbers into ten probabilities.
def small_network():
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(8, 7, strides=2, activation="relu"),
        layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


keras.utils.set_random_seed(0)
network = small_network()
random_start = network.get_weights()
# Equal weights: every weight has the same value, 1/n, so that each output is an average; biases are zero.
equal_start = [np.full(w.shape, 1 / w[..., 0].size if w.ndim > 1 else 0.0, "float32") for w in random_start]
ev.training.compile_classifier(network, keras.optimizers.SGD(0.1))
after = {}
for name, start in (("equal start", equal_start), ("random start", random_start)):
    network.set_weights(start)
    network.fit(x_fit[: 64 * 300], y_fit[: 64 * 300], batch_size=64, shuffle=False, verbose=0)
    after[name] = network.get_weights()
kernels = [np.moveaxis(weights[0][:, :, 0], -1, 0) for weights in after.values()]
_ = ev.plots.show_images(np.concatenate(kernels), labels=list(after), side=77, color_map=ev.plots.SIGNED)

# %% [markdown]
# **Figure 20.** First-layer kernels after 300 steps. Red is positive, blue is negative. From equal weights all eight learned the same picture, so seven of them are wasted. From random weights they became different; some still look like the noise they started from.
#
# > **Where the course differs.** (1) It says that Xavier's and He's rules depend on the number of layers. They look at the size of each layer only; it is the *danger* that grows with the number of layers. (2) It asks for activations with mean zero and the same variance in every layer. ReLU cannot have mean zero, and He's rule keeps the mean *square* level instead. (3) It says weights are drawn from a normal distribution. That is common, but a uniform one works too and is Keras's default. [Initialization in depth](further/initialization.ipynb) compares theory and measurement.

# %% tags=["nbval-ignore-output", "proves:normal-values-near-the-mean", "proves:variance-is-k-over-n", "proves:he-doubles-xaviers-variance", "refines:weights-are-drawn-normally", "corrects:rules-know-the-depth"]
# Check the rules against what Keras draws.
assert abs(inside - 0.683) < 0.01
assert np.isclose(bell.var(), 2 / n, rtol=0.05)
assert np.isclose(box.var(), 2 / n, rtol=0.05)
drawn = {
    rule: ops.convert_to_numpy(getattr(keras.initializers, rule)(seed=0)((1000, 1000))).var() * 1000
    for rule in ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform")
}
assert np.allclose(list(drawn.values()), [1, 1, 2, 2], rtol=0.02)
assert isinstance(network.layers[0].kernel_initializer, keras.initializers.GlorotUniform)
print("checked: 68 % within one standard deviation; Glorot draws 1/n, He 2/n; Keras's default is Glorot, uniform")

# %% tags=["proves:too-large-explodes", "proves:too-small-vanishes", "refines:same-variance-in-every-layer", "refines:activations-of-mean-zero", "proves:rules-help-a-great-deal"]
# Check the signals: with ReLU each layer multiplies the mean square by k/2, forward and backward.
for name, k in starts.items():
    for sizes in measured["ReLU", name]:
        per_layer = (max(sizes[-1], sizes[0]) / min(sizes[-1], sizes[0])) ** (1 / 49)
        assert np.isclose(per_layer, max(k / 2, 2 / k), rtol=0.15)
print("checked: ReLU, per layer: 1/8 too small, 1/2 Xavier, 1 He, 2 too large")
assert max(measured["tanh", "too large: 4/n"][0]) <= 1
assert measured["tanh", "too large: 4/n"][1][0] > 1e3 > 10 * measured["tanh", "Xavier: 1/n"][1][0]
assert measured["tanh", "too small: 0.25/n"][1][0] < 1e-10
positive = np.maximum(random.normal(size=100_000), 0)
assert positive.mean() > 0.35
assert np.isclose((positive**2).mean(), 0.5, rtol=0.02)
print("checked: tanh keeps values below 1, but gradients explode or vanish; behind a ReLU the mean is not zero")

# %% tags=["proves:bad-start-diverges-or-slows", "refines:xavier-for-tanh", "refines:rules-beat-any-random-start", "proves:equal-weights-stay-equal"]
# Check learning: who left the line of guessing, and what equal weights did.
end = {key: values[-1] for key, values in losses.items()}
for key in (("tanh", "Xavier: 1/n"), ("tanh", "He: 2/n"), ("ReLU", "He: 2/n")):
    assert end[key] < np.log(10) - 0.05
for key in (("tanh", "too small: 0.25/n"), ("ReLU", "too small: 0.25/n"), ("ReLU", "Xavier: 1/n")):
    assert abs(end[key] - np.log(10)) < 0.03
assert not end["ReLU", "too large: 4/n"] < 2 * np.log(10)  # also true of "no number"
print("checked: Xavier and He learn with tanh, only He with ReLU; too small stands still, too large diverges")

same = after["equal start"]
assert all(np.abs(weights - weights[..., :1]).max() < 1e-6 for weights in same[:4])
assert not (same[0] == equal_start[0]).all()
assert np.linalg.matrix_rank(same[0].reshape(49, 8), tol=1e-4) == 1
assert np.linalg.matrix_rank(after["random start"][0].reshape(49, 8)) == 8
print("checked: equal weights are equal after 300 steps (to 0.000001), although they did learn")

# %% [markdown]
# **Take away.** Draw weights at random with mean 0 and variance 2/n before a ReLU, or 1/n before a tanh. Half or twice the standard deviation looks harmless. After 50 layers it is the difference between learning and nothing.
#
# **Try it.**
# 1. A leaky ReLU multiplies negative values by 0.1. Which k keeps the signal level? Change `signals` and try.
# 2. Start `network` with all weights zero and train. Which weights change?
# 3. Call `signals` with `depth=5`. By how much does the Xavier start shrink with ReLU now, and "too small"?
#
# <details><summary>Solutions</summary>
#
# 1. The mean square after it is (1 + 0.01)/2 of before, so k = 2/1.01, about 1.98.
# 2. Only the biases of the last layer: behind a ReLU everything is zero, and so are all other gradients.
# 3. Five factors of 1/2 are 1/32: a shallow network forgives the Xavier start. Five factors of 1/8 are 1/32,768: "too small" is too small even here.
# </details>

# %% [markdown]
# ## What happens during training?
#
# **Four things, over and over: some images go forward through the network; a loss says how wrong the predictions are; backpropagation computes the gradient, which is the slope of the loss for each weight; and an optimizer moves each weight a little downhill.** First by hand, then on real digits.
#
# ### What does one step compute?
#
# Is a digit a zero or a one? A zero is hollow and a one is not, so two numbers are enough: how much ink is in the middle, and how much is at the sides. A tiny network with two hidden units and two outputs decides. It has 12 parameters.

# %%
# Two numbers for each zero and each one: ink in the middle, ink at the sides.
zeros_and_ones = (y_fit == 0) | (y_fit == 1)
pictures, labels = x_fit[zeros_and_ones, ..., 0], y_fit[zeros_and_ones].astype(int)
in_middle = pictures[:, 13:16, 13:16].mean(axis=(1, 2))
at_sides = (pictures[:, 10:18, 4:10].mean(axis=(1, 2)) + pictures[:, 10:18, 18:24].mean(axis=(1, 2))) / 2
tiny_inputs = np.stack([in_middle, at_sides], axis=1)


def forward(inputs, w1, b1, w2, b2):
    """Weighted sums, ReLU, weighted sums, softmax: everything that is computed on the way."""
    z1 = inputs @ w1 + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ w2 + b2
    exponentials = np.exp(z2 - z2.max(axis=1, keepdims=True))
    return z1, a1, z2, exponentials / exponentials.sum(axis=1, keepdims=True)


def mean_loss(p, labels):
    """Minus the logarithm of the probability of the right answer."""
    return -np.log(p[np.arange(len(labels)), labels]).mean()


def backward(inputs, labels, w1, b1, w2, b2):
    """The gradient of the mean loss with respect to each weight, from the end to the front."""
    z1, a1, _, p = forward(inputs, w1, b1, w2, b2)
    # Of softmax and -ln together: each probability, minus 1 for the right class.
    dz2 = (p - np.eye(2)[labels]) / len(labels)
    dz1 = (dz2 @ w2.T) * (z1 > 0)  # ReLU passes the gradient where its input was positive
    return [inputs.T @ dz1, dz1.sum(axis=0), a1.T @ dz2, dz2.sum(axis=0)], dz1, dz2


# %%
# One digit 1 through the network, and its gradients back.
weights = [
    np.array([[0.8, -0.5], [-0.6, 0.9]]),
    np.array([0.1, 0.6]),
    np.array([[-0.7, 0.4], [0.5, -0.3]]),
    np.array([0.0, 0.0]),
]
one = tiny_inputs[labels == 1][:1]
z1, a1, z2, p = forward(one, *weights)
slopes, dz1, dz2 = backward(one, [1], *weights)
print(f"ink {one[0].round(3)}, probabilities {p[0].round(3)}, loss {mean_loss(p, [1]):.3f}")

# %%
# Draw every number of this step: black goes forward, orange comes back.
figure, axes = plt.subplots(figsize=(9.2, 3.8))
axes.set(xlim=(-1.3, 8.6), ylim=(-1.8, 1.8))
axes.axis("off")
heights, orange = (0.9, -0.9), ev.plots.ORANGE
circle = {"boxstyle": "circle,pad=0.3", "fc": "white", "ec": ev.plots.BLUE}
center, paper = {"ha": "center", "va": "center"}, {"fc": "white", "ec": "none", "pad": 0.4}
for x, kernel_numbers, slope in ((0, weights[0], slopes[0]), (2.6, weights[2], slopes[2])):
    for (i, j), weight in np.ndenumerate(kernel_numbers):
        start, end = (x, heights[i]), (x + 2.6, heights[j])
        arrow = {"arrowstyle": "->", "color": ev.plots.GRAY, "shrinkA": 24, "shrinkB": 28}
        axes.annotate("", end, start, arrowprops=arrow)
        share = 0.45 if i == j else 0.3
        y = heights[i] + share * (heights[j] - heights[i])
        axes.text(x + 2.6 * share, y + 0.09, f"{weight:.2f}", bbox=paper, **center)
        axes.text(x + 2.6 * share, y - 0.09, f"{slope[i, j]:+.3f}", color=orange, bbox=paper, **center)
for x, sums, results, biases, back in ((2.6, z1, a1, weights[1], dz1), (5.2, z2, p, weights[3], dz2)):
    for i, y in enumerate(heights):
        axes.text(x, y, f"{sums[0, i]:.2f}\n→ {results[0, i]:.2f}", bbox=circle, **center)
        axes.text(x, y + 0.62, f"bias {biases[i]:.2f}", **center)
        axes.text(x, y - 0.62, f"{back[0, i]:+.3f}", color=orange, **center)
for i, y in enumerate(heights):
    axes.text(0, y, f"{one[0, i]:.2f}", bbox=circle, **center)
    axes.text(-0.8, y, ("middle", "sides")[i], **center)
    axes.text(6.1, y, ("zero", "one")[i], **center)
axes.text(7.9, heights[1], f"loss\n{mean_loss(p, [1]):.3f}", bbox=circle, **center)
axes.annotate("", (7.4, heights[1]), (6.4, heights[1]), arrowprops={"arrowstyle": "->"})
axes.text(6.9, heights[1] + 0.15, "−ln", **center)
axes.text(7.9, 1.1, "forward", **center)
axes.text(7.9, 0.8, "gradient of the loss", color=orange, **center)
plt.show()

# %% [markdown]
# **Figure 21.** One digit 1 on its way through the tiny network. Black goes forward: ink, weighted sums, and after the arrow in a node what ReLU or softmax makes of the sum. Orange comes back: how much the loss would grow for each unit added to the weight above it, or to the sum in the node above it (its upper number). A minus means: more of this, and the loss falls.
#
# At the end the gradient of each sum is its probability, minus 1 for the right class. From there the chain rule leads back. With $z_j = \sum_i w_{ij} a_i + b_j$:
#
# $$\frac{\partial L}{\partial w_{ij}} = a_i\,\frac{\partial L}{\partial z_j} \qquad\qquad \frac{\partial L}{\partial a_i} = \sum_j w_{ij}\,\frac{\partial L}{\partial z_j}$$
#
# In words: the gradient of a weight is the value that it multiplied, times the gradient of the sum that it feeds. To go one layer further back, add up the gradients of all sums that a value feeds, each times its weight. A ReLU passes the gradient where its sum was positive, and stops it elsewhere.
#
# ### What is a training loop?
#
# **Batch, forward, loss, gradient, update.** Here it is for the tiny network, complete:

# %%
# Train the 12 parameters: 200 steps, 64 digits each.
trained = [value.copy() for value in weights]
rate, tiny_losses = 0.5, []
for step in range(200):
    batch = slice(64 * step % 9600, 64 * step % 9600 + 64)  # which images; from the start again after 150
    p = forward(tiny_inputs[batch], *trained)[3]  # forward
    tiny_losses.append(mean_loss(p, labels[batch]))  # loss
    gradient = backward(tiny_inputs[batch], labels[batch], *trained)[0]  # gradient
    for value, slope in zip(trained, gradient, strict=True):
        value -= rate * slope  # update
right = forward(tiny_inputs, *trained)[3].argmax(axis=1) == labels
print(f"loss {tiny_losses[0]:.2f} at first, {tiny_losses[-1]:.2f} at the end; {100 * right.mean():.1f} % of {len(labels):,} digits right")

# %% [markdown]
# Keras does the same in `fit`. `compile` says which loss and which optimizer, `fit` runs the loop. For a real network nobody writes `backward`: Keras computes the gradients itself.
#
# ### What does training look like in a real network?
#
# **Most of it happens in the first hundred steps: some kernels grow out of noise.** This is the network of eight 7x7 kernels from above. One pass over all 50,000 images is called an *[epoch](../docs/glossary.md#epoch)*.

# %%
# One epoch, in pieces, to look at the kernels and at 2,000 unseen digits in between.
moments = [0, 1, 3, 6, 10, 18, 30, 55, 100, 180, 300, 450, 600, 780]
network.set_weights(random_start)
network.compile(
    keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"],
    jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
)  # fmt: skip
film, scores = [], []
for before, now in zip([0, *moments[:-1]], moments, strict=True):
    if now > before:
        batch = slice(64 * before, 64 * now)
        network.fit(x_fit[batch], y_fit[batch], batch_size=64, shuffle=False, verbose=0)
    film.append(network.get_weights()[0][:, :, 0])
    scores.append(network.evaluate(x_validation[:2000], y_validation[:2000], verbose=0))

# %% tags=["nbval-ignore-output"]
# The eight kernels at each moment as a moving picture; the first frame is the last moment.
frames = []
limit = np.abs(film).max()
for number in (len(film) - 1, *range(len(film))):
    figure, grid = plt.subplots(2, 4, figsize=(5, 3))
    for axes, kernel_slice in zip(grid.flat, np.moveaxis(film[number], -1, 0), strict=True):
        axes.imshow(ev.plots.colorize(kernel_slice, limits=(-limit, limit)))
        ev.plots.hide_axes(axes)
    figure.suptitle(f"step {moments[number]}: {100 * (1 - scores[number][1]):.1f} % errors")
    frames.append(figure)
ev.plots.animate(frames, seconds=0.6, colors=96)

# %% [markdown]
# **Figure 22.** Eight first-layer kernels during one epoch. The first step changes nothing that you could see. Then strokes and edges grow out of the noise in some kernels, and later steps sharpen them. Others hardly change.

# %% tags=["nbval-ignore-output"]
# Loss and errors on unseen digits, with a logarithmic axis for the steps.
loss, accuracy = np.transpose(scores)
curves = {
    "validation loss in nats": {"": (moments[1:], loss[1:])},
    "errors in %": {"": (moments[1:], 100 * (1 - accuracy[1:]))},
}
figure = ev.plots.show_lines(curves, x_label="step", log="x")
for axes in figure.axes:
    axes.set_ylim(0, None)
plt.show()

# %% [markdown]
# **Figure 23.** One epoch of training. Most of the loss is gone after 100 steps, when the network has seen one image in eight. (A *[nat](../docs/glossary.md#nat)* is the unit of a loss with the natural logarithm.)
#
# What the layers look for in larger networks (edges, then textures, patterns, parts, objects) is drawn in [notebook 02](02_kernel_visualization.ipynb).
#
# ### What does an optimizer do with the gradient?
#
# **It turns the gradient into a step. The simplest takes rate × gradient. Others remember earlier gradients.** Three of them in a few lines each; `g` is the gradient, and `memory` is what the optimizer keeps:

# %%
# Each returns the step to take. AdaGrad, RMSProp and Nesterov are in further/optimizers.
def sgd(g, memory, t, rate):
    return -rate * g


def momentum(g, memory, t, rate):  # like a ball: it keeps nine tenths of its speed
    memory["m"] = 0.9 * memory.get("m", 0) - rate * g
    return memory["m"]


def adam(g, memory, t, rate):  # both averages start at 0, so early values are too small: t corrects this
    memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
    return -rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * memory["m"] / (np.sqrt(memory["v"]) + 1e-7)


# A landscape of two weights with two valleys; the left one is deeper.
def height(x, y):
    return x**4 / 4 - x**2 / 2 + 0.15 * x + y**2 / 2


def walk(rule, start, rate=0.1, steps=60):
    position, memory, path = np.array(start), {}, [np.array(start)]
    for t in range(1, steps + 1):
        x, y = position
        position = position + rule(np.array([x**3 - x + 0.15, y]), memory, t, rate)
        path.append(position)
    return np.array(path)


rules = {"SGD": sgd, "momentum": momentum, "Adam": adam}
places = {"left of the hill": (-0.3, 1.1), "right of the hill": (0.6, 1.1), "far right": (1.9, 1.1)}
paths = {f"start {place}": {name: walk(rule, start) for name, rule in rules.items()} for place, start in places.items()}
_ = ev.plots.show_paths(height, paths, (-1.9, 2.2, -1.4, 1.5))

# %% [markdown]
# **Figure 24.** Two valleys; darker is lower. Where an optimizer ends depends on where it starts: a gradient only tells which way is down from where you stand. From the far right, momentum is fast enough to roll over the hill into the deeper valley. That is luck: from the far left it would roll out of it.
#
# > **Where the course differs.** (1) It says that optimizers "make sure" that we reach the optimum. None does: two starts end in two valleys. (2) It says that they need the fewest epochs. On digits the learning rate mattered more than the name of the optimizer ([the contest](further/optimizers.ipynb)). (3) It calls backpropagation a method to find the optimum. Backpropagation computes gradients; the optimizer uses them. (4) It updates weights with every image. Usually that happens once per batch, with the mean gradient. (5) It says that a picture that makes a kernel "happy" gives this kernel a low loss. It gives a high *activation*; the loss belongs to the whole network.
#
# ### What if there are few images?
#
# **Then a network can learn them by heart. *Regularization* makes that harder.** The course names a penalty, and dropout: in each training step half of the values of a layer are set to zero at random, so that no unit can rely on any other. Here we have 1,000 digits and a network with many more parameters than that.

# %%
# The same network twice, without and with dropout.
def large_network(dropout):
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 7, strides=2, activation="relu"),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
        layers.Flatten(),
        layers.Dropout(dropout, seed=0),
        layers.Dense(64, activation="relu"),
        layers.Dropout(dropout, seed=1),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


few, unseen = (x_fit[:1000], y_fit[:1000]), (x_validation[:2000], y_validation[:2000])
curves = {}
for label, dropout in (("without dropout", 0.0), ("with dropout", 0.5)):
    keras.utils.set_random_seed(0)
    model = large_network(dropout)
    ev.training.compile_classifier(model, keras.optimizers.Adam(0.002))
    seen_scores, unseen_scores = [], []
    for _ in range(25):
        model.fit(*few, batch_size=50, verbose=0)
        seen_scores.append(model.evaluate(*few, verbose=0))
        unseen_scores.append(model.evaluate(*unseen, verbose=0))
    curves[label] = np.array(seen_scores), np.array(unseen_scores)
print(f"{model.count_params():,} parameters, 1,000 digits, 25 epochs")

# %% tags=["nbval-ignore-output"]
# Both losses are measured with dropout switched off, so that the curves can be compared.
epochs = range(1, 26)
figure, panels = plt.subplots(1, 2, figsize=(9.2, 3), sharey=True)
for axes, (label, (seen_scores, unseen_scores)) in zip(panels, curves.items(), strict=True):
    axes.plot(epochs, seen_scores[:, 0], color=ev.plots.BLUE, label="images it was trained on")
    axes.plot(epochs, unseen_scores[:, 0], color=ev.plots.ORANGE, label="images it never saw")
    axes.fill_between(epochs, seen_scores[:, 0], unseen_scores[:, 0], color=ev.plots.ORANGE, alpha=0.12, lw=0)
    axes.set(title=f"{label}: {100 * unseen_scores[-1, 1]:.1f} % of unseen digits right", xlabel="epoch", ylim=(0, None))
    axes.grid()
panels[0].set_ylabel("loss in nats")
panels[1].legend()
plt.show()

# %% [markdown]
# **Figure 25.** Training on 1,000 digits. Without dropout the network soon knows its own digits by heart, and its loss on others *rises* again: it gets too sure of its mistakes. With dropout it learns more slowly, and the gap is much smaller.

# %% tags=["nbval-ignore-output", "corrects:backpropagation-finds-the-optimum", "refines:updates-with-every-image", "proves:forward-gradient-update"]
# Check the gradients: by changing each of the 12 parameters a little, and by Keras's automatic differentiation.
for part, slope in enumerate(slopes):
    for place in np.ndindex(slope.shape):
        around = []
        for sign in (1, -1):
            moved = [value.copy() for value in weights]
            moved[part][place] += sign * 1e-6
            around.append(mean_loss(forward(one, *moved)[3], [1]))
        assert np.isclose((around[0] - around[1]) / 2e-6, slope[place], atol=1e-8)
print("checked: each gradient is how much the loss changes when its parameter changes a little")

tiny = keras.Sequential([keras.Input((2,)), layers.Dense(2, "relu"), layers.Dense(2, "softmax")])
tiny.set_weights(weights)
some, their_labels = tiny_inputs[:64], labels[:64]
by_keras = ev.networks.weight_gradients(tiny, some, their_labels)
for mine, theirs in zip(backward(some, their_labels, *weights)[0], by_keras, strict=True):
    np.testing.assert_allclose(theirs, mine, atol=1e-6)
print("checked: Keras finds the same gradients; that of a batch is the mean over its images")

# Three steps of each optimizer by hand and by Keras.
for rule, optimizer in (
    (sgd, keras.optimizers.SGD(0.1)),
    (momentum, keras.optimizers.SGD(0.1, momentum=0.9)),
    (adam, keras.optimizers.Adam(0.1)),
):
    mine, memories = [value.copy() for value in weights], [{} for _ in weights]
    tiny.set_weights(weights)
    tiny.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    for t in (1, 2, 3):
        for value, g, memory in zip(mine, backward(some, their_labels, *mine)[0], memories, strict=True):
            value += rule(g, memory, t, 0.1)
        tiny.train_on_batch(some, their_labels)
    for value, theirs in zip(mine, tiny.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, value, atol=1e-5)
print("checked: three steps of SGD, momentum and Adam by hand are those of Keras")

# %% tags=["proves:forward-gradient-update", "corrects:optimizers-ensure-the-optimum", "proves:dropout-against-overfitting"]
# Check the trainings: the loops learn, valleys trap, dropout narrows the gap.
assert tiny_losses[-1] < 0.3 * tiny_losses[0]
assert right.mean() > 0.97
assert accuracy[0] < 0.25
assert accuracy[-1] > 0.93
assert loss[0] - loss[8] > 0.8 * (loss[0] - loss[-1])
assert np.linalg.norm(film[1] - film[0]) < 0.05 * np.linalg.norm(film[0])
print("checked: both networks learn; the first 100 of 780 steps remove over 80 % of the loss")

deep_valley, _, shallow_valley = sorted(np.roots([1, 0, -1, 0.15]).real)
assert height(deep_valley, 0) < height(shallow_valley, 0) - 0.2
for name in rules:
    assert abs(paths["start left of the hill"][name][-1, 0] - deep_valley) < 0.3
    assert abs(paths["start right of the hill"][name][-1, 0] - shallow_valley) < 0.3
ends = {name: path[-1, 0] < 0 for name, path in paths["start far right"].items()}
assert ends == {"SGD": False, "momentum": True, "Adam": False}
assert abs(walk(momentum, (-1.9, 1.1))[-1, 0] - shallow_valley) < 0.3
print("checked: the start decides which valley an optimizer ends in")

plain, dropped = curves["without dropout"], curves["with dropout"]
assert plain[0][-1, 1] > 0.99  # knows its own digits by heart
assert plain[1][-1, 0] > 1.15 * plain[1][:, 0].min()  # and its loss on others rose again
assert dropped[1][-1, 0] < plain[1][-1, 0]
assert dropped[1][-1, 1] > plain[1][-1, 1]
assert dropped[1][-1, 0] - dropped[0][-1, 0] < 0.6 * (plain[1][-1, 0] - plain[0][-1, 0])
print("checked: with dropout the gap is smaller, and more of the unseen digits are right")

# %% [markdown]
# **Take away.** Forward, loss, gradient, update: each is a few lines that can be checked by hand. What a network becomes depends on where it starts, on the learning rate, on how many images it has seen, and on what keeps it from learning them by heart, and less on the choice of optimizer than you might expect.
#
# **Try it.**
# 1. Set `rate = 20` in the training loop of the tiny network. What happens to the loss?
# 2. Start all 12 weights of the tiny network at zero. Which of them change in the first step?
# 3. Replace `Dropout` with `kernel_regularizer=keras.regularizers.L2(0.01)` in the dense layers. Is the gap smaller?
#
# <details><summary>Solutions</summary>
#
# 1. It jumps about instead of falling, and may get stuck: each step goes too far and lands on the other side of the valley.
# 2. Only the biases of the last layer. The hidden units are zero, so the weights after them get no gradient, and nothing passes back through zero weights.
# 3. Yes: a penalty on large weights is the other kind of regularization that the course names. Try several strengths.
# </details>
#
# **Read on.** [Notebook 02](02_kernel_visualization.ipynb) shows what kernels see and what they become. Further: [kernels in practice](further/kernels_in_practice.ipynb), [two 3x3 and one 5x5](further/two_3x3_and_one_5x5.ipynb), [initialization](further/initialization.ipynb), [optimizers](further/optimizers.ipynb). [Every claim of the course](../docs/claims.md) is listed with the cell that checks it. Sources: the course's three references on [initialization](https://www.deeplearning.ai/ai-notes/initialization/), [receptive fields](https://medium.com/mlreview/a-guide-to-receptive-field-arithmetic-for-convolutional-neural-networks-e0f514068807) and [practice](https://medium.com/usf-msds/deep-learning-best-practices-1-weight-initialization-14e5c0295b94); [Glorot and Bengio 2010](https://proceedings.mlr.press/v9/glorot10a.html), [He et al. 2015](https://arxiv.org/abs/1502.01852), [Kingma and Ba 2014](https://arxiv.org/abs/1412.6980), [Srivastava et al. 2014](https://jmlr.org/papers/v15/srivastava14a.html).
