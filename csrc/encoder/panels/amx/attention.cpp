// Attention on AMX. For each text and head, keys and values are laid out as right operands. Then one loop
// passes over all blocks of 16 queries and 32 keys. It works on three blocks at a time, so that no stage
// waits for what another has just stored: scores of one block (tiles), weights of an earlier one (vectors),
// and the product of an even earlier one with its values (tiles).
#include "encoder/panels/attention.h"

#include <algorithm>

#include "encoder/panels/amx/kernels.h"
#include "encoder/panels/amx/tiles.h"
#include "encoder/panels/operands.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

// A block's weights are computed kWeightsDelay blocks after its scores, its product with the values
// kProductDelay blocks after them.
constexpr std::size_t kWeightsDelay = 2, kProductDelay = 4;

constexpr Bf16 kOne = 0x3f80;

struct Task : AttentionTask {
    using AttentionTask::AttentionTask;

    // Where the products and the sums of weights of 16 queries are stored: two places, in turn.
    float* product(std::size_t query) const {
        return scratch.product + query / kTileRows % 2 * kTileRows * head.head_dim;
    }
    float* sums(std::size_t query) const { return scratch.sums + query / kTileRows % 2 * kTileRows * 16; }
};

// A right operand that sums up weights: ones for the first `keys` keys, zeros for the others.
UNIVAR_AVX512_BF16 void lay_out_ones(std::size_t keys, Bf16* to) {
    for (std::size_t i = 0; i < kTileRows; ++i) {
        const std::uint32_t pair =
            (2 * i < keys ? kOne : 0u) | (2 * i + 1 < keys ? std::uint32_t{kOne} << 16 : 0u);
        _mm512_store_si512(to + weight_pair(i) * kPanel, _mm512_set1_epi32(static_cast<int>(pair)));
    }
}

void lay_out(const Task& task) {
    lay_out_operands(task);
    lay_out_ones(kPanel, task.scratch.ones);
    lay_out_ones(task.tokens - (task.blocks - 1) * kPanel, task.scratch.ones + kTile);
}

// Sets a tile of scores to zero, or to the 16 numbers of each query in `starts`.
template <int tile, bool kShifted>
UNIVAR_AMX_BF16 UNIVAR_INLINE void start_scores(const float* starts) {
    if constexpr (kShifted && tile == 0) _tile_loadd(0, starts, kTileBytes);  // the intrinsics want literals
    if constexpr (kShifted && tile == 1) _tile_loadd(1, starts, kTileBytes);
    if constexpr (!kShifted && tile == 0) _tile_zero(0);
    if constexpr (!kShifted && tile == 1) _tile_zero(1);
}

// Adds the scores of 16 queries with 16 keys to tile 0.
UNIVAR_AMX_BF16 UNIVAR_INLINE void add_scores(const Task& task, const Bf16* queries, const Bf16* keys) {
    for (std::size_t step = 0; step < task.steps;
         ++step, keys += kTile, queries += task.head.queries.stride) {
        _tile_loadd(6, queries, kTileBytes);
        _tile_loadd(7, keys, kTileBytes);
        _tile_dpbf16ps(0, 6, 7);
    }
}

template <int tile>
UNIVAR_AMX_BF16 UNIVAR_INLINE void store_scores(float* scores) {
    constexpr std::size_t kBytes = kPanel * sizeof(float);
    memory_barrier();
    if constexpr (tile == 0) _tile_stored(0, scores, kBytes);
    if constexpr (tile == 1) _tile_stored(1, scores, kBytes);
    memory_barrier();
}

// Adds the product of 16 queries' weights in one block with its values to tiles 2 and 3 (one panel) or 2 to 5
// (two), and the product with ones to tile 4 or 1.
template <int panels>
UNIVAR_AMX_BF16 UNIVAR_INLINE void add_product(const Task& task, const Bf16* weights, std::size_t panel,
                                               std::size_t block) {
    const Bf16* values = task.scratch.values + (panel * task.blocks + block) * 2 * kTile;
    const Bf16* ones = task.scratch.ones + (block + 1 == task.blocks ? kTile : 0);
    memory_barrier();
    _tile_loadd(6, weights, kTileBytes);
    _tile_loadd(7, values, kTileBytes);
    _tile_dpbf16ps(2, 6, 7);
    _tile_loadd(7, values + kTile, kTileBytes);
    _tile_dpbf16ps(3, 6, 7);
    if constexpr (panels == 1) {
        _tile_loadd(7, ones, kTileBytes);
        _tile_dpbf16ps(4, 6, 7);
    } else {
        values += task.blocks * 2 * kTile;
        _tile_loadd(7, values, kTileBytes);
        _tile_dpbf16ps(4, 6, 7);
        _tile_loadd(7, values + kTile, kTileBytes);
        _tile_dpbf16ps(5, 6, 7);
        _tile_loadd(7, ones, kTileBytes);
        _tile_dpbf16ps(1, 6, 7);
    }
}

template <int panels>
UNIVAR_AMX_BF16 UNIVAR_INLINE void zero_product() {
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    if constexpr (panels == 2) _tile_zero(5);
    if constexpr (panels == 2) _tile_zero(1);
}

// Stores what add_product() summed up: 16 rows of head_dim, and 16 rows of 16.
template <int panels>
UNIVAR_AMX_BF16 UNIVAR_INLINE void store_product(const Task& task, std::size_t query, std::size_t panel) {
    const std::size_t bytes = task.head.head_dim * sizeof(float);
    float* product = task.product(query) + panel * kPanel;
    float* sums = task.sums(query);
    _tile_stored(2, product, bytes);
    _tile_stored(3, product + 16, bytes);
    if constexpr (panels == 1) {
        _tile_stored(4, sums, kTileBytes);
    } else {
        _tile_stored(4, product + 32, bytes);
        _tile_stored(5, product + 48, bytes);
        _tile_stored(1, sums, kTileBytes);
    }
    memory_barrier();
}

// Scores of the queries first .. last of a block to weights.
UNIVAR_AVX512_BF16 UNIVAR_INLINE void compute_weights(std::size_t first, std::size_t last,
                                                      const float* scores, Bf16* weights) {
    for (std::size_t i = first; i < last; ++i) {
        const float* row = scores + i * kPanel;
        _mm512_store_si512(weights + i * kPanel,
                           weights_of_scores(_mm512_load_ps(row), _mm512_load_ps(row + 16)));
    }
}

// Writes 16 queries' means of the values in their place. If a sum of weights is too small or too large, or
// NaN, returns false and writes nothing, unless `any_sum`.
UNIVAR_AVX512_BF16 bool write_means(const Task& task, std::size_t query, bool any_sum) {
    const std::size_t rows = std::min(task.tokens - query, kTileRows), dim = task.head.head_dim;
    const float* sums = task.sums(query);
    bool in_range = true;
    for (std::size_t i = 0; i < rows; ++i) in_range &= sums[16 * i] > kLeastSum && sums[16 * i] < kMostSum;
    if (!in_range && !any_sum) return false;
    for (std::size_t i = 0; i < rows; ++i) {
        const __m512 scale = _mm512_rcp14_ps(_mm512_load_ps(sums + 16 * i));
        const float* product = task.product(query) + i * dim;
        Bf16* to = task.queries(query) + i * kPanel;
        for (std::size_t panel = 0; panel < task.steps;
             ++panel, product += kPanel, to += task.head.queries.stride)
            store_bf16(to, _mm512_mul_ps(_mm512_load_ps(product), scale),
                       _mm512_mul_ps(_mm512_load_ps(product + 16), scale));
    }
    return true;
}

// A block: 16 queries and 32 keys.
struct BlockIndex {
    std::size_t query, block = 0;

    void next(std::size_t blocks) {
        if (++block == blocks) block = 0, query += kTileRows;
    }
};

// Scores of a block. With one panel they are left in tiles 0 and 1, and the queries in tile 5; with two the
// first half is stored in `scores` and the second left in tile 0.
template <bool kShifted, int panels>
UNIVAR_AMX_BF16 UNIVAR_INLINE void compute_scores(const Task& task, BlockIndex at, const float* starts,
                                                  float* scores) {
    const Bf16* keys = task.scratch.keys + 2 * at.block * task.steps * kTile;
    const Bf16* queries = task.queries(at.query);
    start_scores<0, kShifted>(starts);
    if constexpr (panels == 1) {
        if (at.block == 0) _tile_loadd(5, queries, kTileBytes);
        _tile_loadd(7, keys, kTileBytes);
        _tile_dpbf16ps(0, 5, 7);
        start_scores<1, kShifted>(starts);
        _tile_loadd(7, keys + kTile, kTileBytes);
        _tile_dpbf16ps(1, 5, 7);
    } else {
        add_scores(task, queries, keys);
        store_scores<0>(scores);
        start_scores<0, kShifted>(starts);
        add_scores(task, queries, keys + task.steps * kTile);
    }
}

// Attention of the queries first .. last, for `panels` panels of the values from `panel` on. The result takes
// the place of the queries once the last panels are done. With kShifted, scores start from `starts` and there
// are 16 queries. Without it, queries whose sums of weights are out of range are left as they are and noted
// in scratch.retries.
template <bool kShifted, int panels>
UNIVAR_AMX_BF16 void attend_blocks(const Task& task, std::size_t first, std::size_t last, std::size_t panel,
                                   const float* starts) {
    constexpr int kHigh = panels == 1 ? 1 : 0;  // tile of a block's second scores
    AttentionScratch& scratch = task.scratch;
    const std::size_t all = (last - first + kTileRows - 1) / kTileRows * task.blocks;
    const bool is_last = panel + panels == task.steps;
    BlockIndex scored{first}, multiplied{first};
    const auto finish = [&](std::size_t query) {
        if (is_last && !write_means(task, query, kShifted)) scratch.retries.push_back(query);
    };
    const auto scores = [&](std::size_t i) { return scratch.scores + i % kRing * kWeightBlock; };
    const auto weights = [&](std::size_t i) { return scratch.weights + i % kRing * kWeightBlock; };
    for (std::size_t i = 0; i < all + kProductDelay; ++i) {
        const bool computes_scores = i < all, computes_weights = i - kWeightsDelay < all;
        const float* older = scores(i - kWeightsDelay);
        Bf16* to = weights(i - kWeightsDelay);
        if (computes_scores) {
            compute_scores<kShifted, panels>(task, scored, starts, scores(i));
            scored.next(task.blocks);
        }
        if (computes_weights) compute_weights(0, 8, older, to);
        if (computes_scores) {
            if constexpr (panels == 1) store_scores<0>(scores(i));
            store_scores<kHigh>(scores(i) + 16);
        }
        if (computes_weights) compute_weights(8, kTileRows, older, to);
        if (i < kProductDelay) continue;
        if (multiplied.block == 0) zero_product<panels>();
        add_product<panels>(task, weights(i - kProductDelay), panel, multiplied.block);
        if (multiplied.block + 1 == task.blocks) {
            store_product<panels>(task, multiplied.query, panel);
            if (multiplied.query > first)
                finish(multiplied.query - kTileRows);  // not those just stored: they can't be read yet
        }
        multiplied.next(task.blocks);
    }
    finish(multiplied.query - kTileRows);
}

template <bool kShifted>
UNIVAR_AMX_BF16 void attend_queries(const Task& task, std::size_t first, std::size_t last,
                                    const float* starts) {
    if (task.steps == 1) return attend_blocks<kShifted, 1>(task, first, last, 0, starts);
    if (task.steps == 2) return attend_blocks<kShifted, 2>(task, first, last, 0, starts);
    for (std::size_t query = first; query < last; query += kTileRows)
        for (std::size_t panel = 0; panel < task.steps; panel += 2)
            attend_blocks<kShifted, 2>(task, query, query + kTileRows, std::min(panel, task.steps - 2),
                                       starts);
}

// starts (16, 16) = minus the highest score of each of 16 queries, 16 times.
UNIVAR_AMX_BF16 void negate_highest_scores(const Task& task, std::size_t query, float* starts) {
    alignas(64) float scores[kTileRows * 16];
    __m512 highest[kTileRows];
    for (__m512& row : highest) row = _mm512_set1_ps(-3e38f);
    for (std::size_t key = 0; key < task.tokens; key += 16) {
        _tile_zero(0);
        add_scores(task, task.queries(query), task.scratch.keys + key / 16 * task.steps * kTile);
        memory_barrier();
        _tile_stored(0, scores, kTileBytes);
        memory_barrier();
        const Lanes lanes = Lanes::of(task.tokens - key);
        for (std::size_t i = 0; i < kTileRows; ++i)
            highest[i] =
                _mm512_mask_max_ps(highest[i], lanes.low, highest[i], _mm512_load_ps(scores + 16 * i));
    }
    for (std::size_t i = 0; i < kTileRows; ++i)
        _mm512_store_ps(starts + 16 * i, _mm512_set1_ps(-_mm512_reduce_max_ps(highest[i])));
    memory_barrier();
}

}  // namespace

UNIVAR_AMX_BF16 void attend_tiles(const HeadPanels& head, std::size_t first, std::size_t tokens,
                                  AttentionScratch& scratch) {
    const Task task(head, first, tokens, scratch);
    lay_out(task);
    scratch.retries.clear();
    if (largest_score(task) < kLargestScore)
        attend_queries<false>(task, 0, tokens, nullptr);
    else
        for (std::size_t query = 0; query < tokens; query += kTileRows) scratch.retries.push_back(query);
    for (const std::size_t query : scratch.retries) {
        alignas(64) float starts[kTileRows * 16];
        negate_highest_scores(task, query, starts);
        attend_queries<true>(task, query, std::min(query + kTileRows, tokens), starts);
    }
}

}  // namespace univar
#endif
