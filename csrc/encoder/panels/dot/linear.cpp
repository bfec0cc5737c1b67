// Products of bf16 by dot products. All rows, twelve at a time, are multiplied with one panel of weights (32
// outputs) before the next one, which is prefetched meanwhile. Sums stay in registers from bias to epilogue.
#include <algorithm>

#include "encoder/panels/dot/kernels.h"
#include "encoder/panels/dot/products.h"
#include "encoder/panels/epilogues.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

constexpr std::size_t kStepsAtOnce = 12;  // of 32 inputs: 24 KB of a weight panel and the rows fit in L1

// Finishes rows of a panel straight from registers.
template <typename Epilogue>
struct Multiply {
    const float* bias;
    Bf16* to;

    template <std::size_t kRows>
    UNIVAR_AVX512_BF16 static void run(const Multiply& out, const DotProduct& in, std::size_t row) {
        __m512 sums[kRows][2];
        for (std::size_t i = 0; i < kRows; ++i) {
            sums[i][0] = _mm512_loadu_ps(out.bias);
            sums[i][1] = _mm512_loadu_ps(out.bias + 16);
        }
        add_products<Bf16Dot>(in, sums);
        Bf16* to = out.to + row * kPanel;
        for (std::size_t i = 0; i < kRows; ++i, to += kPanel) Epilogue::row(sums[i][0], sums[i][1], to);
    }
};

// Adds the product to rows of a panel of sums.
struct Accumulate {
    float* sums;
    std::size_t stride;

    template <std::size_t kRows>
    UNIVAR_AVX512_BF16 static void run(const Accumulate& out, const DotProduct& in, std::size_t row) {
        float* to = out.sums + row * out.stride;
        __m512 sums[kRows][2];
        for (std::size_t i = 0; i < kRows; ++i) {
            sums[i][0] = _mm512_loadu_ps(to + i * out.stride);
            sums[i][1] = _mm512_loadu_ps(to + i * out.stride + 16);
        }
        add_products<Bf16Dot>(in, sums);
        for (std::size_t i = 0; i < kRows; ++i) {
            _mm512_storeu_ps(to + i * out.stride, sums[i][0]);
            _mm512_storeu_ps(to + i * out.stride + 16, sums[i][1]);
        }
    }
};

// Steps first .. first + n of a product with the panel of weights at `weight`.
DotProduct product_of(Panels x, const Bf16* weight, std::size_t first, std::size_t n) {
    return {x.panel(first), x.stride * sizeof(Bf16), weight + first * 2 * kTile,
            kDotTileBytes,  2 * kDotTileBytes,       n};
}

template <typename Epilogue>
void multiply_all(const PackedLinear& linear, Panels x, std::size_t rows, Panels to) {
    for (std::size_t column = 0; column < linear.out; column += kPanel) {
        const std::size_t to_column = column / kPanel * Epilogue::kColumns;
        pass_rows(Multiply<Epilogue>{linear.bias + column, to.panel(to_column / kPanel) + to_column % kPanel},
                  product_of(x, linear.weight + column * linear.in, 0, linear.in / kPanel), rows);
    }
}

}  // namespace

void multiply_dots(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish, Panels to, float*) {
    with_epilogue(finish, [&](auto epilogue) { multiply_all<decltype(epilogue)>(linear, x, rows, to); });
}

void accumulate_dots(const PackedLinear& linear, Panels x, std::size_t rows, float* sums,
                     std::size_t stride) {
    const std::size_t steps = linear.in / kPanel;
    for (std::size_t column = 0; column < linear.out; column += kPanel)
        for (std::size_t step = 0; step < steps; step += kStepsAtOnce)
            pass_rows(
                Accumulate{sums + column, stride},
                product_of(x, linear.weight + column * linear.in, step, std::min(steps - step, kStepsAtOnce)),
                rows);
}

}  // namespace univar
#endif
