#include "tokenizer/spm_normalizer.h"

#include <cstring>

#include "tokenizer/graphemes.h"
#include "tokenizer/unicode.h"
#include "tokenizer/unit.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

constexpr std::size_t kShortGrapheme = 5;  // bytes; longer ones are replaced character by character
constexpr char32_t kMetaspace = 0x2581;

std::string utf8_of(char32_t code_point) {
    std::string text;
    append_utf8(code_point, text);
    return text;
}

bool is_ascii(char byte) { return static_cast<std::uint8_t>(byte) < 0x80; }

// Zeros where there are no more bytes.
std::uint64_t load_eight(const char* cursor, const char* end) {
    std::uint64_t bytes = 0;
    if (end - cursor >= 8)
        std::memcpy(&bytes, cursor, sizeof(bytes));
    else
        std::memcpy(&bytes, cursor, static_cast<std::size_t>(end - cursor));
    return bytes;
}

bool is_whitespace(char32_t code_point) { return (properties(code_point) & kSpace) != 0; }

}  // namespace

// Writes normalized text and keeps to the rules about blanks, which look at their neighbours.
class SpmNormalizer::Writer {
  public:
    Writer(const SpmOptions& options, Buffer<char>& words) : options_(options), words_(words) {
        words_.set_size(0);
        put(" ");  // of the first word
        is_space_ = options_.split_at_whitespace;
    }

    bool is_blank() const { return blank_from_ != kNone || is_start_; }

    // Text with single blanks at most, and none at its start where a blank came last.
    void line(std::string_view bytes) {
        put(bytes);
        is_space_ = bytes.back() == ' ';
        is_start_ = false;
        blank_from_ = is_space_ ? words_.size() - 1 : kNone;
    }

    // Any text.
    void text(std::string_view text) {
        const char* cursor = text.data();
        while (cursor != text.data() + text.size()) {
            const char* const start = cursor;
            const char32_t code_point = next_code_point(cursor);
            const std::string_view character(start, static_cast<std::size_t>(cursor - start));
            const bool is_white = is_whitespace(code_point);
            if (code_point == kMetaspace)
                metaspace();
            else if (code_point == ' ' || (is_white && options_.split_at_whitespace))
                space();
            else if (is_white)
                other_space(character);
            else
                line(character);
        }
    }

    void finish() {
        if (is_start_)
            words_.set_size(0);
        else if (blank_from_ != kNone && (options_.strip_right || options_.split_at_whitespace))
            words_.set_size(blank_from_);
    }

  private:
    static constexpr std::size_t kNone = SIZE_MAX;

    void space() {
        const bool is_first = is_start_;
        if (is_first && (options_.strip_left || options_.split_at_whitespace)) return;
        const bool goes = is_space_ && (options_.collapse_spaces || options_.split_at_whitespace);
        begin_blank();
        if (!goes && !is_first) put(" ");  // the first one is there already
        is_space_ = true;
    }

    void other_space(std::string_view bytes) {
        if (is_start_ && options_.strip_left) return;
        begin_blank();
        put(bytes);
        is_space_ = false;
    }

    // Takes the place of the blank that stands before every word.
    void metaspace() {
        const bool is_there = is_start_ || (is_space_ && options_.split_at_whitespace);
        if (!is_there) put(" ");
        is_space_ = is_start_ = false;
        blank_from_ = kNone;
    }

    void begin_blank() {
        if (blank_from_ == kNone) blank_from_ = is_start_ ? 0 : words_.size();
        is_start_ = false;
    }

    void put(std::string_view bytes) {
        words_.reserve_more(bytes.size());
        std::memcpy(words_.data() + words_.size(), bytes.data(), bytes.size());
        words_.set_size(words_.size() + bytes.size());
    }

    const SpmOptions& options_;
    Buffer<char>& words_;
    bool is_start_ = true;            // nothing but the first word's blank is there
    bool is_space_ = false;           // a blank came last, which is no U+2581
    std::size_t blank_from_ = kNone;  // where the white space at the end begins
};

SpmNormalizer::SpmNormalizer(std::string_view charsmap, const SpmOptions& options) : options_(options) {
    if (!charsmap.empty()) charsmap_.emplace(charsmap);
    actions_.resize(kCodePoints);
    for (char32_t cp = 0; cp < kCodePoints; ++cp) actions_[cp] = action_of(cp);
    for (char32_t cp = '!'; cp < 0x7F; ++cp) ascii_is_plain_ &= actions_[cp].is_plain();
    ascii_is_plain_ &= texts_[actions_[' '].text()] == " ";
}

SpmNormalizer::Action SpmNormalizer::action_of(char32_t code_point) {
    const GraphemeClass kind = grapheme_class(code_point);
    std::uint32_t bits = (may_lead(kind) ? kLeads : 0) | (may_follow(kind) ? kFollows : 0);
    const bool is_surrogate = code_point >= 0xD800 && code_point < 0xE000;
    const std::string character = is_surrogate ? "" : utf8_of(code_point);
    std::string_view replacement = character;
    if (charsmap_) charsmap_->find(character, replacement);
    if (replacement == character && !is_whitespace(code_point) && code_point != kMetaspace)
        return {bits | kPlain};
    bits |= static_cast<std::uint32_t>(texts_.size()) << 3;
    texts_.emplace_back(replacement);
    return {bits};
}

void SpmNormalizer::normalize(std::string_view text, Buffer<char>& words) const {
    Writer writer(options_, words);
    const char* cursor = text.data();
    const char* const end = cursor + text.size();
    while (cursor != end) {
        const char* const before = cursor;
        cursor = is_ascii(*cursor) ? copy_ascii(cursor, end, writer) : copy_plain(cursor, end, writer);
        if (cursor == before) cursor = write_grapheme(cursor, end, writer);
    }
    writer.finish();
}

// Copies graphic ASCII and single blanks, eight bytes at a time. Returns where it had to stop.
const char* SpmNormalizer::copy_ascii(const char* cursor, const char* end, Writer& writer) const {
    if (!ascii_is_plain_ || (*cursor == ' ' && writer.is_blank())) return cursor;
    const char* const start = cursor;
    bool is_after_blank = false;
    for (std::size_t length = 8; length == 8 && cursor != end; cursor += length) {
        const std::uint64_t bytes = load_eight(cursor, end);
        const std::uint64_t ascii = bytes & ~swar::kHighBits;
        const std::uint64_t graphic = swar::at_least(ascii, ' ') & ~swar::at_least(ascii, 0x7F) & ~bytes;
        const std::uint64_t blanks = graphic & ~swar::at_least(ascii, '!');
        const std::uint64_t second = blanks & (blanks << 8 | (is_after_blank ? 0x80 : 0));
        const std::uint64_t stops = second | (graphic ^ swar::kHighBits);
        is_after_blank = blanks >> 63 != 0;
        if (stops != 0) length = swar::first_marked_byte(stops);
    }
    // A mark makes a grapheme with the character before it.
    if (cursor != start && cursor != end && !is_ascii(*cursor)) {
        const char* next = cursor;
        if (actions_[next_code_point(next)].follows()) --cursor;
    }
    if (cursor != start) writer.line({start, static_cast<std::size_t>(cursor - start)});
    return cursor;
}

// Copies characters outside ASCII that stay what they are and are graphemes by themselves.
const char* SpmNormalizer::copy_plain(const char* cursor, const char* end, Writer& writer) const {
    const char* const start = cursor;
    const char* next = cursor;
    Action action = actions_[next_code_point(next)];
    while (action.is_plain() && !action.leads()) {
        if (next == end || is_ascii(*next)) {
            cursor = next;
            break;
        }
        const char* behind = next;
        const Action following = actions_[next_code_point(behind)];
        if (following.follows()) break;
        cursor = next;
        next = behind;
        action = following;
    }
    if (cursor != start) writer.line({start, static_cast<std::size_t>(cursor - start)});
    return cursor;
}

const char* SpmNormalizer::write_grapheme(const char* cursor, const char* end, Writer& writer) const {
    const std::string_view rest(cursor, static_cast<std::size_t>(end - cursor));
    const std::string_view grapheme = rest.substr(0, grapheme_length(rest));
    const char* const behind = cursor + grapheme.size();
    std::string_view replacement;
    if (grapheme.size() <= kShortGrapheme && charsmap_ && charsmap_->find(grapheme, replacement)) {
        writer.text(replacement);
        return behind;
    }
    while (cursor != behind) {
        const char* const start = cursor;
        const Action action = actions_[next_code_point(cursor)];
        if (action.is_plain())
            writer.line({start, static_cast<std::size_t>(cursor - start)});
        else
            writer.text(texts_[action.text()]);
    }
    return behind;
}

}  // namespace univar
