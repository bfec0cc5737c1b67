// The forward in bf16. A block of whole texts goes through the model layer by layer; its activations stay in
// L2 while the weights stream past. Products take and give bf16; the residual stream, LayerNorm and pooling
// are float32. A row's result does not depend on the other rows, so an embedding is the same to the bit
// whichever texts are computed together with it.
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "common/check.h"
#include "encoder/forward.h"
#include "encoder/panels/panel_forward.h"

namespace univar {

#if defined(UNIVAR_X86_BF16)

namespace {

struct Layer {
    PackedLinear qkv, out, up, down;
    StreamNorm attention_norm, output_norm;
};

struct Memory : Forward::Workspace {
    std::size_t rows = 0;
    PageArray<float> stream, scratch;
    PageArray<Bf16> x, qkv, hidden;
    AttentionScratch attention;
};

class Bfloat16Forward : public PanelForward {
  public:
    Bfloat16Forward(const ModelShape& shape, const ModelWeights& weights, const PanelKernels& kernels);
    std::unique_ptr<Workspace> make_workspace() const override { return std::make_unique<Memory>(); }

  private:
    PackedLinear pack(const LinearWeights& linear, bool is_qkv, bool is_swiglu);
    void reserve(Memory& memory, std::size_t rows) const;
    void run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                   Workspace& workspace, float* out) const override;

    PageArray<Bf16> packed_;
    std::size_t packed_used_ = 0;
    std::vector<Layer> layers_;
};

std::size_t float_count(const ModelShape& s) {
    return s.layers * (9 * s.dim + 2 * s.intermediate) + 3 * s.dim;
}

// Stream and x; queries, keys and values, or hidden states.
std::size_t row_bytes(const ModelShape& s) { return 6 * s.dim + std::max(6 * s.dim, 2 * s.intermediate); }

void check_panels(const ModelShape& s) {
    UNIVAR_CHECK(s.dim % 32 == 0 && s.intermediate % 32 == 0 && s.head_dim() % 32 == 0,
                 "bf16 needs dims, head dims and intermediate dims in multiples of 32");
}

Bfloat16Forward::Bfloat16Forward(const ModelShape& shape, const ModelWeights& weights,
                                 const PanelKernels& kernels)
    : PanelForward(shape, weights, kernels, float_count(shape), row_bytes(shape)),
      packed_(linear_values(shape)) {
    check_panels(shape);
    const bool swiglu = shape.activation == Activation::kSwiglu;
    for (const LayerWeights& from : weights.layers) {
        Layer layer{};
        layer.qkv = pack(from.qkv, true, false);
        layer.out = pack(from.out, false, false);
        layer.up = pack(from.up, false, swiglu);
        layer.down = pack(from.down, false, false);
        const auto norm = [&](const NormWeights& n, const float* next_bias) {
            return StreamNorm{store_floats(n.weight, shape.dim), store_floats(n.bias, shape.dim), next_bias,
                              shape.norm_eps};
        };
        layer.attention_norm = norm(from.attention_norm, layer.down.bias);
        layer.output_norm = norm(from.output_norm, nullptr);
        layers_.push_back(layer);
    }
    const float* last = store_floats(nullptr, shape.dim);
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
        layer->output_norm.next_bias = last;
        last = layer->out.bias;
    }
    embedding_norm_.next_bias = last;
}

// Queries are multiplied by query_factor(). SwiGLU's rows alternate: 16 values, their 16 gates, and so on.
PackedLinear Bfloat16Forward::pack(const LinearWeights& linear, bool is_qkv, bool is_swiglu) {
    const std::size_t dim = shape_.dim, half = linear.out / 2;
    const float of_queries = query_factor();
    const auto scale = [=](std::size_t row) { return is_qkv && row < dim ? of_queries : 1.0f; };
    const auto source = [=](std::size_t row) {
        if (!is_swiglu) return row;
        return row / kPanel * kTileRows + row % kTileRows + (row % kPanel < kTileRows ? 0 : half);
    };
    Bf16* to = packed_.data() + packed_used_;
    packed_used_ += linear.out * linear.in;
    pack_weight(linear.weight, linear.out, linear.in, source, scale, to);
    float* bias = reserve_floats(linear.out);
    for (std::size_t row = 0; row < linear.out; ++row)
        bias[row] = linear.bias == nullptr ? 0.0f : linear.bias[source(row)] * scale(row);
    return {to, bias, linear.in, linear.out};
}

void Bfloat16Forward::reserve(Memory& memory, std::size_t rows) const {
    if (rows <= memory.rows) return;
    const std::size_t slack = 2 * kBlock;  // tiles are read up to 32 rows past a panel's last
    memory.rows = rows;
    memory.stream.reserve((rows + 31) / 32 * 32 * (shape_.dim + 16));
    memory.scratch.reserve(2 * kBlock);
    memory.x.reserve(panel_stride(rows) * shape_.dim / kPanel + slack);
    memory.qkv.reserve(panel_stride(rows) * 3 * shape_.dim / kPanel + slack);
    memory.hidden.reserve(panel_stride(std::min(rows, block_rows_)) * shape_.intermediate / kPanel + slack);
}

void Bfloat16Forward::run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                                Workspace& workspace, float* out) const {
    auto& memory = static_cast<Memory&>(workspace);
    const auto rows = static_cast<std::size_t>(cu_seqlens[texts] - cu_seqlens[0]);
    const std::size_t dim = shape_.dim, at_once = std::min(rows, block_rows_);
    reserve(memory, rows);
    const Stream stream{memory.stream.data(), dim + 16};
    const Panels x{memory.x.data(), panel_stride(rows)}, qkv{memory.qkv.data(), panel_stride(rows)},
        hidden{memory.hidden.data(), panel_stride(at_once)};
    float* scratch = memory.scratch.data();
    const Finish finish = finish_of(shape_.activation);
    embed_texts(ids, cu_seqlens, texts, stream, x);
    for (const Layer& layer : layers_) {
        for (std::size_t row = 0; row < rows; row += at_once)
            kernels_.multiply(layer.qkv, x.from_row(row), std::min(rows - row, at_once), Finish::kCopy,
                              qkv.from_row(row), scratch);
        attend_texts(cu_seqlens, texts, qkv, memory.attention);
        for (std::size_t row = 0; row < rows; row += at_once) {
            const std::size_t n = std::min(rows - row, at_once);
            kernels_.accumulate(layer.out, qkv.from_row(row), n, stream.row(row), stream.stride);
            layer_norm(stream.from_row(row), n, dim, layer.attention_norm, x.from_row(row));
            kernels_.multiply(layer.up, x.from_row(row), n, finish, hidden, scratch);
            kernels_.accumulate(layer.down, hidden, n, stream.row(row), stream.stride);
            layer_norm(stream.from_row(row), n, dim, layer.output_norm, x.from_row(row));
        }
    }
    pool_texts(cu_seqlens, texts, stream, out);
}

}  // namespace

std::unique_ptr<Forward> make_bfloat16_forward(const ModelShape& shape, const ModelWeights& weights,
                                               Isa isa) {
    return std::make_unique<Bfloat16Forward>(shape, weights, panel_kernels(isa));
}

#else

std::unique_ptr<Forward> make_bfloat16_forward(const ModelShape&, const ModelWeights&, Isa) {
    throw std::invalid_argument("this build has no bf16 forward: its compiler did not know AMX");
}

#endif

}  // namespace univar
