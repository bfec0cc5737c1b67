// Sixteen floats at a time. Functions carry their target: the library itself is built for any x86-64.
#pragma once

#include <immintrin.h>

#include <cstddef>

#define UNIVAR_SIMD avx512
#define UNIVAR_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define UNIVAR_STEP UNIVAR_TARGET inline __attribute__((always_inline))

namespace univar {
namespace avx512 {

using Vec = __m512;
constexpr std::size_t kLanes = 16;
constexpr int kRows = 8,
              kVectors = 3;  // of sums in registers, beside 3 of the right operand and 1 of the left

UNIVAR_STEP Vec set1(float x) { return _mm512_set1_ps(x); }
UNIVAR_STEP Vec load(const float* x) { return _mm512_loadu_ps(x); }
UNIVAR_STEP void store(float* x, Vec v) { _mm512_storeu_ps(x, v); }

UNIVAR_STEP __mmask16 first_lanes(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
UNIVAR_STEP Vec load_first(const float* x, std::size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), x); }
UNIVAR_STEP void store_first(float* x, Vec v, std::size_t n) { _mm512_mask_storeu_ps(x, first_lanes(n), v); }
// The first n lanes of v, the others of x.
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
// a 2^n; n: a whole number in -126 .. 126.
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

}  // namespace avx512
}  // namespace univar
