#include "search/exact.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "common/check.h"
#include "common/cpu.h"
#include "common/threads.h"
#include "search/kernels.h"

namespace univar::search {
namespace {

constexpr std::size_t kFewQueries = 4;        // up to so many, rows are not packed: reading them takes longer
constexpr std::size_t kQueriesAtOnce = 1024;  // packed, they stay in a core's second cache
constexpr std::size_t kRowsAtOnce = 4096;     // that a worker takes
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kSmallest = 1e-15f,
                kLargest = 1e15f;  // lengths between which no product overflows or vanishes

struct Candidate {
    float lower, upper;  // bounds of the score
    std::int64_t row;
};

struct Scored {
    float score;
    std::int64_t row;
    bool operator<(const Scored& other) const {  // better ones first
        return score != other.score ? score > other.score : row < other.row;
    }
};

double dot_in_double(const float* a, const float* b, std::size_t dim) {
    double sums[8] = {};
    std::size_t d = 0;
    for (; d + 8 <= dim; d += 8)
        for (std::size_t i = 0; i < 8; ++i) sums[i] += static_cast<double>(a[d + i]) * b[d + i];
    double sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    for (; d < dim; ++d) sum += static_cast<double>(a[d]) * b[d];
    return sum;
}

bool all_finite(const float* x, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
        if (!std::isfinite(x[i])) return false;
    return true;
}

// Rows [first, first + n) as floats: the matrix's own, or widened into `space`.
const float* floats_of(const Matrix& matrix, std::size_t first, std::size_t n, const TileKernel& kernel,
                       std::vector<float>& space) {
    if (!matrix.is_half) return static_cast<const float*>(matrix.data) + first * matrix.dim;
    space.resize(n * matrix.dim);
    kernel.widen(static_cast<const std::uint16_t*>(matrix.data) + first * matrix.dim, n * matrix.dim,
                 space.data());
    return space.data();
}

// Lengths of rows. Returns the first row that is not finite or out of range, or -1; `outcome` says which.
std::int64_t lengths_of(const float* rows, std::size_t n, std::size_t dim, const TileKernel& kernel,
                        float* lengths, Outcome* outcome, Outcome not_finite) {
    for (std::size_t i = 0; i < n; ++i) {
        const float* row = rows + i * dim;
        lengths[i] = std::sqrt(kernel.dot(row, row, dim));
        if (lengths[i] >= kSmallest && lengths[i] <= kLargest) continue;
        if (!all_finite(row, dim)) {
            *outcome = not_finite;
            return static_cast<std::int64_t>(i);
        }
        if (std::any_of(row, row + dim, [](float x) { return x != 0.0f; })) {
            *outcome = Outcome::kOutOfRange;
            return static_cast<std::int64_t>(i);
        }
    }
    return -1;
}

// What is known of some queries: packed and as given, how long they are, and what rounding took.
struct Queries {
    const float* floats;
    std::size_t first, n, dim;
    std::vector<unsigned char> packed;
    std::vector<float> lengths, lost;
};

// The best candidates of each query that one worker has seen.
class Best {
  public:
    Best(const Queries& queries, const Matrix& rows, const TileKernel& kernel, std::size_t k)
        : queries_(queries),
          rows_(rows),
          kernel_(kernel),
          k_(k),
          found_(queries.n),
          threshold_(queries.n, -kInfinity),
          capacity_(queries.n, std::max<std::size_t>(4 * k, 256)) {}

    float threshold(std::size_t query) const { return threshold_[query]; }

    void add(std::size_t query, float score, float error, std::int64_t row) {
        auto& found = found_[query];
        found.push_back({score - error, score + error, row});
        if (found.size() >= capacity_[query]) compact(query);
    }

    // The best k of a query, scored in double, in order.
    std::vector<Scored> finish(std::size_t query) {
        drop_hopeless(query);
        return best_of(query);
    }

  private:
    // Drops what the k-th best lower bound rules out.
    void drop_hopeless(std::size_t query) {
        auto& found = found_[query];
        if (found.size() > k_) {
            const auto kth = found.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
            std::nth_element(found.begin(), kth, found.end(),
                             [](const Candidate& a, const Candidate& b) { return a.lower > b.lower; });
            threshold_[query] = std::max(threshold_[query], kth->lower);
        }
        const float threshold = threshold_[query];
        found.erase(std::remove_if(found.begin(), found.end(),
                                   [=](const Candidate& c) { return c.upper < threshold; }),
                    found.end());
    }

    // Makes room. Where bounds are too near to each other, as those of equal rows, exact scores decide.
    void compact(std::size_t query) {
        drop_hopeless(query);
        auto& found = found_[query];
        if (2 * found.size() < capacity_[query]) return;
        const std::vector<Scored> best = best_of(query);
        found.clear();
        for (const Scored& s : best) found.push_back({s.score, s.score, s.row});
        if (best.size() == k_) threshold_[query] = std::max(threshold_[query], best.back().score);
    }

    std::vector<Scored> best_of(std::size_t query) {
        std::vector<Scored> scored;
        scored.reserve(found_[query].size());
        const float* q = queries_.floats + query * queries_.dim;
        for (const Candidate& c : found_[query]) {
            const float* row = floats_of(rows_, static_cast<std::size_t>(c.row), 1, kernel_, space_);
            scored.push_back({static_cast<float>(dot_in_double(q, row, queries_.dim)), c.row});
        }
        std::sort(scored.begin(), scored.end());
        if (scored.size() > k_) scored.resize(k_);
        return scored;
    }

    const Queries& queries_;
    const Matrix& rows_;
    const TileKernel& kernel_;
    std::size_t k_;
    std::vector<std::vector<Candidate>> found_;
    std::vector<float> threshold_;
    std::vector<std::size_t> capacity_;
    std::vector<float> space_;
};

// One search of some queries through all rows, shared by workers.
class Search {
  public:
    Search(const Queries& queries, const Matrix& rows, const TileKernel& kernel, std::size_t k)
        : queries_(queries), rows_(rows), kernel_(kernel), k_(k), merged_(queries.n) {
        // sums of dim products in float; and what a bound and the final rounding to float lose
        unit_ = (static_cast<float>(queries.dim) + 16.0f) * 0x1p-24f;
    }

    Result run(std::size_t threads, float* scores, std::int64_t* indices) {
        const std::size_t parts = (rows_.n + kRowsAtOnce - 1) / kRowsAtOnce;
        const std::size_t others = std::max<std::size_t>(1, std::min(threads, parts)) - 1;
        std::vector<std::thread> workers = start_threads(others, [this](std::size_t) { work(); });
        work();
        for (std::thread& worker : workers) worker.join();
        if (failed_) std::rethrow_exception(failed_);
        if (result_.outcome == Outcome::kFound) write(scores, indices);
        return result_;
    }

  private:
    void work() {
        try {
            Best best(queries_, rows_, kernel_, k_);
            Space space(kernel_, queries_);
            for (;;) {
                const std::size_t first = next_.fetch_add(kRowsAtOnce);
                if (first >= rows_.n || stopped_) break;
                const std::size_t end = std::min(rows_.n, first + kRowsAtOnce);
                if (queries_.n <= kFewQueries)
                    score_one_by_one(first, end, best, space);
                else
                    score_tiles(first, end, best, space);
            }
            merge(best);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            failed_ = std::current_exception();
            stopped_ = true;
        }
    }

    struct Space {
        Space(const TileKernel& kernel, const Queries& queries)
            : panel(kernel.rows * kernel.row_bytes(queries.dim) + 64),
              scores(kernel.queries * kernel.rows),
              best(kernel.queries),
              lengths(kernel.rows),
              lost(kernel.rows) {}
        void* aligned_panel() {
            const auto address = reinterpret_cast<std::uintptr_t>(panel.data());
            return reinterpret_cast<void*>((address + 63) / 64 * 64);
        }
        std::vector<unsigned char> panel;
        std::vector<float> scores, best, lengths, lost, floats;
    };

    // The most that the first pass's score may be off, for rows of at most this length and loss.
    float error_of(std::size_t query, float length, float lost) const {
        const float q = queries_.lengths[query], taken = queries_.lost[query];
        return 1.001f * (taken * length + (q + taken) * lost + unit_ * (q + taken) * (length + lost)) +
               1e-36f;
    }

    void score_tiles(std::size_t first, std::size_t end, Best& best, Space& space) {
        const std::size_t dim = rows_.dim, query_bytes = kernel_.query_bytes(dim);
        for (std::size_t row = first; row < end && !stopped_; row += kernel_.rows) {
            const std::size_t n = std::min(kernel_.rows, end - row);
            const float* floats = floats_of(rows_, row, n, kernel_, space.floats);
            if (!measure(floats, row, n, space)) return;
            kernel_.pack_rows(floats, n, dim, space.aligned_panel(), space.lost.data());
            const float length = *std::max_element(space.lengths.begin(), space.lengths.begin() + n);
            const float lost = std::sqrt(*std::max_element(space.lost.begin(), space.lost.begin() + n));
            for (std::size_t q = 0; q < queries_.n; q += kernel_.queries) {
                const std::size_t group = std::min(kernel_.queries, queries_.n - q);
                kernel_.score(space.aligned_panel(), queries_.packed.data() + q * query_bytes, group, dim,
                              space.scores.data(), space.best.data());
                for (std::size_t i = 0; i < group; ++i) {
                    const float error = error_of(q + i, length, lost);
                    if (space.best[i] + error < best.threshold(q + i)) continue;
                    take(q + i, space.scores.data() + i * kernel_.rows, error, row, n, best);
                }
            }
        }
    }

    static void take(std::size_t query, const float* scores, float error, std::size_t row, std::size_t n,
                     Best& best) {
        for (std::size_t r = 0; r < n; ++r)
            if (scores[r] + error >= best.threshold(query))
                best.add(query, scores[r], error, static_cast<std::int64_t>(row + r));
    }

    void score_one_by_one(std::size_t first, std::size_t end, Best& best, Space& space) {
        const std::size_t dim = rows_.dim;
        for (std::size_t row = first; row < end && !stopped_; ++row) {
            const void* own = row_of(row);
            for (std::size_t q = 0; q < queries_.n; ++q) {
                const float* query = queries_.floats + q * dim;
                float squared;
                const float score = rows_.is_half ? kernel_.dot_halves(static_cast<const std::uint16_t*>(own),
                                                                       query, dim, &squared)
                                                  : kernel_.dot(static_cast<const float*>(own), query, dim);
                if (q == 0) {
                    if (!rows_.is_half)
                        squared =
                            kernel_.dot(static_cast<const float*>(own), static_cast<const float*>(own), dim);
                    space.lengths[0] = std::sqrt(squared);
                    if (!(space.lengths[0] >= kSmallest && space.lengths[0] <= kLargest) &&
                        !measure(floats_of(rows_, row, 1, kernel_, space.floats), row, 1, space))
                        return;
                }
                const float error = 1.001f * unit_ * queries_.lengths[q] * space.lengths[0] + 1e-36f;
                if (score + error >= best.threshold(q))
                    best.add(q, score, error, static_cast<std::int64_t>(row));
            }
        }
    }

    const void* row_of(std::size_t row) const {
        const std::size_t bytes = rows_.dim * (rows_.is_half ? sizeof(std::uint16_t) : sizeof(float));
        return static_cast<const unsigned char*>(rows_.data) + row * bytes;
    }

    bool measure(const float* floats, std::size_t row, std::size_t n, Space& space) {
        Outcome outcome;
        const std::int64_t bad =
            lengths_of(floats, n, rows_.dim, kernel_, space.lengths.data(), &outcome, Outcome::kBadRow);
        if (bad < 0) return true;
        const std::lock_guard<std::mutex> lock(mutex_);
        const std::int64_t place = static_cast<std::int64_t>(row) + bad;
        const bool is_first = result_.outcome == Outcome::kFound || place < result_.place;
        if (is_first) result_ = {outcome, place};
        stopped_ = true;
        return false;
    }

    void merge(Best& best) {
        for (std::size_t q = 0; q < queries_.n; ++q) {
            const std::vector<Scored> own = best.finish(q);
            const std::lock_guard<std::mutex> lock(mutex_);
            merged_[q].insert(merged_[q].end(), own.begin(), own.end());
        }
    }

    void write(float* scores, std::int64_t* indices) {
        for (std::size_t q = 0; q < queries_.n; ++q) {
            std::sort(merged_[q].begin(), merged_[q].end());
            for (std::size_t i = 0; i < k_; ++i) {
                const bool found = i < merged_[q].size();
                scores[q * k_ + i] = found ? merged_[q][i].score : -kInfinity;
                indices[q * k_ + i] = found ? merged_[q][i].row : -1;
            }
        }
    }

    const Queries& queries_;
    const Matrix& rows_;
    const TileKernel& kernel_;
    std::size_t k_;
    float unit_;
    std::vector<std::vector<Scored>> merged_;
    std::atomic<std::size_t> next_{0};
    std::atomic<bool> stopped_{false};
    std::mutex mutex_;
    Result result_{Outcome::kFound, -1};
    std::exception_ptr failed_;
};

const TileKernel& kernel_of(const std::string& isa) {
#if defined(__x86_64__)
    const CpuFeatures& cpu = cpu_features();
    if (isa == "auto") {
        if (cpu.avx512_bf16_fast) return bf16_tiles();
        return cpu.avx512 ? avx512_tiles() : cpu.avx2 ? avx2_tiles() : portable_tiles();
    }
    if (isa == "avx512_bf16" && cpu.avx512_bf16) return bf16_tiles();
    if (isa == "avx512" && cpu.avx512) return avx512_tiles();
    if (isa == "avx2" && cpu.avx2) return avx2_tiles();
#endif
    UNIVAR_CHECK(isa == "auto" || isa == "portable", "this CPU has no " << isa << " for searching");
    return portable_tiles();
}

Queries packed_queries(const float* floats, std::size_t first, std::size_t n, std::size_t dim,
                       const TileKernel& kernel, const float* lengths) {
    Queries queries{floats + first * dim, first, n, dim, {}, {}, {}};
    queries.packed.resize(n * kernel.query_bytes(dim));
    queries.lengths.assign(lengths + first, lengths + first + n);
    queries.lost.resize(n);
    kernel.pack_queries(queries.floats, n, dim, queries.packed.data(), queries.lost.data());
    for (float& lost : queries.lost) lost = std::sqrt(lost);
    return queries;
}

}  // namespace

Result exact_search(const Matrix& queries, const Matrix& rows, std::size_t k, std::size_t threads,
                    const std::string& isa, float* scores, std::int64_t* indices) {
    const TileKernel& kernel = kernel_of(isa);
    std::vector<float> space, lengths(queries.n);
    const float* floats = floats_of(queries, 0, queries.n, kernel, space);
    Outcome outcome;
    const std::int64_t bad =
        lengths_of(floats, queries.n, queries.dim, kernel, lengths.data(), &outcome, Outcome::kBadQuery);
    if (bad >= 0) return {outcome, bad};
    for (std::size_t first = 0; first < queries.n; first += kQueriesAtOnce) {
        const std::size_t n = std::min(kQueriesAtOnce, queries.n - first);
        const Queries part = packed_queries(floats, first, n, queries.dim, kernel, lengths.data());
        const Result result =
            Search(part, rows, kernel, k).run(threads, scores + first * k, indices + first * k);
        if (result.outcome != Outcome::kFound) return result;
    }
    return {Outcome::kFound, -1};
}

const char* search_isa() { return kernel_of("auto").name; }

}  // namespace univar::search
