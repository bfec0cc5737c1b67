#include "encoder/vec_portable.h"
//
#include "encoder/simd_float32.h"

namespace univar {

const Float32Kernels& float32_kernels_portable() { return portable::kFloat32Kernels; }

}  // namespace univar
