// Activations and weights in 8 bits, in panels, for exact sums of products. Every row of activations and
// every row of weights has a rounding step of its own. Where products take activations as unsigned bytes,
// these are stored plus an offset.
#pragma once

#include <cstdint>
#include <vector>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

constexpr std::size_t kBytePanel = 64;                     // columns of a panel of bytes
constexpr std::size_t kByteTile = kTileRows * kBytePanel;  // bytes of a tile

// A matrix of bytes in panels of 64 columns; within a panel, columns lie in the order of byte_column().
struct BytePanels {
    std::int8_t* data;
    std::size_t stride;

    std::int8_t* panel(std::size_t p) const { return data + p * stride; }
    BytePanels from_row(std::size_t row) const { return {data + row * kBytePanel, stride}; }
};

inline std::size_t byte_panel_stride(std::size_t rows) { return 2 * panel_stride(rows); }

// The column that lies at a place of its panel. In this order vectors of bf16 become bytes without shuffles.
inline std::size_t byte_column(std::size_t place) {
    const std::size_t lane = place / 16, quarter = place / 4 % 4;
    return quarter / 2 * 32 + 2 * (4 * lane + place % 4) + quarter % 2;
}

// Rows of activations in bytes, with their rounding steps.
struct ByteRows {
    BytePanels bytes;
    const float* steps;
    std::size_t rows;
};

// Weights of y = x weight^T + bias: by panels of 32 outputs, then by 64 inputs; two tiles of 16 outputs each.
// The value of byte (row, i) is the byte times steps[row].
struct PackedBytes {
    const std::int8_t* weight;
    const float* steps;          // (out,)
    const float* bias;           // (out,)
    const std::int32_t* starts;  // (out,): where sums start, so that the activations' offset cancels
    std::size_t in, out;
};

// Packs weight (out, in); in: a multiple of 64, out: of 32. Writes in * out bytes to `packed`, and `out`
// steps and starts. offset: of the activations.
void pack_bytes(const float* weight, std::size_t out, std::size_t in, int offset, std::int8_t* packed,
                float* steps, std::int32_t* starts);

// Factors (columns,) in the order in which round_panels() takes them.
std::vector<float> ordered_factors(const std::vector<float>& factors);

// to = x factors / step, rounded, plus offset; a row's step is its largest magnitude / 127. x: (rows,
// columns), columns a multiple of 64; factors: ordered, or null; steps: (rows,).
void round_panels(Panels x, std::size_t rows, std::size_t columns, const float* factors, int offset,
                  BytePanels to, float* steps);

}  // namespace univar
#endif
