// The interface of all tokenizers: texts in, token ids out, on several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "tokenizer/buffer.h"

namespace univar {

// Texts as in an Arrow string array: text i is data[offset(i) : offset(i + 1)].
struct Texts {
    std::vector<std::string_view> views;
    const char* data_end;  // bytes up to here may be read, whichever text they belong to
};

struct TokenBatch {
    IdBuffer ids;                            // (T,) special tokens included
    std::vector<std::int64_t> cu_seqlens;    // (n + 1,)
    std::vector<std::uint8_t> is_truncated;  // (n,)
};

// One worker, with its buffers and the words that it remembers. For one thread at a time.
class TextEncoder {
  public:
    virtual ~TextEncoder() = default;

    // Appends the ids of one text, special tokens included and counted in max_length. Bytes up to
    // readable_end may be read. Returns whether the text was truncated.
    virtual bool encode(std::string_view text, const char* readable_end, std::size_t max_length,
                        IdBuffer& ids) = 0;
};

// Safe to use from many threads.
class Tokenizer {
  public:
    virtual ~Tokenizer() = default;

    // max_length: ids a text may have, special tokens counted; > 2. threads > 0.
    TokenBatch encode(const Texts& texts, std::size_t max_length, int threads) const;

    // A worker that returns to its tokenizer at the end, with the words that it remembers.
    struct Return {
        const Tokenizer* owner;
        void operator()(TextEncoder* encoder) const;
    };
    using Worker = std::unique_ptr<TextEncoder, Return>;
    Worker borrow_worker() const;

    // Deletes idle workers, so that the next ones remember no words.
    void forget_words() const;

  protected:
    virtual std::unique_ptr<TextEncoder> make_worker() const = 0;

  private:
    mutable std::mutex lock_;
    mutable std::vector<std::unique_ptr<TextEncoder>> idle_;  // last in, first out
};

}  // namespace univar
