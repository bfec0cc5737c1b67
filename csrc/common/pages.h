// Memory for matrices: aligned to huge pages and asking the kernel for them where it is large, not
// initialised.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace univar {

template <typename T>
class PageArray {
  public:
    PageArray() = default;
    explicit PageArray(std::size_t n) : size_(n) {
        const std::size_t bytes = n * sizeof(T), page = bytes < kHuge ? kSmall : kHuge;
        const std::size_t rounded = (bytes + page - 1) / page * page;
        void* memory = std::aligned_alloc(page, rounded == 0 ? page : rounded);
        if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
        if (page == kHuge) madvise(memory, rounded, MADV_HUGEPAGE);  // a wish: small pages work too
#endif
        memory_.reset(static_cast<T*>(memory));
    }

    T* data() { return memory_.get(); }
    const T* data() const { return memory_.get(); }
    std::size_t size() const { return size_; }

    // Room for n values at least; what was in it may be gone.
    void reserve(std::size_t n) {
        if (n <= size_) return;
        memory_.reset();
        *this = PageArray(n);
    }

  private:
    static constexpr std::size_t kSmall = 4096, kHuge = std::size_t{1} << 21;
    struct Free {
        void operator()(T* memory) const { std::free(memory); }
    };
    std::unique_ptr<T, Free> memory_;
    std::size_t size_ = 0;
};

}  // namespace univar
