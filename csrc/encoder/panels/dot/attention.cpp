// Attention by dot products, twelve queries at a time. Their weights for all keys of the text go to a buffer
// that stays in L1; then these are multiplied with the values.
#include "encoder/panels/attention.h"

#include <algorithm>

#include "encoder/panels/dot/kernels.h"
#include "encoder/panels/dot/products.h"
#include "encoder/panels/operands.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

constexpr int kOnePair = 0x3f803f80;

// The first `keys` of the 32 keys of a block, in the order of weights_of_scores().
UNIVAR_AVX512_BF16 __mmask32 key_mask(std::size_t keys) {
    __mmask32 mask = 0;
    for (std::size_t key = 0; key < keys; ++key) mask |= __mmask32{1} << (2 * weight_pair(key / 2) + key % 2);
    return mask;
}

// Adds to `sums` the scores of the queries from `query` on with the 32 keys of a block.
UNIVAR_AVX512_BF16 UNIVAR_INLINE void add_scores(const AttentionTask& task, std::size_t query,
                                                 std::size_t block, __m512 (&sums)[kDotRows][2]) {
    const Bf16* keys = task.scratch.keys + 2 * block * task.steps * kTile;
    const DotProduct product(task.queries(query), task.head.queries.stride * sizeof(Bf16), keys,
                             task.steps * kDotTileBytes, kDotTileBytes, task.steps);
    add_products<Bf16Dot>(product, sums);
}

// Computes the weights of the queries from `query` on, in blocks of 16 rows, and the sum of each row. Scores
// start from `starts`.
UNIVAR_AVX512_BF16 void compute_weights(const AttentionTask& task, std::size_t query, const float* starts,
                                        float* totals) {
    const __mmask32 last_keys = key_mask(task.tokens - (task.blocks - 1) * kPanel);
    __m512 total[kDotRows];
    for (__m512& row : total) row = _mm512_setzero_ps();
    for (std::size_t block = 0; block < task.blocks; ++block) {
        __m512 sums[kDotRows][2];
        for (std::size_t i = 0; i < kDotRows; ++i) sums[i][0] = sums[i][1] = _mm512_set1_ps(starts[i]);
        add_scores(task, query, block, sums);
        const __mmask32 mask = block + 1 == task.blocks ? last_keys : ~__mmask32{0};
        Bf16* weights = task.scratch.weights + block * kWeightBlock;
        for (std::size_t i = 0; i < kDotRows; ++i, weights += kPanel) {
            const __m512i row = _mm512_maskz_mov_epi16(mask, weights_of_scores(sums[i][0], sums[i][1]));
            _mm512_store_si512(weights, row);
            total[i] = Bf16Dot::add(total[i], row, _mm512_set1_epi32(kOnePair));
        }
    }
    for (std::size_t i = 0; i < kDotRows; ++i) totals[i] = _mm512_reduce_add_ps(total[i]);
}

// starts = minus the highest score of each query.
UNIVAR_AVX512_BF16 void negate_highest_scores(const AttentionTask& task, std::size_t query, float* starts) {
    __m512 highest[kDotRows];
    for (__m512& row : highest) row = _mm512_set1_ps(-3e38f);
    for (std::size_t block = 0; block < task.blocks; ++block) {
        __m512 sums[kDotRows][2] = {};
        add_scores(task, query, block, sums);
        const Lanes lanes = Lanes::of(task.tokens - block * kPanel);
        for (std::size_t i = 0; i < kDotRows; ++i) {
            highest[i] = _mm512_mask_max_ps(highest[i], lanes.low, highest[i], sums[i][0]);
            highest[i] = _mm512_mask_max_ps(highest[i], lanes.high, highest[i], sums[i][1]);
        }
    }
    for (std::size_t i = 0; i < kDotRows; ++i) starts[i] = -_mm512_reduce_max_ps(highest[i]);
}

// Writes the weighted means of the values in the place of the queries.
UNIVAR_AVX512_BF16 void write_means(const AttentionTask& task, std::size_t query, std::size_t rows,
                                    const float* totals) {
    const Bf16* values = task.scratch.values;
    for (std::size_t panel = 0; panel < task.steps; ++panel, values += task.blocks * 2 * kTile) {
        __m512 sums[kDotRows][2];
        for (auto& row : sums) row[0] = row[1] = _mm512_setzero_ps();
        const DotProduct product(task.scratch.weights, kWeightBlock * sizeof(Bf16), values, kDotTileBytes,
                                 2 * kDotTileBytes, task.blocks);
        add_products<Bf16Dot>(product, sums);
        Bf16* to = task.queries(query) + panel * task.head.queries.stride;
        for (std::size_t i = 0; i < kDotRows; ++i) {
            if (i == rows) break;
            const __m512 scale = _mm512_set1_ps(1.0f / totals[i]);
            store_bf16(to + i * kPanel, _mm512_mul_ps(sums[i][0], scale), _mm512_mul_ps(sums[i][1], scale));
        }
    }
}

}  // namespace

UNIVAR_AVX512_BF16 void attend_dots(const HeadPanels& head, std::size_t first, std::size_t tokens,
                                    AttentionScratch& scratch) {
    const AttentionTask task(head, first, tokens, scratch);
    lay_out_operands(task);
    const bool fits = largest_score(task) < kLargestScore;
    for (std::size_t query = 0; query < tokens; query += kDotRows) {
        const std::size_t rows = std::min(tokens - query, kDotRows);
        float starts[kDotRows] = {}, totals[kDotRows];
        if (fits) compute_weights(task, query, starts, totals);
        const auto in_range = [](float total) { return total > kLeastSum && total < kMostSum; };
        if (!fits || !std::all_of(totals, totals + rows, in_range)) {
            negate_highest_scores(task, query, starts);
            compute_weights(task, query, starts, totals);
        }
        write_means(task, query, rows, totals);
    }
}

}  // namespace univar
#endif
