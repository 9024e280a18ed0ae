#include <embergrad/optim/row_optimizer.hpp>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <embergrad/nn/embedding.hpp>
#include <embergrad/optim.hpp>

#include "optim/rule_support.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests
using optim::RowOptimizer;
using optim::Updates;

namespace {

// SGD with momentum and decay, without and with a form for idle time.
struct Replayed {
  struct Options {
    double lr = 1e-3;
    double momentum = 0;
    double weight_decay = 0;
    bool nesterov = false;
    Updates updates = Updates::exact;
    static void fields(auto& options, const auto& field) {
      field("lr", options.lr);
      field("momentum", options.momentum);
      field("weight_decay", options.weight_decay);
      field("nesterov", options.nesterov);
    }
    static std::vector<std::string> problems(const Options& options) {
      if (options.lr < 0) return {"lr must not be negative"};
      return {};
    }
  };
  static constexpr const char* name = "Replayed";
  static constexpr std::array slots{"momentum_buffer"};

  template <class T>
  static void step(const Options& o, std::span<T> row, std::span<const T> grad, std::span<T> b, std::int64_t) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      T g = grad[i] + static_cast<T>(o.weight_decay) * row[i];
      b[i] = static_cast<T>(o.momentum) * b[i] + g;
      g = o.nesterov ? g + static_cast<T>(o.momentum) * b[i] : b[i];
      row[i] = row[i] - static_cast<T>(o.lr) * g;
    }
  }
};

struct Closed {
  using Options = Replayed::Options;
  static constexpr const char* name = "Closed";
  static constexpr std::array slots{"momentum_buffer"};
  template <class T>
  static void step(const Options& o, std::span<T> row, std::span<const T> grad, std::span<T> b, std::int64_t t) {
    Replayed::step<T>(o, row, grad, b, t);
  }
  // Without decay: b fades, and w follows it.
  template <class T>
  static void idle(const Options& o, std::span<T> row, std::span<T> b, std::int64_t from, std::int64_t to) {
    const double faded = std::pow(o.momentum, static_cast<double>(to - from));
    const double way = o.lr * o.momentum * (1 - faded) / (1 - o.momentum);
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = static_cast<T>(row[i] - way * b[i]);
      b[i] = static_cast<T>(b[i] * faded);
    }
  }
};

// Looks at a row as a whole: the gradient's direction alone counts. Keeps nothing.
struct Direction {
  struct Options {
    double lr = 1;
    Updates updates = Updates::exact;
    static void fields(auto& options, const auto& field) { field("lr", options.lr); }
  };
  static constexpr const char* name = "Direction";
  static constexpr std::array<const char*, 0> slots{};
  template <class T>
  static void step(const Options& o, std::span<T> row, std::span<const T> grad, std::int64_t) {
    T squares = 0;
    for (const T g : grad) squares += g * g;
    if (squares == 0) return;
    for (std::size_t i = 0; i < row.size(); ++i) row[i] -= static_cast<T>(o.lr) * grad[i] / std::sqrt(squares);
  }
};

// Counts each row's steps, and adds up their numbers times lr.
struct Counting {
  struct Options {
    double lr = 1;
    optim::Betas betas = {};
    Updates updates = Updates::exact;
    static void fields(auto& options, const auto& field) {
      field("lr", options.lr);
      field("betas", options.betas);
    }
  };
  static constexpr const char* name = "Counting";
  static constexpr std::array slots{"steps", "weighted", "idle_calls"};
  static void step(const Options& o, auto row, auto /*grad*/, auto steps, auto weighted, auto, std::int64_t t) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      steps[i] += 1;
      weighted[i] += static_cast<std::remove_cvref_t<decltype(row[i])>>(o.lr) * t;
    }
  }
  static void idle(const Options& o, auto row, auto steps, auto weighted, auto calls, std::int64_t from,
                   std::int64_t to) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      steps[i] += to - from;
      weighted[i] += static_cast<std::remove_cvref_t<decltype(row[i])>>(o.lr) * (to * (to + 1) - from * (from + 1)) / 2;
      calls[i] += 1;
    }
  }
};

struct Unnamed : Direction {
  struct Options {
    double lr = 1;
    Updates updates = Updates::exact;
    static void fields(auto&, const auto&) {}
  };
  template <class T>
  static void step(const Options&, std::span<T>, std::span<const T>, std::int64_t) {}
};

const Replayed::Options momentum_and_decay{.lr = .1, .momentum = .9, .weight_decay = .01, .nesterov = true};

}  // namespace

BOOST_AUTO_TEST_SUITE(row_optimizer)

BOOST_AUTO_TEST_CASE(a_known_rule_gives_known_numbers) {
  const optim::SGDOptions same{.lr = .1, .momentum = .9, .weight_decay = .01, .nesterov = true};
  BOOST_TEST(after_stored_gradients<RowOptimizer<Replayed>>(momentum_and_decay) ==
             after_stored_gradients<optim::SGD>(same));
  const Regression task({.dtype = eg::DType::float32});
  BOOST_TEST(near("float32", trained(task, trainer<RowOptimizer<Replayed>>("own", momentum_and_decay, 0), 60, false),
                  trained(task, trainer<optim::SGD>("SGD", same, 0), 60, false), replayed));
}

BOOST_AUTO_TEST_CASE(all_modes) {
  check_modes(trainer<RowOptimizer<Replayed>>("replayed", momentum_and_decay, replayed));
  check_modes(trainer<RowOptimizer<Closed>>("closed", Closed::Options{.lr = .1, .momentum = .9}, closed));
  check_modes(trainer<RowOptimizer<Direction>>("direction", Direction::Options{.lr = .01}, replayed));
}

// Whatever changes on the way, each row lives through each step once, by the options of that step.
BOOST_AUTO_TEST_CASE(idle_time_is_told_step_by_step) {
  for (const std::int64_t every : {1, 7, 1000}) {
    Tensor table = leaf(eg::zeros({30, 2}, f64));
    RowOptimizer<Counting> optimizer({table});
    Draw draw(3);
    double weighted = 0;
    for (std::int64_t t = 1; t <= 700; ++t) {
      optimizer.set_lr(static_cast<double>(1 + t / every % 5));
      weighted += optimizer.lr() * static_cast<double>(t);
      table.set_grad(eg::RowSparse::from_rows(draw.integers({3}, 0, 9), eg::ones({3, 2}, f64), 30));
      if (t == 300) table.set_grad(eg::ones({30, 2}, f64));
      optimizer.step();
    }
    BOOST_TEST(equal_to("steps", optimizer.state(0, "steps"), eg::full({30, 2}, 700, f64)));
    BOOST_TEST(equal_to("weighted", optimizer.state(0, "weighted"), eg::full({30, 2}, weighted, f64)));
    // Rows that were never touched are read once for each change of options, and for the dense step on the way.
    if (every == 1000) BOOST_TEST(optimizer.state(0, "idle_calls").at({29, 0}) == 2);
  }
}

BOOST_AUTO_TEST_CASE(history_is_bounded) {
  for (const bool changing : {false, true}) {
    for (const bool has_idle : {false, true}) {
      Tensor table = leaf(eg::zeros({100, 2}, f64));
      const std::unique_ptr<optim::Optimizer> optimizer =
          has_idle ? std::unique_ptr<optim::Optimizer>(new RowOptimizer<Closed>({table}, {.momentum = .5}))
                   : std::unique_ptr<optim::Optimizer>(new RowOptimizer<Replayed>({table}, {.momentum = .5}));
      for (std::int64_t t = 0; t < 5000; ++t) {
        if (changing) optimizer->set_lr(1e-3 * static_cast<double>(t % 11));
        table.set_grad(eg::RowSparse::from_rows(eg::tensor({t % 3}), eg::ones({1, 2}, f64), 100));
        optimizer->step();
      }
      BOOST_TEST(optimizer->history_bytes() < (changing ? 100'000 : 1'000));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_table_is_one_row) {
  const auto moved = [](const eg::Shape& shape) {
    Tensor p = leaf(eg::zeros(shape, f64));
    RowOptimizer<Direction> optimizer({p});
    p.set_grad(eg::full(shape, 2, f64));
    optimizer.step();
    return p.detach().to_vector<double>().back();
  };
  BOOST_TEST(moved({}) == -1);
  BOOST_TEST(moved({4}) == -.5);
  BOOST_TEST(moved({3, 4}) == -.5);
  BOOST_TEST(moved({5, 2, 2}) == -.5);
}

BOOST_AUTO_TEST_CASE(frozen_rows_small_types_and_growth) {
  eg::nn::Embedding embedding({.num_embeddings = 4, .embedding_dim = 4, .padding_idx = 1, .sparse = true});
  RowOptimizer<Counting> optimizer({embedding.weight});
  embedding.weight.set_grad(eg::ones({4, 4}));
  optimizer.step();
  BOOST_TEST(equal_to("steps", optimizer.state(0, "steps")[1], eg::zeros({4})));
  embedding.grow(6);
  optimizer.zero_grad();
  embedding(eg::tensor({5})).backward(eg::ones({1, 4}));
  optimizer.step();
  BOOST_TEST(optimizer.state(0, "steps").at({5, 0}) == 1);
  BOOST_TEST(optimizer.state(0, "steps").at({0, 0}) == 2);

  Tensor half = leaf(eg::zeros({3, 4}, {eg::DType::bfloat16, {}}));
  RowOptimizer<Direction> other({half}, {.updates = Updates::touched_only});
  half.set_grad(eg::RowSparse::from_rows(eg::tensor({2}), eg::ones({1, 4}), 3));
  other.step();
  BOOST_TEST(half.at({2, 3}) == -.5);
}

BOOST_AUTO_TEST_CASE(groups_state_and_checkpoints) {
  Problem whole(3);
  Problem stopped(3);
  using Optimizer = RowOptimizer<Replayed>;
  const auto make = [](Problem& problem) {
    auto& p = problem.parameters;
    Replayed::Options fast = momentum_and_decay;
    fast.lr = .5;
    return Optimizer(
        {{.params = {p[0], p[1]}, .options = momentum_and_decay}, {.params = {p[2], p[3]}, .options = fast}});
  };
  Optimizer straight = make(whole);
  Optimizer other = make(stopped);
  optim::StepLR schedule(straight, {.step_size = 2, .gamma = .5});
  for (std::int64_t step = 0; step < 9; ++step) {
    if (step == 4) {
      const eg::test::TemporaryDirectory directory;
      eg::save(directory / "state", other.state_dict());
      other = make(stopped);
      other.load_state_dict(eg::load(directory / "state").tensors);
    }
    for (Problem* problem : {&whole, &stopped}) problem->draw_gradients(step);
    straight.step();
    other.step();
    schedule.step();
    other.set_lr(straight.lr(0), 0);
    other.set_lr(straight.lr(1), 1);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    BOOST_TEST(equal_to("parameter", stopped.parameters[i].detach(), whole.parameters[i].detach()));
  }
  BOOST_TEST(straight.lr(1) == .5 / 16);
  BOOST_TEST(straight.state_dict().contains("optimizer.Replayed"));
  std::ostringstream printed;
  printed << straight;
  BOOST_TEST(
      printed.str().starts_with("Replayed\n  group 0: 2 parameters, 36 elements, lr=0.00625, momentum=0.9, "
                                "weight_decay=0.01, nesterov=True, updates=exact"));
}

BOOST_AUTO_TEST_CASE(options_are_validated) {
  Tensor p = leaf(eg::ones({2, 3}));
  BOOST_CHECK_EXCEPTION(RowOptimizer<Replayed>({p}, {.lr = -1}), eg::ValueError,
                        says({"Replayed", "group 0", "lr must not be negative"}));
  RowOptimizer<Replayed> optimizer({p});
  BOOST_CHECK_EXCEPTION(optimizer.set_options(0, {.updates = Updates::dense}), eg::ValueError, says({"set_updates"}));
  BOOST_CHECK_EXCEPTION(RowOptimizer<Replayed>({p, p}), eg::ValueError, says({"Replayed", "given twice"}));
  BOOST_CHECK_EXCEPTION(RowOptimizer<Unnamed>({p}), eg::ValueError, says({"fields must name lr"}));
}

BOOST_AUTO_TEST_SUITE_END()
