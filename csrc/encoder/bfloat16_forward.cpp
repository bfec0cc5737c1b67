// The forward on AMX in bf16. A block of whole texts goes through the model layer by layer; its activations
// stay in L2, the weights stream past. Products take and give bf16; the residual stream, LayerNorm and
// pooling are float32. A row's result does not depend on the other rows, so an embedding is the same to the
// bit whatever it is computed together with.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "encoder/amx_attention.h"
#include "encoder/amx_linear.h"
#include "encoder/amx_rows.h"
#include "encoder/cpu.h"
#include "encoder/forward.h"
#include "encoder/pages.h"

namespace univar {

#if defined(UNIVAR_AMX)

namespace {

constexpr std::size_t kBlockBytes = 1400 << 10;  // of activations: most of a 2 MiB L2

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

Finish finish_of(Activation activation) {
    switch (activation) {
        case Activation::kGelu:
            return Finish::kGelu;
        case Activation::kGeluTanh:
            return Finish::kGeluTanh;
        case Activation::kRelu:
            return Finish::kRelu;
        case Activation::kSwiglu:
            return Finish::kSwiglu;
    }
    throw std::logic_error("activation");
}

class Bfloat16Forward : public Forward {
  public:
    Bfloat16Forward(const ModelShape& shape, const ModelWeights& weights);

    std::unique_ptr<Workspace> make_workspace() const override { return std::make_unique<Memory>(); }
    void run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, Workspace& workspace,
             float* out) const override;
    std::size_t dim() const override { return shape_.dim; }
    std::size_t block_tokens() const override { return block_rows_; }

  private:
    void copy_small(const ModelWeights& weights);
    const float* keep(const float* values, std::size_t n);
    PackedLinear pack(const LinearWeights& linear, bool is_qkv, bool is_swiglu);
    void make_angles();
    void reserve(Memory& memory, std::size_t rows) const;
    void run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts, Memory& memory,
                   float* out) const;
    void attend_all(const std::int32_t* cu_seqlens, std::size_t texts, Panels qkv,
                    AttentionScratch& scratch) const;

    ModelShape shape_;
    std::size_t block_rows_;
    PageArray<float> word_, position_, small_, angles_;
    PageArray<Bf16> packed_;
    std::size_t small_used_ = 0, packed_used_ = 0;
    StreamNorm embedding_norm_;
    std::vector<Layer> layers_;
};

std::size_t linear_values(const ModelShape& s) {
    const std::size_t up = s.activation == Activation::kSwiglu ? 2 * s.intermediate : s.intermediate;
    return s.layers * s.dim * (4 * s.dim + up + s.intermediate);
}

std::size_t small_values(const ModelShape& s) {
    return s.layers * (9 * s.dim + 2 * s.intermediate) + 3 * s.dim;
}

PageArray<float> copied(const float* from, std::size_t n) {
    PageArray<float> to(n);
    std::copy_n(from, n, to.data());
    return to;
}

void check_shape(const ModelShape& s) {
    UNIVAR_CHECK(cpu_features().amx_bf16, "the bf16 forward needs a CPU with AMX-BF16");
    UNIVAR_CHECK(
        s.dim % 32 == 0 && s.intermediate % 32 == 0 && s.dim % s.heads == 0 && s.head_dim() % 32 == 0,
        "the bf16 forward needs dims, head dims and intermediate dims in multiples of 32");
}

Bfloat16Forward::Bfloat16Forward(const ModelShape& shape, const ModelWeights& weights) : shape_(shape) {
    check_shape(shape);
    const std::size_t row_bytes =
        6 * shape.dim + std::max(6 * shape.dim, 2 * shape.intermediate);  // stream and x; qkv or hidden
    block_rows_ = std::max<std::size_t>(kBlockBytes / row_bytes / 32 * 32, 32);
    word_ = copied(weights.word, shape.vocab * shape.dim);
    if (weights.position != nullptr) position_ = copied(weights.position, shape.positions * shape.dim);
    small_ = PageArray<float>(small_values(shape));
    packed_ = PageArray<Bf16>(linear_values(shape));
    make_angles();
    const bool swiglu = shape.activation == Activation::kSwiglu;
    for (const LayerWeights& from : weights.layers) {
        Layer layer{};
        layer.qkv = pack(from.qkv, true, false);
        layer.out = pack(from.out, false, false);
        layer.up = pack(from.up, false, swiglu);
        layer.down = pack(from.down, false, false);
        const auto norm = [&](const NormWeights& n, const float* next_bias) {
            return StreamNorm{keep(n.weight, shape.dim), keep(n.bias, shape.dim), next_bias, shape.norm_eps};
        };
        layer.attention_norm = norm(from.attention_norm, layer.down.bias);
        layer.output_norm = norm(from.output_norm, nullptr);
        layers_.push_back(layer);
    }
    const float* last = keep(nullptr, shape.dim);
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
        layer->output_norm.next_bias = last;
        last = layer->out.bias;
    }
    embedding_norm_ = {keep(weights.embedding_norm.weight, shape.dim),
                       keep(weights.embedding_norm.bias, shape.dim), last, shape.norm_eps};
}

// A copy of n values, zeros for null.
const float* Bfloat16Forward::keep(const float* values, std::size_t n) {
    float* to = small_.data() + small_used_;
    small_used_ += n;
    if (values == nullptr)
        std::fill_n(to, n, 0.0f);
    else
        std::copy_n(values, n, to);
    return to;
}

// Queries get the factor of softmax's base 2. SwiGLU's rows are mixed: 16 values, their 16 gates, and so on.
PackedLinear Bfloat16Forward::pack(const LinearWeights& linear, bool is_qkv, bool is_swiglu) {
    const std::size_t dim = shape_.dim, half = linear.out / 2;
    const float query_scale = 1.44269504f / std::sqrt(static_cast<float>(shape_.head_dim()));
    const auto scale = [=](std::size_t row) { return is_qkv && row < dim ? query_scale : 1.0f; };
    const auto source = [=](std::size_t row) {
        if (!is_swiglu) return row;
        return row / kPanel * kTileRows + row % kTileRows + (row % kPanel < kTileRows ? 0 : half);
    };
    Bf16* to = packed_.data() + packed_used_;
    packed_used_ += linear.out * linear.in;
    pack_weight(linear.weight, linear.out, linear.in, source, scale, to);
    float* bias = small_.data() + small_used_;
    small_used_ += linear.out;
    for (std::size_t row = 0; row < linear.out; ++row)
        bias[row] = linear.bias == nullptr ? 0.0f : linear.bias[source(row)] * scale(row);
    return {to, bias, linear.in, linear.out};
}

// Cosines, then sines of the rotary embedding, (positions, head_dim / 2) each.
void Bfloat16Forward::make_angles() {
    if (shape_.rotary_base == 0.0f) return;
    const std::size_t half = shape_.head_dim() / 2, n = shape_.positions * half;
    angles_ = PageArray<float>(2 * n);
    for (std::size_t i = 0; i < n; ++i) {
        const double step = static_cast<double>(i % half) / static_cast<double>(half);
        const double angle =
            static_cast<double>(i / half) * std::pow(static_cast<double>(shape_.rotary_base), -step);
        angles_.data()[i] = static_cast<float>(std::cos(angle));
        angles_.data()[n + i] = static_cast<float>(std::sin(angle));
    }
}

void Bfloat16Forward::reserve(Memory& memory, std::size_t rows) const {
    if (rows <= memory.rows) return;
    const std::size_t slack = 2 * kBlock;  // tiles are read up to 32 rows behind a panel's last
    memory.rows = rows;
    memory.stream.reserve((rows + 31) / 32 * 32 * (shape_.dim + 16));
    memory.scratch.reserve(2 * kBlock);
    memory.x.reserve(panel_stride(rows) * shape_.dim / kPanel + slack);
    memory.qkv.reserve(panel_stride(rows) * 3 * shape_.dim / kPanel + slack);
    memory.hidden.reserve(panel_stride(std::min(rows, block_rows_)) * shape_.intermediate / kPanel + slack);
}

void Bfloat16Forward::attend_all(const std::int32_t* cu_seqlens, std::size_t texts, Panels qkv,
                                 AttentionScratch& scratch) const {
    const std::size_t head_dim = shape_.head_dim(), panels = head_dim / kPanel, all = shape_.dim / kPanel;
    const float* cosines = shape_.rotary_base == 0.0f ? nullptr : angles_.data();
    for (std::size_t text = 0; text < texts; ++text) {
        const auto first = static_cast<std::size_t>(cu_seqlens[text] - cu_seqlens[0]);
        const auto tokens = static_cast<std::size_t>(cu_seqlens[text + 1] - cu_seqlens[text]);
        scratch.reserve(tokens, head_dim);
        for (std::size_t head = 0; head < shape_.heads; ++head) {
            const auto part = [&](std::size_t which) {
                return Panels{qkv.panel(which * all + head * panels), qkv.stride};
            };
            const HeadPanels own{part(0), part(1), part(2), head_dim};
            if (cosines != nullptr) {
                const float* sines = cosines + shape_.positions * head_dim / 2;
                rotate(own.queries.from_row(first), tokens, head_dim, cosines, sines);
                rotate(own.keys.from_row(first), tokens, head_dim, cosines, sines);
            }
            attend(own, first, tokens, scratch);
        }
    }
}

void Bfloat16Forward::run_block(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                                Memory& memory, float* out) const {
    const auto rows = static_cast<std::size_t>(cu_seqlens[texts] - cu_seqlens[0]);
    const std::size_t dim = shape_.dim, at_once = std::min(rows, block_rows_);
    reserve(memory, rows);
    const Stream stream{memory.stream.data(), dim + 16};
    const Panels x{memory.x.data(), panel_stride(rows)}, qkv{memory.qkv.data(), panel_stride(rows)},
        hidden{memory.hidden.data(), panel_stride(at_once)};
    float* scratch = memory.scratch.data();
    const Finish finish = finish_of(shape_.activation);
    const float* position = position_.size() == 0 ? nullptr : position_.data();
    embed(ids, cu_seqlens, texts, word_.data(), position, dim, embedding_norm_, stream, x);
    for (const Layer& layer : layers_) {
        for (std::size_t row = 0; row < rows; row += at_once)
            multiply(layer.qkv, x.from_row(row), std::min(rows - row, at_once), Finish::kCopy,
                     qkv.from_row(row), scratch);
        attend_all(cu_seqlens, texts, qkv, memory.attention);
        for (std::size_t row = 0; row < rows; row += at_once) {
            const std::size_t n = std::min(rows - row, at_once);
            accumulate(layer.out, qkv.from_row(row), n, stream.row(row), stream.stride);
            normalize(stream.from_row(row), n, dim, layer.attention_norm, x.from_row(row));
            multiply(layer.up, x.from_row(row), n, finish, hidden, scratch);
            accumulate(layer.down, hidden, n, stream.row(row), stream.stride);
            normalize(stream.from_row(row), n, dim, layer.output_norm, x.from_row(row));
        }
    }
    for (std::size_t text = 0; text < texts; ++text, out += dim) {
        const auto first = static_cast<std::size_t>(cu_seqlens[text] - cu_seqlens[0]);
        const auto tokens = static_cast<std::size_t>(cu_seqlens[text + 1] - cu_seqlens[text]);
        pool(stream.from_row(first), shape_.pooling == Pooling::kCls ? 1 : tokens, dim, out);
    }
}

void Bfloat16Forward::run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                          Workspace& workspace, float* out) const {
    const Tiles tiles;
    std::size_t first = 0;
    for (std::size_t text = 1; text <= texts; ++text) {
        const bool full = text == texts ||
                          cu_seqlens[text + 1] - cu_seqlens[first] > static_cast<std::int32_t>(block_rows_);
        if (!full) continue;
        run_block(ids, cu_seqlens + first, text - first, static_cast<Memory&>(workspace),
                  out + first * shape_.dim);
        first = text;
    }
}

}  // namespace

std::unique_ptr<Forward> make_bfloat16_forward(const ModelShape& shape, const ModelWeights& weights) {
    return std::make_unique<Bfloat16Forward>(shape, weights);
}

#else

std::unique_ptr<Forward> make_bfloat16_forward(const ModelShape&, const ModelWeights&) {
    throw std::invalid_argument("this build has no bf16 forward: the compiler knew no AMX");
}

#endif

}  // namespace univar
