// WordPiece's vocabulary as a trie: finds the longest piece that a word continues with, in one pass over its
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace univar {

class PieceTrie {
  public:
    struct Match {
        std::size_t length = 0;  // bytes; 0 if no piece fits
        std::int32_t id = -1;
    };

    // pieces: the vocabulary, entry i has id i, empty entries are unused; of equal ones the last wins.
    // Pieces that begin with `prefix` continue a word.
    PieceTrie(const std::vector<std::string>& pieces, const std::string& prefix);

    // The longest piece that `text` begins with, at the start of a word or inside it.
    Match longest(std::string_view text, bool continues) const {
        std::uint32_t node = continues ? inside_ : start_;
        Match match;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const std::uint32_t child = nodes_[node].base ^ static_cast<std::uint8_t>(text[i]);
            if (nodes_[child].parent != node) break;
            node = child;
            if (nodes_[node].id >= 0) match = {i + 1, nodes_[node].id};
        }
        return match;
    }

    // The id of the whole word as one piece, -1 if it is none.
    std::int32_t find(std::string_view word) const {
        const Match match = longest(word, false);
        return match.length == word.size() ? match.id : -1;
    }

    std::int32_t max_id() const { return max_id_; }

  private:
    struct Node {
        std::uint32_t base = 0;    // children are at base ^ byte
        std::uint32_t parent = 0;  // 0: the place is free
        std::int32_t id = -1;      // of the piece that ends here
    };
    std::vector<Node> nodes_;
    std::int32_t max_id_ = 0;
    std::uint32_t start_ = 0;
    std::uint32_t inside_ = 0;
};

}  // namespace univar
