#include "encoder/simd/float32_kernels.h"

#include "common/check.h"
#include "common/cpu.h"

namespace univar {

const Float32Kernels& float32_kernels_portable();
#if defined(__x86_64__)
const Float32Kernels& float32_kernels_avx2();
const Float32Kernels& float32_kernels_avx512();
#endif

const Float32Kernels& float32_kernels(Isa isa) {
    if (isa == Isa::kPortable) return float32_kernels_portable();
#if defined(__x86_64__)
    if (isa == Isa::kAvx512 && cpu_features().avx512) return float32_kernels_avx512();
    if (isa == Isa::kAvx2 && cpu_features().avx2) return float32_kernels_avx2();
#endif
    UNIVAR_CHECK(isa != Isa::kAmx, "fp32 does not run on amx");
    UNIVAR_CHECK(false, "this CPU or build has no " << (isa == Isa::kAvx2 ? "AVX2 with FMA" : "AVX-512"));
    return float32_kernels_portable();
}

std::size_t attention_scratch(const Float32Kernels& kernels, std::size_t tokens, std::size_t head_dim) {
    const std::size_t padded = (tokens + kernels.columns - 1) / kernels.columns * kernels.columns;
    return padded * head_dim + kernels.rows * (padded + kernels.lanes);
}

}  // namespace univar
