#include "tokenizer/graphemes.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

struct Run {  // classes from `first` on, up to the next run
    char32_t first;
    std::uint8_t value;
};

#include "tokenizer/grapheme_tables.inc"

std::vector<GraphemeClass> make_classes() {
    std::vector<GraphemeClass> classes(kCodePoints);
    for (std::size_t i = 0; i < std::size(kGraphemeRuns); ++i) {
        const char32_t last = i + 1 < std::size(kGraphemeRuns) ? kGraphemeRuns[i + 1].first : kCodePoints;
        std::fill(classes.begin() + kGraphemeRuns[i].first, classes.begin() + last,
                  static_cast<GraphemeClass>(kGraphemeRuns[i].value));
    }
    for (char32_t i = 0; i < kHangulSyllables; ++i)
        classes[kHangulFirst + i] = i % 28 == 0 ? GraphemeClass::kHangulLV : GraphemeClass::kHangulLVT;
    return classes;
}

bool is_control(GraphemeClass c) {
    return c == GraphemeClass::kControl || c == GraphemeClass::kCarriageReturn ||
           c == GraphemeClass::kLineFeed;
}

bool extends(GraphemeClass c) { return c >= GraphemeClass::kExtend && c <= GraphemeClass::kSpacing; }

bool joins_hangul(GraphemeClass previous, GraphemeClass next) {
    using C = GraphemeClass;
    switch (previous) {
        case C::kHangulL:
            return next == C::kHangulL || next == C::kHangulV || next == C::kHangulLV ||
                   next == C::kHangulLVT;
        case C::kHangulV:
        case C::kHangulLV:
            return next == C::kHangulV || next == C::kHangulT;
        case C::kHangulT:
        case C::kHangulLVT:
            return next == C::kHangulT;
        default:
            return false;
    }
}

// What of a grapheme decides about the next character.
class Grapheme {
  public:
    explicit Grapheme(GraphemeClass first) { remember(first); }

    // Takes the next character in, or says that it begins a grapheme of its own.
    bool take(GraphemeClass next) {
        if (!joins(next)) return false;
        remember(next);
        return true;
    }

  private:
    enum class Chain { kNone, kOpen, kTied };  // tied: a joiner or linker came last or before extending ones

    bool joins(GraphemeClass next) const {
        if (previous_ == GraphemeClass::kCarriageReturn) return next == GraphemeClass::kLineFeed;
        if (is_control(previous_) || is_control(next)) return false;
        return extends(next) || previous_ == GraphemeClass::kPrepend || joins_hangul(previous_, next) ||
               (conjunct_ == Chain::kTied && next == GraphemeClass::kConsonant) ||
               (picture_ == Chain::kTied && next == GraphemeClass::kPicture);
    }

    void remember(GraphemeClass c) {
        using C = GraphemeClass;
        previous_ = c;
        const bool is_extend = c == C::kExtend || c == C::kConjunctExtend || c == C::kLinker;
        if (c == C::kPicture)
            picture_ = Chain::kOpen;
        else if (c == C::kJoiner && picture_ == Chain::kOpen)
            picture_ = Chain::kTied;
        else if (!(is_extend && picture_ == Chain::kOpen))
            picture_ = Chain::kNone;
        if (c == C::kConsonant)
            conjunct_ = Chain::kOpen;
        else if (c == C::kLinker && conjunct_ != Chain::kNone)
            conjunct_ = Chain::kTied;
        else if (c != C::kConjunctExtend && c != C::kJoiner)
            conjunct_ = Chain::kNone;
    }

    GraphemeClass previous_ = GraphemeClass::kOther;
    Chain picture_ = Chain::kNone;
    Chain conjunct_ = Chain::kNone;
};

}  // namespace

GraphemeClass grapheme_class(char32_t code_point) {
    static const std::vector<GraphemeClass> classes = make_classes();
    return classes[code_point];
}

bool may_follow(GraphemeClass next) {
    return extends(next) || next == GraphemeClass::kHangulV || next == GraphemeClass::kHangulT;
}

bool may_lead(GraphemeClass previous) {
    return previous == GraphemeClass::kPrepend || previous == GraphemeClass::kHangulL ||
           previous == GraphemeClass::kCarriageReturn;
}

std::size_t grapheme_length(std::string_view text) {
    const char* cursor = text.data();
    const char* const end = cursor + text.size();
    Grapheme grapheme(grapheme_class(next_code_point(cursor)));
    for (const char* next = cursor; cursor != end; cursor = next)
        if (!grapheme.take(grapheme_class(next_code_point(next)))) break;
    return static_cast<std::size_t>(cursor - text.data());
}

}  // namespace univar
