// One worker of WordPiece, with the buffers and the memory of words that it needs on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/byte_block.h"
#include "tokenizer/segment_encoder.h"
#include "tokenizer/unit.h"
#include "tokenizer/word_cache.h"
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
    std::size_t add_block(const char* text, std::size_t size);
    std::size_t find_words(const char* text, std::uint64_t starts, std::uint64_t ends);
    void add_words(const char* text, std::size_t n);
    std::size_t add_first(std::string_view text);
    void add_unknown_word(std::string_view word);
    void add_characters(std::string_view word, bool may_stop);
    void add_normalized(std::string_view text);
    void add_pieces(std::string_view word);
    Block key_of(const char* word, std::size_t length) const;

    // The words of one block of bytes.
    struct Words {
        Block keys[ByteBlock::kBytes];
        std::uint32_t sets[ByteBlock::kBytes];
        std::uint8_t starts[ByteBlock::kBytes];
        std::uint8_t lengths[ByteBlock::kBytes];
    };

    const WordPiece& model_;
    const bool is_lowercase_;
    ShortCache short_words_;
    LongCache long_words_;
    Words words_;
    char last_bytes_[ByteBlock::kBytes + sizeof(Block)] = {};  // of a buffer, blocks that reach over its end
    std::string word_;
};

}  // namespace univar
