#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "encoder/forward.h"

// What `_native.Forward` holds.
struct BoundForward {
    univar::ModelShape shape;
    univar::Isa isa;
    std::shared_ptr<const univar::Forward> forward;
};

void bind_forward(pybind11::module_& m);
