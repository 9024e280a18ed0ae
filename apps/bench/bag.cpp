#include <embergrad/embergrad.hpp>
#include <string>
#include <utility>
#include <vector>

#include "draw.hpp"
#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

constexpr int64_t bags = 4096;
constexpr int64_t indices_in_bag = 20;
constexpr int64_t pool = 16;

struct Case {
  int64_t rows;
  int64_t dim;
  DType dtype;
  BagMode mode;
  bool zipf;
};

// What a step makes. A sparse gradient is rows and where their sums come from, which is what optimizers take; its
// values are summed when somebody reads them.
enum class Work { forward, sparse_gradient, sparse_values, dense_gradient };

nlohmann::ordered_json run(const Settings& settings, const Case& c, Work work) {
  manual_seed(1);
  Tensor weight = empty({c.rows, c.dim}, {c.dtype, settings.device});
  nn::init::uniform(weight, -0.05, 0.05);
  weight.set_requires_grad();
  std::vector<Tensor> batches;
  {
    const std::vector<int64_t> rows = draw_rows(1, c.rows, c.zipf, pool * bags * indices_in_bag);
    const Tensor all = tensor(rows, {pool, bags, indices_in_bag});
    for (int64_t b = 0; b < pool; ++b) batches.push_back(all[b].clone());
  }
  const Tensor grad_output = draw_gradient({bags, c.dim}).to(settings.device);
  const EmbeddingBagOptions options{.mode = c.mode, .sparse = work != Work::dense_gradient};
  size_t step = 0;
  Shown shown;
  int64_t rows_seen = 0;
  const auto forward = [&] { return embedding_bag(batches[step++ % batches.size()], weight, {}, options); };
  const auto infer = [&] {
    const NoGrad guard;
    shown(forward());
  };
  const auto train = [&] {
    weight.zero_grad();
    forward().backward(grad_output);
    const Gradient& grad = weight.grad();
    if (work == Work::dense_gradient) return shown(grad.dense());
    if (work == Work::sparse_values) return shown(grad.rows().values());
    rows_seen += grad.rows().count();
  };
  const MeasureOptions how{.repeat = settings.repeat, .device = settings.device, .check = [&] {
                             return shown.value() + static_cast<double>(rows_seen);
                           }};
  auto result = work == Work::forward ? measure(how, infer) : measure(how, train);
  result["unit"] = "step";
  result["indices"] = bags * indices_in_bag;
  result["table_MiB"] = static_cast<double>(weight.numel()) * static_cast<double>(item_size(c.dtype)) / (1 << 20);
  return result;
}

}  // namespace

std::vector<Workload> bag() {
  std::vector<Workload> all;
  const auto add = [&](const std::string& size, BagMode mode, bool zipf, Work work) {
    const Case c{size == "1M" ? 1'000'000 : 10'000'000, 64, DType::float32, mode, zipf};
    std::string name = work == Work::forward ? "bag_fwd/" : "bag_fwdbwd/";
    name += size + (mode == BagMode::sum ? "_sum" : "_mean") + (zipf ? "_zipf" : "_uniform");
    if (work == Work::sparse_gradient) name += "_sparse";
    if (work == Work::sparse_values) name += "_sparse_values";
    if (work == Work::dense_gradient) name += "_dense";
    all.push_back({.name = name, .run = [=](const Settings& s) { return run(s, c, work); }});
  };
  add("1M", BagMode::sum, true, Work::forward);
  add("1M", BagMode::mean, true, Work::forward);
  add("1M", BagMode::sum, false, Work::forward);
  add("10M", BagMode::sum, true, Work::forward);
  add("10M", BagMode::sum, false, Work::forward);
  for (const Work work : {Work::sparse_gradient, Work::sparse_values}) {
    add("1M", BagMode::sum, true, work);
    add("1M", BagMode::mean, true, work);
    add("1M", BagMode::sum, false, work);
    add("10M", BagMode::sum, false, work);
  }
  add("1M", BagMode::sum, true, Work::dense_gradient);
  for (const auto& [size, rows] : {std::pair("10k", 10'000), {"1M", 1'000'000}, {"100M", 100'000'000}}) {
    const Case c{rows, 16, DType::bfloat16, BagMode::sum, false};
    all.push_back({.name = std::string("bag_rows/") + size,
                   .run = [=](const Settings& s) { return run(s, c, Work::sparse_values); }});
  }
  return all;
}

}  // namespace embergrad::bench
