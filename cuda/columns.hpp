// The numbers of a row that one thread handles at once.
#pragma once

#include "cuda/block.hpp"
#include "kernels/rules/convert.hpp"

namespace embergrad::cuda {

// How the threads of a row share it. Whether all its numbers lie so that neighbours can be moved in one access is for
// the host to say.
struct RowShape {
  std::int64_t width;  // of a row
  bool packs;
  int lane_bits;  // 2^lane_bits threads share a row

  // At most a block's threads; no more than there is work for.
  template <class T>
  static RowShape of(std::int64_t width, bool on_packs, int most_bits) {
    RowShape shape{width, on_packs && width % Pack<T>::width == 0, 0};
    while (shape.lane_bits < most_bits && (std::int64_t{Pack<T>::width} << shape.lane_bits) < width) ++shape.lane_bits;
    return shape;
  }
  [[nodiscard]] Grid grid(std::int64_t rows) const {
    const std::int64_t blocks = divide_up(rows, default_threads >> lane_bits);
    return {blocks < most_blocks ? blocks : most_blocks, default_threads};
  }
  EMBERGRAD_HD int lanes() const { return 1 << lane_bits; }
  template <Block B>
  EMBERGRAD_HD int lane(B& block) const {
    return block.thread() & (lanes() - 1);
  }
  template <Block B>
  EMBERGRAD_HD std::int64_t first_row(B& block) const {
    return block.block() * (block.threads() >> lane_bits) + (block.thread() >> lane_bits);
  }
  template <Block B>
  EMBERGRAD_HD std::int64_t row_step(B& block) const {
    return block.blocks() * (block.threads() >> lane_bits);
  }
};

// What one of `lanes` threads handles of `count` numbers, as many as a pack of T has at once: neighbours, moved in one
// access; or where addresses don't allow that, numbers `lanes` apart, so that the threads' accesses are neighbours.
template <class T>
class Columns {
 public:
  static constexpr int width = Pack<T>::width;

  EMBERGRAD_HD Columns(std::int64_t lane, std::int64_t lanes, std::int64_t count, bool packs)
      : packs_(packs), at_(packs ? lane * width : lane), gap_(packs ? 1 : lanes), step_(lanes * width), count_(count) {}

  EMBERGRAD_HD bool some() const { return at_ < count_; }
  EMBERGRAD_HD void advance() { at_ += step_; }
  EMBERGRAD_HD std::int64_t column(int k) const { return at_ + k * gap_; }
  EMBERGRAD_HD bool holds(int k) const { return column(k) < count_; }

  // Elements of a row, as numbers of another type; 0 past its end.
  template <class To, class Element, Block B>
  EMBERGRAD_HD void load(B& block, const Element* row, To* to) const {
    if (is_whole()) {
      const auto words = block.load(reinterpret_cast<const Neighbours<Element>*>(row + at_));
      for (int k = 0; k < width; ++k) to[k] = rules::Converter<To, Element>::f(words.values[k]);
      return;
    }
    for (int k = 0; k < width; ++k)
      to[k] = holds(k) ? rules::Converter<To, Element>::f(block.load(row + column(k))) : To(0);
  }
  template <class From, class Element, Block B>
  EMBERGRAD_HD void store(B& block, Element* row, const From* from) const {
    if (is_whole()) {
      Neighbours<Element> words;
      for (int k = 0; k < width; ++k) words.values[k] = rules::Converter<Element, From>::f(from[k]);
      block.store(reinterpret_cast<Neighbours<Element>*>(row + at_), words);
      return;
    }
    for (int k = 0; k < width; ++k) {
      if (holds(k)) block.store(row + column(k), rules::Converter<Element, From>::f(from[k]));
    }
  }

 private:
  template <class Element>
  struct alignas(width * sizeof(Element)) Neighbours {
    Element values[width];
  };
  EMBERGRAD_HD bool is_whole() const { return packs_ && at_ + width <= count_; }

  bool packs_;
  std::int64_t at_, gap_, step_, count_;
};

}  // namespace embergrad::cuda
