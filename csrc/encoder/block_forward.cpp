#include "encoder/block_forward.h"

#include <cmath>

#include "common/check.h"

namespace univar {

void append_rows(DenseLinear& to, const LinearWeights& from, std::size_t first, std::size_t rows,
                 std::size_t first_in, float factor) {
    for (std::size_t row = first; row < first + rows; ++row) {
        const float* weight = from.weight + row * from.in + first_in;
        for (std::size_t i = 0; i < to.in; ++i) to.weight.push_back(weight[i] * factor);
        if (from.bias != nullptr) to.bias.push_back(from.bias[row] * factor);
    }
    to.out += rows;
}

std::vector<float> balance(const std::vector<float>& sizes, const LinearWeights& next) {
    constexpr float kLeast = 1e-3f;  // of a column that hardly ever differs from 0
    std::vector<float> factors(next.in);
    for (std::size_t i = 0; i < next.in; ++i) {
        float weight = 1e-5f;
        for (std::size_t row = 0; row < next.out; ++row)
            weight = std::max(weight, std::fabs(next.weight[row * next.in + i]));
        factors[i] = std::sqrt(std::max(sizes[i], kLeast) / weight);
    }
    return factors;
}

std::vector<float> column_sizes(const float* x, std::size_t stride, std::size_t rows, std::size_t columns) {
    std::vector<float> sizes(columns);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = 0; i < columns; ++i)
            sizes[i] = std::max(sizes[i], std::fabs(x[row * stride + i]));
    return sizes;
}

void scale_columns(DenseLinear& linear, const std::vector<float>& factors) {
    if (factors.empty()) return;
    for (std::size_t at = 0; at < linear.weight.size(); ++at) linear.weight[at] *= factors[at % linear.in];
}

RotaryTables::RotaryTables(const ModelShape& shape) {
    if (shape.rotary_base <= 0) return;
    const std::size_t half = shape.head_dim() / 2;
    for (std::size_t place = 0; place < shape.positions; ++place)
        for (std::size_t i = 0; i < half; ++i) {
            const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim());
            const double angle = static_cast<double>(place) * std::pow(shape.rotary_base, -exponent);
            cosines.push_back(static_cast<float>(std::cos(angle)));
            sines.push_back(static_cast<float>(std::sin(angle)));
        }
}

void check_shape(const ModelShape& shape, const ModelWeights& weights) {
    UNIVAR_CHECK(shape.heads > 0 && shape.dim > 0 && shape.dim % shape.heads == 0,
                 shape.dim << " dims cannot be cut into " << shape.heads << " attention heads");
    UNIVAR_CHECK(shape.rotary_base <= 0 || shape.head_dim() % 2 == 0,
                 "rotary embedding needs an even head_dim, got " << shape.head_dim());
    UNIVAR_CHECK(weights.layers.size() == shape.layers,
                 "weights have " << weights.layers.size() << " layers, the shape " << shape.layers);
}

}  // namespace univar
