// Products of bytes on AMX, in the same order of work as in linear.cpp.
#include "encoder/panels/bytes.h"

#include <algorithm>

#include "encoder/panels/amx/kernels.h"
#include "encoder/panels/amx/tiles.h"
#include "encoder/panels/epilogues.h"

#if defined(UNIVAR_X86_BF16)

#define UNIVAR_AMX_INT8    \
    __attribute__((target( \
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx512bf16,avx2,fma,amx-tile,amx-int8")))

namespace univar {
namespace {

// 16 sums as floats, plus `to`.
UNIVAR_AVX512_BF16 UNIVAR_INLINE __m512 scaled(const std::int32_t* sums, __m512 row_step,
                                               const float* column_steps, const float* to) {
    const __m512 whole = _mm512_cvtepi32_ps(_mm512_load_si512(sums));
    return _mm512_fmadd_ps(_mm512_mul_ps(whole, row_step), _mm512_loadu_ps(column_steps),
                           _mm512_loadu_ps(to));
}

// The block of sums before the one that is being multiplied. It is finished row by row.
struct PendingBlock {
    const std::int32_t* sums = nullptr;
    const float *column_steps = nullptr, *row_steps = nullptr;
    std::size_t rows = 0;

    void next() { sums += kPanel, ++row_steps, --rows; }
};

// Finishes rows into bf16.
template <typename Epilogue>
struct IntoPanels : PendingBlock {
    const float* bias = nullptr;
    Bf16* to = nullptr;

    UNIVAR_AVX512_BF16 UNIVAR_INLINE void step() {
        if (rows == 0) return;
        const __m512 row_step = _mm512_set1_ps(*row_steps);
        Epilogue::row(scaled(sums, row_step, column_steps, bias),
                      scaled(sums + 16, row_step, column_steps + 16, bias + 16), to);
        to += kPanel;
        next();
    }
};

// Adds rows to the residual stream.
struct IntoStream : PendingBlock {
    float* to = nullptr;
    std::size_t stride = 0;

    UNIVAR_AVX512_BF16 UNIVAR_INLINE void step() {
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
    const char* ahead;  // what to prefetch next
    std::size_t lines;  // cache lines to prefetch in a step
};

template <typename Side>
UNIVAR_AVX512_BF16 UNIVAR_INLINE void run_steps(Side& side, int n) {
    for (int i = 0; i < n; ++i) side.step();
}

// sums (32, 32) = x weight^T, or only the first 16 rows. Between the tile instructions `side` gives the
// vector units work.
template <bool kBothHalves, typename Side>
UNIVAR_AMX_INT8 UNIVAR_INLINE void multiply_block(Operands in, std::int32_t* sums, Side& side) {
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
        run_steps(side, 2);
        _tile_loadd(7, in.weight + kByteTile, kTileBytes);
        _tile_dpbssd(1, 4, 7);
        run_steps(side, 2);
        if (kBothHalves) {
            _tile_stream_loadd(5, in.x + kByteTile, kTileBytes);
            _tile_dpbssd(2, 5, 6);
            run_steps(side, 2);
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

// All blocks of a product. side_of(column, row) tells what finishes the block that begins there.
template <typename Side, typename SideOf>
UNIVAR_AMX_INT8 UNIVAR_INLINE void multiply_all(const PackedBytes& linear, const ByteRows& x,
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
UNIVAR_AMX_INT8 void into_panels(const PackedBytes& linear, const ByteRows& x, Panels to,
                                 std::int32_t* scratch) {
    multiply_all<IntoPanels<Epilogue>>(linear, x, scratch, [&](std::size_t column, std::size_t row) {
        const std::size_t to_column = column / kPanel * Epilogue::kColumns;
        IntoPanels<Epilogue> side;
        side.bias = linear.bias + column;
        side.to = to.panel(to_column / kPanel) + to_column % kPanel + row * kPanel;
        return side;
    });
}

}  // namespace

void multiply_byte_tiles(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to,
                         std::int32_t* scratch) {
    with_epilogue(finish, [&](auto epilogue) { into_panels<decltype(epilogue)>(linear, x, to, scratch); });
}

UNIVAR_AMX_INT8 void accumulate_byte_tiles(const PackedBytes& linear, const ByteRows& x, Stream stream,
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
