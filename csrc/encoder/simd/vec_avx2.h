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
constexpr int kRows = 6,
              kVectors = 2;  // of sums in registers, beside 2 of the right operand and 1 of the left

UNIVAR_STEP Vec set1(float x) { return _mm256_set1_ps(x); }
UNIVAR_STEP Vec load(const float* x) { return _mm256_loadu_ps(x); }
UNIVAR_STEP void store(float* x, Vec v) { _mm256_storeu_ps(x, v); }

UNIVAR_STEP __m256i first_lanes(std::size_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}
UNIVAR_STEP Vec load_first(const float* x, std::size_t n) { return _mm256_maskload_ps(x, first_lanes(n)); }
UNIVAR_STEP void store_first(float* x, Vec v, std::size_t n) { _mm256_maskstore_ps(x, first_lanes(n), v); }
// The first n lanes of v, the others of x.
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
// a 2^n; n: a whole number in -126 .. 126.
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

}  // namespace avx2
}  // namespace univar
