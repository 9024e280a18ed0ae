// Updates::exact amid everything else that a training program does: `sparse` stays a switch of speed alone.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <embergrad/nn/embedding.hpp>
#include <embergrad/random.hpp>

#include "optim/exact_support.hpp"

namespace eg = embergrad;
namespace optim = eg::optim;
using eg::Tensor;
using optim::Updates;
using namespace eg::test;  // NOLINT: all of it is here for these tests

BOOST_AUTO_TEST_SUITE(exact_interplay)

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
  is_a_speed_switch(by([](Tensor table, std::int64_t step, bool sparse) {  // unused, but living through the step
    task().backward(table, step, sparse);
    if (step % 3 == 1) table.zero_grad(false);
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

// Saved after growing, before the next step.
BOOST_AUTO_TEST_CASE(saved_once_grown) {
  const auto options = [](std::int64_t rows) {
    return eg::nn::EmbeddingOptions{
        .num_embeddings = rows, .embedding_dim = 4, .sparse = true, .dtype = eg::DType::float64};
  };
  for (const Trainer& trainer : one_of_each_kind()) {
    eg::nn::Embedding layer(options(200));
    const auto optimizer = trainer.make({layer.weight});
    for (std::int64_t step = 0; step < 20; ++step) {
      optimizer->zero_grad();
      task().backward(layer.weight, step, true);
      optimizer->step();
    }
    eg::Generator generator(4);
    layer.grow(205, generator);
    eg::nn::Embedding longer(options(205));
    const auto other = trainer.make({longer.weight});
    other->load_state_dict(optimizer->state_dict());
    for (const auto& [name, tensor] : other->state_dict()) {
      if (name.starts_with("state.") && tensor.dim() == 2) BOOST_TEST(tensor.size(0) == 205, name);
    }
  }
}

// Two parameters of one storage: each moves the rows in its own way, sparse or not.
BOOST_AUTO_TEST_CASE(two_handles_of_one_table) {
  for (const bool second_is_sparse : {true, false}) {
    is_a_speed_switch([&](const Trainer& trainer, bool sparse) {
      Tensor one = task().table();
      Tensor two = leaf(one.detach());
      const auto optimizer = trainer.make({one, two});
      for (std::int64_t step = 0; step < 100; ++step) {
        optimizer->zero_grad();
        if (step % 5 != 3) task().backward(one, step, sparse);
        if (step >= 40 && step % 3 != 1) task().backward(two, step + 7, sparse && second_is_sparse);
        optimizer->step();
      }
      return one.detach().clone();
    });
  }
}

// Of three, the one that comes last to a step defers the table when the others have found each other.
BOOST_AUTO_TEST_CASE(three_handles_of_one_table) {
  for (const std::size_t lone : {0U, 1U, 2U}) {
    is_a_speed_switch([&](const Trainer& trainer, bool sparse) {
      std::vector<Tensor> handles{task().table()};
      while (handles.size() < 3) handles.push_back(leaf(handles[0].detach()));
      const auto optimizer = trainer.make(handles);
      for (std::int64_t step = 0; step < 60; ++step) {
        optimizer->zero_grad();
        for (std::size_t i = 0; i < 3; ++i) {
          const bool takes_part = i == lone ? step >= 20 : step < 20 || (step >= 40 && step % 3 == static_cast<int>(i));
          if (takes_part) task().backward(handles[i], step + static_cast<std::int64_t>(i) * 7, sparse);
        }
        optimizer->step();
      }
      return handles[0].detach().clone();
    });
  }
}

BOOST_AUTO_TEST_CASE(tables_that_change_their_type) {
  for (const Trainer& trainer : one_of_each_kind()) {
    const auto train = [&](bool sparse) {
      eg::nn::Embedding layer({.num_embeddings = 200,
                               .embedding_dim = 4,
                               .sparse = sparse,
                               .weight = task().table().detach(),
                               .dtype = eg::DType::float64});
      const auto optimizer = trainer.make({layer.weight});
      for (std::int64_t step = 0; step < 90; ++step) {
        if (step == 60) layer.to(eg::DType::float32);
        optimizer->zero_grad();
        eg::mse_loss(layer(task().ids(step)), eg::full({12, 4}, .5, layer.weight.options())).backward();
        optimizer->step();
      }
      return layer.weight.detach().clone();
    };
    BOOST_TEST(near(trainer.name, train(true), train(false), trainer.closeness == 0 ? 0 : 1e-5));
  }
}

BOOST_AUTO_TEST_CASE(optimizers_that_move) {
  const auto train = [](bool sparse) {
    Tensor table = task().table();
    std::vector<optim::SGD> several;
    several.emplace_back(std::vector<Tensor>{table}, optim::SGDOptions{.lr = .1, .momentum = .9});
    for (std::int64_t step = 0; step < 60; ++step) {
      if (step % 20 == 19) {
        optim::SGD moved = std::move(several.back());
        several.clear();
        several.push_back(std::move(moved));
      }
      several.back().zero_grad();
      task().backward(table, step, sparse);
      several.back().step();
    }
    return table.detach().clone();
  };
  BOOST_TEST(near("moved", train(true), train(false), closed));
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
