// Works on one text and head at a time. Its rows are copied and laid out as products need their operands;
// then 32 queries at a time are multiplied with all keys. With weights P = 2^(S c - log_sum), c = log2(e) /
// sqrt(head_dim), and G the gradient of the result O:
//
//     dS = P * (G V^T - rowsum(G * O)),  dQ = dS K / sqrt(head_dim),
//     dK^T = Q^T dS / sqrt(head_dim),    dV^T = G^T P
//
// dK and dV are computed transposed. This makes P and dS right operands, for which only neighbouring rows
// have to be paired; nothing of the size of P is ever transposed.
#include "encoder/training/attention_gradient.h"

#include <cmath>
#include <initializer_list>

#include "common/pages.h"
#include "encoder/approximations.h"
#include "encoder/panels/bf16_math.h"
#include "encoder/panels/operands.h"
#include "encoder/training/block_products.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

constexpr std::size_t kGroup = 8;  // blocks of 32 queries whose weights are stored at a time

// Writes `rows` of a 32 x 32 block of sums times `scale[i]` to bf16 rows `stride` apart.
UNIVAR_AVX512_BF16 void store_rows(const float* sums, const float* scale, std::size_t rows, Bf16* to,
                                   std::size_t stride) {
    for (std::size_t i = 0; i < rows; ++i) {
        const float* row = sums_row(sums, i);
        const __m512 factor = _mm512_set1_ps(scale[i]);
        store_bf16(to + i * stride, _mm512_mul_ps(_mm512_load_ps(row), factor),
                   _mm512_mul_ps(_mm512_load_ps(row + kSums), factor));
    }
}

// Writes `columns` of a 32 x 32 block of sums, times `scale`, as bf16 rows `stride` apart.
UNIVAR_AVX512_BF16 void store_columns(const float* sums, float scale, std::size_t columns, Bf16* to,
                                      std::size_t stride) {
    alignas(64) float transposed[2][kSums];
    const __m512 factor = _mm512_set1_ps(scale);
    for (std::size_t first = 0; first < columns; first += 16) {
        for (std::size_t half = 0; half < 2; ++half)
            transpose_tile(reinterpret_cast<const Bf16*>(sums + (2 * half + first / 16) * kSums), kTileRows,
                           reinterpret_cast<Bf16*>(transposed[half]));
        memory_barrier();
        for (std::size_t i = 0; i < 16 && first + i < columns; ++i)
            store_bf16(to + (first + i) * stride,
                       _mm512_mul_ps(_mm512_load_ps(transposed[0] + 16 * i), factor),
                       _mm512_mul_ps(_mm512_load_ps(transposed[1] + 16 * i), factor));
    }
}

// What a thread needs for one text and head.
struct Scratch {
    OperandMatrix queries, keys, values, gradients;
    PageArray<float> scores, products;          // 32 queries x all keys, in blocks
    PageArray<Bf16> weights;                    // likewise, as left operand
    PageArray<Bf16> weight_pairs, score_pairs;  // by key block, then query block of a group: right operands
    PageArray<float> d_keys, d_values;          // (key blocks, panels) blocks of dims x keys

    void reserve(std::size_t tokens, std::size_t head_dim) {
        for (OperandMatrix* matrix : {&queries, &keys, &values, &gradients})
            matrix->reserve(tokens, head_dim);
        const std::size_t blocks = keys.blocks();
        scores.reserve(blocks * kBlockSums);
        products.reserve(blocks * kBlockSums);
        weights.reserve(blocks * kBlock);
        weight_pairs.reserve(blocks * kGroup * kBlock);
        score_pairs.reserve(blocks * kGroup * kBlock);
        d_keys.reserve(blocks * keys.panels() * kBlockSums);
        d_values.reserve(blocks * keys.panels() * kBlockSums);
    }
};

// Multiplies the 32 rows of a block with all rows of `right`: blocks of sums.
template <typename Blocks>
UNIVAR_AMX_BF16 void multiply_by_rows(OperandMatrix& left, std::size_t block, const OperandMatrix& right,
                                      float* sums) {
    for (std::size_t k = 0; k < right.blocks(); ++k)
        Blocks::multiply(left.left(block), right.right_transposed(k), right.panels(), sums + k * kBlockSums,
                         false);
}

// Computes softmax's weights of `rows` queries, not yet divided by their sums, as bf16 rows by key block; and
// the inverse and the log2 of the sums.
UNIVAR_AVX512_BF16 void softmax_weights(Scratch& scratch, std::size_t tokens, std::size_t rows, float factor,
                                        float* inverse, float* log_sums) {
    const std::size_t blocks = scratch.keys.blocks();
    const Lanes last = Lanes::of(tokens - (blocks - 1) * kPanel);
    const __m512 c = _mm512_set1_ps(factor);
    for (std::size_t i = 0; i < rows; ++i) {
        __m512 top = _mm512_set1_ps(-INFINITY);
        for (std::size_t k = 0; k < blocks; ++k) {
            const Lanes lanes = k + 1 < blocks ? Lanes() : last;
            const float* row = sums_row(scratch.scores.data() + k * kBlockSums, i);
            top = _mm512_mask_max_ps(top, lanes.low, top, _mm512_load_ps(row));
            top = _mm512_mask_max_ps(top, lanes.high, top, _mm512_load_ps(row + kSums));
        }
        const float highest = _mm512_reduce_max_ps(top) * factor;
        const __m512 shift = _mm512_set1_ps(highest);
        __m512 sum = _mm512_setzero_ps();
        for (std::size_t k = 0; k < blocks; ++k) {
            const Lanes lanes = k + 1 < blocks ? Lanes() : last;
            const float* row = sums_row(scratch.scores.data() + k * kBlockSums, i);
            const __m512 low =
                _mm512_maskz_mov_ps(lanes.low, exp2_bf16(_mm512_fmsub_ps(_mm512_load_ps(row), c, shift)));
            const __m512 high = _mm512_maskz_mov_ps(
                lanes.high, exp2_bf16(_mm512_fmsub_ps(_mm512_load_ps(row + kSums), c, shift)));
            sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
            store_bf16(scratch.weights.data() + k * kBlock + i * kPanel, low, high);
        }
        const float total = _mm512_reduce_add_ps(sum);
        inverse[i] = 1.0f / total;
        log_sums[i] = highest + std::log2(total);
    }
}

// Two rows of 32 values each as rows of two tiles, the values of both rows in pairs.
UNIVAR_AVX512_BF16 inline void store_pairs(Bf16* to, __m512 low0, __m512 high0, __m512 low1, __m512 high1) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                           7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512bh low = _mm512_cvtne2ps_pbh(low1, low0), high = _mm512_cvtne2ps_pbh(high1, high0);
    __m512i bits;
    __builtin_memcpy(&bits, &low, sizeof bits);
    _mm512_store_si512(to, _mm512_permutexvar_epi16(order, bits));
    __builtin_memcpy(&bits, &high, sizeof bits);
    _mm512_store_si512(to + kTile, _mm512_permutexvar_epi16(order, bits));
}

// From a block of scores and one of G V^T: the gradients dS as left operand, and both weights P and gradients
// dS as right operands. shifts: log sums of the queries, +inf for missing ones; inner: rowsum(G * O).
UNIVAR_AVX512_BF16 void score_gradients(const float* scores, const float* products, float factor, Lanes lanes,
                                        const float* shifts, const float* inner, Bf16* left,
                                        Bf16* weight_pairs, Bf16* score_pairs) {
    const __m512 c = _mm512_set1_ps(factor);
    for (std::size_t i = 0; i < kPanel; i += 2) {
        __m512 p[2][2], ds[2][2];
        for (std::size_t j = 0; j < 2; ++j) {
            const float *score = sums_row(scores, i + j), *product = sums_row(products, i + j);
            const __m512 shift = _mm512_set1_ps(shifts[i + j]), less = _mm512_set1_ps(inner[i + j]);
            for (std::size_t half = 0; half < 2; ++half) {
                const __mmask16 mask = half == 0 ? lanes.low : lanes.high;
                const __m512 exponent = _mm512_fmsub_ps(_mm512_load_ps(score + half * kSums), c, shift);
                p[j][half] = _mm512_maskz_mov_ps(mask, exp2_bf16(exponent));
                ds[j][half] =
                    _mm512_mul_ps(p[j][half], _mm512_sub_ps(_mm512_load_ps(product + half * kSums), less));
            }
            store_bf16(left + (i + j) * kPanel, ds[j][0], ds[j][1]);
        }
        store_pairs(weight_pairs + i / 2 * kPanel, p[0][0], p[0][1], p[1][0], p[1][1]);
        store_pairs(score_pairs + i / 2 * kPanel, ds[0][0], ds[0][1], ds[1][0], ds[1][1]);
    }
}

// One head of one text.
struct HeadTask {
    std::size_t first, tokens, head;
    std::size_t stride, dim, head_dim;  // values from row to row of qkv and of the result
    float factor, scale;                // log2(e) / sqrt(head_dim) and 1 / sqrt(head_dim)

    std::size_t in_qkv(std::size_t part, std::size_t row = 0) const {
        return (first + row) * stride + part * dim + head * head_dim;
    }
    std::size_t in_out(std::size_t row = 0) const { return (first + row) * dim + head * head_dim; }
};

template <typename Run>
void for_each_head(const AttentionBatch& batch, Scratch& scratch, Run run) {
    const float root = std::sqrt(static_cast<float>(batch.head_dim));
    for (std::size_t text = 0; text < batch.texts; ++text) {
        const auto first = static_cast<std::size_t>(batch.cu_seqlens[text]);
        const std::size_t tokens = static_cast<std::size_t>(batch.cu_seqlens[text + 1]) - first;
        if (tokens == 0) continue;
        scratch.reserve(tokens, batch.head_dim);
        for (std::size_t head = 0; head < batch.heads; ++head)
            run(HeadTask{first, tokens, head, 3 * batch.dim(), batch.dim(), batch.head_dim, kLog2E / root,
                         1.0f / root});
    }
}

template <typename Blocks>
UNIVAR_AMX_BF16 void attend_head(const HeadTask& task, const Bf16* qkv, Bf16* out, float* log_sums,
                                 Scratch& scratch) {
    OperandMatrix &queries = scratch.queries, &keys = scratch.keys, &values = scratch.values;
    queries.copy(qkv + task.in_qkv(0), task.stride, task.tokens);
    keys.copy(qkv + task.in_qkv(1), task.stride, task.tokens);
    values.copy(qkv + task.in_qkv(2), task.stride, task.tokens);
    keys.lay_out_transposed();
    values.lay_out_pairs();
    for (std::size_t block = 0; block < queries.blocks(); ++block) {
        const std::size_t done = block * kPanel;
        const std::size_t rows = task.tokens - done < kPanel ? task.tokens - done : kPanel;
        float inverse[kPanel];
        multiply_by_rows<Blocks>(queries, block, keys, scratch.scores.data());
        softmax_weights(scratch, task.tokens, rows, task.factor, inverse, log_sums + done);
        for (std::size_t p = 0; p < queries.panels(); ++p) {
            alignas(64) float sums[kBlockSums];
            Blocks::multiply({scratch.weights.data(), kTile, kBlock}, values.right(p), keys.blocks(), sums,
                             false);
            store_rows(sums, inverse, rows, out + task.in_out(done) + p * kPanel, task.dim);
        }
    }
}

// rowsum(G * O) of `rows` queries.
UNIVAR_AVX512_BF16 void inner_products(const HeadTask& task, const Bf16* out, const Bf16* d_out,
                                       std::size_t done, std::size_t rows, float* inner) {
    for (std::size_t i = 0; i < rows; ++i) {
        const std::size_t at = task.in_out(done + i);
        __m512 sum = _mm512_setzero_ps();
        for (std::size_t d = 0; d < task.head_dim; d += 16)
            sum = _mm512_fmadd_ps(load_bf16(out + at + d), load_bf16(d_out + at + d), sum);
        inner[i] = _mm512_reduce_add_ps(sum);
    }
}

// Writes dQ of the 32 queries of a block, and the operands from which dK and dV are computed, to the pairs.
template <typename Blocks>
UNIVAR_AMX_BF16 void query_gradients(const HeadTask& task, std::size_t block, const Bf16* out,
                                     const float* log_sums, const Bf16* d_out, Bf16* d_qkv,
                                     Scratch& scratch) {
    const std::size_t done = block * kPanel, blocks = scratch.keys.blocks();
    const std::size_t rows = task.tokens - done < kPanel ? task.tokens - done : kPanel;
    float shifts[kPanel], inner[kPanel] = {}, scales[kPanel];
    for (std::size_t i = 0; i < kPanel; ++i) {
        shifts[i] = i < rows ? log_sums[done + i] : INFINITY;
        scales[i] = task.scale;
    }
    inner_products(task, out, d_out, done, rows, inner);
    multiply_by_rows<Blocks>(scratch.queries, block, scratch.keys, scratch.scores.data());
    multiply_by_rows<Blocks>(scratch.gradients, block, scratch.values, scratch.products.data());
    for (std::size_t k = 0; k < blocks; ++k) {
        const std::size_t pairs = (k * kGroup + block % kGroup) * kBlock;
        score_gradients(scratch.scores.data() + k * kBlockSums, scratch.products.data() + k * kBlockSums,
                        task.factor, Lanes::of(task.tokens - k * kPanel), shifts, inner,
                        scratch.weights.data() + k * kBlock, scratch.weight_pairs.data() + pairs,
                        scratch.score_pairs.data() + pairs);
    }
    for (std::size_t p = 0; p < scratch.keys.panels(); ++p) {
        alignas(64) float sums[kBlockSums];
        Blocks::multiply({scratch.weights.data(), kTile, kBlock}, scratch.keys.right(p), blocks, sums, false);
        store_rows(sums, scales, rows, d_qkv + task.in_qkv(0, done) + p * kPanel, task.stride);
    }
}

// Adds the contribution of the blocks first .. last of queries to dK^T and dV^T of all keys.
template <typename Blocks>
UNIVAR_AMX_BF16 void add_key_value_gradients(std::size_t first, std::size_t last, Scratch& scratch) {
    const std::size_t panels = scratch.keys.panels();
    for (std::size_t k = 0; k < scratch.keys.blocks(); ++k)
        for (std::size_t p = 0; p < panels; ++p) {
            const std::size_t pairs = k * kGroup * kBlock, sums = (k * panels + p) * kBlockSums;
            Blocks::multiply(scratch.queries.left_transposed(p, first),
                             {scratch.score_pairs.data() + pairs, kTile, kBlock}, last - first,
                             scratch.d_keys.data() + sums, first > 0);
            Blocks::multiply(scratch.gradients.left_transposed(p, first),
                             {scratch.weight_pairs.data() + pairs, kTile, kBlock}, last - first,
                             scratch.d_values.data() + sums, first > 0);
        }
}

template <typename Blocks>
UNIVAR_AMX_BF16 void head_gradient(const HeadTask& task, const Bf16* qkv, const Bf16* out,
                                   const float* log_sums, const Bf16* d_out, Bf16* d_qkv, Scratch& scratch) {
    OperandMatrix* matrices[] = {&scratch.queries, &scratch.keys, &scratch.values};
    for (std::size_t part = 0; part < 3; ++part)
        matrices[part]->copy(qkv + task.in_qkv(part), task.stride, task.tokens);
    scratch.gradients.copy(d_out + task.in_out(), task.dim, task.tokens);
    scratch.keys.lay_out_transposed();
    scratch.values.lay_out_transposed();
    for (OperandMatrix* matrix : {&scratch.keys, &scratch.queries, &scratch.gradients})
        matrix->lay_out_pairs();
    for (OperandMatrix* matrix : {&scratch.queries, &scratch.gradients}) matrix->lay_out_left_transposed();
    const std::size_t blocks = scratch.queries.blocks(), panels = scratch.queries.panels();
    for (std::size_t first = 0; first < blocks; first += kGroup) {
        const std::size_t last = first + kGroup < blocks ? first + kGroup : blocks;
        for (std::size_t block = first; block < last; ++block)
            query_gradients<Blocks>(task, block, out, log_sums, d_out, d_qkv, scratch);
        add_key_value_gradients<Blocks>(first, last, scratch);
    }
    for (std::size_t k = 0; k < blocks; ++k)
        for (std::size_t p = 0; p < panels; ++p) {
            const std::size_t done = k * kPanel, sums = (k * panels + p) * kBlockSums;
            const std::size_t rows = task.tokens - done < kPanel ? task.tokens - done : kPanel;
            store_columns(scratch.d_keys.data() + sums, task.scale, rows,
                          d_qkv + task.in_qkv(1, done) + p * kPanel, task.stride);
            store_columns(scratch.d_values.data() + sums, 1.0f, rows,
                          d_qkv + task.in_qkv(2, done) + p * kPanel, task.stride);
        }
}

template <typename Blocks>
UNIVAR_AMX_BF16 void attention_with(const AttentionBatch& batch, Bf16* out, float* log_sums) {
    [[maybe_unused]] const typename Blocks::Session session;
    Scratch scratch;
    for_each_head(batch, scratch, [&](const HeadTask& task) {
        attend_head<Blocks>(task, batch.qkv, out, log_sums + task.head * batch.tokens() + task.first,
                            scratch);
    });
}

template <typename Blocks>
UNIVAR_AMX_BF16 void gradient_with(const AttentionBatch& batch, const Bf16* out, const float* log_sums,
                                   const Bf16* d_out, Bf16* d_qkv) {
    [[maybe_unused]] const typename Blocks::Session session;
    Scratch scratch;
    for_each_head(batch, scratch, [&](const HeadTask& task) {
        head_gradient<Blocks>(task, batch.qkv, out, log_sums + task.head * batch.tokens() + task.first, d_out,
                              d_qkv, scratch);
    });
}

}  // namespace

void attention(const AttentionBatch& batch, bool use_tiles, Bf16* out, float* log_sums) {
    (use_tiles ? attention_with<TileBlocks> : attention_with<DotBlocks>)(batch, out, log_sums);
}

void attention_gradient(const AttentionBatch& batch, bool use_tiles, const Bf16* out, const float* log_sums,
                        const Bf16* d_out, Bf16* d_qkv) {
    (use_tiles ? gradient_with<TileBlocks> : gradient_with<DotBlocks>)(batch, out, log_sums, d_out, d_qkv);
}

}  // namespace univar
#endif
