// _native.WordPiece and _native.Unigram.

#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "bindings/arrays.h"
#include "bindings/module.h"
#include "common/check.h"
#include "tokenizer/unigram.h"
#include "tokenizer/wordpiece.h"

namespace py = pybind11;
using namespace py::literals;

namespace univar {

namespace {

// (content, id, single_word, lstrip, rstrip, normalized)
using AddedTokenRow = std::tuple<std::string, std::int32_t, bool, bool, bool, bool>;

std::vector<AddedToken> tokens_of(const std::vector<AddedTokenRow>& rows) {
    std::vector<AddedToken> tokens;
    for (const auto& [content, id, single_word, lstrip, rstrip, normalized] : rows)
        tokens.push_back({content, id, single_word, lstrip, rstrip, normalized});
    return tokens;
}

void bind_tokenizer(py::module_& m) {
    py::class_<Tokenizer>(m, "Tokenizer", "Base class of WordPiece and Unigram.")
        .def(
            "encode",
            [](const Tokenizer& self, const py::array& offsets, const Array<std::uint8_t>& data,
               std::size_t max_length, int threads) {
                const Texts texts = texts_of(offsets, data);
                TokenBatch batch;
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
            "Bytes that are not UTF-8 are read as by bytes.decode('utf-8', 'replace').")
        .def("forget_words", &Tokenizer::forget_words, "Drop the words remembered from earlier calls.");
}

std::unique_ptr<WordPiece> make_wordpiece(const std::vector<std::string>& vocab,
                                          const std::vector<AddedTokenRow>& added_tokens, std::string unk,
                                          std::string cls, std::string sep, bool lowercase,
                                          std::optional<bool> strip_accents, bool handle_chinese_chars,
                                          bool clean_text, std::size_t max_input_chars_per_word,
                                          std::string prefix, std::string isa) {
    WordPieceOptions options;
    options.unk = std::move(unk);
    options.cls = std::move(cls);
    options.sep = std::move(sep);
    options.prefix = std::move(prefix);
    options.isa = std::move(isa);
    options.max_input_chars_per_word = max_input_chars_per_word;
    options.normalizer = {clean_text, handle_chinese_chars, strip_accents.value_or(lowercase), lowercase};
    return std::make_unique<WordPiece>(vocab, tokens_of(added_tokens), options);
}

void bind_wordpiece(py::module_& m) {
    py::class_<WordPiece, Tokenizer>(m, "WordPiece", "BERT's tokenizer; ids equal Hugging Face's.")
        .def(py::init(&make_wordpiece), "vocab"_a, py::kw_only(),
             "added_tokens"_a = std::vector<AddedTokenRow>{}, "unk"_a = "[UNK]", "cls"_a = "[CLS]",
             "sep"_a = "[SEP]", "lowercase"_a = true, "strip_accents"_a = py::none(),
             "handle_chinese_chars"_a = true, "clean_text"_a = true, "max_input_chars_per_word"_a = 100,
             "prefix"_a = "##", "isa"_a = "auto",
             "vocab: the piece of each id, \"\" for an unused id. added_tokens: rows of (content, id, "
             "single_word, "
             "lstrip, rstrip, normalized), looked for before the text is cut into words. strip_accents: None "
             "follows lowercase. isa: how text is read, auto, avx512, avx2 or portable; ValueError for one "
             "that "
             "this CPU lacks.");
}

std::unique_ptr<Unigram> make_unigram(const std::vector<std::string>& vocab,
                                      const std::vector<double>& scores, std::int32_t unk, std::int32_t cls,
                                      std::int32_t sep, const py::bytes& charsmap,
                                      const std::vector<AddedTokenRow>& added_tokens, bool collapse_spaces,
                                      bool strip_left, bool strip_right, bool split_at_whitespace,
                                      const std::string& isa) {
    UNIVAR_CHECK(vocab.size() == scores.size(),
                 "vocab has " << vocab.size() << " pieces, scores " << scores.size());
    Frame frame{cls, sep, AddedTokenFinder(tokens_of(added_tokens))};
    return std::make_unique<Unigram>(
        vocab, scores, unk, std::string_view(charsmap), std::move(frame),
        SpmOptions{collapse_spaces, strip_left, strip_right, split_at_whitespace}, isa);
}

void bind_unigram(py::module_& m) {
    py::class_<Unigram, Tokenizer>(m, "Unigram", "XLM-R's and e5's tokenizer; ids equal Hugging Face's.")
        .def(py::init(&make_unigram), "vocab"_a, "scores"_a, py::kw_only(), "unk"_a, "cls"_a, "sep"_a,
             "charsmap"_a = py::bytes(), "added_tokens"_a = std::vector<AddedTokenRow>{},
             "collapse_spaces"_a = false, "strip_left"_a = false, "strip_right"_a = false,
             "split_at_whitespace"_a = false, "isa"_a = "auto",
             "vocab: the piece of each id; scores: log probability of each; unk, cls, sep: ids. charsmap: "
             "SentencePiece's precompiled_charsmap, decoded. added_tokens: as for WordPiece, all looked for "
             "in "
             "the text as it is. collapse_spaces: several blanks are one. strip_left, strip_right: white "
             "space at the ends is dropped. split_at_whitespace: white space of any kind separates words and "
             "is no "
             "token. isa: as for WordPiece.");
}

}  // namespace

void bind_tokenizers(py::module_& m) {
    bind_tokenizer(m);
    bind_wordpiece(m);
    bind_unigram(m);
}

}  // namespace univar
