#include "tokenizer/buffer.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace univar {

namespace {

constexpr std::size_t kHeader = 64;        // before the memory: its size; keeps it on a cache line
constexpr std::size_t kLarge = 256 << 10;  // the allocator itself keeps smaller ones
constexpr std::size_t kKeptBytes = 32 << 20;

struct Kept {
    std::mutex lock;
    std::vector<void*> memories;
    std::size_t bytes = 0;
};

// Never destroyed, since arrays may outlive everything else.
Kept& kept() {
    static Kept* const instance = new Kept;
    return *instance;
}

// The smallest kept block that is large enough but not far too large.
void* take_kept(std::size_t bytes) {
    Kept& all = kept();
    const std::lock_guard<std::mutex> guard(all.lock);
    auto best = all.memories.end();
    for (auto it = all.memories.begin(); it != all.memories.end(); ++it) {
        const std::size_t size = memory_size(*it);
        if (size < bytes || size / 8 > bytes) continue;
        if (best == all.memories.end() || size < memory_size(*best)) best = it;
    }
    if (best == all.memories.end()) return nullptr;
    void* const memory = *best;
    all.memories.erase(best);
    all.bytes -= memory_size(memory);
    return memory;
}

}  // namespace

void* take_memory(std::size_t bytes) {
    if (bytes >= kLarge)
        if (void* const memory = take_kept(bytes)) return memory;
    void* const block = std::malloc(kHeader + bytes);
    if (block == nullptr) throw std::bad_alloc();
    *static_cast<std::size_t*>(block) = bytes;
    return static_cast<char*>(block) + kHeader;
}

std::size_t memory_size(const void* memory) {
    return *reinterpret_cast<const std::size_t*>(static_cast<const char*>(memory) - kHeader);
}

void give_back_memory(void* memory) {
    if (memory == nullptr) return;
    const std::size_t bytes = memory_size(memory);
    if (bytes >= kLarge) {
        Kept& all = kept();
        const std::lock_guard<std::mutex> guard(all.lock);
        if (all.bytes + bytes <= kKeptBytes) {
            all.memories.push_back(memory);
            all.bytes += bytes;
            return;
        }
    }
    std::free(static_cast<char*>(memory) - kHeader);
}

}  // namespace univar
