"""Learning from a larger network: its probabilities say more about an image than a label does."""

from typing import Any

import keras
from keras import layers, ops


class Distillation(keras.Model):
    """A network in training that learns, for each moved image, what a teacher sees in it.

    The loss is that of Hinton, Vinyals and Dean (*Distilling the Knowledge in a Neural Network*,
    2015): a weighted mean of the cross-entropy with the labels and of the cross-entropy with the
    teacher's probabilities, both sides softened by a temperature. The teacher sees the image as it
    was moved by the augmentation, does not learn, and is not part of the student.

    Args:
        augmentation: moves the images in training.
        student: images to probabilities; its weights are trained.
        teacher: images to probabilities of the same classes. It is frozen: set `trainable` before
            you train it again.
        share: of the teacher in the loss, above 0 to 1; the rest is the labels'.
        temperature: by which logits are divided, above 0; 1 leaves probabilities as they are.

    Raises:
        ValueError: shapes of student and teacher differ, or a number is out of its range.
    """

    def __init__(
        self,
        augmentation: layers.Layer,
        student: keras.Model,
        teacher: keras.Model,
        *,
        share: float = 0.9,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        for side in ("input_shape", "output_shape"):
            found, expected = getattr(teacher, side), getattr(student, side)
            if found != expected:
                raise ValueError(f"expected a teacher with {side} {expected}, got {found}")
        if not 0 < share <= 1 or not temperature > 0:
            found = f"{share} and {temperature}"
            raise ValueError(f"expected a share above 0 to 1, a temperature above 0, got {found}")
        self.augmentation, self.student, self.teacher = augmentation, student, teacher
        self.share, self.temperature = share, temperature
        teacher.trainable = False

    def call(self, images: Any, training: bool | None = None) -> tuple[Any, Any]:
        """The student's and the teacher's probabilities for the images as they were moved."""
        moved = self.augmentation(images, training=training)
        return self.student(moved, training=training), self.teacher(moved, training=False)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The weighted mean of both cross-entropies, in nats."""
        by_student, by_teacher = y_pred
        smoothed = tuple(y.shape[1:]) == tuple(by_student.shape[1:])  # one probability per class
        kind = "categorical_crossentropy" if smoothed else "sparse_categorical_crossentropy"
        from_labels = ops.mean(keras.losses.get(kind)(y, by_student))
        soft_teacher = ops.stop_gradient(soften(by_teacher, self.temperature))
        soft_student = soften(by_student, self.temperature)
        from_teacher = ops.mean(keras.losses.categorical_crossentropy(soft_teacher, soft_student))
        # A gradient through the temperature shrinks with its square; this undoes it.
        from_teacher = from_teacher * self.temperature**2
        return (1 - self.share) * from_labels + self.share * from_teacher

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Metrics are the student's."""
        return super().compute_metrics(x, y, y_pred[0], sample_weight)


def soften(probabilities: Any, temperature: float) -> Any:
    """Divide the logits behind probabilities of shape `(batch, classes)` by a temperature."""
    logits = ops.log(ops.maximum(probabilities, 1e-7))
    return ops.softmax(logits / temperature, axis=-1)
