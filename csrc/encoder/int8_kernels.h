// Products of whole numbers of 8 bits, for the forward without AMX tiles: rows are rounded to 127 steps of
// their own, columns of a weight matrix to 127 of theirs; sums are exact. csrc/encoder/simd/bytes.h is the
// source for every instruction set.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "encoder/block_forward.h"
#include "encoder/simd/float32_kernels.h"

namespace univar {

// a: (rows, depth) bytes by rows with a stride, as Int8Kernels::round_rows writes them; b: panels of
// Float32Kernels::panel columns, each (depth / 4, panel, 4). Element (i, j) of a b counts row_steps[i] *
// column_steps[j], after what `offsets` (columns,) has for the left operand's offset. depth: a multiple of 4.
struct ByteProduct : Outcome {
    const std::uint8_t* a = nullptr;
    std::size_t a_stride = 0, rows = 0, depth = 0;
    const std::int8_t* b = nullptr;
    std::size_t columns = 0;
    const float *row_steps = nullptr, *column_steps = nullptr, *offsets = nullptr;
};

struct Int8Kernels {
    int left_offset;  // what is added to the left operand's numbers

    // to = x factors / step, rounded, plus left_offset, where 127 steps are the row's largest magnitude; then
    // zeros up to a multiple of 4 columns. x: (rows, columns); factors: (columns,) or null; to: (rows,
    // to_stride); steps: (rows,).
    void (*round_rows)(const float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                       const float* factors, std::uint8_t* to, std::size_t to_stride, float* steps);

    void (*multiply)(const ByteProduct& product);
};

// The table of an instruction set up to kAvx512 (with VNNI); throws where this build or processor has not got
// it.
const Int8Kernels& int8_kernels(Isa isa);

// Whether a model's rows and columns make whole panels of bytes, and its heads of bf16.
bool fills_byte_panels(const ModelShape& shape);

// The forward over panels, on AMX or by dot products; throws where the processor has not got it, or the shape
// does not fill panels.
std::unique_ptr<Forward> make_int8_panel_forward(const ModelShape& shape, const ModelWeights& weights,
                                                 Isa isa);

// Balances for a model in 8 bits, by running random tokens through it on `isa`, up to kAvx512.
std::vector<LayerBalance> int8_balances(const ModelShape& shape, const ModelWeights& weights, Isa isa);

}  // namespace univar
