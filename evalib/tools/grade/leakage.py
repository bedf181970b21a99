"""What makes a score say less than it seems, read from a submission's source and its logs.

Each finding is a reason to look, not a verdict: the source is read, not run, and there are good
reasons for most of it. Only the training of the model that was scored is looked at.
"""

import ast
import math
import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from evalib.tools.grade.dataflow import Call, Flow, Place
from evalib.tools.grade.outputs import Score, history_key
from evalib.tools.grade.read import Submission, printable
from evalib.tools.grade.source import call_name, called_names, calls_in, dotted, dotted_names

TRAINING_IMAGES = 60_000
# After its first epoch no fresh network has these accuracies, in training and on test images.
SURELY_TRAINED, SURELY_TRAINED_BY_TEST = 0.99, 0.9915
_TOLERANCE = 0.0006  # between two scores of the same weights: a log is rounded

_WATCHERS = {
    "ModelCheckpoint": "keeps the weights that do best",
    "EarlyStopping": "ends the training when it goes best",
    "ReduceLROnPlateau": "sets the learning rate by how it goes",
}
_EXTREMES = {"max", "amax", "nanmax", "argmax", "min", "amin", "nanmin", "argmin", "sorted"}
_VALIDATION_KEY = r"val_\w{0,40}(?:acc|loss|error|mse|mae)\w{0,10}"
_TEST_NAME = re.compile(r"(?:test|val)\w{0,20}acc\w{0,20}", re.IGNORECASE)
_DRAWING = {"plt", "ax", "axes", "axs", "fig", "pyplot", "sns", "pylab"}
_RESTORES = ("load_weights", "load_model", "set_weights")
_FIRST_EPOCH = re.compile(r"Epoch 1/\d{1,5}(.*?)(?=Epoch \d|\Z)", re.DOTALL)
_IN_TRAINING = re.compile(r"(?<!val_)\b(?:acc|accuracy): (\d\.\d{1,20})")
_IN_VALIDATION = re.compile(r"val_(?:acc|accuracy): (\d\.\d{1,20})")
_DEEPEST = 8  # levels of arithmetic: the work doubles with each
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
}  # fmt: skip
_ROUNDING: dict[str, Callable[[float], int]] = {
    "int": math.floor, "floor": math.floor, "ceil": math.ceil, "round": round
}  # fmt: skip


class Finding(NamedTuple):
    """What a reader of the submission should look at."""

    rule: str  # "choice", "best epoch", "one training", "passes" or "test images"
    cells: tuple[int, ...]
    what: str


def find_leakage(submission: Submission, flow: Flow, score: Score) -> list[Finding]:
    """Find all that makes a score say less than it seems."""
    fits = flow.fits
    if score.model is not None and score.place is not None:
        own = flow.model_at(score.model, score.place)
        fits = [f for f in fits if f.functions or flow.model_at(f.receiver, f) == own] or fits
    return [
        *_choices_on_test_images(flow, fits),
        *_best_epochs(flow, fits, score),
        *_repeated_fits(flow, fits),
        *_trained_before(submission, flow, fits),
        *_another_training(submission, flow, fits, score),
        *_passes(flow, fits),
        *_images_in_the_wrong_place(flow, fits, score),
    ]


def _finding(rule: str, what: str, *places: Place) -> Finding:
    return Finding(rule, tuple(sorted({place.cell for place in places})), what)


def _choices_on_test_images(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    checked = [(fit, fit.argument("validation_data")) for fit in fits if fit.argument("callbacks")]
    watched = [fit for fit, images in checked if images and "test" in flow.labels_of([images], fit)]
    passed, hidden = _callbacks(flow, watched)
    elsewhere, _ = _callbacks(flow, [fit for fit in flow.fits if fit not in watched])
    restored = [c for c in flow.named(*_RESTORES) if watched and c.order > watched[0].order][:1]
    for call in flow.named(*_WATCHERS) if watched else ():
        is_passed = id(call.call) in passed or (hidden and id(call.call) not in elsewhere)
        first = call.call.args[call.name == "ModelCheckpoint" :][:1]
        monitor = next(filter(None, [call.argument("monitor"), *first]), None)
        of_test = not isinstance(monitor, ast.Constant) or str(monitor.value).startswith("val")
        if is_passed and of_test and (call.name != "ModelCheckpoint" or restored):
            what = f"{call.name} {_WATCHERS[call.name]} on validation_data, which are test images"
            what += "".join(f"; cell {later.cell} takes weights back" for later in restored)
            yield _finding("choice", what, call, watched[0], *restored)
    for place in flow.classes if watched else ():
        if _chooses(place):
            what = "a callback of its own stops or saves by how the test images are recognized"
            yield _finding("choice", what, place, watched[0])
    trained = {(f.receiver, id(loop)) for f in fits if not _is_fresh(flow, f) for loop in f.loops}
    for call in flow.named("evaluate", "evaluate_generator"):
        again = any((call.receiver, id(loop)) in trained for loop in call.loops)
        if again and "test" in flow.images(call):
            what = "the test images are scored again and again while the model is trained"
            yield _finding("choice", what, call)


def _callbacks(flow: Flow, fits: Sequence[Call]) -> tuple[set[int], bool]:
    """The ids of all calls that the callbacks of some fits come from; whether some are hidden."""
    values = [(value, fit) for fit in fits if (value := fit.argument("callbacks"))]
    found = [origin for value, fit in values for origin, _ in flow.origins(value, fit)]
    names = {name for origin in found for name in dotted_names(origin)}
    found += [c.call for c in flow.named("append", "extend", "insert") if c.receiver in names]
    # What a function gives, or gets, is not followed.
    hidden = any(called_names(origin) & flow.functions for origin in found)
    hidden |= any(value is None for name in names for _, value in flow.bindings.get(name, ()))
    return {id(call) for origin in found for call in calls_in(origin)}, hidden


def _chooses(place: Place) -> bool:
    """Whether a callback's class looks at the validation after an epoch, and acts on it."""
    nodes = list(ast.walk(place.node))
    ends = any(isinstance(n, ast.FunctionDef) and n.name == "on_epoch_end" for n in nodes)
    looks = any(isinstance(n, ast.Constant) and str(n.value).startswith("val_") for n in nodes)
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    acts = names & {"stop_training", "save", "save_weights", "get_weights"}
    return bool(ends and acts and (looks or "evaluate" in names))


def _best_epochs(flow: Flow, fits: Sequence[Call], score: Score) -> Iterator[Finding]:
    if score.source.startswith("the best") and score.cell is not None:
        yield Finding("best epoch", (score.cell,), "the score is called the best of several")
    others = {id(fit.call) for fit in flow.fits} - {id(fit.call) for fit in fits}
    drawing = [c for c in flow.calls if c.receiver.split(".")[0].split("[")[0] in _DRAWING]
    drawn = {id(inner) for call in drawing for inner in calls_in(call.call)}
    for call in flow.named(*_EXTREMES):
        values = call.call.args[:1]
        if isinstance(call.call.func, ast.Attribute):
            values = [call.call.func.value, *values]
        origins = [origin for value in values for origin, _ in flow.origins(value, call)]
        of_other = any(id(inner) in others for origin in origins for inner in calls_in(origin))
        keys = [history_key(origin, _VALIDATION_KEY) for origin in origins]
        keys += [v.id for v in values if isinstance(v, ast.Name) and _TEST_NAME.fullmatch(v.id)]
        key = next(filter(None, keys), None)
        if key is not None and id(call.call) not in drawn and not of_other:
            what = f"{call.name}() picks the best epoch's {printable(key, 40)}"
            yield _finding("best epoch", what, call)


def _repeated_fits(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    by_model: dict[tuple[str, int], list[Call]] = {}
    for fit in fits:
        bound = flow.last_binding(fit.receiver, fit)
        if fit.receiver:
            by_model.setdefault((fit.receiver, bound[0].order if bound else 0), []).append(fit)
        if not _is_fresh(flow, fit):
            what = f"`{fit.receiver}` is fitted in a loop: it has more epochs than each fit says"
            yield _finding("passes", what, fit)
    for (name, order), same in by_model.items():
        if any(not _is_set_back(flow, fit, before.order) for before, fit in pairwise(same)):
            what = f"`{name}` is fitted {len(same)} times: each fit goes on where the last ended"
            yield _finding("one training", what, *same)
        for call in flow.named("load_weights"):
            loads = call.receiver == name and order < call.order < same[-1].order
            if loads and not _is_start(flow, call):
                what = f"`{name}` begins its training with weights from a file"
                yield _finding("one training", what, call, same[-1])
        bound = flow.last_binding(name, same[0])
        if bound and isinstance(bound[1], ast.Call) and call_name(bound[1]) == "load_model":
            what = f"`{name}` begins its training as a model from a file"
            yield _finding("one training", what, bound[0], same[0])


def _is_fresh(flow: Flow, fit: Call) -> bool:
    """Whether a model is made anew, or set back, in each round of the loops around its training."""
    if not fit.receiver or not fit.loops:
        return True
    made = any(fit.loops[-1] in place.around for place, _ in flow.bindings.get(fit.receiver, ()))
    return made or _is_set_back(flow, fit, 0, fit.loops[-1])


def _is_set_back(flow: Flow, fit: Call, since: int, loop: ast.AST | None = None) -> bool:
    """Whether a model gets its first weights back between a place, or a loop's start, and a fit."""
    ends = (since, fit.order - 1)
    start, end = (bisect_right(flow.calls, place, key=lambda call: call.order) for place in ends)
    for call in flow.calls[start:end]:
        if loop is None or loop in call.around:
            values = (call.receiver, *map(dotted, call.call.args[:3]))
            resets = re.match("re_?set|re_?init", call.name) and fit.receiver in values
            if resets or (call.receiver == fit.receiver and _is_start(flow, call)):
                return True
    return False


def _is_start(flow: Flow, call: Call) -> bool:
    """Whether a call sets weights that were taken from the model before it was trained at all."""
    takes = {"set_weights": "get_weights", "load_weights": "save_weights"}.get(call.name)
    first = next((fit.order for fit in flow.fits if takes and fit.receiver == call.receiver), 0)
    return any(c.receiver == call.receiver and c.order < first for c in flow.named(takes or ""))


def _trained_before(submission: Submission, flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    """What counts and logs say of trainings whose source is no longer there."""
    counts = {cell.count for cell in submission.cells}
    before, unknown = 0, 0  # the last count, and how many cells without one came after it
    for cell in submission.written:
        fit = next((fit for fit in fits if fit.cell == cell.number), None)
        bound = flow.last_binding(fit.receiver, fit) if fit else None
        gone = [count for count in range(before + 1, cell.count or 0) if count not in counts]
        if fit and before and len(gone) > unknown and not (bound and bound[0].cell == fit.cell):
            what = f"execution counts jump from {before} to {cell.count} at a cell that trains: "
            yield _finding("one training", what + "it may have run before", fit)
        before, unknown = (cell.count, 0) if cell.count else (before, unknown + 1)
        high: list[str] = []
        for log in _FIRST_EPOCH.findall(cell.text("stdout"))[:20] if fit else ():
            high += [a for a in _IN_TRAINING.findall(log)[-1:] if float(a) >= SURELY_TRAINED]
            tested = _IN_VALIDATION.findall(log)[-1:]
            high += [a for a in tested if float(a) >= SURELY_TRAINED_BY_TEST]
        if fit and high:
            what = f"the first epoch ends at an accuracy of {high[0]}: trained before?"
            yield _finding("one training", what, fit)


def _another_training(
    submission: Submission, flow: Flow, fits: Sequence[Call], score: Score
) -> Iterator[Finding]:
    """A score on images that the training has shown another accuracy of."""
    evaluated = score.evaluated
    before = [fit for fit in fits if evaluated and fit.order < evaluated.order]
    if evaluated is None or score.value is None or not evaluated.call.args or not before:
        return
    fit = before[-1]
    checked = getattr(fit.argument("validation_data"), "elts", [])[:1]
    same = [ast.dump(images) for images in checked] == [ast.dump(evaluated.call.args[0])]
    if not same or fit.loops or sum(other.cell == fit.cell for other in flow.fits) > 1:
        return
    text = next(cell.text("stdout") for cell in submission.cells if cell.number == fit.cell)
    shown = [float(value) for value in _IN_VALIDATION.findall(text)]
    restored = [c for c in flow.named(*_RESTORES) if fit.order < c.order < evaluated.order]
    restored += [c for c in flow.named("EarlyStopping") if c.argument("restore_best_weights")]
    near = [v for v in (shown if restored else shown[-1:]) if abs(v - score.value) <= _TOLERANCE]
    if shown and not near:
        what = f"the score is {score.value:.6g}, and the training shown ends at {shown[-1]:.6g} on "
        yield _finding("one training", f"{what}the same images: they are of two runs", *before[-1:])


def _passes(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    for fit in fits:
        images, shown = flow.images(fit), _images_an_epoch(flow, fit)
        if "multiplied" in images and "test" not in images:
            what = "the images of fit are put together from several copies or versions"
            yield _finding("passes", what, fit)
        if shown is not None and shown > 1.02 * TRAINING_IMAGES:
            what = f"an epoch of fit shows {shown:,.0f} images, not {TRAINING_IMAGES:,}"
            yield _finding("passes", what, fit)
        elif shown is None and "repeated" in images:
            what = "the dataset of fit repeats itself: an epoch may show each image several times"
            yield _finding("passes", what, fit)


def _images_an_epoch(flow: Flow, fit: Call) -> float | None:
    """The images that an epoch shows, as far as steps and batch size are plain numbers."""
    samples, steps = fit.argument("samples_per_epoch"), fit.argument("steps_per_epoch")
    if samples is not None or steps is None:
        return _number(flow, samples, fit)
    first = [*fit.call.args[:1], *filter(None, [fit.argument("x", "generator")])]
    made = (origin for value in first for origin, _ in flow.origins(value, fit))
    calls = [call for origin in made for call in calls_in(origin)]
    sizes = [o.value for call in (fit.call, *calls) for o in call.keywords if o.arg == "batch_size"]
    sizes += [call.args[0] for call in calls if call_name(call) == "batch" and call.args]
    count, size = _number(flow, steps, fit), _number(flow, sizes[0], fit) if sizes else 32.0
    return count * size if count is not None and size is not None else None


def _number(flow: Flow, value: ast.expr | None, here: Place, depth: int = 0) -> float | None:
    """The value of plain arithmetic; the length of the training images is known."""
    if isinstance(value, ast.Constant) and isinstance(value.value, (int, float)):
        return float(value.value) if abs(value.value) < 1e12 else None
    if depth > _DEEPEST:
        return None
    if isinstance(value, ast.Name):
        bound = flow.last_binding(value.id, here)
        return _number(flow, bound[1], bound[0], depth + 1) if bound else None
    if isinstance(value, ast.BinOp) and type(value.op) in _OPERATORS:
        left = _number(flow, value.left, here, depth + 1)
        right = _number(flow, value.right, here, depth + 1)
        divides = isinstance(value.op, (ast.Div, ast.FloorDiv))
        if left is None or right is None or (divides and not right):
            return None
        return _OPERATORS[type(value.op)](left, right)
    if isinstance(value, ast.Call) and call_name(value) in _ROUNDING and value.args:
        inner = _number(flow, value.args[0], here, depth + 1)
        finite = inner is not None and math.isfinite(inner)
        return float(_ROUNDING[call_name(value)](inner or 0.0)) if finite else None
    shape = value.value if isinstance(value, ast.Subscript) else None  # of `images.shape[0]`
    of_length = isinstance(value, ast.Call) and call_name(value) == "len"
    counted = value.args[:1] if isinstance(value, ast.Call) and of_length else []
    counted += [shape.value] if isinstance(shape, ast.Attribute) and shape.attr == "shape" else []
    is_training = any(flow.labels_of([images], here) == {"train"} for images in counted)
    return float(TRAINING_IMAGES) if is_training else None


def _images_in_the_wrong_place(flow: Flow, fits: Sequence[Call], score: Score) -> Iterator[Finding]:
    for fit in fits:
        if "test" in flow.images(fit):
            what = f"`{fit.receiver or 'the model'}` is trained on test images"
            yield _finding("test images", what, fit)
    for call in flow.calls:  # functions of the notebook's own, as PyTorch needs them
        trains = call.name in flow.functions and call.name.startswith("train")
        if trains and flow.labels_of(call.call.args, call) == {"test"}:
            yield _finding("test images", f"`{call.name}` is called with test images", call)
    evaluated = score.evaluated
    if evaluated is not None:
        images = flow.images(evaluated)
        first = [ast.dump(argument) for argument in evaluated.call.args[:1]]
        own = [fit for fit in fits if first and [*map(ast.dump, fit.call.args[:1])] == first]
        if images == {"train"} or (own and "test" not in images):
            what = "the score is that of images that the model was trained on"
            yield _finding("test images", what, evaluated)
    elif score.typed and score.place is not None:
        yield _finding("test images", "the score is a number in the source", score.place)
