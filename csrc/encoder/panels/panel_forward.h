// What the forwards over panels share, whatever their linear layers multiply: texts are cut into blocks,
// embedded, attended and pooled, in bf16 and float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/pages.h"
#include "encoder/block_forward.h"
#include "encoder/panels/kernels.h"
#include "encoder/panels/rows.h"

#if defined(UNIVAR_AMX)

namespace univar {

Finish finish_of(Activation activation);

// Weights of all linear layers.
std::size_t linear_values(const ModelShape& shape);

class PanelForward : public Forward {
  public:
    void run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, Workspace& workspace,
             float* out) const final;
    std::size_t dim() const final { return shape_.dim; }
    std::size_t block_tokens() const final { return block_rows_; }

  protected:
    // small_values: what keep() and room() give in all; row_bytes: activations of one token. The embeddings'
    // next_bias is for the heir to set.
    PanelForward(const ModelShape& shape, const ModelWeights& weights, const PanelKernels& kernels,
                 std::size_t small_values, std::size_t row_bytes);

    // Whole texts, about block_rows_ tokens of them or one long text. out: (texts, dim).
    virtual void run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                           Workspace& workspace, float* out) const = 0;

    void embed_texts(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                     Stream stream, Panels x) const;
    // Attention of all heads; the result takes the place of the queries.
    void attend_texts(const std::int32_t* cu_seqlens, std::size_t texts, Panels qkv,
                      AttentionScratch& scratch) const;
    void pool_texts(const std::int32_t* cu_seqlens, std::size_t texts, Stream stream, float* out) const;

    // What queries are multiplied by: softmax is taken to base 2.
    float query_factor() const;
    // Room for n floats that live as long as this.
    float* room(std::size_t n);
    // A copy of n values, zeros for null.
    const float* keep(const float* values, std::size_t n);

    ModelShape shape_;
    const PanelKernels& kernels_;
    std::size_t block_rows_;
    StreamNorm embedding_norm_;

  private:
    RotaryTables rotary_;
    PageArray<float> word_, position_, small_;
    std::size_t small_used_ = 0;
};

}  // namespace univar
#endif
