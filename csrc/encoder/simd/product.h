// Products with packed right operands. Included once for each instruction set, after its vec_*.h.

#include <utility>

namespace univar {
namespace UNIVAR_SIMD {

constexpr std::size_t kColumns = kVectors * kLanes;  // of a packed panel
constexpr std::size_t kRowsAhead = 12;  // of the right operand, fetched from the level-2 cache before use

// Part of a product whose sums stay in registers: from `row` and `column` on; its last vector has `last`
// lanes.
struct Place {
    std::size_t row, column, last;
};

// Stores the sums of row i and vector j, out of `vectors` vectors.
template <int vectors>
UNIVAR_STEP void finish(const Product& p, const Place& place, int i, int j, Vec sum) {
    const std::size_t row = place.row + static_cast<std::size_t>(i);
    const std::size_t at = place.column + static_cast<std::size_t>(j) * kLanes;
    float* c = p.c + row * p.c_stride + at;
    if (j + 1 < vectors || place.last == kLanes) {
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

// What one part of a product prefetches into the level-2 cache, step by step: its share of the next panel.
struct Ahead {
    const char* at;
    std::size_t step;

    Ahead(const void* panel, std::size_t panel_bytes, std::size_t steps, const Place& place, std::size_t rows)
        : at(static_cast<const char*>(panel) + panel_bytes),
          step(panel_bytes / ((rows + kRows - 1) / kRows * steps) + 1) {
        at += place.row / kRows * steps * step;
    }
};

template <int rows, int vectors>
UNIVAR_TARGET void multiply_part(const Product& p, const Place& place) {
    const float* a = p.a + place.row * p.a_stride;
    const float* b = p.b + place.column / kColumns * p.panel_stride;
    Ahead ahead(b, p.panel_stride * sizeof(float), p.depth, place, p.rows);
    Vec sums[rows][vectors];
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < vectors; ++j) sums[i][j] = set1(0.0f);
    for (std::size_t k = 0; k < p.depth; ++k, b += p.b_stride, ahead.at += ahead.step) {
        __builtin_prefetch(ahead.at, 0, 2);
        Vec right[vectors];
        for (int j = 0; j < vectors; ++j) {
            const float* at = b + static_cast<std::size_t>(j) * kLanes;
            __builtin_prefetch(at + kRowsAhead * kColumns, 0, 3);
            right[j] = load(at);
        }
        for (int i = 0; i < rows; ++i) {
            const Vec left = set1(a[static_cast<std::size_t>(i) * p.a_stride + k]);
            for (int j = 0; j < vectors; ++j) sums[i][j] = fma(left, right[j], sums[i][j]);
        }
    }
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < vectors; ++j) finish<vectors>(p, place, i, j, sums[i][j]);
}

// multiply_part() for every number of vectors and rows.
struct PartTable {
    void (*of[kVectors][kRows])(const Product&, const Place&);
};

template <int vectors, int... row>
constexpr void fill_row(PartTable& table, std::integer_sequence<int, row...>) {
    ((table.of[vectors - 1][row] = &multiply_part<row + 1, vectors>), ...);
}

template <int... vector>
constexpr PartTable make_table(std::integer_sequence<int, vector...>) {
    PartTable table{};
    (fill_row<vector + 1>(table, std::make_integer_sequence<int, kRows>()), ...);
    return table;
}

inline void multiply(const Product& p) {
    static constexpr PartTable kParts = make_table(std::make_integer_sequence<int, kVectors>());
    constexpr auto kStep = static_cast<std::size_t>(kRows);
    for (std::size_t column = 0; column < p.columns; column += kColumns) {
        const std::size_t width = p.columns - column < kColumns ? p.columns - column : kColumns;
        const std::size_t vectors = (width + kLanes - 1) / kLanes;
        for (std::size_t row = 0; row < p.rows; row += kStep) {
            const std::size_t rows = p.rows - row < kStep ? p.rows - row : kStep;
            kParts.of[vectors - 1][rows - 1](p, {row, column, width - (vectors - 1) * kLanes});
            if (p.activation)
                activate(*p.activation, p.c + row * p.c_stride + column, p.c_stride, rows, width);
        }
    }
}

}  // namespace UNIVAR_SIMD
}  // namespace univar
