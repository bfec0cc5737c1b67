// Which features the CPU has and the operating system lets this process use.
#pragma once

namespace univar {

struct CpuFeatures {
    bool avx2 = false;
    bool avx512 = false;        // F, BW, DQ and VL
    bool avx512_vbmi2 = false;  // compression of bytes
    bool avx512_vnni = false;   // dot product of bytes
    bool avx512_bf16 =
        false;  // dot product, and conversion from float32; and VBMI and VNNI, which go with it
    bool avx512_bf16_fast = false;  // the dot product multiplies twice as much in a cycle as float32's FMA
    bool amx_bf16 = false;          // tiles, and this process may use them
    bool amx_int8 = false;
};

// Detected once. On Linux this asks the kernel for permission to use AMX tiles.
const CpuFeatures& cpu_features();

}  // namespace univar
