// Attention and gradients of linear layers for training, over NumPy arrays. NumPy has no bf16, so values come
// as their 16 bits.
#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "bindings/module.h"
#include "common/check.h"
#include "common/cpu.h"
#include "encoder/training/attention_gradient.h"
#include "encoder/training/linear_gradient.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

using Halves = py::array_t<std::uint16_t, py::array::c_style>;
using Floats = py::array_t<float, py::array::c_style>;
using Ends = py::array_t<std::int32_t, py::array::c_style>;

#if defined(UNIVAR_X86_BF16)

// Whether to use AMX tiles. Throws unless isa is "amx" or "avx512" and this CPU has it.
bool uses_tiles(const std::string& isa) {
    const univar::CpuFeatures& cpu = univar::cpu_features();
    const bool tiles = isa == "amx";
    UNIVAR_CHECK(tiles || isa == "avx512", "isa must be amx or avx512");
    UNIVAR_CHECK(tiles ? cpu.amx_bf16 : cpu.avx512_bf16,
                 "this CPU has no " << (tiles ? "AMX-BF16" : "AVX512-BF16"));
    return tiles;
}

univar::AttentionBatch batch_of(const Halves& qkv, const Ends& cu_seqlens) {
    UNIVAR_CHECK(qkv.ndim() == 4 && qkv.shape(1) == 3 && qkv.shape(3) > 0 && qkv.shape(3) % 32 == 0,
                 "qkv must be (rows, 3, heads, head_dim), head_dim a multiple of 32");
    UNIVAR_CHECK(cu_seqlens.ndim() == 1 && cu_seqlens.shape(0) > 0, "cu_seqlens must be (texts + 1,)");
    const auto texts = static_cast<std::size_t>(cu_seqlens.shape(0) - 1);
    const std::int32_t* ends = cu_seqlens.data();
    for (std::size_t i = 0; i < texts; ++i)
        UNIVAR_CHECK(ends[i] <= ends[i + 1], "cu_seqlens falls after text " << i);
    UNIVAR_CHECK(ends[0] == 0 && ends[texts] <= qkv.shape(0),
                 "cu_seqlens must begin at 0 and end within qkv");
    return {qkv.data(), ends, texts, static_cast<std::size_t>(qkv.shape(2)),
            static_cast<std::size_t>(qkv.shape(3))};
}

void check_shape(const py::array& array, py::ssize_t rows, py::ssize_t columns, const char* name) {
    UNIVAR_CHECK(array.ndim() == 2 && array.shape(0) == rows && array.shape(1) == columns,
                 name << " must be (" << rows << ", " << columns << ")");
}

py::tuple bound_attention(const Halves& qkv, const Ends& cu_seqlens, const std::string& isa) {
    const bool tiles = uses_tiles(isa);
    const univar::AttentionBatch batch = batch_of(qkv, cu_seqlens);
    const auto tokens = static_cast<py::ssize_t>(batch.tokens()), dim = static_cast<py::ssize_t>(batch.dim());
    Halves out({qkv.shape(0), dim});
    Floats log_sums({qkv.shape(2), tokens});
    std::uint16_t* to = out.mutable_data();
    float* sums = log_sums.mutable_data();
    {
        py::gil_scoped_release release;
        std::fill(to + tokens * dim, to + out.size(), std::uint16_t{0});
        univar::attention(batch, tiles, to, sums);
    }
    return py::make_tuple(std::move(out), std::move(log_sums));
}

Halves bound_attention_gradient(const Halves& qkv, const Ends& cu_seqlens, const Halves& out,
                                const Floats& log_sums, const Halves& d_out, const std::string& isa) {
    const bool tiles = uses_tiles(isa);
    const univar::AttentionBatch batch = batch_of(qkv, cu_seqlens);
    const auto tokens = static_cast<py::ssize_t>(batch.tokens()), dim = static_cast<py::ssize_t>(batch.dim());
    check_shape(out, qkv.shape(0), dim, "out");
    check_shape(d_out, qkv.shape(0), dim, "d_out");
    check_shape(log_sums, qkv.shape(2), tokens, "log_sums");
    Halves d_qkv({qkv.shape(0), py::ssize_t{3}, qkv.shape(2), qkv.shape(3)});
    const std::uint16_t *result = out.data(), *gradient = d_out.data();
    const float* sums = log_sums.data();
    std::uint16_t* to = d_qkv.mutable_data();
    {
        py::gil_scoped_release release;
        std::fill(to + 3 * tokens * dim, to + d_qkv.size(), std::uint16_t{0});
        univar::attention_gradient(batch, tiles, result, sums, gradient, to);
    }
    return d_qkv;
}

void bound_linear_gradient(const Halves& x, const Halves& d_out, Floats& d_weight, Floats& d_bias,
                           const std::string& isa) {
    const bool tiles = uses_tiles(isa);
    UNIVAR_CHECK(x.ndim() == 2 && x.shape(1) > 0 && x.shape(1) % 32 == 0,
                 "x must be (rows, inputs), inputs a multiple of 32");
    UNIVAR_CHECK(d_out.ndim() == 2 && d_out.shape(1) > 0 && d_out.shape(1) % 32 == 0,
                 "d_out must be (rows, outputs), outputs a multiple of 32");
    check_shape(d_out, x.shape(0), d_out.shape(1), "d_out");
    check_shape(d_weight, d_out.shape(1), x.shape(1), "d_weight");
    UNIVAR_CHECK(d_bias.ndim() == 1 && d_bias.shape(0) == d_out.shape(1),
                 "d_bias must be (" << d_out.shape(1) << ",)");
    const univar::LinearBatch batch{x.data(), d_out.data(), static_cast<std::size_t>(x.shape(0)),
                                    static_cast<std::size_t>(x.shape(1)),
                                    static_cast<std::size_t>(d_out.shape(1))};
    float *weight = d_weight.mutable_data(), *bias = d_bias.mutable_data();
    py::gil_scoped_release release;
    univar::linear_gradient(batch, tiles, weight, bias);
}

#else

py::tuple bound_attention(const Halves&, const Ends&, const std::string&) {
    throw std::invalid_argument("this build has no bf16: its compiler did not know AMX");
}

Halves bound_attention_gradient(const Halves&, const Ends&, const Halves&, const Floats&, const Halves&,
                                const std::string&) {
    throw std::invalid_argument("this build has no bf16: its compiler did not know AMX");
}

void bound_linear_gradient(const Halves&, const Halves&, Floats&, Floats&, const std::string&) {
    throw std::invalid_argument("this build has no bf16: its compiler did not know AMX");
}

#endif

}  // namespace

void univar::bind_training(py::module_& m) {
    m.def("attention", &bound_attention, py::arg("qkv").noconvert(), py::arg("cu_seqlens").noconvert(),
          "isa"_a,
          "Attention of packed texts on isa (amx or avx512), bf16 as uint16: qkv (rows, 3, heads, head_dim), "
          "cu_seqlens (texts "
          "+ 1,) int32. Returns (rows, dim) uint16, 0 after the last token, and log sums (heads, tokens) "
          "float32 for its gradient.");
    m.def("attention_gradient", &bound_attention_gradient, py::arg("qkv").noconvert(),
          py::arg("cu_seqlens").noconvert(), py::arg("out").noconvert(), py::arg("log_sums").noconvert(),
          py::arg("d_out").noconvert(), "isa"_a,
          "Gradient of qkv, with its shape, from the results of attention() and the gradient d_out (rows, "
          "dim) of "
          "its out.");
    m.def("linear_gradient", &bound_linear_gradient, py::arg("x").noconvert(), py::arg("d_out").noconvert(),
          py::arg("d_weight").noconvert(), py::arg("d_bias").noconvert(), "isa"_a,
          "Gradients of a linear layer on isa (amx or avx512), bf16 as uint16. From its inputs x (rows, "
          "inputs) and "
          "the gradient d_out (rows, outputs) of its outputs: that of weight into d_weight (outputs, inputs) "
          "float32, "
          "that of bias into d_bias (outputs,) float32.");
}
