// Updates::exact amid everything else that a training program does: `sparse` stays a switch of speed alone.
#include <boost/test/unit_test.hpp>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/random.hpp>
#include <embergrad/safetensors.hpp>

#include "optim/exact_support.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Shape;
using eg::Tensor;
using optim::Updates;
using namespace eg::test;  // NOLINT: all of it is here for these tests

namespace {

constexpr eg::TensorOptions f64{eg::DType::float64, {}};
// Where norms or products sum in another order, or over zeros too.
constexpr double other_sums = 1e-10;

const Regression& task() {
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

}  // namespace

BOOST_AUTO_TEST_SUITE(exact_interplay)

// --- who reads and who writes ----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(every_reader_sees_what_dense_training_gives) {
  using Reader = std::function<Tensor(const Tensor&)>;
  const std::vector<std::pair<const char*, Reader>> readers{
      {"clone", [](const Tensor& table) { return table.detach().clone(); }},
      {"embedding", [](const Tensor& table) { return eg::embedding(eg::arange(table.size(0)), table); }},
      {"embedding_bag",
       [](const Tensor& table) {
         return eg::embedding_bag(eg::reshape(eg::arange(200), {-1, 4}), table);
       }},
      {"gather_rows",
       [](const Tensor& table) {
         return eg::gather_rows(table, eg::tensor({190, 3, 77, 190}));
       }},
      {"index_select",
       [](const Tensor& table) {
         return eg::index_select(table, 0, eg::tensor({190, 3, 77}));
       }},
      {"row", [](const Tensor& table) { return table[150] * 1.0; }},
      {"slice", [](const Tensor& table) { return eg::embedding(eg::arange(50), eg::narrow(table, 0, 100, 50)); }},
      {"reshape", [](const Tensor& table) { return eg::reshape(table, {-1}) + 1.0; }},
      {"sum", [](const Tensor& table) { return eg::sum(eg::square(table), {1}); }},
      {"linear",
       [](const Tensor& table) {
         return eg::linear(eg::ones({1, 4}, f64), table);
       }},
      {"transpose", [](const Tensor& table) { return eg::transpose(table, 0, 1); }},
      {"cat",
       [](const Tensor& table) {
         return eg::cat({table, table}, 1);
       }},
      {"to_vector", [](const Tensor& table) { return eg::tensor(table.to_vector<double>()); }},
      {"at",
       [](const Tensor& table) {
         return eg::tensor({table.at({180, 2}), table.at({66, 0})}, f64);
       }},
      {"pointer",
       [](const Tensor& table) {
         const double* data = table.data<double>();
         return eg::tensor(std::vector<double>(data, data + table.numel()));
       }},
      {"float32", [](const Tensor& table) { return table.to(eg::DType::float32).to(eg::DType::float64); }},
      {"copy_from", [](const Tensor& table) { return eg::zeros(table.shape(), f64).copy_from(table); }},
      {"file",
       [](const Tensor& table) {
         const TemporaryDirectory directory;
         eg::StateDict state;
         state.set("table", table);
         eg::save(directory / "file", state);
         return eg::load(directory / "file").tensors.at("table");
       }},
  };
  for (const Trainer& trainer : one_of_each_kind()) {
    const Run dense(trainer, false);
    for (const auto& [name, read] : readers) {
      const Run sparse(trainer, true);
      const eg::NoGrad guard;
      BOOST_TEST(near(trainer.name + ", " + name, read(sparse.table), read(dense.table), trainer.closeness));
      BOOST_TEST(near("after " + std::string(name), sparse.values(), dense.values(), trainer.closeness));
    }
    const Run sparse(trainer, true);
    const auto printed = [](const Tensor& tensor) {
      std::ostringstream out;
      out << tensor;
      return out.str();
    };
    BOOST_TEST(printed(sparse.table) == printed(dense.table));
    const char* state = trainer.name == "SGD" ? "momentum_buffer" : "exp_avg";
    BOOST_TEST(near(state, sparse.optimizer->state(0, state), dense.optimizer->state(0, state), trainer.closeness));
  }
}

BOOST_AUTO_TEST_CASE(who_writes_writes_on_what_dense_training_gives) {
  is_a_speed_switch(amid([](Run& run) { eg::no_grad([&] { run.table.fill(.25); }); }));
  is_a_speed_switch(amid([](Run& run) { eg::no_grad([&] { run.table[150].fill(.25); }); }));
  is_a_speed_switch(amid([](Run& run) { eg::no_grad([&] { run.table.set({120, 1}, .5); }); }));
  is_a_speed_switch(amid([](Run& run) {
    eg::no_grad([&] {
      eg::narrow(run.table, 0, 100, 100)
          .copy_from(task().table().detach()[0].clone().reshape({1, 4}) * eg::ones({100, 1}, f64));
    });
  }));
  is_a_speed_switch(amid([](Run& run) {
    eg::Generator generator(3);
    eg::nn::init::normal(run.table, 0, .1, generator);
  }));
  is_a_speed_switch(amid([](Run& run) {
    eg::StateDict own;
    eg::StateDict other;
    own.set("table", run.table);
    other.set("table", task().table().detach());
    eg::load_into(own, other);
  }));
  is_a_speed_switch(amid([](Run& run) {
    double* data = eg::no_grad([&] { return run.table.mutable_data<double>(); });
    for (std::int64_t i = 0; i < run.table.numel(); i += 3) data[i] *= .5;
  }));
}

// Many threads look rows up at once, get what one thread gets, and leave the table as it is.
BOOST_AUTO_TEST_CASE(lookups_from_many_threads) {
  for (const Trainer& trainer : one_of_each_kind()) {
    const Run run(trainer, true);
    const auto look_up = [&] {
      const eg::NoGrad guard;
      return eg::embedding(eg::arange(200), run.table);
    };
    const Tensor expected = look_up();
    const std::vector<std::int64_t> last = run.optimizer->last_steps(0);
    std::vector<Tensor> got(6);
    std::vector<std::thread> threads;
    for (Tensor& tensor : got) threads.emplace_back([&] { tensor = look_up(); });
    for (std::thread& thread : threads) thread.join();
    for (const Tensor& tensor : got) BOOST_TEST(same_bits(trainer.name, tensor, expected));
    BOOST_TEST(run.optimizer->last_steps(0) == last, boost::test_tools::per_element());
    BOOST_TEST(same_bits("values", run.values(), expected));
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bits) {
  const Regression wide({.rows = 3000, .dim = 33, .batch = 700, .dtype = eg::DType::float32});
  for (const Trainer& trainer : one_of_each_kind()) {
    eg::set_num_threads(1);
    const Tensor one = trained(wide, trainer, 40, true);
    for (const int threads : {2, 5}) {
      eg::set_num_threads(threads);
      BOOST_TEST(same_bits(trainer.name, trained(wide, trainer, 40, true), one));
    }
  }
  eg::set_num_threads(2);
}

// --- steps of every kind ---------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(gradients_that_come_in_parts) {
  is_a_speed_switch(by([](const Tensor& table, std::int64_t step, bool sparse) {  // accumulated
    for (const std::int64_t part : {3 * step, 3 * step + 1, 3 * step + 2}) task().backward(table, part, sparse);
  }));
  is_a_speed_switch(by([](const Tensor& table, std::int64_t step, bool sparse) {  // two lookups of one table
    const Tensor one = task().loss(table, step, {.sparse = sparse});
    (one + task().loss(table, step + 500, {.sparse = sparse})).backward();
  }));
  // Tied with an output layer: a lookup and a product, in one gradient or in turns.
  const auto full = [](const Tensor& table, const Tensor& hidden, std::int64_t step) {
    return eg::cross_entropy(eg::linear(hidden, table), task().ids(step + 1));
  };
  is_a_speed_switch(
      by([&](const Tensor& table, std::int64_t step, bool sparse) {
        full(table, eg::tanh(eg::embedding(task().ids(step), table, {.sparse = sparse})), step).backward();
      }),
      one_of_each_kind(), other_sums);
  is_a_speed_switch(by([&](const Tensor& table, std::int64_t step, bool sparse) {
    if (step % 10 == 7) {
      full(table, eg::full({12, 4}, .3, f64), step).backward();
    } else {
      task().backward(table, step, sparse);
    }
  }));
}

BOOST_AUTO_TEST_CASE(steps_without_rows_and_without_gradients) {
  is_a_speed_switch(by([](const Tensor& table, std::int64_t step, bool sparse) {
    if (step % 3 != 1) task().backward(table, step, sparse);
  }));
  is_a_speed_switch(by([](Tensor table, std::int64_t step, bool sparse) {
    if (step < 5 || step % 4 == 1) {
      table.set_grad(sparse ? no_rows(table) : eg::Gradient(eg::zeros(table.shape(), f64)));
    } else {
      task().backward(table, step, sparse);
    }
  }));
}

BOOST_AUTO_TEST_CASE(clipping) {
  for (const double norm_type : {1.0, 2.0, std::numeric_limits<double>::infinity()}) {
    is_a_speed_switch(by([&](const Tensor& table, std::int64_t step, bool sparse) {
                        task().backward(table, step, sparse);
                        optim::clip_grad_norm({table}, .01, norm_type);
                      }),
                      one_of_each_kind(), other_sums);
  }
  is_a_speed_switch(by([](const Tensor& table, std::int64_t step, bool sparse) {
    task().backward(table, step, sparse);
    optim::clip_grad_value({table}, .005);
  }));
}

// A skipped step is none: no row moves, no time goes by.
BOOST_AUTO_TEST_CASE(steps_that_are_skipped) {
  const auto spoilt = [](bool skips) {
    return [skips](const Trainer& trainer, bool sparse) {
      Run run(trainer, sparse, 0);
      run.optimizer->set_skip_nonfinite(skips);
      for (std::int64_t step = 0; step < 120; ++step) {
        run.optimizer->zero_grad();
        const bool bad = step % 5 == 3;
        if (bad && !skips) continue;
        (task().loss(run.table, step, {.sparse = sparse}) * (bad ? std::numeric_limits<double>::quiet_NaN() : 1.0))
            .backward();
        BOOST_TEST(run.optimizer->step() != bad);
      }
      return run.values();
    };
  };
  is_a_speed_switch(spoilt(true));
  for (const Trainer& trainer : one_of_each_kind()) {
    BOOST_TEST(same_bits(trainer.name, spoilt(true)(trainer, true), spoilt(false)(trainer, true)));
  }
  // Otherwise it reaches the rows that it belongs to, and no others.
  for (const Trainer& trainer : one_of_each_kind()) {
    Run run(trainer, true);
    run.table.set_grad(eg::RowSparse::from_rows(eg::tensor({7}),
                                                eg::full({1, 4}, std::numeric_limits<double>::quiet_NaN(), f64), 200));
    run.optimizer->step();
    const std::vector<double> values = run.table.to_vector<double>();
    for (std::size_t i = 0; i < values.size(); ++i) BOOST_TEST(std::isnan(values[i]) == (i / 4 == 7));
  }
}

BOOST_AUTO_TEST_CASE(max_norm_and_bags) {
  is_a_speed_switch(by([](const Tensor& table, std::int64_t step, bool sparse) {
    task().loss(table, step, {.max_norm = .4, .sparse = sparse}).backward();
  }));
  is_a_speed_switch(by([](const Tensor& table, std::int64_t step, bool sparse) {
    const Tensor ids = eg::reshape(task().ids(step), {3, 4});
    for (const eg::BagMode mode : {eg::BagMode::sum, eg::BagMode::mean, eg::BagMode::max}) {
      eg::sum(eg::square(eg::embedding_bag(ids, table, {}, {.mode = mode, .sparse = sparse}) - .3)).backward();
    }
  }));
}

BOOST_AUTO_TEST_CASE(rows_and_tables_that_are_frozen_for_a_while) {
  for (const std::int64_t row : {3, 150}) {
    is_a_speed_switch(amid([row](Run& run) {
      const std::int64_t rows[] = {row};
      const auto value = [&] { return eg::embedding(eg::tensor({row}), run.table.detach()); };
      const Tensor before = value();
      eg::detail::freeze_row(run.table, rows[0]);
      run.go_on(60);
      BOOST_TEST(same_bits("frozen", value(), before));
      eg::detail::unfreeze_row(run.table, row);
      BOOST_TEST(same_bits("unfrozen", value(), before));
    }));
  }
  // A table without gradients lives through no time.
  is_a_speed_switch(amid([](Run& run) {
    run.table.set_requires_grad(false);
    run.optimizer->zero_grad();
    const Tensor before = run.values();
    for (int i = 0; i < 40; ++i) run.optimizer->step();
    BOOST_TEST(same_bits("frozen", run.values(), before));
    run.table.set_requires_grad();
  }));
}

// --- changes of optimizer, mode and size -----------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_mode_changes_on_the_way) {
  const auto then = [](Updates updates) { return [updates](Run& run) { run.optimizer->set_updates(0, updates); }; };
  is_a_speed_switch(amid([&](Run& run) {
    then(Updates::dense)(run);
    run.go_on(30);
    then(Updates::exact)(run);
  }));
  for (const Trainer& trainer : one_of_each_kind()) {
    // Rows stand still from here on, where dense training has brought them by now.
    Run dense(trainer, false);
    Run sparse(trainer, true);
    dense.sparse = true;
    for (Run* run : {&dense, &sparse}) {
      then(Updates::touched_only)(*run);
      run->go_on(60);
    }
    BOOST_TEST(near("exact, touched_only", sparse.values(), dense.values(), trainer.closeness));
    // And move again.
    then(Updates::dense)(dense);
    then(Updates::exact)(sparse);
    for (Run* run : {&dense, &sparse}) run->go_on(60);
    BOOST_TEST(near("touched_only, exact", sparse.values(), dense.values(), trainer.closeness));
  }
}

BOOST_AUTO_TEST_CASE(the_optimizer_changes_on_the_way) {
  for (const Trainer& next : one_of_each_kind()) {
    for (const bool keeps : {false, true}) {
      is_a_speed_switch(amid([&](Run& run) {
                          auto before = std::move(run.optimizer);
                          if (!keeps) before.reset();
                          run.optimizer = next.make({run.table});
                          run.go_on(60);
                          if (keeps) run.optimizer = std::move(before);
                        }),
                        one_of_each_kind(), bounded);
    }
  }
  // The table outlives its optimizer.
  is_a_speed_switch([](const Trainer& trainer, bool sparse) {
    Tensor table;
    {
      const Run run(trainer, sparse);
      table = run.table;
    }
    return table.detach().clone();
  });
}

BOOST_AUTO_TEST_CASE(tables_that_grow) {
  is_a_speed_switch([](const Trainer& trainer, bool sparse) {
    eg::Generator generator(4);
    eg::nn::Embedding layer({.num_embeddings = 200,
                             .embedding_dim = 4,
                             .padding_idx = 6,
                             .sparse = sparse,
                             .weight = task().table().detach(),
                             .dtype = eg::DType::float64});
    const auto optimizer = trainer.make({layer.weight});
    for (std::int64_t step = 0; step < 150; ++step) {
      if (step % 50 == 49) layer.grow(200 + 2 * step, generator);
      optimizer->zero_grad();
      const Tensor ids = task().ids(step) + (step % 3 == 0 ? layer.weight.size(0) - 200 : 0);
      eg::mse_loss(layer(ids), eg::full({12, 4}, .5, f64)).backward();
      optimizer->step();
    }
    return layer.weight.detach().clone();
  });
}

// Tables and dense parameters in one optimizer, groups each with its own mode.
BOOST_AUTO_TEST_CASE(groups_and_dense_parameters) {
  const auto train = [](Updates first, bool first_sparse, Updates second) {
    Tensor a = task().table();
    Tensor b = task().table();
    Tensor w = leaf(eg::full({4}, .5, f64));
    optim::AdamWOptions one{.lr = 1e-2, .updates = first};
    optim::AdamWOptions two{.lr = 3e-3, .weight_decay = .1, .updates = second};
    optim::AdamW optimizer({{.params = {a, w}, .options = one}, {.params = {b}, .options = two}});
    for (std::int64_t step = 0; step < 120; ++step) {
      optimizer.zero_grad();
      const Tensor rows = eg::embedding(task().ids(step), a, {.sparse = first_sparse}) * w +
                          eg::embedding(task().ids(step + 300), b, {.sparse = true});
      eg::mse_loss(rows, eg::full({12, 4}, .5, f64)).backward();
      optimizer.step();
    }
    return std::vector<Tensor>{a.detach().clone(), w.detach().clone(), b.detach().clone()};
  };
  for (const Updates second : {Updates::exact, Updates::dense, Updates::touched_only}) {
    const auto dense = train(Updates::exact, false, second == Updates::exact ? Updates::dense : second);
    const auto exact = train(Updates::exact, true, second);
    for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(near("parameter", exact[i], dense[i], bounded));
    const auto touched = train(Updates::touched_only, true, second);
    BOOST_TEST(distance(touched[0], dense[0]).max > 1e-2);
  }
}

// --- saving and memory -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(saved_amid_idle_time_and_resumed_gives_the_bits_of_a_run_that_went_on) {
  for (const Trainer& trainer : one_of_each_kind()) {
    for (const eg::DType dtype : {eg::DType::float64, eg::DType::float32}) {
      const Regression own({.dtype = dtype});
      const TemporaryDirectory directory;
      const auto parts = [](const Tensor& table, optim::Optimizer& optimizer) {
        eg::StateDict model;
        model.set("table", table);
        return optim::CheckpointParts{.model = model, .optimizers = {{"o", &optimizer}}};
      };
      const auto go_on = [&](const Tensor& table, optim::Optimizer& optimizer, std::int64_t from, std::int64_t to) {
        for (std::int64_t step = from; step < to; ++step) {
          optimizer.zero_grad();
          own.backward(table, step, true);
          optimizer.step();
        }
      };
      const Tensor straight = own.table();
      const auto optimizer = trainer.make({straight});
      for (const std::int64_t stop : {40, 90}) {
        go_on(straight, *optimizer, stop == 40 ? 0 : 40, stop);
        optim::save_checkpoint(directory / std::to_string(stop), parts(straight, *optimizer));
      }
      go_on(straight, *optimizer, 90, 150);
      const Tensor resumed = own.table();
      const auto other = trainer.make({resumed});
      go_on(resumed, *other, 0, 7);  // idle time of its own, which loading forgets
      optim::load_checkpoint(directory / "40", parts(resumed, *other));
      go_on(resumed, *other, 40, 90);
      optim::save_checkpoint(directory / "again", parts(resumed, *other));
      BOOST_TEST(read_bytes(directory / "again") == read_bytes(directory / "90"));
      go_on(resumed, *other, 90, 150);
      BOOST_TEST(same_bits(trainer.name, resumed.detach().clone(), straight.detach().clone()));
      // What stands in the file is what dense training gives.
      const Tensor saved = eg::load(directory / "40").tensors.at("model.table");
      const Run dense(trainer, false, 40);
      if (dtype == eg::DType::float64) BOOST_TEST(near("file", saved, dense.values(), trainer.closeness));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_kept_about_the_past_is_bounded) {
  for (const Trainer& trainer : one_of_each_kind()) {
    Run run(trainer, true, 2000);
    const std::int64_t bytes = run.optimizer->history_bytes();
    BOOST_TEST(bytes > 0);
    run.go_on(4000);
    BOOST_TEST(run.optimizer->history_bytes() <= 2 * bytes, trainer.name << ": " << run.optimizer->history_bytes());
    run.optimizer->settle_all();
    const std::vector<std::int64_t> last = run.optimizer->last_steps(0);
    for (const std::int64_t step : last) BOOST_TEST(step == 6000);
  }
}

// --- what others stumbled over ---------------------------------------------------------------------------------------

// microsoft/CNTK#2411: three steps of momentum; the second leaves the first row out.
BOOST_AUTO_TEST_CASE(momentum_of_cntk_2411) {
  const auto weights = [](bool sparse, Updates updates) {
    Tensor w = leaf(eg::zeros({2, 1}));
    optim::SGD optimizer({w}, {.lr = 1, .momentum = .5, .updates = updates});
    for (const std::vector<std::int64_t>& rows : {std::vector<std::int64_t>{0, 1}, {1}, {0, 1}}) {
      optimizer.zero_grad();
      eg::sum(eg::embedding(eg::tensor(rows), w, {.sparse = sparse})).backward();
      optimizer.step();
    }
    return w.detach().clone();
  };
  const Tensor expected = eg::tensor({{-2.75}, {-4.25}});
  BOOST_TEST(equal_to("dense", weights(false, Updates::exact), expected));
  BOOST_TEST(equal_to("sparse", weights(true, Updates::exact), expected));
  BOOST_TEST(equal_to("all rows", weights(true, Updates::dense), expected));
  BOOST_TEST(equal_to("that issue", weights(true, Updates::touched_only), eg::tensor({{-2.5}, {-4.25}})));
}

// apache/mxnet#17728: click prediction from six fields of ids by Adam with a weight decay of 1e-9, where the sparse
// table gave another model.
BOOST_AUTO_TEST_CASE(click_prediction_of_mxnet_17728) {
  constexpr std::int64_t fields = 6;
  const Regression draws({.rows = 600, .dim = 4, .batch = 32 * fields, .seed = 9});
  const auto scores = [&](bool sparse, Updates updates) {
    Tensor table = draws.table();
    Draw draw(17);
    Tensor cross = leaf(draw, {fields * 4, fields * 4}, eg::DType::float64, -.2, .2);
    Tensor out = leaf(draw, {1, fields * 4}, eg::DType::float64, -.2, .2);
    optim::Adam optimizer({table, cross, out}, {.lr = 1e-3, .eps = 5e-8, .weight_decay = 1e-9, .updates = updates});
    const auto forward = [&](std::int64_t step) {
      const Tensor x = eg::reshape(eg::embedding(draws.ids(step), table, {.sparse = sparse}), {32, fields * 4});
      return eg::reshape(eg::linear(x * eg::linear(x, cross) + x, out), {32});
    };
    for (std::int64_t step = 0; step < 300; ++step) {
      const std::vector<double> ids = draws.ids(step).to_vector<double>();
      std::vector<double> clicks;
      for (std::size_t i = 0; i < ids.size(); i += fields) clicks.push_back(std::fmod(ids[i] + ids[i + 1], 3) == 1);
      optimizer.zero_grad();
      eg::binary_cross_entropy_with_logits(forward(step), eg::tensor(clicks)).backward();
      optimizer.step();
    }
    return eg::no_grad([&] { return forward(1000); });
  };
  const Tensor dense = scores(false, Updates::exact);
  BOOST_TEST(near("sparse", scores(true, Updates::exact), dense, replayed));
  BOOST_TEST(near("all rows", scores(true, Updates::dense), dense, replayed));
  BOOST_TEST(distance(scores(true, Updates::touched_only), dense).max > 1e-2);
}

BOOST_AUTO_TEST_SUITE_END()
