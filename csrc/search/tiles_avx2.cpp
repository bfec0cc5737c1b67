#if defined(__x86_64__)
#include <cstdint>

#include "encoder/simd/vec_avx2.h"

namespace univar::avx2 {

constexpr std::size_t kAhead = 1536;  // halves that are fetched before they are read
constexpr std::size_t kGroup = 6;

__attribute__((target("avx2,fma,f16c"))) inline void widen(const std::uint16_t* halves, std::size_t n,
                                                           float* floats) {
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(floats + i,
                         _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves + i))));
    for (; i < n; ++i) floats[i] = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(halves[i])));
}

__attribute__((target("avx2,fma,f16c"))) inline float dot_halves(const std::uint16_t* row, const float* query,
                                                                 std::size_t dim, float* squared) {
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, own[2] = {sums[0], sums[0]};
    std::size_t d = 0;
    for (; d + 16 <= dim; d += 16) {
        _mm_prefetch(reinterpret_cast<const char*>(row + d + kAhead), _MM_HINT_T0);
        for (std::size_t i = 0; i < 2; ++i) {
            const auto* halves = reinterpret_cast<const __m128i*>(row + d + 8 * i);
            const __m256 x = _mm256_cvtph_ps(_mm_loadu_si128(halves));
            sums[i] = _mm256_fmadd_ps(x, _mm256_loadu_ps(query + d + 8 * i), sums[i]);
            own[i] = _mm256_fmadd_ps(x, x, own[i]);
        }
    }
    float sum = sum_lanes(_mm256_add_ps(sums[0], sums[1])), length = sum_lanes(_mm256_add_ps(own[0], own[1]));
    for (; d < dim; ++d) {
        const float x = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(row[d])));
        sum += x * query[d];
        length += x * x;
    }
    *squared = length;
    return sum;
}

}  // namespace univar::avx2

#include "search/float32_tiles.h"

namespace univar::search {

const TileKernel& avx2_tiles() { return avx2::float32_tiles("avx2"); }

}  // namespace univar::search
#endif
