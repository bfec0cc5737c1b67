// One worker of Unigram, with its buffers and the words that it remembers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/blank_finder.h"
#include "tokenizer/buffer.h"
#include "tokenizer/segment_encoder.h"
#include "tokenizer/unigram.h"
#include "tokenizer/unit.h"
#include "tokenizer/word_cache.h"

namespace univar {

class UnigramEncoder final : public SegmentEncoder {
  public:
    explicit UnigramEncoder(const Unigram& model);

  private:
    // The best way to cut a word up to some place.
    struct Best {
        double score;
        std::uint32_t start;  // of its last piece
        std::uint32_t node;   // of that piece in the trie
    };
    using ShortCache = WordCache<std::int32_t, 2, 3>;  // two entries a cache line
    using LongCache = WordCache<std::int32_t, 6, 15>;

    bool add_segment(std::string_view text) override;
    void find_sets(const char* words, std::size_t n);
    void add_words(const char* words, std::size_t n);
    void add_long_word(std::string_view word);
    template <typename Cache>
    bool copy_known(const Cache& cache, const typename Cache::Key& key);
    void add_word(std::string_view word);
    void read_symbols(std::string_view word);
    void find_best();
    void add_best();
    std::int32_t id_of(std::uint32_t node) const;

    const Unigram& model_;
    ShortCache short_words_;
    LongCache long_words_;
    BlankFinder blanks_;
    Block keys_[BlankFinder::kMaxBlanks];  // of each word in short_words_, and the set it would be in
    std::uint32_t sets_[BlankFinder::kMaxBlanks];
    Buffer<char> words_;                   // of a segment, a blank before each
    std::vector<std::uint32_t> symbols_;   // of a word
    std::vector<Best> best_;               // one more
    bool can_remember_ = false;            // words of this segment
    std::vector<std::int32_t> backwards_;  // ids of a word
};

}  // namespace univar
