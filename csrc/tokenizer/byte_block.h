// Sixty-four bytes of text at once: where its words and its punctuation are.
#pragma once

#include <cstddef>
#include <cstdint>

namespace univar {

// Bit i is byte i. What is none of these is a letter, a digit or not ASCII.
struct ByteBlock {
    static constexpr std::size_t kBytes = 64;

    std::uint64_t spaces;       // blank, tab, line feed, carriage return
    std::uint64_t punctuation;  // of ASCII
    std::uint64_t controls;     // the rest of ASCII that is no letter or digit
};

// Reads kBytes bytes at `text`.
using ReadBlock = ByteBlock (*)(const char* text);

// The fastest that this processor can run; `name`: "avx512", "avx2", "portable" or "auto". Throws for another
// name and for one that this processor can't run.
ReadBlock block_reader(const char* name);

}  // namespace univar
