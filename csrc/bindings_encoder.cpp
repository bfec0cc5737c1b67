// Python's view of the encoder without torch: what the processor has, and packed texts through a Forward.
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "check.h"
#include "encoder/bulk_forward.h"
#include "encoder/cpu.h"
#include "encoder/forward.h"

namespace py = pybind11;
using namespace py::literals;

namespace univar {
namespace {

constexpr int kSignalCheckMs = 50;  // how long Ctrl-C may wait

template <typename Value>
Value named(const char* what, const std::string& name,
            const std::vector<std::pair<const char*, Value>>& known) {
    for (const auto& [key, value] : known)
        if (name == key) return value;
    throw std::invalid_argument(std::string("unknown ") + what + " " + name);
}

Isa isa_named(const std::string& name) {
    return named<Isa>(
        "instruction set", name,
        {{"portable", Isa::kPortable}, {"avx2", Isa::kAvx2}, {"avx512", Isa::kAvx512}, {"amx", Isa::kAmx}});
}

const char* name_of(Isa isa) {
    constexpr const char* kNames[] = {"portable", "avx2", "avx512", "amx"};
    return kNames[static_cast<int>(isa)];
}

Dtype dtype_named(const std::string& name) {
    return named<Dtype>("dtype", name,
                        {{"fp32", Dtype::kFloat32}, {"bf16", Dtype::kBfloat16}, {"int8", Dtype::kInt8}});
}

Activation activation_named(const std::string& name) {
    return named<Activation>("activation", name,
                             {{"gelu", Activation::kGelu},
                              {"gelu_tanh", Activation::kGeluTanh},
                              {"relu", Activation::kRelu},
                              {"swiglu", Activation::kSwiglu}});
}

using Matrix = Array<float>;
using LinearRow = std::pair<Matrix, std::optional<Matrix>>;
using NormRow = std::pair<Matrix, Matrix>;

LinearWeights linear_of(const LinearRow& row, std::size_t in, std::size_t out) {
    const auto& [weight, bias] = row;
    UNIVAR_CHECK(weight.ndim() == 2 && static_cast<std::size_t>(weight.shape(0)) == out &&
                     static_cast<std::size_t>(weight.shape(1)) == in,
                 "a linear weight must be (" << out << ", " << in << ")");
    UNIVAR_CHECK(!bias || static_cast<std::size_t>(bias->size()) == out, "a bias must be (" << out << ",)");
    return {weight.data(), bias ? bias->data() : nullptr, in, out};
}

NormWeights norm_of(const NormRow& row, std::size_t dim) {
    const auto& [weight, bias] = row;
    UNIVAR_CHECK(
        static_cast<std::size_t>(weight.size()) == dim && static_cast<std::size_t>(bias.size()) == dim,
        "a norm's weight and bias must be (" << dim << ",)");
    return {weight.data(), bias.data()};
}

// (qkv, out, up, down, attention_norm, output_norm)
using LayerRow = std::tuple<LinearRow, LinearRow, LinearRow, LinearRow, NormRow, NormRow>;

LayerWeights layer_of(const LayerRow& row, const ModelShape& s) {
    const std::size_t up = s.activation == Activation::kSwiglu ? 2 * s.intermediate : s.intermediate;
    const auto& [qkv, out, up_row, down, attention_norm, output_norm] = row;
    return {linear_of(qkv, s.dim, 3 * s.dim), linear_of(out, s.dim, s.dim),
            linear_of(up_row, s.dim, up),     linear_of(down, s.intermediate, s.dim),
            norm_of(attention_norm, s.dim),   norm_of(output_norm, s.dim)};
}

// A run over many texts, and the arrays it works on.
class Run {
  public:
    Run(std::shared_ptr<ThreadPool> pool, Array<std::int32_t> ids, Array<std::int64_t> cu_seqlens)
        : pool_(std::move(pool)), ids_(std::move(ids)), cu_seqlens_(std::move(cu_seqlens)) {
        const auto texts = static_cast<std::size_t>(cu_seqlens_.shape(0) - 1);
        const std::size_t dim = pool_->forward().dim();
        embeddings_ = py::array_t<float>({texts, dim});
        job_ = std::make_shared<TokenJob>(pool_->forward(), pool_->threads(), ids_.data(), cu_seqlens_.data(),
                                          texts, embeddings_.mutable_data());
        pool_->start(job_);
    }
    ~Run() {
        py::gil_scoped_release release;
        job_->cancel();
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    // Rows done since the last call, None after the last.
    std::optional<Array<std::int64_t>> take() {
        for (;;) {
            Finished finished;
            {
                py::gil_scoped_release release;
                finished = job_->take(kSignalCheckMs);
            }
            if (!finished.rows.empty())
                return Array<std::int64_t>(static_cast<py::ssize_t>(finished.rows.size()),
                                           finished.rows.data());
            if (finished.is_last) return std::nullopt;
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        }
    }

    const py::array_t<float>& embeddings() const { return embeddings_; }

  private:
    std::shared_ptr<ThreadPool> pool_;
    Array<std::int32_t> ids_;
    Array<std::int64_t> cu_seqlens_;
    py::array_t<float> embeddings_;
    std::shared_ptr<TokenJob> job_;
};

class NativeEncoder {
  public:
    NativeEncoder(const ModelShape& shape, const ModelWeights& weights, Dtype dtype, Isa isa,
                  std::size_t threads)
        : shape_(shape) {
        UNIVAR_CHECK(threads > 0, "threads must be > 0");
        py::gil_scoped_release release;
        pool_ = std::make_shared<ThreadPool>(make_forward(shape, weights, dtype, isa), threads);
    }

    std::unique_ptr<Run> start(Array<std::int32_t> ids, Array<std::int64_t> cu_seqlens) const {
        check_tokens(ids, cu_seqlens);
        return std::make_unique<Run>(pool_, std::move(ids), std::move(cu_seqlens));
    }

  private:
    void check_tokens(const Array<std::int32_t>& ids, const Array<std::int64_t>& cu_seqlens) const {
        UNIVAR_CHECK(ids.ndim() == 1 && cu_seqlens.ndim() == 1 && cu_seqlens.shape(0) > 0,
                     "ids must be (T,), cu_seqlens (texts + 1,)");
        const auto texts = cu_seqlens.shape(0) - 1;
        const std::int64_t* at = cu_seqlens.data();
        UNIVAR_CHECK(at[0] == 0 && at[texts] == ids.shape(0),
                     "cu_seqlens must rise from 0 to the number of ids");
        for (py::ssize_t i = 0; i < texts; ++i) {
            UNIVAR_CHECK(at[i] < at[i + 1], "text " << i << " is empty");
            UNIVAR_CHECK(at[i + 1] - at[i] <= static_cast<std::int64_t>(shape_.positions),
                         "text " << i << " has " << at[i + 1] - at[i] << " tokens, the model reads "
                                 << shape_.positions);
        }
        for (py::ssize_t i = 0; i < ids.shape(0); ++i)
            UNIVAR_CHECK(0 <= ids.data()[i] && ids.data()[i] < static_cast<std::int64_t>(shape_.vocab),
                         "token id " << ids.data()[i] << " is not in the vocabulary");
    }

    ModelShape shape_;
    std::shared_ptr<ThreadPool> pool_;
};

std::unique_ptr<NativeEncoder> make_encoder(const Matrix& word, const std::optional<Matrix>& position,
                                            const NormRow& embedding_norm,
                                            const std::vector<LayerRow>& layers, std::size_t heads,
                                            std::size_t intermediate, std::size_t positions,
                                            const std::string& activation, const std::string& pooling,
                                            float norm_eps, float rotary_base, const std::string& dtype,
                                            const std::string& isa, std::size_t threads) {
    UNIVAR_CHECK(word.ndim() == 2 && heads > 0, "word must be (V, dim), heads > 0");
    ModelShape shape{};
    shape.dim = static_cast<std::size_t>(word.shape(1));
    shape.vocab = static_cast<std::size_t>(word.shape(0));
    shape.heads = heads;
    shape.intermediate = intermediate;
    shape.layers = layers.size();
    shape.positions = positions;
    shape.activation = activation_named(activation);
    shape.pooling = named<Pooling>("pooling", pooling, {{"mean", Pooling::kMean}, {"cls", Pooling::kCls}});
    shape.norm_eps = norm_eps;
    shape.rotary_base = rotary_base;
    UNIVAR_CHECK(
        !position || (position->ndim() == 2 && static_cast<std::size_t>(position->shape(0)) >= positions &&
                      static_cast<std::size_t>(position->shape(1)) == shape.dim),
        "position must be (positions, dim)");
    ModelWeights weights{
        word.data(), position ? position->data() : nullptr, norm_of(embedding_norm, shape.dim), {}};
    for (const LayerRow& layer : layers) weights.layers.push_back(layer_of(layer, shape));
    return std::make_unique<NativeEncoder>(shape, weights, dtype_named(dtype), isa_named(isa), threads);
}

}  // namespace

void bind_encoder(py::module_& m) {
    m.def(
        "cpu_features",
        [] {
            const CpuFeatures& cpu = cpu_features();
            return py::dict("avx2"_a = cpu.avx2, "avx512"_a = cpu.avx512, "avx512_bf16"_a = cpu.avx512_bf16,
                            "amx_bf16"_a = cpu.amx_bf16);
        },
        "Instruction sets that this process may use, by name.");
    m.def("usable_cpus", &usable_cpus, "Processors that affinity and cgroup leave to this process.");
    m.def(
        "choose_isa",
        [](const std::string& dtype, const std::string& limit) {
            return std::string(name_of(choose_isa(dtype_named(dtype), isa_named(limit))));
        },
        "dtype"_a, "limit"_a = "amx",
        "Best instruction set here for fp32, bf16 or int8, at most `limit`: portable, avx2, avx512 or amx. "
        "ValueError where there is none.");

    py::class_<Run>(m, "Run", "Texts on their way through a NativeEncoder.")
        .def("take", &Run::take,
             "Waits; rows (n,) int64 finished since the last call, or None after the last.")
        .def_property_readonly("embeddings", &Run::embeddings,
                               "(texts, dim) float32; only rows that take() gave are filled.");
    py::class_<NativeEncoder>(m, "NativeEncoder",
                              "A transformer encoder without torch, with threads of its own.")
        .def(py::init(&make_encoder), py::kw_only(), "word"_a, "position"_a, "embedding_norm"_a, "layers"_a,
             "heads"_a, "intermediate"_a, "positions"_a, "activation"_a, "pooling"_a, "norm_eps"_a,
             "rotary_base"_a, "dtype"_a, "isa"_a, "threads"_a,
             "Weights are float32 and copied. word (V, dim), position (>= positions, dim) or None; norms are "
             "(weight, bias); a layer is (qkv, out, up, down, attention_norm, output_norm), its linears "
             "(weight "
             "(out, in), bias or None). rotary_base 0: none. ValueError for shapes that dtype or isa have "
             "not.")
        .def("start", &NativeEncoder::start, "ids"_a, "cu_seqlens"_a,
             "Begin packed texts, ids (T,) int32, cu_seqlens (texts + 1,) int64, no text empty. Returns a "
             "Run.");
}

}  // namespace univar
