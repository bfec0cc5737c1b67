// Products of bf16 pairs in registers, by the dot products of AVX-512 BF16.
#pragma once

#include <cstddef>

#include "encoder/panels.h"

#if defined(UNIVAR_AMX)

namespace univar {

// Rows times two vectors of sums, beside them two vectors of the right operand and one of the left.
constexpr std::size_t kDotRows = 12;
constexpr std::size_t kPairs = kPanel / 2;  // of a step of 32 inner values

// Rows from `left` on, in panels `left_step` apart, times columns in two tiles: the second tile and the next
// step are `second` and `right_step` away. `ahead`: what to prefetch, going on by ahead_step with every pair.
struct DotProduct {
    const Bf16 *left, *right;
    std::size_t left_step, second, right_step, steps;
    const char* ahead = nullptr;
    std::size_t ahead_step = 0;
};

// 16 pairs of values.
UNIVAR_AVX512 inline __m512bh load_pairs(const Bf16* pairs) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(pairs));
}

// One pair 16 times.
UNIVAR_AVX512 inline __m512bh repeat_pair(const Bf16* pair) {
    int bits;
    __builtin_memcpy(&bits, pair, sizeof bits);
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(bits));
}

// sums += left right, kRows rows and 32 columns.
template <std::size_t kRows>
UNIVAR_AVX512 inline __attribute__((always_inline)) void add_products(DotProduct p,
                                                                      __m512 (&sums)[kRows][2]) {
    for (std::size_t step = 0; step < p.steps; ++step, p.left += p.left_step, p.right += p.right_step)
        for (std::size_t pair = 0; pair < kPairs; ++pair, p.ahead += p.ahead_step) {
            __builtin_prefetch(p.ahead, 0, 2);
            const Bf16* right = p.right + pair * kPanel;
            const __m512bh low = load_pairs(right), high = load_pairs(right + p.second);
            for (std::size_t i = 0; i < kRows; ++i) {
                const __m512bh left = repeat_pair(p.left + i * kPanel + 2 * pair);
                sums[i][0] = _mm512_dpbf16_ps(sums[i][0], left, low);
                sums[i][1] = _mm512_dpbf16_ps(sums[i][1], left, high);
            }
        }
}

}  // namespace univar
#endif
