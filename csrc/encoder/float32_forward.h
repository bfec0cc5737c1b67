// The forward in float32, over blocks of whole texts. A block is small enough to stay in the level-2 cache
// through a layer, and it passes through all layers before the next block starts. Attention is computed head
// by head and the feed-forward part slice by slice, so that neither the matrix of queries, keys and values
// nor that of hidden states ever exists as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/pages.h"
#include "encoder/forward.h"
#include "encoder/model_parts.h"
#include "encoder/simd/float32_kernels.h"

namespace univar {

class Float32Forward final : public Forward {
  public:
    Float32Forward(const ModelShape& shape, const ModelWeights& weights, const Float32Kernels& kernels);

    std::unique_ptr<Workspace> make_workspace() const override;
    std::size_t dim() const override { return shape_.dim; }
    std::size_t block_tokens() const override;
    void run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, Workspace& workspace,
             float* out) const override;

    // Runs these texts of at most kMinBlockTokens tokens. Returns the largest magnitude of each column (dim,)
    // of the inputs of the linear layers qkv, up, qkv, up, and so on.
    std::vector<std::vector<float>> input_sizes(const std::vector<std::int32_t>& ids,
                                                const std::vector<std::int32_t>& cu_seqlens) const;

    static constexpr std::size_t kMinBlockTokens = 256;  // with fewer, reading the weights takes too long

  private:
    // A linear layer, or a part of one, with its weights in panels as `Product` takes them.
    struct Matrix {
        const float* panels;
        std::vector<float> bias;
        std::size_t in, out;
    };

    struct OwnNorm {
        std::vector<float> weight, bias;
        OwnNorm() = default;
        OwnNorm(const NormWeights& norm, std::size_t dim)
            : weight(norm.weight, norm.weight + dim), bias(norm.bias, norm.bias + dim) {}
        NormWeights view() const { return {weight.data(), bias.data()}; }
    };

    // Matrices in the order of their use, one after the other in memory: queries, keys and values of each
    // head; out; and for each slice of the hidden states gate (kSwiglu only), up, down.
    struct Layer {
        PageArray<float> memory;
        std::vector<Matrix> matrices;
        OwnNorm attention_norm, output_norm;
    };

    struct Buffers;

    std::size_t row() const;
    std::size_t head_row() const;
    bool is_gated() const { return shape_.activation == Activation::kSwiglu; }

    PageArray<float> copied(const float* from, std::size_t rows) const;
    std::vector<DenseLinear> parts_of(const LayerWeights& from) const;
    std::size_t packed_size(const DenseLinear& part) const;
    Matrix pack(const DenseLinear& from, float* memory) const;
    Layer pack(const LayerWeights& from) const;

    void run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, Buffers& b,
                   float* out) const;
    void embed(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, float* x) const;
    void normalize(float* x, std::size_t rows, const OwnNorm& norm) const;
    void measure_input(std::size_t tokens, Buffers& b) const;
    void multiply(const float* x, std::size_t stride, std::size_t rows, const Matrix& matrix,
                  Product product) const;
    void attention(const Layer& layer, const std::int32_t* cu_seqlens, std::size_t texts, Buffers& b) const;
    void rotate(float* queries, std::size_t tokens) const;
    void feed_forward(const Layer& layer, std::size_t tokens, Buffers& b) const;

    ModelShape shape_;
    const Float32Kernels& kernels_;
    RotaryTables rotary_;
    PageArray<float> word_, position_;
    OwnNorm embedding_norm_;
    std::vector<Layer> layers_;
};

}  // namespace univar
