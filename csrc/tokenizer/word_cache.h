// Token ids of words seen before: two a set, the newer one in front. Never grows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/pages.h"

namespace univar {

// Id: an integer wide enough for every id; max_ids: of one word.
template <typename Id, std::size_t key_words, std::size_t max_ids>
class WordCache {
  public:
    using Key = std::array<std::uint64_t, key_words>;  // the word's bytes, then zeros; never all zero
    static constexpr std::size_t kMaxIds = max_ids;
    static constexpr std::size_t kCopied = max_ids + 1;  // ids that copy_ids() writes

    class alignas(32) Entry {
      public:
        std::size_t n_ids() const { return values_[max_ids]; }

        // Writes kCopied ids, of which the first n_ids() count.
        void copy_ids(std::int32_t* ids) const {
            for (std::size_t i = 0; i < kCopied; ++i) ids[i] = static_cast<std::int32_t>(values_[i]);
        }

      private:
        friend class WordCache;

        Key key_;
        Id values_[max_ids + 1];  // the last one is how many there are
    };

    // 2^bits sets.
    explicit WordCache(int bits) : shift_(64 - bits), sets_(PageArray<Set>::zeros(std::size_t{1} << bits)) {}

    // The set that a word would be in. fetch() it some time before asking for the word.
    std::size_t set_of(const Key& key) const {
        std::uint64_t hash = 0;
        for (std::size_t i = key_words; i-- > 0;) hash = (hash ^ key[i]) * 0x9E3779B97F4A7C15;
        return hash >> shift_;
    }
    void fetch(std::size_t set) const { __builtin_prefetch(&sets_[set]); }

    const Entry* find(const Key& key, std::size_t set) const {
        const Set& two = sets_[set];
        const std::size_t is_second = are_equal(two.entries[1].key_, key);  // no branch on which of the two
        const Entry& entry = two.entries[is_second];
        return (is_second | are_equal(two.entries[0].key_, key)) != 0 ? &entry : nullptr;
    }
    const Entry* find(const Key& key) const { return find(key, set_of(key)); }

    // Does nothing if the word has too many ids.
    void insert(const Key& key, const std::int32_t* ids, std::size_t n_ids) {
        if (n_ids > max_ids) return;
        Set& set = sets_[set_of(key)];
        set.entries[1] = set.entries[0];
        set.entries[0].key_ = key;
        for (std::size_t i = 0; i < n_ids; ++i) set.entries[0].values_[i] = static_cast<Id>(ids[i]);
        set.entries[0].values_[max_ids] = static_cast<Id>(n_ids);
    }

  private:
    static constexpr std::size_t kLine = 64;

    struct Set {
        Entry entries[2];
    };
    static_assert(sizeof(Set) % kLine == 0, "sets lie on whole cache lines");

    static std::size_t are_equal(const Key& a, const Key& b) {  // operator== calls memcmp
        std::uint64_t difference = 0;
        for (std::size_t i = 0; i < key_words; ++i) difference |= a[i] ^ b[i];
        return difference == 0;
    }

    int shift_;
    PageArray<Set> sets_;
};

}  // namespace univar
