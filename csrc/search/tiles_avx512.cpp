#if defined(__x86_64__)
#include <cstdint>

#include "encoder/simd/vec_avx512.h"

namespace univar::avx512 {

constexpr std::size_t kAhead = 1536;  // halves that are fetched before they are read
constexpr std::size_t kGroup = 12;

UNIVAR_TARGET inline void widen(const std::uint16_t* halves, std::size_t n, float* floats) {
    std::size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(floats + i,
                         _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves + i))));
    if (i < n) {
        const __mmask16 rest = first_lanes(n - i);
        const __m256i tail = _mm256_maskz_loadu_epi16(rest, halves + i);
        _mm512_mask_storeu_ps(floats + i, rest, _mm512_cvtph_ps(tail));
    }
}

UNIVAR_TARGET inline float dot_halves(const std::uint16_t* row, const float* query, std::size_t dim,
                                      float* squared) {
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, own[2] = {sums[0], sums[0]};
    std::size_t d = 0;
    for (; d + 32 <= dim; d += 32) {
        _mm_prefetch(reinterpret_cast<const char*>(row + d + kAhead), _MM_HINT_T0);
        for (std::size_t i = 0; i < 2; ++i) {
            const auto* halves = reinterpret_cast<const __m256i*>(row + d + 16 * i);
            const __m512 x = _mm512_cvtph_ps(_mm256_loadu_si256(halves));
            sums[i] = _mm512_fmadd_ps(x, _mm512_loadu_ps(query + d + 16 * i), sums[i]);
            own[i] = _mm512_fmadd_ps(x, x, own[i]);
        }
    }
    for (; d < dim; d += 16) {
        const __mmask16 lanes = first_lanes(dim - d < 16 ? dim - d : 16);
        const __m512 x = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, row + d));
        sums[0] = _mm512_fmadd_ps(x, _mm512_maskz_loadu_ps(lanes, query + d), sums[0]);
        own[0] = _mm512_fmadd_ps(x, x, own[0]);
    }
    *squared = sum_lanes(_mm512_add_ps(own[0], own[1]));
    return sum_lanes(_mm512_add_ps(sums[0], sums[1]));
}

}  // namespace univar::avx512

#include "search/float32_tiles.h"

namespace univar::search {

const TileKernel& avx512_tiles() { return avx512::float32_tiles("avx512"); }

}  // namespace univar::search
#endif
