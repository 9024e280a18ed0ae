#include <string>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

// The definition: y[…, o] = sum over i of x[…, i] w[o, i], + b[o].
Tensor by_loops(const Tensor& input, const Tensor& weight, const Tensor& bias, DType dtype) {
  const std::int64_t in = weight.shape().back(), out = weight.dim() == 1 ? 1 : weight.size(0);
  const Shape lead = input.shape().slice(0, input.dim() - 1);
  const std::vector<double> x = input.to_vector<double>(), w = weight.to_vector<double>();
  const std::vector<double> b =
      bias.defined() ? bias.to_vector<double>() : std::vector<double>(static_cast<std::size_t>(out), 0.0);
  std::vector<double> values;
  for (std::int64_t r = 0; r < lead.numel(); ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      double total = b[b.size() == 1 ? 0 : static_cast<std::size_t>(o)];
      for (std::int64_t i = 0; i < in; ++i)
        total += x[static_cast<std::size_t>(r * in + i)] * w[static_cast<std::size_t>(o * in + i)];
      values.push_back(total);
    }
  }
  return eg::tensor(values, weight.dim() == 1 ? lead : lead + out).to(dtype);
}

struct Case {
  Shape input, weight;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{3}, {2, 3}},        {{1, 3}, {2, 3}}, {{4, 3}, {2, 3}},    {{2, 4, 3}, {5, 3}}, {{2, 1, 2, 3}, {1, 3}},
      {{33, 31}, {32, 31}}, {{0, 3}, {2, 3}}, {{2, 0, 3}, {2, 3}}, {{4, 0}, {2, 0}},    {{4, 3}, {0, 3}},
      {{5, 1}, {1, 1}},     {{3}, {3}},       {{2, 3}, {3}},       {{2, 4, 3}, {3}}};
  return all;
}

Shape bias_shape(const Shape& weight) { return weight.rank() == 1 ? Shape{} : Shape{weight[0]}; }

}  // namespace

BOOST_AUTO_TEST_SUITE(linear)

BOOST_AUTO_TEST_CASE(values) {
  for_computing_types([](DType dtype) {
    Draw draw(61);
    std::vector<Case> all = cases();
    // Products for the library, cut into pieces of rows and of columns.
    all.push_back({{300, 128}, {130, 128}});
    all.push_back({{100, 128}, {400, 128}});
    for (const auto& [input, weight] : all) {
      BOOST_TEST_CONTEXT("input " << input.to_string() << ", weight " << weight.to_string() << ", seed 61") {
        const Tensor x = draw.uniform(input, dtype), w = draw.uniform(weight, dtype),
                     b = draw.uniform(bias_shape(weight), dtype);
        BOOST_TEST(close_to("without bias", eg::linear(x, w), by_loops(x, w, {}, dtype)));
        BOOST_TEST(close_to("with bias", eg::linear(x, w, b), by_loops(x, w, b, dtype)));
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(rarer_shapes_of_bias_broadcast) {
  Draw draw(62);
  const Tensor x = draw.uniform({4, 3}, DType::float64), w = draw.uniform({2, 3}, DType::float64);
  const Tensor plain = eg::linear(x, w);
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 2}, Shape{4, 2}, Shape{4, 1}}) {
    const Tensor b = draw.uniform(shape, DType::float64);
    BOOST_TEST(close_to(shape.to_string(), eg::linear(x, w, b), plain + b));
    BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::linear(in[0], in[1], in[2]); },
                               {leaf(draw, {4, 3}), leaf(draw, {2, 3}), leaf(draw, shape)}));
  }
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::linear(x, w, eg::zeros({3}, x.options())); },
                                     {"linear", "[3]", "[4, 2]"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::linear(x, w, eg::zeros({5, 4, 2}, x.options()));
      },
      {"linear", "[5, 4, 2]", "[4, 2]"}));
}

BOOST_AUTO_TEST_CASE(gradients) {
  Draw draw(63);
  for (const auto& [input, weight] : cases()) {
    BOOST_TEST_CONTEXT("input " << input.to_string() << ", weight " << weight.to_string() << ", seed 63") {
      const Tensor x = leaf(draw, input), w = leaf(draw, weight), b = leaf(draw, bias_shape(weight));
      eg::GradcheckOptions options;
      options.full_limit = 200;
      BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::linear(in[0], in[1]); }, {x, w}, options));
      BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::linear(in[0], in[1], in[2]); }, {x, w, b}, options));
      const Tensor out = eg::linear(x, w, b);
      out.backward(eg::ones(out.shape(), out.options()));
      for (const Tensor& each : {x, w, b}) {
        BOOST_TEST_REQUIRE(grad_of(each).defined());
        BOOST_TEST((grad_of(each).shape() == each.shape()));
      }
    }
  }
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::linear(in[0], in[0]); }, {leaf(draw, {3, 3})}));
  BOOST_TEST(gradients_agree([](const Inputs& in) { return eg::linear(in[0], in[1], in[2]); },
                             {leaf(draw, {70, 66}), leaf(draw, {80, 66}), leaf(draw, {80})}));
}

BOOST_AUTO_TEST_CASE(gradients_only_where_asked) {
  Draw draw(64);
  for (unsigned mask = 1; mask < 8; ++mask) {
    std::vector<Tensor> in = {draw.uniform({4, 3}, DType::float64), draw.uniform({2, 3}, DType::float64),
                              draw.uniform({2}, DType::float64)};
    Inputs wanted;
    for (unsigned i = 0; i < 3; ++i) {
      if ((mask >> i & 1U) == 0) continue;
      in[i].set_requires_grad();
      wanted.push_back(in[i]);
    }
    BOOST_TEST_CONTEXT("wanted: " << mask) {
      BOOST_TEST(gradients_agree([&](const Inputs&) { return eg::linear(in[0], in[1], in[2]); }, wanted));
      eg::sum(eg::linear(in[0], in[1], in[2])).backward();
      for (const Tensor& each : in) BOOST_TEST(each.grad().defined() == each.requires_grad());
    }
    // What no wanted gradient needs may change before backward.
    if (mask == 4) {
      const Tensor out = eg::linear(in[0], in[1], in[2]);
      in[0].fill(0);
      in[1].fill(0);
      BOOST_CHECK_NO_THROW(eg::sum(out).backward());
    }
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = eg::zeros({4, 3}), w = eg::zeros({2, 3});
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::linear(eg::zeros({4, 2}), w);
      },
      {"linear:", "[4, 2]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::linear(eg::tensor(1.0), w); }, {"linear:", "[]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        return eg::linear(x, eg::zeros({2, 2, 3}));
      },
      {"linear:", "weight", "[2, 2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::linear(x, eg::tensor(1.0)); }, {"linear:", "weight", "[]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::linear(x, w, eg::zeros({3})); }, {"linear", "[3]"}));
  BOOST_TEST(
      refuses<eg::DTypeError>([&] { return eg::linear(x, w.to(DType::float64)); }, {"linear:", "weight", "float64"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        return eg::linear(x, w, eg::zeros({2}, {DType::float64, {}}));
      },
      {"linear:", "bias", "float64"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        return eg::linear(eg::zeros({4, 3}, {DType::int64, {}}), w);
      },
      {"linear:", "input", "int64"}));
  BOOST_TEST(
      refuses<eg::DTypeError>([&] { return eg::linear(x, w.to(DType::bfloat16)); }, {"linear:", "weight", "bfloat16"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::linear(Tensor(), w); }, {"linear:", "input", "undefined"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::linear(x, Tensor()); }, {"linear:", "weight", "undefined"}));
}

BOOST_AUTO_TEST_SUITE_END()
