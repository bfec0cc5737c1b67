// For each text and head, keys and values are laid out as AMX wants its right operand; then 32 queries at a
// time: scores block by block, their exponentials while the next block of scores is multiplied, product with
// the values.
//
// Softmax needs no highest score as long as the exponentials and their sum stay within float32's range, which
// real models never leave: the sum tells. Where it does not, the 32 queries are done again, less their
// highest scores.
#include "encoder/amx_attention.h"

#include "encoder/amx_math.h"
#include "encoder/amx_tiles.h"

#if defined(UNIVAR_AMX)

namespace univar {

void AttentionScratch::reserve(std::size_t tokens, std::size_t head_dim) {
    const std::size_t padded = (tokens + 31) / 32 * 32;
    if (padded <= tokens_ && head_dim <= head_dim_) return;
    tokens_ = padded > tokens_ ? padded : tokens_;
    head_dim_ = head_dim > head_dim_ ? head_dim : head_dim_;
    floats_.reserve(kBlock + kTileRows * head_dim_ + kTileRows * 16);
    scores = floats_.data();
    product = scores + kBlock;
    rows = product + kTileRows * head_dim_;
    halves_.reserve(2 * tokens_ * head_dim_ + kBlock);
    keys = halves_.data();
    values = keys + tokens_ * head_dim_;
    weights = values + tokens_ * head_dim_;
}

namespace {

// What a tile stores cannot be loaded before the store has left the pipeline, and the other way round: so
// scores are stored after the first few rows of the block before, and values are multiplied one block late.
constexpr std::size_t kEarly = 8;

// One text in one head. Its rows come first in the panels.
struct Task {
    HeadPanels head;
    std::size_t tokens, blocks;  // blocks of 32 keys
    std::size_t steps;           // panels of a head
    const AttentionScratch& scratch;
};

UNIVAR_AVX512 void lay_out(const Task& task) {
    Bf16* to = task.scratch.keys;
    for (std::size_t key = 0; key < kPanel * task.blocks; key += kTileRows)
        for (std::size_t step = 0; step < task.steps; ++step, to += kTile)
            transpose_tile(task.head.keys.panel(step) + key * kPanel,
                           task.tokens > key ? task.tokens - key : 0, to);
    to = task.scratch.values;
    for (std::size_t step = 0; step < task.steps; ++step)
        for (std::size_t key = 0; key < kPanel * task.blocks; key += kPanel, to += 2 * kTile)
            pair_tiles(task.head.values.panel(step) + key * kPanel, task.tokens - key, to);
}

// Scores of 16 queries with 32 keys, left in tiles 0 and 1.
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void score(const Task& task, const Bf16* queries,
                                                                   std::size_t block) {
    const Bf16* keys = task.scratch.keys + 2 * block * task.steps * kTile;
    _tile_zero(0);
    _tile_zero(1);
    for (std::size_t step = 0; step < task.steps;
         ++step, keys += kTile, queries += task.head.queries.stride) {
        _tile_loadd(6, queries, kTileBytes);
        _tile_loadd(7, keys, kTileBytes);
        _tile_dpbf16ps(0, 6, 7);
        _tile_loadd(7, keys + task.steps * kTile, kTileBytes);
        _tile_dpbf16ps(1, 6, 7);
    }
}

// Writes what score() left in one of its tiles to its place in 16 rows of 32 scores.
template <int tile>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void store_scores(float* scores) {
    constexpr std::size_t kBytes = kPanel * sizeof(float);
    memory_barrier();
    if constexpr (tile == 0) _tile_stored(0, scores, kBytes);  // the intrinsic wants a literal
    if constexpr (tile == 1) _tile_stored(1, scores + 16, kBytes);
    memory_barrier();
}

// Adds the product of 16 queries' weights of one block with its values to tiles 2 and 3, or 2 to 5.
template <int panels>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void add_values(const Task& task, const Bf16* weights,
                                                                        std::size_t panel,
                                                                        std::size_t block) {
    const Bf16* values = task.scratch.values + (panel * task.blocks + block) * 2 * kTile;
    memory_barrier();
    _tile_loadd(6, weights, kTileBytes);
    _tile_loadd(7, values, kTileBytes);
    _tile_dpbf16ps(2, 6, 7);
    _tile_loadd(7, values + kTile, kTileBytes);
    _tile_dpbf16ps(3, 6, 7);
    if constexpr (panels == 2) {
        values += task.blocks * 2 * kTile;
        _tile_loadd(7, values, kTileBytes);
        _tile_dpbf16ps(4, 6, 7);
        _tile_loadd(7, values + kTile, kTileBytes);
        _tile_dpbf16ps(5, 6, 7);
    }
}

template <int panels>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void zero_values() {
    _tile_zero(2);
    _tile_zero(3);
    if constexpr (panels == 2) _tile_zero(4);
    if constexpr (panels == 2) _tile_zero(5);
}

// The sums of add_values(), 16 rows of head_dim.
template <int panels>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void store_values(const Task& task,
                                                                          std::size_t panel) {
    const std::size_t bytes = task.head.head_dim * sizeof(float);
    float* product = task.scratch.product + panel * kPanel;
    _tile_stored(2, product, bytes);
    _tile_stored(3, product + 16, bytes);
    if constexpr (panels == 2) _tile_stored(4, product + 32, bytes);
    if constexpr (panels == 2) _tile_stored(5, product + 48, bytes);
    memory_barrier();
}

// Scores of some queries to weights 2^(score - shift), added up lane by lane in `rows`.
template <bool kShifted, bool kIsLast>
UNIVAR_AVX512 inline __attribute__((always_inline)) void soften(std::size_t first, std::size_t last,
                                                                const float* scores, const float* shifts,
                                                                Lanes lanes, Bf16* weights, float* rows) {
    for (std::size_t i = first; i < last; ++i) {
        __m512 low = _mm512_load_ps(scores + i * kPanel), high = _mm512_load_ps(scores + i * kPanel + 16);
        if (kShifted) {
            const __m512 shift = _mm512_set1_ps(shifts[i]);
            low = _mm512_sub_ps(low, shift);
            high = _mm512_sub_ps(high, shift);
        }
        low = exp2_rough(low);
        high = exp2_rough(high);
        if (kIsLast) {
            low = _mm512_maskz_mov_ps(lanes.low, low);
            high = _mm512_maskz_mov_ps(lanes.high, high);
        }
        float* sum = rows + i * 16;
        _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(low, high)));
        store_bf16(weights + i * kPanel, low, high);
    }
}

UNIVAR_AVX512 void fill(float* rows, float value) {
    for (std::size_t i = 0; i < kTileRows; ++i) {
        _mm512_store_ps(rows + 16 * i, _mm512_set1_ps(value));
        memory_barrier();  // or the compiler makes it a slower memset
    }
}

// Lane sums of 16 queries' weights in scratch.rows, and their weighted sums of one or two panels of the
// values, from `panel` on, in scratch.product.
template <bool kShifted, int panels>
UNIVAR_AVX512_AMX void weigh(const Task& task, const Bf16* queries, const float* shifts, std::size_t panel) {
    const AttentionScratch& scratch = task.scratch;
    constexpr std::size_t kHalf = kTileRows * kPanel;
    fill(scratch.rows, 0.0f);
    score(task, queries, 0);
    store_scores<0>(scratch.scores);
    store_scores<1>(scratch.scores);
    zero_values<panels>();
    for (std::size_t block = 1; block < task.blocks; ++block) {
        const float* scores = scratch.scores + (block - 1) % 2 * kHalf;
        float* next = scratch.scores + block % 2 * kHalf;
        Bf16* weights = scratch.weights + (block - 1) % 2 * kHalf;
        score(task, queries, block);
        soften<kShifted, false>(0, kEarly, scores, shifts, Lanes(), weights, scratch.rows);
        store_scores<0>(next);
        store_scores<1>(next);
        soften<kShifted, false>(kEarly, kTileRows, scores, shifts, Lanes(), weights, scratch.rows);
        if (block > 1) add_values<panels>(task, scratch.weights + block % 2 * kHalf, panel, block - 2);
    }
    const std::size_t last = task.blocks - 1;
    const float* scores = scratch.scores + last % 2 * kHalf;
    Bf16* weights = scratch.weights + last % 2 * kHalf;
    const Lanes lanes = Lanes::of(task.tokens - last * kPanel);
    soften<kShifted, true>(0, kTileRows, scores, shifts, lanes, weights, scratch.rows);
    if (last > 0) add_values<panels>(task, scratch.weights + (last - 1) % 2 * kHalf, panel, last - 1);
    add_values<panels>(task, weights, panel, last);
    store_values<panels>(task, panel);
}

template <bool kShifted>
UNIVAR_AVX512_AMX void weigh_panels(const Task& task, const Bf16* queries, const float* shifts) {
    std::size_t panel = 0;
    for (; panel + 2 <= task.steps; panel += 2) weigh<kShifted, 2>(task, queries, shifts, panel);
    if (panel < task.steps) weigh<kShifted, 1>(task, queries, shifts, panel);
}

// Highest score of each of 16 queries.
UNIVAR_AVX512_AMX void find_highest(const Task& task, const Bf16* queries, float* highest) {
    const AttentionScratch& scratch = task.scratch;
    fill(scratch.rows, -3e38f);
    for (std::size_t block = 0; block < task.blocks; ++block) {
        float* scores = scratch.scores;
        score(task, queries, block);
        store_scores<0>(scores);
        store_scores<1>(scores);
        const Lanes lanes = Lanes::of(task.tokens - block * kPanel);
        for (std::size_t i = 0; i < kTileRows; ++i, scores += kPanel) {
            __m512 top = _mm512_load_ps(scratch.rows + 16 * i);
            top = _mm512_mask_max_ps(top, lanes.low, top, _mm512_load_ps(scores));
            top = _mm512_mask_max_ps(top, lanes.high, top, _mm512_load_ps(scores + 16));
            _mm512_store_ps(scratch.rows + 16 * i, top);
        }
    }
    for (std::size_t i = 0; i < kTileRows; ++i)
        highest[i] = _mm512_reduce_max_ps(_mm512_load_ps(scratch.rows + 16 * i));
}

// Inverse sums of the weights of the first `queries` rows; false where one is too small or too large to
// trust.
UNIVAR_AVX512 bool invert_sums(const float* rows, std::size_t queries, float* inverse) {
    bool trusted = true;
    for (std::size_t i = 0; i < queries; ++i) {
        const float sum = _mm512_reduce_add_ps(_mm512_load_ps(rows + 16 * i));
        trusted = trusted && sum > 1e-20f && sum < 1e20f;
        inverse[i] = 1.0f / sum;
    }
    return trusted;
}

UNIVAR_AVX512 void store_scaled(const Task& task, const float* scales, std::size_t rows, Bf16* to) {
    const std::size_t dim = task.head.head_dim;
    for (std::size_t panel = 0; panel < task.steps; ++panel, to += task.head.queries.stride)
        for (std::size_t i = 0; i < rows; ++i) {
            const float* product = task.scratch.product + i * dim + panel * kPanel;
            const __m512 scale = _mm512_set1_ps(scales[i]);
            store_bf16(to + i * kPanel, _mm512_mul_ps(_mm512_load_ps(product), scale),
                       _mm512_mul_ps(_mm512_load_ps(product + 16), scale));
        }
}

}  // namespace

UNIVAR_AVX512_AMX void attend(const HeadPanels& head, std::size_t first, std::size_t tokens,
                              AttentionScratch& scratch) {
    const HeadPanels own{head.queries.from_row(first), head.keys.from_row(first), head.values.from_row(first),
                         head.head_dim};
    const Task task{own, tokens, (tokens + 31) / 32, head.head_dim / kPanel, scratch};
    lay_out(task);
    for (std::size_t query = 0; query < tokens; query += kTileRows) {
        Bf16* queries = own.queries.data + query * kPanel;
        const std::size_t count = tokens - query < kTileRows ? tokens - query : kTileRows;
        float inverse[kTileRows];
        weigh_panels<false>(task, queries, inverse);
        if (!invert_sums(scratch.rows, count, inverse)) {
            float highest[kTileRows];
            find_highest(task, queries, highest);
            weigh_panels<true>(task, queries, highest);
            invert_sums(scratch.rows, count, inverse);
        }
        store_scaled(task, inverse, count, queries);
    }
}

}  // namespace univar
#endif
