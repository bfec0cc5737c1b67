// Exponential and GELU on vectors. Included once for each instruction set, after its vec_*.h.

namespace univar {
namespace UNIVAR_SIMD {

// sum of coefficients[i] x^i.
template <std::size_t kTerms>
UNIVAR_STEP Vec polynomial(Vec x, const float (&coefficients)[kTerms]) {
    Vec sum = set1(coefficients[kTerms - 1]);
    for (std::size_t i = kTerms - 1; i > 0; --i) sum = fma(sum, x, set1(coefficients[i - 1]));
    return sum;
}

// 2^x to 2e-7 of its value for x in -126 .. 126; beyond, the value at the end.
UNIVAR_STEP Vec exp2(Vec x) {
    constexpr float kTwoTo[] = {1.0000001f,   0.69314694f,   0.2402212f,
                                0.055507131f, 0.0096755410f, 0.0013276471f};  // on -1/2 .. 1/2
    x = min(max(x, set1(-126.0f)), set1(126.0f));
    const Vec whole = round(x);
    return scale2(polynomial(sub(x, whole), kTwoTo), whole);
}

// 1 / (1 + exp(-x))
UNIVAR_STEP Vec sigmoid(Vec x) {
    constexpr float kLog2E = 1.44269504f;
    return div(set1(1.0f), add(set1(1.0f), exp2(mul(x, set1(-kLog2E)))));
}

// x Phi(x), Phi the normal distribution, to 2e-6. By symmetry it is max(x, 0) - a (1 - Phi(a)), a = |x|, and
// Phi(a) = 1/2 + a q(a^2) to 5, where 1 - Phi is 3e-7; q is a polynomial in what of a^2 runs from -1 to 1.
UNIVAR_STEP Vec gelu(Vec x) {
    constexpr float kQ[] = {0.14136378f,   -0.070296653f,  0.051521420f,  -0.040432949f, 0.031426229f,
                            -0.023336731f, 0.016497657f,   -0.010973232f, 0.0061654304f, -0.0029156727f,
                            0.0020018604f, -0.0015141539f, 0.00049296941f};
    const Vec zero = set1(0.0f);
    const Vec a = min(max(x, sub(zero, x)), set1(5.0f));
    const Vec q = polynomial(fma(mul(a, a), set1(2.0f / 25.0f), set1(-1.0f)), kQ);
    const Vec above = sub(set1(0.5f), mul(a, q));
    return sub(max(x, zero), mul(a, above));
}

// GELU's old approximation: x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
UNIVAR_STEP Vec gelu_tanh(Vec x) {
    constexpr float kSlope = 1.59576912f;
    const Vec inner = fma(mul(x, x), set1(0.044715f * kSlope), set1(kSlope));
    return mul(x, sigmoid(mul(x, inner)));
}

}  // namespace UNIVAR_SIMD
}  // namespace univar
