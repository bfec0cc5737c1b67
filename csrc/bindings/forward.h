#pragma once

#include <memory>

#include "encoder/forward.h"

namespace univar {

// What `_native.Forward` holds.
struct BoundForward {
    ModelShape shape;
    Isa isa;
    std::shared_ptr<const Forward> forward;
};

}  // namespace univar
