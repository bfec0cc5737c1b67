// Attention of one head over one text: a few queries at a time, scores, softmax, product with the values.
// Included once for each instruction set, after its vec_*.h.

#include <limits>

namespace univar {
namespace UNIVAR_SIMD {

// Keys (tokens, head_dim) as a packed right operand: panels of (head_dim, kPanel), 0 after the last key.
UNIVAR_TARGET void pack_keys(const HeadAttention& h, float* packed) {
    for (std::size_t first = 0; first < h.tokens; first += kPanel, packed += h.head_dim * kPanel) {
        const std::size_t keys = h.tokens - first < kPanel ? h.tokens - first : kPanel;
        for (std::size_t i = 0; i < h.head_dim; ++i) {
            float* line = packed + i * kPanel;
            const float* from = h.keys + first * h.stride + i;
            for (std::size_t key = 0; key < keys; ++key) line[key] = from[key * h.stride];
            for (std::size_t key = keys; key < kPanel; ++key) line[key] = 0.0f;
        }
    }
}

// scores to 2^(score - highest); returns their sum.
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
    constexpr auto kQueries = static_cast<std::size_t>(kTileRows);
    const std::size_t padded = (h.tokens + kPanel - 1) / kPanel * kPanel;
    float* const keys = h.scratch;
    float* const scores = keys + padded * h.head_dim;
    const std::size_t scores_stride = padded + kLanes;  // rows that don't fall on each other in the cache
    pack_keys(h, keys);
    Product score, weigh;
    score.a_stride = h.stride, score.depth = h.head_dim;
    score.b = keys, score.b_stride = kPanel, score.panel_stride = kPanel * h.head_dim;
    score.columns = h.tokens, score.c = scores, score.c_stride = scores_stride;
    weigh.a = scores, weigh.a_stride = scores_stride, weigh.depth = h.tokens;
    weigh.b = h.values, weigh.b_stride = h.stride, weigh.panel_stride = kPanel;
    weigh.columns = h.head_dim, weigh.c_stride = h.out_stride;
    for (std::size_t first = 0; first < h.tokens; first += kQueries) {
        score.rows = weigh.rows = h.tokens - first < kQueries ? h.tokens - first : kQueries;
        score.a = h.queries + first * h.stride;
        weigh.c = h.out + first * h.out_stride;
        multiply(score);
        float sums[kQueries];
        for (std::size_t i = 0; i < score.rows; ++i)
            sums[i] = softmax_weights(scores + i * scores_stride, h.tokens);
        multiply(weigh);
        for (std::size_t i = 0; i < score.rows; ++i)
            scale_row(weigh.c + i * h.out_stride, h.head_dim, 1.0f / sums[i]);
    }
}

}  // namespace UNIVAR_SIMD
}  // namespace univar
