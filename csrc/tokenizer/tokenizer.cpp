#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <utility>

#include "common/check.h"

namespace univar {

namespace {

constexpr std::size_t kBytesPerWorker = 1 << 16;  // less is not worth a thread
constexpr std::size_t kJobsPerWorker = 8;
constexpr std::size_t kMaxIdle = 64;    // workers kept between calls
constexpr std::size_t kBytesPerId = 3;  // a guess: what turns out to be too small grows

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

// Runs work() on n workers, the calling thread among them; the first exception is thrown on.
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
    if (jobs.size() == 1) return std::move(jobs.front().ids);
    IdBuffer all;
    std::size_t total = 0;
    for (const Job& job : jobs) total += job.ids.size();
    all.reserve_exactly(total);
    for (const Job& job : jobs) all.append(job.ids);
    return all;
}

}  // namespace

Tokenizer::Worker Tokenizer::borrow_worker() const {
    std::unique_ptr<TextEncoder> encoder;
    {
        const std::lock_guard<std::mutex> guard(lock_);
        if (!idle_.empty()) {
            encoder = std::move(idle_.back());
            idle_.pop_back();
        }
    }
    if (!encoder) encoder = make_worker();
    return Worker(encoder.release(), Return{this});
}

void Tokenizer::Return::operator()(TextEncoder* encoder) const {
    std::unique_ptr<TextEncoder> owned(encoder);
    const std::lock_guard<std::mutex> guard(owner->lock_);
    if (owner->idle_.size() < kMaxIdle) owner->idle_.push_back(std::move(owned));
}

void Tokenizer::forget_words() const {
    const std::lock_guard<std::mutex> guard(lock_);
    idle_.clear();
}

TokenBatch Tokenizer::encode(const Texts& texts, std::size_t max_length, int threads) const {
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
        const Worker encoder = borrow_worker();
        for (std::size_t job_index; (job_index = next_job.fetch_add(1)) < jobs.size();) {
            Job& job = jobs[job_index];
            job.ids.reserve_exactly(bytes / jobs.size() / kBytesPerId);
            for (std::size_t i = job.first; i < job.last; ++i) {
                const std::size_t before = job.ids.size();
                batch.is_truncated[i] = encoder->encode(texts.views[i], texts.data_end, max_length, job.ids);
                batch.cu_seqlens[i + 1] = static_cast<std::int64_t>(job.ids.size() - before);
            }
        }
    });
    for (std::size_t i = 0; i < n; ++i) batch.cu_seqlens[i + 1] += batch.cu_seqlens[i];
    batch.ids = join(jobs);
    return batch;
}

}  // namespace univar
