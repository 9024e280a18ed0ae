// Deferred rows and the storage that holds them: whoever reads, writes or saves finds what dense training gives.
#include <boost/test/unit_test.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <embergrad/device.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/random.hpp>
#include <embergrad/safetensors.hpp>

#include "optim/exact_support.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using namespace eg::test;  // NOLINT: all of it is here for these tests

BOOST_AUTO_TEST_SUITE(exact_storage)

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

// Many threads look rows up at once, get what one thread gets, and leave the table as it is. Others may copy it whole.
BOOST_AUTO_TEST_CASE(lookups_from_many_threads) {
  for (const Trainer& trainer : one_of_each_kind()) {
    const Run run(trainer, true);
    const auto look_up = [&] {
      const eg::NoGrad guard;
      return eg::embedding(eg::arange(200), run.table);
    };
    const Tensor expected = look_up();
    const std::vector<std::int64_t> last = run.optimizer->last_steps(0);
    for (const bool copies : {false, true}) {
      std::vector<Tensor> got(6);
      std::vector<std::thread> threads;
      for (std::size_t i = 0; i < got.size(); ++i) {
        threads.emplace_back([&, i] { got[i] = copies && i % 3 == 2 ? run.values() : look_up(); });
      }
      for (std::thread& thread : threads) thread.join();
      for (const Tensor& tensor : got) BOOST_TEST(same_bits(trainer.name, tensor, expected));
      if (!copies) BOOST_TEST(run.optimizer->last_steps(0) == last, boost::test_tools::per_element());
    }
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
    BOOST_TEST(run.optimizer->last_steps(0).empty());
  }
}

// A row at a time, without settling anything.
BOOST_AUTO_TEST_CASE(rows_of_the_state) {
  std::vector<Trainer> trainers = one_of_each_kind();
  trainers.push_back(trainer<optim::RMSprop>("RMSprop", optim::RMSpropOptions{.lr = 1e-2, .momentum = .9}, closed));
  trainers.push_back(trainer<optim::RowwiseAdagrad>(
      "RowwiseAdagrad", optim::RowwiseAdagradOptions{.lr = 1e-2, .weight_decay = .1}, replayed));
  for (const Trainer& trainer : trainers) {
    Run run(trainer, true);
    const char* const name = trainer.name == "SGD"              ? "momentum_buffer"
                             : trainer.name == "RMSprop"        ? "square_avg"
                             : trainer.name == "RowwiseAdagrad" ? "sum"
                                                                : "exp_avg";
    const std::vector<std::int64_t> last = run.optimizer->last_steps(0);
    BOOST_TEST(last.size() == 200U);
    BOOST_TEST(*std::ranges::max_element(last) == 60);
    BOOST_TEST(*std::ranges::min_element(last) >= 0);
    std::vector<Tensor> rows;
    for (const std::int64_t row : {0, 1, 17, 100, 199}) rows.push_back(run.optimizer->state_of_row(0, row, name));
    BOOST_TEST(run.optimizer->last_steps(0) == last, boost::test_tools::per_element());
    const Tensor all = run.optimizer->state(0, name);
    std::size_t i = 0;
    for (const std::int64_t row : {0, 1, 17, 100, 199}) {
      const Tensor expected = eg::narrow(all, 0, row, 1).reshape({all.numel() / 200});
      BOOST_TEST(same_bits(trainer.name, rows[i++], expected));
      BOOST_TEST(same_bits(trainer.name, run.optimizer->state_of_row(0, row, name), expected));
    }
  }
  // A step that was refused leaves nothing that is behind.
  const Trainer momentum = one_of_each_kind()[0];
  Run before(momentum, true);
  const eg::StateDict state = before.optimizer->state_dict();
  Tensor table = leaf(before.values());
  const auto optimizer = momentum.make({table});
  optimizer->load_state_dict(state);
  optimizer->set_skip_nonfinite(true);
  table.set_grad(eg::RowSparse::from_rows(eg::tensor({3}), eg::full({1, table.size(1)}, NAN, table.options()), 200));
  BOOST_TEST(!optimizer->step());
  BOOST_TEST(optimizer->last_steps(0).empty());
  BOOST_TEST(same_bits("refused", optimizer->state_of_row(0, 3, "momentum_buffer"),
                       before.optimizer->state_of_row(0, 3, "momentum_buffer")));

  Run run(one_of_each_kind()[0], true);
  BOOST_TEST(refuses<eg::IndexError>([&] { (void)run.optimizer->state_of_row(0, 200, "momentum_buffer"); },
                                     {"state_of_row", "200"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { (void)run.optimizer->state_of_row(0, 0, "exp_avg"); }, {"exp_avg"}));
}

BOOST_AUTO_TEST_SUITE_END()
