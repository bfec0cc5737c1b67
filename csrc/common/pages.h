// Memory for matrices and tables, aligned to pages. Large arrays ask for huge pages, which save most page
// faults and address look-ups. For values that grow one by one see Buffer (tokenizer/buffer.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace univar {

// T: plain values.
template <typename T>
class PageArray {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    PageArray() = default;

    // n uninitialised values.
    explicit PageArray(std::size_t n) : size_(n) {
        void* block = std::aligned_alloc(page_of(n), padded(n));
        own(block, block);
    }

    // n values whose bytes are zero.
    static PageArray zeros(std::size_t n) {
        PageArray array;
        array.size_ = n;
        void* block = std::calloc(padded(n) + page_of(n), 1);
        const auto address = reinterpret_cast<std::uintptr_t>(block);
        array.own(block, reinterpret_cast<void*>((address + page_of(n) - 1) / page_of(n) * page_of(n)));
        return array;
    }

    T* data() { return memory_.get(); }
    const T* data() const { return memory_.get(); }
    std::size_t size() const { return size_; }
    T& operator[](std::size_t i) { return memory_.get()[i]; }
    const T& operator[](std::size_t i) const { return memory_.get()[i]; }

    // Makes room for at least n values; the old ones may be lost.
    void reserve(std::size_t n) {
        if (n <= size_) return;
        memory_.reset();
        *this = PageArray(n);
    }

  private:
    static constexpr std::size_t kSmall = 4096, kHuge = std::size_t{1} << 21;

    static std::size_t page_of(std::size_t n) { return n * sizeof(T) < kHuge ? kSmall : kHuge; }
    // Bytes of n values in whole pages.
    static std::size_t padded(std::size_t n) {
        const std::size_t bytes = n == 0 ? 1 : n * sizeof(T), page = page_of(n);
        return (bytes + page - 1) / page * page;
    }

    // block: the memory to free; values: the first page in it.
    void own(void* block, void* values) {
        if (block == nullptr) throw std::bad_alloc();
#if defined(__linux__)
        if (page_of(size_) == kHuge) madvise(values, padded(size_), MADV_HUGEPAGE);  // small pages work too
#endif
        memory_ = std::unique_ptr<T, Free>(static_cast<T*>(values), Free{block});
    }

    struct Free {
        void* block = nullptr;
        void operator()(T*) const { std::free(block); }
    };
    std::unique_ptr<T, Free> memory_;
    std::size_t size_ = 0;
};

}  // namespace univar
