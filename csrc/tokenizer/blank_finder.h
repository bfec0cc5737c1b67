// Finds the blanks in a stretch of text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tokenizer/byte_block.h"

namespace univar {

class BlankFinder {
  public:
    static constexpr std::size_t kMaxBlanks = 512;               // each is a byte
    static constexpr std::size_t kReadable = ByteBlock::kBytes;  // bytes behind a text that must be readable

    explicit BlankFinder(BlockReader reader) : reader_(reader) {}

    // Finds the blanks of the blocks that reach `enough` bytes, 512 at most. Returns how many there are.
    std::size_t find(std::string_view text, std::size_t enough) {
        const std::size_t size = std::min(text.size(), kMaxBlanks);
        std::uint16_t* end = places_;
        std::size_t done = 0;
        do {
            std::uint64_t blanks = reader_.find_blanks(text.data() + done);
            if (size - done < ByteBlock::kBytes) blanks &= (std::uint64_t{1} << (size - done)) - 1;
            end = reader_.write_places(blanks, done, end);
            done += ByteBlock::kBytes;
        } while (done < std::min(size, enough));
        return static_cast<std::size_t>(end - places_);
    }

    std::size_t place(std::size_t i) const { return places_[i]; }

  private:
    const BlockReader reader_;
    std::uint16_t places_[kMaxBlanks + ByteBlock::kBytes];
};

}  // namespace univar
