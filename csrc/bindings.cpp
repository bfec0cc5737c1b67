// The files bindings*.cpp alone know Python: they check shapes, release the GIL, turn exceptions into
// Python's.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings_encoder.h"
#include "bindings_forward.h"
#include "check.h"
#include "hash_index.h"
#include "pack.h"
#include "tokenizer/unigram.h"
#include "tokenizer/wordpiece.h"

namespace py = pybind11;
using namespace py::literals;

namespace {

template <typename T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

// A NumPy array that owns the vector's memory; nothing is copied.
template <typename T>
py::array_t<T> to_numpy(std::vector<T>&& values) {
    auto owner = std::make_unique<std::vector<T>>(std::move(values));
    T* data = owner->data();
    const auto n = static_cast<py::ssize_t>(owner->size());
    py::capsule free_owner(owner.release(),
                           [](void* pointer) { delete static_cast<std::vector<T>*>(pointer); });
    return py::array_t<T>(n, data, free_owner);
}

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

template <typename Offset>
univar::Texts texts_of(const py::array& offsets, const Array<std::uint8_t>& data) {
    const auto bounds = py::cast<Array<Offset>>(offsets);
    const auto n_bytes = static_cast<std::int64_t>(data.shape(0));
    const auto* bytes = reinterpret_cast<const char*>(data.data());
    univar::Texts texts{{}, bytes + n_bytes};
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

univar::Texts texts_of(const py::array& offsets, const Array<std::uint8_t>& data) {
    UNIVAR_CHECK(offsets.ndim() == 1 && offsets.shape(0) > 0, "offsets must be (n + 1,)");
    UNIVAR_CHECK(data.ndim() == 1, "data must be (bytes,) uint8");
    if (py::isinstance<py::array_t<std::int32_t>>(offsets)) return texts_of<std::int32_t>(offsets, data);
    if (py::isinstance<py::array_t<std::int64_t>>(offsets)) return texts_of<std::int64_t>(offsets, data);
    throw std::invalid_argument("offsets must be int32 or int64");
}

py::array_t<std::int32_t> to_numpy(univar::IdBuffer&& ids) {
    const auto n = static_cast<py::ssize_t>(ids.size());
    auto memory = ids.release();
    std::int32_t* data = memory.get();
    if (data == nullptr) return py::array_t<std::int32_t>(0);
    py::capsule owner(data,
                      [](void* pointer) { univar::IdBuffer::Free()(static_cast<std::int32_t*>(pointer)); });
    static_cast<void>(memory.release());
    return py::array_t<std::int32_t>(n, data, owner);
}

// (content, id, single_word, lstrip, rstrip, normalized)
using AddedTokenRow = std::tuple<std::string, std::int32_t, bool, bool, bool, bool>;

std::vector<univar::AddedToken> tokens_of(const std::vector<AddedTokenRow>& rows) {
    std::vector<univar::AddedToken> tokens;
    for (const auto& [content, id, single_word, lstrip, rstrip, normalized] : rows)
        tokens.push_back({content, id, single_word, lstrip, rstrip, normalized});
    return tokens;
}

void bind_tokenizer(py::module_& m) {
    py::class_<univar::Tokenizer>(m, "Tokenizer", "What WordPiece and Unigram have in common.")
        .def(
            "encode",
            [](const univar::Tokenizer& self, const py::array& offsets, const Array<std::uint8_t>& data,
               std::size_t max_length, int threads) {
                const univar::Texts texts = texts_of(offsets, data);
                univar::TokenBatch batch;
                {
                    py::gil_scoped_release release;
                    batch = self.encode(texts, max_length, threads);
                }
                return py::make_tuple(to_numpy(std::move(batch.ids)), to_numpy(std::move(batch.cu_seqlens)),
                                      to_numpy(std::move(batch.is_truncated)).attr("view")("bool"));
            },
            "offsets"_a, "data"_a, py::kw_only(), "max_length"_a, "threads"_a,
            "Tokens of texts data[offsets[i]:offsets[i+1]], offsets (n + 1,) int32 or int64, data (bytes,) "
            "uint8. Returns ids (T,) int32 with cls and sep, cu_seqlens (n + 1,) int64, truncated (n,) bool. "
            "Bytes that are not UTF-8 count as bytes.decode('utf-8', 'replace') has them.")
        .def("forget_words", &univar::Tokenizer::forget_words,
             "Drop the words remembered from earlier calls.");
}

std::unique_ptr<univar::WordPiece> make_wordpiece(const std::vector<std::string>& vocab,
                                                  const std::vector<AddedTokenRow>& added_tokens,
                                                  std::string unk, std::string cls, std::string sep,
                                                  bool lowercase, std::optional<bool> strip_accents,
                                                  bool handle_chinese_chars, bool clean_text,
                                                  std::size_t max_input_chars_per_word, std::string prefix) {
    univar::WordPieceOptions options;
    options.unk = std::move(unk);
    options.cls = std::move(cls);
    options.sep = std::move(sep);
    options.prefix = std::move(prefix);
    options.max_input_chars_per_word = max_input_chars_per_word;
    options.normalizer = {clean_text, handle_chinese_chars, strip_accents.value_or(lowercase), lowercase};
    return std::make_unique<univar::WordPiece>(vocab, tokens_of(added_tokens), options);
}

void bind_wordpiece(py::module_& m) {
    py::class_<univar::WordPiece, univar::Tokenizer>(m, "WordPiece",
                                                     "BERT's tokenizer; ids equal Hugging Face's.")
        .def(py::init(&make_wordpiece), "vocab"_a, py::kw_only(),
             "added_tokens"_a = std::vector<AddedTokenRow>{}, "unk"_a = "[UNK]", "cls"_a = "[CLS]",
             "sep"_a = "[SEP]", "lowercase"_a = true, "strip_accents"_a = py::none(),
             "handle_chinese_chars"_a = true, "clean_text"_a = true, "max_input_chars_per_word"_a = 100,
             "prefix"_a = "##",
             "vocab: the piece of each id, \"\" for an unused id. added_tokens: rows of (content, id, "
             "single_word, "
             "lstrip, rstrip, normalized), looked for before the text is cut into words. strip_accents: None "
             "follows lowercase.");
}

std::unique_ptr<univar::Unigram> make_unigram(const std::vector<std::string>& vocab,
                                              const std::vector<double>& scores, std::int32_t unk,
                                              std::int32_t cls, std::int32_t sep, const py::bytes& charsmap,
                                              const std::vector<AddedTokenRow>& added_tokens,
                                              bool collapse_spaces, bool strip_left, bool strip_right,
                                              bool split_at_whitespace) {
    UNIVAR_CHECK(vocab.size() == scores.size(),
                 "vocab has " << vocab.size() << " pieces, scores " << scores.size());
    univar::Frame frame{cls, sep, univar::AddedTokenFinder(tokens_of(added_tokens))};
    return std::make_unique<univar::Unigram>(
        vocab, scores, unk, std::string_view(charsmap), std::move(frame),
        univar::SpmOptions{collapse_spaces, strip_left, strip_right, split_at_whitespace});
}

void bind_unigram(py::module_& m) {
    py::class_<univar::Unigram, univar::Tokenizer>(m, "Unigram",
                                                   "XLM-R's and e5's tokenizer; ids equal Hugging Face's.")
        .def(py::init(&make_unigram), "vocab"_a, "scores"_a, py::kw_only(), "unk"_a, "cls"_a, "sep"_a,
             "charsmap"_a = py::bytes(), "added_tokens"_a = std::vector<AddedTokenRow>{},
             "collapse_spaces"_a = false, "strip_left"_a = false, "strip_right"_a = false,
             "split_at_whitespace"_a = false,
             "vocab: the piece of each id; scores: log probability of each; unk, cls, sep: ids. charsmap: "
             "SentencePiece's precompiled_charsmap, decoded. added_tokens: as for WordPiece, all looked for "
             "in "
             "the text as it is. collapse_spaces: several blanks are one. strip_left, strip_right: white "
             "space at the ends goes. split_at_whitespace: white space of every kind parts words and is no "
             "token.");
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

}  // namespace

PYBIND11_MODULE(_native, m) {
    m.doc() = "univar's C++ engine: tokenizer, packer, hash index.";
    bind_hash_index(m);
    bind_pack(m);
    bind_tokenizer(m);
    bind_wordpiece(m);
    bind_unigram(m);
    bind_encoder(m);
    bind_forward(m);
}
