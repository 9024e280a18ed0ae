#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "kernels/embedding.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

Tensor embedding(const Tensor& input, const Tensor& weight, const EmbeddingOptions& options) {
  const OpCheck check("embedding");
  check.is_integer("input", input);
  check.not_16_bit("weight", weight);
  check.index_device(weight, input);
  check.has_rank("weight", weight, 2);
  const std::int64_t rows = weight.shape()[0];
  const std::int64_t dim = weight.shape()[1];
  if (options.sparse)
    check.fail_value("sparse is true, but row-sparse gradients are not supported; use sparse = false");
  std::int64_t padding = -1;
  if (options.padding_idx) {
    padding = *options.padding_idx;
    if (padding < -rows || padding >= rows) {
      check.fail_index(fmt::format("padding_idx is {}, but weight has {} rows", padding, rows));
    }
    if (padding < 0) padding += rows;
  }
  check.rows_exist("input", input, "weight", rows);

  const Tensor index = input.to(weight.device());
  Tensor out = empty(input.shape() + dim, weight.options());
  launch(weight.device(),
         GatherRows{.table = detail::view(weight), .index = detail::view(index), .out = detail::view(out), .dim = dim});

  // d weight[r] = sum of grad over the places where input == r; none for the padding row
  return record("embedding", out, {weight}, [index = Saved::input(index), rows, padding](const Tensor& grad) {
    return Gradient::dense_rows(RowSparse::from_lookup(index.get(), grad, rows, padding));
  });
}

}  // namespace embergrad
