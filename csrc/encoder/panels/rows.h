// What needs one pass over the rows between the products: LayerNorm, embeddings, rotary embedding, pooling.
#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_AMX)

namespace univar {

// Sums of the residual stream, float32: row r at data + r * stride.
struct Stream {
    float* data;
    std::size_t stride;

    float* row(std::size_t r) const { return data + r * stride; }
    Stream from_row(std::size_t r) const { return {row(r), stride}; }
};

// A LayerNorm, and the bias of the linear layer whose output is added to its result next.
struct StreamNorm {
    const float *weight, *bias, *next_bias;  // (dim,)
    float eps;
};

// x = layer_norm(stream) in bf16, stream = layer_norm(stream) + next_bias. dim: a multiple of 32.
void normalize(Stream stream, std::size_t rows, std::size_t dim, const StreamNorm& norm, Panels x);

// The same of word[id] + position[place in the text]; position may be null.
void embed(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, const float* word,
           const float* position, std::size_t dim, const StreamNorm& norm, Stream stream, Panels x);

// Turns the pairs (i, i + head_dim / 2) of one head's rows by the angle of their row. cosines, sines: (rows,
// head_dim / 2), a multiple of 16 columns.
void rotate(Panels head, std::size_t rows, std::size_t head_dim, const float* cosines, const float* sines);

// out (dim,) = the mean of the rows, brought to length 1.
void pool(Stream stream, std::size_t rows, std::size_t dim, float* out);

}  // namespace univar
#endif
