"""Muon for convolution kernels, and the rate that an optimizer follows."""

import math
from typing import Any

import keras
from keras import ops

SCHEDULES = ("linear", "cosine", "constant")


@keras.saving.register_keras_serializable("evalib")
class ConvolutionMuon(keras.optimizers.Muon):
    """Keras's Muon, with the kernels of convolutions treated as matrices. Arguments are Keras's.

    Muon replaces the momentum of a weight matrix by the nearest orthogonal matrix, so that all
    directions move by the same amount (Jordan, *Muon: An optimizer for hidden layers in neural
    networks*, 2024). Here a kernel of shape `(height, width, input channels, channels)` counts as a
    matrix of `height * width * input channels` rows, as in Jordan's own code; the step has the size
    that Adam's would have (Liu et al., *Muon is Scalable for LLM Training*, 2025, section 2.2). All
    other weights get AdamW: 1x1 kernels and those of depthwise convolutions among them.
    """

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        if len(variable.shape) != 4:
            return True
        height, width, _, columns = variable.shape
        return height * width == 1 or columns == 1

    def _muon_update_step(self, gradient: Any, variable: keras.Variable, lr: Any, m: Any) -> None:
        # Keras casts the rate for AdamW's weights alone: float64 and half precision need it, too.
        super()._muon_update_step(gradient, variable, ops.cast(lr, variable.dtype), m)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        # So that the mean square of an orthogonal step is that of an Adam step.
        rows, columns = math.prod(x.shape[:-1]), x.shape[-1]
        return x * (self.rms_rate * math.sqrt(max(rows, columns)))


@keras.saving.register_keras_serializable("evalib")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a straight line to its peak, then falls almost to zero.

    With a straight fall it is the one-cycle policy's triangle (Smith, 2018), the cosine is half a
    wave (Loshchilov and Hutter, *SGDR*, 2017), and `"constant"` does not fall. Half a step is
    left, so that no rate is zero. The peak is finite and above 0, the steps in all are at least 1,
    and the share of them before the peak is above 0 and below 1.
    """

    def __init__(self, peak: float, steps: int, warmup_share: float, shape: str = "linear") -> None:
        super().__init__()
        if not (0 < peak < math.inf and steps >= 1 and 0 < warmup_share < 1 and shape in SCHEDULES):
            raise ValueError(
                "expected a finite peak above 0, at least 1 step, a warm-up share between 0 and 1 "
                f"and one of {', '.join(SCHEDULES)}, got {peak}, {steps}, {warmup_share}, {shape!r}"
            )
        self.peak, self.steps, self.warmup_share, self.shape = peak, steps, warmup_share, shape

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0; float32."""
        progress = (ops.cast(step, "float32") + 1.0) / self.steps
        remaining = ops.clip(1 - progress, 0.5 / self.steps, 1.0)
        falling = ops.minimum(remaining / (1 - self.warmup_share), 1.0)
        if self.shape == "cosine":
            falling = ops.square(ops.sin(0.5 * math.pi * falling))
        elif self.shape == "constant":
            falling = ops.ones_like(falling)
        return self.peak * ops.minimum(progress / self.warmup_share, falling)

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("peak", "steps", "warmup_share", "shape")}
