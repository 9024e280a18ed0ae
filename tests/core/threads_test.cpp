// Results don't depend on the number of threads.
#include <embergrad/device.hpp>

#include <fmt/format.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "kernels/update.hpp"
#include "src/tensor_state.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

// Puts the setting back.
class Threads {
 public:
  Threads() = default;
  ~Threads() { eg::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  Threads(Threads&&) = delete;
  Threads& operator=(Threads&&) = delete;

 private:
  int before_ = eg::num_threads();
};

// Runs `body`, which gives tensors, on 1, 2 and 4 threads: the same bits each time.
template <class Body>
void same_on_any_number(const Body& body) {
  const Threads restore;
  eg::set_num_threads(1);
  const std::vector<Tensor> expected = body();
  for (const int threads : {2, 4, 3}) {
    eg::set_num_threads(threads);
    const std::vector<Tensor> got = body();
    BOOST_TEST_REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      BOOST_TEST(same_bits(fmt::format("result {} on {} threads", i, threads), got[i], expected[i]));
    }
  }
}

Tensor zeroed(Tensor leaf) {
  leaf.zero_grad();
  return leaf;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(setting) {
  const Threads restore;
  eg::set_num_threads(3);
  BOOST_TEST((eg::num_threads() == 3 || eg::num_threads() == 1));  // 1: a build without threads
  const int before = eg::num_threads();
  for (const int wrong : {0, -2}) {
    BOOST_TEST(refuses<eg::ValueError>(
        [&] {
          eg::set_num_threads(wrong);
          return 0;
        },
        {"set_num_threads", "at least 1", std::to_string(wrong)}));
  }
  BOOST_TEST(eg::num_threads() == before);
}

BOOST_AUTO_TEST_CASE(matmul) {
  for_computing_types([](DType dtype) {
    Draw draw(1);
    const Tensor tall = draw.uniform({700, 130}, dtype);
    const Tensor wide = draw.uniform({130, 300}, dtype);
    const Tensor few = draw.uniform({40, 130}, dtype);
    const Tensor widest = draw.uniform({130, 1500}, dtype);
    const Tensor batched = draw.uniform({5, 60, 130}, dtype);
    same_on_any_number([&] {
      return std::vector<Tensor>{eg::matmul(tall, wide), eg::matmul(few, widest), eg::matmul(batched, wide),
                                 eg::linear(tall, few), eg::linear(few, tall)};
    });
  });
}

BOOST_AUTO_TEST_CASE(matmul_backward) {
  for_computing_types([](DType dtype) {
    Draw draw(2);
    const Tensor a = leaf(draw, {700, 130}, dtype);
    const Tensor b = leaf(draw, {130, 300}, dtype);
    const Tensor weight = draw.uniform({700, 300}, dtype);
    same_on_any_number([&] {
      zeroed(a);
      zeroed(b);
      eg::matmul(a, b).backward(weight);
      return std::vector<Tensor>{grad_of(a), grad_of(b)};
    });
  });
}

BOOST_AUTO_TEST_CASE(embedding) {
  for_computing_types([](DType dtype) {
    Draw draw(3);
    const Tensor table = leaf(draw, {3000, 48}, dtype);
    const Tensor index = draw.integers({100, 150}, 0, 2000);
    const Tensor often = draw.integers({9000}, 0, 3);
    const Tensor weight = draw.uniform({100, 150, 48}, dtype);
    const Tensor weight_often = draw.uniform({9000, 48}, dtype);
    same_on_any_number([&] {
      zeroed(table);
      const Tensor found = eg::embedding(index, table);
      found.backward(weight);
      eg::embedding(often, table).backward(weight_often);
      return std::vector<Tensor>{found.detach(), grad_of(table)};
    });
  });
}

BOOST_AUTO_TEST_CASE(lstm) {
  for_computing_types([](DType dtype) {
    Draw draw(4);
    constexpr std::int64_t input = 40, hidden = 64;
    std::vector<Tensor> leaves;
    for (int d = 0; d < 2; ++d) {
      for (const Shape& shape :
           {Shape{4 * hidden, input}, Shape{4 * hidden, hidden}, Shape{4 * hidden}, Shape{4 * hidden}}) {
        leaves.push_back(leaf(draw, shape, dtype, -0.2, 0.2));
      }
    }
    const std::vector<Tensor> parameters = leaves;
    const Tensor x = leaf(draw, {20, 70, input}, dtype);
    leaves.push_back(x);
    std::vector<std::int64_t> lengths;
    for (int b = 0; b < 70; ++b) lengths.push_back(draw.integer(0, 20));
    const Tensor weights[2] = {draw.uniform({20, 70, hidden}, dtype), draw.uniform({20, 70, 2 * hidden}, dtype)};
    same_on_any_number([&] {
      for (const Tensor& each : leaves) zeroed(each);
      const std::span<const Tensor> one(parameters.data(), 4);
      eg::lstm(x, {}, one, {}, lengths).output.backward(weights[0]);
      const eg::LstmResult result = eg::lstm(x, {}, parameters, {.bidirectional = true}, lengths);
      result.output.backward(weights[1]);
      std::vector<Tensor> all{result.output.detach(), result.h_n.detach(), result.c_n.detach()};
      for (const Tensor& each : leaves) all.push_back(grad_of(each));
      return all;
    });
  });
}

BOOST_AUTO_TEST_CASE(softmax_and_losses) {
  for_computing_types([](DType dtype) {
    Draw draw(5);
    const Tensor x = leaf(draw, {900, 130}, dtype);
    const Tensor weight = draw.uniform({900, 130}, dtype);
    const Tensor target = draw.integers({900}, 0, 129);
    const Tensor spread_target = draw.integers({90, 10}, 0, 129);
    same_on_any_number([&] {
      zeroed(x);
      const Tensor along = eg::softmax(x, 1);
      const Tensor across = eg::log_softmax(x, 0);
      const Tensor loss = eg::cross_entropy(x, target, {.label_smoothing = 0.1});
      const Tensor spread = eg::cross_entropy(x.reshape({90, 130, 10}), spread_target);
      const Tensor nll = eg::nll_loss(across, target);
      (eg::sum(along * weight) + eg::sum(across * weight) + loss + spread + nll).backward();
      return std::vector<Tensor>{along.detach(),  across.detach(), loss.detach(),
                                 spread.detach(), nll.detach(),    grad_of(x)};
    });
  });
}

BOOST_AUTO_TEST_CASE(elementwise_and_reductions) {
  for_computing_types([](DType dtype) {
    Draw draw(6);
    const Tensor x = draw.uniform({1000, 300}, dtype);
    const Tensor row = draw.uniform({300}, dtype);
    same_on_any_number([&] {
      return std::vector<Tensor>{
          eg::sum(x), eg::sum(x, {0}), eg::sum(x, {1}), eg::mean(x),      eg::argmax(x),
          x * row,    eg::tanh(x),     eg::exp(x) + x,  eg::argmax(x, 0), eg::transpose(x, 0, 1)};
    });
  });
}

BOOST_AUTO_TEST_CASE(random_numbers) {
  for_computing_types([](DType dtype) {
    const Tensor x = eg::ones({100003}, {dtype, {}});
    same_on_any_number([&] {
      eg::Generator generator(7);
      return std::vector<Tensor>{eg::rand({100003}, {dtype, {}}, generator),
                                 eg::randn({100003}, {dtype, {}}, generator),
                                 eg::dropout(x, {.p = 0.3, .generator = &generator})};
    });
  });
}

BOOST_AUTO_TEST_CASE(optimizer_step) {
  for_computing_types([](DType dtype) {
    Draw draw(8);
    const Tensor start = draw.uniform({100003}, dtype);
    const Tensor grad = draw.uniform({100003}, dtype);
    same_on_any_number([&] {
      Tensor w = start.clone(), m = eg::zeros_like(start), v = eg::zeros_like(start);
      eg::launch(w.device(), eg::OptimizerStep{.rule = eg::step_rule<eg::rules::Adam<eg::rules::Decay::none, false>>,
                                               .numbers = eg::rules::AdamCoefficients<double>{.step_size = 1e-3,
                                                                                              .fresh1 = 0.1,
                                                                                              .beta2 = 0.999,
                                                                                              .fresh2 = 0.001,
                                                                                              .root_correction2 = 0.03,
                                                                                              .eps = 1e-8,
                                                                                              .weight_decay = 0,
                                                                                              .keep = 1,
                                                                                              .sign = 1},
                                               .param = eg::detail::view(w),
                                               .grad = eg::detail::view(grad),
                                               .slots = {eg::detail::view(m), eg::detail::view(v)}});
      double squares = 0;
      eg::launch(w.device(), eg::NormTerms{.in = eg::detail::view(grad), .p = 2, .result = &squares});
      return std::vector<Tensor>{w, m, v, eg::tensor(std::vector<double>{squares})};
    });
  });
}

// Threads of the caller's own, each with ops that use several.
BOOST_AUTO_TEST_CASE(ops_called_from_several_threads) {
  const Threads restore;
  eg::set_num_threads(2);
  Draw draw(9);
  const Tensor a = draw.uniform({400, 130});
  const Tensor b = draw.uniform({130, 300});
  const Tensor expected = eg::matmul(a, b);
  const Tensor expected_sum = eg::sum(expected);
  std::array<Tensor, 4> products, sums;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < products.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round) {
        products[i] = eg::matmul(a, b);
        sums[i] = eg::sum(products[i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < products.size(); ++i) {
    BOOST_TEST(same_bits("product", products[i], expected));
    BOOST_TEST(same_bits("sum", sums[i], expected_sum));
  }
}

BOOST_AUTO_TEST_SUITE_END()
