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
SCORE = "[0.02134, 0.9945]\n"
LOG = """\
Epoch 1/20
60000/60000 [==============================] - 9s 152us/step - loss: 0.2005 - acc: 0.9387
Epoch 2/20
60000/60000 [==============================] - 8s 140us/step - loss: 0.0562 - acc: 0.9975
"""
TORCH_IMPORTS = """\
# PyTorch, the digits, and a table of layers
import torch
from torch import nn
from torchvision import datasets, transforms
from torchsummary import summary"""
TORCH_DATA = """\
# batches of digits
to = transforms.ToTensor()
learn = torch.utils.data.DataLoader(datasets.MNIST('.', train=True, transform=to), batch_size=64)
judge = torch.utils.data.DataLoader(datasets.MNIST('.', train=False, transform=to), batch_size=9)"""
TORCH_MODEL = """\
# two convolutions
net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 26), nn.Flatten())
summary(net, (1, 28, 28))"""
TORCH_STEPS = """\
# how to learn and how to count
def train(net, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
def test(net, loader):
    right = sum((net(x).argmax(1) == y).sum().item() for x, y in loader)
    print(f'Accuracy: {right}/{len(loader.dataset)} ({100 * right / len(loader.dataset):.0f}%)')"""
TORCH_FIT = """\
# two epochs
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for epoch in range(2):
    train(net, learn, optimizer)
    test(net, judge)"""

Shown = str | dict[str, Any] | None
Cells = list[tuple[str, Shown]]
TEXT: dict[str, Any] = {"is": "a text cell"}  # in place of what a cell shows


def summary_of(total: int) -> str:
    return f"Total params: {total:,}\nTrainable params: {total:,}\nNon-trainable params: 0\n"


def good() -> Cells:
    """A submission that keeps every rule: the source of each cell, and what it shows."""
    shown = (None, None, summary_of(12_345), None, LOG, None, SCORE)
    return list(zip((IMPORTS, DATA, MODEL, COMPILE, FIT, EVALUATE, PRINT), shown, strict=True))


def torch(log: str, shown: str = summary_of(12_345), **sources: str) -> Cells:
    model, fit = (sources.get("model", TORCH_MODEL), shown), sources.get("fit", TORCH_FIT)
    return [(TORCH_IMPORTS, None), (TORCH_DATA, None), model, (TORCH_STEPS, None), (fit, log)]


def changed(**cells: tuple[str, Shown] | str) -> Cells:
    """The good submission with other cells: `fit="..."`, or a source and what it shows."""
    names = ("imports", "data", "model", "compile", "fit", "evaluate", "print")
    new = []
    for name, (source, shown) in zip(names, good(), strict=True):
        other = cells.pop(name, (source, shown))
        new.append((other, shown) if isinstance(other, str) else other)
    assert not cells
    return new


def result(text: str) -> dict[str, Any]:
    return dict(v4.new_output("execute_result", {"text/plain": text}, execution_count=1))


def error(name: str, value: str) -> dict[str, Any]:
    return dict(v4.new_output("error", ename=name, evalue=value, traceback=["..."]))


def write(path: Path, cells: Cells, counts: Sequence[int | None] | None = None) -> Path:
    """Write a notebook of cells with their outputs, run in their order or with these counts."""
    nodes: list[Any] = []
    numbers = iter(range(1, len(cells) + 1) if counts is None else counts)
    for source, shown in cells:
        if shown is TEXT:
            nodes.append(v4.new_markdown_cell(source))
            continue
        nodes.append(v4.new_code_cell(source, execution_count=next(numbers)))
        if isinstance(shown, str):
            shown = dict(v4.new_output("stream", name="stdout", text=shown))
        nodes[-1]["outputs"] = [shown] if shown is not None else []
    path.write_text(json.dumps(v4.new_notebook(cells=nodes)), encoding="utf-8")
    return path


def checks(grade: Grade, rule: str) -> list[Check]:
    return [check for check in grade.checks if check.rule == rule]


def assert_only(grade: Grade, status: str, rule: str) -> Check:
    """Assert that one check alone has not passed; give it."""
    wrong = [check for check in grade.checks if check.status != "pass"]
    assert [(check.status, check.rule) for check in wrong] == [(status, rule)], wrong
    return wrong[0]
