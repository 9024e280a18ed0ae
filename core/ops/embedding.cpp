#include <embergrad/ops.hpp>

#include "ops/table.hpp"

namespace embergrad {

Tensor embedding(const Tensor& input, const Tensor& weight, const EmbeddingOptions& options, const Scales& scales) {
  const OpCheck check("embedding");
  check.is_integer("input", input);
  check.defined("weight", weight);
  if (is_integer(weight.dtype())) {
    check.has_rank("weight", weight, 2);
    if (options.max_norm || scales.out != 1) {
      check.fail_dtype(
          fmt::format("weight must be floating for max_norm and scales, but is {}", name_of(weight.dtype())));
    }
  } else {
    check_table(check, weight);
  }
  check.index_device(weight, input);
  const std::int64_t rows = weight.shape()[0];
  const std::int64_t dim = weight.shape()[1];
  const std::int64_t padding = padding_row(check, options.padding_idx, rows);
  check_max_norm(check, options.max_norm, options.norm_type);
  check_scales(check, scales);
  const Tensor index = check.rows_exist("input", input, "weight", rows).to(weight.device());

  renormalise(check, weight, index, options.max_norm, options.norm_type);
  Tensor out = empty(input.shape() + dim, weight.options());
  const GatherView from(weight, index);
  launch(
      weight.device(),
      GatherRows{
          .table = detail::view(from.table), .index = detail::view(from.index), .out = detail::view(out), .dim = dim});
  if (item_size(weight.dtype()) == 2) out = out.to(DType::float32);
  if (scales.out != 1) out = no_grad([&] { return out * scales.out; });

  // d weight[r] = sum of grad over the places where input == r; none for the padding row
  return record("embedding", out, {weight},
                [index = Saved::input(index), rows, padding, scale = scales.grad_weight, sparse = options.sparse,
                 by_frequency = options.scale_grad_by_freq](const Tensor& grad) {
                  return table_gradient(detail::rows_of({.index = index.get(),
                                                         .grad = grad,
                                                         .rows = rows,
                                                         .padding = padding,
                                                         .by_frequency = by_frequency,
                                                         .scale = scale}),
                                        sparse);
                });
}

}  // namespace embergrad
