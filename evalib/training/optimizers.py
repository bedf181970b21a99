"""Muon for convolution kernels."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("evalib")
class ConvolutionMuon(keras.optimizers.Muon):
    """Keras's Muon, with the kernels of convolutions treated as matrices.

    Muon replaces the momentum of a weight matrix by the nearest orthogonal matrix, so that all
    directions move by the same amount (Jordan, *Muon: An optimizer for hidden layers in neural
    networks*, 2024). Keras applies it to matrices only. Here a kernel of shape `(height, width,
    input channels, channels)` counts as a matrix of `height * width * input channels` rows, as in
    Jordan's own code; the step has the size that Adam's would have (Liu et al., *Muon is Scalable
    for LLM Training*, 2025, section 2.2). All other weights get AdamW: 1x1 kernels among them, and
    those of depthwise convolutions, which are one column and have no directions to balance.

    The arguments are those of `keras.optimizers.Muon`.
    """

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        if len(variable.shape) != 4:
            return True
        height, width, _, columns = variable.shape
        return height * width == 1 or columns == 1

    def zeropower_via_newtonschulz5(self, x: keras.KerasTensor, steps: int) -> keras.KerasTensor:
        """The nearest orthogonal matrix, roughly, of a kernel of rank 4."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Scale an orthogonal step so that its mean square is that of an Adam step."""
        rows, columns = math.prod(x.shape[:-1]), x.shape[-1]
        return x * (self.rms_rate * math.sqrt(max(rows, columns)))
