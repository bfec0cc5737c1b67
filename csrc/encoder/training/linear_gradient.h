// Gradients of a linear layer with respect to its weight and bias, for training: bf16 in, float out, on AMX
// tiles or by the dot products of AVX-512 BF16.
#pragma once

#include <cstddef>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// A linear layer's inputs x (rows, inputs) and the gradients d_out (rows, outputs) of its outputs; both
// widths are multiples of 32.
struct LinearBatch {
    const Bf16 *x, *d_out;
    std::size_t rows, inputs, outputs;
};

// d_weight: (outputs, inputs) = d_out^T x; d_bias: (outputs,), the sums of d_out's columns. Fastest if
// d_weight is aligned to cache lines.
void linear_gradient(const LinearBatch& batch, bool use_tiles, float* d_weight, float* d_bias);

}  // namespace univar
#endif
