// Sixteen floats at a time. Functions carry their target: the library itself is built for any x86-64.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define UNIVAR_SIMD avx512
#define UNIVAR_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define UNIVAR_STEP UNIVAR_TARGET inline __attribute__((always_inline))

namespace univar {
namespace avx512 {

using Vec = __m512;
constexpr std::size_t kLanes = 16;
constexpr int kTileRows = 8, kTileVectors = 3;  // 24 sums, 3 of the right operand, 1 of the left

UNIVAR_STEP Vec set1(float x) { return _mm512_set1_ps(x); }
UNIVAR_STEP Vec load(const float* x) { return _mm512_loadu_ps(x); }
UNIVAR_STEP void store(float* x, Vec v) { _mm512_storeu_ps(x, v); }

UNIVAR_STEP __mmask16 first_lanes(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
UNIVAR_STEP Vec load_first(const float* x, std::size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), x); }
UNIVAR_STEP void store_first(float* x, Vec v, std::size_t n) { _mm512_mask_storeu_ps(x, first_lanes(n), v); }
// v in the first n lanes, x in the others.
UNIVAR_STEP Vec keep_first(Vec v, std::size_t n, Vec x) { return _mm512_mask_mov_ps(x, first_lanes(n), v); }

UNIVAR_STEP Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
UNIVAR_STEP Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
UNIVAR_STEP Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
UNIVAR_STEP Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
UNIVAR_STEP Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
UNIVAR_STEP Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
UNIVAR_STEP Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }  // a b + c

UNIVAR_STEP Vec round(Vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// a 2^n, n whole and in -126 .. 126.
UNIVAR_STEP Vec scale2(Vec a, Vec n) { return _mm512_scalef_ps(a, n); }

// The halves by masked extraction: GCC 12 warns about the others' undefined lanes.
UNIVAR_STEP float sum_lanes(Vec a) {
    const __m256 b =
        _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, a, 0), _mm512_maskz_extractf32x8_ps(0xff, a, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
UNIVAR_STEP float max_lanes(Vec a) {
    const __m256 b =
        _mm256_max_ps(_mm512_maskz_extractf32x8_ps(0xff, a, 0), _mm512_maskz_extractf32x8_ps(0xff, a, 1));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

// Whole numbers of 8 bits, by fours, and their sums. The left operand is stored plus 128, since the
// instruction takes it unsigned.
#define UNIVAR_BYTES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")))
#define UNIVAR_BYTES_STEP UNIVAR_BYTES_TARGET inline __attribute__((always_inline))

typedef std::int32_t Ints __attribute__((vector_size(64)));  // GCC keeps arrays of __m512i in memory
constexpr int kLeftOffset = 128;

UNIVAR_BYTES_STEP Ints no_ints() { return Ints{}; }
UNIVAR_BYTES_STEP __m512i load_ints(const void* x) { return _mm512_loadu_si512(x); }
// sums + the products of four bytes `left`, the same for all lanes, with four of each lane of `right`.
UNIVAR_BYTES_STEP Ints dot4(Ints sums, int left, __m512i right) {
    return reinterpret_cast<Ints>(
        _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sums), _mm512_set1_epi32(left), right));
}
UNIVAR_BYTES_STEP Vec to_floats(Ints x) { return _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(x)); }
// The first n lanes, rounded to whole numbers in -127 .. 127, as bytes.
UNIVAR_BYTES_STEP void store_bytes(void* to, Vec x, std::size_t n) {
    const __m512i bytes = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(kLeftOffset));
    _mm_mask_storeu_epi8(to, first_lanes(n), _mm512_cvtepi32_epi8(bytes));
}

}  // namespace avx512
}  // namespace univar
