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

nlohmann::ordered_json run(const Settings& settings, const Case& c, bool backward, bool sparse) {
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
  const EmbeddingBagOptions options{.mode = c.mode, .sparse = sparse};
  size_t step = 0;
  Shown shown;
  const auto forward = [&] { return embedding_bag(batches[step++ % batches.size()], weight, {}, options); };
  const auto infer = [&] {
    const NoGrad guard;
    shown(forward());
  };
  const auto train = [&] {
    weight.zero_grad();
    forward().backward(grad_output);
    const Gradient& grad = weight.grad();
    shown(grad.is_sparse() ? grad.rows().values() : grad.dense());
  };
  const MeasureOptions how{
      .repeat = settings.repeat, .device = settings.device, .check = [&] { return shown.value(); }};
  auto result = backward ? measure(how, train) : measure(how, infer);
  result["unit"] = "step";
  result["indices"] = bags * indices_in_bag;
  result["table_MiB"] = static_cast<double>(weight.numel()) * static_cast<double>(item_size(c.dtype)) / (1 << 20);
  return result;
}

}  // namespace

std::vector<Workload> bag() {
  std::vector<Workload> all;
  const auto add = [&](const std::string& size, BagMode mode, bool zipf, bool backward, bool sparse) {
    const Case c{size == "1M" ? 1'000'000 : 10'000'000, 64, DType::float32, mode, zipf};
    std::string name = backward ? "bag_fwdbwd/" : "bag_fwd/";
    name += size + (mode == BagMode::sum ? "_sum" : "_mean") + (zipf ? "_zipf" : "_uniform");
    if (backward) name += sparse ? "_sparse" : "_dense";
    all.push_back({.name = name, .run = [=](const Settings& s) { return run(s, c, backward, sparse); }});
  };
  add("1M", BagMode::sum, true, false, false);
  add("1M", BagMode::mean, true, false, false);
  add("1M", BagMode::sum, false, false, false);
  add("10M", BagMode::sum, true, false, false);
  add("10M", BagMode::sum, false, false, false);
  add("1M", BagMode::sum, true, true, true);
  add("1M", BagMode::mean, true, true, true);
  add("1M", BagMode::sum, false, true, true);
  add("1M", BagMode::sum, true, true, false);
  add("10M", BagMode::sum, false, true, true);
  for (const auto& [size, rows] : {std::pair("10k", 10'000), {"1M", 1'000'000}, {"100M", 100'000'000}}) {
    const Case c{rows, 16, DType::bfloat16, BagMode::sum, false};
    all.push_back(
        {.name = std::string("bag_rows/") + size, .run = [=](const Settings& s) { return run(s, c, true, true); }});
  }
  return all;
}

}  // namespace embergrad::bench
