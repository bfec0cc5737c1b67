#include "tokenizer/segment_encoder.h"

#include <string>

#include "tokenizer/utf8.h"

namespace univar {

bool SegmentEncoder::encode(std::string_view text, const char* readable_end, std::size_t max_length,
                            IdBuffer& ids) {
    std::string valid;
    readable_end_ = readable_end;
    if (!is_valid_utf8(text)) {
        valid = replace_invalid_utf8(text);
        text = valid;
        readable_end_ = valid.data() + valid.size();
    }
    ids_ = &ids;
    limit_ = ids.size() + max_length - 1;
    add_token(frame_.cls);
    frame_.added_tokens.split(
        text,
        [&](std::size_t from, std::size_t until) { return add_segment(text.substr(from, until - from)); },
        [&](std::int32_t id) {
            add_token(id);
            return has_room();
        });
    const bool is_truncated = !has_room();
    if (is_truncated) ids.set_size(limit_);
    add_token(frame_.sep);
    return is_truncated;
}

}  // namespace univar
