// float32 has the CPU's bits, on a GPU too; what float64 takes from the C library agrees to a tolerance there.
#include "cuda/binary_cross_entropy.hpp"

#include "cuda/same_bits.hpp"

namespace eg = embergrad;
using namespace embergrad::test;

namespace {

using Extents = std::vector<std::int64_t>;

// What a loss takes, and how its inputs repeat: strides, or none for row-major ones.
struct Case {
  Extents extents, logits, target, weight, pos_weight, scale;
};

template <class T>
void check(const Case& c, std::uint64_t number, bool weighted, bool positive) {
  std::int64_t size = 1;
  for (const std::int64_t extent : c.extents) size *= extent;
  Draw draw(number);
  const std::int64_t shift = number % 3 == 2 ? 1 : 0;
  Numbers<T> inputs[5] = {Numbers<T>::drawn(draw, size, shift), Numbers<T>::drawn(draw, size, 0),
                          Numbers<T>::drawn(draw, size, 0), Numbers<T>::drawn(draw, size, number % 5 == 1 ? 1 : 0),
                          Numbers<T>::drawn(draw, size, 0)};
  const auto view = [&](int k, const Extents& strides) {
    return strided(inputs[k].data(), eg::dtype_of<T>, c.extents, strides);
  };
  const eg::StridedView weight = weighted ? view(2, c.weight) : eg::StridedView{};
  const eg::StridedView pos_weight = positive ? view(3, c.pos_weight) : eg::StridedView{};
  const std::string name = fmt::format("{} elements in {} dimensions{}{}", size, c.extents.size(),
                                       weighted ? ", weighted" : "", positive ? ", positive ones weighted" : "");
  const auto same = [&](Numbers<T>& by_body, Numbers<T>& by_cpu) { expect_same(name, number, by_body, by_cpu); };
  const auto output = Numbers<T>::drawn(draw, size, number % 4 == 3 ? 1 : 0);
  const auto loss = [&](Numbers<T>& losses) {
    return eg::BinaryCrossEntropy{view(0, c.logits), view(1, c.target), weight, pos_weight,
                                  strided(losses.data(), eg::dtype_of<T>, c.extents)};
  };
  run_both("loss of " + name, number, loss, same, output);
  const auto grad = [&](Numbers<T>& grad_in) {
    return eg::BinaryCrossEntropyGrad{
        view(0, c.logits), view(1, c.target), weight,
        pos_weight,        view(4, c.scale),  strided(grad_in.data(), eg::dtype_of<T>, c.extents)};
  };
  run_both("gradient of " + name, number, grad, same, output);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(binary_cross_entropy)

BOOST_AUTO_TEST_CASE(losses_and_gradients) {
  std::vector<Case> cases = {
      {{}, {}, {}, {}, {}, {}},
      {{0, 3}, {}, {}, {}, {0, 1}, {0, 0}},
      {{7, 33}, {}, {}, {}, {0, 1}, {0, 0}},  // a weight per class, one scale
      {{7, 33}, {}, {}, {1, 0}, {0, 0}, {}},  // a weight per sample
      {{6, 1, 40}, {}, {}, {0, 0, 0}, {}, {0, 0, 0}},
      {{5, 2, 9, 4}, {}, {}, {0, 0, 4, 1}, {4, 4, 0, 1}, {}},
  };
  for (const std::int64_t size : map_sizes) cases.push_back({{size}, {}, {}, {}, {0}, {size % 2}});
  std::uint64_t number = 0;
  for (const Case& c : cases) {
    for (const bool weighted : {false, true}) {
      for (const bool positive : {false, true}) {
        check<float>(c, number, weighted, positive);
        check<double>(c, number + 1, weighted, positive);
        ++number;
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
