#include <embergrad/autograd.hpp>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/memory.hpp>
#include <embergrad/ops.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Gradient;
using eg::InputGradients;
using eg::OutputGradients;
using eg::Saved;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr eg::TensorOptions f64{DType::float64, {}};

Tensor scalar(double value) { return eg::tensor(value, f64).set_requires_grad(); }

// The example of autograd.hpp.
Tensor cube(const Tensor& x) {
  Tensor y = eg::no_grad([&] { return x * x * x; });
  return eg::record("cube", y, {x}, [x = Saved(x)](const Tensor& grad) { return 3.0 * x.get() * x.get() * grad; });
}

// x, but its backward throws while `broken`.
Tensor fragile(const Tensor& x, const std::shared_ptr<bool>& broken) {
  return eg::record("fragile", eg::no_grad([&] { return x * 1.0; }), {x}, [broken](const Tensor& grad) {
    if (*broken) throw std::runtime_error("no luck");
    return Gradient(grad);
  });
}

std::int64_t bytes_in_use() { return eg::memory_stats().bytes_in_use; }

}  // namespace

BOOST_AUTO_TEST_SUITE(autograd)

BOOST_AUTO_TEST_CASE(gradients_add_up_in_leaves) {
  const Tensor x = scalar(3);
  (x * x).backward();
  BOOST_TEST(grad_of(x).item() == 6);
  (x * 10.0).backward();
  BOOST_TEST(grad_of(x).item() == 16);
  Tensor handle = x;
  handle.zero_grad();
  BOOST_TEST(!x.grad().defined());
  (x * 10.0).backward();
  BOOST_TEST(grad_of(x).item() == 10);
}

BOOST_AUTO_TEST_CASE(a_tensor_used_often) {
  const Tensor x = scalar(3);
  const Tensor y = x * x + x * x * x - x;  // 2x + 3x² - 1
  y.backward();
  BOOST_TEST(grad_of(x).item() == 32);

  // A diamond of diamonds: each node runs once, or this would take 2^60 steps.
  const Tensor a = scalar(1);
  Tensor b = a;
  for (int i = 0; i < 60; ++i) b = b + b;
  b.backward();
  BOOST_TEST(grad_of(a).item() == 0x1p60);

  // Paths of different lengths meet before the shared part runs back.
  const Tensor p = scalar(2);
  const Tensor q = p * 3.0;
  const Tensor long_way = eg::exp(eg::log(q) + 0.0) * 1.0;
  (q * long_way).backward();  // q², q = 3p
  BOOST_TEST(close_to("diamond", grad_of(p), eg::tensor(36.0, f64)));
}

BOOST_AUTO_TEST_CASE(what_is_on_the_tape) {
  Draw draw(1);
  Tensor x = leaf(draw, {2});
  Tensor data = draw.uniform({2}, DType::float64);
  BOOST_TEST(x.is_leaf());
  BOOST_TEST(x.requires_grad());
  BOOST_TEST(data.is_leaf());
  BOOST_TEST(!data.requires_grad());
  const Tensor y = x + data;
  BOOST_TEST(!y.is_leaf());
  BOOST_TEST(y.requires_grad());
  BOOST_TEST(!(data + data).requires_grad());
  BOOST_TEST((data + data).is_leaf());
  BOOST_TEST(!y.grad().defined());
  BOOST_TEST(!eg::argmax(x).requires_grad());

  x.set_requires_grad(false);
  BOOST_TEST(!(x + data).requires_grad());
  BOOST_TEST(refuses<eg::ValueError>([&] { Tensor(y).set_requires_grad(false); }, {"set_requires_grad", "detach"}));
  BOOST_TEST(Tensor(y).set_requires_grad(true).requires_grad());
  BOOST_TEST(refuses<eg::DTypeError>([] { eg::arange(3).set_requires_grad(); }, {"set_requires_grad", "int64"}));
  BOOST_CHECK_NO_THROW(eg::arange(3).set_requires_grad(false));
}

BOOST_AUTO_TEST_CASE(only_leaves_keep_a_gradient) {
  const Tensor x = scalar(2);
  const Tensor unused = scalar(2);
  const Tensor data = eg::tensor(5.0, f64);
  const Tensor y = x * data;
  const Tensor z = y * y;
  z.backward();
  BOOST_TEST(grad_of(x).item() == 100);
  BOOST_TEST(!y.grad().defined());
  BOOST_TEST(!z.grad().defined());
  BOOST_TEST(!data.grad().defined());
  BOOST_TEST(!unused.grad().defined());
  BOOST_TEST(refuses<eg::ValueError>([&] { return unused.grad().dense(); }, {"no gradient"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return unused.grad().to_dense(); }, {"no gradient"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return x.grad().rows(); }, {"dense"}));
}

BOOST_AUTO_TEST_CASE(a_leaf_runs_back_to_itself) {
  const Tensor x = scalar(2);
  x.backward();
  x.backward();
  BOOST_TEST(grad_of(x).item() == 2);
  Draw draw(2);
  const Tensor v = leaf(draw, {3});
  v.backward(eg::tensor({1.0, 2.0, 3.0}, f64));
  BOOST_TEST(equal_to("leaf", grad_of(v), eg::tensor({1.0, 2.0, 3.0}, f64)));
}

BOOST_AUTO_TEST_CASE(no_grad_is_nested_and_belongs_to_the_thread) {
  const Tensor x = scalar(2);
  BOOST_TEST(eg::grad_enabled());
  {
    const eg::NoGrad outer;
    BOOST_TEST(!eg::grad_enabled());
    {
      const eg::NoGrad inner;
      BOOST_TEST(!(x * x).requires_grad());
    }
    BOOST_TEST(!eg::grad_enabled());
    BOOST_TEST(!(x * x).requires_grad());
    bool there = false;
    std::thread([&] { there = eg::grad_enabled(); }).join();
    BOOST_TEST(there);
  }
  BOOST_TEST(eg::grad_enabled());
  BOOST_TEST((x * x).requires_grad());
  BOOST_CHECK_THROW(eg::no_grad([] { throw std::runtime_error("out"); }), std::runtime_error);
  BOOST_TEST(eg::grad_enabled());
  const Tensor& same = eg::no_grad([&]() -> const Tensor& { return x; });
  BOOST_TEST(&same == &x);
}

BOOST_AUTO_TEST_CASE(detach_cuts_the_path) {
  const Tensor x = scalar(3);
  const Tensor y = x * x;
  (y.detach() * x).backward();  // 9x
  BOOST_TEST(grad_of(x).item() == 9);
  BOOST_TEST(refuses<eg::ValueError>([&] { (y.detach() * 2.0).backward(); }, {"backward", "does not require"}));
}

BOOST_AUTO_TEST_CASE(a_second_backward_is_refused_by_name) {
  const Tensor x = scalar(0.5);
  const Tensor y = eg::tanh(x);
  const Tensor z = eg::sum(y);
  z.backward();
  const double once = grad_of(x).item();
  BOOST_TEST(refuses<eg::ValueError>([&] { z.backward(); }, {"graph of sum", "run back before"}));
  BOOST_TEST(grad_of(x).item() == once);
  // … also where two results share a part
  BOOST_TEST(refuses<eg::ValueError>([&] { (y * 2.0).backward(); }, {"graph of tanh"}));
  BOOST_TEST(grad_of(x).item() == once);
  // A graph of which another part ran is as good as new.
  const Tensor w = scalar(2);
  const Tensor a = w * 2.0;
  const Tensor b = w * 3.0;
  a.backward();
  b.backward();
  BOOST_TEST(grad_of(w).item() == 5);
}

BOOST_AUTO_TEST_CASE(the_first_gradient_is_checked) {
  Draw draw(3);
  const Tensor x = leaf(draw, {2, 3});
  const Tensor y = x * 2.0;
  BOOST_TEST(refuses<eg::ValueError>([&] { y.backward(); }, {"backward", "[2, 3]", "6"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { y.backward(eg::ones({3, 2}, f64)); }, {"backward", "[3, 2]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { y.backward(eg::ones({6}, f64)); }, {"[6]"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { y.backward(eg::ones({2, 3})); }, {"float32", "float64"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { y.backward(Tensor()); }, {"undefined"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { x.backward(eg::ones({3}, f64)); }));
  BOOST_TEST(!x.grad().defined());
  y.backward(x.detach());
  BOOST_TEST(close_to("grad", grad_of(x), 2.0 * x.detach()));
  // One element of any shape needs no gradient.
  const Tensor one = leaf(draw, {1, 1});
  (one * 4.0).backward();
  BOOST_TEST(grad_of(one).item() == 4);
}

// --- graphs as large and as odd as they come

BOOST_AUTO_TEST_CASE(a_million_ops_run_back_and_are_dropped) {
  const Tensor x = scalar(1);
  const auto chain = [&] {
    Tensor y = x;
    for (int i = 0; i < 1000000; ++i) y = y + 1.0;
    return y;
  };
  const std::int64_t start = bytes_in_use();
  {
    const Tensor y = chain();
    BOOST_TEST(y.item() == 1000001);
    BOOST_TEST(bytes_in_use() > start + 64000000);
    y.backward();
    // What ran back is given free even while the result lives.
    BOOST_TEST(bytes_in_use() < start + 10000);
  }
  BOOST_TEST(grad_of(x).item() == 1);
  Tensor(x).zero_grad();
  BOOST_TEST(bytes_in_use() == start);
  { const Tensor dropped_without_backward = chain(); }
  BOOST_TEST(bytes_in_use() == start);
  {
    Tensor moved = chain();
    std::thread([taken = std::move(moved)]() mutable { taken = Tensor(); }).join();
  }
  BOOST_TEST(bytes_in_use() == start);
  {
    Tensor moved = chain();
    std::thread([taken = std::move(moved)]() mutable {
      taken.backward();
      taken = Tensor();
    }).join();
    BOOST_TEST(grad_of(x).item() == 1);
  }
  Tensor(x).zero_grad();
  BOOST_TEST(bytes_in_use() == start);
  eg::release_cached_memory();
}

BOOST_AUTO_TEST_CASE(a_wide_graph_is_dropped_too) {
  const Tensor x = scalar(1);
  const std::int64_t start = bytes_in_use();
  {
    std::vector<Tensor> tree(1 << 15);
    for (Tensor& t : tree) t = x * 1.0;
    while (tree.size() > 1) {
      std::vector<Tensor> half(tree.size() / 2);
      for (std::size_t i = 0; i < half.size(); ++i) half[i] = tree[2 * i] + tree[2 * i + 1];
      tree = std::move(half);
    }
    tree[0].backward();
  }
  BOOST_TEST(grad_of(x).item() == 1 << 15);
  Tensor(x).zero_grad();
  BOOST_TEST(bytes_in_use() == start);
}

// Every op may be run for its value alone, again and again, and also be dropped before backward.
BOOST_AUTO_TEST_CASE(evaluation_without_no_grad_does_not_grow_memory) {
  Draw draw(4);
  const Tensor x = leaf(draw, {6, 6}, DType::float32, 0.5, 1.0);
  const Tensor bias = leaf(draw, {6}, DType::float32);
  const Tensor index = draw.integers({4}, 0, 5);
  const Tensor target = draw.integers({6}, 0, 5);
  const std::vector<Tensor> lstm = {leaf(draw, {12, 6}, DType::float32), leaf(draw, {12, 3}, DType::float32),
                                    leaf(draw, {12}, DType::float32), leaf(draw, {12}, DType::float32)};
  const std::vector<std::int64_t> lengths{2, 0, 1};
  const std::vector<std::pair<const char*, std::function<Tensor()>>> ops = {
      {"add", [&] { return x + bias; }},
      {"sub", [&] { return 1.0 - x; }},
      {"mul", [&] { return x * bias; }},
      {"div", [&] { return x / x; }},
      {"rdiv", [&] { return 2.0 / x; }},
      {"neg", [&] { return -x; }},
      {"exp", [&] { return eg::exp(x); }},
      {"log", [&] { return eg::log(x); }},
      {"sigmoid", [&] { return eg::sigmoid(x); }},
      {"tanh", [&] { return eg::tanh(x); }},
      {"relu", [&] { return eg::relu(x); }},
      {"sum", [&] { return eg::sum(x, {0}); }},
      {"mean", [&] { return eg::mean(x); }},
      {"matmul", [&] { return eg::matmul(x, x); }},
      {"linear", [&] { return eg::linear(x, x, bias); }},
      {"reshape", [&] { return x.reshape({-1}); }},
      {"transpose", [&] { return eg::transpose(x, 0, 1); }},
      {"narrow", [&] { return eg::narrow(x, 1, 2, 3); }},
      {"operator[]", [&] { return x[2]; }},
      {"cat",
       [&] {
         return eg::cat({x, x}, 1);
       }},
      {"stack",
       [&] {
         return eg::stack({x, x});
       }},
      {"gather_rows", [&] { return eg::gather_rows(x, index); }},
      {"gather_rows_or", [&] { return eg::gather_rows_or(x, index, 0); }},
      {"embedding", [&] { return eg::embedding(index, x); }},
      {"log_softmax", [&] { return eg::log_softmax(x, 1); }},
      {"softmax", [&] { return eg::softmax(x, 0); }},
      {"nll_loss", [&] { return eg::nll_loss(x, target); }},
      {"cross_entropy", [&] { return eg::cross_entropy(x, target); }},
      {"dropout", [&] { return eg::dropout(x); }},
      {"clone", [&] { return x.clone(); }},
      {"to", [&] { return x.to(DType::float64); }},
      {"lstm",
       [&] {
         return eg::lstm(x.reshape({2, 3, 6}), {}, lstm).output;
       }},
      {"lstm with lengths",
       [&] {
         return eg::lstm(x.reshape({2, 3, 6}), {}, lstm, {}, lengths).h_n;
       }},
      {"lstm, c_n alone",
       [&] {
         return eg::lstm(x.reshape({2, 3, 6}), {}, lstm).c_n;
       }},
      {"cube", [&] { return cube(x); }},
  };
  for (const auto& [name, run] : ops) {
    BOOST_TEST_CONTEXT(name) {
      static_cast<void>(run());
      const std::int64_t start = bytes_in_use();
      for (int i = 0; i < 3; ++i) static_cast<void>(run());
      BOOST_TEST(bytes_in_use() == start);
      // … and what ran back is gone, apart from the gradients, which stay where they are.
      eg::sum(run()).backward();
      const std::int64_t with_gradients = bytes_in_use();
      for (int i = 0; i < 3; ++i) eg::sum(run()).backward();
      BOOST_TEST(bytes_in_use() == with_gradients);
    }
  }
}

// --- own ops

BOOST_AUTO_TEST_CASE(an_op_of_ones_own) {
  Draw draw(5);
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{4}, Shape{2, 3}}) {
    BOOST_TEST(gradients_agree([](const Inputs& in) { return cube(in[0]); }, {leaf(draw, shape)}), shape.to_string());
  }
  BOOST_TEST(!cube(draw.uniform({2}, DType::float64)).requires_grad());
  BOOST_TEST(!eg::no_grad([&] { return cube(leaf(draw, {2})); }).requires_grad());
  const Tensor y = cube(scalar(2));
  y.backward();
  BOOST_TEST(refuses<eg::ValueError>([&] { y.backward(); }, {"graph of cube"}));
}

BOOST_AUTO_TEST_CASE(an_op_with_several_inputs_asks_what_is_wanted) {
  std::array<bool, 3> wanted{};
  const auto product = [&](const Tensor& a, const Tensor& b, const Tensor& c) {
    return eg::record("product", eg::no_grad([&] { return a * b; }), {a, b, c},
                      [&, a = Saved(a), b = Saved(b)](const Tensor& grad, InputGradients& into) {
                        BOOST_TEST(!eg::grad_enabled());
                        for (std::size_t i = 0; i < 3; ++i) wanted.at(i) = into.wants(i);
                        BOOST_TEST(!into.wants(3));
                        into.add(0, grad * b.get());
                        into.add(1, grad * a.get());  // ignored where it isn't wanted
                      });
  };
  const Tensor a = scalar(2), b = scalar(5), data = eg::tensor(5.0, f64);
  product(a, data, Tensor()).backward();
  BOOST_TEST(grad_of(a).item() == 5);
  BOOST_TEST(!data.grad().defined());
  BOOST_TEST((wanted == std::array<bool, 3>{true, false, false}));
  Tensor(a).zero_grad();
  product(a, b, a).backward();
  BOOST_TEST(grad_of(a).item() == 5);
  BOOST_TEST(grad_of(b).item() == 2);
  BOOST_TEST((wanted == std::array<bool, 3>{true, true, true}));
  Tensor(a).zero_grad();
  product(a, a, data).backward();  // one tensor in both places
  BOOST_TEST(grad_of(a).item() == 4);
  BOOST_TEST(product(data, data, data).requires_grad() == false);
}

BOOST_AUTO_TEST_CASE(an_op_with_several_outputs_hears_which_got_a_gradient) {
  std::vector<bool> arrived;
  const auto multiples = [&](const Tensor& x, std::size_t count) {
    std::vector<Tensor> outputs;
    for (std::size_t i = 0; i < count; ++i) {
      outputs.push_back(eg::no_grad([&] { return x * static_cast<double>(i + 1); }));
    }
    const std::array<eg::TensorRef, 1> inputs{x};
    eg::record("multiples", std::span<Tensor>(outputs), std::span<const eg::TensorRef>(inputs),
               [&](const OutputGradients& grads, InputGradients& into) {
                 arrived.clear();
                 for (std::size_t i = 0; i < grads.size(); ++i) {
                   arrived.push_back(grads[i].defined());
                   if (grads[i].defined()) into.add(0, grads[i] * static_cast<double>(i + 1));
                 }
               });
    return outputs;
  };
  for (const std::size_t count : {std::size_t{2}, std::size_t{3}, std::size_t{4}, std::size_t{9}}) {
    BOOST_TEST_CONTEXT(count << " outputs") {
      const Tensor x = scalar(1);
      const auto some = multiples(x, count);
      some[1].backward();
      std::vector<bool> only_second(count, false);
      only_second[1] = true;
      BOOST_TEST(arrived == only_second, boost::test_tools::per_element());
      BOOST_TEST(grad_of(x).item() == 2);
      Tensor(x).zero_grad();
      const auto all = multiples(x, count);
      Tensor total = all[0];
      for (std::size_t i = 1; i < count; ++i) total = total + all[i];
      (total + all[0]).backward();
      BOOST_TEST(arrived == std::vector<bool>(count, true), boost::test_tools::per_element());
      BOOST_TEST(grad_of(x).item() == static_cast<double>(count * (count + 1) / 2 + 1));
      // The others stay usable for their values when one is dropped; the node lives as long as any of them.
      Tensor(x).zero_grad();
      auto few = multiples(x, count);
      const Tensor last = few.back();
      few.clear();
      last.backward();
      BOOST_TEST(grad_of(x).item() == static_cast<double>(count));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_an_own_op_hands_on_is_checked) {
  const Tensor x = eg::zeros({2, 3}, f64).set_requires_grad();
  const auto with_gradient = [&](const Tensor& gradient) {
    return eg::record("wrong", eg::zeros({}, f64), {x}, [gradient](const Tensor&) { return Gradient(gradient); });
  };
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        with_gradient(eg::zeros({3, 2}, f64)).backward();
      },
      {"backward of wrong", "[3, 2]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::DTypeError>(
      [&] {
        with_gradient(eg::zeros({2, 3})).backward();
      },
      {"backward of wrong", "float32", "float64"}));
  BOOST_CHECK_NO_THROW(with_gradient(Tensor()).backward());  // no gradient is zero
  BOOST_TEST(!x.grad().defined());
  const Tensor y = x * 1.0;
  const auto further =
      eg::record("wrong", eg::zeros({}, f64), {y}, [](const Tensor&) { return Gradient(eg::zeros({6}, f64)); });
  BOOST_TEST(refuses<eg::ShapeError>([&] { further.backward(); }, {"backward of wrong", "[6]", "[2, 3]"}));

  const std::int64_t start = bytes_in_use();
  const auto nothing = [](const Tensor& grad) { return Gradient(grad); };
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::record("mine", x, {x}, nothing); },
                                     {"record", "mine", "already on the tape"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::record("mine", y, {x}, nothing); }, {"already on the tape"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return eg::record("mine", eg::arange(3), {x}, nothing); },
                                     {"record", "mine", "int64"}));
  BOOST_TEST(bytes_in_use() == start);
  BOOST_TEST(x.is_leaf());
}

BOOST_AUTO_TEST_CASE(double_backward_is_refused) {
  const Tensor x = scalar(2);
  const Tensor y = x * x * x;
  y.backward();
  const Tensor grad = x.grad().dense();
  BOOST_TEST(!grad.requires_grad());
  BOOST_TEST(refuses<eg::ValueError>([&] { grad.backward(); }, {"backward", "double backward"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { (grad * 2.0).backward(); }, {"double backward"}));
  // A gradient may take part in a new graph as data.
  Tensor(x).zero_grad();
  (x * grad).backward();
  BOOST_TEST(grad_of(x).item() == 12);
}

BOOST_AUTO_TEST_CASE(what_backward_throws_leaves_all_usable) {
  const auto broken = std::make_shared<bool>(true);
  const Tensor x = scalar(2), w = scalar(3);
  const std::int64_t start = bytes_in_use();
  {
    const Tensor inner = x * 5.0;
    const Tensor y = fragile(inner, broken) * w + inner;
    BOOST_CHECK_THROW(y.backward(), std::runtime_error);
    BOOST_TEST(eg::grad_enabled());
    BOOST_TEST(!x.grad().defined());
    BOOST_TEST(grad_of(w).item() == 10);  // what had run by then stays
    // A part that had not run can still run, without leftovers of the first attempt.
    inner.backward();
    BOOST_TEST(grad_of(x).item() == 5);
  }
  Tensor(x).zero_grad();
  Tensor(w).zero_grad();
  BOOST_TEST(bytes_in_use() == start);
  *broken = false;
  const Tensor again = fragile(x * 5.0, broken) * w;
  again.backward();
  BOOST_TEST(grad_of(x).item() == 15);
  // What an op handed on before it threw is forgotten.
  const Tensor inner = x * 5.0;
  const Tensor y = eg::record("gives up", eg::tensor(1.0, f64), {inner}, [](const Tensor& grad, InputGradients& into) {
    into.add(0, grad);
    throw std::runtime_error("no luck");
  });
  Tensor(x).zero_grad();
  BOOST_CHECK_THROW(y.backward(), std::runtime_error);
  inner.backward();
  BOOST_TEST(grad_of(x).item() == 5);
}

BOOST_AUTO_TEST_CASE(a_closure_is_destroyed_once_it_ran) {
  const auto token = std::make_shared<int>(1);
  const Tensor x = scalar(1);
  Tensor y = eg::record("holds", eg::tensor(1.0, f64), {x}, [token](const Tensor& grad) { return Gradient(grad); });
  BOOST_TEST(token.use_count() == 2);
  y.backward();
  BOOST_TEST(token.use_count() == 1);
  y = eg::record("holds", eg::tensor(1.0, f64), {x}, [token](const Tensor& grad) { return Gradient(grad); });
  BOOST_TEST(token.use_count() == 2);
  y = Tensor();
  BOOST_TEST(token.use_count() == 1);
  y = eg::record("holds", eg::tensor(1.0, f64), {eg::tensor(1.0, f64)},
                 [token](const Tensor& grad) { return Gradient(grad); });
  BOOST_TEST(token.use_count() == 1);
}

// --- gradients are one's own

BOOST_AUTO_TEST_CASE(no_two_gradients_share_memory) {
  Draw draw(6);
  const auto ones = [](const Tensor& y) { return eg::ones(y.shape(), y.options()); };
  const std::vector<std::pair<const char*, std::function<Tensor(const Tensor&, const Tensor&)>>> ops = {
      {"add", [](const Tensor& a, const Tensor& b) { return a + b; }},
      {"sub", [](const Tensor& a, const Tensor& b) { return a - b; }},
      {"reshape", [](const Tensor& a, const Tensor& b) { return a.reshape({4}) + b.reshape({4}); }},
      {"cat",
       [](const Tensor& a, const Tensor& b) {
         return eg::cat({a, b});
       }},
      {"stack",
       [](const Tensor& a, const Tensor& b) {
         return eg::stack({a, b}, 1);
       }},
      {"sum", [](const Tensor& a, const Tensor& b) { return eg::sum(a) + eg::sum(b); }},
      {"clone", [](const Tensor& a, const Tensor& b) { return a.clone() + b.clone(); }},
      {"longer paths", [](const Tensor& a, const Tensor& b) { return (a + 1.0) + (b + 1.0) + a; }},
  };
  for (const auto& [name, run] : ops) {
    BOOST_TEST_CONTEXT(name) {
      const Tensor a = leaf(draw, {2, 2}), b = leaf(draw, {2, 2});
      const Tensor y = run(a, b);
      const Tensor given = ones(y);
      y.backward(given);
      BOOST_TEST(!a.grad().dense().shares_storage_with(b.grad().dense()));
      BOOST_TEST(!a.grad().dense().shares_storage_with(given));
      BOOST_TEST(!b.grad().dense().shares_storage_with(given));
      const Tensor before = b.grad().dense().clone();
      Tensor(a.grad().dense()).fill(7);
      BOOST_TEST(equal_to("the other's gradient", grad_of(b), before));
      BOOST_TEST(equal_to("what backward was given", given, ones(y)));
    }
  }
}

// One gradient given to two leaves: what backward adds to one must not reach the other, nor the giver.
BOOST_AUTO_TEST_CASE(a_gradient_given_by_the_user_is_not_changed_by_backward) {
  Draw draw(7);
  const Tensor index = eg::tensor({0, 2, 2});
  const std::vector<std::pair<const char*, std::function<Tensor(const Tensor&)>>> ops = {
      {"mul", [](const Tensor& x) { return x * 3.0; }},
      {"embedding", [&](const Tensor& x) { return eg::embedding(index, x); }},
      {"gather_rows", [&](const Tensor& x) { return eg::gather_rows(x, index); }},
  };
  for (const auto& [name, run] : ops) {
    BOOST_TEST_CONTEXT(name) {
      Tensor a = leaf(draw, {3, 2}), b = leaf(draw, {3, 2});
      const Tensor given = draw.uniform({3, 2}, DType::float64);
      const Tensor before = given.clone();
      a.set_grad(given);
      b.set_grad(given);
      eg::sum(run(a)).backward();
      BOOST_TEST(equal_to("what was given", given, before));
      BOOST_TEST(equal_to("the other's gradient", grad_of(b), before));
      BOOST_TEST(grad_of(a).to_vector() != before.to_vector());
    }
  }
}

BOOST_AUTO_TEST_CASE(setting_a_gradient) {
  Draw draw(8);
  Tensor x = leaf(draw, {2, 3});
  const Tensor gradient = draw.uniform({2, 3}, DType::float64);
  x.set_grad(gradient);
  BOOST_TEST(equal_to("set", grad_of(x), gradient));
  (eg::sum(x) * 2.0).backward();
  BOOST_TEST(close_to("added to", grad_of(x), gradient + 2.0));
  x.set_grad(Gradient());
  BOOST_TEST(!x.grad().defined());
  x.set_grad(eg::RowSparse::from_rows(eg::tensor({1}), eg::ones({1, 3}, f64), 2));
  BOOST_TEST(x.grad().is_sparse());
  BOOST_TEST(equal_to("sparse", grad_of(x), eg::tensor({{0, 0, 0}, {1, 1, 1}}, f64)));
  eg::sum(x).backward();
  BOOST_TEST(equal_to("sparse + dense", grad_of(x), eg::tensor({{1, 1, 1}, {2, 2, 2}}, f64)));
  x.zero_grad(false);
  BOOST_TEST(equal_to("zeros", grad_of(x), eg::zeros({2, 3}, f64)));
  x.set_grad(eg::RowSparse::from_rows(eg::tensor({1}), eg::ones({1, 3}, f64), 2));
  x.zero_grad(false);
  BOOST_REQUIRE(x.grad().is_sparse());
  BOOST_TEST(x.grad().rows().count() == 0);
  BOOST_TEST(equal_to("no rows", grad_of(x), eg::zeros({2, 3}, f64)));
  x.zero_grad();
  BOOST_TEST(!x.grad().defined());
  x.zero_grad(false);
  BOOST_TEST(!x.grad().defined());

  BOOST_TEST(refuses<eg::ShapeError>([&] { x.set_grad(eg::zeros({3, 2}, f64)); }, {"[3, 2]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::DTypeError>([&] { x.set_grad(eg::zeros({2, 3})); }, {"float32", "float64"}));
  BOOST_TEST(refuses<eg::ShapeError>(
      [&] {
        x.set_grad(eg::RowSparse::from_rows(eg::tensor({1}), eg::ones({1, 3}, f64), 4));
      },
      {"[4, 3]", "[2, 3]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { Tensor(x * 2.0).set_grad(gradient); }, {"set_grad", "leaf"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { Tensor(x.detach()).set_grad(gradient); }, {"set_grad"}));
  BOOST_TEST(!x.grad().defined());
}

BOOST_AUTO_TEST_SUITE_END()
