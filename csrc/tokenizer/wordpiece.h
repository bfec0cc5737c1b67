// WordPiece as in BERT: texts in, token ids out, equal to Hugging Face's tokenizers to the last one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/byte_block.h"
#include "tokenizer/char_table.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/segment_encoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trie.h"

namespace univar {

struct WordPieceOptions {
    std::string unk = "[UNK]";
    std::string cls = "[CLS]";
    std::string sep = "[SEP]";
    std::string prefix = "##";
    std::size_t max_input_chars_per_word = 100;
    NormalizerOptions normalizer;
    std::string isa = "auto";  // see block_reader()
};

class WordPiece final : public Tokenizer {
  public:
    // vocab: piece of each id, an empty one is an unused id. Throws if unk, cls or sep is in neither list.
    WordPiece(const std::vector<std::string>& vocab, const std::vector<AddedToken>& added_tokens,
              const WordPieceOptions& options);

  private:
    template <typename Id>
    friend class WordPieceEncoder;

    std::unique_ptr<TextEncoder> make_worker() const override;

    WordPieceOptions options_;
    BlockReader reader_;
    PieceTrie pieces_;
    std::int32_t unk_ = -1;
    CharTable chars_;
    Frame frame_;
    AddedTokenFinder normalized_tokens_;
};

}  // namespace univar
