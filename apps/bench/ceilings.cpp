#include <embergrad/embergrad.hpp>

#include "measure.hpp"
#include "workloads.hpp"

namespace embergrad::bench {
namespace {

/// A gibibyte copied within the device's memory: what bytes are held against. Read and written bytes count.
nlohmann::ordered_json copy(const Settings& settings) {
  constexpr int64_t elements = int64_t{1} << 28;
  const TensorOptions place{DType::float32, settings.device};
  const Tensor from = rand({elements}, place);
  Tensor to = zeros({elements}, place);
  auto result = measure({.repeat = settings.repeat, .device = settings.device, .check = [&] { return to.at({0}); }},
                        [&] { to.copy_from(from); });
  constexpr int64_t bytes = 2 * elements * 4;
  result["unit"] = "copy";
  result["bytes"] = bytes;
  result["GB_per_s"] = static_cast<double>(bytes) / result["median"].get<double>() / 1e9;
  return result;
}

nlohmann::ordered_json product(const Settings& settings) {
  const int64_t size = settings.device.is_cuda() ? 8192 : 2048;
  const TensorOptions place{DType::float32, settings.device};
  const Tensor a = randn({size, size}, place);
  const Tensor b = randn({size, size}, place);
  Shown shown;
  auto result = measure({.repeat = settings.repeat, .device = settings.device, .check = [&] { return shown.value(); }},
                        [&] { shown(matmul(a, b)); });
  const auto n = static_cast<double>(size);
  result["unit"] = "product";
  result["size"] = size;
  result["GFLOPs"] = 2 * n * n * n / result["median"].get<double>() / 1e9;
  return result;
}

/// One number counted up in place of any work: what a launch costs.
nlohmann::ordered_json tiny(const Settings& settings) {
  const Tensor one = ones({1}, {DType::float32, settings.device});
  Shown shown;
  auto result = measure({.repeat = settings.repeat, .device = settings.device, .check = [&] { return shown.value(); }},
                        [&] { shown(one + one); });
  result["unit"] = "op";
  return result;
}

}  // namespace

std::vector<Workload> ceilings() {
  return {{.name = "ceiling/copy", .for_gpus = true, .run = copy},
          {.name = "ceiling/matmul-fp32", .for_gpus = true, .run = product},
          {.name = "ceiling/tiny-kernel", .for_gpus = true, .run = tiny}};
}

}  // namespace embergrad::bench
