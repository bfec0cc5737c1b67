#include "encoder/float32_forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "encoder/approximations.h"

namespace univar {

namespace {

constexpr std::size_t kSlice = 384;  // hidden dims at a time
constexpr std::size_t kHiddenRow = kSlice + 16;
constexpr std::size_t kSlack = 64;  // floats behind the last row that a kernel may read but not use
constexpr std::size_t kBlockBytes = std::size_t{3} << 19;

// Floats from row to row: an odd number of cache lines, so that rows do not compete for the same cache sets.
std::size_t padded(std::size_t n) { return (n + 31) / 32 * 32 + 16; }

std::size_t length(const std::int32_t* cu_seqlens, std::size_t first, std::size_t last) {
    return static_cast<std::size_t>(cu_seqlens[last] - cu_seqlens[first]);
}

// The largest magnitude of each column of x (rows, columns).
std::vector<float> column_sizes(const float* x, std::size_t stride, std::size_t rows, std::size_t columns) {
    std::vector<float> sizes(columns);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < columns; ++i)
            sizes[i] = std::max(sizes[i], std::fabs(x[row * stride + i]));
    return sizes;
}

}  // namespace

// x: states; y: context, later the next states; both (tokens, row()). head: (tokens, head_row()).
struct Float32Forward::Buffers final : Forward::Workspace {
    PageArray<float> x, y, head, hidden, scratch;
    std::vector<std::vector<float>>* input_sizes = nullptr;  // where to measure them, if at all
};

Float32Forward::Float32Forward(const ModelShape& shape, const ModelWeights& weights,
                               const Float32Kernels& kernels)
    : shape_(shape), kernels_(kernels), rotary_(shape) {
    check_shape(shape, weights);
    word_ = copied(weights.word, shape.vocab);
    if (weights.position != nullptr) position_ = copied(weights.position, shape.positions);
    embedding_norm_ = OwnNorm(weights.embedding_norm, shape.dim);
    for (const LayerWeights& layer : weights.layers) layers_.push_back(pack(layer));
}

std::size_t Float32Forward::row() const { return padded(shape_.dim); }
std::size_t Float32Forward::head_row() const { return padded(3 * shape_.head_dim()); }

PageArray<float> Float32Forward::copied(const float* from, std::size_t rows) const {
    PageArray<float> to(rows * shape_.dim);
    std::memcpy(to.data(), from, rows * shape_.dim * sizeof(float));
    return to;
}

std::vector<DenseLinear> Float32Forward::parts_of(const LayerWeights& from) const {
    const std::size_t dim = shape_.dim, d = shape_.head_dim();
    const float query_factor = kLog2E / std::sqrt(static_cast<float>(d));  // see HeadAttention
    std::vector<DenseLinear> parts;
    for (std::size_t head = 0; head < shape_.heads; ++head) {
        DenseLinear& qkv = parts.emplace_back(dim);
        append_rows(qkv, from.qkv, head * d, d, 0, query_factor);
        append_rows(qkv, from.qkv, dim + head * d, d, 0);
        append_rows(qkv, from.qkv, 2 * dim + head * d, d, 0);
    }
    append_rows(parts.emplace_back(dim), from.out, 0, dim, 0);
    for (std::size_t first = 0; first < shape_.intermediate; first += kSlice) {
        const std::size_t n = std::min(kSlice, shape_.intermediate - first);
        if (is_gated()) append_rows(parts.emplace_back(dim), from.up, shape_.intermediate + first, n, 0);
        append_rows(parts.emplace_back(dim), from.up, first, n, 0);
        LinearWeights down = from.down;
        if (first != 0) down.bias = nullptr;  // once is enough
        append_rows(parts.emplace_back(n), down, 0, dim, first);
    }
    return parts;
}

// In floats, a multiple of a cache line.
std::size_t Float32Forward::packed_size(const DenseLinear& part) const {
    const std::size_t panels = (part.out + kernels_.columns - 1) / kernels_.columns;
    return (panels * kernels_.columns * part.in + 15) / 16 * 16;
}

Float32Forward::Matrix Float32Forward::pack(const DenseLinear& from, float* memory) const {
    Matrix matrix{memory, from.bias, from.in, from.out};
    for (std::size_t first = 0; first < from.out; first += kernels_.columns)
        for (std::size_t k = 0; k < from.in; ++k)
            for (std::size_t column = first; column < first + kernels_.columns; ++column)
                *memory++ = column < from.out ? from.weight[column * from.in + k] : 0.0f;
    return matrix;
}

Float32Forward::Layer Float32Forward::pack(const LayerWeights& from) const {
    const std::vector<DenseLinear> parts = parts_of(from);
    std::size_t size = 0;
    for (const DenseLinear& part : parts) size += packed_size(part);
    Layer layer;
    layer.memory.reserve(size);
    float* memory = layer.memory.data();
    for (const DenseLinear& part : parts) {
        layer.matrices.push_back(pack(part, memory));
        memory += packed_size(part);
    }
    layer.attention_norm = OwnNorm(from.attention_norm, shape_.dim);
    layer.output_norm = OwnNorm(from.output_norm, shape_.dim);
    return layer;
}

std::unique_ptr<Forward::Workspace> Float32Forward::make_workspace() const {
    return std::make_unique<Buffers>();
}

std::size_t Float32Forward::block_tokens() const {
    const std::size_t token_bytes = sizeof(float) * (2 * row() + head_row() + kHiddenRow);
    return std::max(kBlockBytes / token_bytes, kMinBlockTokens);
}

void Float32Forward::run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                         Workspace& workspace, float* out) const {
    auto& buffers = static_cast<Buffers&>(workspace);
    for_each_block(cu_seqlens, texts, block_tokens(), [&](std::size_t first, std::size_t n) {
        run_block(ids + cu_seqlens[first], cu_seqlens + first, n, buffers, out + first * shape_.dim);
    });
}

std::vector<std::vector<float>> Float32Forward::input_sizes(
    const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& cu_seqlens) const {
    std::vector<std::vector<float>> sizes;
    std::vector<float> out((cu_seqlens.size() - 1) * shape_.dim);
    Buffers buffers;
    buffers.input_sizes = &sizes;
    run(ids.data(), cu_seqlens.data(), cu_seqlens.size() - 1, buffers, out.data());
    return sizes;
}

void Float32Forward::run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                               Buffers& b, float* out) const {
    const std::size_t tokens = length(cu_seqlens, 0, texts);
    std::size_t longest = 0;
    for (std::size_t i = 0; i < texts; ++i) longest = std::max(longest, length(cu_seqlens, i, i + 1));
    b.x.reserve(tokens * row() + kSlack);
    b.y.reserve(tokens * row() + kSlack);
    b.head.reserve(tokens * head_row() + kSlack);
    b.hidden.reserve(tokens * kHiddenRow + kSlack);
    b.scratch.reserve(attention_scratch(kernels_, longest, shape_.head_dim()));
    embed(ids, cu_seqlens, texts, b.x.data());
    for (const Layer& layer : layers_) {
        attention(layer, cu_seqlens, texts, b);
        feed_forward(layer, tokens, b);
    }
    for (std::size_t i = 0; i < texts; ++i) {
        const float* states = b.x.data() + length(cu_seqlens, 0, i) * row();
        const std::size_t pooled = shape_.pooling == Pooling::kCls ? 1 : length(cu_seqlens, i, i + 1);
        kernels_.pool(states, row(), pooled, shape_.dim, out + i * shape_.dim);
    }
}

void Float32Forward::embed(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                           float* x) const {
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

void Float32Forward::normalize(float* x, std::size_t rows, const OwnNorm& norm) const {
    kernels_.layer_norm(x, row(), rows, shape_.dim, norm.view(), shape_.norm_eps);
}

void Float32Forward::measure_input(std::size_t tokens, Buffers& b) const {
    if (b.input_sizes != nullptr)
        b.input_sizes->push_back(column_sizes(b.x.data(), row(), tokens, shape_.dim));
}

// Completes `product`, which says where the result goes and what is added to it, and computes it.
void Float32Forward::multiply(const float* x, std::size_t stride, std::size_t rows, const Matrix& matrix,
                              Product product) const {
    product.a = x, product.a_stride = stride;
    product.rows = rows, product.depth = matrix.in;
    product.b = matrix.panels, product.b_stride = kernels_.columns;
    product.panel_stride = kernels_.columns * matrix.in, product.columns = matrix.out;
    product.bias = matrix.bias.empty() ? nullptr : matrix.bias.data();
    kernels_.multiply(product);
}

// x = norm(x + out(context)); the context is computed in y.
void Float32Forward::attention(const Layer& layer, const std::int32_t* cu_seqlens, std::size_t texts,
                               Buffers& b) const {
    const std::size_t tokens = length(cu_seqlens, 0, texts), d = shape_.head_dim();
    measure_input(tokens, b);
    Product qkv;
    qkv.c = b.head.data(), qkv.c_stride = head_row();
    for (std::size_t head = 0; head < shape_.heads; ++head) {
        multiply(b.x.data(), row(), tokens, layer.matrices[head], qkv);
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
            kernels_.attend(one);
        }
    }
    Product out;
    out.c = b.x.data(), out.c_stride = row();
    out.add = b.x.data(), out.add_stride = row();
    multiply(b.y.data(), row(), tokens, layer.matrices[shape_.heads], out);
    normalize(b.x.data(), tokens, layer.attention_norm);
}

// Rotates queries and keys of one text.
void Float32Forward::rotate(float* queries, std::size_t tokens) const {
    const std::size_t d = shape_.head_dim();
    for (float* x : {queries, queries + d})
        kernels_.rotate(x, head_row(), tokens, d, rotary_.cosines.data(), rotary_.sines.data());
}

// x = norm(x + down(activation(up(x)))); x and y change places.
void Float32Forward::feed_forward(const Layer& layer, std::size_t tokens, Buffers& b) const {
    measure_input(tokens, b);
    const float* sum = b.x.data();
    for (const Matrix* next = &layer.matrices[shape_.heads + 1]; next <= &layer.matrices.back(); ++next) {
        Product up;
        up.c = b.hidden.data(), up.c_stride = kHiddenRow;
        up.activation = shape_.activation;
        if (is_gated()) {
            multiply(b.x.data(), row(), tokens, *next++, up);
            up.activation.reset();
            up.times = up.c, up.times_stride = up.c_stride;
        }
        multiply(b.x.data(), row(), tokens, *next, up);
        Product down;
        down.c = b.y.data(), down.c_stride = row();
        down.add = sum, down.add_stride = row();
        ++next;
        multiply(b.hidden.data(), kHiddenRow, tokens, *next, down);
        sum = b.y.data();
    }
    std::swap(b.x, b.y);
    normalize(b.x.data(), tokens, layer.output_norm);
}

std::unique_ptr<Forward> make_float32_forward(const ModelShape& shape, const ModelWeights& weights, Isa isa) {
    return std::make_unique<Float32Forward>(shape, weights, float32_kernels(isa));
}

}  // namespace univar
