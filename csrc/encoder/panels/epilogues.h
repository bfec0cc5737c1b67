// How 32 sums of a product become a row of bf16.
#pragma once

#include <stdexcept>

#include "encoder/panels/bf16_math.h"
#include "encoder/panels/packed_linear.h"

#if defined(UNIVAR_AMX)

namespace univar {

struct Copy {
    static constexpr std::size_t kColumns = kPanel;
    UNIVAR_AVX512 static void row(__m512 low, __m512 high, Bf16* to) { store_bf16(to, low, high); }
};
struct Gelu : Copy {
    UNIVAR_AVX512 static void row(__m512 low, __m512 high, Bf16* to) {
        store_bf16(to, gelu(low), gelu(high));
    }
};
struct GeluTanh : Copy {
    UNIVAR_AVX512 static void row(__m512 low, __m512 high, Bf16* to) {
        store_bf16(to, gelu_tanh(low), gelu_tanh(high));
    }
};
struct Relu : Copy {
    UNIVAR_AVX512 static void row(__m512 low, __m512 high, Bf16* to) {
        const __m512 zero = _mm512_setzero_ps();
        store_bf16(to, _mm512_max_ps(low, zero), _mm512_max_ps(high, zero));
    }
};
// 16 values and their gates.
struct Swiglu {
    static constexpr std::size_t kColumns = kPanel / 2;
    UNIVAR_AVX512 static void row(__m512 low, __m512 high, Bf16* to) {
        store_bf16(to, _mm512_mul_ps(low, silu(high)));
    }
};

// run(an epilogue of that kind).
template <typename Run>
void with_epilogue(Finish finish, Run run) {
    switch (finish) {
        case Finish::kCopy:
            return run(Copy());
        case Finish::kGelu:
            return run(Gelu());
        case Finish::kGeluTanh:
            return run(GeluTanh());
        case Finish::kRelu:
            return run(Relu());
        case Finish::kSwiglu:
            return run(Swiglu());
    }
    throw std::logic_error("finish");
}

}  // namespace univar
#endif
