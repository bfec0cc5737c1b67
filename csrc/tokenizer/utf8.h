// UTF-8 in and out. Everything but the first two functions trusts its input to be valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace univar {

bool is_valid_utf8(std::string_view text);

// As Python's bytes.decode("utf-8", "replace"): one U+FFFD for every maximal part of a broken sequence.
std::string replace_invalid_utf8(std::string_view text);

inline bool is_continuation(char byte) { return (static_cast<std::uint8_t>(byte) & 0xC0) == 0x80; }

// The code point at `cursor`, which moves behind it.
inline char32_t next_code_point(const char*& cursor) {
    const auto byte = [&cursor](int i) {
        return static_cast<char32_t>(static_cast<std::uint8_t>(cursor[i]));
    };
    const char32_t lead = byte(0);
    char32_t code_point = lead;
    int length = 1;
    if (lead >= 0xF0) {
        code_point = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
        length = 4;
    } else if (lead >= 0xE0) {
        code_point = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
        length = 3;
    } else if (lead >= 0xC0) {
        code_point = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
        length = 2;
    }
    cursor += length;
    return code_point;
}

void append_utf8(char32_t code_point, std::string& text);

std::size_t count_code_points(std::string_view text);

}  // namespace univar
