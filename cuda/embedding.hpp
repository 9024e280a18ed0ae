// Body of GatherRows.
#pragma once

#include "cuda/block.hpp"
#include "kernels/embedding.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// out[i, :] = table[index[i], :], or `fill` where index[i] < 0; rows of `width` words. A row is copied by 2^lane_bits
// threads, so that short rows share a block.
template <class Word, class Index>
struct GatherWords {
  const Word* table;
  const Index* index;
  Word* out;
  std::int64_t rows, width;
  Word fill;
  int lane_bits;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const int lanes = 1 << lane_bits;
    const int lane = block.thread() & (lanes - 1);
    const std::int64_t rows_per_block = block.threads() >> lane_bits;
    for (std::int64_t i = block.block() * rows_per_block + (block.thread() >> lane_bits); i < rows;
         i += block.blocks() * rows_per_block) {
      const auto row = static_cast<std::int64_t>(block.load(index + i));
      Word* to = out + i * width;
      if (row < 0) {
        for (std::int64_t j = lane; j < width; j += lanes) block.store(to + j, fill);
      } else {
        const Word* from = table + row * width;
        for (std::int64_t j = lane; j < width; j += lanes) block.store(to + j, block.load(from + j));
      }
    }
  }
};

template <class Word, class Index, class Start>
void gather_words(const Start& start, const GatherRows& request, Word fill, Index /*index*/) {
  const auto word = static_cast<std::int64_t>(sizeof(Word));
  const std::int64_t width = request.dim * static_cast<std::int64_t>(item_size(request.table.dtype)) / word;
  constexpr int block_bits = 8;
  static_assert(default_threads == 1 << block_bits);
  int lane_bits = 0;
  while (lane_bits < block_bits && (std::int64_t{1} << lane_bits) < width) ++lane_bits;
  const std::int64_t blocks = divide_up(request.index.size, default_threads >> lane_bits);
  start(GatherWords<Word, Index>{request.table.as<const Word>(), request.index.as<const Index>(),
                                 request.out.as<Word>(), request.index.size, width, fill, lane_bits},
        Grid{blocks < most_blocks ? blocks : most_blocks, default_threads});
}

template <class T, class Word, class Index, class Start>
void gather_single_words(const Start& start, const GatherRows& request, T fill, Word /*word*/, Index index) {
  if constexpr (sizeof(T) == sizeof(Word)) gather_words(start, request, __builtin_bit_cast(Word, fill), index);
}

template <class T, class Index, class Start>
void gather_rows_of(const Start& start, const GatherRows& request, T /*type*/, Index index) {
  Pack<T> fill;
  for (T& value : fill.values) value = request.fill.as<T>();
  if (request.dim % Pack<T>::width == 0 && all_on_packs(request.table.data, request.out.data)) {
    return gather_words(start, request, __builtin_bit_cast(Pack<std::uint32_t>, fill), index);
  }
  visit_word(request.table.dtype, [&](auto word) { gather_single_words(start, request, fill.values[0], word, index); });
}

template <class Start>
void run_with(const Start& start, const GatherRows& request) {
  if (request.dim == 0) return;
  visit(request.table.dtype, [&](auto type) {
    visit_index(request.index.dtype, [&](auto index) { gather_rows_of(start, request, type, index); });
  });
}

}  // namespace embergrad::cuda
