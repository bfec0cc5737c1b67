// Products of bytes by the dot products of AVX-512 VNNI, in the same order of work as in linear.cpp.
#include "encoder/panels/bytes.h"

#include "encoder/panels/dot/kernels.h"
#include "encoder/panels/dot/products.h"
#include "encoder/panels/epilogues.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

// 32 outputs of a product.
struct BytePanel {
    const float *row_steps, *column_steps;
    const std::int32_t* starts;

    BytePanel(const PackedBytes& linear, const ByteRows& x, std::size_t column)
        : row_steps(x.steps), column_steps(linear.steps + column), starts(linear.starts + column) {}

    template <std::size_t kRows>
    UNIVAR_AVX512_BF16 UNIVAR_INLINE void multiply(const DotProduct& product,
                                                   ByteDot::Sum (&sums)[kRows][2]) const {
        for (std::size_t i = 0; i < kRows; ++i)
            for (std::size_t half = 0; half < 2; ++half)
                sums[i][half] = reinterpret_cast<ByteDot::Sum>(_mm512_loadu_si512(starts + 16 * half));
        add_products<ByteDot>(product, sums);
    }

    // 16 sums of a row as floats, plus 16 values at `to`.
    UNIVAR_AVX512_BF16 UNIVAR_INLINE __m512 scaled(ByteDot::Sum sums, std::size_t row, std::size_t half,
                                                   const float* to) const {
        const __m512 by_row = _mm512_mul_ps(_mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sums)),
                                            _mm512_set1_ps(row_steps[row]));
        return _mm512_fmadd_ps(by_row, _mm512_loadu_ps(column_steps + 16 * half),
                               _mm512_loadu_ps(to + 16 * half));
    }
};

template <typename Epilogue>
struct IntoPanel : BytePanel {
    const float* bias;
    Bf16* to;

    IntoPanel(const BytePanel& panel, const float* biases, Bf16* first)
        : BytePanel(panel), bias(biases), to(first) {}

    template <std::size_t kRows>
    UNIVAR_AVX512_BF16 static void run(const IntoPanel& out, const DotProduct& product, std::size_t row) {
        ByteDot::Sum sums[kRows][2];
        out.multiply(product, sums);
        Bf16* to = out.to + row * kPanel;
        for (std::size_t i = 0; i < kRows; ++i, to += kPanel)
            Epilogue::row(out.scaled(sums[i][0], row + i, 0, out.bias),
                          out.scaled(sums[i][1], row + i, 1, out.bias), to);
    }
};

struct IntoStream : BytePanel {
    Stream stream;  // from the panel's first column on

    IntoStream(const BytePanel& panel, Stream columns) : BytePanel(panel), stream(columns) {}

    template <std::size_t kRows>
    UNIVAR_AVX512_BF16 static void run(const IntoStream& out, const DotProduct& product, std::size_t row) {
        ByteDot::Sum sums[kRows][2];
        out.multiply(product, sums);
        for (std::size_t i = 0; i < kRows; ++i)
            for (std::size_t half = 0; half < 2; ++half) {
                float* to = out.stream.row(row + i);
                _mm512_storeu_ps(to + 16 * half, out.scaled(sums[i][half], row + i, half, to));
            }
    }
};

DotProduct product_of(const PackedBytes& linear, const ByteRows& x, std::size_t column) {
    return {x.bytes.data,  x.bytes.stride,    linear.weight + column * linear.in,
            kDotTileBytes, 2 * kDotTileBytes, linear.in / kBytePanel};
}

template <typename Epilogue>
void into_panels(const PackedBytes& linear, const ByteRows& x, Panels to) {
    for (std::size_t column = 0; column < linear.out; column += kPanel) {
        const std::size_t to_column = column / kPanel * Epilogue::kColumns;
        const IntoPanel<Epilogue> kind(BytePanel(linear, x, column), linear.bias + column,
                                       to.panel(to_column / kPanel) + to_column % kPanel);
        pass_rows(kind, product_of(linear, x, column), x.rows);
    }
}

}  // namespace

void multiply_byte_dots(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to,
                        std::int32_t*) {
    with_epilogue(finish, [&](auto epilogue) { into_panels<decltype(epilogue)>(linear, x, to); });
}

void accumulate_byte_dots(const PackedBytes& linear, const ByteRows& x, Stream stream, std::int32_t*) {
    for (std::size_t column = 0; column < linear.out; column += kPanel) {
        const IntoStream kind(BytePanel(linear, x, column), {stream.data + column, stream.stride});
        pass_rows(kind, product_of(linear, x, column), x.rows);
    }
}

}  // namespace univar
#endif
