#include "encoder/panels/kernels.h"

#include "common/check.h"
#include "common/cpu.h"
#include "encoder/panels/amx/kernels.h"
#include "encoder/panels/dot/kernels.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

constexpr PanelKernels kTileKernels = {true, &multiply_tiles,      &accumulate_tiles,     &attend_tiles,
                                       0,    &multiply_byte_tiles, &accumulate_byte_tiles};
constexpr PanelKernels kDotKernels = {false, &multiply_dots,      &accumulate_dots,     &attend_dots,
                                      128,   &multiply_byte_dots, &accumulate_byte_dots};

}  // namespace

const PanelKernels& panel_kernels(Isa isa) {
    const CpuFeatures& cpu = cpu_features();
    if (isa == Isa::kAmx) {
        UNIVAR_CHECK(cpu.amx_bf16, "this CPU has no AMX-BF16, or the system does not let us use it");
        return kTileKernels;
    }
    UNIVAR_CHECK(isa == Isa::kAvx512, "bf16 and int8 run on amx or avx512 only");
    UNIVAR_CHECK(cpu.avx512_bf16, "this CPU has no AVX512-BF16");
    return kDotKernels;
}

}  // namespace univar
#endif
