// Balancing for int8. A row of activations is rounded to steps of its largest value, and models have a few
// columns of states that are many times the size of the others, which would cost the others their precision.
// So column i of a linear layer's input is divided by factor i, and the weights that it meets are multiplied
// by it: the square root of the column's size over that of its weights.
#pragma once

#include <vector>

#include "encoder/forward.h"
#include "encoder/model_parts.h"

namespace univar {

// Factors of one layer's inputs, (dim,) each.
struct LayerBalance {
    std::vector<float> qkv, up;
};

// One for each layer. Sizes of columns are measured by running random tokens through the float32 forward.
std::vector<LayerBalance> int8_balances(const ModelShape& shape, const ModelWeights& weights);

// Multiplies column i of every row by factors[i].
void scale_columns(DenseLinear& linear, const std::vector<float>& factors);

}  // namespace univar
