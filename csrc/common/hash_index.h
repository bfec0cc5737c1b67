// A compact map from 128-bit content hashes to row numbers: 24 bytes a slot, open addressing, at most 3/4
// full.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace univar {

class HashIndex {
  public:
    HashIndex();

    // keys: (n, 16) bytes; values, previous: (n,). previous[i] is the value that key i had before, also from
    // an earlier row of this call, or -1 if the key is new; the first value of a key stays.
    void insert(const std::uint8_t* keys, const std::int64_t* values, std::size_t n, std::int64_t* previous);

    // values[i] is the value of key i, -1 if it is absent.
    void find(const std::uint8_t* keys, std::size_t n, std::int64_t* values) const;

    std::size_t size() const { return size_; }

  private:
    struct Slot {
        std::array<std::uint64_t, 2> key;
        std::int64_t value;
    };

    std::size_t probe(const std::array<std::uint64_t, 2>& key) const;
    std::uint64_t seed_[2];  // drawn for each index: nobody can choose keys that fall together
    void grow();

    std::vector<Slot> slots_;
    std::size_t size_ = 0;
};

}  // namespace univar
