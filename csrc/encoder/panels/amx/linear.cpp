// A product goes through the weights panel by panel (32 outputs); a panel's tiles stay in L1 while 32 rows at
// a time pass by. Rows are loaded past L1 (TILELOADDT1), or they would drive the weights out of it. While a
// block of 32 x 32 is multiplied, the vector units finish the one before it, and the next panel is asked for.
#include "encoder/panels/amx/tiles.h"
#include "encoder/panels/epilogues.h"
#include "encoder/panels/kernels.h"

#if defined(UNIVAR_AMX)

namespace univar {
namespace {

constexpr std::size_t kStepsAtOnce = 12;  // of 32 inputs: a weight panel of 24 KB beside the rows in L1

// The rows of the block before this one, finished a few at a time.
template <typename Epilogue>
class Finisher {
  public:
    Finisher() = default;
    Finisher(const float* sums, Bf16* to, std::size_t rows) : sums_(sums), to_(to), rows_(rows) {}

    UNIVAR_AVX512 inline __attribute__((always_inline)) void step() {
        if (rows_ == 0) return;
        Epilogue::row(_mm512_load_ps(sums_), _mm512_load_ps(sums_ + 16), to_);
        sums_ += kPanel, to_ += kPanel, --rows_;
    }

    UNIVAR_AVX512 void rest() {
        while (rows_ > 0) step();
    }

  private:
    const float* sums_ = nullptr;
    Bf16* to_ = nullptr;
    std::size_t rows_ = 0;
};

struct NoFinisher {
    void step() {}
    void rest() {}
};

// What a block of products reads: rows of x from its first panel on, weight tiles from the first step on.
struct Operands {
    const Bf16* x;
    std::size_t x_stride;
    const Bf16* weight;
    std::size_t steps;
    const char* ahead;  // what to prefetch
    std::size_t lines;  // of 64 bytes, in every step
};

inline __attribute__((always_inline)) void prefetch_step(Operands& in) {
    for (std::size_t line = 0; line < in.lines; ++line, in.ahead += 64) __builtin_prefetch(in.ahead, 0, 2);
}

// Lines a step so that the next panel, 32 lines a step, has come when the rows are through.
inline std::size_t lines_a_step(std::size_t rows) {
    const std::size_t blocks = (rows + kPanel - 1) / kPanel;
    return (32 + blocks - 1) / blocks;
}

// to = from + x weight^T for 32 rows and 32 columns; strides in bytes, 0 repeats one row.
template <typename Side>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void multiply_32(Operands in, const float* from,
                                                                         std::size_t from_bytes, float* to,
                                                                         std::size_t to_bytes, Side& side) {
    const std::size_t next_rows = from_bytes * kTileRows / sizeof(float);
    _tile_loadd(0, from, from_bytes);
    _tile_loadd(1, from + 16, from_bytes);
    _tile_loadd(2, from + next_rows, from_bytes);
    _tile_loadd(3, from + next_rows + 16, from_bytes);
    for (std::size_t step = 0; step < in.steps; ++step, in.x += in.x_stride, in.weight += 2 * kTile) {
        _tile_stream_loadd(4, in.x, kTileBytes);
        _tile_loadd(6, in.weight, kTileBytes);
        _tile_dpbf16ps(0, 4, 6);
        prefetch_step(in);
        side.step();
        _tile_loadd(7, in.weight + kTile, kTileBytes);
        _tile_dpbf16ps(1, 4, 7);
        side.step();
        _tile_stream_loadd(5, in.x + kTile, kTileBytes);
        _tile_dpbf16ps(2, 5, 6);
        side.step();
        _tile_dpbf16ps(3, 5, 7);
    }
    side.rest();
    memory_barrier();
    _tile_stored(0, to, to_bytes);
    _tile_stored(1, to + 16, to_bytes);
    _tile_stored(2, to + kTileRows * to_bytes / sizeof(float), to_bytes);
    _tile_stored(3, to + kTileRows * to_bytes / sizeof(float) + 16, to_bytes);
    memory_barrier();
}

// The same for 16 rows.
template <typename Side>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void multiply_16(Operands in, const float* from,
                                                                         std::size_t from_bytes, float* to,
                                                                         std::size_t to_bytes, Side& side) {
    _tile_loadd(0, from, from_bytes);
    _tile_loadd(1, from + 16, from_bytes);
    for (std::size_t step = 0; step < in.steps; ++step, in.x += in.x_stride, in.weight += 2 * kTile) {
        _tile_stream_loadd(4, in.x, kTileBytes);
        _tile_loadd(6, in.weight, kTileBytes);
        _tile_dpbf16ps(0, 4, 6);
        prefetch_step(in);
        side.step();
        _tile_loadd(7, in.weight + kTile, kTileBytes);
        _tile_dpbf16ps(1, 4, 7);
        side.step();
    }
    side.rest();
    memory_barrier();
    _tile_stored(0, to, to_bytes);
    _tile_stored(1, to + 16, to_bytes);
    memory_barrier();
}

template <typename Side>
UNIVAR_AVX512_AMX inline __attribute__((always_inline)) void multiply_block(
    const Operands& in, std::size_t rows, const float* from, std::size_t from_bytes, float* to,
    std::size_t to_bytes, Side& side) {
    if (rows > kTileRows)
        multiply_32(in, from, from_bytes, to, to_bytes, side);
    else
        multiply_16(in, from, from_bytes, to, to_bytes, side);
}

template <typename Epilogue>
UNIVAR_AVX512_AMX void multiply_all(const PackedLinear& linear, Panels x, std::size_t rows, Panels to,
                                    float* scratch) {
    const std::size_t steps = linear.in / kPanel, lines = lines_a_step(rows);
    Finisher<Epilogue> before;
    std::size_t turn = 0;
    for (std::size_t column = 0; column < linear.out; column += kPanel) {
        Operands in{x.data, x.stride, linear.weight + column * linear.in, steps, nullptr, lines};
        in.ahead = reinterpret_cast<const char*>(in.weight + kPanel * linear.in);
        const std::size_t to_column = column / kPanel * Epilogue::kColumns;
        Bf16* block = to.panel(to_column / kPanel) + to_column % kPanel;
        for (std::size_t row = 0; row < rows; row += kPanel) {
            float* sums = scratch + turn * kBlock;
            in.x = x.data + row * kPanel;
            multiply_block(in, rows - row, linear.bias + column, 0, sums, kPanel * sizeof(float), before);
            before = {sums, block + row * kPanel, rows - row < kPanel ? rows - row : kPanel};
            in.ahead += steps * lines * 64;
            turn ^= 1;
        }
    }
    before.rest();
}

}  // namespace

UNIVAR_AVX512_AMX void multiply_tiles(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish,
                                      Panels to, float* scratch) {
    with_epilogue(finish,
                  [&](auto epilogue) { multiply_all<decltype(epilogue)>(linear, x, rows, to, scratch); });
}

UNIVAR_AVX512_AMX void accumulate_tiles(const PackedLinear& linear, Panels x, std::size_t rows, float* sums,
                                        std::size_t stride) {
    const std::size_t steps = linear.in / kPanel, lines = lines_a_step(rows);
    NoFinisher nothing;
    for (std::size_t column = 0; column < linear.out; column += kPanel) {
        const Bf16* weight = linear.weight + column * linear.in;
        for (std::size_t step = 0; step < steps; step += kStepsAtOnce) {
            const std::size_t at_once = steps - step < kStepsAtOnce ? steps - step : kStepsAtOnce;
            Operands in{nullptr, x.stride, weight + step * 2 * kTile, at_once, nullptr, lines};
            in.ahead = reinterpret_cast<const char*>(in.weight + at_once * 2 * kTile);
            for (std::size_t row = 0; row < rows; row += kPanel) {
                float* block = sums + row * stride + column;
                in.x = x.panel(step) + row * kPanel;
                multiply_block(in, rows - row, block, stride * sizeof(float), block, stride * sizeof(float),
                               nothing);
                in.ahead += at_once * lines * 64;
            }
        }
    }
}

}  // namespace univar
#endif
