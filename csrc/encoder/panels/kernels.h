// The kernels of the forwards over panels, in bf16 and in 8 bits, on AMX tiles or by the dot products of
// AVX-512. Both read and write the same layouts; a row's sums are taken in the same order wherever it lies.
#pragma once

#include "encoder/forward.h"
#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

struct PackedLinear;
struct PackedBytes;
struct ByteRows;
struct HeadPanels;
class AttentionScratch;
enum class Finish;

// Up to 31 rows behind the last one are read and written in `sums` and `to`.
struct PanelKernels {
    bool uses_tiles;  // a thread must hold TileRegisters while it runs these functions

    // to = finish(x weight^T + bias). For kSwiglu a panel of the product holds 16 values and their 16 gates,
    // and `to` has half as many columns. scratch: 2 * kBlock floats.
    void (*multiply)(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish, Panels to,
                     float* scratch);

    // sums += x weight^T, without the bias. sums: (rows, out) with `stride` floats between rows.
    void (*accumulate)(const PackedLinear& linear, Panels x, std::size_t rows, float* sums,
                       std::size_t stride);

    // Attention within rows first .. first + tokens; the result takes the place of the queries.
    void (*attend)(const HeadPanels& head, std::size_t first, std::size_t tokens, AttentionScratch& scratch);

    int byte_offset;  // added to activations in 8 bits

    // to = finish(x weight^T + bias). scratch: 2 * kBlock numbers.
    void (*multiply_bytes)(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to,
                           std::int32_t* scratch);

    // stream += x weight^T, without the bias. scratch: 2 * kBlock numbers.
    void (*accumulate_bytes)(const PackedBytes& linear, const ByteRows& x, Stream stream,
                             std::int32_t* scratch);
};

// The kernels of kAmx or kAvx512; throws if this CPU cannot run them.
const PanelKernels& panel_kernels(Isa isa);

}  // namespace univar
#endif
