// What every code point is turned into, computed once for a vocabulary and normalizer options.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/trie.h"

namespace univar {

enum class CharKind : std::uint32_t {
    kSelf,     // is copied into the word
    kDropped,  // is dropped
    kSpace,    // ends a word
    kToken,    // a word of its own: value is its token id
    kMapped,   // is replaced by other text
    kComplex,  // depends on its neighbours or becomes several words: normalize the whole unit
};

struct CharAction {
    CharKind kind;
    std::uint32_t value;
};

class CharTable {
  public:
    CharTable(const NormalizerOptions& options, const PieceTrie& pieces, std::int32_t unk);

    CharAction operator[](char32_t code_point) const {
        const std::uint32_t packed = actions_[code_point];
        return {static_cast<CharKind>(packed & 7), packed >> 3};
    }

    // The text that a kMapped action stands for.
    std::string_view mapped(std::uint32_t value) const {
        return std::string_view(mapped_).substr(value + 1, static_cast<std::uint8_t>(mapped_[value]));
    }

  private:
    CharAction action_of(char32_t code_point, const NormalizerOptions& options, const PieceTrie& pieces,
                         std::int32_t unk);
    CharAction add_mapped(const std::string& text);

    std::vector<std::uint32_t> actions_;  // (kCodePoints,) kind in the low 3 bits, value above
    std::string mapped_;                  // a byte of length, then the text, again and again
};

}  // namespace univar
