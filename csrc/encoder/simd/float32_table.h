// The float32 kernels of one instruction set. Included once for each, after its vec_*.h.

#include "encoder/simd/float32_kernels.h"
//
#include "encoder/simd/math.h"
//
#include "encoder/simd/rows.h"
//
#include "encoder/simd/product.h"
//
#include "encoder/simd/attention.h"

namespace univar {
namespace UNIVAR_SIMD {

constexpr Float32Kernels kFloat32Kernels = {kColumns,    kRows,   kLanes,  &multiply,
                                            &layer_norm, &rotate, &attend, &pool};

}  // namespace UNIVAR_SIMD
}  // namespace univar
