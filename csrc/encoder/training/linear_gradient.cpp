// Computes d_out^T x, 256 rows at a time. For these rows x is laid out as a right operand, which stays in the
// L2 cache; the gradients are transposed, 32 columns at a time. Each 32 x 32 block of the result passes
// through registers once for all these rows; its sums are float throughout.
#include "encoder/training/linear_gradient.h"

#include <algorithm>

#include "encoder/training/block_products.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

constexpr std::size_t kRows =
    256;  // at a time: 32 columns of x and of d_out, 16 KB each, fit in the L1 cache

// sums (32,) += all rows of a matrix of 32 columns.
UNIVAR_AVX512_BF16 void add_rows(OperandMatrix& matrix, float* sums) {
    __m512 low = _mm512_loadu_ps(sums), high = _mm512_loadu_ps(sums + 16);
    for (std::size_t i = 0; i < matrix.blocks() * kPanel; ++i) {
        low = _mm512_add_ps(low, load_bf16(matrix.row(0, i)));
        high = _mm512_add_ps(high, load_bf16(matrix.row(0, i) + 16));
    }
    _mm512_storeu_ps(sums, low);
    _mm512_storeu_ps(sums + 16, high);
}

template <typename Blocks>
UNIVAR_AMX_BF16 void gradient_with(const LinearBatch& batch, float* d_weight, float* d_bias) {
    [[maybe_unused]] const typename Blocks::Session session;
    OperandMatrix x, gradients;
    std::fill(d_bias, d_bias + batch.outputs, 0.0f);
    if (batch.rows == 0) std::fill(d_weight, d_weight + batch.outputs * batch.inputs, 0.0f);
    for (std::size_t first = 0; first < batch.rows; first += kRows) {
        const std::size_t rows = std::min(kRows, batch.rows - first);
        x.reserve(rows, batch.inputs);
        x.copy(batch.x + first * batch.inputs, batch.inputs, rows);
        x.lay_out_pairs();
        gradients.reserve(rows, kPanel);
        for (std::size_t output = 0; output < batch.outputs; output += kPanel) {
            gradients.copy(batch.d_out + first * batch.outputs + output, batch.outputs, rows);
            add_rows(gradients, d_bias + output);
            gradients.lay_out_pairs();
            gradients.lay_out_left_transposed();
            for (std::size_t p = 0; p < x.panels(); ++p)
                Blocks::multiply(gradients.left_transposed(0, 0), x.right(p), x.blocks(),
                                 Sums::in_matrix(d_weight + output * batch.inputs + p * kPanel, batch.inputs),
                                 first > 0);
        }
    }
}

}  // namespace

void linear_gradient(const LinearBatch& batch, bool use_tiles, float* d_weight, float* d_bias) {
    (use_tiles ? gradient_with<TileBlocks> : gradient_with<DotBlocks>)(batch, d_weight, d_bias);
}

}  // namespace univar
#endif
