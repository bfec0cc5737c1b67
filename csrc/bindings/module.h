// The parts of the Python module univar._native.
#pragma once

#include <pybind11/pybind11.h>

namespace univar {

void bind_tokenizers(pybind11::module_& m);
void bind_forward(pybind11::module_& m);
void bind_forward_pool(pybind11::module_& m);
void bind_training(pybind11::module_& m);
void bind_search(pybind11::module_& m);

}  // namespace univar
