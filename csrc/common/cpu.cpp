#include "common/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace univar {
namespace {

#if defined(__x86_64__)

struct Registers {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
    Registers r;
    __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
    return r;
}

bool has(unsigned word, int bit) { return (word >> bit) & 1u; }

// Register states that the operating system saves (XCR0).
unsigned saved_states() {
    unsigned low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// From Zen 4 on AMD's bf16 dot product has the rate of its FMA and does twice the work. Intel's has half the
// rate where it comes with AMX (measured on a Xeon of 2023), so it is no faster than float32.
bool made_by_amd() {
    const Registers name = cpuid(0, 0);
    return name.ebx == signature_AMD_ebx && name.ecx == signature_AMD_ecx && name.edx == signature_AMD_edx;
}

bool amx_permitted() {
#if defined(__linux__)
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}

CpuFeatures detect() {
    CpuFeatures features;
    if (!has(cpuid(1, 0).ecx, 27)) return features;  // OSXSAVE
    const unsigned states = saved_states();
    const bool ymm = (states & 0x6) == 0x6, zmm = (states & 0xe6) == 0xe6,
               tiles = (states & 0x60000) == 0x60000;
    const Registers seven = cpuid(7, 0), seven_one = cpuid(7, 1);
    features.avx2 = ymm && has(seven.ebx, 5) && has(cpuid(1, 0).ecx, 12);  // and FMA
    features.avx512 =
        zmm && has(seven.ebx, 16) && has(seven.ebx, 17) && has(seven.ebx, 30) && has(seven.ebx, 31);
    features.avx512_vbmi2 = features.avx512 && has(seven.ecx, 6);
    features.avx512_vnni = features.avx512 && has(seven.ecx, 11);
    features.avx512_bf16 = features.avx512_vnni && has(seven_one.eax, 5) && has(seven.ecx, 1);
    features.avx512_bf16_fast = features.avx512_bf16 && made_by_amd();
    const bool amx = features.avx512_bf16 && tiles && has(seven.edx, 24) && amx_permitted();
    features.amx_bf16 = amx && has(seven.edx, 22);
    features.amx_int8 = amx && features.avx512_vnni && has(seven.edx, 25);
    return features;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
    static const CpuFeatures features = detect();
    return features;
}

}  // namespace univar
