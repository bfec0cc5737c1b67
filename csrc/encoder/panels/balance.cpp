#include "encoder/panels/balance.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>

#include "encoder/float32_forward.h"

namespace univar {

namespace {

// Texts of random tokens. They are enough to tell which columns of the states are large, since the same ones
// are in any text.
struct RandomTexts {
    std::vector<std::int32_t> ids, cu_seqlens{0};

    explicit RandomTexts(const ModelShape& shape) {
        constexpr std::size_t kTexts = 4, kTokens = 64;
        static_assert(kTexts * kTokens <= Float32Forward::kMinBlockTokens, "they must run as one block");
        std::minstd_rand random(1);
        for (std::size_t text = 0; text < kTexts; ++text) {
            for (std::size_t i = 0; i < std::min(kTokens, shape.positions); ++i)
                ids.push_back(static_cast<std::int32_t>(random() % shape.vocab));
            cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
        }
    }
};

// sizes: the largest magnitude of each column of next's input.
std::vector<float> balance(const std::vector<float>& sizes, const LinearWeights& next) {
    constexpr float kLeastSize = 1e-3f, kLeastWeight = 1e-5f;
    std::vector<float> factors(next.in);
    for (std::size_t i = 0; i < next.in; ++i) {
        float weight = kLeastWeight;
        for (std::size_t row = 0; row < next.out; ++row)
            weight = std::max(weight, std::fabs(next.weight[row * next.in + i]));
        factors[i] = std::sqrt(std::max(sizes[i], kLeastSize) / weight);
    }
    return factors;
}

}  // namespace

std::vector<LayerBalance> int8_balances(const ModelShape& shape, const ModelWeights& weights) {
    const RandomTexts texts(shape);
    const Float32Forward forward(shape, weights, float32_kernels(choose_isa(Dtype::kFloat32, Isa::kAvx512)));
    const auto sizes = forward.input_sizes(texts.ids, texts.cu_seqlens);
    std::vector<LayerBalance> balances;
    for (std::size_t i = 0; i < shape.layers; ++i)
        balances.push_back(
            {balance(sizes[2 * i], weights.layers[i].qkv), balance(sizes[2 * i + 1], weights.layers[i].up)});
    return balances;
}

void scale_columns(DenseLinear& linear, const std::vector<float>& factors) {
    for (std::size_t at = 0; at < linear.weight.size(); ++at) linear.weight[at] *= factors[at % linear.in];
}

}  // namespace univar
