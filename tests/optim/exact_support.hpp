// What the tests of exact updates share: optimizers of every kind, and training whose dense and sparse runs agree.
#pragma once

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim.hpp>
#include <embergrad/row_sparse.hpp>

#include "optim/optim_support.hpp"
#include "support/check.hpp"
#include "support/random.hpp"

namespace embergrad::test {

// An optimizer with its options. `closeness` is how far from the dense run a float64 one may end, in units of the
// parameter's RMS; 0 means the same bits.
struct Trainer {
  std::string name;
  std::function<std::unique_ptr<optim::Optimizer>(const std::vector<Tensor>&)> make;
  double closeness;
};

template <class Type, class Options>
Trainer trainer(std::string name, const Options& options, double closeness) {
  return {std::move(name), [options](const auto& parameters) { return std::make_unique<Type>(parameters, options); },
          closeness};
}

inline constexpr double closed = 1e-12;
inline constexpr double bounded = 1e-10;
inline constexpr double replayed = 0;

// One of each way to be exact.
inline const std::vector<Trainer>& one_of_each_kind() {
  static const std::vector<Trainer> all{
      trainer<optim::SGD>("SGD", optim::SGDOptions{.lr = .1, .momentum = .9, .weight_decay = 1e-2}, closed),
      trainer<optim::AdamW>("AdamW", optim::AdamWOptions{.lr = 1e-2, .weight_decay = .1}, bounded),
      trainer<optim::Adam>("Adam with decay", optim::AdamOptions{.lr = 1e-2, .eps = 1e-3, .weight_decay = .1},
                           replayed)};
  return all;
}

struct Distance {
  double max = 0;
  double mean = 0;
};

// In units of the RMS of `reference`.
inline Distance distance(const Tensor& tensor, const Tensor& reference) {
  const std::vector<double> a = tensor.to(DType::float64).to_vector<double>();
  const std::vector<double> b = reference.to(DType::float64).to_vector<double>();
  BOOST_REQUIRE(tensor.shape() == reference.shape() && !a.empty());
  Distance result;
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    result.max = difference <= result.max ? result.max : difference;  // a NaN wins
    result.mean += difference / static_cast<double>(a.size());
    squares += b[i] * b[i] / static_cast<double>(a.size());
  }
  BOOST_REQUIRE(squares > 0);
  return {result.max / std::sqrt(squares), result.mean / std::sqrt(squares)};
}

// Is `tensor` as close to `reference` as `allowed` says? 0 asks for the same bits.
inline boost::test_tools::assertion_result near(const std::string& name, const Tensor& tensor, const Tensor& reference,
                                                double allowed) {
  if (allowed == 0) return same_bits(name, tensor, reference);
  const double found = distance(tensor, reference).max;
  return verdict(found <= allowed, fmt::format("{}: {} RMS apart, allowed {}", name, found, allowed));
}

// Numbers y = q · truth[row] regressed on q · table[row], the rows by a Zipf law. All that is read goes into the
// gradients, so that a row that is read stale changes everything after it.
class Regression {
 public:
  struct Options {
    std::int64_t rows = 200;
    std::int64_t dim = 4;
    std::int64_t batch = 12;
    double exponent = 1.1;
    std::uint64_t seed = 1;
    DType dtype = DType::float64;
  };

  explicit Regression(const Options& options) : options_(options) {
    Draw draw(options.seed);
    start_ = draw.uniform({options.rows, options.dim}, DType::float64, -.2, .2).to(options.dtype);
    truth_ = draw.uniform({options.rows, options.dim}, DType::float64).to(options.dtype);
    double sum = 0;
    for (std::int64_t row = 1; row <= options.rows; ++row) {
      sum += std::pow(static_cast<double>(row), -options.exponent);
      reach_.push_back(sum);
    }
  }

  // A table to train, the same each time.
  [[nodiscard]] Tensor table() const { return leaf(start_.clone()); }

  // The rows that a step looks up.
  [[nodiscard]] Tensor ids(std::int64_t step) const {
    Draw draw = draw_at(step);
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < options_.batch; ++i) {
      const auto place = std::lower_bound(reach_.begin(), reach_.end(), draw.unit() * reach_.back());
      ids.push_back(std::min<std::int64_t>(place - reach_.begin(), options_.rows - 1));
    }
    return tensor(ids);
  }

  [[nodiscard]] Tensor loss(const Tensor& table, std::int64_t step, const EmbeddingOptions& lookup) const {
    const Tensor rows = ids(step);
    Draw draw = draw_at(step + 1'000'000);
    const Tensor q = draw.uniform({options_.batch, options_.dim}, DType::float64).to(options_.dtype);
    return mse_loss(sum(embedding(rows, table, lookup) * q, {1}), sum(gather_rows(truth_, rows) * q, {1}));
  }
  void backward(const Tensor& table, std::int64_t step, bool sparse) const {
    loss(table, step, {.sparse = sparse}).backward();
  }

 private:
  [[nodiscard]] Draw draw_at(std::int64_t step) const {
    return Draw(options_.seed * 7'919 + static_cast<std::uint64_t>(step));
  }

  Options options_;
  Tensor start_;
  Tensor truth_;
  std::vector<double> reach_;
};

// A warm-up from 0, half a wave of a cosine, and a pause on the way: shares of the learning rate.
inline double share_at(std::int64_t step, std::int64_t steps) {
  const double way = static_cast<double>(step) / static_cast<double>(steps);
  if (way > .5 && way < .55) return 0;
  return std::min(way * 20, (1 + std::cos(std::numbers::pi * way)) / 2);
}

// Changes options of a group by name of their type.
template <class Type, class Change>
void change(optim::Optimizer& optimizer, const Change& body) {
  auto& typed = dynamic_cast<Type&>(optimizer);
  auto options = typed.options();
  body(options);
  typed.set_options(0, options);
}

// A gradient without rows: a step in which all rows are idle.
inline Gradient no_rows(const Tensor& table) {
  return RowSparse::from_rows(zeros({0}, {DType::int64, {}}), zeros({0, table.size(1)}, {table.dtype(), {}}),
                              table.size(0));
}

// Called before each step.
using Hook = std::function<void(optim::Optimizer&, std::int64_t step)>;

// Trains a table of the task along the schedule above, with dense or sparse gradients.
inline Tensor trained(const Regression& task, const Trainer& trainer, std::int64_t steps, bool sparse,
                      const Hook& before = {}) {
  Tensor table = task.table();
  const auto optimizer = trainer.make({table});
  const double lr = optimizer->lr();
  for (std::int64_t step = 0; step < steps; ++step) {
    optimizer->set_lr(lr * share_at(step, steps));
    if (before) before(*optimizer, step);
    optimizer->zero_grad();
    task.backward(table, step, sparse);
    optimizer->step();
  }
  return table.detach().clone();
}

// Runs a training program with dense and with sparse gradients and asks for the same table. `slack`: how close they
// are to be at least, where something beside the optimizer sums in another order.
using Program = std::function<Tensor(const Trainer& trainer, bool sparse)>;
inline void is_a_speed_switch(const Program& program, const std::vector<Trainer>& trainers = one_of_each_kind(),
                              double slack = 0) {
  for (const Trainer& trainer : trainers) {
    const Tensor dense = program(trainer, false);
    BOOST_TEST(near(trainer.name, program(trainer, true), dense, std::max(trainer.closeness, slack)));
  }
}

inline constexpr TensorOptions f64{DType::float64, {}};
// Where norms or products sum in another order, or over zeros too.
inline constexpr double other_sums = 1e-10;

inline const Regression& task() {
  static const Regression regression({});
  return regression;
}

// A table amid training; most of its rows are idle at any time.
struct Run {
  Run(const Trainer& trainer, bool is_sparse, std::int64_t steps = 60)
      : sparse(is_sparse), table(task().table()), optimizer(trainer.make({table})) {
    go_on(steps);
  }
  void go_on(std::int64_t steps) {
    for (const std::int64_t end = step + steps; step < end; ++step) {
      optimizer->zero_grad();
      task().backward(table, step, sparse);
      optimizer->step();
    }
  }
  [[nodiscard]] Tensor values() const { return table.detach().clone(); }

  bool sparse;
  Tensor table;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::int64_t step = 0;
};

// Trains, lets `event` happen, goes on.
template <class Event>
Program amid(const Event& event) {
  return [event](const Trainer& trainer, bool sparse) {
    Run run(trainer, sparse);
    event(run);
    run.go_on(60);
    return run.values();
  };
}

// Trains by steps of another kind: `backward` fills the gradients of one.
template <class Backward>
Program by(const Backward& backward) {
  return [backward](const Trainer& trainer, bool sparse) {
    Run run(trainer, sparse, 0);
    for (std::int64_t step = 0; step < 150; ++step) {
      run.optimizer->zero_grad();
      backward(run.table, step, sparse);
      run.optimizer->step();
    }
    return run.values();
  };
}

}  // namespace embergrad::test
