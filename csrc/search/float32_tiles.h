// Tiles of 32-bit floats for one instruction set; included after its vec_*.h and a function `widen`.
#include <algorithm>

#include "search/kernels.h"

namespace univar::UNIVAR_SIMD {

constexpr std::size_t kPanelVectors = 2, kPanelRows = kPanelVectors * kLanes;

inline std::size_t float32_bytes(std::size_t dim) { return dim * sizeof(float); }

// A panel is (dim, kPanelRows): the rows' numbers beside each other.
inline void pack_float32_rows(const float* rows, std::size_t n, std::size_t dim, void* panel, float* lost) {
    auto* out = static_cast<float*>(panel);
    for (std::size_t row = 0; row < kPanelRows; ++row) {
        for (std::size_t d = 0; d < dim; ++d)
            out[d * kPanelRows + row] = row < n ? rows[row * dim + d] : 0.0f;
        lost[row] = 0.0f;
    }
}

inline void pack_float32_queries(const float* queries, std::size_t n, std::size_t dim, void* packed,
                                 float* lost) {
    std::copy(queries, queries + n * dim, static_cast<float*>(packed));
    std::fill(lost, lost + n, 0.0f);
}

template <std::size_t Queries>
UNIVAR_STEP void score_group(const float* panel, const float* queries, std::size_t dim, float* scores,
                             float* best) {
    Vec sums[Queries][kPanelVectors];
    for (auto& of_query : sums)
        for (Vec& sum : of_query) sum = set1(0.0f);
    for (std::size_t d = 0; d < dim; ++d) {
        Vec rows[kPanelVectors];
        for (std::size_t v = 0; v < kPanelVectors; ++v) rows[v] = load(panel + d * kPanelRows + v * kLanes);
        for (std::size_t q = 0; q < Queries; ++q) {
            const Vec x = set1(queries[q * dim + d]);
            for (std::size_t v = 0; v < kPanelVectors; ++v) sums[q][v] = fma(x, rows[v], sums[q][v]);
        }
    }
    for (std::size_t q = 0; q < Queries; ++q) {
        for (std::size_t v = 0; v < kPanelVectors; ++v)
            store(scores + q * kPanelRows + v * kLanes, sums[q][v]);
        best[q] = max_lanes(max(sums[q][0], sums[q][1]));
    }
}

UNIVAR_TARGET inline void score_float32(const void* panel, const void* queries, std::size_t n,
                                        std::size_t dim, float* scores, float* best) {
    const auto* p = static_cast<const float*>(panel);
    const auto* q = static_cast<const float*>(queries);
    if (n == kGroup) return score_group<kGroup>(p, q, dim, scores, best);
    for (std::size_t i = 0; i < n; ++i)
        score_group<1>(p, q + i * dim, dim, scores + i * kPanelRows, best + i);
}

UNIVAR_TARGET inline float dot_float32(const float* a, const float* b, std::size_t dim) {
    Vec even = set1(0.0f), odd = set1(0.0f);
    std::size_t d = 0;
    for (; d + 2 * kLanes <= dim; d += 2 * kLanes) {
        even = fma(load(a + d), load(b + d), even);
        odd = fma(load(a + d + kLanes), load(b + d + kLanes), odd);
    }
    float sum = sum_lanes(add(even, odd));
    for (; d < dim; ++d) sum += a[d] * b[d];
    return sum;
}

inline const search::TileKernel& float32_tiles(const char* name) {
    static const search::TileKernel kernel{name,
                                           kPanelRows,
                                           kGroup,
                                           false,
                                           float32_bytes,
                                           float32_bytes,
                                           pack_float32_rows,
                                           pack_float32_queries,
                                           score_float32,
                                           widen,
                                           dot_float32,
                                           dot_halves};
    return kernel;
}

}  // namespace univar::UNIVAR_SIMD
