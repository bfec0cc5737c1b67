#include "tokenizer/wordpiece_encoder.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/utf8.h"

namespace univar {

namespace {

constexpr int kShortBits = 16;  // 4 MiB
constexpr int kLongBits = 13;   // 2 MiB
constexpr std::size_t kLongBytes = 48;

}  // namespace

template <typename Id>
WordPieceEncoder<Id>::WordPieceEncoder(const WordPiece& model)
    : SegmentEncoder(model.frame_),
      model_(model),
      short_words_(kShortBits),
      long_words_(kLongBits),
      words_(model.reader_, model.options_.normalizer.lowercase) {}

template <typename Id>
bool WordPieceEncoder<Id>::add_segment(std::string_view text) {
    if (model_.normalized_tokens_.empty()) return add_text(text);
    const std::string normalized = normalize(text, model_.options_.normalizer);
    model_.normalized_tokens_.split(
        normalized,
        [&](std::size_t from, std::size_t until) {
            const auto piece = std::string_view(normalized).substr(from, until - from);
            pre_tokenize(piece, [this](std::string_view word) { add_pieces(word); });
            return has_room();
        },
        [&](std::int32_t id) {
            add_token(id);
            return has_room();
        });
    return has_room();
}

template <typename Id>
bool WordPieceEncoder<Id>::add_text(std::string_view text) {
    while (!text.empty()) {
        const std::size_t done = words_.find(text, bytes_that_fit(text), readable_end_);
        find_sets();
        add_words(text.data());
        text.remove_prefix(done > 0 ? done : add_first(text));
        if (!has_room()) return false;
    }
    return true;
}

// Fills keys_ and sets_ and prefetches the sets in which the ids of the words may be.
template <typename Id>
void WordPieceEncoder<Id>::find_sets() {
    for (std::size_t i = 0; i < words_.size(); ++i) {
        const std::size_t length = words_.length(i);
        keys_[i] = length <= sizeof(Block) ? keep(words_.block(i), length) : kNoWord;
        const std::size_t set = short_words_.set_of(keys_[i]);
        short_words_.fetch(set);
        sets_[i] = static_cast<std::uint32_t>(set);
    }
}

template <typename Id>
void WordPieceEncoder<Id>::add_words(const char* text) {
    const std::size_t n = words_.size();
    ids_->reserve_more(n * ShortCache::kCopied);
    std::int32_t* next = ids_->data() + ids_->size();
    for (std::size_t i = 0; i < n; ++i) {
        if (const auto* known = short_words_.find(keys_[i], sets_[i])) {
            known->copy_ids(next);
            next += known->n_ids();
            continue;
        }
        ids_->set_size(static_cast<std::size_t>(next - ids_->data()));
        add_unknown_word({text + words_.start(i), words_.length(i)}, keys_[i]);
        ids_->reserve_more((n - i) * ShortCache::kCopied);
        next = ids_->data() + ids_->size();
    }
    ids_->set_size(static_cast<std::size_t>(next - ids_->data()));
}

// A word that the first cache doesn't have under `short_key`; without control characters, zeros among them.
template <typename Id>
void WordPieceEncoder<Id>::add_unknown_word(std::string_view word, const Block& short_key) {
    if (word.size() > kLongBytes || (word.size() > sizeof(Block) && begins_sentence(word.front())))
        return add_characters(word, true);
    typename LongCache::Key key{};
    std::memcpy(key.data(), word.data(), word.size());
    ids_->reserve_more(LongCache::kCopied);
    if (const auto* known = long_words_.find(key)) {
        known->copy_ids(ids_->data() + ids_->size());
        return ids_->set_size(ids_->size() + known->n_ids());
    }
    const std::size_t before = ids_->size();
    add_characters(word, false);
    const std::int32_t* ids = ids_->data() + before;
    const std::size_t n_ids = ids_->size() - before;
    if (word.size() <= sizeof(Block) && n_ids <= ShortCache::kMaxIds)
        short_words_.insert(short_key, ids, n_ids);
    else
        long_words_.insert(key, ids, n_ids);
}

// The word, blank or punctuation that the text begins with. Returns its length.
template <typename Id>
std::size_t WordPieceEncoder<Id>::add_first(std::string_view text) {
    const ByteKind kind = kByteKinds[text.front()];
    if (kind == ByteKind::kSpace) return 1;
    const std::size_t length = kind == ByteKind::kPunctuation ? 1 : unit_length(text);
    add_characters(text.substr(0, length), true);
    return length;
}

// may_stop: stop once the text is sure to be truncated. A word that is to be remembered is needed whole.
template <typename Id>
void WordPieceEncoder<Id>::add_characters(std::string_view word, bool may_stop) {
    const std::size_t before = ids_->size();
    const auto flush = [this] {
        if (!word_.empty()) add_pieces(word_);
        word_.clear();
    };
    word_.clear();
    const char* cursor = word.data();
    const char* const end = cursor + word.size();
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
                add_normalized(word);
                return;
        }
    }
    flush();
}

template <typename Id>
void WordPieceEncoder<Id>::add_normalized(std::string_view text) {
    const std::string normalized = normalize(text, model_.options_.normalizer);
    pre_tokenize(normalized, [this](std::string_view word) { add_pieces(word); });
}

// Longest pieces first, from left to right; the whole word is unknown where one can't go on.
template <typename Id>
void WordPieceEncoder<Id>::add_pieces(std::string_view word) {
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

template class WordPieceEncoder<std::uint16_t>;
template class WordPieceEncoder<std::int32_t>;

}  // namespace univar
