// NumPy arrays, and texts that come as an Arrow array's buffers.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace univar {

template <typename T>
using Array = pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast>;

// A NumPy array that owns the vector's memory; nothing is copied.
template <typename T>
pybind11::array_t<T> to_numpy(std::vector<T>&& values) {
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    T* data = owner->data();
    const auto n = static_cast<pybind11::ssize_t>(owner->size());
    pybind11::capsule free_owner(owner.release(),
                                 [](void* pointer) { delete static_cast<std::vector<T>*>(pointer); });
    return pybind11::array_t<T>(n, data, free_owner);
}

pybind11::array_t<std::int32_t> to_numpy(IdBuffer&& ids);

// Views of data[offsets[i]:offsets[i+1]], offsets (n + 1,) int32 or int64. They are valid as long as the
// arrays. Throws std::invalid_argument for other arrays and for offsets that lead out of data.
Texts texts_of(const pybind11::array& offsets, const Array<std::uint8_t>& data);

}  // namespace univar
