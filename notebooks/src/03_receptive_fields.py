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
# *For students of a first vision course who know what a 3x3 kernel does ([notebook 01](01_python101_answers.ipynb)). 25 minutes to read, 2 to run on two processor cores.*
#
# | Question of the lecture | Answer |
# |---|---|
# | [What is a 3x3x3x4 kernel?](#What-is-a-3x3x3x4-kernel?) | Four kernels, each 3 rows by 3 columns by 3 channels. 108 weights that turn 3 channels into 4. |
# | [How much of the picture does a pixel see?](#How-much-of-the-picture-does-a-pixel-see?) | A 3x3 layer adds 2 pixels; after one 2x2 pooling it adds 4, after two it adds 8. Pooling itself adds little. The course's network sees 28x28 where its table says 30x30. |
# | [How do we get from 512 channels to 32?](#How-do-we-get-from-512-channels-to-32?) | With a 1x1 convolution: each new channel is a weighted sum of the old ones. It costs a ninth of a 3x3 convolution. |
# | [What is squeeze and expand?](#What-is-squeeze-and-expand?) | Blocks of 3x3 convolutions expand 32 channels to 512. Transitions halve the picture and squeeze the channels back to 32. |
# | [How are modern networks built?](#How-are-modern-networks-built?) | In blocks that shrink the picture and add channels. Three of the five here also squeeze channels, and four end in a global average. |

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
# ## What is a 3x3x3x4 kernel?
#
# **Four kernels, each 3 rows high, 3 columns wide and 3 channels deep. Their 108 weights turn the three channels of a color picture into four new channels.** People say "a 3x3 kernel" and leave out the depth, because the depth is not a choice: a kernel is always as deep as its input has channels. The fourth number counts the kernels, so it is the number of channels that come out.
#
# Here are four such kernels. Their weights are whole numbers, so that you can check every sum by hand.

# %%
# Two kernels for edges, with the same 3x3 slice for red, green and blue.
left_to_right = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
edge_x = np.stack([left_to_right] * 3, axis=-1)
edge_y = edge_x.transpose(1, 0, 2)

# One kernel for a color: red counts twice, green and blue count against it.
redness = np.ones((3, 3, 1), int) * np.array([2, -1, -1])

# One kernel for fine detail: the center against its eight neighbors.
detail = -np.ones((3, 3, 3), int)
detail[1, 1] = 8

# Rows, columns, channels in, kernels: this is also the order in which Keras stores weights.
names = ["vertical edges", "horizontal edges", "redness", "fine detail"]
kernels = np.stack([edge_x, edge_y, redness, detail], axis=-1)
photo = ev.sample_photo("astronaut", 400)
print("photograph", photo.shape, "  kernels", kernels.shape)

# %% [markdown]
# ### What is one output pixel?
#
# **The sum of 27 products, nine in each channel.** We put the first kernel on the left edge of the blue badge. From left to right the red gets darker there and the blue gets brighter.

# %%
# Lay the first kernel over the photograph around row 299, column 104, and write down all 27 products.
row, column = 299, 104
patch = photo[row - 1 : row + 2, column - 1 : column + 2].astype(int)
for channel, color in enumerate(["red", "green", "blue"]):
    products = patch[..., channel] * edge_x[..., channel]
    terms = " ".join(f"{product:+d}" for product in products.ravel())
    print(f"{color:>5}: {terms} = {products.sum():+d}")
by_hand = (patch * edge_x).sum()
print(f"  sum: {by_hand}")

# %%
# The same 27 products as a figure: a row for each channel, and the three sums below.
figure = plt.figure(figsize=(9.2, 4.6))
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.9])
whole, grid = left.subplots(), right.subplots(3, 3)
whole.imshow(photo[230:350, 50:170])
ev.plots.hide_axes(whole, "photograph, and where the kernel lies")
ev.plots.outline(whole, (row - 231, column - 51, 3, 3), ev.plots.SKY, lw=3)
sums = (patch * edge_x).sum((0, 1))
for channel, (line, shades) in enumerate(zip(grid, ["Reds", "Greens", "Blues"], strict=True)):
    values, weights = patch[..., channel], edge_x[..., channel]
    parts = {
        "pixels": (values, ev.plots.colorize(values, shades, (0, 400)), "×"),
        "kernel": (weights, ev.plots.colorize(weights, limits=(-3, 3)), "="),
        "products": (values * weights, ev.plots.colorize(values * weights, limits=(-400, 400)), "→"),
    }
    for axes, (title, (numbers, colors, sign)) in zip(line, parts.items(), strict=True):
        ev.plots.write_numbers(axes, numbers, colors)
        axes.set_title(title if channel == 0 else "")
        axes.text(1.05, 0.5, sign, transform=axes.transAxes, va="center", fontsize=14)
    line[0].set_ylabel(["red", "green", "blue"][channel])
    axes.text(1.25, 0.5, f"${sums[channel]}$", transform=axes.transAxes, va="center", fontsize=14)
terms = " ".join(f"{value:+d}" for value in sums)
right.supxlabel(f"one output pixel:  ${terms} = {by_hand}$", fontsize=13)
plt.show()

# %% [markdown]
# **Figure 1.** One output pixel. Each channel meets its own slice of the kernel: nine products, one sum. Then the three sums are added. So a kernel with three channels makes *one* channel, not three. A layer would also add its [bias](../docs/glossary.md#bias) here.
#
# ### What is the whole output?
#
# **The same sum at every position where the kernel fits: 398 times along each side, because 400 − 3 + 1 = 398.** In code, a convolution is a double loop:

# %%
# A convolution as a double loop: visit each position, multiply, add.
def convolve(picture, kernel):
    height, width = picture.shape[0] - 2, picture.shape[1] - 2
    output = np.zeros((height, width), int)
    for y in range(height):
        for x in range(width):
            output[y, x] = (picture[y : y + 3, x : x + 3] * kernel).sum()
    return output


outputs = np.stack([convolve(photo, kernels[..., number]) for number in range(4)], axis=-1)
print(outputs.shape)

# %%
# What does each kernel pick out? Its three slices above, the channel that it makes below.
figure, grid = plt.subplots(2, 4, figsize=(9.2, 3.3), height_ratios=[1, 3.4])
for number, (above, below) in enumerate(grid.T):
    slices = np.full((3, 11), np.nan)
    for left, channel in ((0, 0), (4, 1), (8, 2)):
        slices[:, left : left + 3] = kernels[:, :, channel, number]
        ev.plots.outline(above, (0, left, 3, 3), ["#d62728", "#2ca02c", "#1f77b4"][channel], lw=2)
    limit = 1.6 * np.nanmax(np.abs(slices))
    above.imshow(slices, cmap=ev.plots.SIGNED, vmin=-limit, vmax=limit)
    for (y, x), value in np.ndenumerate(slices):
        if np.isfinite(value):
            above.text(x, y, f"{value:g}".replace("-", "−"), ha="center", va="center", fontsize=9)
    ev.plots.hide_axes(above, names[number])
    limit = np.percentile(np.abs(outputs[..., number]), 99)
    below.imshow(ev.plots.colorize(outputs[..., number], limits=(-limit, limit)))
    ev.plots.hide_axes(below)
plt.show()

# %% [markdown]
# **Figure 2.** Four kernels, each with a slice for red, green and blue, and the channels that they make: blue is negative, red is positive, white is zero. The first responds to vertical edges (the rocket), the second to horizontal edges (the collar). The third ignores shapes and finds the orange suit. The fourth keeps small details.
#
# In Keras the loop is one call. `keras.ops.conv` convolves many pictures at once, so the arrays get a batch axis in front.

# %%
# All positions and all four kernels in one call.
batch = ops.convert_to_tensor(photo[np.newaxis], "float32")
by_keras = ops.convert_to_numpy(ops.conv(batch, ops.convert_to_tensor(kernels, "float32")))[0]
print(f"largest difference from the double loop: {np.abs(by_keras - outputs).max():.0f}")

# %%
# A layer makes its weights when it meets an input, because only the input gives the depth.
for depth in (1, 3, 512):
    layer = layers.Conv2D(4, 3, use_bias=False)
    layer.build((None, 400, 400, depth))
    print(f"Conv2D(4, 3) on {depth:3} channels: kernel {layer.kernel.shape}, {layer.count_params():,} weights")

# %% tags=["proves:one-kernel-makes-one-channel", "proves:kernel-of-3x3x3x4", "proves:kernel-as-deep-as-its-input"]
# Check this section: the loop, the shapes, the weights, and what Figure 2 says.
assert by_hand == -205 - 89 + 203 == outputs[row - 1, column - 1, 0]
assert np.abs(by_keras - outputs).max() < 0.5
assert outputs.shape == (398, 398, 4)
print("checked: the 27 products by hand, the double loop and Keras agree; four kernels make four channels")

for depth in (1, 3, 512):
    layer = layers.Conv2D(4, 3)
    layer.build((None, 400, 400, depth))
    assert layer.kernel.shape == (3, 3, depth, 4)
    assert layer.count_params() == 3 * 3 * depth * 4 + 4
print("checked: a kernel is as deep as its input; 3 x 3 x 3 x 4 = 108 weights, and one bias for each kernel")

strength = np.abs(outputs)
rocket, collar = strength[40:160, 290:355].mean((0, 1)), strength[195:230, 150:210].mean((0, 1))
suit, wall = strength[230:270, 120:160].mean((0, 1)), strength[100:140, 240:280].mean((0, 1))
badge = strength[280:320, 110:150].mean((0, 1))
assert rocket[0] > 2 * rocket[1]
assert collar[1] > 2 * collar[0]
assert suit[2] > 5 * wall[2]
assert badge[3] > 5 * wall[3]
print("checked: rocket = vertical edges, collar = horizontal edges, suit = redness, badge = fine detail")

# %% [markdown]
# **Take away.** Read 3x3x3x4 as *rows x columns x channels in x channels out*. On 512 channels one "3x3" kernel has 4,608 weights. That is what makes 3x3 kernels expensive deep inside a network.
#
# **Try it.**
# 1. Set the green slice of the first kernel to zero (`kernels[:, :, 1, 0] = 0`). What does it still find? Predict, then run.
# 2. How many weights does `Conv2D(64, 5)` have on an RGB picture? And on 64 channels?
# 3. Write a kernel that, with a ReLU after it, responds only where blue is stronger than red, whatever the shape.
#
# <details><summary>Solutions</summary>
#
# 1. Vertical edges as before, with about two thirds of the strength: most edges of a photograph appear in all three channels. Only edges that differ in green alone are lost, such as red against yellow.
# 2. 5·5·3·64 + 64 = 4,864 and 5·5·64·64 + 64 = 102,464.
# 3. `np.ones((3, 3, 1), int) * np.array([-1, 0, 1])`. Because all nine positions have the same weights, it only compares colors.
# </details>

# %% [markdown]
# ## How much of the picture does a pixel see?
#
# **The *receptive field* of a value is the part of the picture that can change it. A 3x3 layer adds 2 pixels to it. After one 2x2 pooling a 3x3 layer adds 4, after two poolings 8.** Session 2's network stops after block 2, at 28x28 pixels; the lecture then adds a third block. (A *pooling* keeps the largest of 2x2 values and halves the picture. A *[stride](../docs/glossary.md#stride)* is the distance between neighbors. A *transition* is a pooling and a 1x1 convolution.) Here is the field of one value, layer by layer, on the way through the lecture's network.

# %%
# The course's network, and what one value of each layer sees around one eye of the astronaut.
network = ev.squeeze_expand_network()
layer_names = [
    *("first_conv", "block1_conv1", "block1_conv2", "block1_conv3", "block1_conv4"),
    *("transition1_mix", "block2_conv1", "block2_conv2", "block2_conv3", "block2_conv4"),
    *("transition2_mix", "block3_conv1"),
]
fields = {name: ev.receptive_field(network, name) for name in layer_names}
regions = {name: field.region(field.nearest_output((80, 158))) for name, field in fields.items()}
frames = []
for last in (len(fields), *range(1, len(fields) + 1)):
    figure, axes = plt.subplots(figsize=(5.2, 4.6))
    axes.imshow(photo[50:110, 128:188], extent=(127.5, 187.5, 109.5, 49.5))
    for number, (rows, columns) in enumerate(list(regions.values())[:last]):
        color = ev.plots.ORANGE if number == last - 1 else "white"
        box = rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start
        ev.plots.outline(axes, box, color, lw=3 if number == last - 1 else 0.8)
    ev.plots.hide_axes(axes, f"{layer_names[last - 1]} sees {fields[layer_names[last - 1]]} pixels")
    frames.append(figure)
ev.plots.animate(frames, seconds=0.8)

# %% [markdown]
# **Figure 3.** What one value sees of the photograph, layer by layer (orange; white frames are the layers before; fields do not all have the same center, because a pooling sees a pair of values). At 3x3 there is little but a color. At 11x11 we see the middle of an eye, at 28x28 the eye with its brow.
#
# ### How can we find a receptive field without any theory?
#
# **Change the picture, one row at a time, and see which rows change the middle value of a layer.** For this experiment every kernel computes an average, so that no change gets lost on the way.

# %%
# The course's layers with one channel each: 3x3 convolutions that average, and two poolings.
average = keras.initializers.Constant(1 / 9)
plan = ["conv"] * 5 + ["pool"] + ["conv"] * 4 + ["pool"] + ["conv"]
probe = keras.Sequential([keras.Input((80, 80, 1))])
for kind in plan:
    if kind == "conv":
        probe.add(layers.Conv2D(1, 3, use_bias=False, kernel_initializer=average))
    else:
        probe.add(layers.MaxPooling2D(2))
watch = keras.Model(probe.inputs[0], [layer.output for layer in probe.layers])

# All pixels are 1; in picture r, row r is 2. Which of these pictures change the middle value?
blank = np.ones((1, 80, 80, 1), "float32")
changed = np.repeat(blank, 80, axis=0)
changed[np.arange(80), np.arange(80)] += 1
before, after = watch(blank), watch(changed)
found = []
for kind, old, new in zip(plan, before, after, strict=True):
    middle = old.shape[1] // 2
    difference = ops.convert_to_numpy(new)[:, middle, middle] - ops.convert_to_numpy(old)[0, middle, middle]
    found.append(int((np.abs(difference) > 1e-6).sum()))
    print(f"{kind}: {found[-1]} rows change the middle value")

# %% [markdown]
# ### Why does pooling not double the field?
#
# A 2x2 pooling looks at two neighbors. Each of them sees 11 pixels, but they see *almost the same* pixels: the second one starts one pixel further. Together they see 12, not 22. What doubles is the **stride**, the distance between the fields of two neighbors. The next pooled value takes the next pair, two pixels further on.

# %%
# One dimension is enough to see it: pixels below, the values of a layer with a field of 11 above, pairs pooled.
figure, axes = plt.subplots(figsize=(9.2, 3.1))
for pixel in range(16):
    axes.add_patch(plt.Rectangle((pixel, 0), 0.92, 0.5, fc="#e2e8f0", ec="none"))
for value in range(4):
    color = ev.plots.COLORS[value // 2]
    axes.plot([value, value + 10.92], [0.8 + 0.3 * value] * 2, color=color, lw=3, solid_capstyle="butt")
    axes.text(value + 11.1, 0.8 + 0.3 * value, f"value {value + 1}: 11 pixels", va="center", fontsize=9)
for pair, color in enumerate(ev.plots.COLORS[:2]):
    left, height = 2 * pair, 2.3 + 0.4 * pair
    axes.plot([left, left + 11.92], [height] * 2, color=color, lw=7, solid_capstyle="butt")
    label = f"values {2 * pair + 1} and {2 * pair + 2}, pooled: 12 pixels"
    axes.text(left + 12.1, height, label, va="center", fontsize=10, weight="bold")
axes.annotate("", (2, 3.1), (0, 3.1), arrowprops={"arrowstyle": "<->"})
axes.text(2.2, 3.1, "neighbors now lie 2 pixels apart: the stride doubled", va="center")
axes.text(16.2, 0.25, "pixels of the picture", va="center", fontsize=9)
axes.set(xlim=(-0.2, 21), ylim=(-0.1, 3.35))
axes.axis("off")
plt.show()

# %% [markdown]
# **Figure 4.** Pooling in one dimension. Each thin line is what one value sees. Pooling two neighbors (same color) adds one pixel: 11 + 1 = 12. The next pair begins two pixels further to the right, so each later kernel adds twice as many pixels.
#
# This gives the whole rule in two lines, as [Araujo, Norris and Sim](https://distill.pub/2019/computing-receptive-fields/) derive it:

# %%
# A layer adds (kernel - 1) * stride pixels; stride is the product of the strides of all layers before it.
size, stride, by_rule = 1, 1, []
for kind in plan:
    kernel, step = (3, 1) if kind == "conv" else (2, 2)
    size += (kernel - 1) * stride
    stride *= step
    by_rule.append(size)
    print(f"{kind}: field {size:2}, stride {stride}")

# %% [markdown]
# `evalib` applies the same rule to any Keras model, with branches, padding and dilation too. Here is session 2's network in the course's notation. (Its first layer is called `block1_conv1` here and `first_conv` in the lecture's longer network.) The kernel that the lecture leaves open, `?x?`, is written as 1x1; the [next question](#How-do-we-get-from-512-channels-to-32?) says why.

# %%
# Input, kernels, output and receptive field of each layer, computed from the model itself.
print(ev.receptive_field_table(ev.session2_network()))

# %%
# The lecture's column of receptive fields, as it is printed, beside the exact one.
printed = ["3x3", "5x5", "7x7", "9x9", "11x11", "22x22", "24x24", "26x26", "38x28", "30x30", "60x60", "62x62"]
print(f"{'layer':16} lecture  exact")
for (name, field), text in zip(fields.items(), printed, strict=True):
    print(f"{name:16} {text:7}  {field!s:5}{'' if text == str(field) else '   <- differs'}")

# %% [markdown]
# > **Where the course differs.** Up to 11x11 the lecture's table is right. Then it doubles the field at each pooling (22x22, 60x60) and goes on in steps of two. The experiment and the rule agree on 12 and 30 at the poolings, and on steps of four and eight after them. So block 2 ends at 28x28 instead of 30x30, and block 3 begins at 38x38 instead of 62x62. The 38x28 in one line is a typing error: every kernel here is square, so every field is.

# %% tags=["proves:fields-before-the-pooling", "corrects:pooling-doubles-the-field", "corrects:fields-grow-by-two-behind-a-pooling", "corrects:field-of-38x28", "corrects:field-of-62x62", "corrects:second-block-ends-at-30x30", "proves:receptive-field-is-what-takes-part"]
# Check this section: experiment, rule and evalib give the same fields.
assert found == by_rule == [3, 5, 7, 9, 11, 12, 16, 20, 24, 28, 30, 38]
print("checked: the experiment finds the fields of the two-line rule")

exact = [field.size for field in fields.values()]
assert exact == [(size, size) for size in by_rule]
assert [str(f) == p for f, p in zip(fields.values(), printed, strict=True)] == [True] * 5 + [False] * 7
print("checked: evalib finds them too; the lecture's table is right up to 11x11 and too large after it")

# The same experiment on the course's network with its own kernels, made narrower (fields do not change).
small = ev.squeeze_expand_network(input_size=80, width=1 / 16)
for name in ("block1_conv4", "transition1_pool", "block2_conv1", "transition2_pool", "block3_conv1"):
    measured = ev.measure_receptive_field(small, name)
    assert (measured.size, measured.stride) == (
        ev.receptive_field(network, name).size,
        ev.receptive_field(network, name).stride,
    )
print("checked: changing pixels of the course's own network gives the same sizes and strides")

# %% [markdown]
# ### Which numbers of this network matter?
#
# The lecture names six points to consider. The first three are the important ones:
#
# | Number | Why it matters |
# |---|---|
# | 400x400 | The size of the picture decides how many pixels an edge or a texture covers. With a smaller picture the same object needs fewer layers. |
# | 11x11 | The field that the first block should reach before it pools. At this size the course can make things out for the first time ([notebook 02](02_kernel_visualization.ipynb) shows such windows). How many layers reach it does not matter: for other data three or four may be enough. |
# | 512 | The number of different edges and gradients that the course expects to need for ImageNet, a collection of a million photographs in 1,000 classes. 32, 64, 128, 256, 512 is one pattern to get there; others work, and a small device may need fewer. |
# | 3x3 | A cheap way to a field of 11x11: five 3x3 layers have 5 · 9 = 45 weights for each pair of channels, one 11x11 layer has 121. |
# | 30x30 | The field at which the course expects textures. By the exact rule block 2 reaches 28x28. |
# | Block | The layers that work at one size of the picture are called a *convolution block*. |

# %%
# Are textures visible at these sizes? One spot of three materials through four windows.
windows = []
for name in ("brick", "grass", "gravel"):
    material = ev.sample_photo(name, 400)
    for side in (3, 11, 28, 62):
        top, left = 200 - side // 2, 175 - side // 2
        windows.append(material[top : top + side, left : left + side])
titles = ["3x3", "11x11", "28x28", "62x62"]
_ = ev.plots.show_images(windows, titles, labels=["brick", "grass", "gravel"], columns=4, side=150)

# %% [markdown]
# **Figure 5.** Three materials, each through four windows. At 3x3 you cannot tell them apart. At 11x11 there is some structure. At 28x28, the field at the end of block 2, grass and gravel differ clearly. (The photographs have 400x400 pixels, as in the lecture; the windows are enlarged to about the same size.)
#
# **Take away.** A layer adds (kernel − 1) × stride. Here *stride* is the product of the strides of all layers before it. Pooling itself widens the field by one step only; then every later layer widens it twice as fast.
#
# **Try it.**
# 1. Let the first pooling in `plan` have a 3x3 window instead of 2x2 (still stride 2). Predict all later fields, then change the loop and run.
# 2. How many 3x3 convolutions without any pooling would reach 62x62?
# 3. Print `ev.receptive_field_table(ev.s3_network())`, for pictures of 28x28. How much of a digit does its last 3x3 convolution see?
#
# <details><summary>Solutions</summary>
#
# 1. `kernel, step = (3, 1) if kind == "conv" else (3 if stride == 1 else 2, 2)`. It adds 2 pixels instead of 1, so all fields after it are one pixel larger: 13, 17, 21, 25, 29, 31, 39.
# 2. 31, because each adds two pixels: 1 + 2 · 31 = 63. Even numbers such as 62 cannot be reached without a kernel of even size. With two poolings the course's network needs 13 convolutions of 3x3.
# 3. 20x20 pixels, which is about the size of a digit in its 28x28 picture. Only the global average after it sees everything.
# </details>

# %% [markdown]
# ## How do we get from 512 channels to 32?
#
# **With a 1x1 convolution. Each new channel is a weighted sum of the old ones, computed for each pixel separately.** It costs a ninth of a 3x3 convolution, it can merge features that appear together, and it can leave a channel out by giving it the weight zero.
#
# Here is the lecture's example: a picture of 32x32 with 10 channels meets four 1x1 kernels with 10 weights each.

# %%
# Ten channels of a small photograph (what ten random 3x3 kernels make of it), and four 1x1 kernels.
random = np.random.default_rng(3)
small_photo = ev.sample_photo("astronaut", 68)[:34, 14:48].astype("float32") / 255
ten_kernels = random.normal(size=(3, 3, 3, 10)).astype("float32")
ten_kernels -= ten_kernels.mean((0, 1, 2))
ten = ops.convert_to_numpy(ops.conv(small_photo[np.newaxis], ten_kernels))[0]
four_kernels = random.normal(size=(10, 4)).astype("float32")
four = ten @ four_kernels
print(f"32x32x10 | 1x1x10x4 | {'x'.join(map(str, four.shape))}")


# %%
# One frame: the first `done` pixels are computed; the orange pixel is the next one in all ten channels.
def draw_stack(axes, channels, left, done):
    """Draw channels as a stack of pictures; pixels from `done` on are still white, if `done` is given."""
    for number in range(channels.shape[-1]):
        picture = ev.plots.colorize(channels[..., number], "viridis")
        if done is not None:
            picture.reshape(-1, 3)[done:] = 1
        x, y = left + 9 * number, 7 * number
        axes.imshow(picture, extent=(x, x + 32, y + 32, y), zorder=number)
        ev.plots.outline(axes, (y + 0.5, x + 0.5, 32, 32), "black", lw=0.6, zorder=number + 0.1)


frames = []
for done in (1024, 70, 200, 330, 460, 590, 720, 850, 980):
    figure, axes = plt.subplots(figsize=(7.2, 3.9))
    draw_stack(axes, ten, 0, None)
    draw_stack(axes, four, 190, done)
    y, x = divmod(min(done, 470), 32) if done == 1024 else divmod(done, 32)
    for left, count in ((0, 10), (190, 4)):
        across, down = [left + x + 9 * n for n in range(count)], [y + 7 * n for n in range(count)]
        axes.plot(across, down, "-s", ms=5, color=ev.plots.ORANGE, zorder=20)
    axes.text(159, 48, "1x1x10x4", ha="center")
    axes.annotate("", (178, 55), (140, 55), arrowprops={"arrowstyle": "->", "lw": 2})
    axes.text(16, -6, "32x32x10", ha="center")
    axes.text(206, -6, "32x32x4", ha="center")
    axes.set(xlim=(-4, 255), ylim=(112, -16), aspect="equal")
    axes.axis("off")
    frames.append(figure)
ev.plots.animate(frames, seconds=0.5, colors=48)

# %% [markdown]
# **Figure 6.** A 1x1 convolution at work. At each position it takes the ten values of one pixel (orange line on the left), multiplies them by ten weights, adds, and writes one value. Four kernels write four values. Height and width stay the same.
#
# ### Why is it a weighted sum of channels?
#
# Because a 1x1 kernel has one weight for each channel, and uses it at every pixel. So you can multiply the *whole channel* by that weight. Two kernels on the channels red, green and blue:

# %%
# A 1x1 convolution without any layer: multiply channels by numbers, and add.
pixels = photo.astype("float32") / 255
red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
brightness = 0.299 * red + 0.587 * green + 0.114 * blue
more_red = 1.0 * red - 0.5 * green - 0.5 * blue

# The same in one matrix product, and by a layer of Keras.
mixing = np.array([[0.299, 1.0], [0.587, -0.5], [0.114, -0.5]], "float32")
by_matrix = pixels @ mixing
mix = layers.Conv2D(2, 1, use_bias=False)
mix.build((None, 400, 400, 3))
mix.set_weights([mixing[np.newaxis, np.newaxis]])
by_layer = ops.convert_to_numpy(mix(pixels[np.newaxis]))[0]
print("layer and matrix product agree:", np.allclose(by_layer, by_matrix, atol=1e-5))


# %%
# Draw the sums: a row for each of the two kernels.
def show_sums(channels, weights, outputs, color_map="gray"):
    """Draw each output as a sum of weighted channels; what is below zero looks like zero."""
    size = (1.9 * (len(channels) + 1), 2.1 * len(outputs))
    _, grid = plt.subplots(len(outputs), len(channels) + 1, figsize=size)
    for line, numbers, (title, output) in zip(grid, weights.T, outputs.items(), strict=True):
        for axes, number, (name, values) in zip(line, numbers, channels.items(), strict=False):
            strength = max(0.12, abs(number) / np.abs(numbers).max())  # faint where it counts little
            axes.imshow(values, cmap=color_map, vmin=0, vmax=1, alpha=strength)
            ev.plots.hide_axes(axes, f"${number:.3f}$ × {name}")
            sign = "=" if axes is line[-2] else "+"
            axes.text(1.06, 0.5, sign, transform=axes.transAxes, ha="center", va="center", fontsize=13)
        line[-1].imshow(output, cmap=color_map, vmin=0, vmax=output.max())
        ev.plots.hide_axes(line[-1], title)
    plt.show()


colors = {"red": red[::2, ::2], "green": green[::2, ::2], "blue": blue[::2, ::2]}
show_sums(colors, mixing, {"brightness": brightness[::2, ::2], "more red": more_red[::2, ::2]})

# %% [markdown]
# **Figure 7.** Two 1x1 convolutions of a photograph. A channel is drawn faint where its weight is small; values below zero are black. The second row keeps the suit and drops the gray background. It needed no shape for that, only the right mixture.
#
# ### How does it merge features that appear together?
#
# The lecture says that 1x1 merges features, as edges make up an eye. Here is the smallest example. Four 3x3 kernels find edges: brighter to the right, left, bottom and top. (They are Sobel's kernels, from [notebook 01](01_python101_answers.ipynb), with both signs.) A pixel of a *corner* has a vertical and a horizontal edge at once. So add all four channels, subtract a threshold (a bias of −4), and apply [ReLU](../docs/glossary.md#relu): only where two edges meet does the sum get over the threshold.

# %%
# Edge channels, then a 1x1 convolution with weights 1, 1, 1, 1 and bias -4.
edges = np.stack([ev.SOBEL_X, -ev.SOBEL_X, ev.SOBEL_Y, -ev.SOBEL_Y], axis=-1)[:, :, np.newaxis]
corner_network = keras.Sequential(
    [
        keras.Input((None, None, 1)),
        layers.Conv2D(4, 3, activation="relu", name="edges"),
        layers.Conv2D(1, 1, activation="relu", name="corners"),
    ]
)
corner_network.get_layer("edges").set_weights([edges, np.zeros(4)])
corner_network.get_layer("corners").set_weights([np.ones((1, 1, 4, 1)), np.array([-4.0])])

# A drawing of two boxes, and the two edge channels beside the merged channel.
drawing = np.zeros((40, 60), "float32")
drawing[6:30, 5:30] = 1
drawing[14:36, 38:54] = 1
edge_channels = ops.convert_to_numpy(corner_network.layers[0](drawing[np.newaxis, ..., np.newaxis]))[0]
corners = ops.convert_to_numpy(corner_network(drawing[np.newaxis, ..., np.newaxis]))[0, ..., 0]
panels = {
    "drawing": drawing[1:-1, 1:-1],
    "vertical edges": edge_channels[..., :2].sum(-1) / 4,
    "horizontal edges": edge_channels[..., 2:].sum(-1) / 4,
    "merged by 1x1: corners": corners / corners.max(),
}
_ = ev.plots.show_images(panels, side=190, columns=4, color_map=ev.plots.INK)

# %% [markdown]
# **Figure 8.** Vertical and horizontal edges, merged by a 1x1 convolution into a new feature: corners. No 3x3 kernel was added; the 1x1 only asks which features are found together at a pixel.
#
# ### What does it cost?
#
# **A ninth of the weights and of the multiplications of a 3x3 convolution.** Both layers below take 512 channels of 195x195 pixels to 32, as the lecture's network does.

# %%
# Count the weights, and the multiplications: every weight is used once at every position.
sizes = {"3x3": 3, "1x1": 1}
weights = {name: size * size * 512 * 32 for name, size in sizes.items()}
products = {name: 195 * 195 * count for name, count in weights.items()}
for name in sizes:
    print(f"{name}: {weights[name]:7,} weights, {products[name]:13,} multiplications")

# %% tags=["nbval-ignore-output"]
# And the time, on smaller pictures; the two layers take turns, so that a busy moment hits both.
import time

pictures = ops.convert_to_tensor(random.normal(size=(8, 65, 65, 512)), dtype="float32")
squeezes = {name: layers.Conv2D(32, size, padding="same") for name, size in sizes.items()}
seconds = {name: [] for name in sizes}
for _ in range(10):
    for name, squeeze in squeezes.items():
        start = time.perf_counter()
        ops.convert_to_numpy(squeeze(pictures))  # as an array, so that the work is really done
        seconds[name].append(time.perf_counter() - start)

# The first round sets things up, so it does not count.
milliseconds = {name: 1000 * float(np.median(times[1:])) for name, times in seconds.items()}
panels = {
    "weights": weights,
    "multiplications, 195x195 pixels": products,
    "milliseconds, 8 pictures of 65x65": milliseconds,
}
_ = ev.plots.show_bars(panels, highlight="1x1")

# %% [markdown]
# **Figure 9.** From 512 channels to 32, by 3x3 and by 1x1 kernels. The ratio of the counts is nine to one for any picture. The time can differ: it also depends on how fast a machine reads the 512 channels, and those are the same for both.
#
# > **Where the course differs.** The lecture says that 1x1 is "not even a proper convolution". The observation behind it is right: a whole channel is multiplied by one number. But it is a convolution like any other: a 3x3 kernel whose eight outer weights are zero gives the same values. What it lacks is a neighborhood. So it cannot find an edge, and the receptive field does not grow.

# %% tags=["proves:one-by-one-has-d-values", "proves:four-1x1-take-10-to-4", "proves:question-marks-are-1x1", "proves:one-by-one-is-a-weighted-sum", "corrects:one-by-one-is-no-convolution", "proves:one-by-one-is-cheap", "refines:merges-what-is-found-together"]
# Check this section: shapes, sums, costs, corners.
for size, depth, count in ((7, 3, 1), (7, 512, 1), (32, 10, 4), (195, 512, 32)):
    layer = layers.Conv2D(count, 1, use_bias=False)
    layer.build((None, size, size, depth))
    assert layer.kernel.shape == (1, 1, depth, count)
    assert layer.compute_output_shape((None, size, size, depth)) == (None, size, size, count)
print("checked: 7x7xD to 7x7x1, 32x32x10 to 32x32x4, and the lecture's ?x? is 1x1: 195x195x512 to 195x195x32")

np.testing.assert_allclose(by_layer, np.stack([brightness, more_red], -1), atol=1e-5)
np.testing.assert_allclose(by_layer, by_matrix, atol=1e-5)
print("checked: a 1x1 convolution is a weighted sum of channels, and one matrix product over all pixels")

padded = np.zeros((3, 3, 3, 2), "float32")
padded[1, 1] = mixing
by_3x3 = ops.convert_to_numpy(ops.conv(pixels[np.newaxis], padded))[0]
np.testing.assert_allclose(by_3x3, by_layer[1:-1, 1:-1], atol=1e-5)
print("checked: a 3x3 kernel with eight zeros gives the same values")

assert weights["3x3"] == 9 * weights["1x1"] == 147_456
assert milliseconds["1x1"] < milliseconds["3x3"]
for name, size in sizes.items():
    (cost,) = ev.networks.layer_costs(
        keras.Sequential([keras.Input((195, 195, 512)), layers.Conv2D(32, size, padding="same")])
    )
    assert cost.macs == products[name]
print("checked: nine times fewer weights and multiplications, and less time")

spots = [(y, x) for top, left, bottom, right in ((6, 5, 30, 30), (14, 38, 36, 54))
         for y in (top, bottom - 1) for x in (left, right - 1)]  # fmt: skip
active = np.argwhere(corners > 0) + 1  # the convolution cut one row and one column off
distance = np.abs(active[:, None] - np.array(spots)).max(-1)
assert distance.min(1).max() <= 1
assert distance.min(0).max() <= 1
print("checked: the merged channel is active within one pixel of all eight corners, and nowhere else")

# %% [markdown]
# ### Can it learn to turn a useless channel off?
#
# **Yes. Here it starts with equal weights for three channels and ends with almost nothing on the two that do not help.** The task is to recognize a handwritten digit. The picture has three channels: the digit, another digit that says nothing about the answer, and random dots. A 1x1 convolution must make one channel of the three, and the rest of the network sees only that one.

# %%
# 6,000 digits to learn from and 2,000 to test on, each with another digit and with dots.
(digits, labels), _ = ev.load_mnist()


def with_distractions(chosen, background, seed):
    """Stack digits, other digits and random dots as three channels from 0 to 1."""
    dots = np.random.default_rng(seed).uniform(size=digits[chosen].shape)
    return np.stack([digits[chosen] / 255, digits[background] / 255, dots], axis=-1).astype("float32")


learn, unseen = slice(0, 6000), slice(20_000, 22_000)
images_learn = with_distractions(learn, slice(6000, 12_000), seed=0)
images_unseen = with_distractions(unseen, slice(22_000, 24_000), seed=1)

# The mixture comes first. A penalty on its absolute weights (L1) pulls all three toward zero alike.
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

# %% tags=["nbval-ignore-output"]
# Look at the three weights, train for two epochs, and look again.
weights_before = mixer.get_layer("mix").get_weights()[0].ravel()
mixer.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
mixer.fit(images_learn, labels[learn], epochs=2, batch_size=32, verbose=0)
weights_after = mixer.get_layer("mix").get_weights()[0].ravel()
accuracy = mixer.evaluate(images_unseen, labels[unseen], verbose=0)[1]
for name, old, new in zip(["digit", "other digit", "dots"], weights_before, weights_after, strict=True):
    print(f"weight of {name:12} {old:.3f} before, {new:7.4f} after")
print(f"{100 * accuracy:.1f} % of the unseen digits recognized")

# %% tags=["nbval-ignore-output"]
# One unseen picture, and what the rest of the network sees of it before and after training.
example = images_unseen[5]
show_sums(
    {"digit": example[..., 0], "other digit": example[..., 1], "dots": example[..., 2]},
    np.stack([weights_before, weights_after], axis=1),
    {"before training": example @ weights_before, "after training": example @ weights_after},
    ev.plots.INK,
)

# %% tags=["proves:one-by-one-filters"]
# Check: the useless weights are small, and the predictions do not need these channels at all.
assert abs(weights_after[0]) > weights_before[0]
assert np.abs(weights_after[1:]).max() < 0.1 * abs(weights_after[0])
assert accuracy > 0.85
blank = images_unseen * np.array([1, 0, 0], "float32")
same = mixer.predict(images_unseen, verbose=0).argmax(1) == mixer.predict(blank, verbose=0).argmax(1)
assert same.mean() > 0.95
print("checked: both useless weights are below a tenth of the useful one;")
print("         without these channels at least 95 % of the predictions stay the same")

# %% [markdown]
# **Figure 10.** The channel that the rest of the network sees (right) is a mixture of the three channels on the left. Before training all three count the same. After training the other digit and the dots are multiplied by almost zero. This is the filtering that the lecture describes. (The penalty helps: it pulls every weight toward zero that is not needed.)
#
# **Take away.** To reduce channels, mix them: 1x1xDxN takes D channels to N for D · N weights. Nobody has to say which channels matter: here training found out, with the help of a penalty.
#
# **Try it.**
# 1. Change the bias of the corner network from −4 to −3 and to −6. What happens to the corners?
# 2. What does `Conv2D(512, 1)` on 32 channels cost, compared with `Conv2D(512, 3)`?
# 3. Remove the penalty (`kernel_regularizer`) from the mixer. Predict the three weights, then run.
#
# <details><summary>Solutions</summary>
#
# 1. A straight edge sums to exactly 4 and a corner to 6. So with −3 all edges appear again, and with −6 nothing is left.
# 2. 32 · 512 + 512 = 16,896 parameters against 9 · 32 · 512 + 512 = 147,968.
# 3. Nothing pulls the useless weights to zero any more. The loss alone makes them smaller; how small, you can read from the printed table.
# </details>

# %% [markdown]
# ## What is squeeze and expand?
#
# **Two pieces in turn: a convolution block expands 32 channels to 512, and a transition block halves the picture and squeezes the channels back to 32.** Each piece ends where the other one begins, so they can be chained as often as the size of the picture allows. Only the first convolution stands outside, because it reads the picture's 3 channels and not 32.

# %%
# The two pieces, written out in plain Keras.
def convolution_block(channels):
    for count in (64, 128, 256, 512):
        channels = layers.Conv2D(count, 3, activation="relu")(channels)
    return channels


def transition_block(channels):
    channels = layers.MaxPooling2D(2)(channels)
    return layers.Conv2D(32, 1)(channels)


# Chain them: 400x400x3 goes in; print each size on the way.
channels = layers.Conv2D(32, 3, activation="relu")(keras.Input((400, 400, 3)))
shapes = [("first convolution", channels.shape[1:])]
for number in (1, 2):
    channels = convolution_block(channels)
    shapes.append((f"convolution block {number} (expand)", channels.shape[1:]))
    channels = transition_block(channels)
    shapes.append((f"transition block {number} (squeeze)", channels.shape[1:]))
shapes.append(("convolution block 3 (expand)", convolution_block(channels).shape[1:]))
for name, shape in shapes:
    print(f"{name:30} {'x'.join(map(str, shape))}")


# %%
# Draw a network to scale: a box for each layer, as high as its picture, as wide as its channels.
def draw_network(axes, boxes, frames=()):
    """Draw (size, channels, color) as boxes in a row, and frames as (first, last, title)."""
    left, edges = 0, []
    for size, depth, color in boxes:
        width = max(4, depth / 12)
        axes.add_patch(plt.Rectangle((left, -size / 2), width, size, fc=color, ec="white", lw=0.8))
        edges.append((left, left + width))
        left += width + 5
    top = max(size for size, _, _ in boxes) / 2
    for first, last, title in frames:
        start, end = edges[first][0] - 4, edges[last][1] + 3
        axes.add_patch(
            plt.Rectangle((start, -top - 14), end - start, 2 * top + 28, fill=False, ec=ev.plots.GRAY, ls=":", lw=1.2)
        )
        axes.text((start + end) / 2, top + 22, title, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(-8, left), ylim=(-top - 60, top + 90))
    axes.axis("off")


paint = {"Conv2D3": ev.plots.BLUE, "Conv2D1": ev.plots.ORANGE, "MaxPooling2D2": ev.plots.GRAY}
boxes = []
for layer in network.layers[1:18]:
    window = getattr(layer, "kernel_size", getattr(layer, "pool_size", (1,)))[0]
    _, size, _, depth = layer.output.shape
    boxes.append((size, depth, paint[f"{type(layer).__name__}{window}"]))
frames = [(1, 4, "convolution\nblock 1"), (5, 6, "transition\nblock 1"), (7, 10, "convolution\nblock 2"),
          (11, 12, "transition\nblock 2"), (13, 16, "convolution\nblock 3")]  # fmt: skip
figure, axes = plt.subplots(figsize=(9.2, 4.2))
draw_network(axes, boxes, frames)
for color, text in zip(paint.values(), ("3x3 convolution", "1x1 convolution", "2x2 max pooling"), strict=True):
    axes.plot([], [], "s", color=color, ms=9, label=text)
axes.legend(loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.04))
plt.show()

# %% [markdown]
# **Figure 11.** The course's network to scale: a box is as high as the layer's picture and as wide as its number of channels (the narrowest are drawn a little wider). Blocks expand to 512 channels, transitions squeeze to 32. The work is in the blue boxes that are both wide and high.
#
# The lecture's table stops after the first layer of block 3. `ev.squeeze_expand_network()` has all four, and a *head*, the part that turns channels into a prediction: a 1x1 convolution (`class_maps`) to one map for each of 1,000 classes, the average of each map (*global average pooling*), and [softmax](../docs/glossary.md#softmax).
#
# ### Where are the weights, and where is the work?
#
# **The number of weights does not depend on the size of the picture. The number of multiplications does: a kernel is used once at every position.**

# %%
# Parameters and multiplications of each part of the network, as shares of the whole.
costs = ev.networks.layer_costs(network)
parts = ["first_conv", "block1", "transition1", "block2", "transition2", "block3", "class_maps"]
share = {"parameters, %": {}, "multiplications, %": {}}
for part in parts:
    mine = [cost for cost in costs if cost.name.startswith(part)]
    share["parameters, %"][part] = 100 * sum(c.parameters for c in mine) / network.count_params()
    share["multiplications, %"][part] = 100 * sum(c.macs for c in mine) / ev.networks.macs(network)
largest = max(costs, key=lambda cost: cost.macs)
print(f"most work: {largest.name}, {largest.macs:,} multiplications for one picture")
_ = ev.plots.show_bars(share)

# %% [markdown]
# **Figure 12.** Each block has the same weights, but block 1 does more than three quarters of all multiplications, because its picture is the largest. The squeezes cost almost nothing.
#
# ### What do blocks of 64, 128, 256 and 512 save?
#
# The lecture mentions the other design: later networks let block 1 stop at 64 channels, block 2 at 128, and so on up to 512. To compare like with like, the four networks below have the same layers, sizes and receptive fields. Only the numbers of kernels differ.

# %%
# Four ways to fill four blocks of four convolutions.
ends = (64, 128, 256, 512)
designs = {
    "all layers have 512 kernels": [(512,) * 4] * 4,
    "each block grows to 512 (the course)": [(64, 128, 256, 512)] * 4,
    "all 64, all 128, all 256, all 512 (ResNet)": [(end,) * 4 for end in ends],
    "blocks grow to 64, 128, 256, 512": [tuple(min(k, end) for k in ends) for end in ends],
}
candidates = {name: ev.squeeze_expand_network(block_widths=widths) for name, widths in designs.items()}
parameters = {name: candidate.count_params() for name, candidate in candidates.items()}
products = {name: ev.networks.macs(candidate) for name, candidate in candidates.items()}
_ = ev.plots.show_bars({"parameters": parameters, "multiplications": products})

# %% [markdown]
# **Figure 13.** The same layers with different numbers of kernels. For multiplications it matters to be narrow where the picture is large. Parameters come from layers with many channels at both ends, whatever the size of the picture.
#
# > **Where the course differs.** It says that growing from 64 to 512 needs less computation *and* fewer parameters. Less computation: yes, by far. Fewer parameters: only if each block expands step by step, as in the last row. With ResNet's widths three layers of the last block read and write 512 channels, and the network has *more* parameters than the course's.

# %% tags=["proves:blocks-can-be-chained", "proves:sizes-of-the-network", "refines:growing-blocks-save"]
# Check this section: sizes by hand, costs by hand, and the comparison of the four designs.
assert [shape for _, shape in shapes] == [
    (398, 398, 32), (390, 390, 512), (195, 195, 32), (187, 187, 512), (93, 93, 32), (85, 85, 512)
]  # fmt: skip
heights = [layer.output.shape[1] for layer in network.layers[1:15]]
assert heights == [398, 396, 394, 392, 390, 195, 195, 193, 191, 189, 187, 93, 93, 91]
print("checked: the sizes of the lecture's table; 187 is odd, so the pooling drops one row: 93")

by_name = {cost.name: cost for cost in costs}
assert largest.name == "block1_conv4"
assert largest.macs == 390 * 390 * 3 * 3 * 256 * 512 > ev.networks.macs(network) / 2
assert share["multiplications, %"]["block1"] > 75
assert share["multiplications, %"]["transition1"] + share["multiplications, %"]["transition2"] < 1
assert len({by_name[f"block{block}_conv4"].parameters for block in (1, 2, 3)}) == 1
print("checked: one layer does more than half of the work, block 1 more than three quarters")

wide, course, resnet, growing = designs
assert len({tuple(layer.output.shape[1:-1] for layer in c.layers) for c in candidates.values()}) == 1
assert {ev.receptive_field(c, "block4_conv4").size for c in candidates.values()} == {(130, 130)}
assert products[course] > 4 * products[resnet]
assert parameters[course] < parameters[resnet]
assert parameters[course] > 1.5 * parameters[growing]
assert products[course] > 4 * products[growing]
assert parameters[wide] > 2.5 * parameters[resnet]
assert products[wide] > 20 * products[resnet]
print("checked: 64 to 512 always saves computation; it saves parameters only where blocks grow step by step")

# %% [markdown]
# **Take away.** Expand with 3x3, squeeze with 1x1, and repeat. Be narrow where the picture is large, because each kernel is used most there. Be wide where it is small.
#
# **Try it.**
# 1. How often can the two pieces be chained on a 400x400 picture? Extend the loop until Keras refuses.
# 2. Replace `MaxPooling2D(2)` in `transition_block` by `AveragePooling2D(2)`. Which numbers of this section change?
# 3. Squeeze first and pool afterwards. What does it cost, and what changes in the result?
#
# <details><summary>Solutions</summary>
#
# 1. Sizes go 398, 390, 195, 187, 93, 85, 42, 34, 17, 9, 4: after the fifth transition 4x4 pixels are left, too few for another block of four 3x3 convolutions.
# 2. None. Neither has weights, and both halve the picture.
# 3. The 1x1 convolution then works on 390x390 instead of 195x195 positions: four times the multiplications. The result changes too, because the largest value of a mixture is not the mixture of the largest values.
# </details>

# %% [markdown]
# ## How are modern networks built?
#
# **In blocks, as the course says: some convolutions at one size, then half the size and more channels. Three of the five below also squeeze channels on the way, and four end in a global average (GAP) instead of fully connected layers (FC).** We look at five networks that Keras ships. Only their structure is needed, so no weights are loaded.

# %%
# Five famous networks as graphs, and the table of each.
names = ["VGG16", "ResNet50", "InceptionV3", "MobileNet", "DenseNet121"]
graphs = {name: ev.networks.application_graph(name) for name in names}
tables = {name: ev.receptive_field_table(graph) for name, graph in graphs.items()}


def convolutions(graph):
    """Size, channels in and out of every convolution, in order; not the head, not one kernel per channel."""
    found = [layer for layer in graph.layers if type(layer) is layers.Conv2D and layer.output.shape[1] > 1]
    return [(layer.output.shape[1], layer.input.shape[-1], layer.output.shape[-1]) for layer in found]


# Where does a convolution give fewer channels than it reads?
squeezes = {name: [c for c in convolutions(graph) if c[2] < c[1]] for name, graph in graphs.items()}
for name, graph in graphs.items():
    print(f"{name:12} {len(squeezes[name]):3} of {len(convolutions(graph)):3} convolutions squeeze channels")

# %%
# Draw the channels of every convolution in order; the color is the size of its picture.
figure, column = plt.subplots(5, 1, figsize=(9.2, 8.6))
shades = plt.get_cmap("viridis_r")
for axes, (name, graph) in zip(column, graphs.items(), strict=True):
    rows = convolutions(graph)
    for number, (size, _, depth) in enumerate(rows):
        axes.bar(number, depth, width=0.9, color=shades(np.log2(300 / size) / 5.6))
    sizes = [size for size, _, _ in rows]
    for size in dict.fromkeys(sizes):
        first, count = sizes.index(size), sizes.count(size)
        if count > len(rows) / 40:
            axes.text(first + count / 2 - 0.5, 3000, f"{size}x{size}", ha="center", fontsize=9)
    axes.set(yscale="log", ylim=(12, 2900), yticks=[16, 64, 256, 1024], yticklabels=[16, 64, 256, 1024])
    axes.set(xticks=[], ylabel="channels", xlim=(-1, len(rows)))
    axes.set_title(name, loc="left", fontweight="bold", pad=18)
    axes.grid(axis="y")
column[-1].set_xlabel("convolutions, from the picture to the prediction")
plt.show()

# %% [markdown]
# **Figure 14.** The convolutions of five networks that mix channels, without the head. The height is the number of channels (each grid line is four times the one below); the color and the label above give the size of the picture. VGG16 and MobileNet are stairs: smaller pictures, more channels. The others have teeth. In ResNet a 1x1 convolution squeezes to a quarter before each 3x3, and another one expands again. In DenseNet each 3x3 adds only 32 channels; all earlier channels are kept beside them.

# %%
# DenseNet121 has transitions like the course's: a 1x1 convolution and a pooling between blocks.
transitions = [
    (layer.name, layer.input.shape[-1], layer.output.shape[-1])
    for layer in graphs["DenseNet121"].layers
    if layer.name.startswith("pool") and isinstance(layer, layers.Conv2D)
]
print(transitions)

# The 3x3 convolutions of ResNet50's four blocks, and the channels between the blocks.
resnet = {}
for row in tables["ResNet50"]:
    if row.kernel == (3, 3) and row.weights:
        resnet.setdefault(row.name.split("_")[0], set()).add(row.output_shape)
print(resnet)
between = [graphs["ResNet50"].get_layer(f"conv{n}_block1_out").output.shape[-1] for n in (2, 3, 4, 5)]
print("between blocks:", between)

# %% [markdown]
# ### Where do they start, and how do they end?

# %%
# Size of the first block's output, the kind of head, and how many parameters are in the head.
first_blocks = {
    "VGG16": "block1_conv2", "ResNet50": "conv2_block1_out", "InceptionV3": "mixed0",
    "MobileNet": "conv_pw_1", "DenseNet121": "conv2_block1_concat",
}  # fmt: skip
starts, heads, in_head, last_fields = {}, {}, {}, {}
for name, table in tables.items():
    starts[name] = graphs[name].get_layer(first_blocks[name]).output.shape[1]
    rows, kinds = list(table), [row.kind for row in table]
    begin = next(i for i, kind in enumerate(kinds) if kind in ("Flatten", "GlobalAveragePooling2D"))
    heads[name] = "FC" if kinds[begin] == "Flatten" else "GAP"
    in_head[name] = sum(row.parameters for row in rows[begin:])
    last_fields[name] = [r for r in rows if not r.receptive_field.is_global][-1].receptive_field.size[0]
print("network      picture  first block  head  parameters  in the head  last field")
for name, graph in graphs.items():
    share = 100 * in_head[name] / graph.count_params()
    print(
        f"{name:12} {graph.input_shape[1]:7}  {starts[name]:11}  {heads[name]:4}"
        f"  {graph.count_params():10,}  {share:9.1f} %  {last_fields[name]:10}"
    )

# %%
# Parameters in the head, and the field of the last layer that still has positions, beside the picture.
figure, (counted, seen) = plt.subplots(1, 2, figsize=(9.2, 2.9), sharey=True)
heads_m = np.array(list(in_head.values())) / 1e6
rest_m = np.array([graph.count_params() for graph in graphs.values()]) / 1e6 - heads_m
counted.barh(names, rest_m, label="convolutions")
counted.barh(names, heads_m, left=rest_m, label="head")
counted.set(xlabel="millions of parameters")
seen.barh(names, last_fields.values(), color=ev.plots.GREEN, label="receptive field")
pictures = [graph.input_shape[1] for graph in graphs.values()]
seen.plot(pictures, names, "|", color="black", ms=19, mew=2.5, label="width of the picture")
seen.set(xlabel="pixels")
counted.legend(loc="center right")
seen.legend(loc="upper right")
counted.invert_yaxis()
plt.show()

# %% [markdown]
# **Figure 15.** Left: only VGG16 has most of its parameters in the head. Right: the field of the last layer. All but VGG16's are larger than the picture, so the value in the middle sees everything. (A value near a corner may not: half of its field lies outside the picture.)
#
# > **Where the course differs.** Of its four points about these networks the first is right: ResNet has four blocks. The others need a correction. (1) "64 to 512" is true of ResNet's 3x3 kernels; between the blocks there are four times as many channels. (2) "Only the most advanced have GAP": of these five four have it, and only VGG16, the oldest, flattens all positions and feeds them to fully connected layers; they hold nine tenths of its parameters. (3) "Nearly every network starts from 56x56": ResNet and DenseNet do; MobileNet starts at 112x112, Inception at 35x35, VGG16 at 224x224.

# %% tags=["refines:squeeze-and-expand-is-everywhere", "proves:resnet-has-four-blocks", "refines:resnet-goes-from-64-to-512", "corrects:networks-start-at-56x56", "refines:networks-end-fully-connected", "corrects:only-the-most-advanced-have-gap"]
# Check this section, against published numbers and by hand.
assert [len(squeezes[name]) > 0 for name in names] == [False, True, True, False, True]
assert [(i, o) for _, i, o in transitions] == [(256, 128), (512, 256), (1024, 512)]
for graph in graphs.values():
    widest = {}
    for size, _, depth in convolutions(graph):
        widest[size] = max(depth, widest.get(size, 0))
    assert list(widest) == sorted(widest, reverse=True)
print("checked: pictures only shrink; DenseNet's transitions halve the channels; VGG16 and MobileNet never squeeze")

assert list(resnet.values()) == [{(56, 56, 64)}, {(28, 28, 128)}, {(14, 14, 256)}, {(7, 7, 512)}]
assert between == [256, 512, 1024, 2048]
assert starts == {"VGG16": 224, "ResNet50": 56, "InceptionV3": 35, "MobileNet": 112, "DenseNet121": 56}
assert list(heads.values()) == ["FC", "GAP", "GAP", "GAP", "GAP"]
print("checked: ResNet's four blocks, and where the five networks start and end")

by_hand = (7 * 7 * 512 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
assert in_head["VGG16"] == by_hand == 123_642_856 > 0.89 * graphs["VGG16"].count_params()
print("checked: VGG16's fully connected layers by hand: 123,642,856 parameters; after GAP 513,000 would do")

# Published by Araujo, Norris and Sim (Distill 2019), computed from TensorFlow's graphs.
published = {"VGG16": 212, "ResNet50": 483, "InceptionV3": 1311, "MobileNet": 315}
assert {name: last_fields[name] for name in published} == published
assert last_fields["DenseNet121"] == 7 + 4 + 6 * 2 * 4 + 4 + 12 * 2 * 8 + 8 + 24 * 2 * 16 + 16 + 16 * 2 * 32
print("checked: the receptive fields are those that were published")

# %% [markdown]
# **Take away.** Blocks, halving sizes, growing channels, an average at the end: these are common to nearly all. Squeezing is not: three of the five do it, each in its own way. Ask the network itself before you believe a table, ours included: `evalib rf ResNet50` prints it.
#
# **Try it.**
# 1. Add `"EfficientNetB0"` to `names` (and its first block, `block1a_project_bn`, to `first_blocks`). Does it squeeze?
# 2. VGG16's field is 212 of 224 pixels. How many more 3x3 convolutions before its last pooling would let the middle value see the whole picture?
# 3. Replace VGG16's head by a global average and one dense layer. How many parameters are left?
#
# <details><summary>Solutions</summary>
#
# 1. Yes: each of its blocks expands with a 1x1 convolution, filters each channel, and squeezes with a 1x1 convolution. Its bars look like a comb.
# 2. One: before the last pooling the stride is 16, so one convolution adds 2 · 16 = 32 pixels.
# 3. 14,714,688 in the convolutions and 512 · 1000 + 1000 = 513,000 in the dense layer: about 15.2 million instead of 138.4.
# </details>
#
# **Read on.** Does a pixel *use* all that it sees? Hardly: [the effective receptive field](further/effective_receptive_fields.ipynb). [Notebook 04](04_activation_functions.ipynb) asks what stands between two convolutions. [Every claim of the course](../docs/claims.md) is listed with the cell that checks it. Sources: [Araujo, Norris and Sim 2019](https://distill.pub/2019/computing-receptive-fields/), [Lin, Chen and Yan 2013](https://arxiv.org/abs/1312.4400) (1x1 and global average), [He et al. 2015](https://arxiv.org/abs/1512.03385) (ResNet), [Huang et al. 2016](https://arxiv.org/abs/1608.06993) (DenseNet).
