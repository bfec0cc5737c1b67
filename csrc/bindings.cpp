// The files bindings*.cpp alone know Python: they check shapes, release the GIL, turn exceptions into
// Python's.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "bindings_tokenizer.h"
#include "check.h"
#include "encoder/bf16_kernels.h"
#include "encoder/cpu.h"
#include "hash_index.h"
#include "pack.h"

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
            "Add keys (n, 16) uint8 with values (n,) int64 >= 0. Returns (n,) int64: the value each key "
            "already had, "
            "also from earlier in this call, or -1 where it is new. The first value of a key stays.")
        .def(
            "find",
            [](const univar::HashIndex& self, const Array<std::uint8_t>& keys) {
                const std::size_t n = check_keys(keys);
                std::vector<std::int64_t> values(n);
                self.find(keys.data(), n, values.data());
                return to_numpy(std::move(values));
            },
            "keys"_a, "Values (n,) int64 of keys (n, 16) uint8, -1 where absent.");
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
        "rows from "
        "short to long, and cuts (b + 1,) int64: order[cuts[i]:cuts[i+1]] is batch i. A longer row is a "
        "batch alone.");
}

template <typename T>
T* at(std::uintptr_t address) {
    return reinterpret_cast<T*>(address);
}

void check_bf16(std::size_t dim) {
    UNIVAR_CHECK(univar::bf16_kernels_usable(), "the bf16 kernels need a CPU with AMX-BF16");
    UNIVAR_CHECK(dim > 0 && dim % 32 == 0 && dim <= univar::kMaxDim,
                 "dim must be a multiple of 32 up to " << univar::kMaxDim << ", got " << dim);
}

// Number of texts; cu_seqlens must rise from 0, to `tokens` at most unless that is negative.
std::size_t check_texts(const Array<std::int32_t>& cu_seqlens, py::ssize_t tokens) {
    UNIVAR_CHECK(cu_seqlens.ndim() == 1 && cu_seqlens.shape(0) > 0, "cu_seqlens must be (texts + 1,) int32");
    const std::int32_t* at = cu_seqlens.data();
    const auto texts = static_cast<std::size_t>(cu_seqlens.shape(0) - 1);
    UNIVAR_CHECK(at[0] == 0 && (tokens < 0 || at[texts] <= tokens),
                 "cu_seqlens must rise from 0 to the number of tokens");
    for (std::size_t i = 0; i < texts; ++i) UNIVAR_CHECK(at[i] < at[i + 1], "text " << i << " is empty");
    return texts;
}

void bind_encoder(py::module_& m) {
    m.def(
        "cpu_features",
        [] {
            const univar::CpuFeatures& cpu = univar::cpu_features();
            return py::dict("avx2"_a = cpu.avx2, "avx512"_a = cpu.avx512, "avx512_bf16"_a = cpu.avx512_bf16,
                            "amx_bf16"_a = cpu.amx_bf16);
        },
        "Instruction sets that this process may use, by name.");
    m.def("bf16_kernels_usable", &univar::bf16_kernels_usable,
          "Whether the functions ending in _bf16 run here: they need AMX, and a compiler that knew it.");
    // Addresses of torch's tensors: torch has no place in this module, and NumPy no bfloat16.
    using Address = std::uintptr_t;
    m.def(
        "embed_bf16",
        [](const Array<std::int32_t>& ids, const Array<std::int32_t>& cu_seqlens, Address word,
           Address position, Address weight, Address bias, float eps, std::size_t dim, Address out) {
            check_bf16(dim);
            const std::size_t texts = check_texts(cu_seqlens, ids.shape(0));
            const univar::Norm norm{at<const float>(weight), at<const float>(bias), eps};
            py::gil_scoped_release release;
            univar::embed(ids.data(), cu_seqlens.data(), texts, at<const float>(word),
                          at<const float>(position), norm, dim, at<univar::Bf16>(out));
        },
        "ids"_a, "cu_seqlens"_a, "word"_a, "position"_a, "weight"_a, "bias"_a, "eps"_a, "dim"_a, "out"_a,
        "out (T, dim) bfloat16 = layer_norm(word[ids] + position[place]); float32 tables, position may be "
        "0.");
    m.def(
        "add_layer_norm_bf16",
        [](Address x, Address residual, Address weight, Address bias, float eps, std::size_t rows,
           std::size_t dim, Address out) {
            check_bf16(dim);
            const univar::Norm norm{at<const float>(weight), at<const float>(bias), eps};
            py::gil_scoped_release release;
            univar::add_layer_norm(at<const univar::Bf16>(x), at<const univar::Bf16>(residual), norm, rows,
                                   dim, at<univar::Bf16>(out));
        },
        "x"_a, "residual"_a, "weight"_a, "bias"_a, "eps"_a, "rows"_a, "dim"_a, "out"_a,
        "out = layer_norm(x + residual), (rows, dim) contiguous bfloat16; weight, bias float32.");
    m.def(
        "gelu_bf16",
        [](Address x, std::size_t n) {
            check_bf16(32);
            UNIVAR_CHECK(n % 32 == 0, "n must be a multiple of 32, got " << n);
            py::gil_scoped_release release;
            univar::gelu(at<univar::Bf16>(x), n);
        },
        "x"_a, "n"_a, "x = gelu(x) in place, n contiguous bfloat16.");
    m.def(
        "attention_bf16",
        [](Address qkv, const Array<std::int32_t>& cu_seqlens, std::size_t heads, std::size_t head_dim,
           Address out) {
            check_bf16(heads * head_dim);
            UNIVAR_CHECK(head_dim % 32 == 0 && head_dim > 0 && head_dim <= 128,
                         "head_dim must be 32, 64, 96 or 128, got " << head_dim);
            const std::size_t texts = check_texts(cu_seqlens, -1);
            py::gil_scoped_release release;
            univar::attention(at<const univar::Bf16>(qkv), cu_seqlens.data(), texts, heads, head_dim,
                              at<univar::Bf16>(out));
        },
        "qkv"_a, "cu_seqlens"_a, "heads"_a, "head_dim"_a, "out"_a,
        "Attention of packed texts; contiguous bfloat16 qkv (T, 3, heads, head_dim), out (T, dim).");
    m.def(
        "pool_bf16",
        [](Address x, const Array<std::int32_t>& cu_seqlens, std::size_t dim, bool first_only, Address out) {
            check_bf16(dim);
            const std::size_t texts = check_texts(cu_seqlens, -1);
            py::gil_scoped_release release;
            univar::pool(at<const univar::Bf16>(x), cu_seqlens.data(), texts, dim, first_only,
                         at<float>(out));
        },
        "x"_a, "cu_seqlens"_a, "dim"_a, "first_only"_a, "out"_a,
        "out (texts, dim) float32, rows of length 1: mean or first row of each text of x (T, dim) bfloat16.");
}

}  // namespace

PYBIND11_MODULE(_native, m) {
    m.doc() = "univar's C++ engine: tokenizer, packer, hash index.";
    bind_hash_index(m);
    bind_pack(m);
    univar::bind_tokenizers(m);
    bind_encoder(m);
}
