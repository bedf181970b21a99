"""Learning from a larger network: its probabilities say more about an image than a label does."""

import keras
from keras import ops


class Distillation(keras.Model):
    """A network in training that is told, for each moved image, what a teacher sees in it.

    The loss is that of Hinton, Vinyals and Dean (*Distilling the Knowledge in a Neural Network*,
    2015): a weighted mean of the cross-entropy with the labels and of the cross-entropy with the
    teacher's probabilities, both sides softened by a temperature. The teacher sees the image as it
    was moved by the augmentation, does not learn, and is not part of the student.

    Args:
        augmentation: moves the images in training.
        student: images to probabilities; its weights are trained.
        teacher: images to probabilities of the same classes. Its weights are left as they are, and
            it is frozen: set `trainable` before you train it again.
        share: of the teacher in the loss, above 0 to 1; the rest is the labels'.
        temperature: by which logits are divided, above 0; 1 leaves probabilities as they are.

    Raises:
        ValueError: shapes of student and teacher differ, or a number is out of its range.
    """

    def __init__(
        self,
        augmentation: keras.layers.Layer,
        student: keras.Model,
        teacher: keras.Model,
        *,
        share: float = 0.9,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        for side in ("input_shape", "output_shape"):
            given, expected = getattr(teacher, side), getattr(student, side)
            if given != expected:
                raise ValueError(f"expected a teacher with {side} {expected}, got {given}")
        if not 0 < share <= 1 or not temperature > 0:
            raise ValueError(
                f"expected a share above 0 to 1 and a temperature above 0, got {share} and "
                f"{temperature}"
            )
        self.augmentation, self.student, self.teacher = augmentation, student, teacher
        self.share, self.temperature = share, temperature
        teacher.trainable = False

    def call(
        self, images: keras.KerasTensor, training: bool | None = None
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """The student's and the teacher's probabilities for the images as they were moved."""
        moved = self.augmentation(images, training=training)
        return self.student(moved, training=training), self.teacher(moved, training=False)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):  # type: ignore[no-untyped-def]
        """The weighted mean of both cross-entropies, in nats."""
        by_student, by_teacher = y_pred
        losses = keras.losses  # smoothed labels are a probability for each class
        smoothed = len(y.shape) == len(by_student.shape) and y.shape[-1] == by_student.shape[-1]
        by_label = (
            losses.categorical_crossentropy if smoothed else losses.sparse_categorical_crossentropy
        )
        from_labels = ops.mean(by_label(y, by_student))
        soft_teacher = ops.stop_gradient(soften(by_teacher, self.temperature))
        soft_student = soften(by_student, self.temperature)
        from_teacher = ops.mean(keras.losses.categorical_crossentropy(soft_teacher, soft_student))
        # A gradient through the temperature shrinks with its square; this undoes it.
        from_teacher = from_teacher * self.temperature**2
        return (1 - self.share) * from_labels + self.share * from_teacher

    def compute_metrics(self, x, y, y_pred, sample_weight=None):  # type: ignore[no-untyped-def]
        """Metrics are the student's."""
        return super().compute_metrics(x, y, y_pred[0], sample_weight)


def soften(probabilities: keras.KerasTensor, temperature: float) -> keras.KerasTensor:
    """Divide the logits behind probabilities of shape `(batch, classes)` by a temperature.

    Example:
        >>> from keras import ops
        >>> [round(float(one), 2) for one in soften(ops.array([[0.8, 0.2]]), 2.0)[0]]
        [0.67, 0.33]
    """
    logits = ops.log(ops.maximum(probabilities, 1e-7))
    return ops.softmax(logits / temperature, axis=-1)
