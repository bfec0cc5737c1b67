// _native.exact_search.
#include <pybind11/numpy.h>

#include "bindings/module.h"
#include "common/check.h"
#include "search/exact.h"

namespace py = pybind11;
using namespace py::literals;

namespace univar {

namespace {

search::Matrix matrix_of(const py::array& array, const char* name) {
    const std::string kind = py::str(array.dtype());
    UNIVAR_CHECK(
        array.ndim() == 2 && (array.flags() & py::array::c_style) && (kind == "float16" || kind == "float32"),
        name << " must be a contiguous (n, dim) array of float16 or float32");
    return {array.data(), kind == "float16", static_cast<std::size_t>(array.shape(0)),
            static_cast<std::size_t>(array.shape(1))};
}

py::tuple exact_search(const py::array& queries, const py::array& rows, std::size_t k, std::size_t threads,
                       const std::string& isa) {
    const search::Matrix q = matrix_of(queries, "queries"), r = matrix_of(rows, "rows");
    UNIVAR_CHECK(q.dim == r.dim && q.dim > 0, "queries have " << q.dim << " numbers a row, rows " << r.dim);
    UNIVAR_CHECK(k > 0 && threads > 0, "k and threads must be at least 1");
    py::array_t<float> scores({q.n, k});
    py::array_t<std::int64_t> indices({q.n, k});
    search::Result result;
    {
        py::gil_scoped_release release;
        result = search::exact_search(q, r, k, threads, isa, scores.mutable_data(), indices.mutable_data());
    }
    static const char* kNames[] = {"found", "bad query", "bad row", "out of range"};
    return py::make_tuple(scores, indices, kNames[static_cast<int>(result.outcome)], result.place);
}

}  // namespace

void bind_search(py::module_& m) {
    m.def("exact_search", &exact_search, "queries"_a, "rows"_a, "k"_a, py::kw_only(), "threads"_a,
          "isa"_a = "auto",
          "The k rows with the largest inner product with each query, as a search in float64 finds them. "
          "queries (Q, D), rows (N, D): float16 or float32, contiguous. Returns scores (Q, k) float32 from "
          "high to low, ties by the lower row, indices (Q, k) int64 (-inf and -1 where N < k), and what "
          "happened: 'found'; 'bad query' or 'bad row', which holds a NaN or an infinity; or 'out of range', "
          "where floats can't bound the scores; with the query or row. isa: auto, portable, avx2, avx512 or "
          "avx512_bf16; ValueError for one that this CPU lacks.");
    m.def("search_isa", &search::search_isa, "The instruction set that exact_search takes by itself.");
}

}  // namespace univar
