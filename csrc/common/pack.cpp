#include "common/pack.h"

#include <algorithm>
#include <numeric>

#include "common/check.h"

namespace univar {

Packing pack(const std::int64_t* lengths, std::size_t n, std::int64_t max_tokens) {
    UNIVAR_CHECK(max_tokens > 0, "max_tokens must be > 0, got " << max_tokens);
    Packing packing;
    packing.order.resize(n);
    std::iota(packing.order.begin(), packing.order.end(), std::int64_t{0});
    std::stable_sort(
        packing.order.begin(), packing.order.end(),
        [lengths](std::int64_t left, std::int64_t right) { return lengths[left] < lengths[right]; });
    packing.cuts.push_back(0);
    std::int64_t tokens = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::int64_t length = lengths[packing.order[i]];
        UNIVAR_CHECK(length >= 0, "lengths must be >= 0, got " << length);
        if (tokens > 0 && tokens + length > max_tokens) {
            packing.cuts.push_back(static_cast<std::int64_t>(i));
            tokens = 0;
        }
        tokens += length;
    }
    if (n > 0) packing.cuts.push_back(static_cast<std::int64_t>(n));
    return packing;
}

}  // namespace univar
