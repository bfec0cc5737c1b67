// An array that grows by doubling, without setting its memory to zero first. Token ids become the output
// without a copy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace univar {

// Memory for large buffers that are often allocated and freed. Some of it is kept when it is given back,
// because fresh pages cost as much as computing the tokens in them. Throws std::bad_alloc.
void* take_memory(std::size_t bytes);
std::size_t memory_size(const void* memory);  // at least what was requested
void give_back_memory(void* memory);

template <typename T>
class Buffer {
  public:
    struct Free {
        void operator()(T* values) const { give_back_memory(values); }
    };

    std::size_t size() const { return size_; }
    T* data() { return values_.get(); }
    const T* data() const { return values_.get(); }

    // Makes room for `more` values after the last one.
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

    // There must be room.
    void push(T value) { values_.get()[size_++] = value; }

    // There must be room. New values are uninitialised.
    void set_size(std::size_t size) { size_ = size; }

    std::unique_ptr<T[], Free> release() { return std::move(values_); }

  private:
    void reallocate(std::size_t capacity) {
        std::unique_ptr<T[], Free> grown(static_cast<T*>(take_memory(capacity * sizeof(T))));
        std::copy_n(data(), size_, grown.get());
        values_ = std::move(grown);
        capacity_ = memory_size(values_.get()) / sizeof(T);
    }

    std::unique_ptr<T[], Free> values_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

using IdBuffer = Buffer<std::int32_t>;

}  // namespace univar
