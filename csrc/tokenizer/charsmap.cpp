#include "tokenizer/charsmap.h"

#include <cstring>

#include "common/check.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

// A unit as in Darts: 8 bits of label, 1 whether a key ends here, 1 how the offset is scaled, 22 of offset;
// or 31 bits of value and the top bit.
std::uint32_t label(std::uint32_t unit) { return unit & 0x800000FF; }
bool ends_key(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t offset(std::uint32_t unit) { return unit >> 10 << ((unit & 1 << 9) >> 6); }
std::uint32_t value(std::uint32_t unit) { return unit & 0x7FFFFFFF; }

}  // namespace

Charsmap::Charsmap(std::string_view blob) {
    std::uint32_t trie_bytes = 0;
    UNIVAR_CHECK(blob.size() >= sizeof(trie_bytes), "the charsmap has no header");
    std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));
    blob.remove_prefix(sizeof(trie_bytes));
    UNIVAR_CHECK(trie_bytes <= blob.size() && trie_bytes % 4 == 0 && trie_bytes > 0,
                 "the charsmap's trie has " << trie_bytes << " bytes of " << blob.size());
    units_.resize(trie_bytes / 4);
    std::memcpy(units_.data(), blob.data(), trie_bytes);
    texts_ = blob.substr(trie_bytes);
    UNIVAR_CHECK(is_valid_utf8(texts_) && !texts_.empty() && texts_.back() == 0,
                 "the charsmap's texts are not UTF-8 that ends with a zero byte");
    check_trie();
}

// Checks that every path from the root stays inside the arrays, so that find() needs no checks.
void Charsmap::check_trie() const {
    std::vector<bool> is_seen(units_.size());
    std::vector<std::size_t> open{offset(units_[0])};
    while (!open.empty()) {
        const std::size_t parent = open.back();
        open.pop_back();
        UNIVAR_CHECK((parent | 0xFF) < units_.size(), "the charsmap's trie points outside its array");
        if (is_seen[parent]) continue;
        is_seen[parent] = true;
        for (std::uint32_t byte = 1; byte < 256; ++byte) {
            const std::uint32_t unit = units_[parent ^ byte];
            if (label(unit) != byte) continue;
            const std::size_t child = (parent ^ byte) ^ offset(unit);
            open.push_back(child);
            if (!ends_key(unit)) continue;
            const std::size_t text = child < units_.size() ? value(units_[child]) : texts_.size();
            UNIVAR_CHECK(text < texts_.size() && !is_continuation(texts_[text]),
                         "the charsmap has no text at " << text);
        }
    }
}

bool Charsmap::find(std::string_view text, std::string_view& replacement) const {
    std::size_t place = offset(units_[0]);
    for (const char character : text) {
        const auto byte = static_cast<std::uint8_t>(character);
        if (byte == 0) return false;
        place ^= byte;
        const std::uint32_t unit = units_[place];
        if (label(unit) != byte) return false;
        place ^= offset(unit);
        if (!ends_key(unit)) continue;
        replacement = texts_.c_str() + value(units_[place]);
        return true;
    }
    return false;
}

}  // namespace univar
