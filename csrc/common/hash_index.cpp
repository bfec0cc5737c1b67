#include "common/hash_index.h"

#include <cstring>
#include <random>

#include "common/check.h"

namespace univar {

namespace {

constexpr std::int64_t kEmpty = -1;
constexpr std::size_t kInitialSlots = 1024;  // a power of two

std::array<std::uint64_t, 2> load_key(const std::uint8_t* bytes) {
    std::array<std::uint64_t, 2> key;
    std::memcpy(key.data(), bytes, sizeof(key));
    return key;
}

}  // namespace

HashIndex::HashIndex() : slots_(kInitialSlots, Slot{{0, 0}, kEmpty}) {
    std::random_device random;
    for (auto& half : seed_) half = (static_cast<std::uint64_t>(random()) << 32) | random();
}

// The slot that holds `key`, or the empty one where it belongs. A stranger's store may hold keys that were
// chosen to fall together, so both halves are mixed with a secret: the folded product of 128 bits, as in
// wyhash.
std::size_t HashIndex::probe(const std::array<std::uint64_t, 2>& key) const {
    const std::size_t mask = slots_.size() - 1;
    const unsigned __int128 product = static_cast<unsigned __int128>(key[0] ^ seed_[0]) * (key[1] ^ seed_[1]);
    const auto folded = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    std::size_t slot = static_cast<std::size_t>(folded) & mask;
    while (slots_[slot].value != kEmpty && slots_[slot].key != key) slot = (slot + 1) & mask;
    return slot;
}

void HashIndex::grow() {
    std::vector<Slot> old(slots_.size() * 2, Slot{{0, 0}, kEmpty});
    old.swap(slots_);
    for (const Slot& entry : old)
        if (entry.value != kEmpty) slots_[probe(entry.key)] = entry;
}

void HashIndex::insert(const std::uint8_t* keys, const std::int64_t* values, std::size_t n,
                       std::int64_t* previous) {
    for (std::size_t i = 0; i < n; ++i)
        UNIVAR_CHECK(values[i] >= 0, "values must be >= 0, got " << values[i]);
    for (std::size_t i = 0; i < n; ++i) {
        const auto key = load_key(keys + 16 * i);
        Slot& slot = slots_[probe(key)];
        previous[i] = slot.value;
        if (slot.value != kEmpty) continue;
        slot = Slot{key, values[i]};
        if (++size_ * 4 > slots_.size() * 3) grow();
    }
}

void HashIndex::find(const std::uint8_t* keys, std::size_t n, std::int64_t* values) const {
    for (std::size_t i = 0; i < n; ++i) values[i] = slots_[probe(load_key(keys + 16 * i))].value;
}

}  // namespace univar
