"""Where the images and the models of a notebook come from and where they go, read from its source.

The cells' syntax trees are walked in their order; nothing is run. A name carries labels: "train"
and "test" for images of `load_data()` and all that is made from them, "part" for a piece,
"multiplied" for images put together or repeated, "repeated" for a dataset that repeats itself.
Where a name's origin is not seen, its own wording decides: `X_test` is taken for test images.
"""

import ast
import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from evalib.tools.grade.source import call_name, dotted, dotted_names, parse
from evalib.tools.grade.submissions import Cell

Labels = frozenset[str]
NOTHING: Labels = frozenset()

_LOADERS = {"load_data", "load_mnist"}
_JOINS = {"concatenate", "concat", "vstack", "append", "r_"}
_COPIES = {"repeat", "tile"}
_AXIS_PLACES = {"concatenate": 1, "concat": 1, "repeat": 2, "append": 2}  # as functions
_MODULES = {"np", "numpy", "tf", "keras", "ops", "K", "jnp"}
# What these give are numbers about the images, or predictions: no images any more.
_NO_IMAGES = {"len", "range", "print", "type", "mean", "std", "var", "min", "max", "sum", "argmax",
              "shape", "fit", "fit_generator", "evaluate", "evaluate_generator", "predict",
              "predict_classes", "predict_generator", "unique", "bincount"}  # fmt: skip
_NO_IMAGES_OF = {"shape", "dtype", "size", "ndim"}
_MODEL_CALLS = {"fit", "fit_generator", "evaluate", "evaluate_generator", "compile", "summary",
                "count_params", "train_on_batch"}  # fmt: skip
FITS = {"fit", "fit_generator", "train_on_batch"}
_FIT_OPTIONS = {"epochs", "nb_epoch", "batch_size", "validation_data", "validation_split",
                "steps_per_epoch", "samples_per_epoch", "callbacks"}  # fmt: skip
SCOPES = (ast.For, ast.While, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp,
          ast.GeneratorExp, ast.FunctionDef, ast.Lambda, ast.ClassDef)  # fmt: skip
LOOPS = SCOPES[:7]

# Bounds that no notebook written by hand comes near: reading must end soon for any.
_LOOK_BACK = 50  # assignments to one name
_MOST_ORIGINS = 50  # expressions that a value comes from
_MOST_NAMES = 400  # names that are followed for these
MOST_TARGETS = 10  # of `a = b = c = ...`


@dataclass(frozen=True)
class Place:
    """A node, the number of its cell, its place in the order, and what loops etc. are around it."""

    cell: int
    node: ast.AST
    order: int
    around: tuple[ast.AST, ...] = ()

    @property
    def loops(self) -> list[ast.AST]:
        """The loops around it, the outermost first; those around its function do not count."""
        inner = list(self.around)
        for index in range(len(inner) - 1, -1, -1):
            if isinstance(inner[index], (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
                inner = inner[index + 1 :]
                break
        return [node for node in inner if isinstance(node, LOOPS)]

    @property
    def functions(self) -> list[ast.AST]:
        """The functions and classes around it, the outermost first."""
        return [node for node in self.around if not isinstance(node, LOOPS)]

    def sees(self, other: "Place") -> bool:
        """Whether a name bound at another place, earlier, has that value here."""
        functions = other.functions
        return other.order < self.order and self.functions[: len(functions)] == functions


@dataclass(frozen=True)
class Call(Place):
    """A call that trains, scores or describes: its receiver, and its images' labels by then."""

    call: ast.Call = field(default_factory=lambda: ast.Call(ast.Name("f"), [], []))
    name: str = ""
    receiver: str = ""
    images: Labels = NOTHING
    validation: Labels = NOTHING

    def argument(self, *names: str) -> ast.expr | None:
        """The value given by keyword under the first of these names that is there."""
        given = {option.arg: option.value for option in self.call.keywords if option.arg}
        return next((given[name] for name in names if name in given), None)


class Flow:
    """What a notebook does with its images and models.

    Attributes:
        bindings: Each assignment to a name, or to an attribute such as `self.model`, in order.
        calls: Each call, in order.
        models: The names on which a model's methods are called.
        classes: Each class that is defined.
        prints: Each printed argument, and each cell's last value.
        too_deep: The numbers of the cells whose expressions are nested too deeply to follow.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.bindings: dict[str, list[tuple[Place, ast.expr | None]]] = {}
        self.calls: list[Call] = []
        self.classes: list[Place] = []
        self.prints: list[tuple[Place, ast.expr]] = []
        self.labels: dict[str, Labels] = {}
        self._loaded: dict[str, ast.expr] = {}
        self._bound_in: set[tuple[str, int]] = set()
        self._order = 0
        self.too_deep: list[int] = []
        for cell in cells:
            tree = parse(cell.source).tree
            try:
                if tree is not None:
                    self._read(cell.number, tree)
            except RecursionError:
                self.too_deep.append(cell.number)
        described = {call.receiver for call in self.calls if call.name in _MODEL_CALLS}
        self.models = {name for name in described if name}

    def last_binding(self, name: str, here: Place) -> tuple[Place, ast.expr | None] | None:
        """Where a name got the value that it has at a place, and from what if that is seen."""
        bound = self.bindings.get(name, [])
        earlier = bisect.bisect_left(bound, here.order, key=lambda item: item[0].order)
        near = bound[max(0, earlier - _LOOK_BACK) : earlier]
        return next((b for b in reversed(near) if here.sees(b[0])), None)

    def next_binding(self, name: str, here: Place) -> Place | None:
        """Where a name gets another value after a place; None where either is in a function."""
        bound = self.bindings.get(name, []) if not here.functions else []
        return next((p for p, _ in bound if p.order > here.order and not p.functions), None)

    def is_bound_in(self, name: str, node: ast.AST) -> bool:
        """Whether a name is assigned somewhere inside a loop."""
        return (name, id(node)) in self._bound_in

    def named(self, *names: str) -> list[Call]:
        """The calls of these functions or methods."""
        return [call for call in self.calls if call.name in names]

    def fits(self) -> list[Call]:
        """The calls that train a model; scalers and generators have a `fit` too, and are not it."""
        compiled = {call.receiver for call in self.named("compile", "evaluate", "summary")}
        return [
            call
            for call in self.named(*FITS)
            if call.receiver in compiled or any(o.arg in _FIT_OPTIONS for o in call.call.keywords)
        ]

    def origins(self, value: ast.expr, here: Place) -> Iterator[tuple[ast.expr, Place]]:
        """An expression and its place, then those that its names were last assigned from, etc."""
        seen: set[str] = set()
        waiting = [(value, here)]
        left = _MOST_NAMES
        for _ in range(_MOST_ORIGINS):
            if not waiting:
                return
            expression, place = waiting.pop(0)
            yield expression, place
            names = dotted_names(expression)[:left]
            left -= len(names)
            for name in names:
                bound = None if name in seen else self.last_binding(name, place)
                if bound is not None and bound[1] is not None:
                    seen.add(name)
                    waiting.append((bound[1], bound[0]))

    def labels_of(self, expression: ast.AST) -> Labels:
        """The labels of the images that an expression holds."""
        found: set[str] = set()
        waiting: list[ast.AST] = [expression]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Name):
                found |= self._named_labels(node.id)
            elif isinstance(node, ast.Attribute):
                waiting += [] if node.attr in _NO_IMAGES_OF else [node.value]
            elif isinstance(node, ast.Call):
                found |= self._call_labels(node)
            elif isinstance(node, ast.Subscript):
                found |= self._piece_labels(node)
            elif not isinstance(node, (ast.Constant, ast.Lambda)):
                waiting += ast.iter_child_nodes(node)
        return frozenset(found)

    def _named_labels(self, name: str) -> Labels:
        if name in self.labels:
            return self.labels[name]
        return _wording(name)

    def _piece_labels(self, node: ast.Subscript) -> Labels:
        if isinstance(node.value, ast.Attribute) and node.value.attr == "r_":
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self._joined(parts)
        labels = self.labels_of(node.value)
        first = node.slice.elts[:1] if isinstance(node.slice, ast.Tuple) else [node.slice]
        cut = first and isinstance(first[0], ast.Slice) and (first[0].lower or first[0].upper)
        picked = first and isinstance(first[0], (ast.Name, ast.Call, ast.Constant))
        if cut or (picked and not _is_none_or_dots(first[0])):
            return labels | {"part"} if labels else labels
        return labels

    def _call_labels(self, node: ast.Call) -> Labels:
        name = call_name(node)
        if name in _NO_IMAGES:
            return NOTHING
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        of_module = _is_module(receiver)
        given = [*node.args, *(option.value for option in node.keywords)]
        if name in _JOINS and not _along_channels(node):
            listed = [a.elts for a in node.args if isinstance(a, (ast.List, ast.Tuple))]
            return self._joined([part for parts in listed for part in parts] or node.args)
        if receiver is not None and not of_module:
            given = [receiver, *given]
        labels = frozenset[str]().union(*(self.labels_of(argument) for argument in given))
        if name == "train_test_split" and labels:
            return labels | {"part"}
        if name in _COPIES and labels and not _along_channels(node):
            return labels | {"multiplied" if of_module or node.args[1:] else "repeated"}
        return labels

    def _joined(self, parts: Iterable[ast.expr]) -> Labels:
        """Labels of images put together: more of them, unless pieces only are joined again."""
        each = [self.labels_of(part) for part in parts]
        whole = any("train" in labels and "part" not in labels for labels in each)
        labels = frozenset[str]().union(*each) - {"part"}
        return labels | {"multiplied"} if whole and len(each) > 1 else labels

    def _read(self, number: int, tree: ast.Module) -> None:
        for place in self._places(number, tree):
            node = place.node
            if isinstance(node, ast.Call):
                self._note_call(place, node)
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
                self._note_assignment(place, node)
            elif isinstance(node, (ast.For, ast.comprehension)):
                self._assign(node.target, node.iter, self.labels_of(node.iter) - {"part"})
                inside = replace(place, around=(*place.around, node))
                self._bind(inside if isinstance(node, ast.For) else place, node.target, None)
            elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
                for argument in ast.walk(node.args):
                    if isinstance(argument, ast.arg):
                        inside = replace(place, around=(*place.around, node))
                        self._bind_name(inside, argument.arg, None)
            elif isinstance(node, ast.ClassDef):
                self.classes.append(place)
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            self.prints.append((Place(number, tree.body[-1], self._order), tree.body[-1].value))

    def _places(self, number: int, tree: ast.Module) -> Iterator[Place]:
        """The nodes in the order of the text; an assignment comes after what it assigns."""
        waiting: list[tuple[ast.AST, tuple[ast.AST, ...], bool]] = [(tree, (), False)]
        while waiting:
            node, around, ready = waiting.pop()
            late = isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr))
            if late and not ready:
                waiting.append((node, around, True))
            else:
                self._order += 1
                yield Place(number, node, self._order, around)
            if late == ready and late:
                continue
            inner = (*around, node) if isinstance(node, SCOPES) else around
            children = reversed(list(ast.iter_child_nodes(node)))
            waiting += [(child, inner, False) for child in children]

    def _note_call(self, place: Place, node: ast.Call) -> None:
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        name = call_name(node)
        call = Call(place.cell, node, place.order, place.around, node, name, dotted(receiver))
        first = node.args[0] if node.args else call.argument("x", "generator")
        checked = call.argument("validation_data")
        images = self.labels_of(first) if first is not None else NOTHING
        validation = self.labels_of(checked) if checked is not None else NOTHING
        parts = (place.cell, node, place.order, place.around, node, name, call.receiver)
        self.calls.append(Call(*parts, images, validation))
        if name == "print":
            self.prints += [(place, argument) for argument in node.args]
        if name in ("append", "extend") and isinstance(receiver, ast.Name):
            added = frozenset[str]().union(*(self.labels_of(argument) for argument in node.args))
            self.labels[receiver.id] = self.labels.get(receiver.id, NOTHING) | added - {"part"}

    def _note_assignment(
        self, place: Place, node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr
    ) -> None:
        if node.value is None:
            return
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        value_labels = self.labels_of(node.value)
        for target in targets[:MOST_TARGETS]:
            labels = value_labels
            if isinstance(node, ast.AugAssign):
                labels |= self.labels_of(target)
            self._assign(target, node.value, labels)
            if not isinstance(node, ast.AugAssign):
                self._bind(place, target, node.value)

    def _bind(self, place: Place, target: ast.expr, value: ast.expr | None) -> None:
        named = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        for name in filter(None, map(dotted, named)):
            self._bind_name(place, name, value)

    def _bind_name(self, place: Place, name: str, value: ast.expr | None) -> None:
        self.bindings.setdefault(name, []).append((place, value))
        self._bound_in |= {(name, id(node)) for node in place.around}

    def _assign(self, target: ast.expr, value: ast.expr, labels: Labels) -> None:
        """Give the labels of a value to the names that it is assigned to."""
        if isinstance(value, ast.Name) and value.id in self._loaded:
            value = self._loaded[value.id]
        if isinstance(target, ast.Name):
            if isinstance(value, ast.Call) and call_name(value) in _LOADERS:
                self._loaded[target.id] = value
            if {"train", "test"} <= labels and isinstance(value, ast.Subscript):
                # All images, cut into two again: which part is which, the names say.
                labels = (_wording(target.id) | {"part"}) if _wording(target.id) else labels
            self.labels[target.id] = labels or self.labels_by_wording(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._assign_each(target.elts, value, labels)

    def _assign_each(self, targets: list[ast.expr], value: ast.expr, labels: Labels) -> None:
        if isinstance(value, ast.Call) and call_name(value) in _LOADERS and len(targets) == 2:
            for target, word in zip(targets, ("train", "test"), strict=True):
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        self.labels[name.id] = frozenset({word})
            return
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(targets):
            given = [self.labels_of(part) for part in value.elts]
            for target, part, own in zip(targets, value.elts, given, strict=True):
                self._assign(target, part, own)
            return
        for target in targets:
            own = labels
            if {"train", "test"} <= labels and isinstance(target, ast.Name):
                own = (self._named_labels(target.id) & {"train", "test"}) or labels
            self._assign(target, value, own)

    def labels_by_wording(self, name: str, value: ast.expr) -> Labels:
        """The labels of a name whose value says nothing: those of its wording, but for numbers."""
        plain = isinstance(value, ast.Constant) or not isinstance(value, (ast.Call, ast.Subscript))
        of_model = isinstance(value, ast.Call) and call_name(value) in _NO_IMAGES
        return NOTHING if plain or of_model else _wording(name)


def _wording(name: str) -> Labels:
    return frozenset(word for word in ("train", "test") if word in name.lower())


def _is_module(node: ast.AST | None) -> bool:
    return dotted(node).split(".")[0] in _MODULES


def _is_none_or_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (None, ...)


def _along_channels(node: ast.Call) -> bool:
    """Whether images are joined or repeated along an axis other than the first."""
    axis = next((option.value for option in node.keywords if option.arg == "axis"), None)
    place = _AXIS_PLACES.get(call_name(node))
    if axis is None and place is not None:
        of_method = isinstance(node.func, ast.Attribute) and not _is_module(node.func.value)
        axis = next(islice(node.args, place - of_method, None), None)
    if axis is None and call_name(node) == "tile" and len(node.args) > 1:
        counts = node.args[1].elts if isinstance(node.args[1], (ast.Tuple, ast.List)) else []
        return bool(counts) and isinstance(counts[0], ast.Constant) and counts[0].value == 1
    if isinstance(axis, ast.UnaryOp):
        return True
    return isinstance(axis, ast.Constant) and axis.value != 0
