#include <embergrad/gradcheck.hpp>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <random>
#include <utility>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>

#include "src/op_check.hpp"

namespace embergrad {

namespace {

using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

bool is_checked(const Tensor& input) { return input.defined() && input.requires_grad(); }

// Uniform on [-1, 1), from the generator's bits alone: the same with every standard library.
double draw(std::mt19937_64& bits) { return std::ldexp(static_cast<double>(bits() >> 11), -52) - 1.0; }

// What a check changes in the caller's inputs, put back when it ends, however it ends.
class Restore {
 public:
  explicit Restore(const std::vector<Tensor>& inputs) {
    for (const Tensor& input : inputs) {
      if (!is_checked(input)) continue;
      kept_.push_back({input, input.detach().clone(), input.grad()});
      kept_.back().input.zero_grad();
    }
  }
  ~Restore() {
    const NoGrad guard;
    for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) {  // backwards: an input may be given twice
      kept->input.copy_from(kept->elements);
      kept->input.zero_grad();
      if (kept->gradient.defined()) kept->input.set_grad(kept->gradient);
    }
  }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;
  Restore(Restore&&) = delete;
  Restore& operator=(Restore&&) = delete;

 private:
  struct Kept {
    Tensor input;
    Tensor elements;
    Gradient gradient;
  };
  std::vector<Kept> kept_;
};

void check_arguments(const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  bool any = false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& input = inputs[i];
    if (!is_checked(input)) continue;
    any = true;
    if (input.dtype() != DType::float64) {
      throw DTypeError(fmt::format("gradcheck: input {} requires a gradient and is {}, expected float64", i,
                                   name_of(input.dtype())));
    }
    if (!input.is_leaf())
      throw ValueError(fmt::format("gradcheck: input {} is the result of an op, expected a leaf", i));
  }
  if (!any) throw ValueError("gradcheck: no input requires a gradient");
  if (!(options.eps > 0)) throw ValueError(fmt::format("gradcheck: eps is {}, expected more than 0", options.eps));
  if (options.directions < 1) {
    throw ValueError(fmt::format("gradcheck: directions is {}, expected at least 1", options.directions));
  }
  if (options.masks.size() > inputs.size()) {
    throw ValueError(fmt::format("gradcheck: {} masks for {} inputs", options.masks.size(), inputs.size()));
  }
  for (std::size_t i = 0; i < options.masks.size(); ++i) {
    const Tensor& mask = options.masks[i];
    if (mask.defined() && (!inputs[i].defined() || mask.shape() != inputs[i].shape())) {
      throw ShapeError(fmt::format("gradcheck: mask {} has shape {}, its input {}", i, mask.shape().to_string(),
                                   inputs[i].defined() ? inputs[i].shape().to_string() : "is undefined"));
    }
  }
}

// The outputs made one number: Σ weight · output over the floating outputs.
class Projection {
 public:
  Projection(const Function& function, const std::vector<Tensor>& inputs, std::uint64_t seed)
      : function_(function), inputs_(inputs), bits_(seed) {}

  // Fills the gradients of the inputs by backward.
  void backward() {
    const std::vector<Tensor> outputs = function_(inputs_);
    std::vector<TensorRef> floating;
    std::vector<Tensor> weights;
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      if (!outputs[k].defined()) throw ValueError(fmt::format("gradcheck: output {} is undefined", k));
      if (!is_floating(outputs[k].dtype())) continue;
      if (outputs[k].dtype() != DType::float64) {
        throw DTypeError(fmt::format("gradcheck: output {} is {}, expected float64", k, name_of(outputs[k].dtype())));
      }
      std::vector<double> weight(static_cast<std::size_t>(outputs[k].numel()));
      for (double& w : weight) w = draw(bits_);
      weights.push_back(tensor(weight, outputs[k].shape(), outputs[k].device()));
      weights_.push_back(std::move(weight));
      floating.emplace_back(outputs[k]);
    }
    // One node over all outputs, so that nothing but the ops under test takes part.
    const Tensor total = record("gradcheck", zeros({}, {DType::float64, {}}), floating,
                                [weights = std::move(weights)](const OutputGradients&, InputGradients& gradients) {
                                  for (std::size_t k = 0; k < weights.size(); ++k) gradients.add(k, weights[k]);
                                });
    if (total.requires_grad()) total.backward();
  }

  // (value at +step) - (value at -step), where `move(sign)` puts the input there. Outputs are subtracted before they
  // are summed: what didn't change cancels without rounding.
  template <class Move>
  double difference(const Move& move) const {
    const NoGrad guard;
    move(1.0);
    const auto above = values();
    move(-1.0);
    const auto below = values();
    double total = 0;
    for (std::size_t k = 0; k < weights_.size(); ++k) {
      for (std::size_t j = 0; j < weights_[k].size(); ++j) total += weights_[k][j] * (above[k][j] - below[k][j]);
    }
    return total;
  }

 private:
  [[nodiscard]] std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> all;
    for (const Tensor& output : function_(inputs_)) {
      if (output.defined() && is_floating(output.dtype())) all.push_back(output.to_vector<double>());
    }
    bool same = all.size() == weights_.size();
    for (std::size_t k = 0; same && k < all.size(); ++k) same = all[k].size() == weights_[k].size();
    if (!same) throw ValueError("gradcheck: the function's outputs change their number or shapes between calls");
    return all;
  }

  const Function& function_;
  const std::vector<Tensor>& inputs_;
  std::mt19937_64 bits_;
  std::vector<std::vector<double>> weights_;
};

// Compares one input's gradient with differences; empty if they agree.
std::string check_input(const Projection& projection, std::size_t number, Tensor input, const Tensor& mask,
                        const std::vector<double>& analytical, const GradcheckOptions& options) {
  const auto count = static_cast<std::size_t>(input.numel());
  const std::vector<double> start = input.to_vector<double>();
  const std::vector<double> counts = mask.defined() ? mask.to_vector<double>() : std::vector<double>(count, 1.0);
  std::vector<double> moved = start;
  const auto put = [&] { input.copy_from(tensor(moved, input.shape())); };
  const auto disagree = [&](double expected, double numerical, const std::string& where) -> std::string {
    const double allowed = options.atol + options.rtol * std::abs(numerical);
    if (std::abs(expected - numerical) <= allowed) return {};  // false for NaN
    return fmt::format("gradcheck: input {} {}{}: analytical {:.10g}, numerical {:.10g} (allowed difference {:.3g})",
                       number, input.shape().to_string(), where, expected, numerical, allowed);
  };

  std::string message;
  if (input.numel() <= options.full_limit) {
    for (std::size_t j = 0; message.empty() && j < count; ++j) {
      if (counts[j] == 0) continue;
      // The step as it is after rounding, which is what the outputs saw.
      const double above = start[j] + options.eps;
      const double below = start[j] - options.eps;
      const double change = projection.difference([&](double sign) {
        moved[j] = sign > 0 ? above : below;
        put();
      });
      moved[j] = start[j];
      message = disagree(analytical[j], change / (above - below),
                         fmt::format(" at [{}]", position_text(input.shape(), static_cast<std::int64_t>(j))));
    }
  } else {
    std::mt19937_64 bits(options.seed + number + 1);
    for (int d = 0; message.empty() && d < options.directions; ++d) {
      std::vector<double> direction(count);
      double expected = 0;
      for (std::size_t j = 0; j < count; ++j) {
        const double drawn = draw(bits);
        direction[j] = counts[j] == 0 ? 0.0 : drawn;
        if (counts[j] != 0) expected += analytical[j] * drawn;
      }
      const double change = projection.difference([&](double sign) {
        for (std::size_t j = 0; j < count; ++j) moved[j] = start[j] + sign * options.eps * direction[j];
        put();
      });
      message = disagree(expected, change / (2 * options.eps),
                         fmt::format(" along random direction {} of seed {}", d, options.seed));
    }
  }
  moved = start;
  put();
  return message;
}

}  // namespace

GradcheckResult gradcheck(const Function& function, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  check_arguments(inputs, options);
  const Restore restore(inputs);
  Projection projection(function, inputs, options.seed);
  projection.backward();

  const NoGrad guard;
  GradcheckResult result;
  for (std::size_t i = 0; result.ok && i < inputs.size(); ++i) {
    if (!is_checked(inputs[i])) continue;
    // No gradient at all counts as zero.
    const std::vector<double> analytical = inputs[i].grad().defined()
                                               ? inputs[i].grad().to_dense().to_vector<double>()
                                               : std::vector<double>(static_cast<std::size_t>(inputs[i].numel()), 0.0);
    const Tensor mask = i < options.masks.size() ? options.masks[i] : Tensor();
    result.message = check_input(projection, i, inputs[i], mask, analytical, options);
    result.ok = result.message.empty();
  }
  if (!result.ok && options.throw_on_failure) throw Error(result.message);
  return result;
}

GradcheckResult gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& function,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  const Function several = [&](const std::vector<Tensor>& given) { return std::vector<Tensor>{function(given)}; };
  return gradcheck(several, inputs, options);
}

}  // namespace embergrad
