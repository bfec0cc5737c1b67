#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

bool has_property(const char* character, Property property) {
    return (properties(next_code_point(character)) & property) != 0;
}

std::size_t previous_character(std::string_view text, std::size_t position) {
    do --position;
    while (is_continuation(text[position]));
    return position;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
    tokens_.erase(std::remove_if(tokens_.begin(), tokens_.end(),
                                 [](const AddedToken& token) { return token.content.empty(); }),
                  tokens_.end());
    std::stable_sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
        return a.content.size() > b.content.size();
    });
    for (const AddedToken& token : tokens_)
        if (first_bytes_.find(token.content.front()) == std::string::npos)
            first_bytes_.push_back(token.content.front());
}

std::size_t AddedTokenFinder::next_candidate(std::string_view text, std::size_t from) const {
    return first_bytes_.size() == 1 ? text.find(first_bytes_.front(), from)
                                    : text.find_first_of(first_bytes_, from);
}

bool AddedTokenFinder::next(std::string_view text, std::size_t from, Found& found) const {
    if (empty()) return false;
    for (std::size_t at = next_candidate(text, from); at != std::string_view::npos;
         at = next_candidate(text, at + 1)) {
        for (const AddedToken& token : tokens_) {
            if (text.compare(at, token.content.size(), token.content) != 0) continue;
            found = {at, at + token.content.size(), &token};
            return true;
        }
    }
    return false;
}

bool AddedTokenFinder::touches_word(std::string_view text, const Found& found) {
    const bool before =
        found.start > 0 && has_property(text.data() + previous_character(text, found.start), kWord);
    return before || (found.end < text.size() && has_property(text.data() + found.end, kWord));
}

std::size_t AddedTokenFinder::skip_spaces(std::string_view text, std::size_t from) {
    while (from < text.size() && has_property(text.data() + from, kSpace)) {
        const char* cursor = text.data() + from;
        next_code_point(cursor);
        from = static_cast<std::size_t>(cursor - text.data());
    }
    return from;
}

std::size_t AddedTokenFinder::skip_spaces_back(std::string_view text, std::size_t until) {
    while (until > 0) {
        const std::size_t before = previous_character(text, until);
        if (!has_property(text.data() + before, kSpace)) break;
        until = before;
    }
    return until;
}

}  // namespace univar
