// Python's view of the encoder without torch: what the processor has, and packed texts through a Forward.
#include "bindings_encoder.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bindings_forward.h"
#include "check.h"
#include "encoder/bulk_forward.h"
#include "encoder/cpu.h"
#include "encoder/forward.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

template <typename T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

constexpr int kSignalCheckMs = 50;  // how long Ctrl-C may wait

// A run over many texts, and the arrays it works on.
class Run {
  public:
    Run(std::shared_ptr<univar::ThreadPool> pool, Array<std::int32_t> ids, Array<std::int64_t> cu_seqlens)
        : pool_(std::move(pool)), ids_(std::move(ids)), cu_seqlens_(std::move(cu_seqlens)) {
        const auto texts = static_cast<std::size_t>(cu_seqlens_.shape(0) - 1);
        const std::size_t dim = pool_->forward().dim();
        embeddings_ = py::array_t<float>({texts, dim});
        job_ = std::make_shared<univar::TokenJob>(pool_->forward(), pool_->threads(), ids_.data(),
                                                  cu_seqlens_.data(), texts, embeddings_.mutable_data());
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
            univar::Finished finished;
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
    std::shared_ptr<univar::ThreadPool> pool_;
    Array<std::int32_t> ids_;
    Array<std::int64_t> cu_seqlens_;
    py::array_t<float> embeddings_;
    std::shared_ptr<univar::TokenJob> job_;
};

// Threads of their own for a Forward.
class BoundPool {
  public:
    BoundPool(const BoundForward& forward, std::size_t threads) : shape_(forward.shape) {
        UNIVAR_CHECK(threads > 0, "threads must be > 0");
        pool_ = std::make_shared<univar::ThreadPool>(forward.forward, threads);
    }

    std::unique_ptr<Run> start(Array<std::int32_t> ids, Array<std::int64_t> cu_seqlens) const {
        UNIVAR_CHECK(ids.ndim() == 1 && cu_seqlens.ndim() == 1 && cu_seqlens.shape(0) > 0,
                     "ids must be (T,), cu_seqlens (texts + 1,)");
        univar::check_tokens(shape_, ids.data(), static_cast<std::size_t>(ids.shape(0)), cu_seqlens.data(),
                             static_cast<std::size_t>(cu_seqlens.shape(0) - 1));
        return std::make_unique<Run>(pool_, std::move(ids), std::move(cu_seqlens));
    }

  private:
    univar::ModelShape shape_;
    std::shared_ptr<univar::ThreadPool> pool_;
};

}  // namespace

void bind_encoder(py::module_& m) {
    m.def(
        "cpu_features",
        [] {
            const univar::CpuFeatures& cpu = univar::cpu_features();
            return py::dict("avx2"_a = cpu.avx2, "avx512"_a = cpu.avx512, "avx512_vnni"_a = cpu.avx512_vnni,
                            "avx512_bf16"_a = cpu.avx512_bf16, "amx_bf16"_a = cpu.amx_bf16,
                            "amx_int8"_a = cpu.amx_int8);
        },
        "Instruction sets that this process may use, by name.");
    m.def("usable_cpus", &univar::usable_cpus, "Processors that affinity and cgroup leave to this process.");
    py::class_<Run>(m, "Run", "Texts on their way through a ForwardPool.")
        .def("take", &Run::take,
             "Waits; rows (n,) int64 finished since the last call, or None after the last.")
        .def_property_readonly("embeddings", &Run::embeddings,
                               "(texts, dim) float32; only rows that take() gave are filled.");
    py::class_<BoundPool>(m, "ForwardPool", "A Forward on threads of its own.")
        .def(py::init<const BoundForward&, std::size_t>(), "forward"_a, "threads"_a)
        .def("start", &BoundPool::start, "ids"_a, "cu_seqlens"_a,
             "Begin packed texts, ids (T,) int32, cu_seqlens (texts + 1,) int64, no text empty. Returns a "
             "Run.");
}
