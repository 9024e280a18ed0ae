#include <embergrad/embergrad.hpp>

#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

enum class Kind {
  fwd,    // nothing wants a gradient
  leaves  // x0 does, and with `all_leaves` both factors
};

nlohmann::ordered_json run(const Settings& settings, Kind kind, bool all_leaves) {
  Tensor x0 = full({8}, 0.5);
  Tensor a = full({8}, 0.999);
  Tensor b = full({8}, 0.001);
  x0.set_requires_grad(kind != Kind::fwd);
  a.set_requires_grad(all_leaves);
  b.set_requires_grad(all_leaves);
  const Tensor one = ones({8});
  double sum = 0;

  auto result = measure({.repeat = settings.repeat, .units = 1000, .check = [&] { return sum; }}, [&] {
    Tensor x = x0;
    for (int i = 0; i < 500; ++i) {
      x = x * a;
      x = x + b;
    }
    if (kind == Kind::fwd) {
      sum += x.at({0});
      return;
    }
    for (Tensor* leaf : {&x0, &a, &b}) leaf->zero_grad();
    x.backward(one);
    sum += x0.grad().dense().at({0});
  });
  result["unit"] = "op";
  return result;
}

}  // namespace

std::vector<Workload> op_overhead() {
  return {
      {.name = "op_overhead/fwd", .run = [](const Settings& s) { return run(s, Kind::fwd, false); }},
      {.name = "op_overhead/const", .run = [](const Settings& s) { return run(s, Kind::leaves, false); }},
      {.name = "op_overhead/leaf", .run = [](const Settings& s) { return run(s, Kind::leaves, true); }},
  };
}

}  // namespace embergrad::bench
