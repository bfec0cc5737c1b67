// The polynomials behind 2^x and GELU, at the two precisions that the forwards need: for float32 results, and
// for results that become bf16, whose own rounding is up to 2e-3 of a value. The latter take a third of the
// instructions.
#pragma once

namespace univar {

inline constexpr float kLog2E = 1.44269504f;

// 2^x for x in -1/2 .. 1/2, to 2e-7 of its value. Lowest power first.
inline constexpr float kExp2Float32[6] = {1.0000001f,   0.69314694f,   0.2402212f,
                                          0.055507131f, 0.0096755410f, 0.0013276471f};

// 2^x for x in 0 .. 1, to 1.8e-3 of its value. Highest power first.
inline constexpr float kExp2Bf16[3] = {0.33718944f, 0.65763634f, 1.0017247f};

// GELU is x Phi(x), Phi being the normal distribution. By symmetry it is max(x, 0) - a (1 - Phi(a)), a = |x|.

// To 2e-6: Phi(a) = 1/2 + a q(2 a^2 / 25 - 1) for a up to 5, where 1 - Phi is 3e-7. q, lowest power first.
inline constexpr float kGeluFloat32[13] = {
    0.14136378f,   -0.070296653f, 0.051521420f,   -0.040432949f, 0.031426229f,   -0.023336731f, 0.016497657f,
    -0.010973232f, 0.0061654304f, -0.0029156727f, 0.0020018604f, -0.0015141539f, 0.00049296941f};

// To 1.7e-4: 1 - Phi(a) for a up to kGeluBf16Limit. Highest power first.
inline constexpr float kGeluBf16Limit = 3.8f;
inline constexpr float kGeluBf16[7] = {-0.0007309861f, 0.011060594f, -0.06334017f, 0.15445542f,
                                       -0.061389916f,  -0.37961656f, 0.49813873f};

// The same for GELU's tanh formula, to 1.1e-4.
inline constexpr float kGeluTanhBf16[7] = {-0.0007044732f, 0.010687725f, -0.0613306f, 0.1493364f,
                                           -0.05527225f,   -0.38260573f, 0.4986317f};

}  // namespace univar
