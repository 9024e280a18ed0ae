#include <embergrad/optim/adagrad.hpp>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim.hpp>

#include "nn/says.hpp"
#include "optim/optim_support.hpp"
#include "support/compare.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::DType;
using eg::Tensor;
using eg::test::after_stored_gradients;
using eg::test::Draw;
using eg::test::equal_to;
using eg::test::leaf;
using eg::test::says;
using optim::Adagrad;
using optim::SGD;

namespace {

// Random rows with duplicates, as one lookup of a table would leave them.
eg::RowSparse random_rows(Draw& draw, std::int64_t rows, std::int64_t dim, DType dtype) {
  const std::int64_t count = draw.integer(0, 6);
  return eg::RowSparse::from_rows(draw.integers({count}, 0, rows - 1), draw.uniform({count, dim}, dtype), rows);
}

// The same steps with sparse gradients and with these made dense give the same bits.
template <class Optimizer, class Options>
void check_sparse_is_dense(const Options& options) {
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16, DType::float16}) {
    BOOST_TEST_CONTEXT(eg::name_of(dtype)) {
      const DType computed = eg::item_size(dtype) == 2 ? DType::float32 : dtype;
      Draw draw(77);
      const Tensor start = draw.uniform({9, 5}).to(dtype);
      Tensor sparse = leaf(start.clone());
      Tensor dense = leaf(start.clone());
      for (Tensor* table : {&sparse, &dense}) eg::detail::freeze_row(*table, 4);
      Optimizer of_sparse({sparse}, options);
      Optimizer of_dense({dense}, options);
      for (int step = 0; step < 30; ++step) {
        const eg::RowSparse rows = random_rows(draw, 9, 5, computed);
        sparse.set_grad(rows);
        dense.set_grad(rows.to_dense());
        of_sparse.step();
        of_dense.step();
      }
      BOOST_TEST(equal_to("table", sparse.detach(), dense.detach()));
      BOOST_TEST(equal_to("frozen", sparse[4].detach(), start[4]));
      BOOST_TEST(!equal_to("moved", sparse.detach(), start));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(adagrad)

BOOST_AUTO_TEST_CASE(stored_numbers) {
  const auto within = boost::test_tools::tolerance(1e-11);
  BOOST_TEST((after_stored_gradients<Adagrad, optim::AdagradOptions>({.lr = .1})) == 0.400129835521, within);
  BOOST_TEST((after_stored_gradients<Adagrad, optim::AdagradOptions>(
                 {.lr = .1, .lr_decay = .1, .weight_decay = .1, .initial_accumulator_value = .1})) == 0.424594671925,
             within);
  BOOST_TEST(
      (after_stored_gradients<Adagrad, optim::AdagradOptions>({.lr = .1, .maximize = true})) == 1 - 0.400129835521,
      within);
}

BOOST_AUTO_TEST_CASE(sparse_gradients_step_as_dense_ones) {
  check_sparse_is_dense<Adagrad>(optim::AdagradOptions{.lr = .3});
  check_sparse_is_dense<Adagrad>(
      optim::AdagradOptions{.lr = .3, .lr_decay = .1, .initial_accumulator_value = .2, .maximize = true});
  check_sparse_is_dense<SGD>(optim::SGDOptions{.lr = .3});
  check_sparse_is_dense<SGD>(optim::SGDOptions{.lr = .3, .maximize = true});
}

BOOST_AUTO_TEST_CASE(tables_that_cannot_be_deferred_are_refused) {
  Tensor dense = leaf(eg::ones({2}));
  dense.set_grad(eg::ones({2}));
  const auto refused = [&]<class Error>(Error, Tensor table, const std::vector<std::string>& parts) {
    table.set_grad(eg::RowSparse::from_rows(eg::tensor({1}), eg::ones({1, 2}), 3));
    optim::AdamW optimizer({dense, table});
    BOOST_CHECK_EXCEPTION(optimizer.step(), Error, says(parts));
    BOOST_TEST(equal_to("nothing moved", dense.detach(), eg::ones({2})));
    optimizer.set_updates(0, optim::Updates::touched_only);
    optimizer.step();
    dense.copy_from(eg::ones({2}));
  };
  const eg::NoGrad guard;
  refused(eg::DTypeError(""), leaf(eg::ones({3, 2}, {DType::bfloat16, {}})),
          {"parameter 1 is bfloat16", "updates = exact", "touched_only"});
  refused(eg::ValueError(""), leaf(eg::narrow(eg::ones({5, 2}), 0, 1, 3)),
          {"parameter 1 is a part", "updates = exact"});
}

BOOST_AUTO_TEST_CASE(a_gradient_without_rows_is_a_step) {
  Tensor table = leaf(eg::ones({3, 2}));
  Adagrad optimizer({table});
  table.set_grad(eg::RowSparse::from_rows(eg::zeros({0}, {DType::int64, {}}), eg::zeros({0, 2}), 3));
  optimizer.step();
  BOOST_TEST(optimizer.state(0, "step").item() == 1);
}

BOOST_AUTO_TEST_CASE(state_goes_on_and_grows_with_the_table) {
  eg::nn::Embedding embedding({.num_embeddings = 3, .embedding_dim = 2, .sparse = true});
  Adagrad optimizer({embedding.weight}, {.lr = .1, .initial_accumulator_value = .25});
  const auto step = [&](std::int64_t row) {
    optimizer.zero_grad();
    embedding(eg::tensor({row})).backward(eg::ones({1, 2}));
    optimizer.step();
  };
  step(1);
  BOOST_TEST(equal_to("sum", optimizer.state(0, "sum"), eg::tensor({{.25, .25}, {1.25, 1.25}, {.25, .25}})));
  embedding.grow(5);
  step(4);
  BOOST_TEST(equal_to("sum", optimizer.state(0, "sum"),
                      eg::tensor({{.25, .25}, {1.25, 1.25}, {.25, .25}, {.25, .25}, {1.25, 1.25}})));
  Adagrad loaded({embedding.weight});
  loaded.load_state_dict(optimizer.state_dict());
  BOOST_TEST(equal_to("sum", loaded.state(0, "sum"), optimizer.state(0, "sum")));
  BOOST_TEST(loaded.state(0, "step").item() == 2);
  BOOST_TEST(loaded.options().initial_accumulator_value == .25);
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  Tensor p = leaf(eg::ones({1}));
  const auto refused = [&](const optim::AdagradOptions& options, const std::vector<std::string>& parts) {
    BOOST_CHECK_EXCEPTION(Adagrad({p}, options), eg::ValueError, says(parts));
  };
  refused({.lr = -1}, {"Adagrad", "group 0", "lr", "-1"});
  refused({.lr_decay = -1}, {"lr_decay"});
  refused({.weight_decay = std::numeric_limits<double>::infinity()}, {"weight_decay", "inf"});
  refused({.initial_accumulator_value = -1}, {"initial_accumulator_value"});
  refused({.eps = std::nan("")}, {"eps", "nan"});
}

BOOST_AUTO_TEST_SUITE_END()
