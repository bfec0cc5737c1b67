// Rows of bf16 values in the layouts that products need for their right operands.
#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// Transposes 16 rows of 16 dwords; rows from `rows` on count as zero.
UNIVAR_AVX512_BF16 inline void transpose_tile(const Bf16* from, std::size_t rows, Bf16* to) {
    __m512i a[16], b[16];
    for (std::size_t i = 0; i < 16; ++i)
        a[i] = i < rows ? _mm512_loadu_si512(from + i * kPanel) : _mm512_setzero_si512();
    for (int i = 0; i < 8; ++i) {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    }
    for (int i = 0; i < 4; ++i) {  // lanes of four rows each: b[i] has columns i and i + 8 of rows 0..7
        b[i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88);
        b[4 + i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xdd);
        b[8 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88);
        b[12 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xdd);
    }
    for (int i = 0; i < 8; ++i) {
        _mm512_store_si512(to + 32 * i, _mm512_shuffle_i32x4(b[i], b[8 + i], 0x88));
        _mm512_store_si512(to + 32 * (8 + i), _mm512_shuffle_i32x4(b[i], b[8 + i], 0xdd));
    }
}

constexpr std::size_t in_order(std::size_t i) { return i; }

// Writes 32 rows of 32 values as two tiles of 16 values each, rows 2 i and 2 i + 1 as pair place(i); rows
// from `rows` on count as zero.
template <std::size_t (*place)(std::size_t) = in_order>
UNIVAR_AVX512_BF16 inline void pair_tiles(const Bf16* from, std::size_t rows, Bf16* to) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7,
                                         38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (std::size_t i = 0; i < 16; ++i) {
        const __m512i even =
            2 * i < rows ? _mm512_loadu_si512(from + 2 * i * kPanel) : _mm512_setzero_si512();
        const __m512i odd =
            2 * i + 1 < rows ? _mm512_loadu_si512(from + (2 * i + 1) * kPanel) : _mm512_setzero_si512();
        _mm512_store_si512(to + 32 * place(i), _mm512_permutex2var_epi16(even, low, odd));
        _mm512_store_si512(to + kTile + 32 * place(i), _mm512_permutex2var_epi16(even, high, odd));
    }
}

// Which lanes of a block of 32 keys have a key: low and high half.
struct Lanes {
    __mmask16 low = 0xffff, high = 0xffff;

    static Lanes of(std::size_t keys) {
        const std::uint32_t mask = keys >= 32 ? 0xffffffffu : (1u << keys) - 1u;
        return {static_cast<__mmask16>(mask & 0xffffu), static_cast<__mmask16>(mask >> 16)};
    }
};

}  // namespace univar
#endif
