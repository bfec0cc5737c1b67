// Classifies sixty-four bytes of text at once: blanks, punctuation, control characters.
#pragma once

#include <cstddef>
#include <cstdint>

namespace univar {

// Bit i is byte i. All other bytes are letters, digits or not ASCII.
struct ByteBlock {
    static constexpr std::size_t kBytes = 64;

    std::uint64_t spaces;       // blank, tab, line feed, carriage return
    std::uint64_t punctuation;  // of ASCII
    std::uint64_t controls;     // the rest of ASCII that is no letter or digit
};

// How one instruction set reads text.
struct BlockReader {
    // Reads kBytes bytes at `text` and writes them to `copy`, A to Z as a to z if `lowercase`.
    ByteBlock (*read)(const char* text, char* copy, bool lowercase);

    // Bit i is set if text[i] is a blank; reads kBytes bytes.
    std::uint64_t (*find_blanks)(const char* text);

    // Writes `first` plus the number of each bit that is set, in order. Returns the place after the last
    // one; all 64 places from `out` on may be overwritten.
    std::uint16_t* (*write_places)(std::uint64_t bits, std::size_t first, std::uint16_t* out);
};

// The reader of an instruction set: "avx512", "avx2", "portable", or "auto" for the fastest. Throws for
// another name and if this CPU can't run it.
BlockReader block_reader(const char* name);

}  // namespace univar
