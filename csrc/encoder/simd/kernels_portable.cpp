#include "encoder/simd/vec_portable.h"
//
#include "encoder/simd/float32_table.h"

namespace univar {

const Float32Kernels& float32_kernels_portable() { return portable::kFloat32Kernels; }

}  // namespace univar
