// WordPiece on any bytes: the fast implementations and the plain one must give the same ids.
#include "tokenizer/wordpiece.h"

#include <algorithm>
#include <memory>
#include <string>

#include "common/cpu.h"
#include "fuzz/targets.h"

namespace univar {

namespace {

const std::vector<std::string> kVocab = {
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "b",
    "c",
    "x",
    "1",
    "##a",
    "##b",
    "##c",
    "##ab",
    "##x",
    "##1",
    "ab",
    "abc",
    "bca",
    ",",
    ".",
    "'",
    "[",
    "]",
    "!",
    "é",
    "##é",
    "e",
    "##e",
    "\xCC\x81",
    "##\xCC\x81",
    "中",
    "文",
    "日本",
    "##本",
    "я",
    "##я",
    "가",
    "##ᄀ",
    "ᄀ",
    "##ᅡ",
    "ß",
    "##ss",
    "s",
    "##s",
    "İ",
    "i",
    "##i",
    "\x01",
    "A",
    "##B",
    "क",
    "##ष",
    "##्",
    "👩",
    "\xEF\xBF\xBD",
    "##\xEF\xBF\xBD",
};

// Added, so that texts are normalized as a whole and split by the definition.
const AddedToken kSeldomFound{"\x7Fseldom\x7F", 999, false, false, false, true};

struct Variants {
    WordPieceOptions options;
    std::unique_ptr<WordPiece> plain;
    std::vector<std::unique_ptr<WordPiece>> fast;
};

Variants make_variants(const NormalizerOptions& normalizer) {
    Variants variants;
    variants.options.normalizer = normalizer;
    std::vector<AddedToken> added = {{"[SEP]", 3}, {"<m>", 4, false, true, true}, {"ab", 15, true}};
    std::vector<std::string> ways = {"portable"};
    if (cpu_features().avx2) ways.emplace_back("avx2");
    if (cpu_features().avx512) ways.emplace_back("avx512");
    for (const std::string& way : ways) {
        variants.options.isa = way;
        variants.fast.push_back(std::make_unique<WordPiece>(kVocab, added, variants.options));
    }
    added.push_back(kSeldomFound);
    variants.plain = std::make_unique<WordPiece>(kVocab, added, variants.options);
    return variants;
}

std::vector<Variants>& all_variants() {
    static std::vector<Variants> all;
    return all;
}

}  // namespace

}  // namespace univar

extern "C" int LLVMFuzzerInitialize(int*,
                                    char***) {  // takes seconds, which should not count as an input's time
    using namespace univar;
    all_variants().push_back(make_variants({true, true, true, true}));
    all_variants().push_back(make_variants({true, true, false, false}));
    all_variants().push_back(make_variants({false, false, true, false}));
    all_variants().push_back(make_variants({false, true, false, true}));
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace univar;
    if (size == 0) return 0;
    const Variants& variants = all_variants()[data[0] & 3];
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const bool forgets = (data[0] & 4) != 0;
    const Ids expected = encode(*variants.plain, text);
    if (std::count(expected.begin(), expected.end(), kSeldomFound.id) != 0) return 0;
    for (const auto& fast : variants.fast)
        UNIVAR_MUST(check_text(*fast, text, static_cast<std::int32_t>(kVocab.size()), forgets) == expected);
    return 0;
}
