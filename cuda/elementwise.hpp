// Bodies of the elementwise contracts, and which body with which grid runs a request: start(body, grid).
#pragma once

#include "cuda/block.hpp"
#include "cuda/strided.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/rules/clamp.hpp"
#include "kernels/visit.hpp"

namespace embergrad::cuda {

// out[i] = f(in[i])
template <class F, class T>
struct MapOne {
  F f;
  const T* in;
  T* out;
  std::int64_t size;
  bool packs;  // move 16 bytes at a time

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const std::int64_t first = first_item(block);
    const std::int64_t step = item_step(block);
    const std::int64_t packed = packs ? size / Pack<T>::width : 0;
    for (std::int64_t i = first; i < packed; i += step) {
      Pack<T> x = block.load(reinterpret_cast<const Pack<T>*>(in) + i);
      for (int k = 0; k < Pack<T>::width; ++k) x.values[k] = f(x.values[k]);
      block.store(reinterpret_cast<Pack<T>*>(out) + i, x);
    }
    for (std::int64_t i = packed * Pack<T>::width + first; i < size; i += step)
      block.store(out + i, f(block.load(in + i)));
  }
};

// out[i] = f(a[i], b[i])
template <class F, class T>
struct MapTwo {
  F f;
  const T* a;
  const T* b;
  T* out;
  std::int64_t size;
  bool packs;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    const std::int64_t first = first_item(block);
    const std::int64_t step = item_step(block);
    const std::int64_t packed = packs ? size / Pack<T>::width : 0;
    for (std::int64_t i = first; i < packed; i += step) {
      Pack<T> x = block.load(reinterpret_cast<const Pack<T>*>(a) + i);
      const Pack<T> y = block.load(reinterpret_cast<const Pack<T>*>(b) + i);
      for (int k = 0; k < Pack<T>::width; ++k) x.values[k] = f(x.values[k], y.values[k]);
      block.store(reinterpret_cast<Pack<T>*>(out) + i, x);
    }
    for (std::int64_t i = packed * Pack<T>::width + first; i < size; i += step) {
      block.store(out + i, f(block.load(a + i), block.load(b + i)));
    }
  }
};

// out[i] = f(a[…], b[…]) over broadcast inputs
template <class F, class T>
struct MapBroadcast {
  F f;
  const T* a;
  const T* b;
  T* out;
  Walk<2> places;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < places.size; i += item_step(block)) {
      std::int64_t at[2];
      places.find(i, at);
      block.store(out + i, f(block.load(a + at[0]), block.load(b + at[1])));
    }
  }
};

// out[i] = mask[…] != 0 ? a[…] : b[…]
template <class Mask, class Word>
struct SelectWords {
  const Mask* mask;
  const Word* a;
  const Word* b;
  Word* out;
  Walk<3> places;

  template <Block B>
  EMBERGRAD_HD void operator()(B& block) const {
    for (std::int64_t i = first_item(block); i < places.size; i += item_step(block)) {
      std::int64_t at[3];
      places.find(i, at);
      block.store(out + i, block.load(mask + at[0]) != 0 ? block.load(a + at[1]) : block.load(b + at[2]));
    }
  }
};

// --- the functions of one element

template <class Rule>
struct Value {
  template <class... T>
  EMBERGRAD_HD auto operator()(T... x) const {
    return Rule::f(x...);
  }
};
template <class Rule>
struct Derivative {
  template <class T>
  EMBERGRAD_HD T operator()(T saved, T grad) const {
    return grad * Rule::df(saved);
  }
};
template <class Rule, class T>
struct WithNumber {
  T number;
  bool first;
  EMBERGRAD_HD T operator()(T x) const {
    const T a = first ? number : x;
    const T b = first ? x : number;
    return Rule::f(a, b);
  }
};
template <class T>
struct Clamped {
  T low, high;
  EMBERGRAD_HD T operator()(T x) const { return rules::Clamp::f(x, low, high); }
};
template <class T>
struct ClampedGrad {
  T low, high;
  EMBERGRAD_HD T operator()(T x, T grad) const { return rules::Clamp::grad(x, grad, low, high); }
};

// --- from a request to a body

// Calls body(Rule{}) for rule number `op` of a list.
template <class... Rules, class Body>
void visit_rule(rules::RuleList<Rules...> /*list*/, int op, const Body& body) {
  int number = 0;
  static_cast<void>(((number++ == op && (body(Rules{}), true)) || ...));
}

// Does this rule compute this type?
template <class Rule, class T>
inline constexpr bool computes = !rules::is_integer<T> || Rule::takes_integers;

template <class F, class T, class Start>
void map_one(const Start& start, const F& f, const View& in, const View& out) {
  const T* from = in.as<const T>();
  T* to = out.as<T>();
  const bool packs = all_on_packs(from, to);
  start(MapOne<F, T>{f, from, to, out.size, packs}, grid_for(packs ? divide_up(out.size, Pack<T>::width) : out.size));
}

template <class F, class T, class Start>
void map_two(const Start& start, const F& f, const View& a, const View& b, const View& out) {
  const T* x = a.as<const T>();
  const T* y = b.as<const T>();
  T* to = out.as<T>();
  const bool packs = all_on_packs(x, y, to);
  start(MapTwo<F, T>{f, x, y, to, out.size, packs}, grid_for(packs ? divide_up(out.size, Pack<T>::width) : out.size));
}

// One rule for one type. Types come as values: nvcc 13 loses them where lambdas stand in each other.
template <class Rule, class T, class Start>
void run_rule(const Start& start, const UnaryMap& request, Rule /*rule*/, T /*type*/) {
  if constexpr (computes<Rule, T>) map_one<Value<Rule>, T>(start, Value<Rule>{}, request.in, request.out);
}
template <class Rule, class T, class Start>
void run_rule(const Start& start, const UnaryGrad& request, Rule /*rule*/, T /*type*/) {
  map_two<Derivative<Rule>, T>(start, Derivative<Rule>{}, request.saved, request.grad, request.out);
}
template <class Rule, class T, class Start>
void run_rule(const Start& start, const BinaryMap& request, Rule /*rule*/, T /*type*/) {
  if constexpr (computes<Rule, T>) map_two<Value<Rule>, T>(start, Value<Rule>{}, request.a, request.b, request.out);
}
template <class Rule, class T, class Start>
void run_rule(const Start& start, const BinaryScalarMap& request, Rule /*rule*/, T /*type*/) {
  if constexpr (computes<Rule, T>) {
    const WithNumber<Rule, T> f{request.b.as<T>(), request.reversed};
    map_one<WithNumber<Rule, T>, T>(start, f, request.a, request.out);
  }
}
template <class Rule, class T, class Start>
void run_rule(const Start& start, const BinaryBroadcast& request, Rule /*rule*/, T /*type*/) {
  if constexpr (computes<Rule, T>) {
    const MapBroadcast<Value<Rule>, T> body{{},
                                            static_cast<const T*>(request.a.data),
                                            static_cast<const T*>(request.b.data),
                                            static_cast<T*>(request.out.data),
                                            walk(request.a, request.b)};
    start(body, grid_for(body.places.size));
  }
}

template <class Start>
void run_with(const Start& start, const UnaryMap& request) {
  visit_numbers(request.out.dtype, [&](auto type) {
    visit_rule(rules::UnaryRules{}, static_cast<int>(request.op),
               [&](auto rule) { run_rule(start, request, rule, type); });
  });
}

template <class Start>
void run_with(const Start& start, const UnaryGrad& request) {
  visit_floating(request.out.dtype, [&](auto type) {
    visit_rule(rules::UnaryRules{}, static_cast<int>(request.op),
               [&](auto rule) { run_rule(start, request, rule, type); });
  });
}

template <class Start, class Binary>
void run_binary(const Start& start, const Binary& request) {
  visit_numbers(request.out.dtype, [&](auto type) {
    visit_rule(rules::BinaryRules{}, static_cast<int>(request.op),
               [&](auto rule) { run_rule(start, request, rule, type); });
  });
}
template <class Start>
void run_with(const Start& start, const BinaryMap& request) {
  run_binary(start, request);
}
template <class Start>
void run_with(const Start& start, const BinaryScalarMap& request) {
  run_binary(start, request);
}
template <class Start>
void run_with(const Start& start, const BinaryBroadcast& request) {
  run_binary(start, request);
}

template <class Start>
void run_with(const Start& start, const ClampMap& request) {
  visit_numbers(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const Clamped<T> f{request.low.as<T>(), request.high.as<T>()};
    map_one<Clamped<T>, T>(start, f, request.in, request.out);
  });
}

template <class Start>
void run_with(const Start& start, const ClampGrad& request) {
  visit_floating(request.out.dtype, [&](auto type) {
    using T = decltype(type);
    const ClampedGrad<T> f{request.low.as<T>(), request.high.as<T>()};
    map_two<ClampedGrad<T>, T>(start, f, request.in, request.grad, request.out);
  });
}

template <class Mask, class Word, class Start>
void select_words(const Start& start, const Select& request, Mask /*mask*/, Word /*word*/) {
  const SelectWords<Mask, Word> body{static_cast<const Mask*>(request.mask.data),
                                     static_cast<const Word*>(request.a.data), static_cast<const Word*>(request.b.data),
                                     static_cast<Word*>(request.out.data), walk(request.mask, request.a, request.b)};
  start(body, grid_for(body.places.size));
}

template <class Start>
void run_with(const Start& start, const Select& request) {
  visit_index(request.mask.dtype, [&](auto mask) {
    visit_word(request.out.dtype, [&](auto word) { select_words(start, request, mask, word); });
  });
}

}  // namespace embergrad::cuda
