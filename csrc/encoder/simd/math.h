// Exponential and GELU on vectors; approximations.h has their precision. Included once for each instruction
// set, after its vec_*.h.

#include "encoder/approximations.h"

namespace univar {
namespace UNIVAR_SIMD {

// sum of coefficients[i] x^i.
template <std::size_t terms>
UNIVAR_STEP Vec polynomial(Vec x, const float (&coefficients)[terms]) {
    Vec sum = set1(coefficients[terms - 1]);
    for (std::size_t i = terms - 1; i > 0; --i) sum = fma(sum, x, set1(coefficients[i - 1]));
    return sum;
}

// 2^x for x in -126 .. 126; outside, the value at the nearer end.
UNIVAR_STEP Vec exp2(Vec x) {
    x = min(max(x, set1(-126.0f)), set1(126.0f));
    const Vec whole = round(x);
    return scale2(polynomial(sub(x, whole), kExp2Float32), whole);
}

// 1 / (1 + exp(-x))
UNIVAR_STEP Vec sigmoid(Vec x) { return div(set1(1.0f), add(set1(1.0f), exp2(mul(x, set1(-kLog2E))))); }

// max(x, 0) - a (1/2 - a q(2 a^2 / 25 - 1)), a = min(|x|, 5).
UNIVAR_STEP Vec gelu(Vec x) {
    const Vec zero = set1(0.0f);
    const Vec a = min(max(x, sub(zero, x)), set1(5.0f));
    const Vec q = polynomial(fma(mul(a, a), set1(2.0f / 25.0f), set1(-1.0f)), kGeluFloat32);
    const Vec above = sub(set1(0.5f), mul(a, q));
    return sub(max(x, zero), mul(a, above));
}

// GELU's tanh formula: x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
UNIVAR_STEP Vec gelu_tanh(Vec x) {
    constexpr float kSlope = 1.59576912f;
    const Vec inner = fma(mul(x, x), set1(0.044715f * kSlope), set1(kSlope));
    return mul(x, sigmoid(mul(x, inner)));
}

}  // namespace UNIVAR_SIMD
}  // namespace univar
