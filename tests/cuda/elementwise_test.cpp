#include "cuda/elementwise.hpp"

#include "cuda/same_bits.hpp"
#include "support/random.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

// Calls body(size, shifts of two inputs and the output, seed) over sizes and slices.
template <class Body>
void for_sizes(const Body& body) {
  std::uint64_t seed = 0;
  for (const std::int64_t size : map_sizes) {
    // all on 16 bytes; the first input, the second or the output not; a slice that is
    const std::int64_t shifts[][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {4, 8, 4}};
    body(size, shifts[seed % 5], seed % seeds);
    ++seed;
  }
}

// Calls body(op, T{}) for every rule of a list and every type that it takes.
template <class... Rules, class Body>
void for_rules(eg::rules::RuleList<Rules...> /*list*/, const Body& body) {
  int op = 0;
  const auto one = [&]<class Rule>(Rule /*rule*/) {
    for_numbers([&]<class T>(T type) {
      if constexpr (eg::cuda::computes<Rule, T>) body(op, type);
    });
    ++op;
  };
  (one(Rules{}), ...);
}

std::string named(const char* contract, int op) { return fmt::format("{}, rule {}", contract, op); }

}  // namespace

BOOST_AUTO_TEST_SUITE(elementwise)

BOOST_AUTO_TEST_CASE(unary) {
  for_rules(eg::rules::UnaryRules{}, [](int op, auto type) {
    using T = decltype(type);
    for_sizes([&](std::int64_t size, const std::int64_t* shifts, std::uint64_t seed) {
      Draw draw(seed);
      auto in = Numbers<T>::drawn(draw, size, shifts[0]);
      auto out = Numbers<T>::drawn(draw, size, shifts[2]);
      expect_same_bits(named("UnaryMap", op), eg::UnaryMap{eg::UnaryOp(op), in.view(), out.view()}, out, seed);
    });
  });
}

BOOST_AUTO_TEST_CASE(unary_grad) {
  for_rules(eg::rules::UnaryRules{}, [](int op, auto type) {
    using T = decltype(type);
    if constexpr (std::is_floating_point_v<T>) {
      for_sizes([&](std::int64_t size, const std::int64_t* shifts, std::uint64_t seed) {
        Draw draw(seed);
        auto saved = Numbers<T>::drawn(draw, size, shifts[0]);
        auto grad = Numbers<T>::drawn(draw, size, shifts[1]);
        auto out = Numbers<T>::drawn(draw, size, shifts[2]);
        expect_same_bits(named("UnaryGrad", op), eg::UnaryGrad{eg::UnaryOp(op), saved.view(), grad.view(), out.view()},
                         out, seed);
      });
    }
  });
}

BOOST_AUTO_TEST_CASE(binary) {
  for_rules(eg::rules::BinaryRules{}, [](int op, auto type) {
    using T = decltype(type);
    for_sizes([&](std::int64_t size, const std::int64_t* shifts, std::uint64_t seed) {
      Draw draw(seed);
      auto a = Numbers<T>::drawn(draw, size, shifts[0]);
      auto b = Numbers<T>::drawn(draw, size, shifts[1]);
      auto out = Numbers<T>::drawn(draw, size, shifts[2]);
      const auto binary_op = eg::BinaryOp(op);
      expect_same_bits(named("BinaryMap", op), eg::BinaryMap{binary_op, a.view(), b.view(), out.view()}, out, seed);
      const bool reversed = seed % 2 == 1;
      expect_same_bits(named("BinaryScalarMap", op),
                       eg::BinaryScalarMap{binary_op, a.view(), reversed ? 3 : -2, reversed, out.view()}, out, seed);
    });
  });
}

BOOST_AUTO_TEST_CASE(broadcast) {
  using Extents = std::vector<std::int64_t>;
  struct Case {
    Extents extents, a_strides, b_strides;
  };
  const Case cases[] = {
      {{}, {}, {}},
      {{0, 3}, {3, 1}, {0, 1}},
      {{7, 33}, {33, 1}, {0, 1}},  // a row repeated
      {{7, 33}, {1, 0}, {33, 1}},  // a column repeated
      {{5, 1, 9, 4}, {0, 0, 4, 1}, {36, 36, 0, 1}},
      {{300}, {0}, {1}},  // one number repeated
      {{2, 3, 2, 1, 2, 1, 2, 3}, {0, 12, 6, 6, 3, 3, 0, 1}, {24, 0, 12, 12, 6, 6, 3, 0}},
  };
  for_rules(eg::rules::BinaryRules{}, [&](int op, auto type) {
    using T = decltype(type);
    std::uint64_t seed = 0;
    for (const Case& c : cases) {
      Draw draw(seed);
      std::int64_t size = 1;
      for (const std::int64_t extent : c.extents) size *= extent;
      auto a = Numbers<T>::drawn(draw, 300, 1);
      auto b = Numbers<T>::drawn(draw, 300, 0);
      auto out = Numbers<T>::drawn(draw, size, 0);
      expect_same_bits(named("BinaryBroadcast", op),
                       eg::BinaryBroadcast{eg::BinaryOp(op), strided(a.data(), eg::dtype_of<T>, c.extents, c.a_strides),
                                           strided(b.data(), eg::dtype_of<T>, c.extents, c.b_strides),
                                           strided(out.data(), eg::dtype_of<T>, c.extents)},
                       out, seed++);
    }
  });
}

BOOST_AUTO_TEST_CASE(clamp) {
  for_numbers([](auto type) {
    using T = decltype(type);
    for_sizes([&](std::int64_t size, const std::int64_t* shifts, std::uint64_t seed) {
      Draw draw(seed);
      auto in = Numbers<T>::drawn(draw, size, shifts[0]);
      auto grad = Numbers<T>::drawn(draw, size, shifts[1]);
      auto out = Numbers<T>::drawn(draw, size, shifts[2]);
      expect_same_bits("ClampMap", eg::ClampMap{in.view(), out.view(), -1, 2}, out, seed);
      if constexpr (std::is_floating_point_v<T>) {
        expect_same_bits("ClampGrad", eg::ClampGrad{in.view(), grad.view(), out.view(), -1, 2}, out, seed);
      }
    });
  });
}

namespace {

template <class Mask, class T>
void check_select() {
  std::uint64_t seed = 0;
  for (const std::int64_t rows : {0, 1, 9, 70}) {
    const std::int64_t columns = 13;
    Draw draw(seed);
    auto mask = Numbers<Mask>::drawn(draw, columns, 0);
    for (std::int64_t i = 0; i < columns; ++i) mask.data()[i] = static_cast<Mask>(draw.integer(0, 1));
    auto a = Numbers<T>::drawn(draw, rows * columns, 1);
    auto b = Numbers<T>::drawn(draw, 1, 0);
    auto out = Numbers<T>::drawn(draw, rows * columns, 0);
    const eg::DType dtype = eg::dtype_of<T>;
    expect_same_bits(
        "Select",
        eg::Select{strided(mask.data(), eg::dtype_of<Mask>, {rows, columns}, {0, 1}),
                   strided(a.data(), dtype, {rows, columns}), strided(b.data(), dtype, {rows, columns}, {0, 0}),
                   strided(out.data(), dtype, {rows, columns})},
        out, seed++);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(select) {
  check_select<std::int32_t, float>();
  check_select<std::int64_t, double>();
  check_select<std::int64_t, eg::Float16>();
  check_select<std::int32_t, std::int64_t>();
}

BOOST_AUTO_TEST_SUITE_END()
