#include "kernels/embedding_bag.hpp"

#include <embergrad/ops.hpp>

#include "ops/table.hpp"

namespace embergrad {
namespace {

std::int64_t number_at(const Tensor& tensor, std::int64_t i) {
  return tensor.dtype() == DType::int32 ? tensor.data<std::int32_t>()[i] : tensor.data<std::int64_t>()[i];
}

// Where each bag begins, and where the last one ends: int64 (bags + 1).
Tensor bag_starts(const OpCheck& check, const Tensor& input, const Tensor& offsets, bool include_last_offset) {
  const std::int64_t places = input.numel();
  if (input.dim() == 2) {
    if (offsets.defined()) {
      check.fail_value(
          fmt::format("offsets must not be given for a 2-D input, whose bags are its {} rows", input.shape()[0]));
    }
    Tensor starts = empty({input.shape()[0] + 1}, {DType::int64, {}});
    auto* start = starts.mutable_data<std::int64_t>();
    for (std::int64_t b = 0; b < starts.numel(); ++b) start[b] = b * input.shape()[1];
    return starts;
  }
  if (input.dim() != 1) {
    check.fail_shape(fmt::format("input must have 1 or 2 dimensions, but has shape {}", input.shape().to_string()));
  }
  if (!offsets.defined()) check.fail_value("offsets must be given for a 1-D input");
  check.is_integer("offsets", offsets);
  check.has_rank("offsets", offsets, 1);
  const std::int64_t given = offsets.numel();
  if (include_last_offset && given == 0) {
    check.fail_value("offsets must have at least one element with include_last_offset, but is empty");
  }
  const Tensor here = offsets.to(Device::cpu());
  const std::int64_t bags = include_last_offset ? given - 1 : given;
  Tensor starts = empty({bags + 1}, {DType::int64, {}});
  auto* start = starts.mutable_data<std::int64_t>();
  std::int64_t before = 0;
  for (std::int64_t i = 0; i < given; ++i) {
    const std::int64_t offset = number_at(here, i);
    if (i == 0 && offset != 0) check.fail_value(fmt::format("offsets[0] must be 0, but is {}", offset));
    if (offset < before) {
      check.fail_value(fmt::format("offsets[{}] = {} is less than the one before it ({})", i, offset, before));
    }
    if (offset > places) {
      check.fail_value(fmt::format("offsets[{}] = {} is past the end of input ({} indices)", i, offset, places));
    }
    start[i] = before = offset;
  }
  if (include_last_offset && before != places) {
    check.fail_value(
        fmt::format("with include_last_offset the last of offsets must be the {} indices of input, but "
                    "offsets[{}] = {}",
                    places, given - 1, before));
  }
  if (bags == 0 && places > 0) check.fail_value(fmt::format("there are {} indices, but no bags", places));
  start[bags] = places;
  return starts;
}

// The weights in the type that is computed in; undefined if there are none.
Tensor checked_weights(const OpCheck& check, const Tensor& input, const Tensor& weight, const Tensor& weights) {
  if (!weights.defined()) return {};
  const DType dtype = detail::gradient_dtype(weight.dtype());
  if (weights.dtype() != dtype && weights.dtype() != weight.dtype()) {
    check.fail_dtype(
        fmt::format("per_sample_weights is {}, but weight is {}", name_of(weights.dtype()), name_of(weight.dtype())));
  }
  if (weights.shape() != input.shape()) {
    check.fail_shape(fmt::format("per_sample_weights must have input's shape {}, but has {}", input.shape().to_string(),
                                 weights.shape().to_string()));
  }
  check.same_device(weight, weights);
  return weights.to(dtype);
}

void check_bag_lengths(const OpCheck& check, const Tensor& starts) {
  constexpr std::int64_t most = INT32_MAX;
  const auto* start = starts.data<std::int64_t>();
  for (std::int64_t b = 0; b + 1 < starts.numel(); ++b) {
    if (start[b + 1] - start[b] > most) {
      check.fail_value(fmt::format("a bag may have {} indices, but bag {} has {}", most, b, start[b + 1] - start[b]));
    }
  }
}

// A bag whose weights sum to 0 gives no gradient, not even of an infinity, which times 0 would be NaN.
Tensor without_zero_sums(const Tensor& grad, const Tensor& weights, const Tensor& divisors) {
  if (!weights.defined() || !divisors.defined()) return grad;
  const Tensor is_zero = eq(divisors, 0);
  if (grad.device().is_cpu() && is_zero.sum().item() == 0) return grad;  // a GPU is not waited for
  return masked_fill(grad, unsqueeze(is_zero, 1), 0.0);
}

View view_or_none(const Tensor& tensor, DType dtype) {
  return tensor.defined() ? detail::view(tensor) : View{.data = nullptr, .dtype = dtype, .size = 0};
}

}  // namespace

Tensor embedding_bag(const Tensor& input, const Tensor& weight, const Tensor& offsets,
                     const EmbeddingBagOptions& options, const Scales& scales) {
  const OpCheck check("embedding_bag");
  check.is_integer("input", input);
  check_table(check, weight);
  check.index_device(weight, input);
  const std::int64_t rows = weight.shape()[0];
  const std::int64_t dim = weight.shape()[1];
  const std::int64_t padding = padding_row(check, options.padding_idx, rows);
  check_max_norm(check, options.max_norm, options.norm_type);
  check_scales(check, scales);
  const Tensor host_starts = bag_starts(check, input, offsets, options.include_last_offset);
  check_bag_lengths(check, host_starts);
  const Tensor starts = host_starts.to(weight.device());
  const Tensor weights = checked_weights(check, input, weight, options.per_sample_weights);
  const Tensor index = check.rows_exist("input", input, "weight", rows).to(weight.device());

  renormalise(check, weight, index, options.max_norm, options.norm_type);
  const DType dtype = detail::gradient_dtype(weight.dtype());
  const std::int64_t bags = starts.numel() - 1;
  const GatherView from(weight, index, padding);
  const auto bags_of = [=, skip = from.padding](const Tensor& table, const Tensor& places, const Tensor& factors,
                                                const Tensor& first) {
    return Bags{.table = detail::view(table),
                .index = detail::view(places),
                .weights = view_or_none(factors, dtype),
                .dim = dim,
                .starts = detail::view(first).as<const std::int64_t>(),
                .count = bags,
                .skip = skip};
  };
  const TensorOptions computed{dtype, weight.device()};
  Tensor out = empty({bags, dim}, computed);
  Tensor divisors;
  Tensor winners;
  const Bags request = bags_of(from.table, from.index, weights, starts);
  if (options.mode == BagMode::max) {
    winners = empty({bags, dim}, {DType::int32, weight.device()});
    launch(weight.device(), MaxBags{.bags = request,
                                    .scale = scales.out,
                                    .out = detail::view(out),
                                    .winners = detail::view(winners).as<std::int32_t>()});
  } else {
    const bool mean = options.mode == BagMode::mean;
    if (mean) divisors = empty({bags}, computed);
    launch(weight.device(), SumBags{.bags = request,
                                    .mean = mean,
                                    .scale = scales.out,
                                    .out = detail::view(out),
                                    .divisors = view_or_none(divisors, dtype)});
  }

  //   sum:  d weight[r] = Σ s · grad[bag],  d s = grad[bag] · w
  //   mean: d weight[r] = Σ s / S · grad[bag],  d s = (grad[bag] · w - Σ s (grad[bag] · w) / S) / S,  S = Σ s
  //   max:  the same as sum, over the columns that the place has won
  const bool wants_weights = weights.defined() && weights.requires_grad();
  return record(
      "embedding_bag", out, {weight, weights},
      [index = Saved::input(index), starts, weights = Saved::input(weights),
       table = wants_weights ? Saved::input(from.table) : Saved(),
       places = wants_weights ? Saved::input(from.index) : Saved(), divisors, winners, bags_of, rows, padding, scales,
       sparse = options.sparse, by_frequency = options.scale_grad_by_freq](const Tensor& grad, InputGradients& inputs) {
        if (inputs.wants(0)) {
          inputs.add(0, table_gradient(detail::rows_of({.index = index.get(),
                                                        .grad = without_zero_sums(grad, weights.get(), divisors),
                                                        .rows = rows,
                                                        .padding = padding,
                                                        .by_frequency = by_frequency,
                                                        .scale = scales.grad_weight,
                                                        .bag_starts = starts,
                                                        .weights = weights.get(),
                                                        .divisors = divisors,
                                                        .winners = winners}),
                                       sparse));
        }
        if (inputs.wants(1)) {
          Tensor grad_weights = empty(weights.get().shape(), grad.options());
          launch(grad.device(), BagWeightGrads{.bags = bags_of(table.get(), places.get(), weights.get(), starts),
                                               .grad = detail::view(grad),
                                               .divisors = view_or_none(divisors, grad.dtype()),
                                               .winners = view_or_none(winners, DType::int32).as<const std::int32_t>(),
                                               .scale = scales.grad_in,
                                               .out = detail::view(grad_weights)});
          inputs.add(1, std::move(grad_weights));
        }
      });
}

}  // namespace embergrad
