#include "tokenizer/utf8.h"

#include <algorithm>
#include <cstring>

namespace univar {

namespace {

// What the bytes from `text[0]` on start with: a whole character, or a broken one of `length` bytes.
struct Sequence {
    std::size_t length;
    bool is_valid;
};

// Bytes that may follow a lead: overlong forms, surrogates and code points past U+10FFFF are cut off at the
// second.
struct Lead {
    std::size_t length;
    std::uint8_t second_min;
    std::uint8_t second_max;
};

Lead lead_of(std::uint8_t byte) {
    if (byte < 0x80) return {1, 0, 0};
    if (byte < 0xC2 || byte > 0xF4) return {0, 0, 0};
    if (byte < 0xE0) return {2, 0x80, 0xBF};
    if (byte == 0xE0) return {3, 0xA0, 0xBF};
    if (byte == 0xED) return {3, 0x80, 0x9F};
    if (byte < 0xF0) return {3, 0x80, 0xBF};
    if (byte == 0xF0) return {4, 0x90, 0xBF};
    if (byte == 0xF4) return {4, 0x80, 0x8F};
    return {4, 0x80, 0xBF};
}

Sequence sequence_at(const char* text, std::size_t available) {
    const Lead lead = lead_of(static_cast<std::uint8_t>(text[0]));
    if (lead.length == 0) return {1, false};
    for (std::size_t i = 1; i < lead.length; ++i) {
        if (i == available) return {i, false};
        const auto byte = static_cast<std::uint8_t>(text[i]);
        const bool fits =
            i == 1 ? byte >= lead.second_min && byte <= lead.second_max : is_continuation(text[i]);
        if (!fits) return {i, false};
    }
    return {lead.length, true};
}

// Bytes of ASCII that `text` starts with.
std::size_t ascii_prefix(std::string_view text) {
    std::size_t i = 0;
    for (std::uint64_t block; i + sizeof(block) <= text.size(); i += sizeof(block)) {
        std::memcpy(&block, text.data() + i, sizeof(block));
        block &= 0x8080808080808080;
        if (block != 0) return i + static_cast<std::size_t>(__builtin_ctzll(block)) / 8;
    }
    while (i < text.size() && static_cast<std::uint8_t>(text[i]) < 0x80) ++i;
    return i;
}

// Bytes of the valid characters outside ASCII that `text` starts with, but for rare ones.
std::size_t common_prefix(std::string_view text) {
    const auto byte = [&text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    std::size_t i = 0;
    while (i + 3 <= text.size()) {
        const std::uint8_t lead = byte(i);
        const bool is_followed = (byte(i + 1) & 0xC0) == 0x80;
        if (lead >= 0xC2 && lead < 0xE0 && is_followed)
            i += 2;
        else if (lead > 0xE0 && lead < 0xF0 && lead != 0xED && is_followed && (byte(i + 2) & 0xC0) == 0x80)
            i += 3;
        else
            break;
    }
    return i;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
    for (std::size_t i = ascii_prefix(text); i < text.size(); i += ascii_prefix(text.substr(i))) {
        i += common_prefix(text.substr(i));
        if (i == text.size()) break;
        const Sequence sequence = sequence_at(text.data() + i, text.size() - i);
        if (!sequence.is_valid) return false;
        i += sequence.length;
    }
    return true;
}

std::string replace_invalid_utf8(std::string_view text) {
    std::string valid;
    for (std::size_t i = 0; i < text.size();) {
        const Sequence sequence = sequence_at(text.data() + i, text.size() - i);
        if (sequence.is_valid)
            valid.append(text, i, sequence.length);
        else
            append_utf8(0xFFFD, valid);
        i += sequence.length;
    }
    return valid;
}

void append_utf8(char32_t code_point, std::string& text) {
    const auto put = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
    const auto put_six_bits = [&](int shift) { put(0x80 | (code_point >> shift & 0x3F)); };
    if (code_point < 0x80) {
        put(code_point);
    } else if (code_point < 0x800) {
        put(0xC0 | code_point >> 6);
        put_six_bits(0);
    } else if (code_point < 0x10000) {
        put(0xE0 | code_point >> 12);
        put_six_bits(6);
        put_six_bits(0);
    } else {
        put(0xF0 | code_point >> 18);
        put_six_bits(12);
        put_six_bits(6);
        put_six_bits(0);
    }
}

std::size_t count_code_points(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); }));
}

}  // namespace univar
