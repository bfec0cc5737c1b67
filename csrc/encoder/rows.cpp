// What needs one pass over the rows: embeddings, LayerNorm, GELU, pooling. AVX-512.
#include <cmath>

#include "encoder/bf16_kernels.h"
#include "encoder/simd.h"

namespace univar {

#if defined(UNIVAR_AMX)

namespace {

// out = layer_norm(row), where `total` holds the lane sums of row. Overwrites row.
UNIVAR_AVX512 inline void normalize_row(float* row, __m512 total, const Norm& norm, std::size_t dim,
                                        Bf16* out) {
    const float inverse_dim = 1.0f / static_cast<float>(dim);
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(total) * inverse_dim);
    __m512 squares = _mm512_setzero_ps();
    for (std::size_t i = 0; i < dim; i += 16) {
        const __m512 centred = _mm512_sub_ps(_mm512_load_ps(row + i), mean);
        _mm512_store_ps(row + i, centred);
        squares = _mm512_fmadd_ps(centred, centred, squares);
    }
    const float variance = _mm512_reduce_add_ps(squares) * inverse_dim;
    const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(variance + norm.eps));
    for (std::size_t i = 0; i < dim; i += 32) {
        const __m512 low = _mm512_mul_ps(_mm512_load_ps(row + i), scale);
        const __m512 high = _mm512_mul_ps(_mm512_load_ps(row + i + 16), scale);
        store_bf16(out + i,
                   _mm512_fmadd_ps(low, _mm512_loadu_ps(norm.weight + i), _mm512_loadu_ps(norm.bias + i)),
                   _mm512_fmadd_ps(high, _mm512_loadu_ps(norm.weight + i + 16),
                                   _mm512_loadu_ps(norm.bias + i + 16)));
    }
}

}  // namespace

UNIVAR_AVX512 void embed(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                         const float* word, const float* position, const Norm& norm, std::size_t dim,
                         Bf16* out) {
    alignas(64) float sums[kMaxDim];
    for (std::size_t text = 0; text < texts; ++text) {
        const float* place = position;
        for (std::int32_t token = cu_seqlens[text]; token < cu_seqlens[text + 1]; ++token, out += dim) {
            const float* row = word + static_cast<std::size_t>(ids[token]) * dim;
            __m512 total = _mm512_setzero_ps();
            for (std::size_t i = 0; i < dim; i += 16) {
                __m512 sum = _mm512_loadu_ps(row + i);
                if (place != nullptr) sum = _mm512_add_ps(sum, _mm512_loadu_ps(place + i));
                _mm512_store_ps(sums + i, sum);
                total = _mm512_add_ps(total, sum);
            }
            normalize_row(sums, total, norm, dim, out);
            if (place != nullptr) place += dim;
        }
    }
}

UNIVAR_AVX512 void add_layer_norm(const Bf16* x, const Bf16* residual, const Norm& norm, std::size_t rows,
                                  std::size_t dim, Bf16* out) {
    alignas(64) float sums[kMaxDim];
    for (std::size_t row = 0; row < rows; ++row, x += dim, residual += dim, out += dim) {
        __m512 total = _mm512_setzero_ps();
        for (std::size_t i = 0; i < dim; i += 16) {
            const __m512 sum = _mm512_add_ps(load_bf16(x + i), load_bf16(residual + i));
            _mm512_store_ps(sums + i, sum);
            total = _mm512_add_ps(total, sum);
        }
        normalize_row(sums, total, norm, dim, out);
    }
}

UNIVAR_AVX512 void pool(const Bf16* x, const std::int32_t* cu_seqlens, std::size_t texts, std::size_t dim,
                        bool first_only, float* out) {
    for (std::size_t text = 0; text < texts; ++text, out += dim) {
        const auto first = static_cast<std::size_t>(cu_seqlens[text]);
        const std::size_t last = first_only ? first + 1 : static_cast<std::size_t>(cu_seqlens[text + 1]);
        __m512 squares = _mm512_setzero_ps();
        for (std::size_t i = 0; i < dim; i += 16) _mm512_storeu_ps(out + i, _mm512_setzero_ps());
        for (std::size_t token = first; token < last; ++token)
            for (std::size_t i = 0; i < dim; i += 16)
                _mm512_storeu_ps(out + i,
                                 _mm512_add_ps(_mm512_loadu_ps(out + i), load_bf16(x + token * dim + i)));
        for (std::size_t i = 0; i < dim; i += 16)
            squares = _mm512_fmadd_ps(_mm512_loadu_ps(out + i), _mm512_loadu_ps(out + i), squares);
        const float length = std::sqrt(_mm512_reduce_add_ps(squares));
        const __m512 scale = _mm512_set1_ps(length > 0 ? 1.0f / length : 0.0f);  // the mean's 1 / n cancels
        for (std::size_t i = 0; i < dim; i += 16)
            _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_loadu_ps(out + i), scale));
    }
}

namespace {

// x * Phi(x), where Phi(x) = 1/2 + x * q(x^2) on -4 .. 4, and 0 or 1 outside.
UNIVAR_AVX512 inline __m512 gelu16(__m512 x) {
    constexpr float kQ[8] = {-4.4072837e-10f,  5.07037328e-08f, -2.31461217e-06f, 5.74615624e-05f,
                             -0.000883270637f, 0.00904161856f,  -0.0650675595f,   0.39818871f};
    const __m512 limit = _mm512_set1_ps(4.0f);
    const __m512 inside = _mm512_min_ps(_mm512_max_ps(x, _mm512_sub_ps(_mm512_setzero_ps(), limit)), limit);
    const __m512 square = _mm512_mul_ps(inside, inside);
    __m512 q = _mm512_set1_ps(kQ[0]);
    for (int i = 1; i < 8; ++i) q = _mm512_fmadd_ps(q, square, _mm512_set1_ps(kQ[i]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(inside, q, _mm512_set1_ps(0.5f)));
}

}  // namespace

UNIVAR_AVX512 void gelu(Bf16* x, std::size_t n) {
    for (std::size_t i = 0; i < n; i += 32)
        store_bf16(x + i, gelu16(load_bf16(x + i)), gelu16(load_bf16(x + i + 16)));
}

#else

void embed(const std::int32_t*, const std::int32_t*, std::size_t, const float*, const float*, const Norm&,
           std::size_t, Bf16*) {}
void add_layer_norm(const Bf16*, const Bf16*, const Norm&, std::size_t, std::size_t, Bf16*) {}
void pool(const Bf16*, const std::int32_t*, std::size_t, std::size_t, bool, float*) {}
void gelu(Bf16*, std::size_t) {}

#endif

}  // namespace univar
