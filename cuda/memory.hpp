// Bodies of the contracts that fill, convert and copy.
#pragma once

#include "cuda/elementwise.hpp"
#include "kernels/memory.hpp"
#include "kernels/rules/convert.hpp"

namespace embergrad::cuda {

// out[i] = value
template <class Word>
struct FillWords {
  Word* out;
  Word value;
  std::int64_t size;
  bool packs;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const std::int64_t first = first_item(block);
    const std::int64_t step = item_step(block);
    const std::int64_t packed = packs ? size / Pack<Word>::width : 0;
    Pack<Word> pack;
    for (int k = 0; k < Pack<Word>::width; ++k) pack.values[k] = value;
    for (std::int64_t i = first; i < packed; i += step) block.store(reinterpret_cast<Pack<Word>*>(out) + i, pack);
    for (std::int64_t i = packed * Pack<Word>::width + first; i < size; i += step) block.store(out + i, value);
  }
};

// out[i] = in[i] in another type
template <class To, class From>
struct ConvertNumbers {
  const From* in;
  To* out;
  std::int64_t size;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < size; i += item_step(block)) {
      block.store(out + i, rules::Converter<To, From>::f(block.load(in + i)));
    }
  }
};

// out[…] = in[…]
template <class Word>
struct CopyWords {
  const Word* in;
  Word* out;
  Walk<2> places;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < places.size; i += item_step(block)) {
      std::int64_t at[2];
      places.find(i, at);
      block.store(out + at[1], block.load(in + at[0]));
    }
  }
};

// out[…] += in[…]
template <class T>
struct AddNumbers {
  const T* in;
  T* out;
  Walk<2> places;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < places.size; i += item_step(block)) {
      std::int64_t at[2];
      places.find(i, at);
      block.store(out + at[1], block.load(out + at[1]) + block.load(in + at[0]));
    }
  }
};

struct Same {
  template <class T>
  EMBERGRAD_HD T operator()(T x) const {
    return x;
  }
};

template <class T, class Word, class Start>
void fill_words(const Start& start, const Fill& request, T /*type*/, Word /*word*/) {
  if constexpr (sizeof(T) == sizeof(Word)) {
    Word* out = request.out.as<Word>();
    const bool packs = all_on_packs(out);
    start(FillWords<Word>{out, __builtin_bit_cast(Word, request.value.as<T>()), request.out.size, packs},
          grid_for(packs ? divide_up(request.out.size, Pack<Word>::width) : request.out.size));
  }
}

template <class To, class From, class Start>
void convert_numbers(const Start& start, const Convert& request, To /*to*/, From /*from*/) {
  if constexpr (dtype_of<To> != dtype_of<From>) {
    start(ConvertNumbers<To, From>{request.in.as<const From>(), request.out.as<To>(), request.out.size},
          grid_for(request.out.size));
  }
}

template <class Start>
void run_with(const Start& start, const Fill& request) {
  visit(request.out.dtype,
        [&](auto type) { visit_word(request.out.dtype, [&](auto word) { fill_words(start, request, type, word); }); });
}

template <class Start>
void run_with(const Start& start, const Convert& request) {
  if (request.in.dtype != request.out.dtype) {
    visit(request.in.dtype,
          [&](auto from) { visit(request.out.dtype, [&](auto to) { convert_numbers(start, request, to, from); }); });
  } else if (request.in.data != request.out.data) {
    visit_word(request.out.dtype, [&](auto word) {
      using Word = decltype(word);
      map_one<Same, Word>(start, Same{}, request.in, request.out);
    });
  }
}

template <class Start>
void run_with(const Start& start, const CopyStrided& request) {
  visit_word(request.out.dtype, [&](auto word) {
    using Word = decltype(word);
    const CopyWords<Word> body{static_cast<const Word*>(request.in.data), static_cast<Word*>(request.out.data),
                               walk(request.in, request.out)};
    start(body, grid_for(body.places.size));
  });
}

template <class Start>
void run_with(const Start& start, const AddStrided& request) {
  visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const AddNumbers<T> body{static_cast<const T*>(request.in.data), static_cast<T*>(request.out.data),
                             walk(request.in, request.out)};
    start(body, grid_for(body.places.size));
  });
}

}  // namespace embergrad::cuda
