#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

// weight[input], row by row.
Tensor looked_up(const Tensor& input, const Tensor& weight) {
  const std::vector<double> table = weight.to_vector<double>();
  const std::int64_t dim = weight.size(1);
  std::vector<double> values;
  for (const std::int64_t row : input.to_vector<std::int64_t>()) {
    values.insert(values.end(), table.begin() + row * dim, table.begin() + (row + 1) * dim);
  }
  return eg::tensor(values, input.shape() + dim).to(weight.dtype());
}

// The dense gradient: every place adds its row of grad_output, but those of the padding row.
Tensor dense_gradient(const Tensor& input, const Tensor& grad_output, std::int64_t rows, std::int64_t padding = -1) {
  const std::int64_t dim = grad_output.shape().back();
  const std::vector<double> grads = grad_output.to_vector<double>();
  std::vector<double> sums(static_cast<std::size_t>(rows * dim), 0.0);
  std::size_t place = 0;
  for (const std::int64_t row : input.to_vector<std::int64_t>()) {
    for (std::int64_t j = 0; j < dim; ++j, ++place) {
      if (row != padding) sums[static_cast<std::size_t>(row * dim + j)] += grads[place];
    }
  }
  return eg::tensor(sums, {rows, dim}).to(grad_output.dtype());
}

// What a lookup leaves in the table's gradient.
Tensor gradient_of(const Tensor& input, const Tensor& table, const Tensor& grad_output,
                   const eg::EmbeddingOptions& options = {}) {
  const Tensor own = table.detach().clone().set_requires_grad();
  eg::embedding(input, own, options).backward(grad_output);
  return grad_of(own);
}

struct Lookup {
  const char* name;
  std::vector<std::int64_t> input;
};

// Of a table of seven rows.
const std::vector<Lookup>& lookups() {
  static const std::vector<Lookup> all = {{"nothing", {}},
                                          {"first", {0}},
                                          {"last", {6}},
                                          {"first and last", {6, 0}},
                                          {"one row three times", {3, 3, 3}},
                                          {"all rows once", {6, 2, 0, 4, 1, 3, 5}},
                                          {"all rows twice", {0, 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1, 0}},
                                          {"a hot row", {2, 0, 2, 1, 2, 2, 5, 2}}};
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embedding)

BOOST_AUTO_TEST_CASE(values) {
  for_computing_types([](DType dtype) {
    for_index_types([&](DType index_type) {
      Draw draw(101);
      for (const std::int64_t dim : {0, 1, 3, 31, 32, 33, 300}) {
        const Tensor table = draw.uniform({7, dim}, dtype);
        for (const Shape& shape :
             {Shape{}, Shape{0}, Shape{1}, Shape{5}, Shape{2, 3}, Shape{3, 0, 2}, Shape{2, 1, 4}}) {
          BOOST_TEST_CONTEXT("input " << shape.to_string() << ", dim " << dim << ", seed 101") {
            const Tensor input = draw.integers(shape, 0, 6, index_type);
            BOOST_TEST(same_bits("embedding", eg::embedding(input, table), looked_up(input, table)));
            BOOST_TEST(same_bits("padding", eg::embedding(input, table, {.padding_idx = 2}), looked_up(input, table)));
          }
        }
        for (const auto& [name, rows] : lookups()) {
          const Tensor input = eg::tensor(rows).to(index_type);
          BOOST_TEST(same_bits(name, eg::embedding(input, table), looked_up(input, table)));
        }
      }
      // More than one chunk of work; a table that is a view of another.
      const Tensor whole = draw.uniform({3000, 70}, dtype);
      const Tensor view = eg::narrow(whole, 0, 17, 2000);
      const Tensor input = draw.integers({5000}, 0, 1999, index_type);
      BOOST_TEST(same_bits("view", eg::embedding(input, view), looked_up(input, view)));
      const Tensor some = eg::narrow(draw.integers({40, 2}, 0, 6, index_type), 0, 3, 20);
      BOOST_TEST(same_bits("input is a view", eg::embedding(some, whole), looked_up(some, whole)));
    });
  });
}

BOOST_AUTO_TEST_CASE(gradients_of_every_row) {
  for_computing_types([](DType dtype) {
    for_index_types([&](DType index_type) {
      Draw draw(102);
      for (const std::int64_t dim : {0, 1, 31, 32, 33}) {
        const Tensor table = draw.uniform({7, dim}, dtype);
        for (const auto& [name, rows] : lookups()) {
          BOOST_TEST_CONTEXT(name << ", dim " << dim << ", seed 102") {
            const Tensor input = eg::tensor(rows).to(index_type);
            const Tensor grad = draw.uniform(input.shape() + dim, dtype);
            BOOST_TEST(close_to("gradient", gradient_of(input, table, grad), dense_gradient(input, grad, 7)));
            for (const std::int64_t padding : {0, 2, 6}) {
              const Tensor expected = dense_gradient(input, grad, 7, padding);
              BOOST_TEST(close_to("padded", gradient_of(input, table, grad, {.padding_idx = padding}), expected));
              BOOST_TEST(close_to("padded from the end", gradient_of(input, table, grad, {.padding_idx = padding - 7}),
                                  expected));
            }
          }
        }
      }
      const Tensor table = draw.uniform({7, 3}, dtype);
      for (const Shape& shape : {Shape{}, Shape{2, 3}, Shape{2, 0}, Shape{2, 2, 2}}) {
        const Tensor input = draw.integers(shape, 0, 6, index_type);
        const Tensor grad = draw.uniform(shape + 3, dtype);
        BOOST_TEST(close_to(shape.to_string(), gradient_of(input, table, grad), dense_gradient(input, grad, 7)));
      }
    });
  });
}

BOOST_AUTO_TEST_CASE(gradients_by_finite_differences) {
  Draw draw(103);
  for (const auto& [name, rows] : lookups()) {
    const Tensor input = eg::tensor(rows);
    BOOST_TEST(
        gradients_agree([&](const Inputs& in) { return eg::embedding(input, in[0]) * 2.0; }, {leaf(draw, {7, 3})}),
        name);
    // The padding row's gradient differs by design.
    eg::GradcheckOptions options;
    options.masks = {eg::tensor({{1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}})};
    BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::embedding(input, in[0], {.padding_idx = 2}); },
                               {leaf(draw, {7, 3})}, options),
               name);
  }
  // The table used twice: two lookups, and tied to another use.
  const Tensor a = eg::tensor({0, 2, 2}), b = eg::tensor({2, 5, 1});
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::embedding(a, in[0]) * eg::embedding(b, in[0]); },
                             {leaf(draw, {7, 3})}));
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::linear(eg::embedding(a, in[0]), in[0]); },
                             {leaf(draw, {7, 3})}));
  // A table that is itself a result.
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::embedding(a, eg::exp(in[0])); }, {leaf(draw, {7, 3})}));
  BOOST_TEST(gradients_agree(
      [&](const Inputs& in) {
        return eg::embedding(a, in[0].reshape({7, 3}));
      },
      {leaf(draw, {21})}));
}

// Many duplicates of one row are summed as accurately as anything else: by blocks.
BOOST_AUTO_TEST_CASE(a_row_looked_up_very_often) {
  const std::int64_t n = 200000;
  const Tensor table = eg::zeros({3, 2}), input = eg::full({n}, 1, {DType::int64, {}});
  const Tensor grad = gradient_of(input, table, eg::full({n, 2}, 0.1));
  BOOST_TEST(close_to("sum", grad, eg::tensor({{0.0, 0.0}, {0.1F * 2e5, 0.1F * 2e5}, {0.0, 0.0}}), {1e-6, 0}));
}

BOOST_AUTO_TEST_CASE(backward_is_the_same_bit_for_bit_each_time) {
  Draw draw(104);
  const Tensor table = draw.uniform({50, 33}), input = draw.integers({3000}, 0, 49), grad = draw.uniform({3000, 33});
  BOOST_TEST(same_bits("twice", gradient_of(input, table, grad), gradient_of(input, table, grad)));
}

// --- how gradients collect in the table

BOOST_AUTO_TEST_CASE(gradients_of_several_lookups_add_up) {
  for_computing_types([](DType dtype) {
    Draw draw(105);
    Tensor table = leaf(draw, {7, 3}, dtype);
    Tensor expected = eg::zeros({7, 3}, {dtype, {}});
    for (const auto& [name, rows] : lookups()) {
      const Tensor input = eg::tensor(rows), grad = draw.uniform(input.shape() + 3, dtype);
      eg::embedding(input, table).backward(grad);
      expected = expected + dense_gradient(input, grad, 7);
      BOOST_TEST(close_to(name, grad_of(table), expected));
      BOOST_TEST(!table.grad().is_sparse());
    }
    // Two lookups in one graph.
    table.zero_grad();
    const Tensor a = eg::tensor({1, 1, 4}), b = eg::tensor({4, 6});
    (eg::sum(eg::embedding(a, table)) + 2.0 * eg::sum(eg::embedding(b, table))).backward();
    BOOST_TEST(close_to(
        "one graph", grad_of(table),
        eg::tensor({{0, 0, 0}, {2, 2, 2}, {0, 0, 0}, {0, 0, 0}, {3, 3, 3}, {0, 0, 0}, {2, 2, 2}}, {dtype, {}})));
  });
}

// Dropping a gradient zeroes only the rows that were touched and keeps the buffer: nothing of it may shine through.
BOOST_AUTO_TEST_CASE(a_dropped_gradient_leaves_no_trace) {
  for_computing_types([](DType dtype) {
    using Change = std::function<void(Tensor&)>;
    Draw draw(106);
    const Tensor dense = draw.uniform({7, 3}, dtype);
    const std::vector<std::pair<const char*, Change>> between = {
        {"nothing", [](Tensor&) {}},
        {"a second lookup",
         [](Tensor& table) {
           eg::sum(eg::embedding(eg::tensor({0, 6}), table)).backward();
         }},
        {"a dense gradient added", [&](Tensor& table) { eg::sum(table * dense).backward(); }},
        {"a dense gradient, then a lookup",
         [&](Tensor& table) {
           eg::sum(table * dense).backward();
           eg::sum(eg::embedding(eg::tensor({0}), table)).backward();
         }},
        {"a dense gradient given", [&](Tensor& table) { table.set_grad(dense.clone()); }},
        {"a sparse gradient given",
         [](Tensor& table) {
           table.set_grad(eg::RowSparse::from_rows(eg::tensor({3}), eg::ones({1, 3}, table.options()), 7));
         }},
        {"the user fills it", [](Tensor& table) { Tensor(table.grad().dense()).fill(9); }},
        {"the user fills it, then a lookup",
         [](Tensor& table) {
           Tensor(table.grad().dense()).fill(9);
           eg::sum(eg::embedding(eg::tensor({0}), table)).backward();
         }},
        {"the user writes a row of it", [](Tensor& table) { Tensor(table.grad().dense())[5].fill(9); }},
        {"the user writes an element of it",
         [](Tensor& table) {
           Tensor(table.grad().dense()).set({5, 1}, 9);
         }},
    };
    for (const auto& [name, change] : between) {
      BOOST_TEST_CONTEXT(name << ", seed 106") {
        Tensor table = leaf(draw, {7, 3}, dtype);
        for (int round = 0; round < 3; ++round) {
          const Tensor input = draw.integers({4}, 0, 6), grad = draw.uniform({4, 3}, dtype);
          eg::embedding(input, table).backward(grad);
          BOOST_TEST(close_to("round " + std::to_string(round), grad_of(table), dense_gradient(input, grad, 7)));
          change(table);
          table.zero_grad();
          BOOST_TEST(!table.grad().defined());
        }
        // A dense gradient after it starts from nothing too.
        eg::sum(table * dense).backward();
        BOOST_TEST(close_to("dense", grad_of(table), dense));
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_gradient_that_somebody_keeps_is_left_alone) {
  Draw draw(107);
  Tensor table = leaf(draw, {7, 3});
  const auto look_up = [&](std::int64_t row) { eg::sum(eg::embedding(eg::tensor({row}), table)).backward(); };
  look_up(1);
  const Tensor kept = table.grad().dense();
  const Tensor view = kept[1];
  const Tensor before = kept.clone();
  table.zero_grad();
  look_up(2);
  table.zero_grad();
  look_up(3);
  BOOST_TEST(equal_to("kept", kept, before));
  BOOST_TEST(equal_to("kept row", view, eg::ones({3}, view.options())));
  BOOST_TEST(!table.grad().dense().shares_storage_with(kept));
  BOOST_TEST(equal_to("new", grad_of(table), dense_gradient(eg::tensor({3}), eg::ones({1, 3}, view.options()), 7)));
  // A raw pointer taken before, written to after: the row it writes was not touched by the lookup.
  table.zero_grad();
  look_up(3);
  {
    Tensor handle = table.grad().dense();
    double* elements = handle.mutable_data<double>();
    handle = Tensor();
    elements[0] = 5;
  }
  table.zero_grad();
  look_up(4);
  BOOST_TEST(grad_of(table).at({0, 0}) == 0);
}

BOOST_AUTO_TEST_CASE(tied_uses_mix_lookups_and_dense_gradients) {
  Draw draw(108);
  const Tensor input = eg::tensor({1, 5, 1}), other = eg::tensor({0, 5});
  const Tensor dense = draw.uniform({7, 3}, DType::float64);
  const Tensor looked = dense_gradient(input, eg::ones({3, 3}, dense.options()), 7);
  const Tensor looked_again = dense_gradient(other, eg::ones({2, 3}, dense.options()), 7);
  for (const bool lookup_first : {true, false}) {
    Tensor table = leaf(draw, {7, 3});
    for (int round = 0; round < 2; ++round) {
      const Tensor a = eg::sum(lookup_first ? eg::embedding(input, table) : table * dense);
      const Tensor b = eg::sum(lookup_first ? table * dense : eg::embedding(input, table));
      (a + b + eg::sum(eg::embedding(other, table))).backward();
      BOOST_TEST(close_to("tied", grad_of(table), dense + looked + looked_again));
      table.zero_grad();
    }
  }
}

BOOST_AUTO_TEST_CASE(a_step_may_change_the_table_between_forward_and_backward) {
  Draw draw(109);
  Tensor table = leaf(draw, {7, 3});
  const Tensor y = eg::embedding(eg::tensor({1, 1}), table);
  eg::no_grad([&] { table.fill(0); });
  BOOST_CHECK_NO_THROW(eg::sum(y).backward());
  BOOST_TEST(grad_of(table).at({1, 0}) == 2);
  // … but not the indices.
  Tensor input = eg::tensor({1, 1});
  const Tensor z = eg::embedding(input, table);
  input.fill(3);
  BOOST_TEST(refuses<eg::ValueError>([&] { eg::sum(z).backward(); }, {"backward of embedding", "changed in place"}));
  // A frozen table gives values and wants nothing.
  const Tensor frozen = table.detach();
  BOOST_TEST(!eg::embedding(eg::tensor({1}), frozen).requires_grad());
}

// --- errors

BOOST_AUTO_TEST_CASE(bad_indices_are_named) {
  const Tensor weight = eg::zeros({50000, 2});
  for_index_types([&](DType index_type) {
    const auto with = [&](std::int64_t value) {
      Tensor input = eg::zeros({5, 9}, {index_type, {}});
      input.set({3, 7}, value);
      input.set({4, 8}, -1);  // only the first is told
      return input;
    };
    BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(with(50012), weight); },
                                       {"embedding: input[3, 7] is 50012, but weight has 50000 rows"}));
    BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(with(50000), weight); }, {"input[3, 7] is 50000"}));
    BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(with(-1), weight); }, {"input[3, 7] is -1"}));
    BOOST_TEST(refuses<eg::IndexError>(
        [&] {
          return eg::embedding(eg::tensor({3}).to(index_type)[0], eg::zeros({3, 2}));
        },
        {"embedding: input", "is 3", "3 rows"}));
    BOOST_TEST(refuses<eg::IndexError>(
        [&] {
          return eg::embedding(eg::tensor({0}).to(index_type), eg::zeros({0, 2}));
        },
        {"is 0", "0 rows"}));
  });
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(eg::tensor({std::int64_t{1} << 32}), weight); },
                                     {"4294967296"}));
  BOOST_TEST((eg::embedding(eg::zeros({0}, {DType::int64, {}}), eg::zeros({0, 2})).shape() == Shape{0, 2}));
}

BOOST_AUTO_TEST_CASE(tables_of_integers) {
  for (const DType dtype : {DType::int32, DType::int64}) {
    const Tensor weight = eg::tensor({{1, 2}, {3, 4}, {5, 6}}).to(dtype);
    BOOST_TEST(equal_to("rows", eg::embedding(eg::tensor({2, 0}), weight, {.padding_idx = 0}),
                        eg::tensor({{5, 6}, {1, 2}}).to(dtype)));
  }
}

BOOST_AUTO_TEST_CASE(other_errors) {
  const Tensor weight = eg::zeros({4, 2}), input = eg::tensor({1});
  for (const double bad : {0.0, -1.0, std::nan("")}) {
    BOOST_TEST(refuses<eg::ValueError>([&] { return eg::embedding(input, weight, {.max_norm = bad}); },
                                       {"embedding: max_norm must be above 0, but is"}));
  }
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::embedding(input, weight, {.norm_type = std::nan("")}); },
                                     {"embedding: norm_type must be a number"}));
  for (const std::int64_t bad : {4, -5}) {
    BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(input, weight, {.padding_idx = bad}); },
                                       {"embedding:", "padding_idx", std::to_string(bad), "4 rows"}));
  }
  BOOST_TEST(
      refuses<eg::ShapeError>([&] { return eg::embedding(input, eg::zeros({4})); }, {"embedding:", "weight", "[4]"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::embedding(input, eg::zeros({4, 2, 2}));
      },
      {"embedding:", "weight", "[4, 2, 2]"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::embedding(eg::ones({2}), weight); },
                                     {"embedding:", "input", "float32"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        return eg::embedding(input, eg::zeros({4, 2}, {DType::int64, {}}), {.max_norm = 1.0});
      },
      {"embedding:", "weight", "max_norm", "int64"}));
  BOOST_TEST(
      refuses<eg::ValueError>([&] { return eg::embedding(Tensor(), weight); }, {"embedding:", "input", "undefined"}));
  BOOST_TEST(
      refuses<eg::ValueError>([&] { return eg::embedding(input, Tensor()); }, {"embedding:", "weight", "undefined"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::embedding(eg::zeros({1, 1, 1, 1, 1, 1, 1, 1}, {DType::int64, {}}), weight);
      },
      {"8"}));
}

BOOST_AUTO_TEST_SUITE_END()
