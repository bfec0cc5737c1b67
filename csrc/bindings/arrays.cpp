#include "bindings/arrays.h"

#include <stdexcept>

#include "common/check.h"

namespace py = pybind11;

namespace univar {

namespace {

template <typename Offset>
Texts texts_with(const py::array& offsets, const Array<std::uint8_t>& data) {
    const auto bounds = py::cast<Array<Offset>>(offsets);
    const auto n_bytes = static_cast<std::int64_t>(data.shape(0));
    const auto* bytes = reinterpret_cast<const char*>(data.data());
    Texts texts{{}, bytes + n_bytes};
    texts.views.reserve(static_cast<std::size_t>(bounds.shape(0) - 1));
    for (py::ssize_t i = 0; i + 1 < bounds.shape(0); ++i) {
        const std::int64_t first = bounds.data()[i];
        const std::int64_t last = bounds.data()[i + 1];
        UNIVAR_CHECK(
            0 <= first && first <= last && last <= n_bytes,
            "text " << i << " is bytes " << first << " to " << last << ", but there are " << n_bytes);
        texts.views.emplace_back(bytes + first, static_cast<std::size_t>(last - first));
    }
    return texts;
}

}  // namespace

Texts texts_of(const py::array& offsets, const Array<std::uint8_t>& data) {
    UNIVAR_CHECK(offsets.ndim() == 1 && offsets.shape(0) > 0, "offsets must be (n + 1,)");
    UNIVAR_CHECK(data.ndim() == 1, "data must be (bytes,) uint8");
    if (py::isinstance<py::array_t<std::int32_t>>(offsets)) return texts_with<std::int32_t>(offsets, data);
    if (py::isinstance<py::array_t<std::int64_t>>(offsets)) return texts_with<std::int64_t>(offsets, data);
    throw std::invalid_argument("offsets must be int32 or int64");
}

py::array_t<std::int32_t> to_numpy(IdBuffer&& ids) {
    const auto n = static_cast<py::ssize_t>(ids.size());
    auto memory = ids.release();
    std::int32_t* data = memory.get();
    if (data == nullptr) return py::array_t<std::int32_t>(0);
    py::capsule owner(data, [](void* pointer) { IdBuffer::Free()(static_cast<std::int32_t*>(pointer)); });
    static_cast<void>(memory.release());
    return py::array_t<std::int32_t>(n, data, owner);
}

}  // namespace univar
