#include "encoder/panels/attention.h"

#include <algorithm>

#include "encoder/panels/operands.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

void AttentionScratch::reserve(std::size_t tokens, std::size_t head_dim) {
    const std::size_t padded = (tokens + 31) / 32 * 32;
    if (padded <= tokens_ && head_dim <= head_dim_) return;
    tokens_ = std::max(padded, tokens_);
    head_dim_ = std::max(head_dim, head_dim_);
    floats_.reserve(kRing * kWeightBlock + 2 * kTileRows * (head_dim_ + 16));
    scores = floats_.data();
    product = scores + kRing * kWeightBlock;
    sums = product + 2 * kTileRows * head_dim_;
    const std::size_t weight_blocks = std::max(tokens_ / kPanel, kRing);
    halves_.reserve(2 * tokens_ * head_dim_ + weight_blocks * kWeightBlock + 2 * kTile);
    weights = halves_.data();
    ones = weights + weight_blocks * kWeightBlock;
    keys = ones + 2 * kTile;
    values = keys + tokens_ * head_dim_;
    retries.reserve(tokens_ / kTileRows);
}

UNIVAR_AVX512_BF16 void lay_out_operands(const AttentionTask& task) {
    Bf16* to = task.scratch.keys;
    for (std::size_t key = 0; key < kPanel * task.blocks; key += kTileRows)
        for (std::size_t step = 0; step < task.steps; ++step, to += kTile)
            transpose_tile(task.head.keys.panel(step) + key * kPanel,
                           task.tokens > key ? task.tokens - key : 0, to);
    to = task.scratch.values;
    for (std::size_t step = 0; step < task.steps; ++step)
        for (std::size_t key = 0; key < kPanel * task.blocks; key += kPanel, to += 2 * kTile)
            pair_tiles<weight_pair>(task.head.values.panel(step) + key * kPanel, task.tokens - key, to);
}

namespace {

// The largest magnitude in a head's panels.
UNIVAR_AVX512_BF16 float largest_magnitude(const Panels& x, std::size_t rows, std::size_t panels) {
    __m512i positive = _mm512_setzero_si512(), negative = positive;
    for (std::size_t p = 0; p < panels; ++p)
        for (std::size_t i = 0; i < rows; ++i) {
            const __m512i values = _mm512_loadu_si512(x.panel(p) + i * kPanel);
            positive = _mm512_max_epi16(positive, values);
            negative = _mm512_max_epu16(negative, values);
        }
    const __m512i magnitude =
        _mm512_max_epi16(positive, _mm512_and_si512(negative, _mm512_set1_epi16(0x7fff)));
    alignas(64) Bf16 lanes[kPanel];
    _mm512_store_si512(lanes, magnitude);
    const std::uint32_t bits = static_cast<std::uint32_t>(*std::max_element(lanes, lanes + kPanel)) << 16;
    float result;
    __builtin_memcpy(&result, &bits, sizeof result);
    return result;
}

}  // namespace

float largest_score(const AttentionTask& task) {
    return static_cast<float>(task.head.head_dim) *
           largest_magnitude(task.head.queries, task.tokens, task.steps) *
           largest_magnitude(task.head.keys, task.tokens, task.steps);
}

}  // namespace univar
#endif
