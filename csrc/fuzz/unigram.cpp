// Unigram on any bytes, and any bytes as a charsmap.
#include "tokenizer/unigram.h"

#include <memory>
#include <stdexcept>
#include <string>

#include "fuzz/targets.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

const std::vector<std::string> kVocab = {
    "<s>", "<pad>",     "</s>", "<unk>", "▁", "▁a", "a",        "b",  "c",  "ab",           "▁ab",
    "bc",  "abc",       ",",    ".",     "é", "e",  "\xCC\x81", "中", "文", "中文",         "▁中",
    "я",   "я\xCC\x81", "가",   "ᄀ",    "ᅡ", "क",  "ष",        "1",  "TM", "\xEF\xBF\xBD",
};

// A charsmap as SentencePiece writes it. Every node of the trie has a block of 256 units of its own.
std::string make_charsmap(const std::vector<std::pair<std::string, std::string>>& mapping) {
    std::vector<std::uint32_t> units(512);
    units[0] = 256 << 10;
    std::string texts;
    std::size_t next_block = 512;
    for (const auto& [key, text] : mapping) {
        std::size_t block = 256;
        std::uint32_t* unit = nullptr;
        for (const char character : key) {
            const auto byte = static_cast<std::uint8_t>(character);
            const std::size_t place = block ^ byte;
            if (units[place] == 0) {
                units.resize(next_block + 256);
                units[place] = static_cast<std::uint32_t>((place ^ next_block) << 10 | byte);
                next_block += 256;
            }
            unit = &units[place];
            block = place ^ *unit >> 10;
        }
        *unit |= 1 << 8;
        units[block] = static_cast<std::uint32_t>(std::uint32_t{1} << 31 | texts.size());
        texts += text + '\0';
    }
    const auto bytes = static_cast<std::uint32_t>(units.size() * 4);
    return std::string(reinterpret_cast<const char*>(&bytes), 4) +
           std::string(reinterpret_cast<const char*>(units.data()), bytes) + texts;
}

std::unique_ptr<Unigram> make_variant(int bits) {
    static const std::string charsmap = make_charsmap({{"\t", " "},
                                                       {"\n", " "},
                                                       {"e\xCC\x81", "é"},
                                                       {"e", ""},
                                                       {"™", "TM"},
                                                       {"©", "c ▁"},
                                                       {"\r", "\xC2\x85"},
                                                       {"x", "   "},
                                                       {"\xE0\xA5\x98", "क"},
                                                       {"Z", "\xE2\x80\x83"}});
    std::vector<double> scores;
    for (std::size_t i = 0; i < kVocab.size(); ++i) scores.push_back(-1.0 - static_cast<double>(i % 5));
    Frame frame{0, 2, AddedTokenFinder({{"<s>", 0}, {"<m>", 3, false, true, true}, {"ab", 9, true}})};
    SpmOptions options{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
    return std::make_unique<Unigram>(kVocab, scores, 3, (bits & 16) != 0 ? charsmap : "", std::move(frame),
                                     options);
}

std::vector<std::unique_ptr<Unigram>>& all_variants() {
    static std::vector<std::unique_ptr<Unigram>> all;
    return all;
}

// The first bytes are a charsmap; what it makes of the rest must be UTF-8.
void check_charsmap(std::string_view bytes) {
    const std::string_view text = bytes.substr(bytes.size() - bytes.size() / 4);
    try {
        const Charsmap charsmap(bytes.substr(0, bytes.size() - text.size()));
        std::string_view replacement;
        for (std::size_t i = 0; i < text.size(); ++i)
            if (charsmap.find(text.substr(i), replacement)) UNIVAR_MUST(is_valid_utf8(replacement));
    } catch (const std::invalid_argument&) {
    }
}

}  // namespace

}  // namespace univar

extern "C" int LLVMFuzzerInitialize(int*,
                                    char***) {  // takes seconds, which should not count as an input's time
    for (const int bits : {0, 1, 17, 19, 21, 23, 24, 25})
        univar::all_variants().push_back(univar::make_variant(bits));
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace univar;
    if (size == 0) return 0;
    const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    if ((data[0] & 32) != 0) {
        check_charsmap(rest);
        return 0;
    }
    const bool forgets = (data[0] & 8) != 0;
    check_text(*all_variants()[data[0] & 7], rest, static_cast<std::int32_t>(kVocab.size()), forgets);
    return 0;
}
