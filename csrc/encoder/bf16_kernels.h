// What a transformer layer does between its matrix products, over packed texts in bfloat16. Single-threaded:
// the caller runs one batch per thread. All need CpuFeatures::amx_bf16; without it bf16_kernels_usable() is
// false and they do nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace univar {

using Bf16 = std::uint16_t;  // the upper half of a float

constexpr std::size_t kMaxDim = 8192;

// A LayerNorm over rows of dim values; weight, bias: (dim,).
struct Norm {
    const float* weight;
    const float* bias;
    float eps;
};

bool bf16_kernels_usable();

// In all: dim a multiple of 32 up to kMaxDim; cu_seqlens: (texts + 1,), text i is rows cu_seqlens[i] to
// cu_seqlens[i + 1].

// out = layer_norm(word[id] + position[place in the text]), in float32 until stored.
// ids: (tokens,) in [0, V); word: (V, dim); position: (longest text, dim) or null; out: (tokens, dim).
void embed(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, const float* word,
           const float* position, const Norm& norm, std::size_t dim, Bf16* out);

// out = layer_norm(x + residual), in float32 until stored. x, residual, out: (rows, dim), may be the same.
void add_layer_norm(const Bf16* x, const Bf16* residual, const Norm& norm, std::size_t rows, std::size_t dim,
                    Bf16* out);

// x = gelu(x) in place, the exact gelu to 2e-4. n: a multiple of 32.
void gelu(Bf16* x, std::size_t n);

// Attention of every token to the tokens of its own text, scaled by 1 / sqrt(head_dim).
// qkv: (tokens, 3, heads, head_dim); out: (tokens, heads * head_dim); head_dim 32, 64, 96 or 128.
void attention(const Bf16* qkv, const std::int32_t* cu_seqlens, std::size_t texts, std::size_t heads,
               std::size_t head_dim, Bf16* out);

// One row of length 1 per text: the mean of its rows, or its first row. x: (tokens, dim); out: (texts, dim).
void pool(const Bf16* x, const std::int32_t* cu_seqlens, std::size_t texts, std::size_t dim, bool first_only,
          float* out);

}  // namespace univar
