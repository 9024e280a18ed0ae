// DetectAnomaly: the first NaN is named.
#include <embergrad/autograd.hpp>

#include <limits>
#include <thread>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor leaf_of(std::vector<double> values, DType dtype) { return eg::tensor(values).to(dtype).set_requires_grad(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(anomaly)

BOOST_AUTO_TEST_CASE(forward_names_the_op_and_the_place) {
  for_computing_types([](DType dtype) {
    const Tensor x = leaf_of({1, -1, 2}, dtype);
    const eg::DetectAnomaly guard;
    BOOST_TEST(refuses<eg::ValueError>([&] { return eg::log(x) * 2.0; },
                                       {"log: output of shape [3] is NaN at [1], though no input is"}));
    BOOST_TEST(refuses<eg::ValueError>(
        [&] {
          return eg::tensor(std::vector<double>{1, not_a_number}) + 1.0;
        },
        {"add: output of shape [2] is NaN at [1]; input 0 of shape [2] holds NaN"}));
    static_cast<void>(eg::exp(x * 1e30));  // infinity is none
  });
}

BOOST_AUTO_TEST_CASE(backward_names_the_op) {
  for_computing_types([](DType dtype) {
    const Tensor x = leaf_of({0, 1}, dtype);
    // d log(x) = grad / x: 0 / 0 at the first
    const auto run = [&] { (eg::log(x + 0.0) * eg::tensor(std::vector<double>{0, 1}).to(dtype)).sum().backward(); };
    run();
    const Tensor bad = eg::tensor(std::vector<double>{0, not_a_number}).to(dtype);
    const eg::DetectAnomaly guard;
    BOOST_TEST(refuses<eg::ValueError>([&] { return run(), 0; }, {"mul: output of shape [2] is NaN at [0]"}));
    const auto back = [&] { eg::log(x + 0.0).backward(eg::tensor(std::vector<double>{0, 1}).to(dtype)); };
    BOOST_TEST(refuses<eg::ValueError>([&] { return back(), 0; }, {"backward of log: the gradient of input 0", "[0]"}));
    const auto given = [&] { eg::exp(x).backward(bad); };
    BOOST_TEST(refuses<eg::ValueError>([&] { return given(), 0; }, {"backward: the gradient given holds NaN"}));
  });
}

BOOST_AUTO_TEST_CASE(rows_of_a_table_are_looked_at) {
  const Tensor table = eg::ones({4, 2}).set_requires_grad();
  const Tensor rows = eg::embedding(eg::tensor({1, 3}), table);
  const Tensor scale = eg::full({2, 2}, infinity);
  const Tensor product = eg::no_grad([&] { return rows * scale; });
  const Tensor out = eg::record("scale", product, {rows}, [scale](const Tensor& grad) { return grad * scale; });
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::detect_anomaly([&] {
                                                    out.backward(eg::zeros({2, 2}));
                                                  }),
                                                  0; },
                                     {"backward of scale: the gradient of input 0"}));
}

BOOST_AUTO_TEST_CASE(belongs_to_the_thread_and_ends_with_the_guard) {
  const Tensor x = leaf_of({-1}, DType::float64);
  {
    const eg::DetectAnomaly outer;
    { const eg::DetectAnomaly inner; }
    BOOST_TEST(refuses<eg::ValueError>([&] { return eg::log(x); }, {"log"}));
    std::thread([&] { static_cast<void>(eg::log(eg::tensor(std::vector<double>{-1.0}))); }).join();
    eg::no_grad([&] { static_cast<void>(eg::log(x)); });  // not recorded, not watched
  }
  static_cast<void>(eg::log(x));
}

BOOST_AUTO_TEST_CASE(layers_are_named_by_scope) {
  const Tensor x = leaf_of({-1, 0}, DType::float64);
  Tensor y;
  {
    const eg::LayerScope scope("encoder.0");
    BOOST_TEST(refuses<eg::ValueError>([&] { return eg::detect_anomaly([&] { return eg::log(x); }); },
                                       {"encoder.0: log: output"}));
    y = eg::log(x * x);
    const eg::LayerScope unnamed("");
    BOOST_TEST(eg::current_layer() == "encoder.0");
  }
  BOOST_TEST(eg::current_layer() == "");
  BOOST_TEST(refuses<eg::ValueError>(
      [&] { return eg::detect_anomaly([&] { y.backward(eg::zeros({2}, {.dtype = DType::float64})); }), 0; },
      {"encoder.0: backward of log: the gradient of input 0, of shape [2], is NaN at [1]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::ones({2}) + eg::ones({3}); }, {"add: shapes"}));
}

BOOST_AUTO_TEST_SUITE_END()
