// Unigram's vocabulary as a trie over characters, not bytes: Chinese takes one step a character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "common/pages.h"

namespace univar {

class CharTrie {
  public:
    static constexpr double kNoPiece = -std::numeric_limits<double>::infinity();

    // pieces: UTF-8, entry i has id i and scores[i]; of equal ones the last wins.
    CharTrie(const std::vector<std::string>& pieces, const std::vector<double>& scores);

    // A number for the character; 0 if no piece has it.
    std::uint32_t symbol(char32_t code_point) const { return symbols_[code_point]; }

    std::uint32_t root() const { return root_; }

    // Moves `node` on by a symbol; false if no piece continues that way.
    bool step(std::uint32_t& node, std::uint32_t symbol) const {
        const std::uint32_t child = nodes_[node].base ^ symbol;
        if (nodes_[child].parent != node) return false;
        node = child;
        return true;
    }

    // Of the piece that ends at the node; kNoPiece if none does.
    double score(std::uint32_t node) const { return nodes_[node].score; }
    std::int32_t id(std::uint32_t node) const { return ids_[node]; }

    // The id of the piece that these symbols make, -1 if there is none.
    std::int32_t find(const std::uint32_t* first, const std::uint32_t* last) const;

  private:
    struct Node {
        std::uint32_t base;    // children are at base ^ symbol
        std::uint32_t parent;  // 0: the place is free
        double score;
    };

    void number_characters(const std::vector<std::string>& pieces);

    std::vector<std::uint32_t> symbols_;  // (kCodePoints,)
    std::uint32_t n_symbols_ = 1;
    PageArray<Node> nodes_;
    std::vector<std::int32_t> ids_;
    std::uint32_t root_ = 0;
};

}  // namespace univar
