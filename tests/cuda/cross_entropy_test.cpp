// Losses and gradients have the CPU's bits here, but for the sum that label smoothing takes over the classes, which the
// CPU adds one by one. On a GPU, what follows from log and from exp of float64 agrees to a tolerance.
#include "cuda/cross_entropy.hpp"

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

constexpr std::int64_t ignored = -100;

// What all losses take.
template <class T, class Index>
struct Samples {
  Samples(eg::LossSizes loss_sizes, std::uint64_t number)
      : draw(number),
        sizes(loss_sizes),
        samples(sizes.outer * sizes.inner),
        size(samples * sizes.classes),
        shift(number % 3 == 2 ? 1 : 0),
        numbers(Numbers<T>::drawn(draw, size, shift)),
        target(samples, 0),
        class_weight(number % 2 == 0 ? 0 : sizes.classes, 1),
        scale(Numbers<T>::drawn(draw, number % 4 < 2 ? 1 : samples, 0)) {
    for (std::int64_t i = 0; i < size; ++i) {
      if (number % 5 != 0 || draw.integer(0, 99) != 0) numbers.data()[i] = static_cast<T>(draw.uniform(-6, 6));
    }
    for (std::int64_t i = 0; i < samples; ++i) {
      const bool counts = sizes.classes > 0 && draw.integer(0, 4) != 0;
      target.data()[i] = static_cast<Index>(counts ? draw.integer(0, sizes.classes - 1) : ignored);
    }
    for (std::int64_t c = 0; c < class_weight.count(); ++c)
      class_weight.data()[c] = static_cast<T>(draw.uniform(0.1, 3));
  }
  Numbers<T> output(std::int64_t count, std::int64_t behind = 0) { return Numbers<T>::drawn(draw, count, behind); }

  Draw draw;
  eg::LossSizes sizes;
  std::int64_t samples, size, shift;
  Numbers<T> numbers;
  Numbers<Index> target;
  Numbers<T> class_weight, scale;
};

// Calls body(T{}, Index{}, sizes, number).
template <class Body>
void for_losses(const Body& body) {
  std::uint64_t number = 0;
  for (const std::int64_t inner : {1, 3, 64}) {
    for (const std::int64_t classes : {0, 1, 3, 4, 17, 31, 32, 33, 64, 128, 257, 1024, 1025, 4097}) {
      if (inner == 64 && classes > 300) continue;
      for (const std::int64_t outer : {0, 1, 5, 70}) {
        if (outer == 70 && classes * inner > 200) continue;
        const eg::LossSizes sizes{outer, classes, inner};
        body(float{}, std::int64_t{}, sizes, number);
        body(double{}, std::int32_t{}, sizes, number + 1);
        ++number;
      }
    }
  }
  body(float{}, std::int32_t{}, eg::LossSizes{1, 70001, 1}, 1);
}

std::string named(const char* contract, const eg::LossSizes& sizes) {
  return fmt::format("{} of ({}, {}, {})", contract, sizes.outer, sizes.classes, sizes.inner);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cross_entropy)

BOOST_AUTO_TEST_CASE(nll_loss) {
  for_losses([](auto type, auto index, const eg::LossSizes& sizes, std::uint64_t number) {
    using T = decltype(type);
    Samples<T, decltype(index)> s(sizes, number);
    const std::string name = named("NllLoss", sizes);
    const auto request = [&](Numbers<T>& losses, Numbers<T>& weights) {
      return eg::NllLoss{s.numbers.view(), s.target.view(), s.class_weight.view(), losses.view(), weights.view(), sizes,
                         ignored};
    };
    const auto same = [&](Numbers<T>& by_body, Numbers<T>& by_cpu) { expect_same(name, number, by_body, by_cpu); };
    run_both(name, number, request, same, s.output(s.samples), s.output(s.samples));
  });
}

BOOST_AUTO_TEST_CASE(nll_loss_grad) {
  for_losses([](auto type, auto index, const eg::LossSizes& sizes, std::uint64_t number) {
    using T = decltype(type);
    Samples<T, decltype(index)> s(sizes, number);
    const std::string name = named("NllLossGrad", sizes);
    const auto request = [&](Numbers<T>& grad_in) {
      return eg::NllLossGrad{s.target.view(), s.class_weight.view(), s.scale.view(), grad_in.view(), sizes, ignored};
    };
    const auto same = [&](Numbers<T>& by_body, Numbers<T>& by_cpu) { expect_same(name, number, by_body, by_cpu); };
    run_both(name, number, request, same, s.output(s.size, s.shift));
  });
}

BOOST_AUTO_TEST_CASE(forward) {
  for_losses([](auto type, auto index, const eg::LossSizes& sizes, std::uint64_t number) {
    using T = decltype(type);
    Samples<T, decltype(index)> s(sizes, number);
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      const std::string name = named("CrossEntropy", sizes) + fmt::format(" smoothed by {}", smoothing);
      const auto request = [&](Numbers<T>& losses, Numbers<T>& weights, Numbers<T>& probs) {
        return eg::CrossEntropy{s.numbers.view(),
                                s.target.view(),
                                s.class_weight.view(),
                                losses.view(),
                                weights.view(),
                                probs.view(),
                                sizes,
                                ignored,
                                smoothing,
                                number % 2 == 0 ? 1.0 : 0.37,
                                number % 3 == 0 ? 1.0 : 1.7};
      };
      const auto same = [&](Numbers<T>& by_body, Numbers<T>& by_cpu) {
        const bool smoothed = smoothing != 0 && by_cpu.count() == s.samples;
        expect_same(name, number, by_body, by_cpu, smoothed ? tolerance(eg::dtype_of<T>) : exact);
      };
      run_both(name, number, request, same, s.output(s.samples), s.output(s.samples), s.output(s.size, s.shift));
    }
  });
}

BOOST_AUTO_TEST_CASE(backward) {
  for_losses([](auto type, auto index, const eg::LossSizes& sizes, std::uint64_t number) {
    using T = decltype(type);
    Samples<T, decltype(index)> s(sizes, number);
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      const std::string name = named("CrossEntropyGrad", sizes) + fmt::format(" smoothed by {}", smoothing);
      const auto request = [&](Numbers<T>& grad_in) {
        return eg::CrossEntropyGrad{s.numbers.view(), s.target.view(), s.class_weight.view(),
                                    s.scale.view(),   grad_in.view(),  sizes,
                                    ignored,          smoothing,       1.3};
      };
      const auto same = [&](Numbers<T>& by_body, Numbers<T>& by_cpu) { expect_same(name, number, by_body, by_cpu); };
      run_both(name, number, request, same, s.output(s.size, s.shift));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
