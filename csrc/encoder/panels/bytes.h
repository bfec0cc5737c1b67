// Activations and weights in 8 bits, in panels, for exact sums of products: rows of activations and rows of
// weights have rounding steps of their own. Activations are stored plus an offset where products take them
// unsigned.
#pragma once

#include <cstdint>
#include <vector>

#include "encoder/block_forward.h"
#include "encoder/panels/packed_linear.h"
#include "encoder/panels/rows.h"

#if defined(UNIVAR_AMX)

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

// Which column of its panel lies at a place: the order in which vectors of bf16 become bytes without
// shuffles.
inline std::size_t byte_column(std::size_t place) {
    const std::size_t lane = place / 16, quarter = place / 4 % 4;
    return quarter / 2 * 32 + 2 * (4 * lane + place % 4) + quarter % 2;
}

// Weights of y = x weight^T + bias: panels of 32 outputs, 64 inputs, two tiles of 16 outputs. Element (row,
// i) counts steps[row].
struct PackedBytes {
    const std::int8_t* weight;
    const float* steps;          // (out,)
    const float* bias;           // (out,)
    const std::int32_t* starts;  // (out,): what sums start from, to take back the activations' offset
    std::size_t in, out;
};

// Writes in * out bytes of weight, out steps and out starts. in: a multiple of 64; out: of 32.
void pack_bytes(const DenseLinear& from, int offset, std::int8_t* weight, float* steps, std::int32_t* starts);

// Factors (columns,) in the order in which round_panels takes them.
std::vector<float> ordered_factors(const std::vector<float>& factors);

// to = x factors / step, rounded, plus offset, where 127 steps are the row's largest magnitude. x: (rows,
// columns), columns a multiple of 64; factors: ordered, or null; steps: (rows,).
void round_panels(Panels x, std::size_t rows, std::size_t columns, const float* factors, int offset,
                  BytePanels to, float* steps);

// Rows of bytes with their steps.
struct ByteRows {
    BytePanels bytes;
    const float* steps;
    std::size_t rows;
};

}  // namespace univar
#endif
