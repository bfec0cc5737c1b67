#include "encoder/panels/bytes.h"

#include <algorithm>
#include <cmath>

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

UNIVAR_AVX512_BF16 UNIVAR_INLINE __m512 upper_halves(__m512i x) {
    return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}
UNIVAR_AVX512_BF16 UNIVAR_INLINE __m512 lower_halves(__m512i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}

// 64 values of a row in the order of byte_column().
struct Quarters {
    __m512 of[4];
};

UNIVAR_AVX512_BF16 UNIVAR_INLINE Quarters quarters(Panels x, std::size_t row, const Quarters& factors) {
    const __m512i left = _mm512_load_si512(x.data + row * kPanel);
    const __m512i right = _mm512_load_si512(x.data + x.stride + row * kPanel);
    return {{_mm512_mul_ps(lower_halves(left), factors.of[0]),
             _mm512_mul_ps(upper_halves(left), factors.of[1]),
             _mm512_mul_ps(lower_halves(right), factors.of[2]),
             _mm512_mul_ps(upper_halves(right), factors.of[3])}};
}

UNIVAR_AVX512_BF16 UNIVAR_INLINE Quarters load_factors(const float* factors, std::size_t column) {
    Quarters loaded;
    for (std::size_t i = 0; i < 4; ++i)
        loaded.of[i] = factors == nullptr ? _mm512_set1_ps(1.0f) : _mm512_loadu_ps(factors + column + 16 * i);
    return loaded;
}

constexpr std::size_t kRowsAtOnce = 128;  // so that their largest magnitudes stay in L1

// Writes the largest magnitudes of each row, lane by lane, to `highest` (rows, 16).
UNIVAR_AVX512_BF16 void largest_magnitudes(Panels x, std::size_t rows, std::size_t columns,
                                           const float* factors, float* highest) {
    for (std::size_t row = 0; row < rows; ++row) _mm512_store_ps(highest + 16 * row, _mm512_set1_ps(1e-20f));
    for (std::size_t column = 0; column < columns; column += kBytePanel) {
        const Quarters by = load_factors(factors, column);
        const Panels panel{x.panel(column / kPanel), x.stride};
        for (std::size_t row = 0; row < rows; ++row) {
            const Quarters values = quarters(panel, row, by);
            __m512 top = _mm512_load_ps(highest + 16 * row);
            for (const __m512& value : values.of) top = _mm512_range_ps(top, value, 0b1011);  // magnitude
            _mm512_store_ps(highest + 16 * row, top);
        }
    }
}

UNIVAR_AVX512_BF16 void round_rows(Panels x, std::size_t rows, std::size_t columns, const float* factors,
                                   const float* per_step, int offset, BytePanels to) {
    const __m512i offsets = _mm512_set1_epi8(static_cast<char>(offset));
    for (std::size_t column = 0; column < columns; column += kBytePanel) {
        const Quarters by = load_factors(factors, column);
        const Panels panel{x.panel(column / kPanel), x.stride};
        std::int8_t* bytes = to.panel(column / kBytePanel);
        for (std::size_t row = 0; row < rows; ++row, bytes += kBytePanel) {
            const Quarters values = quarters(panel, row, by);
            const __m512 scale = _mm512_set1_ps(per_step[row]);
            __m512i whole[4];
            for (std::size_t i = 0; i < 4; ++i)
                whole[i] = _mm512_cvtps_epi32(_mm512_mul_ps(values.of[i], scale));
            const __m512i packed = _mm512_packs_epi16(_mm512_packs_epi32(whole[0], whole[1]),
                                                      _mm512_packs_epi32(whole[2], whole[3]));
            _mm512_store_si512(bytes, _mm512_add_epi8(packed, offsets));
        }
    }
}

}  // namespace

void pack_bytes(const float* weight, std::size_t out, std::size_t in, int offset, std::int8_t* packed,
                float* steps, std::int32_t* starts) {
    for (std::size_t row = 0; row < out; ++row) {
        const float* values = weight + row * in;
        float magnitude = 1e-20f;
        for (std::size_t i = 0; i < in; ++i) magnitude = std::max(magnitude, std::fabs(values[i]));
        steps[row] = magnitude / 127.0f;
        std::int8_t* panel =
            packed + row / kPanel * kPanel * in + row % kPanel / kTileRows * kByteTile + row % kTileRows * 4;
        long sum = 0;
        for (std::size_t i = 0; i < in; ++i) {
            const std::size_t place = i % kBytePanel;
            const long rounded = std::lrint(values[i - place + byte_column(place)] * 127.0f / magnitude);
            panel[i / kBytePanel * 2 * kByteTile + place / 4 * kTileBytes + place % 4] =
                static_cast<std::int8_t>(rounded);
            sum += rounded;
        }
        starts[row] = static_cast<std::int32_t>(-offset * sum);
    }
}

std::vector<float> ordered_factors(const std::vector<float>& factors) {
    std::vector<float> ordered(factors.size());
    for (std::size_t i = 0; i < factors.size(); ++i) {
        const std::size_t quarter = i % kBytePanel / 16;
        ordered[i] = factors[i - i % kBytePanel + quarter / 2 * 32 + 2 * (i % 16) + quarter % 2];
    }
    return ordered;
}

UNIVAR_AVX512_BF16 void round_panels(Panels x, std::size_t rows, std::size_t columns, const float* factors,
                                     int offset, BytePanels to, float* steps) {
    alignas(64) float highest[kRowsAtOnce * 16];
    float per_step[kRowsAtOnce];
    for (std::size_t first = 0; first < rows; first += kRowsAtOnce) {
        const std::size_t n = std::min(rows - first, kRowsAtOnce);
        largest_magnitudes(x.from_row(first), n, columns, factors, highest);
        for (std::size_t row = 0; row < n; ++row) {
            const float magnitude = _mm512_reduce_max_ps(_mm512_load_ps(highest + 16 * row));
            steps[first + row] = magnitude / 127.0f;
            per_step[row] = 127.0f / magnitude;
        }
        round_rows(x.from_row(first), n, columns, factors, per_step, offset, to.from_row(first));
    }
}

}  // namespace univar
#endif
