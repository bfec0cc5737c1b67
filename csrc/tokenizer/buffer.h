// Values that grow by doubling without being set to zero first; token ids become the output without a copy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace univar {

template <typename T>
class Buffer {
  public:
    struct Free {
        void operator()(T* values) const { std::free(values); }
    };

    std::size_t size() const { return size_; }
    T* data() { return values_.get(); }
    const T* data() const { return values_.get(); }

    // Room for `more` values behind the last one.
    void reserve_more(std::size_t more) {
        if (size_ + more > capacity_) reallocate((size_ + more) * 2);
    }

    void reserve_exactly(std::size_t capacity) {
        if (capacity > capacity_) reallocate(capacity);
    }

    void append(const Buffer& other) {
        reserve_more(other.size_);
        std::copy_n(other.data(), other.size_, data() + size_);
        size_ += other.size_;
    }

    // Needs room.
    void push(T value) { values_.get()[size_++] = value; }

    // Values that it grows by must have room and are not set.
    void set_size(std::size_t size) { size_ = size; }

    void shrink_to_fit() {
        if (size_ > 0) reallocate(size_);
    }

    std::unique_ptr<T[], Free> release() { return std::move(values_); }

  private:
    void reallocate(std::size_t capacity) {
        auto* grown = static_cast<T*>(std::realloc(values_.get(), capacity * sizeof(T)));
        if (grown == nullptr) throw std::bad_alloc();
        static_cast<void>(values_.release());
        values_.reset(grown);
        capacity_ = capacity;
    }

    std::unique_ptr<T[], Free> values_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

using IdBuffer = Buffer<std::int32_t>;

}  // namespace univar
