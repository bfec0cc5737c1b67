#include "tokenizer/unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace univar {

namespace {

struct Run {  // values from `first` on, up to the next run
    char32_t first;
    std::uint8_t value;
};

struct Mapping {
    char32_t from;
    char32_t to[4];  // ends at 0 or after four
};

#include "tokenizer/unicode_tables.inc"

bool is_hangul_syllable(char32_t code_point) { return code_point - kHangulFirst < kHangulSyllables; }

void append_hangul_jamo(char32_t code_point, std::u32string& text) {
    const char32_t index = code_point - kHangulFirst;
    text.push_back(0x1100 + index / 588);
    text.push_back(0x1161 + index % 588 / 28);
    if (index % 28 != 0) text.push_back(0x11A7 + index % 28);
}

template <std::size_t n>
void append_mapped(const Mapping (&table)[n], char32_t code_point, std::u32string& text) {
    const Mapping* found = std::lower_bound(std::begin(table), std::end(table), code_point,
                                            [](const Mapping& row, char32_t cp) { return row.from < cp; });
    if (found == std::end(table) || found->from != code_point) {
        text.push_back(code_point);
        return;
    }
    for (const char32_t to : found->to)
        if (to != 0) text.push_back(to);
}

template <std::size_t n>
void fill_runs(const Run (&runs)[n], std::vector<std::uint8_t>& values) {
    for (std::size_t i = 0; i < n; ++i) {
        const char32_t last = i + 1 < n ? runs[i + 1].first : kCodePoints;
        std::fill(values.begin() + runs[i].first, values.begin() + last, runs[i].value);
    }
}

std::vector<std::uint8_t> make_properties() {
    std::vector<std::uint8_t> table(kCodePoints);
    fill_runs(kPropertyRuns, table);
    const auto mark = [&table](char32_t code_point) { table[code_point] |= kMapped; };
    for (const Mapping& row : kDecompositions) mark(row.from);
    for (const Mapping& row : kLowercase) mark(row.from);
    for (char32_t i = 0; i < kHangulSyllables; ++i) mark(kHangulFirst + i);
    for (std::size_t i = 0; i + 1 < std::size(kCombiningRuns); ++i)
        if (kCombiningRuns[i].value != 0)
            for (char32_t cp = kCombiningRuns[i].first; cp < kCombiningRuns[i + 1].first; ++cp) mark(cp);
    return table;
}

}  // namespace

std::uint8_t properties(char32_t code_point) {
    static const std::vector<std::uint8_t> table = make_properties();
    return table[code_point];
}

std::uint8_t combining_class(char32_t code_point) {
    const Run* after = std::upper_bound(std::begin(kCombiningRuns), std::end(kCombiningRuns), code_point,
                                        [](char32_t cp, const Run& run) { return cp < run.first; });
    return std::prev(after)->value;
}

void append_decomposition(char32_t code_point, std::u32string& text) {
    if (is_hangul_syllable(code_point))
        append_hangul_jamo(code_point, text);
    else
        append_mapped(kDecompositions, code_point, text);
}

void append_lowercase(char32_t code_point, std::u32string& text) {
    append_mapped(kLowercase, code_point, text);
}

}  // namespace univar
