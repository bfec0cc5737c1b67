// Shared by the fuzz targets: how to encode one text, and what must be true of the ids of any text.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

#define UNIVAR_MUST(cond)                                                      \
    do {                                                                       \
        if (!(cond)) {                                                         \
            std::cerr << __FILE__ << ":" << __LINE__ << ": " << #cond << "\n"; \
            std::abort();                                                      \
        }                                                                      \
    } while (0)

namespace univar {

using Ids = std::vector<std::int32_t>;

constexpr std::size_t kUnlimited = std::size_t{1} << 40;

// The text gets its own block of memory, so that a byte read after it is detected.
inline Ids encode(const Tokenizer& tokenizer, std::string_view text, std::size_t max_length = kUnlimited) {
    const std::vector<char> copy(text.begin(), text.end());
    const std::string_view alone(copy.data(), copy.size());
    TokenBatch batch = tokenizer.encode({{alone}, alone.data() + alone.size()}, max_length, 1);
    UNIVAR_MUST(batch.cu_seqlens.size() == 2 && batch.is_truncated.size() == 1);
    UNIVAR_MUST(batch.cu_seqlens[1] == static_cast<std::int64_t>(batch.ids.size()));
    return {batch.ids.data(), batch.ids.data() + batch.ids.size()};
}

// Ids must be in the vocabulary, remembered words must give the same ids, and a truncated text the first of
// them.
inline Ids check_text(const Tokenizer& tokenizer, std::string_view text, std::int32_t n_ids, bool forgets) {
    if (forgets) tokenizer.forget_words();
    const Ids ids = encode(tokenizer, text);
    UNIVAR_MUST(ids.size() >= 2);
    for (const std::int32_t id : ids) UNIVAR_MUST(id >= 0 && id < n_ids);
    UNIVAR_MUST(encode(tokenizer, text) == ids);
    const std::size_t max_length = 3 + text.size() % 7;
    Ids cut = ids;
    if (cut.size() > max_length) {
        cut.resize(max_length - 1);
        cut.push_back(ids.back());
    }
    UNIVAR_MUST(encode(tokenizer, text, max_length) == cut);
    return ids;
}

}  // namespace univar
