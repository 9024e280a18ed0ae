#include <sys/time.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "ops/gemm.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

// torch.matmul by its definition, in double: each element of the result by a loop over k.
Tensor by_loops(const Tensor& input, const Tensor& other, DType dtype) {
  const Shape a = input.dim() == 1 ? Shape{1, input.size(0)} : input.shape();
  const Shape b = other.dim() == 1 ? Shape{other.size(0), 1} : other.shape();
  const std::vector<double> x = input.to_vector<double>(), y = other.to_vector<double>();
  const std::int64_t n = a[a.rank() - 2], k = a.back(), m = b.back();
  const int batch_rank = std::max(a.rank(), b.rank()) - 2;
  Shape batch;
  for (int d = 0; d < batch_rank; ++d) {
    const int in_a = d - (batch_rank - (a.rank() - 2)), in_b = d - (batch_rank - (b.rank() - 2));
    const std::int64_t p = in_a < 0 ? 1 : a[in_a], q = in_b < 0 ? 1 : b[in_b];
    batch.push_back(p == 1 ? q : p);
  }
  // Which matrix of an operand belongs to place i of the batch.
  const auto matrix = [&](const Shape& own, std::int64_t i) {
    std::int64_t at = 0, stride = 1;
    for (int d = batch_rank - 1, e = own.rank() - 3; d >= 0; --d, --e) {
      const std::int64_t position = i % batch[d];
      i /= batch[d];
      if (e < 0) continue;
      if (own[e] != 1) at += position * stride;
      stride *= own[e];
    }
    return at;
  };
  std::vector<double> values;
  for (std::int64_t i = 0; i < batch.numel(); ++i) {
    const double* left = x.data() + matrix(a, i) * n * k;
    const double* right = y.data() + matrix(b, i) * k * m;
    for (std::int64_t r = 0; r < n; ++r) {
      for (std::int64_t c = 0; c < m; ++c) {
        double total = 0;
        for (std::int64_t p = 0; p < k; ++p) total += left[r * k + p] * right[p * m + c];
        values.push_back(total);
      }
    }
  }
  Shape shape = batch;
  if (input.dim() > 1) shape.push_back(n);
  if (other.dim() > 1) shape.push_back(m);
  return eg::tensor(values, shape).to(dtype);
}

const std::vector<std::pair<Shape, Shape>>& shapes() {
  static const std::vector<std::pair<Shape, Shape>> all = {// ranks 1 and 2
                                                           {{3}, {3}},
                                                           {{1}, {1}},
                                                           {{3}, {3, 4}},
                                                           {{2, 3}, {3}},
                                                           {{2, 3}, {3, 4}},
                                                           {{1, 3}, {3, 1}},
                                                           {{33, 31}, {31, 32}},
                                                           {{1, 40}, {40, 33}},
                                                           // batches: on one side, on both, broadcast
                                                           {{3}, {2, 3, 4}},
                                                           {{2, 4, 3}, {3}},
                                                           {{2, 3}, {5, 3, 4}},
                                                           {{5, 2, 3}, {3, 4}},
                                                           {{5, 2, 3}, {5, 3, 4}},
                                                           {{1, 2, 3}, {5, 3, 4}},
                                                           {{5, 2, 3}, {1, 3, 4}},
                                                           {{2, 5, 2, 3}, {3, 4}},
                                                           {{2, 5, 2, 3}, {5, 3, 4}},
                                                           {{2, 1, 2, 3}, {5, 3, 4}},
                                                           {{2, 1, 2, 3}, {1, 5, 3, 2}},
                                                           {{3}, {2, 2, 3, 4}},
                                                           {{2, 2, 4, 3}, {3}},
                                                           // nothing
                                                           {{0}, {0}},
                                                           {{2, 0}, {0, 3}},
                                                           {{0, 2}, {2, 3}},
                                                           {{2, 3}, {3, 0}},
                                                           {{0, 2, 3}, {3, 4}},
                                                           {{2, 2, 0}, {2, 0, 3}},
                                                           {{0, 2, 3}, {1, 3, 2}},
                                                           {{2, 0}, {0}},
                                                           {{0}, {0, 2}},
                                                           {{5, 1, 2, 3}, {0, 3, 2}}};
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(matmul)

BOOST_AUTO_TEST_CASE(values_of_all_ranks) {
  for_computing_types([](DType dtype) {
    Draw draw(51);
    for (const auto& [a, b] : shapes()) {
      BOOST_TEST_CONTEXT(a.to_string() << " by " << b.to_string() << ", seed 51") {
        const Tensor x = draw.uniform(a, dtype), y = draw.uniform(b, dtype);
        BOOST_TEST(close_to("matmul", eg::matmul(x, y), by_loops(x, y, dtype)));
      }
    }
  });
}

// Large enough for the matrix library, and to be cut into pieces along either side.
BOOST_AUTO_TEST_CASE(values_of_large_products) {
  Draw draw(52);
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{64, 65}, {65, 66}},
                                                                 {{500, 130}, {130, 90}},
                                                                 {{90, 130}, {130, 500}},
                                                                 {{385, 110}, {110, 193}},
                                                                 {{1, 300}, {300, 700}},
                                                                 {{700, 300}, {300}},
                                                                 {{300}, {300, 700}},
                                                                 {{3, 60, 70}, {70, 50}},
                                                                 {{3, 60, 70}, {3, 70, 50}}}) {
    BOOST_TEST_CONTEXT(a.to_string() << " by " << b.to_string() << ", seed 52") {
      const Tensor x = draw.uniform(a), y = draw.uniform(b);
      BOOST_TEST(close_to("float32", eg::matmul(x, y), by_loops(x, y, DType::float32), {2e-5, 1e-4}));
      BOOST_TEST(
          close_to("float64", eg::matmul(x.to(DType::float64), y.to(DType::float64)), by_loops(x, y, DType::float64)));
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_all_ranks) {
  Draw draw(53);
  for (const auto& [a, b] : shapes()) {
    BOOST_TEST_CONTEXT(a.to_string() << " by " << b.to_string() << ", seed 53") {
      const Tensor x = leaf(draw, a), y = leaf(draw, b);
      eg::GradcheckOptions options;
      options.full_limit = 200;
      BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::matmul(in[0], in[1]); }, {x, y}, options));
      const Tensor out = eg::matmul(x, y);
      out.backward(eg::ones(out.shape(), out.options()));
      BOOST_TEST_REQUIRE(grad_of(x).defined());
      BOOST_TEST_REQUIRE(grad_of(y).defined());
      BOOST_TEST((grad_of(x).shape() == a));
      BOOST_TEST((grad_of(y).shape() == b));
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_one_operand_and_of_a_matrix_with_itself) {
  Draw draw(54);
  const Tensor x = leaf(draw, {3, 3}), data = draw.uniform({2, 3, 3}, DType::float64);
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::matmul(in[0], in[0]); }, {x}));
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::matmul(in[0], data); }, {x}));
  BOOST_TEST(gradients_agree([&](const Inputs& in) { return eg::matmul(data, in[0]); }, {x}));
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::matmul(in[0], in[0]); }, {leaf(draw, {4})}));
  BOOST_TEST(!data.grad().defined());
}

BOOST_AUTO_TEST_CASE(float32_gradients_of_large_products) {
  Draw draw(55);
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{70, 65}, {65, 66}},
                                                                 {{400, 100}, {100, 120}},
                                                                 {{100, 400}, {400, 110}},
                                                                 {{110, 100}, {100, 400}},
                                                                 {{4, 40, 30}, {30, 50}},
                                                                 {{4, 40, 30}, {1, 30, 50}}}) {
    BOOST_TEST_CONTEXT(a.to_string() << " by " << b.to_string() << ", seed 55") {
      const Tensor x = leaf(draw, a, DType::float32), y = leaf(draw, b, DType::float32);
      const Tensor wide_x = x.detach().to(DType::float64).set_requires_grad(),
                   wide_y = y.detach().to(DType::float64).set_requires_grad();
      const Tensor out = eg::matmul(x, y);
      const Tensor weights = draw.uniform(out.shape());
      out.backward(weights);
      eg::matmul(wide_x, wide_y).backward(weights.to(DType::float64));
      BOOST_TEST(close_to("d input", grad_of(x), grad_of(wide_x).to(DType::float32), {2e-5, 2e-4}));
      BOOST_TEST(close_to("d other", grad_of(y), grad_of(wide_y).to(DType::float32), {2e-5, 2e-4}));
    }
  }
}

// A stored-transposed operand whose rows lie a multiple of 4 KiB apart is read another way.
BOOST_AUTO_TEST_CASE(gradients_of_products_with_aliased_rows) {
  Draw draw(56);
  for (const auto& [rows, in, out] :
       std::vector<std::array<std::int64_t, 3>>{{70, 90, 1024}, {64, 33, 2048}, {3000, 2, 1024}, {64, 1024, 1024}}) {
    BOOST_TEST_CONTEXT(rows << " rows, " << in << " to " << out << ", seed 56") {
      const Tensor x = draw.uniform({rows, in}), grad = draw.uniform({rows, out});
      const Tensor weight = leaf(draw, {out, in}, DType::float32), wide = leaf(draw, {out, in});
      eg::linear(x, weight).backward(grad);
      eg::linear(x.to(DType::float64), wide).backward(grad.to(DType::float64));
      BOOST_TEST(close_to("d weight", grad_of(weight), grad_of(wide).to(DType::float32), {2e-5, 2e-4}));
      // onto what is there
      Tensor sum = draw.uniform({out, in});
      const Tensor before = sum.clone();
      eg::gemm(grad, true, x, false, sum, {out, in, rows}, {.beta = 1});
      BOOST_TEST(close_to("sum", sum, before + grad_of(wide).to(DType::float32), {2e-5, 2e-4}));
      sum.copy_from(before);
      eg::gemm(grad, true, x, false, sum, {out, in, rows}, {.alpha = -0.5, .beta = 2});
      BOOST_TEST(close_to("scaled sum", sum, before * 2 - grad_of(wide).to(DType::float32) / 2, {2e-5, 2e-4}));
    }
  }
}

// A handler that runs on the thread's stack in the middle of a product must not change it.
BOOST_AUTO_TEST_CASE(signals_do_not_disturb_products) {
  static volatile std::sig_atomic_t signals = 0;
  signals = 0;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { signals = signals + 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, &before);
  Draw draw(57);
  const Tensor x = draw.uniform({24, 500}), y = draw.uniform({500, 96});
  const Tensor expected = eg::matmul(x, y);
  const itimerval often{{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &often, nullptr);
  bool same = true;
  for (int round = 0; same && (round < 3000 || (signals < 100 && round < 100000)); ++round) {
    same = same_bits("product", eg::matmul(x, y), expected);
  }
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  BOOST_TEST(same);
  BOOST_TEST(signals > 0);
}

BOOST_AUTO_TEST_CASE(views_and_special_numbers) {
  for_computing_types([](DType dtype) {
    Draw draw(56);
    const Tensor whole = draw.uniform({7, 3, 3}, dtype);
    const Tensor view = eg::narrow(whole, 0, 2, 4);
    BOOST_TEST(same_bits("view", eg::matmul(view, view), eg::matmul(view.clone(), view.clone())));
    // A zero times an infinity is not lost.
    const double inf = std::numeric_limits<double>::infinity();
    const Tensor a = eg::tensor({{0.0, 1.0}, {1.0, 1.0}}).to(dtype), b = eg::tensor({{inf, 1.0}, {1.0, 1.0}}).to(dtype);
    BOOST_TEST(std::isnan(eg::matmul(a, b).at({0, 0})));
    BOOST_TEST(eg::matmul(a, b).at({1, 0}) == inf);
    // What an uninitialised result may hold does not shine through.
    for (int i = 0; i < 3; ++i) {
      { const Tensor poison = eg::full({40, 40}, std::numeric_limits<double>::quiet_NaN(), {dtype, {}}); }
      BOOST_TEST(equal_to("fresh", eg::matmul(eg::ones({40, 40}, {dtype, {}}), eg::ones({40, 40}, {dtype, {}})),
                          eg::full({40, 40}, 40, {dtype, {}})));
    }
  });
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor a = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::matmul(a, a); }, {"matmul:", "[2, 3]", "second to last"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::matmul(a, eg::zeros({2})); }, {"matmul:", "[2, 3]", "[2]"}));
  BOOST_TEST(
      refuses<eg::ShapeError>([&] { return eg::matmul(eg::zeros({2}), eg::zeros({3})); }, {"matmul:", "[2]", "[3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::matmul(eg::tensor(1.0), a); }, {"matmul:", "[]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::matmul(a, eg::tensor(1.0)); }, {"matmul:", "[]"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::matmul(eg::zeros({2, 4, 3}), eg::zeros({5, 3, 2}));
      },
      {"matmul:", "[2]", "[5]"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        return eg::matmul(a, eg::zeros({3, 2}, {DType::float64, {}}));
      },
      {"matmul:", "float64", "float32"}));
  BOOST_TEST(
      refuses<eg::DTypeError>([&] { return eg::matmul(eg::arange(3), eg::arange(3)); }, {"matmul:", "input", "int64"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        return eg::matmul(a, eg::zeros({3, 2}, {DType::bfloat16, {}}));
      },
      {"matmul:", "other", "bfloat16"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::matmul(a, Tensor()); }, {"matmul:", "other", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::matmul(Tensor(), a); }, {"matmul:", "input", "undefined"}));
}

BOOST_AUTO_TEST_SUITE_END()
