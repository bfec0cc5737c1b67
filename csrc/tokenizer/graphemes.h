// Graphemes as Hugging Face's library finds them (see generate_graphemes.py): UAX #29 except for flags, which
// are longer than anything that is replaced as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace univar {

enum class GraphemeClass : std::uint8_t {
    kOther,
    kControl,
    kCarriageReturn,
    kLineFeed,
    kExtend,
    kConjunctExtend,  // may stand between a consonant and its linker
    kLinker,          // ties two consonants of India's scripts
    kJoiner,
    kSpacing,
    kPrepend,
    kHangulL,
    kHangulV,
    kHangulT,
    kHangulLV,
    kHangulLVT,
    kPicture,
    kConsonant,
};

// code_point < kCodePoints.
GraphemeClass grapheme_class(char32_t code_point);

// Whether a character may belong to the grapheme of the one before it, whatever that is but a prepend, a
// leading jamo or a carriage return.
bool may_follow(GraphemeClass next);

// Whether a character may take in one that does not join by itself.
bool may_lead(GraphemeClass previous);

// Bytes of the grapheme that `text` begins with; text: valid UTF-8, not empty.
std::size_t grapheme_length(std::string_view text);

}  // namespace univar
