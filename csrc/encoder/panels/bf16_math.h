// Vector functions for results that become bf16, whose own rounding is up to 2e-3 of a value.
#pragma once

#include "encoder/panels/layout.h"

#if defined(UNIVAR_AMX)

namespace univar {

// 2^x to 1.8e-3 of its value; 0 far below.
UNIVAR_AVX512 inline __m512 exp2_rough(__m512 x) {
    const __m512 part = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
    __m512 p = _mm512_set1_ps(0.33718944f);
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(0.65763634f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(1.0017247f));
    return _mm512_scalef_ps(p, x);  // p * 2^floor(x)
}

// max(x, 0) - u p(u) with u = min(|x|, limit), where p is the polynomial of the coefficients, highest first.
UNIVAR_AVX512 inline __m512 relu_less_bump(__m512 x, float limit, const float (&coefficients)[7]) {
    constexpr int kSmallerMagnitude = 0b1010;  // of the two, without its sign
    const __m512 u = _mm512_range_ps(x, _mm512_set1_ps(limit), kSmallerMagnitude);
    __m512 p = _mm512_set1_ps(coefficients[0]);
    for (int i = 1; i < 7; ++i) p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(coefficients[i]));
    return _mm512_fnmadd_ps(u, p, _mm512_max_ps(x, _mm512_setzero_ps()));
}

// To 1.7e-4.
UNIVAR_AVX512 inline __m512 gelu(__m512 x) {
    constexpr float kBump[7] = {-0.0007309861f, 0.011060594f, -0.06334017f, 0.15445542f,
                                -0.061389916f,  -0.37961656f, 0.49813873f};
    return relu_less_bump(x, 3.8f, kBump);
}

// GELU by its tanh formula, to 1.1e-4.
UNIVAR_AVX512 inline __m512 gelu_tanh(__m512 x) {
    constexpr float kBump[7] = {-0.0007044732f, 0.010687725f, -0.0613306f, 0.1493364f,
                                -0.05527225f,   -0.38260573f, 0.4986317f};
    return relu_less_bump(x, 3.8f, kBump);
}

// x / (1 + exp(-x)) to 2e-3 of its value.
UNIVAR_AVX512 inline __m512 silu(__m512 x) {
    const __m512 denominator =
        _mm512_add_ps(_mm512_set1_ps(1.0f), exp2_rough(_mm512_mul_ps(x, _mm512_set1_ps(-1.44269504f))));
    return _mm512_div_ps(x, denominator);
}

}  // namespace univar
#endif
