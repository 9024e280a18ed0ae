#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/device.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "kernels/update.hpp"
#include "src/tensor_state.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::BagMode;
using eg::DType;
using eg::EmbeddingBagOptions;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr std::int64_t rows = 7;
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

const char* name_of_mode(BagMode mode) { return mode == BagMode::sum ? "sum" : mode == BagMode::mean ? "mean" : "max"; }

// One of all combinations of options.
struct Square {
  BagMode mode;
  bool sparse, weighted, by_frequency;
  std::optional<std::int64_t> padding;

  [[nodiscard]] std::string text() const {
    return fmt::format("{}{}{}{}{}", name_of_mode(mode), sparse ? ", sparse" : "", weighted ? ", weights" : "",
                       by_frequency ? ", by frequency" : "", padding ? fmt::format(", padding {}", *padding) : "");
  }
  [[nodiscard]] EmbeddingBagOptions options(const Tensor& weights) const {
    return {.scale_grad_by_freq = by_frequency,
            .mode = mode,
            .sparse = sparse,
            .per_sample_weights = weighted ? weights : Tensor(),
            .padding_idx = padding};
  }
};

template <class Body>
void for_all_squares(const Body& body) {
  for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
    for (const bool sparse : {false, true}) {
      for (const bool weighted : {false, true}) {
        for (const bool by_frequency : {false, true}) {
          for (const std::optional<std::int64_t> padding : {std::optional<std::int64_t>(), {2}, {-rows}}) {
            const Square square{mode, sparse, weighted, by_frequency, padding};
            BOOST_TEST_CONTEXT(square.text()) { body(square); }
          }
        }
      }
    }
  }
}

// A lookup with empty bags, duplicates within and across bags, and a bag of padding alone.
struct Lookup {
  Tensor input = eg::tensor({2, 5, 5, 0, 6, 2, 2, 1, 5, 3, 0});
  Tensor offsets = eg::tensor({0, 0, 4, 5, 7, 7, 11});
  std::vector<std::int64_t> starts = {0, 0, 4, 5, 7, 7, 11, 11};
};

struct Expected {
  std::vector<double> out, grad_table, grad_weights;
};

// All numbers by plain loops over one bag and column at a time.
Expected by_hand(const Square& square, const std::vector<std::int64_t>& input, const std::vector<std::int64_t>& starts,
                 const Tensor& table, const Tensor& weights, const Tensor& grad) {
  const std::int64_t dim = table.size(1);
  const std::int64_t padding = square.padding ? (*square.padding + rows) % rows : -1;
  Expected expected{.out = std::vector<double>((starts.size() - 1) * static_cast<std::size_t>(dim)),
                    .grad_table = std::vector<double>(static_cast<std::size_t>(rows * dim)),
                    .grad_weights = std::vector<double>(input.size())};
  const auto frequency = [&](std::int64_t row) {
    return square.by_frequency ? static_cast<double>(std::count(input.begin(), input.end(), row)) : 1.0;
  };
  for (std::size_t b = 0; b + 1 < starts.size(); ++b) {
    std::vector<std::size_t> places;
    double total = 0;
    const auto s = [&](std::size_t p) {
      return square.weighted ? weights.at<double>({static_cast<std::int64_t>(p)}) : 1.0;
    };
    for (auto p = static_cast<std::size_t>(starts[b]); p < static_cast<std::size_t>(starts[b + 1]); ++p) {
      if (input[p] == padding) continue;
      places.push_back(p);
      total += s(p);
    }
    for (std::int64_t j = 0; j < dim; ++j) {
      const auto x = [&](std::size_t p) { return table.at<double>({input[p], j}); };
      const double g = grad.at<double>({static_cast<std::int64_t>(b), j});
      const auto give = [&](std::size_t p, double to_row, double to_weight) {
        expected.grad_table[static_cast<std::size_t>(input[p] * dim + j)] += to_row / frequency(input[p]);
        expected.grad_weights[p] += to_weight;
      };
      double& out = expected.out[b * static_cast<std::size_t>(dim) + static_cast<std::size_t>(j)];
      if (square.mode == BagMode::max) {
        const std::size_t* best = nullptr;
        for (const std::size_t& p : places) {
          if (best == nullptr || s(p) * x(p) > s(*best) * x(*best)) best = &p;
        }
        if (best == nullptr) continue;
        out = s(*best) * x(*best);
        give(*best, g * s(*best), g * x(*best));
        continue;
      }
      const double divisor = square.mode == BagMode::mean ? total : 1.0;
      if (divisor == 0) continue;
      for (const std::size_t p : places) out += s(p) * x(p) / divisor;
      for (const std::size_t p : places) {
        give(p, g * s(p) / divisor, g * (square.mode == BagMode::mean ? x(p) - out : x(p)) / divisor);
      }
    }
  }
  return expected;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embedding_bag)

BOOST_AUTO_TEST_CASE(every_square_by_hand) {
  for_computing_types([](DType dtype) {
    Draw draw(401);
    const Lookup lookup;
    for (const std::int64_t dim : {1, 5, 16, 70}) {
      const Tensor values = draw.uniform({rows, dim}, dtype);
      const Tensor factors = draw.uniform({11}, dtype, 0.2, 1.0);
      const Tensor grad = draw.uniform({7, dim}, dtype);
      for_all_squares([&](const Square& square) {
        const Tensor table = values.clone().set_requires_grad();
        const Tensor weights = factors.clone().set_requires_grad();
        const Tensor out = eg::embedding_bag(lookup.input, table, lookup.offsets, square.options(weights));
        out.backward(grad);
        const Expected expected =
            by_hand(square, lookup.input.to_vector<std::int64_t>(), lookup.starts, values, factors, grad);
        BOOST_TEST(close_to("output", out, eg::tensor(expected.out, {7, dim}).to(dtype)));
        BOOST_TEST(table.grad().is_sparse() == square.sparse);
        BOOST_TEST(close_to("grad", grad_of(table), eg::tensor(expected.grad_table, {rows, dim}).to(dtype)));
        if (square.weighted) {
          BOOST_TEST(close_to("grad of weights", grad_of(weights), eg::tensor(expected.grad_weights).to(dtype)));
        } else {
          BOOST_TEST(!weights.grad().defined());
        }
      });
    }
  });
}

BOOST_AUTO_TEST_CASE(gradients) {
  const Lookup lookup;
  for_all_squares([&](const Square& square) {
    Draw draw(402);
    const Tensor table = leaf(draw, {rows, 3});
    const Tensor weights = leaf(draw, {11}, DType::float64, 0.2, 1.0);
    const auto bag = [&](const Inputs& x) {
      return eg::embedding_bag(lookup.input, x[0], lookup.offsets, square.options(x[1]));
    };
    // Scaled by frequency it is not the derivative: undone, it is.
    Tensor counts = eg::ones({rows, 1}, {DType::float64, {}});
    if (square.by_frequency) {
      for (const std::int64_t row : {0, 2, 5}) counts.set({row, 0}, row == 0 ? 2 : 3);
      const Tensor out = bag({table, weights});
      const Tensor grad = draw.uniform(out.shape(), DType::float64);
      out.backward(grad);
      const Tensor scaled = grad_of(table);
      const Tensor plain = table.detach().clone().set_requires_grad();
      Square without = square;
      without.by_frequency = false;
      eg::embedding_bag(lookup.input, plain, lookup.offsets, without.options(weights.detach())).backward(grad);
      BOOST_TEST(close_to("scaled", scaled * counts, grad_of(plain)));
      return;
    }
    if (square.weighted) {
      BOOST_TEST(gradients_agree(bag, {table, weights}));
    } else {
      BOOST_TEST(gradients_agree([&](const Inputs& x) { return bag({x[0], weights.detach()}); }, {table}));
    }
  });
}

BOOST_AUTO_TEST_CASE(sparse_is_dense_bit_for_bit) {
  for_computing_types([](DType dtype) {
    Draw draw(403);
    // Rows with more than 64 and more than 4096 places: the blocks of their sums.
    const Tensor input = draw.integers({9000}, 0, rows - 1);
    const Tensor offsets = eg::tensor({0, 70, 70, 100, 4300, 8999});
    const Tensor values = draw.uniform({rows, 33}, dtype);
    const Tensor factors = draw.uniform({9000}, dtype, 0.2, 1.0);
    const Tensor grad = draw.uniform({6, 33}, dtype);
    for_all_squares([&](const Square& square) {
      if (square.sparse) return;
      const auto gradient = [&](bool sparse) {
        const Tensor table = values.clone().set_requires_grad();
        Square now = square;
        now.sparse = sparse;
        eg::embedding_bag(input, table, offsets, now.options(factors)).backward(grad);
        return grad_of(table);
      };
      BOOST_TEST(same_bits("gradient", gradient(true), gradient(false)));
    });
  });
}

BOOST_AUTO_TEST_CASE(a_bag_is_a_lookup_that_is_reduced) {
  for_computing_types([](DType dtype) {
    Draw draw(404);
    const Tensor input = draw.integers({6, 5}, 0, rows - 1);
    const Tensor table = draw.uniform({rows, 20}, dtype);
    const Tensor looked_up = eg::embedding(input, table);
    const auto bag = [&](BagMode mode) { return eg::embedding_bag(input, table, {}, {.mode = mode}); };
    BOOST_TEST(close_to("sum", bag(BagMode::sum), eg::sum(looked_up, {1})));
    BOOST_TEST(close_to("mean", bag(BagMode::mean), eg::mean(looked_up, {1})));
    BOOST_TEST(same_bits("max", bag(BagMode::max), eg::amax(looked_up, {1})));
  });
}

BOOST_AUTO_TEST_CASE(a_batch_is_its_bags_in_any_order) {
  Draw draw(405);
  const Tensor input = draw.integers({4, 6}, 0, rows - 1);
  const Tensor values = draw.uniform({rows, 20});
  const Tensor factors = draw.uniform({4, 6}, DType::float32, 0.2, 1.0);
  const Tensor grad = draw.uniform({4, 20});
  const std::vector<std::int64_t> order = {2, 0, 3, 1};
  for_all_squares([&](const Square& square) {
    if (square.by_frequency) return;
    const Tensor whole = values.clone().set_requires_grad();
    const Tensor together = eg::embedding_bag(input, whole, {}, square.options(factors));
    together.backward(grad);
    const Tensor parts = values.clone().set_requires_grad();
    for (const std::int64_t b : order) {
      const Tensor one =
          eg::embedding_bag(eg::narrow(input, 0, b, 1), parts, {}, square.options(eg::narrow(factors, 0, b, 1)));
      BOOST_TEST(same_bits("output", one[0].detach(), together[b].detach()));
      one.backward(eg::narrow(grad, 0, b, 1));
    }
    BOOST_TEST(close_to("gradient", grad_of(parts), grad_of(whole)));
  });
}

BOOST_AUTO_TEST_CASE(weights_of_one_are_no_weights) {
  Draw draw(406);
  const Lookup lookup;
  const Tensor table = draw.uniform({rows, 20});
  for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
    const Tensor plain = eg::embedding_bag(lookup.input, table, lookup.offsets, {.mode = mode});
    const Tensor weighted =
        eg::embedding_bag(lookup.input, table, lookup.offsets, {.mode = mode, .per_sample_weights = eg::ones({11})});
    BOOST_TEST(same_bits(name_of_mode(mode), weighted, plain));
  }
}

BOOST_AUTO_TEST_CASE(ways_to_say_the_same_bags) {
  Draw draw(407);
  const Tensor input = draw.integers({3, 4}, 0, rows - 1);
  const Tensor table = draw.uniform({rows, 20});
  const Tensor expected = eg::embedding_bag(input, table);
  for_index_types([&](DType index) {
    for_index_types([&](DType offset) {
      const Tensor flat = input.reshape({12}).to(index);
      BOOST_TEST(same_bits("offsets", eg::embedding_bag(flat, table, eg::tensor({0, 4, 8}).to(offset)), expected));
      BOOST_TEST(
          same_bits("last offset",
                    eg::embedding_bag(flat, table, eg::tensor({0, 4, 8, 12}).to(offset), {.include_last_offset = true}),
                    expected));
    });
    BOOST_TEST(
        same_bits("2-D", eg::embedding_bag(input.to(index), table, {}, {.include_last_offset = true}), expected));
  });
}

BOOST_AUTO_TEST_CASE(bags_without_indices) {
  const Tensor table = eg::ones({rows, 3}).set_requires_grad();
  for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
    const auto bag = [&](const eg::Shape& shape, const Tensor& offsets, bool last) {
      const Tensor out = eg::embedding_bag(eg::zeros(shape, {DType::int64, {}}), table, offsets,
                                           {.mode = mode, .include_last_offset = last});
      out.backward(eg::ones(out.shape()));
      return out.detach();
    };
    BOOST_TEST(same_bits("(2, 0)", bag({2, 0}, {}, false), eg::zeros({2, 3})));
    BOOST_TEST(same_bits("(0, 2)", bag({0, 2}, {}, false), eg::zeros({0, 3})));
    BOOST_TEST(same_bits("no bags", bag({0}, eg::zeros({0}, {DType::int64, {}}), false), eg::zeros({0, 3})));
    BOOST_TEST(same_bits("no bags", bag({0}, eg::tensor({0}), true), eg::zeros({0, 3})));
    BOOST_TEST(same_bits("empty bags", bag({0}, eg::tensor({0, 0}), false), eg::zeros({2, 3})));
    BOOST_TEST(same_bits("gradient", grad_of(table), eg::zeros({rows, 3})));
  }
}

BOOST_AUTO_TEST_CASE(a_weighted_mean_with_weights_that_cancel_is_zero) {
  const Tensor table = eg::ones({3, 2}).set_requires_grad();
  const Tensor weights = eg::tensor({{1.0, -1.0}, {1.0, 1.0}}).set_requires_grad();
  const Tensor out = eg::embedding_bag(eg::tensor({{0, 1}, {1, 2}}), table, {}, {.per_sample_weights = weights});
  BOOST_TEST(same_bits("output", out.detach(), eg::tensor({{0.0, 0.0}, {1.0, 1.0}})));
  out.backward(eg::ones({2, 2}));
  BOOST_TEST(same_bits("gradient", grad_of(table), eg::tensor({{0.0, 0.0}, {0.5, 0.5}, {0.5, 0.5}})));
  BOOST_TEST(same_bits("of weights", grad_of(weights), eg::zeros({2, 2})));
}

BOOST_AUTO_TEST_CASE(the_largest_may_be_nan_infinite_or_one_of_equals) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor table = eg::tensor({{no_number, -inf, 1.0}, {2.0, -inf, 1.0}, {3.0, -inf, 0.0}}).set_requires_grad();
  const Tensor out = eg::embedding_bag(eg::tensor({{2, 0, 1}, {1, 1, 0}}), table, {}, {.mode = BagMode::max});
  BOOST_TEST(same_bits("output", out.detach(), eg::tensor({{no_number, -inf, 1.0}, {no_number, -inf, 1.0}})));
  out.backward(eg::tensor({{1.0, 2.0, 4.0}, {8.0, 16.0, 32.0}}));
  BOOST_TEST(same_bits("gradient", grad_of(table), eg::tensor({{9.0, 0.0, 4.0}, {0.0, 16.0, 32.0}, {0.0, 2.0, 0.0}})));
}

BOOST_AUTO_TEST_CASE(padding_is_out_of_sight) {
  const Tensor table = eg::tensor({{1.0}, {no_number}, {5.0}}).set_requires_grad();
  const Tensor weights = eg::tensor({{1.0, no_number, 3.0}}).set_requires_grad();
  const EmbeddingBagOptions options{.mode = BagMode::mean, .per_sample_weights = weights, .padding_idx = 1};
  const Tensor out = eg::embedding_bag(eg::tensor({{0, 1, 2}}), table, {}, options);
  BOOST_TEST(same_bits("output", out.detach(), eg::tensor({{4.0}})));
  out.backward(eg::tensor({{4.0}}));
  BOOST_TEST(same_bits("gradient", grad_of(table), eg::tensor({{1.0}, {0.0}, {3.0}})));
  BOOST_TEST(same_bits("of weights", grad_of(weights), eg::tensor({{-3.0, 0.0, 1.0}})));
}

BOOST_AUTO_TEST_CASE(tables_of_16_bits_are_summed_in_float32) {
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    BOOST_TEST_CONTEXT(eg::name_of(dtype)) {
      Draw draw(408);
      const Lookup lookup;
      const Tensor narrow = draw.uniform({rows, 20}).to(dtype);
      const Tensor wide = narrow.to(DType::float32);
      const Tensor factors = draw.uniform({11}, DType::float32, 0.2, 1.0);
      const Tensor grad = draw.uniform({7, 20});
      for_all_squares([&](const Square& square) {
        const Tensor of_16 = narrow.clone().set_requires_grad();
        const Tensor of_32 = wide.clone().set_requires_grad();
        const Tensor out = eg::embedding_bag(lookup.input, of_16, lookup.offsets, square.options(factors));
        const Tensor expected = eg::embedding_bag(lookup.input, of_32, lookup.offsets, square.options(factors));
        BOOST_TEST(same_bits("output", out.detach(), expected.detach()));
        out.backward(grad);
        expected.backward(grad);
        BOOST_TEST(same_bits("gradient", grad_of(of_16), grad_of(of_32)));
      });
      // 1000 ones are 1000: 16 bits alone would stop at 256 or 2048.
      const Tensor ones = eg::zeros({1, 1}, {dtype, {}}).set_requires_grad();
      eg::embedding(eg::zeros({3000}, {DType::int64, {}}), ones).backward(eg::ones({3000, 1}));
      BOOST_TEST(same_bits("many", grad_of(ones), eg::tensor({{3000.0}})));
      // Weights of 16 bits get their gradient in float32 too.
      const Tensor weights = factors.to(dtype).set_requires_grad();
      eg::embedding_bag(lookup.input, narrow, lookup.offsets, {.mode = BagMode::sum, .per_sample_weights = weights})
          .backward(grad);
      BOOST_TEST((grad_of(weights).dtype() == DType::float32));
    }
  }
}

BOOST_AUTO_TEST_CASE(long_bags_keep_their_digits) {
  const Tensor out =
      eg::embedding_bag(eg::zeros({1, 100000}, {DType::int64, {}}), eg::full({1, 1}, 0.1), {}, {.mode = BagMode::sum});
  BOOST_TEST(std::abs(out.item() - 10000.0) < 0.01);
}

BOOST_AUTO_TEST_CASE(scales_are_folded_in) {
  Draw draw(409);
  const Lookup lookup;
  const Tensor values = draw.uniform({rows, 20}, DType::float64);
  const Tensor factors = draw.uniform({11}, DType::float64, 0.2, 1.0);
  const Tensor grad = draw.uniform({7, 20}, DType::float64);
  for_all_squares([&](const Square& square) {
    const auto run = [&](const eg::Scales& scales) {
      const Tensor table = values.clone().set_requires_grad();
      const Tensor weights = factors.clone().set_requires_grad();
      const Tensor out = eg::embedding_bag(lookup.input, table, lookup.offsets, square.options(weights), scales);
      out.backward(grad);
      return Inputs{out.detach(), grad_of(table), square.weighted ? grad_of(weights) : eg::zeros({1})};
    };
    const Inputs plain = run({});
    const Inputs scaled = run({.out = 2, .grad_in = 3, .grad_weight = 5});
    BOOST_TEST(close_to("output", scaled[0], plain[0] * 2));
    BOOST_TEST(close_to("gradient", scaled[1], plain[1] * 5));
    BOOST_TEST(close_to("of weights", scaled[2], plain[2] * 3));
  });
}

BOOST_AUTO_TEST_CASE(the_same_bits_for_any_number_of_threads) {
  Draw draw(410);
  const Tensor input = draw.integers({20000}, 0, 499);
  std::vector<std::int64_t> starts;
  for (std::int64_t b = 0; b < 1000; ++b) starts.push_back(b * 20);
  const Tensor values = draw.uniform({500, 40});
  const Tensor grad = draw.uniform({1000, 40});
  const Tensor factors = draw.uniform({20000}, DType::float32, 0.2, 1.0);
  for_all_squares([&](const Square& square) {
    const auto run = [&](int threads) {
      eg::set_num_threads(threads);
      const Tensor table = values.clone().set_requires_grad();
      const Tensor weights = factors.clone().set_requires_grad();
      const Tensor out = eg::embedding_bag(input, table, eg::tensor(starts), square.options(weights));
      out.backward(grad);
      return Inputs{out.detach(), grad_of(table), square.weighted ? grad_of(weights) : eg::zeros({1})};
    };
    const int before = eg::num_threads();
    const Inputs one = run(1);
    const Inputs four = run(4);
    eg::set_num_threads(before);
    for (std::size_t i = 0; i < one.size(); ++i) BOOST_TEST(same_bits("result", four[i], one[i]));
  });
}

BOOST_AUTO_TEST_CASE(max_norm_reaches_every_row_looked_up) {
  const Tensor table = eg::tensor({{3.0, 4.0}, {0.3, 0.4}, {6.0, 8.0}, {30.0, 40.0}}).set_requires_grad();
  const std::uint64_t version = table.version();
  const Tensor out = eg::embedding_bag(eg::tensor({{0, 0, 1, 2}}), table, {},
                                       {.max_norm = 5.0, .mode = BagMode::sum, .padding_idx = 2});
  BOOST_TEST(close_to("table", table.detach(), eg::tensor({{3.0, 4.0}, {0.3, 0.4}, {3.0, 4.0}, {30.0, 40.0}})));
  BOOST_TEST(close_to("output", out.detach(), eg::tensor({{6.3, 8.4}})));
  BOOST_TEST(table.version() == version + 1);
}

BOOST_AUTO_TEST_CASE(what_is_refused_changes_nothing) {
  const Tensor table = eg::full({rows, 3}, 100.0);
  const Tensor before = table.clone();
  const Tensor input = eg::tensor({0, 1, 2, 3, 4, 5, 6, 0});
  const auto bag = [&](const Tensor& indices, const Tensor& offsets, EmbeddingBagOptions options = {}) {
    options.max_norm = 1.0;
    return eg::embedding_bag(indices, table, offsets, options);
  };
  using eg::DTypeError;
  using eg::IndexError;
  using eg::ShapeError;
  using eg::ValueError;
  BOOST_TEST(refuses<IndexError>(
      [&] {
        return bag(eg::tensor({0, 9}), eg::tensor({0}));
      },
      {"embedding_bag: input[1] is 9, but weight has 7 rows"}));
  BOOST_TEST(refuses<IndexError>([&] { return bag(eg::tensor({0, -1}), eg::tensor({0})); }, {"input[1] is -1"}));
  BOOST_TEST(refuses<ValueError>(
      [&] {
        return bag(input, eg::tensor({0, 4, 3, 9}));
      },
      {"embedding_bag: offsets[2] = 3 is less than the one before it (4)"}));
  BOOST_TEST(refuses<ValueError>(
      [&] {
        return bag(input, eg::tensor({0, 3, 4, 9}));
      },
      {"embedding_bag: offsets[3] = 9 is past the end of input (8 indices)"}));
  BOOST_TEST(refuses<ValueError>([&] { return bag(input, eg::tensor({1, 3})); }, {"offsets[0] must be 0, but is 1"}));
  BOOST_TEST(refuses<ValueError>([&] { return bag(input, eg::tensor({-1, 3})); }, {"offsets[0]", "-1"}));
  BOOST_TEST(refuses<ValueError>(
      [&] {
        return bag(input, eg::tensor({0, 3}), {.include_last_offset = true});
      },
      {"the 8 indices", "offsets[1] = 3"}));
  BOOST_TEST(refuses<ValueError>([&] { return bag(input, eg::zeros({0}, {DType::int64, {}})); }, {"no bags"}));
  BOOST_TEST(refuses<ValueError>(
      [&] {
        return bag(input, eg::zeros({0}, {DType::int64, {}}), {.include_last_offset = true});
      },
      {"offsets must have at least one element"}));
  BOOST_TEST(refuses<ValueError>([&] { return bag(input, {}); }, {"offsets must be given"}));
  BOOST_TEST(refuses<ValueError>([&] { return bag(input.reshape({2, 4}), eg::tensor({0})); }, {"2-D"}));
  BOOST_TEST(refuses<ShapeError>([&] { return bag(input.reshape({2, 2, 2}), {}); }, {"1 or 2 dimensions"}));
  BOOST_TEST(refuses<ShapeError>([&] { return bag(input, eg::tensor({{0}})); }, {"offsets"}));
  BOOST_TEST(refuses<DTypeError>([&] { return bag(input, eg::tensor({0.0})); }, {"offsets must be int32 or int64"}));
  BOOST_TEST(refuses<DTypeError>([&] { return bag(eg::ones({2, 2}), {}); }, {"input must be int32 or int64"}));
  BOOST_TEST(
      refuses<IndexError>([&] { return bag(input, eg::tensor({0}), {.padding_idx = rows}); }, {"padding_idx is 7"}));
  BOOST_TEST(refuses<ShapeError>([&] { return bag(input, eg::tensor({0}), {.per_sample_weights = eg::ones({7})}); },
                                 {"per_sample_weights must have input's shape [8], but has [7]"}));
  BOOST_TEST(refuses<DTypeError>(
      [&] {
        return bag(input, eg::tensor({0}), {.per_sample_weights = eg::ones({8}, {DType::float64, {}})});
      },
      {"per_sample_weights is float64, but weight is float32"}));
  BOOST_TEST(refuses<ValueError>([&] { return bag(input, eg::tensor({0}), {.norm_type = no_number}); }, {"norm_type"}));
  for (const double max_norm : {0.0, -1.0, no_number}) {
    BOOST_TEST(refuses<ValueError>(
        [&] { return eg::embedding_bag(input, table, eg::tensor({0}), {.max_norm = max_norm}); }, {"max_norm"}));
  }
  BOOST_TEST(refuses<DTypeError>([&] { return eg::embedding_bag(input, input, eg::tensor({0})); },
                                 {"weight must be floating"}));
  BOOST_TEST(refuses<ShapeError>([&] { return eg::embedding_bag(input, eg::ones({3}), eg::tensor({0})); }, {"weight"}));
  BOOST_TEST(refuses<ValueError>(
      [&] { return eg::embedding_bag(input, table, eg::tensor({0}), {}, {.out = no_number}); }, {"scales"}));
  BOOST_TEST(same_bits("table", table, before));
}

BOOST_AUTO_TEST_CASE(what_backward_needs_must_not_change) {
  const Tensor table = eg::ones({3, 2}).set_requires_grad();
  const Tensor weights = eg::ones({1, 2}).set_requires_grad();
  const auto change = [](const Tensor& tensor) { eg::no_grad([&] { return Tensor(tensor).fill(2); }); };
  const Tensor plain = eg::embedding_bag(eg::tensor({{0, 1}}), table);
  change(table);
  plain.backward(eg::ones({1, 2}));  // the table itself is not needed …
  const Tensor out = eg::embedding_bag(eg::tensor({{0, 1}}), table, {}, {.per_sample_weights = weights});
  change(table);  // … but for the gradient of weights
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        return out.backward(eg::ones({1, 2})), 0;
      },
      {"embedding_bag", "changed in place"}));
}

// A table of which only the pages that hold the rows looked up may be read or written: a pass over the rest would end
// the program.
class GuardedTable {
 public:
  GuardedTable(std::int64_t table_rows, std::int64_t dim, DType dtype, const std::vector<std::int64_t>& used) {
    const std::size_t row_bytes = static_cast<std::size_t>(dim) * eg::item_size(dtype);
    const std::size_t bytes = static_cast<std::size_t>(table_rows) * row_bytes;
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    BOOST_REQUIRE(page % row_bytes == 0);
    void* memory = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    BOOST_REQUIRE(memory != MAP_FAILED);
    for (const std::int64_t row : used) {
      char* at = static_cast<char*>(memory) + static_cast<std::size_t>(row) * row_bytes / page * page;
      BOOST_REQUIRE(mprotect(at, page, PROT_READ | PROT_WRITE) == 0);
    }
    const std::shared_ptr<void> owner(memory, [bytes](void* data) { munmap(data, bytes); });
    table = eg::detail::borrow(memory, dtype, {table_rows, dim}, owner).set_requires_grad();
  }
  Tensor table;
};

// 2^31 elements and more in the second table.
BOOST_AUTO_TEST_CASE(only_rows_that_are_looked_up_are_touched_in_tables_of_any_size) {
  for (const std::int64_t table_rows : {std::int64_t{100'000}, (std::int64_t{1} << 27) + 4096}) {
    for (const DType dtype : {DType::float32, DType::bfloat16}) {
      const std::vector<std::int64_t> used = {3, table_rows / 2, table_rows - 1};
      const Tensor input = eg::tensor({used[2], used[0], used[2], used[1]}, {DType::int64, {}});
      for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
        const GuardedTable guarded(table_rows, 16, dtype, used);
        const Tensor& table = guarded.table;
        const Tensor out =
            eg::embedding_bag(input, table, eg::tensor({0, 2}),
                              {.max_norm = 1.0, .scale_grad_by_freq = true, .mode = mode, .sparse = true});
        out.backward(eg::ones({2, 16}));
        eg::embedding(input, table, {.padding_idx = 5, .sparse = true}).backward(eg::ones({4, 16}));
        const eg::RowSparse& grad = table.grad().rows();
        BOOST_TEST(grad.indices().to_vector<std::int64_t>() == used, boost::test_tools::per_element());
        BOOST_TEST(eg::detail::frozen_rows(table).empty());
        eg::launch(
            table.device(),
            eg::OptimizerStep{.rule = eg::step_rule<eg::rules::Sgd<false, false, eg::rules::Decay::none>>,
                              .numbers =
                                  eg::rules::SgdCoefficients<double>{
                                      .lr = 1, .momentum = 0, .fresh = 1, .weight_decay = 0, .keep = 1, .sign = 1},
                              .param = eg::detail::view(table),
                              .grad = eg::detail::view(grad.values()),
                              .slots = {},
                              .rows = {.rows = grad.indices().data<std::int64_t>(), .count = 3, .dim = 16}});
        const Tensor moved = eg::no_grad([&] { return eg::embedding(eg::tensor(used), table); });
        BOOST_TEST(equal_to("moved", moved, -grad.values().to(dtype).to(DType::float32)));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_the_documentation_prints) {
  const Tensor matrix = eg::arange(0, 30, 1, {DType::float32, {}}).reshape({10, 3});
  const Tensor input = eg::tensor({1, 2, 4, 5, 4, 3, 2, 9});
  const Tensor offsets = eg::tensor({0, 4});
  BOOST_TEST(
      close_to("mean", eg::embedding_bag(input, matrix, offsets), eg::tensor({{9.0, 10.0, 11.0}, {13.5, 14.5, 15.5}})));
  const Tensor padded = eg::tensor({2, 2, 2, 2, 4, 3, 2, 9});
  BOOST_TEST(close_to("sum", eg::embedding_bag(padded, matrix, offsets, {.mode = BagMode::sum, .padding_idx = 2}),
                      eg::tensor({{0.0, 0.0, 0.0}, {48.0, 51.0, 54.0}})));
}

BOOST_AUTO_TEST_SUITE_END()
