// Properties of every code point, as Hugging Face's tokenizers has them (see generate_tables.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace univar {

constexpr char32_t kCodePoints = 0x110000;
constexpr char32_t kHangulFirst = 0xAC00;
constexpr char32_t kHangulSyllables = 11172;

enum Property : std::uint8_t {
    kRemoved = 1,       // clean_text drops it
    kCleanSpace = 2,    // clean_text makes it a blank
    kChinese = 4,       // handle_chinese_chars puts blanks around it
    kMark = 8,          // strip_accents drops it
    kSpace = 16,        // the pre-tokenizer splits at it
    kPunctuation = 32,  // the pre-tokenizer makes it a word of its own
    kWord = 64,         // \w of Rust's regex
    kMapped = 128,      // has a decomposition, a lower case or a combining class
};

// Bits of Property. code_point < kCodePoints.
std::uint8_t properties(char32_t code_point);

// Canonical combining class; 0 is a character that marks do not move across.
std::uint8_t combining_class(char32_t code_point);

// Full canonical decomposition, without reordering; the code point itself if it has none.
void append_decomposition(char32_t code_point, std::u32string& text);

// Lower case without context (no final sigma); the code point itself if it has none.
void append_lowercase(char32_t code_point, std::u32string& text);

}  // namespace univar
