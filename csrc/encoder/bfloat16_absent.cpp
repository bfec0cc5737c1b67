#include <stdexcept>

#include "encoder/forward.h"

namespace univar {

std::unique_ptr<Forward> make_bfloat16_forward(const ModelShape&, const ModelWeights&) {
    throw std::invalid_argument("the bfloat16 forward is not built");
}

}  // namespace univar
