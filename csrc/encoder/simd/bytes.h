// Products of bytes. Included once for each instruction set, after simd_product.h.

#include <cstring>

#include "encoder/int8_kernels.h"

namespace univar {
namespace UNIVAR_SIMD {

// The n values from column i on, times their factors; the others are 0.
UNIVAR_STEP Vec scaled(const float* x, const float* factors, std::size_t i, std::size_t n) {
    const Vec value = n == kLanes ? load(x + i) : load_first(x + i, n);
    if (factors == nullptr) return value;
    return mul(value, n == kLanes ? load(factors + i) : load_first(factors + i, n));
}

UNIVAR_BYTES_TARGET inline void round_rows(const float* x, std::size_t stride, std::size_t rows,
                                           std::size_t columns, const float* factors, std::uint8_t* to,
                                           std::size_t to_stride, float* steps) {
    const std::size_t whole = columns / kLanes * kLanes, rest = columns - whole;
    const Vec zero = set1(0.0f);
    for (std::size_t row = 0; row < rows; ++row, x += stride, to += to_stride) {
        Vec highest = rest == 0 ? zero : scaled(x, factors, whole, rest);
        highest = max(highest, sub(zero, highest));
        for (std::size_t i = 0; i < whole; i += kLanes) {
            const Vec value = scaled(x, factors, i, kLanes);
            highest = max(highest, max(value, sub(zero, value)));
        }
        const float magnitude = max_lanes(highest);
        steps[row] = magnitude / 127.0f;
        const Vec factor = set1(magnitude > 0 ? 127.0f / magnitude : 0.0f);
        for (std::size_t i = 0; i < whole; i += kLanes)
            store_bytes(to + i, mul(scaled(x, factors, i, kLanes), factor), kLanes);
        if (rest != 0) store_bytes(to + whole, mul(scaled(x, factors, whole, rest), factor), rest);
        for (std::size_t i = columns; i % 4 != 0; ++i) to[i] = kLeftOffset;
    }
}

struct ByteTile {
    template <int kRows, int kVectors>
    UNIVAR_BYTES_TARGET static void run(const ByteProduct& p, const Place& place) {
        const std::uint8_t* a = p.a + place.row * p.a_stride;
        const std::int8_t* b = p.b + place.column * p.depth;
        Ahead ahead(b, kPanel * p.depth, p.depth / 4, place, p.rows);
        Ints sums[kRows][kVectors];
        for (int i = 0; i < kRows; ++i)
            for (int j = 0; j < kVectors; ++j) sums[i][j] = no_ints();
        for (std::size_t k = 0; k < p.depth; k += 4, b += 4 * kPanel, ahead.at += ahead.step) {
            __builtin_prefetch(ahead.at, 0, 2);
            decltype(load_ints(b)) right[kVectors];
            for (int j = 0; j < kVectors; ++j) {
                const std::int8_t* at = b + 4 * static_cast<std::size_t>(j) * kLanes;
                __builtin_prefetch(at + 4 * kRowsAhead * kPanel, 0, 3);
                right[j] = load_ints(at);
            }
            for (int i = 0; i < kRows; ++i) {
                std::int32_t left;
                std::memcpy(&left, a + static_cast<std::size_t>(i) * p.a_stride + k, sizeof left);
                for (int j = 0; j < kVectors; ++j) sums[i][j] = dot4(sums[i][j], left, right[j]);
            }
        }
        for (int i = 0; i < kRows; ++i)
            for (int j = 0; j < kVectors; ++j) {
                // Rounding steps and offsets are padded to whole panels.
                const std::size_t at = place.column + static_cast<std::size_t>(j) * kLanes;
                const Vec steps = mul(load(p.column_steps + at),
                                      set1(p.row_steps[place.row + static_cast<std::size_t>(i)]));
                const Vec sum = sub(to_floats(sums[i][j]), load(p.offsets + at));
                finish<kVectors>(p, place, i, j, mul(sum, steps));
            }
    }
};

inline void multiply_bytes(const ByteProduct& p) { multiply_by<ByteTile>(p); }

constexpr Int8Kernels kInt8Kernels = {kLeftOffset, &round_rows, &multiply_bytes};

}  // namespace UNIVAR_SIMD
}  // namespace univar
