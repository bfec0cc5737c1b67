// The layout of matrices that the bf16 and int8 kernels share, on AMX tiles and on the dot products of
// AVX-512 alike, and the targets that these kernels are compiled for.
//
// Activations lie in panels of 32 columns: column panel p holds 64 bytes of every row, one row after the
// other, so that any 16 consecutive rows are one tile. Weights lie in panels of 32 outputs; each is a run of
// tiles in the order in which a product reads them.
#pragma once

#include <cstddef>
#include <cstdint>

// Defined where the compiler knows AMX and AVX512-BF16; without it a build has neither bf16 nor int8.
#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#define UNIVAR_X86_BF16 1
#include <immintrin.h>

#define UNIVAR_AVX512_BF16 \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx512bf16,avx2,fma")))
#define UNIVAR_INLINE inline __attribute__((always_inline))

namespace univar {

using Bf16 = std::uint16_t;  // the upper half of a float

constexpr std::size_t kPanel = 32;  // columns of a panel, rows of a block of two tiles
constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTile = kTileRows * 32;    // bf16 values of one tile
constexpr std::size_t kTileBytes = 64;           // one row of a tile
constexpr std::size_t kBlock = kPanel * kPanel;  // values of a 32 x 32 block

// A matrix of activations: column c of row r is data[c / 32 * stride + r * 32 + c % 32].
struct Panels {
    Bf16* data;
    std::size_t stride;

    Bf16* panel(std::size_t p) const { return data + p * stride; }
    Panels from_row(std::size_t row) const { return {data + row * kPanel, stride}; }
};

// Stride for that many rows: an odd number of tiles, so that panels do not compete for the same cache sets,
// and the tile behind the last row may be read.
inline std::size_t panel_stride(std::size_t rows) { return ((rows + 31) / 32 * 32 + 16) * kPanel; }

// The residual stream, float32: row r is at data + r * stride.
struct Stream {
    float* data;
    std::size_t stride;

    float* row(std::size_t r) const { return data + r * stride; }
    Stream from_row(std::size_t r) const { return {row(r), stride}; }
};

UNIVAR_AVX512_BF16 inline __m512 load_bf16(const Bf16* x) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// Stores 32 values; `low` are the first 16.
UNIVAR_AVX512_BF16 inline void store_bf16(Bf16* x, __m512 low, __m512 high) {
    const __m512bh packed = _mm512_cvtne2ps_pbh(high, low);
    __builtin_memcpy(x, &packed, sizeof packed);
}

UNIVAR_AVX512_BF16 inline void store_bf16(Bf16* x, __m512 values) {
    const __m256bh packed = _mm512_cvtneps_pbh(values);
    __builtin_memcpy(x, &packed, sizeof packed);
}

}  // namespace univar
#endif
