// Attention over packed texts and its gradients, for training: bf16 in and out, on AMX tiles or by the dot
// products of AVX-512 BF16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// Packed texts and their queries, keys and values.
struct AttentionBatch {
    const Bf16* qkv;                     // (rows, 3, heads, head_dim)
    const std::int32_t* cu_seqlens;      // text i is rows cu_seqlens[i] .. cu_seqlens[i + 1]
    std::size_t texts, heads, head_dim;  // head_dim is a multiple of 32

    std::size_t dim() const { return heads * head_dim; }
    std::size_t tokens() const { return static_cast<std::size_t>(cu_seqlens[texts]); }
};

// out: (tokens, dim); log_sums: (heads, tokens), log2 of each query's sum of 2^(score log2(e)), from which
// attention_gradient() computes the weights again.
void attention(const AttentionBatch& batch, bool use_tiles, Bf16* out, float* log_sums);

// d_qkv: (tokens, 3, heads, head_dim), the gradients of queries, keys and values, from the results of
// attention() and the gradient d_out (tokens, dim) of its out. Scores are computed again, so that nothing of
// the size of all queries times all keys is stored.
void attention_gradient(const AttentionBatch& batch, bool use_tiles, const Bf16* out, const float* log_sums,
                        const Bf16* d_out, Bf16* d_qkv);

}  // namespace univar
#endif
