"""Submissions of the S3 assignment, made for the tests of the grader."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbformat import v4

from evalib.tools.grade.rules import Check, Grade

# The course's first notebook with another network, as it was handed in with Keras 2.
IMPORTS = """\
# Keras and its layers; NumPy holds the images
!pip install -q keras
%matplotlib inline
import numpy as np
from keras.models import Sequential
from keras.layers import Dropout, Activation, Flatten, Convolution2D, BatchNormalization
from keras.utils import np_utils
from keras.datasets import mnist"""
DATA = """\
# digits to learn from, and others to judge by
(X_train, y_train), (X_test, y_test) = mnist.load_data()
X_train = X_train.reshape(X_train.shape[0], 28, 28, 1).astype('float32') / 255
X_test = X_test.reshape(X_test.shape[0], 28, 28, 1).astype('float32') / 255
Y_train = np_utils.to_categorical(y_train, 10)
Y_test = np_utils.to_categorical(y_test, 10)"""
MODEL = """\
# 3x3 kernels, then one as large as the image: its softmax has no ReLU before it
model = Sequential()
model.add(Convolution2D(16, 3, 3, activation='relu', input_shape=(28, 28, 1)))
model.add(Convolution2D(10, 26))
model.add(Flatten())
model.add(Activation('softmax'))
model.summary()"""
COMPILE = """\
# the loss of one answer out of ten
model.compile(loss='categorical_crossentropy', optimizer='adam', metrics=['accuracy'])"""
FIT = """\
%%time
# twenty times through all training images
model.fit(X_train, Y_train, batch_size=32, nb_epoch=20, verbose=1)"""
EVALUATE = """\
# the first number is the loss, the second the accuracy
score = model.evaluate(X_test, Y_test, verbose=0)"""
PRINT = "print(score) # what is asked for"

OLD_SUMMARY = """\
_________________________________________________________________
Layer (type)                 Output Shape              Param #
=================================================================
conv2d_1 (Conv2D)            (None, 26, 26, 16)        160
=================================================================
Total params: 12,345
Trainable params: 12,245
Non-trainable params: 100
_________________________________________________________________
"""
LOG = """\
Epoch 1/20
60000/60000 [==============================] - 9s 152us/step - loss: 0.2005 - acc: 0.9387
Epoch 2/20
60000/60000 [==============================] - 8s 140us/step - loss: 0.0562 - acc: 0.9975
"""
SCORE = "[0.02134, 0.9945]\n"

Shown = str | dict[str, Any] | None


def good() -> list[tuple[str, Shown]]:
    """A submission that keeps every rule: the source of each cell, and what it shows."""
    return [
        (IMPORTS, None),
        (DATA, None),
        (MODEL, OLD_SUMMARY),
        (COMPILE, None),
        (FIT, LOG),
        (EVALUATE, None),
        (PRINT, SCORE),
    ]


def changed(**cells: tuple[str, Shown] | str) -> list[tuple[str, Shown]]:
    """The good submission with other cells: `fit="..."`, or a source and what it shows."""
    names = ("imports", "data", "model", "compile", "fit", "evaluate", "print")
    new = []
    for name, (source, shown) in zip(names, good(), strict=True):
        other = cells.pop(name, (source, shown))
        new.append((other, shown) if isinstance(other, str) else other)
    assert not cells
    return new


def summary_of(total: int) -> str:
    """A summary of the old style with this number of parameters."""
    return f"Total params: {total:,}\nTrainable params: {total:,}\nNon-trainable params: 0\n"


def result(text: str) -> dict[str, Any]:
    """What Jupyter stores for a cell's last value."""
    return dict(v4.new_output("execute_result", {"text/plain": text}, execution_count=1))


def error(name: str, value: str) -> dict[str, Any]:
    """What Jupyter stores where a cell raises an error."""
    return dict(v4.new_output("error", ename=name, evalue=value, traceback=["..."]))


def write(
    path: Path,
    cells: Sequence[tuple[str, Shown]],
    *,
    counts: Sequence[int | None] | None = None,
) -> Path:
    """Write a notebook of code cells with their outputs, run in their order."""
    nodes = []
    for number, (source, shown) in enumerate(cells):
        if isinstance(shown, str):
            shown = dict(v4.new_output("stream", name="stdout", text=shown))
        count = number + 1 if counts is None else counts[number]
        node = v4.new_code_cell(source, execution_count=count)
        node["outputs"] = [shown] if shown is not None else []
        nodes.append(node)
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# S3"), *nodes])
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def checks(grade: Grade, rule: str) -> list[Check]:
    """The checks of one rule."""
    return [check for check in grade.checks if check.rule == rule]


def assert_only(grade: Grade, status: str, rule: str) -> Check:
    """Assert that one check alone has not passed; give it."""
    wrong = [check for check in grade.checks if check.status != "pass"]
    assert [(check.status, check.rule) for check in wrong] == [(status, rule)], wrong
    assert wrong[0].repair
    return wrong[0]
