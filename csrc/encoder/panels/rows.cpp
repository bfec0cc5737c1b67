#include "encoder/panels/rows.h"

#include <cmath>

#if defined(UNIVAR_X86_BF16)

namespace univar {
namespace {

// total: sums of the row by lane.
UNIVAR_AVX512_BF16 UNIVAR_INLINE void normalize_row(float* row, __m512 total, std::size_t dim,
                                                    const StreamNorm norm, Bf16* x,
                                                    std::size_t panel_stride) {
    const float inverse_dim = 1.0f / static_cast<float>(dim);
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(total) * inverse_dim);
    __m512 squares = _mm512_setzero_ps(), more_squares = _mm512_setzero_ps();
    for (std::size_t i = 0; i < dim; i += 32) {
        const __m512 low = _mm512_sub_ps(_mm512_load_ps(row + i), mean);
        const __m512 high = _mm512_sub_ps(_mm512_load_ps(row + i + 16), mean);
        squares = _mm512_fmadd_ps(low, low, squares);
        more_squares = _mm512_fmadd_ps(high, high, more_squares);
    }
    const float variance = _mm512_reduce_add_ps(_mm512_add_ps(squares, more_squares)) * inverse_dim;
    const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(variance + norm.eps));
    for (std::size_t i = 0; i < dim; i += 32, x += panel_stride) {
        const __m512 low = _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(row + i), mean), scale);
        const __m512 high = _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(row + i + 16), mean), scale);
        const __m512 normal_low =
            _mm512_fmadd_ps(low, _mm512_loadu_ps(norm.weight + i), _mm512_loadu_ps(norm.bias + i));
        const __m512 normal_high =
            _mm512_fmadd_ps(high, _mm512_loadu_ps(norm.weight + i + 16), _mm512_loadu_ps(norm.bias + i + 16));
        store_bf16(x, normal_low, normal_high);
        _mm512_store_ps(row + i, _mm512_add_ps(normal_low, _mm512_loadu_ps(norm.next_bias + i)));
        _mm512_store_ps(row + i + 16, _mm512_add_ps(normal_high, _mm512_loadu_ps(norm.next_bias + i + 16)));
    }
}

// Prefetches a row to read and a row of the panels to write, whose lines lie too far apart for the hardware
// prefetcher.
void prefetch_row(const float* row, const Bf16* x, std::size_t panel_stride, std::size_t dim) {
    for (std::size_t i = 0; i < dim; i += 32, x += panel_stride) {
        __builtin_prefetch(row + i, 1);
        __builtin_prefetch(row + i + 16, 1);
        __builtin_prefetch(x, 1);
    }
}

constexpr std::int32_t kTokensAhead = 2;

void prefetch_word(const float* row, std::size_t dim) {
    for (std::size_t i = 0; i < dim; i += 16) __builtin_prefetch(row + i);
}

}  // namespace

UNIVAR_AVX512_BF16 void layer_norm(Stream stream, std::size_t rows, std::size_t dim, const StreamNorm& norm,
                                   Panels x) {
    for (std::size_t r = 0; r < rows; ++r) {
        prefetch_row(stream.row(r + 1), x.data + (r + 2) * kPanel, x.stride, dim);
        float* row = stream.row(r);
        __m512 total = _mm512_setzero_ps(), more = _mm512_setzero_ps();
        for (std::size_t i = 0; i < dim; i += 32) {
            total = _mm512_add_ps(total, _mm512_load_ps(row + i));
            more = _mm512_add_ps(more, _mm512_load_ps(row + i + 16));
        }
        normalize_row(row, _mm512_add_ps(total, more), dim, norm, x.data + r * kPanel, x.stride);
    }
}

UNIVAR_AVX512_BF16 void embed_tokens(const std::int32_t* ids, const std::int32_t* cu_seqlens,
                                     std::size_t texts, const float* word, const float* position,
                                     std::size_t dim, const StreamNorm& norm, Stream stream, Panels x) {
    std::size_t r = 0;
    for (std::size_t text = 0; text < texts; ++text) {
        const float* place = position;
        for (std::int32_t token = cu_seqlens[text]; token < cu_seqlens[text + 1]; ++token, ++r) {
            const float* from = word + static_cast<std::size_t>(ids[token]) * dim;
            if (token + kTokensAhead < cu_seqlens[texts])
                prefetch_word(word + static_cast<std::size_t>(ids[token + kTokensAhead]) * dim, dim);
            prefetch_row(stream.row(r + 1), x.data + (r + 1) * kPanel, x.stride, dim);
            float* row = stream.row(r);
            __m512 total = _mm512_setzero_ps();
            for (std::size_t i = 0; i < dim; i += 16) {
                __m512 sum = _mm512_loadu_ps(from + i);
                if (place != nullptr) sum = _mm512_add_ps(sum, _mm512_loadu_ps(place + i));
                _mm512_store_ps(row + i, sum);
                total = _mm512_add_ps(total, sum);
            }
            normalize_row(row, total, dim, norm, x.data + r * kPanel, x.stride);
            if (place != nullptr) place += dim;
        }
    }
}

UNIVAR_AVX512_BF16 void rotate_pairs(Panels head, std::size_t rows, std::size_t head_dim,
                                     const float* cosines, const float* sines) {
    const std::size_t half = head_dim / 2;
    const auto at = [&](std::size_t row, std::size_t column) {
        return head.panel(column / kPanel) + row * kPanel + column % kPanel;
    };
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < half; i += 16) {
            const __m512 left = load_bf16(at(r, i)), right = load_bf16(at(r, half + i));
            const __m512 cosine = _mm512_loadu_ps(cosines + r * half + i);
            const __m512 sine = _mm512_loadu_ps(sines + r * half + i);
            store_bf16(at(r, i), _mm512_fmsub_ps(left, cosine, _mm512_mul_ps(right, sine)));
            store_bf16(at(r, half + i), _mm512_fmadd_ps(right, cosine, _mm512_mul_ps(left, sine)));
        }
}

UNIVAR_AVX512_BF16 void mean_pool(Stream stream, std::size_t rows, std::size_t dim, float* out) {
    __m512 squares = _mm512_setzero_ps();
    for (std::size_t i = 0; i < dim; i += 16) {
        __m512 sum = _mm512_setzero_ps();
        for (std::size_t r = 0; r < rows; ++r) sum = _mm512_add_ps(sum, _mm512_load_ps(stream.row(r) + i));
        squares = _mm512_fmadd_ps(sum, sum, squares);
        _mm512_storeu_ps(out + i, sum);
    }
    const float length = std::sqrt(_mm512_reduce_add_ps(squares));
    const __m512 scale = _mm512_set1_ps(length > 0 ? 1.0f / length : 0.0f);  // the mean's 1 / n cancels
    for (std::size_t i = 0; i < dim; i += 16)
        _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_loadu_ps(out + i), scale));
}

}  // namespace univar
#endif
