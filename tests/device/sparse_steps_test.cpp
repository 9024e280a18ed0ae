// Steps with sparse gradients on a GPU: tables, states and reads are the CPU's, to the bit.
#include <array>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim.hpp>
#include <embergrad/safetensors.hpp>

#include "device/on_gpu.hpp"
#include "support/check.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Device;
using eg::DType;
using eg::Tensor;
using eg::optim::Updates;
using eg::test::Draw;
using eg::test::gpu;
using eg::test::same_bits;

namespace {

const Device cpu = Device::cpu();

struct Trainer {
  std::string name;
  std::function<std::unique_ptr<optim::Optimizer>(const std::vector<Tensor>&, Updates)> make;
  std::vector<const char*> slots;
};

template <class Type, class Options>
Trainer trainer(std::string name, Options options, std::vector<const char*> slots) {
  const auto make = [options](const std::vector<Tensor>& parameters, Updates updates) {
    Options own = options;
    if constexpr (requires { own.updates; }) own.updates = updates;
    return std::make_unique<Type>(parameters, own);
  };
  return {std::move(name), make, std::move(slots)};
}

// Each way in which time passes, and each kind of state.
const std::vector<Trainer>& trainers() {
  static const std::vector<Trainer> all{
      trainer<optim::AdamW>("AdamW", optim::AdamWOptions{.lr = 1e-2, .weight_decay = .1}, {"exp_avg", "exp_avg_sq"}),
      trainer<optim::SGD>("SGD", optim::SGDOptions{.lr = .1}, {}),
      trainer<optim::SGD>("SGD with momentum",
                          optim::SGDOptions{.lr = .1, .momentum = .9, .weight_decay = 1e-2, .nesterov = true},
                          {"momentum_buffer"}),
      trainer<optim::Adam>("Adam with decay, replayed", optim::AdamOptions{.lr = 1e-2, .weight_decay = .1},
                           {"exp_avg", "exp_avg_sq"}),
      trainer<optim::Adam>("AMSGrad", optim::AdamOptions{.lr = 1e-2, .amsgrad = true},
                           {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}),
      trainer<optim::NAdam>("NAdam", optim::NAdamOptions{.lr = 1e-2}, {"exp_avg", "exp_avg_sq"}),
      trainer<optim::RAdam>("RAdam", optim::RAdamOptions{.lr = 1e-2}, {"exp_avg", "exp_avg_sq"}),
      trainer<optim::Adamax>("Adamax", optim::AdamaxOptions{.lr = 1e-2}, {"exp_avg", "exp_inf"}),
      trainer<optim::Adagrad>("Adagrad with decay", optim::AdagradOptions{.lr = 1e-2, .weight_decay = .1}, {"sum"}),
      trainer<optim::RowwiseAdagrad>("RowwiseAdagrad", optim::RowwiseAdagradOptions{.lr = 1e-2, .weight_decay = .1},
                                     {"sum"}),
      trainer<optim::RMSprop>("RMSprop", optim::RMSpropOptions{.lr = 1e-2, .momentum = .9, .centered = true},
                              {"square_avg", "momentum_buffer", "grad_avg"}),
      trainer<optim::Lion>("Lion", optim::LionOptions{.lr = 1e-2, .weight_decay = .1}, {"exp_avg"}),
      trainer<optim::SparseAdam>("SparseAdam", optim::SparseAdamOptions{.lr = 1e-2}, {"exp_avg", "exp_avg_sq"})};
  return all;
}

constexpr std::int64_t rows = 60;
constexpr std::int64_t padding = 3;

// A table in training on a device. Gradients are made of what is read, so that a row read stale changes all after it.
struct Run {
  Run(const Trainer& trainer, Updates updates, DType dtype, Device on, std::int64_t dim)
      : device(on), table(Draw(1).uniform({rows, dim}, DType::float64, -.2, .2).to(dtype).to(on)) {
    table.set_requires_grad();
    eg::detail::freeze_row(table, padding);
    eg::detail::freeze_row(table, 17);
    optimizer = trainer.make({table}, updates);
    lr = optimizer->lr();
  }
  // Most rows are idle at any time, some for ever.
  [[nodiscard]] static Tensor ids(std::int64_t step) {
    Draw draw(static_cast<std::uint64_t>(step) + 100);
    std::vector<std::int64_t> some;
    for (int i = 0; i < 9; ++i) some.push_back(draw.integer(0, draw.integer(1, rows - 2)));
    return eg::tensor(some);
  }
  void backward(const Tensor& out) const {
    const Tensor pull = Draw(static_cast<std::uint64_t>(step)).uniform(out.shape(), out.dtype()).to(device);
    out.backward(out.detach() * 0.5 + pull);
  }
  void go_on(std::int64_t steps) {
    for (const std::int64_t end = step + steps; step < end; ++step) {
      optimizer->set_lr(lr * static_cast<double>(1 + step % 7));
      optimizer->zero_grad();
      look_up();
      optimizer->step();
    }
  }
  void look_up() const { backward(eg::embedding(ids(step), table, {.padding_idx = padding, .sparse = true})); }
  [[nodiscard]] Tensor values() const { return table.detach().to(cpu).clone(); }

  Device device;
  Tensor table;
  std::unique_ptr<optim::Optimizer> optimizer;
  double lr = 0;
  std::int64_t step = 0;
};

void same_state(const Trainer& trainer, const Run& by_cpu, const Run& by_gpu) {
  for (const char* slot : trainer.slots) {
    for (const std::int64_t row : {std::int64_t{0}, padding, rows / 2, rows - 1}) {
      const Tensor there = by_gpu.optimizer->state_of_row(0, row, slot);
      BOOST_TEST((there.device() == gpu));
      BOOST_TEST(same_bits(slot, there.to(cpu), by_cpu.optimizer->state_of_row(0, row, slot)));
    }
  }
  BOOST_TEST(by_gpu.optimizer->last_steps(0) == by_cpu.optimizer->last_steps(0), boost::test_tools::per_element());
  BOOST_TEST(same_bits("table", by_gpu.values(), by_cpu.values()));
  for (const char* slot : trainer.slots) {
    BOOST_TEST(same_bits(slot, by_gpu.optimizer->state(0, slot).to(cpu), by_cpu.optimizer->state(0, slot)));
  }
}

// Under sanitizers, where bodies run slowly, fewer.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::int64_t usual_steps = 5;
#else
constexpr std::int64_t usual_steps = 16;
#endif

// Trains on both devices; `event` happens in between.
using Event = std::function<void(Run&)>;
void same_on_both(const Trainer& trainer, Updates updates, DType dtype, std::int64_t dim, const Event& event = {},
                  std::int64_t steps = usual_steps) {
  Run by_cpu(trainer, updates, dtype, cpu, dim);
  Run by_gpu(trainer, updates, dtype, gpu, dim);
  for (Run* run : {&by_cpu, &by_gpu}) {
    run->go_on(steps);
    if (!event) continue;
    event(*run);
    run->go_on(steps);
  }
  same_state(trainer, by_cpu, by_gpu);
}

constexpr std::pair<const char*, Updates> modes[] = {
    {"exact", Updates::exact}, {"touched_only", Updates::touched_only}, {"dense", Updates::dense}};

// The event with each way in which time passes.
void amid_exact(const Event& event, std::initializer_list<std::size_t> which = {0, 2, 3, 9}) {
  for (const std::size_t i : which) {
    BOOST_TEST_CONTEXT(trainers()[i].name) { same_on_both(trainers()[i], Updates::exact, DType::float32, 4, event); }
  }
}

// A rule from outside the library.
struct Descent {
  struct Options {
    double lr = .1;
    Updates updates = Updates::exact;
    static void fields(auto& options, const auto& field) { field("lr", options.lr); }
  };
  static constexpr const char* name = "Descent";
  static constexpr std::array<const char*, 0> slots{};

  template <class T>
  static void step(const Options& o, std::span<T> row, std::span<const T> grad, std::int64_t /*t*/) {
    for (std::size_t i = 0; i < row.size(); ++i) row[i] -= static_cast<T>(o.lr) * grad[i];
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sparse_steps, *boost::unit_test::precondition(eg::test::gpu_is_here))

BOOST_AUTO_TEST_CASE(every_optimizer_in_every_mode) {
  for (const Trainer& trainer : trainers()) {
    for (const auto& [mode, updates] : modes) {
      if (trainer.name == "SparseAdam" && updates != Updates::touched_only) continue;
      BOOST_TEST_CONTEXT(trainer.name << ", " << mode) {
        same_on_both(trainer, updates, DType::float32, 5);
        if (updates == Updates::exact) same_on_both(trainer, updates, DType::float64, 4);
        if (updates == Updates::touched_only) same_on_both(trainer, updates, DType::bfloat16, 4);
      }
    }
  }
}

// Longer than the history, which is bounded by visits to idle rows.
BOOST_AUTO_TEST_CASE(long_runs) {
  for (const std::size_t i : {0U, 3U}) {
    BOOST_TEST_CONTEXT(trainers()[i].name) { same_on_both(trainers()[i], Updates::exact, DType::float32, 4, {}, 70); }
  }
}

BOOST_AUTO_TEST_CASE(settling) {
  amid_exact([](Run& run) { run.optimizer->settle_all(); });
  amid_exact([](Run& run) { run.optimizer->set_updates(0, Updates::touched_only); });
}

BOOST_AUTO_TEST_CASE(freezing) {
  amid_exact([](Run& run) {
    eg::detail::freeze_row(run.table, 1);
    eg::detail::unfreeze_row(run.table, 17);
    run.go_on(5);
    eg::detail::unfreeze_row(run.table, 1);
  });
}

// Everything that reads rows that are behind, as it is read on the CPU.
BOOST_AUTO_TEST_CASE(reads) {
  const Trainer& adamw = trainers()[0];
  Run by_cpu(adamw, Updates::exact, DType::float32, cpu, 5);
  Run by_gpu(adamw, Updates::exact, DType::float32, gpu, 5);
  by_cpu.go_on(20);
  by_gpu.go_on(20);
  const auto same = [&](const char* name, const std::function<Tensor(const Tensor&, Device)>& read) {
    const Tensor there = read(by_gpu.table.detach(), gpu);
    BOOST_TEST(same_bits(name, there.to(cpu), read(by_cpu.table.detach(), cpu)));
    BOOST_TEST(!by_cpu.optimizer->last_steps(0).empty(), name);
    BOOST_TEST(!by_gpu.optimizer->last_steps(0).empty(), name);
  };
  same("embedding", [](const Tensor& table, Device) { return eg::embedding(eg::arange(rows), table); });
  same("embedding on the device", [](const Tensor& table, Device on) {
    return eg::embedding(eg::tensor({5, 58, 5}).to(on), table);
  });
  same("a slice",
       [](const Tensor& table, Device) { return eg::embedding(eg::arange(20), eg::narrow(table, 0, 30, 20)); });
  same("clone", [](const Tensor& table, Device) { return table.clone(); });
  same("a part of rows", [](const Tensor& table, Device) { return eg::narrow(table.reshape({-1}), 0, 7, 9).clone(); });
  same("to", [](const Tensor& table, Device) { return table.to(DType::float64); });
  const Tensor bags = eg::reshape(eg::arange(rows), {-1, 4});
  for (const eg::BagMode mode : {eg::BagMode::sum, eg::BagMode::mean, eg::BagMode::max}) {
    same("embedding_bag", [&](const Tensor& table, Device) {
      return eg::embedding_bag(bags, table, {}, {.mode = mode, .padding_idx = padding});
    });
  }
  BOOST_TEST(by_gpu.table.at({58, 2}) == by_cpu.table.at({58, 2}));
  std::ostringstream here;
  std::ostringstream there;
  here << by_cpu.table.detach();
  BOOST_TEST(!by_cpu.optimizer->last_steps(0).empty());
  there << by_gpu.table.detach().to(cpu);
  BOOST_TEST(here.str() == there.str());
  here << *by_cpu.optimizer;
  there << *by_gpu.optimizer;
  BOOST_TEST(here.str() == there.str());
  by_cpu.go_on(5);
  by_gpu.go_on(5);
  same_state(adamw, by_cpu, by_gpu);
}

// Bags, several lookups of one table, rows scaled to a norm, clipped gradients, and gradients that are not sparse.
BOOST_AUTO_TEST_CASE(other_steps) {
  const auto by = [](const std::function<void(Run&)>& gradients) {
    amid_exact(
        [&](Run& run) {
          for (int i = 0; i < 5; ++i, ++run.step) {
            run.optimizer->zero_grad();
            gradients(run);
            run.optimizer->step();
          }
        },
        {0});
  };
  const auto bags = [](const Run& run) { return Run::ids(run.step).reshape({3, 3}); };
  for (const eg::BagMode mode : {eg::BagMode::sum, eg::BagMode::mean, eg::BagMode::max}) {
    by([&](Run& run) {
      run.backward(eg::embedding_bag(bags(run), run.table, {}, {.mode = mode, .sparse = true, .padding_idx = padding}));
    });
  }
  by([&](Run& run) {
    const Tensor weights = Draw(7).uniform({3, 3}).to(run.device);
    run.backward(eg::embedding_bag(bags(run), run.table, {},
                                   {.mode = eg::BagMode::mean, .sparse = true, .per_sample_weights = weights}));
  });
  by([](Run& run) {
    run.look_up();
    run.backward(eg::embedding(eg::arange(4), run.table, {.sparse = true}));
  });
  by([](Run& run) { run.backward(eg::embedding(Run::ids(run.step), run.table, {.max_norm = .3, .sparse = true})); });
  by([](Run& run) {
    run.look_up();
    (void)optim::clip_grad_norm({run.table}, .5);
  });
  by([](Run& run) {
    run.look_up();
    optim::clip_grad_value({run.table}, .1);
  });
  by([](Run& run) { run.backward(eg::embedding(Run::ids(run.step), run.table, {.sparse = false})); });
  by([](Run& run) {
    run.look_up();
    run.backward(eg::embedding(eg::arange(4), run.table, {.sparse = false}));
  });
}

// Of a gradient that is not sparse, the table remembers which rows are to be zeroed.
BOOST_AUTO_TEST_CASE(gradients_of_rows_are_dropped) {
  Tensor table = eg::ones({7, 3}, {DType::float32, gpu}).set_requires_grad();
  for (int i = 0; i < 3; ++i) {
    eg::embedding(eg::tensor({i, 5}), table).sum().backward();
    eg::embedding(eg::tensor({5}), table).sum().backward();
    Tensor expected = eg::zeros({7, 3});
    expected[i].fill(1);
    expected[5].fill(2);
    BOOST_TEST(same_bits("gradient", table.grad().dense().to(cpu), expected));
    table.zero_grad();
  }
}

// Checkpoints, and tables that move, go on as if nothing had been.
BOOST_AUTO_TEST_CASE(moves_between_devices) {
  const eg::test::TemporaryDirectory directory;
  for (const std::size_t i : {0U, 2U, 3U, 8U, 9U}) {
    const Trainer& trainer = trainers()[i];
    for (const bool by_file : {true, false}) {
      BOOST_TEST_CONTEXT(trainer.name << (by_file ? ", saved" : ", moved")) {
        Run stays(trainer, Updates::exact, DType::float32, cpu, 5);
        Run goes(trainer, Updates::exact, DType::float32, cpu, 5);
        const std::string path = directory / "state.safetensors";
        for (const Device to : {gpu, cpu}) {
          stays.go_on(15);
          goes.go_on(15);
          stays.optimizer->settle_all();
          goes.device = to;
          if (by_file) {
            Run next(trainer, Updates::exact, DType::float32, to, 5);
            eg::save(path, goes.optimizer->state_dict());
            eg::NoGrad guard;
            next.table.copy_from(goes.table.detach().to(to));
            next.optimizer->load_state_dict(eg::load(path).tensors);
            next.step = goes.step;
            goes = std::move(next);
          } else {
            eg::detail::adopt(goes.table, goes.table.detach().to(to).clone());
          }
        }
        stays.go_on(15);
        goes.go_on(15);
        BOOST_TEST(same_bits("table", goes.values(), stays.values()));
        for (const char* slot : trainer.slots) {
          BOOST_TEST(same_bits(slot, goes.optimizer->state(0, slot), stays.optimizer->state(0, slot)));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(layers_that_grow_and_tie) {
  const auto trained = [](Device on) {
    eg::manual_seed(3);
    eg::nn::Embedding layer({.num_embeddings = 20, .embedding_dim = 4, .padding_idx = 0, .sparse = true});
    eg::nn::Embedding twin({.num_embeddings = 26, .embedding_dim = 4, .sparse = true});
    layer.to(on);
    twin.to(on);
    optim::AdamW optimizer(layer.parameters(), {.lr = 1e-2});
    const auto steps = [&](std::int64_t from, std::int64_t below, auto&... lookups) {
      for (std::int64_t step = from; step < from + 12; ++step) {
        const Tensor ids = Draw(static_cast<std::uint64_t>(step)).integers({5}, 0, below - 1);
        optimizer.zero_grad();
        (eg::square(lookups(ids)).sum().backward(), ...);
        optimizer.step();
      }
    };
    steps(0, 20, layer);
    layer.grow(26);
    steps(20, 26, layer);
    twin.tie(layer.weight);
    steps(40, 26, layer, twin);
    return layer.weight.detach().to(cpu).clone();
  };
  BOOST_TEST(same_bits("table", trained(gpu), trained(cpu)));
}

BOOST_AUTO_TEST_CASE(rules_from_outside_are_refused) {
  Tensor table = eg::ones({4, 2}, {DType::float32, gpu}).set_requires_grad();
  optim::RowOptimizer<Descent> optimizer({table});
  eg::embedding(eg::tensor({1}), table, {.sparse = true}).sum().backward();
  BOOST_TEST(eg::test::refuses<eg::DeviceError>([&] { return optimizer.step(); }, {"Descent", "cuda:0", "CPU alone"}));
}

BOOST_AUTO_TEST_SUITE_END()
