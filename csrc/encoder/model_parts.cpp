#include "encoder/model_parts.h"

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
