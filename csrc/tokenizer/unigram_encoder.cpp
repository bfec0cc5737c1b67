#include "tokenizer/unigram_encoder.h"

#include <algorithm>
#include <cstring>

#include "tokenizer/unit.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

constexpr int kShortBits = 15;  // 2 MiB
constexpr int kLongBits = 12;   // 1 MiB
constexpr std::size_t kLongBytes = 48;
constexpr std::uint32_t kUnknown = 0xFFFFFFFF;  // the node of a character that is no piece

}  // namespace

UnigramEncoder::UnigramEncoder(const Unigram& model)
    : SegmentEncoder(model.frame_),
      model_(model),
      short_words_(kShortBits),
      long_words_(kLongBits),
      blanks_(model.reader_) {}

bool UnigramEncoder::add_segment(std::string_view text) {
    model_.normalizer_.normalize(text, words_);
    const std::size_t size = words_.size();
    words_.reserve_more(1 + BlankFinder::kReadable);
    words_.push(' ');                                                // ends the last word
    can_remember_ = std::memchr(words_.data(), 0, size) == nullptr;  // keys are filled up with zeros
    for (std::size_t done = 0; done < size && has_room();) {
        const std::string_view rest(words_.data() + done, size + 1 - done);
        const std::size_t n = blanks_.find(rest, bytes_that_fit(rest));
        if (n > 1) {
            find_sets(rest.data(), n - 1);
            add_words(rest.data(), n - 1);
            done += blanks_.place(n - 1);
        } else {  // a word longer than a stretch
            const std::size_t length = rest.find(' ', 1);
            add_long_word(rest.substr(0, length));
            done += length;
        }
    }
    return has_room();
}

// Fills keys_ and sets_ and prefetches the sets in which the ids of the first n words may be.
void UnigramEncoder::find_sets(const char* words, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t start = blanks_.place(i) + 1;
        const std::size_t length = blanks_.place(i + 1) - start;
        const bool is_short = length - 1 < sizeof(Block) && can_remember_;  // and not empty
        keys_[i] = is_short ? keep(load_block(words + start), length) : kNoWord;
        const std::size_t set = short_words_.set_of(keys_[i]);
        short_words_.fetch(set);
        sets_[i] = static_cast<std::uint32_t>(set);
    }
}

void UnigramEncoder::add_words(const char* words, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        ids_->reserve_more(ShortCache::kCopied);
        if (const auto* known = short_words_.find(keys_[i], sets_[i])) {
            known->copy_ids(ids_->data() + ids_->size());
            ids_->set_size(ids_->size() + known->n_ids());
            continue;
        }
        if (!has_room()) return;
        const std::size_t start = blanks_.place(i);
        const std::size_t before = ids_->size();
        add_long_word({words + start, blanks_.place(i + 1) - start});
        if (keys_[i] != kNoWord) short_words_.insert(keys_[i], ids_->data() + before, ids_->size() - before);
    }
}

// Short words come here when the first cache has no room for their ids.
void UnigramEncoder::add_long_word(std::string_view word) {
    const std::size_t length = word.size() - 1;
    const bool is_sentence = length > sizeof(Block) && begins_sentence(word[1]);
    if (!can_remember_ || length == 0 || length > kLongBytes || is_sentence) return add_word(word);
    LongCache::Key key{};
    std::memcpy(key.data(), word.data() + 1, length);
    if (copy_known(long_words_, key)) return;
    const std::size_t before = ids_->size();
    add_word(word);
    const std::size_t n_ids = ids_->size() - before;
    if (length > sizeof(Block) || n_ids > ShortCache::kMaxIds)
        long_words_.insert(key, ids_->data() + before, n_ids);
}

template <typename Cache>
bool UnigramEncoder::copy_known(const Cache& cache, const typename Cache::Key& key) {
    const auto* known = cache.find(key);
    if (known == nullptr) return false;
    ids_->reserve_more(Cache::kCopied);
    known->copy_ids(ids_->data() + ids_->size());
    ids_->set_size(ids_->size() + known->n_ids());
    return true;
}

void UnigramEncoder::add_word(std::string_view word) {
    read_symbols(word);
    find_best();
    add_best();
}

void UnigramEncoder::read_symbols(std::string_view word) {
    symbols_.clear();
    for (const char* cursor = word.data(); cursor != word.data() + word.size();)
        symbols_.push_back(model_.pieces_.symbol(next_code_point(cursor)));
}

// Viterbi: best_[i] is the best way to cut the first i characters. Of equal ways the one whose last piece is
// longest stays.
void UnigramEncoder::find_best() {
    const CharTrie& pieces = model_.pieces_;
    const std::size_t n = symbols_.size();
    best_.assign(n + 1, {CharTrie::kNoPiece, 0, kUnknown});
    best_[0].score = 0;
    for (std::size_t start = 0; start < n; ++start) {
        const double score = best_[start].score;
        const auto relax = [&](std::size_t end, double piece_score, std::uint32_t node) {
            const double candidate = score + piece_score;
            if (candidate > best_[end].score)
                best_[end] = {candidate, static_cast<std::uint32_t>(start), node};
        };
        std::uint32_t node = pieces.root();
        bool is_known = false;
        for (std::size_t end = start; end < n && pieces.step(node, symbols_[end]); ++end) {
            const double piece_score = pieces.score(node);
            if (piece_score == CharTrie::kNoPiece) continue;
            is_known |= end == start;
            relax(end + 1, piece_score, node);
        }
        if (!is_known) relax(start + 1, model_.unk_score_, kUnknown);
    }
}

// Unknown pieces in a row become one.
void UnigramEncoder::add_best() {
    backwards_.clear();
    for (std::size_t end = symbols_.size(); end > 0;) {
        std::size_t start = best_[end].start;
        std::int32_t id = id_of(best_[end].node);
        if (id == model_.unk_ && start > 0 && id_of(best_[start].node) == model_.unk_) {
            while (start > 0 && id_of(best_[start].node) == model_.unk_) start = best_[start].start;
            // Put together they may be a piece, which the sum of their scores had hidden.
            const std::int32_t whole = model_.pieces_.find(&symbols_[start], &symbols_[0] + end);
            if (whole >= 0) id = whole;
        }
        backwards_.push_back(id);
        end = start;
    }
    ids_->reserve_more(backwards_.size());
    std::reverse_copy(backwards_.begin(), backwards_.end(), ids_->data() + ids_->size());
    ids_->set_size(ids_->size() + backwards_.size());
}

std::int32_t UnigramEncoder::id_of(std::uint32_t node) const {
    return node == kUnknown ? model_.unk_ : model_.pieces_.id(node);
}

}  // namespace univar
