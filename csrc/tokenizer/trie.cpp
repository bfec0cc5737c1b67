#include "tokenizer/trie.h"

#include "tokenizer/double_array.h"

namespace univar {

PieceTrie::PieceTrie(const std::vector<std::string>& pieces, const std::string& prefix) {
    using Builder = DoubleArrayBuilder<Node, char>;
    std::vector<Builder::Key> starting;
    std::vector<Builder::Key> continuing;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const std::string& piece = pieces[i];
        const auto id = static_cast<std::int32_t>(i);
        if (!piece.empty()) starting.emplace_back(piece, id);
        if (piece.size() > prefix.size() && piece.compare(0, prefix.size(), prefix) == 0)
            continuing.emplace_back(piece.substr(prefix.size()), id);
    }
    max_id_ = static_cast<std::int32_t>(pieces.size()) - 1;
    Builder builder(nodes_, 8);
    start_ = builder.add_root();
    inside_ = builder.add_root();
    builder.add_keys(start_, std::move(starting));
    builder.add_keys(inside_, std::move(continuing));
}

}  // namespace univar
