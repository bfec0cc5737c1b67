// The k rows with the largest inner product with each query, exactly: as a search in float64 would find them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace univar::search {

// (n, dim) numbers, one row after the other.
struct Matrix {
    const void* data;
    bool is_half;  // IEEE half precision, else float
    std::size_t n, dim;
};

enum class Outcome {
    kFound,
    kBadQuery,    // a NaN or an infinity, in query `place`
    kBadRow,      // in row `place`
    kOutOfRange,  // lengths so large or small that floats can't bound the scores
};

struct Result {
    Outcome outcome;
    std::int64_t place;
};

// Fills scores and indices (queries.n, k): from high to low, ties by the lower row; -inf and -1 where rows
// has fewer than k. A score is the float of the product summed in double. threads >= 1; isa: auto, portable,
// avx2, avx512 or avx512_bf16. Throws std::invalid_argument for an isa that this CPU lacks.
//
// A first pass in float or bf16 bounds every score from below and above, by the measured lengths of queries,
// rows and of what rounding took from them (Cauchy-Schwarz). Rows whose upper bound reaches the k-th best
// lower bound are scored again in double.
Result exact_search(const Matrix& queries, const Matrix& rows, std::size_t k, std::size_t threads,
                    const std::string& isa, float* scores, std::int64_t* indices);

// The instruction set that "auto" takes.
const char* search_isa();

}  // namespace univar::search
