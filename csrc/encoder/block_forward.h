// The forward over blocks of whole texts, the same for every number format without tiles of its own: a block
// is small enough to stay in the level-2 cache through a layer, and goes through all layers before the next
// one starts. Attention is computed head by head and the feed-forward part slice by slice, so that neither
// the matrix of queries, keys and values nor that of hidden states ever exists as a whole.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/aligned.h"
#include "encoder/forward.h"
#include "encoder/simd/float32_kernels.h"

namespace univar {

// Rows of a linear layer, copied together: weight (out, in), bias (out,) or empty.
struct DenseLinear {
    std::vector<float> weight, bias;
    std::size_t in, out = 0;
    explicit DenseLinear(std::size_t columns) : in(columns) {}
};

// Columns [first_in, first_in + in) of rows [first, first + rows) of `from`, times `factor`, after what `to`
// has.
void append_rows(DenseLinear& to, const LinearWeights& from, std::size_t first, std::size_t rows,
                 std::size_t first_in, float factor = 1.0f);

// Where rows are rounded, columns of activations that are much larger than others cost the others' precision.
// So column i of what goes into a linear layer is divided by factor i, and the weights it meets are
// multiplied by it: the square root of its size over theirs. One of a layer's inputs, or none: empty.
struct LayerBalance {
    std::vector<float> qkv, up;  // (dim,)
};

// sizes: the largest magnitude of each column of next's input.
std::vector<float> balance(const std::vector<float>& sizes, const LinearWeights& next);

// The largest magnitude of each column of x (rows, columns).
std::vector<float> column_sizes(const float* x, std::size_t stride, std::size_t rows, std::size_t columns);

// Column i of every row times factors[i], if there are any.
void scale_columns(DenseLinear& linear, const std::vector<float>& factors);

// Where a product goes: c = activation((product + add) times), see Product.
struct Into {
    float* c;
    std::size_t stride;
    const float* add = nullptr;
    std::size_t add_stride = 0;
    const float* times = nullptr;  // with the stride of c
    std::optional<Activation> activation = std::nullopt;

    void tell(Outcome& outcome) const {
        outcome.add = add, outcome.add_stride = add_stride;
        outcome.times = times, outcome.times_stride = stride;
        outcome.activation = activation;
        outcome.c = c, outcome.c_stride = stride;
    }
};

// Cosines and sines of the rotary embedding: (positions, head_dim / 2) each.
struct RotaryTables {
    std::vector<float> cosines, sines;
    RotaryTables(const ModelShape& shape);
};

void check_shape(const ModelShape& shape, const ModelWeights& weights);

// run_block(first text, texts) for one block of whole texts after the other: as many as have up to
// `block_tokens` tokens together, or one longer text.
template <typename RunBlock>
void for_each_block(const std::int32_t* cu_seqlens, std::size_t texts, std::size_t block_tokens,
                    RunBlock run_block) {
    for (std::size_t first = 0, last; first < texts; first = last) {
        last = first + 1;
        while (last < texts &&
               static_cast<std::size_t>(cu_seqlens[last + 1] - cu_seqlens[first]) <= block_tokens)
            ++last;
        run_block(first, last - first);
    }
}

// An Engine packs matrices and multiplies by them:
//   Element, Matrix                            of the packed values; a packed DenseLinear
//   Operand                                    rows made ready to be multiplied, with its memory
//   std::size_t packed_size(in, out) const     in elements, a multiple of a cache line
//   Matrix pack(const DenseLinear&, Element* memory) const
//   void prepare(const float* x, stride, rows, columns, const float* factors, Operand&) const
//                                              column i is multiplied by factors[i] unless that is null
//   void multiply(const Operand&, rows, const Matrix&, const Into&) const
//   void attend(const HeadAttention&) const;  std::size_t attention_scratch(tokens, head_dim) const
template <typename Engine>
class BlockForward : public Forward {
  public:
    // balances: one for each layer, or none.
    BlockForward(const ModelShape& shape, const ModelWeights& weights, Engine engine,
                 const std::vector<LayerBalance>& balances = {})
        : shape_(shape), engine_(std::move(engine)), rotary_(shape) {
        check_shape(shape, weights);
        copy(weights.word, shape.vocab, word_);
        if (weights.position != nullptr) copy(weights.position, shape.positions, position_);
        embedding_norm_ = OwnNorm(weights.embedding_norm, shape.dim);
        for (std::size_t i = 0; i < weights.layers.size(); ++i)
            layers_.push_back(pack(weights.layers[i], balances.empty() ? LayerBalance{} : balances[i]));
    }

    // The largest magnitude of each column (dim,) of what goes into the linear layers qkv, up, qkv, ... when
    // these texts run; at most kMinBlockTokens tokens.
    std::vector<std::vector<float>> input_sizes(const std::vector<std::int32_t>& ids,
                                                const std::vector<std::int32_t>& cu_seqlens) const {
        std::vector<std::vector<float>> sizes;
        std::vector<float> out((cu_seqlens.size() - 1) * shape_.dim);
        Buffers buffers;
        buffers.input_sizes = &sizes;
        run(ids.data(), cu_seqlens.data(), cu_seqlens.size() - 1, buffers, out.data());
        return sizes;
    }

    std::unique_ptr<Forward::Workspace> make_workspace() const override {
        return std::make_unique<Buffers>();
    }

    std::size_t dim() const override { return shape_.dim; }

    std::size_t block_tokens() const override {
        const std::size_t token_bytes = sizeof(float) * (2 * row() + head_row() + kHiddenRow);
        return std::max(kBlockBytes / token_bytes, kMinBlockTokens);
    }

    void run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
             Forward::Workspace& workspace, float* out) const override {
        auto& buffers = static_cast<Buffers&>(workspace);
        for_each_block(cu_seqlens, texts, block_tokens(), [&](std::size_t first, std::size_t n) {
            run_block(ids + cu_seqlens[first], cu_seqlens + first, n, buffers, out + first * shape_.dim);
        });
    }

  private:
    using Matrix = typename Engine::Matrix;

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
        AlignedArray<typename Engine::Element> memory;
        std::vector<Matrix> matrices;
        LayerBalance factors;  // of the states before they are multiplied
        OwnNorm attention_norm, output_norm;
    };

    // x: states; y: context, later the next states; (tokens, row()). head: (tokens, head_row()).
    struct Buffers final : Forward::Workspace {
        AlignedArray<float> x, y, head, hidden, scratch;
        typename Engine::Operand operand, slice;
        std::vector<std::vector<float>>* input_sizes = nullptr;  // to be measured
    };

    static constexpr std::size_t kSlice = 384;  // hidden dims at a time
    static constexpr std::size_t kSlack = 64;   // floats a kernel may read, not use, after the last row
    static constexpr std::size_t kBlockBytes = std::size_t{3} << 19;
    static constexpr std::size_t kMinBlockTokens = 256;  // with fewer, reading weights takes too long

    // Floats from row to row: an odd number of cache lines, so that rows don't fall on each other.
    static std::size_t padded(std::size_t n) { return (n + 31) / 32 * 32 + 16; }
    std::size_t row() const { return padded(shape_.dim); }
    std::size_t head_row() const { return padded(3 * shape_.head_dim()); }
    static constexpr std::size_t kHiddenRow = kSlice + 16;

    static std::size_t length(const std::int32_t* cu_seqlens, std::size_t first, std::size_t last) {
        return static_cast<std::size_t>(cu_seqlens[last] - cu_seqlens[first]);
    }

    void copy(const float* from, std::size_t rows, AlignedArray<float>& to) {
        to.reserve(rows * shape_.dim);
        std::memcpy(to.data(), from, rows * shape_.dim * sizeof(float));
    }

    Layer pack(const LayerWeights& from, const LayerBalance& balanced) const {
        Layer layer;
        std::vector<DenseLinear> parts = parts_of(from);
        const std::size_t group = gated() ? 3 : 2;  // matrices of a slice; down is the last
        for (std::size_t i = 0; i < parts.size(); ++i)
            if (i < shape_.heads)
                scale_columns(parts[i], balanced.qkv);
            else if ((i - shape_.heads) % group != 0)
                scale_columns(parts[i], balanced.up);
        layer.factors = {inverse(balanced.qkv), inverse(balanced.up)};
        std::size_t size = 0;
        for (const DenseLinear& part : parts) size += engine_.packed_size(part.in, part.out);
        layer.memory.reserve(size);
        auto* memory = layer.memory.data();
        for (const DenseLinear& part : parts) {
            layer.matrices.push_back(engine_.pack(part, memory));
            memory += engine_.packed_size(part.in, part.out);
        }
        layer.attention_norm = OwnNorm(from.attention_norm, shape_.dim);
        layer.output_norm = OwnNorm(from.output_norm, shape_.dim);
        return layer;
    }

    static std::vector<float> inverse(std::vector<float> values) {
        for (float& value : values) value = 1.0f / value;
        return values;
    }

    std::vector<DenseLinear> parts_of(const LayerWeights& from) const {
        const std::size_t dim = shape_.dim, d = shape_.head_dim();
        std::vector<DenseLinear> parts;
        const float query_factor = 1.44269504f / std::sqrt(static_cast<float>(d));  // see HeadAttention
        for (std::size_t head = 0; head < shape_.heads; ++head) {
            DenseLinear& qkv = parts.emplace_back(dim);
            append_rows(qkv, from.qkv, head * d, d, 0, query_factor);
            append_rows(qkv, from.qkv, dim + head * d, d, 0);
            append_rows(qkv, from.qkv, 2 * dim + head * d, d, 0);
        }
        append_rows(parts.emplace_back(dim), from.out, 0, dim, 0);
        for (std::size_t first = 0; first < shape_.intermediate; first += kSlice) {
            const std::size_t n = std::min(kSlice, shape_.intermediate - first);
            if (gated()) append_rows(parts.emplace_back(dim), from.up, shape_.intermediate + first, n, 0);
            append_rows(parts.emplace_back(dim), from.up, first, n, 0);
            LinearWeights down = from.down;
            if (first != 0) down.bias = nullptr;  // once is enough
            append_rows(parts.emplace_back(n), down, 0, dim, first);
        }
        return parts;
    }

    bool gated() const { return shape_.activation == Activation::kSwiglu; }

    void run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, Buffers& b,
                   float* out) const {
        const std::size_t tokens = length(cu_seqlens, 0, texts);
        std::size_t longest = 0;
        for (std::size_t i = 0; i < texts; ++i) longest = std::max(longest, length(cu_seqlens, i, i + 1));
        b.x.reserve(tokens * row() + kSlack);
        b.y.reserve(tokens * row() + kSlack);
        b.head.reserve(tokens * head_row() + kSlack);
        b.hidden.reserve(tokens * kHiddenRow + kSlack);
        b.scratch.reserve(engine_.attention_scratch(longest, shape_.head_dim()));
        embed(ids, cu_seqlens, texts, b.x.data());
        for (const Layer& layer : layers_) {
            attention(layer, cu_seqlens, texts, b);
            feed_forward(layer, tokens, b);
        }
        for (std::size_t i = 0; i < texts; ++i) {
            const float* states = b.x.data() + length(cu_seqlens, 0, i) * row();
            const std::size_t pooled = shape_.pooling == Pooling::kCls ? 1 : length(cu_seqlens, i, i + 1);
            engine_.kernels().pool(states, row(), pooled, shape_.dim, out + i * shape_.dim);
        }
    }

    void embed(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, float* x) const {
        std::size_t token = 0;
        for (std::size_t text = 0; text < texts; ++text)
            for (std::size_t place = 0; place < length(cu_seqlens, text, text + 1); ++place, ++token) {
                float* to = x + token * row();
                const float* word = word_.data() + static_cast<std::size_t>(ids[token]) * shape_.dim;
                std::memcpy(to, word, shape_.dim * sizeof(float));
                if (position_.size() == 0) continue;
                const float* position = position_.data() + place * shape_.dim;
                for (std::size_t i = 0; i < shape_.dim; ++i) to[i] += position[i];
            }
        normalize(x, token, embedding_norm_);
    }

    void normalize(float* x, std::size_t rows, const OwnNorm& norm) const {
        engine_.kernels().layer_norm(x, row(), rows, shape_.dim, norm.view(), shape_.norm_eps);
    }

    void prepare_states(std::size_t tokens, const std::vector<float>& factors, Buffers& b) const {
        if (b.input_sizes != nullptr)
            b.input_sizes->push_back(column_sizes(b.x.data(), row(), tokens, shape_.dim));
        engine_.prepare(b.x.data(), row(), tokens, shape_.dim, factors.empty() ? nullptr : factors.data(),
                        b.operand);
    }

    // x = norm(x + out(context)), by way of the context in y.
    void attention(const Layer& layer, const std::int32_t* cu_seqlens, std::size_t texts, Buffers& b) const {
        const std::size_t tokens = length(cu_seqlens, 0, texts), d = shape_.head_dim();
        prepare_states(tokens, layer.factors.qkv, b);
        for (std::size_t head = 0; head < shape_.heads; ++head) {
            engine_.multiply(b.operand, tokens, layer.matrices[head], Into{b.head.data(), head_row()});
            for (std::size_t i = 0; i < texts; ++i) {
                const std::size_t first = length(cu_seqlens, 0, i);
                float* queries = b.head.data() + first * head_row();
                const HeadAttention one{queries,
                                        queries + d,
                                        queries + 2 * d,
                                        head_row(),
                                        length(cu_seqlens, i, i + 1),
                                        d,
                                        b.scratch.data(),
                                        b.y.data() + first * row() + head * d,
                                        row()};
                if (shape_.rotary_base > 0) rotate(queries, one.tokens);
                engine_.attend(one);
            }
        }
        engine_.prepare(b.y.data(), row(), tokens, shape_.dim, nullptr, b.operand);
        engine_.multiply(b.operand, tokens, layer.matrices[shape_.heads],
                         Into{b.x.data(), row(), b.x.data(), row()});
        normalize(b.x.data(), tokens, layer.attention_norm);
    }

    // Queries and keys of one text.
    void rotate(float* queries, std::size_t tokens) const {
        const std::size_t d = shape_.head_dim();
        for (float* x : {queries, queries + d})
            engine_.kernels().rotate(x, head_row(), tokens, d, rotary_.cosines.data(), rotary_.sines.data());
    }

    // x = norm(x + down(activation(up(x)))); x and y change places.
    void feed_forward(const Layer& layer, std::size_t tokens, Buffers& b) const {
        prepare_states(tokens, layer.factors.up, b);
        const float* sum = b.x.data();
        for (const Matrix* next = &layer.matrices[shape_.heads + 1]; next <= &layer.matrices.back(); ++next) {
            Into up{b.hidden.data(), kHiddenRow};
            up.activation = shape_.activation;
            if (gated()) {
                engine_.multiply(b.operand, tokens, *next++, up);
                up.activation.reset();
                up.times = up.c;
            }
            engine_.multiply(b.operand, tokens, *next, up);
            engine_.prepare(b.hidden.data(), kHiddenRow, tokens, next->out, nullptr, b.slice);
            engine_.multiply(b.slice, tokens, *++next, Into{b.y.data(), row(), sum, row()});
            sum = b.y.data();
        }
        std::swap(b.x, b.y);
        normalize(b.x.data(), tokens, layer.output_norm);
    }

    ModelShape shape_;
    Engine engine_;
    RotaryTables rotary_;
    AlignedArray<float> word_, position_;
    OwnNorm embedding_norm_;
    std::vector<Layer> layers_;
};

}  // namespace univar
