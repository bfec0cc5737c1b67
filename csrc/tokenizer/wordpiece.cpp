#include "tokenizer/wordpiece.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <thread>

#include "check.h"
#include "tokenizer/text_encoder.h"

namespace univar {

namespace {

constexpr std::size_t kBytesPerWorker = 1 << 16;  // less is not worth a thread
constexpr std::size_t kJobsPerWorker = 8;

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

// Neighbouring texts that one worker takes together, and their ids.
struct Job {
    std::size_t first;
    std::size_t last;
    IdBuffer ids;
};

std::vector<Job> cut_into_jobs(const Texts& texts, std::size_t job_bytes) {
    std::vector<Job> jobs;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < texts.views.size(); ++i) {
        if (jobs.empty() || bytes >= job_bytes) {
            jobs.push_back({i, i, {}});
            bytes = 0;
        }
        jobs.back().last = i + 1;
        bytes += texts.views[i].size();
    }
    return jobs;
}

// Runs work(worker) on n workers, the calling thread among them; the first exception is thrown on.
template <typename Work>
void run_workers(std::size_t n, Work work) {
    std::vector<std::exception_ptr> errors(n);
    const auto guarded = [&](std::size_t worker) {
        try {
            work();
        } catch (...) {
            errors[worker] = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    for (std::size_t worker = 1; worker < n; ++worker) threads.emplace_back(guarded, worker);
    guarded(0);
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
        if (error) std::rethrow_exception(error);
}

IdBuffer join(std::vector<Job>& jobs) {
    if (jobs.size() == 1) {
        jobs.front().ids.shrink_to_fit();
        return std::move(jobs.front().ids);
    }
    IdBuffer all;
    std::size_t total = 0;
    for (const Job& job : jobs) total += job.ids.size();
    all.reserve_exactly(total);
    for (const Job& job : jobs) all.append(job.ids);
    return all;
}

}  // namespace

WordPiece::WordPiece(const std::vector<std::string>& vocab, const std::vector<AddedToken>& added_tokens,
                     const WordPieceOptions& options)
    : options_(options),
      pieces_(vocab, options.prefix),
      unk_(id_of(options.unk, pieces_, {})),
      cls_(id_of(options.cls, pieces_, added_tokens)),
      sep_(id_of(options.sep, pieces_, added_tokens)),
      chars_(options.normalizer, pieces_, unk_),
      raw_tokens_(select(added_tokens, false)),
      normalized_tokens_(normalize_contents(select(added_tokens, true), options.normalizer)) {
    UNIVAR_CHECK(options.max_input_chars_per_word > 0, "max_input_chars_per_word must be > 0");
}

TokenBatch WordPiece::encode(const Texts& texts, std::size_t max_length, int threads) const {
    UNIVAR_CHECK(max_length > 2, "max_length must be > 2, got " << max_length);
    UNIVAR_CHECK(threads > 0, "threads must be > 0, got " << threads);
    const std::size_t n = texts.views.size();
    std::size_t bytes = 0;
    for (const std::string_view text : texts.views) bytes += text.size();
    const std::size_t workers =
        std::clamp<std::size_t>(bytes / kBytesPerWorker, 1, static_cast<std::size_t>(threads));
    std::vector<Job> jobs =
        cut_into_jobs(texts, workers == 1 ? bytes + 1 : bytes / (workers * kJobsPerWorker));

    TokenBatch batch;
    batch.cu_seqlens.resize(n + 1);
    batch.is_truncated.resize(n);
    std::atomic<std::size_t> next_job{0};
    run_workers(workers, [&] {
        TextEncoder encoder(*this, max_length, bytes / workers);
        for (std::size_t job_index; (job_index = next_job.fetch_add(1)) < jobs.size();) {
            Job& job = jobs[job_index];
            for (std::size_t i = job.first; i < job.last; ++i) {
                const std::size_t before = job.ids.size();
                batch.is_truncated[i] = encoder.encode(texts.views[i], texts.data_end, job.ids);
                batch.cu_seqlens[i + 1] = static_cast<std::int64_t>(job.ids.size() - before);
            }
        }
    });
    for (std::size_t i = 0; i < n; ++i) batch.cu_seqlens[i + 1] += batch.cu_seqlens[i];
    batch.ids = join(jobs);
    return batch;
}

}  // namespace univar
