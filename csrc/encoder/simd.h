// The few AVX-512 steps that the kernels share. Functions carry their target: the library itself is built for
// any x86.
#pragma once

#include <cstdint>

#include "encoder/bf16_kernels.h"

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#define UNIVAR_AMX 1
#include <immintrin.h>

#define UNIVAR_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#define UNIVAR_AVX512_AMX \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,amx-tile,amx-bf16")))

namespace univar {

UNIVAR_AVX512 inline __m512 load_bf16(const Bf16* x) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// 32 values; `low` are the first 16.
UNIVAR_AVX512 inline void store_bf16(Bf16* x, __m512 low, __m512 high) {
    const __m512bh packed = _mm512_cvtne2ps_pbh(high, low);
    __builtin_memcpy(x, &packed, sizeof packed);
}

}  // namespace univar
#endif
