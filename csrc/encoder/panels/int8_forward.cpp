// The forward with linear layers in 8 bits. As in the bf16 forward, a block of whole texts goes through the
// model layer by layer, attention is bf16, and the residual stream, LayerNorm and pooling are float32. The
// input of a linear layer is rounded row by row just before it, hidden states slice by slice.
#include <algorithm>
#include <cassert>
#include <stdexcept>
#include <vector>

#include "common/check.h"
#include "encoder/panels/balance.h"
#include "encoder/panels/bytes.h"
#include "encoder/panels/panel_forward.h"

namespace univar {

#if defined(UNIVAR_X86_BF16)

namespace {

constexpr std::size_t kSlice = 384;  // hidden dims at a time

struct Slice {
    PackedBytes up, down;
};

struct Layer {
    PackedBytes qkv, out;
    std::vector<Slice> slices;
    StreamNorm attention_norm, output_norm;
    std::vector<float> qkv_factors, up_factors;  // ordered
};

struct Memory : Forward::Workspace {
    PageArray<float> stream, steps, hidden_steps;
    PageArray<Bf16> x, qkv, hidden;
    PageArray<std::int8_t> x_bytes, hidden_bytes;
    PageArray<std::int32_t> scratch;
    AttentionScratch attention;

    Memory() : scratch(2 * kBlock) {}
};

std::vector<float> inverse(std::vector<float> values) {
    for (float& value : values) value = 1.0f / value;
    return values;
}

class Int8Forward : public PanelForward {
  public:
    // balances: one for each layer.
    Int8Forward(const ModelShape& shape, const ModelWeights& weights,
                const std::vector<LayerBalance>& balances, const PanelKernels& kernels);

    std::unique_ptr<Workspace> make_workspace() const override { return std::make_unique<Memory>(); }

  private:
    // One thread's matrices for a block.
    struct Block {
        Memory& memory;
        std::size_t rows;
        Stream stream;
        Panels x, qkv, hidden;
        BytePanels x_bytes, hidden_bytes;
    };

    bool is_gated() const { return shape_.activation == Activation::kSwiglu; }
    PackedBytes pack(const DenseLinear& from);
    Layer pack(const LayerWeights& from, const LayerBalance& balance);
    DenseLinear up_slice(const LinearWeights& up, std::size_t first, std::size_t n) const;
    Block reserve(Memory& memory, std::size_t rows) const;
    ByteRows rounded(const Block& block, Panels x, const std::vector<float>& factors) const;
    void run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                   Workspace& workspace, float* out) const override;
    void feed_forward(const Layer& layer, const Block& block) const;

    PageArray<std::int8_t> packed_;
    PageArray<std::int32_t> starts_;
    std::size_t packed_used_ = 0, starts_used_ = 0;
    std::vector<Layer> layers_;
};

std::size_t float_count(const ModelShape& s) {
    const std::size_t slices = (s.intermediate + kSlice - 1) / kSlice;
    return s.layers * ((14 + 2 * slices) * s.dim + 4 * s.intermediate) + 4 * s.dim;
}

// Stream, x and its bytes; queries, keys and values, or a slice of hidden states and its bytes.
std::size_t row_bytes(const ModelShape& s) { return 7 * s.dim + std::max(6 * s.dim, 3 * kSlice); }

// How many outputs all linear layers have.
std::size_t linear_outputs(const ModelShape& s) {
    const std::size_t up = s.activation == Activation::kSwiglu ? 2 * s.intermediate : s.intermediate;
    const std::size_t slices = (s.intermediate + kSlice - 1) / kSlice;
    return s.layers * ((4 + slices) * s.dim + up);
}

Int8Forward::Int8Forward(const ModelShape& shape, const ModelWeights& weights,
                         const std::vector<LayerBalance>& balances, const PanelKernels& kernels)
    : PanelForward(shape, weights, kernels, float_count(shape), row_bytes(shape)),
      packed_(linear_values(shape)),
      starts_(linear_outputs(shape)) {
    for (std::size_t i = 0; i < shape.layers; ++i) layers_.push_back(pack(weights.layers[i], balances[i]));
    const float* next_bias = store_floats(nullptr, shape.dim);
    for (std::size_t i = shape.layers; i-- > 0;) {
        layers_[i].output_norm.next_bias = next_bias;
        next_bias = store_floats(weights.layers[i].out.bias, shape.dim);
    }
    embedding_norm_.next_bias = next_bias;
    assert(packed_used_ <= packed_.size() && starts_used_ <= starts_.size());
}

PackedBytes Int8Forward::pack(const DenseLinear& from) {
    std::int8_t* to = packed_.data() + packed_used_;
    packed_used_ += from.in * from.out;
    std::int32_t* starts = starts_.data() + starts_used_;
    starts_used_ += from.out;
    float* steps = reserve_floats(from.out);
    pack_bytes(from.weight.data(), from.out, from.in, kernels_.byte_offset, to, steps, starts);
    const float* bias = store_floats(from.bias.empty() ? nullptr : from.bias.data(), from.out);
    return {to, steps, bias, starts, from.in, from.out};
}

// Rows for the hidden dims [first, first + n). SwiGLU's alternate: 16 values, their 16 gates, and so on.
DenseLinear Int8Forward::up_slice(const LinearWeights& up, std::size_t first, std::size_t n) const {
    DenseLinear slice(shape_.dim);
    if (!is_gated()) {
        append_rows(slice, up, first, n, 0);
        return slice;
    }
    for (std::size_t i = first; i < first + n; i += kTileRows) {
        append_rows(slice, up, i, kTileRows, 0);
        append_rows(slice, up, shape_.intermediate + i, kTileRows, 0);
    }
    return slice;
}

Layer Int8Forward::pack(const LayerWeights& from, const LayerBalance& balance) {
    const std::size_t dim = shape_.dim;
    Layer layer{};
    DenseLinear qkv(dim), out(dim);
    append_rows(qkv, from.qkv, 0, dim, 0, query_factor());
    append_rows(qkv, from.qkv, dim, 2 * dim, 0);
    scale_columns(qkv, balance.qkv);
    layer.qkv = pack(qkv);
    append_rows(out, from.out, 0, dim, 0);
    layer.out = pack(out);
    for (std::size_t first = 0; first < shape_.intermediate; first += kSlice) {
        const std::size_t n = std::min(kSlice, shape_.intermediate - first);
        DenseLinear up = up_slice(from.up, first, n), down(n);
        scale_columns(up, balance.up);
        append_rows(down, from.down, 0, dim, first);
        const PackedBytes packed_up = pack(up);
        layer.slices.push_back({packed_up, pack(down)});
    }
    layer.qkv_factors = ordered_factors(inverse(balance.qkv));
    layer.up_factors = ordered_factors(inverse(balance.up));
    layer.attention_norm = {store_floats(from.attention_norm.weight, dim),
                            store_floats(from.attention_norm.bias, dim), store_floats(from.down.bias, dim),
                            shape_.norm_eps};
    layer.output_norm = {store_floats(from.output_norm.weight, dim), store_floats(from.output_norm.bias, dim),
                         nullptr, shape_.norm_eps};
    return layer;
}

Int8Forward::Block Int8Forward::reserve(Memory& memory, std::size_t rows) const {
    const std::size_t dim = shape_.dim, stride = panel_stride(rows), byte_stride = byte_panel_stride(rows);
    const std::size_t slack = 2 * kBlock;  // tiles are read up to 32 rows past a panel's last
    memory.stream.reserve((rows + 31) / 32 * 32 * (dim + 16));
    memory.steps.reserve(rows);
    memory.hidden_steps.reserve(rows);
    memory.x.reserve(stride * dim / kPanel + slack);
    memory.qkv.reserve(stride * 3 * dim / kPanel + slack);
    memory.hidden.reserve(stride * kSlice / kPanel + slack);
    memory.x_bytes.reserve(byte_stride * dim / kBytePanel + 2 * slack);
    memory.hidden_bytes.reserve(byte_stride * kSlice / kBytePanel + 2 * slack);
    return {memory,
            rows,
            {memory.stream.data(), dim + 16},
            {memory.x.data(), stride},
            {memory.qkv.data(), stride},
            {memory.hidden.data(), stride},
            {memory.x_bytes.data(), byte_stride},
            {memory.hidden_bytes.data(), byte_stride}};
}

// x (rows, dim) as bytes.
ByteRows Int8Forward::rounded(const Block& block, Panels x, const std::vector<float>& factors) const {
    Memory& memory = block.memory;
    round_panels(x, block.rows, shape_.dim, factors.empty() ? nullptr : factors.data(), kernels_.byte_offset,
                 block.x_bytes, memory.steps.data());
    return {block.x_bytes, memory.steps.data(), block.rows};
}

void Int8Forward::feed_forward(const Layer& layer, const Block& block) const {
    Memory& memory = block.memory;
    const ByteRows x = rounded(block, block.x, layer.up_factors);
    for (const Slice& slice : layer.slices) {
        kernels_.multiply_bytes(slice.up, x, finish_of(shape_.activation), block.hidden,
                                memory.scratch.data());
        round_panels(block.hidden, block.rows, slice.down.in, nullptr, kernels_.byte_offset,
                     block.hidden_bytes, memory.hidden_steps.data());
        const ByteRows hidden{block.hidden_bytes, memory.hidden_steps.data(), block.rows};
        kernels_.accumulate_bytes(slice.down, hidden, block.stream, memory.scratch.data());
    }
}

void Int8Forward::run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                            Workspace& workspace, float* out) const {
    auto& memory = static_cast<Memory&>(workspace);
    const auto rows = static_cast<std::size_t>(cu_seqlens[texts] - cu_seqlens[0]);
    const std::size_t dim = shape_.dim;
    const Block block = reserve(memory, rows);
    embed_texts(ids, cu_seqlens, texts, block.stream, block.x);
    for (const Layer& layer : layers_) {
        kernels_.multiply_bytes(layer.qkv, rounded(block, block.x, layer.qkv_factors), Finish::kCopy,
                                block.qkv, memory.scratch.data());
        attend_texts(cu_seqlens, texts, block.qkv, memory.attention);
        kernels_.accumulate_bytes(layer.out, rounded(block, block.qkv, {}), block.stream,
                                  memory.scratch.data());
        layer_norm(block.stream, rows, dim, layer.attention_norm, block.x);
        feed_forward(layer, block);
        layer_norm(block.stream, rows, dim, layer.output_norm, block.x);
    }
    pool_texts(cu_seqlens, texts, block.stream, out);
}

}  // namespace

std::unique_ptr<Forward> make_int8_forward(const ModelShape& shape, const ModelWeights& weights, Isa isa) {
    const PanelKernels& kernels = panel_kernels(isa);
    check_shape(shape, weights);
    UNIVAR_CHECK(shape.dim % 64 == 0 && shape.intermediate % 64 == 0 && shape.head_dim() % 32 == 0,
                 "int8 needs dims and intermediate dims in multiples of 64, head dims in multiples of 32");
    return std::make_unique<Int8Forward>(shape, weights, int8_balances(shape, weights), kernels);
}

#else

std::unique_ptr<Forward> make_int8_forward(const ModelShape&, const ModelWeights&, Isa) {
    throw std::invalid_argument("this build has no int8 forward: its compiler did not know AMX");
}

#endif

}  // namespace univar
