// A panel of weights (32 outputs) goes past all rows, twelve at a time, before the next one, which is asked for
// meanwhile. Sums stay in registers from bias to epilogue.
#include <algorithm>
#include <utility>

#include "encoder/dot_products.h"
#include "encoder/panel_finish.h"
#include "encoder/panel_kernels.h"

#if defined(UNIVAR_AMX)

namespace univar {
namespace {

constexpr std::size_t kStepsAtOnce = 12;  // of 32 inputs: a weight panel of 24 KB beside the rows in L1
constexpr std::size_t kPairLines = 2;     // cache lines of weights a pair of inputs takes

// Rows of a panel of the product, finished from registers.
template <typename Epilogue>
struct Multiply {
    const float* bias;
    Bf16* to;

    template <std::size_t kRows>
    UNIVAR_AVX512 static void run(const Multiply& out, const DotProduct& in, std::size_t row) {
        __m512 sums[kRows][2];
        for (std::size_t i = 0; i < kRows; ++i) {
            sums[i][0] = _mm512_loadu_ps(out.bias);
            sums[i][1] = _mm512_loadu_ps(out.bias + 16);
        }
        add_products(in, sums);
        Bf16* to = out.to + row * kPanel;
        for (std::size_t i = 0; i < kRows; ++i, to += kPanel) Epilogue::row(sums[i][0], sums[i][1], to);
    }
};

// Rows of a panel of sums, which the product is added to.
struct Accumulate {
    float* sums;
    std::size_t stride;

    template <std::size_t kRows>
    UNIVAR_AVX512 static void run(const Accumulate& out, const DotProduct& in, std::size_t row) {
        float* to = out.sums + row * out.stride;
        __m512 sums[kRows][2];
        for (std::size_t i = 0; i < kRows; ++i) {
            sums[i][0] = _mm512_loadu_ps(to + i * out.stride);
            sums[i][1] = _mm512_loadu_ps(to + i * out.stride + 16);
        }
        add_products(in, sums);
        for (std::size_t i = 0; i < kRows; ++i) {
            _mm512_storeu_ps(to + i * out.stride, sums[i][0]);
            _mm512_storeu_ps(to + i * out.stride + 16, sums[i][1]);
        }
    }
};

template <typename Kind, std::size_t... kRow>
constexpr auto all_rows(std::index_sequence<kRow...>) {
    using Run = void (*)(const Kind&, const DotProduct&, std::size_t);
    struct {
        Run of[kDotRows];
    } runs{{&Kind::template run<kRow + 1>...}};
    return runs;
}

// One panel of weights, its first `steps` steps from `weight` on, past all rows; meanwhile the next one is
// asked for.
template <typename Kind>
void pass_rows(const Kind& kind, const Bf16* weight, std::size_t steps, Panels x, std::size_t rows) {
    static constexpr auto kRuns = all_rows<Kind>(std::make_index_sequence<kDotRows>());
    const std::size_t blocks = (rows + kDotRows - 1) / kDotRows;
    DotProduct product{x.data, weight, x.stride, kTile, 2 * kTile, steps};
    product.ahead = reinterpret_cast<const char*>(weight + steps * 2 * kTile);
    product.ahead_step = 64 * ((kPairLines + blocks - 1) / blocks);
    for (std::size_t row = 0; row < rows; row += kDotRows) {
        kRuns.of[std::min(rows - row, kDotRows) - 1](kind, product, row);
        product.left += kDotRows * kPanel;
        product.ahead += product.ahead_step * steps * kPairs;
    }
}

template <typename Epilogue>
void multiply_all(const PackedLinear& linear, Panels x, std::size_t rows, Panels to) {
    for (std::size_t column = 0; column < linear.out; column += kPanel) {
        const std::size_t to_column = column / kPanel * Epilogue::kColumns;
        pass_rows(Multiply<Epilogue>{linear.bias + column, to.panel(to_column / kPanel) + to_column % kPanel},
                  linear.weight + column * linear.in, linear.in / kPanel, x, rows);
    }
}

}  // namespace

void multiply_dots(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish, Panels to, float*) {
    switch (finish) {
        case Finish::kCopy:
            return multiply_all<Copy>(linear, x, rows, to);
        case Finish::kGelu:
            return multiply_all<Gelu>(linear, x, rows, to);
        case Finish::kGeluTanh:
            return multiply_all<GeluTanh>(linear, x, rows, to);
        case Finish::kRelu:
            return multiply_all<Relu>(linear, x, rows, to);
        case Finish::kSwiglu:
            return multiply_all<Swiglu>(linear, x, rows, to);
    }
}

void accumulate_dots(const PackedLinear& linear, Panels x, std::size_t rows, float* sums, std::size_t stride) {
    const std::size_t steps = linear.in / kPanel;
    for (std::size_t column = 0; column < linear.out; column += kPanel)
        for (std::size_t step = 0; step < steps; step += kStepsAtOnce)
            pass_rows(Accumulate{sums + column, stride},
                      linear.weight + column * linear.in + step * 2 * kTile,
                      std::min(steps - step, kStepsAtOnce), {x.panel(step), x.stride}, rows);
}

}  // namespace univar
#endif
