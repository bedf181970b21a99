"""What makes a score less than it seems, read from a submission's source and its logs.

Each finding is a reason to look, not a verdict: the source is read, not run, and there are honest
reasons for most of it.
"""

import ast
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evalib.tools.grade.dataflow import Call, Flow, Place
from evalib.tools.grade.scores import Score
from evalib.tools.grade.source import call_name
from evalib.tools.grade.submissions import Submission, printable

TRAINING_IMAGES = 60_000
SURELY_TRAINED = 0.99  # a fresh network does not have this accuracy over its first epoch

_WATCHERS = {"ModelCheckpoint", "EarlyStopping", "ReduceLROnPlateau"}
_EXTREMES = {"max", "amax", "nanmax", "argmax", "min", "amin", "nanmin", "argmin", "sorted"}
_VALIDATION_KEY = re.compile(r"val_\w{0,40}(?:acc|loss|error|mse|mae)\w{0,10}")
_DEEPEST = 8  # levels of arithmetic: the work doubles with each
_DRAWING = {"plt", "ax", "axes", "axs", "fig", "pyplot", "sns", "pylab"}
_FIRST_EPOCH = re.compile(r"Epoch 1/\d+(.*?)(?=Epoch \d|\Z)", re.DOTALL)
_TRAINING_ACCURACY = re.compile(r"(?<!val_)\b(?:acc|accuracy): (\d\.\d+)")


@dataclass(frozen=True)
class Finding:
    """What a reader of the submission should look at.

    Attributes:
        rule: "choice", "best epoch", "one training", "passes" or "test images".
        cells: The cells where it is, sorted.
        what: What was found.
        repair: What would be honest.
    """

    rule: str
    cells: tuple[int, ...]
    what: str
    repair: str


def find_leakage(submission: Submission, flow: Flow, score: Score) -> list[Finding]:
    """All that makes a score less than it seems.

    Args:
        submission: The notebook.
        flow: Its source, as `Flow` reads it.
        score: The score that it ends in.
    """
    fits = flow.fits()
    return [
        *_choices_on_test_images(flow, fits),
        *_best_epochs(flow),
        *_repeated_fits(flow, fits),
        *_trained_before(submission, flow, fits),
        *_passes(flow, fits),
        *_images_in_the_wrong_place(fits, score),
    ]


def _choices_on_test_images(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    repair = "hold back some of the training images (validation_split=0.1) to choose by"
    checked = [call for call in fits if "test" in call.validation]
    watched = [call for call in checked if call.argument("callbacks") is not None]
    # A callback may come by ways that are not seen: only those of other fits are left out.
    others = _given_callbacks(flow, fits, checked)
    restored = flow.named("load_weights", "load_model", "set_weights")
    later = [call for call in restored if watched and call.order > watched[0].order]
    for call in flow.calls if watched else ():
        if call.name not in _WATCHERS or not _watches_validation(call) or id(call.call) in others:
            continue
        best = call.argument("save_best_only")
        keeps = isinstance(best, ast.Constant) and bool(best.value)
        if call.name == "ModelCheckpoint" and not (keeps or later):
            continue
        does = {
            "ModelCheckpoint": "keeps the weights that do best",
            "EarlyStopping": "ends the training when it goes best",
            "ReduceLROnPlateau": "sets the learning rate by how it goes",
        }[call.name]
        loaded = f"; cell {later[0].cell} takes weights back" if later else ""
        what = f"{call.name} {does} on validation_data, which are the test images{loaded}"
        yield Finding("choice", _cells(call, watched[0], *later[:1]), what, repair)
    for place in flow.classes if watched else ():
        if _chooses(place):
            what = "a callback of its own stops or saves by how the test images are recognized"
            yield Finding("choice", _cells(place, watched[0]), what, repair)
    trained = {
        (fit.receiver, id(loop)) for fit in fits if not _fresh(flow, fit) for loop in fit.loops
    }
    for call in flow.named("evaluate", "evaluate_generator"):
        if "test" in call.images and any(
            (call.receiver, id(loop)) in trained for loop in call.loops
        ):
            what = "the test images are scored again and again while the model is trained"
            yield Finding("choice", _cells(call), what, "score them once, after the last epoch")


def _given_callbacks(flow: Flow, fits: Sequence[Call], without: Sequence[Call]) -> set[int]:
    """The ids of the calls that make the callbacks of some fits, and of no others."""
    excluded = set(map(id, without))
    made: dict[bool, dict[int, ast.expr]] = {True: {}, False: {}}
    for fit in fits:
        given = fit.argument("callbacks")
        for origin, _ in flow.origins(given, fit) if given is not None else ():
            made[id(fit) in excluded][id(origin)] = origin
    own, other = (
        {id(node) for origin in made[which].values() for node in ast.walk(origin)}
        for which in (False, True)
    )
    return own - other


def _watches_validation(call: Call) -> bool:
    place = 1 if call.name == "ModelCheckpoint" else 0
    given = call.argument("monitor")
    if given is None and len(call.call.args) > place:
        given = call.call.args[place]
    return not isinstance(given, ast.Constant) or str(given.value).startswith("val")


def _chooses(place: Place) -> bool:
    """Whether a callback's class looks at the validation after an epoch, and acts on it."""
    nodes = list(ast.walk(place.node))
    ends = any(isinstance(n, ast.FunctionDef) and n.name == "on_epoch_end" for n in nodes)
    looks = any(isinstance(n, ast.Constant) and str(n.value).startswith("val_") for n in nodes)
    looks |= any(isinstance(n, ast.Call) and call_name(n) == "evaluate" for n in nodes)
    acts = {"stop_training", "save", "save_weights", "get_weights"}
    return ends and looks and any(isinstance(n, ast.Attribute) and n.attr in acts for n in nodes)


def _best_epochs(flow: Flow) -> Iterator[Finding]:
    drawn = {
        id(node)
        for call in flow.calls
        if call.receiver.split(".")[0].split("[")[0] in _DRAWING
        for node in ast.walk(call.call)
    }
    for call in flow.named(*_EXTREMES):
        if id(call.call) in drawn:
            continue
        given = call.call.args[:1]
        if isinstance(call.call.func, ast.Attribute):
            given = [call.call.func.value, *given]
        values = [origin for argument in given for origin, _ in flow.origins(argument, call)]
        key = next(filter(None, map(_validation_key, values)), None)
        if key is not None:
            what = f"{call.name}() picks the best epoch's {printable(key, 40)}"
            repair = "report model.evaluate after the last epoch: the best of many is partly luck"
            yield Finding("best epoch", _cells(call), what, repair)


@lru_cache(maxsize=4096)
def _validation_key(expression: ast.expr) -> str | None:
    """The first of a history's keys in an expression that is a number about the validation."""
    for node in ast.walk(expression):
        key = node.slice if isinstance(node, ast.Subscript) else None
        if isinstance(node, ast.Call) and call_name(node) == "get" and node.args:
            key = node.args[0]
        text = key.value if isinstance(key, ast.Constant) else None
        if isinstance(text, str) and _VALIDATION_KEY.fullmatch(text):
            return text
    return None


def _repeated_fits(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    repair = "build the model again before each fit, and let one fit have all epochs"
    by_model: dict[tuple[str, int], list[Call]] = {}
    for fit in fits:
        bound = flow.last_binding(fit.receiver, fit)
        if fit.receiver:
            by_model.setdefault((fit.receiver, bound[0].order if bound else 0), []).append(fit)
        if fit.loops and fit.receiver and not _fresh(flow, fit):
            what = f"`{fit.receiver}` is fitted in a loop: it has more epochs than each fit says"
            yield Finding("passes", _cells(fit), what, repair)
    for (name, order), same in by_model.items():
        if len(same) > 1:
            what = f"`{name}` is fitted {len(same)} times: each fit goes on where the last ended"
            yield Finding("one training", _cells(*same), what, repair)
        for call in flow.named("load_weights"):
            if call.receiver == name and order < call.order < same[-1].order:
                what = f"`{name}` begins its training with weights from a file"
                yield Finding("one training", _cells(call, same[-1]), what, repair)
        bound = flow.last_binding(name, same[0])
        if bound and isinstance(bound[1], ast.Call) and call_name(bound[1]) == "load_model":
            what = f"`{name}` begins its training as a model from a file"
            yield Finding("one training", _cells(bound[0], same[0]), what, repair)


def _fresh(flow: Flow, fit: Call) -> bool:
    """Whether a model is made anew in each round of the loops around its training."""
    if not fit.receiver or not fit.loops:
        return True
    return flow.is_bound_in(fit.receiver, fit.loops[-1])


def _trained_before(submission: Submission, flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    """What the stored outputs say of trainings whose source is no longer there."""
    repair = "restart the kernel and run all cells once"
    counts = {cell.count for cell in submission.cells}
    before = 0
    for cell in submission.written:
        training = [fit for fit in fits if fit.cell == cell.number]
        between = range(before + 1, cell.count or 0)
        if training and before and any(count not in counts for count in between):
            what = f"execution counts jump from {before} to {cell.count} at a cell that trains: "
            yield Finding("one training", (cell.number,), what + "it may have run before", repair)
        before = cell.count if cell.count is not None else before
        log = _FIRST_EPOCH.search(cell.text("stdout")) if training else None
        accuracies = _TRAINING_ACCURACY.findall(log[1]) if log else []
        if accuracies and float(accuracies[-1]) >= SURELY_TRAINED:
            what = f"the first epoch ends at an accuracy of {accuracies[-1]}: trained before?"
            yield Finding("one training", (cell.number,), what, repair)


def _passes(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    for fit in fits:
        labels = fit.images
        if "multiplied" in labels and "test" not in labels:
            what = "the images of fit are put together from several copies or versions"
            repair = "count an epoch as 60,000 images shown, and say how many there were"
            yield Finding("passes", _cells(fit), what, repair)
        shown = _images_an_epoch(flow, fit)
        if shown is not None and shown > 1.02 * TRAINING_IMAGES:
            what = f"an epoch of fit shows {shown:,.0f} images, not {TRAINING_IMAGES:,}"
            repair = "set steps_per_epoch to the number of images divided by the batch size"
            yield Finding("passes", _cells(fit), what, repair)
        elif shown is None and "repeated" in labels:
            what = "the dataset of fit repeats itself: an epoch may show each image several times"
            yield Finding("passes", _cells(fit), what, "leave .repeat() out")


def _images_an_epoch(flow: Flow, fit: Call) -> float | None:
    """The images that an epoch shows, as far as steps and batch size are plain numbers."""
    samples = fit.argument("samples_per_epoch")
    if samples is not None:
        return _number(flow, samples, fit)
    steps = fit.argument("steps_per_epoch")
    count = _number(flow, steps, fit) if steps is not None else None
    given = [*fit.call.args[:1], *filter(None, [fit.argument("x", "generator")])]
    made = [origin for value in given for origin, _ in flow.origins(value, fit)]
    own = fit.argument("batch_size") or next(filter(None, map(_batch_size, made)), None)
    size = _number(flow, own, fit) if own is not None else 32.0
    return count * size if count is not None and size is not None else None


@lru_cache(maxsize=4096)
def _batch_size(expression: ast.expr) -> ast.expr | None:
    """The batch size that a generator or a dataset is made with."""
    calls = [node for node in ast.walk(expression) if isinstance(node, ast.Call)]
    sizes = [o.value for call in calls for o in call.keywords if o.arg == "batch_size"]
    sizes += [call.args[0] for call in calls if call_name(call) == "batch" and call.args]
    return sizes[0] if sizes else None


def _number(flow: Flow, value: ast.expr, here: Place, depth: int = 0) -> float | None:
    """The value of plain arithmetic; the length of the training images is known."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, ast.Constant):
        plain = isinstance(value.value, (int, float)) and abs(value.value) < 1e12
        return float(value.value) if plain else None  # type: ignore[arg-type]
    if isinstance(value, ast.Name):
        bound = flow.last_binding(value.id, here)
        return _number(flow, bound[1], bound[0], depth + 1) if bound and bound[1] else None
    if isinstance(value, ast.BinOp):
        left = _number(flow, value.left, here, depth + 1)
        right = _number(flow, value.right, here, depth + 1)
        return None if left is None or right is None else _arithmetic(value.op, left, right)
    if isinstance(value, ast.Call) and len(value.args) == 1:
        if call_name(value) == "len":
            return _length(flow, value.args[0])
        inner = _number(flow, value.args[0], here, depth + 1)
        return None if inner is None else _rounded(call_name(value), inner)
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Attribute):
        first = isinstance(value.slice, ast.Constant) and value.slice.value == 0
        return _length(flow, value.value.value) if first and value.value.attr == "shape" else None
    return None


def _arithmetic(operator: ast.operator, left: float, right: float) -> float | None:
    if isinstance(operator, (ast.Div, ast.FloorDiv)):
        if right == 0:
            return None
        return left / right if isinstance(operator, ast.Div) else left // right
    if isinstance(operator, ast.Mult):
        return left * right
    if isinstance(operator, ast.Add):
        return left + right
    return left - right if isinstance(operator, ast.Sub) else None


def _rounded(function: str, value: float) -> float | None:
    if not math.isfinite(value):
        return None
    if function in ("int", "floor"):
        return float(math.floor(value))
    if function == "ceil":
        return float(math.ceil(value))
    return float(round(value)) if function == "round" else None


def _length(flow: Flow, images: ast.expr) -> float | None:
    return float(TRAINING_IMAGES) if flow.labels_of(images) == {"train"} else None


def _images_in_the_wrong_place(fits: Sequence[Call], score: Score) -> Iterator[Finding]:
    for fit in fits:
        if "test" in fit.images:
            what = f"`{fit.receiver or 'the model'}` is trained on test images"
            yield Finding("test images", _cells(fit), what, "train on training images alone")
    evaluated = score.evaluated
    if evaluated is not None:
        first = ast.dump(evaluated.call.args[0]) if evaluated.call.args else ""
        own = [fit for fit in fits if fit.call.args and ast.dump(fit.call.args[0]) == first]
        if evaluated.images == {"train"} or (own and "test" not in evaluated.images):
            what = "the score is that of images that the model was trained on"
            repair = "score = model.evaluate(x_test, y_test)"
            yield Finding("test images", _cells(evaluated), what, repair)
    elif score.typed and score.cell is not None:
        what = "the score is a number in the source"
        yield Finding("test images", (score.cell,), what, "show what model.evaluate gives")


def _cells(*places: Place) -> tuple[int, ...]:
    return tuple(sorted({place.cell for place in places}))
