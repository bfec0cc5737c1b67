// The kernels of one instruction set. Included once for each, after its vec_*.h.

#include "encoder/float32_kernels.h"
//
#include "encoder/simd_math.h"
//
#include "encoder/simd_rows.h"
//
#include "encoder/simd_product.h"
//
#include "encoder/simd_attention.h"
//
#include "encoder/simd_bytes.h"

namespace univar {
namespace UNIVAR_SIMD {

constexpr Float32Kernels kFloat32Kernels = {kPanel,      kTileRows, kLanes,  &multiply,
                                            &layer_norm, &rotate,   &attend, &pool};

}  // namespace UNIVAR_SIMD
}  // namespace univar
