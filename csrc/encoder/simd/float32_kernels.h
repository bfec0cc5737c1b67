// The kernels of the float32 forward: products of packed matrices and what lies between them. Each
// instruction set has one table of these functions; csrc/encoder/simd has their one source.
#pragma once

#include <cstddef>
#include <optional>

#include "encoder/forward.h"

namespace univar {

// c = activation((a b + bias + add) times). For kSwiglu the activation is the gate's, x / (1 + exp(-x)). The
// sum over depth is taken in order whatever the sizes: a row's result depends on nothing but its row of a.
struct Product {
    // (rows, depth)
    const float* a = nullptr;
    std::size_t a_stride = 0, rows = 0, depth = 0;

    // Panels of Float32Kernels::columns columns, each (depth, columns) with b_stride floats between its rows.
    const float* b = nullptr;
    std::size_t b_stride = 0, panel_stride = 0, columns = 0;

    const float* bias = nullptr;  // (columns,), or null
    const float* add = nullptr;   // (rows, columns), or null; may be c
    std::size_t add_stride = 0;
    const float* times = nullptr;  // (rows, columns), or null; may be c
    std::size_t times_stride = 0;
    std::optional<Activation> activation = std::nullopt;

    // (rows, columns)
    float* c = nullptr;
    std::size_t c_stride = 0;
};

// Queries, keys and values of one head of one text: (tokens, head_dim) each with the same stride. Queries
// carry the factor log2(e) / sqrt(head_dim). out: (tokens, head_dim).
struct HeadAttention {
    const float *queries, *keys, *values;
    std::size_t stride, tokens, head_dim;
    float* scratch;  // attention_scratch() floats
    float* out;
    std::size_t out_stride;
};

struct Float32Kernels {
    std::size_t columns;  // of a packed panel
    std::size_t rows;     // of the left operand that a product takes at once
    std::size_t lanes;    // floats of a vector

    void (*multiply)(const Product& product);

    // x = layer_norm(x) in place. x: (rows, dim).
    void (*layer_norm)(float* x, std::size_t stride, std::size_t rows, std::size_t dim,
                       const NormWeights& norm, float eps);

    // Rotates the pairs (i, i + head_dim / 2) of row t of x by angle i of row t. x: (tokens, head_dim);
    // cosines, sines: (tokens, head_dim / 2).
    void (*rotate)(float* x, std::size_t stride, std::size_t tokens, std::size_t head_dim,
                   const float* cosines, const float* sines);

    void (*attend)(const HeadAttention& attention);

    // out = the sum of `tokens` rows of x, scaled to length 1. x: (tokens, dim); out: (dim,).
    void (*pool)(const float* x, std::size_t stride, std::size_t tokens, std::size_t dim, float* out);
};

// Floats of scratch for a text of `tokens` tokens.
std::size_t attention_scratch(const Float32Kernels& kernels, std::size_t tokens, std::size_t head_dim);

// The table of an instruction set up to kAvx512; throws if this build or CPU has not got it.
const Float32Kernels& float32_kernels(Isa isa);

}  // namespace univar
