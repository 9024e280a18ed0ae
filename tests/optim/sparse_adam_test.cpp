#include <embergrad/optim/sparse_adam.hpp>

#include <boost/test/unit_test.hpp>
#include <limits>
#include <sstream>

#include "optim/rule_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::SparseAdam;
using optim::SparseAdamOptions;
using optim::Updates;

namespace {

eg::RowSparse rows_of(const std::vector<std::int64_t>& rows, const std::vector<double>& values) {
  const auto count = static_cast<std::int64_t>(rows.size());
  return eg::RowSparse::from_rows(eg::tensor(rows), eg::tensor(values, {count, 2}), 3);
}

// A row twice in a step, a step without rows, a row that is held with zeros, and one that never is.
void take_steps(SparseAdam& optimizer, Tensor& table) {
  for (const eg::RowSparse& gradient : {rows_of({0, 1, 1}, {.3, -.7, .1, .2, .4, .5}), rows_of({1}, {-.2, .1}),
                                        rows_of({}, {}), rows_of({1, 0}, {1.5, 1, 0, .02})}) {
    table.set_grad(gradient);
    optimizer.step();
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sparse_adam)

// PyTorch 2.15, float64.
BOOST_AUTO_TEST_CASE(numbers_of_pytorch) {
  const auto run = [](const SparseAdamOptions& options) {
    Tensor table = leaf(eg::full({3, 2}, .5, f64));
    SparseAdam optimizer({table}, options);
    take_steps(optimizer, table);
    BOOST_TEST(optimizer.state(0, "step").item() == 4);
    BOOST_TEST(optimizer.state(0, "exp_avg").at({2, 0}) == 0);
    return table.detach();
  };
  const Tolerance within{1e-13, 1e-13};
  BOOST_TEST(close_to(
      "as it comes", run({.lr = .1}),
      eg::tensor(std::vector<double>{.347672437591934, .650645769153141, .30253374429095, .244490710632088, .5, .5},
                 {3, 2}),
      within));
  BOOST_TEST(close_to(
      "all options", run({.lr = .1, .betas = {.8, .95}, .eps = 1e-2, .maximize = true}),
      eg::tensor(std::vector<double>{.633476553038969, .3575600632675, .68538079371235, .74350962508685, .5, .5},
                 {3, 2}),
      within));
}

// (row 26 of the list of PyTorch's surprises) It is not Adam whose idle rows stand still: eps stands elsewhere.
BOOST_AUTO_TEST_CASE(eps_stands_beside_the_uncorrected_root) {
  Tensor table = leaf(eg::zeros({3, 2}, f64));
  SparseAdam sparse({table}, {.lr = 1, .eps = 1e-3});
  table.set_grad(rows_of({1}, {.01, .01}));
  sparse.step();
  BOOST_TEST(std::abs(table.at({1, 0}) + .2402530733520421) < 1e-12);
  eg::no_grad([&] { table.fill(0); });
  optim::Adam adam({table}, {.lr = 1, .eps = 1e-3, .updates = Updates::touched_only});
  adam.step();
  BOOST_TEST(std::abs(table.at({1, 0}) + .01 / .011) < 1e-12);
}

BOOST_AUTO_TEST_CASE(there_is_one_mode) {
  Tensor table = leaf(eg::zeros({3, 2}, f64));
  SparseAdam optimizer({table});
  BOOST_TEST((optimizer.updates() == Updates::touched_only));
  optimizer.set_updates(0, Updates::touched_only);
  for (const Updates other : {Updates::exact, Updates::dense}) {
    BOOST_CHECK_EXCEPTION(optimizer.set_updates(0, other), eg::ValueError,
                          says({"SparseAdam", "group 0", "updates is touched_only", name_of(other)}));
  }
  BOOST_CHECK_THROW(static_cast<void>(optimizer.updates(1)), eg::IndexError);
  std::ostringstream printed;
  printed << optimizer;
  BOOST_TEST(
      printed.str() ==
      "SparseAdam\n  group 0: 1 parameters, 6 elements, lr=0.001, betas=(0.9, 0.999), eps=1e-08, maximize=False");
  take_steps(optimizer, table);
  BOOST_TEST(optimizer.history_bytes() == 0);
}

BOOST_AUTO_TEST_CASE(dense_gradients_are_refused) {
  Tensor table = leaf(eg::zeros({3, 2}, f64));
  Tensor other = leaf(eg::zeros({3, 2}, f64));
  SparseAdam optimizer({table, other});
  table.set_grad(rows_of({1}, {1, 1}));
  other.set_grad(eg::ones({3, 2}, f64));
  BOOST_CHECK_EXCEPTION(optimizer.step(), eg::ValueError,
                        says({"SparseAdam", "parameter 1", "dense gradient", "Adam"}));
  BOOST_TEST(equal_to("nothing moved", table.detach(), eg::zeros({3, 2}, f64)));
}

BOOST_AUTO_TEST_CASE(state_is_saved_and_loaded) {
  Tensor a = leaf(eg::zeros({3, 2}, f64));
  SparseAdam first({a}, {.lr = .1});
  take_steps(first, a);
  Tensor b = leaf(a.detach().clone());
  SparseAdam second({b});
  second.load_state_dict(first.state_dict());
  take_steps(first, a);
  take_steps(second, b);
  BOOST_TEST(equal_to("table", b.detach(), a.detach()));
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  check_refused<SparseAdam>(SparseAdamOptions{.lr = -1}, {"SparseAdam", "group 0", "lr", "-1"});
  check_refused<SparseAdam>(SparseAdamOptions{.betas = {.9, 1}}, {"betas", "[0, 1)", "1"});
  check_refused<SparseAdam>(SparseAdamOptions{.eps = 0}, {"eps", "above 0", "0"});
}

BOOST_AUTO_TEST_SUITE_END()
