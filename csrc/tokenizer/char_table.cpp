#include "tokenizer/char_table.h"

#include "tokenizer/utf8.h"

namespace univar {

namespace {

bool has_combining_class(const std::string& text) {
    for (const char* cursor = text.data(); cursor != text.data() + text.size();)
        if (combining_class(next_code_point(cursor)) != 0) return true;
    return false;
}

CharAction token(std::string_view word, const PieceTrie& pieces, std::int32_t unk) {
    const std::int32_t id = pieces.find(word);
    return {CharKind::kToken, static_cast<std::uint32_t>(id >= 0 ? id : unk)};
}

}  // namespace

CharTable::CharTable(const NormalizerOptions& options, const PieceTrie& pieces, std::int32_t unk)
    : actions_(kCodePoints) {
    for (char32_t cp = 0; cp < kCodePoints; ++cp) {
        const CharAction action = action_of(cp, options, pieces, unk);
        actions_[cp] = action.value << 3 | static_cast<std::uint32_t>(action.kind);
    }
}

CharAction CharTable::action_of(char32_t code_point, const NormalizerOptions& options,
                                const PieceTrie& pieces, std::int32_t unk) {
    const std::uint8_t property = properties(code_point);
    if ((property & ~kWord) == 0) return {CharKind::kSelf, 0};
    if (options.clean_text && (property & kRemoved) != 0) return {CharKind::kDropped, 0};
    std::string character;
    append_utf8(code_point, character);
    if (options.handle_chinese_chars && (property & ~kWord) == kChinese) return token(character, pieces, unk);
    const std::string normalized = normalize(character, options);
    std::vector<std::string> words;
    pre_tokenize(normalized, [&](std::string_view word) { words.emplace_back(word); });
    if (words.empty()) return {normalized.empty() ? CharKind::kDropped : CharKind::kSpace, 0};
    // Marks that stay are sorted together with their neighbours.
    if (words.size() > 1 || (options.strip_accents && has_combining_class(normalized)))
        return {CharKind::kComplex, 0};
    const char* cursor = words.front().data();
    const bool is_punctuation = (properties(next_code_point(cursor)) & kPunctuation) != 0;
    const bool is_one_character = count_code_points(words.front()) == 1;
    const bool stands_apart = normalized.front() == ' ' && normalized.back() == ' ';
    if (is_one_character && (is_punctuation || stands_apart)) return token(words.front(), pieces, unk);
    if (words.front().size() < normalized.size()) return {CharKind::kComplex, 0};
    return normalized == character ? CharAction{CharKind::kSelf, 0} : add_mapped(normalized);
}

CharAction CharTable::add_mapped(const std::string& text) {
    const auto value = static_cast<std::uint32_t>(mapped_.size());
    mapped_.push_back(static_cast<char>(text.size()));
    mapped_ += text;
    return {CharKind::kMapped, value};
}

}  // namespace univar
