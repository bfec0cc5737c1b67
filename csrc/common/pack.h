// Cuts ragged sequences into batches by token budget, without padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace univar {

struct Packing {
    std::vector<std::int64_t> order;  // (n,) rows from short to long, equal lengths in input order
    std::vector<std::int64_t> cuts;   // (batches + 1,) order[cuts[i]:cuts[i+1]] is batch i
};

// lengths: (n,) tokens of each row. No batch has more than max_tokens tokens, unless it is one longer row
// alone.
Packing pack(const std::int64_t* lengths, std::size_t n, std::int64_t max_tokens);

}  // namespace univar
