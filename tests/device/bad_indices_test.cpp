// Indices that do not exist: known to the host, they are refused at once; made on the GPU, before anything lasts.
#include <boost/test/unit_test.hpp>
#include <string>

#include <embergrad/embergrad.hpp>

#include "device/on_gpu.hpp"
#include "support/check.hpp"

namespace eg = embergrad;
using eg::Device;
using eg::DType;
using eg::Tensor;
using eg::test::Draw;
using eg::test::gpu;
using eg::test::refuses;

namespace {

// The same numbers, that the host has not seen.
Tensor made_there(const Tensor& index) { return index.to(gpu) + 0; }

struct Model {
  Tensor weight = eg::full({50, 3}, 2.0, {DType::float32, gpu}).set_requires_grad();
  eg::optim::SGD optimizer{{weight}, {.lr = 0.5}};

  [[nodiscard]] Tensor now() const { return weight.detach().to(Device::cpu()); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(bad_indices, *boost::unit_test::precondition(eg::test::gpu_is_here))

BOOST_AUTO_TEST_CASE(from_the_host) {
  Model model;
  Tensor bad = eg::arange(20).reshape({4, 5});
  bad.set({3, 2}, -4);
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(bad.to(gpu), model.weight); },
                                     {"embedding: input[3, 2] is -4, but weight has 50 rows"}));
}

BOOST_AUTO_TEST_CASE(no_parameter_sees_them) {
  for (const char* op : {"embedding", "embedding_bag", "gather_rows", "index_select"}) {
    Model model;
    Tensor bad = eg::arange(20).reshape({4, 5});
    bad.set({3, 2}, 50);
    bad.set({3, 4}, -1);
    const std::string name = op;
    const bool flat = name == "index_select";
    const Tensor index = made_there(flat ? bad.reshape({20}) : bad);
    const Tensor out = name == "embedding"       ? eg::embedding(index, model.weight)
                       : name == "embedding_bag" ? eg::embedding_bag(index, model.weight)
                       : name == "gather_rows"   ? eg::gather_rows(model.weight, index)
                                                 : eg::index_select(model.weight, 0, index);
    out.sum().backward();
    const std::string place = flat ? "17" : "3, 2";
    BOOST_TEST(refuses<eg::IndexError>([&] { model.optimizer.step(); }, {name + ": ", "[" + place + "] is 50, but"}),
               op);
    BOOST_TEST(eg::test::same_bits(op, model.now(), eg::full({50, 3}, 2.0)));
    model.optimizer.zero_grad();
    eg::embedding(made_there(eg::arange(3)), model.weight).sum().backward();  // nothing is broken
    model.optimizer.step();
    BOOST_TEST(model.now().at({2, 1}) == 1.5);
    BOOST_TEST(model.now().at({3, 1}) == 2);
  }
}

BOOST_AUTO_TEST_CASE(the_first_of_several_is_told) {
  Model model;
  Tensor first = eg::full({1000}, 3, {DType::int32});
  first.set({998}, 77);
  first.set({999}, 78);
  const Tensor good = eg::embedding(made_there(eg::arange(4)), model.weight);
  const Tensor wrong = eg::embedding(made_there(first), model.weight);
  const Tensor worse = eg::embedding(made_there(eg::full({2}, -1, {DType::int64})), model.weight);
  BOOST_TEST(refuses<eg::IndexError>([&] { return worse.sum().item(); }, {"input[998] is 77, but weight has 50 rows"}));
  BOOST_TEST(good.sum().item() == 24);  // told once
}

// What changes in place waits at once.
BOOST_AUTO_TEST_CASE(changes_in_place) {
  Model model;
  const Tensor bad = made_there(eg::full({2}, 60, {DType::int64}));
  BOOST_TEST(
      refuses<eg::IndexError>([&] { return eg::embedding(bad, model.weight, {.max_norm = 1}); }, {"input[0] is 60"}));
  BOOST_TEST(eg::test::same_bits("max_norm", model.now(), eg::full({50, 3}, 2.0)));
  const Tensor out = eg::embedding(bad, model.weight);
  BOOST_TEST(refuses<eg::IndexError>([&] { eg::no_grad([&] { model.weight.fill(3); }); }, {"input[0] is 60"}));
  BOOST_TEST(eg::test::same_bits("by hand", model.now(), eg::full({50, 3}, 2.0)));
}

BOOST_AUTO_TEST_CASE(classes) {
  Draw draw(2);
  const Tensor logits = draw.uniform({4, 7}).to(gpu).set_requires_grad();
  Tensor target = eg::arange(4);
  target.set({1}, -100);
  const double good = eg::cross_entropy(logits, made_there(target)).item();
  BOOST_TEST(good == eg::cross_entropy(logits, target.to(gpu)).item());
  target.set({2}, 7);
  for (const bool known : {true, false}) {
    BOOST_TEST(refuses<eg::IndexError>(
        [&] { return eg::cross_entropy(logits, known ? target.to(gpu) : made_there(target)).item(); },
        {"cross_entropy: target[2] is 7, but there are 7 classes"}));
    BOOST_TEST(refuses<eg::IndexError>(
        [&] { return eg::nll_loss(logits, known ? target.to(gpu) : made_there(target)).item(); },
        {"nll_loss: target[2] is 7, but there are 7 classes"}));
  }
}

BOOST_AUTO_TEST_CASE(no_rows_at_all) {
  const Tensor nothing = eg::empty({0, 3}, {DType::float32, gpu});
  BOOST_TEST(refuses<eg::IndexError>([&] { return eg::embedding(made_there(eg::arange(2)), nothing); },
                                     {"input[0] is 0, but weight has 0 rows"}));
}

BOOST_AUTO_TEST_SUITE_END()
