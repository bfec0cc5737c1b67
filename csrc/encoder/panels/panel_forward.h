// What the bf16 and int8 forwards share: blocks of texts, embeddings, attention and pooling over panels, in
// bf16 and float32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/pages.h"
#include "encoder/model_parts.h"
#include "encoder/panels/attention.h"
#include "encoder/panels/kernels.h"
#include "encoder/panels/packed_linear.h"
#include "encoder/panels/rows.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

Finish finish_of(Activation activation);

// How many weights all linear layers have.
std::size_t linear_values(const ModelShape& shape);

class PanelForward : public Forward {
  public:
    void run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, Workspace& workspace,
             float* out) const final;
    std::size_t dim() const final { return shape_.dim; }
    std::size_t block_tokens() const final { return block_rows_; }

  protected:
    // float_count: how many floats reserve_floats() and store_floats() will give in all; row_bytes:
    // activations of one token. The derived class sets the embeddings' next_bias.
    PanelForward(const ModelShape& shape, const ModelWeights& weights, const PanelKernels& kernels,
                 std::size_t float_count, std::size_t row_bytes);

    // Whole texts, about block_rows_ tokens of them or one long text. out: (texts, dim).
    virtual void run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                           Workspace& workspace, float* out) const = 0;

    void embed_texts(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                     Stream stream, Panels x) const;
    // Attention of all heads; the result takes the place of the queries.
    void attend_texts(const std::int32_t* cu_seqlens, std::size_t texts, Panels qkv,
                      AttentionScratch& scratch) const;
    void pool_texts(const std::int32_t* cu_seqlens, std::size_t texts, Stream stream, float* out) const;

    // What queries are multiplied by, see HeadPanels.
    float query_factor() const;
    // n floats that live as long as this object.
    float* reserve_floats(std::size_t n);
    // A copy of n values in such floats; zeros for null.
    const float* store_floats(const float* values, std::size_t n);

    ModelShape shape_;
    const PanelKernels& kernels_;
    std::size_t block_rows_;
    StreamNorm embedding_norm_;

  private:
    RotaryTables rotary_;
    PageArray<float> word_, position_, floats_;
    std::size_t floats_used_ = 0;
};

}  // namespace univar
#endif
