#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <utility>

#include "common/check.h"
#include "common/threads.h"

namespace univar {

namespace {

constexpr std::size_t kBytesPerWorker = 1 << 16;  // less is not worth a thread
constexpr std::size_t kRangesPerWorker = 8;
constexpr std::size_t kMaxIdle = 64;    // workers kept between calls
constexpr std::size_t kBytesPerId = 3;  // a guess; a buffer that is too small grows

// Neighbouring texts that one worker takes together, and their ids.
struct TextRange {
    std::size_t first;
    std::size_t last;
    IdBuffer ids;
};

std::vector<TextRange> cut_into_ranges(const Texts& texts, std::size_t range_bytes) {
    std::vector<TextRange> ranges;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < texts.views.size(); ++i) {
        if (ranges.empty() || bytes >= range_bytes) {
            ranges.push_back({i, i, {}});
            bytes = 0;
        }
        ranges.back().last = i + 1;
        bytes += texts.views[i].size();
    }
    return ranges;
}

// Runs work() on n workers, the calling thread among them; the first exception is rethrown.
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
    std::vector<std::thread> threads = start_threads(n - 1, [&](std::size_t i) { guarded(i + 1); });
    guarded(0);
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
        if (error) std::rethrow_exception(error);
}

IdBuffer join(std::vector<TextRange>& ranges) {
    if (ranges.size() == 1) return std::move(ranges.front().ids);
    IdBuffer all;
    std::size_t total = 0;
    for (const TextRange& range : ranges) total += range.ids.size();
    all.reserve_exactly(total);
    for (const TextRange& range : ranges) all.append(range.ids);
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
    std::vector<TextRange> ranges =
        cut_into_ranges(texts, workers == 1 ? bytes + 1 : bytes / (workers * kRangesPerWorker));

    TokenBatch batch;
    batch.cu_seqlens.resize(n + 1);
    batch.is_truncated.resize(n);
    std::atomic<std::size_t> next_range{0};
    run_workers(workers, [&] {
        const Worker encoder = borrow_worker();
        for (std::size_t index; (index = next_range.fetch_add(1)) < ranges.size();) {
            TextRange& range = ranges[index];
            range.ids.reserve_exactly(bytes / ranges.size() / kBytesPerId);
            for (std::size_t i = range.first; i < range.last; ++i) {
                const std::size_t before = range.ids.size();
                batch.is_truncated[i] =
                    encoder->encode(texts.views[i], texts.data_end, max_length, range.ids);
                batch.cu_seqlens[i + 1] = static_cast<std::int64_t>(range.ids.size() - before);
            }
        }
    });
    for (std::size_t i = 0; i < n; ++i) batch.cu_seqlens[i + 1] += batch.cu_seqlens[i];
    batch.ids = join(ranges);
    return batch;
}

}  // namespace univar
