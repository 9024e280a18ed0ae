// What is kept by step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace embergrad::optim::detail {

// Values by step, the oldest of them forgotten: blocks that are used again, so that nothing is allocated while as much
// is forgotten as is added.
template <class T>
class Track {
 public:
  // Empty; the next value is that of step 0.
  void clear() {
    forget_before(end_);
    begin_ = end_ = 0;
  }
  void push(const T& value) {
    if (end_ % block_size == 0 || begin_ == end_) add_block();
    ++end_;
    (*this)[end_ - 1] = value;
  }
  T& operator[](std::int64_t step) { return blocks_[slot(step)][step % block_size]; }
  const T& operator[](std::int64_t step) const { return blocks_[slot(step)][step % block_size]; }
  [[nodiscard]] std::int64_t begin() const { return begin_; }
  [[nodiscard]] std::int64_t end() const { return end_; }
  void forget_before(std::int64_t step) {
    if (step > end_) step = end_;
    if (step <= begin_) return;
    const std::int64_t first = step == end_ ? past(end_) : step / block_size;
    for (std::int64_t b = begin_ / block_size; b < first && b < past(end_); ++b) {
      spare_.push_back(std::move(blocks_[slot(b * block_size)]));
    }
    begin_ = step;
    const auto live = static_cast<std::size_t>(past(end_) - first);
    if (spare_.size() > live + 1) spare_.resize(live + 1);
  }
  [[nodiscard]] std::int64_t bytes() const {
    const std::int64_t live = begin_ == end_ ? 0 : past(end_) - begin_ / block_size;
    return (live + static_cast<std::int64_t>(spare_.size())) * static_cast<std::int64_t>(block_size * sizeof(T)) +
           static_cast<std::int64_t>((blocks_.capacity() + spare_.capacity()) * sizeof(Block));
  }

 private:
  using Block = std::unique_ptr<T[]>;
  static constexpr std::int64_t block_size = 64;

  // The block after the one that holds the last step before `end`.
  static std::int64_t past(std::int64_t end) { return (end + block_size - 1) / block_size; }
  [[nodiscard]] std::size_t slot(std::int64_t step) const {
    return static_cast<std::size_t>(step / block_size) & (blocks_.size() - 1);
  }
  void add_block() {
    const std::int64_t first = begin_ / block_size;
    const std::int64_t next = end_ / block_size;
    if (static_cast<std::size_t>(next - first) >= blocks_.size()) {
      std::vector<Block> more(blocks_.empty() ? 4 : 2 * blocks_.size());
      for (std::int64_t b = first; b < next; ++b) {
        more[static_cast<std::size_t>(b) & (more.size() - 1)] = std::move(blocks_[slot(b * block_size)]);
      }
      blocks_ = std::move(more);
    }
    Block& block = blocks_[slot(end_)];
    if (spare_.empty()) {
      block = std::make_unique<T[]>(block_size);
    } else {
      block = std::move(spare_.back());
      spare_.pop_back();
    }
  }

  std::vector<Block> blocks_;  // block b in slot b mod size, a power of two
  std::vector<Block> spare_;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;
};

}  // namespace embergrad::optim::detail
