// Weights of linear layers in bf16, packed for products with activations in panels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// Weights of y = x weight^T + bias as tiles: by panels of 32 outputs, then by 32 inputs; two tiles of 16
// outputs each.
struct PackedLinear {
    const Bf16* weight;
    const float* bias;  // (out,), never null
    std::size_t in, out;
};

// What a product does to its sums before they become bf16.
enum class Finish { kCopy, kGelu, kGeluTanh, kRelu, kSwiglu };

inline Bf16 round_to_bf16(float value) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return static_cast<Bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Writes out * in values to `to`; row r of the packed matrix is row source_row(r) of `weight` (out, in),
// times row_scale(r).
template <typename SourceRow, typename RowScale>
void pack_weight(const float* weight, std::size_t out, std::size_t in, SourceRow source_row,
                 RowScale row_scale, Bf16* to) {
    for (std::size_t row = 0; row < out; ++row) {
        const float* from = weight + source_row(row) * in;
        const float scale = row_scale(row);
        Bf16* panel =
            to + row / kPanel * kPanel * in + row % kPanel / kTileRows * kTile + row % kTileRows * 2;
        for (std::size_t i = 0; i < in; ++i)
            panel[i / kPanel * 2 * kTile + i % kPanel / 2 * 32 + i % 2] = round_to_bf16(from[i] * scale);
    }
}

}  // namespace univar
#endif
