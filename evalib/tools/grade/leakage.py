"""What makes a score say less than it seems: reasons to look, not verdicts."""

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from evalib.tools.grade.dataflow import Call, Flow
from evalib.tools.grade.outputs import Score, history_key
from evalib.tools.grade.read import Submission, called, calls_in, dotted, names_in, printable

Finding = tuple[str, str, tuple[int, ...]]  # the rule, what was found, the cells where it is
_WATCHERS = {"ModelCheckpoint": "keeps the weights that do best",
             "EarlyStopping": "ends the training when it goes best",
             "ReduceLROnPlateau": "sets the learning rate by how it goes"}  # fmt: skip
_EXTREMES = ("max", "amax", "nanmax", "argmax", "min", "amin", "nanmin", "argmin", "sorted")
_VALIDATION_KEY = r"val_\w{0,40}(?:acc|loss|error|mse|mae)\w{0,10}"
_TEST_NAME = re.compile(r"(?:test|val)\w{0,20}acc\w{0,20}", re.IGNORECASE)
_DRAWING = {"plt", "ax", "axes", "axs", "fig", "pyplot", "sns", "pylab"}
_RESTORES = ("load_weights", "load_model", "set_weights")
_FIRST_EPOCH = re.compile(r"Epoch 1/\d{1,5}(.*?)(?=Epoch \d|\Z)", re.DOTALL)
_IN_TRAINING = re.compile(r"(?<!val_)\b(?:acc|accuracy): (\d\.\d{1,20})")
_IN_VALIDATION = re.compile(r"val_(?:acc|accuracy): (\d\.\d{1,20})")
# After its first epoch no fresh network has these accuracies, in training and on test images.
_SURELY_TRAINED = {_IN_TRAINING: 0.99, _IN_VALIDATION: 0.9915}
# A callback that looks at the validation after an epoch, and acts on it.
_CHOOSES = re.compile(r"(?s)(?=.*def on_epoch_end\()(?=.*(?:['\"]val_|\.evaluate\b))"
                      r".*\.(?:stop_training|save|save_weights|get_weights)\b")  # fmt: skip


def find_leakage(submission: Submission, flow: Flow, score: Score) -> list[Finding]:
    fits = flow.fits
    if score.model is not None and score.place is not None:
        own = flow.model_at(score.model, score.place)
        fits = [f for f in fits if f.functions or flow.model_at(f.receiver, f) == own] or fits
    found = chain(
        *(_choices_on_test_images(flow, fits), _best_epochs(flow, fits, score)),
        *(_repeated_fits(flow, fits), _trained_before(submission, flow, fits)),
        _another_training(submission, flow, fits, score),
        _images_in_the_wrong_place(flow, fits, score),
    )
    return [*dict.fromkeys((rule, what, tuple(sorted(set(cells)))) for rule, what, cells in found)]


def _choices_on_test_images(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    for fit in fits:
        images, given = fit.argument("validation_data"), fit.argument("callbacks")
        if given is None or images is None or "test" not in flow.labels_of([images], fit):
            continue
        found = [origin for origin, _ in flow.origins(given, fit)]
        names = {name for origin in found for name in names_in(origin)}
        found += [c.node for c in flow.named("append", "extend", "insert") if c.receiver in names]
        passed = {call for origin in found for call in calls_in(origin)}
        # What a function gives is not followed: its watchers are those of no other fit.
        hidden = any(called(origin) & flow.functions for origin in found)
        restored = [call.cell for call in flow.named(*_RESTORES) if call.order > fit.order][:1]
        for call in flow.named(*_WATCHERS):
            first = call.node.args[call.name == "ModelCheckpoint" :][:1]
            monitor = next(filter(None, [call.argument("monitor"), *first]), None)
            of_test = not isinstance(monitor, ast.Constant) or str(monitor.value).startswith("val")
            is_passed = call.node in passed or (hidden and bool(call.functions))
            if is_passed and of_test and (call.name != "ModelCheckpoint" or restored):
                what = f"{call.name} {_WATCHERS[call.name]} on validation_data, which are test "
                what += "".join(["images", *(f"; cell {n} takes weights back" for n in restored)])
                yield "choice", what, (call.cell, fit.cell, *restored)
        for place in flow.classes:
            if _CHOOSES.match(ast.unparse(place.node)):
                what = "a callback of its own stops or saves by how the test images are recognized"
                yield "choice", what, (place.cell, fit.cell)
    trained = {(f.receiver, loop) for f in fits if not _is_fresh(flow, f) for loop in f.loops}
    for call in flow.named("evaluate", "evaluate_generator"):
        again = any((call.receiver, loop) in trained for loop in call.loops)
        if again and "test" in flow.images(call):
            what = "the test images are scored again and again while the model is trained"
            yield "choice", what, (call.cell,)


def _best_epochs(flow: Flow, fits: Sequence[Call], score: Score) -> Iterator[Finding]:
    if score.source.startswith("the best") and score.cell:
        yield "best epoch", "the score is called the best of several", (score.cell,)
    others = {fit.node for fit in flow.fits} - {fit.node for fit in fits}
    drawing = [call for call in flow.calls if call.receiver.split(".")[0] in _DRAWING]
    drawn = {inner for call in drawing for inner in calls_in(call.node)}
    for call in flow.named(*_EXTREMES):
        values = [getattr(call.node.func, "value", None), *call.node.args[:1]]
        origins = [origin for v in values if v for origin, _ in flow.origins(v, call)]
        of_other = any(inner in others for origin in origins for inner in calls_in(origin))
        keys = [history_key(origin, _VALIDATION_KEY) for origin in origins]
        keys += [v.id for v in values if isinstance(v, ast.Name) and _TEST_NAME.fullmatch(v.id)]
        key = next(filter(None, keys), None)
        if key and call.node not in drawn and not of_other:
            what = f"{call.name}() picks the best epoch's {printable(key, 40)}"
            yield "best epoch", what, (call.cell,)


def _repeated_fits(flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    by_model: dict[tuple[str, int], list[Call]] = {}
    for fit in fits:
        if fit.receiver:
            bound = flow.last_binding(fit.receiver, fit)
            by_model.setdefault((fit.receiver, bound[0].order if bound else 0), []).append(fit)
        if not _is_fresh(flow, fit):
            what = f"`{fit.receiver}` is fitted in a loop: it has more epochs than each fit says"
            yield "passes", what, (fit.cell,)
    for (name, order), same in by_model.items():
        if any(not _is_set_back(flow, fit, before.order) for before, fit in pairwise(same)):
            what = f"`{name}` is fitted {len(same)} times: each fit goes on where the last ended"
            yield "one training", what, tuple(fit.cell for fit in same)
        for call in flow.named("load_weights"):
            loads = call.receiver == name and order < call.order < same[-1].order
            if loads and not _is_start(flow, call):
                what = f"`{name}` begins its training with weights from a file"
                yield "one training", what, (call.cell, same[-1].cell)
        bound = flow.last_binding(name, same[0])
        if bound and bound[1] and "load_model" in called(bound[1]):
            what = f"`{name}` begins its training as a model from a file"
            yield "one training", what, (bound[0].cell, same[0].cell)


def _is_fresh(flow: Flow, fit: Call) -> bool:
    """Whether a model is made anew, or set back, in each round of the loops around its training."""
    loop = fit.loops[-1] if fit.receiver and fit.loops else None
    made = any(loop in place.around for place, _ in flow.bindings.get(fit.receiver, ()))
    return not loop or made or _is_set_back(flow, fit, 0, loop)


def _is_set_back(flow: Flow, fit: Call, since: int, loop: ast.AST | None = None) -> bool:
    """Whether a model gets its first weights back between a place, or a loop's start, and a fit."""
    orders = (since, fit.order - 1)
    start, end = (bisect_right(flow.calls, n, key=lambda c: c.order) for n in orders)
    for call in (c for c in flow.calls[start:end] if loop is None or loop in c.around):
        names = (call.receiver, *map(dotted, call.node.args[:3]))
        resets = re.match("re_?set|re_?init", call.name) and fit.receiver in names
        if resets or (call.receiver == fit.receiver and _is_start(flow, call)):
            return True
    return False


def _is_start(flow: Flow, call: Call) -> bool:
    """Whether a call sets weights that were taken from the model before it was trained at all."""
    takes = {"set_weights": "get_weights", "load_weights": "save_weights"}.get(call.name, "")
    first = next((fit.order for fit in flow.fits if takes and fit.receiver == call.receiver), 0)
    return any(c.receiver == call.receiver and c.order < first for c in flow.named(takes))


def _trained_before(submission: Submission, flow: Flow, fits: Sequence[Call]) -> Iterator[Finding]:
    counts = {cell.count for cell in submission.cells}
    before, unknown = 0, 0  # the last count, and how many cells without one came after it
    for cell in submission.written:
        fit = next((fit for fit in fits if fit.cell == cell.number), None)
        bound = flow.last_binding(fit.receiver, fit) if fit else None
        gone = [count for count in range(before + 1, cell.count or 0) if count not in counts]
        if fit and before and len(gone) > unknown and not (bound and bound[0].cell == fit.cell):
            what = f"execution counts jump from {before} to {cell.count} at a cell that trains: "
            yield "one training", what + "it may have run before", (fit.cell,)
        before, unknown = (cell.count, 0) if cell.count else (before, unknown + 1)
        logs = _FIRST_EPOCH.findall(cell.text("stdout"))[:20] if fit else []
        last = ((p.findall(log)[-1:], n) for log in logs for p, n in _SURELY_TRAINED.items())
        high = [shown[0] for shown, least in last if shown and float(shown[0]) >= least]
        if fit and high:
            what = f"the first epoch ends at an accuracy of {high[0]}: trained before?"
            yield "one training", what, (fit.cell,)


def _another_training(
    submission: Submission, flow: Flow, fits: Sequence[Call], score: Score
) -> Iterator[Finding]:
    evaluated = score.evaluated
    before = [fit for fit in fits if evaluated and fit.order < evaluated.order]
    if evaluated is None or score.value is None or not before:
        return
    fit = before[-1]
    checked = getattr(fit.argument("validation_data"), "elts", [])[:1]
    same = checked and [*map(ast.dump, checked)] == [*map(ast.dump, evaluated.node.args[:1])]
    if not same or fit.loops or sum(other.cell == fit.cell for other in flow.fits) > 1:
        return
    text = next(cell.text("stdout") for cell in submission.cells if cell.number == fit.cell)
    shown = [float(value) for value in _IN_VALIDATION.findall(text)]
    restored = [c for c in flow.named(*_RESTORES) if fit.order < c.order < evaluated.order]
    restored += [c for c in flow.named("EarlyStopping") if c.argument("restore_best_weights")]
    ends = shown if restored else shown[-1:]
    if shown and not any(abs(end - score.value) <= 0.0006 for end in ends):  # a log is rounded
        what = f"the score is {score.value:.6g}, and the training shown ends at {shown[-1]:.6g} on "
        yield "one training", f"{what}the same images: they are of two runs", (fit.cell,)


def _images_in_the_wrong_place(flow: Flow, fits: Sequence[Call], score: Score) -> Iterator[Finding]:
    for fit in fits:
        if "test" in flow.images(fit):
            name = fit.receiver or "the model"
            yield "test images", f"`{name}` is trained on test images", (fit.cell,)
    for call in flow.named(*(name for name in flow.functions if name.startswith("train"))):
        if flow.labels_of(call.node.args, call) == {"test"}:  # as PyTorch needs it
            yield "test images", f"`{call.name}` is called with test images", (call.cell,)
    if evaluated := score.evaluated:
        images, first = flow.images(evaluated), [*map(ast.dump, evaluated.node.args[:1])]
        own = [fit for fit in fits if first and [*map(ast.dump, fit.node.args[:1])] == first]
        if images == {"train"} or (own and "test" not in images):
            what = "the score is that of images that the model was trained on"
            yield "test images", what, (evaluated.cell,)
    elif score.typed and score.place is not None:
        yield "test images", "the score is a number in the source", (score.place.cell,)
