// Tile registers.
#pragma once

#include "encoder/panels/layout.h"

#if defined(UNIVAR_AMX)

#define UNIVAR_AVX512_AMX  \
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

// Tile registers of this thread, all of them 16 x 64 bytes, as long as it lives.
class Tiles {
  public:
    UNIVAR_AVX512_AMX Tiles() {
        static const TileConfig config;  // static: the compiler takes the instruction to read 8 bytes only
        _tile_loadconfig(&config);
    }
    UNIVAR_AVX512_AMX ~Tiles() { _tile_release(); }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;
};

// The compiler does not know that tile loads and stores touch memory: between plain and tile access, say so.
inline void memory_barrier() { __asm__ volatile("" ::: "memory"); }

}  // namespace univar
#endif
