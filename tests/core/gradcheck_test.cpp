#include <embergrad/gradcheck.hpp>

#include <boost/test/unit_test.hpp>
#include <functional>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/row_sparse.hpp>
#include <embergrad/tensor.hpp>

#include "support/compare.hpp"
#include "support/random.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Saved;
using eg::Tensor;
using eg::test::Draw;
using eg::test::equal_to;
using Inputs = std::vector<Tensor>;

namespace {

Tensor leaf(const eg::Shape& shape, std::uint64_t seed = 3) {
  return Draw(seed).uniform(shape, DType::float64, 0.5, 2.0).set_requires_grad();
}

// x², whose backward gets the elements before `wrong_until` wrong by `error`.
Tensor square(const Tensor& x, double error, std::int64_t wrong_until) {
  const Tensor y = eg::no_grad([&] { return x * x; });
  return eg::record("square", y, {x}, [x = Saved(x), error, wrong_until](const Tensor& grad) {
    Tensor gradient = 2.0 * x.get() * grad;
    double* elements = gradient.mutable_data<double>();
    for (std::int64_t i = 0; i < wrong_until; ++i) elements[i] += error;
    return gradient;
  });
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

eg::GradcheckOptions quiet() {
  eg::GradcheckOptions options;
  options.throw_on_failure = false;
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gradcheck)

BOOST_AUTO_TEST_CASE(right_gradients_pass) {
  const auto result =
      eg::gradcheck([](const Inputs& in) { return eg::exp(in[0] * in[1]) + in[1]; }, {leaf({2, 3}), leaf({3}, 4)});
  BOOST_TEST(result.ok, result.message);
  BOOST_TEST(static_cast<bool>(result));
  BOOST_TEST(eg::gradcheck([](const Inputs& in) { return square(in[0], 0, 0); }, {leaf({})}).ok);
  BOOST_TEST(eg::gradcheck([](const Inputs& in) { return in[0] * 2.0; }, {leaf({0, 2})}).ok);
}

BOOST_AUTO_TEST_CASE(a_wrong_gradient_is_found_and_placed) {
  const auto x = leaf({2, 2});
  const auto wrong = [](const Inputs& in) { return eg::mul(in[1], square(in[0], 1e-2, 4)); };
  const auto result = eg::gradcheck(wrong, {x, Tensor(eg::ones({2, 2}, {DType::float64, {}}))}, quiet());
  BOOST_TEST(!result.ok);
  BOOST_TEST(holds(result.message, "input 0 [2, 2] at [0, 0]"), result.message);
  BOOST_TEST(holds(result.message, "analytical"), result.message);
  BOOST_TEST(holds(result.message, "numerical"), result.message);
  BOOST_CHECK_THROW(eg::gradcheck(wrong, {x, eg::ones({2, 2}, {DType::float64, {}})}), eg::Error);

  // Only the last element is right: a check of the last alone would pass.
  BOOST_TEST(!eg::gradcheck([](const Inputs& in) { return square(in[0], 1e-2, 3); }, {x}, quiet()).ok);
  BOOST_TEST(!eg::gradcheck([](const Inputs& in) { return square(in[0], 1e-2, 1); }, {x}, quiet()).ok);
}

BOOST_AUTO_TEST_CASE(a_missing_gradient_counts_as_zero) {
  const auto cut = [](const Inputs& in) { return in[0].detach() * 3.0; };
  const auto result = eg::gradcheck(cut, {leaf({2})}, quiet());
  BOOST_TEST(!result.ok);
  BOOST_TEST(holds(result.message, "analytical 0,"), result.message);
  BOOST_TEST(eg::gradcheck([](const Inputs& in) { return in[1] * 2.0; }, {leaf({2}), leaf({2}, 5)}).ok);
}

BOOST_AUTO_TEST_CASE(nan_is_not_agreement) {
  const auto result = eg::gradcheck([](const Inputs& in) { return eg::log(in[0] - 10.0); }, {leaf({2})}, quiet());
  BOOST_TEST(!result.ok);
}

BOOST_AUTO_TEST_CASE(masks_leave_elements_out) {
  const auto wrong_in_front = [](const Inputs& in) { return square(in[0], 1.0, 2); };
  auto options = quiet();
  options.masks = {eg::tensor({0, 0, 1, 1})};
  BOOST_TEST(eg::gradcheck(wrong_in_front, {leaf({4})}, options).ok);
  options.masks = {eg::tensor({0, 1, 1, 1})};
  const auto result = eg::gradcheck(wrong_in_front, {leaf({4})}, options);
  BOOST_TEST(holds(result.message, "at [1]"), result.message);
  options.masks = {Tensor(), eg::tensor({0.0, 0.0, 1.0, 1.0})};
  BOOST_TEST(
      eg::gradcheck([](const Inputs& in) { return in[0] * square(in[1], 1.0, 2); }, {leaf({4}), leaf({4}, 8)}, options)
          .ok);
  // … in directions too
  options.full_limit = 1;
  BOOST_TEST(
      eg::gradcheck([](const Inputs& in) { return in[0] * square(in[1], 1.0, 2); }, {leaf({4}), leaf({4}, 8)}, options)
          .ok);
}

BOOST_AUTO_TEST_CASE(large_inputs_are_checked_along_directions) {
  auto options = quiet();
  options.full_limit = 10;
  int calls = 0;
  const auto counted = [&](const Inputs& in) {
    ++calls;
    return square(in[0], 0.0, 0);
  };
  BOOST_TEST(eg::gradcheck(counted, {leaf({100, 10})}, options).ok);
  BOOST_TEST(calls == 1 + 2 * 3);
  const auto result = eg::gradcheck([](const Inputs& in) { return square(in[0], 1.0, 1); }, {leaf({100, 10})}, options);
  BOOST_TEST(!result.ok);
  BOOST_TEST(holds(result.message, "along random direction 0 of seed 7"), result.message);

  calls = 0;
  options.full_limit = 1000;
  BOOST_TEST(eg::gradcheck(counted, {leaf({100, 10})}, options).ok);
  BOOST_TEST(calls == 1 + 2 * 1000);
}

BOOST_AUTO_TEST_CASE(several_outputs_are_checked_together) {
  const std::function<Inputs(const Inputs&)> good = [](const Inputs& in) {
    return Inputs{eg::exp(in[0]), in[0] * in[0], eg::argmax(in[0], 0)};
  };
  BOOST_TEST(eg::gradcheck(good, {leaf({3})}).ok);
  const std::function<Inputs(const Inputs&)> wrong = [](const Inputs& in) {
    return Inputs{eg::exp(in[0]), square(in[0], 0.01, 3)};
  };
  BOOST_TEST(!eg::gradcheck(wrong, {leaf({3})}, quiet()).ok);
}

BOOST_AUTO_TEST_CASE(one_tensor_may_be_given_twice) {
  const auto x = leaf({3});
  BOOST_TEST(eg::gradcheck([](const Inputs& in) { return in[0] * in[1]; }, {x, x}).ok);
}

BOOST_AUTO_TEST_CASE(inputs_are_left_as_they_were) {
  auto x = leaf({3});
  const auto elements = x.detach().clone();
  const auto gradient = eg::tensor({1.0, 2.0, 3.0}).to(DType::float64);
  x.set_grad(gradient);
  const auto untouched = [&](const char* when) {
    BOOST_TEST(equal_to(when, x.detach(), elements));
    BOOST_TEST_REQUIRE(x.grad().defined(), when);
    BOOST_TEST(equal_to(when, x.grad().dense(), gradient));
    BOOST_TEST(x.requires_grad());
  };
  BOOST_TEST(eg::gradcheck([](const Inputs& in) { return in[0] * in[0]; }, {x, x}).ok);
  untouched("passed");
  BOOST_TEST(!eg::gradcheck([](const Inputs& in) { return square(in[0], 1.0, 3); }, {x}, quiet()).ok);
  untouched("failed");
  int calls = 0;
  BOOST_CHECK_THROW(eg::gradcheck(
                        [&](const Inputs& in) {
                          if (++calls == 3) throw std::runtime_error("enough");
                          return in[0] * 2.0;
                        },
                        {x}),
                    std::runtime_error);
  untouched("threw");
}

BOOST_AUTO_TEST_CASE(one_element_moves_at_a_time) {
  const Inputs inputs = {leaf({2, 2}), leaf({3}, 4)};
  const Inputs start = {inputs[0].detach().clone(), inputs[1].detach().clone()};
  std::vector<int> moved;
  const auto watched = [&](const Inputs& in) {
    int count = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      const auto now = in[i].to_vector<double>();
      const auto before = start[i].to_vector<double>();
      for (std::size_t j = 0; j < now.size(); ++j) count += now[j] != before[j];
    }
    moved.push_back(count);
    return in[0].sum() * in[1].sum();
  };
  BOOST_TEST(eg::gradcheck(watched, inputs).ok);
  std::vector<int> expected(1 + 2 * 7, 1);
  expected[0] = 0;
  BOOST_TEST(moved == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(captured_parameters_are_moved_too) {
  const auto x = leaf({3});  // as a layer's weight is: the function does not take it from its argument
  BOOST_TEST(eg::gradcheck([&](const Inputs&) { return eg::exp(x); }, {x}).ok);
}

BOOST_AUTO_TEST_CASE(arguments_are_checked) {
  const auto same = [](const Inputs& in) { return in[0] * 1.0; };
  const auto x = leaf({2});
  BOOST_CHECK_THROW(eg::gradcheck(same, {eg::ones({2}, {DType::float64, {}})}), eg::ValueError);
  BOOST_CHECK_THROW(eg::gradcheck(same, {eg::ones({2}).set_requires_grad()}), eg::DTypeError);
  BOOST_CHECK_THROW(eg::gradcheck(same, {x * 2.0}), eg::ValueError);
  BOOST_CHECK_THROW(eg::gradcheck([](const Inputs& in) { return in[0].to(DType::float32); }, {x}), eg::DTypeError);
  BOOST_CHECK_THROW(eg::gradcheck([](const Inputs&) { return Tensor(); }, {x}), eg::ValueError);
  auto options = quiet();
  options.masks = {eg::ones({3})};
  BOOST_CHECK_THROW(eg::gradcheck(same, {x}, options), eg::ShapeError);
  options.masks = {eg::ones({2}), eg::ones({2})};
  BOOST_CHECK_THROW(eg::gradcheck(same, {x}, options), eg::ValueError);
  options = quiet();
  options.eps = 0;
  BOOST_CHECK_THROW(eg::gradcheck(same, {x}, options), eg::ValueError);
}

BOOST_AUTO_TEST_SUITE_END()
