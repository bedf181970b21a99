"""The score and the number of parameters that a submission shows, read from its outputs."""

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from evalib.tools.grade.dataflow import Call, Flow, Place
from evalib.tools.grade.read import Cell, Submission, call_name, called, calls_in, dotted, names_in

# Every repetition in a pattern has a bound: a hostile output must not keep it busy.
_EVALUATES = ("evaluate", "evaluate_generator")
_NO_SCORES = {"fit", "fit_generator", "predict", "print", "summary", "compile"}
# Progress bars and logs of epochs: their numbers are not the score.
_PROGRESS = re.compile(
    r"━|\[[=>.]{4}|s/(?:step|sample|epoch|it)\b|\bit/s\b|\d%\||ETA:|^Epoch \d{1,5}/\d{1,5}\s*$|"
    r"\bval_\w{0,20}: |^\s{0,9}(?:\d{1,9}/\d{1,9} )?- \d{1,6}m?s\b"
)
_KEY = r"val_\w{0,40}acc\w{0,10}"
_VALIDATED = re.compile(rf"\b{_KEY}: (\d\.\d{{1,20}}(?:e-?\d{{1,3}})?)")
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


class Score(NamedTuple):
    value: float | None = None  # between 0 and 1; None where no number is found
    cell: int | None = None  # that shows it
    model: str | None = None  # the name of its model, where that is seen
    source: str = "the stored output"
    step: float = 0.0  # one more in its last digit, where it was rounded
    evaluated: Call | None = None  # the call of `evaluate` that it comes from, where that is seen
    typed: bool = False  # whether it is a number in the source
    place: Place | None = None
    reason: str = "no cell shows a score"  # for no value


class Parameters(NamedTuple):
    count: int | None  # type: ignore[assignment]  # moving statistics included
    model: str | None
    cell: int | None
    source: str
    reason: str = ""


class Share(NamedTuple):
    label: str  # the words before it in its line, in lower case
    value: float  # as a share of 1
    step: float = 0.0
    images: int = 0  # of which it is a share, where it is shown so

    @property
    def is_accuracy(self) -> bool:
        named, of_test = "acc" in self.label, re.search("test|val", self.label)
        of_train = "train" in self.label or self.images in (50_000, 60_000)
        if (of_train and not of_test) or (not named and re.search("loss|err", self.label)):
            return False
        return (0 if named else 0.9) <= self.value <= 1  # less may be errors in percent


def find_score(submission: Submission, flow: Flow) -> Score:
    cells = {cell.number: cell for cell in submission.written}
    printed = _from_evaluate(cells, flow)
    last = next(reversed(flow.fits), None)
    if printed and printed.model and printed.place and last and last.order > printed.place.order:
        own = flow.model_at(printed.model, printed.place)
        if flow.model_at(last.receiver, last) != own:
            reason = f"no score of `{last.receiver}` is shown, which is trained last"
            printed = Score(model=last.receiver, place=last, reason=reason)
            cells = {number: cell for number, cell in cells.items() if number >= last.cell}
    if printed and printed.value is not None:
        return printed
    return next(_elsewhere(cells, flow), None) or printed or Score()


def _from_evaluate(cells: Mapping[int, Cell], flow: Flow) -> Score | None:
    shown = []  # what is shown and comes from `evaluate` or is called a score
    for place, expression in sorted(flow.prints, key=lambda item: item[0].order):
        names = set(names_in(expression)) - flow.models
        if place.cell in cells and not called(expression) & _NO_SCORES:
            origins = [origin for origin, _ in flow.origins(expression, place)]
            if any(map(_is_direct, origins)) or {"score", "scores"} & names:
                named = "score" in " ".join(names).lower() or _is_direct(expression)
                shown.append((place, expression, origins, named))
    for place, expression, origins, _ in ([item for item in shown if item[3]] or shown)[-1:]:
        cell = cells[place.cell]
        calls = {call for origin in origins for call in calls_in(origin)}
        evaluated = next((call for call in flow.named(*_EVALUATES) if call.node in calls), None)
        models = (name for o in origins for name in names_in(o) if name in flow.models)
        model = evaluated.receiver if evaluated else next(models, None)
        metrics = _metrics(flow, evaluated)
        score = Score(None, place.cell, model, evaluated=evaluated, place=place)
        if metrics == []:
            return score._replace(reason="what is shown is a loss: compile has no metrics")
        own = [item[0].node for item in shown]
        here = [p.node for p, _ in flow.prints if p.cell == cell.number]
        others = _words(node for node in here if node not in own)
        shares = _shares(cell, metrics, others)
        if not shares and _is_direct(expression):  # beside the bar of `evaluate` itself
            shares = _drawn(cell)
        constants = (getattr(node, "value", 0) for o in origins for node in ast.walk(o))
        typed = not calls and any(isinstance(value, float) for value in constants)
        for share in shares[-1:]:
            return score._replace(value=share.value, step=share.step, typed=typed)
        return score._replace(reason="no accuracy is shown")
    for call in reversed(flow.named(*_EVALUATES)):  # whose value no cell shows
        for share in _drawn(cells[call.cell])[-1:] if call.cell in cells else ():
            return Score(share.value, call.cell, call.receiver, evaluated=call, place=call)
    return None


def _is_direct(expression: ast.expr) -> bool:
    return not called(expression).isdisjoint(_EVALUATES)


def _metrics(flow: Flow, evaluated: Call | None) -> list[str] | None:
    compiled = flow.named("compile")
    own = [call for call in compiled if evaluated and call.receiver == evaluated.receiver]
    for call in (own or compiled)[-1:]:
        metrics = [call.argument("metrics"), *call.node.args[2:3]]
        listed = [getattr(metric, "elts", [metric]) for metric in metrics if metric]
        return [ast.unparse(metric).lower() for metric in [*listed, []][0][:9]]
    return None


def _elsewhere(cells: Mapping[int, Cell], flow: Flow) -> Iterator[Score]:
    for place, expression in reversed(flow.prints):
        keys = (history_key(origin, _KEY) for origin, _ in flow.origins(expression, place))
        if place.cell in cells and (dotted(expression).endswith(".history") or any(keys)):
            text = cells[place.cell].text()
            lists = _HISTORY.findall(text) or _LIST.findall(text)
            shares = list(_read(lists[-1])) if lists else _shares(cells[place.cell], None)
            model = next((f.receiver for f in reversed(flow.fits) if f.order < place.order), None)
            parts = (place.cell, model, "the printed history")
            yield from (Score(s.value, *parts, s.step, place=place) for s in shares[-1:])
    for number, cell in [*cells.items()][::-1]:
        for value in _VALIDATED.findall(cell.text())[-1:]:
            fit = next((fit for fit in reversed(flow.fits) if fit.cell == number), None)
            source = "the last epoch's validation accuracy in the log of fit"
            yield Score(float(value), number, fit.receiver if fit else None, source, place=fit)
    found = []
    for number, cell in cells.items():
        lines = _lines(cell, "stdout", "stderr", "result")
        shares = [s for line in lines if not _OF_ONE_CLASS.search(line) for s in _read(line)]
        named = [s for s in shares if ("acc" in s.label or s.images) and s.is_accuracy]
        found += [(number, share) for share in named]
    of_last = [item for item in found if not re.search("best|max|high", item[1].label)]
    fractions = [item for item in of_last or found if item[1].images]
    of_test = [item for item in of_last or found if re.search("test|val", item[1].label)]
    for number, share in (fractions or of_test or of_last or found)[-1:]:
        source = f"the {'last' if of_last else 'best'} accuracy printed in words"
        yield Score(share.value, number, None, source, share.step)


def _shares(cell: Cell, metrics: Sequence[str] | None, others: tuple[str, ...] = ()) -> list[Share]:
    """The numbers that may be accuracies, but for lines that begin like `others`."""
    index = next((i for i, name in enumerate(metrics or [], start=1) if "acc" in name), 1)

    def accuracy(listed: re.Match[str]) -> str:
        items = listed[1].split(",")
        return f"accuracy {items[index]}" if index < len(items) <= 6 else " "

    text = _LIST.sub(accuracy, re.sub(r":\s{0,9}\n", ": ", "\n".join(_lines(cell))))
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(others or "\0")]
    shares = [share for line in lines for share in _read(line) if share.is_accuracy]
    named = any("acc" in share.label for share in shares)  # then what is called a score is the loss
    return [s for s in shares if not named or "acc" in s.label or "score" not in s.label]


def _drawn(cell: Cell) -> list[Share]:
    lines = cell.text("stdout", "result").split("\n") if "Epoch 1/" not in cell.text() else []
    return [s for line in lines for s in _read(line) if "acc" in s.label and s.is_accuracy]


def _read(line: str) -> Iterator[Share]:
    """The shares in a line. Whole numbers belong to the words before the next one."""
    line = re.sub(r"(?:np\.)?float\d{0,3}\(([^()]{0,40})\)", r"\1", line)
    start = 0
    for hit in _NUMBER.finditer(line):
        label = line[start : hit.start()][-200:].lower()
        number = float(hit[1].replace(",", ""))
        images = _integer(hit[2] or "0")
        counts = re.search("acc|correct|test|val", label) and images >= 500
        if counts and not re.search(r"(?:epoch|batch|\[)\W{0,9}$", label):
            yield Share(label, number / images, images=images)
        elif "." in hit[1] or "e" in hit[1] or hit[3]:
            decimals = len(hit[1].partition(".")[2])
            scale = 0.01 if hit[3] or 1 < number <= 100 else 1.0
            step = scale * 10.0**-decimals if scale < 1 or decimals < 3 else 0.0
            yield Share(label, round(number * scale, 12), step)
        else:
            continue
        start = hit.end()


def _lines(cell: Cell, *kinds: str) -> list[str]:
    lines = cell.text(*(kinds or ("stdout", "result"))).split("\n")
    return [line for line in lines if not _PROGRESS.search(line)]


def _words(prints: Iterable[ast.AST]) -> tuple[str, ...]:
    """The words that calls of `print` begin their lines with; not of those that have none."""
    words = []
    for argument in (a for shown in prints for a in getattr(shown, "args", [])[:1]):
        values = (getattr(node, "value", None) for node in ast.walk(argument))
        text = next((value for value in values if isinstance(value, str)), "")
        words.append(re.split("[%{]", text)[0].strip().split("\n")[-1].strip())
    return tuple(word for word in words if len(word) > 2)


@lru_cache(maxsize=4096)
def history_key(expression: ast.expr, pattern: str) -> str | None:
    keys = [node.slice for node in ast.walk(expression) if isinstance(node, ast.Subscript)]
    keys += [arg for c in calls_in(expression) if call_name(c) == "get" for arg in c.args[:1]]
    texts = (str(key.value) for key in keys if isinstance(key, ast.Constant))
    return next((text for text in texts if re.fullmatch(pattern, text)), None)


def find_parameters(submission: Submission, flow: Flow, score: Score) -> Parameters:
    model, place = score.model, score.place
    bound = flow.last_binding(model, place) if model and place else None
    later = flow.next_binding(model, place) if model and place else None
    since = bound[0].cell if bound else 0
    until = max(later.cell, since + 1) if later else math.inf
    found = [p for cell in submission.written for p in _counts(cell, flow)]
    found = found or [p for cell in submission.cells for p in _counts(cell, flow)]
    found = [p for p in found if p.model != model or (p.cell or 0) < until]
    own = [p for p in found if model and p.model == model and (p.cell or 0) >= since]
    if not found:
        return Parameters(None, model, None, "nothing", "no cell shows a summary or a count")
    if own and place:
        others = sorted({p.cell for p in found if p.cell and p.cell != own[-1].cell})
        also = f"; also shown: cell {', '.join(map(str, others))}" if others else ""
        return own[-1]._replace(reason=f"`{model}` is the model that was scored{also}")
    before = [p for p in found if score.cell is None or (p.cell or 0) <= score.cell]
    why = f"no summary is known to be of the scored model `{model}`"
    why = why if model else "which model was scored is not seen"
    return (before or found)[-1]._replace(reason=f"the last one before the score, for {why}")


def choose_model(
    models: Mapping[str, int | None], flow: Flow, score: Score, shown: Parameters
) -> Parameters:
    """Take the scored model's parameters from what a kernel held at the end, or what it showed."""
    shown = shown._replace(source=shown.source.replace("the stored", "this run's"))
    built = {name: count for name, count in models.items() if count is not None}
    name, source = score.model, "the executed model"
    replaced = name and score.place and flow.next_binding(name, score.place)
    if replaced or (name in models and name not in built) or not built:
        why = f"another model is called `{name}` by then" if replaced else "it has no weights"
        is_shown = shown.count is not None and shown.model == name
        return shown if is_shown or not models else Parameters(None, name, None, source, why)
    reason = f"`{name}` is the model that was scored"
    if name not in built:
        reason = f"it is the last of {len(built)} models; which was scored is not seen"
        name = [*built][-1]
    return Parameters(built[str(name)], name, None, source, reason)


def _counts(cell: Cell, flow: Flow) -> Iterator[Parameters]:
    text, number = cell.text(), cell.number
    described = []  # the model of `model.summary()`, or of torchsummary's `summary(model, shape)`
    for call in (call for call in flow.named("summary") if call.cell == number):
        of_function = call.node.args and re.match("torch|$", call.receiver)
        described.append(dotted(call.node.args[0]) if of_function else call.receiver)
    parts = _TOTAL.split(text)[1:]  # each total and what follows it
    totals = list(zip(parts[::2], parts[1::2], strict=True))
    for index, (total, rest) in enumerate(totals):
        count = _integer(total) - sum(map(_integer, _OF_OPTIMIZER.findall(rest[:600])[:1]))
        model = described[index] if len(described) == len(totals) else None
        model = described[0] if len(set(described)) == 1 else model
        yield Parameters(count, model or None, number, "the stored summary")
    if totals:
        return
    # Printed counts: of as many models as there are numbers, each print's words left out.
    shown = [item for item in flow.prints if item[0].cell == number]
    counted = [(place.node, _counted(flow, value, place)) for place, value in shown]
    models = [model for _, own in counted for model in own]
    words = _words([node for node, own in counted if own])
    lines = [line for line in _lines(cell) if line.lstrip().startswith(words or "")]
    for own in words:
        lines = [line.replace(own, " ", 1) for line in lines]
    numbers = [one or two for one, two in _COUNTED.findall(text)]
    if not numbers or (models and len(numbers) != len(models)):
        numbers = [n for line in lines for n in _INTEGER.findall(line)]
        numbers = numbers if len(numbers) == len(models) else []
    names = models if len(models) == len(numbers) else [None] * len(numbers)
    for model, digits in zip(names, numbers, strict=True):
        yield Parameters(_integer(digits), model, number, "the printed count")


def _counted(flow: Flow, expression: ast.expr, place: Place) -> list[str]:
    if "print" in called(expression):
        return []  # a cell's last value: what is printed there is listed by itself
    calls = (call for origin, _ in flow.origins(expression, place) for call in calls_in(origin))
    counts = dict.fromkeys(c for c in calls if call_name(c) in ("count_params", "parameters"))
    return list(filter(None, (dotted(getattr(c.func, "value", None)) for c in counts)))


def _integer(digits: str) -> int:
    return int(digits.replace(",", "")[:18] or 0)
