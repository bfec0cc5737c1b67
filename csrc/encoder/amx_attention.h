// Attention over packed texts on AMX in bf16: every token sees the tokens of its own text.
#pragma once

#include <cstddef>
#include <vector>

#include "encoder/amx.h"
#include "encoder/pages.h"

#if defined(UNIVAR_AMX)

namespace univar {

// Memory of one thread, grown to the longest text it has seen.
class AttentionScratch {
  public:
    void reserve(std::size_t tokens, std::size_t head_dim);

    Bf16* keys = nullptr;      // tiles by 16 keys, then by 32 dims: pairs of dims down, keys across
    Bf16* values = nullptr;    // tiles by 32 dims, by 32 keys, by 16 dims: pairs of keys down, dims across
    Bf16* ones = nullptr;      // two tiles like those of values: for a whole block, and for a text's last one
    Bf16* weights = nullptr;   // a ring of blocks of 16 queries x 32 keys
    float* scores = nullptr;   // likewise
    float* product = nullptr;  // two of (16, head_dim)
    float* sums = nullptr;     // two of (16, 16), the same number across
    std::vector<std::size_t> again;  // queries, the first of 16, that need their highest scores

  private:
    std::size_t tokens_ = 0, head_dim_ = 0;
    PageArray<float> floats_;
    PageArray<Bf16> halves_;
};

// The panels of one head in a matrix of queries, keys and values; the result takes the place of the queries.
struct HeadPanels {
    Panels queries, keys, values;
    std::size_t head_dim;  // a multiple of 32
};

constexpr float kScoreUnit = 256;         // of the fixed-point logarithms to base 2 that scores are
constexpr float kLargestScore = 1 << 30;  // that fits an int32

// Attention within rows first .. first + tokens. Queries carry the factor kScoreUnit log2(e) /
// sqrt(head_dim). Weights are exact to 0.9 % of each and 0.2 % in the root mean square, bf16's own rounding
// included, whatever the size of the scores.
void attend(const HeadPanels& head, std::size_t first, std::size_t tokens, AttentionScratch& scratch);

}  // namespace univar
#endif
