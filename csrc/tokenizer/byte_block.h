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

// How one instruction set reads text.
struct BlockReader {
    // Reads kBytes bytes at `text` and writes them to `copy`, A to Z as a to z where `lowercase`.
    ByteBlock (*read)(const char* text, char* copy, bool lowercase);

    // Bit i is set where text[i] is a blank; reads kBytes bytes.
    std::uint64_t (*find_blanks)(const char* text);

    // Writes `first` plus the number of each bit that is set, in order. Returns the place behind the last
    // one; of the 64 from `out` on all may be written to.
    std::uint16_t* (*write_places)(std::uint64_t bits, std::size_t first, std::uint16_t* out);
};

// The fastest that this processor can run; `name`: "avx512", "avx2", "portable" or "auto". Throws for another
// name and for one that this processor can't run.
BlockReader block_reader(const char* name);

}  // namespace univar
