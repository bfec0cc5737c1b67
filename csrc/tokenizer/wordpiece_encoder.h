// One worker of WordPiece, with its buffers and the words that it remembers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/segment_encoder.h"
#include "tokenizer/unit.h"
#include "tokenizer/word_cache.h"
#include "tokenizer/word_finder.h"
#include "tokenizer/wordpiece.h"

namespace univar {

// Id: what the ids of the vocabulary fit into; half the size remembers twice as many words.
template <typename Id>
class WordPieceEncoder final : public SegmentEncoder {
  public:
    explicit WordPieceEncoder(const WordPiece& model);

  private:
    using ShortCache = WordCache<Id, 2, 16 / sizeof(Id) - 1>;  // two entries a cache line
    using LongCache = WordCache<std::int32_t, 6, 15>;

    bool add_segment(std::string_view text) override;
    bool add_text(std::string_view text);
    void find_sets();
    void add_words(const char* text);
    std::size_t add_first(std::string_view text);
    void add_unknown_word(std::string_view word, const Block& short_key);
    void add_characters(std::string_view word, bool may_stop);
    void add_normalized(std::string_view text);
    void add_pieces(std::string_view word);

    const WordPiece& model_;
    ShortCache short_words_;
    LongCache long_words_;
    WordFinder words_;
    Block keys_[WordFinder::kMaxWords];  // of each word in short_words_, and the set it would be in
    std::uint32_t sets_[WordFinder::kMaxWords];
    std::string word_;
};

}  // namespace univar
