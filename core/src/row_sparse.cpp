// The ways gradients add up stand here and nowhere else.
#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/row_sparse.hpp>

#include <fmt/format.h>

#include <mutex>
#include <optional>

#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "src/memory_pool.hpp"
#include "src/op_check.hpp"
#include "src/row_sparse.hpp"
#include "src/tensor_state.hpp"

namespace embergrad {

using detail::view;

// Rows given by a lookup: `places` and `starts` say which rows of `source` belong to which row of the table, and the
// rest what of them counts (see SumSegments).
struct RowSparse::State {
  std::int64_t rows, dim;
  Tensor source;
  Tensor places, starts;
  Tensor factors, slots, winners;
  double scale = 1;
  Tensor indices;
  Tensor values;  // undefined until somebody reads them
  std::once_flag summed;

  [[nodiscard]] SumSegments sums(const Tensor& out, bool into_table) const {
    return {.grad = view(source),
            .out = view(out),
            .dim = dim,
            .places = view(places).as<const std::int64_t>(),
            .starts = view(starts).as<const std::int64_t>(),
            .rows = into_table ? view(indices).as<const std::int64_t>() : nullptr,
            .segments = indices.numel(),
            .accumulate = into_table,
            .scale = scale,
            .factors = factors.defined() ? detail::data_of(factors) : nullptr,
            .slots = slots.defined() ? view(slots).as<const std::int32_t>() : nullptr,
            .winners = winners.defined() ? view(winners).as<const std::int32_t>() : nullptr};
  }
};

namespace {

Tensor index_tensor(std::int64_t count, Device device) { return empty({count}, {DType::int64, device}); }

std::int64_t* numbers_of(Tensor& indices) { return reinterpret_cast<std::int64_t*>(indices.state()->data); }

// Places sorted by the row that they hold.
struct Plan {
  // With `left_out`: numbers, too, of each place where its row stands among `rows`, or `left_out`.
  Plan(const Tensor& index, std::int64_t table_rows, std::int64_t skip, std::optional<std::int64_t> left_out = {}) {
    // How many rows there are, the host would have to wait for; so it plans what it knows, unless it is much.
    constexpr std::int64_t most_on_host = std::int64_t{1} << 15;
    const bool on_host = !index.device().is_cpu() && detail::known_to_host(index) && index.numel() <= most_on_host;
    const Tensor lookup = on_host ? index.to(Device::cpu()) : index;
    const Device device = lookup.device();
    places = index_tensor(index.numel(), device);
    starts = index_tensor(index.numel() + 1, device);
    rows = index_tensor(index.numel(), device);
    if (left_out) numbers = empty(index.shape(), {DType::int64, device});
    launch(device, PlanRows{.index = view(lookup),
                            .table_rows = table_rows,
                            .skip = skip,
                            .places = numbers_of(places),
                            .starts = numbers_of(starts),
                            .rows = numbers_of(rows),
                            .segments = &segments,
                            .segment_of = left_out ? numbers_of(numbers) : nullptr,
                            .left_out = left_out.value_or(-1)});
    rows = detail::make_view(rows.state()->storage, 0, {segments}, DType::int64);
    if (!on_host) return;
    for (Tensor* list : {&places, &starts, &rows}) *list = list->to(index.device());
    ++places.state()->storage->version;  // kernels change it: what the host remembers of it is not to be used
    if (left_out) numbers = numbers.to(index.device());
  }
  Tensor places, starts, rows, numbers;
  std::int64_t segments = 0;
};

}  // namespace

Tensor detail::distinct_rows(const Tensor& index, std::int64_t rows) { return Plan(index, rows, -1).rows; }

detail::LookupRows detail::rows_of_lookup(const Tensor& index, std::int64_t rows, std::int64_t skip,
                                          std::int64_t left_out) {
  Plan plan(index, rows, skip, left_out);
  return {std::move(plan.rows), std::move(plan.numbers)};
}

RowSparse RowSparse::of(const detail::LookupGradient& lookup) {
  // Of rows without elements there is nothing to say; PyTorch, once it coalesces, names none either.
  const bool nothing = lookup.grad.shape().back() == 0;
  Plan plan(nothing ? index_tensor(0, lookup.index.device()) : lookup.index, lookup.rows, lookup.padding);
  auto state = std::allocate_shared<State>(detail::PoolAllocator<State>());
  state->rows = lookup.rows;
  state->dim = lookup.grad.shape().back();
  state->source = lookup.grad;
  state->winners = lookup.winners;
  state->scale = lookup.scale;
  const std::int64_t places = lookup.index.numel();
  const DType dtype = lookup.grad.dtype();
  const auto factors_of = [dtype](const Tensor& tensor) {
    return tensor.defined() ? view(tensor) : View{.data = nullptr, .dtype = dtype, .size = 0};
  };
  const bool has_factors = lookup.weights.defined() || lookup.divisors.defined() || lookup.by_frequency;
  if (has_factors) state->factors = empty({places}, lookup.grad.options());
  if (lookup.winners.defined()) state->slots = empty({places}, {DType::int32, lookup.index.device()});
  if (has_factors || lookup.bag_starts.defined()) {
    const bool bags = lookup.bag_starts.defined();
    launch(lookup.index.device(),
           PlanBags{.places = numbers_of(plan.places),
                    .starts = numbers_of(plan.starts),
                    .segments = plan.segments,
                    .bag_starts = bags ? view(lookup.bag_starts).as<const std::int64_t>() : nullptr,
                    .bags = bags ? lookup.bag_starts.numel() - 1 : 0,
                    .weights = factors_of(lookup.weights),
                    .divisors = factors_of(lookup.divisors),
                    .by_frequency = lookup.by_frequency,
                    .factors = factors_of(state->factors),
                    .slots = state->slots.defined() ? view(state->slots).as<std::int32_t>() : nullptr});
  }
  state->places = std::move(plan.places);
  state->starts = std::move(plan.starts);
  state->indices = std::move(plan.rows);
  return RowSparse(std::move(state));
}

RowSparse detail::rows_of(const LookupGradient& lookup) { return RowSparse::of(lookup); }

RowSparse RowSparse::from_lookup(const Tensor& input, const Tensor& grad_output, std::int64_t rows,
                                 std::int64_t padding_idx) {
  const OpCheck check("RowSparse");
  check.is_integer("input", input);
  check.computes("grad_output", grad_output);
  if (grad_output.dim() != input.dim() + 1 || grad_output.shape().slice(0, input.dim()) != input.shape()) {
    check.fail_shape(fmt::format("grad_output must have the shape of input {} and one dimension more, but has {}",
                                 input.shape().to_string(), grad_output.shape().to_string()));
  }
  const Tensor index = check.rows_exist("input", input, "the table", rows, padding_idx == -1);
  return of({.index = index, .grad = grad_output, .rows = rows, .padding = padding_idx});
}

RowSparse RowSparse::from_rows(const Tensor& indices, const Tensor& values, std::int64_t rows) {
  const OpCheck check("RowSparse");
  check.is_integer("indices", indices);
  check.has_rank("indices", indices, 1);
  check.computes("values", values);
  check.has_rank("values", values, 2);
  if (values.shape()[0] != indices.numel()) {
    check.fail_shape(fmt::format("values must have a row for each of the {} indices, but has shape {}", indices.numel(),
                                 values.shape().to_string()));
  }
  return from_lookup(check.rows_exist("indices", indices, "the table", rows), values, rows, -1);
}

std::int64_t RowSparse::rows() const { return state_->rows; }
std::int64_t RowSparse::dim() const { return state_->dim; }
std::int64_t RowSparse::count() const { return state_->indices.numel(); }
DType RowSparse::dtype() const { return state_->source.dtype(); }
Device RowSparse::device() const { return state_->source.device(); }
const Tensor& RowSparse::indices() const { return state_->indices; }

const Tensor& RowSparse::values() const {
  std::call_once(state_->summed, [this] {
    Tensor sums = empty({count(), dim()}, state_->source.options());
    launch(device(), state_->sums(sums, false));
    state_->values = std::move(sums);
  });
  return state_->values;
}

void RowSparse::add_to(Tensor& table) const {
  const OpCheck check("RowSparse::add_to");
  check.defined("table", table);
  check.has_shape("table", table, {rows(), dim()});
  if (table.dtype() != dtype()) {
    check.fail_dtype(fmt::format("table is {}, but the rows are {}", name_of(table.dtype()), name_of(dtype())));
  }
  launch(device(), state_->sums(table, true));
  ++table.state()->storage->version;
}

Tensor RowSparse::to_dense() const {
  Tensor dense = zeros({rows(), dim()}, state_->source.options());
  launch(device(), state_->sums(dense, true));
  return dense;
}

RowSparse RowSparse::plus(const RowSparse& other) const {
  if (rows() != other.rows() || dim() != other.dim()) {
    throw ShapeError(fmt::format("RowSparse::plus: rows of a [{}, {}] table and of a [{}, {}] table", rows(), dim(),
                                 other.rows(), other.dim()));
  }
  return no_grad([&] {
    // What the host knows of both it knows of the sum.
    const bool known = detail::known_to_host(indices()) && detail::known_to_host(other.indices());
    const Device place = known ? Device::cpu() : device();
    const Tensor both = cat({indices().to(place), other.indices().to(place)}).to(device());
    return of({.index = both, .grad = cat({values(), other.values()}), .rows = rows()});
  });
}

RowSparse RowSparse::scaled(double factor) const {
  return no_grad([&] { return with_values(mul(values(), factor)); });
}

RowSparse RowSparse::with_values(const Tensor& values) const {
  const OpCheck check("RowSparse::with_values");
  check.computes("values", values);
  check.has_shape("values", values, {count(), dim()});
  check.same_device(indices(), values);
  auto state = std::allocate_shared<State>(detail::PoolAllocator<State>());
  state->rows = rows();
  state->dim = dim();
  state->source = values.detach();
  // Each row is its own sum.
  state->starts = arange(count() + 1).to(device());
  state->places = narrow(state->starts, 0, 0, count());
  state->indices = indices();
  return RowSparse(std::move(state));
}

// --- Gradient

void detail::accumulate(Tensor& sum, Tensor term) {
  if (!sum.defined()) {
    sum = std::move(term);
    return;
  }
  const bool in_place = is_exclusive(sum);
  Tensor total = in_place ? sum : empty(sum.shape(), sum.options());
  launch(sum.device(), BinaryMap{.op = binary_op<rules::Add>, .a = view(sum), .b = view(term), .out = view(total)});
  if (in_place) ++total.state()->storage->version;
  sum = std::move(total);
}

void Gradient::add(const Tensor& dense) {
  if (rows_ == nullptr) {
    detail::accumulate(dense_, dense);
  } else {
    *this = std::move(*this).plus(Gradient(dense));
  }
}

Gradient Gradient::dense_rows(RowSparse rows) {
  Gradient gradient;
  gradient.rows_ = std::allocate_shared<RowSparse>(detail::PoolAllocator<RowSparse>(), std::move(rows));
  gradient.densify_ = true;
  return gradient;
}

Gradient::Gradient(RowSparse rows)
    : rows_(std::allocate_shared<RowSparse>(detail::PoolAllocator<RowSparse>(), std::move(rows))) {}

const Tensor& Gradient::dense() const {
  if (!defined())
    throw ValueError("grad: there is no gradient; has backward run, and did the loss depend on this tensor?");
  if (rows_ != nullptr) throw ValueError("grad: the gradient is sparse; use rows(), or to_dense()");
  return dense_;
}

const RowSparse& Gradient::rows() const {
  if (!defined())
    throw ValueError("grad: there is no gradient; has backward run, and did the loss depend on this tensor?");
  if (!is_sparse()) throw ValueError("grad: the gradient is dense; use dense()");
  return *rows_;
}

Tensor Gradient::to_dense() const { return rows_ != nullptr ? rows_->to_dense() : dense(); }

Gradient Gradient::plus(Gradient other) && {
  if (!defined()) return other;
  if (!other.defined()) return std::move(*this);
  if (is_sparse() && other.is_sparse()) return rows_->plus(*other.rows_);
  Tensor sum = to_dense();
  *this = Gradient();
  if (other.rows_ != nullptr) {
    if (!detail::is_exclusive(sum)) sum = no_grad([&] { return sum.clone(); });
    other.rows_->add_to(sum);
  } else {
    detail::accumulate(sum, std::move(other.dense_));
  }
  return sum;
}

}  // namespace embergrad
