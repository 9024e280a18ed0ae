#include <embergrad/nn/packed_sequence.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

namespace embergrad::nn {

// How the rows of a batch lie; immutable, shared by all packed sequences of one packing. Follows from the lengths
// alone.
struct PackedSequence::Layout {
  std::vector<std::int64_t> lengths;  // in the user's order
  std::vector<std::int64_t> batch_sizes;
  std::vector<std::int64_t> order;
  bool in_user_order = true;
  std::int64_t rows = 0;
};

namespace {

using Layout = PackedSequence::Layout;

std::shared_ptr<const Layout> layout_of(std::span<const std::int64_t> lengths, const PackingPlan& plan) {
  auto layout = std::make_shared<Layout>();
  layout->lengths.assign(lengths.begin(), lengths.end());
  layout->batch_sizes = plan.batch_sizes;
  layout->order = plan.order;
  layout->in_user_order = std::ranges::is_sorted(plan.order);
  for (const std::int64_t size : plan.batch_sizes) layout->rows += size;
  return layout;
}

std::int64_t longest_of(std::span<const std::int64_t> lengths) {
  return lengths.empty() ? 0 : *std::ranges::max_element(lengths);
}

// What follows the leading dimensions.
Shape rest_of(const Tensor& tensor, int leading) { return tensor.shape().slice(leading, tensor.dim()); }

// (…) seen as rows: the first `leading` dimensions become one.
Tensor as_rows(const Tensor& tensor, int leading) {
  Shape shape{1};
  for (int d = 0; d < leading; ++d) shape[0] *= tensor.shape()[d];
  for (const std::int64_t extent : rest_of(tensor, leading)) shape.push_back(extent);
  return reshape(tensor, shape);
}

// Rows seen as (first, second, …).
Tensor unfold_rows(const Tensor& rows, std::int64_t first, std::int64_t second) {
  Shape shape{first, second};
  for (const std::int64_t extent : rest_of(rows, 1)) shape.push_back(extent);
  return reshape(rows, shape);
}

// Lengths of sequences that can stand in one batch.
std::vector<std::int64_t> checked_lengths(const char* op, const std::vector<Tensor>& sequences) {
  if (sequences.empty()) throw ValueError(fmt::format("{}: sequences must hold at least one, but is empty", op));
  std::vector<std::int64_t> lengths;
  lengths.reserve(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (!sequences[i].defined()) throw ValueError(fmt::format("{}: sequences[{}] is undefined", op, i));
    if (sequences[i].dim() == 0) {
      throw ShapeError(fmt::format("{}: sequences[{}] must have at least one dimension, but has shape []", op, i));
    }
    if (sequences[i].dtype() != sequences[0].dtype()) {
      throw DTypeError(fmt::format("{}: sequences must be of one dtype, but sequences[0] is {} and sequences[{}] is {}",
                                   op, name_of(sequences[0].dtype()), i, name_of(sequences[i].dtype())));
    }
    if (rest_of(sequences[i], 1) != rest_of(sequences[0], 1)) {
      throw ShapeError(
          fmt::format("{}: sequences must differ in length alone, but sequences[0] has shape {} and "
                      "sequences[{}] has shape {}",
                      op, sequences[0].shape().to_string(), i, sequences[i].shape().to_string()));
    }
    lengths.push_back(sequences[i].size(0));
  }
  return lengths;
}

// All rows of all sequences, one sequence after the other.
Tensor joined(const std::vector<Tensor>& sequences) { return sequences.size() == 1 ? sequences[0] : cat(sequences, 0); }

// Where each sequence starts in `joined`.
std::vector<std::int64_t> starts_of(std::span<const std::int64_t> lengths) {
  std::vector<std::int64_t> starts(lengths.size());
  std::int64_t start = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    starts[i] = start;
    start += lengths[i];
  }
  return starts;
}

// Calls body(sequence, step) for every packed row in turn.
template <class Body>
void each_packed_row(const PackingPlan& plan, const Body& body) {
  for (std::size_t t = 0; t < plan.batch_sizes.size(); ++t) {
    for (std::int64_t k = 0; k < plan.batch_sizes[t]; ++k) {
      body(static_cast<std::size_t>(plan.order[static_cast<std::size_t>(k)]), t);
    }
  }
}

PackingPlan plan_of(const char* op, std::span<const std::int64_t> lengths, bool enforce_sorted) {
  return plan_packing(op, lengths, longest_of(lengths), static_cast<std::int64_t>(lengths.size()), false,
                      enforce_sorted);
}

}  // namespace

// --- Lengths

Lengths::Lengths(const Tensor& lengths) {
  if (!lengths.defined()) throw ValueError("lengths: the tensor is undefined");
  if (!is_integer(lengths.dtype())) {
    throw DTypeError(fmt::format("lengths: dtype must be int32 or int64, but is {}", name_of(lengths.dtype())));
  }
  if (lengths.dim() != 1) {
    throw ShapeError(
        fmt::format("lengths: the tensor must have one dimension, but has shape {}", lengths.shape().to_string()));
  }
  own_ = lengths.to_vector<std::int64_t>();
  view_ = own_;
}

// --- PackedSequence

const Layout& PackedSequence::layout() const {
  if (layout_ == nullptr) throw ValueError("PackedSequence: it is undefined");
  return *layout_;
}

const Tensor& PackedSequence::values() const {
  static_cast<void>(layout());
  return values_;
}

std::span<const std::int64_t> PackedSequence::batch_sizes() const { return layout().batch_sizes; }
std::span<const std::int64_t> PackedSequence::order() const { return layout().order; }
bool PackedSequence::in_user_order() const { return layout().in_user_order; }
std::span<const std::int64_t> PackedSequence::lengths() const { return layout().lengths; }
std::int64_t PackedSequence::batch() const { return static_cast<std::int64_t>(layout().lengths.size()); }

PackedSequence PackedSequence::with_values(Tensor values) const {
  if (!values.defined()) throw ValueError("with_values: values is undefined");
  if (values.dim() == 0 || values.size(0) != layout().rows) {
    throw ShapeError(
        fmt::format("with_values: values must have {} rows, one for each step of each sequence, but has shape {}",
                    layout().rows, values.shape().to_string()));
  }
  return {std::move(values), layout_};
}

bool PackedSequence::same_lengths(const PackedSequence& other) const {
  return layout_->lengths == other.layout_->lengths;
}

void check_same_order(const char* op, const char* a_name, const PackedSequence& a, const char* b_name,
                      const PackedSequence& b) {
  if (same_order(a, b)) return;
  // The lengths tell the two apart, unless there are too many to read.
  const auto text = [](const PackedSequence& p) {
    const auto lengths = p.lengths();
    return fmt::format("{}{}", fmt::join(lengths.first(std::min<std::size_t>(lengths.size(), 16)), ", "),
                       lengths.size() > 16 ? ", …" : "");
  };
  throw ValueError(
      fmt::format("{}: {} and {} must be packed in the same order, but {} holds {} sequences of lengths [{}] "
                  "and {} holds {} of lengths [{}]",
                  op, a_name, b_name, a_name, a.batch(), text(a), b_name, b.batch(), text(b)));
}

// --- functions

PackedSequence pack_padded_sequence(const Tensor& input, const Lengths& lengths, const PackPaddedOptions& options) {
  const char* op = "pack_padded_sequence";
  if (!input.defined()) throw ValueError(fmt::format("{}: input is undefined", op));
  if (input.dim() < 2) {
    throw ShapeError(fmt::format("{}: input must be {}, but has shape {}", op,
                                 options.batch_first ? "(B, T, …)" : "(T, B, …)", input.shape().to_string()));
  }
  const std::int64_t steps = input.size(options.batch_first ? 1 : 0);
  const std::int64_t batch = input.size(options.batch_first ? 0 : 1);
  const PackingPlan plan =
      plan_packing(op, lengths.values(), steps, batch, options.batch_first, options.enforce_sorted);
  return {gather_rows(as_rows(input, 2), plan.pack), layout_of(lengths.values(), plan)};
}

PaddedSequences pad_packed_sequence(const PackedSequence& sequence, const PadPackedOptions& options) {
  const char* op = "pad_packed_sequence";
  const std::int64_t longest = longest_of(sequence.lengths());
  const std::int64_t steps = options.total_length.value_or(longest);
  if (steps < longest) {
    throw ValueError(
        fmt::format("{}: total_length must be at least {}, the longest length, but is {}", op, longest, steps));
  }
  const std::int64_t batch = sequence.batch();
  const PackingPlan plan = plan_packing(op, sequence.lengths(), steps, batch, options.batch_first, false);
  const Tensor rows = gather_rows_or(sequence.values(), plan.unpack, options.padding_value);
  return {options.batch_first ? unfold_rows(rows, batch, steps) : unfold_rows(rows, steps, batch),
          tensor(sequence.lengths(), {batch})};
}

PackedSequence pack_sequence(const std::vector<Tensor>& sequences, bool enforce_sorted) {
  const std::vector<std::int64_t> lengths = checked_lengths("pack_sequence", sequences);
  const PackingPlan plan = plan_of("pack_sequence", lengths, enforce_sorted);
  const std::vector<std::int64_t> starts = starts_of(lengths);
  std::vector<std::int64_t> places;
  each_packed_row(plan, [&](std::size_t sequence, std::size_t step) {
    places.push_back(starts[sequence] + static_cast<std::int64_t>(step));
  });
  return {gather_rows(joined(sequences), tensor(places)), layout_of(lengths, plan)};
}

Tensor pad_sequence(const std::vector<Tensor>& sequences, const PadSequenceOptions& options) {
  const std::vector<std::int64_t> lengths = checked_lengths("pad_sequence", sequences);
  const std::vector<std::int64_t> starts = starts_of(lengths);
  const std::int64_t steps = longest_of(lengths);
  const auto batch = static_cast<std::int64_t>(lengths.size());
  std::vector<std::int64_t> places(static_cast<std::size_t>(steps * batch), -1);
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t length = lengths[static_cast<std::size_t>(b)];
    const std::int64_t shift = options.padding_side == PaddingSide::left ? steps - length : 0;
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int64_t place = options.batch_first ? b * steps + shift + i : (shift + i) * batch + b;
      places[static_cast<std::size_t>(place)] = starts[static_cast<std::size_t>(b)] + i;
    }
  }
  const Tensor rows = gather_rows_or(joined(sequences), tensor(places), options.padding_value);
  return options.batch_first ? unfold_rows(rows, batch, steps) : unfold_rows(rows, steps, batch);
}

PackedSequence pack_ids(std::span<const std::vector<std::int64_t>> sequences) {
  std::vector<std::int64_t> lengths;
  lengths.reserve(sequences.size());
  for (const auto& sequence : sequences) lengths.push_back(static_cast<std::int64_t>(sequence.size()));
  const PackingPlan plan = plan_of("pack_ids", lengths, false);
  std::vector<std::int64_t> ids;
  each_packed_row(plan, [&](std::size_t sequence, std::size_t step) { ids.push_back(sequences[sequence][step]); });
  return {tensor(ids), layout_of(lengths, plan)};
}

}  // namespace embergrad::nn
