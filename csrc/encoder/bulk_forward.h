// Runs any number of texts through a Forward on a pool of threads.
//
// Whole texts are put together into blocks that suit the caches, longest first. A thread takes the next block
// and runs it from embeddings to pooling, so that no thread waits for another one inside a layer.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/threads.h"
#include "encoder/forward.h"
#include "tokenizer/tokenizer.h"

namespace univar {

// Groups texts by length into blocks of at most about `tokens` tokens.
class BlockPlanner {
  public:
    explicit BlockPlanner(std::size_t tokens) : tokens_(tokens) {}

    void add(std::size_t text, std::size_t length);
    bool is_empty() const { return by_length_.empty(); }
    std::size_t waiting_tokens() const { return waiting_tokens_; }

    // Takes the longest text, then again and again the longest one that still fits beside it.
    std::vector<std::size_t> take();

  private:
    std::size_t pop(std::size_t most);

    std::size_t tokens_, waiting_tokens_ = 0;
    std::map<std::size_t, std::vector<std::size_t>> by_length_;
};

// Work for the pool, in steps that any thread may take.
class Job {
  public:
    virtual ~Job() = default;

    // Takes one step. Returns false if there is none left to begin.
    virtual bool step(const Forward& forward, Forward::Workspace& workspace) = 0;
};

// Where the system starts no thread at all, the caller of `start` does the work. A process made by fork() has
// none of its parent's threads: the first `start` there makes new ones.
class ThreadPool {
  public:
    ThreadPool(std::shared_ptr<const Forward> forward, std::size_t threads);
    ~ThreadPool();  // finishes the steps in progress; the rest of the jobs stays undone
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    void start(const std::shared_ptr<Job>& job);
    std::size_t threads() const { return wanted_; }
    const Forward& forward() const { return *forward_; }

  private:
    struct Crew;  // the threads of one process and what they share

    void engage();
    static void work(const Forward& forward, Crew& crew);

    std::shared_ptr<const Forward> forward_;
    std::size_t wanted_;
    std::mutex engaging_;
    std::unique_ptr<Crew> crew_;
};

// Rows of the result that were finished since the last call.
struct Finished {
    std::vector<std::int64_t> rows;
    bool is_last = false;  // all rows are done, or the job was cancelled
};

// Texts whose tokens are known. ids: (T,) in [0, vocab); cu_seqlens: (texts + 1,) from 0 to T, no text empty
// or longer than the model's positions.
struct TokenInput {
    const std::int32_t* ids;
    const std::int64_t* cu_seqlens;
    std::size_t texts;
};

// Texts as bytes, and where the tokenizer writes n_tokens (texts,) and truncated (texts,).
struct TextInput {
    const Tokenizer* tokenizer;
    Texts texts;
    std::size_t max_length, vocab;
    std::int64_t* n_tokens;
    std::uint8_t* truncated;
};

// Embeddings of many texts. The caller keeps all arrays alive until the job is gone or cancelled.
class BulkJob : public Job {
  public:
    // out: (texts, dim).
    BulkJob(const Forward& forward, std::size_t threads, const TokenInput& input, float* out);
    BulkJob(const Forward& forward, std::size_t threads, TextInput input, float* out);

    bool step(const Forward& forward, Forward::Workspace& workspace) override;

    // Waits for rows, at most `milliseconds`. Throws what a thread threw.
    Finished take(int milliseconds);

    // No further step begins. Returns when none is in progress.
    void cancel();

  private:
    struct Text {
        const std::int32_t* ids = nullptr;
        std::size_t length = 0;
        std::shared_ptr<const IdBuffer> owner;  // of ids, shared with the texts tokenised together
    };
    enum class Work { kTokenize, kRunBlock, kNone };

    Work next_work(std::unique_lock<std::mutex>& lock);
    void add_tokens(std::unique_lock<std::mutex>& lock);
    void run_block(std::unique_lock<std::mutex>& lock, const Forward& forward, Forward::Workspace& workspace);
    template <typename Function>
    void without_lock(std::unique_lock<std::mutex>& lock, Function function);
    bool is_over() const { return done_ == texts_.size() || (is_cancelled_ && in_hand_ == 0); }

    std::optional<TextInput> input_;
    std::vector<Text> texts_;
    float* out_;
    std::mutex mutex_;
    std::condition_variable changed_;
    BlockPlanner planner_;
    std::size_t enough_tokens_ = 0, next_text_ = 0, tokenizing_ = 0;
    std::vector<std::int64_t> finished_;
    std::size_t done_ = 0, in_hand_ = 0;
    bool is_cancelled_ = false;
    std::exception_ptr error_;
    int owner_ = process_id();
};

}  // namespace univar
