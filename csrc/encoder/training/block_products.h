// A matrix of bf16 rows in the layouts that products over its rows and over its columns need, and products of
// two such matrices, on AMX or by dot products.
#pragma once

#include <cstddef>

#include "common/pages.h"
#include "encoder/panels/amx/tiles.h"
#include "encoder/panels/dot/products.h"
#include "encoder/panels/operands.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

constexpr std::size_t kSums = 16 * 16;         // floats of a tile
constexpr std::size_t kBlockSums = 4 * kSums;  // a block of 32 x 32 sums: four tiles, row by row

// Two tiles of 16 rows (left) or 16 columns (right), over several steps of 32 inner values.
struct Operand {
    const Bf16* data;
    std::size_t second, step;  // distance to the second tile and to the next step
};

// Where a block of 32 x 32 sums lies: four tiles one after the other, or within a matrix of floats.
struct Sums {
    float* data;
    std::size_t row_bytes = kTileBytes, right = kSums, below = 2 * kSums;

    Sums(float* block) : data(block) {}
    static Sums in_matrix(float* first, std::size_t columns) {
        Sums sums(first);
        sums.row_bytes = columns * sizeof(float), sums.right = 16, sums.below = 16 * columns;
        return sums;
    }
};

// Products on AMX. multiply() sets a block of 32 x 32 sums to left x right, or adds that to it. The calling
// thread holds a Session.
struct TileBlocks {
    using Session = TileRegisters;

    UNIVAR_AMX_BF16 static void multiply(Operand left, Operand right, std::size_t steps, Sums sums,
                                         bool add) {
        float *top = sums.data, *bottom = top + sums.below;
        memory_barrier();
        if (add) {
            _tile_loadd(0, top, sums.row_bytes);
            _tile_loadd(1, top + sums.right, sums.row_bytes);
            _tile_loadd(2, bottom, sums.row_bytes);
            _tile_loadd(3, bottom + sums.right, sums.row_bytes);
        } else {
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
        }
        const Bf16 *a = left.data, *b = right.data;
        for (std::size_t i = 0; i < steps; ++i, a += left.step, b += right.step) {
            _tile_loadd(4, a, kTileBytes);
            _tile_loadd(6, b, kTileBytes);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, b + right.second, kTileBytes);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, a + left.second, kTileBytes);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, top, sums.row_bytes);
        _tile_stored(1, top + sums.right, sums.row_bytes);
        _tile_stored(2, bottom, sums.row_bytes);
        _tile_stored(3, bottom + sums.right, sums.row_bytes);
        memory_barrier();
    }
};

// The same by dot products, which need nothing in a session.
struct DotBlocks {
    struct Session {};

    UNIVAR_AVX512_BF16 static void multiply(Operand left, Operand right, std::size_t steps, Sums sums,
                                            bool add) {
        for (std::size_t row = 0; row < 32; row += kRows) {
            const std::size_t tile = row / kTileRows, in_tile = row % kTileRows;
            float* to = sums.data + tile * sums.below + in_tile * sums.row_bytes / sizeof(float);
            __m512 block[kRows][2];
            for (std::size_t i = 0; i < kRows; ++i)
                for (std::size_t half = 0; half < 2; ++half)
                    block[i][half] = add ? _mm512_loadu_ps(at(sums, to, i, half)) : _mm512_setzero_ps();
            add_products<Bf16Dot>(
                {left.data + tile * left.second + in_tile * kPanel, left.step * sizeof(Bf16), right.data,
                 right.second * sizeof(Bf16), right.step * sizeof(Bf16), steps},
                block);
            for (std::size_t i = 0; i < kRows; ++i)
                for (std::size_t half = 0; half < 2; ++half)
                    _mm512_storeu_ps(at(sums, to, i, half), block[i][half]);
        }
    }

  private:
    static constexpr std::size_t kRows = 8;  // at a time; divides 16

    static float* at(const Sums& sums, float* first, std::size_t row, std::size_t half) {
        return first + row * sums.row_bytes / sizeof(float) + half * sums.right;
    }
};

// Columns 0..15 of row i of a block of sums; columns 16..31 are kSums floats further.
inline const float* sums_row(const float* block, std::size_t i) {
    return block + i / 16 * 2 * kSums + i % 16 * 16;
}

// Some columns of some rows, such as those of one head and one text, in the layouts that products need. The
// number of rows is rounded up to a multiple of 32; the additional ones are zero.
class OperandMatrix {
  public:
    void reserve(std::size_t tokens, std::size_t head_dim) {
        blocks_ = (tokens + 31) / 32;
        panels_ = head_dim / kPanel;
        rows_.reserve(blocks_ * panels_ * kBlock);
    }

    // Copies row i, head_dim values, from `from` + i * stride.
    UNIVAR_AVX512_BF16 void copy(const Bf16* from, std::size_t stride, std::size_t tokens) {
        for (std::size_t i = 0; i < blocks_ * kPanel; ++i)
            for (std::size_t p = 0; p < panels_; ++p)
                _mm512_store_si512(row(p, i), i < tokens ? _mm512_loadu_si512(from + i * stride + p * kPanel)
                                                         : _mm512_setzero_si512());
    }

    Bf16* row(std::size_t panel, std::size_t i) {
        return rows_.data() + (panel * blocks_ * kPanel + i) * kPanel;
    }
    std::size_t panels() const { return panels_; }
    std::size_t blocks() const { return blocks_; }

    // 32 rows as a left operand over the dims.
    Operand left(std::size_t block) { return {row(0, block * kPanel), kTile, blocks_ * kBlock}; }

    // For right_transposed(): columns are this matrix's rows, inner values its dims.
    UNIVAR_AVX512_BF16 void lay_out_transposed() {
        transposed_.reserve(blocks_ * panels_ * kBlock);
        Bf16* to = transposed_.data();
        for (std::size_t i = 0; i < blocks_ * kPanel; i += kTileRows)
            for (std::size_t p = 0; p < panels_; ++p, to += kTile) transpose_tile(row(p, i), kTileRows, to);
    }
    Operand right_transposed(std::size_t block) const {
        return {transposed_.data() + block * panels_ * kBlock, panels_ * kTile, kTile};
    }

    // For right(): columns are dims, inner values are rows.
    UNIVAR_AVX512_BF16 void lay_out_pairs() {
        pairs_.reserve(blocks_ * panels_ * kBlock);
        for (std::size_t p = 0; p < panels_; ++p)
            for (std::size_t block = 0; block < blocks_; ++block)
                pair_tiles(row(p, block * kPanel), kPanel, pairs_.data() + (p * blocks_ + block) * kBlock);
    }
    Operand right(std::size_t panel) const {
        return {pairs_.data() + panel * blocks_ * kBlock, kTile, kBlock};
    }

    // For left_transposed(): rows are dims, inner values are this matrix's rows. Call lay_out_pairs() first.
    UNIVAR_AVX512_BF16 void lay_out_left_transposed() {
        left_.reserve(blocks_ * panels_ * kBlock);
        for (std::size_t tile = 0; tile < 2 * blocks_ * panels_; ++tile)
            transpose_tile(pairs_.data() + tile * kTile, kTileRows, left_.data() + tile * kTile);
    }
    Operand left_transposed(std::size_t panel, std::size_t block) const {
        return {left_.data() + (panel * blocks_ + block) * kBlock, kTile, kBlock};
    }

  private:
    std::size_t blocks_ = 0, panels_ = 0;
    PageArray<Bf16> rows_, transposed_, pairs_, left_;
};

}  // namespace univar
#endif
