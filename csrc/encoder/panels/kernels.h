// The products of the forwards over panels, in bf16 and in 8 bits, on AMX tiles or by the dot products of
// AVX-512 BF16. Both read and write the same layouts; a row's sums are taken in the same order wherever it
// lies.
#pragma once

#include <cstddef>

#include "encoder/forward.h"
#include "encoder/panels/attention.h"
#include "encoder/panels/bytes.h"
#include "encoder/panels/packed_linear.h"
#include "encoder/panels/rows.h"

#if defined(UNIVAR_AMX)

namespace univar {

// Up to 31 rows behind the last one are read and written in `sums` and `to`.
struct PanelKernels {
    bool use_tiles;  // a thread must hold Tiles while it runs them

    // to = finish(x weight^T + bias). For kSwiglu a panel of the product holds 16 values and their 16 gates,
    // and `to` has half as many columns. scratch: 2 * kBlock floats.
    void (*multiply)(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish, Panels to,
                     float* scratch);

    // sums += x weight^T, without the bias. sums: (rows, out) with `stride` floats between rows.
    void (*accumulate)(const PackedLinear& linear, Panels x, std::size_t rows, float* sums,
                       std::size_t stride);

    // Attention within rows first .. first + tokens.
    void (*attend)(const HeadPanels& head, std::size_t first, std::size_t tokens, AttentionScratch& scratch);

    int byte_offset;  // of activations in 8 bits

    // to = finish(x weight^T + bias). scratch: 2 * kBlock numbers.
    void (*multiply_bytes)(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to,
                           std::int32_t* scratch);

    // stream += x weight^T, without the bias.
    void (*accumulate_bytes)(const PackedBytes& linear, const ByteRows& x, Stream stream,
                             std::int32_t* scratch);
};

// isa: kAmx or kAvx512; throws where this processor has not got it.
const PanelKernels& panel_kernels(Isa isa);

void multiply_tiles(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish, Panels to,
                    float* scratch);
void accumulate_tiles(const PackedLinear& linear, Panels x, std::size_t rows, float* sums,
                      std::size_t stride);
void attend_tiles(const HeadPanels& head, std::size_t first, std::size_t tokens, AttentionScratch& scratch);
void multiply_byte_tiles(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to,
                         std::int32_t* scratch);
void accumulate_byte_tiles(const PackedBytes& linear, const ByteRows& x, Stream stream,
                           std::int32_t* scratch);

void multiply_dots(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish, Panels to,
                   float* scratch);
void accumulate_dots(const PackedLinear& linear, Panels x, std::size_t rows, float* sums, std::size_t stride);
void attend_dots(const HeadPanels& head, std::size_t first, std::size_t tokens, AttentionScratch& scratch);
void multiply_byte_dots(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to,
                        std::int32_t* scratch);
void accumulate_byte_dots(const PackedBytes& linear, const ByteRows& x, Stream stream, std::int32_t* scratch);

}  // namespace univar
#endif
