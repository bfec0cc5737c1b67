// What every tokenizer does around its own work: it replaces broken bytes, finds added tokens, adds the
// tokens before and after a text, and truncates it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tokenizer/added_tokens.h"
#include "tokenizer/buffer.h"
#include "tokenizer/tokenizer.h"

namespace univar {

struct Frame {
    std::int32_t cls;  // before the text
    std::int32_t sep;  // after it
    AddedTokenFinder added_tokens;
};

class SegmentEncoder : public TextEncoder {
  public:
    bool encode(std::string_view text, const char* readable_end, std::size_t max_length,
                IdBuffer& ids) override;

  protected:
    // The frame must outlive the encoder.
    explicit SegmentEncoder(const Frame& frame) : frame_(frame) {}

    // Adds the ids of text without added tokens; valid UTF-8. Returns whether the whole text may still fit;
    // if not, there is no point in going on.
    virtual bool add_segment(std::string_view text) = 0;

    void add_token(std::int32_t id) {
        ids_->reserve_more(1);
        ids_->push(id);
    }
    bool has_room() const { return ids_->size() <= limit_; }

    // About how many bytes of the text fill the room that is left. There must be some.
    std::size_t bytes_that_fit(std::string_view text) const {
        constexpr std::size_t kBytesPerId = 8;  // rarely more
        return kBytesPerId * std::min(limit_ - ids_->size(), text.size());
    }

    const char* readable_end_ = nullptr;  // bytes of the segment's text may be read up to here
    IdBuffer* ids_ = nullptr;

  private:
    const Frame& frame_;
    std::size_t limit_ = 0;  // ids of a text that just fits, without the last token
};

}  // namespace univar
