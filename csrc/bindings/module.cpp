// Only the files of csrc/bindings know Python: they check shapes, release the GIL and turn exceptions into
// Python's.
#include "bindings/module.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "common/check.h"
#include "common/hash_index.h"
#include "common/pack.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

using univar::Array;
using univar::to_numpy;

std::size_t check_keys(const Array<std::uint8_t>& keys) {
    UNIVAR_CHECK(keys.ndim() == 2 && keys.shape(1) == 16, "keys must be (n, 16) uint8");
    return static_cast<std::size_t>(keys.shape(0));
}

void bind_hash_index(py::module_& m) {
    py::class_<univar::HashIndex>(m, "HashIndex", "Map from 128-bit content hashes to row numbers.")
        .def(py::init<>())
        .def("__len__", &univar::HashIndex::size)
        .def(
            "insert",
            [](univar::HashIndex& self, const Array<std::uint8_t>& keys, const Array<std::int64_t>& values) {
                const std::size_t n = check_keys(keys);
                UNIVAR_CHECK(values.ndim() == 1 && static_cast<std::size_t>(values.shape(0)) == n,
                             "values must be (n,) int64 like keys (n, 16)");
                std::vector<std::int64_t> previous(n);
                self.insert(keys.data(), values.data(), n, previous.data());
                return to_numpy(std::move(previous));
            },
            "keys"_a, "values"_a,
            "Add keys (n, 16) uint8 with values (n,) int64 >= 0. Returns (n,) int64: the value that each key "
            "already had, also from earlier in this call, or -1 if it is new. The first value of a key "
            "stays.")
        .def(
            "find",
            [](const univar::HashIndex& self, const Array<std::uint8_t>& keys) {
                const std::size_t n = check_keys(keys);
                std::vector<std::int64_t> values(n);
                self.find(keys.data(), n, values.data());
                return to_numpy(std::move(values));
            },
            "keys"_a, "Values (n,) int64 of keys (n, 16) uint8; -1 for absent ones.");
}

void bind_pack(py::module_& m) {
    m.def(
        "pack",
        [](const Array<std::int64_t>& lengths, std::int64_t max_tokens) {
            UNIVAR_CHECK(lengths.ndim() == 1, "lengths must be (n,) int64");
            univar::Packing packing;
            {
                py::gil_scoped_release release;
                packing =
                    univar::pack(lengths.data(), static_cast<std::size_t>(lengths.shape(0)), max_tokens);
            }
            return py::make_tuple(to_numpy(std::move(packing.order)), to_numpy(std::move(packing.cuts)));
        },
        "lengths"_a, "max_tokens"_a,
        "Cut rows of lengths (n,) int64 into batches of at most max_tokens tokens. Returns order (n,) int64, "
        "rows from short to long, and cuts (b + 1,) int64: order[cuts[i]:cuts[i+1]] is batch i. A longer row "
        "is a "
        "batch of its own.");
}

}  // namespace

PYBIND11_MODULE(_native, m) {
    m.doc() =
        "univar's C++ engine: tokenizers, the encoder's forward, training's kernels, exact search, packer, "
        "hash index.";
    bind_hash_index(m);
    bind_pack(m);
    univar::bind_tokenizers(m);
    univar::bind_training(m);
    univar::bind_forward(m);
    univar::bind_forward_pool(m);
    univar::bind_search(m);
}
