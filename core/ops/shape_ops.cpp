#include <embergrad/ops.hpp>

#include <fmt/format.h>

#include "kernels/embedding.hpp"
#include "kernels/memory.hpp"
#include "ops/common.hpp"
#include "ops/table.hpp"
#include "src/memory_pool.hpp"
#include "src/op_check.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

using detail::PoolVector;
using detail::strided_view;
using detail::view;

Tensor reshape(const Tensor& input, const Shape& shape) {
  const OpCheck check("reshape");
  check.defined("input", input);
  Shape wanted = shape;
  int open = -1;
  std::int64_t known = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] == -1) {
      if (open >= 0) check.fail_shape(fmt::format("only one extent may be -1, but shape is {}", shape.to_string()));
      open = d;
    } else if (shape[d] < 0) {
      check.fail_shape(fmt::format("shape {} has a negative extent", shape.to_string()));
    } else if (__builtin_mul_overflow(known, shape[d], &known)) {
      check.fail_shape(fmt::format("shape {} is too large", shape.to_string()));
    }
  }
  if (open >= 0) {
    if (known == 0) {
      check.fail_shape(
          fmt::format("-1 in shape {} is ambiguous: the other extents have a zero among them", shape.to_string()));
    }
    wanted[open] = input.numel() / known;
    known *= wanted[open];
  }
  if (known != input.numel()) {
    check.fail_shape(fmt::format("input {} has {} elements, shape {} does not", input.shape().to_string(),
                                 input.numel(), shape.to_string()));
  }
  const detail::TensorState& state = *input.state();
  return record("reshape", detail::make_view(state.storage, state.offset, wanted, state.dtype), {input},
                [from = input.shape()](const Tensor& grad) { return Gradient(grad.reshape(from)); });
}

namespace {

// The shape with another dimension, of extent 1, before `dim`.
Shape with_one(const Shape& shape, int dim) {
  Shape wider;
  for (int d = 0; d <= shape.rank(); ++d) {
    if (d == dim) wider.push_back(1);
    if (d < shape.rank()) wider.push_back(shape[d]);
  }
  return wider;
}

}  // namespace

Tensor squeeze(const Tensor& input) {
  OpCheck("squeeze").defined("input", input);
  Shape shape;
  for (const std::int64_t extent : input.shape()) {
    if (extent != 1) shape.push_back(extent);
  }
  return reshape(input, shape);
}

Tensor squeeze(const Tensor& input, const Dims& dims) {
  const OpCheck check("squeeze");
  check.defined("input", input);
  if (dims.empty()) return reshape(input, input.shape());
  const ReducedDims named(check, input.shape(), dims);
  Shape shape;
  for (int d = 0; d < input.dim(); ++d) {
    if (input.shape()[d] != 1 || !named.reduced[static_cast<std::size_t>(d)]) shape.push_back(input.shape()[d]);
  }
  return reshape(input, shape);
}

Tensor unsqueeze(const Tensor& input, int dim) {
  const OpCheck check("unsqueeze");
  check.defined("input", input);
  return reshape(input, with_one(input.shape(), check.dimension("dim", dim, input.dim() + 1)));
}

Tensor permute(const Tensor& input, const Dims& dims) {
  const OpCheck check("permute");
  check.defined("input", input);
  if (dims.rank() != input.dim()) {
    check.fail_shape(fmt::format("dims {} name {} dimensions, but input has shape {}", dims.to_string(), dims.rank(),
                                 input.shape().to_string()));
  }
  Dims order;    // from the front
  Dims inverse;  // where each dimension of input went
  if (!dims.empty()) {
    static_cast<void>(ReducedDims(check, input.shape(), dims));  // each once, and there
    for (const std::int64_t dim : dims) order.push_back(dim < 0 ? dim + input.dim() : dim);
    inverse = order;
    for (int d = 0; d < order.rank(); ++d) inverse[static_cast<int>(order[d])] = d;
  }
  const StridedView whole = strided_view(input);
  StridedView from = whole;
  Shape shape;
  for (int d = 0; d < order.rank(); ++d) {
    from.extents[d] = whole.extents[order[d]];
    from.strides[d] = whole.strides[order[d]];
    shape.push_back(from.extents[d]);
  }
  Tensor out = empty(shape, input.options());
  launch(input.device(), CopyStrided{.in = from, .out = strided_view(out)});
  return record("permute", out, {input}, [inverse](const Tensor& grad) { return Gradient(permute(grad, inverse)); });
}

Tensor transpose(const Tensor& input, int dim0, int dim1) {
  const OpCheck check("transpose");
  check.defined("input", input);
  const int a = check.dimension("dim0", dim0, input.dim());
  const int b = check.dimension("dim1", dim1, input.dim());
  StridedView from = strided_view(input);
  std::swap(from.extents[a], from.extents[b]);
  std::swap(from.strides[a], from.strides[b]);
  Shape shape = input.shape();
  if (shape.rank() > 0) std::swap(shape[a], shape[b]);
  Tensor out = empty(shape, input.options());
  launch(input.device(), CopyStrided{.in = from, .out = strided_view(out)});
  return record("transpose", out, {input}, [a, b](const Tensor& grad) { return Gradient(transpose(grad, a, b)); });
}

namespace {

// The elements [start, start + length) of a dimension, as a strided part of the whole.
StridedView part_of(const Tensor& whole, int dim, std::int64_t start, std::int64_t length) {
  StridedView part = strided_view(whole);
  part.data =
      static_cast<char*>(part.data) + static_cast<std::size_t>(start * part.strides[dim]) * item_size(whole.dtype());
  part.extents[dim] = length;
  return part;
}

}  // namespace

Tensor narrow(const Tensor& input, int dim, std::int64_t start, std::int64_t length) {
  const OpCheck check("narrow");
  check.defined("input", input);
  if (input.dim() == 0) check.fail_shape("input has no dimensions");
  const int d = check.dimension("dim", dim, input.dim());
  const std::int64_t extent = input.shape()[d];
  const std::int64_t from = start < 0 ? start + extent : start;
  if (start < -extent || start > extent) {
    check.fail_index(fmt::format("start is {}, but dimension {} of {} has {} elements", start, d,
                                 input.shape().to_string(), extent));
  }
  if (length < 0 || length > extent - from) {
    check.fail_value(
        fmt::format("start {} and length {} leave dimension {} of {}", start, length, d, input.shape().to_string()));
  }
  Shape shape = input.shape();
  shape[d] = length;
  const detail::TensorState& state = *input.state();
  Tensor out;
  if (d == 0) {
    const std::int64_t row = extent == 0 ? 0 : input.numel() / extent;
    out = detail::make_view(state.storage, state.offset + from * row, shape, state.dtype);
  } else {
    out = empty(shape, input.options());
    launch(input.device(), CopyStrided{.in = part_of(input, d, from, length), .out = strided_view(out)});
  }
  return record("narrow", out, {input}, [whole = input.shape(), d, from, length](const Tensor& grad) {
    Tensor grad_in = zeros(whole, grad.options());
    launch(grad.device(), CopyStrided{.in = strided_view(grad), .out = part_of(grad_in, d, from, length)});
    return Gradient(grad_in);
  });
}

namespace {

struct Piece {
  std::int64_t start, length;
};

PoolVector<TensorRef> refs_of(std::span<const Tensor> tensors) { return {tensors.begin(), tensors.end()}; }

// The common type of all, as torch.cat promotes.
DType common_dtype(const OpCheck& check, std::span<const Tensor> tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].defined()) check.fail_value(fmt::format("tensors[{}] is undefined", i));
    check.same_device(tensors[0], tensors[i]);
  }
  Tensor widest = tensors[0];
  for (const Tensor& tensor : tensors) {
    const DType dtype = promote(widest, tensor);
    if (dtype != widest.dtype() || (widest.dim() == 0 && tensor.dim() > 0 && dtype == tensor.dtype())) widest = tensor;
  }
  return widest.dtype();
}

}  // namespace

Tensor cat(std::span<const Tensor> tensors, int dim) {
  const OpCheck check("cat");
  if (tensors.empty()) check.fail_value("tensors is empty");
  const DType dtype = common_dtype(check, tensors);
  PoolVector<Tensor> parts;
  const Tensor* first = nullptr;
  for (const Tensor& tensor : tensors) {
    if (tensor.dim() == 0) check.fail_shape("tensors without dimensions can't be joined; stack them");
    const bool skipped = tensor.dim() == 1 && tensor.numel() == 0;
    if (!skipped && first == nullptr) first = &tensor;
    parts.push_back(tensor.to(dtype));
  }
  if (first == nullptr) first = &tensors[0];
  const int d = check.dimension("dim", dim, first->dim());
  Shape shape = first->shape();
  shape[d] = 0;
  PoolVector<Piece> pieces;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Shape& own = parts[i].shape();
    const bool skipped = own.rank() == 1 && own[0] == 0 && first->dim() != 1;
    bool fits = own.rank() == shape.rank();
    for (int k = 0; fits && k < shape.rank(); ++k) fits = k == d || own[k] == shape[k];
    if (!skipped && !fits) {
      check.fail_shape(fmt::format("tensors[{}] has shape {}, which differs from {} outside dimension {}", i,
                                   own.to_string(), first->shape().to_string(), d));
    }
    pieces.push_back({shape[d], skipped ? 0 : own[d]});
    shape[d] += pieces.back().length;
  }
  Tensor out = empty(shape, {dtype, first->device()});
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].numel() == 0) continue;
    launch(out.device(),
           CopyStrided{.in = strided_view(parts[i]), .out = part_of(out, d, pieces[i].start, pieces[i].length)});
  }
  const PoolVector<TensorRef> inputs = refs_of(parts);
  PoolVector<Shape> shapes;
  for (const Tensor& part : parts) shapes.push_back(part.shape());
  return record("cat", out, std::span<const TensorRef>(inputs),
                [pieces, shapes, d](const Tensor& grad, InputGradients& into) {
                  for (std::size_t i = 0; i < pieces.size(); ++i) {
                    if (!into.wants(i)) continue;
                    into.add(i, narrow(grad, d, pieces[i].start, pieces[i].length).reshape(shapes[i]));
                  }
                });
}

Tensor cat(std::initializer_list<Tensor> tensors, int dim) {
  return cat(std::span(tensors.begin(), tensors.size()), dim);
}

Tensor stack(std::span<const Tensor> tensors, int dim) {
  const OpCheck check("stack");
  if (tensors.empty()) check.fail_value("tensors is empty");
  check.defined("tensors[0]", tensors[0]);
  const Shape& shape = tensors[0].shape();
  const int d = check.dimension("dim", dim, shape.rank() + 1);
  PoolVector<Tensor> parts;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].defined()) check.fail_value(fmt::format("tensors[{}] is undefined", i));
    if (tensors[i].shape() != shape) {
      check.fail_shape(fmt::format("tensors[{}] has shape {}, but tensors[0] has {}", i, tensors[i].shape().to_string(),
                                   shape.to_string()));
    }
    parts.push_back(tensors[i].reshape(with_one(shape, d)));
  }
  return cat(std::span<const Tensor>(parts), d);
}

Tensor stack(std::initializer_list<Tensor> tensors, int dim) {
  return stack(std::span(tensors.begin(), tensors.size()), dim);
}

namespace {

// Where each of `rows` rows stands in an index, -1 for those that don't. Undefined if one stands there twice, or if the
// host doesn't know the index, or few stand there.
Tensor places_in(const Tensor& index, std::int64_t rows) {
  if (!detail::known_to_host(index) || rows > 4 * index.numel()) return {};
  const Tensor here = index.to(Device::cpu()).to(DType::int64);
  const auto* row = here.data<std::int64_t>();
  Tensor places = full({rows}, -1, {DType::int64, {}});
  auto* place = places.mutable_data<std::int64_t>();
  for (std::int64_t i = 0; i < here.numel(); ++i) {
    if (row[i] < 0) continue;
    if (place[row[i]] >= 0) return {};
    place[row[i]] = i;
  }
  return places.to(index.device());
}

Tensor gather(const char* op, const Tensor& input, const Tensor& index, bool or_fill, Number fill) {
  const OpCheck check(op);
  check.defined("input", input);
  check.is_integer("index", index);
  check.index_device(input, index);
  if (input.dim() == 0) check.fail_shape("input has no dimensions");
  const std::int64_t rows = input.shape()[0];
  const Tensor here = check.rows_exist("index", index, "input", rows, or_fill).to(input.device());
  Shape shape = index.shape();
  for (int d = 1; d < input.dim(); ++d) shape.push_back(input.shape()[d]);
  const std::int64_t width = input.shape().slice(1, input.dim()).numel();
  Tensor out = empty(shape, input.options());
  const GatherView from(input, here);
  launch(
      input.device(),
      GatherRows{.table = view(from.table), .index = view(from.index), .out = view(out), .dim = width, .fill = fill});
  // d input[r] = sum of grad over the places where index == r
  return record(op, out, {input}, [index = Saved::input(here), shape = input.shape(), rows, width](const Tensor& grad) {
    const Tensor& places = index.get();
    // Nothing to add up where no row was taken twice, as when sequences are packed.
    if (const Tensor back = places_in(places, rows); back.defined()) {
      return Gradient(gather_rows_or(grad.reshape({places.numel(), width}), back, 0).reshape(shape));
    }
    const RowSparse sums = RowSparse::from_lookup(places, grad.reshape(places.shape() + width), rows, -1);
    return Gradient(sums.to_dense().reshape(shape));
  });
}

}  // namespace

Tensor gather_rows(const Tensor& input, const Tensor& index) { return gather("gather_rows", input, index, false, 0); }

Tensor gather_rows_or(const Tensor& input, const Tensor& index, Scalar fill) {
  OpCheck("gather_rows_or").defined("input", input);
  return gather("gather_rows_or", input, index, true, OpCheck("gather_rows_or").number("fill", fill, input.dtype()));
}

Tensor index_select(const Tensor& input, int dim, const Tensor& index) {
  const OpCheck check("index_select");
  check.defined("input", input);
  check.is_integer("index", index);
  check.same_device(input, index);
  const int d = check.dimension("dim", dim, input.dim());
  if (index.dim() > 1) {
    check.fail_shape(fmt::format("index must have one dimension, but has shape {}", index.shape().to_string()));
  }
  if (input.dim() == 0 && index.numel() != 1) {
    check.fail_shape(fmt::format("input has no dimensions, so index must have one element, but has {}", index.numel()));
  }
  const auto [outer, count, inner] = Middle(input.shape(), d);
  const Tensor here = check.rows_exist("index", index, fmt::format("dimension {} of input", d).c_str(), count);
  const Shape shape = with_extent(input.shape(), d, index.numel());
  // Rows of the input seen as (outer · count, inner).
  const Tensor rows = reshape(input, {outer * count, inner});
  if (outer == 1) return reshape(gather("index_select", rows, here.reshape({index.numel()}), false, 0), shape);
  const Tensor first = mul(arange(outer), count).reshape({outer, 1}).to(input.device());
  const Tensor places = add(first, here.to(DType::int64).reshape({1, index.numel()}));
  return reshape(gather("index_select", rows, places.reshape({places.numel()}), false, 0), shape);
}

}  // namespace embergrad
