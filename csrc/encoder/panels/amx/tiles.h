// The tile registers of AMX, and which of them holds what. Every tile is 16 rows of 64 bytes.
//
// Products (linear.cpp, bytes.cpp, training/block_products.h) make a block of 32 rows x 32 outputs. A step
// multiplies 64 bytes of inner values (32 bf16 or 64 int8) of rows and weights:
//
//                               weights of outputs
//                               0..15      16..31
//                              +--------+ +--------+
//                              |  TMM6  | |  TMM7  |
//                              +--------+ +--------+
//     activations   +--------+ +--------+ +--------+
//     rows  0..15   |  TMM4  | |  TMM0  | |  TMM1  |
//                   +--------+ +--------+ +--------+    sums: float32, or int32 of bytes
//           16..31  |  TMM5  | |  TMM2  | |  TMM3  |
//                   +--------+ +--------+ +--------+
//
// A block of at most 16 rows leaves out TMM5, TMM2 and TMM3.
//
// Attention (attention.cpp) takes 16 queries past blocks of 32 keys, and 32 or 64 dims of the values at once:
//
//                   32 dims at once (heads of 32)     64 dims at once
//     TMM0          scores, keys  0..15               scores, 16 keys at a time
//     TMM1          scores, keys 16..31               sums of the weights
//     TMM2, TMM3    weights x values, dims 0..31      weights x values, dims  0..31
//     TMM4          sums of the weights               weights x values, dims 32..47
//     TMM5          queries, kept for all keys        weights x values, dims 48..63
//     TMM6          weights, left operand             queries or weights, left operand
//     TMM7          keys, values or ones              keys, values or ones
#pragma once

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

#define UNIVAR_AMX_BF16    \
    __attribute__((target( \
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx512bf16,avx2,fma,amx-tile,amx-bf16")))

namespace univar {

struct alignas(64) TileConfig {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
    TileConfig() {
        for (int tile = 0; tile < 8; ++tile) row_bytes[tile] = kTileBytes, rows[tile] = kTileRows;
    }
};

// Gives this thread its tile registers for as long as it lives.
class TileRegisters {
  public:
    UNIVAR_AMX_BF16 TileRegisters() {
        static const TileConfig config;  // static: the compiler assumes that the instruction reads 8 bytes
        _tile_loadconfig(&config);
    }
    UNIVAR_AMX_BF16 ~TileRegisters() { _tile_release(); }
    TileRegisters(const TileRegisters&) = delete;
    TileRegisters& operator=(const TileRegisters&) = delete;
};

// The compiler does not know that tile loads and stores touch memory. This goes between plain accesses and
// those of tiles.
inline void memory_barrier() { __asm__ volatile("" ::: "memory"); }

}  // namespace univar
#endif
