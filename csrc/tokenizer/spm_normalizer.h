// SentencePiece's normalizer and word splitter, as Hugging Face's library runs them: first the charsmap, then
// blanks, then Metaspace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/buffer.h"
#include "tokenizer/charsmap.h"

namespace univar {

struct SpmOptions {
    bool collapse_spaces = false;  // several blanks become one
    bool strip_left = false;       // white space at the ends is removed
    bool strip_right = false;
    bool split_at_whitespace = false;  // white space of every kind ends words and is no part of them
};

class SpmNormalizer {
  public:
    // charsmap: the blob, empty if there is none.
    SpmNormalizer(std::string_view charsmap, const SpmOptions& options);

    // Puts the words of `text` into `words`, a blank before each: blanks stand for SentencePiece's U+2581.
    // text: valid UTF-8.
    void normalize(std::string_view text, Buffer<char>& words) const;

  private:
    class Writer;

    // What one code point is turned into by itself.
    struct Action {
        std::uint32_t bits;
        bool is_plain() const { return (bits & kPlain) != 0; }
        bool leads() const { return (bits & kLeads) != 0; }
        bool follows() const { return (bits & kFollows) != 0; }
        std::uint32_t text() const { return bits >> 3; }
    };
    static constexpr std::uint32_t kPlain = 1;    // is copied; else texts_ has its replacement
    static constexpr std::uint32_t kLeads = 2;    // may make a grapheme with whatever comes next
    static constexpr std::uint32_t kFollows = 4;  // may be part of the grapheme before it

    Action action_of(char32_t code_point);
    const char* copy_ascii(const char* cursor, const char* end, Writer& writer) const;
    const char* copy_plain(const char* cursor, const char* end, Writer& writer) const;
    const char* write_grapheme(const char* cursor, const char* end, Writer& writer) const;

    SpmOptions options_;
    std::optional<Charsmap> charsmap_;
    std::vector<Action> actions_;     // (kCodePoints,)
    std::vector<std::string> texts_;  // of code points that are not plain
    bool ascii_is_plain_ = true;      // all but the blank and what is no graphic character
};

}  // namespace univar
