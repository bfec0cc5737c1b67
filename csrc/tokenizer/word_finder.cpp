#include "tokenizer/word_finder.h"

#include <algorithm>
#include <cstring>

namespace univar {

namespace {

constexpr std::size_t kLastBit = ByteBlock::kBytes - 1;

}  // namespace

std::size_t WordFinder::find(std::string_view text, std::size_t enough, const char* readable_end) {
    std::uint16_t* starts = starts_;
    std::uint16_t* ends = ends_;
    std::uint64_t letter_before = 0;  // 1 where the byte before the block is a letter
    std::uint64_t punctuation_before = 0;
    const std::size_t size = std::min(text.size(), kBlocks * ByteBlock::kBytes);
    std::size_t done = 0;
    do {
        const std::size_t n = std::min(size - done, ByteBlock::kBytes);
        const ByteBlock block = read(text.substr(done, n), readable_end, copy_ + done);
        const std::uint64_t inside = ~std::uint64_t{0} >> (ByteBlock::kBytes - n);
        if ((block.controls & inside) != 0) break;
        const std::uint64_t punctuation = block.punctuation & inside;
        const std::uint64_t letters = ~(block.spaces | block.punctuation) & inside;
        const std::uint64_t behind_letters = letters << 1 | letter_before;
        const std::uint64_t behind_punctuation = punctuation << 1 | punctuation_before;
        starts = reader_.write_places(punctuation | (letters & ~behind_letters), done, starts);
        ends = reader_.write_places(behind_punctuation | (~letters & behind_letters), done, ends);
        letter_before = letters >> kLastBit;
        punctuation_before = punctuation >> kLastBit;
        done += n;
    } while (done < std::min(size, enough));
    n_words_ = static_cast<std::size_t>(ends - ends_);
    const bool has_end = starts - starts_ == ends - ends_;  // the last word
    return has_end ? done : starts_[n_words_];
}

// Reads at most a block of text; the bytes that follow it do not matter.
ByteBlock WordFinder::read(std::string_view text, const char* readable_end, char* copy) const {
    if (readable_end - text.data() >= static_cast<std::ptrdiff_t>(ByteBlock::kBytes))
        return reader_.read(text.data(), copy, is_lowercase_);
    char bytes[ByteBlock::kBytes] = {};
    std::memcpy(bytes, text.data(), text.size());
    return reader_.read(bytes, copy, is_lowercase_);
}

}  // namespace univar
