#include <embergrad/row_sparse.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Gradient;
using eg::RowSparse;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

using Rows = std::vector<std::int64_t>;

Rows rows_of(const RowSparse& sparse) { return sparse.indices().to_vector<std::int64_t>(); }

template <class Value>
std::string printed(const Value& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

// In order by blocks of 64, the sums of blocks again by blocks of 64.
template <class T>
T sum_in_blocks(const std::vector<T>& x) {
  if (x.size() <= 64) {
    T total = 0;
    for (const T each : x) total += each;
    return total;
  }
  std::vector<T> blocks;
  for (std::size_t first = 0; first < x.size(); first += 64) {
    std::vector<T> block;
    for (std::size_t i = first; i < std::min(first + 64, x.size()); ++i) block.push_back(x[i]);
    blocks.push_back(sum_in_blocks(block));
  }
  return sum_in_blocks(blocks);
}

// What a lookup's gradient must be, bit for bit: the rows, each summed in the order of the lookup.
template <class T>
void check_sums(const RowSparse& sparse, const Rows& index, const Tensor& grad, std::int64_t padding = -1) {
  const auto* values = grad.data<T>();
  const std::int64_t dim = grad.shape().back();
  std::map<std::int64_t, std::vector<std::int64_t>> places;
  for (std::size_t i = 0; i < index.size(); ++i) {
    if (index[i] != padding) places[index[i]].push_back(static_cast<std::int64_t>(i));
  }
  Rows rows;
  std::vector<T> sums;
  for (const auto& [row, at] : places) {
    rows.push_back(row);
    for (std::int64_t j = 0; j < dim; ++j) {
      std::vector<T> column;
      for (const std::int64_t place : at) column.push_back(values[place * dim + j]);
      sums.push_back(sum_in_blocks(column));
    }
  }
  BOOST_TEST(rows_of(sparse) == rows, boost::test_tools::per_element());
  const Tensor expected = eg::tensor(sums, {static_cast<std::int64_t>(rows.size()), dim});
  BOOST_TEST(same_bits("values", sparse.values(), expected));
}

Tensor table_of(std::initializer_list<std::initializer_list<double>> rows) { return eg::tensor(rows); }

// Rows 1 and 3 of a (4, 2) table.
RowSparse two_rows() { return RowSparse::from_rows(eg::tensor({1, 3}), table_of({{1, 2}, {3, 4}}), 4); }
Tensor two_rows_dense() { return table_of({{0, 0}, {1, 2}, {0, 0}, {3, 4}}); }

}  // namespace

BOOST_AUTO_TEST_SUITE(row_sparse)

BOOST_AUTO_TEST_CASE(from_rows) {
  for_index_types([](DType index) {
    const RowSparse sparse =
        RowSparse::from_rows(eg::tensor({3, 1, 3}, {index, {}}), table_of({{1, 2}, {3, 4}, {5, 6}}), 5);
    BOOST_TEST(sparse.rows() == 5);
    BOOST_TEST(sparse.dim() == 2);
    BOOST_TEST(sparse.count() == 2);
    BOOST_TEST((sparse.dtype() == DType::float32));
    BOOST_TEST(sparse.device().is_cpu());
    BOOST_TEST((sparse.indices().dtype() == DType::int64));
    BOOST_TEST(rows_of(sparse) == (Rows{1, 3}), boost::test_tools::per_element());
    BOOST_TEST(equal_to("values", sparse.values(), table_of({{3, 4}, {6, 8}})));
    BOOST_TEST(equal_to("dense", sparse.to_dense(), table_of({{0, 0}, {3, 4}, {0, 0}, {6, 8}, {0, 0}})));
  });
  const RowSparse none = RowSparse::from_rows(eg::zeros({0}, {DType::int64, {}}), eg::zeros({0, 3}), 4);
  BOOST_TEST(none.count() == 0);
  BOOST_TEST((none.values().shape() == Shape{0, 3}));
  BOOST_TEST(equal_to("nothing", none.to_dense(), eg::zeros({4, 3})));
}

BOOST_AUTO_TEST_CASE(from_lookup) {
  for_computing_types([](DType dtype) {
    for_index_types([&](DType index_type) {
      Draw draw(5);
      const Tensor index = draw.integers({6, 9}, 0, 19, index_type);
      const Tensor grad = draw.uniform({6, 9, 5}, dtype);
      for (const std::int64_t padding : {-1, 0, 7, 19}) {
        const RowSparse sparse = RowSparse::from_lookup(index, grad, 20, padding);
        BOOST_TEST((sparse.dtype() == dtype));
        const Rows rows = rows_of(sparse);
        BOOST_TEST(std::count(rows.begin(), rows.end(), padding) == 0);
        if (dtype == DType::float32) {
          check_sums<float>(sparse, index.to_vector<std::int64_t>(), grad, padding);
        } else {
          check_sums<double>(sparse, index.to_vector<std::int64_t>(), grad, padding);
        }
      }
    });
  });
  const RowSparse scalar = RowSparse::from_lookup(eg::tensor(2), eg::tensor({1.0, 2.0}), 3);
  BOOST_TEST(equal_to("a single place", scalar.to_dense(), table_of({{0, 0}, {0, 0}, {1, 2}})));
  const RowSparse skipped = RowSparse::from_lookup(eg::tensor({2, 2}), eg::ones({2, 3}), 3, 2);
  BOOST_TEST(skipped.count() == 0);
  BOOST_TEST(equal_to("all padding", skipped.to_dense(), eg::zeros({3, 3})));
  // Rows without elements are not named.
  const RowSparse flat = RowSparse::from_lookup(eg::tensor({2, 1}), eg::ones({2, 0}), 3);
  BOOST_TEST(flat.count() == 0);
  BOOST_TEST((flat.values().shape() == Shape{0, 0}));
  BOOST_TEST((flat.plus(flat).to_dense().shape() == Shape{3, 0}));
}

// Duplicates of one row, in the order of the lookup and by blocks of 64.
BOOST_AUTO_TEST_CASE(order_of_duplicates) {
  for (const std::int64_t count : {1, 2, 63, 64, 65, 128, 129, 4096, 4097, 5000}) {
    for (const std::int64_t dim : {1, 31, 64, 65}) {
      BOOST_TEST_CONTEXT(count << " duplicates of width " << dim) {
        Draw draw(static_cast<std::uint64_t>(count + dim));
        const Tensor grad = draw.uniform({count, dim});
        const Tensor index = eg::full({count}, 2, {DType::int64, {}});
        check_sums<float>(RowSparse::from_lookup(index, grad, 4), Rows(static_cast<std::size_t>(count), 2), grad);
      }
    }
  }
  // among others
  Draw draw(77);
  const Tensor grad = draw.uniform({5000, 3});
  const Tensor index = draw.integers({5000}, 0, 2);
  check_sums<float>(RowSparse::from_lookup(index, grad, 3), index.to_vector<std::int64_t>(), grad);
}

// Rows of more digits than one pass of sorting takes.
BOOST_AUTO_TEST_CASE(large_tables) {
  Draw draw(81);
  for (const std::int64_t rows : {1LL, 2LL, 2048LL, 2049LL, 1LL << 22, (1LL << 22) + 1, 1LL << 40}) {
    BOOST_TEST_CONTEXT(rows << " rows") {
      Tensor index = draw.integers({500}, 0, rows - 1);
      index.set({3}, static_cast<double>(rows - 1));
      index.set({4}, 0);
      index.set({490}, static_cast<double>(rows - 1));
      const Tensor grad = draw.uniform({500, 2});
      check_sums<float>(RowSparse::from_lookup(index, grad, rows), index.to_vector<std::int64_t>(), grad);
    }
  }
}

BOOST_AUTO_TEST_CASE(add_to) {
  Tensor table = table_of({{1, 1}, {1, 1}, {1, 1}, {1, 1}});
  const std::uint64_t before = table.version();
  two_rows().add_to(table);
  BOOST_TEST(equal_to("table", table, table_of({{1, 1}, {2, 3}, {1, 1}, {4, 5}})));
  BOOST_TEST(table.version() > before);
  two_rows().add_to(table);
  BOOST_TEST(equal_to("table", table, table_of({{1, 1}, {3, 5}, {1, 1}, {7, 9}})));
  Tensor wrong = eg::zeros({4, 3});
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        two_rows().add_to(wrong);
        return 0;
      },
      {"RowSparse::add_to: table must have shape [4, 2], but has [4, 3]"}));
}

// A table of another type is refused, not read as if it were the same.
BOOST_AUTO_TEST_CASE(add_to_another_type) {
  Tensor doubles = eg::zeros({4, 2}, {DType::float64, {}});
  BOOST_TEST(refuses<eg::DTypeError>([&] {
    two_rows().add_to(doubles);
    return 0;
  }));
}

BOOST_AUTO_TEST_CASE(plus) {
  const RowSparse a = two_rows();
  const RowSparse b = RowSparse::from_rows(eg::tensor({3, 0}), table_of({{10, 20}, {30, 40}}), 4);
  const RowSparse sum = a.plus(b);
  BOOST_TEST(sum.rows() == 4);
  BOOST_TEST(rows_of(sum) == (Rows{0, 1, 3}), boost::test_tools::per_element());
  BOOST_TEST(equal_to("values", sum.values(), table_of({{30, 40}, {1, 2}, {13, 24}})));
  BOOST_TEST(equal_to("a is as before", a.to_dense(), two_rows_dense()));
  const RowSparse none = RowSparse::from_rows(eg::zeros({0}, {DType::int64, {}}), eg::zeros({0, 2}), 4);
  BOOST_TEST(equal_to("plus nothing", a.plus(none).to_dense(), two_rows_dense()));
  BOOST_TEST(equal_to("nothing plus", none.plus(a).to_dense(), two_rows_dense()));
  BOOST_TEST(equal_to("itself", a.plus(a).to_dense(), two_rows_dense() * 2));
  const RowSparse taller = RowSparse::from_rows(eg::tensor({1}), table_of({{1, 2}}), 5);
  BOOST_TEST(refuses<eg::ShapeError>([&] { return a.plus(taller); }, {"RowSparse::plus", "[4, 2]", "[5, 2]"}));
  const RowSparse wider = RowSparse::from_rows(eg::tensor({1}), table_of({{1, 2, 3}}), 4);
  BOOST_TEST(refuses<eg::ShapeError>([&] { return a.plus(wider); }, {"RowSparse::plus", "[4, 2]", "[4, 3]"}));
}

BOOST_AUTO_TEST_CASE(scaled) {
  const RowSparse a = two_rows();
  const RowSparse half = a.scaled(0.5);
  BOOST_TEST(rows_of(half) == (Rows{1, 3}), boost::test_tools::per_element());
  BOOST_TEST(equal_to("values", half.values(), table_of({{0.5, 1}, {1.5, 2}})));
  BOOST_TEST((half.dtype() == DType::float32));
  BOOST_TEST(equal_to("a is as before", a.values(), table_of({{1, 2}, {3, 4}})));
}

BOOST_AUTO_TEST_CASE(other_values) {
  const RowSparse a = two_rows();
  const Tensor values = table_of({{5, 6}, {7, 8}});
  const RowSparse other = a.with_values(values);
  BOOST_TEST(rows_of(other) == (Rows{1, 3}), boost::test_tools::per_element());
  BOOST_TEST(equal_to("values", other.values(), values));
  BOOST_TEST(equal_to("dense", other.to_dense(), table_of({{0, 0}, {5, 6}, {0, 0}, {7, 8}})));
  BOOST_TEST(equal_to("plus", other.plus(a).values(), values + a.values()));
  Tensor table = eg::ones({4, 2});
  other.add_to(table);
  BOOST_TEST(equal_to("added", table, table_of({{1, 1}, {6, 7}, {1, 1}, {8, 9}})));
  BOOST_TEST(equal_to("a is as before", a.values(), table_of({{1, 2}, {3, 4}})));
  const RowSparse none = RowSparse::from_rows(eg::zeros({0}, {DType::int64, {}}), eg::zeros({0, 2}), 4);
  BOOST_TEST(none.with_values(eg::zeros({0, 2})).count() == 0);
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return a.with_values(eg::ones({2, 3}));
      },
      {"RowSparse::with_values", "values", "[2, 2]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        return a.with_values(eg::ones({2, 2}, {DType::int64, {}}));
      },
      {"RowSparse::with_values", "values", "int64"}));
}

// Sums are made when somebody first reads them, and then stay.
BOOST_AUTO_TEST_CASE(handles_share) {
  const RowSparse a = two_rows();
  const RowSparse copy = a;
  BOOST_TEST(copy.values().shares_storage_with(a.values()));
  BOOST_TEST(a.values().shares_storage_with(a.values()));
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor values = eg::ones({2, 3});
  const auto run = [](const Tensor& indices, const Tensor& rows_values, std::int64_t rows = 4) {
    return [=] { return RowSparse::from_rows(indices, rows_values, rows); };
  };
  BOOST_TEST(refuses<eg::IndexError>(run(eg::tensor({0, 4}), values),
                                     {"RowSparse: indices[1] is 4, but the table has 4 rows"}));
  BOOST_TEST(refuses<eg::IndexError>(run(eg::tensor({-1, 0}), values), {"RowSparse: indices[0] is -1"}));
  BOOST_TEST(refuses<eg::IndexError>(run(eg::tensor({0, 0}), values, 0),
                                     {"RowSparse: indices[0] is 0, but the table has 0 rows"}));
  BOOST_TEST(
      refuses<eg::ShapeError>(run(eg::tensor({0, 1, 2}), values),
                              {"RowSparse: values must have a row for each of the 3 indices, but has shape [2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(eg::tensor({{0, 1}}), values),
                                     {"RowSparse: indices must have 1 dimensions, but has shape [1, 2]"}));
  BOOST_TEST(refuses<eg::ShapeError>(run(eg::tensor({0, 1}), eg::ones({2})),
                                     {"RowSparse: values must have 2 dimensions, but has shape [2]"}));
  BOOST_TEST(refuses<eg::DTypeError>(run(eg::tensor({0.0, 1.0}), values),
                                     {"RowSparse: indices must be int32 or int64, but is float32"}));
  BOOST_TEST(refuses<eg::DTypeError>(run(eg::tensor({0, 1}), eg::ones({2, 3}, {DType::int64, {}})),
                                     {"RowSparse: values", "int64"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return RowSparse::from_lookup(eg::tensor({0, 1}), eg::ones({3, 3}), 4);
      },
      {"RowSparse: grad_output must have the shape of input [2]", "[3, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return RowSparse::from_lookup(eg::tensor({0, 1}), eg::ones({2}), 4);
      },
      {"RowSparse: grad_output", "[2]"}));
}

// --- Gradient

BOOST_AUTO_TEST_CASE(kinds) {
  const Gradient none;
  BOOST_TEST(!none.defined());
  BOOST_TEST(!none.is_sparse());
  BOOST_TEST(refuses<eg::ValueError>([&] { return none.dense(); }, {"there is no gradient"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return none.rows(); }, {"there is no gradient"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return none.to_dense(); }, {"there is no gradient"}));

  const Gradient dense(two_rows_dense());
  BOOST_TEST(dense.defined());
  BOOST_TEST(!dense.is_sparse());
  BOOST_TEST(equal_to("dense", dense.dense(), two_rows_dense()));
  BOOST_TEST(refuses<eg::ValueError>([&] { return dense.rows(); }, {"the gradient is dense; use dense()"}));

  const Gradient sparse(two_rows());
  BOOST_TEST(sparse.defined());
  BOOST_TEST(sparse.is_sparse());
  BOOST_TEST(sparse.rows().count() == 2);
  BOOST_TEST(equal_to("to_dense", sparse.to_dense(), two_rows_dense()));
  BOOST_TEST(
      refuses<eg::ValueError>([&] { return sparse.dense(); }, {"the gradient is sparse; use rows(), or to_dense()"}));

  const Gradient pending = Gradient::dense_rows(two_rows());
  BOOST_TEST(pending.defined());
  BOOST_TEST(!pending.is_sparse());
  BOOST_TEST(pending.is_pending_dense());
  BOOST_TEST(!sparse.is_pending_dense());
  BOOST_TEST(pending.source_rows().count() == 2);
  BOOST_TEST(equal_to("to_dense", pending.to_dense(), two_rows_dense()));
  BOOST_TEST(refuses<eg::ValueError>([&] { return pending.rows(); }, {"the gradient is dense"}));
}

BOOST_AUTO_TEST_CASE(sums_of_all_kinds) {
  const auto make = [](int kind) {
    switch (kind) {
      case 0:
        return Gradient();
      case 1:
        return Gradient(two_rows_dense() + 1.0);
      case 2:
        return Gradient(two_rows());
      default:
        return Gradient::dense_rows(two_rows());
    }
  };
  const Tensor zeros = eg::zeros({4, 2});
  for (int a = 0; a < 4; ++a) {
    for (int b = 0; b < 4; ++b) {
      BOOST_TEST_CONTEXT("kinds " << a << " and " << b) {
        const Gradient first = make(a), second = make(b);
        const Gradient sum = make(a).plus(second);
        BOOST_TEST(sum.defined() == (a != 0 || b != 0));
        BOOST_TEST(sum.is_sparse() == ((a == 2 && (b == 2 || b == 0)) || (a == 0 && b == 2)));
        if (!sum.defined()) continue;
        const Tensor left = first.defined() ? first.to_dense() : zeros;
        const Tensor right = second.defined() ? second.to_dense() : zeros;
        BOOST_TEST(equal_to("sum", sum.to_dense(), left + right));
      }
    }
  }
}

// A sum reuses the memory of its left side only if nobody else holds it.
BOOST_AUTO_TEST_CASE(sums_leave_others_alone) {
  const Tensor held = two_rows_dense();
  for (int kind = 0; kind < 3; ++kind) {
    Gradient left(held);
    const Gradient right = kind == 0   ? Gradient(eg::ones({4, 2}))
                           : kind == 1 ? Gradient(two_rows())
                                       : Gradient::dense_rows(two_rows());
    const Tensor expected = held + right.to_dense();
    const Gradient sum = std::move(left).plus(right);
    BOOST_TEST(equal_to("sum", sum.dense(), expected));
    BOOST_TEST(equal_to("left", held, two_rows_dense()));
  }
  const Tensor right = eg::ones({4, 2});
  const Gradient sum = Gradient(two_rows_dense()).plus(Gradient(right));
  BOOST_TEST(equal_to("sum", sum.dense(), two_rows_dense() + 1.0));
  BOOST_TEST(equal_to("right", right, eg::ones({4, 2})));
}

BOOST_AUTO_TEST_CASE(adding_a_dense_one) {
  const Tensor more = eg::full({4, 2}, 5);
  Gradient none;
  none.add(more);
  BOOST_TEST(equal_to("to none", none.dense(), more));
  none.add(more);
  BOOST_TEST(equal_to("twice", none.dense(), more * 2));
  BOOST_TEST(equal_to("what was added", more, eg::full({4, 2}, 5)));
  Gradient sparse{two_rows()};
  sparse.add(more);
  BOOST_TEST(!sparse.is_sparse());
  BOOST_TEST(equal_to("to a sparse one", sparse.dense(), two_rows_dense() + more));
}

BOOST_AUTO_TEST_CASE(printing) {
  BOOST_TEST(printed(Gradient()) == "undefined");
  BOOST_TEST(printed(Gradient(eg::tensor({1.0}))) == "tensor([1.0000], shape=[1], float32, cpu)");
  const std::string expected =
      "RowSparse(2 of 4 rows,\n  indices=tensor([1, 3], shape=[2], int64, cpu),\n"
      "  values=tensor([[1.0000, 2.0000],\n        [3.0000, 4.0000]], shape=[2, 2], float32, cpu))";
  BOOST_TEST(printed(two_rows()) == expected);
  BOOST_TEST(printed(Gradient(two_rows())) == expected);
  BOOST_TEST(printed(Gradient::dense_rows(two_rows())) == printed(two_rows_dense()));
}

BOOST_AUTO_TEST_SUITE_END()
