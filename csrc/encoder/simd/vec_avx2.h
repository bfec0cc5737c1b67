// Eight floats at a time, with fused multiply-add. Functions carry their target: the library itself is built
// for any x86-64.
#pragma once

#include <immintrin.h>

#include <cstddef>

#define UNIVAR_SIMD avx2
#define UNIVAR_TARGET __attribute__((target("avx2,fma")))
#define UNIVAR_STEP UNIVAR_TARGET inline __attribute__((always_inline))

namespace univar {
namespace avx2 {

using Vec = __m256;
constexpr std::size_t kLanes = 8;
constexpr int kTileRows = 6, kTileVectors = 2;  // 12 sums, 2 of the right operand, 1 of the left

UNIVAR_STEP Vec set1(float x) { return _mm256_set1_ps(x); }
UNIVAR_STEP Vec load(const float* x) { return _mm256_loadu_ps(x); }
UNIVAR_STEP void store(float* x, Vec v) { _mm256_storeu_ps(x, v); }

UNIVAR_STEP __m256i first_lanes(std::size_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}
UNIVAR_STEP Vec load_first(const float* x, std::size_t n) { return _mm256_maskload_ps(x, first_lanes(n)); }
UNIVAR_STEP void store_first(float* x, Vec v, std::size_t n) { _mm256_maskstore_ps(x, first_lanes(n), v); }
// v in the first n lanes, x in the others.
UNIVAR_STEP Vec keep_first(Vec v, std::size_t n, Vec x) {
    return _mm256_blendv_ps(x, v, _mm256_castsi256_ps(first_lanes(n)));
}

UNIVAR_STEP Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
UNIVAR_STEP Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
UNIVAR_STEP Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
UNIVAR_STEP Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
UNIVAR_STEP Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
UNIVAR_STEP Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
UNIVAR_STEP Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }  // a b + c

UNIVAR_STEP Vec round(Vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// a 2^n, n whole and in -126 .. 126.
UNIVAR_STEP Vec scale2(Vec a, Vec n) {
    const __m256i exponent =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(exponent));
}

UNIVAR_STEP float sum_lanes(Vec a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
UNIVAR_STEP float max_lanes(Vec a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

// Whole numbers of 8 bits, by fours, and their sums.
#define UNIVAR_BYTES_TARGET UNIVAR_TARGET
#define UNIVAR_BYTES_STEP UNIVAR_STEP

using Ints = __m256i;
constexpr int kLeftOffset = 0;

UNIVAR_BYTES_STEP Ints no_ints() { return _mm256_setzero_si256(); }
UNIVAR_BYTES_STEP Ints load_ints(const void* x) { return _mm256_loadu_si256(static_cast<const __m256i*>(x)); }
// sums + the products of four bytes `left`, the same for all lanes, with four of each lane of `right`; none
// is -128, so that two products fit into 16 bits.
UNIVAR_BYTES_STEP Ints dot4(Ints sums, int left, Ints right) {
    const __m256i bytes = _mm256_set1_epi32(left);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(bytes), _mm256_sign_epi8(right, bytes));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
UNIVAR_BYTES_STEP Vec to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
// The first n lanes, rounded to whole numbers in -127 .. 127, as bytes.
UNIVAR_BYTES_STEP void store_bytes(void* to, Vec x, std::size_t n) {
    const __m256i whole = _mm256_cvtps_epi32(x);
    const __m128i shorts = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    const __m128i bytes = _mm_packs_epi16(shorts, shorts);
    __builtin_memcpy(to, &bytes, n);
}

}  // namespace avx2
}  // namespace univar
