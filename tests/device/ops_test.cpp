// Ops: CPU and CUDA give the same.
#include <boost/test/unit_test.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/tensor.hpp>

#include "device/on_gpu.hpp"
#include "support/check.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
using eg::Device;
using eg::DType;
using eg::Tensor;
using eg::test::Draw;
using eg::test::gpu;
using eg::test::refuses;

namespace {

constexpr std::int64_t large = eg::test::emulated ? 5001 : 70001;

// A function of tensors on either device; bits where the arithmetic is + - * / sqrt, else close.
template <class Function>
void same_on_both(const char* name, const Function& function, const Tensor& a, const Tensor& b, bool bits = true) {
  const Tensor expected = function(a, b);
  const Tensor got = function(a.to(gpu), b.to(gpu));
  BOOST_TEST((got.device() == gpu), name);
  const Tensor here = got.to(Device::cpu());
  if (bits) {
    BOOST_TEST(eg::test::same_bits(name, here, expected));
  } else {
    BOOST_TEST(eg::test::close_to(name, here, expected));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ops, *boost::unit_test::precondition(eg::test::gpu_is_here))

BOOST_AUTO_TEST_CASE(there_and_back) {
  BOOST_REQUIRE(eg::cuda_is_available());
  Draw draw(1);
  for (const DType dtype :
       {DType::float32, DType::float64, DType::float16, DType::bfloat16, DType::int32, DType::int64}) {
    for (const std::int64_t n : {0, 1, 33, 1000}) {
      const Tensor here = draw.uniform({n, 3}, DType::float64, -100, 100).to(dtype);
      const Tensor there = here.to(gpu);
      BOOST_TEST(eg::test::same_bits(name_of(dtype), there.to(Device::cpu()), here));
      BOOST_TEST(eg::test::same_bits(name_of(dtype), there.clone().to(Device::cpu()), here));
      for (const DType other : {DType::float32, DType::float64, DType::int64, DType::bfloat16}) {
        BOOST_TEST(eg::test::same_bits(name_of(other), there.to(other).to(Device::cpu()), here.to(other)));
      }
    }
  }
  const Tensor filled = eg::full({5, 7}, 2.5, {DType::float32, gpu});
  BOOST_TEST(filled.at({4, 6}) == 2.5F);
  BOOST_TEST(refuses<eg::DeviceError>([&] { return filled.data<float>(); }, {"data", "cuda:0"}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return filled + eg::ones({7}); }, {"add", "cuda:0", "cpu"}));
  std::ostringstream text;
  text << filled;
  BOOST_TEST(text.str().find("cuda:0") != std::string::npos);
  const eg::test::TemporaryDirectory directory;
  eg::StateDict tensors;
  tensors.set("filled", filled);
  eg::save(directory / "filled.safetensors", tensors);
  const Tensor loaded = eg::load(directory / "filled.safetensors").tensors.at("filled");
  BOOST_TEST(eg::test::same_bits("saved", loaded, filled.to(Device::cpu())));
}

BOOST_AUTO_TEST_CASE(elementwise) {
  Draw draw(2);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t n : {std::int64_t{1}, std::int64_t{33}, std::int64_t{1025}, large}) {
      const Tensor a = draw.uniform({n}, dtype, -3, 3);
      const Tensor b = draw.uniform({n}, dtype, 1, 2);
      same_on_both(
          "add", [](const Tensor& x, const Tensor& y) { return x + y; }, a, b);
      same_on_both(
          "sub", [](const Tensor& x, const Tensor& y) { return x - y; }, a, b);
      same_on_both(
          "mul", [](const Tensor& x, const Tensor& y) { return x * y; }, a, b);
      same_on_both(
          "div", [](const Tensor& x, const Tensor& y) { return x / y; }, a, b);
      same_on_both(
          "by numbers", [](const Tensor& x, const Tensor&) { return 2.0 - x * 3.5; }, a, b);
      same_on_both(
          "sliced",
          [n](const Tensor& x, const Tensor& y) { return eg::narrow(x, 0, 1, n - 1) + eg::narrow(y, 0, 0, n - 1); }, a,
          b);
      same_on_both(
          "relu", [](const Tensor& x, const Tensor&) { return eg::relu(x); }, a, b);
      // float32's are our own polynomials
      same_on_both(
          "exp", [](const Tensor& x, const Tensor&) { return eg::exp(x); }, a, b, dtype == DType::float32);
      same_on_both(
          "tanh", [](const Tensor& x, const Tensor&) { return eg::tanh(x); }, a, b, dtype == DType::float32);
      same_on_both(
          "sigmoid", [](const Tensor& x, const Tensor&) { return eg::sigmoid(x); }, a, b, dtype == DType::float32);
      same_on_both(
          "log", [](const Tensor&, const Tensor& y) { return eg::log(y); }, a, b, false);
      same_on_both(
          "sum", [](const Tensor& x, const Tensor&) { return x.sum(); }, a, b);
    }
    const Tensor a = draw.uniform({40, 1, 33}, dtype);
    const Tensor b = draw.uniform({5, 33}, dtype);
    same_on_both(
        "broadcast", [](const Tensor& x, const Tensor& y) { return x * y; }, a, b);
    same_on_both(
        "transpose", [](const Tensor& x, const Tensor&) { return x.transpose(0, 2); }, a, b);
    same_on_both(
        "sum of columns", [](const Tensor& x, const Tensor&) { return eg::sum(x, {0}); }, a, b);
  }
}

BOOST_AUTO_TEST_CASE(gather) {
  Draw draw(3);
  for (const std::int64_t dim : {1, 3, 32, 300}) {
    const Tensor table = draw.uniform({50, dim});
    const Tensor index = draw.integers({7, 9}, 0, 49);
    const auto look_up = [](const Tensor& t, const Tensor& i) { return eg::embedding(i, t); };
    same_on_both("embedding", look_up, table, index);
    const Tensor from_host = eg::embedding(index, table.to(gpu)).to(Device::cpu());
    BOOST_TEST(eg::test::same_bits("index on the host", from_host, eg::embedding(index, table)));
    Tensor bad = index.clone();
    bad.set({3, 4}, 50);
    BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(bad.to(gpu), table.to(gpu)); },
                                       {"embedding: input[3, 4] is 50, but weight has 50 rows"}));
  }
}

BOOST_AUTO_TEST_CASE(matmul) {
  Draw draw(4);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t n : {0, 1, 17, 200}) {
      const Tensor a = draw.uniform({n, 33}, dtype);
      const Tensor b = draw.uniform({33, 20}, dtype);
      same_on_both(
          "matmul", [](const Tensor& x, const Tensor& y) { return eg::matmul(x, y); }, a, b, false);
    }
    same_on_both(
        "batches", [](const Tensor& x, const Tensor& y) { return eg::matmul(x, y); }, draw.uniform({3, 5, 7}, dtype),
        draw.uniform({3, 7, 2}, dtype), false);
    same_on_both(
        "no inner dimension", [](const Tensor& x, const Tensor& y) { return eg::matmul(x, y); },
        draw.uniform({3, 0}, dtype), draw.uniform({0, 4}, dtype));
  }
}

namespace {

// The gradient of a function's first argument where the result's is another tensor.
template <class Function>
auto gradient_of(const Function& function, const Tensor& grad_out) {
  return [&function, grad_out](const Tensor& a, const Tensor& b) {
    const Tensor x = a.detach().clone().set_requires_grad();
    const Tensor out = function(x, b);
    (out * grad_out.to(out.device()).reshape(out.shape())).sum().backward();
    return x.grad().to_dense();
  };
}

}  // namespace

BOOST_AUTO_TEST_CASE(softmax) {
  Draw draw(6);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t count : {std::int64_t{1}, std::int64_t{17}, std::int64_t{128}, std::int64_t{1025}, large}) {
      const Tensor x = draw.uniform({3, count}, dtype, -4, 4);
      const auto along_rows = [](const Tensor& a, const Tensor&) { return eg::softmax(a, 1); };
      const auto log_along_rows = [](const Tensor& a, const Tensor&) { return eg::log_softmax(a, 1); };
      const auto along_columns = [](const Tensor& a, const Tensor&) { return eg::softmax(a, 0); };
      const Tensor grad = draw.uniform({3, count}, dtype);
      const bool bits = dtype == DType::float32;  // our own exp
      same_on_both("softmax", along_rows, x, x, bits);
      same_on_both("softmax of columns", along_columns, x, x, bits);
      same_on_both("log_softmax", log_along_rows, x, x, false);
      same_on_both("gradient of softmax", gradient_of(along_rows, grad), x, x, bits);
      same_on_both("gradient of log_softmax", gradient_of(log_along_rows, grad), x, x, false);
    }
  }
}

BOOST_AUTO_TEST_CASE(losses) {
  Draw draw(7);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t classes : {2, 17, 1025}) {
      for (const double smoothing : {0.0, 0.1}) {
        const Tensor logits = draw.uniform({40, classes}, dtype, -4, 4);
        const Tensor target = draw.integers({40}, 0, classes - 1);
        const Tensor weight = draw.uniform({classes}, dtype, 0.5, 2);
        const auto loss = [&](const Tensor& x, const Tensor& y) {
          return eg::cross_entropy(x, y,
                                   {.weight = weight.to(x.device()), .ignore_index = 1, .label_smoothing = smoothing});
        };
        const auto nll = [&](const Tensor& x, const Tensor& y) {
          return eg::nll_loss(x, y, {.ignore_index = 0, .reduction = eg::Reduction::none});
        };
        const Tensor one = eg::ones({1}, {dtype});
        same_on_both("cross_entropy", loss, logits, target, false);
        same_on_both("gradient of cross_entropy", gradient_of(loss, one), logits, target, false);
        same_on_both("nll_loss", nll, logits, target);
        same_on_both("gradient of nll_loss", gradient_of(nll, eg::ones({40}, {dtype})), logits, target);
      }
    }
    const Tensor x = draw.uniform({33, 5}, dtype, -9, 9);
    const Tensor t = draw.uniform({33, 5}, dtype, 0, 1);
    const Tensor p = draw.uniform({5}, dtype, 0.5, 2);
    const auto loss = [&](const Tensor& a, const Tensor& b) {
      return eg::binary_cross_entropy_with_logits(a, b,
                                                  {.reduction = eg::Reduction::none, .pos_weight = p.to(a.device())});
    };
    const bool bits = dtype == DType::float32;
    same_on_both("binary_cross_entropy", loss, x, t, bits);
    same_on_both("gradient of binary_cross_entropy", gradient_of(loss, eg::ones({33, 5}, {dtype})), x, t, bits);
  }
}

BOOST_AUTO_TEST_CASE(random_numbers) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t n : {1, 33, 100001}) {
      const auto drawn = [&](Device device, const auto& draw_from) {
        eg::manual_seed(11);
        return draw_from(eg::TensorOptions{dtype, device}).to(Device::cpu());
      };
      const auto same = [&](const char* name, const auto& draw_from) {
        BOOST_TEST(eg::test::same_bits(name, drawn(gpu, draw_from), drawn(Device::cpu(), draw_from)));
      };
      same("rand", [n](const eg::TensorOptions& options) { return eg::rand({n}, options); });
      same("randn", [n](const eg::TensorOptions& options) { return eg::randn({n}, options); });
      same("dropout",
           [n](const eg::TensorOptions& options) { return eg::dropout(eg::full({n}, 0.7, options), {.p = 0.3}); });
    }
  }
}

BOOST_AUTO_TEST_CASE(extremes) {
  Draw draw(8);
  for (const DType dtype : {DType::float32, DType::float64, DType::int64}) {
    for (const std::int64_t n : {std::int64_t{1}, std::int64_t{17}, std::int64_t{1025}, large}) {
      const Tensor x = draw.uniform({3, n}, DType::float64, -50, 50).to(dtype);
      same_on_both(
          "max", [](const Tensor& a, const Tensor&) { return eg::max(a, 1).values; }, x, x);
      same_on_both(
          "argmin", [](const Tensor& a, const Tensor&) { return eg::argmin(a, 1); }, x, x);
      same_on_both(
          "amax of columns", [](const Tensor& a, const Tensor&) { return eg::amax(a, {0}); }, x, x);
      for (const std::int64_t k : {std::int64_t{1}, n}) {
        same_on_both(
            "topk", [k](const Tensor& a, const Tensor&) { return eg::topk(a, k).values; }, x, x);
        same_on_both(
            "places of topk", [k](const Tensor& a, const Tensor&) { return eg::topk(a, k).indices; }, x, x);
      }
    }
  }
  const Tensor x = draw.uniform({3, 50});
  const auto best = [](const Tensor& a, const Tensor&) { return eg::topk(a, 4).values; };
  same_on_both("gradient of topk", gradient_of(best, draw.uniform({3, 4})), x, x);
}

// Forward, backward and an update by hand; and twice the same.
BOOST_AUTO_TEST_CASE(a_step) {
  Draw draw(5);
  const Tensor x = draw.uniform({64, 10});
  const Tensor target = draw.uniform({64, 3});
  const Tensor weight = draw.uniform({3, 10});
  const auto step = [&](Device device) {
    Tensor w = weight.to(device).detach().set_requires_grad();
    const Tensor error = eg::tanh(eg::linear(x.to(device), w)) - target.to(device);
    (error * error).sum().backward();
    return eg::no_grad([&] { return (w - w.grad().to_dense() * 0.1).to(Device::cpu()); });
  };
  const Tensor there = step(gpu);
  BOOST_TEST(eg::test::close_to("weight", there, step(Device::cpu())));
  BOOST_TEST(eg::test::same_bits("weight, again", step(gpu), there));
}

BOOST_AUTO_TEST_CASE(refusals) {
  const Tensor there = eg::ones({4, 5}, {DType::float32, gpu});
  BOOST_TEST(refuses<eg::DeviceError>([&] { return there.to(Device::cuda(63)); }, {"cuda:63 asked for"}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { eg::synchronize(Device::cuda(63)); }, {"synchronize: cuda:63 is not"}));
  BOOST_CHECK_NO_THROW(eg::synchronize(gpu));
  BOOST_TEST(there.sum().item() == 20);  // nothing is broken
}

BOOST_AUTO_TEST_SUITE_END()
