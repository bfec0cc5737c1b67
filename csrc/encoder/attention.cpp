// Attention over packed texts with AMX tiles. For each text and head, keys and values are laid out as AMX
// wants its right operand; then 32 queries at a time: scores into a buffer, softmax by rows to bf16, product
// with the values.
#include <cmath>
#include <cstring>
#include <memory>
#include <new>

#include "encoder/bf16_kernels.h"
#include "encoder/cpu.h"
#include "encoder/simd.h"

namespace univar {

#if defined(UNIVAR_AMX)

namespace {

constexpr std::size_t kQueries = 32;    // per block: two tiles of 16 rows
constexpr std::size_t kTile = 16 * 32;  // bf16 values of one tile
constexpr std::size_t kTileBytes = 64;  // one row of a tile

struct alignas(64) TileConfig {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
    TileConfig() {
        for (int tile = 0; tile < 8; ++tile) row_bytes[tile] = kTileBytes, rows[tile] = 16;
    }
};

// Floats from one row of scores to the next: an odd number of cache lines, so that rows don't fall on each
// other.
std::size_t score_stride(std::size_t padded) { return padded + 16; }

// Memory of one thread, grown to the longest text it has seen.
struct Scratch {
    std::size_t tokens = 0, head_dim = 0;
    Bf16* queries = nullptr;   // (32, head_dim)
    Bf16* keys = nullptr;      // tiles by 16 keys, then by 32 dims: pairs of dims down, keys across
    Bf16* values = nullptr;    // tiles by 32 keys, then by 16 dims: pairs of keys down, dims across
    float* scores = nullptr;   // (32, score_stride(tokens)); a row's weights (bf16) come to lie at its start
    float* product = nullptr;  // (32, 32)

    void reserve(std::size_t wanted_tokens, std::size_t wanted_head_dim) {
        if (wanted_tokens <= tokens && wanted_head_dim <= head_dim) return;
        tokens = wanted_tokens > tokens ? wanted_tokens : tokens;
        head_dim = wanted_head_dim > head_dim ? wanted_head_dim : head_dim;
        const std::size_t halves = kQueries * head_dim + 2 * tokens * head_dim;
        const std::size_t floats = kQueries * score_stride(tokens) + kQueries * kQueries;
        memory_.reset(static_cast<char*>(::operator new[](2 * halves + 4 * floats, std::align_val_t{64})));
        scores = reinterpret_cast<float*>(memory_.get());
        product = scores + kQueries * score_stride(tokens);
        queries = reinterpret_cast<Bf16*>(product + kQueries * kQueries);
        keys = queries + kQueries * head_dim;
        values = keys + tokens * head_dim;
    }

  private:
    struct Free {
        void operator()(char* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
    };
    std::unique_ptr<char, Free> memory_;
};

// 16 rows of 16 dwords, transposed; rows from `rows` on count as zero.
UNIVAR_AVX512 void transpose_tile(const Bf16* from, std::size_t stride, std::size_t rows, Bf16* to) {
    __m512i a[16], b[16];
    for (std::size_t i = 0; i < 16; ++i)
        a[i] = i < rows ? _mm512_loadu_si512(from + i * stride) : _mm512_setzero_si512();
    for (int i = 0; i < 8; ++i) {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    }
    for (int i = 0; i < 4; ++i) {  // lanes of four rows each: b[i] has columns i and i + 8 of rows 0..7
        b[i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88);
        b[4 + i] = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xdd);
        b[8 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88);
        b[12 + i] = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xdd);
    }
    for (int i = 0; i < 8; ++i) {
        _mm512_store_si512(to + 32 * i, _mm512_shuffle_i32x4(b[i], b[8 + i], 0x88));
        _mm512_store_si512(to + 32 * (8 + i), _mm512_shuffle_i32x4(b[i], b[8 + i], 0xdd));
    }
}

UNIVAR_AVX512 inline __m512i widened_row(const Bf16* from, std::size_t stride, std::size_t rows,
                                         std::size_t i) {
    if (i >= rows) return _mm512_setzero_si512();
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i * stride)));
}

// 32 rows of 16 values as 16 rows of pairs (value of row 2 i, value of row 2 i + 1); rows from `rows` on are
// zero.
UNIVAR_AVX512 void pair_tile(const Bf16* from, std::size_t stride, std::size_t rows, Bf16* to) {
    for (std::size_t i = 0; i < 16; ++i) {
        const __m512i even = widened_row(from, stride, rows, 2 * i);
        const __m512i odd = widened_row(from, stride, rows, 2 * i + 1);
        _mm512_store_si512(to + 32 * i, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
    }
}

// 2^x to about 1e-4, 0 far below; the weights are rounded to bf16 anyway.
UNIVAR_AVX512 inline __m512 exp2_rough(__m512 x) {
    const __m512 part = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);  // x - floor(x)
    __m512 p = _mm512_set1_ps(0.0780245f);
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(0.2260672f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(0.6958335f));
    p = _mm512_fmadd_ps(p, part, _mm512_set1_ps(0.9999252f));
    return _mm512_scalef_ps(p, x);  // p * 2^floor(x)
}

// Lanes i of 16 with first + i >= length.
inline __mmask16 beyond(std::size_t first, std::size_t length) {
    const std::size_t inside = length > first ? length - first : 0;
    return inside >= 16 ? __mmask16{0} : static_cast<__mmask16>(0xffffu << inside);
}

// One row of scores to weights exp(scale * (score - highest)), 0 from `length` to `padded`, written as bf16
// over the start of the row. Returns 1 / their sum.
UNIVAR_AVX512 float soften(float* scores, std::size_t length, std::size_t padded, float log2_scale) {
    Bf16* weights = reinterpret_cast<Bf16*>(scores);
    const __m512 lowest = _mm512_set1_ps(-1e30f);
    for (std::size_t i = padded - 32; i < padded; i += 16)
        _mm512_mask_store_ps(scores + i, beyond(i, length), lowest);
    __m512 top = lowest, second_top = lowest;
    for (std::size_t i = 0; i < padded; i += 32) {
        top = _mm512_max_ps(top, _mm512_load_ps(scores + i));
        second_top = _mm512_max_ps(second_top, _mm512_load_ps(scores + i + 16));
    }
    const __m512 scale = _mm512_set1_ps(log2_scale);
    const __m512 shift = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(top, second_top)) * log2_scale);
    __m512 sum = _mm512_setzero_ps(), second_sum = _mm512_setzero_ps();
    for (std::size_t i = 0; i < padded; i += 32) {
        const __m512 low = exp2_rough(_mm512_fmsub_ps(_mm512_load_ps(scores + i), scale, shift));
        const __m512 high = exp2_rough(_mm512_fmsub_ps(_mm512_load_ps(scores + i + 16), scale, shift));
        sum = _mm512_add_ps(sum, low);
        second_sum = _mm512_add_ps(second_sum, high);
        store_bf16(weights + i, low, high);
    }
    return 1.0f / _mm512_reduce_add_ps(_mm512_add_ps(sum, second_sum));
}

// What one head of one text works on; `padded` is its length rounded up to 32.
struct Head {
    const Bf16 *q, *k, *v;
    Bf16* out;
    std::size_t length, padded, head_dim, stride, out_stride;
    float log2_scale;
};

UNIVAR_AVX512 void lay_out(const Head& head, Scratch& scratch) {
    Bf16* to = scratch.keys;
    for (std::size_t i = 0; i < head.padded; i += 16) {
        const std::size_t rows = i < head.length ? head.length - i : 0;
        for (std::size_t d = 0; d < head.head_dim; d += 32, to += kTile)
            transpose_tile(head.k + i * head.stride + d, head.stride, rows, to);
    }
    to = scratch.values;
    for (std::size_t i = 0; i < head.padded; i += 32)
        for (std::size_t d = 0; d < head.head_dim; d += 16, to += kTile)
            pair_tile(head.v + i * head.stride + d, head.stride, head.length - i, to);
}

// scores (32, padded) of the queries in scratch.
UNIVAR_AVX512_AMX void score(const Head& head, const Scratch& scratch) {
    const std::size_t query_bytes = 2 * head.head_dim, steps = head.head_dim / 32;
    const std::size_t stride = score_stride(head.padded);
    const Bf16* keys = scratch.keys;
    for (std::size_t i = 0; i < head.padded; i += 32, keys += 2 * steps * kTile) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (std::size_t step = 0; step < steps; ++step) {
            _tile_loadd(4, scratch.queries + 32 * step, query_bytes);
            _tile_loadd(5, scratch.queries + 16 * head.head_dim + 32 * step, query_bytes);
            _tile_loadd(6, keys + step * kTile, kTileBytes);
            _tile_loadd(7, keys + (steps + step) * kTile, kTileBytes);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, scratch.scores + i, 4 * stride);
        _tile_stored(1, scratch.scores + i + 16, 4 * stride);
        _tile_stored(2, scratch.scores + 16 * stride + i, 4 * stride);
        _tile_stored(3, scratch.scores + 16 * stride + i + 16, 4 * stride);
    }
}

// product (32, 32) of the weights and 32 dims of the values from `d` on.
UNIVAR_AVX512_AMX void weigh(const Head& head, const Scratch& scratch, std::size_t d) {
    const std::size_t stride = score_stride(head.padded), tiles = head.head_dim / 16;
    const Bf16* weights = reinterpret_cast<const Bf16*>(scratch.scores);
    const Bf16* values = scratch.values + d / 16 * kTile;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (std::size_t i = 0; i < head.padded; i += 32, values += tiles * kTile) {
        _tile_loadd(4, weights + i, 4 * stride);
        _tile_loadd(5, weights + 32 * stride + i, 4 * stride);
        _tile_loadd(6, values, kTileBytes);
        _tile_loadd(7, values + kTile, kTileBytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    constexpr std::size_t kProductBytes = 4 * kQueries;
    _tile_stored(0, scratch.product, kProductBytes);
    _tile_stored(1, scratch.product + 16, kProductBytes);
    _tile_stored(2, scratch.product + 16 * kQueries, kProductBytes);
    _tile_stored(3, scratch.product + 16 * kQueries + 16, kProductBytes);
}

// Ask for the rows of the next head while this one is worked on: they lie too far apart for the processor to
// guess.
inline void prefetch(const Head& next, std::size_t first, std::size_t rows) {
    const std::size_t last = first + rows < next.length ? first + rows : next.length;
    for (std::size_t i = first; i < last; ++i)
        for (std::size_t d = 0; d < next.head_dim; d += 32) {
            __builtin_prefetch(next.q + i * next.stride + d);
            __builtin_prefetch(next.k + i * next.stride + d);
            __builtin_prefetch(next.v + i * next.stride + d);
            __builtin_prefetch(next.out + i * next.out_stride + d, 1);
        }
}

UNIVAR_AVX512_AMX void attend(const Head& head, const Head& next, Scratch& scratch) {
    lay_out(head, scratch);
    for (std::size_t first = 0; first < head.length; first += kQueries) {
        const std::size_t queries = head.length - first < kQueries ? head.length - first : kQueries;
        for (std::size_t i = 0; i < kQueries; ++i) {
            Bf16* row = scratch.queries + i * head.head_dim;
            if (i < queries)
                std::memcpy(row, head.q + (first + i) * head.stride, 2 * head.head_dim);
            else
                std::memset(row, 0, 2 * head.head_dim);
        }
        prefetch(next, first, kQueries);
        score(head, scratch);
        float inverse_sums[kQueries];
        for (std::size_t i = 0; i < queries; ++i)
            inverse_sums[i] = soften(scratch.scores + i * score_stride(head.padded), head.length, head.padded,
                                     head.log2_scale);
        for (std::size_t d = 0; d < head.head_dim; d += 32) {
            weigh(head, scratch, d);
            for (std::size_t i = 0; i < queries; ++i) {
                const __m512 inverse = _mm512_set1_ps(inverse_sums[i]);
                const float* row = scratch.product + i * kQueries;
                store_bf16(head.out + (first + i) * head.out_stride + d,
                           _mm512_mul_ps(_mm512_load_ps(row), inverse),
                           _mm512_mul_ps(_mm512_load_ps(row + 16), inverse));
            }
        }
    }
}

// Head `item % heads` of text `item / heads`.
Head head_of(const Bf16* qkv, const std::int32_t* cu_seqlens, std::size_t item, std::size_t heads,
             std::size_t head_dim, Bf16* out) {
    const std::size_t dim = heads * head_dim, text = item / heads, offset = item % heads * head_dim;
    const auto first = static_cast<std::size_t>(cu_seqlens[text]);
    Head head;
    head.length = static_cast<std::size_t>(cu_seqlens[text + 1]) - first;
    head.padded = (head.length + 31) / 32 * 32;
    head.head_dim = head_dim;
    head.stride = 3 * dim;
    head.out_stride = dim;
    head.log2_scale = 1.44269504f / std::sqrt(static_cast<float>(head_dim));
    head.q = qkv + first * head.stride + offset;
    head.k = head.q + dim;
    head.v = head.k + dim;
    head.out = out + first * dim + offset;
    return head;
}

}  // namespace

bool bf16_kernels_usable() { return cpu_features().amx_bf16; }

UNIVAR_AVX512_AMX void attention(const Bf16* qkv, const std::int32_t* cu_seqlens, std::size_t texts,
                                 std::size_t heads, std::size_t head_dim, Bf16* out) {
    thread_local Scratch scratch;
    const TileConfig config;
    _tile_loadconfig(&config);
    const std::size_t items = texts * heads;
    for (std::size_t item = 0; item < items; ++item) {
        const Head head = head_of(qkv, cu_seqlens, item, heads, head_dim, out);
        const Head next = head_of(qkv, cu_seqlens, item + 1 < items ? item + 1 : item, heads, head_dim, out);
        scratch.reserve(head.padded, head_dim);
        attend(head, next, scratch);
    }
    _tile_release();
}

#else

bool bf16_kernels_usable() { return false; }

void attention(const Bf16*, const std::int32_t*, std::size_t, std::size_t, std::size_t, Bf16*) {}

#endif

}  // namespace univar
