// Four floats at a time in plain C++, for any processor; compilers make of it what they can.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define UNIVAR_SIMD portable
#define UNIVAR_TARGET
#define UNIVAR_STEP inline

namespace univar {
namespace portable {

constexpr std::size_t kLanes = 4;
constexpr int kRows = 4, kVectors = 2;  // of sums at a time

struct Vec {
    float lane[kLanes];
};

template <typename Function>
inline Vec lanes(Function f) {
    Vec v;
    for (std::size_t i = 0; i < kLanes; ++i) v.lane[i] = f(i);
    return v;
}

inline Vec set1(float x) {
    return lanes([=](std::size_t) { return x; });
}
inline Vec load(const float* x) {
    return lanes([=](std::size_t i) { return x[i]; });
}
inline void store(float* x, const Vec& v) { std::memcpy(x, v.lane, sizeof v.lane); }

inline Vec load_first(const float* x, std::size_t n) {
    return lanes([=](std::size_t i) { return i < n ? x[i] : 0.0f; });
}
inline void store_first(float* x, const Vec& v, std::size_t n) { std::memcpy(x, v.lane, n * sizeof(float)); }
// The first n lanes of v, the others of x.
inline Vec keep_first(const Vec& v, std::size_t n, const Vec& x) {
    return lanes([&](std::size_t i) { return i < n ? v.lane[i] : x.lane[i]; });
}

inline Vec add(const Vec& a, const Vec& b) {
    return lanes([&](std::size_t i) { return a.lane[i] + b.lane[i]; });
}
inline Vec sub(const Vec& a, const Vec& b) {
    return lanes([&](std::size_t i) { return a.lane[i] - b.lane[i]; });
}
inline Vec mul(const Vec& a, const Vec& b) {
    return lanes([&](std::size_t i) { return a.lane[i] * b.lane[i]; });
}
inline Vec div(const Vec& a, const Vec& b) {
    return lanes([&](std::size_t i) { return a.lane[i] / b.lane[i]; });
}
inline Vec min(const Vec& a, const Vec& b) {
    return lanes([&](std::size_t i) { return b.lane[i] < a.lane[i] ? b.lane[i] : a.lane[i]; });
}
inline Vec max(const Vec& a, const Vec& b) {
    return lanes([&](std::size_t i) { return a.lane[i] < b.lane[i] ? b.lane[i] : a.lane[i]; });
}
inline Vec fma(const Vec& a, const Vec& b, const Vec& c) {  // a b + c
    return lanes([&](std::size_t i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}

inline Vec round(const Vec& a) {
    return lanes([&](std::size_t i) { return std::nearbyint(a.lane[i]); });
}
// a 2^n; n: a whole number in -126 .. 126.
inline Vec scale2(const Vec& a, const Vec& n) {
    return lanes([&](std::size_t i) {
        const std::int32_t bits = (static_cast<std::int32_t>(n.lane[i]) + 127) << 23;
        float power;
        std::memcpy(&power, &bits, sizeof power);
        return a.lane[i] * power;
    });
}

inline float sum_lanes(const Vec& a) { return (a.lane[0] + a.lane[2]) + (a.lane[1] + a.lane[3]); }
inline float max_lanes(const Vec& a) {
    return std::fmax(std::fmax(a.lane[0], a.lane[2]), std::fmax(a.lane[1], a.lane[3]));
}

}  // namespace portable
}  // namespace univar
