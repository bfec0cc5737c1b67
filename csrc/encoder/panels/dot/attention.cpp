// Twelve queries at a time: their weights for all keys of the text go to a buffer that stays in L1, then the
// weights are multiplied with the values.
#include <algorithm>

#include "encoder/panels/dot/products.h"
#include "encoder/panels/kernels.h"
#include "encoder/panels/operands.h"

#if defined(UNIVAR_AMX)

namespace univar {
namespace {

constexpr int kOnePair = 0x3f803f80;

// Of the 32 keys of a block in the order of soften_row(), the first `keys` ones.
UNIVAR_AVX512 __mmask32 known_keys(std::size_t keys) {
    __mmask32 mask = 0;
    for (std::size_t key = 0; key < keys; ++key) mask |= __mmask32{1} << (2 * packed_pair(key / 2) + key % 2);
    return mask;
}

// Adds to `sums` the scores of the queries from `query` on with the 32 keys of a block.
UNIVAR_AVX512 inline __attribute__((always_inline)) void add_scores(const AttentionTask& task,
                                                                    std::size_t query, std::size_t block,
                                                                    __m512 (&sums)[kDotRows][2]) {
    const Bf16* keys = task.scratch.keys + 2 * block * task.steps * kTile;
    const DotProduct product(task.queries(query), task.head.queries.stride * sizeof(Bf16), keys,
                             task.steps * kDotTileBytes, kDotTileBytes, task.steps);
    add_products<Bf16Dot>(product, sums);
}

// Weights of the queries from `query` on, plus `starts`, in blocks of 16 rows, and the sums of each row.
UNIVAR_AVX512 void weigh(const AttentionTask& task, std::size_t query, const float* starts, float* totals) {
    const __mmask32 last_keys = known_keys(task.tokens - (task.blocks - 1) * kPanel);
    __m512 total[kDotRows];
    for (__m512& row : total) row = _mm512_setzero_ps();
    for (std::size_t block = 0; block < task.blocks; ++block) {
        __m512 sums[kDotRows][2];
        for (std::size_t i = 0; i < kDotRows; ++i) sums[i][0] = sums[i][1] = _mm512_set1_ps(starts[i]);
        add_scores(task, query, block, sums);
        const __mmask32 known = block + 1 == task.blocks ? last_keys : ~__mmask32{0};
        Bf16* weights = task.scratch.weights + block * kHalf;
        for (std::size_t i = 0; i < kDotRows; ++i, weights += kPanel) {
            const __m512i row = _mm512_maskz_mov_epi16(known, soften_row(sums[i][0], sums[i][1]));
            _mm512_store_si512(weights, row);
            total[i] = Bf16Dot::add(total[i], row, _mm512_set1_epi32(kOnePair));
        }
    }
    for (std::size_t i = 0; i < kDotRows; ++i) totals[i] = _mm512_reduce_add_ps(total[i]);
}

// Less the highest score of each query.
UNIVAR_AVX512 void find_starts(const AttentionTask& task, std::size_t query, float* starts) {
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

// The values' means by weight take the place of the queries.
UNIVAR_AVX512 void mix_values(const AttentionTask& task, std::size_t query, std::size_t rows,
                              const float* totals) {
    const Bf16* values = task.scratch.values;
    for (std::size_t panel = 0; panel < task.steps; ++panel, values += task.blocks * 2 * kTile) {
        __m512 sums[kDotRows][2];
        for (auto& row : sums) row[0] = row[1] = _mm512_setzero_ps();
        const DotProduct product(task.scratch.weights, kHalf * sizeof(Bf16), values, kDotTileBytes,
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

UNIVAR_AVX512 void attend_dots(const HeadPanels& head, std::size_t first, std::size_t tokens,
                               AttentionScratch& scratch) {
    const AttentionTask task(head, first, tokens, scratch);
    lay_out_operands(task);
    const bool fits = largest_score(task) < kLargestScore;
    for (std::size_t query = 0; query < tokens; query += kDotRows) {
        const std::size_t rows = std::min(tokens - query, kDotRows);
        float starts[kDotRows] = {}, totals[kDotRows];
        if (fits) weigh(task, query, starts, totals);
        const auto trusted = [](float total) { return total > kLeastSum && total < kMostSum; };
        if (!fits || !std::all_of(totals, totals + rows, trusted)) {
            find_starts(task, query, starts);
            weigh(task, query, starts, totals);
        }
        mix_values(task, query, rows, totals);
    }
}

}  // namespace univar
#endif
