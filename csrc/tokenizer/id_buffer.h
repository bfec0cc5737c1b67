// Token ids that grow by doubling without being set to zero first; becomes the output without a copy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace univar {

class IdBuffer {
  public:
    struct Free {
        void operator()(std::int32_t* ids) const { std::free(ids); }
    };

    std::size_t size() const { return size_; }
    std::int32_t* data() { return ids_.get(); }
    const std::int32_t* data() const { return ids_.get(); }

    // Room for `more` ids behind the last one.
    void reserve_more(std::size_t more) {
        if (size_ + more > capacity_) reallocate((size_ + more) * 2);
    }

    void reserve_exactly(std::size_t capacity) {
        if (capacity > capacity_) reallocate(capacity);
    }

    void append(const IdBuffer& other) {
        reserve_more(other.size_);
        std::copy_n(other.data(), other.size_, data() + size_);
        size_ += other.size_;
    }

    // Needs room.
    void push(std::int32_t id) { ids_.get()[size_++] = id; }

    // Ids that it grows by must have room and are not set.
    void set_size(std::size_t size) { size_ = size; }

    void shrink_to_fit() {
        if (size_ > 0) reallocate(size_);
    }

    std::unique_ptr<std::int32_t[], Free> release() { return std::move(ids_); }

  private:
    void reallocate(std::size_t capacity) {
        auto* grown = static_cast<std::int32_t*>(std::realloc(ids_.get(), capacity * sizeof(std::int32_t)));
        if (grown == nullptr) throw std::bad_alloc();
        static_cast<void>(ids_.release());
        ids_.reset(grown);
        capacity_ = capacity;
    }

    std::unique_ptr<std::int32_t[], Free> ids_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace univar
