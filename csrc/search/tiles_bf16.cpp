// Tiles of bf16, by AVX512-BF16's dot product: pairs of numbers at twice the rate of floats on AMD.
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "search/kernels.h"

#define UNIVAR_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))

namespace univar::search {
namespace {

constexpr std::size_t kRows = 32, kGroup = 12;

std::size_t pairs_of(std::size_t dim) { return (dim + 1) / 2; }
std::size_t bytes_of(std::size_t dim) { return pairs_of(dim) * 4; }

// One row as pairs of bf16, a missing last number as zero; returns the squared length of what rounding took.
UNIVAR_BF16 float round_row(const float* row, std::size_t dim, std::uint32_t* pairs) {
    __m512 lost = _mm512_setzero_ps();
    auto* out = reinterpret_cast<std::uint16_t*>(pairs);
    for (std::size_t d = 0; d < dim; d += 16) {
        const std::size_t n = std::min<std::size_t>(16, dim - d);
        const auto lanes = static_cast<__mmask16>((1u << n) - 1u);
        const __m512 x = _mm512_maskz_loadu_ps(lanes, row + d);
        __m256i rounded;
        const __m256bh halves = _mm512_cvtneps_pbh(x);
        std::memcpy(&rounded, &halves, sizeof rounded);
        _mm256_mask_storeu_epi16(out + d, lanes, rounded);
        const __m512 back = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16));
        const __m512 rest = _mm512_sub_ps(x, back);
        lost = _mm512_fmadd_ps(rest, rest, lost);
    }
    if (dim % 2) out[dim] = 0;
    return _mm512_reduce_add_ps(lost);
}

// A panel is (pairs, kRows): the rows' pairs beside each other.
UNIVAR_BF16 void pack_rows(const float* rows, std::size_t n, std::size_t dim, void* panel, float* lost) {
    const std::size_t pairs = pairs_of(dim);
    auto* out = static_cast<std::uint32_t*>(panel);
    thread_local std::vector<std::uint32_t> row;
    row.resize(pairs);
    for (std::size_t r = 0; r < kRows; ++r) {
        if (r < n)
            lost[r] = round_row(rows + r * dim, dim, row.data());
        else
            std::fill(row.begin(), row.end(), 0u);
        for (std::size_t p = 0; p < pairs; ++p) out[p * kRows + r] = row[p];
    }
}

UNIVAR_BF16 void pack_queries(const float* queries, std::size_t n, std::size_t dim, void* packed,
                              float* lost) {
    auto* out = static_cast<std::uint32_t*>(packed);
    for (std::size_t q = 0; q < n; ++q) lost[q] = round_row(queries + q * dim, dim, out + q * pairs_of(dim));
}

template <std::size_t Queries>
UNIVAR_BF16 inline __attribute__((always_inline)) void score_group(const std::uint32_t* panel,
                                                                   const std::uint32_t* queries,
                                                                   std::size_t pairs, float* scores,
                                                                   float* best) {
    __m512 sums[Queries][2];
    for (auto& of_query : sums) of_query[0] = of_query[1] = _mm512_setzero_ps();
    for (std::size_t p = 0; p < pairs; ++p) {
        const auto low = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel + p * kRows));
        const auto high = reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel + p * kRows + 16));
        for (std::size_t q = 0; q < Queries; ++q) {
            const auto x =
                reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(queries[q * pairs + p])));
            sums[q][0] = _mm512_dpbf16_ps(sums[q][0], low, x);
            sums[q][1] = _mm512_dpbf16_ps(sums[q][1], high, x);
        }
    }
    for (std::size_t q = 0; q < Queries; ++q) {
        _mm512_storeu_ps(scores + q * kRows, sums[q][0]);
        _mm512_storeu_ps(scores + q * kRows + 16, sums[q][1]);
        best[q] = _mm512_reduce_max_ps(_mm512_max_ps(sums[q][0], sums[q][1]));
    }
}

UNIVAR_BF16 void score(const void* panel, const void* queries, std::size_t n, std::size_t dim, float* scores,
                       float* best) {
    const std::size_t pairs = pairs_of(dim);
    const auto* p = static_cast<const std::uint32_t*>(panel);
    const auto* q = static_cast<const std::uint32_t*>(queries);
    if (n == kGroup) return score_group<kGroup>(p, q, pairs, scores, best);
    for (std::size_t i = 0; i < n; ++i) score_group<1>(p, q + i * pairs, pairs, scores + i * kRows, best + i);
}

}  // namespace

const TileKernel& bf16_tiles() {
    static const TileKernel kernel{"avx512_bf16",
                                   kRows,
                                   kGroup,
                                   true,
                                   bytes_of,
                                   bytes_of,
                                   pack_rows,
                                   pack_queries,
                                   score,
                                   avx512_tiles().widen,
                                   avx512_tiles().dot,
                                   avx512_tiles().dot_halves};
    return kernel;
}

}  // namespace univar::search
#endif
