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
    : SegmentEncoder(model.frame_), model_(model), short_words_(kShortBits), long_words_(kLongBits) {}

bool UnigramEncoder::add_segment(std::string_view text) {
    model_.normalizer_.normalize(text, words_);
    words_.reserve_more(sizeof(Block) + 1);
    const char* cursor = words_.data();
    const char* const end = cursor + words_.size();
    words_.push(' ');                                                  // ends the last word
    can_remember_ = std::memchr(cursor, 0, words_.size()) == nullptr;  // keys are filled up with zeros
    while (cursor != end && has_room()) {
        const char* const start = cursor + 1;
        const Block block = load_block(start, start + sizeof(Block));
        const std::size_t short_length = blank_prefix(block);
        const auto length =
            short_length < sizeof(Block)
                ? short_length
                : static_cast<std::size_t>(std::find(start + sizeof(Block), end, ' ') - start);
        const std::string_view word(cursor, length + 1);
        if (length <= sizeof(Block))
            add_short_word(word, block);
        else
            add_long_word(word);
        cursor += word.size();
    }
    return has_room();
}

void UnigramEncoder::add_short_word(std::string_view word, Block block) {
    const std::size_t length = word.size() - 1;
    if (!can_remember_ || length == 0) return add_word(word);
    const Block key = keep(block, length);
    if (copy_known(short_words_, key)) return;
    const std::size_t before = ids_->size();
    add_long_word(word);
    short_words_.insert(key, ids_->data() + before, ids_->size() - before);
}

// Short words come here when the first cache has no room for their ids.
void UnigramEncoder::add_long_word(std::string_view word) {
    const std::size_t length = word.size() - 1;
    const bool is_sentence = length > sizeof(Block) && begins_sentence(word[1]);
    if (!can_remember_ || length > kLongBytes || is_sentence) return add_word(word);
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
