#if defined(__x86_64__)
#include "encoder/simd/vec_avx512.h"
//
#include "encoder/simd/float32_table.h"

namespace univar {

const Float32Kernels& float32_kernels_avx512() { return avx512::kFloat32Kernels; }

}  // namespace univar
#endif
