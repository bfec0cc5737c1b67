// Builds double-array tries: child of a node = base ^ label, if that place's parent is the node.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace univar {

// Node needs base, parent (0: free) and id (-1: no key ends here). Keys are std::basic_string<Label>; labels
// are < 2^label_bits. Nodes are put in order of depth into gaps where all children of one fit. Free places
// are a doubly linked ring through place 0.
template <typename Node, typename Label>
class DoubleArrayBuilder {
  public:
    using Key = std::pair<std::basic_string<Label>, std::int32_t>;

    DoubleArrayBuilder(std::vector<Node>& nodes, int label_bits)
        : nodes_(nodes), block_(std::size_t{1} << label_bits) {
        grow();
    }

    std::uint32_t add_root() {
        const std::uint32_t root = next_[0];
        take(root, kRootParent);
        return root;
    }

    // keys: none is empty; of equal ones the last wins.
    void add_keys(std::uint32_t root, std::vector<Key> keys) {
        const auto by_text = [](const Key& a, const Key& b) { return a.first < b.first; };
        const auto same_text = [](const Key& a, const Key& b) { return a.first == b.first; };
        std::reverse(keys.begin(), keys.end());
        std::stable_sort(keys.begin(), keys.end(), by_text);
        keys.erase(std::unique(keys.begin(), keys.end(), same_text), keys.end());
        std::vector<Pending> queue{{root, 0, keys.begin(), keys.end()}};
        for (std::size_t i = 0; i < queue.size(); ++i) add_children(Pending(queue[i]), queue);
    }

  private:
    static constexpr std::uint32_t kRootParent = 0xFFFFFFFF;  // no node: nothing may lead back to a root
    static constexpr std::size_t kPatience =
        64;  // gaps tried before those behind are given up for large nodes

    using Place = typename std::vector<Key>::const_iterator;

    struct Pending {
        std::uint32_t node;
        std::size_t depth;  // labels that all keys below the node begin with
        Place first;
        Place last;
    };

    static std::uint32_t label(const Key& key, std::size_t depth) {
        return static_cast<std::make_unsigned_t<Label>>(key.first[depth]);
    }

    void add_children(Pending parent, std::vector<Pending>& queue) {
        if (parent.first != parent.last && parent.first->first.size() == parent.depth) {
            nodes_[parent.node].id = parent.first->second;
            ++parent.first;
        }
        if (parent.first == parent.last) return;
        labels_.clear();
        for (Place key = parent.first; key != parent.last; ++key)
            if (labels_.empty() || labels_.back() != label(*key, parent.depth))
                labels_.push_back(label(*key, parent.depth));
        const std::uint32_t base = find_base();
        nodes_[parent.node].base = base;
        Place first = parent.first;
        for (const std::uint32_t symbol : labels_) {
            const Place last = std::find_if(
                first, parent.last, [&](const Key& key) { return label(key, parent.depth) != symbol; });
            take(base ^ symbol, parent.node);
            queue.push_back({base ^ symbol, parent.depth + 1, first, last});
            first = last;
        }
    }

    // A base where all of labels_ fit. One child fits anywhere; for more the search begins where gaps are.
    std::uint32_t find_base() {
        std::uint32_t place = labels_.size() == 1 || hint_ == 0 ? next_[0] : hint_;
        for (std::size_t tries = 0;; ++tries, place = next_[place]) {
            if (place == 0) place = grow();
            const std::uint32_t base = place ^ labels_.front();
            if (!std::all_of(labels_.begin(), labels_.end(),
                             [&](std::uint32_t symbol) { return is_free(base ^ symbol); }))
                continue;
            if (tries > kPatience) hint_ = next_[place];
            return base;
        }
    }

    bool is_free(std::uint32_t place) const { return place != 0 && nodes_[place].parent == 0; }

    void take(std::uint32_t place, std::uint32_t parent) {
        nodes_[place].parent = parent;
        next_[previous_[place]] = next_[place];
        previous_[next_[place]] = previous_[place];
        if (place == hint_) hint_ = next_[place];
    }

    // Adds whole blocks, so that place ^ label is inside whatever the label. Returns the first new place.
    std::uint32_t grow() {
        const std::size_t first = nodes_.size();
        const std::size_t last = first + std::max(block_, first / 4 / block_ * block_);
        nodes_.resize(last);
        next_.resize(last);
        previous_.resize(last);
        for (std::size_t place = std::max<std::size_t>(first, 1); place < last; ++place) {
            const std::uint32_t before = previous_[0];
            next_[before] = static_cast<std::uint32_t>(place);
            previous_[place] = before;
            next_[place] = 0;
            previous_[0] = static_cast<std::uint32_t>(place);
        }
        return static_cast<std::uint32_t>(std::max<std::size_t>(first, 1));
    }

    std::vector<Node>& nodes_;
    const std::size_t block_;
    std::vector<std::uint32_t> next_;
    std::vector<std::uint32_t> previous_;
    std::vector<std::uint32_t> labels_;
    std::uint32_t hint_ = 0;  // a free place, or 0
};

}  // namespace univar
