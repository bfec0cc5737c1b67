#include "tokenizer/trie.h"

#include <algorithm>

namespace univar {

namespace {

constexpr std::uint32_t kRootParent = 0xFFFFFFFF;  // no node: nothing may lead back to a root

}  // namespace

// Puts nodes in order of depth into the first gap where all children of one fit. Free places are a doubly
// linked ring through place 0, so that a search for a gap never looks at a taken one.
class PieceTrie::Builder {
  public:
    explicit Builder(std::vector<Node>& nodes) : nodes_(nodes) { grow(); }

    std::uint32_t add_root() {
        const std::uint32_t root = next_[0];
        take(root, kRootParent);
        return root;
    }

    // pieces: sorted, no two equal, none empty.
    void add_pieces(std::uint32_t root, const std::vector<Piece>& pieces) {
        std::vector<Pending> queue{{root, 0, pieces.begin(), pieces.end()}};
        for (std::size_t i = 0; i < queue.size(); ++i) add_children(Pending(queue[i]), queue);
    }

  private:
    using Place = std::vector<Piece>::const_iterator;

    struct Pending {
        std::uint32_t node;
        std::size_t depth;  // bytes that all pieces below the node begin with
        Place first;
        Place last;
    };

    static std::uint8_t label(const Piece& piece, std::size_t depth) {
        return static_cast<std::uint8_t>(piece.first[depth]);
    }

    void add_children(Pending parent, std::vector<Pending>& queue) {
        if (parent.first != parent.last && parent.first->first.size() == parent.depth) {
            nodes_[parent.node].id = parent.first->second;
            ++parent.first;
        }
        if (parent.first == parent.last) return;
        std::vector<std::uint8_t> labels;
        for (Place piece = parent.first; piece != parent.last; ++piece)
            if (labels.empty() || labels.back() != label(*piece, parent.depth))
                labels.push_back(label(*piece, parent.depth));
        const std::uint32_t base = find_base(labels);
        nodes_[parent.node].base = base;
        Place first = parent.first;
        for (const std::uint8_t byte : labels) {
            const Place last = std::find_if(
                first, parent.last, [&](const Piece& piece) { return label(piece, parent.depth) != byte; });
            take(base + byte, parent.node);
            queue.push_back({base + byte, parent.depth + 1, first, last});
            first = last;
        }
    }

    std::uint32_t find_base(const std::vector<std::uint8_t>& labels) {
        for (std::uint32_t place = next_[0];; place = next_[place]) {
            if (place == 0 || place + 256 >= nodes_.size()) {
                grow();
                place = std::max(place, next_[0]);
            }
            if (place <= labels.front()) continue;
            const std::uint32_t base = place - labels.front();
            if (std::all_of(labels.begin(), labels.end(),
                            [&](std::uint8_t byte) { return nodes_[base + byte].parent == 0; }))
                return base;
        }
    }

    void take(std::uint32_t place, std::uint32_t parent) {
        nodes_[place].parent = parent;
        next_[previous_[place]] = next_[place];
        previous_[next_[place]] = previous_[place];
    }

    void grow() {
        const auto first = static_cast<std::uint32_t>(nodes_.size());
        const std::uint32_t last = std::max<std::uint32_t>(1024, first + first / 2);
        nodes_.resize(last);
        next_.resize(last);
        previous_.resize(last);
        for (std::uint32_t place = std::max<std::uint32_t>(first, 1); place < last; ++place) {
            const std::uint32_t before = previous_[0];
            next_[before] = place;
            previous_[place] = before;
            next_[place] = 0;
            previous_[0] = place;
        }
    }

    std::vector<Node>& nodes_;
    std::vector<std::uint32_t> next_;
    std::vector<std::uint32_t> previous_;
};

PieceTrie::PieceTrie(const std::vector<std::string>& pieces, const std::string& prefix) {
    std::vector<Piece> starting;
    std::vector<Piece> continuing;
    for (std::size_t i = pieces.size();
         i-- > 0;) {  // backwards: sorting keeps the last of equal pieces in front
        const std::string& piece = pieces[i];
        const auto id = static_cast<std::int32_t>(i);
        if (!piece.empty()) starting.emplace_back(piece, id);
        if (piece.size() > prefix.size() && piece.compare(0, prefix.size(), prefix) == 0)
            continuing.emplace_back(piece.substr(prefix.size()), id);
    }
    Builder builder(nodes_);
    start_ = builder.add_root();
    inside_ = builder.add_root();
    for (auto* list : {&starting, &continuing}) {
        const auto by_text = [](const Piece& a, const Piece& b) { return a.first < b.first; };
        const auto same_text = [](const Piece& a, const Piece& b) { return a.first == b.first; };
        std::stable_sort(list->begin(), list->end(), by_text);
        list->erase(std::unique(list->begin(), list->end(), same_text), list->end());
        builder.add_pieces(list == &starting ? start_ : inside_, *list);
    }
    nodes_.resize(nodes_.size() + 256);  // a look-up may read one full row of bytes past the last node's base
}

}  // namespace univar
