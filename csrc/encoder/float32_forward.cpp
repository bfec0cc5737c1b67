// The forward in float32, without AMX.
#include <cmath>
#include <stdexcept>

#include "common/check.h"
#include "common/cpu.h"
#include "encoder/block_forward.h"

namespace univar {

const Float32Kernels& float32_kernels_portable();
#if defined(__x86_64__)
const Float32Kernels& float32_kernels_avx2();
const Float32Kernels& float32_kernels_avx512();
#endif

const Float32Kernels& float32_kernels(Isa isa) {
#if defined(__x86_64__)
    if (isa == Isa::kAvx512 && cpu_features().avx512) return float32_kernels_avx512();
    if (isa == Isa::kAvx2 && cpu_features().avx2) return float32_kernels_avx2();
#endif
    UNIVAR_CHECK(isa == Isa::kPortable, "this processor or build has no float32 kernels of that kind");
    return float32_kernels_portable();
}

std::size_t attention_scratch(const Float32Kernels& kernels, std::size_t tokens, std::size_t head_dim) {
    const std::size_t padded = (tokens + kernels.panel - 1) / kernels.panel * kernels.panel;
    return padded * head_dim + kernels.rows * (padded + kernels.lanes);
}

namespace {

class Float32Engine {
  public:
    using Element = float;
    struct Matrix {
        const float* panels;
        std::vector<float> bias;
        std::size_t in, out;
    };
    struct Operand {
        const float* x = nullptr;
        std::size_t stride = 0;
    };

    explicit Float32Engine(const Float32Kernels& kernels) : kernels_(&kernels) {}

    const Float32Kernels& kernels() const { return *kernels_; }

    std::size_t packed_size(std::size_t in, std::size_t out) const {
        const std::size_t panels = (out + kernels_->panel - 1) / kernels_->panel;
        return (panels * kernels_->panel * in + 15) / 16 * 16;
    }

    Matrix pack(const DenseLinear& from, float* memory) const {
        Matrix matrix{memory, from.bias, from.in, from.out};
        for (std::size_t first = 0; first < from.out; first += kernels_->panel)
            for (std::size_t k = 0; k < from.in; ++k)
                for (std::size_t column = first; column < first + kernels_->panel; ++column)
                    *memory++ = column < from.out ? from.weight[column * from.in + k] : 0.0f;
        return matrix;
    }

    void prepare(const float* x, std::size_t stride, std::size_t, std::size_t, const float*,
                 Operand& operand) const {
        operand = {x, stride};
    }

    void multiply(const Operand& operand, std::size_t rows, const Matrix& matrix, const Into& into) const {
        Product product;
        product.a = operand.x, product.a_stride = operand.stride;
        product.rows = rows, product.depth = matrix.in;
        product.b = matrix.panels, product.b_stride = kernels_->panel;
        product.panel_stride = kernels_->panel * matrix.in, product.columns = matrix.out;
        product.bias = matrix.bias.empty() ? nullptr : matrix.bias.data();
        into.tell(product);
        kernels_->multiply(product);
    }

    void attend(const HeadAttention& attention) const { kernels_->attend(attention); }

    std::size_t attention_scratch(std::size_t tokens, std::size_t head_dim) const {
        return univar::attention_scratch(*kernels_, tokens, head_dim);
    }

  private:
    const Float32Kernels* kernels_;
};

}  // namespace

std::unique_ptr<Forward> make_float32_forward(const ModelShape& shape, const ModelWeights& weights, Isa isa) {
    return std::make_unique<BlockForward<Float32Engine>>(shape, weights, Float32Engine(float32_kernels(isa)));
}

}  // namespace univar
