// Finds the words in a stretch of text: runs of letters, and single punctuation characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tokenizer/byte_block.h"
#include "tokenizer/unit.h"

namespace univar {

class WordFinder {
  public:
    static constexpr std::size_t kMaxWords = 512;  // each is a byte at least

    WordFinder(BlockReader reader, bool lowercase) : reader_(reader), is_lowercase_(lowercase) {}

    // Finds the words that the text begins with: of the blocks that reach `enough` bytes, 512 at most, up to
    // one with control characters, and without the word that may go on behind them. Bytes up to readable_end
    // may be read. Returns how far it came: 0 if the first word is longer or the first block has control
    // characters.
    std::size_t find(std::string_view text, std::size_t enough, const char* readable_end);

    // Of the words found last.
    std::size_t size() const { return n_words_; }
    std::size_t start(std::size_t i) const { return starts_[i]; }
    std::size_t length(std::size_t i) const { return std::size_t{ends_[i]} - starts_[i]; }

    // The first bytes of word i, A to Z as a to z if requested; bytes after its length are arbitrary.
    Block block(std::size_t i) const { return load_block(copy_ + starts_[i]); }

  private:
    static constexpr std::size_t kBlocks = kMaxWords / ByteBlock::kBytes;

    ByteBlock read(std::string_view text, const char* readable_end, char* copy) const;

    const BlockReader reader_;
    const bool is_lowercase_;
    std::size_t n_words_ = 0;
    std::uint16_t starts_[kMaxWords + ByteBlock::kBytes];
    std::uint16_t ends_[kMaxWords + ByteBlock::kBytes];
    alignas(ByteBlock::kBytes) char copy_[kMaxWords + sizeof(Block)] = {};
};

}  // namespace univar
