#include <cstring>

#include "encoder/simd/vec_portable.h"

namespace univar::portable {

constexpr std::size_t kGroup = 4;

// IEEE half to float, without a branch on subnormal numbers: the exponent is moved by a multiplication.
inline float to_float(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    std::uint32_t bits = static_cast<std::uint32_t>(half & 0x7fffu) << 13;
    float value;
    if ((half & 0x7c00u) == 0x7c00u) {
        bits |= 0x7f800000u;  // infinity or NaN
        std::memcpy(&value, &bits, sizeof value);
    } else {
        std::memcpy(&value, &bits, sizeof value);
        value *= 0x1p112f;
    }
    std::memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline void widen(const std::uint16_t* halves, std::size_t n, float* floats) {
    for (std::size_t i = 0; i < n; ++i) floats[i] = to_float(halves[i]);
}

inline float dot_halves(const std::uint16_t* row, const float* query, std::size_t dim, float* squared) {
    float sum = 0.0f, own = 0.0f;
    for (std::size_t d = 0; d < dim; ++d) {
        const float x = to_float(row[d]);
        sum += x * query[d];
        own += x * x;
    }
    *squared = own;
    return sum;
}

}  // namespace univar::portable

#include "search/float32_tiles.h"

namespace univar::search {

const TileKernel& portable_tiles() { return portable::float32_tiles("portable"); }

}  // namespace univar::search
