#include <algorithm>
#include <embergrad/embergrad.hpp>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "draw.hpp"
#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

using optim::Updates;

/// An optimizer under its name in the workloads.
struct TableOptimizer {
  std::string name;
  std::unique_ptr<optim::Optimizer> (*make)(const Tensor& table, Updates updates);
};

/// With the rates of the peers' script.
const std::vector<TableOptimizer>& table_optimizers() {
  static const std::vector<TableOptimizer> all = {
      {"sgd",
       [](const Tensor& table, Updates updates) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::SGD>(std::vector{table}, optim::SGDOptions{.lr = 0.1, .updates = updates});
       }},
      {"sgdmom",
       [](const Tensor& table, Updates updates) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::SGD>(
             std::vector{table},
             optim::SGDOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4, .updates = updates});
       }},
      {"adam",
       [](const Tensor& table, Updates updates) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::Adam>(std::vector{table}, optim::AdamOptions{.lr = 1e-3, .updates = updates});
       }},
      {"adamw",
       [](const Tensor& table, Updates updates) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::AdamW>(
             std::vector{table}, optim::AdamWOptions{.lr = 1e-3, .weight_decay = 0.01, .updates = updates});
       }},
      {"adagrad",
       [](const Tensor& table, Updates updates) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::Adagrad>(std::vector{table},
                                                 optim::AdagradOptions{.lr = 0.01, .updates = updates});
       }},
  };
  return all;
}

/// A step: rows are looked up one by one, or summed by bags; a fixed gradient flows back; the optimizer steps.
struct Case {
  int64_t rows;
  int64_t dim;
  int64_t lookups;  ///< of a step
  int64_t bag;      ///< lookups in a bag; 0: no bags
  int64_t pool;     ///< batches in turn: as many as keep gaps long
  bool zipf;
  uint64_t seed;
};

Tensor table_of(const Case& c, Device device) {
  manual_seed(1);
  Tensor table = empty({c.rows, c.dim}, {DType::float32, device});
  nn::init::uniform(table, -0.05, 0.05);
  return table.set_requires_grad();
}

std::vector<Tensor> batches_of(const Case& c) {
  const Shape shape = c.bag == 0 ? Shape{c.lookups} : Shape{c.lookups / c.bag, c.bag};
  const std::vector<int64_t> rows = draw_rows(c.seed, c.rows, c.zipf, c.pool * c.lookups);
  std::vector<Tensor> batches;
  for (int64_t b = 0; b < c.pool; ++b) {
    batches.push_back(
        tensor(std::span(rows).subspan(static_cast<size_t>(b * c.lookups), static_cast<size_t>(c.lookups)), shape));
  }
  return batches;
}

double distinct(const Tensor& batch) {
  std::vector<int64_t> rows = batch.to_vector<int64_t>();
  std::sort(rows.begin(), rows.end());
  return static_cast<double>(std::unique(rows.begin(), rows.end()) - rows.begin());
}

nlohmann::ordered_json train(const Settings& settings, const Case& c, const TableOptimizer& rule, Updates updates) {
  Tensor table = table_of(c, settings.device);
  const std::vector<Tensor> batches = batches_of(c);
  const Tensor gradient = draw_gradient({c.bag == 0 ? c.lookups : c.lookups / c.bag, c.dim}).to(settings.device);
  const auto optimizer = rule.make(table, updates);
  size_t next = 0;
  const auto step = [&] {
    const Tensor& batch = batches[next++ % batches.size()];
    optimizer->zero_grad();
    const Tensor out = c.bag == 0 ? embedding(batch, table, {.sparse = true})
                                  : embedding_bag(batch, table, {}, {.mode = BagMode::sum, .sparse = true});
    out.backward(gradient);
    optimizer->step();
  };
  const Tensor shown = arange(std::min<int64_t>(c.rows, 1000));
  const auto check = [&] {
    const NoGrad guard;
    return embedding(shown, table).to(DType::float64).sum().item();
  };
  auto result = measure({.repeat = settings.repeat, .device = settings.device, .check = check}, step);
  result["unit"] = "step";
  result["distinct_rows"] = distinct(batches[0]);
  result["table_MiB"] = static_cast<double>(table.numel()) * 4 / (1 << 20);
  result["history_bytes_per_row"] = static_cast<double>(optimizer->history_bytes()) / static_cast<double>(c.rows);
  return result;
}

/// All rows of a table brought up to date after 1000 steps, beside the time to copy it and its moments.
nlohmann::ordered_json settle(const Settings& settings, const Case& c, bool copy) {
  Tensor table = table_of(c, settings.device);
  const std::vector<Tensor> batches = batches_of(c);
  const Tensor gradient = draw_gradient({c.lookups, c.dim}).to(settings.device);
  optim::AdamW optimizer({table}, {.lr = 1e-3, .weight_decay = 0.01});
  size_t next = 0;
  const auto steps = [&](int count) {
    for (int i = 0; i < count; ++i) {
      optimizer.zero_grad();
      embedding(batches[next++ % batches.size()], table, {.sparse = true}).backward(gradient);
      optimizer.step();
    }
  };
  steps(1000);
  Tensor to[3];
  const Tensor from[3] = {table.detach(), optimizer.state(0, "exp_avg"), optimizer.state(0, "exp_avg_sq")};
  for (int i = 0; i < 3; ++i) to[i] = from[i].clone();
  const auto check = [&] { return table.at({0, 0}) + to[0].at({0, 0}) + static_cast<double>(next); };
  auto result = measure({.repeat = settings.repeat, .device = settings.device, .check = check}, [&] {
    if (copy) {
      for (int i = 0; i < 3; ++i) to[i].copy_from(from[i]);
      ++next;
    } else {
      steps(1);
      optimizer.settle_all();
    }
  });
  result["unit"] = copy ? "copy" : "step and settle_all";
  return result;
}

constexpr std::pair<const char*, Updates> modes[] = {
    {"exact", Updates::exact}, {"touched_only", Updates::touched_only}, {"dense", Updates::dense}};

}  // namespace

std::vector<Workload> train_rows() {
  std::vector<Workload> all;
  const auto add = [&](const std::string& name, const Case& c, const TableOptimizer& rule, Updates updates) {
    all.push_back({.name = name, .run = [=, &rule](const Settings& s) { return train(s, c, rule, updates); }});
  };
  for (const auto& [size, rows] : {std::pair("50k", 50'000), {"400k", 400'000}, {"2M", 2'000'000}}) {
    for (const TableOptimizer& rule : table_optimizers()) {
      for (const auto& [mode, updates] : modes) {
        add(std::string("emb_train/") + size + "_" + rule.name + "_" + mode,
            {.rows = rows, .dim = 128, .lookups = 2048, .bag = 0, .pool = 1024, .zipf = true, .seed = 2}, rule,
            updates);
      }
    }
  }
  for (const auto& [size, rows] : {std::pair("1M", 1'000'000), {"10M", 10'000'000}}) {
    for (const bool zipf : {true, false}) {
      for (const TableOptimizer& rule : table_optimizers()) {
        for (const auto& [mode, updates] : modes) {
          add(std::string("bag_train/") + size + (zipf ? "_zipf_" : "_uniform_") + rule.name + "_" + mode,
              {.rows = rows, .dim = 64, .lookups = 4096 * 20, .bag = 20, .pool = 16, .zipf = zipf, .seed = 1}, rule,
              updates);
        }
      }
    }
  }
  const TableOptimizer& adamw = *std::find_if(table_optimizers().begin(), table_optimizers().end(),
                                              [](const TableOptimizer& rule) { return rule.name == "adamw"; });
  for (const auto& [size, rows] : {std::pair("10k", 10'000), {"10M", 10'000'000}}) {
    const Case c{.rows = rows, .dim = 16, .lookups = 100, .bag = 0, .pool = 4096, .zipf = true, .seed = 3};
    add(std::string("row_train/") + size + "_adamw_exact", c, adamw, Updates::exact);
    all.push_back(
        {.name = std::string("settle_all/") + size, .run = [=](const Settings& s) { return settle(s, c, false); }});
    all.push_back({.name = std::string("settle_all/") + size + "_copy",
                   .run = [=](const Settings& s) { return settle(s, c, true); }});
  }
  return all;
}

}  // namespace embergrad::bench
