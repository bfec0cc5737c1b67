#include "tokenizer/unigram.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "tokenizer/unigram_encoder.h"
#include "tokenizer/utf8.h"

namespace univar {

namespace {

constexpr std::string_view kMetaspace = "\xE2\x96\x81";
constexpr double kUnknownPenalty = 10;

// Words come with a blank where pieces have U+2581; a piece with a blank fits no word.
std::vector<std::string> with_blanks(const std::vector<std::string>& vocab) {
    std::vector<std::string> pieces;
    pieces.reserve(vocab.size());
    for (const std::string& piece : vocab) {
        UNIVAR_CHECK(is_valid_utf8(piece), "a piece of the vocabulary is not UTF-8");
        std::string blank;
        if (piece.find(' ') == std::string::npos) {
            blank = piece;
            for (std::size_t at; (at = blank.find(kMetaspace)) != std::string::npos;)
                blank.replace(at, kMetaspace.size(), " ");
        }
        pieces.push_back(std::move(blank));
    }
    return pieces;
}

}  // namespace

Unigram::Unigram(const std::vector<std::string>& vocab, const std::vector<double>& scores, std::int32_t unk,
                 std::string_view charsmap, Frame frame, const SpmOptions& options, const std::string& isa)
    : frame_(std::move(frame)),
      reader_(block_reader(isa.c_str())),
      normalizer_(charsmap, options),
      pieces_(with_blanks(vocab), scores),
      unk_(unk) {
    UNIVAR_CHECK(unk >= 0 && static_cast<std::size_t>(unk) < vocab.size(),
                 "unk " << unk << " is not an id of the vocabulary");
    unk_score_ = *std::min_element(scores.begin(), scores.end()) - kUnknownPenalty;
}

std::unique_ptr<TextEncoder> Unigram::make_worker() const { return std::make_unique<UnigramEncoder>(*this); }

}  // namespace univar
