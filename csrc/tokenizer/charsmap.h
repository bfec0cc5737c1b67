// SentencePiece's precompiled_charsmap: a double-array trie of byte strings and what they become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace univar {

class Charsmap {
  public:
    // blob: size of the trie in bytes (uint32), the trie's units (uint32), then texts that end with a zero
    // byte; little-endian. Throws if it is incomplete or a unit points outside it.
    explicit Charsmap(std::string_view blob);

    // Finds the replacement of the SHORTEST key that `text` begins with, as Hugging Face's library does;
    // false if no key fits.
    bool find(std::string_view text, std::string_view& replacement) const;

  private:
    void check_trie() const;

    std::vector<std::uint32_t> units_;
    std::string texts_;
};

}  // namespace univar
