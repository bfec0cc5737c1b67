#include "encoder/amx_bytes.h"

#include <algorithm>
#include <cmath>

#include "encoder/amx.h"
#include "encoder/panel_finish.h"

#if defined(UNIVAR_AMX)

#define UNIVAR_AVX512_AMX_INT8 \
    __attribute__((            \
        target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512bf16,avx2,fma,amx-tile,amx-int8")))
#define UNIVAR_INLINE inline __attribute__((always_inline))

namespace univar {
namespace {

constexpr std::size_t kByteTile = kTileRows * kBytePanel;  // bytes of a tile

// 16 sums as floats, plus `to`.
UNIVAR_AVX512 UNIVAR_INLINE __m512 scaled(const std::int32_t* sums, __m512 row_step,
                                          const float* column_steps, const float* to) {
    const __m512 whole = _mm512_cvtepi32_ps(_mm512_load_si512(sums));
    return _mm512_fmadd_ps(_mm512_mul_ps(whole, row_step), _mm512_loadu_ps(column_steps),
                           _mm512_loadu_ps(to));
}

// The block of sums before the one that is being multiplied, finished row by row.
struct Finished {
    const std::int32_t* sums = nullptr;
    const float *column_steps = nullptr, *row_steps = nullptr;
    std::size_t rows = 0;

    void next() { sums += kPanel, ++row_steps, --rows; }
};

template <typename Epilogue>
struct IntoPanels : Finished {
    const float* bias = nullptr;
    Bf16* to = nullptr;

    UNIVAR_AVX512 UNIVAR_INLINE void step() {
        if (rows == 0) return;
        const __m512 row_step = _mm512_set1_ps(*row_steps);
        Epilogue::row(scaled(sums, row_step, column_steps, bias),
                      scaled(sums + 16, row_step, column_steps + 16, bias + 16), to);
        to += kPanel;
        next();
    }
};

struct IntoStream : Finished {
    float* to = nullptr;
    std::size_t stride = 0;

    UNIVAR_AVX512 UNIVAR_INLINE void step() {
        if (rows == 0) return;
        const __m512 row_step = _mm512_set1_ps(*row_steps);
        _mm512_store_ps(to, scaled(sums, row_step, column_steps, to));
        _mm512_store_ps(to + 16, scaled(sums + 16, row_step, column_steps + 16, to + 16));
        to += stride;
        next();
    }
};

struct Operands {
    const std::int8_t* x;
    std::size_t x_stride;
    const std::int8_t* weight;
    std::size_t steps;
    const char* ahead;  // what to prefetch
    std::size_t lines;  // of 64 bytes, in every step
};

template <typename Side>
UNIVAR_AVX512 UNIVAR_INLINE void steps_of(Side& side, int n) {
    for (int i = 0; i < n; ++i) side.step();
}

// sums (32, 32) = x weight^T, or their first 16 rows.
template <bool kBothHalves, typename Side>
UNIVAR_AVX512_AMX_INT8 UNIVAR_INLINE void multiply_block(Operands in, std::int32_t* sums, Side& side) {
    _tile_zero(0);
    _tile_zero(1);
    if (kBothHalves) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (std::size_t step = 0; step < in.steps; ++step, in.x += in.x_stride, in.weight += 2 * kByteTile) {
        for (std::size_t line = 0; line < in.lines; ++line, in.ahead += 64)
            __builtin_prefetch(in.ahead, 0, 2);
        _tile_stream_loadd(4, in.x, kTileBytes);
        _tile_loadd(6, in.weight, kTileBytes);
        _tile_dpbssd(0, 4, 6);
        steps_of(side, 2);
        _tile_loadd(7, in.weight + kByteTile, kTileBytes);
        _tile_dpbssd(1, 4, 7);
        steps_of(side, 2);
        if (kBothHalves) {
            _tile_stream_loadd(5, in.x + kByteTile, kTileBytes);
            _tile_dpbssd(2, 5, 6);
            steps_of(side, 2);
            _tile_dpbssd(3, 5, 7);
        }
    }
    while (side.rows > 0) side.step();
    memory_barrier();
    _tile_stored(0, sums, kPanel * sizeof(std::int32_t));
    _tile_stored(1, sums + 16, kPanel * sizeof(std::int32_t));
    if (kBothHalves) {
        _tile_stored(2, sums + kTileRows * kPanel, kPanel * sizeof(std::int32_t));
        _tile_stored(3, sums + kTileRows * kPanel + 16, kPanel * sizeof(std::int32_t));
    }
    memory_barrier();
}

// All blocks of a product; side_of(column, row) says where a block goes.
template <typename Side, typename SideOf>
UNIVAR_AVX512_AMX_INT8 UNIVAR_INLINE void multiply_all(const PackedBytes& linear, const ByteRows& x,
                                                       std::int32_t* scratch, SideOf side_of) {
    const std::size_t steps = linear.in / kBytePanel, blocks = (x.rows + kPanel - 1) / kPanel;
    const std::size_t lines = (2 * kByteTile / 64 + blocks - 1) / blocks;
    Side before;
    std::size_t turn = 0;
    for (std::size_t column = 0; column < linear.out; column += kPanel) {
        Operands in{nullptr, x.bytes.stride, linear.weight + column * linear.in, steps, nullptr, lines};
        in.ahead = reinterpret_cast<const char*>(in.weight + kPanel * linear.in);
        for (std::size_t row = 0; row < x.rows; row += kPanel) {
            std::int32_t* sums = scratch + turn * kBlock;
            in.x = x.bytes.data + row * kBytePanel;
            if (x.rows - row > kTileRows)
                multiply_block<true>(in, sums, before);
            else
                multiply_block<false>(in, sums, before);
            before = side_of(column, row);
            before.sums = sums;
            before.column_steps = linear.steps + column;
            before.row_steps = x.steps + row;
            before.rows = std::min(x.rows - row, kPanel);
            in.ahead += steps * lines * 64;
            turn ^= 1;
        }
    }
    while (before.rows > 0) before.step();
}

template <typename Epilogue>
UNIVAR_AVX512_AMX_INT8 void into_panels(const PackedBytes& linear, const ByteRows& x, Panels to,
                                        std::int32_t* scratch) {
    multiply_all<IntoPanels<Epilogue>>(linear, x, scratch, [&](std::size_t column, std::size_t row) {
        const std::size_t to_column = column / kPanel * Epilogue::kColumns;
        IntoPanels<Epilogue> side;
        side.bias = linear.bias + column;
        side.to = to.panel(to_column / kPanel) + to_column % kPanel + row * kPanel;
        return side;
    });
}

UNIVAR_AVX512 UNIVAR_INLINE __m512 upper_halves(__m512i x) {
    return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}
UNIVAR_AVX512 UNIVAR_INLINE __m512 lower_halves(__m512i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}

// 64 values of a row in the order of byte_column().
struct Quarters {
    __m512 of[4];
};

UNIVAR_AVX512 UNIVAR_INLINE Quarters quarters(Panels x, std::size_t row, const Quarters& factors) {
    const __m512i left = _mm512_load_si512(x.data + row * kPanel);
    const __m512i right = _mm512_load_si512(x.data + x.stride + row * kPanel);
    return {{_mm512_mul_ps(lower_halves(left), factors.of[0]),
             _mm512_mul_ps(upper_halves(left), factors.of[1]),
             _mm512_mul_ps(lower_halves(right), factors.of[2]),
             _mm512_mul_ps(upper_halves(right), factors.of[3])}};
}

UNIVAR_AVX512 UNIVAR_INLINE Quarters load_factors(const float* factors, std::size_t column) {
    Quarters loaded;
    for (std::size_t i = 0; i < 4; ++i)
        loaded.of[i] = factors == nullptr ? _mm512_set1_ps(1.0f) : _mm512_loadu_ps(factors + column + 16 * i);
    return loaded;
}

constexpr std::size_t kRowsAtOnce = 128;  // whose largest magnitudes wait in L1

// highest: (rows, 16), the magnitudes lane by lane.
UNIVAR_AVX512 void find_highest(Panels x, std::size_t rows, std::size_t columns, const float* factors,
                                float* highest) {
    for (std::size_t row = 0; row < rows; ++row) _mm512_store_ps(highest + 16 * row, _mm512_set1_ps(1e-20f));
    for (std::size_t column = 0; column < columns; column += kBytePanel) {
        const Quarters by = load_factors(factors, column);
        const Panels panel{x.panel(column / kPanel), x.stride};
        for (std::size_t row = 0; row < rows; ++row) {
            const Quarters values = quarters(panel, row, by);
            __m512 top = _mm512_load_ps(highest + 16 * row);
            for (const __m512& value : values.of) top = _mm512_range_ps(top, value, 0b1011);  // magnitude
            _mm512_store_ps(highest + 16 * row, top);
        }
    }
}

UNIVAR_AVX512 void round_rows(Panels x, std::size_t rows, std::size_t columns, const float* factors,
                              const float* per_step, BytePanels to) {
    for (std::size_t column = 0; column < columns; column += kBytePanel) {
        const Quarters by = load_factors(factors, column);
        const Panels panel{x.panel(column / kPanel), x.stride};
        std::int8_t* bytes = to.panel(column / kBytePanel);
        for (std::size_t row = 0; row < rows; ++row, bytes += kBytePanel) {
            const Quarters values = quarters(panel, row, by);
            const __m512 scale = _mm512_set1_ps(per_step[row]);
            __m512i whole[4];
            for (std::size_t i = 0; i < 4; ++i)
                whole[i] = _mm512_cvtps_epi32(_mm512_mul_ps(values.of[i], scale));
            _mm512_store_si512(bytes, _mm512_packs_epi16(_mm512_packs_epi32(whole[0], whole[1]),
                                                         _mm512_packs_epi32(whole[2], whole[3])));
        }
    }
}

}  // namespace

void pack_bytes(const DenseLinear& from, std::int8_t* weight, float* steps) {
    for (std::size_t row = 0; row < from.out; ++row) {
        const float* values = from.weight.data() + row * from.in;
        float magnitude = 1e-20f;
        for (std::size_t i = 0; i < from.in; ++i) magnitude = std::max(magnitude, std::fabs(values[i]));
        steps[row] = magnitude / 127.0f;
        std::int8_t* panel = weight + row / kPanel * kPanel * from.in + row % kPanel / kTileRows * kByteTile +
                             row % kTileRows * 4;
        for (std::size_t i = 0; i < from.in; ++i) {
            const std::size_t place = i % kBytePanel;
            const float value = values[i - place + byte_column(place)];
            panel[i / kBytePanel * 2 * kByteTile + place / 4 * kTileBytes + place % 4] =
                static_cast<std::int8_t>(std::lrint(value * 127.0f / magnitude));
        }
    }
}

std::vector<float> ordered_factors(const std::vector<float>& factors) {
    std::vector<float> ordered(factors.size());
    for (std::size_t i = 0; i < factors.size(); ++i) {
        const std::size_t quarter = i % kBytePanel / 16;
        ordered[i] = factors[i - i % kBytePanel + quarter / 2 * 32 + 2 * (i % 16) + quarter % 2];
    }
    return ordered;
}

UNIVAR_AVX512 void round_panels(Panels x, std::size_t rows, std::size_t columns, const float* factors,
                                BytePanels to, float* steps) {
    alignas(64) float highest[kRowsAtOnce * 16];
    float per_step[kRowsAtOnce];
    for (std::size_t first = 0; first < rows; first += kRowsAtOnce) {
        const std::size_t n = std::min(rows - first, kRowsAtOnce);
        find_highest(x.from_row(first), n, columns, factors, highest);
        for (std::size_t row = 0; row < n; ++row) {
            const float magnitude = _mm512_reduce_max_ps(_mm512_load_ps(highest + 16 * row));
            steps[first + row] = magnitude / 127.0f;
            per_step[row] = 127.0f / magnitude;
        }
        round_rows(x.from_row(first), n, columns, factors, per_step, to.from_row(first));
    }
}

void multiply(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to, std::int32_t* scratch) {
    switch (finish) {
        case Finish::kCopy:
            return into_panels<Copy>(linear, x, to, scratch);
        case Finish::kGelu:
            return into_panels<Gelu>(linear, x, to, scratch);
        case Finish::kGeluTanh:
            return into_panels<GeluTanh>(linear, x, to, scratch);
        case Finish::kRelu:
            return into_panels<Relu>(linear, x, to, scratch);
        case Finish::kSwiglu:
            return into_panels<Swiglu>(linear, x, to, scratch);
    }
}

UNIVAR_AVX512_AMX_INT8 void accumulate(const PackedBytes& linear, const ByteRows& x, Stream stream,
                                       std::int32_t* scratch) {
    multiply_all<IntoStream>(linear, x, scratch, [&](std::size_t column, std::size_t row) {
        IntoStream side;
        side.to = stream.row(row) + column;
        side.stride = stream.stride;
        return side;
    });
}

}  // namespace univar
#endif
