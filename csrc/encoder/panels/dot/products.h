// Products in registers by the dot products of AVX-512: pairs of bf16 (BF16) or groups of four bytes (VNNI).
// Both read the layouts of panels and tiles. A step takes 64 bytes of a row and, from a tile of the right
// operand, the same inner values of 16 columns.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// Rows at a time: each takes two registers of sums; two more hold the right operand and one the left.
constexpr std::size_t kDotRows = 12;
constexpr std::size_t kDots = 16;                          // 4-byte groups of inner values in a step
constexpr std::size_t kDotTileBytes = kDots * kTileBytes;  // of 16 columns in a step

struct Bf16Dot {
    using Sum = __m512;
    UNIVAR_AVX512_BF16 static __m512 add(__m512 sum, __m512i left, __m512i right) {
        return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(left), reinterpret_cast<__m512bh>(right));
    }
};

// left: unsigned; right: signed. Sums are vectors of int, since GCC keeps arrays of __m512i (long long) in
// memory instead of registers.
struct ByteDot {
    typedef std::int32_t Sum __attribute__((vector_size(64)));
    UNIVAR_AVX512_BF16 static Sum add(Sum sum, __m512i left, __m512i right) {
        return reinterpret_cast<Sum>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), left, right));
    }
};

// What a product reads. Left: rows, whose steps are left_step bytes apart. Right: 16 columns, and 16 more
// `second` bytes after them, whose steps are right_step bytes apart. ahead: what to prefetch; it moves on by
// ahead_step with every group of inner values.
struct DotProduct {
    const char *left, *right;
    std::size_t left_step, second, right_step, steps;
    const char* ahead;
    std::size_t ahead_step = 0;

    DotProduct(const void* rows, std::size_t rows_step, const void* columns, std::size_t second_tile,
               std::size_t columns_step, std::size_t n)
        : left(static_cast<const char*>(rows)),
          right(static_cast<const char*>(columns)),
          left_step(rows_step),
          second(second_tile),
          right_step(columns_step),
          steps(n),
          ahead(right) {}
};

// sums += left x right, for kRows rows and 32 columns.
template <typename Dot, std::size_t kRows>
UNIVAR_AVX512_BF16 UNIVAR_INLINE void add_products(DotProduct p, typename Dot::Sum (&sums)[kRows][2]) {
    for (std::size_t step = 0; step < p.steps; ++step, p.left += p.left_step, p.right += p.right_step)
        for (std::size_t dot = 0; dot < kDots; ++dot, p.ahead += p.ahead_step) {
            __builtin_prefetch(p.ahead, 0, 2);
            const char* right = p.right + dot * kTileBytes;
            const __m512i low = _mm512_loadu_si512(right), high = _mm512_loadu_si512(right + p.second);
            for (std::size_t i = 0; i < kRows; ++i) {
                int group;
                __builtin_memcpy(&group, p.left + i * kTileBytes + dot * sizeof group, sizeof group);
                const __m512i left = _mm512_set1_epi32(group);
                sums[i][0] = Dot::add(sums[i][0], left, low);
                sums[i][1] = Dot::add(sums[i][1], left, high);
            }
        }
}

// The functions of an output for 1 to kDotRows rows.
template <typename Kind, std::size_t... kRow>
constexpr auto runs_by_rows(std::index_sequence<kRow...>) {
    struct {
        void (*of[kDotRows])(const Kind&, const DotProduct&, std::size_t);
    } runs{{&Kind::template run<kRow + 1>...}};
    return runs;
}

// Multiplies all rows with one panel of weights: calls Kind::run<rows>(kind, product, first row) for up to
// kDotRows rows at a time. Meanwhile the next panel is prefetched.
template <typename Kind>
void pass_rows(const Kind& kind, DotProduct product, std::size_t rows) {
    static constexpr auto kRuns = runs_by_rows<Kind>(std::make_index_sequence<kDotRows>());
    const std::size_t blocks = (rows + kDotRows - 1) / kDotRows;
    product.ahead = product.right + product.steps * product.right_step;
    product.ahead_step = kTileBytes * ((2 + blocks - 1) / blocks);  // a group reads two lines of weights
    for (std::size_t row = 0; row < rows; row += kDotRows) {
        kRuns.of[std::min(rows - row, kDotRows) - 1](kind, product, row);
        product.left += kDotRows * kTileBytes;
        product.ahead += product.ahead_step * product.steps * kDots;
    }
}

}  // namespace univar
#endif
