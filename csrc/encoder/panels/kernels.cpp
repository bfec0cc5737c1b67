#include "encoder/panels/kernels.h"

#include "common/check.h"
#include "common/cpu.h"

#if defined(UNIVAR_AMX)

namespace univar {
namespace {

constexpr PanelKernels kTiles = {true, &multiply_tiles,      &accumulate_tiles,     &attend_tiles,
                                 0,    &multiply_byte_tiles, &accumulate_byte_tiles};
constexpr PanelKernels kDots = {false, &multiply_dots,      &accumulate_dots,     &attend_dots,
                                128,   &multiply_byte_dots, &accumulate_byte_dots};

}  // namespace

const PanelKernels& panel_kernels(Isa isa) {
    const CpuFeatures& cpu = cpu_features();
    if (isa == Isa::kAmx && cpu.amx_bf16) return kTiles;
    UNIVAR_CHECK(isa == Isa::kAvx512 && cpu.avx512_bf16,
                 "this processor has no kernels over panels of that kind");
    return kDots;
}

}  // namespace univar
#endif
