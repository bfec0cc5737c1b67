// Epilogues of a product: each turns 32 sums of one row into bf16.
#pragma once

#include <stdexcept>

#include "encoder/panels/bf16_math.h"
#include "encoder/panels/packed_linear.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

struct CopyEpilogue {
    static constexpr std::size_t kColumns = kPanel;
    UNIVAR_AVX512_BF16 static void row(__m512 low, __m512 high, Bf16* to) { store_bf16(to, low, high); }
};
struct GeluEpilogue : CopyEpilogue {
    UNIVAR_AVX512_BF16 static void row(__m512 low, __m512 high, Bf16* to) {
        store_bf16(to, gelu_bf16(low), gelu_bf16(high));
    }
};
struct GeluTanhEpilogue : CopyEpilogue {
    UNIVAR_AVX512_BF16 static void row(__m512 low, __m512 high, Bf16* to) {
        store_bf16(to, gelu_tanh_bf16(low), gelu_tanh_bf16(high));
    }
};
struct ReluEpilogue : CopyEpilogue {
    UNIVAR_AVX512_BF16 static void row(__m512 low, __m512 high, Bf16* to) {
        const __m512 zero = _mm512_setzero_ps();
        store_bf16(to, _mm512_max_ps(low, zero), _mm512_max_ps(high, zero));
    }
};
// `low` are 16 values, `high` their gates.
struct SwigluEpilogue {
    static constexpr std::size_t kColumns = kPanel / 2;
    UNIVAR_AVX512_BF16 static void row(__m512 low, __m512 high, Bf16* to) {
        store_bf16(to, _mm512_mul_ps(low, silu_bf16(high)));
    }
};

// Calls run() with the epilogue that `finish` names.
template <typename Run>
void with_epilogue(Finish finish, Run run) {
    switch (finish) {
        case Finish::kCopy:
            return run(CopyEpilogue());
        case Finish::kGelu:
            return run(GeluEpilogue());
        case Finish::kGeluTanh:
            return run(GeluTanhEpilogue());
        case Finish::kRelu:
            return run(ReluEpilogue());
        case Finish::kSwiglu:
            return run(SwigluEpilogue());
    }
    throw std::logic_error("finish");
}

}  // namespace univar
#endif
