// Chooses the implementation of the forward, and checks its input.
#include "common/check.h"
#include "common/cpu.h"
#include "encoder/forward.h"

namespace univar {

Isa choose_isa(Dtype dtype, Isa limit) {
    const CpuFeatures& cpu = cpu_features();
    if (dtype == Dtype::kFloat32) {
        if (limit >= Isa::kAvx512 && cpu.avx512) return Isa::kAvx512;
        return limit >= Isa::kAvx2 && cpu.avx2 ? Isa::kAvx2 : Isa::kPortable;
    }
    const bool is_int8 = dtype == Dtype::kInt8;
    if (limit >= Isa::kAmx && cpu.amx_bf16 && (cpu.amx_int8 || !is_int8)) return Isa::kAmx;
    UNIVAR_CHECK(limit >= Isa::kAvx512 && cpu.avx512_bf16, (is_int8 ? "int8" : "bf16")
                                                               << " needs a CPU with AMX or AVX512-BF16");
    return Isa::kAvx512;
}

std::unique_ptr<Forward> make_forward(const ModelShape& shape, const ModelWeights& weights, Dtype dtype,
                                      Isa isa) {
    switch (dtype) {
        case Dtype::kFloat32:
            return make_float32_forward(shape, weights, isa);
        case Dtype::kBfloat16:
            return make_bfloat16_forward(shape, weights, isa);
        case Dtype::kInt8:
            return make_int8_forward(shape, weights, isa);
    }
    UNIVAR_CHECK(false, "unknown number format");
    return nullptr;
}

template <typename Offset>
void check_tokens(const ModelShape& shape, const std::int32_t* ids, std::size_t n_ids,
                  const Offset* cu_seqlens, std::size_t texts) {
    UNIVAR_CHECK(cu_seqlens[0] == 0 && static_cast<std::size_t>(cu_seqlens[texts]) == n_ids,
                 "cu_seqlens must rise from 0 to the number of ids");
    for (std::size_t i = 0; i < texts; ++i) {
        const Offset tokens = cu_seqlens[i + 1] - cu_seqlens[i];
        UNIVAR_CHECK(tokens > 0 && static_cast<std::size_t>(tokens) <= shape.positions,
                     "text " << i << " has " << tokens << " tokens, must have 1 to " << shape.positions);
    }
    for (std::size_t i = 0; i < n_ids; ++i)
        UNIVAR_CHECK(ids[i] >= 0 && static_cast<std::size_t>(ids[i]) < shape.vocab,
                     "id " << ids[i] << " is not in the vocabulary of " << shape.vocab);
}

template void check_tokens(const ModelShape&, const std::int32_t*, std::size_t, const std::int32_t*,
                           std::size_t);
template void check_tokens(const ModelShape&, const std::int32_t*, std::size_t, const std::int64_t*,
                           std::size_t);

}  // namespace univar
