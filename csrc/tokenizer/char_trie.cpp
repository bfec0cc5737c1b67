#include "tokenizer/char_trie.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "tokenizer/double_array.h"
#include "tokenizer/unicode.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

struct BuildNode {
    std::uint32_t base = 0;
    std::uint32_t parent = 0;
    std::int32_t id = -1;
};

int bits_for(std::uint32_t n) {
    int bits = 1;
    while ((std::uint32_t{1} << bits) < n) ++bits;
    return bits;
}

}  // namespace

CharTrie::CharTrie(const std::vector<std::string>& pieces, const std::vector<double>& scores)
    : symbols_(kCodePoints) {
    number_characters(pieces);
    using Builder = DoubleArrayBuilder<BuildNode, char32_t>;
    std::vector<Builder::Key> keys;
    keys.reserve(pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        std::u32string key;
        for (const char* cursor = pieces[i].data(); cursor != pieces[i].data() + pieces[i].size();)
            key.push_back(symbols_[next_code_point(cursor)]);
        if (!key.empty()) keys.emplace_back(std::move(key), static_cast<std::int32_t>(i));
    }
    std::vector<BuildNode> built;
    Builder builder(built, bits_for(n_symbols_));
    root_ = builder.add_root();
    builder.add_keys(root_, std::move(keys));
    nodes_ = PageArray<Node>(built.size());
    ids_.resize(built.size());
    for (std::size_t i = 0; i < built.size(); ++i) {
        const std::int32_t id = built[i].id;
        nodes_[i] = {built[i].base, built[i].parent,
                     id < 0 ? kNoPiece : scores[static_cast<std::size_t>(id)]};
        ids_[i] = id;
    }
}

// Frequent characters get small numbers, so that their nodes lie close together.
void CharTrie::number_characters(const std::vector<std::string>& pieces) {
    for (const std::string& piece : pieces)
        for (const char* cursor = piece.data(); cursor != piece.data() + piece.size();)
            ++symbols_[next_code_point(cursor)];
    std::vector<char32_t> characters;
    for (char32_t cp = 0; cp < kCodePoints; ++cp)
        if (symbols_[cp] > 0) characters.push_back(cp);
    std::stable_sort(characters.begin(), characters.end(),
                     [this](char32_t a, char32_t b) { return symbols_[a] > symbols_[b]; });
    for (const char32_t cp : characters) symbols_[cp] = n_symbols_++;
}

std::int32_t CharTrie::find(const std::uint32_t* first, const std::uint32_t* last) const {
    std::uint32_t node = root_;
    for (; first != last; ++first)
        if (!step(node, *first)) return -1;
    return ids_[node];
}

}  // namespace univar
