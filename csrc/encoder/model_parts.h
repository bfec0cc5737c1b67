// What the forwards take from a model: rows of its linear layers, rotary tables, and texts in blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "encoder/forward.h"

namespace univar {

// Rows of linear layers, copied together: weight (out, in), bias (out,) or empty.
struct DenseLinear {
    std::vector<float> weight, bias;
    std::size_t in, out = 0;
    explicit DenseLinear(std::size_t columns) : in(columns) {}
};

// Appends rows [first, first + rows) of `from` to `to`: columns [first_in, first_in + to.in), times `factor`.
void append_rows(DenseLinear& to, const LinearWeights& from, std::size_t first, std::size_t rows,
                 std::size_t first_in, float factor = 1.0f);

// Cosines and sines of the rotary embedding: (positions, head_dim / 2) each. Empty without rotary embedding.
struct RotaryTables {
    std::vector<float> cosines, sines;
    RotaryTables(const ModelShape& shape);
};

// Throws if sizes do not fit each other or the weights.
void check_shape(const ModelShape& shape, const ModelWeights& weights);

// Calls run_block(first text, texts) for one block of whole texts after the other. A block has up to
// `block_tokens` tokens, or is one longer text.
template <typename RunBlock>
void for_each_block(const std::int32_t* cu_seqlens, std::size_t texts, std::size_t block_tokens,
                    RunBlock run_block) {
    for (std::size_t first = 0, last; first < texts; first = last) {
        last = first + 1;
        while (last < texts &&
               static_cast<std::size_t>(cu_seqlens[last + 1] - cu_seqlens[first]) <= block_tokens)
            ++last;
        run_block(first, last - first);
    }
}

}  // namespace univar
