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
  const TensorOptions place{DType::float32, settings.device};
  Tensor x0 = full({8}, 0.5, place);
  Tensor a = full({8}, 0.999, place);
  Tensor b = full({8}, 0.001, place);
  x0.set_requires_grad(kind != Kind::fwd);
  a.set_requires_grad(all_leaves);
  b.set_requires_grad(all_leaves);
  const Tensor one = ones({8}, place);
  Shown shown;

  const MeasureOptions how{
      .repeat = settings.repeat, .units = 1000, .device = settings.device, .check = [&] { return shown.value(); }};
  auto result = measure(how, [&] {
    Tensor x = x0;
    for (int i = 0; i < 500; ++i) {
      x = x * a;
      x = x + b;
    }
    if (kind == Kind::fwd) {
      shown(x);
      return;
    }
    for (Tensor* leaf : {&x0, &a, &b}) leaf->zero_grad();
    x.backward(one);
    shown(x0.grad().dense());
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
