// How scores of rows with queries are approximated, by instruction set: 32-bit floats or bf16.
#pragma once

#include <cstddef>
#include <cstdint>

namespace univar::search {

// Scores a panel of rows with a group of queries. Queries and rows are packed first.
struct TileKernel {
    const char* name;
    std::size_t rows;     // of a panel
    std::size_t queries;  // of a group
    bool rounds;          // to bf16: what is packed is not quite what was given

    std::size_t (*row_bytes)(std::size_t dim);    // of a packed row
    std::size_t (*query_bytes)(std::size_t dim);  // of a packed query
    // Packs n <= rows rows (n, dim) into a panel, the missing ones as zeros. Writes the squared length of
    // what rounding took from each row.
    void (*pack_rows)(const float* rows, std::size_t n, std::size_t dim, void* panel, float* lost);
    void (*pack_queries)(const float* queries, std::size_t n, std::size_t dim, void* packed, float* lost);
    // scores (n, rows) of n <= queries queries, and the highest of each query.
    void (*score)(const void* panel, const void* queries, std::size_t n, std::size_t dim, float* scores,
                  float* best);

    void (*widen)(const std::uint16_t* halves, std::size_t n, float* floats);
    float (*dot)(const float* a, const float* b, std::size_t dim);
    // A row of halves with a query, and the row's squared length, in one pass over the row.
    float (*dot_halves)(const std::uint16_t* row, const float* query, std::size_t dim, float* squared);
};

const TileKernel& portable_tiles();
#if defined(__x86_64__)
const TileKernel& avx2_tiles();
const TileKernel& avx512_tiles();
const TileKernel& bf16_tiles();
#endif

}  // namespace univar::search
