#include "opcheck/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/nn/unit_scaling.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/row_sparse.hpp>
#include <embergrad/tensor.hpp>

#include "opcheck/case.hpp"
#include "untrusted_json.hpp"

namespace embergrad::opcheck {

namespace {

// --- the ops -------------------------------------------------------------------------------------------------------

Outputs one(Tensor output) { return {{"output", std::move(output)}}; }

Shape shape_of(const std::vector<std::int64_t>& extents) { return Shape(std::span<const std::int64_t>(extents)); }

// With max_norm the table is a result as well: it may have been changed in place.
Outputs looked_up(const Case& c, Tensor output) {
  Outputs outputs = one(std::move(output));
  if (c.args.has("max_norm")) outputs.emplace_back("mutated.weight", c.get("weight"));
  return outputs;
}

EmbeddingOptions embedding_options_of(const Case& c) {
  EmbeddingOptions options;
  options.padding_idx = c.args.find<std::int64_t>("padding_idx");
  options.max_norm = c.args.find<double>("max_norm");
  options.norm_type = c.args.get("norm_type", options.norm_type);
  options.scale_grad_by_freq = c.args.get("scale_grad_by_freq", options.scale_grad_by_freq);
  options.sparse = c.args.get("sparse", options.sparse);
  return options;
}

Outputs run_embedding(const Case& c) {
  return looked_up(c, embedding(c.get("input"), c.get("weight"), embedding_options_of(c)));
}

BagMode bag_mode_of(const Case& c) {
  const auto name = c.args.get<std::string>("mode", "mean");
  if (name == "sum") return BagMode::sum;
  if (name == "mean") return BagMode::mean;
  if (name == "max") return BagMode::max;
  c.args.refuse("mode", "sum, mean or max");
}

EmbeddingBagOptions bag_options_of(const Case& c) {
  EmbeddingBagOptions options;
  options.max_norm = c.args.find<double>("max_norm");
  options.norm_type = c.args.get("norm_type", options.norm_type);
  options.scale_grad_by_freq = c.args.get("scale_grad_by_freq", options.scale_grad_by_freq);
  options.mode = bag_mode_of(c);
  options.sparse = c.args.get("sparse", options.sparse);
  options.per_sample_weights = c.find("per_sample_weights");
  options.include_last_offset = c.args.get("include_last_offset", options.include_last_offset);
  options.padding_idx = c.args.find<std::int64_t>("padding_idx");
  return options;
}

Outputs run_embedding_bag(const Case& c) {
  return looked_up(c, embedding_bag(c.get("input"), c.get("weight"), c.find("offsets"), bag_options_of(c)));
}

Outputs run_linear(const Case& c) { return one(linear(c.get("input"), c.get("weight"), c.find("bias"))); }

// Without dim, PyTorch chooses by rank.
int softmax_dim(const Case& c) {
  const int rank = c.get("input").dim();
  return c.args.get("dim", rank == 0 || rank == 1 || rank == 3 ? 0 : 1);
}

Reduction reduction_of(const Case& c) {
  const auto name = c.args.get<std::string>("reduction", "mean");
  if (name == "none") return Reduction::none;
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  c.args.refuse("reduction", "none, mean or sum");
}

// --- unit scaling: as the functions of the Python library of that name, which refuses some values, and two more ------

namespace us = nn::unit_scaling;

Outputs run_unit_embedding(const Case& c) {
  return looked_up(c, us::embedding(c.get("input"), c.get("weight"), embedding_options_of(c)));
}

Outputs run_unit_embedding_bag(const Case& c) {
  return looked_up(c, us::embedding_bag(c.get("input"), c.get("weight"), c.find("offsets"), bag_options_of(c)));
}

// Here null is a value: no constraint.
us::Constraint constraint_of(const Case& c, us::Constraint otherwise) {
  if (!c.args.values().contains("constraint")) return otherwise;
  return us::constraint_from_name(c.args.get<std::string>("constraint", ""));
}

Outputs run_unit_linear(const Case& c) {
  us::LinearScaling scaling;
  scaling.constraint = constraint_of(c, scaling.constraint);
  if (const auto power = c.args.find<std::vector<double>>("scale_power")) {
    if (power->size() != scaling.scale_power.size()) c.args.refuse("scale_power", "three numbers");
    std::copy(power->begin(), power->end(), scaling.scale_power.begin());
  }
  return one(us::linear(c.get("input"), c.get("weight"), c.find("bias"), scaling));
}

Outputs run_unit_linear_readout(const Case& c) {
  return one(
      us::linear_readout(c.get("input"), c.get("weight"), c.find("bias"), constraint_of(c, us::Constraint::none)));
}

Outputs run_unit_dropout(const Case& c) {
  DropoutOptions options;
  options.p = c.args.get("p", options.p);
  options.training = c.args.get("training", options.training);
  if (c.args.get("inplace", false)) c.args.refuse("inplace", "false");
  if (options.training && options.p > 0 && options.p < 1) throw Unsupported("unit_scaling.dropout: random numbers");
  return one(us::dropout(c.get("input"), options));
}

Outputs run_nll_loss(const Case& c) {
  NllLossOptions options;
  options.weight = c.find("weight");
  options.ignore_index = c.args.get("ignore_index", options.ignore_index);
  options.reduction = reduction_of(c);
  return one(nll_loss(c.get("input"), c.get("target"), options));
}

Outputs run_cross_entropy(const Case& c) {
  CrossEntropyOptions options;
  options.weight = c.find("weight");
  options.ignore_index = c.args.get("ignore_index", options.ignore_index);
  options.reduction = reduction_of(c);
  options.label_smoothing = c.args.get("label_smoothing", options.label_smoothing);
  return one(cross_entropy(c.get("input"), c.get("target"), options));
}

Outputs run_unit_cross_entropy(const Case& c) {
  us::CrossEntropyOptions options;
  if (c.find("weight").defined()) throw ValueError("unit_scaling.cross_entropy: weight must not be given");
  for (const char* name : {"size_average", "reduce"}) {
    if (c.args.has(name)) c.args.refuse(name, "null");
  }
  if (c.args.get("label_smoothing", 0.0) != 0) c.args.refuse("label_smoothing", "0");
  options.ignore_index = c.args.get("ignore_index", options.ignore_index);
  options.reduction = reduction_of(c);
  options.mult = c.args.get("mult", options.mult);
  return one(us::cross_entropy(c.get("input"), c.get("target"), options));
}

Outputs run_binary_cross_entropy(const Case& c) {
  BinaryCrossEntropyOptions options;
  options.weight = c.find("weight");
  options.reduction = reduction_of(c);
  options.pos_weight = c.find("pos_weight");
  return one(binary_cross_entropy_with_logits(c.get("input"), c.get("target"), options));
}

Outputs run_mse_loss(const Case& c) {
  return one(mse_loss(c.get("input"), c.get("target"), {.reduction = reduction_of(c), .weight = c.find("weight")}));
}

// --- ops whose operand may be a tensor or a number -----------------------------------------------------------------

Outputs run_pow(const Case& c) {
  const Tensor exponent = c.find("exponent");
  if (c.args.has("self") && (c.args.has("input") || c.find("input").defined())) {
    c.args.refuse("self", "nothing beside input");
  }
  if (!exponent.defined()) return one(pow(c.get("input"), c.args.get<Scalar>("exponent")));
  if (c.find("input").defined()) return one(pow(c.get("input"), exponent));
  return one(pow(c.args.get<Scalar>(c.args.has("self") ? "self" : "input"), exponent));
}

Outputs run_clamp(const Case& c) {
  if (c.find("min").defined() || c.find("max").defined()) {
    if (c.args.has("min") || c.args.has("max")) throw Unsupported("clamp: a tensor and a number");
    return one(clamp(c.get("input"), c.find("min"), c.find("max")));
  }
  return one(clamp(c.get("input"), {.min = c.args.find<Scalar>("min"), .max = c.args.find<Scalar>("max")}));
}

Outputs run_where(const Case& c) {
  const Tensor& condition = c.get("condition");
  const Tensor input = c.find("input");
  const Tensor other = c.find("other");
  if (input.defined() && other.defined()) return one(where(condition, input, other));
  if (input.defined()) return one(where(condition, input, c.args.get<Scalar>("other")));
  if (other.defined()) return one(where(condition, c.args.get<Scalar>("input"), other));
  return one(where(condition, c.args.get<Scalar>("input"), c.args.get<Scalar>("other")));
}

Outputs run_masked_fill(const Case& c) {
  const Tensor value = c.find("value");
  if (value.defined()) return one(masked_fill(c.get("input"), c.get("mask"), value));
  return one(masked_fill(c.get("input"), c.get("mask"), c.args.get<Scalar>("value")));
}

// --- extremes and reductions ---------------------------------------------------------------------------------------

Outputs both(ValuesAndIndices found) {
  return {{"output.values", std::move(found.values)}, {"output.indices", std::move(found.indices)}};
}

using Extreme = Tensor (*)(const Tensor&);
using ExtremeAlong = ValuesAndIndices (*)(const Tensor&, int, bool);
using ExtremeOfTwo = Tensor (*)(const Tensor&, const Tensor&);

// torch.max and torch.min: of all elements, along a dimension, or of two tensors.
Outputs run_extreme(const Case& c, Extreme all, ExtremeAlong along, ExtremeOfTwo of_two) {
  if (c.find("other").defined()) {
    for (const char* name : {"dim", "keepdim"}) {
      if (c.args.has(name)) c.args.refuse(name, "nothing beside other");
    }
    return one(of_two(c.get("input"), c.get("other")));
  }
  if (c.args.has("dim")) return both(along(c.get("input"), c.args.get<int>("dim"), c.args.get("keepdim", false)));
  if (c.args.has("keepdim")) throw ValueError(fmt::format("{}: keepdim is given without dim", c.op));
  return one(all(c.get("input")));
}

using PositionAlong = Tensor (*)(const Tensor&, int, bool);

Outputs run_position(const Case& c, Extreme all, PositionAlong along) {
  const Tensor& input = c.get("input");
  const bool keepdim = c.args.get("keepdim", false);
  if (c.args.has("dim")) return one(along(input, c.args.get<int>("dim"), keepdim));
  const Tensor found = all(input);
  if (!keepdim) return one(found);
  return one(found.reshape(shape_of(std::vector<std::int64_t>(static_cast<std::size_t>(input.dim()), 1))));
}

// "dim" as a number or a list; nothing is the empty list.
Dims dims_of(const Case& c, const std::string& name) {
  if (!c.args.has(name)) return {};
  if (c.args.values().at(name).is_array()) return shape_of(c.args.get<std::vector<std::int64_t>>(name));
  return {c.args.get<std::int64_t>(name)};
}

using ReduceOver = Tensor (*)(const Tensor&, const Dims&, bool);

Outputs run_reduce_over(const Case& c, ReduceOver reduce) {
  return one(reduce(c.get("input"), dims_of(c, "dim"), c.args.get("keepdim", false)));
}

Outputs run_topk(const Case& c) {
  TopkOptions options;
  options.dim = c.args.get("dim", options.dim);
  options.largest = c.args.get("largest", options.largest);
  options.sorted = c.args.get("sorted", options.sorted);
  return both(topk(c.get("input"), c.args.get<std::int64_t>("k"), options));
}

Outputs run_squeeze(const Case& c) {
  return one(c.args.has("dim") ? squeeze(c.get("input"), dims_of(c, "dim")) : squeeze(c.get("input")));
}

using Reduce = Tensor (*)(const Tensor&);
using ReduceDims = Tensor (*)(const Tensor&, const Dims&, bool);

Outputs run_reduce(const Case& c, Reduce all, ReduceDims some) {
  const bool keepdim = c.args.get("keepdim", false);
  if (!c.args.has("dim")) return one(keepdim ? some(c.get("input"), {}, true) : all(c.get("input")));
  const Json& dim = c.args.values().at("dim");
  if (dim.is_array()) return one(some(c.get("input"), shape_of(c.args.get<std::vector<std::int64_t>>("dim")), keepdim));
  return one(some(c.get("input"), {c.args.get<std::int64_t>("dim")}, keepdim));
}

std::vector<Tensor> numbered_inputs(const Case& c) {
  std::vector<Tensor> inputs;
  while (c.inputs.contains(fmt::format("input.{}", inputs.size()))) {
    inputs.push_back(c.inputs.at(fmt::format("input.{}", inputs.size())));
  }
  if (inputs.size() != c.inputs.size()) {
    throw ValueError(
        fmt::format("{}: tensors are to be named input.0, input.1, …; input.{} is missing", c.op, inputs.size()));
  }
  return inputs;
}

// The parameters in the order of `lstm`: by layer, by direction. What is there and what the arguments ask for agree.
std::vector<Tensor> lstm_parameters(const Case& c, std::int64_t layers, bool bias, bool bidirectional) {
  const auto hidden = c.args.get<std::int64_t>("hidden_size");
  const auto projection = c.args.get<std::int64_t>("proj_size", 0);
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 4;  // four gates have so many rows
  if (hidden < 1 || hidden > most) c.args.refuse("hidden_size", "at least 1 and such that four times it fits 64 bits");
  if (layers < 1) c.args.refuse("num_layers", "at least 1");
  if (projection < 0 || projection >= hidden) c.args.refuse("proj_size", "at least 0 and less than hidden_size");

  std::vector<Tensor> parameters;
  std::set<std::string> used;
  const auto take = [&](const std::string& name) -> const Tensor& {
    used.insert(name);
    return parameters.emplace_back(c.get(name));
  };
  const auto rows = [&](const std::string& name, const Tensor& parameter, std::int64_t expected) {
    if (parameter.dim() < 1 || parameter.size(0) != expected) {
      throw ShapeError(fmt::format("{}: {} has shape {}, expected {} rows for hidden_size {} and proj_size {}", c.op,
                                   name, parameter.shape().to_string(), expected, hidden, projection));
    }
  };
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    for (const char* direction : {"", "_reverse"}) {
      if (*direction != '\0' && !bidirectional) continue;
      const std::string suffix = fmt::format("_l{}{}", layer, direction);
      rows("weight_ih" + suffix, take("weight_ih" + suffix), 4 * hidden);
      rows("weight_hh" + suffix, take("weight_hh" + suffix), 4 * hidden);
      if (bias) {
        take("bias_ih" + suffix);
        take("bias_hh" + suffix);
      }
      if (projection > 0) rows("weight_hr" + suffix, take("weight_hr" + suffix), projection);
    }
  }
  for (const auto& entry : c.inputs) {
    const std::string& name = entry.first;
    if ((name.starts_with("weight_") || name.starts_with("bias_")) && !used.contains(name)) {
      throw ValueError(fmt::format("{}: parameter {} does not belong to these arguments", c.op, name));
    }
  }
  return parameters;
}

// What `lstm` and `unit_scaling.lstm` are given.
struct LstmArguments {
  Tensor input;
  LstmState state;
  std::vector<Tensor> parameters = {};
  LstmOptions options = {};
  std::vector<std::int64_t> lengths = {};
};

LstmArguments lstm_arguments(const Case& c) {
  LstmArguments of{.input = c.get("input"), .state = {c.find("h_0"), c.find("c_0")}};
  LstmOptions& options = of.options;
  options.num_layers = c.args.get("num_layers", options.num_layers);
  options.bias = c.args.get("bias", options.bias);
  options.batch_first = c.args.get("batch_first", options.batch_first);
  options.bidirectional = c.args.get("bidirectional", options.bidirectional);
  const bool sorted = c.args.get("enforce_sorted", true);
  of.parameters = lstm_parameters(c, options.num_layers, options.bias, options.bidirectional);

  const Tensor lengths = c.find("lengths");
  if (!lengths.defined()) return of;
  if (!is_integer(lengths.dtype())) {
    throw DTypeError(fmt::format("{}: lengths is {}, expected int32 or int64", c.op, name_of(lengths.dtype())));
  }
  if (lengths.dim() != 1 || of.input.dim() != 3) {
    throw ShapeError(fmt::format("{}: lengths {} with input {}, expected one dimension and three", c.op,
                                 lengths.shape().to_string(), of.input.shape().to_string()));
  }
  // An empty list would mean that there are no lengths.
  if (lengths.numel() == 0 && of.input.size(options.batch_first ? 0 : 1) != 0) {
    throw ShapeError(fmt::format("{}: no lengths for input {}", c.op, of.input.shape().to_string()));
  }
  of.lengths = lengths.to_vector<std::int64_t>();
  options.enforce_sorted = sorted;
  return of;
}

Outputs lstm_outputs(const LstmArguments& of, LstmResult result) {
  if (!of.lengths.empty()) {
    // PyTorch's pad_packed_sequence goes as far as the longest sequence.
    const std::int64_t longest = *std::max_element(of.lengths.begin(), of.lengths.end());
    result.output = narrow(result.output, of.options.batch_first ? 1 : 0, 0, longest);
  }
  return {{"output.output", result.output}, {"output.h_n", result.h_n}, {"output.c_n", result.c_n}};
}

Outputs run_lstm(const Case& c) {
  const LstmArguments of = lstm_arguments(c);
  return lstm_outputs(of, lstm(of.input, of.state, of.parameters, of.options, of.lengths));
}

Outputs run_unit_lstm(const Case& c) {
  const LstmArguments of = lstm_arguments(c);
  us::LstmScaling scaling;
  scaling.constraint = constraint_of(c, scaling.constraint);
  scaling.forget_offset = c.args.get("forget_offset", scaling.forget_offset);
  return lstm_outputs(of, us::lstm(of.input, of.state, of.parameters, of.options, of.lengths, scaling));
}

// --- the table -----------------------------------------------------------------------------------------------------

struct Op {
  // Names of tensors; a name that ends in * stands for all that begin so.
  std::vector<std::string_view> tensors;
  std::vector<std::string_view> args;
  Outputs (*run)(const Case&);
};

template <Tensor (*function)(const Tensor&)>
Op unary() {
  return {{"input"}, {}, [](const Case& c) { return one(function(c.get("input"))); }};
}
template <Tensor (*function)(const Tensor&, const Tensor&)>
Op binary() {
  return {{"input", "other"}, {}, [](const Case& c) { return one(function(c.get("input"), c.get("other"))); }};
}

// The second operand is a tensor or a number.
template <Tensor (*of_tensors)(const Tensor&, const Tensor&), Tensor (*beside_number)(const Tensor&, Scalar)>
Op binary_or_number() {
  return {{"input", "other"}, {"other"}, [](const Case& c) {
            const Tensor other = c.find("other");
            if (other.defined() || !c.args.has("other")) return one(of_tensors(c.get("input"), c.get("other")));
            return one(beside_number(c.get("input"), c.args.get<Scalar>("other")));
          }};
}

Outputs run_reshape(const Case& c) {
  return one(reshape(c.get("input"), shape_of(c.args.get<std::vector<std::int64_t>>("shape"))));
}

const std::map<std::string, Op, std::less<>>& ops() {
  static const std::map<std::string, Op, std::less<>> table = {
      {"embedding",
       {{"input", "weight"}, {"padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"}, run_embedding}},
      {"embedding_bag",
       {{"input", "weight", "offsets", "per_sample_weights"},
        {"max_norm", "norm_type", "scale_grad_by_freq", "mode", "sparse", "include_last_offset", "padding_idx"},
        run_embedding_bag}},
      {"linear", {{"input", "weight", "bias"}, {}, run_linear}},
      {"log_softmax",
       {{"input"}, {"dim"}, [](const Case& c) { return one(log_softmax(c.get("input"), softmax_dim(c))); }}},
      {"softmax", {{"input"}, {"dim"}, [](const Case& c) { return one(softmax(c.get("input"), softmax_dim(c))); }}},
      {"nll_loss", {{"input", "target", "weight"}, {"ignore_index", "reduction"}, run_nll_loss}},
      {"cross_entropy",
       {{"input", "target", "weight"}, {"ignore_index", "reduction", "label_smoothing"}, run_cross_entropy}},
      {"relu", unary<relu>()},
      {"sigmoid", unary<sigmoid>()},
      {"tanh", unary<tanh>()},
      {"exp", unary<exp>()},
      {"log", unary<log>()},
      {"neg", unary<neg>()},
      {"sqrt", unary<sqrt>()},
      {"square", unary<square>()},
      {"abs", unary<abs>()},
      {"logsigmoid", unary<logsigmoid>()},
      {"pow", {{"input", "exponent"}, {"input", "self", "exponent"}, run_pow}},
      {"clamp", {{"input", "min", "max"}, {"min", "max"}, run_clamp}},
      {"where", {{"condition", "input", "other"}, {"input", "other"}, run_where}},
      {"masked_fill", {{"input", "mask", "value"}, {"value"}, run_masked_fill}},
      {"maximum", binary<maximum>()},
      {"minimum", binary<minimum>()},
      {"max",
       {{"input", "other"}, {"dim", "keepdim"}, [](const Case& c) { return run_extreme(c, max, max, maximum); }}},
      {"min",
       {{"input", "other"}, {"dim", "keepdim"}, [](const Case& c) { return run_extreme(c, min, min, minimum); }}},
      {"amax", {{"input"}, {"dim", "keepdim"}, [](const Case& c) { return run_reduce_over(c, amax); }}},
      {"amin", {{"input"}, {"dim", "keepdim"}, [](const Case& c) { return run_reduce_over(c, amin); }}},
      {"argmax", {{"input"}, {"dim", "keepdim"}, [](const Case& c) { return run_position(c, argmax, argmax); }}},
      {"argmin", {{"input"}, {"dim", "keepdim"}, [](const Case& c) { return run_position(c, argmin, argmin); }}},
      {"topk", {{"input"}, {"k", "dim", "largest", "sorted"}, run_topk}},
      {"logsumexp", {{"input"}, {"dim", "keepdim"}, [](const Case& c) { return run_reduce_over(c, logsumexp); }}},
      {"binary_cross_entropy_with_logits",
       {{"input", "target", "weight", "pos_weight"}, {"reduction"}, run_binary_cross_entropy}},
      {"mse_loss", {{"input", "target", "weight"}, {"reduction"}, run_mse_loss}},
      {"squeeze", {{"input"}, {"dim"}, run_squeeze}},
      {"unsqueeze",
       {{"input"}, {"dim"}, [](const Case& c) { return one(unsqueeze(c.get("input"), c.args.get<int>("dim"))); }}},
      {"permute",
       {{"input"},
        {"dims"},
        [](const Case& c) {
          return one(permute(c.get("input"), shape_of(c.args.get<std::vector<std::int64_t>>("dims"))));
        }}},
      {"index_select",
       {{"input", "index"},
        {"dim"},
        [](const Case& c) { return one(index_select(c.get("input"), c.args.get<int>("dim"), c.get("index"))); }}},
      {"add", binary_or_number<add, add>()},
      {"sub", binary_or_number<sub, sub>()},
      {"mul", binary_or_number<mul, mul>()},
      {"div", binary_or_number<div, div>()},
      {"eq", binary_or_number<eq, eq>()},
      {"ne", binary_or_number<ne, ne>()},
      {"lt", binary_or_number<lt, lt>()},
      {"le", binary_or_number<le, le>()},
      {"gt", binary_or_number<gt, gt>()},
      {"ge", binary_or_number<ge, ge>()},
      {"clone", {{"input"}, {}, [](const Case& c) { return one(c.get("input").clone()); }}},
      {"detach", {{"input"}, {}, [](const Case& c) { return one(c.get("input").detach()); }}},
      {"matmul", binary<matmul>()},
      {"sum", {{"input"}, {"dim", "keepdim"}, [](const Case& c) { return run_reduce(c, sum, sum); }}},
      {"mean", {{"input"}, {"dim", "keepdim"}, [](const Case& c) { return run_reduce(c, mean, mean); }}},
      {"reshape", {{"input"}, {"shape"}, run_reshape}},
      {"view", {{"input"}, {"shape"}, run_reshape}},
      {"transpose",
       {{"input"},
        {"dim0", "dim1"},
        [](const Case& c) {
          return one(transpose(c.get("input"), c.args.get<int>("dim0"), c.args.get<int>("dim1")));
        }}},
      {"narrow",
       {{"input"},
        {"dim", "start", "length"},
        [](const Case& c) {
          return one(narrow(c.get("input"), c.args.get<int>("dim"), c.args.get<std::int64_t>("start"),
                            c.args.get<std::int64_t>("length")));
        }}},
      {"gather_rows",
       {{"input", "index"}, {}, [](const Case& c) { return one(gather_rows(c.get("input"), c.get("index"))); }}},
      {"cat", {{"input.*"}, {"dim"}, [](const Case& c) { return one(cat(numbered_inputs(c), c.args.get("dim", 0))); }}},
      {"stack",
       {{"input.*"}, {"dim"}, [](const Case& c) { return one(stack(numbered_inputs(c), c.args.get("dim", 0))); }}},
      {"lstm",
       {{"input", "h_0", "c_0", "lengths", "weight_*", "bias_*"},
        {"hidden_size", "num_layers", "bias", "batch_first", "bidirectional", "proj_size", "enforce_sorted"},
        run_lstm}},
      {"unit_scaling.embedding",
       {{"input", "weight"},
        {"padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"},
        run_unit_embedding}},
      {"unit_scaling.embedding_bag",
       {{"input", "weight", "offsets", "per_sample_weights"},
        {"max_norm", "norm_type", "scale_grad_by_freq", "mode", "sparse", "include_last_offset", "padding_idx"},
        run_unit_embedding_bag}},
      {"unit_scaling.linear", {{"input", "weight", "bias"}, {"constraint", "scale_power"}, run_unit_linear}},
      {"unit_scaling.linear_readout", {{"input", "weight", "bias"}, {"constraint"}, run_unit_linear_readout}},
      {"unit_scaling.cross_entropy",
       {{"input", "target", "weight"},
        {"ignore_index", "reduction", "mult", "size_average", "reduce", "label_smoothing"},
        run_unit_cross_entropy}},
      {"unit_scaling.lstm",
       {{"input", "h_0", "c_0", "lengths", "weight_*", "bias_*"},
        {"hidden_size", "num_layers", "bias", "batch_first", "bidirectional", "proj_size", "enforce_sorted",
         "constraint", "forget_offset"},
        run_unit_lstm}},
      {"unit_scaling.dropout", {{"input"}, {"p", "training", "inplace"}, run_unit_dropout}},
      {"optimizer",
       {{"param.*", "grad.*"},
        {"optimizer", "options", "updates", "steps", "lr", "options_at", "read_at", "save_load_at", "frozen_rows"},
        run_optimizer}},
  };
  return table;
}

bool names_one_of(const std::vector<std::string_view>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
    return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
  });
}

void check_known(const Case& c, const Op& op) {
  for (const auto& [name, value] : c.args.values().items()) {
    if (names_one_of(op.args, name)) {
      if (!value.is_null() && c.inputs.contains(name)) c.args.refuse(name, "either this or the tensor");
      continue;
    }
    if (!names_one_of(op.tensors, name)) throw Unsupported(fmt::format("{}: unknown argument {}", c.op, name));
    if (!value.is_null()) c.args.refuse(name, "a tensor or null");
  }
  for (const auto& [name, tensor] : c.inputs) {
    if (!names_one_of(op.tensors, name)) throw Unsupported(fmt::format("{}: unknown tensor {}", c.op, name));
  }
}

// --- backward ------------------------------------------------------------------------------------------------------

// Lets the given gradients flow into the outputs, all in one backward.
void run_backward(const Case& c, const Outputs& outputs) {
  std::vector<TensorRef> reached;
  std::vector<Tensor> gradients;
  std::size_t matched = 0;
  for (const auto& [name, output] : outputs) {
    const std::string grad_name = "grad_" + name;
    if (!c.output_gradients.contains(grad_name)) continue;
    ++matched;
    Tensor gradient = c.output_gradients.at(grad_name);
    // A 16-bit table gives float32, which is stored as the table is.
    if (output.dtype() == DType::float32 && is_16_bit(gradient.dtype())) gradient = gradient.to(output.dtype());
    if (gradient.shape() != output.shape()) {
      throw ShapeError(fmt::format("{}: {} has shape {}, the output {}", c.op, grad_name, gradient.shape().to_string(),
                                   output.shape().to_string()));
    }
    if (gradient.dtype() != output.dtype()) {
      throw DTypeError(fmt::format("{}: {} is {}, the output {}", c.op, grad_name, name_of(gradient.dtype()),
                                   name_of(output.dtype())));
    }
    if (!output.requires_grad()) continue;
    reached.emplace_back(output);
    gradients.push_back(gradient);
  }
  if (matched != c.output_gradients.size()) {
    throw ValueError(fmt::format("{}: a grad_output names no output", c.op));
  }
  if (reached.size() == 1) {
    reached[0].get().backward(gradients[0]);
  } else if (reached.size() > 1) {
    const Tensor total = record("opcheck", zeros({}, {gradients[0].dtype(), gradients[0].device()}), reached,
                                [gradients](const OutputGradients&, InputGradients& inputs) {
                                  for (std::size_t k = 0; k < gradients.size(); ++k) inputs.add(k, gradients[k]);
                                });
    total.backward();
  }
}

// What is written shares no memory, or it would be stored once for several names.
Tensor own_copy(const Tensor& tensor) { return tensor.detach().to(Device::cpu()).clone(); }

// The same in the type that PyTorch gives beside a tensor of type `beside`: what is computed in float32 for a 16-bit
// table is rounded once.
Tensor copy_beside(DType beside, const Tensor& tensor) {
  const Tensor copy = own_copy(tensor);
  return is_16_bit(beside) && copy.dtype() == DType::float32 ? copy.to(beside) : copy;
}

StateDict run_op(const Case& c, const Op& op) {
  check_known(c, op);
  for (const std::string& name : c.wanted) {
    if (!c.inputs.contains(name)) throw ValueError(fmt::format("{}: requires_grad names no tensor: {}", c.op, name));
    Tensor(c.inputs.at(name)).set_requires_grad();
  }
  const Outputs outputs = op.run(c);
  const Tensor weight = c.find("weight");
  StateDict result;
  for (const auto& [name, output] : outputs) {
    result.set(name, weight.defined() ? copy_beside(weight.dtype(), output) : own_copy(output));
  }
  if (c.output_gradients.size() == 0) return result;

  run_backward(c, outputs);
  for (const std::string& name : c.wanted) {
    const Tensor& input = c.inputs.at(name);
    const Gradient& gradient = input.grad();
    if (!gradient.defined()) {
      result.set("grad." + name, zeros(input.shape(), {input.dtype(), Device::cpu()}));
    } else if (gradient.is_sparse()) {
      result.set("grad." + name + ".indices", own_copy(gradient.rows().indices()));
      result.set("grad." + name + ".values", copy_beside(input.dtype(), gradient.rows().values()));
    } else {
      result.set("grad." + name, copy_beside(input.dtype(), gradient.dense()));
    }
  }
  return result;
}

// --- a file --------------------------------------------------------------------------------------------------------

Json parse_case(const Loaded& file) {
  const auto text = file.metadata.find("case");
  if (text == file.metadata.end()) throw FormatError("the metadata holds no key \"case\"");
  Json json = detail::parse_untrusted_json(text->second);
  if (!json.is_object()) {
    throw FormatError(
        fmt::format("the metadata key \"case\" is not a JSON object that nests at most {} deep", detail::deepest_json));
  }
  if (!json.contains("op") || !json.at("op").is_string()) throw FormatError("the case has no \"op\"");
  if (!json.contains("args") || json.at("args").is_null()) json["args"] = Json::object();
  if (!json.at("args").is_object()) throw FormatError("\"args\" of the case is not a JSON object");
  if (!json.contains("requires_grad") || json.at("requires_grad").is_null()) json["requires_grad"] = Json::array();
  const Json& wanted = json.at("requires_grad");
  if (!wanted.is_array() || !std::all_of(wanted.begin(), wanted.end(), [](const Json& v) { return v.is_string(); })) {
    throw FormatError("\"requires_grad\" of the case is not a list of names");
  }
  return json;
}

template <class Run>
CaseResult answered(Device device, const Run& run) {
  CaseResult result;
  try {
    result.tensors = run();
    result.metadata = {{"device", device.is_cuda() ? "cuda" : "cpu"}};
  } catch (const Unsupported& error) {
    result.error_class = "Unsupported";
    result.error_message = error.what();
  } catch (const Error& error) {
    result.error_class = error.name();
    result.error_message = error.what();
  } catch (const std::exception& error) {
    result.error_class = "Error";
    result.error_message = error.what();
  }
  return result;
}

StateDict run_loaded(const Loaded& file, Device device) {
  const Json json = parse_case(file);
  const auto op_name = json.at("op").get<std::string>();
  Case c{
      op_name, Arguments(op_name, json.at("args")), {}, {}, json.at("requires_grad").get<std::vector<std::string>>()};
  const auto op = ops().find(op_name);
  if (op == ops().end()) throw Unsupported("unknown op " + op_name);
  for (const auto& [name, tensor] : file.tensors) {
    const bool is_gradient = name == "grad_output" || name.starts_with("grad_output.");
    // A copy: an op may change its input, which belongs to the caller.
    (is_gradient ? c.output_gradients : c.inputs).set(name, tensor.clone().to(device));
  }
  return run_op(c, op->second);
}

}  // namespace

CaseResult run_case(const Loaded& file, Device device) {
  return answered(device, [&] { return run_loaded(file, device); });
}

CaseResult run_file(const std::string& path, Device device) {
  return answered(device, [&] { return run_loaded(load(path), device); });
}

}  // namespace embergrad::opcheck
