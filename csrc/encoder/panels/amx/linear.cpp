// Products of bf16 on AMX. A product takes the weights panel by panel (32 outputs). A panel's tiles stay in
// L1 while the rows pass, 32 at a time; rows are loaded past L1 (TILELOADDT1), so that they do not evict the
// weights. While the tiles multiply one block of 32 x 32, the vector units finish the block before it, and
// the next panel is prefetched.
#include "encoder/panels/amx/kernels.h"
#include "encoder/panels/amx/tiles.h"
#include "encoder/panels/epilogues.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

constexpr std::size_t kStepsAtOnce = 12;  // of 32 inputs: 24 KB of a weight panel and the rows fit in L1

// Turns the sums of the block before into bf16, one row a step.
template <typename Epilogue>
class Finisher {
  public:
    Finisher() = default;
    Finisher(const float* sums, Bf16* to, std::size_t rows) : sums_(sums), to_(to), rows_(rows) {}

    UNIVAR_AVX512_BF16 UNIVAR_INLINE void step() {
        if (rows_ == 0) return;
        Epilogue::row(_mm512_load_ps(sums_), _mm512_load_ps(sums_ + 16), to_);
        sums_ += kPanel, to_ += kPanel, --rows_;
    }

    UNIVAR_AVX512_BF16 void rest() {
        while (rows_ > 0) step();
    }

  private:
    const float* sums_ = nullptr;
    Bf16* to_ = nullptr;
    std::size_t rows_ = 0;
};

// The sums stay as they are.
struct NoFinisher {
    void step() {}
    void rest() {}
};

// What a block of a product reads: rows of x from its first panel on, weight tiles from the first step on.
struct Operands {
    const Bf16* x;
    std::size_t x_stride;
    const Bf16* weight;
    std::size_t steps;
    const char* ahead;  // what to prefetch next
    std::size_t lines;  // cache lines to prefetch in a step
};

UNIVAR_INLINE void prefetch_step(Operands& in) {
    for (std::size_t line = 0; line < in.lines; ++line, in.ahead += 64) __builtin_prefetch(in.ahead, 0, 2);
}

// How many lines to prefetch in a step, so that the next panel, 32 lines a step, is there when all rows have
// passed.
inline std::size_t lines_per_step(std::size_t rows) {
    const std::size_t blocks = (rows + kPanel - 1) / kPanel;
    return (32 + blocks - 1) / blocks;
}

// to = from + x weight^T for 32 rows, or their first 16, and 32 columns. Strides are in bytes; 0 repeats one
// row. Between the tile instructions side.step() gives the vector units work.
template <bool kBothHalves, typename Side>
UNIVAR_AMX_BF16 UNIVAR_INLINE void multiply_rows(Operands in, const float* from, std::size_t from_bytes,
                                                 float* to, std::size_t to_bytes, Side& side) {
    const float* from_below = from + from_bytes * kTileRows / sizeof(float);
    float* to_below = to + to_bytes * kTileRows / sizeof(float);
    _tile_loadd(0, from, from_bytes);
    _tile_loadd(1, from + 16, from_bytes);
    if constexpr (kBothHalves) {
        _tile_loadd(2, from_below, from_bytes);
        _tile_loadd(3, from_below + 16, from_bytes);
    }
    for (std::size_t step = 0; step < in.steps; ++step, in.x += in.x_stride, in.weight += 2 * kTile) {
        _tile_stream_loadd(4, in.x, kTileBytes);
        _tile_loadd(6, in.weight, kTileBytes);
        _tile_dpbf16ps(0, 4, 6);
        prefetch_step(in);
        side.step();
        _tile_loadd(7, in.weight + kTile, kTileBytes);
        _tile_dpbf16ps(1, 4, 7);
        side.step();
        if constexpr (kBothHalves) {
            _tile_stream_loadd(5, in.x + kTile, kTileBytes);
            _tile_dpbf16ps(2, 5, 6);
            side.step();
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    side.rest();
    memory_barrier();
    _tile_stored(0, to, to_bytes);
    _tile_stored(1, to + 16, to_bytes);
    if constexpr (kBothHalves) {
        _tile_stored(2, to_below, to_bytes);
        _tile_stored(3, to_below + 16, to_bytes);
    }
    memory_barrier();
}

template <typename Side>
UNIVAR_AMX_BF16 UNIVAR_INLINE void multiply_block(const Operands& in, std::size_t rows, const float* from,
                                                  std::size_t from_bytes, float* to, std::size_t to_bytes,
                                                  Side& side) {
    if (rows > kTileRows)
        multiply_rows<true>(in, from, from_bytes, to, to_bytes, side);
    else
        multiply_rows<false>(in, from, from_bytes, to, to_bytes, side);
}

template <typename Epilogue>
UNIVAR_AMX_BF16 void multiply_all(const PackedLinear& linear, Panels x, std::size_t rows, Panels to,
                                  float* scratch) {
    const std::size_t steps = linear.in / kPanel, lines = lines_per_step(rows);
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

UNIVAR_AMX_BF16 void multiply_tiles(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish,
                                    Panels to, float* scratch) {
    with_epilogue(finish,
                  [&](auto epilogue) { multiply_all<decltype(epilogue)>(linear, x, rows, to, scratch); });
}

UNIVAR_AMX_BF16 void accumulate_tiles(const PackedLinear& linear, Panels x, std::size_t rows, float* sums,
                                      std::size_t stride) {
    const std::size_t steps = linear.in / kPanel, lines = lines_per_step(rows);
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
