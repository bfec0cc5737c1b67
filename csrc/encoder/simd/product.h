// Products with packed right operands. Included once for each instruction set, after its vec_*.h.

#include <utility>

namespace univar {
namespace UNIVAR_SIMD {

constexpr std::size_t kPanel = kTileVectors * kLanes;
constexpr std::size_t kRowsAhead = 12;  // of the right operand, fetched from the level-2 cache before use

// Part of a product whose sums stay in registers: from `row` and `column` on; its last vector has `last`
// lanes.
struct Place {
    std::size_t row, column, last;
};

// Stores the sums of row i, vector j of a tile of kVectors.
template <int kVectors>
UNIVAR_STEP void finish(const Outcome& p, const Place& place, int i, int j, Vec sum) {
    const std::size_t row = place.row + static_cast<std::size_t>(i);
    const std::size_t at = place.column + static_cast<std::size_t>(j) * kLanes;
    float* c = p.c + row * p.c_stride + at;
    if (j + 1 < kVectors || place.last == kLanes) {
        if (p.bias != nullptr) sum = add(sum, load(p.bias + at));
        if (p.add != nullptr) sum = add(sum, load(p.add + row * p.add_stride + at));
        if (p.times != nullptr) sum = mul(sum, load(p.times + row * p.times_stride + at));
        store(c, sum);
    } else {
        const std::size_t n = place.last;
        if (p.bias != nullptr) sum = add(sum, load_first(p.bias + at, n));
        if (p.add != nullptr) sum = add(sum, load_first(p.add + row * p.add_stride + at, n));
        if (p.times != nullptr) sum = mul(sum, load_first(p.times + row * p.times_stride + at, n));
        store_first(c, sum, n);
    }
}

// What a tile fetches into the level-2 cache, step by step: its share of the next panel.
struct Ahead {
    const char* at;
    std::size_t step;

    Ahead(const void* panel, std::size_t panel_bytes, std::size_t steps, const Place& place, std::size_t rows)
        : at(static_cast<const char*>(panel) + panel_bytes),
          step(panel_bytes / ((rows + kTileRows - 1) / kTileRows * steps) + 1) {
        at += place.row / kTileRows * steps * step;
    }
};

struct FloatTile {
    template <int kRows, int kVectors>
    UNIVAR_TARGET static void run(const Product& p, const Place& place) {
        const float* a = p.a + place.row * p.a_stride;
        const float* b = p.b + place.column / kPanel * p.panel_stride;
        Ahead ahead(b, p.panel_stride * sizeof(float), p.depth, place, p.rows);
        Vec sums[kRows][kVectors];
        for (int i = 0; i < kRows; ++i)
            for (int j = 0; j < kVectors; ++j) sums[i][j] = set1(0.0f);
        for (std::size_t k = 0; k < p.depth; ++k, b += p.b_stride, ahead.at += ahead.step) {
            __builtin_prefetch(ahead.at, 0, 2);
            Vec right[kVectors];
            for (int j = 0; j < kVectors; ++j) {
                const float* at = b + static_cast<std::size_t>(j) * kLanes;
                __builtin_prefetch(at + kRowsAhead * kPanel, 0, 3);
                right[j] = load(at);
            }
            for (int i = 0; i < kRows; ++i) {
                const Vec left = set1(a[static_cast<std::size_t>(i) * p.a_stride + k]);
                for (int j = 0; j < kVectors; ++j) sums[i][j] = fma(left, right[j], sums[i][j]);
            }
        }
        for (int i = 0; i < kRows; ++i)
            for (int j = 0; j < kVectors; ++j) finish<kVectors>(p, place, i, j, sums[i][j]);
    }
};

// The functions of a kind of tile, by vectors and rows.
template <typename P>
struct Tiles {
    void (*of[kTileVectors][kTileRows])(const P&, const Place&);
};

template <typename Tile, int kVectors, typename P, int... kRow>
constexpr void fill_tiles(Tiles<P>& tiles, std::integer_sequence<int, kRow...>) {
    ((tiles.of[kVectors - 1][kRow] = &Tile::template run<kRow + 1, kVectors>), ...);
}

template <typename Tile, typename P, int... kVector>
constexpr Tiles<P> all_tiles(std::integer_sequence<int, kVector...>) {
    Tiles<P> tiles{};
    (fill_tiles<Tile, kVector + 1>(tiles, std::make_integer_sequence<int, kTileRows>()), ...);
    return tiles;
}

template <typename Tile, typename P>
void multiply_by(const P& p) {
    static constexpr Tiles<P> kTiles = all_tiles<Tile, P>(std::make_integer_sequence<int, kTileVectors>());
    constexpr auto kStep = static_cast<std::size_t>(kTileRows);
    for (std::size_t column = 0; column < p.columns; column += kPanel) {
        const std::size_t width = p.columns - column < kPanel ? p.columns - column : kPanel;
        const std::size_t vectors = (width + kLanes - 1) / kLanes;
        for (std::size_t row = 0; row < p.rows; row += kStep) {
            const std::size_t rows = p.rows - row < kStep ? p.rows - row : kStep;
            kTiles.of[vectors - 1][rows - 1](p, {row, column, width - (vectors - 1) * kLanes});
            if (p.activation)
                activate(*p.activation, p.c + row * p.c_stride + column, p.c_stride, rows, width);
        }
    }
}

inline void multiply(const Product& p) { multiply_by<FloatTile>(p); }

}  // namespace UNIVAR_SIMD
}  // namespace univar
