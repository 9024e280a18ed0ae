#include <boost/test/unit_test.hpp>
#include <cmath>

#include <embergrad/nn/embedding.hpp>
#include <embergrad/optim/adagrad.hpp>

#include "optim/rule_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::RowwiseAdagrad;
using optim::RowwiseAdagradOptions;

namespace {

// The formula, in double.
struct Reference {
  std::vector<double> w, sum;
  std::int64_t dim;
  void step(const std::vector<double>& grad, const RowwiseAdagradOptions& o, double t) {
    for (std::size_t row = 0; row < sum.size(); ++row) {
      const std::size_t width = static_cast<std::size_t>(dim);
      std::vector<double> g(width);
      double squares = 0;
      for (std::size_t i = 0; i < width; ++i) {
        g[i] = (o.maximize ? -1 : 1) * grad[row * width + i] + o.weight_decay * w[row * width + i];
        squares += g[i] * g[i];
      }
      sum[row] += squares / static_cast<double>(width);
      const double rate = o.lr / (1 + (t - 1) * o.lr_decay) / (std::sqrt(sum[row]) + o.eps);
      for (std::size_t i = 0; i < width; ++i) w[row * width + i] -= rate * g[i];
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(rowwise_adagrad)

BOOST_AUTO_TEST_CASE(the_formula_for_any_size) {
  for (const std::int64_t dim : {1, 2, 15, 16, 17, 40, 700}) {
    for (const bool all_options : {false, true}) {
      RowwiseAdagradOptions o{.lr = .1};
      if (all_options) {
        o = {.lr = .1,
             .lr_decay = .1,
             .weight_decay = .2,
             .initial_accumulator_value = .3,
             .eps = 1e-3,
             .maximize = true};
      }
      Draw draw(static_cast<std::uint64_t>(dim));
      const Tensor start = draw.uniform({50, dim}, eg::DType::float64);
      Tensor exact = leaf(start.clone());
      Tensor rounded = leaf(start.to(eg::DType::float32));
      Tensor half = leaf(start.to(eg::DType::bfloat16));
      RowwiseAdagrad optimizer({exact, rounded, half}, o);
      Reference reference{start.to_vector<double>(), std::vector<double>(50, o.initial_accumulator_value), dim};
      for (int t = 1; t <= 4; ++t) {
        const Tensor grad = draw.uniform({50, dim}, eg::DType::float64);
        exact.set_grad(grad);
        rounded.set_grad(grad.to(eg::DType::float32));
        half.set_grad(grad.to(eg::DType::float32));
        optimizer.step();
        reference.step(grad.to_vector<double>(), o, t);
      }
      const Tensor expected = eg::tensor(reference.w, {50, dim});
      BOOST_TEST(close_to("float64", exact.detach(), expected, {1e-12, 1e-13}));
      BOOST_TEST(close_to("float32", rounded.detach(), expected.to(eg::DType::float32), {2e-5, 2e-6}));
      BOOST_TEST(close_to("bfloat16", half.detach().to(eg::DType::float64), expected, {2e-2, 2e-2}));
      BOOST_TEST(close_to("sum", optimizer.state(0, "sum"), eg::tensor(reference.sum), {1e-12, 0}));
      BOOST_TEST((optimizer.state(1, "sum").dtype() == eg::DType::float32));
    }
  }
}

BOOST_AUTO_TEST_CASE(all_modes) {
  check_modes(trainer<RowwiseAdagrad>("plain", RowwiseAdagradOptions{.lr = .1, .lr_decay = 1e-2}, replayed));
  check_modes(trainer<RowwiseAdagrad>("decay", RowwiseAdagradOptions{.lr = .1, .weight_decay = .05}, replayed));
}

// Lookups read rows that are behind without a change to them or to their sums.
BOOST_AUTO_TEST_CASE(reading_rows_that_are_behind) {
  const auto after_reading = [](bool reads) {
    Tensor table = Regression({}).table();
    RowwiseAdagrad optimizer({table}, {.lr = .1, .weight_decay = .1});
    for (std::int64_t step = 0; step < 40; ++step) {
      optimizer.zero_grad();
      Regression({}).backward(table, step, true);
      optimizer.step();
      if (reads) static_cast<void>(eg::embedding(eg::arange(200), table));
    }
    return std::pair{table.detach().clone(), optimizer.state(0, "sum").clone()};
  };
  const auto [table, sum] = after_reading(false);
  const auto [read_table, read_sum] = after_reading(true);
  BOOST_TEST(equal_to("table", read_table, table));
  BOOST_TEST(equal_to("sum", read_sum, sum));
}

BOOST_AUTO_TEST_CASE(frozen_rows_growth_and_state) {
  eg::nn::Embedding embedding({.num_embeddings = 3, .embedding_dim = 2, .padding_idx = 0, .sparse = true});
  RowwiseAdagrad optimizer({embedding.weight}, {.lr = .1, .weight_decay = .1, .initial_accumulator_value = .25});
  const auto step = [&](std::int64_t row) {
    optimizer.zero_grad();
    embedding(eg::tensor({row})).backward(eg::tensor({{1.0, 2.0}}));
    optimizer.step();
  };
  eg::no_grad([&] { embedding.weight.fill(0); });
  step(1);
  BOOST_TEST(equal_to("sum", optimizer.state(0, "sum"), eg::tensor({.25, 2.75, .25})));
  embedding.weight.set_grad(eg::ones({3, 2}));
  eg::no_grad([&] { embedding.weight.fill(0); });
  optimizer.step();
  BOOST_TEST(equal_to("sum", optimizer.state(0, "sum"), eg::tensor({.25, 3.75, 1.25})));
  BOOST_TEST(equal_to("padding", embedding.weight[0].detach(), eg::zeros({2})));
  embedding.grow(5);
  eg::no_grad([&] { embedding.weight.fill(0); });
  step(4);
  BOOST_TEST(equal_to("sum", optimizer.state(0, "sum"), eg::tensor({.25, 3.75, 1.25, .25, 2.75})));

  RowwiseAdagrad loaded({embedding.weight});
  loaded.load_state_dict(optimizer.state_dict());
  BOOST_TEST(equal_to("sum", loaded.state(0, "sum"), optimizer.state(0, "sum")));
  eg::StateDict bad = optimizer.state_dict();
  bad.set("state.0.sum", eg::ones({5, 2}));
  BOOST_CHECK_EXCEPTION(loaded.load_state_dict(bad), eg::ValueError,
                        says({"state.0.sum must have shape [5]", "[5, 2]"}));
}

BOOST_AUTO_TEST_CASE(tables_and_options_are_checked) {
  BOOST_CHECK_EXCEPTION(RowwiseAdagrad({leaf(eg::ones({2, 2})), leaf(eg::ones({3}))}), eg::ShapeError,
                        says({"RowwiseAdagrad", "parameter 1 of group 0", "rank 2", "[3]"}));
  check_refused<RowwiseAdagrad>(RowwiseAdagradOptions{.lr = -1}, {"RowwiseAdagrad", "group 0", "lr", "-1"});
  check_refused<RowwiseAdagrad>(RowwiseAdagradOptions{.eps = -1}, {"RowwiseAdagrad", "eps"});
}

BOOST_AUTO_TEST_SUITE_END()
