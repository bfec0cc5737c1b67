#include "encoder/panels/panel_forward.h"

#if defined(UNIVAR_X86_BF16)

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "encoder/approximations.h"
#include "encoder/panels/amx/tiles.h"

namespace univar {

namespace {

// Bytes of activations that a block may have: two thirds of the L2 cache.
std::size_t block_bytes() {
    long size = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    size = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    constexpr long kUsual = 1 << 20;
    return static_cast<std::size_t>(size > 0 ? size : kUsual) / 3 * 2;
}

PageArray<float> copied(const float* from, std::size_t n) {
    PageArray<float> to(n);
    std::copy_n(from, n, to.data());
    return to;
}

struct Span {
    std::size_t first, tokens;
};

const ModelShape& checked(const ModelShape& shape, const ModelWeights& weights) {
    check_shape(shape, weights);
    return shape;
}

// Where a text lies in its block.
Span span_of(const std::int32_t* cu_seqlens, std::size_t text) {
    return {static_cast<std::size_t>(cu_seqlens[text] - cu_seqlens[0]),
            static_cast<std::size_t>(cu_seqlens[text + 1] - cu_seqlens[text])};
}

}  // namespace

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

std::size_t linear_values(const ModelShape& s) {
    const std::size_t up = s.activation == Activation::kSwiglu ? 2 * s.intermediate : s.intermediate;
    return s.layers * s.dim * (4 * s.dim + up + s.intermediate);
}

PanelForward::PanelForward(const ModelShape& shape, const ModelWeights& weights, const PanelKernels& kernels,
                           std::size_t float_count, std::size_t row_bytes)
    : shape_(checked(shape, weights)),
      kernels_(kernels),
      block_rows_(std::max<std::size_t>(block_bytes() / row_bytes / 32 * 32, 32)),
      rotary_(shape),
      word_(copied(weights.word, shape.vocab * shape.dim)),
      floats_(float_count) {
    if (weights.position != nullptr) position_ = copied(weights.position, shape.positions * shape.dim);
    embedding_norm_ = {store_floats(weights.embedding_norm.weight, shape.dim),
                       store_floats(weights.embedding_norm.bias, shape.dim), nullptr, shape.norm_eps};
}

float* PanelForward::reserve_floats(std::size_t n) {
    float* to = floats_.data() + floats_used_;
    floats_used_ += n;
    assert(floats_used_ <= floats_.size());
    return to;
}

const float* PanelForward::store_floats(const float* values, std::size_t n) {
    float* to = reserve_floats(n);
    if (values == nullptr)
        std::fill_n(to, n, 0.0f);
    else
        std::copy_n(values, n, to);
    return to;
}

float PanelForward::query_factor() const {
    return kScoreUnit * kLog2E / std::sqrt(static_cast<float>(shape_.head_dim()));
}

void PanelForward::embed_texts(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                               Stream stream, Panels x) const {
    const float* position = position_.size() == 0 ? nullptr : position_.data();
    embed_tokens(ids, cu_seqlens, texts, word_.data(), position, shape_.dim, embedding_norm_, stream, x);
}

void PanelForward::attend_texts(const std::int32_t* cu_seqlens, std::size_t texts, Panels qkv,
                                AttentionScratch& scratch) const {
    const std::size_t head_dim = shape_.head_dim(), panels = head_dim / kPanel, all = shape_.dim / kPanel;
    for (std::size_t text = 0; text < texts; ++text) {
        const auto [first, tokens] = span_of(cu_seqlens, text);
        scratch.reserve(tokens, head_dim);
        for (std::size_t head = 0; head < shape_.heads; ++head) {
            const auto part = [&](std::size_t which) {
                return Panels{qkv.panel(which * all + head * panels), qkv.stride};
            };
            const HeadPanels own{part(0), part(1), part(2), head_dim};
            if (shape_.rotary_base > 0)
                for (const Panels& rotated : {own.queries, own.keys})
                    rotate_pairs(rotated.from_row(first), tokens, head_dim, rotary_.cosines.data(),
                                 rotary_.sines.data());
            kernels_.attend(own, first, tokens, scratch);
        }
    }
}

void PanelForward::pool_texts(const std::int32_t* cu_seqlens, std::size_t texts, Stream stream,
                              float* out) const {
    for (std::size_t text = 0; text < texts; ++text, out += shape_.dim) {
        const auto [first, tokens] = span_of(cu_seqlens, text);
        mean_pool(stream.from_row(first), shape_.pooling == Pooling::kCls ? 1 : tokens, shape_.dim, out);
    }
}

void PanelForward::run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                       Workspace& workspace, float* out) const {
    std::optional<TileRegisters> tiles;
    if (kernels_.uses_tiles) tiles.emplace();
    for_each_block(cu_seqlens, texts, block_rows_, [&](std::size_t first, std::size_t n) {
        run_block(ids, cu_seqlens + first, n, workspace, out + first * shape_.dim);
    });
}

}  // namespace univar
#endif
