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

// SGD and SGDW.
template <class Type, class Options>
Made sgd(const Parameters& p, const Setting& s) {
  return std::make_unique<Type>(p, Options{.lr = s.lr, .momentum = *s.momentum, .weight_decay = *s.weight_decay});
}
Made adam(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::Adam>(
      p, optim::AdamOptions{.lr = s.lr, .betas = {.beta2 = *s.beta2}, .weight_decay = *s.weight_decay});
}
Made adamw(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::AdamW>(
      p, optim::AdamWOptions{.lr = s.lr, .betas = {.beta2 = *s.beta2}, .weight_decay = *s.weight_decay});
}
// NAdam and RAdam.
template <class Type, class Options>
Made adam_kin(const Parameters& p, const Setting& s) {
  return std::make_unique<Type>(
      p,
      Options{
          .lr = s.lr, .betas = {.beta2 = *s.beta2}, .weight_decay = *s.weight_decay, .decoupled_weight_decay = true});
}
Made amsgrad(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::AdamW>(
      p,
      optim::AdamWOptions{.lr = s.lr, .betas = {.beta2 = *s.beta2}, .weight_decay = *s.weight_decay, .amsgrad = true});
}
Made adamax(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::Adamax>(p, optim::AdamaxOptions{.lr = s.lr, .betas = {.beta2 = *s.beta2}});
}
Made lion(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::Lion>(
      p, optim::LionOptions{.lr = s.lr, .betas = {0.9, *s.beta2}, .weight_decay = *s.weight_decay});
}
Made rmsprop(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::RMSprop>(
      p, optim::RMSpropOptions{.lr = s.lr, .weight_decay = *s.weight_decay, .momentum = *s.momentum});
}
Made adagrad(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::Adagrad>(p, optim::AdagradOptions{.lr = s.lr, .weight_decay = *s.weight_decay});
}
Made rowwise_adagrad(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::RowwiseAdagrad>(
      p, optim::RowwiseAdagradOptions{.lr = s.lr, .weight_decay = *s.weight_decay});
}
Made sparse_adam(const Parameters& p, const Setting& s) {
  return std::make_unique<optim::SparseAdam>(p, optim::SparseAdamOptions{.lr = s.lr, .betas = {.beta2 = *s.beta2}});
}

}  // namespace

const std::vector<OptimizerKind>& optimizer_kinds() {
  // clang-format off: a row a line. A new optimizer, a rule of one's own too, is a row here and how it is made above.
  static const std::vector<OptimizerKind> all = {
      {.name = "sgd",
       .lr = 1.0,
       .tagger_lr = 0.5,
       .momentum = 0.9,
       .weight_decay = 1e-5,
       .make = sgd<optim::SGD, optim::SGDOptions>},
      {.name = "sgdw",
       .lr = 1.0,
       .tagger_lr = 0.5,
       .momentum = 0.9,
       .weight_decay = 1e-5,
       .make = sgd<optim::SGDW, optim::SGDWOptions>},
      {.name = "adam", .lr = 1e-2, .tagger_lr = 1e-2, .weight_decay = 0.0, .beta2 = 0.999, .make = adam},
      {.name = "adamw", .lr = 1e-2, .tagger_lr = 1e-2, .weight_decay = 1e-2, .beta2 = 0.999, .make = adamw},
      {.name = "amsgrad", .lr = 1e-2, .tagger_lr = 1e-2, .weight_decay = 1e-2, .beta2 = 0.999, .make = amsgrad},
      {.name = "nadam",
       .lr = 1e-2,
       .tagger_lr = 1e-2,
       .weight_decay = 1e-2,
       .beta2 = 0.999,
       .make = adam_kin<optim::NAdam, optim::NAdamOptions>},
      {.name = "radam",
       .lr = 1e-2,
       .tagger_lr = 1e-2,
       .weight_decay = 1e-2,
       .beta2 = 0.999,
       .make = adam_kin<optim::RAdam, optim::RAdamOptions>},
      {.name = "adamax", .lr = 1e-2, .tagger_lr = 1e-2, .beta2 = 0.999, .make = adamax},
      {.name = "lion", .lr = 1e-3, .tagger_lr = 1e-3, .weight_decay = 1e-2, .beta2 = 0.99, .make = lion},
      {.name = "rmsprop", .lr = 1e-2, .tagger_lr = 1e-2, .momentum = 0.0, .weight_decay = 0.0, .make = rmsprop},
      {.name = "adagrad", .lr = 0.1, .tagger_lr = 0.1, .weight_decay = 0.0, .make = adagrad},
      {.name = "rowwise_adagrad",
       .lr = 0.1,
       .tagger_lr = 0.1,
       .weight_decay = 0.0,
       .tables_alone = true,
       .make = rowwise_adagrad},
      {.name = "sparse_adam",
       .lr = 1e-2,
       .tagger_lr = 1e-2,
       .beta2 = 0.999,
       .touched_only = true,
       .tables_alone = true,
       .make = sparse_adam},
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
  const bool touched_only = kind_of(setting.optimizer).touched_only;
  const auto optimizer = make_optimizer({row}, setting, touched_only ? Updates::touched_only : Updates::dense);
  row.set_grad(embergrad::RowSparse::from_rows(embergrad::tensor({0}), embergrad::zeros({1, setting.dim}), 1));
  optimizer->step();
  int64_t numbers = 0;
  for (const auto& [key, tensor] : optimizer->state_dict()) {
    if (key.starts_with("state.") && tensor.dim() > 0) numbers += tensor.numel();
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
          optimizer, optim::OneCycleLROptions{.max_lr = setting.lr,
                                              .total_steps = setting.steps,
                                              .cycle_momentum = setting.momentum > 0 || setting.beta2.has_value()});
  }
  return nullptr;
}

}  // namespace lab
