"""Muon for convolution kernels, and the rate that an optimizer follows."""

import math
from typing import Any

import keras
from keras import ops

SCHEDULES = ("linear", "cosine", "constant")


@keras.saving.register_keras_serializable("evalib")
class ConvolutionMuon(keras.optimizers.Muon):
    """Keras's Muon, with the kernels of convolutions treated as matrices.

    Muon replaces the momentum of a weight matrix by the nearest orthogonal matrix, so that all
    directions move by the same amount (Jordan, *Muon: An optimizer for hidden layers in neural
    networks*, 2024). Keras applies it to matrices only. Here a kernel of shape `(height, width,
    input channels, channels)` counts as a matrix of `height * width * input channels` rows, as in
    Jordan's own code; the step has the size that Adam's would have (Liu et al., *Muon is Scalable
    for LLM Training*, 2025, section 2.2). All other weights get AdamW: 1x1 kernels among them, and
    those of depthwise convolutions, which have no directions to balance. Arguments are Keras's.
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
        """The nearest orthogonal matrix, roughly, of a kernel of rank 4."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scale an orthogonal step so that its mean square is that of an Adam step."""
        rows, columns = math.prod(x.shape[:-1]), x.shape[-1]
        return x * (self.rms_rate * math.sqrt(max(rows, columns)))


@keras.saving.register_keras_serializable("evalib")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a straight line to its peak, then falls almost to zero.

    With a straight fall it is the triangle of the one-cycle policy (Smith, 2018,
    arXiv:1803.09820), without its momentum cycle. The cosine is that of Loshchilov and Hutter
    (*SGDR*, 2017): half a wave, from its top to its bottom. The last step would have the rate
    zero and teach nothing: it is taken half a step earlier.

    Args:
        peak: the highest rate, finite and above 0.
        steps: the number of optimizer steps in all, at least 1.
        warmup_share: the share of the steps before the peak, above 0 and below 1.
        shape: of the fall: `"linear"`, `"cosine"`, or `"constant"`, which does not fall.

    Raises:
        ValueError: one of these is out of its range, or there is no such shape.
    """

    def __init__(self, peak: float, steps: int, warmup_share: float, shape: str = "linear") -> None:
        super().__init__()
        if not (0 < peak < math.inf and steps >= 1 and 0 < warmup_share < 1):
            raise ValueError(
                "expected a finite peak above 0, at least 1 step and a warm-up share between 0 "
                f"and 1, got {peak}, {steps} and {warmup_share}"
            )
        if shape not in SCHEDULES:
            raise ValueError(f"expected a schedule of {', '.join(SCHEDULES)}, got {shape!r}")
        self.peak, self.steps, self.warmup_share, self.shape = peak, steps, warmup_share, shape

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0; float32."""
        progress = (ops.cast(step, "float32") + 1.0) / self.steps
        remaining = ops.clip(1 - progress, 0.5 / self.steps, 1.0)
        rising = progress / self.warmup_share
        falling = ops.minimum(remaining / (1 - self.warmup_share), 1.0)
        if self.shape == "cosine":
            falling = ops.square(ops.sin(0.5 * math.pi * falling))
        elif self.shape == "constant":
            falling = ops.ones_like(falling)
        return self.peak * ops.minimum(rising, falling)

    def get_config(self) -> dict[str, Any]:
        names = ("peak", "steps", "warmup_share", "shape")
        return {name: getattr(self, name) for name in names}
