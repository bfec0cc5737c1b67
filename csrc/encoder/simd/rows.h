// Passes over rows: activations, LayerNorm, rotation, pooling. Included once for each instruction set, after
// its vec_*.h.

#include <cmath>

namespace univar {
namespace UNIVAR_SIMD {

struct Gelu {
    UNIVAR_STEP static Vec of(Vec x) { return gelu(x); }
};
struct GeluTanh {
    UNIVAR_STEP static Vec of(Vec x) { return gelu_tanh(x); }
};
struct Relu {
    UNIVAR_STEP static Vec of(Vec x) { return max(x, set1(0.0f)); }
};
struct Silu {
    UNIVAR_STEP static Vec of(Vec x) { return mul(x, sigmoid(x)); }
};

template <typename Function>
UNIVAR_TARGET void map_rows(float* x, std::size_t stride, std::size_t rows, std::size_t columns) {
    for (std::size_t row = 0; row < rows; ++row, x += stride) {
        std::size_t i = 0;
        for (; i + kLanes <= columns; i += kLanes) store(x + i, Function::of(load(x + i)));
        if (i < columns) store_first(x + i, Function::of(load_first(x + i, columns - i)), columns - i);
    }
}

inline void activate(Activation activation, float* x, std::size_t stride, std::size_t rows,
                     std::size_t columns) {
    switch (activation) {
        case Activation::kGelu:
            return map_rows<Gelu>(x, stride, rows, columns);
        case Activation::kGeluTanh:
            return map_rows<GeluTanh>(x, stride, rows, columns);
        case Activation::kRelu:
            return map_rows<Relu>(x, stride, rows, columns);
        case Activation::kSwiglu:
            return map_rows<Silu>(x, stride, rows, columns);
    }
}

UNIVAR_TARGET void layer_norm(float* x, std::size_t stride, std::size_t rows, std::size_t dim,
                              const NormWeights& norm, float eps) {
    const float inverse_dim = 1.0f / static_cast<float>(dim);
    const std::size_t whole = dim / kLanes * kLanes, rest = dim - whole;
    for (std::size_t row = 0; row < rows; ++row, x += stride) {
        Vec total = rest == 0 ? set1(0.0f) : load_first(x + whole, rest);
        for (std::size_t i = 0; i < whole; i += kLanes) total = add(total, load(x + i));
        const Vec mean = set1(sum_lanes(total) * inverse_dim);
        Vec squares = set1(0.0f);
        if (rest != 0) {
            const Vec centred = keep_first(sub(load_first(x + whole, rest), mean), rest, squares);
            squares = mul(centred, centred);
        }
        for (std::size_t i = 0; i < whole; i += kLanes) {
            const Vec centred = sub(load(x + i), mean);
            squares = fma(centred, centred, squares);
        }
        const Vec scale = set1(1.0f / std::sqrt(sum_lanes(squares) * inverse_dim + eps));
        for (std::size_t i = 0; i < whole; i += kLanes)
            store(x + i, fma(mul(sub(load(x + i), mean), scale), load(norm.weight + i), load(norm.bias + i)));
        if (rest != 0) {
            const Vec normal = mul(sub(load_first(x + whole, rest), mean), scale);
            store_first(
                x + whole,
                fma(normal, load_first(norm.weight + whole, rest), load_first(norm.bias + whole, rest)),
                rest);
        }
    }
}

UNIVAR_TARGET void rotate(float* x, std::size_t stride, std::size_t tokens, std::size_t head_dim,
                          const float* cosines, const float* sines) {
    const std::size_t half = head_dim / 2;
    for (std::size_t token = 0; token < tokens; ++token, x += stride, cosines += half, sines += half)
        for (std::size_t i = 0; i < half; i += kLanes) {
            const std::size_t n = half - i < kLanes ? half - i : kLanes;
            const Vec left = load_first(x + i, n), right = load_first(x + half + i, n);
            const Vec cosine = load_first(cosines + i, n), sine = load_first(sines + i, n);
            store_first(x + i, sub(mul(left, cosine), mul(right, sine)), n);
            store_first(x + half + i, fma(right, cosine, mul(left, sine)), n);
        }
}

UNIVAR_TARGET void pool(const float* x, std::size_t stride, std::size_t tokens, std::size_t dim, float* out) {
    Vec squares = set1(0.0f);
    for (std::size_t i = 0; i < dim; i += kLanes) {
        const std::size_t n = dim - i < kLanes ? dim - i : kLanes;
        Vec sum = set1(0.0f);
        for (std::size_t token = 0; token < tokens; ++token)
            sum = add(sum, load_first(x + token * stride + i, n));
        squares = fma(sum, sum, squares);
        store_first(out + i, sum, n);
    }
    const float length = std::sqrt(sum_lanes(squares));
    const Vec scale = set1(length > 0 ? 1.0f / length : 0.0f);  // the mean's 1 / n cancels
    for (std::size_t i = 0; i < dim; i += kLanes) {
        const std::size_t n = dim - i < kLanes ? dim - i : kLanes;
        store_first(out + i, mul(load_first(out + i, n), scale), n);
    }
}

}  // namespace UNIVAR_SIMD
}  // namespace univar
