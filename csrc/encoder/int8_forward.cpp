// The forward with linear layers in 8 bits. A row of activations is rounded to 127 steps of its own size, and
// of the hidden states each slice apart; a row of weights to 127 of its own. The rest is float32.
#include <algorithm>
#include <cmath>
#include <random>

#include "common/check.h"
#include "common/cpu.h"
#include "encoder/block_forward.h"
#include "encoder/int8_kernels.h"

namespace univar {

const Int8Kernels& int8_kernels_portable();
#if defined(__x86_64__)
const Int8Kernels& int8_kernels_avx2();
const Int8Kernels& int8_kernels_avx512();
#endif

const Int8Kernels& int8_kernels(Isa isa) {
#if defined(__x86_64__)
    if (isa == Isa::kAvx512 && cpu_features().avx512_vnni) return int8_kernels_avx512();
    if (isa == Isa::kAvx2 && cpu_features().avx2) return int8_kernels_avx2();
#endif
    UNIVAR_CHECK(isa == Isa::kPortable, "this processor or build has no int8 kernels of that kind");
    return int8_kernels_portable();
}

namespace {

class Int8Engine {
  public:
    using Element = std::int8_t;
    struct Matrix {
        const std::int8_t* panels;
        std::vector<float> steps, offsets, bias;
        std::size_t in, out;
    };
    struct Operand {
        AlignedArray<std::uint8_t> rows;
        AlignedArray<float> steps;
        std::size_t stride = 0;
    };

    explicit Int8Engine(Isa isa) : floats_(&float32_kernels(isa)), bytes_(&int8_kernels(isa)) {}

    const Float32Kernels& kernels() const { return *floats_; }

    std::size_t packed_size(std::size_t in, std::size_t out) const {
        return (panels(out) * floats_->panel * depth(in) + 63) / 64 * 64;
    }

    Matrix pack(const DenseLinear& from, std::int8_t* memory) const {
        const std::size_t panel = floats_->panel, columns = panels(from.out) * panel,
                          fours = depth(from.in) / 4;
        Matrix matrix{memory,  std::vector<float>(columns), std::vector<float>(columns), from.bias, from.in,
                      from.out};
        std::fill_n(memory, packed_size(from.in, from.out), std::int8_t{0});
        for (std::size_t column = 0; column < from.out; ++column) {
            const float* weight = from.weight.data() + column * from.in;
            float magnitude = 0;
            for (std::size_t k = 0; k < from.in; ++k) magnitude = std::max(magnitude, std::fabs(weight[k]));
            const float factor = magnitude > 0 ? 127.0f / magnitude : 0.0f;
            std::int8_t* to = memory + column / panel * panel * 4 * fours + column % panel * 4;
            long sum = 0;
            for (std::size_t k = 0; k < from.in; ++k) {
                const long rounded = std::lrint(weight[k] * factor);
                to[k / 4 * 4 * panel + k % 4] = static_cast<std::int8_t>(rounded);
                sum += rounded;
            }
            matrix.steps[column] = magnitude / 127.0f;
            matrix.offsets[column] = static_cast<float>(bytes_->left_offset * sum);
        }
        return matrix;
    }

    void prepare(const float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                 const float* factors, Operand& operand) const {
        operand.stride = depth(columns) + 64;  // rows don't fall on each other in the cache
        operand.rows.reserve(rows * operand.stride);
        operand.steps.reserve(rows);
        bytes_->round_rows(x, stride, rows, columns, factors, operand.rows.data(), operand.stride,
                           operand.steps.data());
    }

    void multiply(const Operand& operand, std::size_t rows, const Matrix& matrix, const Into& into) const {
        ByteProduct product;
        product.a = operand.rows.data(), product.a_stride = operand.stride;
        product.rows = rows, product.depth = depth(matrix.in);
        product.b = matrix.panels, product.columns = matrix.out;
        product.row_steps = operand.steps.data(), product.column_steps = matrix.steps.data();
        product.offsets = matrix.offsets.data();
        product.bias = matrix.bias.empty() ? nullptr : matrix.bias.data();
        into.tell(product);
        bytes_->multiply(product);
    }

    void attend(const HeadAttention& attention) const { floats_->attend(attention); }

    std::size_t attention_scratch(std::size_t tokens, std::size_t head_dim) const {
        return univar::attention_scratch(*floats_, tokens, head_dim);
    }

  private:
    static std::size_t depth(std::size_t in) { return (in + 3) / 4 * 4; }
    std::size_t panels(std::size_t out) const { return (out + floats_->panel - 1) / floats_->panel; }

    const Float32Kernels* floats_;
    const Int8Kernels* bytes_;
};

using Int8Forward = BlockForward<Int8Engine>;

// Texts of random tokens: enough to tell which columns of the states are large, since these are so in any
// text.
struct RandomTexts {
    std::vector<std::int32_t> ids, cu_seqlens{0};

    explicit RandomTexts(const ModelShape& shape) {
        constexpr std::size_t kTexts = 4, kTokens = 64;
        std::minstd_rand random(1);
        for (std::size_t text = 0; text < kTexts; ++text) {
            for (std::size_t i = 0; i < std::min(kTokens, shape.positions); ++i)
                ids.push_back(static_cast<std::int32_t>(random() % shape.vocab));
            cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
        }
    }
};

}  // namespace

bool fills_byte_panels(const ModelShape& s) {
    return s.dim % 64 == 0 && s.intermediate % 64 == 0 && s.head_dim() % 32 == 0;
}

std::vector<LayerBalance> int8_balances(const ModelShape& shape, const ModelWeights& weights, Isa isa) {
    const RandomTexts texts(shape);
    const auto sizes = Int8Forward(shape, weights, Int8Engine(isa)).input_sizes(texts.ids, texts.cu_seqlens);
    std::vector<LayerBalance> balances;
    for (std::size_t i = 0; i < shape.layers; ++i)
        balances.push_back(
            {balance(sizes[2 * i], weights.layers[i].qkv), balance(sizes[2 * i + 1], weights.layers[i].up)});
    return balances;
}

// Over panels where the shape fills them: on AMX always, by dot products where they are fast in bf16 too,
// which attention takes.
std::unique_ptr<Forward> make_int8_forward(const ModelShape& shape, const ModelWeights& weights, Isa isa) {
    const bool dots = isa == Isa::kAvx512 && cpu_features().avx512_bf16_fast && fills_byte_panels(shape);
    if (isa == Isa::kAmx || dots) return make_int8_panel_forward(shape, weights, isa);
    return std::make_unique<Int8Forward>(shape, weights, Int8Engine(isa), int8_balances(shape, weights, isa));
}

}  // namespace univar
