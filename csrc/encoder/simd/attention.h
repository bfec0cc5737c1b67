// Attention of one head over one text: a few queries at a time, scores, softmax, product with the values.
// Included once for each instruction set, after its vec_*.h.

#include <limits>

namespace univar {
namespace UNIVAR_SIMD {

// Keys (tokens, head_dim) as a packed right operand: panels of (head_dim, kColumns), 0 after the last key.
UNIVAR_TARGET void pack_keys(const HeadAttention& h, float* packed) {
    for (std::size_t first = 0; first < h.tokens; first += kColumns, packed += h.head_dim * kColumns) {
        const std::size_t keys = h.tokens - first < kColumns ? h.tokens - first : kColumns;
        for (std::size_t i = 0; i < h.head_dim; ++i) {
            float* line = packed + i * kColumns;
            const float* from = h.keys + first * h.stride + i;
            for (std::size_t key = 0; key < keys; ++key) line[key] = from[key * h.stride];
            for (std::size_t key = keys; key < kColumns; ++key) line[key] = 0.0f;
        }
    }
}

// Turns scores into 2^(score - highest). Returns their sum.
UNIVAR_TARGET float softmax_weights(float* scores, std::size_t n) {
    const std::size_t whole = n / kLanes * kLanes, rest = n - whole;
    Vec highest = set1(-std::numeric_limits<float>::infinity());
    if (rest != 0) highest = keep_first(load_first(scores + whole, rest), rest, highest);
    for (std::size_t i = 0; i < whole; i += kLanes) highest = max(highest, load(scores + i));
    const Vec shift = set1(max_lanes(highest));
    Vec total = set1(0.0f);
    for (std::size_t i = 0; i < whole; i += kLanes) {
        const Vec weights = exp2(sub(load(scores + i), shift));
        total = add(total, weights);
        store(scores + i, weights);
    }
    if (rest != 0) {
        const Vec weights = keep_first(exp2(sub(load_first(scores + whole, rest), shift)), rest, set1(0.0f));
        total = add(total, weights);
        store_first(scores + whole, weights, rest);
    }
    return sum_lanes(total);
}

UNIVAR_TARGET void scale_row(float* row, std::size_t n, float factor) {
    std::size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(row + i, mul(load(row + i), set1(factor)));
    if (i < n) store_first(row + i, mul(load_first(row + i, n - i), set1(factor)), n - i);
}

void attend(const HeadAttention& h) {
    constexpr auto kQueries = static_cast<std::size_t>(kRows);
    const std::size_t padded = (h.tokens + kColumns - 1) / kColumns * kColumns;
    float* const keys = h.scratch;
    float* const scores = keys + padded * h.head_dim;
    const std::size_t scores_stride = padded + kLanes;  // so that rows do not compete for the same cache sets
    pack_keys(h, keys);
    Product scored, weighted;
    scored.a_stride = h.stride, scored.depth = h.head_dim;
    scored.b = keys, scored.b_stride = kColumns, scored.panel_stride = kColumns * h.head_dim;
    scored.columns = h.tokens, scored.c = scores, scored.c_stride = scores_stride;
    weighted.a = scores, weighted.a_stride = scores_stride, weighted.depth = h.tokens;
    weighted.b = h.values, weighted.b_stride = h.stride, weighted.panel_stride = kColumns;
    weighted.columns = h.head_dim, weighted.c_stride = h.out_stride;
    for (std::size_t first = 0; first < h.tokens; first += kQueries) {
        scored.rows = weighted.rows = h.tokens - first < kQueries ? h.tokens - first : kQueries;
        scored.a = h.queries + first * h.stride;
        weighted.c = h.out + first * h.out_stride;
        multiply(scored);
        float sums[kQueries];
        for (std::size_t i = 0; i < scored.rows; ++i)
            sums[i] = softmax_weights(scores + i * scores_stride, h.tokens);
        multiply(weighted);
        for (std::size_t i = 0; i < scored.rows; ++i)
            scale_row(weighted.c + i * h.out_stride, h.head_dim, 1.0f / sums[i]);
    }
}

}  // namespace UNIVAR_SIMD
}  // namespace univar
