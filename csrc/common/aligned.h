// Memory for matrices: aligned to cache lines, not initialised.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace univar {

template <typename T>
class AlignedArray {
  public:
    AlignedArray() = default;
    explicit AlignedArray(std::size_t n) : size_(n) {
        memory_.reset(static_cast<T*>(::operator new[](n * sizeof(T), kAlignment)));
    }

    T* data() { return memory_.get(); }
    const T* data() const { return memory_.get(); }
    std::size_t size() const { return size_; }

    // Room for n values at least; what was in it may be gone.
    void reserve(std::size_t n) {
        if (n > size_) *this = AlignedArray(n);
    }

  private:
    static constexpr std::align_val_t kAlignment{64};
    struct Free {
        void operator()(T* memory) const { ::operator delete[](memory, kAlignment); }
    };
    std::unique_ptr<T, Free> memory_;
    std::size_t size_ = 0;
};

}  // namespace univar
