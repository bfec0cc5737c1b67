// Tokens that are searched for in a text before it is split into words: "[SEP]", "<mask>".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace univar {

struct AddedToken {
    std::string content;
    std::int32_t id = 0;
    bool single_word = false;  // not found beside a letter, digit or mark
    bool lstrip = false;       // swallows the blanks before it
    bool rstrip = false;       // swallows the blanks behind it
    bool normalized = false;   // searched for in the normalized text
};

class AddedTokenFinder {
  public:
    explicit AddedTokenFinder(std::vector<AddedToken> tokens);

    bool empty() const { return tokens_.empty(); }

    // Calls on_text(begin, end) for the text between tokens and on_token(id) for each token, from left to
    // right, until one of them returns false. text: valid UTF-8. If several tokens match at
    // one place, the longest wins.
    template <typename OnText, typename OnToken>
    void split(std::string_view text, OnText on_text, OnToken on_token) const {
        std::size_t done = 0;
        Found found;
        for (std::size_t from = 0; next(text, from, found); from = found.end) {
            const AddedToken& token = *found.token;
            if (token.single_word && touches_word(text, found)) continue;
            std::size_t start = found.start;
            std::size_t end = found.end;
            if (token.lstrip) start = skip_spaces_back(text, start);
            if (token.rstrip) end = skip_spaces(text, end);
            if (done < start && !on_text(done, start)) return;
            if (!on_token(token.id)) return;
            done = end;
        }
        if (done != text.size()) on_text(done, text.size());
    }

  private:
    struct Found {
        std::size_t start = 0;
        std::size_t end = 0;
        const AddedToken* token = nullptr;
    };

    bool next(std::string_view text, std::size_t from, Found& found) const;
    std::size_t next_candidate(std::string_view text, std::size_t from) const;
    static bool touches_word(std::string_view text, const Found& found);
    static std::size_t skip_spaces(std::string_view text, std::size_t from);
    static std::size_t skip_spaces_back(std::string_view text, std::size_t until);

    std::vector<AddedToken> tokens_;  // long ones first
    std::string first_bytes_;         // each once
};

}  // namespace univar
