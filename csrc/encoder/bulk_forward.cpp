#include "encoder/bulk_forward.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif

namespace univar {

namespace {

// Processors' worth of time that the cgroup grants, 0 where it sets no limit.
std::size_t cgroup_cpus() {
    long quota = 0, period = 0;
    if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
        const bool has_limit = std::fscanf(file, "%ld %ld", &quota, &period) == 2;
        std::fclose(file);
        if (has_limit && period > 0) return static_cast<std::size_t>((quota + period - 1) / period);
    }
    return 0;
}

}  // namespace

std::size_t usable_cpus() {
    std::size_t cpus = std::max(1u, std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = static_cast<std::size_t>(CPU_COUNT(&set));
#endif
    const std::size_t granted = cgroup_cpus();
    return granted > 0 ? std::min(cpus, granted) : cpus;
}

void BlockPlanner::add(std::size_t text, std::size_t length) {
    by_length_[length].push_back(text);
    waiting_tokens_ += length;
}

// A longest text of at most `most` tokens; there is one.
std::size_t BlockPlanner::pop(std::size_t most) {
    auto longest = std::prev(by_length_.upper_bound(most));
    const std::size_t text = longest->second.back();
    longest->second.pop_back();
    waiting_tokens_ -= longest->first;
    if (longest->second.empty()) by_length_.erase(longest);
    return text;
}

std::vector<std::size_t> BlockPlanner::take() {
    std::size_t room = by_length_.rbegin()->first;
    room = std::max(tokens_, (room + tokens_ - 1) / tokens_ * tokens_);
    std::vector<std::size_t> texts;
    while (!by_length_.empty() && by_length_.begin()->first <= room) {
        const std::size_t before = waiting_tokens_;
        texts.push_back(pop(room));
        room -= before - waiting_tokens_;
    }
    return texts;
}

ThreadPool::ThreadPool(std::shared_ptr<const Forward> forward, std::size_t threads)
    : forward_(std::move(forward)) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        is_closed_ = true;
    }
    has_job_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::start(std::shared_ptr<Job> job) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    has_job_.notify_all();
}

void ThreadPool::work() {
    const std::unique_ptr<Forward::Workspace> workspace = forward_->make_workspace();
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        has_job_.wait(lock, [this] { return is_closed_ || !jobs_.empty(); });
        if (is_closed_) return;
        const std::shared_ptr<Job> job = jobs_.front();
        lock.unlock();
        const bool has_more = job->step(*forward_, *workspace);
        lock.lock();
        if (!has_more && !jobs_.empty() && jobs_.front() == job) jobs_.pop_front();
    }
}

TokenJob::TokenJob(const Forward& forward, std::size_t threads, const std::int32_t* ids,
                   const std::int64_t* cu_seqlens, std::size_t texts, float* out)
    : ids_(ids),
      cu_seqlens_(cu_seqlens),
      texts_(texts),
      out_(out),
      planner_(std::clamp<std::size_t>(static_cast<std::size_t>(cu_seqlens[texts]) / threads, 1,
                                       forward.block_tokens())) {
    for (std::size_t text = texts; text-- > 0;)
        planner_.add(text, static_cast<std::size_t>(cu_seqlens[text + 1] - cu_seqlens[text]));
}

bool TokenJob::step(const Forward& forward, Forward::Workspace& workspace) {
    std::vector<std::size_t> texts;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (is_cancelled_ || planner_.is_empty()) return false;
        texts = planner_.take();
        ++in_hand_;
    }
    std::exception_ptr error;
    try {
        run(texts, forward, workspace);
    } catch (...) {
        error = std::current_exception();
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    --in_hand_;
    if (error) {
        error_ = error;
        is_cancelled_ = true;
    } else {
        finished_.insert(finished_.end(), texts.begin(), texts.end());
        done_ += texts.size();
    }
    changed_.notify_all();
    return true;
}

void TokenJob::run(const std::vector<std::size_t>& texts, const Forward& forward,
                   Forward::Workspace& workspace) {
    std::vector<std::int32_t> ids, cu_seqlens{0};
    for (const std::size_t text : texts) {
        ids.insert(ids.end(), ids_ + cu_seqlens_[text], ids_ + cu_seqlens_[text + 1]);
        cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
    }
    std::vector<float> embeddings(texts.size() * forward.dim());
    forward.run(ids.data(), cu_seqlens.data(), texts.size(), workspace, embeddings.data());
    for (std::size_t i = 0; i < texts.size(); ++i)
        std::copy_n(embeddings.data() + i * forward.dim(), forward.dim(), out_ + texts[i] * forward.dim());
}

Finished TokenJob::take(int milliseconds) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(milliseconds), [this] {
        return !finished_.empty() || done_ == texts_ || (is_cancelled_ && in_hand_ == 0);
    });
    if (error_ && in_hand_ == 0) std::rethrow_exception(error_);
    Finished finished{std::move(finished_), done_ == texts_ || (is_cancelled_ && in_hand_ == 0)};
    finished_.clear();
    return finished;
}

void TokenJob::cancel() {
    std::unique_lock<std::mutex> lock(mutex_);
    is_cancelled_ = true;
    changed_.wait(lock, [this] { return in_hand_ == 0; });
}

}  // namespace univar
