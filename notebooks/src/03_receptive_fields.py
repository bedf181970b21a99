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
# # Receptive fields: what a pixel deep in a network sees
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/03_receptive_fields.ipynb)
#
# The S3 lecture, made executable: its kernels, its tables, its two building blocks. At the end of this page you will know
#
# - how large a part of the picture a pixel of any layer sees, computed exactly, and proved by experiment where the course's table says otherwise;
# - what a 1x1 convolution does, what it costs, and how a network squeezes and expands with it;
# - how the networks of the textbooks are built, and why a pixel uses far less than all that it sees.

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

from evalib.receptive_fields import effective_size, gaussian_fit

ev.plots.use_style()
ev.check_version("0.2")

# %% [markdown]
# ## What is a 3x3x3x4 kernel?
#
# **Four kernels, each 3 rows high, 3 columns wide and 3 channels deep: 108 weights that turn the three channels of a color picture into four new ones.** People say "a 3x3 kernel" and leave the depth out, because it is no choice: a kernel is always as deep as its input has channels. The fourth number is how many kernels there are, and so how many channels come out.
#
# ### What goes in?
#
# **A photograph with three channels, and four kernels with a slice for each of the three.**

# %%
# A color photograph has three channels: 400 rows, 400 columns, and red, green and blue from 0 to 255.
photo = ev.sample_photo("astronaut", 400)
print(photo.shape, photo.dtype)

# %%
# Four kernels of whole numbers, so that sums can be checked by hand. The first two measure edges in gray:
# the same 3x3 slice for red, green and blue.
left_to_right = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
edge_x = np.stack([left_to_right] * 3, axis=-1)
edge_y = edge_x.transpose(1, 0, 2)

# The third ignores shape and asks for a color: red counts twice, green and blue count against it.
redness = np.ones((3, 3, 1), int) * np.array([2, -1, -1])

# The fourth sets the center against the eight pixels around it: fine detail.
detail = -np.ones((3, 3, 3), int)
detail[1, 1] = 8

names = ["brighter to the right", "brighter to the bottom", "redness", "detail"]
kernels = np.stack([edge_x, edge_y, redness, detail], axis=-1)
print(kernels.shape)

# %%
# Rows, columns, channels in, kernels: this is the order in which Keras keeps the weights of a convolution.
assert kernels.shape == (3, 3, 3, 4)

# %% [markdown]
# ### What is one output pixel, by hand?
#
# **The sum of 27 products, nine in each channel.** The place is the left rim of the blue badge on the orange suit. Going from left to right, red falls and blue rises. In each channel the first kernel takes the right column minus the left one. Then the three sums become one number: **a kernel with three channels gives one channel, not three.**

# %%
# Lay the first kernel over the photograph around row 299, column 104, and write down all 27 products.
row, column = 299, 104
patch = photo[row - 1 : row + 2, column - 1 : column + 2].astype(int)
channel_sums = []
for channel, color in enumerate(["red", "green", "blue"]):
    products = patch[..., channel] * edge_x[..., channel]
    terms = " ".join(f"{product:+d}" for product in products.ravel())
    channel_sums.append(int(products.sum()))
    print(f"{color:>5}: {terms} = {channel_sums[-1]:+d}")
by_hand = sum(channel_sums)
print("  all:", " ".join(f"{value:+d}" for value in channel_sums), f"= {by_hand:+d}")

# %%
# The same 27 products as a figure: a row for each channel, and below it the sum of all three.
figure, grid = plt.subplots(3, 3, figsize=(6.6, 5.6))
for channel, (line, shades) in enumerate(zip(grid, ["Reds", "Greens", "Blues"], strict=True)):
    values, weights = patch[..., channel], edge_x[..., channel]
    parts = {
        "photograph": (values, ev.plots.colorize(values, shades, (0, 400)), "×"),
        "kernel": (weights, ev.plots.colorize(weights, limits=(-3, 3)), "="),
        "products": (values * weights, ev.plots.colorize(values * weights, limits=(-400, 400)), "→"),
    }
    for axes, (title, (numbers, colors, sign)) in zip(line, parts.items(), strict=True):
        ev.plots.write_numbers(axes, numbers, colors)
        axes.set_title(title if channel == 0 else "")
        axes.text(1.05, 0.5, sign, transform=axes.transAxes, va="center", fontsize=14)
    line[0].set_ylabel(["red", "green", "blue"][channel])
    total = f"${channel_sums[channel]}$"
    axes.text(1.25, 0.5, total, transform=axes.transAxes, va="center", fontsize=14)
terms = " ".join(f"{value:+d}" for value in channel_sums)
figure.supxlabel(f"one output pixel:  ${terms} = {by_hand}$", fontsize=13)
plt.show()

# %%
# Red and blue pull in opposite directions, and nearly cancel: in gray this rim is faint.
assert channel_sums == [-205, -89, 203]
assert by_hand == -205 - 89 + 203 == -91

# %% [markdown]
# **Figure 1.** One output pixel. Each channel of the photograph meets its own slice of the kernel: nine products, one sum. The sums of the three channels are added. A bias would be added here too.
#
# ### What does Keras make of all pixels?
#
# **Four new channels of 398x398 pixels.** `keras.ops.conv` does the same at every place where the kernel fits, and for all four kernels. It fits 398 times along each side, as 400 - 3 + 1 = 398.

# %%
# Add the batch axis in front, since Keras convolves many pictures at once, and take it off again.
pictures = ops.convert_to_tensor(photo[np.newaxis], "float32")
outputs = ops.conv(pictures, ops.convert_to_tensor(kernels, "float32"), padding="valid")
outputs = ops.convert_to_numpy(outputs)[0]
print(outputs.shape)

# %% tags=["proves:one-kernel-makes-one-channel"]
# Output pixel (298, 103) has its center at (299, 104): without padding, the first center is at (1, 1).
# Sums of whole numbers below 2**24 are exact in float32; half a unit is left for fast convolution methods.
assert outputs.shape == (398, 398, 4)
assert abs(outputs[row - 1, column - 1, 0] - by_hand) < 0.5

# The other three kernels at the same place, each as one sum of 27 products.
for number in range(4):
    assert abs(outputs[row - 1, column - 1, number] - (patch * kernels[..., number]).sum()) < 0.5

# %%
# What does each kernel pick out? Three slices of each, and the channel that it makes of the photograph.
figure, grid = plt.subplots(2, 5, figsize=(9.2, 2.9), height_ratios=[1, 3.4])
ev.plots.hide_axes(grid[0, 0])
grid[1, 0].imshow(photo)
ev.plots.hide_axes(grid[1, 0], "photograph")
for number, (above, below) in enumerate(grid[:, 1:].T):
    slices = np.full((3, 13), np.nan)
    for left, channel, color in ((1, 0, "red"), (5, 1, "green"), (9, 2, "blue")):
        slices[:, left : left + 3] = kernels[:, :, channel, number]
        ev.plots.outline(above, (0, left, 3, 3), color)
    limit = 1.3 * np.nanmax(np.abs(slices))
    above.imshow(slices, cmap=ev.plots.SIGNED, vmin=-limit, vmax=limit)
    ev.plots.hide_axes(above, names[number])
    limit = np.percentile(np.abs(outputs[..., number]), 99)
    below.imshow(ev.plots.colorize(outputs[..., number], limits=(-limit, limit)))
    ev.plots.hide_axes(below)
plt.show()

# %% [markdown]
# **Figure 2.** Four kernels of 3x3x3 and their outputs, blue for negative and red for positive. The slices are framed in the color of their channel. The first answers to upright borders, red where it gets brighter to the right; the second to level ones: compare the rocket with the collar. The third knows no shape, but its three slices differ: it finds the suit and leaves the gray wall out. The fourth keeps what is small.

# %%
# Is that so? Mean strength of each output on the rocket (upright), under the collar (level), on suit and wall.
strength = np.abs(outputs)
rocket, collar = strength[40:160, 290:355].mean((0, 1)), strength[195:230, 150:210].mean((0, 1))
suit, wall = strength[230:270, 120:160].mean((0, 1)), strength[100:140, 240:280].mean((0, 1))
assert rocket[0] > 2 * rocket[1]
assert collar[1] > 2 * collar[0]
assert suit[2] > 5 * wall[2]

# The fourth: strong on the small drawing of the badge, weak on the wall, where little changes.
assert strength[280:320, 110:150, 3].mean() > 5 * wall[3]

# %% [markdown]
# ### How many weights?

# %%
# A layer of Keras with four 3x3 kernels: its 3x3 says nothing about depth, so the input must tell.
layer = layers.Conv2D(4, 3)
layer.build((None, 400, 400, 3))
kernel_weights, biases = layer.get_weights()
print(f"kernels {kernel_weights.shape}: {kernel_weights.size} weights, {biases.size} biases")

# %% tags=["proves:kernel-of-3x3x3x4"]
# 3 x 3 x 3 x 4 = 108 weights, and a bias for each kernel.
assert kernel_weights.shape == (3, 3, 3, 4)
assert kernel_weights.size == 3 * 3 * 3 * 4 == 108
assert layer.count_params() == 108 + 4
assert layer.compute_output_shape((None, 400, 400, 3)) == (None, 398, 398, 4)

# %% tags=["proves:kernel-as-deep-as-its-input"]
# The same call on other inputs: one channel, three, and the 512 that a deep layer reads.
for depth in (1, 3, 512):
    layer = layers.Conv2D(4, 3, use_bias=False)
    layer.build((None, 400, 400, depth))
    print(f"Conv2D(4, 3) on {depth:3} channels: {layer.count_params():6,} weights")
    assert layer.count_params() == 3 * 3 * depth * 4

# %% [markdown]
# **Take away.** Read 3x3x3x4 as *rows x columns x channels in x channels out*. "3x3" never says how deep a kernel is: on 512 channels one 3x3 kernel has 4,608 weights. That is what makes 3x3 kernels expensive deep inside a network.

# %% [markdown]
# ## How much of the picture does a pixel of session 2's network see?
#
# **28x28 pixels where the course's table ends, not 30x30; and 38x38, not 62x62, behind the second pooling.** The *receptive field* of a pixel is the part of the picture that can change it. The course doubles it at each pooling. A pooling adds one step to the field, and doubles the *stride*: how far the fields of two neighbors lie apart. What follows then grows twice as fast.
#
# ### What layers has session 2's network?
#
# Session 2 took a picture of 400x400x3 to 512 channels, pooled, and stopped at a kernel marked `?x?`. Here it stands as 1x1; why is the question after this one.

# %%
# Build the network of session 2; the table is computed from the model itself, in the course's notation.
session2 = ev.session2_network()
print(ev.receptive_field_table(session2))

# %%
# The same table with all its columns, drawn by the notebook: kernels, strides, parameters, fields.
ev.receptive_field_table(session2)

# %% tags=["proves:sizes-of-the-network"]
# Sizes by hand: a 3x3 kernel fits n - 2 times, a 2x2 pooling n / 2 times.
rows = ev.receptive_field_table(session2).rows
heights = [row.output_shape[0] for row in rows]
assert heights == [398, 396, 394, 392, 390, 195, 195, 193, 191, 189, 187]

# Weights by hand for the first layer: 3x3 kernels, 3 channels in, 32 out, a bias each.
assert rows[0].weights == "(3x3x3)x32"
assert rows[0].parameters == 3 * 3 * 3 * 32 + 32 == 896

# %% [markdown]
# ### Where does the course's table go wrong?
#
# The lecture continues the network through a second pooling. Its column of receptive fields, beside the exact one:

# %%
# The course's numbers as it prints them, by layer. `38x28` is a slip of the pen for its own 28x28.
network = ev.squeeze_expand_network()
printed = {
    "first_conv": "3x3",
    "block1_conv1": "5x5",
    "block1_conv2": "7x7",
    "block1_conv3": "9x9",
    "block1_conv4": "11x11",
    "transition1_mix": "22x22",
    "block2_conv1": "24x24",
    "block2_conv2": "26x26",
    "block2_conv3": "38x28",
    "block2_conv4": "30x30",
    "transition2_mix": "60x60",
    "block3_conv1": "62x62",
}
exact = {name: ev.receptive_field(network, name) for name in printed}
print(f"{'layer':16} the course   exact")
for name, field in exact.items():
    remark = "" if str(field) == printed[name] else "   <- differs"
    print(f"{name:16} {printed[name]:10}   {field}{remark}")

# %% tags=["proves:fields-before-the-pooling", "corrects:pooling-doubles-the-field", "corrects:fields-grow-by-two-behind-a-pooling", "corrects:field-of-38x28"]
# Up to the first pooling both agree; from there on the course's field is too large, and once not a square.
sizes = [field.size[0] for field in exact.values()]
assert sizes == [3, 5, 7, 9, 11, 12, 16, 20, 24, 28, 30, 38]
assert all(height == width for height, width in (field.size for field in exact.values()))
differs = [name for name, field in exact.items() if str(field) != printed[name]]
assert differs == list(printed)[5:]

# %% [markdown]
# ### Why does pooling not double the field?
#
# A 2x2 pooling looks at two neighbors in each direction. Before it, each of them sees 11 pixels, and the second one sees the same pixels moved on by one: together 12, not 22. But the *next* output takes the pair after that, two pixels further on. So from here on neighbors lie two pixels apart, and a 3x3 kernel, which reaches one neighbor to each side, adds 2 x 2 = 4 pixels.

# %%
# The whole arithmetic, layer by layer, with nothing but a size and a stride.
size, stride = 1, 1
by_hand = {}
for row in ev.receptive_field_table(network):
    if row.kernel is None:
        break  # The average at the end sees everything.
    size += (row.kernel[0] - 1) * stride  # each further tap of the kernel lies a stride away
    stride *= row.stride[0]
    by_hand[row.name] = (size, stride)

for name in ("block1_conv4", "transition1_pool", "block2_conv1", "transition2_pool", "block3_conv1"):
    print(f"{name:16}: size {by_hand[name][0]:2}, stride {by_hand[name][1]}")

# %% tags=["corrects:pooling-doubles-the-field", "corrects:fields-grow-by-two-behind-a-pooling"]
# Pooling: one step more, twice the stride. The next 3x3 kernel: two strides more.
assert by_hand["block1_conv4"] == (11, 1)
assert by_hand["transition1_pool"] == (11 + 1, 2)
assert by_hand["block2_conv1"] == (12 + 2 * 2, 2)
assert by_hand["transition2_pool"] == (28 + 2, 4)
assert by_hand["block3_conv1"] == (30 + 2 * 4, 4)

# These few lines agree with evalib at every layer.
for name, (size, stride) in by_hand.items():
    assert ev.receptive_field(network, name).size == (size, size)
    assert ev.receptive_field(network, name).stride == (stride, stride)

# %% [markdown]
# ### Does an experiment find the same fields?
#
# **Yes, to the pixel.** Arithmetic can be wrong twice in the same way. So ask the network itself: change one row of pixels after the other, then one column after the other, and see which of them change the middle pixel of a layer. What comes out depends on no formula. A narrow sibling of the network on a smaller picture is enough, for neither changes the fields.

# %%
# The course's network with a sixteenth of its channels, on 80x80 pixels: which pixels matter to the middle?
small = ev.squeeze_expand_network(input_size=80, width=1 / 16)
asked = ["block1_conv4", "transition1_pool", "block2_conv1", "transition2_pool", "block3_conv1"]
measured = {name: ev.measure_receptive_field(small, name) for name in asked}
for name, field in measured.items():
    print(f"{name:16}: {field} pixels change it")

# %% tags=["corrects:pooling-doubles-the-field", "corrects:field-of-62x62", "proves:receptive-field-is-what-takes-part"]
# The experiment finds the exact sizes and strides, and refutes 22, 60 and 62.
for name, field in measured.items():
    assert field.size == ev.receptive_field(network, name).size
    assert field.stride == ev.receptive_field(network, name).stride
assert [field.size[0] for field in measured.values()] == [11, 12, 16, 30, 38]

# %% [markdown]
# ### What does one pixel of each layer see?
#
# **At first 3x3 pixels, at last 38x38, and in each layer all that the one before it saw.**

# %%
# Take a place in the photograph, and ask each layer for the pixel whose field is centered nearest to it.
place = (80, 158)
regions = {}
for name, field in exact.items():
    regions[name] = field.region(field.nearest_output(place))

# %%
# Frame them in the photograph, each in its color, and cut them out. Dashed: two sizes that the course gives.
figure = plt.figure(figsize=(9.2, 4.4))
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.5])
whole, pieces = left.subplots(), right.subplots(3, 4).flat
colors = plt.get_cmap("viridis")(np.linspace(0, 0.95, len(regions)))
for axes, color, (name, (rows, columns)) in zip(pieces, colors, regions.items(), strict=True):
    height, width = exact[name].size
    axes.imshow(photo[rows, columns])
    ev.plots.hide_axes(axes, f"{name}\n{exact[name]}")
    ev.plots.outline(axes, (0, 0, height, width), color)
    ev.plots.outline(whole, (rows.start, columns.start, height, width), color)
y, x = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
for size in (22, 62):
    ev.plots.outline(whole, (y - size / 2, x - size / 2, size, size), ls="--")
whole.imshow(photo)
ev.plots.hide_axes(whole)
whole.set(xlim=(x - 38, x + 38), ylim=(y + 38, y - 38))
plt.show()

# %%
# What the squares hold is exactly what the arithmetic says, and each holds the one before it.
for name, (rows, columns) in regions.items():
    assert (rows.stop - rows.start, columns.stop - columns.start) == exact[name].size
seen = list(regions.values())
from itertools import pairwise

for inner, outer in pairwise(seen):
    assert all(o.start <= i.start and i.stop <= o.stop for i, o in zip(inner, outer, strict=True))

# %% [markdown]
# **Figure 3.** What one pixel of each layer sees of the photograph. Solid: the exact fields, from 3x3 to 38x38. Dashed: what the course's table gives for the first transition (22x22) and for the last layer (62x62). At 3x3 there is little but color, at 11x11 the middle of an eye, at 28x28 the eye with its brow. The dashed 62x62 would hold half a face.
#
# **Take away.** A layer adds (kernel - 1) x stride to the field, where the stride is the product of all strides before it. Pooling widens the field by one step only. What it changes is the speed: every later kernel counts double.

# %% [markdown]
# ## How to come down from 512 channels?
#
# **With a 1x1 convolution: each new channel is a weighted sum of the old ones, taken pixel by pixel.** It costs a ninth of a 3x3 convolution, does not look at a pixel's neighbors, and can leave a channel out by giving it the weight zero.
#
# ### What does it do to shapes?
#
# A 1x1 kernel is as deep as its input. On 7x7xD it has D weights and gives one channel of 7x7; four such kernels turn 32x32x10 into 32x32x4. Height and width stay as they are.

# %% tags=["proves:one-by-one-has-d-values", "proves:four-1x1-take-10-to-4", "proves:question-marks-are-1x1"]
# The course's cases, asked of Keras's own layers; building a layer makes its weights and needs no picture.
def describe_1x1(size, depth, count):
    """Build a 1x1 convolution, print it in the course's notation, and give its shapes."""
    layer = layers.Conv2D(count, 1, use_bias=False)
    input_shape = (None, size, size, depth)
    layer.build(input_shape)
    output_shape = layer.compute_output_shape(input_shape)[1:]
    print(
        f"{size}x{size}x{depth} | 1x1x{depth}x{count} | {'x'.join(map(str, output_shape))}:",
        f"{layer.count_params():,} weights",
    )
    return output_shape, layer.kernel.shape


for depth in (3, 10, 512):
    assert describe_1x1(7, depth, 1) == ((7, 7, 1), (1, 1, depth, 1))
assert describe_1x1(32, 10, 4) == ((32, 32, 4), (1, 1, 10, 4))
assert describe_1x1(195, 512, 32) == ((195, 195, 32), (1, 1, 512, 32))

# %% [markdown]
# The last line answers the question that session 2 left open: the kernel marked `?x?` is 1x1, and the `?x?` of its output is 195x195.
#
# ### Why is it a weighted sum of channels?

# %%
# Two 1x1 kernels on the photograph's three channels: one gives the brightness that the eye sees, the other
# asks for what is more red than green and blue.
pixels = photo.astype("float32") / 255
mixing = np.array([[0.299, 1.0], [0.587, -0.5], [0.114, -0.5]], "float32")
mixed = ops.convert_to_numpy(ops.conv(pixels[np.newaxis], mixing[np.newaxis, np.newaxis]))[0]
shapes = pixels.shape, (1, 1, *mixing.shape), mixed.shape
print(" | ".join("x".join(map(str, shape)) for shape in shapes))

# %%
# Draw the sums: a row for each of the two kernels.
def show_sums(channels, weights, outputs, color_map="gray"):
    """Draw each output as a sum of weighted channels; what is below zero looks like zero."""
    size = (1.7 * (len(channels) + 1), 2 * len(outputs))
    _, grid = plt.subplots(len(outputs), len(channels) + 1, figsize=size)
    for line, numbers, (title, output) in zip(grid, weights.T, outputs.items(), strict=True):
        for axes, number, (name, values) in zip(line, numbers, channels.items(), strict=False):
            strength = max(0.12, abs(number) / np.abs(numbers).max())  # faint where it counts little
            axes.imshow(values, cmap=color_map, vmin=0, vmax=1, alpha=strength)
            ev.plots.hide_axes(axes, f"${number:.3f}$ × {name}")
            sign = "=" if axes is line[-2] else "+"
            axes.text(1.08, 0.5, sign, transform=axes.transAxes, ha="center", va="center", fontsize=13)
        line[-1].imshow(output, cmap=color_map, vmin=0, vmax=output.max())
        ev.plots.hide_axes(line[-1], title)
    plt.show()


color_channels = {name: pixels[..., i] for i, name in enumerate(["red", "green", "blue"])}
show_sums(color_channels, mixing, {"brightness": mixed[..., 0], "more red": mixed[..., 1]})

# %% tags=["proves:one-by-one-is-a-weighted-sum"]
# Multiply each channel as a whole by its one number, and add: the same, but for float32's last digits.
red, green, blue = color_channels.values()
np.testing.assert_allclose(mixed[..., 0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-5)
np.testing.assert_allclose(mixed[..., 1], 1.0 * red - 0.5 * green - 0.5 * blue, atol=1e-5)

# The second sum nearly leaves out what is gray: the suit's mean is many times that of the wall.
assert mixed[230:270, 120:160, 1].mean() > 5 * np.abs(mixed[100:140, 240:280, 1].mean())

# %% [markdown]
# **Figure 4.** Two 1x1 convolutions. Each multiplies the red, green and blue channel by one number each and adds the results; values below zero are drawn black, and a channel fades where its weight is small. The weights of the second keep the suit and drop the background: no shape was needed, only a good mixture. That is what the course means by filtering.

# %% tags=["proves:one-by-one-is-a-weighted-sum"]
# All pixels and both kernels at once are one matrix product: 160,000 pixels x 3 channels times 3 x 2 weights.
as_matrix = pixels.reshape(-1, 3) @ mixing
np.testing.assert_allclose(mixed.reshape(-1, 2), as_matrix, atol=1e-5)

# A dense layer with these weights does it too, for it works on the last axis.
dense = layers.Dense(2, use_bias=False)
dense.build(pixels.shape)
dense.set_weights([mixing])
np.testing.assert_allclose(mixed, ops.convert_to_numpy(dense(pixels)), atol=1e-5)

# %% [markdown]
# ### Is it a proper convolution?
#
# The course says it is "not even a proper convolution", because a whole channel can be multiplied by just one number. The reason is right, and we have just done it. The conclusion is meant as a hint, and goes a little too far: the definition of a convolution holds for a kernel of one pixel as for any other. A 1x1 kernel is a 3x3 kernel whose eight outer weights are zero. What it lacks is a neighborhood: therefore it finds no edges, and the receptive field does not grow.

# %% tags=["corrects:one-by-one-is-no-convolution"]
# Put the 1x1 kernels in the middle of 3x3 kernels of zeros: the same values, less the border.
padded = np.zeros((3, 3, 3, 2), "float32")
padded[1, 1] = mixing
by_3x3 = ops.convert_to_numpy(ops.conv(pixels[np.newaxis], padded))[0]
np.testing.assert_allclose(by_3x3, mixed[1:-1, 1:-1], atol=1e-5)

# %% [markdown]
# ### What does it cost beside a 3x3 convolution?
#
# **A ninth of the weights and of the multiplications, and less time.** Both convolutions below come from 512 channels down to 32. The 3x3 convolution has padding here, so that both give 195x195 pixels.

# %%
# Count on the course's own sizes: nothing is computed yet, so 195x195x512 is no trouble.
sizes = {"3x3": 3, "1x1": 1}
weights, products = {}, {}
for name, size in sizes.items():
    squeeze = layers.Conv2D(32, size, padding="same", use_bias=False)
    (cost,) = ev.networks.layer_costs(keras.Sequential([keras.Input((195, 195, 512)), squeeze]))
    weights[name], products[name] = cost.parameters, cost.macs
    print(f"{name}: {weights[name]:7,} weights, {products[name]:13,} multiplications")

# %% tags=["proves:one-by-one-is-cheap"]
# By hand: positions x kernel height x kernel width x channels in x channels out.
assert weights == {"3x3": 3 * 3 * 512 * 32, "1x1": 512 * 32} == {"3x3": 147_456, "1x1": 16_384}
assert products == {"3x3": 195 * 195 * 147_456, "1x1": 195 * 195 * 16_384}
assert products["3x3"] == 9 * products["1x1"]

# %% tags=["nbval-ignore-output"]
# Measure on eight pictures of 65x65x512, the two in turn, so that a busy moment of the machine hits both.
import time

pictures = ops.convert_to_tensor(
    np.random.default_rng(0).normal(size=(8, 65, 65, 512)), dtype="float32"
)
squeezes = {name: layers.Conv2D(32, size, padding="same") for name, size in sizes.items()}
seconds = {name: [] for name in sizes}
for _ in range(10):
    for name, squeeze in squeezes.items():
        start = time.perf_counter()
        ops.convert_to_numpy(squeeze(pictures))  # as an array, so that the work is really done
        seconds[name].append(time.perf_counter() - start)

# The first round sets things up, so it does not count.
milliseconds = {name: 1000 * float(np.median(times[1:])) for name, times in seconds.items()}
print({name: round(value, 1) for name, value in milliseconds.items()}, "milliseconds")
print(f"ratio {milliseconds['3x3'] / milliseconds['1x1']:.1f}")

# %% tags=["proves:one-by-one-is-cheap"]
# How many times faster depends on the machine; that it is faster does not.
assert milliseconds["1x1"] < milliseconds["3x3"]

# %% tags=["nbval-ignore-output"]
# The three costs beside each other.
panels = {
    "weights": weights,
    "multiplications, 195x195 pixels": products,
    "milliseconds, 8 x 65x65 pixels": milliseconds,
}
_ = ev.plots.show_bars(panels, highlight="1x1")

# %% [markdown]
# **Figure 5.** Coming from 512 channels to 32 by 3x3 and by 1x1 kernels. Weights and multiplications stand at nine to one whatever the picture's size. Time need not: it also depends on how fast a machine reads the 512 channels from its memory, and they are the same for both.

# %%
# The figure's counts are to scale: nine to one in both.
assert weights["3x3"] / weights["1x1"] == products["3x3"] / products["1x1"] == 9

# %% [markdown]
# ### Can it learn to turn a useless channel off?
#
# **Yes. It starts with the same weight for three channels, and ends with almost nothing on the two that do not help.** The task: name a handwritten digit. The picture has three channels: the digit itself, some other digit as a background that tells nothing about the answer, and random dots. A 1x1 convolution must make one channel of the three, and the rest of the network sees only that.

# %%
# 6,000 digits, each with the background of another digit; 2,000 more to test on, with new backgrounds and dots.
(digits, labels), _ = ev.load_mnist()


def with_distractions(chosen, background, seed):
    """Stack digits, other digits and random dots as three channels from 0 to 1."""
    shown, behind = digits[chosen] / 255, digits[background] / 255
    dots = np.random.default_rng(seed).uniform(size=shown.shape)
    return np.stack([shown, behind, dots], axis=-1).astype("float32")


learn, unseen = slice(0, 6000), slice(20_000, 22_000)
images_learn = with_distractions(learn, slice(6000, 12_000), seed=0)
images_unseen = with_distractions(unseen, slice(22_000, 24_000), seed=1)
print(images_learn.shape, images_unseen.shape)

# %%
# The mixture comes first and starts undecided. A penalty on the sum of its absolute weights (L1) pulls all
# three toward zero alike; a weight stays up only where the answers need it.
keras.utils.set_random_seed(0)
mixer = keras.Sequential(
    [
        keras.Input((28, 28, 3)),
        layers.Conv2D(
            1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 3),
            kernel_regularizer=keras.regularizers.L1(0.03), name="mix",
        ),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)  # fmt: skip
weights_before = mixer.get_layer("mix").get_weights()[0].ravel()
print(weights_before.round(3))

# %% tags=["nbval-ignore-output"]
# Two passes over the 6,000 pictures, then look at the three weights again.
mixer.compile(
    optimizer=keras.optimizers.Adam(0.003),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
history = mixer.fit(images_learn, labels[learn], epochs=2, batch_size=32, verbose=0)
weights_after = mixer.get_layer("mix").get_weights()[0].ravel()
_, accuracy = mixer.evaluate(images_unseen, labels[unseen], verbose=0)
for name, weight in zip(["digit", "other digit", "dots"], weights_after, strict=True):
    print(f"{name:11} {weight:7.4f}")
print(f"{100 * accuracy:.1f} % of the unseen digits named right")

# %% tags=["proves:one-by-one-filters"]
# The useful weight has grown; the useless ones are far below a tenth of it. And the network does its work.
assert abs(weights_after[0]) > weights_before[0]
assert np.abs(weights_after[1:]).max() < 0.1 * abs(weights_after[0])
assert accuracy > 0.85

# %% tags=["nbval-ignore-output"]
# One unseen picture and its mixture, by the weights before and after training.
example = images_unseen[5]
names = ["digit", "other digit", "dots"]
show_sums(
    {name: example[..., i] for i, name in enumerate(names)},
    np.stack([weights_before, weights_after], axis=1),
    {"before training": example @ weights_before, "after training": example @ weights_after},
    ev.plots.INK,
)

# %% [markdown]
# **Figure 6.** What the rest of the network sees, on the right, is a mixture of the three channels on the left. Before training each counts the same. After training the background digit and the dots are multiplied by almost zero, and only the digit is left.

# %% tags=["proves:one-by-one-filters"]
# Turned off means: put nothing at all into the two useless channels, and the answers stay the same.
blank = images_unseen * np.array([1, 0, 0], "float32")
answers = mixer.predict(images_unseen, verbose=0).argmax(axis=1)
answers_blank = mixer.predict(blank, verbose=0).argmax(axis=1)
assert (answers == answers_blank).mean() > 0.95

# %% [markdown]
# **Take away.** To reduce channels, mix them: 1x1xDxN takes D channels to N, for D x N weights and as many multiplications a pixel. Nobody has to say which channels matter. Training finds it out.

# %% [markdown]
# ## Squeeze and expand: how is the whole network put together?
#
# **From two pieces in turn: a convolution block that expands 32 channels to 512, and a transition block that halves the picture and squeezes the channels back to 32.** Each ends where the other begins, so they can be chained as often as the picture's size allows. The first convolution stands alone in front of them, because it reads the picture's 3 channels and not 32.

# %%
# Both pieces are functions of evalib; the transition block is two layers. Its source, without the docstring:
import inspect

source = inspect.getsource(ev.transition_block)
print(source.replace(f'    """{ev.transition_block.__doc__}"""\n', ""))

# %%
# Expand, then squeeze: 32 channels go in, 512 stand in the middle, 32 come out, ready for the next round.
before = keras.Input((398, 398, 32))
expanded = ev.conv_block(before, [64, 128, 256, 512], name="block", normalize=False)
squeezed = ev.transition_block(expanded, 32, name="transition")
print("x".join(map(str, before.shape[1:])), "| convolution block |", end=" ")
print("x".join(map(str, expanded.shape[1:])), "| transition block |", end=" ")
print("x".join(map(str, squeezed.shape[1:])))

# %% tags=["proves:blocks-can-be-chained"]
# The course's sizes: four 3x3 convolutions take eight pixels, and the pooling halves what is left.
assert expanded.shape[1:] == (390, 390, 512)
assert squeezed.shape[1:] == (195, 195, 32)

# %% [markdown]
# ### What does the full network look like?
#
# The course's table ends with the first convolution of block 3, and dots. `squeeze_expand_network` completes that block like the two before, and adds the *head*, the part that makes an answer of maps, as the course asks for it elsewhere: a 1x1 convolution to one map for each of 1,000 classes, the average of each map (*global average pooling*), softmax.

# %%
# Build it at full size, and count. Building makes the weights; no picture goes through it here.
network = ev.squeeze_expand_network()
print(f"{len(network.layers) - 1} layers, {network.count_params():,} parameters")

# %%
# Its table with the exact receptive fields: blocks end at 11x11, 28x28 and 62x62.
print(ev.receptive_field_table(network))

# %% tags=["corrects:second-block-ends-at-30x30"]
# The ends of the three blocks by hand: 11, then + 1 + 4 x 4 = 28, then + 2 + 4 x 8 = 62.
ends = [ev.receptive_field(network, f"block{block}_conv4").size[0] for block in (1, 2, 3)]
assert ends == [11, 11 + 1 + 4 * 2 * 2, 28 + 2 + 4 * 2 * 4] == [11, 28, 62]

# %% tags=["proves:sizes-of-the-network"]
# Every size of the course's table, from the model: first convolution, block 1, transition 1, and so on to 91.
heights = [layer.output.shape[1] for layer in network.layers[1:]]
assert heights[:14] == [398, 396, 394, 392, 390, 195, 195, 193, 191, 189, 187, 93, 93, 91]
channels = [layer.output.shape[3] for layer in network.layers[1:15]]
assert channels == [32, 64, 128, 256, 512, 512, 32, 64, 128, 256, 512, 512, 32, 64]

# 187 is odd: its last row and column have no partner, and the pooling drops them.
assert 187 // 2 == 93

# %% [markdown]
# ### Where are its weights, and where is its work?
#
# **A layer's weights do not depend on the picture's size; its multiplications do.** The same block costs the same weights in front and at the end, but in front its kernels go to many more places.

# %%
# Multiplications of each layer: positions of the output times weights of the kernels (see `ev.networks.layer_costs`).
costs = {cost.name: cost for cost in ev.networks.layer_costs(network)}
total = ev.networks.macs(network)
largest = costs["block1_conv4"]
print(f"all layers:   {total:15,} multiplications for one picture")
print(f"block1_conv4: {largest.macs:15,}, {100 * largest.macs / total:.0f} %")

# %%
# Channels, parameters and multiplications of every layer whose output has pixels.
drawn = [cost for cost in costs.values() if len(cost.output_shape) == 3]
names = [f"{cost.name}, {cost.output_shape[0]}x{cost.output_shape[1]}" for cost in drawn]
panels = {
    "channels": [cost.output_shape[-1] for cost in drawn],
    "parameters": [cost.parameters for cost in drawn],
    "multiplications": [cost.macs for cost in drawn],
}
figure = ev.plots.show_bars(
    {title: dict(zip(names, values, strict=True)) for title, values in panels.items()}
)
figure.set_figheight(5.2)
for axes in figure.axes:
    for bar, cost in zip(axes.patches, drawn, strict=True):
        kernel_size = getattr(network.get_layer(cost.name), "kernel_size", None)
        bar.set_color({(3, 3): "C0", (1, 1): "C1", None: "C2"}[kernel_size])

# %%
# By hand for the most expensive layer: 390 x 390 places, 3x3 kernels from 256 to 512 channels.
assert largest.macs == 390 * 390 * 3 * 3 * 256 * 512
assert largest.macs > total / 2
block1 = sum(cost.macs for name, cost in costs.items() if name.startswith("block1"))
assert 0.75 < block1 / total < 0.8
assert max(costs.values(), key=lambda cost: cost.macs) == largest

# The same layer has as many parameters in all three blocks.
assert len({costs[f"block{block}_conv4"].parameters for block in (1, 2, 3)}) == 1

# The squeezes are cheap: less than one percent of all multiplications.
squeezes = costs["transition1_mix"].macs + costs["transition2_mix"].macs
assert squeezes < 0.01 * total

# %% [markdown]
# **Figure 7.** Squeeze and expand, layer by layer: 3x3 convolutions in blue, 1x1 convolutions in orange, poolings in gray. Left: channels go up to 512 and come back to 32. Middle: parameters repeat from block to block; the head's 1x1 convolution to 1,000 classes adds to them. Right: more than three quarters of the multiplications are in block 1, where the picture is largest, and more than half of all in a single layer.
#
# ### What do blocks of 64, 128, 256 and 512 save?
#
# The course says of the later networks that their blocks grow from 64 to 512 instead of reaching 512 each time, and that this needs less computation and fewer parameters. **Less computation: yes. Fewer parameters: that depends on how the blocks are filled.** To compare like with like, all networks below have the same layers: one first convolution, four blocks of four 3x3 convolutions, three transitions to 32 channels, one head. They have the same sizes and the same receptive fields. Only the numbers of kernels in the blocks differ.

# %%
# Four ways to fill four blocks of four convolutions.
ends = (64, 128, 256, 512)
designs = {
    "512 wide throughout": [(512,) * 4] * 4,
    "each block expands to 512 (the course)": [(64, 128, 256, 512)] * 4,
    "wide throughout: 64, 128, 256, 512 (ResNet)": [(end,) * 4 for end in ends],
    "blocks expand to 64, 128, 256, 512": [
        tuple(min(kernels, end) for kernels in (64, 128, 256, 512)) for end in ends
    ],
}
parameters, products, map_sizes, fields = {}, {}, [], set()
for name, block_widths in designs.items():
    candidate = ev.squeeze_expand_network(block_widths=block_widths)
    parameters[name] = candidate.count_params()
    products[name] = ev.networks.macs(candidate)
    map_sizes.append([layer.output.shape[1:-1] for layer in candidate.layers])
    fields.add(ev.receptive_field(candidate, "block4_conv4").size)
    print(f"{name:43}: {parameters[name]:10,} parameters, {products[name]:17,} multiplications")

# %%
# The four networks have the same layers and sizes, and see equally much.
assert all(sizes == map_sizes[0] for sizes in map_sizes)
assert fields == {(62 + 4 + 4 * 2 * 8,) * 2}

# %%
# The same numbers as bars.
_ = ev.plots.show_bars({"parameters": parameters, "multiplications": products})

# %% tags=["refines:growing-blocks-save"]
# Against blocks that are 512 wide throughout, ResNet's widths save weights and much more computation.
wide, course, resnet, growing = designs
assert parameters[wide] > 2.5 * parameters[resnet]
assert products[wide] > 20 * products[resnet]

# Against the course's blocks they save computation, but have more parameters.
assert products[course] > 4 * products[resnet]
assert parameters[course] < parameters[resnet]

# Both are saved where each block grows as the course's does, but stops at 64, 128, 256 and 512.
assert parameters[course] > 1.5 * parameters[growing]
assert products[course] > 4 * products[growing]

# `widening_network` of evalib is the third of the four.
assert designs[resnet] == [(64,) * 4, (128,) * 4, (256,) * 4, (512,) * 4]
assert ev.networks.widening_network(130).count_params() == parameters[resnet]

# %% [markdown]
# **Figure 8.** Four networks with the same layers and different numbers of kernels. Multiplications: what counts is to be narrow where the picture is large. Parameters: what counts is how many kernels read 512 channels and write 512, wherever that is. ResNet's widths put three such layers into the last block, so they need more parameters than the course's blocks, which have none.

# %%
# Where the third network's parameters are: most are in its last block, which does less than a third of the work.
resnet_costs = ev.networks.layer_costs(ev.networks.widening_network(400))
last_block = [cost for cost in resnet_costs if cost.name.startswith("block4")]
parameter_share = sum(cost.parameters for cost in last_block) / parameters[resnet]
product_share = sum(cost.macs for cost in last_block) / products[resnet]
print(f"block 4: {100 * parameter_share:.0f} % of the parameters")
print(f"block 4: {100 * product_share:.0f} % of the multiplications")
assert parameter_share > 2 / 3
assert product_share < 1 / 3

# %% [markdown]
# **Take away.** Expand with 3x3 convolutions, squeeze with 1x1, and repeat. Be narrow where the picture is large, for there each kernel is used most; be wide where it is small.

# %% [markdown]
# ## How are the modern architectures built?
#
# **In blocks, as the course says: a few convolutions at one size, then half the size and more channels.** The course makes four points about them: ResNet has four blocks; their channels grow from 64 to 512; only the most advanced networks end in a global average (GAP) instead of fully connected layers (FC); and nearly every one starts from 56x56. The first holds, and the second for the 3x3 convolutions. Of the others we have something to say.

# %%
# Five networks as Keras has them. Only their structure is asked for, so no weights are loaded or drawn.
names = ["VGG16", "ResNet50", "InceptionV3", "MobileNet", "DenseNet121"]
graphs = {name: ev.networks.application_graph(name) for name in names}
tables = {name: ev.receptive_field_table(graph) for name, graph in graphs.items()}

# %% [markdown]
# ### How do five networks compare?

# %%
# Which layer ends the first block of each network, behind the few layers (the stem) that only make it smaller?
first_blocks = {
    "VGG16": "block1_conv2",
    "ResNet50": "conv2_block1_out",
    "InceptionV3": "mixed0",
    "MobileNet": "conv_pw_1",
    "DenseNet121": "conv2_block1_concat",
}


def stages(table):
    """The most channels that convolutions and merges give at each size, from large to small."""
    found = {}
    for row in table:
        if (row.weights or row.kind == "Concatenate") and not row.receptive_field.is_global:
            size, channels = row.output_shape[1:]
            found[size] = max(channels, found.get(size, 0))
    return found


def head(table):
    """What turns maps into a list of numbers: FC or GAP, and the parameters from there on."""
    kinds = [row.kind for row in table]
    start = next(i for i, kind in enumerate(kinds) if kind in ("Flatten", "GlobalAveragePooling2D"))
    return "FC" if kinds[start] == "Flatten" else "GAP", sum(r.parameters for r in table.rows[start:])


print("network      input  first block  head  parameters  in the head  last field  sizes and channels")
for name, table in tables.items():
    block = next(row for row in table if row.name == first_blocks[name])
    last = [row for row in table if not row.receptive_field.is_global][-1]
    kind, share = head(table)
    ways = ", ".join(f"{size}:{channels}" for size, channels in stages(table).items())
    print(
        f"{name:12} {graphs[name].input_shape[1]:5}  {block.output_shape[0]:11}  {kind:4}"
        f"  {graphs[name].count_params():10,}  {100 * share / graphs[name].count_params():9.1f} %"
        f"  {last.receptive_field!s:>10}  {ways}"
    )

# %%
# Published by Araujo, Norris and Sim (Distill 2019), from TensorFlow graphs: evalib finds the same numbers.
last_fields = {
    name: [row for row in table if not row.receptive_field.is_global][-1].receptive_field.size[0]
    for name, table in tables.items()
}
published = {"VGG16": 212, "ResNet50": 483, "InceptionV3": 1311, "MobileNet": 315}
assert {name: last_fields[name] for name in published} == published

# DenseNet121 by hand: 7 + 4 from the stem, then 3x3 kernels and 2x2 poolings at strides of 4, 8, 16 and 32.
dense_blocks = 6 * 2 * 4 + 4 + 12 * 2 * 8 + 8 + 24 * 2 * 16 + 16 + 16 * 2 * 32
assert last_fields["DenseNet121"] == 7 + 4 + dense_blocks == 2071

# %%
# The same as a figure: the way down, the parameters, and the field beside the size of the picture.
figure, (way, counted, seen) = plt.subplots(1, 3, figsize=(9.2, 3.3), width_ratios=[1.2, 1, 1])
for name, table in tables.items():
    way.loglog(*zip(*stages(table).items(), strict=True), "o-", label=name)
steps = [224, 112, 56, 28, 14, 7]
way.set(xlabel="height and width", ylabel="channels", title="The way down")
way.set(xlim=(280, 5.6), xticks=steps, xticklabels=steps)
way.set_xticks([], minor=True)

in_heads = np.array([head(table)[1] for table in tables.values()]) / 1e6
before = np.array([graph.count_params() for graph in graphs.values()]) / 1e6 - in_heads
counted.barh(names, before, label="convolutions")
counted.barh(names, in_heads, left=before, label="head")
counted.set(xlabel="millions", title="Parameters")

seen.barh(names, last_fields.values())
inputs = [graph.input_shape[1] for graph in graphs.values()]
seen.plot(inputs, names, "|", color="C1", ms=17, mew=2, label="the picture")
seen.set(xlabel="pixels", title="Field at the end", yticks=[])
for axes in (counted, seen):
    axes.invert_yaxis()
for axes in (way, counted, seen):
    axes.legend()
plt.show()

# %% tags=["refines:squeeze-and-expand-is-everywhere"]
# What the figure shows, as statements: channels never shrink, one head is heavy, one field fits into its picture.
for table in tables.values():
    sizes, widths = zip(*stages(table).items(), strict=True)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert list(widths) == sorted(widths)
heavy = [n for n in names if head(tables[n])[1] > graphs[n].count_params() / 2]
inside = [n for n in names if last_fields[n] <= graphs[n].input_shape[1]]
assert heavy == inside == ["VGG16"]

# %% [markdown]
# **Figure 9.** Left: on the way through a network the picture shrinks, and the channels grow or stay as many, in all five. Middle: only VGG16 has its parameters in the head. Right: the fields at the last layer with positions. All but VGG16's reach past the border of the picture: what a pixel there sees is limited by the picture, not by the network.
#
# ### Has ResNet four blocks of 64 to 512 channels?

# %%
# Read it from the names and kernels of the layers: the 3x3 convolutions of each block.
resnet = {}
for row in tables["ResNet50"]:
    if row.kernel == (3, 3) and row.weights:
        resnet.setdefault(row.name.split("_")[0], set()).add(row.output_shape)
print(resnet)

# %% tags=["refines:squeeze-and-expand-is-everywhere", "proves:resnet-has-four-blocks", "refines:resnet-goes-from-64-to-512"]
# Four blocks; their 3x3 kernels number 64, 128, 256, 512, at 56x56, 28x28, 14x14 and 7x7.
assert list(resnet.values()) == [{(56, 56, 64)}, {(28, 28, 128)}, {(14, 14, 256)}, {(7, 7, 512)}]

# Between blocks there are four times as many: 1x1 convolutions squeeze them for the 3x3 and expand them again.
assert list(stages(tables["ResNet50"]).values())[1:] == [256, 512, 1024, 2048]

# %% [markdown]
# ### Does nearly every network start from 56x56?
#
# **Of these five two do: ResNet and DenseNet.** They share a stem of a 7x7 convolution of stride 2 and a pooling of stride 2: 224 / 4 = 56. VGG16 starts at the full 224x224, MobileNet at 112x112, Inception at 35x35. What four of the five share: a few layers make the picture smaller before the blocks begin, so that the blocks are cheap. VGG16 begins at full size.

# %% tags=["corrects:networks-start-at-56x56"]
# The height of the first block's output in each network.
starts = {
    name: next(row.output_shape[0] for row in table if row.name == first_blocks[name])
    for name, table in tables.items()
}
assert starts == {
    "VGG16": 224, "ResNet50": 56, "InceptionV3": 35, "MobileNet": 112, "DenseNet121": 56
}  # fmt: skip

# %% [markdown]
# ### What does the fully connected layer cost?
#
# **In VGG16, nine tenths of all parameters.** Its first FC layer gives each of 7x7 positions x 512 channels its own weight to each of 4,096 units. A global average needs no weight at all; then one weight for each channel and class is enough. ResNet, Inception and DenseNet still end in one FC layer, and MobileNet in a 1x1 convolution, but these read one average for each channel. Of the five only VGG16, the oldest, has FC layers that read every position.

# %%
# VGG16 as it is, its convolutions alone, and a dense layer from 512 channel averages to 1,000 classes.
convolutions = ev.networks.application_graph("VGG16", include_top=False).count_params()
fully_connected = graphs["VGG16"].count_params() - convolutions
classes = 512 * 1000 + 1000
print(f"convolutions {convolutions:11,}")
print(f"FC head      {fully_connected:11,}")
print(f"GAP head     {classes:11,}")

# %% tags=["refines:networks-end-fully-connected", "corrects:only-the-most-advanced-have-gap"]
# By hand: 7x7x512 to 4096 to 4096 to 1000, a bias each. The average saves all but half a million of them.
by_hand = (7 * 7 * 512 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
assert fully_connected == by_hand == 123_642_856
assert fully_connected > 0.89 * graphs["VGG16"].count_params()
assert fully_connected > 240 * classes
assert [head(table)[0] for table in tables.values()] == ["FC", "GAP", "GAP", "GAP", "GAP"]

# %% [markdown]
# **Take away.** Blocks, halving sizes, growing channels, and an average at the end: squeeze and expand is everywhere, with other numbers. Ask the graph itself before you believe a table, ours included: `evalib rf ResNet50` prints it.

# %% [markdown]
# ## Does an output pixel use all that it sees?
#
# **Hardly: the middle of its field counts for much, the rim for next to nothing.** The receptive field of the parts above is the *theoretical* one: outside it no pixel can have an influence. How much influence the pixels inside have is another question, and Luo, Li, Urtasun and Zemel answered it in 2016: the *effective* receptive field is shaped like a bell, and the deeper the network, the smaller its share of the theoretical field.
#
# ### How is influence measured?
#
# **By the gradient: how much does the output move when this pixel moves a little?** `effective_field` takes the middle position of a layer, puts a signal of one on each of its channels and carries it back to the input. It does so for many images and averages the absolute values. The weights stay as they are; only the slope by each pixel is read off.

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
            # The last one stays linear, so that the middle is never shut.
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
# With equal weights a pixel's influence is a number of paths. In each layer a path goes one step up, down, left, right, along a diagonal, or stays. From a corner of the field exactly one path leads to the middle in ten layers: always along the diagonal. From the pixel in the middle there are many. Counting the paths is convolving a row of three ones with itself, once a layer, and a convolved box soon looks like a bell: that is the central limit theorem.

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
assert np.allclose(np.square(gaussian_fit(equal_field).sigma), 10 * 2 / 3)
assert gaussian_fit(equal_field).r_squared > 0.999

# %% [markdown]
# The *effective side* is that of a square with as many pixels as have more than 4.55 % of the greatest influence. That is the paper's measure, and its number is borrowed: 95.45 % of a bell's *area* lies within two standard deviations. To 4.55 % of its *height* a bell falls at 2.5 of them.
#
# ### How much of a photograph does an untrained network use?
#
# **About a third of the pixels that it could use.** Twenty 3x3 convolutions with ReLU and random weights see 41x41 pixels. The photograph gives the pieces to measure with.

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
titles = "what it may see", "how strongly it sees it"
for axes, title, (top, edge) in zip((left, middle), titles, (corner, (0, 0)), strict=True):
    rim = (41 - effective_side) / 2
    ev.plots.hide_axes(axes, title)
    ev.plots.outline(axes, (top, edge, 41, 41))
    ev.plots.outline(axes, (top + rim, edge + rim, effective_side, effective_side), "C0")

places, sigma = np.arange(-20, 21), gaussian_fit(field).sigma[1]
right.bar(places, field[20], width=1, alpha=0.35, label="middle row")
right.plot(places, np.exp(-0.5 * (places / sigma) ** 2), "C0", label=f"bell, σ = {sigma:.1f}")
for edge in (-20.5, 20.5):
    right.axvline(edge, color="C1")
right.set(xlabel="pixels from the middle", ylabel="influence", yticks=[0, 0.5, 1], ylim=(0, 1.4))
right.legend(loc="upper center", ncols=2)
plt.show()

# %% [markdown]
# **Figure 10.** One output pixel of an untrained network of twenty layers. Left: the theoretical field in orange, and in blue a square of the effective side. Middle: the piece inside the orange square, each pixel shown as strongly as it counts. Right: the influence along the middle row, beside a bell of the same width. Toward the orange edges there is nothing to see.

# %%
# Every pixel of the theoretical field can have an influence, yet about a third of them have all that counts.
assert ev.receptive_field(untrained, "conv20").size == field.shape == (41, 41)
in_use = effective_size(field) ** 2 / field.size
assert 0.2 < in_use < 0.4
assert gaussian_fit(field).r_squared > 0.8

# %% [markdown]
# ### Do more layers help?
#
# **Less than one would think: four times as many layers see four times as far, but use only twice as far.** Each layer adds 2 pixels to the theoretical side, $1 + 2n$ in all. But it adds its *variance* to the bell, and the width of a bell is the root of its variance:
#
# - equal weights: variance $\tfrac{2}{3}n$, as counted above;
# - random weights: the gradient is a sum of many terms of random sign, so its *square* is what spreads like the paths. The gradient itself is the root of such a bell, which is again a bell, of twice the variance: $\tfrac{4}{3}n$.
#
# Either way the effective side grows like $\sqrt{n}$, and its share of the theoretical side falls like $1/\sqrt{n}$.

# %%
# Measure at four depths. One random network is one throw of the dice, so average eight of them, each on two noise images.
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
_ = ev.plots.show_fields(titled, columns=4)

# %% [markdown]
# **Figure 11.** Effective fields at four depths. Each picture is as wide as its theoretical field, so that all would be of one color if all pixels counted alike. The white square has the effective side, which is written below. From left to right the field grows, but the bell fills less and less of it.


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
# **Figure 12.** Points are measured, lines predicted. Left: the theoretical side grows with every layer by the same amount, the effective one ever more slowly. Right: so the share that is used shrinks; with forty layers less than a sixth of the pixels are used.

# %%
# Sizes are as predicted, within a tenth, and the power of n is about a half: a line through the logarithms has that slope.
for label in fields:
    assert np.allclose(measured[label], predicted[label], rtol=0.1)
    slope, _ = np.polyfit(np.log(depths), np.log(measured[label]), 1)
    assert abs(slope - 0.5) < 0.08
    assert (np.diff(np.array(measured[label]) / theoretical) < 0).all()
    assert (measured[label][-1] / theoretical[-1]) ** 2 < 1 / 6

# %%
# The variances of the bells too: 2/3 a layer and 4/3 a layer. With five layers the field cuts off the wider bell's rim.
for label, variance in {"equal weights": 2 / 3, "random weights, ReLU": 4 / 3}.items():
    for depth in depths[1:]:
        widths = gaussian_fit(fields[label][depth]).sigma
        assert np.allclose(widths, (variance * depth) ** 0.5, rtol=0.1)

# %% [markdown]
# ### Does training change it?
#
# **On digits it does: the trained S3 network uses more of what it sees than any of five untrained ones.** It was trained in [notebook 05](05_s3_assignment.ipynb); its weights are read from a file. Its last 3x3 convolution sees 20x20 pixels, and all networks look at the same 200 test digits. With five convolutions and a pooling it is shallow, so the bell fills most of the field even before training: that, too, is what the last figure says.

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
_ = ev.plots.show_fields(s3_fields, box)

# %% [markdown]
# **Figure 13.** The field of the middle of `block2_relu4` in the S3 network, over digits of 28x28 pixels. Orange: the theoretical field of 20x20. White: a square of the effective side, which is written below. The trained field is wider and reaches into the corners; the untrained ones are taller than wide.

# %%
# Wider than every untrained one, by more than these differ from each other; and rounder.
sizes = [effective_size(field) for field in s3_fields.values()]
sigmas = np.array([gaussian_fit(field).sigma for field in s3_fields.values()])
height_to_width = sigmas[:, 0] / sigmas[:, 1]
assert sight.size == (20, 20)
assert sight.padding == (0, 0)
assert sizes[0] - max(sizes[1:]) > max(sizes[1:]) - min(sizes[1:])
assert height_to_width[0] < height_to_width[1:].min()

# %% [markdown]
# ### Is it the kernels that grew wider?
#
# **In this network hardly: it is blank paper that opened.** On blank paper an untrained unit without bias gives exactly zero, ReLU is shut there, and no gradient passes. Ink is in the middle and reaches farther down than sideways, hence the small tall fields. Training gave each channel an offset, and the paper around a digit began to speak: a field belongs to a network *and* its images.

# %% tags=["nbval-ignore-output"]
# The control: the same networks on gray noise, where no pixel is blank.
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
# And the reason, exactly: what a channel answers to blank paper is zero before training, and not after it.
blank = np.zeros((1, 28, 28, 1), "float32")
for title, network in s3_networks.items():
    before_relu = keras.Model(network.inputs[0], network.get_layer("block2_norm4").output)
    answers = ops.convert_to_numpy(before_relu(blank, training=False))
    assert answers.any() == (title == "trained")

# %%
# Why tall: the average digit is, measured like a field by the spread of its ink.
ink = gaussian_fit(digits.mean(axis=(0, 3)))
assert ink.sigma[0] > 1.1 * ink.sigma[1]

# %% [markdown]
# ### And in a deeper network?
#
# **Its field grows on digits as well, within seconds, and still does not fill its square.** Ten 3x3 convolutions see 21x21 pixels, most of a digit, and start with a field of about 15x15. Two networks are measured before and after two short epochs, on digits and on the same gray noise.

# %% tags=["nbval-ignore-output"]
# Each network twice: as drawn, and after it learned to read digits.


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
_ = ev.plots.show_fields(before | after, (4, 4, *sight.size), columns=2)

# %% [markdown]
# **Figure 14.** Two networks of ten convolutions, above as drawn, below after two short epochs. Each one's field grew, and still the corners of the theoretical field, in orange, count for little. On noise, in the numbers above, they grew less: again a part of what changed is which units digits leave open.

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
# **Take away.** The theoretical field says what a pixel *cannot* see. What it does use is a bell in the middle, and more 3x3 layers widen that bell only like the root of their number. A network that must judge a whole object therefore wants a theoretical field clearly larger than the object, or steps that widen each layer's spread: pooling, strides, or kernels with gaps between their weights (*dilation*). Training helped in every network here, on the images it was made for; in the small one because it opened units that blank paper had shut.
#
# **Read on.** [Notebook 04](04_activation_functions.ipynb) asks what stands between two convolutions, and why. [Every claim of the course](../docs/claims.md) stands beside the cell that checks it.
