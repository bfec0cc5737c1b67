// Token ids of units of text seen before: two entries a set, the newer one in front. Never grows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace univar {

template <std::size_t key_words, std::size_t max_ids>
class WordCache {
  public:
    static constexpr std::size_t kMaxIds = max_ids;
    using Key = std::array<std::uint64_t, key_words>;  // the unit's bytes, then zeros; never all zero

    struct Entry {
        Key key;
        std::int32_t ids[max_ids];
        std::uint32_t n_ids;
    };

    // 2^bits sets.
    explicit WordCache(int bits) : bits_(bits) {
        // Pages that are never used are never touched: calloc gets them from the system as zeros.
        sets_.reset(static_cast<Set*>(std::calloc(std::size_t{1} << bits_, sizeof(Set))));
        if (!sets_) throw std::bad_alloc();
    }

    const Entry* find(const Key& key) {
        Set& set = set_of(key);
        if (are_equal(set.entries[0].key, key)) return &set.entries[0];
        if (are_equal(set.entries[1].key, key)) return &set.entries[1];
        return nullptr;
    }

    void insert(const Key& key, const std::int32_t* ids, std::size_t n_ids) {
        if (n_ids > max_ids) return;
        Set& set = set_of(key);
        set.entries[1] = set.entries[0];
        set.entries[0].key = key;
        std::memcpy(set.entries[0].ids, ids, n_ids * sizeof(std::int32_t));
        set.entries[0].n_ids = static_cast<std::uint32_t>(n_ids);
    }

  private:
    struct Set {
        Entry entries[2];
    };
    struct Free {
        void operator()(Set* sets) const { std::free(sets); }
    };

    static bool are_equal(const Key& a, const Key& b) {  // operator== calls memcmp
        std::uint64_t difference = 0;
        for (std::size_t i = 0; i < key_words; ++i) difference |= a[i] ^ b[i];
        return difference == 0;
    }

    Set& set_of(const Key& key) {
        std::uint64_t hash = 0;
        for (const std::uint64_t word : key) {
            hash = (hash ^ word) * 0x9E3779B97F4A7C15;
            hash ^= hash >> 32;
        }
        return sets_.get()[hash & ((std::size_t{1} << bits_) - 1)];
    }

    int bits_;
    std::unique_ptr<Set, Free> sets_;
};

}  // namespace univar
