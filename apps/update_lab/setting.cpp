#include "setting.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace lab {

namespace optim = embergrad::optim;
using embergrad::Tensor;

const char* name_of(Task task) { return task == Task::regression ? "regression" : "tagger"; }

const char* name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::constant:
      return "constant";
    case Schedule::linear:
      return "linear";
    case Schedule::cosine:
      return "cosine";
    case Schedule::onecycle:
      return "onecycle";
  }
  return "?";
}

std::vector<std::string> labels_of(const std::vector<Setting>& settings) {
  const auto text = [](const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; };
  struct Part {
    const char* name;
    std::vector<std::string> values;
  };
  std::vector<Part> parts = {{"", {}},       {"lr ", {}},       {"momentum ", {}}, {"decay ", {}},
                             {"beta2 ", {}}, {"schedule ", {}}, {"trace ", {}},    {"rows ", {}},
                             {"dim ", {}},   {"batch ", {}},    {"touched ", {}},  {"steps ", {}}};
  for (const Setting& s : settings) {
    std::size_t i = 0;
    for (std::string value : {s.optimizer, text(s.lr), text(s.momentum), text(s.weight_decay), text(s.beta2),
                              std::string(name_of(s.schedule)), s.trace, std::to_string(s.rows), std::to_string(s.dim),
                              s.touched ? "" : std::to_string(s.batch), text(s.touched), std::to_string(s.steps)}) {
      parts[i++].values.push_back(std::move(value));
    }
  }
  std::vector<std::string> labels;
  for (std::size_t s = 0; s < settings.size(); ++s) {
    std::string label;
    for (const Part& part : parts) {
      // What differs between settings of this optimizer.
      bool differs = part.name[0] == '\0';
      for (std::size_t k = 0; k < settings.size(); ++k) {
        differs |= settings[k].optimizer == settings[s].optimizer && part.values[k] != part.values[s];
      }
      if (differs && !part.values[s].empty()) label += (label.empty() ? "" : ", ") + (part.name + part.values[s]);
    }
    labels.push_back(std::move(label));
  }
  return labels;
}

// --- optimizers

namespace {

using Made = std::unique_ptr<optim::Optimizer>;
using Parameters = std::vector<Tensor>;

Made sgd(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::SGD>(
      p, optim::SGDOptions{.lr = s.lr, .momentum = *s.momentum, .weight_decay = *s.weight_decay});
}
Made adam(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::Adam>(
      p, optim::AdamOptions{.lr = s.lr, .betas = {.beta2 = *s.beta2}, .weight_decay = *s.weight_decay});
}
Made adamw(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::AdamW>(
      p, optim::AdamWOptions{.lr = s.lr, .betas = {.beta2 = *s.beta2}, .weight_decay = *s.weight_decay});
}
Made adagrad(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::Adagrad>(p, optim::AdagradOptions{.lr = s.lr, .weight_decay = *s.weight_decay});
}

}  // namespace

const std::vector<OptimizerKind>& optimizer_kinds() {
  // clang-format off: a row a line. A new optimizer, a rule of one's own too, is a row here and how it is made above.
  static const std::vector<OptimizerKind> all = {
      {.name = "sgd", .lr = 1.0, .tagger_lr = 0.5, .momentum = 0.9, .weight_decay = 1e-5, .make = sgd},
      {.name = "adam", .lr = 1e-2, .tagger_lr = 1e-2, .weight_decay = 0.0, .beta2 = 0.999, .make = adam},
      {.name = "adamw", .lr = 1e-2, .tagger_lr = 1e-2, .weight_decay = 1e-2, .beta2 = 0.999, .make = adamw},
      {.name = "adagrad", .lr = 0.1, .tagger_lr = 0.1, .weight_decay = 0.0, .make = adagrad},
  };
  // clang-format on
  return all;
}

const OptimizerKind& kind_of(const std::string& optimizer) {
  const auto& all = optimizer_kinds();
  return *std::find_if(all.begin(), all.end(), [&](const OptimizerKind& kind) { return optimizer == kind.name; });
}

std::unique_ptr<optim::Optimizer> make_optimizer(const std::vector<Tensor>& parameters, const Setting& setting,
                                                 Updates updates) {
  auto optimizer = kind_of(setting.optimizer).make(parameters, setting);
  optimizer->set_updates(0, updates);
  return optimizer;
}

double state_of(const Setting& setting) {
  Tensor row = embergrad::zeros({1, setting.dim});
  row.set_requires_grad();
  const auto optimizer = make_optimizer({row}, setting, Updates::dense);
  row.set_grad(embergrad::zeros({1, setting.dim}));
  optimizer->step();
  int64_t numbers = 0;
  for (const auto& [key, tensor] : optimizer->state_dict()) {
    if (key.starts_with("state.") && !key.ends_with(".step")) numbers += tensor.numel();
  }
  return static_cast<double>(numbers) / static_cast<double>(setting.dim);
}

std::unique_ptr<optim::LRScheduler> make_scheduler(optim::Optimizer& optimizer, const Setting& setting) {
  switch (setting.schedule) {
    case Schedule::constant:
      break;
    case Schedule::linear:
      return std::make_unique<optim::LinearLR>(
          optimizer, optim::LinearLROptions{.start_factor = 1, .end_factor = 0, .total_iters = setting.steps});
    case Schedule::cosine:
      return std::make_unique<optim::CosineAnnealingLR>(optimizer,
                                                        optim::CosineAnnealingLROptions{.T_max = setting.steps});
    case Schedule::onecycle:
      return std::make_unique<optim::OneCycleLR>(
          optimizer, optim::OneCycleLROptions{.max_lr = setting.lr, .total_steps = setting.steps});
  }
  return nullptr;
}

}  // namespace lab
