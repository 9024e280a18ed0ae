#include <embergrad/optim/clip.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/ops.hpp>

#include "nn/says.hpp"
#include "optim/optim_support.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
using eg::Tensor;
using eg::optim::clip_grad_value;
using eg::test::Draw;
using eg::test::equal_to;
using eg::test::leaf;
using eg::test::says;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm, double norm_type = 2,
                      bool error_if_nonfinite = false) {
  return eg::optim::clip_grad_norm(parameters, max_norm, norm_type, error_if_nonfinite).item();
}

Tensor with_grad(const Tensor& grad) {
  Tensor p = leaf(eg::zeros(grad.shape(), grad.options()));
  p.set_grad(grad);
  return p;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(clip)

BOOST_AUTO_TEST_CASE(scales_all_by_one_factor) {
  const Tensor a = with_grad(eg::tensor({3.0, 0.0}));
  const Tensor b = with_grad(eg::tensor(4.0, {eg::DType::float64, {}}));
  const Tensor none = leaf(eg::ones({3}));
  BOOST_TEST(clip_grad_norm({a, none, b}, 1) == 5);
  const double factor = 1 / (5 + 1e-6);
  BOOST_TEST(a.grad().dense().at({0}) == 3 * factor, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(b.grad().dense().item() == 4 * factor, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(!none.grad().defined());
}

BOOST_AUTO_TEST_CASE(multiplies_even_at_the_limit_as_pytorch_does) {
  const Tensor p = with_grad(eg::tensor({3.0, 4.0}, {eg::DType::float64, {}}));
  BOOST_TEST(clip_grad_norm({p}, 5) == 5);
  BOOST_TEST(p.grad().dense().at({1}) == 4 * (5 / (5 + 1e-6)), boost::test_tools::tolerance(1e-15));
  BOOST_TEST(clip_grad_norm({p}, 100) < 5);
  BOOST_TEST(p.grad().dense().at({1}) == 4 * (5 / (5 + 1e-6)), boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(norms_of_any_kind_and_size) {
  for (const std::int64_t size : {0, 1, 16, 31, 16384, 16385, 50000}) {
    for (const eg::DType dtype : {eg::DType::float32, eg::DType::float64}) {
      const Tensor grad = Draw(static_cast<std::uint64_t>(size)).uniform({size}, dtype);
      double sum = 0, squares = 0, cubes = 0, largest = 0;
      for (const double x : grad.to_vector<double>()) {
        sum += std::abs(x);
        squares += x * x;
        cubes += std::abs(x * x * x);
        largest = std::max(largest, std::abs(x));
      }
      const auto close = boost::test_tools::tolerance(1e-12);
      BOOST_TEST(clip_grad_norm({with_grad(grad)}, infinity) == std::sqrt(squares), close);
      BOOST_TEST(clip_grad_norm({with_grad(grad.clone())}, 1e9, 1) == sum, close);
      BOOST_TEST(clip_grad_norm({with_grad(grad.clone())}, 1e9, 3) == std::cbrt(cubes), close);
      BOOST_TEST(clip_grad_norm({with_grad(grad.clone())}, 1e9, infinity) == largest, close);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_parameter_given_twice_counts_once) {
  const Tensor p = with_grad(eg::tensor({3.0, 4.0}, {eg::DType::float64, {}}));
  BOOST_TEST(clip_grad_norm({p, p}, 1) == 5);
  BOOST_TEST(p.grad().dense().at({0}) == 3 / (5 + 1e-6), boost::test_tools::tolerance(1e-15));
}

BOOST_AUTO_TEST_CASE(non_finite_norms) {
  const Tensor with_inf = with_grad(eg::tensor({infinity, 1.0}));
  const Tensor with_nan = with_grad(eg::tensor({not_a_number, 1.0}));
  for (const double p : {2.0, 1.0, 3.0, infinity}) {
    BOOST_CHECK_EXCEPTION(clip_grad_norm({with_inf}, 1, p, true), eg::ValueError, says({"clip_grad_norm", "inf"}));
    BOOST_CHECK_EXCEPTION(clip_grad_norm({with_nan}, 1, p, true), eg::ValueError, says({"clip_grad_norm", "nan"}));
  }
  BOOST_TEST(with_inf.grad().dense().at({1}) == 1);  // nothing was changed
  BOOST_TEST(std::isinf(clip_grad_norm({with_inf}, 1)));
  BOOST_TEST(std::isnan(with_inf.grad().dense().at({0})));
  BOOST_TEST(with_inf.grad().dense().at({1}) == 0);
  BOOST_TEST(std::isnan(clip_grad_norm({with_nan}, 1)));
  BOOST_TEST(std::isnan(with_nan.grad().dense().at({1})));
}

BOOST_AUTO_TEST_CASE(nothing_to_clip) {
  BOOST_TEST(clip_grad_norm({}, 1) == 0);
  BOOST_TEST(clip_grad_norm({leaf(eg::ones({1}))}, 1) == 0);
  const Tensor zeros = with_grad(eg::zeros({2}));
  BOOST_TEST(clip_grad_norm({zeros}, 0) == 0);
  BOOST_TEST(equal_to("zeros", zeros.grad().dense(), eg::zeros({2})));
}

BOOST_AUTO_TEST_CASE(values) {
  const Tensor p = with_grad(eg::tensor({-3.0, -.5, 0.0, .5, 3.0, not_a_number, infinity}));
  clip_grad_value({p, leaf(eg::ones({1}))}, 1);
  BOOST_TEST(equal_to("clipped", p.grad().dense(), eg::tensor({-1.0, -.5, 0.0, .5, 1.0, not_a_number, 1.0})));
  clip_grad_value({}, 1);
}

BOOST_AUTO_TEST_CASE(sparse_gradients_are_clipped_too) {
  const auto sparse = [] {
    Tensor p = leaf(eg::zeros({5, 2}));
    p.set_grad(eg::RowSparse::from_rows(eg::tensor({3, 1, 3}), eg::tensor({{1.0, 0.0}, {0.0, 4.0}, {2.0, 0.0}}), 5));
    return p;
  };
  Tensor p = sparse();
  BOOST_TEST(clip_grad_norm({p}, 1) == 5);
  BOOST_TEST(p.grad().is_sparse());
  BOOST_TEST(eg::test::close_to("values", p.grad().rows().values(), eg::tensor({{0.0, .8}, {.6, 0.0}})));
  p = sparse();
  clip_grad_value({p}, 3.5);
  BOOST_TEST(equal_to("values", p.grad().rows().values(), eg::tensor({{0.0, 3.5}, {3.0, 0.0}})));
  BOOST_TEST(equal_to("rows", p.grad().rows().indices(), eg::tensor({1, 3})));
}

// A table's gradient remembers which rows were touched; clipping must not break what the next backward adds to.
BOOST_AUTO_TEST_CASE(a_table_starts_from_zeros_after_clipping) {
  eg::nn::Embedding embedding(6, 2);
  for (const double scale : {1.0, not_a_number, 1.0}) {
    eg::sum(embedding(eg::tensor({1, 4})) * scale).backward();
    clip_grad_norm({embedding.weight}, .5);
    embedding.weight.zero_grad();
  }
  eg::sum(embedding(eg::tensor({2}))).backward();
  clip_grad_value({embedding.weight}, .25);
  const Tensor grad = embedding.weight.grad().dense();
  for (int row = 0; row < 6; ++row) BOOST_TEST(equal_to("row", grad[row], eg::full({2}, row == 2 ? .25 : 0)));
}

BOOST_AUTO_TEST_CASE(refusals) {
  const Tensor p = with_grad(eg::ones({2}));
  BOOST_CHECK_EXCEPTION(clip_grad_norm({p}, -1), eg::ValueError, says({"max_norm", "-1"}));
  BOOST_CHECK_EXCEPTION(clip_grad_norm({p}, not_a_number), eg::ValueError, says({"max_norm"}));
  BOOST_CHECK_EXCEPTION(clip_grad_norm({p}, 1, 0), eg::ValueError, says({"norm_type", "0"}));
  BOOST_CHECK_EXCEPTION(clip_grad_value({p}, -1), eg::ValueError, says({"clip_value", "-1"}));
  BOOST_CHECK_EXCEPTION(clip_grad_norm({p, Tensor()}, 1), eg::ValueError, says({"parameter 1", "undefined"}));
  BOOST_TEST(equal_to("grad", p.grad().dense(), eg::ones({2})));
}

BOOST_AUTO_TEST_SUITE_END()
