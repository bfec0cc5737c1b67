// For each text and head, keys and values are laid out as right operands. Then the blocks of 16
// queries and 32 keys are walked in one go, three stages at a time on different blocks, so that nothing waits
// for what went through memory a moment ago: scores of one block (tiles), weights of an earlier one
// (vectors), product of an even earlier one with its values (tiles).
#include <algorithm>

#include "encoder/panels/amx/tiles.h"
#include "encoder/panels/kernels.h"
#include "encoder/panels/operands.h"

#if defined(UNIVAR_AMX)

namespace univar {
namespace {

// A block's scores are softened kSoften blocks later and its values weighed kWeigh blocks later.
constexpr std::size_t kSoften = 2, kWeigh = 4;

constexpr Bf16 kOne = 0x3f80;

struct Task : AttentionTask {
    using AttentionTask::AttentionTask;

    // What the sums of 16 queries go through on their way: two places, in turn.
    float* product(std::size_t query) const {
        return scratch.product + query / kTileRows % 2 * kTileRows * head.head_dim;
    }
    float* sums(std::size_t query) const { return scratch.sums + query / kTileRows % 2 * kTileRows * 16; }
};

// Rows 0 and 1 of every pair one, up to `keys` of them.
UNIVAR_AVX512 void lay_out_ones(std::size_t keys, Bf16* to) {
    for (std::size_t i = 0; i < kTileRows; ++i) {
        const std::uint32_t pair =
            (2 * i < keys ? kOne : 0u) | (2 * i + 1 < keys ? std::uint32_t{kOne} << 16 : 0u);
        _mm512_store_si512(to + packed_pair(i) * kPanel, _mm512_set1_epi32(static_cast<int>(pair)));
    }
}

void lay_out(const Task& task) {
    lay_out_operands(task);
    lay_out_ones(kPanel, task.scratch.ones);
    lay_out_ones(task.tokens - (task.blocks - 1) * kPanel, task.scratch.ones + kTile);
}

// Zeroes a score tile, or fills it with the 16 numbers of each query in `starts`.
template <int tile, bool kShifted>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void begin_scores(const float* starts) {
    if constexpr (kShifted && tile == 0) _tile_loadd(0, starts, kTileBytes);  // the intrinsics want literals
    if constexpr (kShifted && tile == 1) _tile_loadd(1, starts, kTileBytes);
    if constexpr (!kShifted && tile == 0) _tile_zero(0);
    if constexpr (!kShifted && tile == 1) _tile_zero(1);
}

// Adds the scores of 16 queries with 16 keys to tile 0.
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void add_scores(const Task& task, const Bf16* queries,
                                                                        const Bf16* keys) {
    for (std::size_t step = 0; step < task.steps;
         ++step, keys += kTile, queries += task.head.queries.stride) {
        _tile_loadd(6, queries, kTileBytes);
        _tile_loadd(7, keys, kTileBytes);
        _tile_dpbf16ps(0, 6, 7);
    }
}

template <int tile>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void store_scores(float* scores) {
    constexpr std::size_t kBytes = kPanel * sizeof(float);
    memory_barrier();
    if constexpr (tile == 0) _tile_stored(0, scores, kBytes);
    if constexpr (tile == 1) _tile_stored(1, scores, kBytes);
    memory_barrier();
}

// Adds the product of 16 queries' weights of one block with its values to tiles 2 and 3, or 2 to 5; with
// ones, to tile 4, or 1.
template <int panels>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void add_values(const Task& task, const Bf16* weights,
                                                                        std::size_t panel,
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
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void zero_values() {
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    if constexpr (panels == 2) _tile_zero(5);
    if constexpr (panels == 2) _tile_zero(1);
}

// The sums of add_values(), 16 rows of head_dim and 16 of 16.
template <int panels>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void store_values(const Task& task, std::size_t query,
                                                                          std::size_t panel) {
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

// Weights of the queries first .. last of a block by their scores.
UNIVAR_AVX512 inline __attribute__((always_inline)) void soften(std::size_t first, std::size_t last,
                                                                const float* scores, Bf16* weights) {
    for (std::size_t i = first; i < last; ++i) {
        const float* row = scores + i * kPanel;
        _mm512_store_si512(weights + i * kPanel, soften_row(_mm512_load_ps(row), _mm512_load_ps(row + 16)));
    }
}

// Writes 16 queries' weighted sums in their place. Where a sum of weights is too small or too large, or NaN,
// this returns false and writes nothing unless `trusting`.
UNIVAR_AVX512 bool finish(const Task& task, std::size_t query, bool trusting) {
    const std::size_t rows = std::min(task.tokens - query, kTileRows), dim = task.head.head_dim;
    const float* sums = task.sums(query);
    bool trusted = true;
    for (std::size_t i = 0; i < rows; ++i) trusted &= sums[16 * i] > kLeastSum && sums[16 * i] < kMostSum;
    if (!trusted && !trusting) return false;
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

// A place on the walk over blocks.
struct Place {
    std::size_t query, block = 0;

    void next(std::size_t blocks) {
        if (++block == blocks) block = 0, query += kTileRows;
    }
};

// Scores of the 16 queries and 32 keys of a place. With one panel they are left in tiles 0 and 1, the queries
// in tile 5; else the first half goes to `scores` and the second is left in tile 0.
template <bool kShifted, int panels>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void score(const Task& task, Place at,
                                                                   const float* starts, float* scores) {
    const Bf16* keys = task.scratch.keys + 2 * at.block * task.steps * kTile;
    const Bf16* queries = task.queries(at.query);
    begin_scores<0, kShifted>(starts);
    if constexpr (panels == 1) {
        if (at.block == 0) _tile_loadd(5, queries, kTileBytes);
        _tile_loadd(7, keys, kTileBytes);
        _tile_dpbf16ps(0, 5, 7);
        begin_scores<1, kShifted>(starts);
        _tile_loadd(7, keys + kTile, kTileBytes);
        _tile_dpbf16ps(1, 5, 7);
    } else {
        add_scores(task, queries, keys);
        store_scores<0>(scores);
        begin_scores<0, kShifted>(starts);
        add_scores(task, queries, keys + task.steps * kTile);
    }
}

// Attention of the queries first .. last, written in their place; for `panels` panels of the values from
// `panel` on, the last ones if anything is to be written. With kShifted, of 16 queries less `starts`. Others
// whose sums are not to be trusted are left and noted in scratch.again.
template <bool kShifted, int panels>
UNIVAR_AVX512_AMX void walk(const Task& task, std::size_t first, std::size_t last, std::size_t panel,
                            const float* starts) {
    constexpr int kHigh = panels == 1 ? 1 : 0;  // tile of a block's second scores
    AttentionScratch& scratch = task.scratch;
    const std::size_t all = (last - first + kTileRows - 1) / kTileRows * task.blocks;
    const bool is_end = panel + panels == task.steps;
    Place scored{first}, weighed{first};
    const auto end = [&](std::size_t query) {
        if (is_end && !finish(task, query, kShifted)) scratch.again.push_back(query);
    };
    const auto scores = [&](std::size_t i) { return scratch.scores + i % kRing * kHalf; };
    const auto weights = [&](std::size_t i) { return scratch.weights + i % kRing * kHalf; };
    for (std::size_t i = 0; i < all + kWeigh; ++i) {
        const bool scoring = i < all, softening = i - kSoften < all;
        const float* older = scores(i - kSoften);
        Bf16* to = weights(i - kSoften);
        if (scoring) {
            score<kShifted, panels>(task, scored, starts, scores(i));
            scored.next(task.blocks);
        }
        if (softening) soften(0, 8, older, to);
        if (scoring) {
            if constexpr (panels == 1) store_scores<0>(scores(i));
            store_scores<kHigh>(scores(i) + 16);
        }
        if (softening) soften(8, kTileRows, older, to);
        if (i < kWeigh) continue;
        if (weighed.block == 0) zero_values<panels>();
        add_values<panels>(task, weights(i - kWeigh), panel, weighed.block);
        if (weighed.block + 1 == task.blocks) {
            store_values<panels>(task, weighed.query, panel);
            if (weighed.query > first)
                end(weighed.query - kTileRows);  // what is just stored can't be read yet
        }
        weighed.next(task.blocks);
    }
    end(weighed.query - kTileRows);
}

template <bool kShifted>
UNIVAR_AVX512_AMX void attend_queries(const Task& task, std::size_t first, std::size_t last,
                                      const float* starts) {
    if (task.steps == 1) return walk<kShifted, 1>(task, first, last, 0, starts);
    if (task.steps == 2) return walk<kShifted, 2>(task, first, last, 0, starts);
    for (std::size_t query = first; query < last; query += kTileRows)
        for (std::size_t panel = 0; panel < task.steps; panel += 2)
            walk<kShifted, 2>(task, query, query + kTileRows, std::min(panel, task.steps - 2), starts);
}

// Less the highest score of each of 16 queries, 16 times.
UNIVAR_AVX512_AMX void find_starts(const Task& task, std::size_t query, float* starts) {
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

UNIVAR_AVX512_AMX void attend_tiles(const HeadPanels& head, std::size_t first, std::size_t tokens,
                                    AttentionScratch& scratch) {
    const Task task(head, first, tokens, scratch);
    lay_out(task);
    scratch.again.clear();
    if (largest_score(task) < kLargestScore)
        attend_queries<false>(task, 0, tokens, nullptr);
    else
        for (std::size_t query = 0; query < tokens; query += kTileRows) scratch.again.push_back(query);
    for (const std::size_t query : scratch.again) {
        alignas(64) float starts[kTileRows * 16];
        find_starts(task, query, starts);
        attend_queries<true>(task, query, std::min(query + kTileRows, tokens), starts);
    }
}

}  // namespace univar
#endif
