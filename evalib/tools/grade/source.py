"""A cell's source as Python: what its comments are worth, and what its expressions name and show.

Nothing is run: the source goes through Python's own parser and tokenizer. IPython's magics are
taken out before, line by line, so that line numbers stay.
"""

import ast
import io
import re
import sys
import textwrap
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

MAX_SOURCE = 100_000  # characters of a cell that are analyzed
MIN_LETTERS = 3  # of a comment: "# CNN" says something, "# --" and "# 26" do not

EVALUATES = {"evaluate", "evaluate_generator"}
_LEAST_WORDS = 3  # characters by which a printed line is known
_PYTHON_MAGICS = {"capture", "prun", "py", "pypy", "python", "python3", "time", "timeit"}
_PROGRAM_MAGICS = {"bash", "file", "perl", "ruby", "script", "sh", "writefile"}
_LIBRARIES = {"cv2", "keras", "matplotlib", "np", "numpy", "pandas", "PIL", "plt", "pylab",
              "scipy", "skimage", "sklearn", "tensorflow", "tf", "torch", "vis"}  # fmt: skip
# What a comment says to a program: "# !pip install keras", not "# !important: 28x28 images".
_DIRECTIVE = re.compile(
    r"!(?=/|\s?(?:pip|apt|conda|curl|wget|git|ls|cd|cp|mv|mkdir|unzip|tar|python|nvidia)\d?\b)|"
    r"-\*-|coding[:=]|noqa|type: ?ignore|pylint|fmt:|ruff:|@param|In ?\["
)
_PRINT_STATEMENT = re.compile(
    r"(?m)^([ \t]{0,40})print(?:[ \t]{1,4}(?![(=])([^\n#]{0,400}?),?)?[ \t]{0,4}(#[^\n]*)?$"
)
_LONGEST_STATEMENT = 12  # lines of commented-out code that are tried together


@dataclass(frozen=True)
class Parsed:
    """A cell's source, read.

    Attributes:
        text: The source with magics taken out.
        tree: Its syntax tree; None where it is no Python.
        note: What kept it from being read as Python 3; None where nothing did.
        is_python: False where a cell magic hands the cell to another language.
    """

    text: str
    tree: ast.Module | None
    note: str | None = None
    is_python: bool = True


@lru_cache(maxsize=1024)
def parse(source: str) -> Parsed:
    """Read a cell's source as Python 3, with IPython's magics taken out.

    Python 2's print statements are rewritten, and noted, so that the rest can be read.
    """
    if len(source) > MAX_SOURCE:
        return Parsed("", None, f"has more than {MAX_SOURCE:,} characters")
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        magic = re.match(r"%%\s*(\w+)", first)
        if magic is None or magic[1] not in _PYTHON_MAGICS:
            of_program = magic is not None and magic[1] in _PROGRAM_MAGICS
            note = "hands its text to another program" if of_program else None
            return Parsed(source, None, note, is_python=False)
        source = "\n" + rest
    # A line of `% score[1])` may go on with the one above: it is no magic if all is Python so.
    close = "\n".join(_without_magics(source.split("\n"), r"%{1,2}[A-Za-z]|[!?]"))
    blanked = "\n".join(_without_magics(source.split("\n"), "[%!?]"))
    for text in (source, close, blanked, textwrap.dedent(blanked)):
        tree = _tree(text)
        if tree is not None:
            return Parsed(text, tree)
    rewritten = _PRINT_STATEMENT.sub(r"\1print(\2)  \3", blanked)
    tree = _tree(rewritten)
    if tree is not None and rewritten != blanked:
        return Parsed(rewritten, tree, "has a print statement of Python 2")
    return Parsed(blanked, None, "is not valid Python 3")


def comment_kind(source: str) -> str:
    """What a cell's comments are.

    Returns:
        "real" where at least one says something in words; else "code" where there is nothing but
        commented-out code, "empty" where there is no word in them, "string" where a text in
        quotes stands in place of a comment, or "none".
    """
    kinds = set(map(_kind, _comments(source)))
    for kind in ("real", "code", "empty"):
        if kind in kinds:
            return kind
    tree = parse(source).tree
    first = tree.body[0] if tree and tree.body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if is_text and isinstance(first.value.value, str):  # type: ignore[union-attr]
        return "string"
    return "none"


def comment_texts(source: str) -> list[str]:
    """The comments that say something in words, a text each, in lower case."""
    return [" ".join(block).lower() for block in _comments(source) if _kind(block) == "real"]


def _comments(source: str) -> Iterator[list[str]]:
    """The texts of the comments, without their hash; those on adjacent lines come together."""
    block: list[str] = []
    last = -1
    for line, text, alone in _comment_lines(source):
        if block and not (alone and line == last + 1):
            yield block
            block = []
        block.append(text)
        last = line if alone else -1
    if block:
        yield block


def _comment_lines(source: str) -> list[tuple[int, str, bool]]:
    """Each comment's line, its text, and whether it has the line for itself."""
    parsed = parse(source)
    if not parsed.is_python:
        # In another language: a line that begins as comments do in shells, JavaScript or HTML.
        found = re.finditer(r"(?m)^[ \t]*(?:#|//|<!--)([^\n]*)$", parsed.text)
        return [(0, match[1], False) for match in found]
    lines = _shell_comments(source)
    try:
        for token in tokenize.generate_tokens(io.StringIO(parsed.text).readline):
            if token.type == tokenize.COMMENT:
                alone = not token.line[: token.start[1]].strip()
                lines.append((token.start[0], token.string.lstrip("#"), alone))
    except (tokenize.TokenError, SyntaxError):
        found = re.finditer(r"(?m)^[ \t]*#+([^\n]*)$", parsed.text)
        lines += [(parsed.text.count("\n", 0, hit.start()) + 1, hit[1], True) for hit in found]
    return lines


def _shell_comments(source: str) -> list[tuple[int, str, bool]]:
    """Comments behind a command of the shell: `!pip install keras  # why`."""
    found = re.finditer(r"(?m)^[ \t]*![^\n#'\"]*[ \t]#([^\n]*)$", source[:MAX_SOURCE])
    return [(0, match[1], False) for match in found]


def _kind(block: Sequence[str]) -> str:
    """Whether a block says something in words, "real", or holds only code, or neither."""
    lines = [re.sub(r"^\s*@(?:title|markdown)\b", "", line) for line in block]
    kind = "empty"
    start = 0
    while start < len(lines):
        line = lines[start].strip()
        if not _letters(line) or _DIRECTIVE.match(line):
            start += 1
            continue
        ends = range(start + 1, min(start + _LONGEST_STATEMENT, len(lines)) + 1)
        end = next((end for end in ends if _is_code(lines[start:end])), None)
        if end is None:
            return "real"
        kind, start = "code", end
    return kind


def _letters(text: str) -> bool:
    return sum(letter.isalpha() for letter in text) >= MIN_LETTERS


def _is_code(lines: Sequence[str]) -> bool:
    """Whether lines without their hashes are code: a call, an assignment, an import, a loop."""
    tree = _tree(textwrap.dedent("\n".join(lines)).strip())
    return tree is not None and any(_does_something(node) for node in ast.walk(tree))


def _does_something(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        # "import libraries" is a comment in words; "import numpy as np" is not.
        known = _LIBRARIES | sys.stdlib_module_names
        return any(part.asname or part.name.split(".")[0] in known for part in node.names)
    if isinstance(node, ast.AnnAssign):
        return node.value is not None
    kinds = (ast.Call, ast.Assign, ast.AugAssign, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    return isinstance(node, (*kinds, ast.For, ast.While, ast.With))


def _tree(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings that Python does not know
            return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _without_magics(lines: Sequence[str], begin: str) -> Iterator[str]:
    """The lines with `pass` in place of magics, shell commands and questions for help.

    Args:
        lines: The lines of a cell.
        begin: A pattern of how magics and commands begin.
    """
    goes_on = False
    for line in lines:
        content = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        assigned = re.match(r"([\w., ]{1,80}?) {0,4}= {0,4}[!%]", content)
        if goes_on:
            yield ""
        elif re.match(begin, content) or re.fullmatch(r"[\w.]+\?\??", content):
            goes_on = content.endswith("\\")
            yield f"{indent}pass"
            continue
        elif assigned:
            yield f"{indent}{assigned[1]} = None"
        else:
            yield line
        goes_on = (goes_on or bool(assigned)) and content.endswith("\\")


def call_name(node: ast.Call) -> str:
    """The last part of a called name: "fit" of `model.fit(...)`."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


@lru_cache(maxsize=4096)
def dotted_names(expression: ast.AST) -> tuple[str, ...]:
    """The names in an expression, and those with attributes, as `self.model`."""
    nodes = (node for node in ast.walk(expression) if isinstance(node, (ast.Name, ast.Attribute)))
    return tuple(dict.fromkeys(filter(None, map(dotted, nodes))))


@lru_cache(maxsize=4096)
def called_names(expression: ast.AST) -> frozenset[str]:
    """The last parts of all names that are called in an expression."""
    calls = (node for node in ast.walk(expression) if isinstance(node, ast.Call))
    return frozenset(map(call_name, calls))


def dotted(node: ast.AST | None) -> str:
    """A name with its attributes, as `self.model`; empty for any other expression."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def outside_evaluate(expression: ast.expr) -> Iterator[ast.AST]:
    """The nodes of an expression, without what `evaluate` is called with and losses taken from it.

    A loss is the first of what `evaluate` gives: `score[0]` or `score['loss']`.
    """
    waiting: list[ast.AST] = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        of_loss = isinstance(node, ast.Subscript) and is_first(node.slice)
        if not of_loss and not (isinstance(node, ast.Call) and call_name(node) in EVALUATES):
            waiting += reversed(list(ast.iter_child_nodes(node)))


@lru_cache(maxsize=4096)
def takes_from_one(expression: ast.expr) -> bool:
    """Whether an expression is `1 - accuracy` or `100 - 100 * accuracy`, or holds such a one."""
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and isinstance(node.left, ast.Constant)
        and node.left.value in (1, 100)
        for node in outside_evaluate(expression)
    )


def is_first(node: ast.expr) -> bool:
    """Whether an index is that of the loss in what `evaluate` gives."""
    return isinstance(node, ast.Constant) and node.value in (0, "loss")


def is_percent(expression: ast.expr) -> bool:
    """Whether a shown value was multiplied by 100."""
    products = (node for node in ast.walk(expression) if isinstance(node, ast.BinOp))
    return any(
        isinstance(side, ast.Constant) and side.value == 100
        for node in products
        if isinstance(node.op, ast.Mult)
        for side in (node.left, node.right)
    )


def first_words(shown: ast.AST) -> str:
    """The words that a call of `print` begins its line with; empty where it begins with a value."""
    first = shown.args[0] if isinstance(shown, ast.Call) and shown.args else None
    while first is not None and not isinstance(first, ast.Constant):
        if isinstance(first, ast.BinOp):  # "..." % value
            first = first.left
        elif isinstance(first, ast.Call) and isinstance(first.func, ast.Attribute):
            first = first.func.value  # "...".format(value)
        else:
            first = first.values[0] if isinstance(first, ast.JoinedStr) and first.values else None
    text = first.value if first is not None and isinstance(first.value, str) else ""
    words = re.split("[%{]", text)[0].strip().split("\n")[-1].strip()
    return words if len(words) >= _LEAST_WORDS else ""
