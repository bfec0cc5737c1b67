#include "encoder/bulk_forward.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/check.h"
#include "common/threads.h"

namespace univar {

namespace {

constexpr std::size_t kTextsAtOnce = 32;  // that a thread tokenises before it chooses its next work
constexpr std::size_t kBlocksAhead = 16;  // waiting for each thread, so that blocks can be filled well

}  // namespace

void BlockPlanner::add(std::size_t text, std::size_t length) {
    by_length_[length].push_back(text);
    waiting_tokens_ += length;
}

// Takes a longest text of at most `most` tokens. There must be one.
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

struct ThreadPool::Crew {
    std::mutex mutex;
    std::condition_variable has_job;
    std::deque<std::shared_ptr<Job>> jobs;
    bool is_closed = false;
    std::vector<std::thread> threads;
    int owner = process_id();
};

ThreadPool::ThreadPool(std::shared_ptr<const Forward> forward, std::size_t threads)
    : forward_(std::move(forward)), wanted_(threads) {
    engage();
}

void ThreadPool::engage() {
    crew_ = std::make_unique<Crew>();
    Crew& crew = *crew_;
    crew.threads = start_threads(wanted_, [this, &crew](std::size_t) { work(*forward_, crew); });
    // When there is one thread per CPU, each is pinned to its CPU. Otherwise two of them may share one for a
    // long time while another program occupies the other, which the kernel considers balanced.
    const std::vector<int> cpus = allowed_cpus();
    if (wanted_ > 1 && cpus.size() == crew.threads.size())
        for (std::size_t i = 0; i < cpus.size(); ++i) pin_to_cpu(crew.threads[i], cpus[i]);
}

ThreadPool::~ThreadPool() {
    if (crew_->owner != process_id()) {  // its threads are the parent's: nothing here can be waited for
        static_cast<void>(crew_.release());
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(crew_->mutex);
        crew_->is_closed = true;
    }
    crew_->has_job.notify_all();
    for (std::thread& thread : crew_->threads) thread.join();
}

void ThreadPool::start(const std::shared_ptr<Job>& job) {
    const std::lock_guard<std::mutex> engaging(engaging_);
    if (crew_->owner != process_id()) {
        static_cast<void>(crew_.release());
        engage();
    }
    if (crew_->threads.empty()) {
        const std::unique_ptr<Forward::Workspace> workspace = forward_->make_workspace();
        while (job->step(*forward_, *workspace)) {
        }
        return;
    }
    {
        const std::lock_guard<std::mutex> lock(crew_->mutex);
        crew_->jobs.push_back(job);
    }
    crew_->has_job.notify_all();
}

void ThreadPool::work(const Forward& forward, Crew& crew) {
    const std::unique_ptr<Forward::Workspace> workspace = forward.make_workspace();
    std::unique_lock<std::mutex> lock(crew.mutex);
    for (;;) {
        crew.has_job.wait(lock, [&crew] { return crew.is_closed || !crew.jobs.empty(); });
        if (crew.is_closed) return;
        const std::shared_ptr<Job> job = crew.jobs.front();
        lock.unlock();
        const bool has_more = job->step(forward, *workspace);
        lock.lock();
        if (!has_more && !crew.jobs.empty() && crew.jobs.front() == job) crew.jobs.pop_front();
    }
}

BulkJob::BulkJob(const Forward& forward, std::size_t threads, const TokenInput& input, float* out)
    : texts_(input.texts),
      out_(out),
      planner_(std::clamp<std::size_t>(static_cast<std::size_t>(input.cu_seqlens[input.texts]) / threads, 1,
                                       forward.block_tokens())),
      next_text_(input.texts) {
    for (std::size_t text = input.texts; text-- > 0;) {
        const std::int64_t first = input.cu_seqlens[text];
        texts_[text] = {input.ids + first, static_cast<std::size_t>(input.cu_seqlens[text + 1] - first),
                        nullptr};
        planner_.add(text, texts_[text].length);
    }
}

BulkJob::BulkJob(const Forward& forward, std::size_t threads, TextInput input, float* out)
    : input_(std::move(input)),
      texts_(input_->texts.views.size()),
      out_(out),
      planner_(forward.block_tokens()),
      enough_tokens_(kBlocksAhead * threads * forward.block_tokens()) {}

bool BulkJob::step(const Forward& forward, Forward::Workspace& workspace) {
    std::unique_lock<std::mutex> lock(mutex_);
    const Work work = next_work(lock);
    if (work == Work::kNone) return false;
    ++in_hand_;
    if (work == Work::kTokenize)
        add_tokens(lock);
    else
        run_block(lock, forward, workspace);
    --in_hand_;
    changed_.notify_all();
    return true;
}

BulkJob::Work BulkJob::next_work(std::unique_lock<std::mutex>& lock) {
    for (;;) {
        if (is_cancelled_) return Work::kNone;
        if (next_text_ < texts_.size() && planner_.waiting_tokens() < enough_tokens_) return Work::kTokenize;
        if (!planner_.is_empty()) return Work::kRunBlock;
        if (tokenizing_ == 0) return Work::kNone;
        changed_.wait(lock);
    }
}

// Runs function() without the lock. If it throws, the job ends with that exception.
template <typename Function>
void BulkJob::without_lock(std::unique_lock<std::mutex>& lock, Function function) {
    std::exception_ptr error;
    lock.unlock();
    try {
        function();
    } catch (...) {
        error = std::current_exception();
    }
    lock.lock();
    if (!error) return;
    error_ = error;
    is_cancelled_ = true;
}

void BulkJob::add_tokens(std::unique_lock<std::mutex>& lock) {
    const std::size_t first = next_text_, last = std::min(first + kTextsAtOnce, texts_.size());
    next_text_ = last;
    ++tokenizing_;
    without_lock(lock, [&] {
        const auto ids = std::make_shared<IdBuffer>();
        const Tokenizer::Worker worker = input_->tokenizer->borrow_worker();
        std::size_t begin = 0;
        for (std::size_t text = first; text < last; ++text) {
            input_->truncated[text] =
                worker->encode(input_->texts.views[text], input_->texts.data_end, input_->max_length, *ids);
            texts_[text].length = ids->size() - begin;
            input_->n_tokens[text] = static_cast<std::int64_t>(texts_[text].length);
            begin = ids->size();
        }
        for (std::size_t i = 0; i < ids->size(); ++i)
            UNIVAR_CHECK(
                ids->data()[i] >= 0 && static_cast<std::size_t>(ids->data()[i]) < input_->vocab,
                "token id " << ids->data()[i] << " is not in the model's vocabulary of " << input_->vocab);
        const std::int32_t* at = ids->data();
        for (std::size_t text = first; text < last; at += texts_[text++].length) {
            texts_[text].ids = at;
            texts_[text].owner = ids;
        }
    });
    --tokenizing_;
    if (is_cancelled_) return;
    for (std::size_t text = first; text < last; ++text) planner_.add(text, texts_[text].length);
}

void BulkJob::run_block(std::unique_lock<std::mutex>& lock, const Forward& forward,
                        Forward::Workspace& workspace) {
    const std::vector<std::size_t> block = planner_.take();
    const std::size_t dim = forward.dim();
    without_lock(lock, [&] {
        std::vector<std::int32_t> ids, cu_seqlens{0};
        for (const std::size_t text : block) {
            ids.insert(ids.end(), texts_[text].ids, texts_[text].ids + texts_[text].length);
            cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
            texts_[text].owner.reset();
        }
        std::vector<float> embeddings(block.size() * dim);
        forward.run(ids.data(), cu_seqlens.data(), block.size(), workspace, embeddings.data());
        for (std::size_t i = 0; i < block.size(); ++i)
            std::copy_n(embeddings.data() + i * dim, dim, out_ + block[i] * dim);
    });
    if (error_) return;
    finished_.insert(finished_.end(), block.begin(), block.end());
    done_ += block.size();
}

Finished BulkJob::take(int milliseconds) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(milliseconds),
                      [this] { return !finished_.empty() || is_over(); });
    if (error_ && in_hand_ == 0) std::rethrow_exception(error_);
    Finished finished{std::move(finished_), is_over()};
    finished_.clear();
    return finished;
}

void BulkJob::cancel() {
    if (owner_ != process_id()) return;  // after fork(), nobody works on it here
    std::unique_lock<std::mutex> lock(mutex_);
    is_cancelled_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return in_hand_ == 0; });
}

}  // namespace univar
