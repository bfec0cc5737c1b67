// Passes over rows between the products: LayerNorm, embeddings, rotary embedding, pooling.
#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// A LayerNorm, and the bias of the linear layer whose output is added to its result afterwards.
struct StreamNorm {
    const float *weight, *bias, *next_bias;  // (dim,)
    float eps;
};

// x = layer_norm(stream) in bf16, stream = layer_norm(stream) + next_bias. dim: a multiple of 32.
void layer_norm(Stream stream, std::size_t rows, std::size_t dim, const StreamNorm& norm, Panels x);

// The same for word[id] + position[place in the text]; position may be null.
void embed_tokens(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                  const float* word, const float* position, std::size_t dim, const StreamNorm& norm,
                  Stream stream, Panels x);

// Rotates the pairs (i, i + head_dim / 2) of one head's rows by the angles of their row. cosines, sines:
// (rows, head_dim / 2), a multiple of 16 columns.
void rotate_pairs(Panels head, std::size_t rows, std::size_t head_dim, const float* cosines,
                  const float* sines);

// out (dim,) = the mean of the rows, scaled to length 1.
void mean_pool(Stream stream, std::size_t rows, std::size_t dim, float* out);

}  // namespace univar
#endif
