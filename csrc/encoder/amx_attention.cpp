// For each text and head, keys and values are laid out as AMX wants its right operand. Then the blocks of 16
// queries and 32 keys are walked in one go, three stages at a time on different blocks, so that nothing waits
// for what went through memory a moment ago: scores of one block (tiles), weights of an earlier one
// (vectors), product of an even earlier one with its values (tiles).
//
// Scores come as fixed-point logarithms, so a bf16 weight is mostly shifts of an integer (see soften()).
// Softmax needs no highest score as long as the weights and their sum stay within bf16's range, which real
// models never leave: the size of queries and keys and the sum tell. Where it does not, those queries are
// done again, less their highest scores.
#include "encoder/amx_attention.h"

#include <algorithm>

#include "encoder/amx_tiles.h"

#if defined(UNIVAR_AMX)

namespace univar {
namespace {

// A block's scores are softened kSoften blocks later and its values weighed kWeigh blocks later.
constexpr std::size_t kSoften = 2, kWeigh = 4, kRing = 4;
constexpr std::size_t kHalf = kTileRows * kPanel;  // values of a block of 16 queries and 32 keys

constexpr Bf16 kOne = 0x3f80;

// Where _mm512_packs_epi32 puts the pair of keys 2 i and 2 i + 1 of the 32 keys whose halves it packs.
constexpr std::size_t packed_pair(std::size_t i) { return i / 2 % 4 * 4 + i / 8 * 2 + i % 2; }

}  // namespace

void AttentionScratch::reserve(std::size_t tokens, std::size_t head_dim) {
    const std::size_t padded = (tokens + 31) / 32 * 32;
    if (padded <= tokens_ && head_dim <= head_dim_) return;
    tokens_ = std::max(padded, tokens_);
    head_dim_ = std::max(head_dim, head_dim_);
    floats_.reserve(kRing * kHalf + 2 * kTileRows * (head_dim_ + 16));
    scores = floats_.data();
    product = scores + kRing * kHalf;
    sums = product + 2 * kTileRows * head_dim_;
    halves_.reserve(2 * tokens_ * head_dim_ + kRing * kHalf + 2 * kTile);
    weights = halves_.data();
    ones = weights + kRing * kHalf;
    keys = ones + 2 * kTile;
    values = keys + tokens_ * head_dim_;
    again.reserve(tokens_ / kTileRows);
}

namespace {

// One text in one head. Its rows come first in the panels.
struct Task {
    HeadPanels head;
    std::size_t tokens, blocks;  // blocks of 32 keys
    std::size_t steps;           // panels of a head
    AttentionScratch& scratch;

    Bf16* queries(std::size_t query) const { return head.queries.data + query * kPanel; }
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

UNIVAR_AVX512 void lay_out(const Task& task) {
    Bf16* to = task.scratch.keys;
    for (std::size_t key = 0; key < kPanel * task.blocks; key += kTileRows)
        for (std::size_t step = 0; step < task.steps; ++step, to += kTile)
            transpose_tile(task.head.keys.panel(step) + key * kPanel,
                           task.tokens > key ? task.tokens - key : 0, to);
    to = task.scratch.values;
    for (std::size_t step = 0; step < task.steps; ++step)
        for (std::size_t key = 0; key < kPanel * task.blocks; key += kPanel, to += 2 * kTile)
            pair_tiles<packed_pair>(task.head.values.panel(step) + key * kPanel, task.tokens - key, to);
    lay_out_ones(kPanel, task.scratch.ones);
    lay_out_ones(task.tokens - (task.blocks - 1) * kPanel, task.scratch.ones + kTile);
}

// The largest magnitude in a head's panels.
UNIVAR_AVX512 float largest(const Panels& x, std::size_t rows, std::size_t panels) {
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

// 256 times 2^(f / 256) lacks this much of 256 + f, for f = 4 i to 4 i + 3.
alignas(64) constexpr std::uint8_t kLack[64] = {
    0,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 14, 15, 16, 16, 17, 18, 18, 19,
    19, 20, 20, 21, 21, 21, 21, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 21, 21, 21, 20, 20,
    20, 19, 18, 18, 17, 16, 16, 15, 14, 13, 12, 11, 10, 9,  8,  7,  5,  4,  2,  1};

// Scores of queries first .. last to bf16 weights 2^(score / 256 + 1), in the order of _mm512_packs_epi32.
//
// The integer nearest to a score has the exponent of its weight above 8 bits of fraction; a bf16 has it above
// 7 bits of mantissa. Mantissa and fraction differ by what is looked up. Scores out of range become 0 or NaN.
UNIVAR_AVX512 inline __attribute__((always_inline)) void soften(std::size_t first, std::size_t last,
                                                                const float* scores, Bf16* weights) {
    const __m512i lack = _mm512_load_si512(kLack);
    const __m512i bias = _mm512_set1_epi16(static_cast<short>(0x8000));
    for (std::size_t i = first; i < last; ++i) {
        const __m512i low = _mm512_cvtps_epi32(_mm512_load_ps(scores + i * kPanel));
        const __m512i high = _mm512_cvtps_epi32(_mm512_load_ps(scores + i * kPanel + 16));
        const __m512i fixed = _mm512_packs_epi32(low, high);
        const __m512i sixty_fourths = _mm512_srli_epi16(fixed, 2);  // of the fraction, in the lower byte
        const __m512i less = _mm512_mask_permutexvar_epi8(bias, 0x5555555555555555ull, sixty_fourths, lack);
        const __m512i weight = _mm512_avg_epu16(_mm512_sub_epi16(fixed, less), _mm512_setzero_si512());
        _mm512_store_si512(weights + i * kPanel, weight);
    }
}

// Writes 16 queries' weighted sums in their place. Where a sum of weights is too small or too large, or NaN,
// this returns false and writes nothing unless `trusting`.
UNIVAR_AVX512 bool finish(const Task& task, std::size_t query, bool trusting) {
    const std::size_t rows = std::min(task.tokens - query, kTileRows), dim = task.head.head_dim;
    const float* sums = task.sums(query);
    bool trusted = true;
    for (std::size_t i = 0; i < rows; ++i) trusted &= sums[16 * i] > 1e-20f && sums[16 * i] < 1e20f;
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

UNIVAR_AVX512_AMX void attend(const HeadPanels& head, std::size_t first, std::size_t tokens,
                              AttentionScratch& scratch) {
    const HeadPanels own{head.queries.from_row(first), head.keys.from_row(first), head.values.from_row(first),
                         head.head_dim};
    const Task task{own, tokens, (tokens + 31) / 32, head.head_dim / kPanel, scratch};
    lay_out(task);
    const float bound = static_cast<float>(head.head_dim) * largest(own.queries, tokens, task.steps) *
                        largest(own.keys, tokens, task.steps);
    scratch.again.clear();
    if (bound < kLargestScore)
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
