// BertNormalizer and BertPreTokenizer by their definition, step by step. They are slow; the encoder uses them
// for what its tables cannot express, and to make the tables.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace univar {

struct NormalizerOptions {
    bool clean_text = true;
    bool handle_chinese_chars = true;
    bool strip_accents = true;
    bool lowercase = true;
};

// text: valid UTF-8.
std::string normalize(std::string_view text, const NormalizerOptions& options);

// Calls on_word(std::string_view) for every word of normalized text, in order.
template <typename OnWord>
void pre_tokenize(std::string_view text, OnWord on_word) {
    const char* cursor = text.data();
    const char* const end = cursor + text.size();
    const char* word = cursor;
    const auto flush = [&](const char* until) {
        if (until != word) on_word(std::string_view(word, static_cast<std::size_t>(until - word)));
    };
    while (cursor != end) {
        const char* const start = cursor;
        const std::uint8_t property = properties(next_code_point(cursor));
        if ((property & (kSpace | kPunctuation)) == 0) continue;
        flush(start);
        word = start;
        if ((property & kSpace) == 0) flush(cursor);
        word = cursor;
    }
    flush(end);
}

}  // namespace univar
