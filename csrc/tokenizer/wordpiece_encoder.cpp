#include "tokenizer/wordpiece_encoder.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/unit.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

constexpr int kShortBits = 14;  // 2 MiB
constexpr int kLongBits = 11;   // 512 KiB
constexpr std::size_t kShortBytes = 16;
constexpr std::size_t kLongBytes = 47;  // and one for the length: a unit may hold zeros itself

// Chinese and Japanese are written without blanks: their units are sentences, which never come again.
bool begins_sentence(char lead) {
    const auto byte = static_cast<std::uint8_t>(lead);
    return byte >= 0xE3 && byte <= 0xE9;
}

}  // namespace

WordPieceEncoder::WordPieceEncoder(const WordPiece& model)
    : model_(model), short_units_(kShortBits), long_units_(kLongBits) {
    for (char32_t c = 0; c < 128; ++c) punctuation_[c] = static_cast<std::int32_t>(model.chars_[c].value);
}

bool WordPieceEncoder::encode(std::string_view text, const char* readable_end, std::size_t max_length,
                              IdBuffer& ids) {
    std::string valid;
    readable_end_ = readable_end;
    if (!is_valid_utf8(text)) {
        valid = replace_invalid_utf8(text);
        text = valid;
        readable_end_ = valid.data() + valid.size();
    }
    ids_ = &ids;
    const std::size_t begin = ids.size();
    limit_ = begin + max_length - 1;
    add_token(model_.cls_);
    model_.raw_tokens_.split(
        text,
        [&](std::size_t from, std::size_t until) { return add_segment(text.substr(from, until - from)); },
        [&](std::int32_t id) {
            add_token(id);
            return has_room();
        });
    const bool is_truncated = !has_room();
    if (is_truncated) ids.set_size(limit_);
    add_token(model_.sep_);
    return is_truncated;
}

// All these return whether the text may still fit: there is no use in going on where it doesn't.
bool WordPieceEncoder::add_segment(std::string_view text) {
    if (model_.normalized_tokens_.empty()) return add_units(text);
    const std::string normalized = normalize(text, model_.options_.normalizer);
    model_.normalized_tokens_.split(
        normalized,
        [&](std::size_t from, std::size_t until) {
            const auto piece = std::string_view(normalized).substr(from, until - from);
            pre_tokenize(piece, [this](std::string_view word) { add_word(word); });
            return has_room();
        },
        [&](std::int32_t id) {
            add_token(id);
            return has_room();
        });
    return has_room();
}

bool WordPieceEncoder::add_units(std::string_view text) {
    for (std::size_t position = 0; position < text.size();) {
        const char byte = text[position];
        const ByteKind kind = kByteKinds[byte];
        if (kind == ByteKind::kUnit) {
            if (!add_unit(text, position)) return false;
            continue;
        }
        ++position;
        if (kind == ByteKind::kSpace) continue;
        add_token(punctuation_[static_cast<std::uint8_t>(byte)]);
        if (!has_room()) return false;
    }
    return true;
}

bool WordPieceEncoder::add_unit(std::string_view text, std::size_t& position) {
    const char* const start = text.data() + position;
    const std::size_t available = text.size() - position;
    ShortCache::Key block = load_block(start, readable_end_);
    std::size_t length = std::min(plain_prefix(block), available);
    const bool ends_here =
        length == available || (length < kShortBytes && kByteKinds[start[length]] != ByteKind::kUnit);
    if (ends_here && length <= kShortBytes) {
        position += length;
        block = {swar::keep(block[0], length), swar::keep(block[1], length < 8 ? 0 : length - 8)};
        return add_short_unit({start, length}, block);
    }
    length = unit_length(text.substr(position));
    position += length;
    return add_long_unit({start, length});
}

bool WordPieceEncoder::add_short_unit(std::string_view unit, ShortCache::Key key) {
    if (model_.options_.normalizer.lowercase) key = {swar::lowercase(key[0]), swar::lowercase(key[1])};
    ids_->reserve_more(ShortCache::kMaxIds);
    if (const auto* known = short_units_.find(key)) {
        std::memcpy(ids_->data() + ids_->size(), known->ids, sizeof(known->ids));
        ids_->set_size(ids_->size() + known->n_ids);
        return has_room();
    }
    const std::size_t before = ids_->size();
    if (((key[0] | key[1]) & swar::kHighBits) == 0)
        add_word({reinterpret_cast<const char*>(key.data()), unit.size()});
    else
        add_characters(unit, false);
    short_units_.insert(key, ids_->data() + before, ids_->size() - before);
    return has_room();
}

bool WordPieceEncoder::add_long_unit(std::string_view unit) {
    if (unit.size() > kLongBytes || begins_sentence(unit.front())) {
        add_characters(unit, true);
        return has_room();
    }
    LongCache::Key key{};
    std::memcpy(key.data(), unit.data(), unit.size());
    key.back() |= static_cast<std::uint64_t>(unit.size()) << 56;
    if (const auto* known = long_units_.find(key)) {
        ids_->reserve_more(known->n_ids);
        std::memcpy(ids_->data() + ids_->size(), known->ids, known->n_ids * sizeof(std::int32_t));
        ids_->set_size(ids_->size() + known->n_ids);
        return has_room();
    }
    const std::size_t before = ids_->size();
    add_characters(unit, false);
    long_units_.insert(key, ids_->data() + before, ids_->size() - before);
    return has_room();
}

// may_stop: leave off where the text is sure to be cut; a unit that is to be remembered is needed whole.
void WordPieceEncoder::add_characters(std::string_view unit, bool may_stop) {
    const std::size_t before = ids_->size();
    const auto flush = [this] {
        if (!word_.empty()) add_word(word_);
        word_.clear();
    };
    word_.clear();
    const char* cursor = unit.data();
    const char* const end = cursor + unit.size();
    while (cursor != end) {
        const char* const start = cursor;
        const CharAction action = model_.chars_[next_code_point(cursor)];
        switch (action.kind) {
            case CharKind::kSelf:
                word_.append(start, cursor);
                break;
            case CharKind::kMapped:
                word_ += model_.chars_.mapped(action.value);
                break;
            case CharKind::kToken:
                flush();
                add_token(static_cast<std::int32_t>(action.value));
                if (may_stop && !has_room()) return;
                break;
            case CharKind::kSpace:
                flush();
                break;
            case CharKind::kDropped:
                break;
            case CharKind::kComplex:
                ids_->set_size(before);
                add_normalized(unit);
                return;
        }
    }
    flush();
}

void WordPieceEncoder::add_normalized(std::string_view text) {
    const std::string normalized = normalize(text, model_.options_.normalizer);
    pre_tokenize(normalized, [this](std::string_view word) { add_word(word); });
}

// Longest pieces first, from left to right; the whole word is unknown where one can't go on.
void WordPieceEncoder::add_word(std::string_view word) {
    const std::size_t max_chars = model_.options_.max_input_chars_per_word;
    if (word.size() > max_chars && count_code_points(word) > max_chars) return add_token(model_.unk_);
    const std::size_t before = ids_->size();
    ids_->reserve_more(word.size());
    for (std::size_t done = 0; done < word.size();) {
        const PieceTrie::Match match = model_.pieces_.longest(word.substr(done), done > 0);
        if (match.length == 0) {
            ids_->set_size(before);
            return ids_->push(model_.unk_);
        }
        ids_->push(match.id);
        done += match.length;
    }
}

void WordPieceEncoder::add_token(std::int32_t id) {
    ids_->reserve_more(1);
    ids_->push(id);
}

}  // namespace univar
