// Products with packed right operands. Included once for each instruction set, after its vec_*.h.

#include <utility>

namespace univar {
namespace UNIVAR_SIMD {

constexpr std::size_t kPanel = kTileVectors * kLanes;

constexpr std::size_t kRowsAhead = 12;  // of the right operand, fetched from the level-2 cache before use

// kRows x kVectors sums in registers. The last vector stores `last` lanes. While it runs, its share of the
// next panel comes into the level-2 cache.
template <int kRows, int kVectors>
UNIVAR_TARGET void multiply_tile(const Product& p, std::size_t row, std::size_t column, std::size_t last) {
    const float* a = p.a + row * p.a_stride;
    const float* b = p.b + column / kPanel * p.panel_stride;
    Vec sums[kRows][kVectors];
    for (int i = 0; i < kRows; ++i)
        for (int j = 0; j < kVectors; ++j) sums[i][j] = set1(0.0f);
    const std::size_t tiles = (p.rows + kTileRows - 1) / kTileRows;
    const std::size_t step = p.panel_stride * sizeof(float) / (tiles * p.depth) + 1;
    const char* next_panel =
        reinterpret_cast<const char*>(b + p.panel_stride) + row / kTileRows * p.depth * step;
    for (std::size_t k = 0; k < p.depth; ++k, b += p.b_stride, next_panel += step) {
        __builtin_prefetch(next_panel, 0, 2);
        Vec right[kVectors];
        for (int j = 0; j < kVectors; ++j) {
            const float* at = b + static_cast<std::size_t>(j) * kLanes;
            __builtin_prefetch(at + kRowsAhead * p.b_stride, 0, 3);
            right[j] = load(at);
        }
        for (int i = 0; i < kRows; ++i) {
            const Vec left = set1(a[static_cast<std::size_t>(i) * p.a_stride + k]);
            for (int j = 0; j < kVectors; ++j) sums[i][j] = fma(left, right[j], sums[i][j]);
        }
    }
    for (int i = 0; i < kRows; ++i) {
        const std::size_t line = row + static_cast<std::size_t>(i);
        for (int j = 0; j < kVectors; ++j) {
            const std::size_t at = column + static_cast<std::size_t>(j) * kLanes;
            const std::size_t lanes = j + 1 < kVectors ? kLanes : last;
            float* c = p.c + line * p.c_stride + at;
            Vec sum = sums[i][j];
            if (lanes == kLanes) {
                if (p.bias != nullptr) sum = add(sum, load(p.bias + at));
                if (p.add != nullptr) sum = add(sum, load(p.add + line * p.add_stride + at));
                if (p.times != nullptr) sum = mul(sum, load(p.times + line * p.times_stride + at));
                store(c, sum);
            } else {
                if (p.bias != nullptr) sum = add(sum, load_first(p.bias + at, lanes));
                if (p.add != nullptr) sum = add(sum, load_first(p.add + line * p.add_stride + at, lanes));
                if (p.times != nullptr)
                    sum = mul(sum, load_first(p.times + line * p.times_stride + at, lanes));
                store_first(c, sum, lanes);
            }
        }
    }
}

using Tile = void (*)(const Product&, std::size_t row, std::size_t column, std::size_t last);

// The tiles of 1, 2, ... rows by vectors.
template <int kVectors, int... kRow>
constexpr void fill_tiles(Tile* tiles, std::integer_sequence<int, kRow...>) {
    ((tiles[kRow] = &multiply_tile<kRow + 1, kVectors>), ...);
}

struct Tiles {
    Tile of[kTileVectors][kTileRows];
};

template <int... kVector>
constexpr Tiles all_tiles(std::integer_sequence<int, kVector...>) {
    Tiles tiles{};
    (fill_tiles<kVector + 1>(tiles.of[kVector], std::make_integer_sequence<int, kTileRows>()), ...);
    return tiles;
}

constexpr Tiles kTiles = all_tiles(std::make_integer_sequence<int, kTileVectors>());

inline void multiply(const Product& p) {
    constexpr auto kStep = static_cast<std::size_t>(kTileRows);
    for (std::size_t column = 0; column < p.columns; column += kPanel) {
        const std::size_t width = p.columns - column < kPanel ? p.columns - column : kPanel;
        const std::size_t vectors = (width + kLanes - 1) / kLanes;
        const std::size_t last = width - (vectors - 1) * kLanes;
        for (std::size_t row = 0; row < p.rows; row += kStep) {
            const std::size_t rows = p.rows - row < kStep ? p.rows - row : kStep;
            kTiles.of[vectors - 1][rows - 1](p, row, column, last);
            if (p.activation)
                activate(*p.activation, p.c + row * p.c_stride + column, p.c_stride, rows, width);
        }
    }
}

}  // namespace UNIVAR_SIMD
}  // namespace univar
