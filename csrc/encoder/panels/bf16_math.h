// Vector functions for results that become bf16; approximations.h has their precision.
#pragma once

#include "encoder/approximations.h"
#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// 2^x; 0 where that is too small for a float.
UNIVAR_AVX512_BF16 inline __m512 exp2_bf16(__m512 x) {
    const __m512 part = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
    __m512 p = _mm512_set1_ps(kExp2Bf16[0]);
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(kExp2Bf16[1]));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(kExp2Bf16[2]));
    return _mm512_scalef_ps(p, x);  // p * 2^floor(x)
}

// max(x, 0) - a p(a) with a = min(|x|, kGeluBf16Limit), where p has these coefficients, highest power first.
UNIVAR_AVX512_BF16 inline __m512 gelu_by_polynomial(__m512 x, const float (&coefficients)[7]) {
    constexpr int kSmallerMagnitude = 0b1010;  // of the two, without its sign
    const __m512 a = _mm512_range_ps(x, _mm512_set1_ps(kGeluBf16Limit), kSmallerMagnitude);
    __m512 p = _mm512_set1_ps(coefficients[0]);
    for (int i = 1; i < 7; ++i) p = _mm512_fmadd_ps(p, a, _mm512_set1_ps(coefficients[i]));
    return _mm512_fnmadd_ps(a, p, _mm512_max_ps(x, _mm512_setzero_ps()));
}

UNIVAR_AVX512_BF16 inline __m512 gelu_bf16(__m512 x) { return gelu_by_polynomial(x, kGeluBf16); }

UNIVAR_AVX512_BF16 inline __m512 gelu_tanh_bf16(__m512 x) { return gelu_by_polynomial(x, kGeluTanhBf16); }

// x / (1 + exp(-x)), to 2e-3 of its value.
UNIVAR_AVX512_BF16 inline __m512 silu_bf16(__m512 x) {
    const __m512 denominator =
        _mm512_add_ps(_mm512_set1_ps(1.0f), exp2_bf16(_mm512_mul_ps(x, _mm512_set1_ps(-kLog2E))));
    return _mm512_div_ps(x, denominator);
}

}  // namespace univar
#endif
