#include <embergrad/optim/sgd.hpp>

#include "optimizer_of.hpp"
#include "views.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* slots[] = {"momentum_buffer"};

}  // namespace

template <>
struct OptionsOf<SGDOptions> {
  template <class Options, class Body>
  static void each(Options& options, const Body& body) {
    body("lr", options.lr);
    body("momentum", options.momentum);
    body("dampening", options.dampening);
    body("weight_decay", options.weight_decay);
    body("nesterov", options.nesterov);
    body("maximize", options.maximize);
  }
  static std::vector<std::string> problems(const SGDOptions& options) {
    std::vector<std::string> found;
    check_not_negative(found, "lr", options.lr);
    check_not_negative(found, "momentum", options.momentum);
    if (!std::isfinite(options.dampening)) {
      found.push_back(fmt::format("dampening must be finite, but is {}", options.dampening));
    }
    check_not_negative(found, "weight_decay", options.weight_decay);
    if (options.nesterov && !(options.momentum > 0 && options.dampening == 0)) {
      found.push_back(fmt::format("nesterov needs momentum > 0 and dampening = 0, but they are {} and {}",
                                  options.momentum, options.dampening));
    }
    return found;
  }
};

template class OptimizerOf<SGDOptions>;

SGD::SGD(const std::vector<Tensor>& params, const SGDOptions& options)
    : SGD(std::vector<Group>{{.params = params, .options = options}}) {}

SGD::SGD(const std::vector<Group>& groups)
    : OptimizerOf({.name = "SGD", .slots = slots, .counts_steps = false}, groups) {}

bool SGD::needs_slot(std::size_t group, std::size_t) const { return options(group).momentum != 0; }

const char* SGD::refuses_sparse(std::size_t group) const {
  const SGDOptions& o = options(group);
  return o.momentum != 0 ? "momentum" : o.weight_decay != 0 ? "weight_decay" : nullptr;
}

void SGD::update(const Update& work) {
  const SGDOptions& o = options(work.entry.group);
  const bool has_momentum = o.momentum != 0;
  launch(work.entry.parameter.device(), SgdStep{.coefficients = {.lr = o.lr,
                                                                 .momentum = o.momentum,
                                                                 .fresh = work.first ? 1 : 1 - o.dampening,
                                                                 .weight_decay = o.weight_decay,
                                                                 .sign = o.maximize ? -1.0 : 1.0},
                                                .nesterov = o.nesterov,
                                                .param = elements(work, work.entry.parameter),
                                                .grad = gradient_of(work),
                                                .momentum = has_momentum ? elements(work, work.entry.slots[0]) : View{},
                                                .rows = rows_of(work)});
}

}  // namespace embergrad::optim
