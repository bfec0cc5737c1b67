// One worker of WordPiece, with the buffers and the memory of units that it needs on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/id_buffer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/word_cache.h"
#include "tokenizer/wordpiece.h"

namespace univar {

class WordPieceEncoder final : public TextEncoder {
  public:
    explicit WordPieceEncoder(const WordPiece& model);

    bool encode(std::string_view text, const char* readable_end, std::size_t max_length,
                IdBuffer& ids) override;

  private:
    using ShortCache = WordCache<2, 11>;  // 64 bytes an entry: one cache line
    using LongCache = WordCache<6, 19>;   // 128 bytes

    bool add_segment(std::string_view text);
    bool add_units(std::string_view text);
    bool add_unit(std::string_view text, std::size_t& position);
    bool add_short_unit(std::string_view unit, ShortCache::Key key);
    bool add_long_unit(std::string_view unit);
    void add_characters(std::string_view unit, bool may_stop);
    void add_normalized(std::string_view text);
    void add_word(std::string_view word);
    void add_token(std::int32_t id);
    bool has_room() const { return ids_->size() <= limit_; }

    const WordPiece& model_;
    ShortCache short_units_;
    LongCache long_units_;
    std::int32_t punctuation_[128];
    std::string word_;
    const char* readable_end_ = nullptr;
    IdBuffer* ids_ = nullptr;
    std::size_t limit_ = 0;  // ids of a text that just fits, without [SEP]
};

}  // namespace univar
