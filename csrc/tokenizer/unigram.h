// SentencePiece's Unigram as in XLM-R and e5: texts in, token ids out, equal to Hugging Face's tokenizers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/byte_block.h"
#include "tokenizer/char_trie.h"
#include "tokenizer/segment_encoder.h"
#include "tokenizer/spm_normalizer.h"
#include "tokenizer/tokenizer.h"

namespace univar {

class Unigram final : public Tokenizer {
  public:
    // vocab: piece of each id, with U+2581 before what begins a word; scores: log probability of each.
    // charsmap: the normalizer's blob, empty if there is none. frame's added tokens are searched for in raw
    // text. isa: see block_reader(). Throws if unk is no id or the charsmap is broken.
    Unigram(const std::vector<std::string>& vocab, const std::vector<double>& scores, std::int32_t unk,
            std::string_view charsmap, Frame frame, const SpmOptions& options,
            const std::string& isa = "auto");

  private:
    friend class UnigramEncoder;

    std::unique_ptr<TextEncoder> make_worker() const override;

    Frame frame_;
    BlockReader reader_;
    SpmNormalizer normalizer_;
    CharTrie pieces_;
    std::int32_t unk_;
    double unk_score_;
};

}  // namespace univar
