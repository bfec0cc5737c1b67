#include "tokenizer/byte_block.h"

#include <cstring>
#include <string_view>

#include "common/check.h"
#include "common/cpu.h"
#include "tokenizer/unit.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace univar {

namespace {

// The high bits of eight bytes as eight bits.
std::uint64_t gather(std::uint64_t high_bits) { return (high_bits >> 7) * 0x0102040810204080 >> 56; }

ByteBlock read_portable(const char* text, char* copy, bool lowercase) {
    ByteBlock block{};
    for (int i = 0; i < 8; ++i) {
        std::uint64_t bytes = 0;
        std::memcpy(&bytes, text + 8 * i, 8);
        const std::uint64_t ascii = bytes & ~swar::kHighBits;
        const std::uint64_t capitals =
            swar::at_least(ascii, 'A') & ~swar::at_least(ascii, 'Z' + 1) & ~bytes & swar::kHighBits;
        const std::uint64_t copied = lowercase ? bytes | capitals >> 2 : bytes;
        std::memcpy(copy + 8 * i, &copied, 8);
        const std::uint64_t ends = swar::ends(bytes);  // ASCII that is no letter or digit
        const std::uint64_t graphic = swar::at_least(ascii, '!') & ~swar::at_least(ascii, 0x7F);
        const auto equal = [&](std::uint8_t byte) { return ~swar::at_least(ascii ^ byte * swar::kOnes, 1); };
        const std::uint64_t spaces = ends & (equal(' ') | equal('\t') | equal('\n') | equal('\r'));
        block.spaces |= gather(spaces) << 8 * i;
        block.punctuation |= gather(ends & graphic) << 8 * i;
        block.controls |= gather(ends & ~graphic & ~spaces) << 8 * i;
    }
    return block;
}

std::uint64_t find_blanks_portable(const char* text) {
    std::uint64_t blanks = 0;
    for (int i = 0; i < 8; ++i) {
        std::uint64_t bytes = 0;
        std::memcpy(&bytes, text + 8 * i, 8);
        const std::uint64_t others = bytes ^ ' ' * swar::kOnes;
        blanks |= gather(~(swar::at_least(others & ~swar::kHighBits, 1) | others) & swar::kHighBits) << 8 * i;
    }
    return blanks;
}

std::uint16_t* write_places_portable(std::uint64_t bits, std::size_t first, std::uint16_t* out) {
    for (; bits != 0; bits &= bits - 1)
        *out++ = static_cast<std::uint16_t>(first + static_cast<std::size_t>(__builtin_ctzll(bits)));
    return out;
}

#if defined(__x86_64__)

// The functions of one instruction set: only those with the same target may be inlined into each other.
#define UNIVAR_AVX2 __attribute__((target("avx2")))
#define UNIVAR_AVX512 __attribute__((target("avx512f,avx512bw")))
#define UNIVAR_AVX512_VBMI2 __attribute__((target("avx512f,avx512bw,avx512vbmi2,popcnt")))

UNIVAR_AVX2 inline __m256i equal(__m256i bytes, char byte) {
    return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte));
}

// first <= byte < first + n
UNIVAR_AVX2 inline __m256i within(__m256i bytes, char first, char n) {
    const __m256i moved = _mm256_sub_epi8(bytes, _mm256_set1_epi8(first));
    return _mm256_cmpeq_epi8(_mm256_min_epu8(moved, _mm256_set1_epi8(static_cast<char>(n - 1))), moved);
}

UNIVAR_AVX2 inline std::uint64_t high_bits(__m256i bytes) {
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(bytes));
}

UNIVAR_AVX2 ByteBlock read_avx2(const char* text, char* copy, bool lowercase) {
    const __m256i case_bit = _mm256_set1_epi8(lowercase ? 0x20 : 0);
    ByteBlock block{};
    for (int half = 0; half < 2; ++half) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text + 32 * half));
        const __m256i copied = _mm256_or_si256(bytes, _mm256_and_si256(within(bytes, 'A', 26), case_bit));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(copy + 32 * half), copied);
        const __m256i lower = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        const __m256i letters = _mm256_or_si256(within(lower, 'a', 26), within(bytes, '0', 10));
        const __m256i graphic = within(bytes, '!', 0x7F - '!');
        const __m256i spaces =
            _mm256_or_si256(equal(bytes, ' '), _mm256_or_si256(within(bytes, '\t', 2), equal(bytes, '\r')));
        const __m256i others = _mm256_or_si256(_mm256_or_si256(graphic, spaces), bytes);
        block.spaces |= high_bits(spaces) << 32 * half;
        block.punctuation |= high_bits(_mm256_andnot_si256(letters, graphic)) << 32 * half;
        block.controls |= (high_bits(others) ^ 0xFFFFFFFF) << 32 * half;
    }
    return block;
}

UNIVAR_AVX2 std::uint64_t find_blanks_avx2(const char* text) {
    const auto* halves = reinterpret_cast<const __m256i*>(text);
    return high_bits(equal(_mm256_loadu_si256(halves), ' ')) |
           high_bits(equal(_mm256_loadu_si256(halves + 1), ' ')) << 32;
}

UNIVAR_AVX512 inline __mmask64 equal(__m512i bytes, char byte) {
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte));
}

UNIVAR_AVX512 inline __mmask64 within(__m512i bytes, char first, char n) {
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, _mm512_set1_epi8(first)), _mm512_set1_epi8(n));
}

UNIVAR_AVX512 ByteBlock read_avx512(const char* text, char* copy, bool lowercase) {
    const __m512i bytes = _mm512_loadu_si512(text);
    const __m512i lower = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    _mm512_storeu_si512(copy, lowercase ? _mm512_mask_mov_epi8(bytes, within(bytes, 'A', 26), lower) : bytes);
    const __mmask64 letters = within(lower, 'a', 26) | within(bytes, '0', 10);
    const __mmask64 graphic = within(bytes, '!', 0x7F - '!');
    const __mmask64 spaces = equal(bytes, ' ') | within(bytes, '\t', 2) | equal(bytes, '\r');
    return {spaces, graphic & ~letters, ~(graphic | spaces | _mm512_movepi8_mask(bytes))};
}

UNIVAR_AVX512 std::uint64_t find_blanks_avx512(const char* text) {
    return equal(_mm512_loadu_si512(text), ' ');
}

alignas(64) constexpr std::uint8_t kPlaces[ByteBlock::kBytes] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

UNIVAR_AVX512_VBMI2 void write_32_places(__m256i places, std::size_t first, std::uint16_t* out) {
    const __m512i base = _mm512_set1_epi16(static_cast<std::int16_t>(first));
    _mm512_storeu_si512(out, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(places)));
}

// Without a loop over the bits, whose number no branch can predict.
UNIVAR_AVX512_VBMI2 std::uint16_t* write_places_vbmi2(std::uint64_t bits, std::size_t first,
                                                      std::uint16_t* out) {
    const __m512i places = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(kPlaces));
    const auto n = __builtin_popcountll(bits);
    write_32_places(_mm512_castsi512_si256(places), first, out);
    if (n > 32) write_32_places(_mm512_extracti64x4_epi64(places, 1), first, out + 32);
    return out + n;
}

#endif

}  // namespace

BlockReader block_reader(const char* name) {
    const std::string_view wanted = name;
    const bool is_auto = wanted == "auto";
#if defined(__x86_64__)
    const CpuFeatures& cpu = cpu_features();
    if (cpu.avx512 && (is_auto || wanted == "avx512"))
        return {read_avx512, find_blanks_avx512,
                cpu.avx512_vbmi2 ? write_places_vbmi2 : write_places_portable};
    if (cpu.avx2 && (is_auto || wanted == "avx2"))
        return {read_avx2, find_blanks_avx2, write_places_portable};
#endif
    UNIVAR_CHECK(
        is_auto || wanted == "portable",
        "isa \"" << wanted << "\" is unknown or not on this CPU: give auto, avx512, avx2 or portable");
    return {read_portable, find_blanks_portable, write_places_portable};
}

}  // namespace univar
