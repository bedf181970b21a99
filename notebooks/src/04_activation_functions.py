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
# # Activation functions: why, which, and what they do to a picture
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/04_activation_functions.ipynb)
#
# The lecture goes from sigmoid to ReLU and on to its many successors. At the end of this page you will know
#
# - why a network without activation functions is one linear map, and what one ReLU layer adds;
# - what sigmoid, tanh and ReLU do to signals, to gradients and to a photograph;
# - which of twelve activation functions to use, from one small network that was trained with each of them.

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

from evalib.networks import (
    FAMILY,
    LEAK,
    PRELU_START,
    activation_layer,
    input_gradient,
    macs,
    small_network,
    steps_to_accuracy,
    weight_gradients,
)

ev.plots.use_style()
ev.check_version("0.2")

# %% tags=["parameters"]
# @title What a reader may want to turn
# papermill and `evalib run 04 -p NAME VALUE` set the same names.

# @markdown The seed of everything that is trained on this page.
seed = 0  # @param {type:"integer"}

# True runs the comparison of the last section again, in about half an hour. It has no field in the
# form, because its script is not there on Colab.
run_study = False

# %% [markdown]
# ## Why an activation function at all?
#
# **Without one, any number of layers is a single linear map: it costs more, and can do no more.** A layer makes weighted sums. Weighted sums of weighted sums are weighted sums. For convolutions [notebook 01](01_python101_answers.ipynb) shows it: two 3x3 kernels with nothing between them are one 5x5 kernel. For dense layers the proof is a product of matrices.

# %%
# Five layers without activation, of whole numbers small enough that float32 makes no rounding error.
random = np.random.default_rng(seed)
stack = keras.Sequential([keras.Input((6,)), *[layers.Dense(8) for _ in range(4)], layers.Dense(3)])
for layer in stack.layers:
    layer.set_weights([random.integers(-2, 3, weight.shape) for weight in layer.weights])


def as_one_layer(network):
    """The matrix and the bias that do what a stack of dense layers without activation does."""
    matrix, bias = None, None
    for layer in network.layers:
        if layer.weights:
            kernel, own_bias = (
                ops.convert_to_numpy(one).astype("float64") for one in layer.weights
            )
            matrix = kernel if matrix is None else matrix @ kernel
            bias = own_bias if bias is None else bias @ kernel + own_bias
    return matrix, bias


matrix, bias = as_one_layer(stack)
print(
    f"{stack.count_params()} weights in five layers do the work of {matrix.size + bias.size} in one"
)

# %% tags=["proves:without-activation-linear", "refines:linear-is-degree-one"]
# Equal to the last bit, on a thousand inputs; the same stack with a ReLU in it is no such map.
inputs = random.integers(-3, 4, (1000, 6)).astype("float32")
outputs = ops.convert_to_numpy(stack(inputs))
assert (outputs == inputs @ matrix + bias).all()

with_relu = ops.convert_to_numpy(stack.layers[1](ops.relu(stack.layers[0](inputs))))
without = ops.convert_to_numpy(stack.layers[1](stack.layers[0](inputs)))
fit, *_ = np.linalg.lstsq(np.column_stack([inputs, np.ones(1000)]), with_relu, rcond=None)
left_over = np.var(with_relu - np.column_stack([inputs, np.ones(1000)]) @ fit) / np.var(with_relu)
assert not np.allclose(with_relu, without)
assert left_over > 0.02

# %% [markdown]
# The course says "a linear function is just a polynomial of one degree". That is right, up to a word: with its bias the map is called *affine*, and everybody says linear.
#
# ### What can it not learn?
#
# **Whatever a straight cut cannot separate.** The smallest example is XOR: yes if one of two switches is on, no if none or both are. For an affine function $f$ the values at opposite corners have equal sums, $f(0,0)+f(1,1)=f(0,1)+f(1,0)$. So it cannot be below zero at the first two and above zero at the other two. One layer with ReLU gets out of this, and its weights can be found on paper: $\mathrm{relu}(a+b)-2\,\mathrm{relu}(a+b-1)$.

# %%
# Two hidden units with weights from paper; next to it the same weights without the ReLU.
corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
answers = {}
for activation in ("relu", "linear"):
    by_hand = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, activation), layers.Dense(1, use_bias=False)]
    )
    by_hand.set_weights([np.ones((2, 2)), np.array([0, -1]), np.array([[1], [-2]])])
    answers[activation] = ops.convert_to_numpy(by_hand(corners))[:, 0].astype(int)
print("a b   with ReLU   without")
for (a, b), yes, no in zip(corners.astype(int), answers["relu"], answers["linear"], strict=True):
    print(f"{a} {b} {yes:>11} {no:>9}")
assert answers["relu"].tolist() == [0, 1, 1, 0]
assert answers["linear"].tolist() == [2, 1, 1, 0]
assert answers["linear"][0] + answers["linear"][3] == answers["linear"][1] + answers["linear"][2]

# %% [markdown]
# Now the weights are to be learned: on four clouds at the corners, and on two spirals that wind around each other one and a half times. A stack of five linear layers against a single hidden layer with ReLU.

# %%
# Two tasks of 400 points each.
def corner_clouds(random, count=400):
    switches = random.integers(0, 2, (count, 2))
    points = switches + random.normal(scale=0.12, size=(count, 2))
    return points.astype("float32"), switches[:, 0] ^ switches[:, 1]


def two_spirals(random, count=400, turns=1.5):
    labels = np.arange(count) % 2
    radius = np.sqrt(random.uniform(0.01, 1, count))
    angle = 2 * np.pi * turns * radius + np.pi * labels
    points = radius[:, np.newaxis] * np.column_stack([np.cos(angle), np.sin(angle)])
    return (points + random.normal(scale=0.02, size=(count, 2))).astype("float32"), labels


tasks = {
    "XOR": corner_clouds(np.random.default_rng(seed)),
    "spirals": two_spirals(np.random.default_rng(seed)),
}


# %% tags=["nbval-ignore-output"]
# The same number of steps for both networks.
def two_classes(activation):
    """Four hidden layers of 32 units without activation, or one of 128 with."""
    widths = [32] * 4 if activation == "linear" else [128]
    spread = keras.initializers.RandomUniform(-1, 1)  # kinks not all at the origin
    hidden = [
        layers.Dense(width, activation, kernel_initializer="he_normal", bias_initializer=spread)
        for width in widths
    ]
    return keras.Sequential([keras.Input((2,)), *hidden, layers.Dense(2, "softmax")])


def log_odds(network):
    """How strongly a network prefers class 1: what the softmax reads, without its rounding."""
    before = keras.Sequential([keras.Input((2,)), *network.layers[:-1]])
    kernel, bias = network.layers[-1].get_weights()
    return lambda points: (
        ops.convert_to_numpy(before(points)) @ np.diff(kernel)[:, 0] + np.diff(bias)
    )


scores, preference = {}, {}
for task, (points, labels) in tasks.items():
    for title, activation in (("linear", "linear"), ("ReLU", "relu")):
        keras.utils.set_random_seed(seed)
        network = two_classes(activation)
        ev.training.compile_classifier(network, keras.optimizers.Adam(0.02))
        ev.training.track_training(network, (points, labels), [0, 800], batch_size=100, seed=seed)
        decide = preference[task, title] = log_odds(network)
        scores[task, title] = float(np.mean((decide(points) > 0) == labels))
        print(f"{task:8} {title:7} {100 * scores[task, title]:.0f} % right")

# %% tags=["nbval-ignore-output"]
# Which class does each network see at each place? Ask it for all places of a fine grid.
_, row = plt.subplots(1, 4, figsize=(9.2, 2.7))
for axes, ((task, title), decide) in zip(row, preference.items(), strict=True):
    points, labels = tasks[task]
    line = np.linspace(points.min() - 0.2, points.max() + 0.2, 200, dtype="float32")
    x, y = np.meshgrid(line, line)
    decisions = decide(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
    axes.contourf(x, y, decisions, [-np.inf, 0, np.inf], colors=["C0", "C1"], alpha=0.25)
    for label in (0, 1):
        axes.plot(*points[labels == label].T, ".", color=f"C{label}", ms=3)
    axes.set_aspect("equal")
    ev.plots.hide_axes(axes, f"{task}, {title}: {100 * scores[task, title]:.0f} % right")
plt.show()

# %% [markdown]
# **Figure 1.** What each network takes for which class. Five linear layers cut the plane once, with a straight line, wherever they put it. One hidden layer with ReLU follows the spirals. Look closely: its border is made of straight pieces.

# %% tags=["proves:linear-is-limited"]
# A straight cut gets at most three of four clouds right; the ReLU gets (nearly) all points of both tasks.
assert scores["XOR", "linear"] < 0.85
assert scores["spirals", "linear"] < 0.85
assert scores["XOR", "ReLU"] > 0.97
assert scores["spirals", "ReLU"] > 0.95

# Opposite corners have equal sums without an activation, and not with one.
sums = {}
for title in ("linear", "ReLU"):
    at_corner = preference["XOR", title](corners)
    sums[title] = at_corner[0] + at_corner[3], at_corner[1] + at_corner[2]
assert np.isclose(*sums["linear"], atol=1e-3)
assert sums["ReLU"][1] - sums["ReLU"][0] > 4

# %% [markdown]
# ### Does it matter on real digits?
#
# **Yes: more linear layers bring next to nothing, and one ReLU takes more than a quarter of the errors away.** A single layer with a softmax behind it is called softmax regression; it is what the course means by "a linear regression model", for classes instead of numbers. 10,000 digits to learn from, 3,000 others to score on.

# %% tags=["nbval-ignore-output"]
# One, two and four linear layers, and two layers with one ReLU between; three seeds, the same steps for all.
(x_train, y_train), _ = ev.load_mnist()
digits = ev.prepare_images(x_train[:13_000])
learn, unseen = (digits[:10_000], y_train[:10_000]), (digits[10_000:], y_train[10_000:13_000])


def digit_stack(depth, activation):
    hidden = [layers.Dense(128, activation) for _ in range(depth - 1)]
    return keras.Sequential(
        [keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10, "softmax")]
    )


accuracies, trained_stacks = {}, {}
for label, depth, activation in (
    ("1 linear layer", 1, "linear"),
    ("2 linear layers", 2, "linear"),
    ("4 linear layers", 4, "linear"),
    ("2 layers, 1 ReLU", 2, "relu"),
):
    network = trained_stacks[label] = digit_stack(depth, activation)
    ev.training.compile_classifier(network, keras.optimizers.Adam(0.002))
    start = ev.training.StartingPoint(network)
    accuracies[label] = []
    for number in range(3):
        keras.utils.set_random_seed(seed + number)
        start.restore(weights=digit_stack(depth, activation).get_weights())
        run = ev.training.track_training(
            network, learn, [0, 400], batch_size=100, seed=number, score_on={"unseen": unseen}
        )
        accuracies[label].append(run.scores["unseen"][-1, 1])
    shares = "  ".join(f"{100 * one:.1f}" for one in accuracies[label])
    print(f"{label:17} {network.count_params():>7,} weights   right on unseen digits, %: {shares}")

# %% tags=["refines:linear-network-is-a-regression", "refines:linear-performs-poorly"]
# Linear stacks stay within two points of softmax regression, whatever their depth; the ReLU makes fewer errors.
single, *deeper, relu_stack = (np.mean(values) for values in accuracies.values())
assert 0.87 < single < 0.93
assert all(abs(one - single) < 0.02 for one in deeper)
assert 1 - relu_stack < 0.75 * (1 - max(single, *deeper))

# The four trained layers are one 784x10 matrix: it names the same digits.
matrix, bias = as_one_layer(trained_stacks["4 linear layers"])
named = (unseen[0].reshape(3000, 784) @ matrix + bias).argmax(axis=1)
by_stack = ops.convert_to_numpy(trained_stacks["4 linear layers"](unseen[0])).argmax(axis=1)
assert matrix.shape == (784, 10)
assert np.mean(named == by_stack) > 0.998

# %% [markdown]
# ### How does a network with ReLU approximate a curve?
#
# **By straight pieces, with a kink for each unit at most.** The unit $\mathrm{relu}(wx+b)$ is zero on one side of $x=-b/w$ and a straight line on the other. A weighted sum of such units is a chain of straight lines, and anything can be approximated by enough of them. For evenly spaced kinks nothing has to be learned: at each kink the slope changes by the next unit's weight. Below, 2, 8 and 32 units, first with weights that are written down this way, then learned from random ones.


# %%
# The weights that join points of a curve by straight lines, and the largest error they may have.
def curve(x):
    return np.sin(3 * x) + 0.35 * np.sin(8 * x + 1)


def written_down(units):
    """Kernels and biases of both layers: a line from point to point of the curve."""
    places = np.linspace(-1.5, 1.5, units + 1)
    slopes = np.diff(curve(places)) / np.diff(places)
    changes = np.diff(slopes, prepend=0)
    first = np.ones((1, units)), -places[:-1]
    return *first, changes[:, np.newaxis], curve(places[:1])


def through(weights, x):
    """The network in NumPy, in double precision."""
    kernel, bias, output_kernel, output_bias = weights
    return (np.maximum(x[:, np.newaxis] @ kernel + bias, 0) @ output_kernel + output_bias)[:, 0]


fine = np.linspace(-1.5, 1.5, 3001)
second_derivative = np.abs(-9 * np.sin(3 * fine) - 0.35 * 64 * np.sin(8 * fine + 1)).max()
written = {units: written_down(units) for units in (2, 8, 32)}
for units, weights in written.items():
    largest = np.abs(through(weights, fine) - curve(fine)).max()
    print(f"{units:2} units: largest error {largest:.3f}")
    assert largest <= second_derivative * (3 / units) ** 2 / 8  # the bound for straight lines

# %% tags=["nbval-ignore-output"]
# Now learned: kinks evenly spread at the start, all else random; kernels of 10, so that steps move kinks slowly.
places = np.linspace(-1.5, 1.5, 200, dtype="float32")[:, np.newaxis]
keras.utils.set_random_seed(seed)
number, fitted = keras.Input((1,)), []
small = keras.initializers.RandomNormal(stddev=0.01)
for units in written:  # one model for quickness; the three networks share nothing but their input
    hidden = layers.Dense(units, "relu", name=f"hidden{units}")
    output = layers.Dense(1, kernel_initializer=small, name=f"output{units}")
    fitted.append(output(hidden(number)))
    kernel = 10 * np.random.default_rng(seed).choice([-1.0, 1.0], units)
    hidden.set_weights([kernel[np.newaxis], -kernel * np.linspace(-1.5, 1.5, units + 2)[1:-1]])
network = keras.Model(number, fitted)
network.compile(
    keras.optimizers.Adam(0.005),
    ["mse"] * 3,
    # On TensorFlow, XLA would take longer to compile than it saves.
    jit_compile="auto" if keras.backend.backend() != "tensorflow" else False,
)
again = np.tile(places, (10, 1))
network.fit(again, [curve(again)] * 3, batch_size=40, epochs=20, verbose=0)
learned = {}
for units in written:
    pair = network.get_layer(f"hidden{units}"), network.get_layer(f"output{units}")
    learned[units] = [one.astype("float64") for layer in pair for one in layer.get_weights()]

# %% tags=["nbval-ignore-output"]
# Each network on the curve, with its error and its kinks.
figure, grid = plt.subplots(2, 3, figsize=(9, 4.5), sharex=True, sharey=True)
errors = {}
for line, (label, networks) in zip(
    grid, {"written down": written, "learned": learned}.items(), strict=True
):
    line[0].set_ylabel(label)
    for axes, (units, weights) in zip(line, networks.items(), strict=True):
        values = through(weights, fine)
        errors[label, units] = float(np.sqrt(np.mean((values - curve(fine)) ** 2)))
        kinks = -weights[1] / weights[0][0]
        kinks = kinks[np.abs(kinks) < 1.5]
        axes.plot(fine, curve(fine), color="#b8c0cc", lw=5, label="the curve")
        axes.plot(fine, values, "C0", label="the network")
        axes.plot(kinks, through(weights, kinks), "oC1", label="a kink")
        axes.set_title(f"{units} units, error {errors[label, units]:.3f}")
        axes.grid()
handles, labels = axes.get_legend_handles_labels()
figure.legend(handles, labels, loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# **Figure 2.** A curve, and networks with one hidden layer of ReLU that approximate it; the error is the root of the mean square. Above: weights that were written down. With 32 units the network lies on the curve. Below: learned ones. Two units do better than above, since learning moves the kinks to where they help. But 32 units that learned for 1,000 steps are still further from the curve than the weights which we know to exist.


# %% tags=["refines:networks-learn-any-function"]
# No more kinks than units, and straight between them: counted on the outputs, not read from the weights.
def count_bends(values):
    """How many runs of places there are at which the slope changes."""
    bent = np.abs(np.diff(values, 2)) > 1e-9
    return int(np.sum(np.diff(bent.astype(int), prepend=0) == 1))


for networks in (written, learned):
    for units, weights in networks.items():
        assert 1 <= count_bends(through(weights, fine)) <= units

# More units, smaller errors, whether the weights are written down or learned.
assert errors["written down", 2] > 3 * errors["written down", 8] > 9 * errors["written down", 32]
assert errors["written down", 32] < 0.02
assert errors["learned", 2] > 2 * errors["learned", 8] > 2 * errors["learned", 32]
assert errors["learned", 2] > 4 * errors["learned", 32]
# To exist is not to be found: the learned ones are better with 2 units and worse with 32.
assert errors["learned", 2] < errors["written down", 2]
assert errors["learned", 32] > 2 * errors["written down", 32]

# %% [markdown]
# ### Can a network learn any function at all?
#
# **It can come as close as you like to any continuous function on a bounded region, if it has enough units. Whether training finds these weights is another question.** The course writes that networks "can compute and learn any function at all". The theorem behind it is about the first verb only: Cybenko (1989) proved it for sigmoids, Hornik (1991) more generally, and Leshno et al. (1993) found the condition: one hidden layer is enough exactly if the activation function is not a polynomial. It says nothing of how many units it takes, and nothing of learning. The figure above shows the difference.
#
# And why no polynomial? Take the square: weighted sums of squares of lines are parabolas, however many units there are.

# %% tags=["refines:nonlinearity-makes-powerful"]
# A thousand units that square: third differences vanish, so it is a parabola, no better than the best one.
random = np.random.default_rng(seed)
kernel, bias, weights = random.normal(size=(3, 1000)) / 30
squares = (fine[:, np.newaxis] * kernel + bias) ** 2 @ weights
assert np.abs(np.diff(squares[::300], 3)).max() < 1e-9
assert np.abs(np.diff(squares[::300], 2)).max() > 1e-6

parabola = np.polyval(np.polyfit(fine, curve(fine), 2), fine)
best = float(np.sqrt(np.mean((parabola - curve(fine)) ** 2)))
print(
    f"the best parabola has the error {best:.2f}, 8 units with ReLU {errors['written down', 8]:.2f}"
)
assert best > 3 * errors["written down", 8]

# %% [markdown]
# **Take away.** An activation function is what makes depth worth anything. It need not be complicated: one bend at zero is enough to approximate every continuous function, because bends can be put anywhere and added up.
#
# ## What is wrong with sigmoid and tanh?
#
# **Both go flat for large inputs, and the sigmoid is nowhere steep: its slope is at most 1/4, so with the usual weights gradients shrink in every layer they pass.** The course calls it "gradient descent or gradient explosion problems". What is meant, and what happens, is the *vanishing* gradient. Here are both curves:
#
# $$\sigma(x)=\frac{1}{1+e^{-x}},\quad \sigma'=\sigma\,(1-\sigma)\qquad\qquad \tanh x=2\,\sigma(2x)-1,\quad \tanh'=1-\tanh^2$$

# %%
# Values by Keras, slopes from the formulas in evalib.networks.activations; shaded where the slope is below 1 % of its largest.
wide = np.linspace(-10, 10, 2001)


def values_of(name, x):
    return ops.convert_to_numpy(FAMILY[name].function(ops.convert_to_tensor(x, "float32")))


figure, row = plt.subplots(1, 2, figsize=(8.6, 2.5), sharey=True)
for axes, name in zip(row, ("sigmoid", "tanh"), strict=True):
    slope = FAMILY[name].derivative(wide)
    axes.plot(wide, values_of(name, wide), label="the function")
    axes.plot(wide, slope, label="its derivative")
    flat, whole_height = slope < 0.01 * slope.max(), axes.get_xaxis_transform()
    axes.fill_between(wide, 0, 1, flat, transform=whole_height, color="C2", alpha=0.2, lw=0)
    axes.set(title=name, xlim=(-10, 10))
    axes.grid()
ev.plots.add_legend(figure)
plt.show()

# %% [markdown]
# **Figure 3.** Sigmoid and tanh with their derivatives. In the gray range they are saturated: a change of the input makes next to no change of the output, so next to no gradient comes back. tanh is the same curve, twice as high and twice as narrow, and moved down to zero. That makes it four times as steep in the middle, and flat earlier.

# %% tags=["proves:sigmoid-and-tanh-saturate"]
# The slopes by autodiff, their largest values, and where exactly saturation begins.
slopes = {}
for name in ("sigmoid", "tanh"):
    number = keras.Input(wide.shape)
    curve_of = keras.Model(number, layers.Activation(name)(number))
    slopes[name] = input_gradient(curve_of, wide[np.newaxis])[0]
    assert np.allclose(slopes[name], FAMILY[name].derivative(wide), atol=1e-6)
    print(
        f"{name:8} largest slope {slopes[name].max():.2f}, at x = {abs(wide[slopes[name].argmax()]):.0f}"
    )
assert np.isclose(slopes["sigmoid"].max(), 1 / 4)
assert np.isclose(slopes["tanh"].max(), 1)

# A hundredth of the largest slope is left where tanh squared is 0.99; for the sigmoid at twice that.
edge = np.arctanh(np.sqrt(0.99))
for name, begin in (("tanh", edge), ("sigmoid", 2 * edge)):
    flat = slopes[name] < 0.01 * slopes[name].max()
    assert np.isclose(flat.mean(), 1 - begin / 10, atol=2e-3)
    print(
        f"{name:8} saturated beyond {begin:.2f}: {100 * flat.mean():.0f} % of the range from -10 to 10"
    )
assert np.allclose(values_of("tanh", wide), 2 * values_of("sigmoid", 2 * wide) - 1, atol=1e-6)

# %% [markdown]
# ### What is left of a gradient after 20 layers?
#
# **With ReLU all of it, give or take; with tanh a quarter; with the sigmoid a million-millionth.** On its way back, each layer multiplies the gradient by its weights and by the slopes of its activation function. [Notebook 01](01_python101_answers.ipynb) predicts what comes of it for tanh and ReLU, with several kinds of initial kernels. Here each function gets kernels by its usual rule (Glorot's, which notebook 01 calls Xavier's, for sigmoid and tanh; He's for ReLU), and the sigmoid joins in. The factor a layer is $\sqrt{n v\,\mathrm{E}[f'(z)^2]}$, with $v$ the variance of the weights, $n$ their number in a sum, and $z$ the sums themselves.

# %%
# The prediction: a sum's variance is n v times the mean square of what it reads; normal distribution, integrated.
from itertools import pairwise


normal = np.linspace(-10, 10, 4000)  # an even number, so that ReLU's kink is between two
weight = np.exp(-0.5 * normal**2) / np.exp(-0.5 * normal**2).sum()


def mean_squares(name, variance):
    """The mean squares of f(z) and of its slope, for normally distributed z."""
    z = np.sqrt(variance) * normal
    return weight @ values_of(name, z).astype("float64") ** 2, weight @ FAMILY[name].derivative(
        z
    ) ** 2


def factors_by_layer(name, gains):
    """By how much each layer multiplies the size of the gradient; gains are the layers' n v."""
    size, factors = 1.0, []
    for gain in gains:
        size, slope = mean_squares(name, gain * size)
        factors.append(np.sqrt(gain * slope))
    return np.array(factors)


# Where notebook 01 has formulas, they agree. For the sigmoid no slope is above 1/4.
for name in ("relu", "tanh"):
    assert np.allclose(mean_squares(name, 0.7), ev.training.activation_moments(name, 0.7), rtol=1e-3)
assert mean_squares("sigmoid", 0.7)[1] < 1 / 16

# %% tags=["nbval-ignore-output"]
# 200 digits forward through 20 layers of 100 units, the gradients of their losses back, before any training.
few = digits[:4000] - digits[:4000].mean(axis=(1, 2, 3), keepdims=True)
few /= few.std(axis=(1, 2, 3), keepdims=True)
depth, width = 20, 100
starts = {
    "sigmoid": keras.initializers.GlorotNormal(),
    "tanh": keras.initializers.GlorotNormal(),
    "relu": keras.initializers.HeNormal(),
}
signals, measured, predicted = {}, {}, {}
for name, initializer in starts.items():
    network = ev.training.deep_network(name, depth, width)
    ev.training.draw_kernels(network, initializer, seed)
    signals[name] = ev.training.measure_signals(network, few[:200], y_train[:200])
    title = FAMILY[name].title
    measured[title] = np.sqrt(signals[name].gradient_moments)
    units = [784] + [width] * depth
    gains = [pair[0] * ev.training.kernel_variance(initializer, pair) for pair in pairwise(units)]
    factors = factors_by_layer(name, gains)
    predicted[title] = np.cumprod(np.append(1, factors[:0:-1]))[::-1]
    left = measured[title][0] / measured[title][-1]
    print(
        f"{title:8} left after {depth - 1} layers: {left:.1e}, predicted {predicted[title][0]:.1e}; "
        f"factor a layer {left ** (1 / (depth - 1)):.3f}"
    )

# %% tags=["nbval-ignore-output"]
# Measured sizes as points; a prediction is relative to the last layer, so its line begins there.
_, axes = plt.subplots(figsize=(7.4, 3))
layer = np.arange(1, depth + 1)
for number, (title, sizes) in enumerate(measured.items()):
    axes.semilogy(layer, sizes, "o", color=f"C{number}")
    axes.semilogy(layer, sizes[-1] * predicted[title], color=f"C{number}", label=title)
axes.set(xlabel="layer", ylabel="size of the gradient", xticks=[1, 5, 10, 15, 20])
axes.grid()
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# **Figure 4.** The size of the gradient by each layer's outputs (root of the mean square), on a logarithmic scale; points are measured, lines predicted. Read from right to left. For the sigmoid each layer leaves less than a quarter of it. tanh loses a few percent a layer, ReLU on average nothing.

# %% tags=["corrects:sigmoid-gradients-explode", "refines:sigmoid-and-tanh-vanish"]
# Theory and measurement agree in every layer; the sigmoid's factor is below its largest slope.
left = {}
for title, sizes in measured.items():
    ratio = sizes / sizes[-1] / predicted[title]
    assert 0.4 < ratio.min() <= ratio.max() < 2.5
    left[title] = float(sizes[0] / sizes[-1])
assert 1e-13 < left["sigmoid"] < 1e-11
assert left["sigmoid"] ** (1 / 19) < 0.25
assert 0.1 < left["tanh"] < 0.6
assert 0.3 < left["ReLU"] < 3
# What infinitely wide layers would leave.
assert np.isclose(predicted["tanh"][0], 0.25, atol=0.02)
assert np.isclose(predicted["ReLU"][0], 1, rtol=1e-3)

# %% [markdown]
# ### Can the sigmoid's gradients explode, too?
#
# **Only from kernels about ten times as large as usual.** Larger weights make larger sums, and these saturate the sigmoid: a kernel with twice the standard deviation does not double the factor a layer. Even four times the usual, which makes up for the slope of 1/4 at zero, leaves less than 0.7.

# %% tags=["nbval-ignore-output"]
# The factor a layer far from the input, for kernels of so many times Glorot's standard deviation.
far = {times: factors_by_layer("sigmoid", [times**2] * 40)[-1] for times in (1, 2, 4, 8, 16, 32)}
print("\n".join(f"x{times:<3} factor a layer {factor:.2f}" for times, factor in far.items()))

large = keras.initializers.VarianceScaling(16.0**2, "fan_avg", "untruncated_normal")
network = ev.training.deep_network("sigmoid", depth, width)
ev.training.draw_kernels(network, large, seed)
sizes = np.sqrt(ev.training.measure_signals(network, few[:200], y_train[:200]).gradient_moments)
measured_factor = float((sizes[0] / sizes[-1]) ** (1 / (depth - 1)))
print(f"x16 measured        {measured_factor:.2f}")

# %% tags=["corrects:sigmoid-gradients-explode"]
# Below one up to eight times the usual, above one from sixteen on; doubling the weights never doubles the factor.
assert far[8] < 1 < far[16]
assert all(far[2 * times] < 2 * far[times] for times in (1, 2, 4, 8, 16))
assert far[1] < 0.25
assert far[4] < 0.7
assert abs(measured_factor / far[16] - 1) < 0.2

# %% [markdown]
# ### Did tanh not work either?
#
# **It works much better than the sigmoid, and these 20 layers learn with it.** The course says of tanh "but neither did" work. What is true: it saturates as well, and before good initial kernels were known (Glorot and Bengio, 2010) deep networks got stuck with it. But it has a slope of one at zero, and outputs around zero.

# %% tags=["nbval-ignore-output"]
# The same three networks learn from 3,000 digits by plain gradient descent; scored on 1,000 others.
results = {}
for name, initializer in starts.items():
    network = ev.training.deep_network(name, depth, width)
    ev.training.draw_kernels(network, initializer, seed)
    ev.training.compile_classifier(network, keras.optimizers.SGD(0.02))
    parts = {"unseen": (few[3000:], y_train[3000:4000])}
    run = ev.training.track_training(network, (few[:3000], y_train[:3000]), [0, 200], seed=seed, score_on=parts)
    results[name] = run.scores["unseen"][-1]
    loss, accuracy = results[name]
    print(
        f"{name:8} after 200 steps: loss {loss:.2f} (guessing {np.log(10):.2f}), right {100 * accuracy:.0f} %"
    )

# %% tags=["corrects:tanh-did-not-work"]
# The sigmoid's network still guesses. With tanh, and with ReLU, most digits are named right.
assert results["sigmoid"][0] > np.log(10) - 0.05
assert results["sigmoid"][1] < 0.3
assert results["tanh"][1] > 0.6
assert results["relu"][1] > 0.45

# What a layer gives: the sigmoid's mean is near one half, tanh's near zero.
assert abs(signals["sigmoid"].activations.mean() - 0.5) < 0.05
assert abs(signals["tanh"].activations.mean()) < 0.05

# %% [markdown]
# Why should outputs lie around zero? A weight's gradient is the gradient at its unit times what the weight reads. If all of that is positive, then for each picture all weights of a unit must go up together, or down together (LeCun et al., 1998, *Efficient BackProp*). tanh is free of this. ReLU is not: it is no better than the sigmoid here, and works nevertheless.

# %%
# One digit: the signs of the gradients by the weights of each unit in the last hidden layer.
for name, initializer in starts.items():
    network = ev.training.deep_network(name, depth, width)
    ev.training.draw_kernels(network, initializer, seed)
    by_kernel = weight_gradients(network, few[:1], y_train[:1])[2 * (depth - 1)]
    both_signs = (by_kernel > 0).any(axis=0) & (by_kernel < 0).any(axis=0)
    print(
        f"{name:8} {both_signs.sum():>3} of {width} units have weights that go up and others that go down"
    )
    assert both_signs.sum() == (width if name == "tanh" else 0)

# %% [markdown]
# ### Where are they still the right choice?
#
# **At the end of a network, for a probability, and as gates, where a number between 0 and 1 decides how much passes.** At the output the sigmoid's saturation does no harm if the loss is the *cross-entropy*, minus the logarithm of the right answer's probability, because this logarithm undoes the exponential: the gradient by the sum before the sigmoid is simply $p-y$, what was said minus what was right. With the squared error it is $2\,(p-y)\,p\,(1-p)$, and whoever is surely wrong learns nothing.

# %%
# The right answer is yes, y = 1. The gradients by the sum before the sigmoid, from surely wrong to surely right.
before = np.array([[-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0]])
number = keras.Input((before.size,))
output = keras.Model(number, layers.Activation("sigmoid")(number))
said = ops.convert_to_numpy(output(before))[0].astype("float64")
by_entropy = input_gradient(output, before, output=lambda p: -ops.log(p))[0]
by_square = input_gradient(output, before, output=lambda p: (1 - p) ** 2)[0]
print("sum before    said p   cross-entropy   squared error")
for row in zip(before[0], said, by_entropy, by_square, strict=True):
    print("{:10.0f} {:9.4f} {:15.4f} {:15.4f}".format(*row))
assert np.allclose(by_entropy, said - 1, atol=1e-5)
assert np.allclose(by_square, 2 * (said - 1) * said * (1 - said), atol=1e-5)
assert abs(by_entropy[0]) > 0.999
assert abs(by_square[0]) < 0.001

# %% [markdown]
# A gate is multiplied with a signal. Open, it holds or passes; shut, it forgets. LSTM and GRU, layers that read a sequence step by step and keep a memory, have such gates, and so has squeeze-and-excitation (Hu et al., 2018), which turns whole channels of a picture up or down. Here saturation is what is wanted: a gate that is clearly open should be one.

# %%
# Keras's LSTM with one unit and gates set by hand: what is left of a memory of 0.8 after 100 steps?
memory = layers.LSTM(1, return_state=True)
nothing = np.zeros((1, 100, 1), "float32")
memory.build(nothing.shape)
assert memory.recurrent_activation is keras.activations.sigmoid
assert memory.activation is keras.activations.tanh

kept = {}
for label, forget in (("holds", 10.0), ("leaks", 4.0), ("forgets", -10.0)):
    gates = np.array([-10.0, forget, 0.0, 10.0])  # input gate, forget gate, candidate, output gate
    memory.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), gates])
    start = [np.zeros((1, 1), "float32"), np.full((1, 1), 0.8, "float32")]
    kept[label] = float(ops.convert_to_numpy(memory(nothing, initial_state=start)[-1])[0, 0])
    gate = 1 / (1 + np.exp(-forget))
    print(f"a gate of {gate:.4f} {label:8}: {abs(kept[label]):.3f}")
    assert np.isclose(kept[label], 0.8 * gate**100, atol=2e-3)
assert kept["holds"] > 0.79
assert kept["forgets"] < 1e-6

# An unbounded gate, only a little above one.
assert 1.1**100 > 13_000

# %% [markdown]
# ReLU would make a poor gate: it has no upper limit, and a gate of 1.1 multiplies a memory by more than 13,000 in 100 steps. tanh has its place wherever an output must stay in bounds: pictures from -1 to 1, or the content of the very same LSTM.
#
# **Take away.** Between the layers of a deep network the sigmoid makes gradients vanish, by a factor of four and more a layer. tanh does not, with kernels of the right size. Both belong where a number has to stay within bounds.
#
# ## What does ReLU do?
#
# **It passes what is above zero as it is, and turns everything else into zero.** The course shows it on a feature map of 4x4.

# %% tags=["proves:relu-of-a-feature-map"]
# The course's numbers, and Keras's ReLU of them.
feature_map = np.array([[9, 3, 5, -8], [-6, 2, -3, 1], [1, 3, 4, 1], [3, -4, 5, 1]])
from_the_course = np.array([[9, 3, 5, 0], [0, 2, 0, 1], [1, 3, 4, 1], [3, 0, 5, 1]])
passed = ops.convert_to_numpy(ops.relu(feature_map.astype("float32")))
assert (passed == from_the_course).all()
maps = {"feature map": feature_map, "after ReLU": passed, "taken away": feature_map - passed}
_ = ev.plots.show_numbers(maps, color_map=ev.plots.SIGNED, limits=(-14, 14))

# %% [markdown]
# **Figure 5.** The course's feature map, what ReLU passes on, and what it takes away. Four of the sixteen numbers are gone. The others have not changed.
#
# ### What does it filter out of a photograph?
#
# **One of two kinds of edges.** Sobel's kernel is positive where it gets brighter to the right, and negative where it gets darker. Behind a ReLU only the first kind is left. What is taken away is not noise; it is half of the edges, and the next layer will never know of them. A second kernel with the signs turned around passes on what the first one drops; [notebook 01](01_python101_answers.ipynb) builds its edge finder of such pairs.

# %%
# A photograph through Sobel and ReLU, and what the ReLU took away, by the same kernel with opposite signs.
photo = ev.sample_photo("astronaut", 200).astype("float32").mean(axis=-1) / 255
edges = ev.apply_kernel(photo, ev.SOBEL_X)
kept_edges = ops.convert_to_numpy(ops.relu(edges))
dropped = ops.convert_to_numpy(ops.relu(ev.apply_kernel(photo, -ev.SOBEL_X)))
print(f"below zero: {100 * np.mean(edges < -1e-5):.0f} % of the pixels")
print(f"taken away: {100 * np.sum(dropped**2) / np.sum(edges**2):.0f} % of the sum of squares")
limit = np.percentile(np.abs(edges), 99)
maps = ev.plots.colorize(np.stack([edges, kept_edges, -dropped]), limits=(-limit, limit))
titles = ["photograph", "Sobel-x", "after ReLU", "taken away"]
_ = ev.plots.show_images([photo, *maps], titles, side=200)

# %% [markdown]
# **Figure 6.** Red is above zero, blue below, white is zero. Sobel-x sees the left side and the right side of a thing as red and blue. ReLU lets the red pass. The blue is what the course calls "filtered out".

# %% tags=["refines:relu-filters-out"]
# Both halves together are the whole map, and no pixel is in both.
assert np.allclose(kept_edges - dropped, edges, atol=1e-6)
assert not ((kept_edges > 1e-5) & (dropped > 1e-5)).any()
assert 0.35 < np.mean(edges < 0) < 0.65
assert 0.3 < np.sum(dropped**2) / np.sum(edges**2) < 0.7

# %% [markdown]
# ### How many values does it silence?
#
# **Half of them in an untrained network, and training decides where it goes from there.** Random kernels have no preference for a sign, so a sum is as likely above zero as below. The course says that "it's likely for any given unit to not activate at all". For one digit and a unit that is a matter of tossing a coin. A unit that is silent for *all* digits is another matter; see below.

# %% tags=["nbval-ignore-output"]
# The share of zeros behind each ReLU of a small convolutional network, on 500 digits not learned from.


def zeros_by_layer(network, pictures):
    layers_seen = [network.get_layer(f"activation{number}").output for number in range(1, 5)]
    maps = keras.Model(network.inputs[0], layers_seen)(pictures)
    return [float(np.mean(ops.convert_to_numpy(one) == 0)) for one in maps]


# The 20 layers from above: 20 x 200 x 100 values.
coin = float(np.mean(signals["relu"].activations == 0))
print(f"20 untrained layers: {100 * coin:.0f} % zeros")

keras.utils.set_random_seed(seed)
network = small_network("relu")
zeros = {"untrained": zeros_by_layer(network, few[3500:])}
ev.training.compile_classifier(network, keras.optimizers.Adam(0.003))
parts = {"unseen": (few[3500:], y_train[3500:4000])}
run = ev.training.track_training(network, (few[:3500], y_train[:3500]), [0, 200], seed=seed, score_on=parts)
zeros["trained"] = zeros_by_layer(network, few[3500:])
for label, shares in zeros.items():
    print(f"small network, {label:9}:", "  ".join(f"{100 * share:.0f} %" for share in shares))
print(f"right after training: {100 * run.scores['unseen'][-1, 1]:.0f} %")

# %% tags=["refines:relu-is-sparse"]
# About half, in each of 20 layers together; the trained network names digits with as many silent values or more.
assert abs(coin - 0.5) < 0.05
assert all(0.2 < share < 0.8 for share in zeros["untrained"])
assert run.scores["unseen"][-1, 1] > 0.85
assert np.mean(zeros["trained"]) > 0.4

# %% [markdown]
# ### Which properties follow from its formula?
#
# **It scales with its input, and it is linear wherever no unit changes sides.** For a factor $a>0$, $\mathrm{relu}(ax)=a\,\mathrm{relu}(x)$. A network of ReLU layers without biases inherits this: a digit with half the contrast gives half the outputs, in the same order. And around each digit such a network is nothing but a matrix, namely its gradient there: $f(x)=\nabla f(x)\cdot x$. Another digit opens other units, and gets another matrix.

# %%
# Three ReLU layers without bias, 100 digits: half the contrast, and gradient times pixels.
keras.utils.set_random_seed(seed)
hidden = [
    layers.Dense(64, "relu", use_bias=False, kernel_initializer="he_normal") for _ in range(3)
]
network = keras.Sequential(
    [keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10, use_bias=False)]
)
some = few[:100]
outputs = ops.convert_to_numpy(network(some))
assert np.allclose(ops.convert_to_numpy(network(some / 2)), outputs / 2, atol=1e-5)

matrices = input_gradient(network, some, output=lambda values: values[:, 3])
assert np.allclose((matrices * some).sum(axis=(1, 2, 3)), outputs[:, 3], atol=1e-4)
different = len({matrix.tobytes() for matrix in matrices})
assert different == 100
print(f"{different} digits, {different} matrices")

# %% [markdown]
# At zero itself ReLU has no slope. Keras takes 0 there, like below zero. The choice rarely matters, for a sum of many products is hardly ever exactly zero. Where it does: behind a ReLU, kernels that start as zeros never learn, as [notebook 01](01_python101_answers.ipynb) shows.

# %% tags=["proves:relu-does-not-saturate"]
# What the backend takes as slope below, at and above zero.
three = np.array([[-1.0, 0.0, 1.0]])
number = keras.Input((3,))
slope = input_gradient(keras.Model(number, layers.Activation("relu")(number)), three)[0]
assert slope.tolist() == [0, 0, 1]
print(np.abs(slope).tolist())  # abs, because a backend may give -0.0

# %% [markdown]
# ### Has it no vanishing gradient problem?
#
# **An open unit passes a gradient unchanged; a shut one passes nothing.** The course says that ReLU "doesn't have the vanishing gradient problem". Exactly: along a path of open units the slopes multiply to one, however long it is. But half of the units are shut, and so each layer takes half of the gradient's mean square away. He's kernels make up for it with twice the variance. With Glorot's kernels ReLU's gradients do vanish, as [notebook 01](01_python101_answers.ipynb) shows for 50 layers, only more slowly than the sigmoid's.

# %% tags=["refines:relu-has-no-vanishing-gradient"]
# The mean square of ReLU's slopes is the share of open units: about half, as in the layers from above.
opened = np.mean(signals["relu"].activations > 0, axis=(1, 2))
assert np.allclose(opened, 0.5, atol=0.2)
assert abs(opened.mean() - 0.5) < 0.05

# He's factor a layer is 1, Glorot's is the root of a half; the sigmoid's is less than a quarter.
assert np.allclose(factors_by_layer("relu", [2.0] * 20), 1, rtol=1e-3)
assert np.allclose(factors_by_layer("relu", [1.0] * 20), np.sqrt(0.5), rtol=1e-3)
assert far[1] < 0.25 < np.sqrt(0.5)
print(f"ReLU with Glorot's kernels {np.sqrt(0.5):.2f} a layer, sigmoid {far[1]:.2f}")

# %% [markdown]
# ### When does a unit die?
#
# **When a step of learning moves its weights so far that it is shut for every input.** It then gets no gradient, and its own weights stay as they are; behind the first layer, only a change in the layers before could wake it. High learning rates do it. Below, networks of two hidden layers with 64 units each learn for 150 steps, at five rates. A unit counts as dead if it gives zero for all of 5,000 digits. Next to them the same networks with leaky ReLU, which has a slope of 0.2 below zero.

# %% tags=["nbval-ignore-output"]
# Two kinds of networks, of which one has a leak.
def two_hidden(name):
    parts = [keras.Input((28, 28, 1)), layers.Flatten()]
    for _ in range(2):
        parts.append(layers.Dense(64, kernel_initializer="he_normal"))
        parts.append(activation_layer(name, spatial_axes=0))
    return keras.Sequential([*parts, layers.Dense(10)])


def compile_for(network, optimizer):
    """The softmax belongs to the loss: by itself it would round to zero at such rates."""
    network.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile="auto" if keras.backend.backend() != "tensorflow" else False,
    )
    optimizer.build(network.trainable_variables)


# %% tags=["nbval-ignore-output"]
# Five rates, two seeds each: how many units are dead, and how many digits are named right?
rates = (0.001, 0.01, 0.03, 0.1, 0.3)
pool, pool_labels = digits[:5000], y_train[:5000]
dead, right = {}, {}
networks, saved = {}, {}
for title, name in (("ReLU", "relu"), ("leaky ReLU", "leaky_relu")):
    network = networks[title] = two_hidden(name)
    behind = keras.Model(network.inputs[0], [network.layers[2].output, network.layers[4].output])
    compile_for(network, keras.optimizers.Adam())
    start = ev.training.StartingPoint(network)
    dead[title], right[title] = {}, {}
    for rate in rates:
        dead[title][rate], right[title][rate] = [], []
        for number in range(2):
            keras.utils.set_random_seed(seed + number)
            start.restore(weights=two_hidden(name).get_weights(), learning_rate=rate)
            # Three passes over 50 batches: 150 steps.
            network.fit(pool[:3000], pool_labels[:3000], batch_size=60, epochs=3, verbose=0)
            score = network.evaluate(pool[3000:], pool_labels[3000:], batch_size=500, verbose=0)
            if title == "ReLU":
                saved[rate] = network.get_weights()
            is_dead = [(ops.convert_to_numpy(one) == 0).all(axis=0) for one in behind(pool)]
            dead[title][rate].append(100 * float(np.mean(is_dead)))
            right[title][rate].append(100 * score[1])
    for rate in rates:
        shares = np.mean(dead[title][rate]), np.mean(right[title][rate])
        print(f"{title:10} rate {rate:5g}: {shares[0]:3.0f} % dead, {shares[1]:.0f} % right")

# %% tags=["nbval-ignore-output"]
# A point for each seed, and a line through the means.
figure, row = plt.subplots(1, 2, figsize=(9, 2.8))
for axes, (label, found) in zip(
    row, {"dead units, %": dead, "digits named right, %": right}.items(), strict=True
):
    for number, (title, by_rate) in enumerate(found.items()):
        shares = np.array([by_rate[rate] for rate in rates])
        axes.semilogx(rates, shares, "o", color=f"C{number}", ms=5, alpha=0.5)
        axes.semilogx(rates, shares.mean(axis=1), color=f"C{number}", label=title)
    axes.set(xlabel="learning rate", ylabel=label, ylim=(-4, 104))
    axes.grid()
ev.plots.add_legend(figure)
plt.show()

# %% [markdown]
# **Figure 7.** Left: at usual rates few units of ReLU are dead after 150 steps, at the two highest most; the leaky ones all live. Right: up to a point the dead are not missed, since those that are left do the work. At the highest rate most units are dead, and the network only guesses, while the leaky one still names most digits right.

# %% tags=["proves:leaky-relu-leaks", "refines:relu-is-sparse"]
# Few die at usual rates, most at the highest; no leaky unit dies, and at the highest rate that pays.
means = {
    title: {rate: np.mean(shares) for rate, shares in one.items()} for title, one in dead.items()
}
assert means["ReLU"][0.001] < 10
assert means["ReLU"][0.001] < means["ReLU"][0.03] < means["ReLU"][0.3]
assert means["ReLU"][0.3] > 50
assert max(means["leaky ReLU"].values()) == 0
assert np.mean(right["ReLU"][0.3]) < 35
assert np.mean(right["leaky ReLU"][0.3]) > 55
assert max(np.mean(shares) for shares in right["ReLU"].values()) > 85

# %%
# Can the dead come back? 20 more steps at a usual rate: their kernels do not move by a single bit.
network = networks["ReLU"]
network.set_weights(saved[0.03])
behind = keras.Model(network.inputs[0], network.layers[2].output)
is_dead = (ops.convert_to_numpy(behind(pool)) == 0).all(axis=0)
before = network.layers[1].get_weights()[0]
compile_for(network, keras.optimizers.SGD(0.01))
network.fit(pool[:3000], pool_labels[:3000], batch_size=150, epochs=1, verbose=0)
moved = (network.layers[1].get_weights()[0] != before).any(axis=0)
assert is_dead.any()
assert not moved[is_dead].any()
assert moved[~is_dead].any()

# %% [markdown]
# ### Is it cheap?
#
# **Yes: one comparison a value, and no exponential.** It costs about as much as adding one to each number: what takes time is to read and write them. How much of a network's time that saves is another question. Before a value reaches its activation function, a 3x3 convolution over 64 channels has made 576 multiplications for it.

# %% tags=["nbval-ignore-output"]
# Four million numbers through each function in turn, again and again; the median time relative to ReLU's.
import time

numbers = ops.convert_to_tensor(np.random.default_rng(seed).normal(size=4_000_000), "float32")
functions = {name: FAMILY[name].function for name in ("relu", "tanh", "sigmoid", "silu", "gelu")}
functions["plus one"] = lambda values: values + 1
durations = {name: [] for name in functions}
for _round in range(11):
    for name, function in functions.items():
        begin = time.perf_counter()
        ops.convert_to_numpy(function(numbers))
        durations[name].append(time.perf_counter() - begin)
median = {name: float(np.median(times[2:])) for name, times in durations.items()}
for name, duration in median.items():
    print(f"{name:8} {duration / median['relu']:.1f} times as long as ReLU")

# %% tags=["proves:relu-is-cheap"]
# Loose, since clocks on busy machines are unreliable: ReLU is not the slow one.
assert median["relu"] < 1.5 * median["tanh"]
assert median["relu"] < 1.5 * median["gelu"]
assert 1 / 4 < median["relu"] / median["plus one"] < 4

# The multiplications that a convolution makes for each value that goes into its activation function.

convolution = keras.Sequential([keras.Input((28, 28, 64)), layers.Conv2D(64, 3)])
assert macs(convolution) == 26 * 26 * 64 * 576

# %% [markdown]
# **Take away.** ReLU keeps what is above zero, silences about half of a layer's values before training, and passes gradients without fading through every open unit. Its price is that a shut unit learns nothing: with He's kernels and a moderate learning rate that is no trouble, with a high one units die.

# %% [markdown]
# ## What came after ReLU?
#
# **Curves that let something through below zero, curves that level off there, curves that bend where the data says, and smooth curves that dip below zero before they rise.** The course goes through leaky ReLU, PReLU, ELU, SELU, SReLU and Swish, "each just adding a character". Here is the family. `evalib.networks.activations` has each one under its name, with Keras's own function wherever Keras has it; only SReLU had to be written.
#
# | name | formula | in Keras | proposed by |
# |---|---|---|---|
# | leaky ReLU | $x$ above zero, $0.2\,x$ below | `LeakyReLU(0.2)`; alone it takes 0.3 | Maas et al., 2013, with 0.01 |
# | PReLU | $x$ above zero, $a\,x$ below, $a$ learned | `PReLU(shared_axes=[1, 2])`; alone it learns a slope for each place, too | He et al., 2015 |
# | ELU | $x$ above zero, $e^x-1$ below | `"elu"` | Clevert et al., 2016 |
# | SELU | $\lambda x$ above zero, $\lambda\alpha(e^x-1)$ below, $\lambda=1.0507$, $\alpha=1.6733$ | `"selu"` | Klambauer et al., 2017 |
# | SReLU | slope $a_l$ below $t_l$, $x$ up to $t_r$, slope $a_r$ beyond, all four learned | `ev.SReLU` | Jin et al., 2016 |
# | SiLU or Swish | $x\,\sigma(x)$, where $\sigma$ is the sigmoid | `"silu"` | Elfwing et al., 2018; Ramachandran et al., 2017 |
# | GELU | $x\,\Phi(x)$, where $\Phi$ is the share of a normal distribution below $x$ | `"gelu"` | Hendrycks and Gimpel, 2016 |
# | hard SiLU | $x\,\mathrm{clip}(x/6+1/2,\,0,\,1)$ | `"hard_silu"` | Howard et al., 2019 |
# | Mish | $x\tanh(\ln(1+e^x))$ | `"mish"` | Misra, 2020 |

# %%
# All curves on one scale, with their derivatives: what a layer passes on, and what it lets the gradient have.
x = np.linspace(-4, 4, 320)  # an even number, so that no kink is among them
figure, grid = plt.subplots(4, 4, figsize=(9.2, 8.6), sharex=True, sharey=True)
shown = [name for name in FAMILY if name != "relu6"]
for axes, name in zip(grid.flat, shown, strict=False):
    one = FAMILY[name]
    slopes, jumps = one.derivative(x), np.searchsorted(x, one.kinks)
    # Where a slope jumps, a value that is no number breaks the line.
    gapped = np.insert(x, jumps, one.kinks), np.insert(slopes, jumps, np.nan)
    axes.plot(*gapped, "C1", lw=1.2, label="its derivative")
    axes.plot(x, values_of(name, x), "C0", lw=1.8, label="the function")
    axes.set(title=f"{one.title}\n${one.formula}$", xlim=(-4, 4), ylim=(-2, 4))
    axes.grid()
handles, labels = axes.get_legend_handles_labels()
grid[-1, -1].legend(handles, labels, loc="center")
grid[-1, -1].set_axis_off()
plt.show()

# %% [markdown]
# **Figure 8.** The family in blue, the derivatives in orange. Below zero, ReLU's derivative is nothing, the leaky ones' a constant, ELU's and SELU's fade. SELU is steeper than one, just enough to make up for what it takes away. SReLU is drawn with $t_l=-1$, $a_l=0.2$, $t_r=1.5$ and $a_r=0.4$. The last five curves are ReLU with its corner rounded off; all but softplus turn below zero before they come back to it. Hard SiLU imitates SiLU without an exponential, at the price of two jumps in its derivative. ReLU6 is left out: it differs from ReLU only above six.
#
# ### Are these derivatives right?
#
# **Yes: each was written down by hand, and agrees with what the backend differentiates by itself.** `input_gradient` gives the gradient of a network's output by its input. Where the network is one activation function, that is its derivative.

# %%
# 1,600 places for each function, none on a kink. The same comparison must notice a wrong derivative.
places = np.linspace(-8, 8, 1601)[:-1] + 0.001
automatic = {}
for name, one in FAMILY.items():
    number = keras.Input(places.shape)
    curve = keras.Model(number, layers.Lambda(one.function)(number))
    automatic[name] = input_gradient(curve, places[np.newaxis])[0]
    assert np.allclose(automatic[name], one.derivative(places), atol=2e-5), name
assert not np.allclose(automatic["silu"], FAMILY["gelu"].derivative(places), atol=2e-5)
print(f"{len(automatic)} derivatives agree with the backend's")

# %%
# What sets the curves apart: how far down they go, where, and whether they rise everywhere.
wide = np.linspace(-30, 30, 60_001)
print(f"{'':24}lowest value   at x =   rises everywhere")
for name in ("relu", "leaky_relu", "elu", "selu", "silu", "hard_silu", "gelu", "mish"):
    values = ops.convert_to_numpy(FAMILY[name].function(ops.convert_to_tensor(wide, "float32")))
    slopes = FAMILY[name].derivative(wide)
    bottom = f"{values.min():.2f}" if values.min() > -2 else "none"
    dips = bool((slopes < -1e-6).any())
    where = f"{wide[values.argmin()]:.1f}" if dips else ""
    print(f"{FAMILY[name].title:24}{bottom:>12}{where:>9}   {'no' if dips else 'yes'}")

# %% [markdown]
# ### What slope does PReLU learn?
#
# **A gentle one, different in each channel, and on average largest in the first layer.** The idea is the course's "get the network to figure out what it should be". He et al. start every slope at 0.25, and report that the first layer ends with large slopes while deeper layers become more like ReLU. They explain it by the first layer's kernels, which find edges: there the negative side says as much as the positive. A small network shows the same after 500 steps on 6,000 digits.

# %% tags=["nbval-ignore-output"]
# Three 3x3 convolutions and a dense layer, with PReLU behind each: 136 channels, 136 slopes.
(x_all, y_all), _ = ev.load_mnist()
few_digits, few_labels = ev.prepare_images(x_all[:6000]), y_all[:6000]
names = [f"activation{number}" for number in range(1, 5)]


def channels_of(network, weight):
    """One weight of each activation layer, as a list of its channels' values."""
    found = [getattr(network.get_layer(name), weight) for name in names]
    return [ops.convert_to_numpy(values).ravel() for values in found]


keras.utils.set_random_seed(seed)
prelu = small_network("prelu")
ev.training.compile_classifier(prelu, keras.optimizers.Adam(0.005))
ev.training.track_training(prelu, (few_digits, few_labels), [0, 500], seed=seed)
slopes = channels_of(prelu, "alpha")
for number, values in enumerate(slopes, start=1):
    print(
        f"layer {number}: mean slope {values.mean():.2f}, from {values.min():.2f} to {values.max():.2f}"
    )

# %% tags=["proves:network-learns-the-leak"]
# The slopes moved, apart from each other, and the first layer's stayed the largest on average.
means = [values.mean() for values in slopes]
assert sum(len(values) for values in slopes) == 16 + 24 + 32 + 64
assert all(values.std() > 0.01 for values in slopes)
assert means[0] > max(means[1:]) + 0.01
assert max(means[1:]) < PRELU_START - 0.03

# %% [markdown]
# ### What shape does SReLU learn?
#
# **In most channels of this network, a leaky ReLU that rises less steeply for large inputs.** Jin et al. give every channel four numbers: two thresholds and the slopes beyond them. Where to begin is a problem, because the right threshold $t_r$ should lie among the large inputs, and nobody knows these before training. Their answer: train as a leaky ReLU first, with the four numbers frozen, and then set $t_r$ from the inputs that have arrived. `SReLU` starts as that leaky ReLU, and its `adapt` sets $t_r$. An optimizer never leaves $t_r$ below $t_l$, since a constraint puts it back.

# %% tags=["nbval-ignore-output"]
# First frozen, then adapted to what 500 digits send in, so that a tenth of it lies beyond t_r, then all learned.
keras.utils.set_random_seed(seed)
srelu = small_network("srelu")
shapes = [srelu.get_layer(name) for name in names]
for layer in shapes:
    layer.trainable = False
ev.training.compile_classifier(srelu, keras.optimizers.Adam(0.01))
ev.training.track_training(srelu, (few_digits, few_labels), [0, 100], seed=seed)
inputs_of = keras.Model(srelu.inputs[0], [layer.input for layer in shapes])
for layer, values in zip(shapes, inputs_of(few_digits[:500]), strict=True):
    layer.adapt(ops.convert_to_numpy(values), 0.9)
    layer.trainable = True
ev.training.compile_classifier(srelu, keras.optimizers.Adam(0.01))
ev.training.track_training(srelu, (few_digits, few_labels), [0, 400], seed=seed)
learned = {
    weight: channels_of(srelu, weight) for weight in ("t_left", "a_left", "t_right", "a_right")
}
for weight, values in learned.items():
    print(f"{weight:8} mean of each layer: {'  '.join(f'{one.mean():5.2f}' for one in values)}")

# %%
# The thresholds are in order in every channel, and most channels flatten on the right.
t_left, a_left, t_right, a_right = (np.concatenate(values) for values in learned.values())
assert (t_left <= t_right).all()
assert (a_right < 1).mean() > 0.6
assert a_right.std() > 0.03

# The layer gives the curve that its four numbers describe, here for the second layer's channels.
ramp = np.linspace(-2, 4, 121)
low, flat, high, steep = (learned[weight][1] for weight in learned)
column = np.repeat(ramp[:, np.newaxis], len(low), axis=1).astype("float32")
expected = np.where(column <= low, low + flat * (column - low), column)
expected = np.where(column >= high, high + steep * (column - high), expected)
result = ops.convert_to_numpy(shapes[1](column[np.newaxis, np.newaxis]))[0, 0]
assert np.allclose(result, expected, atol=1e-5)

# %% tags=["nbval-ignore-output"]
# What the channels of both networks do with the inputs that reach them: nearly all lie in the range that is drawn.
def curves_of(network, slope):
    """Inputs, the curve of each channel and the curve at the start, a panel a layer."""
    activations = [network.get_layer(name) for name in names]
    sent = keras.Model(network.inputs[0], [layer.input for layer in activations])
    panels = {}
    for layer, values in zip(activations, sent(few_digits[:500]), strict=True):
        x = np.linspace(*np.quantile(ops.convert_to_numpy(values), [0.005, 0.995]), 121)
        shape = [1] * (len(values.shape) - 2) + [len(x), values.shape[-1]]
        inputs = np.repeat(x[:, np.newaxis], shape[-1], axis=1).reshape(shape)
        curves = ops.convert_to_numpy(layer(inputs.astype("float32"))).reshape(len(x), -1)
        panels[f"layer {len(panels) + 1}"] = x, curves.T, np.maximum(x, slope * x)
    return panels


_, grid = plt.subplots(2, 4, figsize=(9.2, 4.2))
learned_curves = {"PReLU": curves_of(prelu, PRELU_START), "SReLU": curves_of(srelu, LEAK)}
for line, (label, panels) in zip(grid, learned_curves.items(), strict=True):
    line[0].set_ylabel(label)
    for axes, (title, (x, curves, start)) in zip(line, panels.items(), strict=True):
        axes.plot(x, curves.T, "C0", lw=0.8, alpha=0.45)
        axes.plot(x, start, "C1--")
        axes.set(title=title, xlim=(x[0], x[-1]), ylim=(0.6 * x[0], 1.1 * x[-1]))
        axes.grid()
plt.show()

# %% [markdown]
# **Figure 9.** One line a channel, over the range of inputs that the layer gets; dashed is the curve that all of them began with. Above: PReLU only chooses how steep the line is below zero. Below: SReLU's channels bend on the right as well, each at its own place and by its own amount.
#
# ### Does SELU normalize itself?
#
# **Yes, with the kernels it was made for, and not with others.** Klambauer et al. chose SELU's two constants so that inputs of mean 0 and variance 1 have outputs of mean 0 and variance 1, if each sum is normally distributed. That takes LeCun's kernels, whose variance is 1 over the number of inputs. And the fixed point attracts: a variance that is off comes back.

# %%
# The promise for one layer, by numerical integration over a normal distribution. The constants are the paper's.
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def after_selu(mean, variance):
    """Mean and variance of SELU of a normally distributed number."""
    z = np.linspace(-12, 12, 200_001)
    weights = np.exp(-0.5 * z**2)
    weights /= weights.sum()
    x = mean + np.sqrt(variance) * z
    values = SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))
    first = weights @ values
    return first, weights @ values**2 - first**2


assert np.allclose(after_selu(0, 1), (0, 1), atol=1e-6)
for start in (0.25, 4):
    mean, variance = 0, start
    for _ in range(50):
        # LeCun's kernels have mean 0: the next sums have mean 0 and the second moment as variance.
        first, spread = after_selu(0, variance)
        mean, variance = first, spread + first**2
    print(f"variance {start} before the first of 50 layers, {variance:.2f} after the last")
    assert abs(variance - 1) < 0.15

# %% tags=["nbval-ignore-output"]
# Now real layers: 200 digits, brought to mean 0 and variance 1, through 50 dense layers of 256 units.
whitened = (few_digits[:200] - few_digits[:200].mean()) / few_digits[:200].std()
lecun, he = keras.initializers.LecunNormal(), keras.initializers.HeNormal()
candidates = {
    "SELU, LeCun's kernels": ("selu", lecun),
    "SELU, He's kernels": ("selu", he),
    "ReLU, He's kernels": ("relu", he),
    "ELU, LeCun's kernels": ("elu", lecun),
    "tanh, LeCun's kernels": ("tanh", lecun),
    "GELU, LeCun's kernels": ("gelu", lecun),
}
moments = {}
for label, (name, initializer) in candidates.items():
    deep = ev.training.deep_network(name)
    ev.training.draw_kernels(deep, initializer, seed)
    hidden = [layer.output for layer in deep.layers if layer.name.startswith("hidden")]
    values = keras.Model(deep.inputs[0], hidden)(whitened)
    values = np.stack([ops.convert_to_numpy(one) for one in values]).astype("float64")
    moments[label] = values.mean(axis=(1, 2)), values.var(axis=(1, 2))
    means, variances = moments[label]
    print(f"{label:24} after 50 layers: mean {means[-1]:6.2f}, variance {variances[-1]:.2g}")

# %%
# SELU stays near variance one for 50 layers. With kernels of twice the variance it explodes; the others drift.
means, variances = moments["SELU, LeCun's kernels"]
assert np.abs(means).max() < 0.25
assert 0.5 < variances.min() < variances.max() < 1.6
assert moments["SELU, He's kernels"][1][-1] > 20
assert moments["ReLU, He's kernels"][0].min() > 0.02
assert 0.01 < moments["ReLU, He's kernels"][1][-1] < 100
assert moments["ELU, LeCun's kernels"][1][-1] < 0.05
assert moments["tanh, LeCun's kernels"][1][-1] < 0.05
assert moments["GELU, LeCun's kernels"][1][-1] < 1e-6

# %%
# Layer by layer; variances beyond the picture are drawn at its edge.
figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3))
for label, (means, variances) in moments.items():
    left.plot(range(1, 51), means, label=label)
    right.semilogy(range(1, 51), np.clip(variances, 1e-6, 1e3))
left.set(title="mean of the activations", ylim=(-1, 1.5))
right.set(title="variance of the activations", ylim=(1e-6, 1e3))
for axes, promise in ((left, 0), (right, 1)):
    axes.axhline(promise, color="black", lw=0.8, ls=":")
    axes.set_xlabel("layer")
    axes.grid()
ev.plots.add_legend(figure)
plt.show()

# %% [markdown]
# **Figure 10.** Mean and variance of what each of 50 layers gives; dotted is what SELU promises. SELU with LeCun's kernels keeps it. With He's kernels, which are right for ReLU, it explodes: an activation function and its initial kernels belong together. ReLU stays within a few powers of ten of it, but its mean is above zero, since nothing below zero gets out. ELU and tanh fade slowly, GELU to nothing: where no *batch normalization* (a layer that gives each channel mean 0 and variance 1 over a batch) brings the signal back to its size, each of them needs kernels of its own.
#
# **Take away.** The family has few ideas: pass something below zero (leaky, PReLU), level off there (ELU, SELU), learn the shape (PReLU, SReLU), round the corner (SiLU, GELU). Each comes with initial kernels that suit it. Which of them helps is a question for measurement.

# %% [markdown]
# ## Which one to use?
#
# **ReLU, to begin with: in our measurement nothing beats it by more than luck, and only curves of its kind keep up with it.** GELU may be slightly better and is a good second choice. The course says the same: no clear proof which one is better, a marginal benefit at most, so stick to ReLU. Here are the numbers behind it, for one small network.
#
# ### What is compared, and how?
#
# **One small network, twelve activation functions, the same 600 steps for all, five seeds each, and for each function the learning rate that suits it.** The network has three 3x3 convolutions, a dense layer and no normalization, so that nothing makes up for what the activation function does. Initial kernels are those that each function's theory asks for: LeCun's for SELU, Glorot's for linear, sigmoid and tanh, He's for the others. A batch has 128 of 55,000 training digits; 600 steps are about 1.4 epochs. Adam's rate is chosen among four, by the loss on 5,000 digits that are not trained on, with a seed of its own; it warms up for 30 steps and then falls to zero. The 10,000 test digits are scored once, after the last step.
#
# The records come from a file that `scripts/activation_study.py` wrote. Setting the parameter `run_study` makes this notebook run it again, which takes about half an hour.

# %%
# Read the records, or make them anew. In Colab the script is not there: clone the repository for that.
if run_study:
    import subprocess

    script = ev.results_folder().parent / "scripts" / "activation_study.py"
    subprocess.run([sys.executable, str(script), "--again"], check=True)
study = ev.read_results("activations/study.json")
marks = study["settings"]["marks"]
runs = {}
for record in study["runs"]:
    runs.setdefault((record["optimizer"], record["activation"]), []).append(record)
contenders = [name for optimizer, name in runs if optimizer == "adam"]
print(f"{len(study['choices'])} runs to choose rates, {len(study['runs'])} runs compared")

# %%
# Nothing is missing: every function has its seeds, and each pair of runs with one seed saw the same batches.
assert len(contenders) == 12
assert all([run["seed"] for run in group] == [0, 1, 2, 3, 4] for group in runs.values())
assert all(len(run["validation_accuracy"]) == len(marks) for run in study["runs"])

# %%
# The choice of the rate: validation loss after 600 steps. A good rate lies inside what was tried, not at its edge.
tried = study["settings"]["rates"]["adam"]
print(f"{'':26}" + "".join(f"{f'rate {rate:g}':>13}" for rate in tried))
for name in contenders:
    ends = {
        choice["rate"]: choice["validation_loss"][-1]
        for choice in study["choices"]
        if (choice["optimizer"], choice["activation"]) == ("adam", name)
    }
    chosen = min(ends, key=ends.get)
    print(f"{FAMILY[name].title:26}" + "".join(f"{ends[rate]:13.3f}" for rate in tried))
    assert {run["rate"] for run in runs["adam", name]} == {chosen}
    assert tried[0] < chosen < tried[-1]
    least = {"relu": 1.6, "sigmoid": 2.5}.get(name, 1.0)
    assert ends[tried[0]] > least * ends[chosen]

# %% [markdown]
# Without this choice the comparison would be about the rate. At 0.001 ReLU's loss is twice that at its best rate, sigmoid's nearly four times, and linear's hardly greater.
#
# ### How well do they do?
#
# **Seven functions lie within 0.2 percentage points of each other, and ReLU is one of them.** ELU is a tenth of a point below ReLU, SELU half a point, tanh 1.7 points. Without any activation function the network stays at 92 %. Sigmoid names 96 to 97 % right with four seeds, and hardly more than guessing with the fifth, although its rate was chosen as carefully as the others'.

# %%
# Test accuracy over five seeds, and after how many steps the validation accuracy first was 95 % and 97 %.


def steps_of(group, target):
    """The steps that each run of a group needed to reach an accuracy; runs that never did are left out."""
    found = [steps_to_accuracy(marks, run["validation_accuracy"], target) for run in group]
    return np.array([steps for steps in found if steps is not None])


accuracy = {
    name: 100 * np.array([run["test_accuracy"] for run in runs["adam", name]])
    for name in contenders
}
ranking = sorted(contenders, key=lambda name: -accuracy[name].mean())
print(f"{'':26}mean    deviation  worst     steps to 95 %   97 %")
for name in ranking:
    scores = accuracy[name]
    speeds = [steps_of(runs["adam", name], target) for target in (0.95, 0.97)]
    reached = [f"{one.mean():7.0f}" if len(one) == 5 else f"{len(one)} of 5" for one in speeds]
    print(
        f"{FAMILY[name].title:26}{scores.mean():.2f} %  {scores.std(ddof=1):.2f}     {scores.min():.2f} %"
        f"{reached[0]:>13}{reached[1]:>10}"
    )

# %% tags=["proves:benefit-is-marginal", "refines:linear-performs-poorly"]
# What the text says about these numbers. One test digit is 0.01 points.
group_of_relu = ("gelu", "hard_silu", "srelu", "silu", "prelu", "relu", "leaky_relu")
assert set(ranking[:7]) == set(group_of_relu)
assert accuracy[ranking[0]].mean() - accuracy[ranking[6]].mean() < 0.2
assert all((accuracy[name] > accuracy["selu"].max()).all() for name in group_of_relu)
assert accuracy["selu"].min() > accuracy["tanh"].max() > accuracy["linear"].max() + 4
assert accuracy["linear"].max() < 93

# Sigmoid: four seeds between linear and ReLU, one that never left the plateau at the start.
lucky = np.sort(accuracy["sigmoid"])[1:]
assert accuracy["linear"].max() < lucky.min() < lucky.max() < accuracy["relu"].min()
assert accuracy["sigmoid"].min() < 20

# %%
# Each seed a point, each mean a stroke; the band is ReLU's own spread.
results = {
    "test error in %": {name: 100 - accuracy[name] for name in ranking},
    "steps to 97 % on validation digits": {
        name: steps_of(runs["adam", name], 0.97) for name in ranking
    },
}
_, row = plt.subplots(1, 2, figsize=(9.2, 3.6), width_ratios=[1.5, 1], sharey=True)
for axes, (title, found) in zip(row, results.items(), strict=True):
    middle, spread = found["relu"].mean(), found["relu"].std(ddof=1)
    axes.axvspan(middle - spread, middle + spread, color="C1", alpha=0.18, lw=0)
    for place, values in enumerate(found.values()):
        color = "C1" if ranking[place] == "relu" else "C0"
        axes.plot(values, [place] * len(values), "o", color=color, ms=5, alpha=0.55)
        if len(values):
            axes.plot(values.mean(), place, "|", color=color, ms=14, mew=2)
        else:
            place_of_words = axes.get_yaxis_transform()  # the width of the panel counts as one
            axes.text(0.98, place, "never", transform=place_of_words, ha="right", va="center")
    ev.plots.scale_axes(axes, "x")
    axes.set_title(title)
row[0].set_yticks(range(len(ranking)), [FAMILY[name].title for name in ranking])
row[0].invert_yaxis()
row[0].set_xticks([1, 2, 5, 10, 20, 50, 100])
plt.show()

# %% [markdown]
# **Figure 11.** Left: the test error, on a logarithmic axis. At the top the points of one function overlap with those of the next; from SELU down they no longer do. The lone point far to the right in sigmoid's row is a seed that learned next to nothing in 600 steps; it alone draws the mean away from the other four. Right: the first time that the validation accuracy was 97 %. Tanh gets there with two seeds of five.
#
# ### Which differences are more than luck?
#
# **SELU, tanh and linear are worse than ReLU. Sigmoid is too, with every seed. The other seven cannot be told apart from ReLU by five seeds.** Runs with the same seed saw the same batches in the same order, so the fair question is by how much a function beats ReLU *with the same seed*. Five such differences have a mean and a standard error. Eleven functions are compared with ReLU; to be fooled by none of them in nineteen of twenty such studies, a mean has to lie 5.75 standard errors from zero (Student's t with four degrees of freedom, 0.05 divided by eleven).

# %%
# Differences in test accuracy, in percentage points, seed by seed.
verdicts = {}
print("test accuracy minus ReLU's, same seed     mean   standard error   seeds won")
for name in ranking:
    if name == "relu":
        continue
    differences = accuracy[name] - accuracy["relu"]
    won = int((differences > 0).sum())
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    distance = differences.mean() / error
    beyond = abs(distance) > 5.75
    verdicts[name] = np.sign(distance) if beyond else 0
    meaning = {1: "better", -1: "worse", 0: "not to be told apart"}[int(verdicts[name])]
    print(
        f"{FAMILY[name].title:38}{differences.mean():8.2f}{error:17.2f}{won:8} of 5   {meaning}"
    )

# %% tags=["proves:no-proof-which-is-better", "proves:benefit-is-marginal"]
# No verdict says "better". Sigmoid's has to be read off the seeds: one wild value blinds Student's t.
assert not any(verdict > 0 for verdict in verdicts.values())
worse = {name for name, verdict in verdicts.items() if verdict < 0}
assert worse == {"selu", "tanh", "linear"}
assert accuracy["sigmoid"].max() < accuracy["relu"].min()

# The best one, GELU, is ahead of ReLU by about a dozen of 10,000 digits.
assert ranking[0] == "gelu"
assert 0 < (accuracy["gelu"] - accuracy["relu"]).mean() < 0.3

# %% [markdown]
# GELU won with all five seeds. A coin does that, for or against, one time in sixteen, and we tossed eleven coins: enough to be curious, not enough to be sure. And a difference of 0.12 points would be twelve digits of 10,000.
#
# ### Who learns fastest?
#
# **GELU, SiLU and their kind reach 97 % a little before ReLU does; ELU and SELU need longer, tanh much longer.** On the way the differences are greater than at the end.

# %%
# The error on the way, median of five seeds; the lighter areas reach from the best to the worst seed.
shown = {"linear": "C0", "sigmoid": "C1", "tanh": "C3", "relu": "C2", "gelu": "C4"}
_, axes = plt.subplots(figsize=(9, 3.6))
for name in sorted(contenders, key=lambda one: one in shown):  # those in color last, on top
    wrong = 100 * (1 - np.array([run["validation_accuracy"][1:] for run in runs["adam", name]]))
    color = shown.get(name, "#b8c0cc")
    label = FAMILY[name].title if name in shown else None
    axes.plot(marks[1:], np.median(wrong, axis=0), color=color, lw=2 if label else 1, label=label)
    if label:
        low, high = wrong.min(axis=0), wrong.max(axis=0)
        axes.fill_between(marks[1:], low, high, color=color, alpha=0.15, lw=0)
axes.axhline(3, color="black", lw=0.8, ls="--")
axes.plot([], [], color="#b8c0cc", label="the others")
axes.set(xlabel="step", ylabel="validation error in %")
ev.plots.scale_axes(axes, "xy")
axes.set_yticks([1, 2, 5, 10, 20, 50, 90])
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% tags=["refines:relu-converges-faster"]
# Steps to 97 %, each function against ReLU with the same seed.
speed = {name: steps_of(runs["adam", name], 0.97) for name in contenders}
for name in ("gelu", "silu", "hard_silu", "srelu", "prelu", "leaky_relu", "elu", "selu"):
    shares = speed[name] / speed["relu"]
    print(
        f"{FAMILY[name].title:26}{shares.mean():.2f} times ReLU's steps, "
        f"{shares.min():.2f} to {shares.max():.2f}"
    )
assert (speed["gelu"] < speed["relu"]).all()
assert (speed["silu"] < speed["relu"]).all()
assert (speed["elu"] > speed["relu"]).all()
assert (speed["selu"] > speed["elu"].mean()).all()
assert len(speed["tanh"]) < 5

# %% [markdown]
# **Figure 12.** Validation error over the steps, both axes logarithmic; dashed is 97 % accuracy. Sigmoid stays on a plateau near guessing before it begins to learn, and the upper edge of its area is the seed that never does. Tanh begins as fast as ReLU and then falls behind. The gray lines are the other seven: close to ReLU and GELU, apart from SELU and ELU, which are a little later.
#
# ### Is ReLU six times faster than tanh?
#
# **It was, in one experiment, which is not this one.** The course says that ReLU had been proved to converge six times faster than tanh. The number comes from figure 1 of Krizhevsky, Sutskever and Hinton (2012): a convolutional network of four layers reaches 25 % *training* error on CIFAR-10 in a sixth of the epochs with ReLU. They used stochastic gradient descent without regularization, chose each network's rate to make it as fast as possible, and write in the caption that the size of the effect varies with the architecture. It is a measurement, not a proof. Here is ours: the same question for digits, with Adam, and with stochastic gradient descent and momentum as they used it.

# %%
# How many times as many steps tanh needs, for several goals, with both optimizers: ratios seed by seed.
factors = {}
print("goal (validation)      Adam            momentum")
for goal in (0.9, 0.95, 0.96, 0.97):
    row = []
    for optimizer in ("adam", "momentum"):
        pairs = [
            [steps_to_accuracy(marks, run["validation_accuracy"], goal) for run in both]
            for both in zip(runs[optimizer, "relu"], runs[optimizer, "tanh"], strict=True)
        ]
        ratios = np.array([slow / fast for fast, slow in pairs if fast and slow])
        factors[optimizer, goal] = ratios
        row.append(
            f"{ratios.mean():.1f} (from {ratios.min():.1f} to {ratios.max():.1f})"
            if len(ratios) == 5
            else f"tanh in {len(ratios)} of 5 only"
        )
    print(f"{100 * goal:.0f} %           {row[0]:>22}  {row[1]:>22}")

# %% tags=["corrects:relu-six-times-faster", "refines:relu-converges-faster"]
# The factor depends on the goal and on the optimizer, far more than on the seed. At first there is none at all.
assert factors["adam", 0.9].mean() < 1.6
assert factors["momentum", 0.9].mean() < 1.2
assert 2.5 < factors["adam", 0.95].min() < factors["adam", 0.95].max() < 6
assert factors["momentum", 0.95].mean() < 2
assert 1.2 < factors["momentum", 0.97].min() < factors["momentum", 0.97].max() < 2.6
assert len(factors["adam", 0.97]) < 5

# %% [markdown]
# So the direction of the claim holds here, and its size does not. To 90 % both are about equally fast. To 95 % tanh needs about four times as many steps with Adam, and less than twice as many with momentum. With Adam it mostly does not reach 97 % within this budget. "ReLU learns faster, by up to several times" is a fair summary of such measurements. "Six times" belongs to one network, one data set and one goal.
#
# ### What do they cost?
#
# **Little in this network, except for SReLU.** It has four gradients of its own to add up over all pixels. The last column is what a reader cares about, the time to 97 %: the time of a step multiplied by the number of steps, both relative to ReLU. The course adds that NVIDIA accelerates ReLU; that we did not measure, for these times are a processor's.

# %% tags=["refines:relu-saves-time", "refines:others-cost-more"]
# Milliseconds belong to one machine; the ratio to ReLU, measured in turns within one process, travels better.
times = ev.read_results("activations/times.json")["times"]
print(f"{'ReLU = 1':26}time of a step   middle half of rounds   time to 97 %")
for name in sorted(times, key=lambda one: times[one]["to_relu"]):
    low, high = times[name]["to_relu_quartiles"]
    step = times[name]["to_relu"]
    whole = len(speed[name]) == 5
    to_goal = f"{step * (speed[name] / speed['relu']).mean():.2f}" if whole else "-"
    print(f"{FAMILY[name].title:26}{step:14.2f}{f'{low:.2f} to {high:.2f}':>24}{to_goal:>15}")
assert set(times) == set(contenders)
assert times["relu"]["to_relu"] == 1
assert max(times, key=lambda one: times[one]["to_relu"]) == "srelu"
assert all(times[name]["to_relu"] < 2 for name in times if name != "srelu")

# %% [markdown]
# **Take away.** Any curve of ReLU's kind will do; which of them it is makes a tenth of a percent here, and a learning rate chosen badly makes more. Begin with ReLU and He's kernels. Try GELU or SiLU when the last tenth counts, and then with several seeds, for one seed proves nothing: it can even make sigmoid look harmless. Keep sigmoid and tanh out of the hidden layers of such networks. All this was measured on one small network, without normalization and for one or two epochs of MNIST; on another one, measure again.
#
# **Read on.** [Notebook 05](05_s3_assignment.ipynb) puts kernels, receptive fields and ReLU together in one small network. [Every claim of the course](../docs/claims.md) stands beside the cell that checks it.
