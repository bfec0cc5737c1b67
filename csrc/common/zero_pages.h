// Large tables of zeros that are looked into at random: in huge pages where the system has them, which saves
// most page faults and address look-ups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace univar {

// T: plain values for which all bytes zero is a value.
template <typename T>
class ZeroPages {
  public:
    explicit ZeroPages(std::size_t n) : bytes_(n * sizeof(T) + kHuge) {
#if defined(__linux__)
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
#else
        memory_ = std::calloc(bytes_, 1);
        if (memory_ == nullptr) throw std::bad_alloc();
#endif
        const auto address = reinterpret_cast<std::uintptr_t>(memory_);
        values_ = reinterpret_cast<T*>((address + kHuge - 1) / kHuge * kHuge);
#if defined(__linux__)
        madvise(values_, n * sizeof(T), MADV_HUGEPAGE);  // a wish: small pages work too
#endif
    }
    ~ZeroPages() {
#if defined(__linux__)
        munmap(memory_, bytes_);
#else
        std::free(memory_);
#endif
    }
    ZeroPages(const ZeroPages&) = delete;
    ZeroPages& operator=(const ZeroPages&) = delete;

    T& operator[](std::size_t i) { return values_[i]; }
    const T& operator[](std::size_t i) const { return values_[i]; }

  private:
    static constexpr std::size_t kHuge = std::size_t{1} << 21;

    std::size_t bytes_;
    void* memory_;
    T* values_;
};

}  // namespace univar
