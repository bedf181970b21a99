"""The score and the number of parameters that a submission shows, read from its outputs.

The source says which cell shows them, and of which model; the numbers are told apart by the words
before them. Every repetition in a pattern has a bound: a hostile output must not keep it busy.
"""

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from evalib.tools.grade.dataflow import Call, Flow, Place
from evalib.tools.grade.read import Cell, Submission
from evalib.tools.grade.source import (
    call_name,
    called_names,
    calls_in,
    dotted,
    dotted_names,
    first_words,
)

_LEAST = 0.9  # a smaller number that is not called an accuracy may be a loss, or errors in percent
_EVALUATES = ("evaluate", "evaluate_generator")
_NO_SCORES = {"fit", "fit_generator", "predict", "print", "summary", "compile"}
_OF_TRAINING = (50_000, 60_000)  # images
_LEAST_IMAGES = 500  # that a share is one of: fewer are batches or epochs
_MOST_VALUES = 6  # of an evaluation: a longer list is something else
# Progress bars and logs of epochs: their numbers are not the score.
_PROGRESS = re.compile(
    r"━|\[[=>.]{4}|s/(?:step|sample|epoch|it)\b|\bit/s\b|\d%\||ETA:|^Epoch \d{1,5}/\d{1,5}\s*$|"
    r"\bval_\w{0,20}: |^\s{0,9}(?:\d{1,9}/\d{1,9} )?- \d{1,6}m?s\b"
)
_VALIDATED = re.compile(r"\bval_\w{0,40}acc\w{0,10}: (\d\.\d{1,20}(?:e-?\d{1,3})?)")
_KEY = r"val_\w{0,40}acc\w{0,10}"
_HISTORY = re.compile(rf"['\"]{_KEY}['\"]: {{0,3}}\[([^\[\]]{{1,20000}})\]")
_LIST = re.compile(r"\[([^\[\]]{1,20000})\]")
_NUMBER = re.compile(
    r"(?<![\w.,])(\d[\d,]{0,12}(?:\.\d{0,30})?(?:e[-+]?\d{1,3})?)(?: ?/ ?(\d[\d,]{1,9}))?[ \t]?(%?)"
)
_OF_ONE_CLASS = re.compile(r"acc\w{0,10} (?:of|for) {1,9}(?:class|digit|label|\d)", re.I)

_TOTAL = re.compile(r"Total params:\s{0,20}([\d,]{1,20})", re.I)
_OF_OPTIMIZER = re.compile(r"Optimizer params:\s{0,20}([\d,]{1,20})", re.I)
_COUNTED = re.compile(
    r"(?:total|number|count|trainable|model)[^\d\n]{0,40}param\w{0,6}[^\d\n]{0,20}(\d[\d,]{0,19})|"
    r"(?<![\d.,])(\d[\d,]{0,19}) (?:total |trainable |learnable |model )?param",
    re.I,
)
_INTEGER = re.compile(r"(?<![\w.,])\d[\d,]{0,15}(?!\w|[.,]\d)")
_SUMMARY_END = 600  # characters after the total


@dataclass(frozen=True)
class Score:
    """An accuracy as it was shown."""

    value: float | None  # between 0 and 1; None where no number is found
    cell: int | None  # that shows it
    model: str | None = None  # the name of the model that it is the score of, where that is seen
    source: str = "the stored output"
    step: float = 0.0  # one more in its last digit, where it was rounded
    evaluated: Call | None = None  # the call of `evaluate` that it comes from, where that is seen
    typed: bool = False  # whether it is a number in the source
    place: Place | None = None
    reason: str = "no cell shows a score"  # for no value


@dataclass(frozen=True)
class Parameters:
    """A number of parameters, moving statistics included: whose it is, and how it was found."""

    count: int | None
    model: str | None
    cell: int | None
    source: str
    reason: str


@dataclass(frozen=True)
class Share:
    """A number in a line of output as a share of 1, and the words before it in lower case."""

    label: str
    value: float
    step: float = 0.0
    images: int = 0  # of which it is a share, where it is shown so

    @property
    def is_accuracy(self) -> bool:
        """Whether it may be one of test images, by its size and its words."""
        of_test = re.search("test|val", self.label)
        of_train = "train" in self.label or self.images in _OF_TRAINING
        named = "acc" in self.label
        loss = not named and re.search("loss|err", self.label)
        likely = (0 if named else _LEAST) <= self.value <= 1
        return likely and not loss and not (of_train and not of_test)


def find_score(submission: Submission, flow: Flow) -> Score:
    """Find the score of the model that a submission ends in.

    It is what the last cell shows that prints a name with "score" in it, or anything from
    `evaluate`; else a printed history, the log of `fit`, or an accuracy in words, as the test
    functions of PyTorch's examples print it.
    """
    cells = {cell.number: cell for cell in submission.written}
    printed = _from_evaluate(cells, flow)
    last = next(reversed(flow.fits), None)
    if printed and printed.model and printed.place and last and last.order > printed.place.order:
        own = flow.model_at(printed.model, printed.place)
        if flow.model_at(last.receiver, last) != own:
            reason = f"no score of `{last.receiver}` is shown, which is trained last"
            printed = Score(None, None, last.receiver, place=last, reason=reason)
            cells = {number: cell for number, cell in cells.items() if number >= last.cell}
    if printed and printed.value is not None:
        return printed
    others = (find(cells, flow) for find in (_from_history, _from_log, _from_words))
    return next(filter(None, others), None) or printed or Score(None, None)


def _from_evaluate(cells: Mapping[int, Cell], flow: Flow) -> Score | None:
    shown = [item for item in _evaluated(flow) if item[0].cell in cells]
    named = [item for item in shown if "score" in " ".join(item[2]).lower() or _is_direct(item[1])]
    for place, expression, _ in (named or shown)[-1:]:
        origins = list(flow.origins(expression, place))
        calls = {id(call) for origin, _ in origins for call in calls_in(origin)}
        evaluated = next((c for c in flow.named(*_EVALUATES) if id(c.call) in calls), None)
        models = (n for origin, _ in origins for n in dotted_names(origin) if n in flow.models)
        model = evaluated.receiver if evaluated else next(models, None)
        metrics = _metrics(flow, evaluated)
        score = Score(None, place.cell, model, evaluated=evaluated, place=place)
        if metrics == []:
            return replace(score, reason="what is shown is a loss: compile has no metrics")
        own = [item[0].node for item in shown]
        nodes = [p.node for p, _ in flow.prints if p.cell == place.cell and p.node not in own]
        shares = _shares(cells[place.cell], metrics, tuple(filter(None, map(first_words, nodes))))
        if not shares and _is_direct(expression):  # beside the bar of `evaluate` itself
            shares = _drawn(cells[place.cell])
        nodes = [node for origin, _ in origins for node in ast.walk(origin)]
        floats = any(isinstance(n, ast.Constant) and isinstance(n.value, float) for n in nodes)
        for share in shares[-1:]:
            return replace(score, value=share.value, step=share.step, typed=floats and not calls)
        return replace(score, reason="no accuracy is shown")
    for call in reversed(flow.named(*_EVALUATES)):  # whose value no cell shows
        for share in _drawn(cells[call.cell])[-1:] if call.cell in cells else ():
            return Score(share.value, call.cell, call.receiver, evaluated=call, place=call)
    return None


def _evaluated(flow: Flow) -> Iterator[tuple[Place, ast.expr, list[str]]]:
    """What is shown and comes from `evaluate` or is called a score, in order, and its names."""
    for place, expression in sorted(flow.prints, key=lambda item: item[0].order):
        if called_names(expression) & _NO_SCORES:
            continue
        names = [name for name in dotted_names(expression) if name not in flow.models]
        bound = (flow.last_binding(name, place) for name in names)
        values = [(b[1], b[0]) for b in bound if b and b[1] is not None]
        origins = [origin for value, p in values for origin, _ in flow.origins(value, p)]
        if any(map(_is_direct, [expression, *origins])) or {"score", "scores"} & set(names):
            yield place, expression, names


def _is_direct(expression: ast.expr) -> bool:
    return not called_names(expression).isdisjoint(_EVALUATES)


def _metrics(flow: Flow, evaluated: Call | None) -> list[str] | None:
    """The metrics that a model is compiled with; empty where it has the loss alone."""
    compiled = flow.named("compile")
    own = [call for call in compiled if evaluated and call.receiver == evaluated.receiver]
    for call in (own or compiled)[-1:]:
        metrics = call.argument("metrics") or next(iter(call.call.args[2:]), None)
        listed = getattr(metrics, "elts", [metrics])
        return [ast.unparse(metric).lower() for metric in listed[:9]] if metrics else []
    return None


def _from_history(cells: Mapping[int, Cell], flow: Flow) -> Score | None:
    for place, expression in reversed(flow.prints):
        keys = (history_key(origin, _KEY) for origin, _ in flow.origins(expression, place))
        if place.cell not in cells or not (dotted(expression).endswith(".history") or any(keys)):
            continue
        text = cells[place.cell].text()
        lists = _HISTORY.findall(text) or _LIST.findall(text)
        shares = list(_read(lists[-1])) if lists else _shares(cells[place.cell], None)
        for share in shares[-1:]:
            fit = next((fit for fit in reversed(flow.fits) if fit.order < place.order), None)
            score = Score(share.value, place.cell, fit.receiver if fit else None, step=share.step)
            return replace(score, source="the printed history", place=place)
    return None


def _from_log(cells: Mapping[int, Cell], flow: Flow) -> Score | None:
    for cell in reversed(list(cells.values())):
        for value in _VALIDATED.findall(cell.text())[-1:]:
            fit = next((fit for fit in reversed(flow.fits) if fit.cell == cell.number), None)
            source = "the last epoch's validation accuracy in the log of fit"
            return Score(
                float(value), cell.number, fit.receiver if fit else None, source, place=fit
            )
    return None


def _from_words(cells: Mapping[int, Cell], flow: Flow) -> Score | None:
    found = []
    for cell in cells.values():
        lines = _lines(cell, "stdout", "stderr", "result")
        shares = [s for line in lines if not _OF_ONE_CLASS.search(line) for s in _read(line)]
        named = [s for s in shares if ("acc" in s.label or s.images) and s.is_accuracy]
        found += [(cell.number, share) for share in named]
    of_last = [item for item in found if not re.search("best|max|high", item[1].label)]
    fractions = [item for item in of_last or found if item[1].images]
    of_test = [item for item in of_last or found if re.search("test|val", item[1].label)]
    for number, share in (fractions or of_test or of_last or found)[-1:]:
        source = f"the {'last' if of_last else 'best'} accuracy printed in words"
        return Score(share.value, number, None, source, share.step)
    return None


def _shares(cell: Cell, metrics: Sequence[str] | None, others: tuple[str, ...] = ()) -> list[Share]:
    """The numbers of a cell's output that may be accuracies.

    Args:
        cell: The cell.
        metrics: The metrics in the order in which `evaluate` gives them after the loss.
        others: How lines begin that show something else.
    """
    index = next((i for i, name in enumerate(metrics or [], start=1) if "acc" in name), 1)

    def accuracy(listed: re.Match[str]) -> str:
        items = listed[1].split(",")
        return f"accuracy {items[index]}" if index < len(items) <= _MOST_VALUES else " "

    text = _LIST.sub(accuracy, re.sub(r":\s{0,9}\n", ": ", "\n".join(_lines(cell))))
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(others or "\0")]
    shares = [share for line in lines for share in _read(line) if share.is_accuracy]
    if any("acc" in share.label for share in shares):  # then what is called a score is the loss
        shares = [s for s in shares if "acc" in s.label or "score" not in s.label]
    return shares


def _drawn(cell: Cell) -> list[Share]:
    """The accuracies beside progress bars, but for those of `fit`."""
    lines = cell.text("stdout", "result").split("\n") if "Epoch 1/" not in cell.text() else []
    return [s for line in lines for s in _read(line) if "acc" in s.label and s.is_accuracy]


def _read(line: str) -> Iterator[Share]:
    """The shares of 1 in a line. Whole numbers belong to the words before the next share."""
    line = re.sub(r"(?:np\.)?float\d{0,3}\(([^()]{0,40})\)", r"\1", line)
    start = 0
    for hit in _NUMBER.finditer(line):
        label = line[start : hit.start()][-200:].lower()
        number = float(hit[1].replace(",", ""))
        images = _integer(hit[2] or "0")
        counts = re.search("acc|correct|test|val", label) and images >= _LEAST_IMAGES
        if counts and not re.search(r"(?:epoch|batch|\[)\W{0,9}$", label):
            yield Share(label, number / images, images=images)
        elif "." in hit[1] or "e" in hit[1] or hit[3]:
            decimals = len(hit[1].partition(".")[2])
            scale = 0.01 if hit[3] or 1 < number <= 100 else 1.0
            rounded = scale < 1 or decimals < 3
            yield Share(
                label, round(number * scale, 12), scale * 10.0**-decimals if rounded else 0.0
            )
        else:
            continue
        start = hit.end()


def _lines(cell: Cell, *kinds: str) -> list[str]:
    """The lines of a cell's output without bars and logs of epochs."""
    text = cell.text(*(kinds or ("stdout", "result")))
    return [line for line in text.split("\n") if not _PROGRESS.search(line)]


@lru_cache(maxsize=4096)
def history_key(expression: ast.expr, pattern: str) -> str | None:
    """Find the first key of a history in an expression that matches a pattern."""
    keys = [node.slice for node in ast.walk(expression) if isinstance(node, ast.Subscript)]
    keys += [
        call.args[0] for call in calls_in(expression) if call_name(call) == "get" and call.args
    ]
    texts = [key.value for key in keys if isinstance(key, ast.Constant)]
    return next((t for t in texts if isinstance(t, str) and re.fullmatch(pattern, t)), None)


def find_parameters(submission: Submission, flow: Flow, score: Score) -> Parameters:
    """Find the parameters of the scored model in shown summaries and printed counts."""
    since, until, model = 0, math.inf, score.model
    if model is not None and score.place is not None:
        bound = flow.last_binding(model, score.place)
        later = flow.next_binding(model, score.place)
        since = bound[0].cell if bound else 0
        until = max(later.cell, since + 1) if later else math.inf
    found = [p for cell in submission.written for p in _counts(cell, flow)]
    found = found or [p for cell in submission.cells for p in _counts(cell, flow)]
    found = [p for p in found if p.model != model or (p.cell or 0) < until]
    own = [p for p in found if model and p.model == model and (p.cell or 0) >= since]
    if not found:
        return Parameters(None, model, None, "nothing", "no cell shows a summary or a count")
    if own and score.place is not None:
        others = sorted({p.cell for p in found if p.cell and p.cell != own[-1].cell})
        also = f"; also shown: cell {', '.join(map(str, others))}" if others else ""
        return replace(own[-1], reason=f"`{model}` is the model that was scored{also}")
    before = [p for p in found if score.cell is None or (p.cell or 0) <= score.cell]
    why = f"no summary is known to be of the scored model `{model}`"
    why = why if model else "which model was scored is not seen"
    return replace((before or found)[-1], reason=f"the last one before the score, for {why}")


def choose_model(
    models: Mapping[str, int | None], flow: Flow, score: Score, shown: Parameters
) -> Parameters:
    """Take the parameters of the scored model from those that a kernel held at the end.

    Args:
        models: The parameters of each by its name; None for one that has no weights yet.
        flow: The notebook's source.
        score: The score, whose model is wanted.
        shown: What the run has shown, for where the kernel does not hold that model.
    """
    shown = replace(shown, source=shown.source.replace("the stored", "this run's"))
    built = [name for name, count in models.items() if count is not None]
    name, source = score.model, "the executed model"
    replaced = name and score.place and flow.next_binding(name, score.place)
    if replaced or (name in models and name not in built) or not built:
        why = f"another model is called `{name}` by then" if replaced else "it has no weights"
        is_shown = shown.count is not None and shown.model == name
        return shown if is_shown or not models else Parameters(None, name, None, source, why)
    if name in built:
        return Parameters(
            models[name], name, None, source, f"`{name}` is the model that was scored"
        )
    reason = f"it is the last of {len(built)} models; which was scored is not seen"
    return Parameters(models[built[-1]], built[-1], None, source, reason)


def _counts(cell: Cell, flow: Flow) -> Iterator[Parameters]:
    """The summaries and counts that a cell shows."""
    text, number = cell.text(), cell.number
    totals = list(_TOTAL.finditer(text))
    described = []  # the model of `model.summary()`, or of torchsummary's `summary(model, shape)`
    for call in flow.named("summary"):
        of_function = call.call.args and re.match("torch|$", call.receiver)
        name = dotted(call.call.args[0]) if of_function else call.receiver
        described += [name] if call.cell == number else []
    ends = [*(total.start() for total in totals[1:]), len(text)]
    for index, (total, end) in enumerate(zip(totals, ends, strict=False)):
        rest = text[total.end() : min(end, total.end() + _SUMMARY_END)]
        count = _integer(total[1]) - sum(map(_integer, _OF_OPTIMIZER.findall(rest)[:1]))
        model = described[index] if len(described) == len(totals) else None
        model = described[0] if len(set(described)) == 1 else model
        yield Parameters(count, model or None, number, "the stored summary", "")
    if totals:
        return
    # Printed counts: of as many models as there are numbers, each print's words left out.
    shown = [item for item in flow.prints if item[0].cell == number]
    counted = [(place, _counted(flow, value, place)) for place, value in shown]
    models = [model for _, own in counted for model in own]
    words = tuple(filter(None, (first_words(place.node) for place, own in counted if own)))
    lines = [line for line in _lines(cell) if line.lstrip().startswith(words or "")]
    for own in words:
        lines = [line.replace(own, " ", 1) for line in lines]
    numbers = [first or second for first, second in _COUNTED.findall(text)]
    if not numbers or (models and len(numbers) != len(models)):
        numbers = [n for line in lines for n in _INTEGER.findall(line)]
        numbers = numbers if len(numbers) == len(models) else []
    names = models if len(models) == len(numbers) else [None] * len(numbers)
    for model, digits in zip(names, numbers, strict=True):
        yield Parameters(_integer(digits), model, number, "the printed count", "")


def _counted(flow: Flow, expression: ast.expr, place: Place) -> list[str]:
    """The models whose `count_params()` or `parameters()` a shown value comes from."""
    if "print" in called_names(expression):
        return []  # a cell's last value: what is printed there is listed by itself
    calls = (call for origin, _ in flow.origins(expression, place) for call in calls_in(origin))
    counts = dict.fromkeys(c for c in calls if call_name(c) in ("count_params", "parameters"))
    return list(filter(None, (dotted(getattr(c.func, "value", None)) for c in counts)))


def _integer(digits: str) -> int:
    return int(digits.replace(",", "")[:18] or 0)
