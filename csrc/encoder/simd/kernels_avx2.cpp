#if defined(__x86_64__)
#include "encoder/simd/vec_avx2.h"
//
#include "encoder/simd/float32_table.h"

namespace univar {

const Float32Kernels& float32_kernels_avx2() { return avx2::kFloat32Kernels; }

}  // namespace univar
#endif
