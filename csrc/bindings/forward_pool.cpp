// _native.ForwardPool and its runs, and what the CPU offers.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/forward.h"
#include "bindings/module.h"
#include "common/check.h"
#include "common/cpu.h"
#include "common/threads.h"
#include "encoder/bulk_forward.h"
#include "encoder/forward.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

using univar::Array;

constexpr int kSignalCheckMs = 50;  // how long Ctrl-C may wait

// One run over many texts, with the arrays it works on.
class ForwardRun {
  public:
    ForwardRun(std::shared_ptr<univar::ThreadPool> pool, std::size_t texts)
        : pool_(std::move(pool)),
          embeddings_({texts, pool_->forward().dim()}),
          n_tokens_(static_cast<py::ssize_t>(texts)),
          truncated_(static_cast<py::ssize_t>(texts)) {}
    ~ForwardRun() {
        py::gil_scoped_release release;
        if (job_) job_->cancel();
    }
    ForwardRun(const ForwardRun&) = delete;
    ForwardRun& operator=(const ForwardRun&) = delete;

    // Begins. `kept` are the arrays that the input points into.
    template <typename Input>
    void start(Input input, std::vector<py::array> kept) {
        kept_ = std::move(kept);
        job_ = std::make_shared<univar::BulkJob>(pool_->forward(), pool_->threads(), std::move(input),
                                                 embeddings_.mutable_data());
        pool_->start(job_);
    }

    // Rows finished since the last call; None after the last.
    std::optional<py::array_t<std::int64_t>> take() {
        for (;;) {
            univar::Finished finished;
            {
                py::gil_scoped_release release;
                finished = job_->take(kSignalCheckMs);
            }
            if (!finished.rows.empty())
                return py::array_t<std::int64_t>(static_cast<py::ssize_t>(finished.rows.size()),
                                                 finished.rows.data());
            if (finished.is_last) return std::nullopt;
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        }
    }

    const py::array_t<float>& embeddings() const { return embeddings_; }
    const py::array_t<std::int64_t>& n_tokens() const { return n_tokens_; }
    py::object truncated() const { return truncated_.attr("view")("bool"); }
    std::int64_t* mutable_n_tokens() { return n_tokens_.mutable_data(); }
    std::uint8_t* mutable_truncated() { return truncated_.mutable_data(); }

  private:
    std::shared_ptr<univar::ThreadPool> pool_;
    std::vector<py::array> kept_;
    py::array_t<float> embeddings_;
    py::array_t<std::int64_t> n_tokens_;
    py::array_t<std::uint8_t> truncated_;
    std::shared_ptr<univar::BulkJob> job_;
};

// A Forward on threads of its own.
class BoundPool {
  public:
    BoundPool(const univar::BoundForward& forward, std::size_t threads) : shape_(forward.shape) {
        UNIVAR_CHECK(threads > 0, "threads must be > 0");
        pool_ = std::make_shared<univar::ThreadPool>(forward.forward, threads);
    }

    std::unique_ptr<ForwardRun> start(const Array<std::int32_t>& ids,
                                      const Array<std::int64_t>& cu_seqlens) const {
        UNIVAR_CHECK(ids.ndim() == 1 && cu_seqlens.ndim() == 1 && cu_seqlens.shape(0) > 0,
                     "ids must be (T,), cu_seqlens (texts + 1,)");
        const auto texts = static_cast<std::size_t>(cu_seqlens.shape(0) - 1);
        univar::check_tokens(shape_, ids.data(), static_cast<std::size_t>(ids.shape(0)), cu_seqlens.data(),
                             texts);
        auto run = std::make_unique<ForwardRun>(pool_, texts);
        run->start(univar::TokenInput{ids.data(), cu_seqlens.data(), texts}, {ids, cu_seqlens});
        return run;
    }

    std::unique_ptr<ForwardRun> embed(const univar::Tokenizer& tokenizer, const py::array& offsets,
                                      const Array<std::uint8_t>& data, std::size_t max_length) const {
        UNIVAR_CHECK(max_length > 2 && max_length <= shape_.positions,
                     "max_length must be in 3.." << shape_.positions << ", got " << max_length);
        univar::Texts texts = univar::texts_of(offsets, data);
        auto run = std::make_unique<ForwardRun>(pool_, texts.views.size());
        run->start(univar::TextInput{&tokenizer, std::move(texts), max_length, shape_.vocab,
                                     run->mutable_n_tokens(), run->mutable_truncated()},
                   {data});
        return run;
    }

  private:
    univar::ModelShape shape_;
    std::shared_ptr<univar::ThreadPool> pool_;
};

}  // namespace

void univar::bind_forward_pool(py::module_& m) {
    m.def(
        "cpu_features",
        [] {
            const univar::CpuFeatures& cpu = univar::cpu_features();
            return py::dict("avx2"_a = cpu.avx2, "avx512"_a = cpu.avx512, "avx512_vnni"_a = cpu.avx512_vnni,
                            "avx512_bf16"_a = cpu.avx512_bf16, "avx512_bf16_fast"_a = cpu.avx512_bf16_fast,
                            "amx_bf16"_a = cpu.amx_bf16, "amx_int8"_a = cpu.amx_int8);
        },
        "Which instruction sets this process may use, by name.");
    m.def("usable_cpus", &univar::usable_cpus,
          "Number of CPUs that this process may use by its affinity and its cgroup.");
    py::class_<ForwardRun>(m, "ForwardRun", "One run of texts through a ForwardPool.")
        .def("take", &ForwardRun::take,
             "Wait. Returns the rows (n,) int64 finished since the last call, or None after the last.")
        .def_property_readonly("embeddings", &ForwardRun::embeddings,
                               "(texts, dim) float32; only rows that take() returned are filled.")
        .def_property_readonly("n_tokens", &ForwardRun::n_tokens,
                               "(texts,) int64, after embed(); filled like embeddings.")
        .def_property_readonly("truncated", &ForwardRun::truncated,
                               "(texts,) bool, after embed(); filled like embeddings.");
    py::class_<BoundPool>(m, "ForwardPool", "A Forward on threads of its own.")
        .def(py::init<const univar::BoundForward&, std::size_t>(), "forward"_a, "threads"_a)
        .def("start", &BoundPool::start, "ids"_a, "cu_seqlens"_a,
             "Begin a run over packed texts, ids (T,) int32, cu_seqlens (texts + 1,) int64, no text empty. "
             "Returns "
             "a ForwardRun.")
        .def(
            "embed", &BoundPool::embed, "tokenizer"_a, "offsets"_a, "data"_a, py::kw_only(), "max_length"_a,
            py::keep_alive<0, 2>(),
            "Begin a run over texts data[offsets[i]:offsets[i+1]], offsets (texts + 1,) int32 or int64, data "
            "(bytes,) uint8. The same threads tokenise and run the forward. Returns a ForwardRun.");
}
