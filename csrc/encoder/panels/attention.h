// What attention over packed texts in bf16 shares, on tiles and by dot products: the layouts of keys and
// values, and softmax. Every token attends to the tokens of its own text.
//
// Scores come as fixed-point logarithms to base 2, so that a bf16 weight is made from the bits of an integer
// by shifts and one table look-up (see weights_of_scores()). Softmax subtracts no highest score as long as
// the weights and their sums stay within bf16's range, as they do in real models; the size of queries and
// keys and the sums show it. Queries for which they do not are computed again, less their highest scores. A
// weight is exact to 0.9 %, and to 0.2 % in the root mean square, rounding to bf16 included, whatever the
// size of the scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/pages.h"
#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

// Memory of one thread. It grows to the longest text that the thread has seen.
class AttentionScratch {
  public:
    void reserve(std::size_t tokens, std::size_t head_dim);

    Bf16* keys = nullptr;     // tiles by 16 keys, then by 32 dims: pairs of dims down, keys across
    Bf16* values = nullptr;   // tiles by 32 dims, by 32 keys, by 16 dims: pairs of keys down, dims across
    Bf16* weights = nullptr;  // blocks of 16 queries x 32 keys: as many as the longest text has, or a ring
    // Only for tiles:
    Bf16* ones = nullptr;      // two tiles like those of values: for a whole block, and for a text's last one
    float* scores = nullptr;   // a ring of blocks of 16 queries x 32 keys
    float* product = nullptr;  // two of (16, head_dim)
    float* sums = nullptr;     // two of (16, 16), the same number across
    std::vector<std::size_t> retries;  // first of each 16 queries to compute again

  private:
    std::size_t tokens_ = 0, head_dim_ = 0;
    PageArray<float> floats_;
    PageArray<Bf16> halves_;
};

constexpr std::size_t kRing = 4;                          // blocks of a ring
constexpr std::size_t kWeightBlock = kTileRows * kPanel;  // values of a block of 16 queries and 32 keys
constexpr float kScoreUnit = 256;                         // scores are logarithms to base 2, times this
constexpr float kLargestScore = 1 << 30;                  // that fits an int32
constexpr float kLeastSum = 1e-20f, kMostSum = 1e20f;     // of weights, without the highest score subtracted

// The panels of one head in a matrix of queries, keys and values; the result takes the place of the queries.
// Queries carry the factor kScoreUnit log2(e) / sqrt(head_dim).
struct HeadPanels {
    Panels queries, keys, values;
    std::size_t head_dim;  // a multiple of 32
};

// One text in one head. Its rows come first in the panels.
struct AttentionTask {
    HeadPanels head;
    std::size_t tokens, blocks;  // blocks of 32 keys
    std::size_t steps;           // panels of a head
    AttentionScratch& scratch;

    AttentionTask(const HeadPanels& all, std::size_t first, std::size_t n, AttentionScratch& memory)
        : head{all.queries.from_row(first), all.keys.from_row(first), all.values.from_row(first),
               all.head_dim},
          tokens(n),
          blocks((n + 31) / 32),
          steps(all.head_dim / kPanel),
          scratch(memory) {}

    Bf16* queries(std::size_t query) const { return head.queries.data + query * kPanel; }
};

// Fills scratch.keys and scratch.values; what is missing to a whole block is zero.
void lay_out_operands(const AttentionTask& task);

// An upper bound of all scores.
float largest_score(const AttentionTask& task);

// Where weights_of_scores() puts the pair of keys 2 i and 2 i + 1 of its 32 keys.
constexpr std::size_t weight_pair(std::size_t i) { return i / 2 % 4 * 4 + i / 8 * 2 + i % 2; }

// (256 + f) - 256 * 2^(f / 256), rounded, for f = 4 i to 4 i + 3.
alignas(64) constexpr std::uint8_t kMantissaCorrection[64] = {
    0,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 14, 15, 16, 16, 17, 18, 18, 19,
    19, 20, 20, 21, 21, 21, 21, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 21, 21, 21, 20, 20,
    20, 19, 18, 18, 17, 16, 16, 15, 14, 13, 12, 11, 10, 9,  8,  7,  5,  4,  2,  1};

// Scores of one query with 32 keys to bf16 weights 2^(score / 256 + 1), in the order of _mm512_packs_epi32.
//
// The integer nearest to a score has the exponent of its weight above 8 bits of fraction; a bf16 has the
// exponent above 7 bits of mantissa. The table has the difference of fraction and mantissa. Scores out of
// range become 0 or NaN.
UNIVAR_AVX512_BF16 UNIVAR_INLINE __m512i weights_of_scores(__m512 low_scores, __m512 high_scores) {
    const __m512i bias = _mm512_set1_epi16(static_cast<short>(0x8000));
    const __m512i fixed = _mm512_packs_epi32(_mm512_cvtps_epi32(low_scores), _mm512_cvtps_epi32(high_scores));
    const __m512i sixty_fourths = _mm512_srli_epi16(fixed, 2);  // of the fraction, in the lower byte
    const __m512i correction = _mm512_mask_permutexvar_epi8(bias, 0x5555555555555555ull, sixty_fourths,
                                                            _mm512_load_si512(kMantissaCorrection));
    return _mm512_avg_epu16(_mm512_sub_epi16(fixed, correction), _mm512_setzero_si512());
}

}  // namespace univar
#endif
