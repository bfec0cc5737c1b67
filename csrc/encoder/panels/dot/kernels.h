// The functions of PanelKernels (panels/kernels.h) by the dot products of AVX-512.
#pragma once

#include "encoder/panels/layout.h"

#if defined(UNIVAR_X86_BF16)

namespace univar {

struct PackedLinear;
struct PackedBytes;
struct ByteRows;
struct HeadPanels;
class AttentionScratch;
enum class Finish;

void multiply_dots(const PackedLinear& linear, Panels x, std::size_t rows, Finish finish, Panels to,
                   float* scratch);
void accumulate_dots(const PackedLinear& linear, Panels x, std::size_t rows, float* sums, std::size_t stride);
void attend_dots(const HeadPanels& head, std::size_t first, std::size_t tokens, AttentionScratch& scratch);
void multiply_byte_dots(const PackedBytes& linear, const ByteRows& x, Finish finish, Panels to,
                        std::int32_t* scratch);
void accumulate_byte_dots(const PackedBytes& linear, const ByteRows& x, Stream stream, std::int32_t* scratch);

}  // namespace univar
#endif
