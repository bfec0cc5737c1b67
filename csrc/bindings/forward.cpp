// _native.Forward: the encoder's forward over NumPy arrays.
#include "bindings/forward.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/module.h"
#include "common/check.h"
#include "encoder/forward.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Ids = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;

template <typename Enum>
using Names = std::vector<std::pair<const char*, Enum>>;

const Names<univar::Dtype> kDtypes = {
    {"fp32", univar::Dtype::kFloat32}, {"bf16", univar::Dtype::kBfloat16}, {"int8", univar::Dtype::kInt8}};
const Names<univar::Isa> kIsas = {{"portable", univar::Isa::kPortable},
                                  {"avx2", univar::Isa::kAvx2},
                                  {"avx512", univar::Isa::kAvx512},
                                  {"amx", univar::Isa::kAmx}};
const Names<univar::Activation> kActivations = {{"gelu", univar::Activation::kGelu},
                                                {"gelu_tanh", univar::Activation::kGeluTanh},
                                                {"relu", univar::Activation::kRelu},
                                                {"swiglu", univar::Activation::kSwiglu}};
const Names<univar::Pooling> kPoolings = {{"mean", univar::Pooling::kMean}, {"cls", univar::Pooling::kCls}};

template <typename Enum>
Enum by_name(const Names<Enum>& names, const std::string& wanted) {
    std::string known;
    for (const auto& [name, value] : names) {
        if (wanted == name) return value;
        known += known.empty() ? name : std::string(", ") + name;
    }
    UNIVAR_CHECK(false, "unknown name '" << wanted << "': give one of " << known);
    return names.front().second;
}

template <typename Enum>
const char* name_of(const Names<Enum>& names, Enum wanted) {
    for (const auto& [name, value] : names)
        if (value == wanted) return name;
    return "";
}

// The arrays of a call, as C-contiguous float32, kept until it returns.
class KeptArrays {
  public:
    const float* of(const py::handle& given, std::vector<std::size_t> shape, const char* name) {
        Floats array = py::cast<Floats>(given);
        bool fits = static_cast<std::size_t>(array.ndim()) == shape.size();
        for (std::size_t i = 0; fits && i < shape.size(); ++i)
            fits = static_cast<std::size_t>(array.shape(static_cast<py::ssize_t>(i))) == shape[i];
        UNIVAR_CHECK(fits, name << " does not have the shape that the model's sizes give");
        arrays_.push_back(array);
        return array.data();
    }

    const float* of_optional(const py::handle& given, std::vector<std::size_t> shape, const char* name) {
        return given.is_none() ? nullptr : of(given, std::move(shape), name);
    }

    univar::LinearWeights linear(const py::dict& layer, const char* name, std::size_t in, std::size_t out) {
        const auto pair = py::cast<py::tuple>(layer[name]);
        return {of(pair[0], {out, in}, name), of_optional(pair[1], {out}, name), in, out};
    }

    univar::NormWeights norm(const py::dict& from, const char* name, std::size_t dim) {
        const auto pair = py::cast<py::tuple>(from[name]);
        return {of(pair[0], {dim}, name), of(pair[1], {dim}, name)};
    }

  private:
    std::vector<Floats> arrays_;
};

univar::ModelShape shape_of(const py::dict& given) {
    univar::ModelShape shape{};
    shape.dim = py::cast<std::size_t>(given["dim"]);
    shape.heads = py::cast<std::size_t>(given["heads"]);
    shape.intermediate = py::cast<std::size_t>(given["intermediate"]);
    shape.layers = py::cast<std::size_t>(given["layers"]);
    shape.vocab = py::cast<std::size_t>(given["vocab"]);
    shape.positions = py::cast<std::size_t>(given["positions"]);
    shape.activation = by_name(kActivations, py::cast<std::string>(given["activation"]));
    shape.pooling = by_name(kPoolings, py::cast<std::string>(given["pooling"]));
    shape.norm_eps = py::cast<float>(given["norm_eps"]);
    shape.rotary_base = py::cast<float>(given["rotary_base"]);
    return shape;
}

univar::ModelWeights weights_of(const univar::ModelShape& shape, const py::dict& given, KeptArrays& kept) {
    univar::ModelWeights weights{};
    weights.word = kept.of(given["word"], {shape.vocab, shape.dim}, "word");
    weights.position = kept.of_optional(given["position"], {shape.positions, shape.dim}, "position");
    weights.embedding_norm = kept.norm(given, "embedding_norm", shape.dim);
    const std::size_t up = shape.intermediate * (shape.activation == univar::Activation::kSwiglu ? 2 : 1);
    for (const py::handle item : given["layers"]) {
        const auto layer = py::cast<py::dict>(item);
        weights.layers.push_back(
            {kept.linear(layer, "qkv", shape.dim, 3 * shape.dim),
             kept.linear(layer, "out", shape.dim, shape.dim), kept.linear(layer, "up", shape.dim, up),
             kept.linear(layer, "down", shape.intermediate, shape.dim),
             kept.norm(layer, "attention_norm", shape.dim), kept.norm(layer, "output_norm", shape.dim)});
    }
    return weights;
}

univar::BoundForward make_bound(const py::dict& shape, const py::dict& weights, const std::string& dtype,
                                const std::string& isa) {
    const univar::ModelShape sizes = shape_of(shape);
    const univar::Dtype format = by_name(kDtypes, dtype);
    const univar::Isa chosen =
        isa == "auto" ? univar::choose_isa(format, univar::Isa::kAmx) : by_name(kIsas, isa);
    KeptArrays kept;
    const univar::ModelWeights given = weights_of(sizes, weights, kept);
    py::gil_scoped_release release;
    return {sizes, chosen, univar::make_forward(sizes, given, format, chosen)};
}

py::array_t<float> run(const univar::BoundForward& self, const Ids& ids, const Ids& cu_seqlens) {
    UNIVAR_CHECK(ids.ndim() == 1 && cu_seqlens.ndim() == 1 && cu_seqlens.shape(0) > 0,
                 "ids must be (T,) and cu_seqlens (n + 1,)");
    const auto texts = static_cast<std::size_t>(cu_seqlens.shape(0) - 1);
    univar::check_tokens(self.shape, ids.data(), static_cast<std::size_t>(ids.shape(0)), cu_seqlens.data(),
                         texts);
    py::array_t<float> out({texts, self.shape.dim});
    float* rows = out.mutable_data();
    py::gil_scoped_release release;
    const auto workspace = self.forward->make_workspace();
    self.forward->run(ids.data(), cu_seqlens.data(), texts, *workspace, rows);
    return out;
}

}  // namespace

void univar::bind_forward(py::module_& m) {
    m.def(
        "choose_isa",
        [](const std::string& dtype, const std::string& limit) {
            return name_of(kIsas, univar::choose_isa(by_name(kDtypes, dtype), by_name(kIsas, limit)));
        },
        "dtype"_a, "limit"_a = "amx",
        "The best instruction set on this CPU for fp32, bf16 or int8, at most `limit`: portable, avx2, "
        "avx512 or "
        "amx. Raises ValueError if there is none.");
    py::class_<univar::BoundForward>(m, "Forward",
                                     "An encoder from token ids to embeddings, single-threaded.")
        .def(py::init(&make_bound), "shape"_a, "weights"_a, "dtype"_a, "isa"_a = "auto",
             "shape: dim, heads, intermediate, layers, vocab, positions, activation, pooling, norm_eps, "
             "rotary_base (0 for none). weights: word, position or None, embedding_norm (weight, bias), "
             "layers: "
             "dicts of qkv, out, up, down (weight (out, in), bias or None), attention_norm, output_norm. "
             "dtype: "
             "fp32, bf16 or int8; isa: auto, portable, avx2, avx512 or amx.")
        .def_property_readonly(
            "isa", [](const univar::BoundForward& self) { return name_of(kIsas, self.isa); },
            "The instruction set that it runs on.")
        .def(
            "run", &run, "ids"_a, "cu_seqlens"_a,
            "Embeddings (n, dim) float32, rows of length 1, of packed texts: ids (T,) int32, cu_seqlens (n + "
            "1,) int32.");
}
