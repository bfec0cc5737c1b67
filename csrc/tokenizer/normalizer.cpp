#include "tokenizer/normalizer.h"

#include <algorithm>

namespace univar {

namespace {

std::u32string decode(std::string_view text) {
    std::u32string chars;
    for (const char* cursor = text.data(); cursor != text.data() + text.size();)
        chars.push_back(next_code_point(cursor));
    return chars;
}

std::u32string clean(const std::u32string& chars) {
    std::u32string cleaned;
    for (const char32_t c : chars) {
        const std::uint8_t property = properties(c);
        if ((property & kRemoved) == 0) cleaned.push_back((property & kCleanSpace) != 0 ? U' ' : c);
    }
    return cleaned;
}

std::u32string space_out_chinese(const std::u32string& chars) {
    std::u32string spaced;
    for (const char32_t c : chars) {
        const bool is_chinese = (properties(c) & kChinese) != 0;
        if (is_chinese) spaced.push_back(U' ');
        spaced.push_back(c);
        if (is_chinese) spaced.push_back(U' ');
    }
    return spaced;
}

void order_marks(std::u32string& chars) {
    const auto is_mark = [](char32_t c) { return combining_class(c) != 0; };
    for (auto first = chars.begin(); first != chars.end();) {
        first = std::find_if(first, chars.end(), is_mark);
        const auto last = std::find_if_not(first, chars.end(), is_mark);
        std::stable_sort(first, last,
                         [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
        first = last;
    }
}

std::u32string strip_accents(const std::u32string& chars) {
    std::u32string stripped;
    for (const char32_t c : chars) append_decomposition(c, stripped);
    order_marks(stripped);
    stripped.erase(std::remove_if(stripped.begin(), stripped.end(),
                                  [](char32_t c) { return (properties(c) & kMark) != 0; }),
                   stripped.end());
    return stripped;
}

}  // namespace

std::string normalize(std::string_view text, const NormalizerOptions& options) {
    std::u32string chars = decode(text);
    if (options.clean_text) chars = clean(chars);
    if (options.handle_chinese_chars) chars = space_out_chinese(chars);
    if (options.strip_accents) chars = strip_accents(chars);
    if (options.lowercase) {
        std::u32string lowered;
        for (const char32_t c : chars) append_lowercase(c, lowered);
        chars.swap(lowered);
    }
    std::string normalized;
    for (const char32_t c : chars) append_utf8(c, normalized);
    return normalized;
}

}  // namespace univar
