// WordPiece as in BERT: texts in, token ids out, equal to Hugging Face's tokenizers to the last one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/char_table.h"
#include "tokenizer/id_buffer.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/trie.h"

namespace univar {

struct WordPieceOptions {
    std::string unk = "[UNK]";
    std::string cls = "[CLS]";
    std::string sep = "[SEP]";
    std::string prefix = "##";
    std::size_t max_input_chars_per_word = 100;
    NormalizerOptions normalizer;
};

// Texts as in an Arrow string array: text i is data[offset(i) : offset(i + 1)].
struct Texts {
    std::vector<std::string_view> views;
    const char* data_end;  // bytes up to here may be read, whichever text they belong to
};

struct TokenBatch {
    IdBuffer ids;                            // (T,) with [CLS] and [SEP]
    std::vector<std::int64_t> cu_seqlens;    // (n + 1,)
    std::vector<std::uint8_t> is_truncated;  // (n,)
};

class WordPiece {
  public:
    // vocab: piece of each id, an empty one is an unused id. Throws where unk, cls or sep is in neither list.
    WordPiece(const std::vector<std::string>& vocab, const std::vector<AddedToken>& added_tokens,
              const WordPieceOptions& options);

    // max_length: ids a text may have, [CLS] and [SEP] counted; > 2. threads > 0. Safe to call from many
    // threads.
    TokenBatch encode(const Texts& texts, std::size_t max_length, int threads) const;

  private:
    friend class TextEncoder;

    WordPieceOptions options_;
    PieceTrie pieces_;
    std::int32_t unk_ = -1;
    std::int32_t cls_ = -1;
    std::int32_t sep_ = -1;
    CharTable chars_;
    AddedTokenFinder raw_tokens_;
    AddedTokenFinder normalized_tokens_;
};

}  // namespace univar
