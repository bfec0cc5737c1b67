#include "encoder/forward.h"

#include <algorithm>
#include <stdexcept>

#include "check.h"
#include "encoder/cpu.h"

namespace univar {

Isa choose_isa(Dtype dtype, Isa limit) {
    const CpuFeatures& cpu = cpu_features();
    if (dtype == Dtype::kBfloat16) {
        UNIVAR_CHECK(cpu.amx_bf16, "bf16 needs a CPU with AMX-BF16");
        UNIVAR_CHECK(limit == Isa::kAmx, "bf16 needs AMX, which the limit excludes");
        return Isa::kAmx;
    }
    const Isa best = cpu.avx512 ? Isa::kAvx512 : cpu.avx2 ? Isa::kAvx2 : Isa::kPortable;
    return std::min(best, limit);
}

std::unique_ptr<Forward> make_forward(const ModelShape& shape, const ModelWeights& weights, Dtype dtype,
                                      Isa isa) {
    UNIVAR_CHECK(isa <= choose_isa(dtype, isa), "this processor has not got the instruction set");
    switch (dtype) {
        case Dtype::kBfloat16:
            return make_bfloat16_forward(shape, weights);
        case Dtype::kFloat32:
        case Dtype::kInt8:
            break;
    }
    throw std::invalid_argument("not built");
}

}  // namespace univar
