// What the bindings share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace univar {

template <typename T>
using Array = pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast>;

void bind_encoder(pybind11::module_& m);

}  // namespace univar
