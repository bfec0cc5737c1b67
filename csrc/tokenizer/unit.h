// Units: runs of text between ASCII blanks and punctuation. What a unit becomes depends on nothing outside
// it, so it can be remembered. Sixteen bytes are looked at in one go, in two ordinary 64-bit registers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace univar {

enum class ByteKind : std::uint8_t {
    kUnit,         // letters, digits, everything outside ASCII, and control characters
    kSpace,        // blank, tab, line feed, carriage return
    kPunctuation,  // of ASCII
};

constexpr ByteKind kind_of_byte(std::uint8_t byte) {
    if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r') return ByteKind::kSpace;
    const std::uint8_t lower = byte | 0x20;
    const bool is_alphanumeric = (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'z');
    const bool is_plain = byte > ' ' && byte < 0x7F && !is_alphanumeric;
    return is_plain ? ByteKind::kPunctuation : ByteKind::kUnit;
}

class ByteKinds {
  public:
    constexpr ByteKinds() : kinds_() {
        for (std::size_t i = 0; i < 256; ++i) kinds_[i] = kind_of_byte(static_cast<std::uint8_t>(i));
    }
    constexpr ByteKind operator[](char byte) const { return kinds_[static_cast<std::uint8_t>(byte)]; }

  private:
    ByteKind kinds_[256];
};

inline constexpr ByteKinds kByteKinds;

namespace swar {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighBits = 0x80 * kOnes;

// The high bit of every byte that is >= bound; all bytes of `ascii` and bound are < 0x80.
constexpr std::uint64_t at_least(std::uint64_t ascii, std::uint8_t bound) {
    return (ascii + (0x80 - bound) * kOnes) & kHighBits;
}

// The high bit of every byte of ASCII that is no letter or digit.
constexpr std::uint64_t ends(std::uint64_t bytes) {
    const std::uint64_t ascii = bytes & ~kHighBits;
    const std::uint64_t lower = ascii | 0x20 * kOnes;
    const std::uint64_t letter = at_least(lower, 'a') & ~at_least(lower, 'z' + 1);
    const std::uint64_t digit = at_least(ascii, '0') & ~at_least(ascii, '9' + 1);
    return ~(bytes | letter | digit) & kHighBits;
}

// The lowest n bytes, 0 <= n <= 8.
constexpr std::uint64_t keep(std::uint64_t bytes, std::size_t n) {
    return n >= 8 ? bytes : bytes & ((std::uint64_t{1} << (8 * n)) - 1);
}

inline std::size_t first_marked_byte(std::uint64_t marks) {
    return static_cast<std::size_t>(__builtin_ctzll(marks)) / 8;
}

}  // namespace swar

using Block = std::array<std::uint64_t, 2>;  // sixteen bytes, little-endian

// In place of a word that is not to be found: no UTF-8.
constexpr Block kNoWord = {~std::uint64_t{0}, ~std::uint64_t{0}};

// Two plain loads: a copy of unknown length goes through the stack.
inline Block load_block(const char* text) {
    Block block{};
    std::memcpy(&block[0], text, 8);
    std::memcpy(&block[1], text + 8, 8);
    return block;
}

// The bytes at `text`, zeros where they can't be read.
inline Block load_block(const char* text, const char* readable_end) {
    const auto readable = static_cast<std::size_t>(readable_end - text);
    if (readable >= sizeof(Block)) return load_block(text);
    Block block{};
    std::memcpy(block.data(), text, readable);
    return block;
}

class KeepMasks {
  public:
    constexpr KeepMasks() : masks_() {
        for (std::size_t n = 0; n <= 16; ++n) {
            masks_[n][0] = swar::keep(~std::uint64_t{0}, n);
            masks_[n][1] = swar::keep(~std::uint64_t{0}, n < 8 ? 0 : n - 8);
        }
    }
    constexpr const std::uint64_t* operator[](std::size_t n) const { return masks_[n]; }

  private:
    std::uint64_t masks_[17][2];
};

inline constexpr KeepMasks kKeepMasks;

// The first n bytes of the block, 0 <= n <= 16, and zeros.
inline Block keep(Block block, std::size_t n) {
    return {block[0] & kKeepMasks[n][0], block[1] & kKeepMasks[n][1]};
}

// Chinese and Japanese are written without blanks: their units are sentences, which never come again.
inline bool begins_sentence(char lead) {
    const auto byte = static_cast<std::uint8_t>(lead);
    return byte >= 0xE3 && byte <= 0xE9;
}

// Bytes of the block before its first ASCII byte that is no letter or digit; 16 where there is none.
inline std::size_t plain_prefix(Block block) {
    if (const std::uint64_t low = swar::ends(block[0])) return swar::first_marked_byte(low);
    if (const std::uint64_t high = swar::ends(block[1])) return 8 + swar::first_marked_byte(high);
    return 16;
}

// Where the unit that begins `text` ends.
inline std::size_t unit_length(std::string_view text) {
    std::size_t length = 0;
    while (length < text.size()) {
        const std::size_t step = plain_prefix(load_block(text.data() + length, text.data() + text.size()));
        length += step;
        if (length >= text.size()) break;
        if (step < 16 && kByteKinds[text[length]] != ByteKind::kUnit) return length;
        if (step < 16) ++length;  // a control character
    }
    return text.size();
}

}  // namespace univar
