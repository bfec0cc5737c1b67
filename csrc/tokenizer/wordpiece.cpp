#include "tokenizer/wordpiece.h"

#include <algorithm>
#include <iterator>

#include "common/check.h"
#include "tokenizer/wordpiece_encoder.h"

namespace univar {

namespace {

std::int32_t id_of(const std::string& name, const PieceTrie& pieces, const std::vector<AddedToken>& added) {
    for (const AddedToken& token : added)
        if (token.content == name) return token.id;
    const std::int32_t id = pieces.find(name);
    UNIVAR_CHECK(id >= 0, "the vocabulary has no \"" << name << "\"");
    return id;
}

std::vector<AddedToken> select(const std::vector<AddedToken>& tokens, bool normalized) {
    std::vector<AddedToken> selected;
    std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(selected),
                 [normalized](const AddedToken& token) { return token.normalized == normalized; });
    return selected;
}

std::vector<AddedToken> normalize_contents(std::vector<AddedToken> tokens, const NormalizerOptions& options) {
    for (AddedToken& token : tokens) token.content = normalize(token.content, options);
    return tokens;
}

}  // namespace

WordPiece::WordPiece(const std::vector<std::string>& vocab, const std::vector<AddedToken>& added_tokens,
                     const WordPieceOptions& options)
    : options_(options),
      reader_(block_reader(options.isa.c_str())),
      pieces_(vocab, options.prefix),
      unk_(id_of(options.unk, pieces_, {})),
      chars_(options.normalizer, pieces_, unk_),
      frame_{id_of(options.cls, pieces_, added_tokens), id_of(options.sep, pieces_, added_tokens),
             AddedTokenFinder(select(added_tokens, false))},
      normalized_tokens_(normalize_contents(select(added_tokens, true), options.normalizer)) {
    UNIVAR_CHECK(options.max_input_chars_per_word > 0, "max_input_chars_per_word must be > 0");
}

std::unique_ptr<TextEncoder> WordPiece::make_worker() const {
    if (pieces_.max_id() < 1 << 16) return std::make_unique<WordPieceEncoder<std::uint16_t>>(*this);
    return std::make_unique<WordPieceEncoder<std::int32_t>>(*this);
}

}  // namespace univar
