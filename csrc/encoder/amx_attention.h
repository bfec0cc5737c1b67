// Attention over packed texts on AMX in bf16: every token sees the tokens of its own text.
#pragma once

#include <cstddef>

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
    Bf16* weights = nullptr;   // two halves of a block: 16 queries x 32 keys
    float* scores = nullptr;   // likewise
    float* product = nullptr;  // (16, head_dim)
    float* rows = nullptr;     // 16 rows of 16: sums or maxima, lane by lane

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

// Attention within rows first .. first + tokens. Queries carry the factor log2(e) / sqrt(head_dim). Weights
// are exact to 2e-3 of each, whatever the size of the scores.
void attend(const HeadPanels& head, std::size_t first, std::size_t tokens, AttentionScratch& scratch);

}  // namespace univar
#endif
